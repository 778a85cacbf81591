"""``check``: whether today's data can be scored and traded on, before it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from qlib.cli.run import sys_config

from qlib_ext.data.segments import bounds_of
from qlib_ext.errors import DataError
from qlib_ext.live.bars import bars_of
from qlib_ext.live.prediction import initialise
from qlib_ext.live.recorded import Recorded, days_of, read_chain, require_trading_day
from qlib_ext.live.scoring import recorded_rows
from qlib_ext.live.shifts import FAR_OUT, LIMIT, shifts
from qlib_ext.recorder.runs import store_of
from qlib_ext.recorder.windows import DATASET, TRAIN_FROM, TRAIN_TO, windows_of

SAMPLED_DAYS = 10  # of training, with which a day's features are compared
SCORED_DAYS = 120  # of the scores, likewise
LEAST_SAMPLES = 3  # of these days that have every feature
SHIFTED_FEATURES = 0.05  # of them, and one at least, that a day may have shifted from training
LEAST_SCORES = 2  # that differ, or there is nothing to rank


@dataclass(frozen=True)
class Health:
    """What was found of one experiment and its data.

    findings  a sentence each; empty where nothing is wrong
    fields    by field the shares of the members that have a value, see ``bars_of``
    features  by feature its shift from training, see ``shifts``; empty where the run reads scores of others
    scores    the shift of the day's score from sampled days before, one line; empty where the day is not scored
    """

    experiment: str
    day: pd.Timestamp
    findings: tuple[str, ...]
    fields: pd.DataFrame
    features: pd.DataFrame
    scores: pd.DataFrame


def check(
    runs: str | Path,
    experiment: str,
    date: str | pd.Timestamp | None = None,
    workflows: str | Path = "workflows",
) -> list[Health]:
    """Whether the data of a day are such that an experiment, and those that it reads, can be scored on them.

    Looked at are: days that are missing, members of the universe, their bars, the fields that are read, bars of
    minutes; each feature's distribution over the stocks against 10 days of the last training, by the population
    stability index; and where the day is scored, its scores against up to 120 days before, each day's mean taken off.

    date   the day; None: the provider's last
    workflows  the folder of the workflows, as for ``predict``

    Raises what ``predict`` raises before it loads anything, and DataError for a day that is no trading day.
    """
    store = store_of(runs)
    chain = read_chain(store, experiment)
    for recorded in chain:
        sys_config(recorded.workflow.config, str(Path(workflows) / recorded.workflow.path))
    return [_health_of(store, recorded, date) for recorded in chain]


def _health_of(store: str, recorded: Recorded, date: Any) -> Health:
    last = recorded.calendar[-1]
    day = last if date is None else pd.Timestamp(date)
    none = pd.DataFrame()
    if day > last:
        missing = (
            f"The provider {recorded.workflow.provider} ends on {last:%Y-%m-%d} and has no {day:%Y-%m-%d}: its update "
            "is missing, or that is no trading day."
        )
        return Health(recorded.name, day, (missing,), none, none, none)
    require_trading_day(recorded, day)
    findings, fields = bars_of(recorded, day)
    features = none
    bars = not len(fields) or fields.loc["close", "today"] > 0
    if bars and not recorded.workflow.inputs:
        initialise(store, recorded)
        features, found = _features_of(recorded, day)
        findings += found
    scores, found = _scores_of(recorded, day)
    return Health(recorded.name, day, (*findings, *found), fields, features, scores)


def _features_of(recorded: Recorded, day: pd.Timestamp) -> tuple[pd.DataFrame, list[str]]:
    """The shift of each feature, before processors, from sampled days of the last training."""
    handler = recorded_rows(recorded.run, DATASET).handler

    def rows(at: pd.Timestamp) -> pd.DataFrame:
        loaded = handler.data_loader.load(handler.instruments, at, at)
        found: pd.DataFrame = loaded.get("feature", loaded)
        return found

    try:
        today = rows(day)
    except DataError as error:
        return pd.DataFrame(), [str(error)]
    samples = []
    for at in _sampled(_training_days(recorded), SAMPLED_DAYS):
        with suppress(DataError):  # the first days of a provider have no past, and some columns no value
            samples.append(rows(at))
    if len(samples) < LEAST_SAMPLES:
        return pd.DataFrame(), []
    table = shifts(samples, today)
    return table, [*_shifted(table, recorded.name, day, len(samples))]


def _shifted(table: pd.DataFrame, name: str, day: pd.Timestamp, days: int) -> Iterator[str]:
    """A sentence for features of which many values lie far out, and one for features that are shifted, if many are."""
    remedy = "See whether the fields that they read are wrong, their unit, or the adjustment factor."
    out = table[table["far_out"] > FAR_OUT].sort_values("far_out", ascending=False, kind="stable")
    if len(out):
        worst = ", ".join(f"{feature} {row['far_out']:.0%}" for feature, row in out.head(3).iterrows())
        yield (
            f"{len(out)} of {len(table)} features of {name!r} have values on {day:%Y-%m-%d} far below or above all "
            f"that they had on {days} days of training, for so many of the stocks: {worst}. {remedy}"
        )
    ratio = table["psi"] / table["limit"]
    shifted = table[table["shifted"]].loc[ratio[table["shifted"]].sort_values(ascending=False, kind="stable").index]
    if len(shifted) > max(SHIFTED_FEATURES * len(table), 1):
        worst = ", ".join(
            f"{feature} {row['psi']:.2f} (limit {row['limit']:.2f})" for feature, row in shifted.head(3).iterrows()
        )
        yield (
            f"{len(shifted)} of {len(table)} features of {name!r} have a population stability index on {day:%Y-%m-%d} "
            f"above {LIMIT} and above what {days} days of training let expect, the furthest {worst}. {remedy}"
        )


def _training_days(recorded: Recorded) -> pd.DatetimeIndex:
    """The trading days on which the model was trained, of a rolling one its last window's."""
    windows = windows_of(recorded.run)
    if windows is None:
        segments = recorded.workflow.config["task"]["dataset"]["kwargs"]["segments"]
        first, last = bounds_of("train", segments["train"])
    else:
        first, last = (pd.Timestamp(windows[column].iloc[-1]) for column in (TRAIN_FROM, TRAIN_TO))
    calendar = recorded.calendar
    return calendar[(calendar >= (first or calendar[0])) & (calendar <= (last or calendar[-1]))]


