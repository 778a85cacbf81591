"""The head of the reports' nets: a state -> K weak factors -> one score."""

from __future__ import annotations

from torch import Tensor, nn

from qlib_ext.layers.scores import Scores


class WeakFactorHead(nn.Module):
    """``z = W BN(h) + b``, ``c = mean_k z_k``, trained on ``BN(c)``.

    h [samples, hidden], the encoder's state [samples, hidden] -> Scores.

    Source: Orient Securities, factor selection series 96 (2023-08-24), the two-stage network and its loss.
    """

    def __init__(self, hidden_size: int, num_factors: int) -> None:
        super().__init__()
        self.state_norm = nn.BatchNorm1d(hidden_size)
        self.factors = nn.Linear(hidden_size, num_factors)
        self.score_norm = nn.BatchNorm1d(1)

    def forward(self, h: Tensor, state: Tensor) -> Scores:
        z = self.factors(self.state_norm(h))  # [samples, K]
        c = z.mean(dim=1)  # [samples]
        return Scores(score=c, normalised=self.score_norm(c[:, None])[:, 0], weak_factors=z, state=state)
