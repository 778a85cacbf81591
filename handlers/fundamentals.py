"""What companies report, as each day knew it, among the day's stocks: alone, or beside bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from handlers.alpha158vwap import LEARN_PROCESSORS
from handlers.bars import DAY_FIELDS, LABEL, columns_of, replaced
from qlib_ext.data.handler import Columns, WindowHandler
from qlib_ext.data.layout import Series
from qlib_ext.data.shapes.images import relative_prices
from qlib_ext.data.window import Window
from qlib_ext.errors import ConfigError
from qlib_ext.factors.fundamentals import CATEGORIES, FIELDS, INDICATORS
from qlib_ext.keywords import check_types, refuse_unknown

DAYS = 30  # of bars


class Fundamentals(WindowHandler):
    """17 indicators of companies' reports as percentiles of the day's members: windows ``[samples, 1, 17]``.

    A column is an indicator of ``qlib_ext.factors.fundamentals``, made of what was known on the day. Its percentile
    among the members runs from -1/2 to 1/2, see ``cross_section.percentiles``; what is missing is 0, the middle.

    categories: those whose indicators are read. without: indicators that the provider cannot have. fields: expressions
    in place of those of FIELDS, by name, such as ``fields: {cash_flow: $fcff_ttm}``. Indicators of a past year reach
    back 243 trading days. The label is ``vwap[t+11] / vwap[t+1] - 1``, z-scored over the day.

    Raises ConfigError for an unknown category, indicator or field, and where no indicator is left; ProviderError for a
    provider that lacks a field, DataError for an indicator that is NaN in every row.
    Source: Orient Securities, market microstructure series 24 and 32 (2026-01-28), the indicators before the output.
    """

    def __init__(
        self,
        categories: Sequence[str] = CATEGORIES,
        without: Sequence[str] = (),
        fields: Mapping[str, str] | None = None,
        label: Any = LABEL,
        learn_processors: Any = LEARN_PROCESSORS,
        **kwargs: Any,
    ) -> None:
        check_types(Fundamentals.__init__, locals())
        columns = indicator_columns(categories, without, fields, type(self).__name__)
        super().__init__(
            features=columns,
            window=Window(1, standardise=True, percentiles=len(columns[0])),
            label=label,
            learn_processors=learn_processors,
            **kwargs,
        )


class BarsWithFundamentals(WindowHandler):
    """The bars of ``DayBars`` and the indicators of ``Fundamentals``: windows ``[samples, 197, 1]`` of two series.

    ``window``, 30 days of 6 fields, and behind it ``indicators``, those of the last day: all values in a row. Both are
    number for number what these handlers give. bars: the fields of DayBars; the other options are those of
    Fundamentals. The windows are always of 30 days.
    """

    def __init__(
        self,
        categories: Sequence[str] = CATEGORIES,
        without: Sequence[str] = (),
        fields: Mapping[str, str] | None = None,
        bars: Mapping[str, str] | None = None,
        label: Any = LABEL,
        learn_processors: Any = LEARN_PROCESSORS,
        **kwargs: Any,
    ) -> None:
        check_types(BarsWithFundamentals.__init__, locals())
        own = columns_of(replaced(DAY_FIELDS, bars, type(self).__name__))
        columns = indicator_columns(categories, without, fields, type(self).__name__)
        series = {"window": Series(DAYS, (len(own[0]),)), "indicators": Series(1, (len(columns[0]),))}
        super().__init__(
            features=(own[0] + columns[0], own[1] + columns[1]),
            window=Window(
                DAYS,
                BesideBars(len(own[0])),
                standardise=True,
                multiple=DAYS,
                series=series,
                percentiles=len(columns[0]),
            ),
            label=label,
            learn_processors=learn_processors,
            **kwargs,
        )


@dataclass(frozen=True)
class BesideBars:
    """Relative prices of the bars, and behind them the other fields of the last day, all values in a row.

    x [samples, days, bars + F] -> [samples, days * bars + F, 1].
    """

    bars: int

    def __call__(self, x: Tensor) -> Tensor:
        prices = relative_prices(x[..., : self.bars])  # [samples, days, bars]
        return torch.cat([prices.flatten(1), x[:, -1, self.bars :]], dim=1)[:, :, None]


def indicator_columns(
    categories: Sequence[str], without: Sequence[str], fields: Mapping[str, str] | None, owner: str
) -> Columns:
    """The indicators of some categories; raises ConfigError for an unknown name, and where no indicator is left."""
    refuse_unknown(categories, CATEGORIES, f"categories of {owner}")
    refuse_unknown(without, INDICATORS, f"without of {owner}")
    lines = replaced(FIELDS, fields, owner)
    left = {
        name: indicator
        for name, indicator in INDICATORS.items()
        if indicator.category in categories and name not in without
    }
    if not left:
        raise ConfigError(
            f"No indicator is left: categories of {owner} names some of {', '.join(CATEGORIES)}, without some of "
            "theirs."
        )
    return [indicator.expression(lines) for indicator in left.values()], list(left)
