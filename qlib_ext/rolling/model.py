"""RollingModel: a Qlib model that retrains its inner model window by window."""

from __future__ import annotations

from contextlib import nullcontext
from itertools import product
from typing import Any, ClassVar

import pandas as pd
from qlib.config import C
from qlib.data import D
from qlib.data.dataset.handler import DataHandlerLP
from qlib.log import get_module_logger
from qlib.model.base import Model
from tqdm.auto import tqdm

from qlib_ext.cross_section.ic import daily_rank_ic
from qlib_ext.cross_section.zscore import mean_of_zscores
from qlib_ext.data.purging import trading_days
from qlib_ext.data.segments import bounds_of, span_of
from qlib_ext.errors import ConfigError, DataError, NotFittedError, SegmentError
from qlib_ext.expressions.reach import check_purge, label_reach
from qlib_ext.keywords import check_seeds, check_types, keywords_of, own_keywords, refuse_unknown, written_out
from qlib_ext.recorder.checked import check_active_task
from qlib_ext.recorder.windows import (
    RANK_IC,
    ROWS,
    RUN,
    SECONDS,
    SEED,
    TEST_FROM,
    TEST_TO,
    TRAINED,
    WINDOWS,
    windows_frame,
)
from qlib_ext.rolling.inner import check_inner, keeps_checkpoints
from qlib_ext.rolling.jobs import Job, Outcome, train_window
from qlib_ext.rolling.keys import Keys
from qlib_ext.rolling.rows import RawData
from qlib_ext.rolling.store import WindowStore
from qlib_ext.rolling.windows import RollingWindow, check_lengths, plan
from qlib_ext.system.backends import backend_of, run_jobs

logger = get_module_logger("qlib_ext.rolling")


