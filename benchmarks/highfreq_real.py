"""Do the factors of minute bars rank stocks on real data as the report says? Prints one table.

Fifteen-minute bars of 2025 stand in for minute bars. Ten of the fifteen factors of ``qlib_ext.ticks.minute_factors``
can be made of sixteen bars a day; they go into a copy of the provider as fields, and HighFreq27 does with them what it
does with any: mean of 20 days, clip, neutralised on industry and size, z-score. Each is then compared with the return
of the five days from the next day's average price on, every fifth day, as in the report.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import qlib
from qlib.data import D

from benchmarks.measure import table
from handlers.highfreq import HighFreq27
from qlib_ext.cross_section.ic import ic_summary, rank_information_coefficient
from qlib_ext.provider.tables import add_fields, read_table
from qlib_ext.ticks.minute_factors import NAMES
from qlib_ext.ticks.statistics import corr

HORIZON = 5  # trading days of the return, and between two Rank ICs
VWAP = "$bar_amount / $bar_volume * $factor"
LABEL = ([f"Ref({VWAP}, -6) / Ref({VWAP}, -1) - 1"], ["LABEL0"])
WARM_UP = 20  # days that the first whole mean needs
REPORT = {  # exhibits 6 and 7: the sign, and the mean and the standard deviation of the weekly Rank IC after the sign
    "late_skew_ret": (-1, 0.0174, 0.0555),
    "down_vol_perc": (1, 0.0672, 0.1212),
    "corr_ret_lastret": (-1, 0.0556, 0.1511),
    "corr_close_nextopen": (1, 0.0236, 0.1511),
    "volume_perc2": (1, 0.0129, 0.0915),
    "volume_perc3": (1, 0.0400, 0.0683),
    "volume_perc4": (1, 0.0440, 0.0579),
    "volume_perc5": (1, 0.0473, 0.0698),
    "volume_perc6": (1, 0.0445, 0.0662),
    "volume_perc7": (1, 0.0435, 0.0743),
    "corr_volume_item": (-1, 0.0578, 0.1371),
    "early_corr_volume_ret": (1, 0.0159, 0.0733),
    "bigorder_ret": (-1, 0.0539, 0.0821),
    "down_single_amt_perc": (1, 0.0556, 0.1336),
    "corr_volume_amplitude": (-1, 0.0438, 0.1241),
}
IMPOSSIBLE = {
    "late_skew_ret": "two bars in the last half-hour",
    "early_corr_volume_ret": "two bars in the first half-hour",
    "corr_volume_item": "no count of trades",
    "bigorder_ret": "no count of trades",
    "down_single_amt_perc": "no count of trades",
}


def main() -> None:
    options = parse_arguments()
    with tempfile.TemporaryDirectory() as room:
        provider = Path(shutil.copytree(options.provider, Path(room) / "provider"))
        bars = read_bars(options.market / "bars15_2025.parquet")
        write_fields(provider, bars, options.market / "industry_sw.csv")
        qlib.init(provider_uri=str(provider), region="cn", kernels=1, logging_level=40)
        handler = HighFreq27(
            families=["minute"],
            without=list(IMPOSSIBLE),
            size="Mean($bar_amount, 60)",
            label=LABEL,
            instruments="all",
            start_time=D.calendar()[WARM_UP],
        )
        features, label = (handler.fetch(col_set=name, data_key="infer") for name in ("feature", "label"))
    stocks = features.groupby(level="datetime").size().median()
    days = label.dropna().index.unique("datetime")
    print(f"{len(days)} days, {days[0]:%Y-%m-%d} to {days[-1]:%Y-%m-%d}, {stocks:.0f} stocks a day\n")
    lines = [line(name, features, label) for name in NAMES]
    header = ("factor", "sign", "Rank IC", "std", "above 0", "t", "report: Rank IC", "report: std")
    print(table(header, lines))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.highfreq_real",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""what the columns of the table mean:
  Rank IC, std   mean and standard deviation of the Rank IC times the report's sign, every fifth day, the mean over
                 the five days to begin on; above 0: the share of these weeks
  t              mean over its standard error, from the about 43 weeks of one beginning

examples:
  python ../shared/market/build_provider.py --out DIR --which 2025
  python -m benchmarks.highfreq_real --provider DIR/cn_2025 --market ../shared/market      about a minute
""",
    )
    parser.add_argument("--provider", type=Path, required=True, help="the provider cn_2025, which is left as it is")
    parser.add_argument("--market", type=Path, required=True, help="the folder of bars15_2025.parquet")
    return parser.parse_args()


