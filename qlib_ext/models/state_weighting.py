"""Families of factors weighted by the market's state, from where their best stocks earned most."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from qlib.data.dataset.handler import DataHandlerLP
from torch import Tensor

from qlib_ext.cross_section.zscore import zscore_or_mean
from qlib_ext.errors import ConfigError, DataError, NotFittedError
from qlib_ext.keywords import check_types, keywords_of, refuse_unknown
from qlib_ext.models.market_state import MarketState
from qlib_ext.models.options import at_least_one, at_least_zero, one_of
from qlib_ext.models.weighting import LongOnlyWeight, Weighting

STARTS = ("long_only", "equal")


class StateWeight(Weighting):
    """``w_k(t) = v_k exp(g_k(s_t)) / sum_j v_j exp(g_j(s_t))``, one vector a day, the same for all its stocks.

    s_t are the returns of the risk model's market and styles over the past days up to t, g a net of one hidden layer
    that is 0 at first, and v what long-only returns say (``LongOnlyWeight``), or the same for all features. g is
    trained on ``-mean_t IC_t + entropy KL(w(t) || v)``, IC_t the correlation of the day's weighted score and its label.
    Of the epochs, the one before the first among them, that with the highest mean IC of the validation days is kept;
    without a segment ``valid`` the last one.

    risk         folder of ``qlib-ext risk``, whose factors' returns are the state; industries' are left out
    state_days   trading days of these returns, up to the day of the score
    start        long_only or equal: v
    top          share of the day's stocks that a long-only portfolio holds
    entropy      weight of the penalty on weights that are not v
    hidden_size  of the hidden layer of g
    n_epochs     at most so many steps, each on all training days; 0 leaves v
    early_stop   steps without a better validation, after which training ends
    lr           of Adam
    seed         of the hidden layer's first values

    After ``fit``: ``weights_``, v by feature. Raises DataError where the risk model lacks a day.
    Source: Orient Securities, market microstructure series 32 (2026-01-28), the composite ML_C; net and training are
    ours, as the report does not say them.
    """

    segments_read: ClassVar[tuple[str, ...]] = ("train",)

    def __init__(
        self,
        risk: str | None = None,
        state_days: int = 20,
        start: str = "long_only",
        top: float = 0.1,
        entropy: float = 0.01,
        hidden_size: int = 16,
        n_epochs: int = 200,
        early_stop: int = 20,
        lr: float = 0.003,
        seed: int = 0,
        **unknown: Any,
    ) -> None:
        refuse_unknown(unknown, keywords_of(type(self)), type(self).__name__)
        check_types(StateWeight.__init__, locals())
        super().__init__()
        self.risk, self.state_days, self.start, self.top = risk, state_days, start, top
        self.entropy, self.hidden_size, self.n_epochs = entropy, hidden_size, n_epochs
        self.early_stop, self.lr, self.seed = early_stop, lr, seed
        if risk is None:
            raise ConfigError("StateWeight reads the returns of factors: give risk, a folder of `qlib-ext risk`.")
        one_of("start", start, STARTS)
        at_least_one(self, "state_days", "hidden_size", "early_stop")
        at_least_zero(self, "entropy", "n_epochs", "lr")
        self._long_only = LongOnlyWeight(top)  # refuses a wrong share
        self.state_: MarketState | None = None

    def weigh(self, dataset: Any) -> pd.Series:
        """v, whose sum is 1."""
        if self.start == "long_only":
            v = self._long_only.weigh(dataset)
        else:
            v = pd.Series(1.0, dataset.prepare("train", col_set="feature", data_key=DataHandlerLP.DK_L).columns)
        return v / v.sum()

    def fit(self, dataset: Any) -> None:
        """Find v and train g; raises DataError where a day has no state."""
        super().fit(dataset)
        assert self.weights_ is not None
        valid = Moments.of(dataset, "valid") if "valid" in dataset.segments else None
        self.learn(self.weights_, Moments.of(dataset, "train"), valid)

    def learn(self, v: pd.Series, train: Moments, valid: Moments | None) -> None:
        """Train g beside a given v by feature, whose sum is 1, on the moments of days."""
        assert self.risk is not None  # the constructor has refused it
        self.weights_ = v
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.state_ = MarketState(self.risk, self.state_days, len(v), self.hidden_size)
        self._train(self.state_, train, valid)

    def _train(self, state: MarketState, train: Moments, valid: Moments | None) -> None:
        past = state.past(train.days)  # [days, past days, factors]
        later = None if valid is None else state.past(valid.days)
        optimizer = torch.optim.Adam(state.parameters(), lr=self.lr)
        best, kept, since = -np.inf, copy.deepcopy(state.state_dict()), 0
        for epoch in range(self.n_epochs + 1):
            if valid is not None and later is not None:
                with torch.no_grad():
                    ic = valid.ic(self._weights(state, later)).mean().item()
                since += 1
                if ic > best:
                    best, kept, since = ic, copy.deepcopy(state.state_dict()), 0
            if epoch == self.n_epochs or since == self.early_stop:
                break
            weights = self._weights(state, past)
            loss = -train.ic(weights).mean() + self.entropy * self._distance(weights)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if valid is not None:
            state.load_state_dict(kept)

    def _weights(self, state: MarketState, past: Tensor) -> Tensor:
        """[days, features], each day's sum is 1; a feature whose v is 0 counts nothing on any day."""
        weighted = torch.from_numpy(self._prior()) * state.weights(past).double()
        return weighted / weighted.sum(1, keepdim=True)

    def _prior(self) -> np.ndarray:
        assert self.weights_ is not None  # ``fit`` finds v before it trains
        return self.weights_.to_numpy(float, copy=True)

    def _distance(self, weights: Tensor) -> Tensor:
        """``mean_t sum_k w_k log(w_k / v_k)``, over the features that count."""
        prior = torch.from_numpy(self._prior())
        counts = prior > 0
        w = weights[:, counts].clamp_min(torch.finfo(weights.dtype).tiny)
        return (w * (w / prior[counts]).log()).sum(1).mean()

    def state_weights(self, days: pd.DatetimeIndex) -> pd.DataFrame:
        """What each feature counts on these days: [days, features]; raises DataError for a day without a state."""
        if self.state_ is None or self.weights_ is None:
            raise NotFittedError("StateWeight has no weights yet: call fit.")
        with torch.no_grad():
            weights = self._weights(self.state_, self.state_.past(days))
        return pd.DataFrame(weights.numpy(), days.rename("datetime"), self.weights_.index)

    def combine(self, z: pd.DataFrame) -> pd.Series:
        """``sum_k w_k(t) z_k`` of the day t of each row."""
        days = z.index.get_level_values("datetime")
        weights = self.state_weights(days.unique()).reindex(days)
        return sum((z[name] * weights[name].to_numpy() for name in z), start=pd.Series(0.0, z.index))

    def beside_dataset(self) -> pd.DataFrame:
        """The returns of factors, by day."""
        assert self.risk is not None  # the constructor has refused it
        return MarketState.returns_of(self.risk)


