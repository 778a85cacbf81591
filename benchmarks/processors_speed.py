"""How fast are the processors that neutralise a day's factors, beside pandas and statsmodels? Prints one table.

Rows are random, of the size of the whole market: 27 factors of 5,000 stocks on 2,500 days, float32, with holes, 31
industries and a size. The straight way takes a day at a time out of a groupby, clips it by pandas' medians and asks
statsmodels' OLS, factor by factor, for the residuals on industry dummies and size; it does so on a few of the days.
The values of both are compared before anything is timed, and everything is measured in one run, in turns.
"""

from __future__ import annotations

import argparse
import os
from statistics import median

import numpy as np
import pandas as pd
import statsmodels.api as sm

from benchmarks.measure import in_fresh_process, machine, peak_bytes, ratio, reset_peak, table, target, timed, times
from qlib_ext.processors.neutralise import MADClip, Neutralise
from qlib_ext.processors.normalise import CSZScoreNorm, Fillna

STOCKS, DAYS, FACTORS, INDUSTRIES = 5_000, 2_500, 27, 31
HOLES = 0.02
SECONDS_TARGET = 30.0


def main() -> None:
    options = parse_arguments()
    part = synthetic_rows(options.stocks, options.part_days, options.factors)
    assert_equal(part)
    ours: list[float] = []
    straight: list[float] = []
    for number in range(options.rounds):
        for way in np.roll(["ours", "straight"], number):
            if way == "ours":
                ours.append(timed(clipped_and_neutralised, part.copy()))
            else:
                straight.append(timed(the_straight_way, part))
    passes = in_fresh_process(whole, options.stocks, options.days, options.factors)
    both = passes["MADClip"][0] + passes["Neutralise"][0]
    full = (options.stocks, options.days, options.factors) == (STOCKS, DAYS, FACTORS)
    met = target(SECONDS_TARGET if full else None, both, at_least=False)
    speed = (f"{median(ours):.2f}", f"{median(straight):.2f}", times(ratio(straight, ours)))
    everything = f"all {options.days:,} days, seconds:"
    lines = [(f"{options.part_days} days, seconds: MADClip and Neutralise", *speed, "", "")]
    lines += [
        (f"{everything} {name}", f"{took:.1f}", "", "", f"{peak:.2f}", "") for name, (took, peak) in passes.items()
    ]
    lines.append((f"{everything} MADClip and Neutralise", f"{both:.1f}", "", "", "", met))
    print(machine(int(os.environ.get("OMP_NUM_THREADS", "0")) or os.cpu_count() or 1), end="\n\n")
    print(f"{options.factors} factors, {options.stocks:,} stocks\n")
    print(table(("what", "ours", "pandas, statsmodels", "ratio", "peak memory", "target"), lines))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.processors_speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""what the lines of the table mean:
  some days     the medians of the rounds; the ratio is the median of the rounds' ratios. Both clip and neutralise.
  all days      one pass, kernels compiled, in a fresh process; MADClip and Neutralise are what the target speaks
                of, CSZScoreNorm and Fillna are the steps after them.
  peak memory   in that process: the highest resident memory (VmHWM) above what was resident before the step, over
                the bytes of the frame.

examples:
  python -m benchmarks.processors_speed                        all of it: 1.6 GB of rows, 5 GB of memory
  python -m benchmarks.processors_speed --days 100 --part-days 2 --rounds 1
""",
    )
    parser.add_argument("--stocks", type=int, default=STOCKS, help=f"stocks a day ({STOCKS})")
    parser.add_argument("--days", type=int, default=DAYS, help=f"days of the whole frame ({DAYS})")
    parser.add_argument("--factors", type=int, default=FACTORS, help=f"columns ({FACTORS})")
    parser.add_argument("--part-days", type=int, default=10, help="days that the straight way is timed on (10)")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds of the part (5)")
    return parser.parse_args()


def clipped_and_neutralised(rows: pd.DataFrame) -> pd.DataFrame:
    return Neutralise()(MADClip()(rows))


def the_straight_way(rows: pd.DataFrame) -> pd.DataFrame:
    """The residuals [rows, factors], day after day."""

    def of_day(day: pd.DataFrame) -> pd.DataFrame:
        values = day["feature"]
        middle = values.median()
        reach = 3 * 1.4826 * (values - middle).abs().median()
        values = values.clip(middle - reach, middle + reach, axis=1)
        dummies = pd.get_dummies(day["neutral", "INDUSTRY"], dtype=float)
        design = np.column_stack([dummies, day["neutral", "SIZE"]])
        columns = {}
        for name, column in values.items():
            known = column.notna().to_numpy()
            fit = sm.OLS(column.to_numpy(float)[known], design[known]).fit()
            columns[name] = pd.Series(fit.resid, index=day.index[known]).reindex(day.index)
        return pd.DataFrame(columns)

    return rows.groupby(level="datetime", group_keys=False).apply(of_day)


def assert_equal(rows: pd.DataFrame) -> None:
    ours, theirs = clipped_and_neutralised(rows.copy())["feature"], the_straight_way(rows)
    np.testing.assert_allclose(ours.to_numpy(), theirs.to_numpy(), rtol=0, atol=1e-5)  # float32


def whole(stocks: int, days: int, factors: int) -> dict[str, tuple[float, float]]:
    """Seconds of each processor on all rows, and the peak of memory beyond the frame over its bytes."""
    chain = [MADClip(), Neutralise(), CSZScoreNorm("feature"), Fillna("feature")]
    warm = synthetic_rows(20, 3, factors)
    for processor in chain:
        processor(warm)
    rows = synthetic_rows(stocks, days, factors)
    size = rows.to_numpy().nbytes
    passes = {}
    for processor in chain:
        before = reset_peak()
        seconds = timed(processor, rows)
        passes[type(processor).__name__] = (seconds, (peak_bytes() - before) / size)
    return passes


def synthetic_rows(stocks: int, days: int, factors: int, seed: int = 0) -> pd.DataFrame:
    """Rows as a handler has them, a block [columns, rows] of float32: features, industry and size, a label."""
    random = np.random.default_rng(seed)
    values = np.empty((factors + 3, days * stocks), dtype=np.float32)
    for column in values:
        random.standard_normal(dtype=np.float32, out=column)
        column[random.random(len(column), dtype=np.float32) < HOLES] = np.nan
    values[factors] = np.tile(random.integers(0, INDUSTRIES, stocks), days)
    values[factors + 1] = np.tile(22 + random.standard_normal(stocks), days)
    index = pd.MultiIndex.from_product(
        [pd.bdate_range("2013-01-01", periods=days), [f"SH{600000 + i}" for i in range(stocks)]],
        names=["datetime", "instrument"],
    )
    columns = [("feature", f"F{i}") for i in range(factors)]
    columns += [("neutral", "INDUSTRY"), ("neutral", "SIZE"), ("label", "LABEL0")]
    return pd.DataFrame(values.T, index=index, columns=pd.MultiIndex.from_tuples(columns), copy=False)


if __name__ == "__main__":
    main()
