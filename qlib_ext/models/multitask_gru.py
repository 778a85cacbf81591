"""MultiTaskGRU: one GRU reads series of several frequencies, each predicts by itself, the score is their mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from qlib.log import get_module_logger
from torch import Tensor, nn

from qlib_ext.data.batch import Batch
from qlib_ext.data.shapes.frequencies import LENGTHS
from qlib_ext.errors import ConfigError, DataError
from qlib_ext.layers.encoder import RecurrentEncoder
from qlib_ext.layers.multitask import MultiTaskHead
from qlib_ext.layers.scores import Scores
from qlib_ext.losses import multi_task_loss
from qlib_ext.models.base import NeuralModel
from qlib_ext.models.options import TrainingOptions

SAME = 1e-5  # states, which lie between -1 and 1, that differ by no more are the same but for rounding

logger = get_module_logger("qlib_ext.models")


@dataclass(kw_only=True)
class MultiTaskGRUOptions(TrainingOptions):
    """Options of the net beside those of training.

    lengths              bars of each series, by name, in the order of the handler's windows; any number of series
    fields               how many fields each series has, by name; None: those of the windows, all series alike
    hidden_size, num_layers, dropout, base_model (GRU or LSTM): the encoder, as in Qlib's Model Zoo
    share_gru            all series of the same number of fields have one encoder; false: every series has its own
    correlation_penalty  lambda, the weight of the correlations among the predictions; 0 turns it off
    min_stocks           days of fewer stocks have no correlation: they add nothing to the loss and are counted
    """

    lengths: Mapping[str, int] = field(default_factory=lambda: dict(LENGTHS))
    fields: Mapping[str, int] | None = None
    hidden_size: int = 30
    num_layers: int = 1
    dropout: float = 0.0
    base_model: str = "GRU"
    share_gru: bool = True
    correlation_penalty: float = 0.01
    min_stocks: int = 20
    loss: str = "ic"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loss != "ic":
            raise ConfigError(f"The loss of MultiTaskGRU is made of correlations, ic; not {self.loss!r}.")
        if not self.lengths or any(not isinstance(n, int) or n < 1 for n in self.lengths.values()):
            raise ConfigError(f"lengths names the bars of each series, as {LENGTHS}; not {dict(self.lengths)}.")
        if self.fields is not None and (
            self.fields.keys() != self.lengths.keys()
            or any(not isinstance(n, int) or n < 1 for n in self.fields.values())
        ):
            raise ConfigError(
                f"fields says how many fields each of {', '.join(self.lengths)} has, or is left out where all of them "
                f"have those of the windows; not {dict(self.fields)}."
            )
        if self.min_stocks < 2:
            raise ConfigError(f"min_stocks is at least 2, a correlation needs as many; not {self.min_stocks}.")


class MultiTaskNet(nn.Module):
    """``h_k = E_k(x_k)``, encoders of several series being one where they are shared; then a `MultiTaskHead`.

    batch.x holds the series one after the other: ``[samples, sum of lengths, fields]``, or all values in one row,
    ``[samples, values, 1]``, where the series have not the same fields. They go through the encoders one by one: on a
    CPU that takes a fraction of the time of one packed call (benchmarks/multitask_speed.py).

    encoders: of each series, by name; shapes: length and fields of each. Raises ConfigError for other windows.
    """

    def __init__(
        self, encoders: Mapping[str, nn.Module], shapes: Mapping[str, tuple[int, int]], hidden_size: int
    ) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(dict.fromkeys(encoders.values()))  # each once
        self.reads = [list(self.encoders).index(encoder) for encoder in encoders.values()]
        self.shapes = dict(shapes)
        self.head = MultiTaskHead(hidden_size, len(shapes))

    def forward(self, batch: Batch) -> Scores:
        sizes = [length * fields for length, fields in self.shapes.values()]
        _, rows, width = batch.x.shape
        if rows * width != sum(sizes):
            asked = ", ".join(f"{name} {length} x {fields}" for name, (length, fields) in self.shapes.items())
            raise ConfigError(
                f"The net reads {asked}, {sum(sizes)} values one after the other; the handler's windows have "
                f"{rows} x {width}, {rows * width} values. Give both of them the same lengths, and the net the fields "
                "of each series: handlers.bars.MultiFrequencyBars has 6 throughout, handlers.fused.FusedBars 6 and as "
                "many as it has factors."
            )
        parts = batch.x.flatten(1).split(sizes, dim=1)  # [samples, length * fields] each
        series = [part.unflatten(1, shape) for part, shape in zip(parts, self.shapes.values(), strict=True)]
        return self.head([self.encoders[read](x) for read, x in zip(self.reads, series, strict=True)])


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
        self._defined, self._days = torch.zeros(len(self.options.lengths)), 0

    def build(self, feature_shape: tuple[int, ...], instruments: pd.Index) -> nn.Module:
        """A MultiTaskNet with an encoder for each number of fields, or with one for each series."""
        (d_feat,), options = feature_shape, self.options
        shapes = {name: (n, (options.fields or {}).get(name, d_feat)) for name, n in options.lengths.items()}
        encoder = cache(self._encoder) if options.share_gru else self._encoder
        return MultiTaskNet(
            {name: encoder(fields) for name, (_, fields) in shapes.items()}, shapes, options.hidden_size
        )

    def _encoder(self, fields: int) -> RecurrentEncoder:
        options = self.options
        return RecurrentEncoder(fields, options.hidden_size, options.num_layers, options.dropout, options.base_model)

    def loss(self, scores: Scores, batch: Batch) -> Tensor:
        """The loss of the class, whatever the score; counts the correlations that are undefined."""
        defined = self.defined(scores, batch)  # [K, days]
        if torch.is_grad_enabled():  # a training step
            self._defined = self._defined.to(defined.device) + defined.sum(1)
            self._days += defined.shape[1]
        elif not self._defined.any():
            raise DataError(
                f"No series of {list(self.options.lengths)} differs among the stocks of a training day, or no day has "
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
        return (apart.unflatten(1, (len(self.options.lengths), -1)).amax(2) > SAME).T & enough

    def fit(self, dataset: Any, evals_result: dict | None = None, save_path: str | Path | None = None) -> None:
        """As every net; then says how many correlations of the training days were undefined."""
        self._defined, self._days = torch.zeros(len(self.options.lengths)), 0
        super().fit(dataset, evals_result, save_path)
        self.undefined_ = dict(zip(self.options.lengths, (1 - self._defined / self._days).tolist(), strict=True))
        for name, share in self.undefined_.items():
            if share > 0:
                logger.warning(
                    f"{name}: on {share:.1%} of the training days it is the same for all stocks, or there are fewer "
                    f"than {self.options.min_stocks} of them; these correlations add 0 to the loss"
                )
