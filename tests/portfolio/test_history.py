"""What is made of an account's days, beside slow readings of the same account."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from qlib.contrib.evaluate import risk_analysis

from qlib_ext.errors import DataError
from qlib_ext.portfolio.history import (
    History,
    foreseen_and_realised,
    linked_by_year,
    performance,
    performance_by_year,
)
from qlib_ext.portfolio.ledger import Costs, Ledger, Order
from qlib_ext.portfolio.quotes import read_quotes
from qlib_ext.provider.panels import read_panels
from qlib_ext.risk.benchmark import index_weights
from qlib_ext.risk.build import build
from qlib_ext.risk.model import StyleRiskModel
from qlib_ext.simulator.simulate import INDEX, write_market

FIRST, LAST = 280, 355


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("history") / "provider"
    write_market(folder, stocks=60, days=360, seed=5)
    return folder


@pytest.fixture(scope="module")
def model(folder, tmp_path_factory):
    target = tmp_path_factory.mktemp("history") / "model"
    build(folder, target)
    return StyleRiskModel.read(target)


@pytest.fixture(scope="module")
def account(folder, model):
    """A ledger that trades at random once a week from the sixth day on, its quotes, and the index's weights."""
    quotes = read_quotes(folder, model.days[FIRST], model.days[LAST])
    ledger, random = Ledger(quotes, 1e8, Costs(0.001, 0.002)), np.random.default_rng(0)
    for day in range(len(quotes.days)):
        orders = []
        if day % 5 == 0 and day:
            orders = [Order(place, -0.3 * ledger.amounts[place]) for place in np.flatnonzero(ledger.amounts)]
            chosen = random.choice(len(quotes.stocks), 25, replace=False)
            orders += [Order(place, 3e6 / np.nan_to_num(quotes.close[day, place], nan=10.0)) for place in chosen]
        ledger.trade(day, orders)
        ledger.close(day)
    bench = pd.Series(read_panels(folder, ["change"], [INDEX])["change"][:, 0], model.days)
    return ledger, ledger.report(bench), quotes, index_weights(folder, INDEX, "csi300").weights


@pytest.fixture(scope="module")
def history(account):
    ledger, report, quotes, weights = account
    return History.of(report, ledger.holdings(), quotes, weights)


def test_it_begins_on_the_day_after_the_first_purchase(history, account, model):
    assert history.days[0] == model.days[FIRST + 6]
    assert history.before[0] == model.days[FIRST + 5]
    np.testing.assert_allclose(history.benchmark.sum(axis=1), 1)


def test_effects_of_a_day_close_and_are_those_of_the_trades(history, account, model):
    """Timing is found as what is left; here it is added up trade by trade."""
    ledger, report, quotes, _ = account
    effects, daily = history.attribution(model)[0], history.daily()
    np.testing.assert_allclose(effects.sum(axis=1), daily["excess"], atol=1e-12)
    np.testing.assert_allclose(effects.drop(columns="basket").sum(axis=1), daily["excess_basket"], atol=1e-12)
    holdings = ledger.holdings()
    for place, day in enumerate(history.days):
        at = quotes.days.get_loc(day)
        change = holdings[at] - holdings[at - 1]
        earned = np.nansum(change * (quotes.close[at] - quotes.price[at]))
        assert effects["timing"].iloc[place] == pytest.approx(earned / report["account"].iloc[at - 1], abs=1e-12)
    assert effects["timing"].abs().max() > 1e-4
    assert (effects["cost"] <= 0).all()
    # what the model leaves of the stocks that it covers is its own residual
    last, day = history.before[3], history.days[3]
    d = pd.Series(history.weights[3] - history.benchmark[3], list(history.stocks))
    residual = model.residuals(day)
    others = d.drop(residual.index)
    assert others.abs().sum() < 0.2
    known = (d[residual.index] * residual).sum()
    x = model.exposures(last).reindex(others.index).dropna()
    r = pd.Series(history.returns[3], list(history.stocks))
    rest = (others[x.index] * (r[x.index] - x @ model.factor_returns.loc[day, x.columns])).sum()
    assert effects["specific"].iloc[3] == pytest.approx(known + rest, abs=1e-6)


def test_linked_effects_close_for_all_and_for_each_year(history, model):
    daily, effects = history.daily(), history.attribution(model)[0]
    table = linked_by_year(effects, daily["return"], daily["benchmark"])
    assert len(table) > 2
    for name, row in table.iterrows():
        part = daily if name == "all" else daily.loc[name]
        whole = (1 + part["return"]).prod() - (1 + part["benchmark"]).prod()
        assert row.sum() == pytest.approx(whole, abs=1e-12)


