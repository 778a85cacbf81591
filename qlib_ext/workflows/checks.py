"""What a workflow needs of its provider, checked before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator

from qlib.utils import flatten_dict

from qlib_ext.data.intraday import MINUTES
from qlib_ext.errors import ProviderError
from qlib_ext.provider.calendar import calendar_file
from qlib_ext.provider.check import check_features
from qlib_ext.provider.names import feature_folder, fields_in, instruments_with_features
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
        if not (feature_folder(provider, benchmark) / "close.day.bin").is_file():
            return f"the provider {provider} has no $close of the index {benchmark}; BENCHMARK names another"
    if handler["class"] == "MsNew" and not any(calendar_file(provider, f"{n}min").is_file() for n in MINUTES):
        return f"the provider {provider} has no bars of {', '.join(map(str, MINUTES))} minutes"
    fields = set(fields_in(map(str, flatten_dict(handler["kwargs"]).values())))
    if handler["class"] in ("HighFreq27", "FusedBars"):
        groups = handler["kwargs"].get("groups", list(GROUPS))
        without = handler["kwargs"].get("without", ())
        fields |= {f"hf_{name}" for group in groups for name in GROUPS[group] if name not in without}
    try:
        check_features(provider, sorted(fields), instruments_with_features(provider))
    except ProviderError as error:
        return str(error)
    return ""


def benchmarks(workflow: Workflow) -> Iterator[str]:
    """The indices that backtests of the workflow are compared with."""
    for record in workflow.config["task"].get("record") or []:
        backtest = record.get("kwargs", {}).get("config", {}).get("backtest", {})
        if isinstance(backtest.get("benchmark"), str):
            yield backtest["benchmark"]
