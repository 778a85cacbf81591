"""Indicators of what companies report, by category: expressions of daily fields, each as it was known on the day.

``FIELDS`` are the statements' lines, expressions of fields that ``qlib-ext fundamentals`` or ``qlib-ext fields`` write;
``INDICATORS`` what is made of them. A year before is 243 trading days before: what was known then. A ratio to earnings
or equity that are not above 0 says nothing and is infinite, as is one over 0: percentiles pass over it as over NaN.

Two of the nine categories are left out, since nothing is known that they could be made of: goodwill (over equity) and
research (its costs of a year over sales).
Source: Orient Securities, market microstructure series 24 and 32 (2026-01-28), which name the categories; which
indicators are in them is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

YEAR = 243  # trading days

# in yuan, sums of the last four quarters or values of the last report; but for the ratios of the vendors in per cent
FIELDS = {
    "market_value": "$total_mv",
    "sales": "$sales_ttm",
    "earnings": "$earnings_ttm",
    "cash_flow": "$cash_flow_ttm",
    "equity": "$book",
    "debt_to_assets": "$debt_to_assets / 100",
    "dividend_yield": "$dividend_yield / 100",
}


ASSETS = "({equity} / (1 - {debt_to_assets}))"  # what minorities own counts as debt
DEBT = f"({ASSETS} * {{debt_to_assets}})"


@dataclass(frozen=True)
class Indicator:
    """Its category, and its formula: an expression of the names of FIELDS in braces, a ratio without a unit."""

    category: str
    formula: str

    def expression(self, fields: Mapping[str, str]) -> str:
        """The formula as an expression of the provider's fields; ``fields``: FIELDS, or others in their place."""
        return self.formula.format(**{name: f"({expression})" for name, expression in fields.items()})


def growth(line: str) -> str:
    """``(x_t - x_(t-243)) / |x_(t-243)|``."""
    return f"({line} - Ref({line}, {YEAR})) / Abs(Ref({line}, {YEAR}))"


def mean_of_year(line: str) -> str:
    """``(x_t + x_(t-243)) / 2``."""
    return f"(({line} + Ref({line}, {YEAR})) / 2)"


def over_positive(numerator: str, denominator: str) -> str:
    """The first over the second, infinite where that is not above 0."""
    return f"{numerator} / Greater({denominator}, 0)"


INDICATORS: dict[str, Indicator] = {
    "SALES_GROWTH": Indicator("growth", growth("{sales}")),
    "EARNINGS_GROWTH": Indicator("growth", growth("{earnings}")),
    "CASH_FLOW_GROWTH": Indicator("growth", growth("{cash_flow}")),
    "EQUITY_GROWTH": Indicator("growth", growth("{equity}")),
    "ROE": Indicator("profitability", over_positive("{earnings}", mean_of_year("{equity}"))),
    "ROA": Indicator("profitability", "{earnings} / " + mean_of_year(ASSETS)),
    "NET_MARGIN": Indicator("profitability", "{earnings} / {sales}"),
    "CASH_TO_EARNINGS": Indicator("quality", over_positive("{cash_flow}", "{earnings}")),
    "ACCRUALS": Indicator("quality", "({earnings} - {cash_flow}) / " + ASSETS),
    "CASH_TO_DEBT": Indicator("solvency", "{cash_flow} / " + DEBT),
    "DEBT_TO_ASSETS": Indicator("structure", "{debt_to_assets}"),
    "ASSET_TURNOVER": Indicator("turnover", "{sales} / " + mean_of_year(ASSETS)),
    "EP": Indicator("valuation", "{earnings} / {market_value}"),
    "BP": Indicator("valuation", "{equity} / {market_value}"),
    "SP": Indicator("valuation", "{sales} / {market_value}"),
    "CFP": Indicator("valuation", "{cash_flow} / {market_value}"),
    "DP": Indicator("valuation", "{dividend_yield}"),
}
CATEGORIES = tuple(dict.fromkeys(indicator.category for indicator in INDICATORS.values()))
