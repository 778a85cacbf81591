"""What a workflow needs of its provider, checked before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator

from qlib.utils import flatten_dict

from qlib_ext.data.intraday import MINUTES
from qlib_ext.errors import ProviderError
from qlib_ext.expressions.engine import RAW_FIELD
from qlib_ext.provider.check import check_features
from qlib_ext.ticks.factors import GROUPS
from qlib_ext.workflows.reading import Workflow


def missing_data(workflow: Workflow) -> str:
    """What the provider lacks for a workflow; empty where it lacks nothing."""
    handler, provider = workflow.handler, workflow.provider
    universe = handler["kwargs"].get("instruments")
    stocks = f"instruments/{str(universe).lower()}.txt"
    if isinstance(universe, str) and not (provider / stocks).is_file():
        return f"the provider {provider} has no stocks {universe!r}, {stocks}; UNIVERSE names others"
    for benchmark in benchmarks(workflow):
        if not (provider / f"features/{benchmark.lower()}/close.day.bin").is_file():
            return f"the provider {provider} has no $close of the index {benchmark}; BENCHMARK names another"
    if handler["class"] == "MsNew" and not any((provider / f"calendars/{n}min.txt").is_file() for n in MINUTES):
        return f"the provider {provider} has no bars of {', '.join(map(str, MINUTES))} minutes"
    fields = {field for text in flatten_dict(handler["kwargs"]).values() for field in RAW_FIELD.findall(str(text))}
    if handler["class"] in ("HighFreq27", "FusedBars"):
        groups = handler["kwargs"].get("groups", list(GROUPS))
        without = handler["kwargs"].get("without", ())
        fields |= {f"hf_{name}" for group in groups for name in GROUPS[group] if name not in without}
    try:
        check_features(provider, sorted(fields), [folder.name for folder in (provider / "features").iterdir()])
    except ProviderError as error:
        return str(error)
    return ""


def benchmarks(workflow: Workflow) -> Iterator[str]:
    """The indices that backtests of the workflow are compared with."""
    for record in workflow.config["task"].get("record") or []:
        backtest = record.get("kwargs", {}).get("config", {}).get("backtest", {})
        if isinstance(backtest.get("benchmark"), str):
            yield backtest["benchmark"]
