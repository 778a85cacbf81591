"""The texts of the page about single factors, beside those of every report, in English and in Chinese."""

from __future__ import annotations

from collections.abc import Mapping

from qlib_ext.analysis.report.texts import LANGUAGES, Texts

_EN = {
    "title": "Single-factor test: {count} factors, {universe}, {first} to {last}",
    "lead": "Hover for figures, drag to zoom, double-click to zoom out; a click on a legend hides a line.",
    "tested": "What was tested",
    "universe": "universe",
    "days_tested": "test days",
    "every": "{count}, one in {rebalance} trading days, {first} to {last}",
    "left_stocks": "left out on a test day",
    "no_close": "stocks without a close on the day or the next",
    "limit_up": "{no_close}, and those that close the next day {limit:.1%} higher or more",
    "prepared": "preparation",
    "mean_days": "mean of {days} days",
    "clip": "clipped at 3 scaled MADs",
    "neutral": "neutral to industry ({industry}) and log size ({size})",
    "neutral_size": "neutral to log size ({size})",
    "zscore": "z-score",
    "as_it_is": "none",
    "grouping": "groups",
    "grouped": "{groups}, equal weights, bought at {price} of the next day, no cost",
    "label": "return of the Rank IC",
    "label_is": "{price} from the day after to {rebalance} trading days later",
    "turned": "sold where high, chosen afterwards",
    "left_out": "not tested",
    "factor": "factor",
    "summary_note": (
        "Rank IC on the test days; top: the fifth, or other part, of the highest values, its excess over all stocks of "
        "the test compounded to a year of 252 days, months won, and the share of its names that are new at a "
        "rebalancing."
    ),
    "mean": "Rank IC",
    "std": "its deviation",
    "positive": "share > 0",
    "annual_excess_return": "top annual excess",
    "information_ratio": "top information ratio",
    "monthly_win_rate": "top months won",
    "turnover": "top turnover",
    "pictures": "Rank IC and excess return by factor",
    "cumulative_ic": "Rank IC added up",
    "group_values": "Net value of the groups over all stocks",
    "group_values_note": "Group 1 has the highest values. {shown}",
    "most_telling": "Shown are the {most} factors of the highest |ICIR| of {count}.",
    "correlation_note": "Mean over the test days of the correlation of ranks.",
    "ic_years": "Mean Rank IC by year",
    "top_years": "Top group's excess return by year",
    "years": "By year",
}
_ZH = {
    "title": "单因子测试：{count} 个因子，{universe}，{first} 至 {last}",
    "lead": "悬停查看数值，拖动放大，双击还原，点击图例隐藏曲线。",
    "tested": "测试设置",
    "universe": "股票池",
    "days_tested": "截面",
    "every": "{count} 个，每 {rebalance} 个交易日一次，{first} 至 {last}",
    "left_stocks": "每个截面剔除",
    "no_close": "当日或次日无收盘价的股票",
    "limit_up": "{no_close}，以及次日收盘涨幅不低于 {limit:.1%} 的股票",
    "prepared": "预处理",
    "mean_days": "取过去 {days} 日均值",
    "clip": "3 倍 MAD 去极值",
    "neutral": "行业（{industry}）与对数市值（{size}）中性化",
    "neutral_size": "对数市值（{size}）中性化",
    "zscore": "标准化",
    "as_it_is": "无",
    "grouping": "分组",
    "grouped": "{groups} 组，等权，次日以 {price} 成交，不计费用",
    "label": "Rank IC 所用收益",
    "label_is": "次日至其后 {rebalance} 个交易日的 {price} 收益",
    "turned": "事后取反的因子",
    "left_out": "未测试",
    "factor": "因子",
    "summary_note": (
        "Rank IC 取自各截面；多头为因子值最高的一组，其相对全部测试股票的超额收益按复利、每年 252 日年化；"
        "月胜率；换手率为每次调仓新进股票的占比。"
    ),
    "mean": "Rank IC 均值",
    "std": "Rank IC 标准差",
    "positive": "Rank IC>0 占比",
    "annual_excess_return": "多头年化超额",
    "information_ratio": "多头信息比率",
    "monthly_win_rate": "多头月胜率",
    "turnover": "多头换手率",
    "pictures": "各因子 Rank IC 与多头超额收益",
    "cumulative_ic": "Rank IC 累计值",
    "group_values": "分组相对净值",
    "group_values_note": "第 1 组因子值最高。{shown}",
    "most_telling": "仅画出 {count} 个因子中 |ICIR| 最高的 {most} 个。",
    "correlation_note": "各截面秩相关系数的均值。",
    "ic_years": "分年 Rank IC 均值",
    "top_years": "多头分年超额收益",
    "years": "分年表现",
}

FACTOR_TEXTS: Mapping[str, Texts] = {"en": LANGUAGES["en"] | _EN, "zh": LANGUAGES["zh"] | _ZH}  # type: ignore[operator]
