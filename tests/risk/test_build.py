"""Building the model: day by day as at once, stopped and gone on, blind for the future, clear about bad input."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from qlib_ext.cli import main
from qlib_ext.errors import DataError, OutputError
from qlib_ext.risk import build as building
from qlib_ext.risk.build import build
from qlib_ext.risk.files import RiskFiles
from qlib_ext.risk.model import StyleRiskModel
from tests.risk.conftest import noise_from


def tables(folder: Path) -> list[pl.DataFrame]:
    files = RiskFiles(folder)
    return [files.days(), files.origins(), *(files.stocks(month) for month in files.months())]


def assert_same_model(one: Path, other: Path) -> None:
    for left, right in zip(tables(one), tables(other), strict=True):
        assert_frame_equal(left, right, check_column_order=False, check_exact=True)


def test_factors_and_residuals_are_the_returns(model_folder, market):
    model = StyleRiskModel.read(model_folder)
    close = pd.DataFrame(market.fields["close"].astype("f4").astype(float), market.calendar, market.symbols)
    returns = close / close.shift(1) - 1
    counted = 0
    for before, day in zip(model.days[200:], model.days[201:], strict=False):
        rows = model.stocks(day)["return"].dropna()
        x, f = model.exposures(before).loc[rows.index], model.factor_returns.loc[day]
        explained = x @ f[x.columns].fillna(0.0)
        np.testing.assert_allclose(explained + model.residuals(day), rows, rtol=0, atol=1e-12)
        np.testing.assert_allclose(rows, returns.loc[day, rows.index], rtol=1e-12)
        counted += len(rows)
    assert counted > 0.85 * 60 * 159


def test_what_is_left_out_and_counted(model_folder, market):
    model = StyleRiskModel.read(model_folder)
    about = RiskFiles(model_folder).about()
    assert about["left_out"] == {
        "sales_yield": "$sales_ttm",
        "dividend_yield": "$dividend_yield",
        "profitability": "$roe, $roic",
        "leverage": "$debt_to_assets",
    }
    last = model.days[-1]
    assert {*model.styles(last)} == {*about["styles"], "non_linear_size"}
    statistics = model.statistics()
    assert (statistics["excluded.new listing"] > 0).any()
    assert statistics["missing.momentum"].iloc[-1] == (model.stocks(last)["momentum"] == 0).sum()
    assert 0.1 < statistics["r_squared"].iloc[-100:].mean() < 0.9
    assert market.calendar.equals(model.days)


@pytest.mark.parametrize("at_once", [500, 90])
def test_day_by_day_is_the_same(provider, changed, model_folder, tmp_path, monkeypatch, at_once):
    """First 200 days, then what a month brought, then the rest in parts: the same files, bit for bit."""
    monkeypatch.setattr(building, "DAYS_AT_ONCE", at_once)
    folder = tmp_path / "model"
    for days in (200, 201, 222, None):
        source = provider if days is None else changed(f"to_{days}", days=days)
        built = build(source, folder)
    assert built.added == 360 - 222
    assert_same_model(folder, model_folder)
    assert build(provider, folder).added == 0


def test_a_run_that_is_stopped_goes_on(provider, model_folder, tmp_path, monkeypatch):
    """Whatever file was the last to be written."""
    monkeypatch.setattr(building, "DAYS_AT_ONCE", 100)
    write, folder = RiskFiles._write, tmp_path / "model"
    for stop in (3, 7, 9, 12):
        written = 0

        def stopping(path, table, stop=stop):
            nonlocal written
            written += 1
            if written == stop:
                raise OutputError("the disk is full")
            write(path, table)

        monkeypatch.setattr(RiskFiles, "_write", staticmethod(stopping))
        with pytest.raises(OutputError):
            build(provider, folder)
    monkeypatch.setattr(RiskFiles, "_write", staticmethod(write))
    build(provider, folder)
    assert_same_model(folder, model_folder)


def test_nothing_after_a_day_is_read(provider, changed, model_folder, tmp_path):
    day = 330
    folder = tmp_path / "model"
    build(changed("noise", noise_from(day)), folder)
    whole, noisy = (StyleRiskModel.read(name) for name in (model_folder, folder))
    pd.testing.assert_frame_equal(
        noisy.factor_returns.iloc[:day].dropna(axis=1, how="all"),
        whole.factor_returns.iloc[:day].dropna(axis=1, how="all"),
        check_like=True,
        rtol=1e-12,
    )
    for at in (whole.days[day - 1], whole.days[day - 20]):
        for what in ("exposures", "covariance"):
            pd.testing.assert_frame_equal(getattr(noisy, what)(at), getattr(whole, what)(at), rtol=1e-12)
        for what in ("specific", "residuals"):
            pd.testing.assert_series_equal(getattr(noisy, what)(at), getattr(whole, what)(at), rtol=1e-12)
    later = whole.days[day]
    assert not noisy.exposures(later).equals(whole.exposures(later))


def test_a_past_that_has_changed_is_refused(provider, changed, tmp_path):
    folder = tmp_path / "model"
    build(changed("short", days=250), folder)

    def caps(path, values, first):
        if path.name == "total_mv.day.bin" and path.parent.name.endswith("7"):
            values[200 - first :] *= 3

    def little(path, values, first):
        if path.name == "total_mv.day.bin":
            values[:] *= 1.0005

    def industries(path, values, first):
        if path.name == "industry.day.bin" and path.parent.name == stock:
            values[:] = np.where(values == 1, 2, 1)

    def listing(path, values, first):
        if path.name == "close.day.bin" and path.parent.name == stock:
            values[:] = np.nan

    def fewer(path, values, first):
        if path.name == "book.day.bin":
            values[:] = np.nan

    def prices(path, values, first):
        if path.name == "close.day.bin" and path.parent.name == stock:
            values[:] *= np.linspace(1, 3, len(values))

    stock = str(RiskFiles(folder).stocks("2015-09")["instrument"][0]).lower()
    for edit, says in (
        (caps, r"cap was another in \d+ of \d+ stocks, first of SH\d+7: [\d.e+]+, now"),
        (little, "cap was another"),
        (industries, rf"industry was another in 1 of \d+ stocks, first of {stock.upper()}: \d, now \d"),
        (listing, f"1 stocks are covered as it was built or now, not both, first {stock.upper()}"),
        (fewer, r"value is a factor as it was built or now, not both"),
        (prices, r"(momentum|beta|reversal) was another in \d+ of \d+ stocks, first of .*"),
    ):
        wrong = changed(edit.__name__, edit)
        says = rf"past has changed: of 2015-09-01, the last day built, {says}.*--overwrite"
        with pytest.raises(DataError, match=says):
            build(wrong, folder)
        shutil.rmtree(wrong)
    assert len(RiskFiles(folder).days()) == 250
    assert build(changed("as_it_was"), folder).added == 110
    longer = tmp_path / "longer"
    build(provider, longer)
    with pytest.raises(DataError, match=r"360 days .* are not the first ones of the provider's 250"):
        build(changed("again", days=250), longer)
    assert build(changed("anew", days=250), longer, overwrite=True).total == 250


def test_a_style_that_is_filled_later_is_a_changed_past(provider, changed, tmp_path):
    def edit(path, values, first):
        if path.name == "book.day.bin":
            values[:] = np.nan

    build(changed("empty", edit, days=250), tmp_path / "model")
    with pytest.raises(DataError, match=r"value is a factor as it was built or now, not both.*--overwrite"):
        build(provider, tmp_path / "model")


@pytest.mark.parametrize("name", ["about.json", "days.parquet", "origins.parquet", "stocks/2015-01.parquet"])
def test_a_flipped_bit_or_a_lost_file_is_refused(provider, model_folder, tmp_path, name):
    folder = tmp_path / "model"

    def everything():
        model = StyleRiskModel(folder=folder, provider=provider)
        day = model.days[-1]
        return model.specific(day), model.covariance(day)

    shutil.copytree(model_folder, folder)
    expected = everything()
    file = folder / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match=rf"{name} of a risk model is not as it was written; build .*--overwrite"):
        everything()
    file.unlink()
    if name != "days.parquet":  # without days there is no model yet
        with pytest.raises(DataError, match=rf"{name} of a risk model is missing; build .*--overwrite"):
            everything()
    file.write_bytes(content)
    assert build(provider, folder, overwrite=True).added == 360
    for found, want in zip(everything(), expected, strict=True):
        assert found.equals(want)


def test_another_model_in_the_folder(provider, model_folder, tmp_path):
    with pytest.raises(DataError, match=r"holds a model with size 'total_mv', not 'float_mv'; name another folder"):
        build(provider, model_folder, size="$float_mv")
    (tmp_path / "precious").write_text("mine")
    with pytest.raises(DataError, match="something that is no risk model"):
        build(provider, tmp_path, overwrite=True)
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_file_in_the_place_of_the_folder(provider, tmp_path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(OutputError, match=r"taken.* cannot be written"):
        build(provider, tmp_path / "taken")
    with pytest.raises(DataError, match="something that is no risk model"):
        build(provider, tmp_path / "taken", overwrite=True)
    assert (tmp_path / "taken").read_text() == "mine"


def test_without_a_market_value_the_amount_stands_in(provider, tmp_path):
    build(provider, tmp_path / "model", size=None)
    model = StyleRiskModel.read(tmp_path / "model")
    styles = model.styles(model.days[-1])
    assert "amount" in styles
    assert "size" not in styles
    left_out = model.files.about()["left_out"]
    assert left_out["value"] == left_out["earnings_yield"] == "a market value"


def test_styles_to_do_without(provider, tmp_path, capsys):
    """Those that others are orthogonal to among them."""
    folder = tmp_path / "model"
    command = ["risk", "--data", str(provider), "--out", str(folder), "--without"]
    assert main([*command, "sise"]) == 2
    assert "The risk model has no option 'sise'; did you mean 'size'?" in capsys.readouterr().err
    assert main([*command, "size", "beta"]) == 0
    assert "not wanted" not in capsys.readouterr().err
    about = RiskFiles(folder).about()
    assert about["without"] == ["beta", "size"]
    assert {*about["left_out"]} >= {"size", "non_linear_size", "beta"}
    styles = StyleRiskModel.read(folder).styles("2015-09-01")
    assert "residual_volatility" in styles
    assert {"size", "non_linear_size", "beta"}.isdisjoint(styles)
    assert main([*command, "non_linear_size", "--overwrite"]) == 0
    styles = StyleRiskModel.read(folder).styles("2015-09-01")
    assert "size" in styles
    assert "non_linear_size" not in styles


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--universe", "csi999", "--pictures", "PICTURES"], "universe 'csi999' is not in"),
        (["--pictures", "FILE"], "cannot be written to"),
        (["--universe", "csi300"], "--universe is of the bias statistics"),
    ],
)
def test_what_the_pictures_need_is_looked_at_before_the_build(provider, tmp_path, capsys, options, says):
    (tmp_path / "FILE").write_text("mine")
    named = [str(tmp_path / name) if name.isupper() else name for name in options]
    assert main(["risk", "--data", str(provider), "--out", str(tmp_path / "model"), *named]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "model").exists()
    assert (tmp_path / "FILE").read_text() == "mine"


def test_the_command(provider, tmp_path, capsys):
    folder = tmp_path / "model"
    command = ["risk", "--data", str(provider), "--out", str(folder)]
    assert main(command) == 0
    told = capsys.readouterr()
    of = f"of SIMULATED {provider}, 2014-09-01 to 2016-02-17, 360 days, 60 stocks"
    assert told.out == f"{folder}: 360 days added, 360 in all, {of}\n"
    assert "left out the style leverage: the provider has no $debt_to_assets" in told.err
    assert main(command) == 0
    assert capsys.readouterr().out == f"{folder}: 0 days added, 360 in all, {of}\n"
    assert main([*command, "--no-size"]) == 2
    assert "holds a model with size" in capsys.readouterr().err
