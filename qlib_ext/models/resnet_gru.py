"""ResNetGRU: a residual net reads each data image, a GRU their sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from torch import Tensor, nn

from qlib_ext.data.layout import Layout
from qlib_ext.errors import ConfigError
from qlib_ext.layers.residual_conv import ResNet
from qlib_ext.models.astgnn import ASTGNN, ASTGNNOptions


@dataclass(kw_only=True)
class ResNetGRUOptions(ASTGNNOptions):
    """Options of the residual net beside those of GRU and, with ``graph``, of ASTGNN.

    channels     channels of each residual convolution; as many as are named stand one behind the other
    kernel_size  columns that a convolution sees; each one leaves kernel_size - 1 columns fewer
    graph        true: the adaptive graph of ASTGNN between encoder and head, with the options of ASTGNN
    """

    channels: Sequence[int] = (16, 32)
    kernel_size: int = 3
    graph: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        channels = self.channels
        if not isinstance(channels, Sequence) or not channels or not all(_positive(size) for size in channels):
            raise ConfigError(f"channels lists a positive number for each convolution, as [16, 32]; not {channels!r}.")
        if not _positive(self.kernel_size):
            raise ConfigError(f"kernel_size is a whole number of at least 1, not {self.kernel_size!r}.")
        unread = [name for name in ASTGNNOptions.__annotations__ if getattr(self, name) != getattr(ASTGNNOptions, name)]
        if unread and not self.graph:
            raise ConfigError(f"{unread[0]} is an option of the graph, which is off: add graph: true, or leave it out.")


class ImageEncoder(nn.Module):
    """``h = RNN(F(x_1), ..., F(x_T))_T``, F the residual net.

    x [samples, T, rows, columns] -> h [samples, hidden]. The images do not know of each other, so those of all
    windows go through the residual net as one batch.
    """

    def __init__(self, resnet: ResNet, recurrent: nn.Module) -> None:
        super().__init__()
        self.resnet = resnet
        self.recurrent = recurrent

    def forward(self, x: Tensor) -> Tensor:
        images = x.transpose(0, 1)  # [T, samples, rows, columns]; time-major, as the RNN reads
        features = self.resnet(images.flatten(0, 1))  # [T * samples, features]
        features = features.unflatten(0, images.shape[:2])  # [T, samples, features]
        return self.recurrent(features.transpose(0, 1))  # [samples, hidden]


class ResNetGRU(ASTGNN):
    """The GRU's loss and head over ``RNN(F(t-T+1), ..., F(t))``, F the feature of a data image; with or without graph.

    Reads images [samples, T, rows, columns]. Building it raises ConfigError where the convolutions leave no column.

    Source: Orient Securities, factor selection series 96 (2023-08-24), section 1.3, exhibits 4 to 6; with the graph
    series 110 (2024-02-19), introduction and section 1.2.
    """

    options_class = ResNetGRUOptions
    options: ResNetGRUOptions

    def encoder(self, layout: Layout) -> nn.Module:
        """An ImageEncoder for images of this shape."""
        rows, columns = layout.image
        resnet = ResNet(rows, columns, self.options.channels, self.options.kernel_size)
        return ImageEncoder(resnet, self.options.encoder(resnet.features))

    def graph(self, instruments: pd.Index) -> nn.Module | None:
        """ASTGNN's graph, where the options ask for one."""
        return super().graph(instruments) if self.options.graph else None


def _positive(size: object) -> bool:
    return isinstance(size, int) and size >= 1
