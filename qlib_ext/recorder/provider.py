"""The provider that a run was made of, as the run itself says."""

from __future__ import annotations

from mlflow.entities import Run
from qlib.config import C
from qlib.workflow.recorder import Recorder

from qlib_ext.errors import QlibExtError
from qlib_ext.provider.facts import ProviderFacts
from qlib_ext.recorder.runs import load

TAG = "qlib_ext.provider"


def tag_provider(recorder: Recorder) -> None:
    """Note in a run what its provider holds now; raises ProviderError where Qlib was given none."""
    recorder.set_tags(**{TAG: ProviderFacts.of(C.dpm.get_data_uri("day")).as_json()})


def provider_of(run: Run) -> ProviderFacts | None:
    """What a run's provider held when it began; of a run that does not say it, what the folder holds now.

    None where neither is known.
    """
    if TAG in run.data.tags:
        return ProviderFacts.read(run.data.tags[TAG])
    config, _ = load(run, "config")
    try:
        uri = config["qlib_init"]["provider_uri"]
        return ProviderFacts.of(uri["day"] if isinstance(uri, dict) else uri)
    except (QlibExtError, KeyError, TypeError):
        return None
