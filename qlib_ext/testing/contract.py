"""What every model promises, each promise a function of a case, and the function that checks them all."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.data.window import Window
from qlib_ext.errors import ConfigError, ContractError, NoWeakFactorsError
from qlib_ext.models.base import NeuralModel
from qlib_ext.system.random_states import random_states
from qlib_ext.testing.rows import PURGE, SEGMENTS, dataset_of, random_rows

QUICK = {"n_epochs": 3, "lr": 0.01, "seed": 0, "seeds": None, "batch_size": None}


class Case:
    """A model under test and the rows that it is trained on; the options of ``QUICK`` and the GPU replace its own."""

    def __init__(
        self,
        model: NeuralModel,
        window: Window | None = None,
        transductive: bool = False,
        gpu: int = -1,
        related: bool = True,
    ) -> None:
        self.model, self.window, self.transductive = model, window, transductive
        self.gpu, self.related = gpu, related
        self.rows = random_rows(seed=7)

    def make(self, **options: Any) -> NeuralModel:
        """The same model before training, with some options changed."""
        return type(self.model)(**{**vars(self.model.options), **QUICK, "GPU": self.gpu, **options})

    def dataset(self, rows: pd.DataFrame | None = None, **kwargs: Any) -> CrossSectionDataset:
        """A dataset of the rows of the case, or of others."""
        return dataset_of(self.rows if rows is None else rows, self.window, related=self.related, **kwargs)

    def fitted(self, rows: pd.DataFrame | None = None, purge: int = PURGE, **options: Any) -> NeuralModel:
        """The model trained on some rows."""
        model = self.make(**options)
        model.fit(self.dataset(rows, purge=purge))
        return model

    @cached_property
    def trained(self) -> NeuralModel:
        """The model trained on the rows of the case."""
        return self.fitted()

    @cached_property
    def scores(self) -> pd.Series:
        """Its scores of the test segment."""
        return self.trained.predict(self.dataset())


def scores_every_row(case: Case) -> None:
    """It gives one finite score to every stock on every day of a segment."""
    for segment, (start, end) in SEGMENTS.items():
        score = case.trained.predict(case.dataset(), segment)
        require(score.index.equals(case.rows.loc[start:end].index), f"The scores of {segment!r} are of other rows.")
        require(np.isfinite(score).all(), f"{(~np.isfinite(score)).sum()} scores of {segment!r} are not finite.")


def averages_weak_factors(case: Case) -> None:
    """Its score is the mean of its weak factors, or it has none and says so."""
    prediction, factors = case.trained.scored(case.dataset())
    if factors is None:
        require_refusal(NoWeakFactorsError, lambda: case.trained.weak_factors(case.dataset()))
        return
    require(
        list(factors.columns) == [f"net0_factor{k}" for k in range(factors.shape[1])],
        f"The weak factors are called {', '.join(map(str, factors.columns))}.",
    )
    require_same(factors.mean(axis=1), prediction, atol=1e-6)
    require_same(case.trained.weak_factors(case.dataset()).mean(axis=1), prediction, atol=1e-6)


def learns(case: Case) -> None:
    """It finds the field that the label is equal to: an IC above 0.5 after 15 epochs."""
    rows = random_rows(stocks=40, holes=0.0, seed=1)
    rows["label", "LABEL0"] = rows["feature", "F0"]
    model = case.fitted(rows, n_epochs=15, seed=1)
    score = model.predict(case.dataset(rows))
    ic = score.groupby(level="datetime").corr(rows["label", "LABEL0"]).mean()
    require(ic > 0.5, f"The IC of the test days is {ic:.2f}.")
    first, *_, last = model.curves_[0]["train_ic"]
    require(last > first, f"The IC of the training days went from {first:.2f} to {last:.2f}.")


def repeats_itself(case: Case) -> None:
    """The same seed gives the same scores bit for bit, another seed others."""
    first, second, other = (case.fitted(seed=seed).predict(case.dataset()) for seed in (3, 3, 4))
    require_same(first, second)
    require(not np.allclose(first, other), "Two seeds gave the same scores.")


def leaves_random_states_alone(case: Case) -> None:
    """Making, training and asking it leaves the random states of torch, numpy and Python as they were."""
    before = pickle.dumps(random_states())
    case.fitted().predict(case.dataset())
    require(pickle.dumps(random_states()) == before, "A random state has changed.")


def averages_seeds(case: Case) -> None:
    """Several seeds give the mean of their scores, each standardised over the day."""
    both = case.fitted(seeds=[3, 4])
    singles = [case.fitted(seed=seed).predict(case.dataset()) for seed in (3, 4)]
    standard = [s.groupby(level="datetime").transform(lambda x: (x - x.mean()) / x.std()) for s in singles]
    require_same(both.predict(case.dataset()), (standard[0] + standard[1]) / 2, atol=1e-5)
    require(len(both.nets_) == len(both.curves_) == 2, "There are not two nets and two curves.")


def survives_pickling(case: Case) -> None:
    """Pickled and unpickled it gives the same scores."""
    require_same(pickle.loads(pickle.dumps(case.trained)).predict(case.dataset()), case.scores)


def saves_its_weights(case: Case) -> None:
    """Its weights, saved and loaded by another object, give the same scores."""
    other = case.make(seed=9)
    with tempfile.TemporaryDirectory() as folder:
        case.trained.save_weights(Path(folder, "weights.pt"))
        other.load_weights(Path(folder, "weights.pt"))
    require_same(other.predict(case.dataset()), case.scores)


def scores_a_day_alone(case: Case) -> None:
    """A day has the same scores whether it is asked for alone or among others."""
    for day in case.scores.index.unique("datetime")[::4]:
        alone = case.trained.predict(case.dataset(segments=SEGMENTS | {"test": (day, day)}))
        require_same(alone, case.scores.loc[[day]], atol=1e-6)


def takes_days_together(case: Case) -> None:
    """It trains on one day a step and on several."""
    for days in (1, 3):
        score = case.fitted(days_per_batch=days).predict(case.dataset())
        require(np.isfinite(score).all(), f"With days_per_batch {days} some scores are not finite.")


def looks_at_nothing_later(case: Case) -> None:
    """Rows after a day change nothing of its scores: neither garbage, nor others' rows, nor their absence."""
    day = pd.Timestamp("2020-03-18")
    later = case.rows.index.get_level_values("datetime") > day
    garbage, shuffled = case.rows.copy(), case.rows.copy()
    garbage.loc[later] = 1e6
    shuffled.loc[later] = case.rows[later].sample(frac=1, random_state=0).to_numpy()
    for changed in (garbage, shuffled, case.rows[~later]):
        require_same(case.trained.predict(case.dataset(changed)).loc[:day], case.scores.loc[:day], atol=1e-6)


