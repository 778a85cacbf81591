"""One check of a whole task, as Qlib's trainer is about to run it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qlib.config import C
from qlib.log import get_module_logger
from qlib.utils import init_instance_by_config
from qlib.utils.data import deepcopy_basic_type

from qlib_ext.checks.days import check_benchmark, check_segments
from qlib_ext.checks.members import check_members
from qlib_ext.checks.names import RECORDS, backtests, check_names, class_of, records_of
from qlib_ext.checks.segments import check_segment_names
from qlib_ext.data.intraday import BAR_MINUTES
from qlib_ext.data.needs import Needs, needs_of
from qlib_ext.data.segments import bounds_of
from qlib_ext.errors import ConfigError, ProviderError, QlibExtError
from qlib_ext.provider.calendar import calendar_file
from qlib_ext.provider.check import check_features
from qlib_ext.provider.names import fields_in, instruments_with_features

NOTHING = Needs(universe=None, fields=())
MADE = ("qlib", "qlib_ext")  # packages whose records are made to be checked: they read nothing until they are run

logger = get_module_logger("qlib_ext.checks")


def check_before_training(task: Mapping[str, Any]) -> None:
    """``check_task`` on the provider that Qlib was given; warnings go to the log."""
    for warning in check_task(task, Path(C.dpm.get_data_uri("day"))):
        logger.warning(warning)


def check_task(
    task: Mapping[str, Any], provider: Path, importable: bool = True, backtests_follow: bool = True
) -> list[str]:
    """Raise the first thing that would stop a task's run, or spoil its end; warnings of what it would pass over.

    importable         whether every module that it names can be imported by now
    backtests_follow   whether its records are to be run

    A strategy's class may have a ``check_backtest(options, config, provider, test)``, which is called with its kwargs,
    the record's config and the first and last day of the test, a record and a handler a ``needs()``, a model
    ``segments_read``, the segments without which it cannot be trained. Raises
    ConfigError for names and options, SegmentError for days, DataError for the universe and relations, ProviderError
    for what the provider lacks.
    """
    task = deepcopy_basic_type(dict(task))  # Qlib writes dates into processors' options as it makes them
    check_names(task, importable)
    check_segment_names(task, importable, records_follow=backtests_follow)
    if _is_of("qlib_ext", task.get("model"), importable):
        init_instance_by_config(task["model"])
    dataset = (task.get("dataset") or {}).get("kwargs") or {}
    segments, handler = dataset.get("segments") or {}, dataset.get("handler")
    needs = _needs(handler, importable)
    warnings = check_segments(segments, provider)
    options = (handler.get("kwargs") or {}) if isinstance(handler, Mapping) else {}
    warnings += check_members(options, needs.universe, provider)
    if needs.relations:
        from qlib_ext.relations.tables import require_relations  # polars, which a model without relations does without

        require_relations(provider, needs.relations)
    if needs.minute_fields and not any(calendar_file(provider, f"{n}min").is_file() for n in BAR_MINUTES):
        raise ProviderError(f"the provider {provider} has no bars of {', '.join(map(str, BAR_MINUTES))} minutes")
    fields = set(needs.fields)
    if backtests_follow:
        for record in records_of(task):
            fields |= _fields_of_record(record, importable)
    check_features(provider, sorted(fields), instruments_with_features(provider))
    for config in backtests(task) if backtests_follow else ():
        test = segments.get("test")
        _check_strategy(config, provider, (None, None) if test is None else bounds_of("test", test), importable)
        warnings += check_benchmark(config.get("backtest") or {}, test, needs.universe, provider)
    return warnings


def _needs(handler: Any, importable: bool) -> Needs:
    """The needs of a handler; of one of Qlib's own its universe and the label's fields: it does without others."""
    klass = class_of(handler, None, importable) if isinstance(handler, Mapping) and "class" in handler else None
    if klass is None:
        return NOTHING
    if (needs := needs_of(handler)) is not None:
        return needs
    if klass.__module__.partition(".")[0] != "qlib":
        return NOTHING
    try:
        made = init_instance_by_config(handler | {"kwargs": (handler.get("kwargs") or {}) | {"init_data": False}})
        label = made.data_loader.fields["label"][0]
    except (AttributeError, KeyError, TypeError):  # a loader of something else than expressions
        return NOTHING
    return Needs(made.instruments if isinstance(made.instruments, str) else None, tuple(fields_in(label)))


def _is_of(package: str, config: Any, importable: bool, module: str | None = None) -> bool:
    klass = class_of(config, module, importable) if isinstance(config, Mapping) and "class" in config else None
    return getattr(klass, "__module__", "").partition(".")[0] == package


def _fields_of_record(record: Mapping[str, Any], importable: bool) -> set[str]:
    """Make a record as Qlib's trainer will, without a run; the daily fields that it, and its exchange, will read."""
    fields = set()
    if any(_is_of(package, record, importable, RECORDS) for package in MADE):
        try:
            made = init_instance_by_config(
                dict(record), recorder=None, default_module=RECORDS, try_kwargs={"model": None, "dataset": None}
            )
        except QlibExtError:
            raise
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise ConfigError(
                f"The record {record['class']} cannot be made of its kwargs, {type(error).__name__}: {error}."
            ) from error
        if hasattr(made, "needs"):
            fields |= set(made.needs().fields)
    config = (record.get("kwargs") or {}).get("config")
    backtest = (config.get("backtest") or {}) if isinstance(config, Mapping) else {}
    return fields | {field for price in _prices(backtest) for field in fields_in([f"${price.removeprefix('$')}"])}


def _prices(backtest: Mapping[str, Any]) -> Iterator[str]:
    """What orders of a backtest are dealt at."""
    exchange = backtest.get("exchange_kwargs") or {}
    if isinstance(exchange.get("exchange"), Mapping):
        exchange = exchange["exchange"].get("kwargs") or {}
    price = exchange.get("deal_price")
    yield from filter(None, price if isinstance(price, list | tuple) else [price])


def _check_strategy(config: Mapping[str, Any], provider: Path, test: tuple[Any, Any], importable: bool) -> None:
    strategy = config.get("strategy")
    klass = class_of(strategy, None, importable) if isinstance(strategy, Mapping) and "class" in strategy else None
    if klass is not None and isinstance(strategy, Mapping) and hasattr(klass, "check_backtest"):
        klass.check_backtest(strategy.get("kwargs") or {}, config, provider, test)
