"""How long does the factor analysis take on the whole market? Prints one table.

Scores, labels and daily bars are random numbers of the size and shape of the whole market: 3,000 stocks over 2,900
days, of which some are listed later, 2 % of the stock-days suspended. What FactorRecord computes is computed, part by
part; reading a provider and the recorder is not in it, because how long that takes is Qlib's.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.measure import in_fresh_process, machine, peak_bytes, reset_peak, table, target, timed
from qlib_ext.analysis.correlation import rank_correlation
from qlib_ext.analysis.groups import group_summary, group_test
from qlib_ext.analysis.performance import added_up_by_year, compounded_by_year, returns_after_cost
from qlib_ext.cross_section import ic as metrics
from qlib_ext.cross_section.matrix import to_matrix
from qlib_ext.factors.intraday_styles import MINUTE_STYLES, complete
from qlib_ext.factors.styles import DAY_STYLES, fields_of

DAYS, STOCKS, GROUPS, HORIZON, EXPERIMENTS = 2_900, 3_000, 20, 10, 3
MINUTE_DAYS, BARS = 60, 16
TARGET = 20.0


def main() -> None:
    options = parse_arguments()
    lines, peak = in_fresh_process(measure, options.days, options.stocks, options.seed)
    minutes = in_fresh_process(measure_minutes, MINUTE_DAYS, options.stocks, options.seed)
    total = sum(seconds for _, seconds in lines)
    print(machine(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))), end="\n\n")
    cells = [(part, f"{seconds:.2f}", "") for part, seconds in lines]
    cells.append(("total", f"{total:.1f}", target(TARGET, total, at_least=False)))
    cells.append(("peak memory above the inputs, GB", f"{peak / 1e9:.2f}", ""))
    cells.append((f"besides: 11 minute-bar styles, {MINUTE_DAYS} days of {BARS} bars", f"{minutes:.2f}", ""))
    print(table((f"{options.stocks:,} stocks x {options.days:,} days", "seconds", "target"), cells))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.analysis_speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""what the lines of the table mean:
  seconds       of one go in a fresh process, in the order of the lines.
  peak memory   the highest resident memory (VmHWM) above what was resident with the score and label as Series and
                the daily bars loaded; it counts the results and the matrices of 70 MB each that are made of them.

examples:
  python -m benchmarks.analysis_speed
  python -m benchmarks.analysis_speed --stocks 300
""",
    )
    parser.add_argument("--days", type=int, default=DAYS, help=f"trading days ({DAYS})")
    parser.add_argument("--stocks", type=int, default=STOCKS, help=f"stocks ({STOCKS})")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random numbers (0)")
    return parser.parse_args()


def measure(days: int, stocks: int, seed: int) -> tuple[list[tuple[str, float]], int]:
    """(part, seconds) of each part of the analysis in turn, and the peak of memory in bytes."""
    bars, series, others, report = random_market(days, stocks, seed)
    lines: list[tuple[str, float]] = []
    kept: dict[str, Any] = {}

    def part(name: str, step: Callable[[], dict[str, Any]]) -> None:
        lines.append((name, timed(lambda: kept.update(step()))))

    before = reset_peak()
    part("score and label as matrices", lambda: {name: to_matrix(values, name) for name, values in series.items()})
    part("IC, Rank IC, by year and month", lambda: ic(kept["score"], kept["label"]))
    part(f"{GROUPS} groups: returns, turnover, summary", lambda: groups(kept["score"], bars["close"]))
    part("strategy table", lambda: {"table": added_up_by_year(returns_after_cost(report))})
    part(f"correlation of {EXPERIMENTS} scores", lambda: correlation(kept["score"], others))
    part(f"{len(DAY_STYLES)} daily styles", lambda: {"styles": daily_styles(bars)})
    part("correlation of the score with them", lambda: correlation(kept["score"], kept["styles"], alone=True))
    return lines, peak_bytes() - before


def ic(score: pd.DataFrame, label: pd.DataFrame) -> dict[str, Any]:
    s, y = score.to_numpy(), label.to_numpy()
    daily = pd.Series(metrics.rank_information_coefficient(s, y), score.index)
    pearson = pd.Series(metrics.information_coefficient(s, y), score.index)
    parts = [metrics.ic_summary(each) for each in (daily, daily[::HORIZON], pearson)]
    return {"ic": (*parts, metrics.monthly_mean(daily))}


def groups(score: pd.DataFrame, close: pd.DataFrame) -> dict[str, Any]:
    test = group_test(score, close, GROUPS)
    return {"groups": (group_summary(test), compounded_by_year(test.excess))}


def correlation(score: pd.DataFrame, others: dict[str, pd.DataFrame], alone: bool = False) -> dict[str, Any]:
    own = {"score": score.to_numpy()}
    matrices = {name: frame.to_numpy() for name, frame in others.items()}
    return {
        "correlation": rank_correlation(matrices, own) if alone else rank_correlation(own | matrices, own | matrices)
    }


def daily_styles(bars: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    return {name: style(*(bars[field] for field in fields_of(style))) for name, style in DAY_STYLES.items()}


def measure_minutes(days: int, stocks: int, seed: int) -> float:
    """Seconds of the minute-bar styles of so many days."""
    random = np.random.default_rng(seed)
    shape = (days, BARS, stocks)
    close = 10 * np.exp(0.002 * random.standard_normal(shape).cumsum(1))
    volume = random.exponential(size=shape)
    bars = {"open": close, "high": close * 1.001, "low": close / 1.001, "close": close, "volume": volume}
    bars["amount"] = volume * close

    def all_of_them() -> None:
        whole = complete(bars)
        for style in MINUTE_STYLES.values():
            style(*(whole[field] for field in fields_of(style)))

    return timed(all_of_them)


def random_market(
    days: int, stocks: int, seed: int
) -> tuple[dict[str, pd.DataFrame], dict[str, pd.Series], dict[str, pd.DataFrame], pd.DataFrame]:
    """Daily bars, the score and label as Series, two more scores, and a backtest's report."""
    random = np.random.default_rng(seed)
    index = pd.bdate_range("2010-01-04", periods=days)
    columns = pd.Index([f"SH{600000 + i}" for i in range(stocks)])
    listed = np.arange(days)[:, None] >= random.integers(-days, days // 2, stocks)
    traded = listed & (random.random((days, stocks)) >= 0.02)

    def frame(values: np.ndarray, where: np.ndarray = traded) -> pd.DataFrame:
        return pd.DataFrame(np.where(where, values, np.nan), index, columns)

    close = 10 * np.exp(0.02 * random.standard_normal((days, stocks)).cumsum(0))
    bars = {"close": frame(close), "high": frame(close * 1.01), "vwap": frame(close * 0.999)}
    bars["volume"] = frame(random.exponential(1e6, (days, stocks)))
    bars["turnover"] = frame(random.exponential(0.02, (days, stocks)))
    normal = {
        name: frame(random.standard_normal((days, stocks)), listed) for name in ("score", "label", "second", "third")
    }
    series = {name: normal.pop(name).stack().rename_axis(["datetime", "instrument"]) for name in ("score", "label")}
    returns = pd.DataFrame(0.01 * random.standard_normal((days, 3)), index, ["return", "cost", "bench"])
    return bars, series, normal, returns


if __name__ == "__main__":
    main()