def trains_without_the_test_days(case: Case) -> None:
    """Rows of the test segment change nothing of what is learnt."""
    garbage = case.rows.copy()
    garbage.loc[garbage.index.get_level_values("datetime") >= SEGMENTS["test"][0]] = 1e3
    require_same(case.fitted(garbage).predict(case.dataset()), case.scores)


def purges_labels(case: Case) -> None:
    """Labels that reach over a segment's border are not trained on."""
    changed = case.rows.copy()
    days = case.rows.index.unique("datetime")
    for border in (SEGMENTS["valid"][0], SEGMENTS["test"][0]):
        last = days[days < border][-PURGE:]
        changed.loc[changed.index.get_level_values("datetime").isin(last), ("label", "LABEL0")] *= -50
    require_same(case.fitted(changed).predict(case.dataset()), case.scores)
    unpurged = case.fitted(changed, purge=0).predict(case.dataset())
    require(not np.allclose(unpurged, case.scores), "Without purging these labels change nothing: are they read?")


def ignores_the_order_of_stocks(case: Case) -> None:
    """Stocks with their names exchanged have their scores exchanged; a transductive model is excepted."""
    if case.transductive:
        return
    names = case.rows.index.unique("instrument")
    exchange = dict(zip(names, names[::-1], strict=True))
    mirrored = case.trained.predict(case.dataset(case.rows.rename(index=exchange, level="instrument").sort_index()))
    require_same(mirrored.rename(index=exchange, level="instrument").sort_index(), case.scores, atol=1e-5)


