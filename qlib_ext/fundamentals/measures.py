"""What a day knows of a company: its latest quarter, and years and growth made of what was known by then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import polars as pl

from qlib_ext.fundamentals.reports import QUARTERS
from qlib_ext.keywords import refuse_unknown

EVENT = ["instrument", "known"]
PAST = 8  # differences over which a surprise is scaled


@dataclass(frozen=True)
class Lags:
    """A column at the latest quarter P known and the quarters before it, as a day knew them: ``lag(k)`` is x_(P-k).

    to_date  values of a year add up from its first quarter on, as Chinese statements of profit and cash do; else each
             is of its quarter alone
    """

    column: str
    to_date: bool

    def lag(self, back: int) -> pl.Expr:
        return pl.col(f"{self.column}:{back}")

    def of_quarter(self, back: int = 0) -> pl.Expr:
        """The value of the quarter P - back alone."""
        if not self.to_date:
            return self.lag(back)
        first = (pl.col("quarter") - back) % QUARTERS == 0
        return pl.when(first).then(self.lag(back)).otherwise(self.lag(back) - self.lag(back + 1))

    def of_year(self) -> pl.Expr:
        """The sum of the last four quarters."""
        if not self.to_date:
            return reduce(lambda total, back: total + self.lag(back), range(1, QUARTERS), self.lag(0))
        place = pl.col("quarter") % QUARTERS  # of P in its year: the year before ended place + 1 quarters ago
        last_year = pl.coalesce([pl.when(place == number).then(self.lag(number + 1)) for number in range(3)])
        return pl.when(place == 3).then(self.lag(0)).otherwise(self.lag(0) + last_year - self.lag(QUARTERS))


@dataclass(frozen=True)
class Measure:
    """How a formula of FORMULAS is computed, and how many quarters before the latest one it reads."""

    lags: int
    expression: Callable[[Lags], pl.Expr]


def _growth(x: Lags) -> pl.Expr:
    before = x.lag(QUARTERS)
    return pl.when(before != 0).then((x.lag(0) - before) / before.abs())


def _surprise(x: Lags) -> pl.Expr:
    changes = [x.of_quarter(back) - x.of_quarter(back + QUARTERS) for back in range(PAST)]
    mean = reduce(lambda a, b: a + b, changes) / PAST
    variance = reduce(lambda a, b: a + b, [(change - mean) ** 2 for change in changes]) / (PAST - 1)
    return pl.when(variance > 0).then(changes[0] / variance.sqrt())


MEASURES: dict[str, Measure] = {
    "latest": Measure(0, lambda x: x.lag(0)),
    "quarter": Measure(1, lambda x: x.of_quarter()),
    "ttm": Measure(QUARTERS, lambda x: x.of_year()),
    "yoy": Measure(QUARTERS, _growth),
    "sue": Measure(PAST + QUARTERS, _surprise),
}


def as_known(reports: pl.DataFrame, wanted: Mapping[str, tuple[str, str]], to_date: bool = True) -> pl.DataFrame:
    """The values of measures on each day on which something became known: rows (instrument, known, fields), sorted.

    reports  rows of ``read_reports``
    wanted   field -> (column, measure of FORMULAS)
    to_date  values of ``quarter``, ``ttm`` and ``sue`` add up from the year's first quarter on; else each is of its
             quarter alone

    Everything is made of what was known on the day: of each quarter the value announced last, P the latest quarter that
    any announcement was of. All fields are of that one quarter; what it lacks is null, never an older quarter's.
    A restatement changes nothing before its announcement. Raises ConfigError for a measure that does not exist.
    """
    refuse_unknown([measure for _, measure in wanted.values()], MEASURES, "A fundamental field")
    reach = max((MEASURES[measure].lags for _, measure in wanted.values()), default=0)
    columns = sorted({column for column, _ in wanted.values()})
    events = reports.group_by(EVENT).agg(pl.col("quarter").max()).sort(EVENT)
    events = events.with_columns(pl.col("quarter").cum_max().over("instrument"))
    known = reports.with_columns(pl.col(columns).forward_fill().over("instrument", "quarter")).sort("known")
    events = _with_lags(events.sort("known"), known, columns, range(reach + 1))
    fields = {field: MEASURES[measure].expression(Lags(column, to_date)) for field, (column, measure) in wanted.items()}
    return events.select(*EVENT, **fields).sort(EVENT)


def _with_lags(events: pl.DataFrame, known: pl.DataFrame, columns: Sequence[str], lags: Iterable[int]) -> pl.DataFrame:
    """The events with the columns of each lag, ``column:lag``, as they were known; both sorted by day."""
    for back in lags:
        of_lag = known.rename({"quarter": "lagged"} | {column: f"{column}:{back}" for column in columns})
        lagged = events.with_columns(lagged=pl.col("quarter") - back)
        events = lagged.join_asof(of_lag, on="known", by=["instrument", "lagged"], check_sortedness=False).drop(
            "lagged"
        )
    return events