class RollingModel(Model):
    """Trains an inner Qlib model anew for every window of the test segment, and joins the windows' scores.

    model       configuration of the inner model: class, module_path, kwargs; any Qlib model. It is made at once and
                thrown away, so that a misspelt keyword is named before rows are loaded
    train       length of the training segment: 5Y, 6M, or 250D trading days
    valid       length of the validation segment before the test window; or a share of ``train``, such as 0.2
    step        length of a test window; the last one may be shorter
    expanding   training always begins where it does for the first window
    purge       trading days until a label is known; "auto" takes the dataset's purge, where it has one, or reads them
                from the label's expression
    seeds       one inner model per window and seed, whose standardised scores are averaged; None: one, as configured
    n_jobs      windows trained at the same time
    backend     loky: processes of this machine; ray: a Ray cluster
    gpus        GPUs of a job on a Ray cluster; a fraction shares one
    resume      do not train again what a run of the same experiment has finished with the same rows,
                configuration and code; with ``checkpoint: true`` among the inner model's options, a window that was
                being trained goes on after its last epoch

    Processors with fit_start_time and fit_end_time are fitted on each window's training days; the dates that the
    handler was given for them, and the dataset's train and valid segments, are not read. Every window and seed
    is a child run in the recorder: dates and parameters, curves, Rank IC of its test days, the trained
    model, and, where the model has a ``scored`` as NeuralModel has, the weak factors of its validation and test days.

    Source: Huatai Securities, report on graph networks in Qlib (GATs_ts), the yearly retraining of exhibits 20-21;
    Orient Securities, high-frequency factor report, retraining every half year.
    """

    segments_read: ClassVar[tuple[str, ...]] = ("test",)

    def __init__(
        self,
        model: dict | None = None,
        train: str = "5Y",
        valid: str | float = "1Y",
        step: str = "1Y",
        expanding: bool = False,
        purge: int | str = "auto",
        seeds: list[int] | None = None,
        n_jobs: int = 1,
        backend: str = "loky",
        gpus: float = 0.0,
        resume: bool = True,
        **unknown: Any,
    ) -> None:
        super().__init__()
        refuse_unknown(unknown, keywords_of(type(self)), type(self).__name__)
        if not isinstance(model, dict) or "class" not in model:
            raise ConfigError("RollingModel needs model: the inner model's class, module_path and kwargs.")
        check_types(RollingModel.__init__, locals())
        if n_jobs < 1:
            raise ConfigError(f"n_jobs is at least 1, not {n_jobs}.")
        if gpus < 0:
            raise ConfigError(f"gpus is how many GPUs a job has, or a part of one, at least 0, not {gpus}.")
        check_seeds(seeds)
        check_purge(purge)
        check_lengths(train, valid, step)
        backend_of(backend)
        check_inner(model, None if seeds is None else seeds[0])
        self.model, self.train, self.valid, self.step, self.expanding = model, train, valid, step, expanding
        self.purge, self.seeds, self.n_jobs, self.backend = purge, seeds, n_jobs, backend
        self.gpus, self.resume = gpus, resume
        self.windows_: pd.DataFrame | None = None
        self.scores_: pd.Series | None = None

    def fit(self, dataset: Any) -> None:
        """Train and score every window; raises SegmentError where the rows do not suffice for the windows."""
        store = WindowStore.active()
        check_active_task()
        if store is None:
            logger.warning("No recorder is active: the windows are not saved, and a stopped run starts anew.")
        self.windows_, self.scores_ = self.train_windows(dataset, self.plan(dataset), store)
        if store is not None:
            store.attach(WINDOWS, self.windows_)
        logger.info(f"windows\n{self.windows_.to_string(index=False)}")

    def train_windows(
        self, dataset: Any, windows: list[RollingWindow], store: WindowStore | None
    ) -> tuple[pd.DataFrame, pd.Series]:
        """The table of windows and their joined scores; what the store has is read, the rest is trained and saved."""
        reach = true_reach(dataset.handler, self._purge(dataset))
        calendar = pd.DatetimeIndex([]) if reach is None else pd.DatetimeIndex(D.calendar())
        ends = {window: window.label_ends(calendar, reach) for window in windows}
        data = RawData.of(dataset)
        keys = Keys(data, dataset, self.model)
        own = {"provider_uri": dict(C.provider_uri), "region": C.region, "logging_level": C.logging_level}
        own["custom_ops"] = C.custom_ops
        seeds: list[int | None] = [None] if self.seeds is None else list(self.seeds)
        kept = store.checkpoints() if store is not None and keeps_checkpoints(self.model) else None
        jobs = []
        for window, seed in product(windows, seeds):
            key = keys.key(window, seed)
            jobs.append(Job(window, seed, self.model, own, key, None if kept is None else kept.within(key)))
        label = labels_of(dataset, DataHandlerLP.DK_R).iloc[:, 0]
        with nullcontext() if store is None else store.locked():
            scores, table = self._train(jobs, data, label, store)
        return windows_frame([table[job.key] | ends[job.window] for job in jobs]), join_windows(jobs, scores)

    def plan(self, dataset: Any) -> list[RollingWindow]:
        """The windows of a dataset's test segment."""
        if "test" not in dataset.segments:
            raise SegmentError(f"The dataset has no test segment to roll over; it has {sorted(dataset.segments)}.")
        days = trading_days(dataset.handler)
        reach = label_reach(dataset.handler, self._purge(dataset))
        return plan(days, dataset.segments["test"], self.train, self.valid, self.step, self.expanding, reach)

    def _purge(self, dataset: Any) -> int | str:
        return getattr(dataset, "purge", "auto") if self.purge == "auto" else self.purge

    def __repr__(self) -> str:
        return written_out(self, own_keywords(self))

    def predict(self, dataset: Any, segment: str | slice = "test") -> pd.Series:
        """The joined scores of the test windows, or of days within them, ``slice(first, last)``.

        Raises DataError for another segment or other days.
        """
        if self.scores_ is None or self.windows_ is None:
            raise NotFittedError("RollingModel has no scores yet: call fit.")
        if not (isinstance(segment, slice) or segment == "test"):
            raise DataError(f"RollingModel scores the test segment alone, not {segment!r}: each day by its own window.")
        asked = labels_of(dataset, DataHandlerLP.DK_I, segment).index.unique("datetime")
        first = pd.Timestamp(self.windows_[TEST_FROM].iloc[0])
        last = pd.Timestamp(self.windows_[TEST_TO].iloc[-1])
        outside = asked[(asked < first) | (asked > last)]
        if len(outside):
            raise DataError(
                f"{len(outside)} of the days asked for lie in no trained window, first {outside.min():%Y-%m-%d}; "
                f"the windows run from {first:%Y-%m-%d} to {last:%Y-%m-%d}."
            )
        return self.scores_[self.scores_.index.get_level_values("datetime").isin(asked)]

    def _train(
        self, jobs: list[Job], data: RawData, label: pd.Series, store: WindowStore | None
    ) -> tuple[dict[str, pd.Series], dict[str, dict]]:
        """Scores and table rows of all jobs by key; what is finished is read, the rest is trained and saved."""
        finished = store.finished() if store is not None and self.resume else {}
        kept = {job.key: store.prediction(finished[job.key]) for job in jobs if store and job.key in finished}
        scores = {key: score for key, score in kept.items() if score is not None}
        table = {
            job.key: table_row(job, scores[job.key], label, finished[job.key], None)
            for job in jobs
            if job.key in scores
        }
        left = {job.key: job for job in jobs if job.key not in scores}
        if scores:
            logger.info(f"{len(scores)} of {len(jobs)} windows are finished and not trained again")
        progress = tqdm(total=len(jobs), initial=len(scores), desc="windows", unit="window", disable=None)
        if left:
            backend, windows = backend_of(self.backend), list(left.values())
            for outcome in run_jobs(backend, train_window, data, windows, self.n_jobs, self.gpus):
                job = left[outcome.key]
                scores[job.key] = outcome.prediction
                row = table_row(job, outcome.prediction, label, "", outcome)
                if store is not None:
                    figures = {name: row[name] for name in (RANK_IC, *SECONDS)}
                    row[RUN] = store.save(job, outcome, figures)
                    if job.checkpoints is not None:
                        job.checkpoints.remove()
                table[job.key] = row
                progress.update()
                progress.set_postfix_str(f"{job}: Rank IC {row[RANK_IC]:.4f}")
        progress.close()
        return scores, table


