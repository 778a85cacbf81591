"""The test of factors, one by one, and how alike they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pandas as pd
from qlib.config import C

from qlib_ext.analysis.correlation import correlation_matrix
from qlib_ext.analysis.groups import GroupTest, group_summary, group_test
from qlib_ext.analysis.performance import compounded_by_year
from qlib_ext.analysis.single_factor.market import Market, market_of
from qlib_ext.analysis.single_factor.preparing import prepared_factors, prepared_styles
from qlib_ext.analysis.single_factor.setting import Setting
from qlib_ext.cross_section.ic import Matrix, cross_sectional_rank, ic_summary, rank_information_coefficient
from qlib_ext.errors import ConfigError, DataError
from qlib_ext.provider.facts import ProviderFacts

HEADINGS = {
    "mean": "Rank IC",
    "std": "deviation",
    "icir": "ICIR",
    "positive": "share > 0",
    "annual_excess_return": "top excess",
    "information_ratio": "top IR",
    "monthly_win_rate": "months won",
    "turnover": "turnover",
}
TOP = ["annual_excess_return", "information_ratio", "monthly_win_rate", "turnover"]


@dataclass(frozen=True)
class FactorTests:
    """What the test of factors has found.

    summary      [factors, (mean, std, icir, positive) of the Rank IC, (annual_excess_return, information_ratio,
                 monthly_win_rate, turnover) of the top group, stocks a test day]
    rank_ic      [test days, factors]
    values       factor -> net value of each group over that of all stocks, [test days, groups]
    ic_years     mean Rank IC, [years, factors]
    top_years    the top group's excess return, compounded, [years, factors]
    correlation  [factors, factors], see ``correlation_matrix``
    turned       factors that are sold where they are high
    left_out     why some could not be tested
    market       the test days, the stocks and their prices
    provider     what the provider held
    """

    summary: pd.DataFrame
    rank_ic: pd.DataFrame
    values: dict[str, pd.DataFrame]
    ic_years: pd.DataFrame
    top_years: pd.DataFrame
    correlation: pd.DataFrame
    turned: list[str]
    left_out: dict[str, str]
    market: Market
    provider: ProviderFacts


def factor_tests(
    setting: Setting,
    expressions: dict[str, str],
    styles: Sequence[str] = (),
    progress: Callable[[str], None] = lambda name: None,
) -> FactorTests:
    """Test factors by the setting, on the provider that Qlib was initialised with.

    A factor's Rank IC is taken on the test days with the return of one period, ``market_of``; its groups are those of
    ``group_test``, formed on the same days. ``progress`` hears the name of each factor that is done. Raises DataError
    where no factor can be tested, and as ``market_of`` and ``prepared_factors`` do.
    """
    if twice := [name for name in styles if name in expressions]:
        raise ConfigError(f"{len(twice)} names stand for two factors, the first {twice[0]}; rename its expression.")
    market = market_of(setting)
    of_styles, left_out = prepared_styles(setting, market, styles) if styles else (iter(()), {})
    rows, rank_ic, values, top_years, ranks, turned = {}, {}, {}, {}, {}, []
    for name, factor in chain(prepared_factors(setting, market, expressions), of_styles):
        ic = rank_information_coefficient(factor, market.label)
        if setting.turn and np.nanmean(ic) < 0:
            factor, ic = -factor, -ic
            turned.append(name)
        try:
            groups = _groups(factor, market, setting)
        except DataError as error:
            left_out[name] = str(error).rstrip(".")
            continue
        rank_ic[name] = pd.Series(ic, market.tested)
        rows[name] = _row(rank_ic[name], groups, factor)
        values[name] = (1 + groups.excess).cumprod().reindex(market.tested).fillna(1.0)
        top_years[name] = compounded_by_year(groups.excess).iloc[:, 0]
        ranks[name] = cross_sectional_rank(factor).astype(np.float32)  # half of the memory; ranks are halves of whole
        progress(name)
    if not rows:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise DataError(f"No factor can be tested. {reasons}.")
    by_day = pd.DataFrame(rank_ic)
    return FactorTests(
        summary=pd.DataFrame(rows).T,
        rank_ic=by_day,
        values=values,
        ic_years=by_day.groupby(by_day.index.year).mean().rename_axis("year"),
        top_years=pd.DataFrame(top_years),
        correlation=correlation_matrix(ranks),
        turned=turned,
        left_out=left_out,
        market=market,
        provider=ProviderFacts.of(C.dpm.get_data_uri("day")),
    )


def _groups(factor: Matrix, market: Market, setting: Setting) -> GroupTest:
    score = pd.DataFrame(np.nan, market.price.index, market.stocks)
    score.iloc[market.price.index.get_indexer(market.tested)] = factor
    return group_test(score, market.price, setting.groups, setting.rebalance)


def _row(ic: pd.Series, groups: GroupTest, factor: Matrix) -> pd.Series:
    of_ic = ic_summary(ic).loc["all"].drop("days")
    stocks = pd.Series({"stocks": np.isfinite(factor).sum(1).mean()})
    return pd.concat([of_ic, group_summary(groups).loc[1, TOP], stocks])


def printed_summary(summary: pd.DataFrame) -> str:
    """The summary for a terminal, under the report's headings."""
    percent = ["mean", "std", "positive", "annual_excess_return", "monthly_win_rate", "turnover"]
    cells = {
        name: values.map("{:.2%}".format if name in percent else ("{:.0f}" if name == "stocks" else "{:.2f}").format)
        for name, values in summary.items()
    }
    return pd.DataFrame(cells).rename(columns=HEADINGS).to_string()
