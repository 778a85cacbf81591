"""Bias statistics: 1 where the model is right, 2 where half of the risk is unseen; the record and the pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import qlib
from qlib.utils import init_instance_by_config
from qlib.workflow import R

from qlib_ext.cli import main
from qlib_ext.errors import ConfigError, DataError
from qlib_ext.provider.facts import ProviderFacts
from qlib_ext.risk.bias import (
    HOLDING_DAYS,
    PAST_DAYS,
    DenseRisk,
    FactorRisk,
    bias_table,
    bias_test,
    outcomes,
    portfolios,
    reversal_signals,
)
from qlib_ext.risk.model import StyleRiskModel
from qlib_ext.risk.pictures import write_bias, write_factor_returns
from qlib_ext.risk.records import RiskRecord
from qlib_ext.risk.universe import read_universe


def drawn(stocks=80, factors=5, seed=0):
    random = np.random.default_rng(seed)
    root = 0.01 * random.standard_normal((factors, factors))
    specific = 0.01 * np.exp(0.3 * random.standard_normal(stocks))
    return FactorRisk(random.standard_normal((stocks, factors)), root @ root.T, specific)


def dense(risk):
    return DenseRisk(risk.exposures @ risk.covariance @ risk.exposures.T + np.diag(risk.specific**2))


def test_factors_and_a_matrix_are_one_risk():
    risk, values = drawn(), np.random.default_rng(1).standard_normal((80, 3))
    np.testing.assert_allclose(risk.times(values), dense(risk).times(values), rtol=1e-9)
    np.testing.assert_allclose(risk.solve(values), dense(risk).solve(values), rtol=1e-7)


def scaled(forecast_of):
    """Outcomes of 120 fortnights of returns that are drawn from the true risk, forecast by another."""
    true, random = drawn(), np.random.default_rng(2)
    root = np.linalg.cholesky(dense(true).matrix)
    found = {}
    for day in pd.bdate_range("2015-01-01", periods=120, freq="10B"):
        risk = forecast_of(true)
        held = portfolios(risk, true.exposures, {"reversal": random.standard_normal(80)}, random)
        realised = HOLDING_DAYS**0.5 * root @ random.standard_normal(80)
        for kind, values in outcomes(risk, held, realised).items():
            found.setdefault(kind, {})[day] = values
    return bias_table({kind: pd.DataFrame.from_dict(values, orient="index") for kind, values in found.items()})


def test_the_truth_has_a_bias_of_one():
    table = scaled(lambda true: true)
    assert (table["all"] - 1).abs().max() < np.sqrt(2 / 120)
    assert (table["mrad"] < 0.15).all()


def test_half_of_the_risk_is_a_bias_of_two():
    table = scaled(lambda true: FactorRisk(true.exposures, true.covariance / 4, true.specific / 2))
    assert (table["all"] - 2).abs().max() < 2 * np.sqrt(2 / 120)
    np.testing.assert_allclose(table["mrad"], 1, atol=0.3)


def test_portfolios():
    risk, random = drawn(), np.random.default_rng(3)
    held = portfolios(risk, risk.exposures, {"alpha": random.standard_normal(80)}, random)
    assert {*held} == {"random", "style_tilted", "optimised", "alpha"}
    np.testing.assert_allclose(held["random"].sum(0), 0, atol=1e-12)
    np.testing.assert_allclose(np.abs(held["optimised"]).sum(0), 1)
    past = {"past_month": pd.Series(np.r_[np.linspace(-1, 1, 79), 1e6])}
    signals = reversal_signals(pd.DataFrame({"reversal": np.arange(80.0)}), past)
    assert (signals["reversal"] == -np.arange(80)).all()
    assert signals["past_month"].min() > -4  # a return of a million is clipped


def test_the_model_of_a_simulated_market(provider, model_folder):
    model, universe = StyleRiskModel.read(model_folder), read_universe(provider, ["all", "csi300"])
    begin, end = model.first_forecast(), model.days[-1]
    model.covariance(begin)
    with pytest.raises(DataError, match="days of history"):
        model.covariance(model.days[model.days.get_loc(begin) - 1])
    got = bias_test(lambda day, stocks: FactorRisk.of(model, day, stocks), model, *vars(universe).values(), begin, end)
    for kind in ("random", "optimised"):
        b = got[kind].to_numpy().std()
        assert 0.5 < b < 1.6, kind  # four fortnights of a simulated market
    with pytest.raises(DataError, match="no day has 40 members that the model covers"):
        bias_test(lambda day, stocks: None, model, *vars(universe).values(), model.days[0], model.days[5])


def test_a_universe_is_read_once_for_two_names(provider, market):
    universe = read_universe(provider, ["csi300", "csi300"])
    truth = pd.DataFrame(market.members, market.calendar, market.symbols)[universe.members.columns]
    np.testing.assert_array_equal(universe.members, truth)
    assert truth.to_numpy().sum() == market.members.sum()
    with pytest.raises(DataError, match="universe 'csi900'"):
        read_universe(provider, ["csi900"])


def test_a_close_that_is_none_is_carried(provider, changed):
    def edit(path, values, first):
        if path.name == "close.day.bin" and path.parent.name == "sh600001":
            values[200:203] = 0, -1, np.inf

    close = read_universe(changed("zeros", edit), ["csi300"]).close
    whole = read_universe(provider, ["csi300"]).close
    assert (close["SH600001"].iloc[200:203] == whole["SH600001"].iloc[199]).all()
    pd.testing.assert_frame_equal(close.drop(columns="SH600001"), whole.drop(columns="SH600001"))


def test_the_record_is_made_as_qlibs_trainer_makes_it():
    config = {"class": "RiskRecord", "module_path": "qlib_ext.risk.records", "kwargs": {"universe": "csi300"}}
    offered = {"model": object(), "dataset": object()}
    assert init_instance_by_config(
        config, recorder=None, default_module="qlib.workflow.record_temp", try_kwargs=offered
    )
    config["kwargs"] = {"univers": "csi300"}
    with pytest.raises(ConfigError, match="did you mean 'universe'"):
        init_instance_by_config(config, recorder=None, default_module="qlib.workflow.record_temp", try_kwargs=offered)


def test_the_record(provider, model_folder, tmp_path):
    qlib.init(
        provider_uri=str(provider),
        region="cn",
        kernels=1,
        logging_level=40,
        exp_manager={
            "class": "SQLiteExpManager",
            "module_path": "qlib_ext.recorder",
            "kwargs": {"uri": f"sqlite:///{tmp_path}/mlflow.db", "default_exp_name": "x"},
        },
    )
    model = StyleRiskModel.read(model_folder)
    with R.start(experiment_name="risk"):
        recorder = R.get_recorder()
        risk = {"kwargs": {"folder": str(model_folder)}}
        with pytest.raises(ConfigError, match="put it after SignalRecord, or give first"):
            RiskRecord(recorder, universe="all", risk=risk).generate()
        with pytest.raises(ConfigError, match="univers"):
            RiskRecord(recorder, univers="all")
        record = RiskRecord(recorder, universe="all", risk=risk, first=model.first_forecast(), last=model.days[-1])
        record.generate()
        table = recorder.load_object("risk/bias.pkl")
        assert {"random", "style_tilted", "optimised", "reversal", *PAST_DAYS} == {*table.index}
        assert {*record.list()} == {Path(path).name for path in recorder.list_artifacts("risk") if path.endswith("pkl")}
        assert recorder.list_metrics()["risk.bias_random"] == pytest.approx(table.loc["random", "all"])
        outcomes_ = recorder.load_object("risk/outcomes.pkl")
        assert outcomes_.loc["random"].to_numpy().std() == pytest.approx(table.loc["random", "all"])


def test_pictures(provider, model_folder, tmp_path, capsys):
    command = ["risk", "--data", str(provider), "--out", str(model_folder), "--pictures", str(tmp_path)]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert f"in all, of {ProviderFacts.of(provider)}" in printed
    assert "wrote" in printed
    for name in ("risk_factor_returns.svg", "risk_bias.svg"):
        assert "SIMULATED: " in (tmp_path / name).read_text()
        assert "</svg>" in (tmp_path / name).read_text()
    assert "growth" in (tmp_path / "risk_factor_returns.svg").read_text()
    table = pd.DataFrame(
        {"2015": [1.0, 1.1], "all": [1.0, 1.1], "mrad": [0.0, 0.1], "days": 20}, ["random", "optimised"]
    )
    for name in ("one", "two"):
        write_bias(tmp_path / name, table)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    returns = pd.DataFrame({"size": [0.01, 0.02]}, pd.bdate_range("2020-01-01", periods=2))
    write_factor_returns(tmp_path / "f.svg", returns)
    assert "size" in (tmp_path / "f.svg").read_text()
