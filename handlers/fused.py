"""Day, week and month bars with the high-frequency factors beside them: four sources for one net."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from qlib.data.dataset.processor import Processor

from handlers.alpha158vwap import LEARN_PROCESSORS
from handlers.bars import FREQUENCY_FIELDS, LABEL, columns_of
from handlers.highfreq import NEUTRALISE, factor_columns, neutral_columns
from qlib_ext.data.handler import WindowHandler
from qlib_ext.data.layout import Series
from qlib_ext.data.shapes import frequencies
from qlib_ext.data.shapes.frequencies import Frequencies, WithFactors
from qlib_ext.data.window import Window
from qlib_ext.errors import ConfigError
from qlib_ext.keywords import check_types
from qlib_ext.ticks.factors import FAMILIES

FACTORS = "highfreq"  # the series of the factors in lengths
LENGTHS = frequencies.LENGTHS | {FACTORS: 40}
INFER_PROCESSORS = (
    {"class": "MADClip", "module_path": NEUTRALISE},
    {"class": "Neutralise", "module_path": NEUTRALISE},
)  # the z-score, and the 0 of what is missing, come with the window
AS_FEATURES = {"class": "AsFeatures", "module_path": "handlers.fused"}


class FusedBars(WindowHandler):
    """The bars of ``MultiFrequencyBars`` and 40 days of the factors of ``HighFreq27``: windows ``[samples, 1512, 1]``.

    The four series stand one after the other, all values in a row (``WithFactors``): 40 days, 20 weeks and 12 months of
    6 fields, 40 days of 27 factors. The bars are those of MultiFrequencyBars, number for number, without its calendar.

    The factors are the means over 20 days, clipped and neutralised on their own day as in HighFreq27; infer_processors
    see them alone. Their z-score is the window's, which the bars need too, so that nothing is standardised twice:
    a factor of day t-k is clipped once more and standardised over today's members, ``cross_section.standardise``. Among
    the same stocks that is the z-score of day t-k but for what lies beyond the clip. Missing, and therefore 0: a factor
    that is not known, and the days before the listing, which HighFreq27 fills with the first day.

    lengths: of the series, the factors being the last of them; ``lengths: {day: 40, highfreq: 40}`` reads day bars and
    factors. The other options are those of HighFreq27. Windows reach as far back as the lengths ask, 240 trading days:
    step_len is no other, and WindowError is raised where the provider has fewer. Raises ConfigError for other lengths,
    DataError where all volumes are zero, and what HighFreq27 raises.
    Source: Huatai Securities, artificial intelligence series 72 (2023-12-08), the text before exhibit 57.
    """

    def __init__(
        self,
        lengths: Mapping[str, int] = LENGTHS,
        families: Sequence[str] = tuple(FAMILIES),
        without: Sequence[str] = (),
        industry: str = "$industry",
        size: str = "$float_mv",
        label: Any = LABEL,
        infer_processors: Any = INFER_PROCESSORS,
        learn_processors: Any = LEARN_PROCESSORS,
        **kwargs: Any,
    ) -> None:
        check_types(FusedBars.__init__, locals())
        if FACTORS not in lengths:
            raise ConfigError(
                f"lengths names {FACTORS}, the days of the factors, beside others, as {LENGTHS}; not {dict(lengths)}. "
                "Without factors take handlers.bars.MultiFrequencyBars."
            )
        bars = Frequencies({name: length for name, length in lengths.items() if name != FACTORS})
        shape = WithFactors(bars, lengths[FACTORS])
        factors = factor_columns(families, without, type(self).__name__)
        series = {**bars.series, FACTORS: Series(shape.length, (len(factors[0]),))}
        super().__init__(
            features=factors,
            label=label,
            window=Window(shape.days, shape, standardise=True, multiple=shape.days, series=series),
            others={"bars": columns_of(FREQUENCY_FIELDS), "neutral": neutral_columns(industry, size)},
            infer_processors=[*infer_processors, AS_FEATURES],
            learn_processors=learn_processors,
            **kwargs,
        )


class AsFeatures(Processor):
    """The columns of the group ``bars`` as features, before the others: what comes first reads the factors alone."""

    def __call__(self, df: pd.DataFrame) -> pd.DataFrame:
        return df.rename(columns={"bars": "feature"}, level=0)
