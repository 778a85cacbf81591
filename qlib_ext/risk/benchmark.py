"""What an index holds, day by day: its field in the provider where there is one, else implied by its returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qlib_ext.errors import DataError, ProviderError
from qlib_ext.provider.calendar import read_calendar
from qlib_ext.provider.fields import write_field
from qlib_ext.provider.names import instruments_with_features, instruments_with_field
from qlib_ext.provider.panels import above_zero, checked_folder, fields_known, membership, read_panels, read_spans
from qlib_ext.risk.implied import Matrix, implied_weights, price_returns, prior_of, ratio_to_the_day_before
from qlib_ext.risk.windows import carried, window_sums

AMOUNT_DAYS = 250
SUM_TOLERANCE = 0.01
LEAST_SUM = 0.5  # of the weights of the members that the provider knows


@dataclass(frozen=True)
class Finding:
    """A fault of the data that was counted: what, how often, and where first."""

    what: str
    count: int
    first: str

    def __str__(self) -> str:
        return f"{self.count} {self.what}, first {self.first}"


@dataclass(frozen=True)
class IndexWeights:
    """An index's weights: frame [days, stocks] at the close of each day, NaN for non-members, each known day's sum 1.

    source     "field" or "implied"
    surprises  [days], of implied weights alone: the index's return less that of the weights of the day before
    findings   what was left out or put right, counted
    """

    weights: pd.DataFrame
    source: str
    surprises: pd.Series | None = None
    findings: list[Finding] = field(default_factory=list)


def index_weights(
    provider: str | Path, index: str, members: str, weights: str | None = None, total_return: bool = False
) -> IndexWeights:
    """The weights of an index at the close of each day, made of that day and those before.

    index         the instrument of its bars, such as SH000905; members: its instruments file, such as csi500
    weights       a field such as "$csi500_weight", "implied", or None: the field ``$<members>_weight`` where the
                  provider has it, else implied
    total_return  whether the index counts dividends; a price index, as CSI's are, does not

    Raises ProviderError for a provider without the index, the members or the field, DataError where nothing can be
    made of them.
    """
    folder = checked_folder(provider)
    days, spans = read_calendar(folder), read_spans(folder, members)
    there = instruments_with_features(folder)
    unknown = sorted({*spans["instrument"]} - there)
    stocks = sorted({*spans["instrument"]} & there)
    if not stocks:
        raise ProviderError(
            f"None of the {len(unknown)} members of {members} has bars in {folder}, such as {unknown[0]}."
        )
    findings = [Finding(f"members of {members} without bars", len(unknown), unknown[0])] if unknown else []
    member = membership(spans, days, stocks)
    own = f"{members.lower()}_weight"
    if weights is None:
        weights = f"${own}" if fields_known(folder, [own], stocks) else "implied"
    read = read_panels(folder, ["close"], stocks)["close"]
    close = above_zero(read)
    findings += _refused_closes(read, close, days, stocks)
    returns = _returns(folder, stocks, carried(close), total_return)
    if weights != "implied":
        name = weights.removeprefix("$").lower()
        if not fields_known(folder, [name], stocks):
            raise ProviderError(
                f"{folder} has no ${name} of any member of {members}; take weights: implied (--from implied), or "
                "write it."
            )
        given = read_panels(folder, [name], stocks)[name]
        values, found = drifted(given, returns, member, days, stocks)
        return IndexWeights(pd.DataFrame(values, days, stocks), "field", findings=findings + found)
    if not fields_known(folder, ["close"], [index]):
        raise ProviderError(f"{folder} has no $close of the index {index}; name its instrument.")
    index_close = above_zero(read_panels(folder, ["close"], [index])["close"][:, 0])
    result = implied_weights(returns, ratio_to_the_day_before(index_close) - 1, member, _prior(folder, stocks))
    for places, what in (
        (
            result.skipped,
            "days on which the index and the weights differ by more than 2 %; nothing was learned of them",
        ),
        (result.missing, f"days without a return of {index}; the weights drift with the members"),
    ):
        if len(places):
            findings.append(Finding(what, len(places), f"{days[places[0]]:%Y-%m-%d}"))
    frame = pd.DataFrame(np.where(result.weights > 0, result.weights, np.nan), days, stocks)
    return IndexWeights(frame, "implied", pd.Series(result.surprises, days, name="surprise"), findings)


def drifted(
    given: Matrix, returns: Matrix, members: NDArray[np.bool_], days: pd.DatetimeIndex, stocks: Sequence[str]
) -> tuple[Matrix, list[Finding]]:
    """Weights of some dates as weights of all days: between its dates ``w_t = w_{t-1} (1 + r_t)``, scaled to sum 1.

    given    [days, stocks] fractions, NaN where nothing is; a day that repeats the day before is no date of its own
    returns  [days, stocks], 0 where a stock does not trade; members [days, stocks]

    Weights of non-members are left out, members without a weight have 0, sums off 1 are scaled; each is counted, on the
    weights' own dates. NaN before the first date. Raises DataError for negative weights, and where a day's sum is less
    than half: weights are fractions of 1, of members.
    """
    filled = np.nan_to_num(given)
    if (filled < 0).any():
        day, stock = np.argwhere(filled < 0)[0]
        raise DataError(
            f"{(filled < 0).sum()} weights are negative, first {stocks[stock]} on {days[day]:%Y-%m-%d}; correct them."
        )
    changed = np.ones(len(given), dtype=bool)
    changed[1:] = (filled[1:] != filled[:-1]).any(1)
    dated = changed & (filled > 0).any(1)
    dates = np.flatnonzero(dated)
    if not len(dates):
        raise DataError(
            "The field of weights has no value for any member; write it with `qlib-ext fields` or `weights`."
        )
    held = np.where(members, filled, 0.0)
    sums, whole = held[dates].sum(1), filled[dates].sum(1)
    if (off := (sums < LEAST_SUM) | (whole > 1 / LEAST_SUM)).any():
        day = dates[int(off.argmax())]
        raise DataError(
            f"On {off.sum()} days the members' weights are far from a sum of 1, first {days[day]:%Y-%m-%d} with "
            f"{held[day].sum():.4g} of {filled[day].sum():.4g}; give fractions of 1, of the index's members."
        )
    findings = _findings_of(filled, members, dates, days, stocks)
    weights, last = np.full(given.shape, np.nan), np.zeros(len(stocks))
    for day in range(dates[0], len(given)):
        last = held[day] if dated[day] else np.where(members[day], last * (1 + returns[day]), 0.0)
        if not last.any():
            continue
        last = last / last.sum()
        weights[day] = last
    return np.where(members & (weights > 0), weights, np.nan), findings


def _findings_of(
    filled: Matrix, members: NDArray[np.bool_], dates: NDArray[np.int_], days: pd.DatetimeIndex, stocks: Sequence[str]
) -> list[Finding]:
    at = filled[dates]
    wrong = {
        "weights of stocks that are no members, left out": (at > 0) & ~members[dates],
        "members without a weight, taken as 0": (at == 0) & members[dates],
        "days whose weights do not sum to 1, scaled": (np.abs(at.sum(1, keepdims=True) - 1) > SUM_TOLERANCE),
    }
    findings = []
    for what, cells in wrong.items():
        if cells.any():
            row, column = np.argwhere(cells)[0]
            place = f"{days[dates[row]]:%Y-%m-%d}" + (f" {stocks[column]}" if cells.shape[1] > 1 else "")
            findings.append(Finding(what, int(cells.sum()), place))
    return findings


def write_weights(provider: str | Path, weights: IndexWeights, name: str) -> int:
    """Write weights as a field of the provider, NaN for non-members; the number of files that changed.

    Stocks of an earlier writing that are no members any more have none either, so that a day's weights sum to 1.

    Raises ProviderError for a damaged file, OutputError where the disk refuses.
    """
    folder = checked_folder(provider)
    positions = read_calendar(folder).get_indexer(weights.weights.index)
    values = {stock: column.to_numpy() for stock, column in weights.weights.items()}
    gone = instruments_with_field(folder, name) - values.keys()
    return write_field(folder, name, positions, values | {stock: np.full(len(positions), np.nan) for stock in gone})


def _returns(folder: Path, stocks: Sequence[str], close: Matrix, total_return: bool) -> Matrix:
    if total_return or not fields_known(folder, ["factor"], stocks):
        return np.nan_to_num(ratio_to_the_day_before(close) - 1)
    return price_returns(close, carried(read_panels(folder, ["factor"], stocks)["factor"]))


def _refused_closes(read: Matrix, close: Matrix, days: pd.DatetimeIndex, stocks: Sequence[str]) -> list[Finding]:
    refused = np.argwhere(~np.isnan(read) & np.isnan(close))
    if not len(refused):
        return []
    (day, stock), what = refused[0], "closes that are not above 0, or infinite; they count as missing"
    return [Finding(what, len(refused), f"{days[day]:%Y-%m-%d} {stocks[stock]}")]


def _prior(folder: Path, stocks: Sequence[str]) -> Matrix:
    there = fields_known(folder, ["amount", "total_mv"], stocks)
    if not there:
        raise ProviderError(f"{folder} has neither $total_mv nor $amount, of which weights begin; add one of them.")
    panels = read_panels(folder, there, stocks)
    cap = None
    if "total_mv" in panels:
        cap = above_zero(carried(panels["total_mv"]))
    if "amount" not in panels:
        return np.asarray(cap)
    total, count = window_sums(panels["amount"], AMOUNT_DAYS)
    return prior_of(cap, np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0))
