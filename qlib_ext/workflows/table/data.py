"""The data sets of the workflows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qlib_ext.workflows.table.entry import DataSet, Kind, Options, variable

TRADED: Options = {"seasoned_days": 60, "traded_only": True}
NEUTRAL: Options = {"industry": variable("INDUSTRY", "'$industry'"), "size": variable("FLOAT_MV", "'$float_mv'")}
TURNOVER = '{turnover: "' + variable("TURNOVER", "'$volume / Mean($volume, 60)'") + '"}'
FLOAT_MV = '{float_mv: "' + variable("FLOAT_MV", "'$float_mv'") + '"}'
FACTORS = "day bars, $hf_... of {}, $industry, $float_mv"

OF_LABEL: Options = {"fields_group": "label"}
RANKED = Kind("CSRankNorm", "qlib.data.dataset.processor", OF_LABEL)
NORMAL_SCORES = Kind("CSNormalScores", "qlib_ext.processors.normal_scores", OF_LABEL)

ALPHA158 = DataSet("Alpha158vwap", "handlers.alpha158vwap")
ALPHA158_CLOSE = DataSet("Alpha158close", "handlers.alpha158close", needs="day bars, also without an average price")
DAY = DataSet("DayBars", "handlers.bars", TRADED | {"fields": TURNOVER})
WEEK = DataSet("Week", "handlers.week", TRADED | {"fields": TURNOVER})
TECHNICAL = DataSet("Technical", "handlers.technical", TRADED)
REPORTS = "what docs/fundamentals.md names of companies' reports"
FUNDAMENTALS = DataSet("Fundamentals", "handlers.fundamentals", TRADED, needs=f"day bars, {REPORTS}")
BARS_WITH_FUNDAMENTALS = DataSet(
    "BarsWithFundamentals",
    "handlers.fundamentals",
    TRADED | {"bars": TURNOVER},
    needs=f"day bars, {REPORTS}",
)
FLOWS = DataSet(
    "Flows",
    "handlers.flows",
    TRADED,
    needs="day bars, the flows that qlib-ext ticks build --families flows writes, or a vendor's",
)
FOUND = DataSet(
    "Expressions",
    "handlers.expressions",
    {"file": variable("FACTORS", "'factors.yaml'")} | TRADED,
    needs="day bars, the file of qlib-ext search or another of expressions",
)
MSNEW = DataSet(
    "MsNew",
    "handlers.msnew",
    TRADED | {"fields": FLOAT_MV},
    needs="day bars, bars of 30, 15, 5 or 1 minutes, $float_mv",
)
HIGHFREQ = DataSet(
    "HighFreq27",
    "handlers.highfreq",
    {"families": ["minute", "trades", "orders"]} | NEUTRAL,
    needs=FACTORS.format("minute bars, trades and orders"),
)
MS = replace(HIGHFREQ, options={"families": ["minute"]} | NEUTRAL, needs=FACTORS.format("minute bars"))
L2 = replace(HIGHFREQ, options={"families": ["trades", "orders"]} | NEUTRAL, needs=FACTORS.format("trades and orders"))


def graph(data: DataSet) -> DataSet:
    """The data set with the stocks' groups beside it, which a graph may draw together."""
    return replace(data, options={"group": variable("GRAPH_GROUP", "'null'")} | data.options)


def related(data: DataSet) -> DataSet:
    """The data set with those whom each stock is related to beside it, by default the stocks of its industry."""
    options = {"relations": variable("RELATIONS", "'[$industry]'")} | data.options
    return replace(data, options=options, needs=f"{data.needs}, $industry or the tables of other RELATIONS")


def multi_frequency(lengths: str, **options: Any) -> DataSet:
    """Day, week and month bars, so many of each."""
    return DataSet("MultiFrequencyBars", "handlers.bars", TRADED | {"lengths": lengths} | options)


def fused(lengths: str) -> DataSet:
    """Those with the high-frequency factors beside them."""
    options = {"lengths": lengths} | HIGHFREQ.options
    return DataSet("FusedBars", "handlers.fused", options, needs=HIGHFREQ.needs)


def recorded(*experiments: str, **options: Any) -> DataSet:
    """What the runs of other experiments left."""
    needs = f"day bars, the runs of {', '.join(experiments)}"
    return DataSet("RecordedFactors", "handlers.recorded", TRADED | {"experiments": list(experiments)} | options, needs)


def of_families() -> DataSet:
    """The scores of families of factors, one column each."""
    families = variable("FAMILIES", "'[market_day_gru, market_technical_gru]'")
    needs = "day bars, the runs of market_day_gru and market_technical_gru, or of other FAMILIES"
    return DataSet("RecordedFactors", "handlers.recorded", TRADED | {"experiments": families, "kind": "score"}, needs)
