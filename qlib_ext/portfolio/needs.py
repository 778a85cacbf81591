"""What index enhancement needs of its options, its provider and its risk model, checked before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

import pandas as pd
from qlib.utils.time import Freq

from qlib_ext.errors import ConfigError, DataError, ProviderError
from qlib_ext.keywords import refuse_unknown
from qlib_ext.portfolio.constraints import Styles
from qlib_ext.portfolio.exchange import BoardExchange
from qlib_ext.portfolio.setting import Benchmark, Setting, setting_of
from qlib_ext.provider.calendar import read_calendar
from qlib_ext.provider.names import feature_folder, instruments_with_features
from qlib_ext.provider.panels import checked_folder, fields_known, read_spans
from qlib_ext.risk.build import build
from qlib_ext.risk.covariance import LEAST_DAYS
from qlib_ext.risk.files import RiskFiles
from qlib_ext.risk.market import source_of
from qlib_ext.risk.model import SOURCE

OF_SETTING = ("benchmark", "constraints", "objective", "rebalance", "relax")


def check_enhancement(
    strategy: Mapping[str, Any], config: Mapping[str, Any], provider: str | Path, test: Sequence[Any] = (None, None)
) -> None:
    """Raise for what an IndexEnhancement would fail by at the end of a run.

    strategy   its kwargs; config: that of EnhancementRecord, or of PortAnaRecord
    test       the first and the last day with a score, None: not known

    Raises ConfigError for options that make no sense, and for an executor whose steps are no days, ProviderError for a
    provider without the index, its members, their weights, or what the risk model reads, DataError for a folder of the
    risk model that is none, begins after the first day, or ends before the last.
    """
    backtest = config.get("backtest") or {}
    check_executor(config)
    given = {name: strategy[name] for name in OF_SETTING if name in strategy}
    setting = setting_of(**{"benchmark": None, "constraints": (), **given})
    if not backtest.get("benchmark"):
        raise ConfigError("The backtest has no benchmark; write the index that is enhanced, benchmark: SH000905.")
    account = backtest.get("account", 1)
    if isinstance(account, str | bool) or (isinstance(account, int | float) and not account > 0):
        raise ConfigError(f"The backtest's account is an amount of money above 0, not {account!r}.")
    exchange = (backtest.get("exchange_kwargs") or {}).get("exchange")
    if isinstance(exchange, Mapping) and exchange.get("class") == BoardExchange.__name__:
        # days that are null are filled in by the record
        BoardExchange.check_options({**(exchange.get("kwargs") or {}), "start_time": 0, "end_time": 0})
    folder = checked_folder(provider)
    _check_index(folder, setting.benchmark)
    _check_risk(folder, setting, dict((strategy.get("risk") or {}).get("kwargs") or {}), test)


def check_executor(config: Mapping[str, Any]) -> None:
    """Raise ConfigError for an executor, where the config of a record names one, whose steps are no days."""
    if executor := config.get("executor"):
        refuse_other_steps((executor.get("kwargs") or {}).get("time_per_step"))


def refuse_other_steps(time_per_step: Any) -> None:
    """Raise ConfigError for an executor of weeks, months or minutes: index enhancement decides day by day.

    Of a step of a week, Qlib's calendar misses some, its score is a week old, and its price the last day's.
    """
    try:
        of_days = Freq(time_per_step) == Freq("day")
    except (ValueError, NotImplementedError):  # no step at all
        of_days = False
    if not of_days:
        raise ConfigError(
            f"The executor's time_per_step is {time_per_step}, and index enhancement needs an account of each day: "
            "write time_per_step: day in the executor, and rebalance: day, week or month in the strategy."
        )


def _check_index(folder: Path, benchmark: Benchmark) -> None:
    """The members' list, the bars that weights are implied by, or the field of the weights."""
    index, members, weights = benchmark.index, benchmark.members, benchmark.weights
    stocks = sorted({*read_spans(folder, members)["instrument"]} & instruments_with_features(folder))
    if not stocks:
        raise ProviderError(f"None of the members of {members} has bars in {folder}.")
    field = f"{members.lower()}_weight" if weights is None else weights.removeprefix("$").lower()
    if weights not in (None, "implied") and not fields_known(folder, [field], stocks):
        raise ProviderError(f"{folder} has no ${field} of any member of {members}; take weights: implied, or write it.")
    if not (feature_folder(folder, index) / "close.day.bin").is_file():
        raise ProviderError(f"{folder} has no $close of the index {index}; name its instrument.")


def _check_risk(folder: Path, setting: Setting, options: dict[str, Any], test: Sequence[Any]) -> None:
    """The model of the folder, or what the provider must have for one that is made."""
    made_of = {name: options[name] for name in SOURCE if name in options}
    files = RiskFiles(options["folder"]) if options.get("folder") else None
    days = None if files is None else files.days()
    if files is None or days is None or options.get("provider"):
        if files is not None and days is None and files.holds_something_else():
            raise DataError(f"{files.folder} holds no risk model and something else; build one with `qlib-ext risk`.")
        defaults = {name: signature(build).parameters[name].default for name in SOURCE}
        source = source_of(options.get("provider") or folder, **{**defaults, **made_of})
        styles = [style.name for style in source.styles]
    else:
        about = files.about() or {}
        styles = about.get("styles", [])
        _check_days(files.folder, pd.DatetimeIndex(days["datetime"].to_numpy()), read_calendar(folder), *test)
    for constraint in setting.constraints:
        if isinstance(constraint, Styles):
            refuse_unknown(constraint.by_name, styles, "The risk model, for Styles,")


def _check_days(model: Path, known: pd.DatetimeIndex, calendar: pd.DatetimeIndex, first: Any, last: Any) -> None:
    """Raise DataError for a risk model whose days are not those of the score, from its first forecast on."""
    scored = calendar[calendar.slice_indexer(first, last)]
    if not len(scored):
        raise DataError(f"The provider has no day from {first} to {last}, of which a score is to be held.")
    if known[-1] < scored[-1]:
        raise DataError(
            f"The risk model in {model} ends on {known[-1]:%Y-%m-%d}, scores on {scored[-1]:%Y-%m-%d}; add its days "
            "with `qlib-ext risk`."
        )
    before = int((known < scored[0]).sum())
    if first is not None and before < LEAST_DAYS:
        raise DataError(
            f"The risk model in {model} begins on {known[0]:%Y-%m-%d}, {before} days before the scores of "
            f"{scored[0]:%Y-%m-%d}, and needs {LEAST_DAYS}; let the test begin later, or make it of earlier bars."
        )
