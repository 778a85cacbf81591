"""The data of Feng et al. (2019): five years of NASDAQ or NYSE, industries, and the paper's measures."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from qlib_ext.cross_section.tensor_ic import rank_information_coefficient
from qlib_ext.layers.relation_graph import RelationGraph

FEATURES = ["ma5", "ma10", "ma20", "ma30", "close"]  # over the stock's highest close of 2013 to 2017
MISSING = -1234.0
TRAIN_END, VALID_END, TEST_END = 756, 1008, 1245  # label days before these belong to the segment
TOPS = (1, 5, 10, 50)
VOLATILE_DAYS, VOLATILE_STOCKS = 20, 5


@dataclass(frozen=True)
class Market:
    """x [days, stocks, 5] and close [days, stocks] with NaN where missing; industries as groups of a graph."""

    name: str
    x: Tensor
    close: Tensor
    graph: RelationGraph

    def to(self, device: torch.device) -> Market:
        """The same market on another device."""
        return replace(self, **{name: getattr(self, name).to(device) for name in ("x", "close", "graph")})

    @cached_property
    def returns(self) -> Tensor:
        """``close_t / close_{t-1} - 1`` [days, stocks], NaN where one of the two is missing."""
        before = torch.cat([torch.full_like(self.close[:1], torch.nan), self.close[:-1]])
        return self.close / before - 1

    def label(self, day: int) -> Tensor:
        """The return of the day after ``day``, ``[stocks]``."""
        return self.close[day + 1] / self.close[day] - 1

    def present(self, day: int, length: int, with_label: bool) -> Tensor:
        """Stocks with a close on all days of the window that ends on ``day``; ``with_label``: on the next one, too."""
        return torch.isfinite(self.close[day - length + 1 : day + 1 + with_label]).all(0)


def read_market(folder: str | Path, name: str) -> Market:
    """The tickers that have an industry, sorted; "n/a" is an industry, as the paper's number of linked pairs needs."""
    folder = Path(folder)
    industries = json.loads((folder / f"{name}_industry_ticker.json").read_text())
    of_ticker = {ticker: place for place, tickers in enumerate(industries.values()) for ticker in tickers}
    rows = pd.read_parquet(folder / f"{name.lower()}.parquet")
    rows = rows[rows["ticker"].isin(list(of_ticker)) & (rows["day"] < TEST_END)]
    tickers = sorted(of_ticker)
    wide = [rows.pivot(index="day", columns="ticker", values=field)[tickers].to_numpy() for field in FEATURES]
    x = torch.from_numpy(np.stack(wide, -1).astype(np.float32))
    x = x.masked_fill(x == MISSING, torch.nan)
    none = torch.zeros(0, dtype=torch.long)
    graph = RelationGraph(
        group=torch.tensor([of_ticker[ticker] for ticker in tickers]),
        group_relation=torch.arange(len(industries)),
        target=none,
        source=none,
        edge=none,
        relation=none,
        weight=torch.zeros(0),
    )
    return Market(name, x, x[..., FEATURES.index("close")], graph)


def days_of(segment: str, length: int) -> range:
    """The last days of the segment's windows; the label is the return of the day after."""
    bounds = {"train": (length, TRAIN_END), "valid": (TRAIN_END, VALID_END), "test": (VALID_END, TEST_END)}
    first, end = bounds[segment]
    return range(first - 1, end - 1)


def measure(scores: Tensor, label: Tensor, mask: Tensor) -> dict[str, float]:
    """MSE, MRR and IRR as in the paper, and Rank IC, ICIR and the sums of the daily returns of the top 5, 10 and 50.

    scores, label, mask [days, stocks]; a stock that could be chosen and has no return the next day earns 0.
    """
    known = mask & torch.isfinite(label)
    label = label.nan_to_num(0.0)
    ranked = scores.masked_fill(~mask, -torch.inf)
    picks = ranked.topk(max(TOPS), dim=1).indices  # [days, 50]
    earned = label.gather(1, picks)  # [days, 50]
    best = earned[:, :1]
    place = 1 + ((label > best) & known).sum(1)
    ic = rank_information_coefficient(scores, label, known)
    row = {
        "mse": ((scores - label)[known] ** 2).mean(),
        "mrr": (1 / place).mean(),
        "rank_ic": ic.mean(),
        "icir": ic.mean() / ic.std(),
    }
    row |= {f"top{k}": earned[:, :k].mean(1).sum() for k in TOPS}
    return {key: float(value) for key, value in row.items()}


def baselines(market: Market, days: range, mask: Tensor, seed: int) -> dict[str, Tensor]:
    """Scores [days, stocks] that learn nothing: what the measures give them is what they are worth.

    Those with "leak" know the highest close of 2013 to 2017, which the features were divided by.
    """
    random = torch.Generator().manual_seed(seed)
    noise = torch.rand(mask.shape, generator=random).to(mask.device)
    returns = market.returns
    volatility = torch.stack(
        [returns[day - VOLATILE_DAYS + 1 : day + 1].nan_to_num(0.0).std(0) for day in days]
    )  # [days, stocks]
    close = market.close[days.start : days.stop].nan_to_num(1.0)
    most = torch.zeros_like(mask).scatter(1, volatility.masked_fill(~mask, -1.0).topk(VOLATILE_STOCKS).indices, True)
    return {
        "zero": torch.zeros_like(noise),
        "random stock": noise,
        f"random among the {VOLATILE_STOCKS} most volatile": torch.where(most, noise, -1.0),
        "yesterday's winner": returns[days.start : days.stop].nan_to_num(0.0),
        "leak": -close,
        "leak x volatility": (1 - close) * volatility,
    }
