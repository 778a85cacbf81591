"""The names of a dataset's segments: those that its model, and the record of its scores, will ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qlib.data.dataset import DatasetH

from qlib_ext.checks.names import RECORDS, class_of, records_of, refuse_misspelt
from qlib_ext.data.segments import APART
from qlib_ext.errors import SegmentError

QLIBS = "qlib.contrib.model."
# modules of Qlib whose models do without a segment valid; those of all others read train and valid
WITHOUT_VALID = tuple(QLIBS + name for name in ("gbdt", "linear", "pytorch_gru", "pytorch_nn"))


def check_segment_names(task: Mapping[str, Any], importable: bool, records_follow: bool) -> None:
    """Raise ConfigError for a segment whose name is nearly train, valid or test, SegmentError for one that is missing.

    A class of models may name what it needs, ``segments_read = ("train", "valid")``; Qlib's own are known here, and of
    any other nothing is asked. Scores are those of ``test``.
    """
    dataset = task.get("dataset")
    if not isinstance(dataset, Mapping) or "class" not in dataset:
        return
    klass = class_of(dataset, None, importable)
    if not (isinstance(klass, type) and issubclass(klass, DatasetH)):
        return
    segments = (dataset.get("kwargs") or {}).get("segments") or {}
    refuse_misspelt(segments, APART, "The mapping of segments")
    for name in _read_by_model(task.get("model"), importable):
        _require(name, segments, task["model"]["class"])
    if records_follow and _records_scores(task, importable):
        _require("test", segments, "SignalRecord")


def _require(name: str, segments: Mapping[str, Any], reader: str) -> None:
    if name not in segments:
        raise SegmentError(
            f"The dataset has no segment {name!r}, which {reader} reads; it has {', '.join(segments) or 'none'}. "
            f"Name its first and its last day: {name}: [2010-01-01, 2015-12-31]."
        )


def _read_by_model(config: Any, importable: bool) -> tuple[str, ...]:
    klass = class_of(config, None, importable) if isinstance(config, Mapping) and "class" in config else None
    if klass is not None and hasattr(klass, "segments_read"):
        return tuple(klass.segments_read)
    module = getattr(getattr(klass, "fit", None), "__module__", None) or ""  # where fit is written, also of a subclass
    if not module.startswith(QLIBS):
        return ()
    return ("train",) if module in WITHOUT_VALID else ("train", "valid")


def _records_scores(task: Mapping[str, Any], importable: bool) -> bool:
    classes = [class_of(record, RECORDS, importable) for record in records_of(task) if "class" in record]
    return any(getattr(klass, "__name__", "") == "SignalRecord" for klass in classes)
