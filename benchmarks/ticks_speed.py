"""How fast do a full market's trades and orders of a day become the 27 factors? Prints one table.

A simulated day of 5,000 stocks, 50 million trades and 50 million orders and cancels lies on disk as Parquet. Beside us:
duckdb with the same 27 factors in SQL, straight pandas on a part of the stocks, and polars merely scanning and grouping
the same rows.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from benchmarks import ticks_duckdb, ticks_pandas
from benchmarks.measure import in_fresh_process, machine, peak_bytes, ratio, reset_peak, table, target, times
from benchmarks.ticks_day import write_day
from qlib_ext.ticks.day import Day, build_day
from qlib_ext.ticks.factors import FAMILIES
from qlib_ext.ticks.sessions import minute_of

STOCKS, ROWS = 5_000, 50_000_000
MINUTES_TARGET, MEMORY_TARGET, PANDAS_TARGET, SCAN_TARGET = 2.0, 8.0, 20.0, 3.0
GIGABYTE = 1e9
TOLERANCE = 1e-7

Files = dict[str, Sequence[Path]]


def ours(files: Files) -> pd.DataFrame:
    """What a worker of ``qlib-ext ticks build`` does with a day, its checks included."""
    _, factors = build_day(None, Day("2023-02-01", {k: list(v) for k, v in files.items()}, tuple(FAMILIES), 1.0))
    return factors.to_pandas()


def scan_and_group(files: Files) -> None:
    """Amounts by order, minute bars, and orders by side: the groups that the factors need, and nothing else."""
    trades, orders = (pl.scan_parquet(list(files[source])) for source in ("trades", "orders"))
    price, minute = pl.col("price"), minute_of(pl.col("time"))
    for number in ("buy_order", "sell_order"):
        trades.group_by("instrument", number).agg(pl.sum("amount")).collect(engine="streaming")
    prices = {"open": price.first(), "high": price.max(), "low": price.min(), "close": price.last()}
    bars = trades.group_by("instrument", minute.alias("minute"))
    bars.agg(pl.sum("volume", "amount"), pl.len(), **prices).collect(engine="streaming")
    orders.group_by("instrument", "side", "kind").agg(pl.sum("volume"), price.mean(), pl.max("time")).collect(
        engine="streaming"
    )


def duckdb(files: Files) -> pd.DataFrame:
    """The same factors in SQL."""
    return ticks_duckdb.factors(files, int(os.environ["POLARS_MAX_THREADS"]))


SIDES: dict[str, Callable[[Files], pd.DataFrame | None]] = {
    "ours": ours,
    "scan and group": scan_and_group,
    "duckdb": duckdb,
    "pandas": ticks_pandas.factors,
}


def measured(name: str, files: Files) -> tuple[float, float, float, pd.DataFrame | None]:
    """Seconds, seconds of all cores, GB beyond those that the imports took, and the factors of one side."""
    before = reset_peak()
    clock, cpu = time.perf_counter(), time.process_time()
    factors = SIDES[name](files)
    return time.perf_counter() - clock, time.process_time() - cpu, (peak_bytes() - before) / GIGABYTE, factors


def main() -> None:
    options = parse_arguments()
    os.environ["POLARS_MAX_THREADS"] = str(options.threads)
    with TemporaryDirectory(dir=options.folder) as folder:
        stocks, rows = (max(100, round(options.scale * whole)) for whole in (STOCKS, ROWS))
        files, writing = in_fresh_process(written, Path(folder), stocks, rows)
        part = {source: paths[: max(1, round(options.part * len(paths)))] for source, paths in files.items()}
        share = rows_of(part) / rows_of(files)
        seconds: dict[str, list[float]] = {name: [] for name in SIDES}
        cores: dict[str, list[float]] = {name: [] for name in SIDES}
        peaks: dict[str, list[float]] = {name: [] for name in SIDES}
        for number in range(options.rounds):
            found = {}
            for name in np.roll(list(SIDES), number):  # each goes first in its turn
                pieces = part if name == "pandas" else files
                elapsed, cpu, peak, found[name] = in_fresh_process(measured, name, pieces)
                scale = 1 / share if name == "pandas" else 1
                seconds[name].append(elapsed * scale)
                cores[name].append(cpu * scale)
                peaks[name].append(peak)
            agree(found["ours"], found["duckdb"])
            agree(found["ours"], found["pandas"])
        print(machine(options.threads).replace("torch thread", "thread"), f"polars {pl.__version__}", sep=", ")
        print(
            f"{stocks:,} stocks, {rows_of(files):,} rows, {size_of(files):.2f} GB of Parquet, written with a peak of "
            f"{writing:.1f} GB; pandas on {share:.1%} of the rows, scaled\n"
        )
        report(seconds, cores, peaks, rows_of(files))


def report(
    seconds: dict[str, list[float]], cores: dict[str, list[float]], peaks: dict[str, list[float]], rows: int
) -> None:
    """Print the table; the targets of time and memory are those of the whole market."""
    whole = rows >= 2 * ROWS
    minutes = target(MINUTES_TARGET, median(seconds["ours"]) / 60, at_least=False)
    memory = target(MEMORY_TARGET, max(peaks["ours"]), at_least=False)
    scan = target(SCAN_TARGET, ratio(seconds["ours"], seconds["scan and group"]), at_least=False)
    goals = {
        "ours": f"minutes {minutes}; GB {memory}" if whole else "",
        "scan and group": f"ours / this {scan}",
        "pandas": target(PANDAS_TARGET, ratio(seconds["pandas"], seconds["ours"]), at_least=True),
    }
    lines = [
        (
            name + (" (scaled)" if name == "pandas" else ""),
            f"{median(seconds[name]):,.1f}",
            f"{median(cores[name]):,.1f}",
            f"{rows / median(seconds[name]):,.0f}",
            f"{max(peaks[name]):.2f}" + (" (of the part)" if name == "pandas" else ""),
            times(ratio(seconds[name], seconds["ours"])),
            times(ratio(cores[name], cores["ours"])),
            goals.get(name, ""),
        )
        for name in SIDES
    ]
    header = (
        "",
        "seconds",
        "seconds of all cores",
        "rows a second",
        "peak GB",
        "its time / ours",
        "cores' time / ours",
    )
    print(table((*header, "target"), lines))


def agree(ours: Any, other: Any) -> None:
    """Make sure that both sides computed the same factors."""
    ours, other = (frame.set_index("instrument").sort_index() for frame in (ours, other))
    ours = ours.loc[other.index]
    np.testing.assert_allclose(other[ours.columns], ours, rtol=TOLERANCE, atol=TOLERANCE)


def written(folder: Path, stocks: int, rows: int) -> tuple[Files, float]:
    """Write the day; -> its files, and the GB that writing it took."""
    before = reset_peak()
    files: Any = write_day(folder, stocks, rows)
    return files, (peak_bytes() - before) / GIGABYTE


def rows_of(files: Files) -> int:
    return sum(pl.scan_parquet(list(paths)).select(pl.len()).collect().item() for paths in files.values())


def size_of(files: Files) -> float:
    return sum(path.stat().st_size for paths in files.values() for path in paths) / GIGABYTE


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ticks_speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""how it is measured:
  The day is drawn first, 50 stocks a file, with the sizes, half-hours, trades an order and cancels of the Level-2
  samples (benchmarks/ticks_day.py has the numbers; how activity and prices differ between stocks is made up). Every
  measurement is a fresh process that has imported what it needs; the clock runs from Parquet to the finished table of
  factors, reading included, ours with its checks of every row. The sides take turns, seconds are medians of the
  rounds, ratios the median of the rounds' ratios. Peak memory is VmHWM beyond what the imports took. After each round
  the factors of all sides are equal to 1e-7, or it stops.
  duckdb computes all 27 factors, may use 16 GB and spills beyond; pandas computes all 27, stock by stock, vectorised
  within a stock, with times as integers; it has one thread. Scan and group is polars' streaming engine: amounts by buy
  order and by sell order, minute bars, orders by side and kind.

example:
  python -m benchmarks.ticks_speed --scale 0.02
""",
    )
    parser.add_argument("--scale", type=float, default=1.0, help="of the stocks and of the rows (1)")
    parser.add_argument("--part", type=float, default=0.02, help="share of the stocks' files that pandas gets (0.02)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (3)")
    parser.add_argument("--threads", type=int, default=2, help="threads of polars and duckdb (2)")
    parser.add_argument("--folder", type=Path, default=None, help="where the day is written (the temporary folder)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
