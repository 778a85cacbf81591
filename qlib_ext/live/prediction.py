"""``predict``: the newest finished run of an experiment scores the days that its provider has got since."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import qlib
from qlib.cli.run import sys_config
from tqdm.auto import tqdm

from qlib_ext.errors import ConfigError, DataError
from qlib_ext.live.recorded import PRED, Recorded, days_of, read, read_chain, require_trading_day
from qlib_ext.live.scoring import append, load_rows, recorded_rows, require_days, require_same, score
from qlib_ext.live.windows import RollingRun
from qlib_ext.recorder.location import database_of, follow_move
from qlib_ext.recorder.running import at_work_on
from qlib_ext.recorder.runs import store_of
from qlib_ext.recorder.windows import DATASET, TEST_FROM, windows_of


@dataclass(frozen=True)
class Prediction:
    """What became of one experiment.

    days  that were scored and appended; empty where there was nothing to do
    rows  how many scores these are
    last  the last day that has scores now
    due   the first day of a window that is to be trained before more is scored; None where none is
    """

    experiment: str
    run: str
    provider: Path
    days: pd.DatetimeIndex
    rows: int
    last: pd.Timestamp
    due: pd.Timestamp | None


def predict(
    runs: str | Path,
    experiment: str,
    to: str | pd.Timestamp | None = None,
    retrain: bool = False,
    workflows: str | Path = "workflows",
    again: str | pd.Timestamp | None = None,
) -> list[Prediction]:
    """Score the days after the last one scored, up to ``to`` or the provider's last, of an experiment and its inputs.

    The inputs come first. Model, dataset and processors are those that the newest finished run recorded, fitted as
    they were; the provider is that of its workflow as it is today. The scores are appended to the run's pred.pkl and
    are those of a prediction over the longer test to the bit; before, the last day that was scored is scored again and
    compared, also where no day is new. A rolling model's last window scores until its step ends; with ``retrain`` the
    windows that are due then are trained.
    workflows: the folder of the workflows, from which their ``sys: rel_path`` leads to the user's own modules.
    again: the first day whose scores are replaced, with all after it, as its data were not whole when it was scored;
    compared is then the scored day before it.

    Raises DataError before anything is loaded where an experiment has no finished run, its provider ends before what
    was scored, ``to`` is no trading day, or ``again`` has no scores, is the first day that has, or is of a window
    before a rolling model's last; ConfigError for ``again`` with ``to``; ProviderError for a provider that is none;
    DataError where the day that is compared is no longer what it was; WorkerError where another process works on the
    same run.
    """
    if again is not None and to is not None:
        raise ConfigError("Days are scored again up to the provider's last; leave out the day to score up to.")
    store = store_of(runs)
    chain = read_chain(store, experiment)
    for recorded in chain:
        sys_config(recorded.workflow.config, str(Path(workflows) / recorded.workflow.path))
    if to is not None:
        to = pd.Timestamp(to)
        for recorded in chain:
            require_trading_day(recorded, to)
    if again is not None:
        again = pd.Timestamp(again)
        for recorded in chain:
            _require_scored(recorded, again)
    reached: dict[str, Prediction] = {}
    for recorded in tqdm(chain, desc="predicting", unit="experiment", disable=None):
        ends = [recorded.calendar[-1] if to is None else to]
        ends += [reached[name].last for name in recorded.workflow.inputs]
        reached[recorded.name] = predict_one(store, recorded, min(ends), retrain, again)
    return list(reached.values())


def _require_scored(recorded: Recorded, day: pd.Timestamp) -> None:
    """Raise DataError where a day cannot be scored again: a scored day before it is to be compared."""
    days = days_of(recorded.scores).unique().sort_values()
    if day not in days[1:]:
        if day < days[-1]:
            require_trading_day(recorded, day)
        raise DataError(
            f"{recorded.name!r} cannot score {day:%Y-%m-%d} again: it has scores of {days[0]:%Y-%m-%d} to "
            f"{days[-1]:%Y-%m-%d}, of which the first is compared. Name a day after it."
        )
    windows = windows_of(recorded.run)
    if windows is not None and day < pd.Timestamp(windows[TEST_FROM].iloc[-1]):
        raise DataError(
            f"{recorded.name!r} cannot score {day:%Y-%m-%d} again: its last window begins on "
            f"{windows[TEST_FROM].iloc[-1]}, and those before are as they were trained. Run it again: `qlib-ext run "
            f"{recorded.name}`."
        )


def predict_one(
    store: str, recorded: Recorded, to: pd.Timestamp, retrain: bool, again: pd.Timestamp | None = None
) -> Prediction:
    """Score the new days of one experiment whose inputs have them, and those from ``again`` on once more."""
    database = database_of(store)
    assert database is not None
    days, rows, due = pd.DatetimeIndex([]), 0, None
    follow_move(database)
    with at_work_on(database.parent, recorded.run.info.run_id):
        recorded = read(store, recorded.name)  # another process may have been quicker
        days_before = days_of(recorded.scores)
        last = recorded.last if again is None else days_before[days_before < again].max()
        if last <= to:
            initialise(store, recorded)
            rolling = windows_of(recorded.run) is not None
            one_by_one = rolled(store, recorded, last, to, retrain, again) if rolling else once(recorded, last, to)
            for scores, due in one_by_one:  # noqa: B007 (the last one is returned)
                new = scores[days_of(scores) > last].to_frame("score")
                if len(new):
                    require_days(recorded.scores, new, last, recorded.name)
                    append(recorded.run, PRED, new, last)
                    days, rows = days.append(days_of(new).unique()), rows + len(new)
                    last = days[-1]
    if last < to and due is None:
        raise DataError(
            f"{recorded.name!r} has scores until {last:%Y-%m-%d} and no stock to score after it until {to:%Y-%m-%d}: "
            "see whether the bars and the members of its universe were written."
        )
    return Prediction(recorded.name, recorded.run.info.run_id, recorded.workflow.provider, days, rows, last, due)


def initialise(store: str, recorded: Recorded) -> None:
    """Initialise Qlib as the workflow does, but so that no run begins: what a model logs as it trains is not kept.

    Of Qlib's log warnings alone are shown, unless the workflow says otherwise: a line of cron is mailed.
    """
    config = recorded.workflow.config
    manager: dict[str, Any] = {"class": "NoRecorder", "module_path": "qlib_ext.rolling.jobs"}
    manager["kwargs"] = {"uri": store, "default_exp_name": recorded.name}
    qlib.init(**{"logging_level": logging.WARNING} | config["qlib_init"] | {"exp_manager": manager})


def once(recorded: Recorded, last: pd.Timestamp, to: pd.Timestamp) -> Iterator[tuple[pd.Series, None]]:
    """The scores of a model that was trained once, from ``last`` on, which is compared."""
    model, dataset = (recorded_rows(recorded.run, name) for name in ("params.pkl", DATASET))
    load_rows(dataset, to)
    scores, _ = score(model, dataset, last, to, recorded.name)
    require_same(recorded.scores.iloc[:, 0], scores, last, recorded.name)
    yield scores, None


def rolled(
    store: str,
    recorded: Recorded,
    last: pd.Timestamp,
    to: pd.Timestamp,
    retrain: bool,
    again: pd.Timestamp | None,
) -> Iterator[tuple[pd.Series, pd.Timestamp | None]]:
    """The scores of a rolling model, window by window, and the first day of the window that is due after each."""
    rolling = RollingRun(store, recorded.run, recorded.name)
    while True:
        scores, due = rolling.extend(last, to, again)
        yield scores, due
        if due is None or not retrain:
            return
        rolling.retrain(due, to)
        last, again = due, None


def scores_on(runs: str | Path, experiment: str, day: str | pd.Timestamp | None = None) -> pd.DataFrame:
    """The recorded scores of a day, by default of the last: columns datetime, instrument, score, the highest first.

    Raises DataError for a day without scores.
    """
    recorded = read(store_of(runs), experiment)
    day = recorded.last if day is None else pd.Timestamp(day)
    scores = recorded.scores.iloc[:, 0].rename("score")
    found = scores[days_of(scores) == day]
    if found.empty:
        days = days_of(scores)
        raise DataError(
            f"{experiment!r} has no scores of {day:%Y-%m-%d}; it has those of {days.min():%Y-%m-%d} to "
            f"{days.max():%Y-%m-%d}."
        )
    return found.sort_values(ascending=False, kind="stable").reset_index()
