"""Why a part of an analysis is missing, in the language of a page."""

from __future__ import annotations

import re
from collections.abc import Mapping

CHINESE = (  # what the package says in English, and the same in Chinese with the groups of the expression
    (r"the recorded (\S+) is a pickle, and none is read", r"记录的 \1 是 pickle 文件，按要求未读取"),
    (r"the recorded (\S+) is damaged: it is not what was written", r"记录的 \1 已损坏，与写入时不同"),
    (r"the recorded (\S+) cannot be read \((\w+): .*\)", r"记录的 \1 无法读取（\2）"),
    (r"the provider has no bars of 15, 5 or 1 minutes", r"数据目录没有 15、5 或 1 分钟行情"),
    (r"the provider has no (\$.*)", r"数据目录没有 \1"),
    (r"the (\S+) calendar has no bars on the days of the scores", r"\1 日历在打分日没有行情"),
    (r"the (\S+) bars have no (.*) from (.*) to (.*)", r"\1 行情自 \3 至 \4 没有 \2"),
    (r"none of its members has a score", r"其成分股均无打分"),
    (r"Experiment '(.*)' has no finished run.*", r"实验“\1”没有已完成的运行"),
    (r"There is no experiment '(.*?)' in .*", r"没有名为“\1”的实验"),
    (r"The universe '(.*?)' .*", r"数据目录没有股票池“\1”"),
)


def reason_in(reason: str, texts: Mapping[str, str]) -> str:
    """A reason, which the package gives in English, in the language of the texts; one without a translation is quoted.

    What it quotes is what the program says elsewhere, to be searched for.
    """
    if texts["list"] != "、":
        return reason
    for pattern, chinese in CHINESE:
        if found := re.fullmatch(pattern, reason):
            return found.expand(chinese)
    return f"程序提示“{reason}”"
