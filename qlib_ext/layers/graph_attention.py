"""Graph attention over all stocks of a day, exact, without a matrix of stocks by stocks.

Source: Velickovic et al., Graph Attention Networks, ICLR 2018; Huatai Securities, report on graph networks in
Qlib (GATs_ts), equations 11-13, exhibits 15 and 19.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from qlib_ext.errors import ConfigError

SLOPE = 0.01  # of the leaky ReLU; torch's default, the Model Zoo's choice


def attend(source: Tensor, target: Tensor, h: Tensor, mask: Tensor, slope: float = SLOPE) -> Tensor:
    """``z_i = sum_j softmax_j(LeakyReLU(s_i + t_j)) h_j`` over the day's stocks, in O(N log N + N H).

    exp(LeakyReLU(s_i + t_j)) is exp(s_i) exp(t_j) where t_j > -s_i, and exp(a s_i) exp(a t_j) elsewhere. With
    the stocks sorted by t the first set is a suffix and the second a prefix, so running sums of
    exp(t_j) [h_j, 1] from the end and of exp(a t_j) [h_j, 1] from the start, read at the place of -s_i, give
    numerator and denominator. Both are scaled by the row's largest term, so no exponential overflows and the
    denominator is at least 1. The sums are kept in float32 whatever the type of h.

    s (source), t (target) [days, stocks], h [days, stocks, hidden], mask [days, stocks] -> z [days, stocks, hidden].
    Rows of masked stocks carry no meaning.
    """
    with torch.autocast(h.device.type, enabled=False):
        total, _ = attention_sums(source.float(), target.float(), h.float(), mask, slope)
        return (total[..., :-1] / total[..., -1:]).to(h.dtype)


def attention_sums(s: Tensor, t: Tensor, h: Tensor, mask: Tensor, slope: float) -> tuple[Tensor, Tensor]:
    """Numerator and denominator of ``attend`` before their division, and the logarithm of their scale.

    ``sum_j exp(LeakyReLU(s_i + t_j) - m_i) [h_j, 1]`` [days, stocks, hidden + 1], and m [days, stocks], the largest of
    the row's logits; so the sums over other neighbours can be added to it.
    """
    t, order = t.masked_fill(~mask, -torch.inf).sort(dim=1)  # masked stocks first: [days, stocks]
    there = torch.isfinite(t)
    highest = t[:, -1:]  # [days, 1]
    values = torch.cat([h, torch.ones_like(h[..., :1])], dim=-1)  # [days, stocks, hidden + 1]
    values = values.gather(1, order[..., None].expand_as(values))
    distance = (t - highest).masked_fill(~there, 0.0)  # at most 0
    upper = (distance.exp() * there)[..., None] * values
    lower = ((slope * distance).exp() * there)[..., None] * values
    upper = upper.flip(1).cumsum(1).flip(1)  # [days, stocks, hidden + 1], sums from here to the end
    lower = lower.cumsum(1)  # sums from the start to here

    place = torch.searchsorted(t.detach().contiguous(), -s.detach().contiguous(), right=True)  # [days, stocks]
    above = torch.where(place < t.shape[1], s + highest, -torch.inf)  # log of the scale of the upper sum
    below = torch.where(place > (~there).sum(1, keepdim=True), slope * (s + highest), -torch.inf)
    largest = torch.maximum(above, below).detach()
    total = _at(upper, place.clamp(max=t.shape[1] - 1)) * (above - largest).exp()[..., None]
    total = total + _at(lower, (place - 1).clamp(min=0)) * (below - largest).exp()[..., None]
    return total, largest


def _at(sums: Tensor, place: Tensor) -> Tensor:
    return sums.gather(1, place[..., None].expand(-1, -1, sums.shape[-1]))


class GraphAttention(nn.Module):
    """``z_i = 1/M sum_m sum_j softmax_j(LeakyReLU(a_m^T [W_m h_j || W_m h_i])) h_j``, M heads.

    h [days, stocks, hidden], mask [days, stocks] -> z [days, stocks, hidden]. The heads are averaged before the
    non-linearity that follows. As in the Model Zoo the transformed states decide who attends to whom, and the
    states themselves are summed.
    """

    def __init__(self, hidden_size: int, num_heads: int = 1) -> None:
        super().__init__()
        if num_heads < 1:
            raise ConfigError(f"num_heads is at least 1, not {num_heads}.")
        self.transformation = nn.ModuleList(nn.Linear(hidden_size, hidden_size) for _ in range(num_heads))
        self.a = nn.ParameterList(torch.randn(2 * hidden_size, 1) for _ in range(num_heads))

    def forward(self, h: Tensor, mask: Tensor) -> Tensor:
        heads = []
        for transformation, a in zip(self.transformation, self.a, strict=True):
            of_neighbour, of_self = a[:, 0].chunk(2)  # [hidden] each
            w = transformation(h)  # [days, stocks, hidden]
            heads.append(attend(w @ of_self, w @ of_neighbour, h, mask))
        return torch.stack(heads).mean(0)  # [days, stocks, hidden]
