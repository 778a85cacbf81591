"""What a net says of its samples."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Scores(NamedTuple):
    """The output of every net.

    score [samples] the prediction; normalised [samples] what the loss compares with the label: the score, after
    its batch norm where the net has one; weak_factors [samples, K], or None where the net has none;
    state [samples, ...] what a stock is known by before it hears of others: the encoder's last state, or the vector
    of its instrument in a graph of those; network_weights [days, networks], what each network counts on a day, or None.
    """

    score: Tensor
    normalised: Tensor
    weak_factors: Tensor | None
    state: Tensor
    network_weights: Tensor | None = None

    def as_float32(self) -> Scores:
        """The same in float32, whatever autocast made of it."""
        factors = None if self.weak_factors is None else self.weak_factors.float()
        return self._replace(
            score=self.score.float(), normalised=self.normalised.float(), weak_factors=factors, state=self.state.float()
        )