def read_bars(path: Path) -> pl.DataFrame:
    """The bars with their day and their number within it, 0 to 15, in order."""
    return (
        pl.read_parquet(path)
        .with_columns(pl.col("instrument").cast(pl.String), day=pl.col("datetime").dt.strftime("%Y-%m-%d"))
        .sort("instrument", "datetime")
        .with_columns(bar=pl.int_range(pl.len()).over("instrument", "day"))
    )


def factors_of(bars: pl.DataFrame) -> pl.DataFrame:
    """What ``minute_factors`` has a formula for and sixteen bars a day suffice for, a row a stock and day."""
    bar, volume, r = pl.col("bar"), pl.col("volume"), pl.col("r")
    first, last = bar == 0, bar == bar.max()
    before = pl.when(first).then("open").otherwise(pl.col("close").shift())
    return (
        bars.with_columns(r=pl.col("close") / before - 1)
        .group_by("instrument", "day")
        .agg(
            down_vol_perc=r.pow(2).filter(r < 0).sum() / r.pow(2).sum(),
            corr_ret_lastret=corr(r.filter(~first), r.filter(~last)),
            corr_close_nextopen=corr(pl.col("close").filter(~last), pl.col("open").filter(~first)),
            **{f"volume_perc{k}": volume.filter(bar // 2 == k - 1).sum() / volume.sum() for k in range(2, 8)},
            corr_volume_amplitude=corr(volume, pl.col("high") / pl.col("low") - 1),
        )
    )


def write_fields(provider: Path, bars: pl.DataFrame, industries: Path) -> None:
    """Factors and sums of the bars, and the industry of each stock, as fields."""
    traded = bars.group_by("instrument", "day").agg(bar_amount=pl.sum("amount"), bar_volume=pl.sum("volume"))
    daily = factors_of(bars).rename(lambda name: f"hf_{name}" if name in NAMES else name)
    daily = daily.join(traded, on=["instrument", "day"])
    add_fields(provider, daily, daily.columns[2:], date_column="day")
    add_fields(provider, read_table(industries), ["industry"], date_column="start", hold=True, digits=2)


def line(name: str, features: pd.DataFrame, label: pd.DataFrame) -> tuple[str, ...]:
    sign, theirs, their_std = REPORT[name]
    report = (f"{theirs:.2%}", f"{their_std:.2%}")
    if name in IMPOSSIBLE:
        return (name, f"{sign:+d}", IMPOSSIBLE[name], "", "", "", *report)
    ic = sign * rank_ics(features[name.upper()], label["LABEL0"])
    weeks = pd.concat([ic_summary(ic.iloc[start::HORIZON]).loc[["all"]] for start in range(HORIZON)])
    mean, std, positive = weeks["mean"].mean(), weeks["std"].mean(), weeks["positive"].mean()
    t = mean / std * np.sqrt(weeks["days"].mean())
    return (name, f"{sign:+d}", f"{mean:.2%}", f"{std:.2%}", f"{positive:.0%}", f"{t:.1f}", *report)


def rank_ics(factor: pd.Series, label: pd.Series) -> pd.Series:
    """The Rank IC of every day that has a return."""
    known = label.dropna()
    score, known = factor.loc[known.index].unstack(), known.unstack()
    return pd.Series(rank_information_coefficient(score.to_numpy(float), known.to_numpy(float)), score.index)


if __name__ == "__main__":
    main()
