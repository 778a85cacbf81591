"""What a score owes to the factors of the risk model, and what its Rank IC is without them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from qlib.utils import init_instance_by_config

from qlib_ext.cross_section.ic import rank_information_coefficient
from qlib_ext.errors import ConfigError
from qlib_ext.risk.model import StyleRiskModel
from qlib_ext.risk.records import MODEL
from qlib_ext.risk.scores import score_exposures


def risk_frames(
    score: pd.DataFrame, label: pd.DataFrame, horizon: int, risk: Mapping[str, Any]
) -> dict[str, pd.DataFrame]:
    """The files risk_exposures.pkl and risk_ic.pkl of FactorRecord, of every horizon-th trading day that the model has.

    ``rank_ic`` is ``Rank IC(s, y)`` of the stocks that the model covers, ``rank_ic_neutral`` is ``Rank IC(e, y)`` of
    the same stocks, with e what a regression of s on the day's exposures leaves; see ``score_exposures``.

    score and label [days, stocks] by the same days and stocks; risk: the model as Qlib writes a class with its kwargs.
    Raises DataError where the model covers the score on no day, ConfigError where there is no such class or option.
    """
    try:
        model: StyleRiskModel = init_instance_by_config(MODEL | dict(risk), accept_types=StyleRiskModel)
    except (ImportError, AttributeError, TypeError) as error:
        raise ConfigError(f"The risk model {dict(risk)!r} cannot be made, {type(error).__name__}: {error}") from error
    spaced = score.iloc[::horizon].dropna(how="all")
    found = score_exposures(model, spaced)
    days = found.exposures.index
    neutral, own, y = (frame.loc[days].to_numpy(dtype=float) for frame in (found.neutral, spaced, label))
    covered = ~np.isnan(neutral)
    ic = {
        "rank_ic": rank_information_coefficient(np.where(covered, own, np.nan), y),
        "rank_ic_neutral": rank_information_coefficient(neutral, y),
        "explained": found.explained,
        "stocks": covered.sum(1),
    }
    styles_first = sorted(found.exposures, key=lambda name: name.startswith("industry_"))
    return {"risk_exposures.pkl": found.exposures[styles_first], "risk_ic.pkl": pd.DataFrame(ic, index=days)}
