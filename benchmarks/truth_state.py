"""The whole market's scores weighted by long-only returns and by the market's state, as ``StateWeight`` does it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pandas as pd
import torch

from benchmarks.truth_train import REACH
from qlib_ext.cross_section.zscore import zscore_of_all
from qlib_ext.models.state_weighting import Moments, StateWeight
from qlib_ext.models.weighting import long_only_excess_by_day

Array = np.ndarray  # features [sources, days, stocks], labels and scores [days, stocks]; NaN where nothing is
TOP = 0.1


def by_long_only_and_state(
    features: Array,
    label: Array,
    days: pd.DatetimeIndex,
    risk: str,
    windows: Iterable[int],
    train: int,
    valid: float,
) -> dict[str, Array]:
    """The weighted scores of all days from the first window on, by the weighting's name.

    windows: places of the days from which on a weighting scores until the next one; it is found on ``train`` days whose
    labels look at none of them, of which the last share, ``valid``, says when to stop.
    """
    moments = moments_of(features, label, days)
    excess = np.stack([long_only_excess_by_day(pd.DataFrame(own), pd.DataFrame(label), TOP) for own in features])
    starts = [*windows, len(label)]
    scores: dict[str, list[Array]] = {"long-only": [], "state, from long-only": [], "state, from equal": []}
    for first, after in pairwise(starts):
        known = slice(first - train - REACH, first - REACH)
        of_training = moments[known.start : known.start + int(train * (1 - valid)) - REACH]
        of_valid = moments[known.start + int(train * (1 - valid)) : known.stop]
        v = np.clip(np.nanmean(excess[:, known], axis=1), 0, None)
        v = v / v.sum() if v.any() else np.full(len(v), 1 / len(v))
        now = features[:, first:after]
        scores["long-only"].append(np.tensordot(v, now, 1))
        for name, start in (("long-only", v), ("equal", np.full(len(v), 1 / len(v)))):
            model = StateWeight(risk)
            model.learn(pd.Series(start), of_training, of_valid)
            weights = model.state_weights(days[first:after]).to_numpy()  # [days, sources]
            scores[f"state, from {name}"].append(np.einsum("dk,kds->ds", weights, now))
    return {name: np.concatenate(parts) for name, parts in scores.items()}


def moments_of(features: Array, label: Array, days: pd.DatetimeIndex) -> Moments:
    """Those of every day, of the stocks that have all scores and a label."""
    there = np.isfinite(features).all(0) & np.isfinite(label)
    z = np.stack([np.where(there, zscore_of_all(own, there), 0.0) for own in features], -1)  # [days, stocks, sources]
    y = np.where(there, zscore_of_all(label, there), 0.0)
    n = np.maximum(there.sum(1), 1)
    c, r = np.einsum("dsk,ds->dk", z, y) / n[:, None], z.transpose(0, 2, 1) @ z / n[:, None, None]
    return Moments(days, torch.from_numpy(c), torch.from_numpy(r))
