"""What the model says of a day: the covariance by its definition, inheritance of new industries, its refusals."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from qlib.config import C

from qlib_ext.errors import ConfigError, DataError
from qlib_ext.risk.build import build
from qlib_ext.risk.covariance import correlations, variances
from qlib_ext.risk.inherited import inherited
from qlib_ext.risk.model import StyleRiskModel

PLAIN = {"newey_west": 0, "shrinkage": 0.0}


@pytest.fixture(scope="module")
def model(model_folder):
    return StyleRiskModel.read(model_folder)


@pytest.fixture(scope="module")
def plain(model_folder):
    """Without what is added to exponentially weighted moments."""
    return StyleRiskModel.read(model_folder, **PLAIN)


def test_exposures(model):
    day = model.days[-1]
    x, rows = model.exposures(day), model.stocks(day)
    rows = rows[rows["industry"] > 0]
    industries = [name for name in x if name.startswith("industry_")]
    assert (x["market"] == 1).all()
    assert (x[industries].sum(axis=1) == 1).all()
    assert all(x.loc[stock, f"industry_{code}"] == 1 for stock, code in rows["industry"].items())
    seasoned = rows["seasoned"]
    for style in model.styles(day):
        known = seasoned & (x[style] != 0)
        if known.sum() == seasoned.sum():  # where all have a value
            assert abs(x.loc[known, style].std(ddof=0) - 1) < 1e-5
            assert abs(np.average(x.loc[known, style], weights=rows.loc[known, "cap"])) < 1e-5


def test_the_covariance_by_its_definition(plain):
    """84 days for variances, 252 for correlations, and the regime: in pandas, factor by factor."""
    model = plain
    at = 340
    day = model.days[at]
    factors = list(model.exposures(day).columns)
    history = model.factor_returns.iloc[: at + 1][factors].dropna()
    deviation = history.ewm(halflife=84).std(bias=True).iloc[-1]
    correlation = history.ewm(halflife=252).corr().loc[day]
    every = model.factor_returns.iloc[: at + 1]
    bias = (every**2 / variances(every, 84).shift(1)).mean(axis=1).ewm(halflife=42).mean().iloc[-1]
    want = correlation * np.outer(deviation, deviation) * bias
    pd.testing.assert_frame_equal(model.covariance(day), want, check_names=False, rtol=1e-9)
    assert np.linalg.eigvalsh(model.covariance(day))[0] > -1e-15


def test_the_default_has_two_lags(model):
    """Of variances and correlations, whose own definitions stand in test_covariance."""
    at = 340
    day = model.days[at]
    every = model.factor_returns.iloc[: at + 1]
    history = every[list(model.exposures(day).columns)].dropna()
    deviation = np.sqrt(variances(history, 84, 2).iloc[-1])
    bias = (every**2 / variances(every, 84, 2).shift(1)).mean(axis=1).ewm(halflife=42).mean().iloc[-1]
    want = correlations(history.to_numpy(), 252, 2) * np.outer(deviation, deviation) * bias
    np.testing.assert_allclose(model.covariance(day), want, rtol=1e-9)
    assert np.linalg.eigvalsh(model.covariance(day))[0] > -1e-15


def test_own_risk_by_its_definition(plain):
    model = plain
    day = model.days[340]
    residuals = pd.DataFrame({at: model.residuals(at) for at in model.days[:341]}).T.reindex(model.days[:341])
    own = residuals.ewm(halflife=84).var(bias=True).where(residuals.notna().cumsum() >= 63)
    ratio = (residuals**2 / own.shift(1)).mean(axis=1).ewm(halflife=42).mean()
    want = np.sqrt(own.loc[day] * ratio.loc[day]).dropna()
    got = model.specific(day)
    known = [stock for stock in want.index if stock in got.index]
    assert len(known) > 40
    np.testing.assert_allclose(got[known], want[known], rtol=1e-9)
    assert got.notna().all()
    assert got.index.equals(model.exposures(day).index)


def test_options_change_the_covariance(model_folder, model):
    day = model.days[-1]
    plain = model.covariance(day)
    for options in ({"newey_west": 0}, {"eigenfactors": 1.4, "simulations": 20}, {"regime": None}, {"volatility": 42}):
        other = StyleRiskModel.read(model_folder, **options).covariance(day)
        assert other.columns.equals(plain.columns)
        assert not np.allclose(other, plain, rtol=1e-3)
        assert np.linalg.eigvalsh(other)[0] > -1e-12
    shrunk = StyleRiskModel.read(model_folder, shrinkage=0.5).specific(day)
    assert shrunk.std() < model.specific(day).std()


def test_a_new_industry_has_the_history_of_its_stocks():
    days = pd.bdate_range("2021-07-26", periods=6)
    returns = pd.DataFrame(
        {
            "market": 0.01,
            "industry_21": [0.02, 0.03, 0.04, np.nan, np.nan, np.nan],
            "industry_41": [-0.01, 0.01, np.nan, 0.02, 0.0, 0.01],
            "industry_74": [np.nan, np.nan, np.nan, 0.05, 0.06, 0.07],
            "industry_77": [np.nan, np.nan, np.nan, np.nan, np.nan, 0.01],
            "size": [np.nan, 1, 1, 1, 1, 1],
        },
        days,
    )
    origins = [(days[3].date(), 74, 21, 0.75), (days[3].date(), 74, 41, 0.25)]
    filled = inherited(returns, origins)
    np.testing.assert_allclose(filled["industry_74"], [0.0125, 0.025, 0.03, 0.05, 0.06, 0.07])
    assert (filled["industry_77"].iloc[:5] == 0).all()  # from nowhere: the market's return, so none of its own
    assert np.isnan(filled["size"].iloc[0])
    assert np.isnan(returns["industry_74"].iloc[0])


def test_industries_of_a_new_scheme_have_a_covariance(changed, market, tmp_path):
    """On day 340 half of an industry's stocks get a code that was never there."""
    old = int(market.fields["industry"][0, 0])
    stocks = [place for place in range(60) if market.fields["industry"][340, place] == old]
    moved = {market.symbols[place].lower() for place in stocks[: len(stocks) // 2 + 1]}

    def edit(path, values, first):
        if path.name == "industry.day.bin" and path.parent.name in moved:
            values[340 - first :] = 99

    provider = changed("scheme", edit)
    model = StyleRiskModel(folder=tmp_path / "model", provider=provider)
    covariance = model.covariance(model.days[341])
    assert covariance.loc["industry_99", "industry_99"] > 0
    origins = model.files.origins()
    assert origins.rows() == [(model.days[340].date(), 99, old, 1.0)]
    live = StyleRiskModel(folder=tmp_path / "live", provider=changed("live", edit, days=341))
    pd.testing.assert_frame_equal(live.covariance(live.days[340]), model.covariance(model.days[340]))  # that evening
    before = model.covariance(model.days[339])
    assert "industry_99" not in before
    ratio = covariance.loc["industry_99", "industry_99"] / before.loc[f"industry_{old}", f"industry_{old}"]
    assert 0.5 < ratio < 2


def test_a_style_that_begins_is_there_that_evening(changed, tmp_path):
    """And it is the same as it is seen a day later, when it has a return."""

    def edit(path, values, first):
        if path.name == "book.day.bin":
            values[: 340 - first] = np.nan

    evening = StyleRiskModel(folder=tmp_path / "evening", provider=changed("evening", edit, days=341))
    later = StyleRiskModel(folder=tmp_path / "later", provider=changed("later", edit, days=343))
    day = evening.days[340]
    assert "value" not in evening.styles(evening.days[339])
    assert "value" in evening.styles(day)
    assert evening.styles(day) == later.styles(day)
    pd.testing.assert_frame_equal(evening.exposures(day), later.exposures(day))
    for model in (evening, later):
        with pytest.raises(DataError, match=r"0 days of history .* the shortest is that of value"):
            model.covariance(day)


def test_it_builds_itself_from_qlibs_provider(provider, init):
    init(provider)
    model = StyleRiskModel()
    assert len(model.days) == 360
    assert model.exposures("2015-09-01").shape[0] > 40


def test_what_it_refuses(model, tmp_path):
    with pytest.raises(DataError, match=r"has no 2030-01-01; it has 2014-09-01 to"):
        model.exposures("2030-01-01")
    with pytest.raises(DataError, match=r"covers no stock|days of history in common and need 63"):
        model.covariance(model.days[65])
    with pytest.raises(DataError, match="63 residuals"):
        model.specific(model.days[70])
    with pytest.raises(DataError, match="holds no risk model"):
        StyleRiskModel.read(tmp_path)
    with pytest.raises(ConfigError, match=r"'volatilty'; did you mean .*volatility"):
        StyleRiskModel.read(model.files.folder, volatilty=3)
    with pytest.raises(ConfigError, match="regime is a half-life in days, above 0, not 0"):
        StyleRiskModel.read(model.files.folder, regime=0)
    with pytest.raises(ConfigError, match="shrinkage is at least 0, not -1"):
        StyleRiskModel.read(model.files.folder, shrinkage=-1)
    with pytest.raises(ConfigError, match="newey_west is a whole number, not '2'"):
        StyleRiskModel.read(model.files.folder, newey_west="2")
    with pytest.raises(ConfigError, match="volatility is a number, not nan"):
        StyleRiskModel.read(model.files.folder, volatility=float("nan"))
    for day in ("foo", "June the 3rd", 20150601, None, ["2015-06-01"]):
        with pytest.raises(ConfigError, match="is no day; name one as in 2021-06-30"):
            model.exposures(day)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"size": "$float_mv"}, "size 'total_mv', not '$float_mv'"),
        ({"size": None}, "size 'total_mv', not None"),
        ({"industry": "$citic"}, "industry 'industry', not '$citic'"),
        ({"market": "csi300"}, "market 'all', not 'csi300'"),
        ({"without": ["value"]}, "without [], not ['value']"),
    ],
)
def test_a_model_of_something_else_is_not_read_in_silence(provider, model_folder, other, says):
    for named in (None, provider):
        with pytest.raises(ConfigError, match=re.escape(f"is made with {says}; leave {next(iter(other))} out")):
            StyleRiskModel(folder=model_folder, provider=named, **other)


def test_what_the_folder_is_made_of_need_not_be_said_again(provider, tmp_path):
    build(provider, tmp_path, size=None, without=["value"])
    for named in (None, provider):
        assert "amount" in StyleRiskModel(folder=tmp_path, provider=named).styles("2015-06-01")
    StyleRiskModel(folder=tmp_path, size=None, industry="$Industry", without=["value"])


def test_without_qlib_it_asks_for_a_provider(monkeypatch):
    monkeypatch.setattr(type(C), "registered", False)
    with pytest.raises(ConfigError, match=r"provider of qlib\.init: call it before, or name provider"):
        StyleRiskModel()


def test_what_is_kept_of_a_day_is_nobodys_to_change(model):
    """A grid asks for the same days again and again, and they are kept."""
    day = model.days[-2]
    first = (model.exposures(day), model.covariance(day), model.specific(day))
    assert model.covered(day) is model.covered(str(day.date()))
    for frame in (model.exposures(day), model.covariance(day), model.specific(day)):
        frame.iloc[:] = 7.0
    for before, after in zip(first, (model.exposures(day), model.covariance(day), model.specific(day)), strict=True):
        assert before.equals(after)
