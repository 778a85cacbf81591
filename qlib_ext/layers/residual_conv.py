"""Residual net over data images: a picture of some bars -> one feature.

Source: Orient Securities, factor selection series 96 (2023-08-24), sections 1.1 to 1.3, exhibits 2 to 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from qlib_ext.errors import ConfigError


class ResidualConv(nn.Module):
    """``Y = ReLU(K * X + b) + W crop(X)``, * a valid convolution along the columns with the rows as channels.

    ``Y[o, j] = ReLU(b[o] + sum_{r, i} K[o, r, i] X[r, j + i]) + sum_r W[o, r] X[r, j + k - 1]``, k the kernel size.

    x [images, rows, columns] -> y [images, channels, columns - k + 1]. The rows are channels, so their order means
    nothing beyond the weights. From the report: convolution and non-linearity on the one path, crop and linear map on
    the other, their sum. Ours: ReLU, nothing after the sum, and a crop that keeps the last columns, so that column j
    of both paths ends at the same bar.
    """

    def __init__(self, rows: int, channels: int, kernel_size: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(rows, channels, kernel_size)
        self.downsample = nn.Conv1d(rows, channels, 1, bias=False)
        self.lost = kernel_size - 1  # columns that a valid convolution does not leave

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.conv(x))  # [images, channels, columns - lost]
        return y + self.downsample(x[..., self.lost :])  # [images, channels, columns - lost]


class ResNet(nn.Module):
    """Residual convolutions one after another, all channels and columns of the last one side by side: ``F = vec(Y)``.

    x [images, rows, columns] -> F [images, features], features = channels of the last block times the columns left,
    ``columns - depth (k - 1)``. Every image by itself. Depth, kernel and flattening are ours, the report names none.
    Raises ConfigError where no column is left.
    """

    def __init__(self, rows: int, columns: int, channels: Sequence[int], kernel_size: int) -> None:
        super().__init__()
        left = columns - len(channels) * (kernel_size - 1)
        if left < 1:
            raise ConfigError(
                f"{len(channels)} convolutions of kernel_size {kernel_size} need images of at least "
                f"{columns - left + 1} columns, these have {columns}; take fewer channels or a smaller kernel_size."
            )
        sizes = pairwise([rows, *channels])
        self.blocks = nn.Sequential(*(ResidualConv(before, after, kernel_size) for before, after in sizes))
        self.features = channels[-1] * left

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x).flatten(1)  # [images, features]
