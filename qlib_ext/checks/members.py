"""The stocks of a universe: that there are several, and that they have bars."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qlib_ext.data.segments import whole_day
from qlib_ext.errors import DataError, ProviderError
from qlib_ext.provider.names import instruments_with_field, require_universe
from qlib_ext.provider.panels import read_spans


def check_members(options: Mapping[str, Any], universe: str | None, provider: Path) -> list[str]:
    """Raise DataError for a universe of one stock, ProviderError for one without any bar; a warning for some without.

    options: the handler's; its instruments, and the days that it reads
    """
    named = options.get("instruments")
    if universe is not None:
        require_universe(provider, universe)
        stocks, of = _members(provider, universe, options), f"the universe {universe!r}"
    elif isinstance(named, list | tuple) or (isinstance(named, Mapping) and "market" not in named):
        stocks, of = {str(stock).upper() for stock in named}, "the named instruments"
    else:
        return []
    if len(stocks) < 2:
        raise DataError(
            f"The number of stocks in {of} is {len(stocks)} on the days of the data; a cross-section needs two. "
            "UNIVERSE names another."
        )
    without = sorted(stocks - instruments_with_field(provider, "close"))
    if len(without) == len(stocks):
        raise ProviderError(
            f"None of the {len(stocks)} members of {of} has bars in {provider}. UNIVERSE names another."
        )
    if not without:
        return []
    have = "has" if len(without) == 1 else "have"
    return [
        f"{len(without)} of {len(stocks)} members {have} no bars in {provider}, first {without[0]}. Where these are "
        "stocks that were delisted, all results are those of survivors: take data that have them."
    ]


def _members(provider: Path, universe: str, options: Mapping[str, Any]) -> set[str]:
    spans = read_spans(provider, universe)
    first, last = whole_day(options.get("start_time")), whole_day(options.get("end_time"))
    if first is not None:
        spans = spans[spans["last"] >= first]
    if last is not None:
        spans = spans[spans["first"] <= last]
    return set(spans["instrument"])
