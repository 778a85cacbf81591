"""Many settings of index enhancement at once: indices x turnover x members, each a job on the ledger."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import joblib
import numpy as np
import pandas as pd

from qlib_ext.cross_section.matrix import to_matrix
from qlib_ext.errors import ConfigError, DataError
from qlib_ext.portfolio.backtest import backtest
from qlib_ext.portfolio.boards import Boards
from qlib_ext.portfolio.days import Days
from qlib_ext.portfolio.history import History
from qlib_ext.portfolio.ledger import Costs
from qlib_ext.portfolio.quotes import Quotes, read_quotes
from qlib_ext.portfolio.results import results_of
from qlib_ext.portfolio.setting import Setting, setting_of
from qlib_ext.provider.calendar import read_calendar
from qlib_ext.provider.fields import MAKE_ROOM
from qlib_ext.provider.names import INDEX_OF
from qlib_ext.provider.panels import checked_folder, read_panels
from qlib_ext.recorder.runs import find_runs, load, store_of
from qlib_ext.risk.model import StyleRiskModel
from qlib_ext.risk.windows import carried
from qlib_ext.system.backends import backend_of, run_jobs
from qlib_ext.system.description import Description
from qlib_ext.system.files import write_whole

TRACKING_ERRORS = {"csi300": 0.04, "csi500": 0.05, "csi1000": 0.05}  # by index, under the name of its universe
TURNOVERS = (0.1, 0.2, 0.3)
MEMBERS = (0.8, None)
RELAX = ("turnover", "members", "industries", "styles", "tracking_error")


@dataclass(frozen=True)
class GridJob:
    """A setting: an index, its tracking error, one-sided turnover, and the share of its members, None for any."""

    noun: ClassVar[str] = "setting"

    index: str
    members: str
    tracking_error: float
    one_sided: float
    share: float | None

    def __str__(self) -> str:
        share = "any" if self.share is None else f"{self.share:g}"
        return f"{self.members}_delta{self.one_sided:g}_members{share}"

    def setting(self) -> Setting:
        """The constraints of the reports: styles within .5, industries within 2 %, a stock within 1 % of its weight."""
        constraints: list[dict[str, Any]] = [
            {"class": "TrackingError", "kwargs": {"limit": self.tracking_error}},
            {"class": "Styles", "kwargs": {"limit": 0.5}},
            {"class": "Industries", "kwargs": {"limit": 0.02}},
            {"class": "ActiveWeight", "kwargs": {"limit": 0.01}},
            {"class": "Turnover", "kwargs": {"one_sided": self.one_sided}},
        ]
        if self.share is not None:
            constraints.append({"class": "Members", "kwargs": {"share": self.share}})
        relax = [name for name in RELAX if name != "members" or self.share is not None]
        return setting_of({"index": self.index, "members": self.members}, constraints, relax=relax)


@dataclass(frozen=True)
class GridData:
    """What all settings share: folders of the provider and of the risk model, days, and how orders are dealt."""

    provider: str
    model: str
    first: str
    last: str
    score: pd.DataFrame  # [days, stocks]
    cash: float = 1e8
    buy: float = 0.001
    sell: float = 0.002
    limit: str = "one_price"
    price: str = "$vwap"
    lots: bool = True


def grid_jobs(
    indices: Sequence[str] = tuple(TRACKING_ERRORS),
    turnovers: Sequence[float] = TURNOVERS,
    shares: Sequence[float | None] = MEMBERS,
) -> list[GridJob]:
    """The settings of the reports, those of an index one after the other: 18 by default."""
    if unknown := [name for name in indices if name not in TRACKING_ERRORS]:
        raise ConfigError(f"The grid knows the indices {', '.join(TRACKING_ERRORS)}, not {unknown[0]}.")
    return [
        GridJob(INDEX_OF[name], name, TRACKING_ERRORS[name], one_sided, share)
        for name, one_sided, share in product(indices, turnovers, shares)
    ]


def recorded_score(runs: str | Path, experiment: str) -> pd.DataFrame:
    """The score of an experiment's last finished run, [days, stocks]; raises DataError where it cannot be read."""
    score, problem = load(find_runs(store_of(runs), experiment)[0], "pred.pkl")
    if problem:
        raise DataError(f"{experiment}: {problem}.")
    matrix = to_matrix(score.iloc[:, 0], f"score of {experiment}")
    if len(matrix) < 2:
        raise DataError(f"The score of {experiment} has {len(matrix)} days; a score is traded the day after it.")
    return matrix


def run_setting(data: GridData, job: GridJob) -> tuple[GridJob, dict[str, Any]]:
    """The frames of ``results_of`` of one setting, in a process of a backend's."""
    model, quotes = _model(data.model), _quotes(data.provider, data.first, data.last, data.price, data.limit, data.lots)
    days = _days(data.provider, data.model, job.index, job.members)
    bench = _returns_of(data.provider, job.index, quotes.days)
    setting = job.setting()
    made = backtest(
        days,
        setting,
        quotes,
        data.score,
        data.cash,
        Costs(data.buy, data.sell),
        Boards() if data.lots else None,
        bench,
    )
    history = History.of(made.report, made.holdings, quotes, days.weights)
    about = {"experiment": str(job), "account": data.cash, "deal_price": data.price, "limit": data.limit}
    return job, results_of(history, made.decisions, setting, model, about)


