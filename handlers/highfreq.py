"""The high-frequency factors of minute bars, trades and orders, day by day, neutral to industry and size."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, ClassVar

from handlers.alpha158vwap import LEARN_PROCESSORS
from handlers.bars import LABEL
from qlib_ext.data.handler import Columns, WindowHandler
from qlib_ext.data.window import Window
from qlib_ext.errors import ConfigError
from qlib_ext.keywords import check_types, refuse_unknown
from qlib_ext.ticks.factors import FAMILIES

MEAN_DAYS = 20  # of a factor's mean
NEUTRALISE = "qlib_ext.processors.neutralise"
PROCESSORS = "qlib_ext.processors.normalise"
INFER_PROCESSORS = (
    {"class": "MADClip", "module_path": NEUTRALISE},
    {"class": "Neutralise", "module_path": NEUTRALISE},
    {"class": "CSZScoreNorm", "module_path": PROCESSORS, "kwargs": {"fields_group": "feature"}},
    {"class": "Fillna", "module_path": PROCESSORS, "kwargs": {"fields_group": "feature"}},
)


class HighFreq27(WindowHandler):
    """40 days of the means over 20 days of 27 high-frequency factors: windows ``[samples, 40, 27]``.

    The provider has each factor as a field, ``$hf_<name>``, which ``qlib-ext ticks build`` writes; a column is its name
    in capital letters. families: those of ``qlib_ext.ticks.factors.FAMILIES``; ``[minute]`` is the data set ms,
    ``[trades, orders]`` the data set l2 of the other reports. without: factors that the provider cannot have, such as
    those of minute bars without a count of trades. A mean passes over the days that have no factor.

    Each factor is then set against those of the day's stocks: ``MADClip``, ``Neutralise`` on industry dummies and log
    size, z-score, and 0 where it is missing: no factor in 20 days, no size. The columns INDUSTRY and SIZE come with the
    rows as the group ``neutral``, which no net reads. industry: the expression of a number for each industry. size:
    that of the market value, whose log is taken; where the float is not known ``$total_mv``, or ``Mean($amount, 60)``.

    The label is ``vwap[t+11] / vwap[t+1] - 1``, z-scored over the day. Raises ConfigError for an unknown family or
    factor and where none is left, ProviderError for a provider without the factors, the industry or the size, DataError
    where one of them is NaN in every row.
    Source: Huatai Securities, artificial intelligence series 72 (2023-12-08), exhibits 7, 43 and 44.
    """

    window: ClassVar[Window] = Window(length=40)  # type: ignore[misc]

    def __init__(
        self,
        families: Sequence[str] = tuple(FAMILIES),
        without: Sequence[str] = (),
        industry: str = "$industry",
        size: str = "$float_mv",
        label: Any = LABEL,
        infer_processors: Any = INFER_PROCESSORS,
        learn_processors: Any = LEARN_PROCESSORS,
        **kwargs: Any,
    ) -> None:
        check_types(HighFreq27.__init__, locals())
        super().__init__(
            features=factor_columns(families, without, type(self).__name__),
            label=label,
            others={"neutral": neutral_columns(industry, size)},
            infer_processors=infer_processors,
            learn_processors=learn_processors,
            **kwargs,
        )


def factor_columns(families: Sequence[str], without: Sequence[str], owner: str) -> Columns:
    """The means of some families' factors; raises ConfigError for an unknown name, and where no factor is left."""
    refuse_unknown(families, FAMILIES, f"families of {owner}")
    refuse_unknown(without, chain(*FAMILIES.values()), f"without of {owner}")
    names = [name for family in FAMILIES if family in families for name in FAMILIES[family] if name not in without]
    if not names:
        raise ConfigError(f"No factor is left: families names some of {', '.join(FAMILIES)}, without some of theirs.")
    return [f"Mean($hf_{name}, {MEAN_DAYS})" for name in names], [name.upper() for name in names]


def neutral_columns(industry: str, size: str) -> Columns:
    """What ``Neutralise`` reads of a stock beside its factors."""
    return [industry, f"Log({size})"], ["INDUSTRY", "SIZE"]
