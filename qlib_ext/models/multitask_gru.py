"""MultiTaskGRU: one GRU reads series of several frequencies, each predicts by itself, the score is their mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from qlib.log import get_module_logger
from torch import Tensor, nn

from qlib_ext.data.batch import Batch
from qlib_ext.data.layout import Layout
from qlib_ext.errors import ConfigError, DataError
from qlib_ext.layers.multitask import MultiTaskHead
from qlib_ext.layers.scores import Scores
from qlib_ext.losses import multi_task_loss
from qlib_ext.models.base import NeuralModel
from qlib_ext.models.options import EncoderOptions, at_least_zero

SAME = 1e-5  # states, which lie between -1 and 1, that differ by no more are the same but for rounding

logger = get_module_logger("qlib_ext.models")


@dataclass(kw_only=True)
class MultiTaskGRUOptions(EncoderOptions):
    """Options of the net beside those of encoder and training.

    share_gru            all series of the same number of fields have one encoder; false: every series has its own
    correlation_penalty  lambda, the weight of the correlations among the predictions; 0 turns it off
    min_stocks           days of fewer stocks have no correlation: they add nothing to the loss and are counted
    """

    hidden_size: int = 30
    num_layers: int = 1
    share_gru: bool = True
    correlation_penalty: float = 0.01
    min_stocks: int = 20
    loss: str = "ic"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loss != "ic":
            raise ConfigError(f"The loss of MultiTaskGRU is made of correlations, ic; not {self.loss!r}.")
        at_least_zero(self, "correlation_penalty")
        if self.min_stocks < 2:
            raise ConfigError(f"min_stocks is at least 2, a correlation needs as many; not {self.min_stocks}.")


class MultiTaskNet(nn.Module):
    """``h_k = E_k(x_k)``, encoders of several series being one where they are shared; then a ``MultiTaskHead``.

    batch.x holds the series as the layout says. They go through the encoders one by one: on a CPU that takes a
    fraction of the time of one packed call (benchmarks/multitask_speed.py).

    layout: of the samples; encoders: of each series, in its order.
    """

    def __init__(self, layout: Layout, encoders: Sequence[nn.Module], hidden_size: int) -> None:
        super().__init__()
        self.layout = layout
        self.encoders = nn.ModuleList(dict.fromkeys(encoders))  # each once
        self.encoder_of_series = [list(self.encoders).index(encoder) for encoder in encoders]
        self.head = MultiTaskHead(hidden_size, len(encoders))

    def forward(self, batch: Batch) -> Scores:
        series = zip(self.encoder_of_series, self.layout.split(batch.x), strict=True)
        return self.head([self.encoders[encoder](x) for encoder, x in series])


class Defined:
    """On how many training days each series told the stocks apart: ``series`` [K], of ``days``."""

    def __init__(self) -> None:
        self.series, self.days = torch.zeros(1), 0

    def add(self, defined: Tensor) -> None:
        """Count the days of a step: ``[K, days]``."""
        self.series = self.series.to(defined.device) + defined.sum(1)
        self.days += defined.shape[1]

    def state_dict(self) -> dict[str, Any]:
        """The two counts."""
        return {"series": self.series, "days": self.days}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what ``state_dict`` gave."""
        self.series, self.days = state["series"], state["days"]


class MultiTaskGRU(NeuralModel):
    """``L = - sum_k corr(y_k, y) + lambda sum_{i<j} corr(y_i, y_j)``, over each day's stocks, the mean over days.

    y_1, ..., y_K are the model's weak factors, a prediction from each series; the score is their mean. Where a series
    is the same for all stocks of a day its correlations are undefined: they add 0 to the loss and are counted, as are
    those of days with fewer than min_stocks stocks; ``undefined_`` has their share of the training days by series, and
    fit warns of them. Raises DataError where all of them are undefined.

    Source: Huatai Securities, artificial intelligence series 72 (2023-12-08), exhibits 50 and 51, and the text
    between them.
    """

    options_class = MultiTaskGRUOptions
    options: MultiTaskGRUOptions

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._count = Defined()

    def build(self, layout: Layout, instruments: pd.Index) -> nn.Module:
        """A MultiTaskNet with an encoder for each number of fields, or with one for each series."""
        encoder = cache(self.options.encoder) if self.options.share_gru else self.options.encoder
        encoders = [encoder(fields) for _, fields in layout.sequences.values()]
        return MultiTaskNet(layout, encoders, self.options.hidden_size)

    def loss(self, scores: Scores, batch: Batch) -> Tensor:
        """The loss of the class, whatever the score; counts the correlations that are undefined."""
        defined = self.defined(scores, batch)  # [K, days]
        if torch.is_grad_enabled():  # a training step
            self._count.add(defined)
        elif not self._count.series.any():
            raise DataError(
                f"None of the {len(defined)} series differs among the stocks of a training day, or no day has "
                f"{self.options.min_stocks} stocks (min_stocks): there is nothing to learn. Widen the universe, or "
                "let the training begin where the provider has bars."
            )
        assert scores.weak_factors is not None
        y = batch.to_days(scores.weak_factors).permute(2, 0, 1)  # [K, days, stocks]
        return multi_task_loss(y, batch.to_days(batch.y), batch.mask, defined, self.options.correlation_penalty)

    def defined(self, scores: Scores, batch: Batch) -> Tensor:
        """Which series tell the stocks of which days apart: ``[K, days]``."""
        state = batch.to_days(scores.state.detach())  # [days, stocks, K hidden]
        apart = (state - state[:, :1]).abs().masked_fill_(~batch.mask[:, :, None], 0.0).amax(1)  # [days, K hidden]
        enough = batch.mask.sum(1) >= self.options.min_stocks  # [days]
        return (apart.unflatten(1, (-1, self.options.hidden_size)).amax(2) > SAME).T & enough

    def counted(self) -> dict[str, Any]:
        """The days on which correlations were defined."""
        return {"defined": self._count}

    def fit(self, dataset: Any, evals_result: dict | None = None, save_path: str | Path | None = None) -> None:
        """As every net; then says how many correlations of the training days were undefined."""
        self._count = Defined()
        super().fit(dataset, evals_result, save_path)
        assert self.layout_ is not None
        share_of = (1 - self._count.series / self._count.days).tolist()
        self.undefined_ = dict(zip(self.layout_.series, share_of, strict=True))
        for name, share in self.undefined_.items():
            if share > 0:
                logger.warning(
                    f"{name}: on {share:.1%} of the training days it is the same for all stocks, or there are fewer "
                    f"than {self.options.min_stocks} of them; these correlations add 0 to the loss"
                )
