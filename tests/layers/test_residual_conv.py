from __future__ import annotations

import numpy as np
import pytest
import torch

from qlib_ext.errors import ConfigError
from qlib_ext.layers.residual_conv import ResidualConv, ResNet


def reference(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray, linear: np.ndarray) -> np.ndarray:
    """One image [rows, columns] through one block, number by number."""
    channels, rows, size = kernel.shape
    y = np.empty((channels, x.shape[1] - size + 1))
    for o in range(channels):
        for j in range(y.shape[1]):
            convolved = bias[o] + sum(kernel[o, r, i] * x[r, j + i] for r in range(rows) for i in range(size))
            y[o, j] = max(convolved, 0.0) + sum(linear[o, r] * x[r, j + size - 1] for r in range(rows))
    return y


def weights(block: ResidualConv) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    kernel, bias, linear = (p.detach().numpy() for p in (block.conv.weight, block.conv.bias, block.downsample.weight))
    return kernel, bias, linear[..., 0]


@pytest.mark.parametrize(("rows", "columns", "kernel_size"), [(6, 5, 3), (5, 8, 2), (3, 4, 4), (2, 3, 1)])
def test_block_equals_the_formula(rows, columns, kernel_size):
    torch.manual_seed(0)
    block = ResidualConv(rows, 7, kernel_size).double()
    x = torch.randn(9, rows, columns, dtype=torch.float64)
    expected = [reference(image, *weights(block)) for image in x.numpy()]
    np.testing.assert_allclose(block(x).detach().numpy(), expected, atol=1e-12)


def test_net_equals_its_blocks_one_after_another():
    torch.manual_seed(0)
    net = ResNet(6, 8, channels=[4, 3, 2], kernel_size=3).double()
    x = torch.randn(5, 6, 8, dtype=torch.float64)
    expected = []
    for image in x.numpy():
        for block in net.blocks:
            image = reference(image, *weights(block))
        expected.append(image.ravel())
    np.testing.assert_allclose(net(x).detach().numpy(), expected, atol=1e-12)
    assert net(x).shape == (5, net.features) == (5, 2 * 2)


def test_gradients_equal_finite_differences():
    torch.manual_seed(0)
    net = ResNet(3, 5, channels=[4, 2], kernel_size=2).double()
    parameters = dict(net.named_parameters())

    def feature(x, *values):
        return torch.func.functional_call(net, dict(zip(parameters, values, strict=True)), x)

    x = torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(feature, (x, *parameters.values()))


def test_the_feature_of_an_image_reads_that_image_alone():
    torch.manual_seed(0)
    net = ResNet(6, 5, channels=[16, 32], kernel_size=3)
    x = torch.randn(40, 6, 5)
    together = net(x)
    torch.testing.assert_close(torch.cat([net(image[None]) for image in x]), together, atol=1e-6, rtol=1e-5)
    noise = torch.randn(40, 6, 5) * 1e3
    noise[17] = x[17]
    torch.testing.assert_close(net(noise)[17], together[17], atol=1e-6, rtol=1e-5)


def test_the_order_of_the_rows_is_a_matter_of_the_weights():
    torch.manual_seed(0)
    net, shuffled = ResNet(6, 5, [4, 3], 3), ResNet(6, 5, [4, 3], 3)
    shuffled.load_state_dict(net.state_dict())
    order, x = torch.randperm(6), torch.randn(8, 6, 5)
    first = shuffled.blocks[0]
    first.conv.weight.data = first.conv.weight.data[:, order]
    first.downsample.weight.data = first.downsample.weight.data[:, order]
    torch.testing.assert_close(shuffled(x[:, order]), net(x), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("channels", "kernel_size", "needed"), [([16, 32, 32], 3, 7), ([8], 6, 6)])
def test_convolutions_that_leave_no_column_say_how_long_an_image_must_be(channels, kernel_size, needed):
    with pytest.raises(ConfigError, match=rf"at least {needed} columns, these have 5"):
        ResNet(6, 5, channels, kernel_size)
    assert ResNet(6, needed, channels, kernel_size).features == channels[-1]
