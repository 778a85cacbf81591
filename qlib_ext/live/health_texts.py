"""The texts of the page of model health, beside those of every report, in English and in Chinese."""

from __future__ import annotations

from collections.abc import Mapping

from qlib_ext.analysis.report.texts import LANGUAGES, Texts

_EN = {
    "title": "Model health: {names}, {day}",
    "lead": "Hover for figures, drag to zoom, double-click to zoom out; a click on a legend hides a line.",
    "findings": "Findings",
    "no_finding": "Nothing was found.",
    "field": "field",
    "feature": "feature",
    "style": "style",
    "condition": "The model of late",
    "condition_note": (
        "Rank IC with the run's own label; turnover is the share of the day's best stocks that were not among them on "
        "the scored day before. Lower: how many of the 60-day means before were lower than the last."
    ),
    "rank_ic_recent": "Rank IC, last 60 days",
    "rank_ic_before": "Rank IC, before",
    "lower": "lower before",
    "best_stocks": "best stocks",
    "turnover_recent": "turnover, last 60 days",
    "turnover_before": "turnover, before",
    "rolling_rank_ic": "Rank IC, mean of 60 days; dotted: of all days before the last 60",
    "rolling_turnover": "turnover of the best, mean of 20 days",
    "exposures": "Exposures of the best stocks",
    "exposures_note": "To the styles of the risk model, over the mean of all stocks scored.",
    "features": "Features of the day against training",
    "features_note": (
        "Population stability index (PSI) over the stocks, before processors; limit: what 2 usual days in 1,000 are "
        "above, by sampled days of training; far out: the share of stocks whose value is far from all of these. The "
        "furthest {most} are shown."
    ),
    "scores": "Scores of the day",
    "scores_note": "PSI against scored days before, each day's mean taken off.",
    "psi": "PSI",
    "usual": "usual",
    "limit": "limit",
    "far_out": "far out",
    "shifted": "shifted",
    "fields": "Fields of the day",
    "fields_note": "The share of the members that have a value, on the day and in the 60 days before.",
    "today": "today",
    "least": "least",
    "recent": "last 60 days",
    "before": "60 days before",
    "not_shown": "Not shown of {name}: {reason}",
    "no_risk_model": "exposures, as its records name no folder of a risk model",
}

_ZH = {
    "title": "模型健康：{names}，{day}",
    "lead": "悬停查看数值，拖动放大，双击还原；点击图例可隐藏曲线。",
    "findings": "异常",
    "no_finding": "未发现异常。",
    "field": "字段",
    "feature": "特征",
    "style": "风格",
    "condition": "模型近况",
    "condition_note": (
        "Rank IC 用该实验自身的标签；换手率为头部股票中，前一打分日不在其中的比例。"
        "更低占比：此前各 60 日均值低于最近 60 日均值的比例。"
    ),
    "rank_ic_recent": "Rank IC，近 60 日",
    "rank_ic_before": "Rank IC，此前",
    "lower": "更低占比",
    "best_stocks": "头部股票数",
    "turnover_recent": "换手率，近 60 日",
    "turnover_before": "换手率，此前",
    "rolling_rank_ic": "Rank IC，60 日均值；虚线为近 60 日之前的均值",
    "rolling_turnover": "头部股票换手率，20 日均值",
    "exposures": "头部股票的风格暴露",
    "exposures_note": "相对全部打分股票的均值，风格来自风险模型。",
    "features": "当日特征与训练期的差异",
    "features_note": (
        "对当日股票截面计算群体稳定性指标（PSI），处理器之前；上限：由训练期抽样日估计，正常日超过它的概率为千分之二；"
        "远离占比：取值远离所有抽样日取值的股票比例。"
        "列出差异最大的 {most} 个。"
    ),
    "scores": "当日打分",
    "scores_note": "相对此前打分日的 PSI，各日减去均值。",
    "psi": "PSI",
    "usual": "通常",
    "limit": "上限",
    "far_out": "远离占比",
    "shifted": "偏移",
    "fields": "当日字段",
    "fields_note": "成分股中有值的比例：当日与此前 60 日。",
    "today": "当日",
    "least": "最低",
    "recent": "近 60 日",
    "before": "此前 60 日",
    "not_shown": "{name} 未列出：{reason}",
    "no_risk_model": "风格暴露，其记录未指定风险模型的文件夹",
}

HEALTH_TEXTS: Mapping[str, Texts] = {"en": {**LANGUAGES["en"], **_EN}, "zh": {**LANGUAGES["zh"], **_ZH}}
