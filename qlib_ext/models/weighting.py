"""Linear weightings of features that are scores themselves: the baselines of a non-linear weighting."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from qlib.data.dataset.handler import DataHandlerLP
from qlib.log import get_module_logger
from qlib.model.base import Model

from qlib_ext.cross_section.ic import ic_summary, rank_information_coefficient
from qlib_ext.cross_section.matrix import to_matrix
from qlib_ext.cross_section.zscore import zscore_or_mean
from qlib_ext.errors import ConfigError, DataError, NotFittedError
from qlib_ext.keywords import check_type, keywords_of, own_keywords, refuse_unknown, written_out

logger = get_module_logger("qlib_ext.models.weighting")


class Weighting(Model):
    """``sum_k w_k z_k / sum_k |w_k|``, z_k being feature k z-scored over the stocks of the day.

    A feature that is the same for all stocks of a day, or missing, counts 0 there, the mean. After ``fit``:
    ``weights_``, by feature.
    """

    def __init__(self, **unknown: Any) -> None:
        refuse_unknown(unknown, keywords_of(type(self)), type(self).__name__)
        super().__init__()
        self.weights_: pd.Series | None = None

    def __repr__(self) -> str:
        return written_out(self, own_keywords(self))

    @abstractmethod
    def weigh(self, dataset: Any) -> pd.Series:
        """The weights by feature, from the training segment."""

    def fit(self, dataset: Any) -> None:
        """Find the weights; raises DataError where all are 0 or one is not finite."""
        weights = self.weigh(dataset)
        if not np.isfinite(weights).all() or not weights.abs().sum():
            raise DataError(f"The weights {weights.to_dict()} are to be numbers, and not all 0.")
        self.weights_ = weights

    def predict(self, dataset: Any, segment: str | slice = "test") -> pd.Series:
        """The weighted mean of every sample of a segment, or of the days ``slice(first, last)``.

        Raises DataError where there is none, or a feature is missing.
        """
        if self.weights_ is None:
            raise NotFittedError(f"{type(self).__name__} has no weights yet: call fit.")
        features = dataset.prepare(segment, col_set="feature", data_key=DataHandlerLP.DK_I)
        if features.empty:
            days = (segment.start, segment.stop) if isinstance(segment, slice) else dataset.segments[segment]
            raise DataError(
                f"Segment {segment!r}, {days[0]} to {days[1]}, has no row to score: does it have a trading day?"
            )
        require_columns(self.weights_.index, features)
        return self.combine(zscore_or_mean(features[self.weights_.index])).rename("score")

    def combine(self, z: pd.DataFrame) -> pd.Series:
        """The weighted mean of z-scored features."""
        assert self.weights_ is not None  # ``predict`` has refused a model without
        # a matrix product would round a row by where it stands among the others
        weighted = sum((z[name] * weight for name, weight in self.weights_.items()), start=pd.Series(0.0, z.index))
        return weighted / self.weights_.abs().sum()


class EqualWeight(Weighting):
    """``mean_k z_k``: every feature counts the same."""

    segments_read: ClassVar[tuple[str, ...]] = ("train",)

    def weigh(self, dataset: Any) -> pd.Series:
        """1 for each feature."""
        return pd.Series(1.0, dataset.prepare("train", col_set="feature", data_key=DataHandlerLP.DK_L).columns)


class ICIRWeight(Weighting):
    """``w_k = mean_t IC_k,t / std_t IC_k,t``, IC_k,t the Rank IC of feature k on training day t, sign included."""

    segments_read: ClassVar[tuple[str, ...]] = ("train",)

    def weigh(self, dataset: Any) -> pd.Series:
        """The ICIR of each feature; raises DataError where it is undefined."""
        train = dataset.prepare("train", col_set=["feature", "label"], data_key=DataHandlerLP.DK_L)
        label = to_matrix(train["label"].iloc[:, 0], "label")
        icir = {name: icir_of(to_matrix(column, name), label) for name, column in train["feature"].items()}
        undefined = [name for name, value in icir.items() if not np.isfinite(value)]
        if undefined:
            raise DataError(
                f"The ICIR of {len(undefined)} of {len(icir)} features is undefined over {len(label)} training days, "
                f"the first is {undefined[0]!r}: it is the same for all stocks, or its Rank IC every day. Leave it out "
                "or train on more days."
            )
        return pd.Series(icir)


class LongOnlyWeight(Weighting):
    """``w_k = max(0, mean_t e_k,t)``, e_k,t what the best stocks by feature k had over all on training day t.

    That is the mean label of the best less that of all. Where no feature's best stocks did better, all count the same,
    and a warning says so. top: share of the day's stocks that are the best.

    Source: Orient Securities, market microstructure series 32 (2026-01-28), the composite ML_C by long-only returns.
    """

    segments_read: ClassVar[tuple[str, ...]] = ("train",)

    def __init__(self, top: float = 0.1, **unknown: Any) -> None:
        refuse_unknown(unknown, keywords_of(type(self)), type(self).__name__)
        check_type("top", top, float)
        if not 0 < top < 1:
            raise ConfigError(f"top is the share of the stocks that are held, between 0 and 1, not {top}.")
        super().__init__()
        self.top = top

    def weigh(self, dataset: Any) -> pd.Series:
        """The mean excess of each feature's best stocks, in the label's units, or 0."""
        train = dataset.prepare("train", col_set=["feature", "label"], data_key=DataHandlerLP.DK_L)
        label = to_matrix(train["label"].iloc[:, 0], "label")
        excess = {
            name: long_only_excess_by_day(to_matrix(of, name), label, self.top).mean()
            for name, of in train["feature"].items()
        }
        weights = pd.Series(excess).clip(lower=0.0).fillna(0.0)
        if not weights.any():
            logger.warning(
                f"The best {self.top:.0%} of the stocks by each of {len(weights)} features did no better than all over "
                f"{len(label)} training days, {label.index[0]:%Y-%m-%d} to {label.index[-1]:%Y-%m-%d}: all count the "
                "same in this window."
            )
            weights[:] = 1.0
        return weights


class Fusion(Weighting):
    """Given weights: ``Fusion(weights={"high_frequency": 1, "low_frequency": 3})``, by feature.

    The features of ``handlers.recorded.RecordedFactors`` with ``kind: score`` are named after their experiments.
    Source: Huatai Securities, artificial intelligence series 72 (2023-12-08), exhibits 57 to 61: high frequency to low
    frequency as 1 to 3.
    """

    def __init__(self, weights: Mapping[str, float], **unknown: Any) -> None:
        refuse_unknown(unknown, keywords_of(type(self)), type(self).__name__)
        check_type("weights", weights, Mapping[str, float])
        super().__init__()
        self.weights = dict(weights)

    def weigh(self, dataset: Any) -> pd.Series:
        """The weights that were given."""
        return pd.Series(self.weights, dtype=float)


def icir_of(feature: pd.DataFrame, label: pd.DataFrame) -> float:
    """Mean over standard deviation of the daily Rank IC of two frames [days, stocks]."""
    ic = rank_information_coefficient(feature.to_numpy(), label.reindex_like(feature).to_numpy())
    return float(ic_summary(pd.Series(ic, feature.index)).loc["all", "icir"])


def long_only_excess_by_day(feature: pd.DataFrame, label: pd.DataFrame, top: float) -> pd.Series:
    """The mean label of the day's best stocks less that of all: two frames [days, stocks] -> [days]."""
    label = label.reindex_like(feature)
    feature = feature.where(label.notna())
    best = feature.rank(axis=1, pct=True) > 1 - top
    return label.where(best).mean(axis=1) - label.where(feature.notna()).mean(axis=1)


def require_columns(names: pd.Index, features: pd.DataFrame) -> None:
    """Raise DataError for a name that is none of the features."""
    unknown = names.difference(features.columns)
    if len(unknown):
        raise DataError(f"There is no feature {unknown[0]!r} to weight; the dataset has {', '.join(features.columns)}.")