def true_reach(handler: Any, purge: int | str) -> int | None:
    """Trading days that the label reaches ahead by its expressions, whatever ``purge`` says; None: not to be read.

    Warns where ``purge`` is less, or cannot be compared: second stages will refuse what the windows record.
    """
    try:
        reach = label_reach(handler)
    except ConfigError:
        reach = None
    if purge != "auto" and (reach is None or int(purge) < reach):
        found, remedy = f"is {reach} trading days", "Take purge: auto."
        if reach is None:
            found = "cannot be read from an expression"
            remedy = "Let the label be an expression of operators whose reach is known, and take purge: auto."
        logger.warning(
            f"purge is {purge}, and how far the label reaches {found}: RecordedFactors will refuse the weak factors "
            f"and scores of this run, since training may have seen returns of the test. {remedy}"
        )
    return reach


def labels_of(dataset: Any, key: str, segment: str | slice = "test") -> pd.DataFrame:
    """The labels of the test segment, or of a slice of days, from one of the handler's views."""
    first, last = span_of(segment) if isinstance(segment, slice) else bounds_of(segment, dataset.segments[segment])
    return dataset.handler.fetch(slice(first, last), col_set="label", data_key=key)


def table_row(job: Job, scores: pd.Series, label: pd.Series, run: str, outcome: Outcome | None) -> dict[str, Any]:
    """A row of the table of windows; ``trained`` is False for one that was kept."""
    seconds = dict.fromkeys(SECONDS) if outcome is None else outcome.seconds
    own = {
        SEED: job.seed,
        ROWS: len(scores),
        RANK_IC: daily_rank_ic(scores, label).mean(),
        TRAINED: outcome is not None,
    }
    return {**job.window.dates(), **own, **seconds, RUN: run}


def join_windows(jobs: list[Job], scores: dict[str, pd.Series]) -> pd.Series:
    """The scores of all windows, each the mean of its seeds, in the order of days and instruments."""
    windows: dict[RollingWindow, list[pd.Series]] = {}
    for job in jobs:
        windows.setdefault(job.window, []).append(scores[job.key])
    series = pd.concat([mean_of_zscores(seeds) for seeds in windows.values()]).sort_index()
    days, names = (series.index.get_level_values(level) for level in ("datetime", "instrument"))
    # made anew from the values alone: what was read from a file pickles to other bytes than what was just trained
    kind = None if isinstance(names.dtype, pd.StringDtype) else names.dtype
    levels = [days.to_numpy(), pd.Index(names.to_numpy(object), dtype=kind)]
    index = pd.MultiIndex.from_arrays(levels, names=["datetime", "instrument"])
    return pd.Series(series.to_numpy(), index=index, name="score")
