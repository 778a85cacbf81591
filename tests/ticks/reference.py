"""The 27 factors, slowly: one stock, one factor, one loop at a time, with pandas and scipy."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats


def minute(time):
    """0..239, or -1 outside the sessions."""
    of_day = time.hour * 60 + time.minute
    if 570 <= of_day <= 690:
        return min(of_day - 570, 119)
    if 780 <= of_day <= 900:
        return min(of_day - 660, 239)
    return -1


def constant(x):
    return np.ptp(x) <= 1e-12 * max(1.0, np.abs(x).max())


def skew(x):
    x = np.asarray(x, float)
    return np.nan if len(x) < 3 or constant(x) else stats.skew(x, bias=False)


def kurt(x):
    x = np.asarray(x, float)
    return np.nan if len(x) < 4 or constant(x) else stats.kurtosis(x, bias=False)


def corr(x, y):
    x, y = np.asarray(x, float), np.asarray(y, float)
    return np.nan if len(x) < 2 or constant(x) or constant(y) else stats.pearsonr(x, y)[0]


def ratio(part, whole):
    return part / whole if whole else np.nan


def in_session(frame):
    frame = frame.assign(minute=[minute(time) for time in frame["time"]])
    return frame[frame["minute"] >= 0]


def bars(trades):
    """Rows of a stock's minutes from its first trade on, the empty ones filled."""
    rows, close = [], None
    by_minute = dict(list(in_session(trades).groupby("minute")))
    for m in range(240):
        if m in by_minute:
            t = by_minute[m]
            price = t["price"].to_list()
            rows.append([m, price[0], max(price), min(price), price[-1], t["volume"].sum(), t["amount"].sum(), len(t)])
            close = price[-1]
        elif close is not None:
            rows.append([m, close, close, close, close, 0, 0.0, 0])
    table = pd.DataFrame(rows, columns=["minute", "open", "high", "low", "close", "volume", "amount", "count"])
    before = table["close"].shift()
    before.iloc[:1] = table["open"].iloc[:1]
    return table.assign(r=table["close"] / before - 1)


def minute_factors(trades):
    b = bars(trades)
    if b.empty:
        return {}
    r, early, late, traded = b["r"].to_numpy(), b[b["minute"] < 30], b[b["minute"] >= 210], b[b["count"] > 0]
    down = b[b["r"] < 0]
    single = traded["amount"] / traded["count"]
    big = traded[single >= np.quantile(single, 0.7) * (1 - 1e-12)]
    out = {
        "late_skew_ret": skew(late["r"]),
        "down_vol_perc": ratio(sum(x**2 for x in r if x < 0), sum(x**2 for x in r)),
        "corr_ret_lastret": corr(r[1:], r[:-1]),
        "corr_close_nextopen": corr(b["close"][:-1], b["open"][1:]),
        "corr_volume_item": corr(b["volume"], b["count"]),
        "early_corr_volume_ret": corr(early["volume"], early["r"]) if len(early) else np.nan,
        "bigorder_ret": np.prod([1 + x for x in big["r"]]) - 1,
        "down_single_amt_perc": ratio(down["amount"].sum(), down["count"].sum())
        / (b["amount"].sum() / b["count"].sum()),
        "corr_volume_amplitude": corr(b["volume"], b["high"] / b["low"] - 1),
    }
    for k in range(2, 8):
        half_hour = b[(b["minute"] >= 30 * (k - 1)) & (b["minute"] < 30 * k)]
        out[f"volume_perc{k}"] = half_hour["volume"].sum() / b["volume"].sum()
    return out


def big_orders(trades, number, big):
    """The numbers of the big orders, or None where a lone order leaves that open."""
    amounts = trades.groupby(number)["amount"].sum()
    if len(amounts) < 2:
        return None
    log = np.log(amounts)
    return set(amounts.index[log - (log.mean() + big * log.std()) > 1e-9])


def trade_factors(trades, big=1.0):
    t = in_session(trades)
    if t.empty:
        return {}
    t = t.assign(step=np.log(t["price"] / t["price"].shift()))
    early, amount = t[t["minute"] < 30], t["amount"].sum()
    out = {
        "concentration_diff": sum(t.groupby("buy_order")["amount"].sum() ** 2) / amount**2
        - sum(t.groupby("sell_order")["amount"].sum() ** 2) / amount**2,
        "early_active_buy_perc": ratio(early["amount"][early["side"] == "B"].sum(), early["amount"].sum())
        if (early["side"] != "N").any()
        else np.nan,
    }
    buys, sells = big_orders(t, "buy_order", big), big_orders(t, "sell_order", big)
    if buys is not None and sells is not None:
        bought, sold = t["buy_order"].isin(buys), t["sell_order"].isin(sells)
        active = ((t["side"] == "B") & bought) | ((t["side"] == "S") & sold)
        either = (t["side"] == "N") & (bought | sold)
        early_buy, early_sell = (early["amount"][which[early.index]].sum() for which in (bought, sold))
        out["bigorder_amt_perc"] = (t["amount"][bought].sum() + t["amount"][sold].sum()) / (2 * amount)
        out["early_bigorder_buy_perc"] = ratio(early_buy, early_buy + early_sell)
        out["bigorder_ret2"] = moved(t["step"][active | either])
        out["early_active_bigorder_ret"] = moved(early["step"][active[early.index]])
    b = bars(trades)
    net = [0.0] * len(b)
    first = b["minute"].iloc[0]
    for m, side, yuan in zip(t["minute"], t["side"], t["amount"], strict=True):
        net[m - first] += {"B": yuan, "S": -yuan, "N": 0.0}[side]
    r = b["r"].to_numpy()
    out["corr_netactivebuy_lastret"] = corr(net[1:], r[:-1]) if len(b) > 1 else np.nan
    out["corr_netactivebuy_nextret"] = corr(net[:-1], r[1:]) if len(b) > 1 else np.nan
    return out


def moved(steps):
    steps = steps.dropna()
    return np.exp(steps.sum()) - 1 if len(steps) else np.nan


def order_factors(orders):
    o = in_session(orders)
    o = o[o["kind"] == "add"]
    buys, sells = o[o["side"] == "B"], o[o["side"] == "S"]
    return {
        "skew_order_diff": skew(buys["volume"]) - skew(sells["volume"]),
        "kurt_order_diff": kurt(buys["volume"]) - kurt(sells["volume"]),
        "early_kurt_order": kurt(o["volume"][o["minute"] < 30]),
        "corr_buyorder_volume_price": corr(buys["volume"], buys["price"]),
    }


def table(frame, of_stock, names):
    """One row an instrument, a column a factor, NaN where the reference gives none."""
    rows = {stock: of_stock(rows) for stock, rows in frame.to_pandas().groupby("instrument")}
    return pd.DataFrame.from_dict(rows, orient="index").reindex(index=sorted(rows), columns=names).astype(float)


def assert_equal(ours, reference):
    """Equal to 1e-9 relative; 1e-12 absolute, for sums that cancel to nothing."""
    mine = ours.to_pandas().set_index("instrument").reindex(reference.index).astype(float)
    for name in reference:
        np.testing.assert_allclose(mine[name], reference[name], rtol=1e-9, atol=1e-12, err_msg=name)
