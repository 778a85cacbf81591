"""The state of the market as a net reads it: what a risk model's factors returned in the past days."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from qlib_ext.errors import DataError
from qlib_ext.layers.network_attention import StateWeights

PER_CENT = 100.0


class MarketState(nn.Module):
    """``StateWeights`` of the factors' returns of the past days up to each day of a batch.

    A factor's return of day t is that of exposures of the day before and of returns of day t, so it is known at the
    close. Missing ones, of a factor that was none on that day, are 0; returns of industries are not read.

    folder   of ``qlib-ext risk``
    ``bind`` tells it the days of the panel; then (day [samples] positions in them, mask [days, stocks]) -> w
    [days, networks].
    """

    def __init__(self, folder: str | Path, past_days: int, networks: int, hidden_size: int = 16) -> None:
        super().__init__()
        self.folder, self.past_days = str(folder), past_days
        self.weights = StateWeights(past_days, len(self.returns_of(folder).columns), networks, hidden_size)
        self.register_buffer("returns", torch.empty(0), persistent=False)  # [days of the model, factors]
        self.register_buffer("last", torch.empty(0, dtype=torch.long), persistent=False)  # row of each day of the panel

    @staticmethod
    def returns_of(folder: str | Path) -> pd.DataFrame:
        """[days, factors] in per cent, the market and the styles; raises DataError where there is no risk model."""
        from qlib_ext.risk.days import INDUSTRY  # polars, which other nets do without
        from qlib_ext.risk.model import StyleRiskModel

        returns = StyleRiskModel.read(folder).factor_returns
        return PER_CENT * returns.loc[:, [not name.startswith(INDUSTRY) for name in returns]]

    def bind(self, days: pd.DatetimeIndex, needed: np.ndarray) -> None:
        """Read batches of these days from now on; ``needed`` [days]: those that batches are made of.

        Raises DataError where the risk model lacks one of them, or has not enough days before it.
        """
        returns = self.returns_of(self.folder)
        place = returns.index.get_indexer(days)  # [days]
        known = np.append(0, np.cumsum(returns.notna().any(axis=1)))
        start = np.maximum(place - self.past_days + 1, 0)
        complete = (place >= 0) & (known[place + 1] - known[start] == self.past_days)
        if lacking := int((needed & ~complete).sum()):
            raise DataError(
                f"The risk model {self.folder} lacks returns of factors for {lacking} of {int(needed.sum())} days, the "
                f"first {days[needed & ~complete][0]:%Y-%m-%d}: a day reads {self.past_days} days up to itself. The "
                f"model has {returns.index[0]:%Y-%m-%d} to {returns.index[-1]:%Y-%m-%d}, the first ones without "
                "returns. Build it to this day with `qlib-ext risk`, or begin later."
            )
        device = self.weights.out.weight.device
        self.returns = torch.from_numpy(returns.fillna(0.0).to_numpy(np.float32, copy=True)).to(device)
        self.last = torch.from_numpy(place).to(device)

    def forward(self, day: Tensor, mask: Tensor) -> Tensor:
        counts = mask.sum(1)  # [days] samples of each
        return self.weights(self._past(day[counts.cumsum(0) - counts]))  # [days, networks]

    def past(self, days: pd.DatetimeIndex) -> Tensor:
        """What ``weights`` reads of these days: [days, past days, factors]; binds to them, and raises as ``bind``."""
        self.bind(days, np.ones(len(days), dtype=bool))
        return self._past(torch.arange(len(days), device=self.last.device))

    def _past(self, day: Tensor) -> Tensor:
        back = torch.arange(1 - self.past_days, 1, device=day.device)
        return self.returns[self.last[day][:, None] + back]