def test_industries_close_to_the_holdings_return(history, model):
    _, table = history.attribution(model)
    held = (history.weights * history.returns).sum(axis=1)
    whole = np.prod(1 + held) - (1 + history.daily()["basket"]).prod()
    assert table.to_numpy().sum() == pytest.approx(whole, abs=1e-12)
    assert "cash" in table.index


def test_the_basket_is_the_index_of_the_simulated_market(history):
    """Its index counts dividends, so the basket of the weights at the close before earns what it does."""
    daily, members = history.daily(), history.benchmark > 0
    same = np.append((members[1:] == members[:-1]).all(axis=1), True)  # on the next day the members are those
    assert same.sum() > 50
    np.testing.assert_allclose(daily["basket"][same], daily["benchmark"][same], atol=1e-6)


def test_performance_is_read_off_the_days(history):
    daily = history.daily()
    table, excess = performance(daily), daily["excess"]
    row = table.loc["excess"]
    value = (1 + excess).cumprod()
    assert row["annual_return"] == pytest.approx(value.iloc[-1] ** (252 / len(excess)) - 1)
    assert row["volatility"] == pytest.approx(excess.std() * 252**0.5)
    assert row["ratio"] == pytest.approx(excess.mean() / excess.std() * 252**0.5)
    drop = min(value.iloc[t] / max(1.0, value.iloc[: t + 1].max()) - 1 for t in range(len(value)))
    assert row["max_drawdown"] == pytest.approx(drop)
    assert row["calmar"] == pytest.approx(row["annual_return"] / -drop)
    won = [(1 + part).prod() > 1 for _, part in excess.groupby(excess.index.map(lambda day: day.isocalendar()[:2]))]
    assert row["weekly_win_rate"] == pytest.approx(np.mean(won))


def test_a_year_has_252_days_and_is_compounded():
    """contrib/evaluate.py:53: Qlib's year has 238 days, and its returns are added up."""
    days = pd.bdate_range("2020-01-01", periods=252)
    daily = pd.DataFrame(0.001, days, ["return", "excess", "excess_basket"])
    daily.iloc[::2] += 0.0005  # so that it varies
    qlibs = risk_analysis(daily["excess"], freq="day")["risk"]
    assert qlibs["annualized_return"] == pytest.approx(238 * daily["excess"].mean())
    row = performance(daily).loc["excess"]
    assert row["annual_return"] == pytest.approx((1 + daily["excess"]).prod() - 1)
    assert row["annual_return"] > 1.1 * qlibs["annualized_return"]


def test_years_are_those_of_the_calendar(history):
    daily, table = history.daily(), performance_by_year(history.daily(), history.report)
    assert table.index.tolist() == ["all", *sorted({str(day.year) for day in daily.index})]
    for name in table.index:
        part = daily if name == "all" else daily.loc[name]
        assert table.loc[name, "excess"] == pytest.approx((1 + part["excess"]).prod() - 1)
        turned = history.report.loc[part.index, "turnover"].sum() / 2
        assert table.loc[name, "turnover_one_sided"] == pytest.approx(turned / len(part) * 252)
    assert table.loc["all", "turnover_one_sided"] == pytest.approx(history.turnover()["turnover_one_sided"])


def test_what_was_held_is_counted(history, account):
    found = history.turnover()
    assert found["turnover_two_sided"] == 2 * found["turnover_one_sided"]
    amounts = account[0].holdings()[5:-1]
    assert found["names"] == pytest.approx((amounts > 0).sum(axis=1).mean())
    assert 0.5 < found["member_share"] < 1


def test_b_is_one_where_the_risk_was_foreseen():
    days = pd.bdate_range("2020-01-06", periods=2000)
    excess = pd.Series(0.05 / 252**0.5 * np.random.default_rng(0).standard_normal(2000), days)
    table = foreseen_and_realised(days[::5], [0.05] * 400, excess)
    assert table["outcome"].std() == pytest.approx(1, abs=0.08)
    assert table["days"].tolist() == [5] * 399 + [4]
    week = excess.iloc[1:6]
    assert table["excess"].iloc[0] == pytest.approx((1 + week).prod() - 1)
    assert table["outcome"].iloc[0] == pytest.approx(((1 + week).prod() - 1) / (0.05 * (5 / 252) ** 0.5))
    assert foreseen_and_realised(days[::5], [0.1] * 400, excess)["outcome"].std() == pytest.approx(0.5, abs=0.04)


def test_an_account_that_holds_nothing_has_no_history(account):
    ledger, report, quotes, weights = account
    with pytest.raises(DataError, match="held nothing from"):
        History.of(report, np.zeros_like(ledger.holdings()), quotes, weights)
    with pytest.raises(DataError, match=r"missing on \d+ days, first"):
        History.of(report, ledger.holdings(), quotes, weights.iloc[: FIRST + 20])
