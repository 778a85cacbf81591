"""Whether the bars of a day are there: the universe, its members' bars, the fields that a model reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from qlib_ext.analysis.reading import PRICES
from qlib_ext.checks.names import backtests
from qlib_ext.data.intraday import BAR_MINUTES
from qlib_ext.data.needs import Needs, needs_of
from qlib_ext.live.recorded import Recorded
from qlib_ext.provider.calendar import calendar_file, read_calendar
from qlib_ext.provider.panels import above_zero, fields_known, membership, read_panels, read_spans
from qlib_ext.workflows.reading import Workflow

USUAL_DAYS = 60  # before a day, with which it is compared
MEMBERS_JUMP = 0.05  # of the members, by which their number may change in a day
FEWER_VALUES = 0.05  # of the members, by which those with a value may be fewer than on the worst usual day
MOST_REPEATED = 0.5  # of the members, whose bars may equal those of the day before
FEW = 3  # members, by which both may change in a small universe
LONGEST_CLOSING = 11  # days between two trading days: the Spring Festival of 2020 took that many
NEVER_ZERO = (*(name.removeprefix("$") for name in PRICES), "factor")  # where a 0 is no value
DAY_BARS = ("open", "high", "low", "close", "volume")  # read of a handler that does not say what it reads


def bars_of(recorded: Recorded, day: pd.Timestamp) -> tuple[list[str], pd.DataFrame]:
    """What is wrong with the bars of a day for a run, as sentences, and the table of the fields that it reads.

    The table has by field the share of the members that have a value: today, usual (the mean of 60 days before) and
    least (of these days).
    """
    provider, calendar = recorded.workflow.provider, recorded.calendar
    needs = _needs(recorded.workflow)
    row = int(calendar.searchsorted(day))
    first = max(row - USUAL_DAYS, 0)
    days = calendar[first : row + 1]
    findings = [*gaps(calendar, recorded.last, day), *passed_over(provider, days)]
    findings += _late_minutes(recorded.workflow, needs, day)
    for traded in sorted(_universes_traded(recorded.workflow) - {needs.universe}):
        _, member = _membership(provider, traded, days)
        findings += _members(traded, member.sum(1), days)
    if needs.universe is None:
        return findings, pd.DataFrame(columns=["today", "usual", "least"], dtype=float)
    stocks, member = _membership(provider, needs.universe, days)
    findings += _members(needs.universe, member.sum(1), days)
    if not member[-1].any():
        return findings, pd.DataFrame(columns=["today", "usual", "least"], dtype=float)
    fields = fields_known(provider, sorted({*needs.fields, "close", "factor"}), stocks)
    bars = fields_known(provider, [*DAY_BARS], stocks)
    read = read_panels(provider, sorted({*fields, *bars}), stocks, first, row + 1)
    findings += repeated({name: read[name][-2:] for name in bars}, member[-1], day) if row else ()
    panels = {name: above_zero(read[name]) if name in NEVER_ZERO else read[name] for name in fields}
    counts = np.maximum(member.sum(1), 1)
    shares = pd.DataFrame({name: (np.isfinite(values) & member).sum(1) / counts for name, values in panels.items()})
    table = pd.DataFrame({"today": shares.iloc[-1], "usual": shares[:-1].mean(), "least": shares[:-1].min()})
    without = [
        name for name, there in zip(stocks, np.isfinite(panels["close"][-1]) | ~member[-1], strict=True) if not there
    ]
    return [*findings, *_fields(table, int(member[-1].sum()), day, without)], table


def gaps(calendar: pd.DatetimeIndex, last: pd.Timestamp, day: pd.Timestamp) -> Iterator[str]:
    """A sentence for each pair of neighbouring days, from the last one scored on, that no holiday lies between."""
    days = calendar[(calendar >= last) & (calendar <= day)]
    for before, after in pairwise(days):
        if (after - before).days > LONGEST_CLOSING:
            yield (
                f"The calendar has no day between {before:%Y-%m-%d} and {after:%Y-%m-%d}, which are "
                f"{(after - before).days} days apart: no holiday is so long."
            )


def passed_over(provider: Path, days: pd.DatetimeIndex) -> Iterator[str]:
    """A sentence where ``calendars/day_future.txt`` has trading days between the first and the last that these lack."""
    if not calendar_file(provider, future=True).is_file():
        return
    planned = read_calendar(provider, future=True)
    missing = planned[(planned > days[0]) & (planned < days[-1])].difference(days)
    if len(missing):
        number = "1 trading day" if len(missing) == 1 else f"{len(missing)} trading days"
        yield (
            f"The calendar lacks {number} of calendars/day_future.txt, first {missing[0]:%Y-%m-%d}: windows that reach "
            "beyond it begin a day too early. Write its bars, and score again what was scored since."
        )


def repeated(panels: Mapping[str, np.ndarray], member: np.ndarray, day: pd.Timestamp) -> Iterator[str]:
    """A sentence where most members have the bars of the day before: a vendor's table that was sent twice.

    panels  prices and volumes by field, [2, stocks]: the day before and the day; member [stocks]
    """
    bars = np.stack(list(panels.values()))  # [fields, 2, stocks]
    there = np.isfinite(bars).all((0, 1)) & member
    same = there & (bars[:, 0] == bars[:, 1]).all(0)
    if same.sum() > MOST_REPEATED * max(there.sum(), 1):
        yield (
            f"{same.sum()} of {there.sum()} members have the same {', '.join(panels)} on {day:%Y-%m-%d} as on the day "
            "before: the update has repeated that day. Load it again."
        )


def _needs(workflow: Workflow) -> Needs:
    needs = needs_of(workflow.handler)
    if needs is not None:
        return needs
    universe = workflow.handler["kwargs"].get("instruments")
    return Needs(universe if isinstance(universe, str) else None, DAY_BARS)


def _universes_traded(workflow: Workflow) -> set[str]:
    """The universes to which the exchanges of a workflow's backtests keep: their codes, Qlib's default being all."""
    found = set()
    for config in backtests(workflow.config["task"]):
        options = (config.get("backtest") or {}).get("exchange_kwargs") or {}
        if isinstance(options.get("exchange"), Mapping):
            options = options["exchange"].get("kwargs") or {}
        codes = options.get("codes", "all")
        found |= {codes} if isinstance(codes, str) else set()
    return found


def _membership(provider: Path, universe: str, days: pd.DatetimeIndex) -> tuple[list[str], np.ndarray]:
    """The stocks of a universe, and which of them are members on each of the days, [days, stocks]."""
    spans = read_spans(provider, universe)
    stocks = sorted({*spans["instrument"]})
    return stocks, membership(spans, days, stocks)


def _members(universe: str, counts: np.ndarray, days: pd.DatetimeIndex) -> Iterator[str]:
    now, day = int(counts[-1]), days[-1]
    if not now:
        there = np.flatnonzero(counts)
        until = f"; its last are of {days[there[-1]]:%Y-%m-%d}" if len(there) else ""
        yield (
            f"The universe {universe!r} has no member on {day:%Y-%m-%d}{until}. Update instruments/{universe}.txt with "
            "the bars."
        )
    elif len(counts) > 1 and abs(now - counts[-2]) > max(MEMBERS_JUMP * counts[-2], FEW):
        yield (
            f"The universe {universe!r} has {now} members on {day:%Y-%m-%d} and had {counts[-2]} on the day before. If "
            f"it was not changed so, update instruments/{universe}.txt."
        )


def _fields(table: pd.DataFrame, members: int, day: pd.Timestamp, without: Sequence[str]) -> Iterator[str]:
    """A sentence for bars that are missing, else one for each field that is missing beside them."""
    close, allowed = table.loc["close"], max(FEWER_VALUES, FEW / members)
    if close["today"] == 0:
        yield f"No member of {members} has a bar on {day:%Y-%m-%d}: the update of this day is missing."
        return
    if close["today"] < close["least"] - allowed:
        yield (
            f"{len(without)} of {members} members have no bar on {day:%Y-%m-%d}, first {without[0]}; usually "
            f"{1 - close['usual']:.1%} of them have none, and at most {1 - close['least']:.1%} in the days before."
        )
    for name, row in table.drop(index="close").iterrows():
        beside = row["usual"] - max(close["usual"] - close["today"], 0.0)  # what missing bars leave of a field
        if row["today"] == 0 and row["usual"] > 0:
            yield f"The field ${name} is empty on {day:%Y-%m-%d} for all {members} members."
        elif row["today"] < min(row["least"], beside) - allowed:
            yield (
                f"The field ${name} has a value for {row['today']:.1%} of {members} members on {day:%Y-%m-%d}; usually "
                f"for {row['usual']:.1%}, and for {row['least']:.1%} at least in the days before."
            )


def _late_minutes(workflow: Workflow, needs: Needs, day: pd.Timestamp) -> Iterator[str]:
    """A sentence for bars of minutes that end before the day, where a run reads such bars."""
    files = [(folder, f"{length}min") for folder in workflow.providers for length in BAR_MINUTES]
    for folder, freq in files if needs.minute_fields else ():
        if calendar_file(folder, freq).is_file() and (last := _last(folder, freq)) < day:
            yield f"The {freq} bars of {folder} end on {last:%Y-%m-%d}, before {day:%Y-%m-%d}: update them."


def _last(folder: Path, freq: str) -> pd.Timestamp:
    return read_calendar(folder, freq)[-1].normalize()
