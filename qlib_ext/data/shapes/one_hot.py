"""States as fields of a net: one for each value of each state."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class OneHot:
    """The last fields of a day, whole numbers from 0 on, as a field for each of their values: 1 for that one, else 0.

    x [samples, days, F + states] -> [samples, days, F + values]; a state that is NaN is 0 in all of its fields.

    counts: how many values each state has.
    """

    counts: tuple[int, ...]

    @property
    def values(self) -> int:
        """How many fields the states become."""
        return sum(self.counts)

    def __call__(self, x: Tensor) -> Tensor:
        others, states = x.split([x.shape[2] - len(self.counts), len(self.counts)], dim=2)
        fields = [
            states[..., place, None] == torch.arange(count, device=x.device) for place, count in enumerate(self.counts)
        ]  # [samples, days, count] each
        return torch.cat([others, *fields], dim=2)  # [samples, days, F + values]
