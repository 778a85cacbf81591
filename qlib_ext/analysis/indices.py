"""A score of the whole market tested inside indices, among those that are members on the day."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from qlib.config import C

from qlib_ext.analysis.groups import GroupTest, group_test
from qlib_ext.analysis.performance import compounded
from qlib_ext.cross_section.ic import ic_summary, rank_information_coefficient
from qlib_ext.errors import DataError, ProviderError
from qlib_ext.provider.panels import membership, read_spans

GROUPS = 5
SINCE = ("2018", "2020")  # the beginnings of the reports' tables
COLUMNS = (
    *("rank_ic", "icir", "positive", "annual_excess_return", "excess_volatility", "excess_max_drawdown"),
    *("turnover", "stocks"),
)


def index_frames(
    score: pd.DataFrame, label: pd.DataFrame, price: pd.DataFrame, universes: list[str], horizon: int, rebalance: int
) -> tuple[dict[str, pd.DataFrame], dict[str, str]]:
    """The files index_tests.pkl, index_groups.pkl and index_excess.pkl of FactorRecord; why universes are missing.

    A universe of the provider has five groups of the members on the day, see ``group_test``; what the top group exceeds
    is the mean of the members with a score. ``index_test`` has the figures.

    score, label, price [days, stocks] by the same days and stocks. A universe that the provider lacks, or that cannot
    be tested, is left out with its reason; the frames are empty where none is left.

    Source: Orient Securities, factor selection series 110 (2024-02-19), figure 10; series 96 (2023-08-24), tables 5 to
    7 and figure 10.
    """
    tests, groups, excess, missing = {}, {}, {}, {}
    for name in universes:
        try:
            spans = read_spans(Path(C.dpm.get_data_uri("day")), name)
            members = score.where(membership(spans, score.index, list(score.columns)))
            tests[name], test = index_test(members, label, price, horizon, rebalance)
        except (DataError, ProviderError) as error:
            missing[name] = str(error).rstrip(".")
            continue
        groups[name] = compounded(test.excess)["annual_return"]
        excess[name] = test.excess.iloc[:, 0]
    if not tests:
        return {}, missing
    frames = {
        "index_tests.pkl": pd.concat(tests, names=["universe", "period"]),
        "index_groups.pkl": pd.DataFrame(groups),
        "index_excess.pkl": pd.DataFrame(excess),
    }
    return frames, missing


def index_test(
    score: pd.DataFrame, label: pd.DataFrame, price: pd.DataFrame, horizon: int, rebalance: int
) -> tuple[pd.DataFrame, GroupTest]:
    """The figures of all days, of those since 2018 and 2020 where the test began before, and of each year.

    Columns: rank_ic, icir and positive of the Rank IC of every horizon-th day; annual_excess_return, excess_volatility
    and excess_max_drawdown of the top of five groups, as in ``compounded``, and its turnover; stocks with a score on a
    median day. Rows: "all", "since_2018", "since_2020", then the years.
    """
    if not score.notna().any(axis=None):
        raise DataError("none of its members has a score")
    test = group_test(score, price, GROUPS, rebalance)
    ic = pd.Series(rank_information_coefficient(score.to_numpy(), label.to_numpy()), score.index)[::horizon]
    stocks = score.count(axis=1)
    stocks = stocks[stocks > 0]
    rows = {
        name: _row(ic[span], test.excess.iloc[:, [0]][span], test.turnover.iloc[:, 0][span], stocks[span])
        for name, span in _periods(stocks.index).items()
    }
    return pd.DataFrame.from_dict(rows, "index", columns=list(COLUMNS)), test


def _periods(scored: pd.DatetimeIndex) -> dict[str, slice]:
    periods = {"all": slice(None)}
    for year in SINCE:
        if scored[0] < pd.Timestamp(year) <= scored[-1]:
            periods[f"since_{year}"] = slice(year, None)
    return periods | {str(year): slice(str(year), str(year)) for year in scored.year.unique()}


def _row(ic: pd.Series, top: pd.DataFrame, turnover: pd.Series, stocks: pd.Series) -> list[float]:
    of_ic, figures = ic_summary(ic).loc["all"], compounded(top).iloc[0]
    return [
        *of_ic[["mean", "icir", "positive"]],
        *figures[["annual_return", "volatility", "max_drawdown"]],
        turnover.mean(),
        stocks.median(),
    ]


def index_metrics(frames: Mapping[str, pd.DataFrame]) -> dict[str, float]:
    """The metrics to log: ``factor.csi300.rank_ic`` and so on, over all days."""
    if "index_tests.pkl" not in frames:
        return {}
    whole = frames["index_tests.pkl"].xs("all", level="period")
    names = {"rank_ic": "rank_ic", "icir": "rank_icir", "annual_excess_return": "top_excess_return"}
    return {
        f"factor.{universe}.{metric}": float(row[column])
        for universe, row in whole.iterrows()
        for column, metric in names.items()
    }
