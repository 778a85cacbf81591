"""The single-factor test once more, slowly: stock by stock and day by day, in pandas."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
from qlib.data import D

from qlib_ext.analysis.single_factor.setting import Setting


def fields(setting: Setting, factor: str) -> dict[str, pd.DataFrame]:
    """What the test reads, each [days, stocks] of the provider."""
    stocks = sorted(D.list_instruments(D.instruments("all"), as_list=True))
    names = {"factor": factor, "industry": setting.industry, "size": setting.size, "price": setting.price}
    names["close"] = "$close"
    rows = D.features(stocks, sorted({name for name in names.values() if name}))
    return {key: rows[name].astype(float).unstack("instrument") for key, name in names.items() if name}


def prepared(setting: Setting, factor: str) -> dict[pd.Timestamp, pd.Series]:
    """The prepared factor of each test day, a number for each stock that can be bought."""
    of, days = fields(setting, factor), pd.DatetimeIndex(D.calendar())
    inside = days[days.slice_indexer(setting.start, setting.end)]
    spans = D.list_instruments(D.instruments(setting.universe), inside[0], inside[-1], as_list=False)
    found = {}
    for day in inside[:: setting.rebalance]:
        place = days.get_loc(day)
        values = {}
        for stock in of["factor"]:
            member = any(first <= day <= last for first, last in spans.get(stock, ()))
            if member and bought(of, days, place, stock, setting.limit):
                past = of["factor"][stock].reindex(days).iloc[max(0, place + 1 - setting.mean_days) : place + 1]
                values[stock] = past.mean()
        own = pd.Series(values, dtype=float)
        if setting.clip:
            own = clipped(own)
        if setting.neutral:
            own = neutral(own, of["industry"].loc[day] if setting.industry else None, np.log(of["size"].loc[day]))
        found[day] = (own - own.mean()) / own.std() if setting.zscore else own
    return found


def bought(of: dict[str, pd.DataFrame], days: pd.DatetimeIndex, place: int, stock: str, limit: float | None) -> bool:
    if place + 1 >= len(days):
        return False
    close = of["close"][stock].reindex(days)
    today, tomorrow = close.iloc[place], close.iloc[place + 1]
    if np.isnan(today) or np.isnan(tomorrow):
        return False
    return limit is None or tomorrow / today - 1 < limit


def clipped(values: pd.Series) -> pd.Series:
    middle = values.median()
    reach = 3 * 1.4826 * (values - middle).abs().median()
    return values.clip(middle - reach, middle + reach)


def neutral(values: pd.Series, industry: pd.Series | None, size: pd.Series) -> pd.Series:
    known = values[values.notna() & size.reindex(values.index).notna()]
    code = industry.reindex(known.index) if industry is not None else pd.Series(0, known.index)
    x = np.column_stack([pd.get_dummies(code).to_numpy(float), size[known.index]])
    beta, *_ = np.linalg.lstsq(x, known.to_numpy(), rcond=None)
    return (known - x @ beta).reindex(values.index)


def tested(setting: Setting, factor: str) -> dict[str, Any]:
    """The figures of the summary, by name; the daily excess of the top group; the Rank IC by test day."""
    of, values, days = fields(setting, factor), prepared(setting, factor), pd.DatetimeIndex(D.calendar())
    price = of["price"].reindex(days).ffill()
    period, ic, holdings = setting.rebalance, {}, {}
    for day, own in values.items():
        place = days.get_loc(day)
        if place + 1 + period < len(days):
            gain = price.iloc[place + 1 + period] / price.iloc[place + 1] - 1
            ic[day] = own.corr(gain, method="spearman")
        if own.count() >= setting.groups:
            group = pd.qcut(own, setting.groups, labels=False)
            holdings[place + 1] = {"top": [*own.index[group == setting.groups - 1]], "all": [*own.dropna().index]}
    last = days.get_loc(days[days.slice_indexer(setting.start, setting.end)][-1])
    end = min(last + period + 1, len(days) - 1)
    excess, turnover, held = {}, [], None
    bounds = [*sorted(holdings), end]
    for begin, until in itertools.pairwise(bounds):
        names = holdings[begin]
        worth = {
            key: (price.iloc[begin : until + 1][names[key]] / price.iloc[begin][names[key]]).mean(axis=1)
            for key in names
        }
        for place in range(1, until - begin + 1):
            gains = {key: value.iloc[place] / value.iloc[place - 1] - 1 for key, value in worth.items()}
            excess[days[begin + place]] = gains["top"] - gains["all"]
        if held is not None:
            turnover.append(len({*names["top"]} - held) / len(names["top"]))
        held = {*names["top"]}
    rank_ic, over = pd.Series(ic).dropna(), pd.Series(excess)
    months = (1 + over).groupby(over.index.to_period("M")).prod() - 1
    return {
        "mean": rank_ic.mean(),
        "std": rank_ic.std(),
        "icir": rank_ic.mean() / rank_ic.std(),
        "positive": (rank_ic > 0).mean(),
        "annual_excess_return": (1 + over).prod() ** (252 / len(over)) - 1,
        "information_ratio": over.mean() / over.std() * np.sqrt(252),
        "monthly_win_rate": (months > 0).mean(),
        "turnover": np.mean(turnover),
        "stocks": np.mean([own.count() for own in values.values()]),
    }
