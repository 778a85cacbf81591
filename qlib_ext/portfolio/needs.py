"""What index enhancement needs of its options, its provider and its risk model, checked before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any

import pandas as pd

from qlib_ext.errors import ConfigError, DataError, ProviderError
from qlib_ext.keywords import refuse_unknown
from qlib_ext.portfolio.constraints import Styles
from qlib_ext.portfolio.exchange import BoardExchange
from qlib_ext.portfolio.setting import Benchmark, Setting, setting_of
from qlib_ext.provider.calendar import read_calendar
from qlib_ext.provider.names import feature_folder, instruments_with_features
from qlib_ext.provider.panels import checked_folder, fields_known, read_spans
from qlib_ext.risk.build import build
from qlib_ext.risk.files import RiskFiles
from qlib_ext.risk.market import source_of
from qlib_ext.risk.model import SOURCE

OF_SETTING = ("benchmark", "constraints", "objective", "rebalance", "relax")


def check_enhancement(
    strategy: Mapping[str, Any],
    backtest: Mapping[str, Any],
    provider: str | Path,
    last: Any = None,
) -> None:
    """Raise for what an IndexEnhancement would fail by at the end of a run.

    strategy   its kwargs; backtest: that of EnhancementRecord
    last       the last day with a score, None: not known

    Raises ConfigError for options that make no sense, ProviderError for a provider without the index, its members,
    their weights, or what the risk model reads, DataError for a folder of the risk model that is none, or ends before.
    """
    given = {name: strategy[name] for name in OF_SETTING if name in strategy}
    setting = setting_of(**{"benchmark": None, "constraints": (), **given})
    if not backtest.get("benchmark"):
        raise ConfigError("The backtest has no benchmark; write the index that is enhanced, benchmark: SH000905.")
    exchange = (backtest.get("exchange_kwargs") or {}).get("exchange")
    if isinstance(exchange, Mapping) and exchange.get("class") == BoardExchange.__name__:
        # days that are null are filled in by the record
        BoardExchange.check_options({**(exchange.get("kwargs") or {}), "start_time": 0, "end_time": 0})
    folder = checked_folder(provider)
    _check_index(folder, setting.benchmark)
    _check_risk(folder, setting, dict((strategy.get("risk") or {}).get("kwargs") or {}), last)


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


def _check_risk(folder: Path, setting: Setting, options: dict[str, Any], last: Any) -> None:
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
        calendar = read_calendar(folder)
        wanted = calendar[calendar <= pd.Timestamp(last)][-1] if last is not None else calendar[-1]
        ends = pd.Timestamp(days["datetime"][-1])
        if ends < wanted:
            raise DataError(
                f"The risk model in {files.folder} ends on {ends:%Y-%m-%d}, scores on {wanted:%Y-%m-%d}; add "
                "its days with `qlib-ext risk`."
            )
    for constraint in setting.constraints:
        if isinstance(constraint, Styles):
            refuse_unknown(constraint.by_name, styles, "The risk model, for Styles,")
