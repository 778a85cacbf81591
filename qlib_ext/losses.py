"""Losses: pure functions of tensors.

Cross-sectional ones take ``[days, stocks]`` with a mask of the stocks that each day has.
"""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from qlib_ext.cross_section.tensor_ic import cross_sectional_rank, deviation, information_coefficient

PAIRS_AT_ONCE = {"cpu": 8, "cuda": 256}  # stocks of a block whose pairs are all looked at: a GPU waits for launches


def mean_squared_error(prediction: Tensor, label: Tensor) -> Tensor:
    """``mean (p - y)^2``; prediction, label [samples]."""
    return ((prediction - label) ** 2).mean()


def standardised(values: Tensor, mask: Tensor, dim: int = 1) -> Tensor:
    """``(x - mean x) / std x`` along a dimension, std over n; 0 outside the mask and where x is constant."""
    distance = deviation(values, mask, dim)
    variance = distance.square().sum(dim, keepdim=True) / mask.sum(dim, keepdim=True)
    return distance / variance.masked_fill(variance == 0, 1.0).sqrt()


def soft_rank(values: Tensor, mask: Tensor, temperature: float = 0.1) -> Tensor:
    """``rank_i = 1/2 + sum_j sigmoid((s_i - s_j) / temperature)``, s standardised per day; differentiable.

    The sum runs over the day's stocks, i included; as the temperature falls to 0 it becomes the rank. All s of a day
    whose values are equal are 0. ``[days, stocks]`` -> ``[days, stocks]``; O(stocks^2) memory per day.
    """
    s = standardised(values, mask)
    above = torch.sigmoid((s[:, :, None] - s[:, None, :]) / temperature)  # [days, stocks, stocks]
    return 0.5 + (above * mask[:, None, :]).sum(2)


def negative_ic(prediction: Tensor, label: Tensor, mask: Tensor) -> Tensor:
    """``- mean over days of corr(p, y)``."""
    return -information_coefficient(prediction, label, mask).mean()


def negative_rank_ic(prediction: Tensor, label: Tensor, mask: Tensor) -> Tensor:
    """``- mean over days of corr(soft rank(p), rank(y))``."""
    return -information_coefficient(soft_rank(prediction, mask), cross_sectional_rank(label, mask), mask).mean()


def pairwise_rank(prediction: Tensor, label: Tensor, mask: Tensor) -> Tensor:
    """``mean over pairs i != j of max(0, -(p_i - p_j)(y_i - y_j))``, the mean over days.

    Only pairs in the wrong order count. The stocks are sorted by p. Within blocks of ``PAIRS_AT_ONCE`` all pairs are
    looked at; then a block meets the next block of its size, whose p are higher. What counts of that for a stock i are
    the labels below y_i, the first ones once the block is sorted by y, and their sums of (1, p, y, p y) are read off
    running sums. Blocks double, so every pair meets once, in O(N log^2 N) time and O(N log N) memory.

    prediction, label, mask [days, stocks]; the sums are float64. Source: Feng et al., Temporal Relational Ranking for
    Stock Prediction, ACM TOIS 37(2), 2019, with the mean for the sum.
    """
    stocks = mask.shape[1]
    count = mask.sum(1)  # [days]
    width = PAIRS_AT_ONCE.get(mask.device.type, PAIRS_AT_ONCE["cpu"])
    size = max(width, 1 << (stocks - 1).bit_length())
    p, y = (nn.functional.pad(_centred_float64(x, mask), (0, size - stocks)) for x in (prediction, label))
    there = nn.functional.pad(mask, (0, size - stocks))
    order = y.argsort(1)  # of equal p the lower label comes first: such a pair is in no wrong order
    key = p.detach().masked_fill(~there, torch.inf).gather(1, order)
    order = order.gather(1, key.argsort(dim=1, stable=True))  # [days, size], those that are not there last
    p, y, there = (x.gather(1, order) for x in (p, y, there))
    total = _wrong_within_blocks(p, y, there, width)  # [days]
    if size > width:
        total = total + _wrong_between_blocks(p, y, y.detach().masked_fill(~there, torch.inf), width)
    return (2 * total / (count * (count - 1)).clamp_min(1)).mean().to(prediction.dtype)


def _wrong_within_blocks(p: Tensor, y: Tensor, there: Tensor, width: int) -> Tensor:
    """``sum over pairs of a block of max(0, -(p_i - p_j)(y_i - y_j))``: [days, size] each -> [days]."""
    p, y, there = (x.view(len(x), -1, width) for x in (p, y, there))  # [days, blocks, n] each
    product = (p[..., :, None] - p[..., None, :]) * (y[..., :, None] - y[..., None, :])  # [days, blocks, n, n]
    wrong = (product < 0) & there[..., :, None] & there[..., None, :]
    return -product.where(wrong, 0.0).sum((1, 2, 3)) / 2


