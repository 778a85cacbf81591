"""Labels that are no return: infinite ones, and those of a price that is 0 or below."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd
from qlib.data import D
from qlib.log import get_module_logger

from qlib_ext.cross_section.cells import LEVELS
from qlib_ext.data.blocks import values_of
from qlib_ext.expressions.engine import StockBars
from qlib_ext.provider.names import fields_in

PRICES = ("open", "high", "low", "close", "vwap")

logger = get_module_logger("qlib_ext.loader")


def drop_unpriced_labels(members: pd.DataFrame, labels: Mapping[str, str]) -> None:
    """Make NaN, in place, of labels that are infinite or read a price of 0 or below, and log how many.

    members: rows by (datetime, instrument), with columns ("label", name); labels: their expressions by name. A provider
    that writes the suspended days as 0 would otherwise sell at 0, and buy at 0: one infinite label leaves no other
    stock of its day a z-score.
    """
    prices = [field for field in fields_in(labels.values()) if field.lower() in PRICES]
    stocks = [name for name in members.index.unique("instrument") if _has_unpriced_day(name, prices)]
    for name, expression in labels.items():
        column = members.columns.get_loc(("label", name))
        values = members.iloc[:, column].to_numpy()
        wrong = np.isinf(values) | (_unpriced(members.index, expression, prices, stocks) & ~np.isnan(values))
        if wrong.any():
            day, instrument = members.index[wrong.argmax()]
            if (block := values_of(members)) is not None:
                block[wrong, column] = np.nan  # pandas would copy all of them
            else:
                members.iloc[wrong, column] = np.nan
            logger.warning(
                f"{wrong.sum()} values of the label {name} = {expression} are infinite or of a price that is not above "
                f"0, and taken for missing, the first on {day:%Y-%m-%d} for {instrument}. Of a suspended day a price "
                "is to be NaN."
            )


def _unpriced(rows: pd.MultiIndex, expression: str, prices: list[str], stocks: list[str]) -> np.ndarray:
    """True for the rows of the stocks whose label, with prices that are not above 0 taken for missing, is missing."""
    if not stocks:
        return np.zeros(len(rows), dtype=bool)
    days = rows.unique("datetime")
    priced = re.sub(rf"\$(?:{'|'.join(prices)})\b", r"If(Gt(\g<0>, 0), \g<0>, 0 * \g<0> / 0)", expression)
    values = D.features(stocks, [priced], days.min(), days.max()).iloc[:, 0]
    return np.asarray(rows.isin(values.index[values.isna()].reorder_levels(LEVELS)))


def _has_unpriced_day(instrument: str, prices: list[str]) -> bool:
    return any((values <= 0).any() for values in StockBars.read(instrument, prices).values.values())