@lru_cache(maxsize=1)
def _model(folder: str) -> StyleRiskModel:
    return StyleRiskModel.read(folder)


@lru_cache(maxsize=1)
def _quotes(provider: str, first: str, last: str, price: str, limit: str, lots: bool) -> Quotes:
    return read_quotes(provider, first, last, price=price, limit=limit, lots=lots)


@lru_cache(maxsize=1)  # jobs of an index follow each other
def _days(provider: str, folder: str, index: str, members: str) -> Days:
    return Days(provider, _model(folder), index, members)


def _returns_of(provider: str, index: str, days: pd.DatetimeIndex) -> pd.Series:
    folder = checked_folder(provider)
    calendar = read_calendar(folder)
    close = carried(read_panels(folder, ["close"], [index])["close"], len(calendar))[:, 0]
    if np.isnan(close).all():
        raise DataError(f"{provider} has no $close of the index {index}, which excess returns are measured against.")
    return pd.Series(close, calendar).pct_change(fill_method=None).reindex(days)


def run_grid(
    data: GridData,
    jobs: Sequence[GridJob],
    out: str | Path,
    backend: str = "loky",
    n_jobs: int = 2,
    progress: Callable[[int, int, str], None] | None = None,
) -> dict[GridJob, dict[str, Any]]:
    """Run settings, each kept in ``out`` as <setting>.pkl once it is finished, and return the frames of all.

    A setting that is kept of the same data, options and code is not run again. Raises ConfigError for an unknown
    backend, OutputError where the disk refuses, WorkerError where a worker dies, and what a setting raises.
    """
    workers, folder = backend_of(backend), Path(out).expanduser()
    about = _about(data)
    found, left = {}, []
    for job in jobs:
        kept = _kept(folder / f"{job}.pkl", _key(about, job))
        if kept is None:
            left.append(job)
        else:
            found[job] = kept
    for job, frames in run_jobs(workers, run_setting, data, left, n_jobs) if left else ():
        content = pickle.dumps({"key": _key(about, job), "frames": frames})
        write_whole(folder / f"{job}.pkl", content, MAKE_ROOM)
        found[job] = frames
        if progress is not None:
            progress(len(found), len(jobs), str(job))
    return {job: found[job] for job in jobs}


def _about(data: GridData) -> list[Any]:
    """What the data of all settings are, and the code that computes with them."""
    description, model = Description(), StyleRiskModel.read(data.model)
    own = {name: value for name, value in vars(data).items() if name != "score"}
    return [own, joblib.hash(data.score), model.files.about(), model.days[-1], description.sources(__name__)]


def _key(about: list[Any], job: GridJob) -> str:
    return joblib.hash([about, asdict(job)])


def _kept(path: Path, key: str) -> dict[str, Any] | None:
    """The frames of a finished setting; None where there are none, of other data, or cut off."""
    with suppress(OSError, pickle.UnpicklingError, EOFError):
        kept = pickle.loads(path.read_bytes())
        if kept["key"] == key:
            return kept["frames"]
    return None


def grid_tables(results: dict[GridJob, dict[str, Any]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The reports' two tables: excess over the index by year, ["all" and years, settings], and a summary by setting.

    Summary columns: annual excess over the index and over the basket, tracking_error, information_ratio, max_drawdown,
    calmar, weeks and months won, turnover one- and two-sided, names, tracking error foreseen, and realised over the
    basket, bias (B), decisions with a relaxation.
    """
    years = pd.DataFrame({str(job): frames["years"]["excess"] for job, frames in results.items()})
    rows = {}
    for job, frames in results.items():
        excess, holding = frames["performance"].loc["excess"], frames["holding"].loc["all"]
        rows[str(job)] = {
            "excess": excess["annual_return"],
            "excess_basket": frames["performance"].loc["excess_basket", "annual_return"],
            "tracking_error": excess["volatility"],
            "information_ratio": excess["ratio"],
            "max_drawdown": excess["max_drawdown"],
            "calmar": excess["calmar"],
            "weekly_win_rate": excess["weekly_win_rate"],
            "monthly_win_rate": excess["monthly_win_rate"],
            "turnover_one_sided": holding["turnover_one_sided"],
            "turnover_two_sided": holding["turnover_two_sided"],
            "names": holding["names"],
            "foreseen_tracking_error": holding["foreseen_tracking_error"],
            "realised_tracking_error": holding["realised_tracking_error"],
            "bias": holding["bias"],
            "relaxed_decisions": holding["relaxed_decisions"],
        }
    return years, pd.DataFrame(rows).T
