"""The fifteen factors of a day's minute bars (exhibit 6 of the report in docs/highfreq_factors.md)."""

from __future__ import annotations

import polars as pl

from qlib_ext.ticks.bars import every_minute
from qlib_ext.ticks.sessions import EARLY, LATE, minute_of
from qlib_ext.ticks.statistics import NOISE, corr, ratio, skew

HALF_HOURS = range(2, 8)
NAMES = [
    "late_skew_ret",
    "down_vol_perc",
    "corr_ret_lastret",
    "corr_close_nextopen",
    *(f"volume_perc{k}" for k in HALF_HOURS),
    "corr_volume_item",
    "early_corr_volume_ret",
    "bigorder_ret",
    "down_single_amt_perc",
    "corr_volume_amplitude",
]


def minute_factors(bars: pl.DataFrame) -> pl.DataFrame:
    """The fifteen minute factors, one row an instrument; undefined values are null.

    r_m is the return of minute m, early is 09:30-10:00, late is 14:30-15:00, c_m = amount_m / count_m of a minute
    with trades, corr is Pearson's, skew the adjusted sample skewness.

        late_skew_ret          skew of late r
        down_vol_perc          sum r^2[r < 0] / sum r^2
        corr_ret_lastret       corr(r_m, r_{m-1})
        corr_close_nextopen    corr(close_m, open_{m+1})
        volume_perc2..7        volume of the k-th half-hour / volume of the day
        corr_volume_item       corr(volume, count)
        early_corr_volume_ret  early corr(volume, r)
        bigorder_ret           prod(1 + r) - 1 over the minutes with c at or above its 70 % quantile of the day
        down_single_amt_perc   (sum amount / sum count over r < 0) / (sum amount / sum count)
        corr_volume_amplitude  corr(volume, high / low - 1)

    bars: the columns of schema.MINUTES; minutes without trades may be there or not (``bars.every_minute`` fills them).
    """
    r, volume, amount, count = (pl.col(name) for name in ("r", "volume", "amount", "count"))
    minute, single = pl.col("minute"), pl.col("amount") / pl.col("count")
    starts, ends = minute == pl.col("first"), minute == minute.max()
    big = single >= single.filter(count > 0).quantile(0.7, interpolation="linear") * (1 - NOISE)
    down = r < 0
    traded = bars.with_columns(minute=minute_of(pl.col("time"))).filter(
        pl.col("minute").is_not_null() & (pl.col("volume") > 0)
    )
    return (
        every_minute(traded.drop("time"))
        .lazy()
        .group_by("instrument")
        .agg(
            late_skew_ret=skew(r.filter(minute >= LATE)),
            down_vol_perc=ratio(r.pow(2).filter(down).sum(), r.pow(2).sum()),
            corr_ret_lastret=corr(r.filter(~starts), r.filter(~ends)),
            corr_close_nextopen=corr(pl.col("close").filter(~ends), pl.col("open").filter(~starts)),
            **{f"volume_perc{k}": volume.filter(minute // 30 == k - 1).sum() / volume.sum() for k in HALF_HOURS},
            corr_volume_item=corr(volume, count),
            early_corr_volume_ret=corr(volume.filter(minute < EARLY), r.filter(minute < EARLY)),
            bigorder_ret=(1 + r).filter((count > 0) & big).product() - 1,
            down_single_amt_perc=ratio(amount.filter(down).sum(), count.filter(down).sum())
            / (amount.sum() / count.sum()),
            corr_volume_amplitude=corr(volume, pl.col("high") / pl.col("low") - 1),
        )
        .collect()
    )
