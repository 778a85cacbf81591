"""Bad input of the risk model: each kind a clear error, or left out and counted."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from qlib_ext.cli import main
from qlib_ext.errors import DataError, ProviderError
from qlib_ext.provider.tables import add_fields
from qlib_ext.risk.build import build
from qlib_ext.risk.model import StyleRiskModel


def one_field(name, stock, change):
    """An edit of one stock's field."""

    def edit(path, values, first):
        if path.name == f"{name}.day.bin" and path.parent.name == stock:
            change(values, first)

    return edit


def put(place, value):
    def change(values, first):
        values[place - first :] = value

    return change


def test_odd_stocks_are_left_out_and_counted(changed, market, tmp_path):
    first, second, third = (market.symbols[place].lower() for place in (0, 1, 2))

    def edit(path, values, start):
        for change in (
            one_field("industry", first, put(250, np.nan)),
            one_field("total_mv", second, put(250, -5.0)),
            one_field("book", third, put(250, -1e9)),
        ):
            change(path, values, start)

    build(changed("odd", edit), tmp_path / "model")
    model = StyleRiskModel.read(tmp_path / "model")
    day, before = model.days[260], model.days[240]
    assert {first.upper(), second.upper()}.isdisjoint(model.exposures(day).index)
    assert {first.upper(), second.upper()} <= {*model.exposures(before).index}
    counts = model.statistics()
    for reason in ("no industry", "no market value", "negative book value"):
        assert counts[f"excluded.{reason}"][day] == counts[f"excluded.{reason}"][before] + 1, reason
    assert model.exposures(day).loc[third.upper(), "value"] == 0
    assert counts["missing.value"][day] >= 1


@pytest.mark.parametrize("code", [-3.0, 27.5, 0.0, np.inf])
def test_an_industry_that_is_no_code(changed, market, tmp_path, code):
    stock = market.symbols[4]
    folder = changed("code", one_field("industry", stock.lower(), put(200, code)))
    with pytest.raises(
        DataError, match=rf"industries are no codes, .* first {code:g} of {stock} on {market.calendar[200]:%Y-%m-%d}"
    ):
        build(folder, tmp_path / "model")


def test_an_industry_of_a_few_is_no_factor(changed, market, tmp_path):
    few = [name.lower() for name in market.symbols[:3]]

    def edit(path, values, first):
        if path.name == "industry.day.bin" and path.parent.name in few:
            values[:] = 77

    build(changed("few", edit), tmp_path / "model")
    model = StyleRiskModel.read(tmp_path / "model")
    assert "industry_77" not in model.exposures(model.days[-1])
    assert model.statistics()["excluded.industry of fewer than 5"].iloc[-1] == 3


def test_an_unknown_industry_code_is_counted_and_named(provider, changed, market, tmp_path, capsys):
    stock = market.symbols[4]
    folder, model = changed("unknown", one_field("industry", stock.lower(), put(200, 990102))), tmp_path / "model"
    assert main(["risk", "--data", str(folder), "--out", str(model)]) == 0
    day = market.calendar[200]
    assert (
        f"left out the industry 990102, which fewer than five stocks have, first {stock} on {day:%Y-%m-%d}; correct it "
        "in $industry if it is no industry" in capsys.readouterr().err
    )
    found = StyleRiskModel.read(model)
    assert stock in found.exposures(found.days[199]).index
    assert stock not in found.exposures(day).index
    counts = found.statistics()["excluded.industry of fewer than 5"]
    assert counts[day] == counts[found.days[199]] + 1
    assert build(provider, tmp_path / "whole").unknown_industries == {}


def test_an_industry_that_was_a_factor_before_is_not_unknown(changed, market, tmp_path):
    """From day 300 on one stock is left in it, and the folder is built to the day before."""
    code = int(market.fields["industry"][300, 0])
    inside = np.flatnonzero(market.fields["industry"][300] == code)
    others = [market.symbols[place].lower() for place in inside[1:]]
    other = code % 2 + 1

    def edit(path, values, first):
        if path.name == "industry.day.bin" and path.parent.name in others:
            values[300 - first :] = other

    build(changed("before", edit, days=300), tmp_path / "model")
    built = build(changed("after", edit), tmp_path / "model")
    assert built.added == 60
    assert built.unknown_industries == {}
    statistics = StyleRiskModel.read(tmp_path / "model").statistics()
    assert statistics["excluded.industry of fewer than 5"].iloc[-1] >= 1


def test_two_industries_on_one_day(provider):
    table = pl.DataFrame({"instrument": ["SH600001"] * 2, "date": ["2015-01-05"] * 2, "industry2": ["11", "12"]})
    with pytest.raises(DataError, match=r"several rows of SH600001 on 2015-01-05"):
        add_fields(provider, table, ["industry2"])


def test_a_provider_that_lacks_what_is_needed(provider, changed, tmp_path):
    for name, says in (("industry", r"no \$industry, the industry of"), ("total_mv", r"no \$total_mv.*\(--no-size\)")):
        folder = changed(name)
        for path in (folder / "features").glob(f"*/{name}.day.bin"):
            path.unlink()
        with pytest.raises(ProviderError, match=says):
            build(folder, tmp_path / "model")
    with pytest.raises(DataError, match="universe 'csi999'"):
        build(provider, tmp_path / "model", market="csi999")
    assert not (tmp_path / "model").exists()


def test_too_few_stocks_have_no_factors(changed, market, tmp_path):
    folder = changed("small")
    (folder / "instruments" / "few.txt").write_text(
        "".join(f"{stock}\t2014-09-01\t2030-01-01\n" for stock in market.symbols[:12])
    )
    build(folder, tmp_path / "model", market="few")
    model = StyleRiskModel.read(tmp_path / "model")
    statistics = model.statistics()
    assert statistics["stocks"].iloc[-1] == 0
    assert statistics["without"].iloc[-1] == "fewer stocks than factors"
    with pytest.raises(DataError, match=r"covers no stock|0 days of history"):
        model.covariance(model.days[-1])


def test_factors_that_cannot_be_told_apart(changed, tmp_path):
    """Earnings are the book value times a constant, so value and earnings yield are one."""

    def edit(path, values, first):
        if path.name in ("book.day.bin", "earnings_ttm.day.bin"):
            of_stock = np.random.default_rng(sum(path.parent.name.encode())).uniform(1, 5)
            values[:] = 1e8 * of_stock

    folder = changed("alike", edit)
    with pytest.raises(
        DataError,
        match=r"The regression of 20\d\d-\d\d-\d\d, of \d+ stocks: The factors .*(value|yield).*\(--without STYLE\)",
    ):
        build(folder, tmp_path / "model")
    build(folder, tmp_path / "model", without=["value"], overwrite=True)
    styles = StyleRiskModel.read(tmp_path / "model").styles("2015-09-01")
    assert "earnings_yield" in styles
    assert "value" not in styles