def _scores_of(recorded: Recorded, day: pd.Timestamp) -> tuple[pd.DataFrame, list[str]]:
    """The shift of the day's scores from sampled days before, and what is wrong with them."""
    scores, days = recorded.scores.iloc[:, 0], days_of(recorded.scores)
    today = scores[days == day]
    if today.empty:
        return pd.DataFrame(), []
    if today.dropna().nunique() < LEAST_SCORES:
        return pd.DataFrame(), [
            f"The {len(today)} scores of {recorded.name!r} on {day:%Y-%m-%d} are all the same, or missing: there is "
            "nothing to rank."
        ]
    sampled = _sampled(days[days < day].unique(), SCORED_DAYS)
    if len(sampled) < SAMPLED_DAYS:
        return pd.DataFrame(), []
    counts = [int((days == at).sum()) for at in sampled]
    found = []
    if today.notna().sum() < 0.5 * min(counts):
        found.append(
            f"{recorded.name!r} scored {today.notna().sum()} stocks on {day:%Y-%m-%d}, and {min(counts)} to "
            f"{max(counts)} on days before."
        )
    centred = (scores - scores.groupby(days).transform("mean")).to_frame("score")  # strategies read differences alone
    table = shifts([centred[days == at] for at in sampled], centred[days == day])
    if table["shifted"].any():
        found.append(
            f"The scores of {recorded.name!r} on {day:%Y-%m-%d} have a population stability index of "
            f"{table['psi'].iloc[0]:.2f}, above {LIMIT} and above what {len(sampled)} days before let expect, "
            f"{table['limit'].iloc[0]:.2f}."
        )
    return table, found


def _sampled(days: Sequence[pd.Timestamp], most: int) -> list[pd.Timestamp]:
    """Days at even distances, from half of one after the first."""
    count = min(most, len(days))
    return [days[int((place + 0.5) * len(days) / count)] for place in range(count)]
