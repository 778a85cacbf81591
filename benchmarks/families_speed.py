"""The whole market's technical indicators, and a table of companies' reports as daily fields: seconds and memory.

    python -m benchmarks.families_speed --data .data/real/cn_2010_2021

All columns of ``handlers.technical.Technical``, of all days of a provider, and a table of random reports of its stocks,
45 quarters and 15 values each, by the measures of ``qlib-ext fundamentals``, into a provider of the same days and
stocks. One thread, a process of its own each; seconds of the processor, which other jobs hardly lengthen, and of the
clock.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.measure import in_fresh_process, machine, peak_bytes, table, target
from qlib_ext.data.own_days_loader import BARS
from qlib_ext.factors.candle_states import STATES
from qlib_ext.factors.own_days import over_own_days
from qlib_ext.factors.technical import INDICATORS, SHARED
from qlib_ext.fundamentals.fields import add_fundamentals
from qlib_ext.provider.calendar import read_calendar
from qlib_ext.provider.panels import read_panels, read_spans
from qlib_ext.provider.writer import write_provider

QUARTERS, VALUES, GOAL = 45, 15, 60.0
TTM, YOY = 5, 5  # of the values, the measures that read several quarters; the rest as they are
GB = 1e9


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.families_speed", description=__doc__.split("\n")[0])
    parser.add_argument("--data", default=os.environ.get("QLIB_DATA"), help="a provider of day bars ($QLIB_DATA)")
    options = parser.parse_args()
    if not options.data:
        parser.error("name a provider folder with --data or QLIB_DATA")
    os.environ["OMP_NUM_THREADS"] = "1"
    lines = []
    for name, function in (("technical indicators and states", technical), ("reports to daily fields", reports)):
        what, processor, clock, peak = in_fresh_process(function, options.data)
        figures = (f"{processor:.0f}", target(GOAL, processor, False), f"{clock:.0f}", f"{peak / GB:.1f}")
        lines.append((name, what, *figures))
    print(machine(1), end="\n\n")
    print(table(("", "of", "s of the processor", "target", "s of the clock", "peak, GB"), lines))


def technical(provider: str) -> tuple[str, float, float, int]:
    """Every column of Technical, from the files to matrices [days, stocks], after a call for numba's compiler."""
    folder = Path(provider)
    days, symbols = read_calendar(folder), sorted(read_spans(folder, "all")["instrument"].unique())
    functions = INDICATORS | {name: function for name, (function, _) in STATES.items()}

    def columns(stocks: list[str]) -> int:
        panels = read_panels(folder, BARS, stocks)
        bars = {name: pd.DataFrame(panels[name], days, stocks) for name in BARS}
        return sum(1 for _ in over_own_days(bars, functions, SHARED))

    columns(symbols[:3])
    count, processor, clock = measured(columns, symbols)
    return f"{len(symbols):,} x {len(days):,}, {count} columns", processor, clock, peak_bytes()


def reports(provider: str) -> tuple[str, float, float, int]:
    """A table of random reports, written into an empty provider of the same days and stocks."""
    days, spans = read_calendar(Path(provider)), read_spans(Path(provider), "all")
    stocks = sorted(spans["instrument"].unique())
    ends = pd.date_range(days[0], periods=QUARTERS, freq="QE")
    names = [f"value{k}" for k in range(VALUES)]
    index = pd.MultiIndex.from_product([stocks, ends], names=["instrument", "period"])
    values = np.random.default_rng(0).standard_normal((len(index), VALUES))
    rows = pd.DataFrame(values, index, names).reset_index()
    measures = {"ttm": names[:TTM], "yoy": names[TTM : TTM + YOY], "latest": names[TTM + YOY :]}
    with TemporaryDirectory() as scratch:
        bars = ((stock, pd.DataFrame({"close": np.ones(len(days))}, days)) for stock in stocks)
        own = write_provider(Path(scratch) / "provider", days, bars, {"all": [(s, days[0], days[-1]) for s in stocks]})
        import polars as pl

        _, processor, clock = measured(add_fundamentals, own, pl.from_pandas(rows), measures)
    return f"{len(stocks):,} x {QUARTERS} x {VALUES}", processor, clock, peak_bytes()


def measured(function: Callable[..., Any], *arguments: Any, **options: Any) -> tuple[Any, float, float]:
    """What a call gives, and its seconds of the processor and of the clock."""
    processor, clock = time.process_time(), time.perf_counter()
    found = function(*arguments, **options)
    return found, time.process_time() - processor, time.perf_counter() - clock


if __name__ == "__main__":
    main()
