"""What a run was made of beside its configuration: the data of its provider, and the code that computed."""

from __future__ import annotations

import hashlib
import json

from qlib_ext.provider.state import state_of
from qlib_ext.system.description import Description
from qlib_ext.workflows.reading import Workflow

TAG = "qlib_ext.fingerprint"  # of a run that `qlib-ext run` has started


def fingerprint_of(workflow: Workflow) -> str:
    """A hash of the provider's files, by path, size and time of change, of the code behind model and data set, of every
    file that their configuration names, and of the versions of the packages that they import.
    """
    task = workflow.config["task"]
    description = Description()
    description.of([task["model"], task["dataset"]])
    digest = hashlib.blake2b(json.dumps(description.sources()).encode(), digest_size=16)
    for provider in workflow.providers:
        for line in state_of(provider):
            digest.update(line.encode())
    return digest.hexdigest()
