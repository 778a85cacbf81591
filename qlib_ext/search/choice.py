"""Which factors of a pool are kept, and the file that handlers read them from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qlib_ext.search.pool import Factor, unit
from qlib_ext.search.statistics import icir
from qlib_ext.system.files import write_whole


@dataclass(frozen=True)
class Chosen:
    """A factor that is kept; added_icir: the ICIR in the validation of what is left of it after those before it."""

    name: str
    factor: Factor
    added_icir: float


def forward(
    ranks: Sequence[np.ndarray], labels: np.ndarray, signs: Sequence[float], most: int
) -> list[tuple[int, float]]:
    """Factors one after the other, each the one that adds most to those before it: places and ICIRs of what they add.

    What a factor adds is what is left of its ranks on each day beside all that is linear in those before; its ICIR
    counts in the direction of ``signs``. It ends where nothing adds anything.

    ranks of each factor and labels: [days, stocks], mean 0 and norm 1 on each day, 0 where there is none.
    """
    left = list(ranks)
    order: list[tuple[int, float]] = []
    while len(order) < min(most, len(ranks)):
        taken = {place for place, _ in order}
        gains = np.array(
            [
                -np.inf if place in taken else signs[place] * icir((own * labels).sum(1, dtype=np.float64))
                for place, own in enumerate(left)
            ]
        )
        best = int(np.argmax(np.nan_to_num(gains, nan=-np.inf)))
        if not gains[best] > 0:
            break
        order.append((best, float(gains[best])))
        direction = left[best]
        left = [
            unit(own - (own * direction).sum(1, keepdims=True) * direction, whole)
            for own, whole in zip(left, ranks, strict=True)
        ]
    return order


def write_factors(path: str | Path, chosen: Sequence[Chosen], heading: Sequence[str]) -> None:
    """A file for ``handlers.expressions.Expressions``: a line ``NAME: expression`` each, its figures above it.

    Raises OutputError.
    """
    lines = [f"# {line}" for line in heading]
    for each in chosen:
        own = each.factor
        lines += [
            "",
            f"# train: Rank IC {own.rank_ic:+.4f}, ICIR {own.icir:+.3f}, t {own.t:+.1f}",
            f"# validation: Rank IC {own.valid_rank_ic:+.4f}, ICIR {own.valid_icir:+.3f}; beyond those above: ICIR "
            f"{each.added_icir:.3f}",
            f"# turnover {own.turnover:.2f}, coverage {own.coverage:.1%}",
            f"{each.name}: {own.node.text}",
        ]
    write_whole(path, "\n".join([*lines, ""]).encode(), "Name another --out; the search itself is kept.")
