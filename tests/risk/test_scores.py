"""What a score owes to the factors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from qlib_ext.errors import DataError
from qlib_ext.risk.model import StyleRiskModel
from qlib_ext.risk.scores import score_exposures


@pytest.fixture(scope="module")
def model(model_folder):
    return StyleRiskModel.read(model_folder)


def test_a_style_in_disguise_is_found(model):
    day = model.days[-1]
    x = model.exposures(day)
    random = np.random.default_rng(0).standard_normal(len(x))
    for score, share in ((3 * x["size"] + 7, 1.0), (pd.Series(random, x.index), None)):
        got = score_exposures(model, score.to_frame(day).T)
        if share:
            assert got.exposures.loc[day, "size"] == pytest.approx(1)
            assert got.explained[day] == pytest.approx(1)
            assert got.neutral.loc[day].abs().max() < 1e-6
        else:
            z = (score - score.mean()) / score.std(ddof=0)
            fit = sm.OLS(z, x.loc[:, (x != 0).any()]).fit()
            np.testing.assert_allclose(got.neutral.loc[day], fit.resid[got.neutral.columns], atol=1e-9)
            industry = next(name for name in x if name.startswith("industry_"))
            assert got.exposures.loc[day, industry] == pytest.approx(z[x[industry] == 1].mean())
            assert got.exposures.loc[day, "beta"] == pytest.approx(score.corr(x["beta"]))


def test_days_without_enough_are_passed_over(model):
    day = model.days[-1]
    score = model.exposures(day)["size"].to_frame(day).T
    few = score.copy()
    few.iloc[0, 5:] = np.nan
    both = pd.concat([few.set_axis([model.days[-2]]), score])
    assert list(score_exposures(model, both).exposures.index) == [day]
    with pytest.raises(DataError, match="covers the score on none of its 1 days"):
        score_exposures(model, few)
