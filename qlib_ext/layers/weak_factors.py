"""The head of the reports' nets: a state -> K weak factors -> one score."""

from __future__ import annotations

from torch import Tensor, nn

from qlib_ext.layers.scores import Scores

ACTIVATIONS: dict[str, type[nn.Module]] = {"none": nn.Identity, "sigmoid": nn.Sigmoid}


class WeakFactorHead(nn.Module):
    """``z = f(W BN(h) + b)``, ``c = mean_k z_k``, trained on ``BN(c)``; the activation f is none or the sigmoid.

    h [samples, hidden], the encoder's state [samples, hidden] -> Scores.

    Source: Orient Securities, factor selection series 96 (2023-08-24), the two-stage network and its loss; the sigmoid:
    Huatai Securities, artificial intelligence series 72 (2023-12-08), exhibits 43 and 44.
    """

    def __init__(self, hidden_size: int, num_factors: int, activation: str = "none") -> None:
        super().__init__()
        self.state_norm = nn.BatchNorm1d(hidden_size)
        self.factors = nn.Linear(hidden_size, num_factors)
        self.activation = ACTIVATIONS[activation]()
        self.score_norm = nn.BatchNorm1d(1)

    def forward(self, h: Tensor, state: Tensor) -> Scores:
        z = self.activation(self.factors(self.state_norm(h)))  # [samples, K]
        c = z.mean(dim=1)  # [samples]
        return Scores(score=c, normalised=self.score_norm(c[:, None])[:, 0], weak_factors=z, state=state)
