"""The figures of a factor analysis that the recorder has as metrics: of which file, row and column each is."""

from __future__ import annotations

METRICS = {
    "factor.rank_ic": ("ic_summary.pkl", ("rank_ic_spaced", "all"), "mean"),
    "factor.rank_icir": ("ic_summary.pkl", ("rank_ic_spaced", "all"), "icir"),
    "factor.rank_ic_positive": ("ic_summary.pkl", ("rank_ic_spaced", "all"), "positive"),
    "factor.top_excess_return": ("group_summary.pkl", 1, "annual_excess_return"),
    "factor.top_excess_volatility": ("group_summary.pkl", 1, "excess_volatility"),
    "factor.top_information_ratio": ("group_summary.pkl", 1, "information_ratio"),
    "factor.top_excess_max_drawdown": ("group_summary.pkl", 1, "excess_max_drawdown"),
    "factor.top_monthly_win_rate": ("group_summary.pkl", 1, "monthly_win_rate"),
    "factor.top_turnover": ("group_summary.pkl", 1, "turnover"),
    "factor.long_short_return": ("group_summary.pkl", "long_short", "annual_return"),
}
