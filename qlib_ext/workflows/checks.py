"""What a workflow needs of its provider, checked before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qlib.utils import get_callable_kwargs

from qlib_ext.data.intraday import BAR_MINUTES
from qlib_ext.data.needs import Needs, needs_of
from qlib_ext.data.segments import bounds_of
from qlib_ext.errors import ConfigError, DataError, ProviderError
from qlib_ext.provider.calendar import calendar_file
from qlib_ext.provider.check import check_features, check_future_days
from qlib_ext.provider.names import feature_folder, instruments_with_features, require_universe
from qlib_ext.relations.tables import require_relations
from qlib_ext.workflows.reading import Workflow

NOTHING = Needs(universe=None, fields=())


def missing_data(workflow: Workflow, backtests_follow: bool = True) -> str:
    """What the provider lacks for a workflow, or without its backtests; empty where it lacks nothing."""
    provider = workflow.provider
    try:
        needs = needs_of(workflow.handler) or NOTHING
    except ConfigError as error:
        return str(error)
    except ImportError:  # a module of the user's own, which qrun finds by the workflow's `sys`
        needs = NOTHING
    try:
        if needs.universe is not None:
            require_universe(provider, needs.universe)
        for benchmark in benchmarks(workflow) if backtests_follow else ():
            check_future_days(provider)
            if not (feature_folder(provider, benchmark) / "close.day.bin").is_file():
                return f"the provider {provider} has no $close of the index {benchmark}; BENCHMARK names another"
    except DataError as error:
        return f"{error} UNIVERSE names another."
    except ProviderError as error:
        return str(error)
    try:
        require_relations(provider, needs.relations)
    except DataError as error:
        return str(error)
    if needs.minute_fields and not any(calendar_file(provider, f"{n}min").is_file() for n in BAR_MINUTES):
        return f"the provider {provider} has no bars of {', '.join(map(str, BAR_MINUTES))} minutes"
    try:
        check_features(provider, needs.fields, instruments_with_features(provider))
        if backtests_follow:
            check_enhancements(workflow, provider)
    except (ProviderError, ConfigError, DataError) as error:
        return str(error)
    return ""


def benchmarks(workflow: Workflow) -> Iterator[str]:
    """The indices that backtests of the workflow are compared with."""
    for config in backtests(workflow):
        benchmark = config.get("backtest", {}).get("benchmark")
        if isinstance(benchmark, str):
            yield benchmark


def check_enhancements(workflow: Workflow, provider: Path) -> None:
    """Raise what is wrong with a strategy of index enhancement, its constraints or its data."""
    # Qlib's backtest takes its time and prints a notice of a package that it brings: not before names are known
    from qlib_ext.portfolio.needs import check_enhancement
    from qlib_ext.portfolio.strategy import IndexEnhancement

    for config in backtests(workflow):
        try:
            klass, options = get_callable_kwargs(config.get("strategy"))
        except (ImportError, AttributeError, KeyError, TypeError, NotImplementedError):  # of the user, or none
            continue
        if isinstance(klass, type) and issubclass(klass, IndexEnhancement):
            check_enhancement(klass, options, config.get("backtest") or {}, provider, last_test_day(workflow))


def backtests(workflow: Workflow) -> Iterator[dict[str, Any]]:
    """The configurations of records that backtest."""
    for record in workflow.config["task"].get("record") or []:
        if config := record.get("kwargs", {}).get("config"):
            yield config


def last_test_day(workflow: Workflow) -> Any:
    """The last day of the test, None where it is open."""
    segments = workflow.config["task"]["dataset"]["kwargs"].get("segments") or {}
    return bounds_of("test", segments["test"])[1] if "test" in segments else None
