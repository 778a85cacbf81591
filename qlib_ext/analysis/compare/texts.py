"""The lines below a comparison in English, which a terminal shows, and in Chinese."""

from __future__ import annotations

from collections.abc import Mapping

Texts = Mapping[str, str]

ENGLISH = {
    "list": ", ",
    "and": " and ",
    "named": "{text} ({names})",
    "fact": "{title}: {value}",
    "yes": "yes",
    "no": "no",
    "span": " to ",
    "open": "open",
    "unknown": "unknown",
    "universe": "universe",
    "test": "test",
    "label": "label",
    "simulated": "simulated",
    "SIMULATED": "SIMULATED",
    "segments": "segments",
    "train": "train",
    "valid": "valid",
    "backtest": "backtest",
    "provider": "provider",
    "provider_facts": "{folder}, {first} to {last}, {days:,} days, {stocks:,} stocks",
    "IC": "IC",
    "ICIR": "ICIR",
    "Rank IC": "Rank IC",
    "Rank ICIR": "Rank ICIR",
    "excess return without cost": "annual excess return without cost",
    "excess return with cost": "annual excess return with cost",
    "information ratio": "information ratio",
    "max drawdown": "max drawdown",
    "different_tests": "Not the same test, not to be compared: {differences}.",
    "problem": "{name}: universe and label are unknown, because {problem}.",
    "apart": "{name}: its {runs} runs differ in {params}, so each stands by itself and no mean is taken.",
    "no_params": "{name}: {count} of its {runs} runs logged no parameters, so they may differ in more than the seed.",
    "repeats": "{name}: {count} of its {runs} runs repeat the parameters and the seed of another.",
    "few_runs": "{name}: of the {last} runs asked for there are {runs}.",
    "year": (
        "Returns and information ratios are brought to a year of 252 trading days, and the backtest is counted from "
        "the first day on which a score could be traded."
    ),
    "qlib": "{name}: Qlib's own figures, by its year of {steps} {step}s and of all days: {figures}.",
    "day": "day",
    "week": "week",
    "month": "month",
    "rank_ic_difference": "{a} less {b}: daily Rank IC {mean}, t = {t}, {days} days",
    "excess_difference": "{a} less {b}: annual excess return {mean}, t = {t}, {days} steps of the backtest",
    "undefined": "not defined",
    "paired": "t: the last runs, paired by day, Newey and West; beyond 2 in size is rarely noise, if two were compared",
}
CHINESE = {
    "list": "、",
    "and": "与",
    "named": "{text}（{names}）",
    "fact": "{title}：{value}",
    "yes": "是",
    "no": "否",
    "span": " 至 ",
    "open": "不限",
    "unknown": "未知",
    "universe": "股票池",
    "test": "测试期",
    "label": "标签",
    "simulated": "模拟行情",
    "SIMULATED": "模拟行情",
    "segments": "样本划分",
    "train": "训练",
    "valid": "验证",
    "backtest": "回测",
    "provider": "数据",
    "provider_facts": "{folder}，{first} 至 {last}，{days:,} 个交易日，{stocks:,} 只股票",
    "IC": "IC",
    "ICIR": "ICIR",
    "Rank IC": "Rank IC",
    "Rank ICIR": "Rank ICIR",
    "excess return without cost": "年化超额收益（费前）",
    "excess return with cost": "年化超额收益（费后）",
    "information ratio": "信息比率",
    "max drawdown": "最大回撤",
    "different_tests": "测试不同，不可比较：{differences}。",
    "problem": "{name}：股票池与标签未知，因为{problem}。",
    "apart": "{name}：其 {runs} 次运行的 {params} 不同，故逐一列出，不取均值。",
    "no_params": "{name}：{runs} 次运行中有 {count} 次未记录参数，无从得知它们是否仅随机种子不同。",
    "repeats": "{name}：{runs} 次运行中有 {count} 次与另一次的参数和随机种子相同。",
    "few_runs": "{name}：要求 {last} 次运行，只有 {runs} 次已完成。",
    "year": "收益与信息比率按每年 252 个交易日年化；回测自打分可交易的首日起计。",
    "qlib": "{name}：Qlib 自身的数值（每年按 {steps} {step}计，且包含全部交易日）：{figures}。",
    "day": "日",
    "week": "周",
    "month": "月",
    "rank_ic_difference": "{a} 减 {b}：日均 Rank IC {mean}，t = {t}，{days} 个交易日",
    "excess_difference": "{a} 减 {b}：年化超额收益 {mean}，t = {t}，回测 {days} 期",
    "undefined": "无定义",
    "paired": "t 值：取各实验最近一次运行，按日配对，Newey-West 调整；若只比较两个实验，绝对值超过 2 一般不是噪声",
}
LINES: Mapping[str, Texts] = {"en": ENGLISH, "zh": CHINESE}


def in_language(text: str, texts: Texts) -> str:
    """A span of days or the name of a universe in the language of the texts."""
    span = text.split(ENGLISH["span"])
    return texts["span"].join(texts[part] if part in ("open", "unknown") else part for part in span)
