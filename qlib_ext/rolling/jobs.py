"""One window and one seed: what a process needs to train it, and what it gives back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from inspect import signature
from typing import Any, ClassVar

import cloudpickle
import numpy as np
import pandas as pd
import qlib
from qlib.config import C
from qlib.utils import init_instance_by_config

from qlib_ext.errors import QlibExtError, TrainingError
from qlib_ext.recorder.checkpoints import Checkpoints, kept_in
from qlib_ext.recorder.windows import SECONDS
from qlib_ext.rolling.inner import with_seed
from qlib_ext.rolling.rows import RawData
from qlib_ext.rolling.windows import RollingWindow


@dataclass(frozen=True)
class Job:
    """A window, a seed (None: the model's own), the inner model's configuration, and how Qlib was initialised.

    checkpoints: where an inner model with ``checkpoint: true`` keeps its own; None without a recorder.
    """

    noun: ClassVar[str] = "window"

    window: RollingWindow
    seed: int | None
    model: dict
    qlib: dict
    key: str
    checkpoints: Checkpoints | None = None

    def __str__(self) -> str:
        return str(self.window) if self.seed is None else f"{self.window} seed {self.seed}"

    def configuration(self) -> dict:
        """The inner model's configuration with the seed in it."""
        return with_seed(self.model, self.seed)


@dataclass(frozen=True)
class Outcome:
    """What a trained window leaves: test days' scores, weak factors, curves, pickled model and dataset, seconds.

    weak_factors has the columns (factors ..., "segment") over validation and test days, or is None. dataset is without
    data, its processors as they were fitted. seconds counts each of recorder.windows.SECONDS.
    """

    key: str
    prediction: pd.Series
    weak_factors: pd.DataFrame | None
    curves: dict[str, list[float]]
    model: bytes
    dataset: bytes
    seconds: dict[str, float]


class NoRecorder:
    """An experiment manager that records nothing, for the processes that train: the parent alone writes.

    ``uri`` is the store that handlers read.
    """

    active_experiment = None

    def __init__(self, uri: str | None = None, default_exp_name: str | None = None) -> None:
        self.uri = uri

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self


def train_window(data: RawData, job: Job) -> Outcome:
    """Train the inner model on one window and score its test days, in a process of a backend's."""
    if not C.registered:
        no_recorder = {"class": "NoRecorder", "module_path": __name__, "kwargs": {}}
        qlib.init(**job.qlib, exp_manager=no_recorder)
    clock = [time.perf_counter()]
    dataset = data.dataset_of(job.window)
    clock.append(time.perf_counter())
    model = init_instance_by_config(job.configuration())
    evaluation: dict = {}
    takes = signature(model.fit).parameters
    try:
        with kept_in(job.checkpoints):
            model.fit(dataset, **({"evals_result": evaluation} if "evals_result" in takes else {}))
        clock.append(time.perf_counter())
        prediction, factors = score_and_factors(model, dataset)
        prediction = scores_of(prediction, job)
        clock.append(time.perf_counter())
        pickled = [cloudpickle.dumps(each) for each in (model, dataset)]  # by value what the user's script defines
    except Exception as error:  # whatever an inner model raises, its user must learn the window
        message = str(error) if isinstance(error, QlibExtError) else f"{type(error).__name__}: {error}"
        raise TrainingError(f"Window {job}: {message} (finished windows are kept)") from error
    return Outcome(
        key=job.key,
        prediction=prediction,
        weak_factors=factors,
        curves=dict(flat_curves(evaluation)),
        model=pickled[0],
        dataset=pickled[1],
        seconds=dict(zip(SECONDS, np.diff(clock).tolist(), strict=True)),
    )


def scores_of(prediction: Any, job: Job) -> pd.Series:
    """The prediction as a series ``score``; raises TrainingError for scores of days that are not the window's."""
    scores = as_scores(prediction)
    days = scores.index.get_level_values("datetime")
    first, last = job.window.test
    if scores.empty or days.min() < first or days.max() > last:
        raise TrainingError(
            f"the inner model scored {len(scores)} rows"
            + ("" if scores.empty else f" from {days.min():%Y-%m-%d} to {days.max():%Y-%m-%d}")
            + f", but is to score the test days {first:%Y-%m-%d} to {last:%Y-%m-%d}"
        )
    return scores


def as_scores(prediction: Any) -> pd.Series:
    """The prediction of any model as a series ``score`` by (datetime, instrument), sorted."""
    scores = prediction.iloc[:, 0] if isinstance(prediction, pd.DataFrame) else prediction
    return scores.rename("score").rename_axis(["datetime", "instrument"]).sort_index()


def score_and_factors(model: Any, dataset: Any) -> tuple[Any, pd.DataFrame | None]:
    """The prediction of the test days, and the weak factors of validation and test days, never of training days.

    Weak factors: None where the model has none. One that has them gives both in one pass (``NeuralModel.scored``).
    """
    prediction, tested = tested_by(model, dataset)
    if tested is None:
        return prediction, None
    parts = [model.weak_factors(dataset, "valid").assign(segment="valid"), tested.assign(segment="test")]
    return prediction, pd.concat(parts).sort_index()


def tested_by(model: Any, dataset: Any) -> tuple[Any, pd.DataFrame | None]:
    """The prediction of the test days and their weak factors; None where the model has none."""
    return model.scored(dataset, "test") if hasattr(model, "scored") else (model.predict(dataset), None)


def flat_curves(evaluation: Mapping, prefix: str = "") -> list[tuple[str, list[float]]]:
    """Curves of nested evaluation results, ``{"valid": {"l2": [...]}}`` under the name ``valid.l2``.

    What is no list of figures is left out: what a model puts there is its own affair, and no reason to lose a window.
    """
    curves: list[tuple[str, list[float]]] = []
    for name, value in evaluation.items():
        if isinstance(value, Mapping):
            curves += flat_curves(value, f"{prefix}{name}.")
        else:
            with suppress(TypeError, ValueError):
                curves.append((f"{prefix}{name}", [float(figure) for figure in value]))
    return curves