def scores_newcomers(case: Case) -> None:
    """A stock that was not there in training has finite scores."""
    known = case.rows.index.unique("instrument")
    newcomers = case.rows.rename(index={known[0]: "SZ300999"}, level="instrument").sort_index()
    score = case.trained.predict(case.dataset(newcomers))
    require(np.isfinite(score).all(), f"{(~np.isfinite(score)).sum()} scores are not finite.")


def stays_close_in_bfloat16(case: Case) -> None:
    """With autocast its scores are other ones, float32 and close."""
    half = case.fitted(autocast=True).predict(case.dataset())
    require(half.dtype == np.float32, f"The scores are {half.dtype}.")
    require(not half.equals(case.scores), "The scores are the same: nothing was computed in bfloat16.")
    require(half.corr(case.scores) > 0.95, f"The scores correlate by {half.corr(case.scores):.2f}.")


def refuses_unknown_keywords(case: Case) -> None:
    """A keyword that it does not know is a ConfigError."""
    require_refusal(ConfigError, lambda: case.make(a_keyword_that_no_model_has=1))


PROMISES: tuple[Callable[[Case], None], ...] = (
    scores_every_row,
    averages_weak_factors,
    learns,
    repeats_itself,
    leaves_random_states_alone,
    averages_seeds,
    survives_pickling,
    saves_its_weights,
    scores_a_day_alone,
    takes_days_together,
    looks_at_nothing_later,
    trains_without_the_test_days,
    purges_labels,
    ignores_the_order_of_stocks,
    scores_newcomers,
    stays_close_in_bfloat16,
    refuses_unknown_keywords,
)


def check_model(model: NeuralModel, window: Window | None = None, transductive: bool = False) -> None:
    """Raise ContractError where a model breaks one of the ``PROMISES`` of every net; it takes seconds on a CPU.

    model: one that is not trained, with the options to be tested; those of ``QUICK`` are set by the check itself.
    window: of the samples, made of four fields; five days of them by default, ``IMAGES`` for a net that reads images.
    transductive: its scores depend on the names of the stocks on purpose, as with a learnt vector for each.
    """
    case = Case(model, window, transductive)
    for promise in PROMISES:
        try:
            promise(case)
        except ContractError as error:
            name = type(model).__name__
            raise ContractError(f"{name} breaks a promise of every model. {promise.__doc__} But: {error}") from error


def require(kept: Any, otherwise: str) -> None:
    """Raise ContractError unless a promise is kept."""
    if not kept:
        raise ContractError(otherwise)


def require_refusal(error: type[Exception], call: Callable[[], Any]) -> None:
    """Raise ContractError unless a call raises an error."""
    try:
        call()
    except error:
        return
    raise ContractError(f"No {error.__name__} is raised.")


def require_same(found: pd.Series, expected: pd.Series, atol: float = 0.0) -> None:
    """Raise ContractError where scores differ by more than ``atol`` plus a 100,000th of them where it is above 0."""
    require(found.index.equals(expected.index), "The scores are of other rows.")
    off = ~np.isclose(found, expected, rtol=1e-5 if atol else 0.0, atol=atol, equal_nan=True)
    if off.any():
        day, stock = found.index[off][0]
        was, now = expected[off].iloc[0], found[off].iloc[0]
        raise ContractError(
            f"{off.sum()} of {len(off)} scores differ, the first on {day:%Y-%m-%d} for {stock}: {now:.6g}, not "
            f"{was:.6g}."
        )
