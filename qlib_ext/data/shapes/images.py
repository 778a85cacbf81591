"""Windows of day bars as the reports' data sets show them; fields are open, high, low, close, vwap, then others."""

from __future__ import annotations

import torch
from torch import Tensor

from qlib_ext.provider.sessions import HALF_HOURS

CLOSE = 3
N_PRICES = 5  # open, high, low, close, vwap
DAYS_PER_IMAGE = 5


def relative_prices(x: Tensor) -> Tensor:
    """``x[s, d, f] / c[s]`` for the five prices, c being the last close that is known in the window.

    A window without a close has no prices: NaN. x [samples, days, fields] -> the same shape.
    """
    close = x[:, :, CLOSE]  # [samples, days]
    days = torch.arange(1, x.shape[1] + 1, device=x.device)
    last = (days * ~close.isnan()).argmax(1, keepdim=True)  # [samples, 1]; the first day where none is known: NaN
    prices = x[:, :, :N_PRICES] / close.gather(1, last).unsqueeze(2)  # [samples, days, 5]
    return torch.cat([prices, x[:, :, N_PRICES:]], dim=2)  # [samples, days, fields]


def half_hour_images(x: Tensor) -> Tensor:
    """A day's columns as its image: ``image[s, d, f, h] = x[s, d, 8 f + h]``, f open, high, low, close, amount.

    x [samples, days, 40] -> [samples, days, 5, 8].
    """
    return x.unflatten(2, (-1, HALF_HOURS))


def five_day_images(x: Tensor) -> Tensor:
    """Relative prices, every five days an image: ``image[s, k, f, j] = x[s, 5 k + j, f]``, the last ends at day t.

    x [samples, days, fields] -> [samples, days / 5, fields, 5]; the days are a multiple of five.
    Source: Orient Securities, factor selection series 96 (2023-08-24), section 1.2.
    """
    x = relative_prices(x)  # [samples, days, fields]
    return x.unflatten(1, (-1, DAYS_PER_IMAGE)).transpose(2, 3)  # [samples, images, fields, 5]
