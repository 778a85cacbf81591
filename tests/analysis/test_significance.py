"""Differences of experiments against statsmodels, and the lines that a comparison has of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from qlib_ext.analysis.compare.table import comparison
from qlib_ext.analysis.compare.texts import ENGLISH
from qlib_ext.analysis.significance import paired_difference
from qlib_ext.recorder.runs import without_pickles

PAIRED = ENGLISH["paired"]
DAYS = pd.bdate_range("2019-01-01", periods=250)


@pytest.mark.parametrize(("overlap", "lags"), [(1, 4), (10, 9)])
def test_the_t_is_statsmodels(overlap, lags):
    random = np.random.default_rng(1)
    a = pd.Series(random.normal(0.02, 0.1, len(DAYS)), DAYS).rolling(5, min_periods=1).mean()
    b = pd.Series(random.normal(0.0, 0.1, len(DAYS)), DAYS)[20:]
    found = paired_difference(a, b, overlap)
    both = (a - b).dropna()
    fit = sm.OLS(both.to_numpy(), np.ones(len(both))).fit(cov_type="HAC", cov_kwds={"maxlags": lags})
    assert (found.mean, found.t, found.days) == pytest.approx((fit.params[0], fit.tvalues[0], 230))


def test_what_cannot_be_told_apart():
    one = pd.Series(1.0, DAYS)
    assert paired_difference(one[:19], one) is None
    same = paired_difference(one, one)
    assert (same.mean, same.days) == (0.0, 250)
    assert np.isnan(same.t)


def test_a_comparison_says_whether_experiments_differ(whole, recorders):
    net, tree = whole("net"), whole("tree")
    caveats = comparison(recorders.store, ["net", "tree"]).caveats
    lines = [line for line in caveats if line.startswith("tree less net")]
    files = [
        [pd.read_pickle(run / f"factor_analysis/{name}.pkl") for run in (tree, net)]
        for name in ("ic", "strategy_returns")
    ]
    ic = paired_difference(*(frame["rank_ic"] for frame in files[0]), overlap=10)
    excess = paired_difference(*(frame["excess_return"] for frame in files[1]))
    assert lines == [
        f"tree less net: daily Rank IC {ic.mean:+.4f}, t = {ic.t:.2f}, 90 days",
        f"tree less net: annual excess return {252 * excess.mean:+.2%}, t = {excess.t:.2f}, 90 steps of the backtest",
    ]
    assert caveats[-1] == PAIRED
    assert PAIRED not in comparison(recorders.store, ["net"]).caveats
    same = comparison(recorders.store, ["net", "net"]).caveats
    assert PAIRED not in same, "one experiment, named twice"
    with without_pickles():
        assert PAIRED not in comparison(recorders.store, ["net", "tree"]).caveats
