"""Recurrent encoder: a stock's window of features -> one vector."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from qlib_ext.errors import ConfigError

CELLS = {"GRU": nn.GRU, "LSTM": nn.LSTM}
SAMPLES_AT_ONCE = 512  # on a CPU, so that the gates of a step stay in its cache


class RecurrentEncoder(nn.Module):
    """``h = RNN(x_1, ..., x_L)_L``: the last hidden state of the last layer of a GRU or LSTM.

    x [samples, L, fields] -> h [samples, hidden]. Raises ConfigError for another ``base_model``.
    """

    def __init__(
        self,
        d_feat: int,
        hidden_size: int = 64,
        num_layers: int = 2,
        dropout: float = 0.0,
        base_model: str = "GRU",
    ) -> None:
        super().__init__()
        if base_model not in CELLS:
            raise ConfigError(f"base_model is {' or '.join(CELLS)}, not {base_model!r}.")
        self.rnn = CELLS[base_model](d_feat, hidden_size, num_layers, dropout=dropout if num_layers > 1 else 0.0)

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(0, 1)  # [L, samples, fields]; the panel's windows are time-major
        # on CUDA autocast makes an RNN float16, whichever type it is asked for, and small gradients vanish in that
        with torch.autocast("cuda", enabled=False):
            if x.is_cuda:
                return self._last_state(x.float())  # [samples, hidden]
            parts = x.tensor_split(math.ceil(x.shape[1] / SAMPLES_AT_ONCE), dim=1)  # of one size, but for one sample
            return torch.cat([self._last_state(part) for part in parts])  # [samples, hidden]

    def _last_state(self, x: Tensor) -> Tensor:
        states, _ = self.rnn(x)  # [L, samples, hidden]
        return states[-1]  # [samples, hidden]
