"""What a run was made of beside its configuration: the data of its provider, and the code that computed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from qlib_ext.rolling.description import Description
from qlib_ext.rolling.keys import WITHOUT_NUMBERS, content_hash
from qlib_ext.system.imports import code_behind
from qlib_ext.workflows.reading import Workflow

TAG = "qlib_ext.fingerprint"  # of a run that `qlib-ext run` has started
PARTS = ("calendars", "instruments", "features", "relations")  # of a provider folder, that its readers see


def fingerprint_of(workflow: Workflow) -> str:
    """A hash of the provider's files, by path, size and time of change, of the code behind model and data set, of every
    file that their configuration names, and of the versions of the packages that they import.
    """
    task = workflow.config["task"]
    description = Description()
    description.of([task["model"], task["dataset"]])
    code = code_behind(description.modules, without=WITHOUT_NUMBERS)
    files = [sorted(map(content_hash, paths)) for paths in (description.files, code.files)]
    digest = hashlib.blake2b(json.dumps([files, sorted(code.versions)]).encode(), digest_size=16)
    for provider in workflow.providers:
        for line in state_of(provider):
            digest.update(line.encode())
    return digest.hexdigest()


def state_of(provider: Path) -> Iterator[str]:
    """A line for each file of a provider: where it lies, its size, and when it was changed."""
    for part in PARTS:
        for path in sorted((provider / part).rglob("*")):
            if path.is_file():
                about = path.stat()
                yield f"{path.relative_to(provider)} {about.st_size} {about.st_mtime_ns}\n"