@dataclass(frozen=True)
class Moments:
    """What the correlation of a weighted score with the label needs of each day, however the features are weighted.

    With z_k and y the z-scores of features and label over the n stocks of the day, ``c_k = z_k' y / (n - 1)`` and
    ``R_kj = z_k' z_j / (n - 1)``, the correlation is ``w' c / sqrt(w' R w)``: c [days, features], R [days, features,
    features].
    """

    days: pd.DatetimeIndex
    c: Tensor
    r: Tensor

    @classmethod
    def of_rows(cls, features: pd.DataFrame, label: pd.Series) -> Moments:
        """Of rows by (datetime, instrument); days on which all features, or all labels, are alike are left out."""
        z, y = zscore_or_mean(features).to_numpy(float), zscore_or_mean(label.to_frame()).to_numpy(float)[:, 0]
        days, c, r = [], [], []
        for day, rows in features.groupby(level="datetime").indices.items():
            own, other = z[rows], y[rows]
            if own.any() and other.any():
                days.append(day)
                c.append(own.T @ other / (len(rows) - 1))
                r.append(own.T @ own / (len(rows) - 1))
        if not days:
            count = label.index.unique("datetime").size
            raise DataError(f"On none of {count} days do stocks differ in label and feature.")
        return cls(pd.DatetimeIndex(days), torch.from_numpy(np.stack(c)), torch.from_numpy(np.stack(r)))

    @classmethod
    def of(cls, dataset: Any, segment: str) -> Moments:
        """Those of the days of a segment that are learnt."""
        rows = dataset.prepare(segment, col_set=["feature", "label"], data_key=DataHandlerLP.DK_L)
        return cls.of_rows(rows["feature"], rows["label"].iloc[:, 0])

    def __getitem__(self, days: slice) -> Moments:
        return Moments(self.days[days], self.c[days], self.r[days])

    def ic(self, weights: Tensor) -> Tensor:
        """The correlation of each day: weights [days, features] -> [days]."""
        covariance = (weights * self.c).sum(1)
        variance = torch.einsum("dk,dkj,dj->d", weights, self.r, weights)
        return covariance / variance.clamp_min(torch.finfo(variance.dtype).eps).sqrt()