def _wrong_between_blocks(p: Tensor, y: Tensor, key: Tensor, width: int) -> Tensor:
    """The same for pairs of two blocks; p ascending, ``key`` the labels, those that are not there above every label."""
    days, size = p.shape
    terms = torch.stack([torch.ones_like(p), p, y, p * y])  # [4, days, size]
    total = p.new_zeros(days)
    while width < size:
        lower, higher = key.view(days, -1, 2, width).unbind(2)  # [days, blocks, width] each
        higher, by_label = higher.sort(-1)
        of_lower, of_higher = terms.view(4, days, -1, 2, width).unbind(3)  # [4, days, blocks, width] each
        sums = of_higher.gather(-1, by_label.expand_as(of_higher)).cumsum(-1)
        below = torch.searchsorted(higher, lower.contiguous())  # [days, blocks, width], how many labels are below
        sums = nn.functional.pad(sums, (1, 0)).gather(-1, below.expand_as(of_lower))
        n, sum_p, sum_y, sum_py = sums  # over the higher p with a lower label
        _, p_i, y_i, py_i = of_lower
        total = total + (y_i * sum_p - sum_py - n * py_i + p_i * sum_y).sum((1, 2))
        width *= 2
    return total


def _centred_float64(values: Tensor, mask: Tensor) -> Tensor:
    values = values.double().masked_fill(~mask, 0.0)
    return values - values.sum(1, keepdim=True) / mask.sum(1, keepdim=True)


def orthogonality(weak_factors: Tensor) -> Tensor:
    """``|| Z^T Z ||_F / (N K^2)``, Z [samples, K] the weak factors standardised over the batch.

    Z^T Z / N is their correlation matrix C, so this is ``|| C ||_F / K^2``. Its diagonal of ones is kept:
    ``|| C ||_F^2 = K + sum of squared off-diagonal correlations``, so the minimum is the same as without it,
    and the gradient stays smooth where the factors are already orthogonal (the norm of C - I has a kink there).

    Source: Orient Securities, factor selection series 96 (2023-08-24), the loss of the two-stage network.
    """
    z = standardised(weak_factors, torch.ones_like(weak_factors, dtype=torch.bool), dim=0)  # [samples, K]
    correlation = z.T @ z / len(z)  # [K, K]
    return torch.linalg.matrix_norm(correlation) / z.shape[1] ** 2


def multi_task_loss(predictions: Tensor, label: Tensor, mask: Tensor, defined: Tensor, penalty: float) -> Tensor:
    """``- sum_k corr(y_k, y) + penalty sum_{i<j} corr(y_i, y_j)``, the mean over days.

    predictions [K, days, stocks], label and mask [days, stocks]; defined [K, days]: a correlation with a prediction
    that is not defined on a day is 0 on that day, and has no gradient.

    Source: Huatai Securities, artificial intelligence series 72 (2023-12-08), the loss between exhibits 50 and 51.
    """
    of_task = [
        torch.where(known, information_coefficient(y, label, mask), 0.0)  # [days]
        for y, known in zip(predictions, defined, strict=True)
    ]
    among_tasks = [
        torch.where(defined[i] & defined[j], information_coefficient(predictions[i], predictions[j], mask), 0.0)
        for i, j in combinations(range(len(predictions)), 2)
    ]
    pairs = penalty * torch.stack(among_tasks).sum(0) if among_tasks else 0.0
    return (pairs - torch.stack(of_task).sum(0)).mean()


def graph_proximity(state: Tensor, related: Tensor, known: Tensor) -> Tensor:
    """Graph-proximity loss: states of related stocks should point the same way, others not.

    For stock i with neighbours N(i), those that are related to it:
    ``- mean_{j in N(i)} log sigma(o_i . o_j) - mean_{j not in N(i), j != i} log sigma(- o_i . o_j)``,
    then the mean over the stocks whose relations are known, i and j alike. Means instead of the report's sums keep its
    weight independent of the number of stocks; the report writes the second term as log(-sigma(.)), the logarithm of a
    negative number: the minus belongs inside, as above.

    state [days, stocks, hidden], related [days, stocks i, stocks j] bool, known [days, stocks] bool.

    Source: Orient Securities, factor selection series 110 (2024-02-19), section 1.2; Wang et al., ALSP-TF, 2022.
    """
    similarity = state.float() @ state.float().transpose(-1, -2)  # [days, stocks, stocks]
    pairs = known[:, :, None] & known[:, None, :]
    pairs &= ~torch.eye(known.shape[1], dtype=torch.bool, device=known.device)
    near, far = pairs & related, pairs & ~related
    attraction = -(logsigmoid(similarity) * near).sum(2) / near.sum(2).clamp_min(1)  # [days, stocks]
    repulsion = -(logsigmoid(-similarity) * far).sum(2) / far.sum(2).clamp_min(1)
    return (attraction + repulsion)[known].sum() / known.sum().clamp_min(1)


CROSS_SECTIONAL_LOSSES = {"ic": negative_ic, "rank_ic": negative_rank_ic}
