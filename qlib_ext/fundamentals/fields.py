"""Announcements -> daily fields of a provider, each value from the trading day after its announcement on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from qlib_ext.errors import ConfigError
from qlib_ext.fundamentals.measures import as_known
from qlib_ext.fundamentals.reports import read_reports
from qlib_ext.provider.check import check_provider
from qlib_ext.provider.dates import as_text
from qlib_ext.provider.names import instruments_with_features, named_as
from qlib_ext.provider.tables import Added, add_fields


def add_fundamentals(
    provider: str | Path,
    table: pl.DataFrame,
    measures: Mapping[str, Sequence[str]],
    to_date: bool = True,
    period: str = "period",
    announced: str = "announced",
    overwrite: bool = False,
) -> Added:
    """Write measures of reports into a provider, each as ``field_of`` its column and its measure.

    table      rows (instrument, period, announced, values) of ``read_reports``
    measures   measure of FORMULAS -> columns of the table, such as {"ttm": ["earnings"], "latest": ["equity"]}
    to_date    reported values add up from the year's first quarter on, as Chinese statements of profit and cash do
    overwrite  fields may exist: their values from the table's first day on are replaced, for the table's stocks

    Raises DataError for a table that cannot be used, ConfigError for measures of nothing, and what ``add_fields``
    raises.
    """
    wanted = {field_of(column, measure): (column, measure) for measure, own in measures.items() for column in own}
    if not wanted:
        raise ConfigError("Name at least one measure and its columns, such as {'latest': ['equity']}.")
    columns = sorted({column for column, _ in wanted.values()})
    provider = Path(provider).expanduser().absolute()
    check_provider(provider)
    if "instrument" in table.columns:  # a stock under two names would be two
        names = named_as(instruments_with_features(provider), as_text(table["instrument"]))
        table = table.with_columns(names.alias("instrument"))
    known = as_known(read_reports(table, columns, period, announced), wanted, to_date)
    return add_fields(provider, known, list(wanted), date_column="known", hold=True, overwrite=overwrite)


def field_of(column: str, measure: str) -> str:
    """``earnings`` for its latest value, ``earnings_ttm`` for another measure."""
    return column if measure == "latest" else f"{column}_{measure}"
