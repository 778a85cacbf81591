"""The 27 factors in straight pandas for ``benchmarks/ticks_speed.py``: stock by stock, vectorised within a stock."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

MINUTE = 60_000_000_000  # nanoseconds


def factors(files: dict[str, Sequence[Path]]) -> pd.DataFrame:
    """The 27 factors of a day's files, one row an instrument."""
    orders = dict(list(read(files["orders"]).groupby("instrument")))
    rows = {
        symbol: {**of_trades(trades), **of_orders(orders[symbol])}
        for symbol, trades in read(files["trades"]).groupby("instrument")
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("instrument").reset_index()


def read(files: Sequence[Path]) -> pd.DataFrame:
    """The rows of the two sessions with their minute; times come as integers, which spares pandas its slow objects."""
    tables = [pq.read_table(file) for file in files]
    table = pa.concat_tables(tables)
    times = table.column("time").cast(pa.int64())
    frame = table.set_column(table.column_names.index("time"), "time", times).to_pandas()
    of_day = frame["time"] // MINUTE
    morning, afternoon = of_day.between(570, 690), of_day.between(780, 900)
    frame["minute"] = np.where(morning, np.minimum(of_day - 570, 119), np.minimum(of_day - 660, 239))
    return frame[morning | afternoon]


def of_trades(t: pd.DataFrame) -> dict[str, float]:
    """The minute factors and the trade factors of one stock."""
    b = bars(t)
    return {**of_bars(b), **of_sides(t, b)}


def bars(t: pd.DataFrame) -> pd.DataFrame:
    """A stock's minutes from its first trade on."""
    net = t["amount"] * t["side"].map({"B": 1.0, "S": -1.0, "N": 0.0}).astype(float)
    groups = t.assign(net=net).groupby("minute")
    b = groups.agg(
        open=("price", "first"),
        high=("price", "max"),
        low=("price", "min"),
        close=("price", "last"),
        volume=("volume", "sum"),
        amount=("amount", "sum"),
        count=("price", "size"),
        net=("net", "sum"),
    )
    b = b.reindex(range(b.index[0], 240))
    b["close"] = b["close"].ffill()
    prices, flows = ["open", "high", "low"], ["volume", "amount", "count", "net"]
    b[prices] = b[prices].apply(lambda column: column.fillna(b["close"]))
    b[flows] = b[flows].fillna(0)
    b["r"] = b["close"] / b["close"].shift().fillna(b["open"].iloc[0]) - 1
    return b


def of_bars(b: pd.DataFrame) -> dict[str, float]:
    """The 15 minute factors."""
    r, down, volume = b["r"], b["r"] < 0, b["volume"]
    single = (b["amount"] / b["count"])[b["count"] > 0]
    big = single.index[single >= single.quantile(0.7) * (1 - 1e-12)]
    half_hour = volume.groupby(b.index // 30).sum() / volume.sum()
    return {
        "late_skew_ret": r[b.index >= 210].skew(),
        "down_vol_perc": (r[down] ** 2).sum() / (r**2).sum(),
        "corr_ret_lastret": r.corr(r.shift()),
        "corr_close_nextopen": b["close"].corr(b["open"].shift(-1)),
        **{f"volume_perc{k}": half_hour.get(k - 1, 0.0) for k in range(2, 8)},
        "corr_volume_item": volume.corr(b["count"]),
        "early_corr_volume_ret": volume[b.index < 30].corr(r[b.index < 30]),
        "bigorder_ret": (1 + r[big]).prod() - 1,
        "down_single_amt_perc": (b["amount"][down].sum() / b["count"][down].sum())
        / (b["amount"].sum() / b["count"].sum()),
        "corr_volume_amplitude": volume.corr(b["high"] / b["low"] - 1),
    }


def of_sides(t: pd.DataFrame, b: pd.DataFrame) -> dict[str, float]:
    """The 8 trade factors."""
    amount, side, early = t["amount"], t["side"], t["minute"] < 30
    step = np.log(t["price"] / t["price"].shift())
    squares, big = [], []
    for number in ("buy_order", "sell_order"):
        orders = t.groupby(number)["amount"].sum()
        log = np.log(orders)
        squares.append((orders**2).sum())
        big.append(t[number].isin(orders.index[log > log.mean() + log.std() + 1e-9]))
    active = ((side == "B") & big[0]) | ((side == "S") & big[1])
    either = (side == "N") & (big[0] | big[1])
    early_big = [amount[early & which].sum() for which in big]
    return {
        "bigorder_amt_perc": (amount[big[0]].sum() + amount[big[1]].sum()) / (2 * amount.sum()),
        "early_bigorder_buy_perc": early_big[0] / sum(early_big),
        "bigorder_ret2": np.exp(step[active | either].sum()) - 1,
        "early_active_bigorder_ret": np.exp(step[active & early].sum()) - 1,
        "concentration_diff": (squares[0] - squares[1]) / amount.sum() ** 2,
        "early_active_buy_perc": amount[early & (side == "B")].sum() / amount[early].sum(),
        "corr_netactivebuy_lastret": b["net"].corr(b["r"].shift()),
        "corr_netactivebuy_nextret": b["net"].corr(b["r"].shift(-1)),
    }


def of_orders(o: pd.DataFrame) -> dict[str, float]:
    """The 4 order factors of one stock."""
    o = o[o["kind"] == "add"]
    buys, sells = o[o["side"] == "B"], o[o["side"] == "S"]
    return {
        "skew_order_diff": buys["volume"].skew() - sells["volume"].skew(),
        "kurt_order_diff": buys["volume"].kurt() - sells["volume"].kurt(),
        "early_kurt_order": o["volume"][o["minute"] < 30].kurt(),
        "corr_buyorder_volume_price": buys["volume"].corr(buys["price"]),
    }
