"""What earlier runs saved in the recorder, as the features of a second stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from mlflow.entities import Run
from qlib.workflow import R

from handlers.alpha158vwap import LEARN_PROCESSORS
from handlers.bars import LABEL
from qlib_ext.data.handler import WindowHandler
from qlib_ext.data.loader import HistoryLoader, first_day
from qlib_ext.data.window import Window
from qlib_ext.errors import ConfigError, DataError
from qlib_ext.expressions.spans import Spans
from qlib_ext.keywords import check_types, refuse_unknown
from qlib_ext.recorder.out_of_sample import SEGMENTS, score_of, weak_factors_of
from qlib_ext.recorder.runs import find_runs


class RecordedFactors(WindowHandler):
    """The weak factors, or the scores, of the last finished run of each experiment, by (datetime, instrument).

    A row is there where every experiment has it and the stock is a member of ``instruments``; the features are the
    columns ``EXPERIMENT.net0_factor0`` and so on (``EXPERIMENT.seed7.net0_factor0`` where RollingModel trained several
    seeds) or, of scores, ``EXPERIMENT``. The label is ``vwap[t+11] / vwap[t+1] - 1`` unless another one is given.

    kind       weak_factors: what the windows of a RollingModel keep. score: the predictions of test days.
    segments   of weak factors, whose days are read: those of "test", and also of "valid", on which the net was not
               trained, but which chose its last epoch: let a second stage train on them and not be tested there

    No row is in-sample. Weak factors are read by the marks that RollingModel left, and refused where a day is not after
    the last day that the training labels of its window look at; scores where a label that the run was trained or
    validated on looks at a day of them. How far labels look is read from their expressions, not from ``purge``; a run
    whose training was not purged is refused. Where several windows have a day, a test window goes before a validation
    window, which looks further ahead, and an earlier window before a later one. The nets of two windows differ: factor
    k of one is not factor k of the next, and a second stage whose training days lie in both reads two columns in one.

    Raises DataError for an experiment without a finished run, a run without weak factors, a run whose training days, or
    how far its labels look, are not known, rows in-sample, missing or infinite values, and experiments without a row in
    common.
    Source: Orient Securities, factor selection series 96 (2023-08-24), introduction: weak factors of several data sets
    are weighted by trees over short windows.
    """

    window: ClassVar[Window] = Window(length=1)  # type: ignore[misc]

    def __init__(
        self,
        experiments: Sequence[str],
        kind: str = "weak_factors",
        segments: Sequence[str] = ("test",),
        label: Any = LABEL,
        learn_processors: Any = LEARN_PROCESSORS,
        instruments: Any = "all",
        **kwargs: Any,
    ) -> None:
        check_types(RecordedFactors.__init__, locals())
        if not len(experiments):
            raise ConfigError("experiments names at least one experiment.")
        refuse_unknown([kind], KINDS, "kind")
        refuse_unknown(segments, SEGMENTS, "segments")
        if not len(segments):
            raise ConfigError(f"segments names at least one of {', '.join(SEGMENTS)}.")
        recorded: dict[str, Any] = {
            "experiments": list(dict.fromkeys(experiments)),
            "kind": kind,
            "segments": [segment for segment in SEGMENTS if segment in segments],
        }
        super().__init__(
            features=([], []),
            label=label,
            loader=partial(RecordedLoader, **recorded),
            learn_processors=learn_processors,
            instruments=instruments,
            **kwargs,
        )


class RecordedLoader(HistoryLoader):
    """The rows that all experiments have: the label by expression, the features from the recorder of Qlib."""

    def __init__(
        self, config: dict, experiments: Sequence[str], kind: str, segments: Sequence[str], **kwargs: Any
    ) -> None:
        super().__init__({name: config[name] for name in config if name != "feature"}, **kwargs)
        self.experiments, self.kind, self.segments = experiments, kind, segments

    def _read(self, spans: Spans, extended: Spans, end_time: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
        store = R.get_uri()
        frames = {
            name: KINDS[self.kind](store, find_runs(store, name)[0], name, self.segments) for name in self.experiments
        }
        index = common_rows(frames)
        members, others = (
            features_beside_labels(frames, index, labels) for labels in super()._read(spans, extended, end_time)
        )
        if members.empty:
            raise DataError(
                f"{', '.join(self.experiments)} recorded rows of {dates_of(index)}, and none is of the {len(spans)} "
                f"instruments of this handler, members from {first_day(spans):%Y-%m-%d} on. Take the days and "
                "instruments that the experiments were tested on."
            )
        return members, others


KINDS: dict[str, Callable[[str, Run, str, Sequence[str]], pd.DataFrame]] = {
    "weak_factors": weak_factors_of,
    "score": score_of,
}


def common_rows(frames: Mapping[str, pd.DataFrame]) -> pd.MultiIndex:
    """The rows that all experiments have; raises DataError where there are none, or a value is not finite."""
    for name, frame in frames.items():
        require_finite(frame, name)
    (first, found), *others = ((name, frame.index) for name, frame in frames.items())
    for name, index in others:
        for level in ("datetime", "instrument"):
            if found.unique(level).intersection(index.unique(level)).empty:
                raise DataError(
                    f"{first!r} ({dates_of(found)}) and {name!r} ({dates_of(index)}) have no {level} in common. Let "
                    "both be tested on the same days and instruments."
                )
        found = found.intersection(index)
        if found.empty:
            raise DataError(f"{first!r} and {name!r} have no stock in common on any day; let both have the same tests.")
    return found


def dates_of(index: pd.MultiIndex) -> str:
    days = index.unique("datetime")
    return f"{days.min():%Y-%m-%d} to {days.max():%Y-%m-%d}"


def require_finite(frame: pd.DataFrame, experiment: str) -> None:
    """Raise DataError for a value that is NaN or infinite."""
    wrong = ~np.isfinite(frame.to_numpy())
    rows = wrong.any(axis=1)
    if rows.any():
        place = int(rows.argmax())
        day, stock = frame.index[place]
        raise DataError(
            f"{rows.sum()} of {len(frame)} recorded rows of {experiment!r} are missing or infinite, first "
            f"{frame.columns[int(wrong[place].argmax())]!r} on {day:%Y-%m-%d} at {stock}; see what the run read."
        )


def features_beside_labels(
    frames: Mapping[str, pd.DataFrame], index: pd.MultiIndex, labels: pd.DataFrame
) -> pd.DataFrame:
    """The labels of the rows of ``index``, with the recorded columns as features before them."""
    labels = labels[index.get_indexer(labels.index) >= 0]
    columns = [("feature", column) for frame in frames.values() for column in frame]
    values = np.empty((len(labels), len(columns)), dtype=np.float32)
    low = 0
    for frame in frames.values():
        high = low + frame.shape[1]
        values[:, low:high] = frame.to_numpy()[frame.index.get_indexer(labels.index)]
        low = high
    features = pd.DataFrame(values, index=labels.index, columns=pd.MultiIndex.from_tuples(columns))
    return pd.concat([features, labels], axis=1)
