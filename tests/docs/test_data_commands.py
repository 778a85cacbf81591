"""The commands of the pages that make and read providers are run as they stand there, on a small market at home."""

from __future__ import annotations

import re
import shutil

import pandas as pd
import pytest

from qlib_ext.simulator.simulate import INDEX, simulate, write_market
from tests.docs.pages import ROOT, command_lines
from tests.docs.terminal import Terminal
from tests.fundamentals.test_fields import write_pit

MARKET = {"stocks": 45, "days": 640, "accruals": 0.0006}
HOME_MARKET = ".qlib/qlib_data/cn_data"  # which the pages call ~/.qlib/qlib_data/cn_data


def line_of(page: str, beginning: str) -> str:
    """The only command line of a page in docs that begins so."""
    (found,) = (line for line in command_lines(ROOT / f"docs/{page}.md") if line.startswith(beginning))
    return found


@pytest.fixture(scope="module")
def terminal(tmp_path_factory) -> Terminal:
    """A terminal with a market at home; CSI500 is CSI300 under another name."""
    folder = tmp_path_factory.mktemp("commands")
    (folder / "workflows").symlink_to(ROOT / "workflows")
    provider = folder / HOME_MARKET
    write_market(provider, **MARKET)
    shutil.copy(provider / "instruments/csi300.txt", provider / "instruments/csi500.txt")
    shutil.copytree(provider / f"features/{INDEX.lower()}", provider / "features/sh000905")
    return Terminal(folder, HOME=str(folder), EPOCHS="1")


@pytest.fixture(scope="module")
def market():
    return simulate(**MARKET)


def test_bars_of_ones_own_train_a_net(terminal, market):
    """The three lines of docs/data.md: a provider of a table, its industries, a workflow on it."""
    traded = {name: market.fields[name] / market.fields["factor"] for name in ("open", "high", "low", "close")}
    traded |= {"volume": market.fields["volume"] * market.fields["factor"]}
    columns = traded | {name: market.fields[name] for name in ("amount", "factor")}
    frames = {name: pd.DataFrame(values, market.calendar, market.symbols).stack() for name, values in columns.items()}
    stocks = pd.DataFrame(frames).rename_axis(["date", "instrument"]).reset_index()
    index = (
        market.index[["open", "high", "low", "close", "volume", "amount", "factor"]].rename_axis("date").reset_index()
    )
    table = pd.concat([stocks, index.assign(instrument=INDEX)]).dropna(subset="close")
    table[table["date"] >= "2015-07-01"].to_csv(terminal.folder / "bars.csv", index=False)
    members = pd.read_csv(terminal.folder / HOME_MARKET / "instruments/csi300.txt", sep="\t", header=None)
    members.columns = ["instrument", "start", "end"]
    members.to_csv(terminal.folder / "csi300.csv", index=False)
    industries = pd.DataFrame({"instrument": market.symbols, "start": "2014-01-01", "industry": 370102})
    industries.to_csv(terminal.folder / "industry.csv", index=False)
    assert f"{len(market.symbols)} stocks" in terminal(line_of("data", "qlib-ext provider"))
    assert "$industry of 45 instruments" in terminal(line_of("data", "qlib-ext fields"))
    terminal(line_of("data", "QLIB_DATA=~/.qlib/my_data qrun"))
    assert list(terminal.folder.glob("mlruns/artifacts/csi300_gru/*/artifacts/factor_analysis/report.html"))


def test_factors_are_tested_and_searched(terminal):
    printed = terminal(line_of("factor_analysis", "qlib-ext factor"))
    assert re.search(r"^VOL20 +-?\d+\.\d\d%", printed, flags=re.MULTILINE)
    assert (terminal.folder / "factors.html").is_file()
    assert "$industry_change" in terminal(line_of("factor_search", "qlib-ext group-mean"))
    search = line_of("factor_search", "qlib-ext search")
    assert "--minutes 60 --n-jobs 2" in search
    printed = terminal(f"{search} --backend serial --size 40 --generations 1")
    assert "40 distinct expressions tried" in printed
    assert list(terminal.folder.glob("mlruns/artifacts/search/*/artifacts/search/report.html"))


def test_qlibs_point_in_time_data(terminal, market):
    for field in ("roewa", "yoyni"):
        for name in market.symbols[:2]:
            write_pit(terminal.folder / HOME_MARKET / "financial", name, field, [(20150420, 201501, 1.5)])
    printed = terminal(line_of("fundamentals", "qlib-ext fundamentals --pit"))
    assert "$roewa $yoyni of 2 instruments" in printed


def test_networks_of_reports_are_weighed_by_the_risk_model(terminal):
    for page, more in (("fundamentals", ""), ("systems/networks", "--overwrite")):
        line = line_of(page, "qlib-ext relations").replace("PROVIDER", f"~/{HOME_MARKET}")
        assert re.search(r"rows of financial relate 4\d instruments", terminal(f"{line} {more}"))
    assert "$csi500_weight from 2014-" in terminal(line_of("risk_model", "qlib-ext weights"))
    assert "640 days added" in terminal(line_of("risk_model", "qlib-ext risk"))
    assert "0 days added, 640 in all" in terminal(line_of("portfolio", "qlib-ext risk"))
    train = line_of("systems/networks", "RELATIONS=").replace("~/risk", "~/.qlib/risk")
    dates = "START=2016-02-01 TRAIN=100D VALID=40D STEP=1Y TEST=2017-01-01 BENCHMARK=SH000300"
    terminal(f"QLIB_DATA=~/{HOME_MARKET} {dates} {train}")
    (weights,) = terminal.folder.glob(
        "mlruns/artifacts/market_network_gat/*/artifacts/factor_analysis/state_weights.pkl"
    )
    table = pd.read_pickle(weights)
    assert {"$industry", "financial"} <= set(table)
    assert (table[["$industry", "financial"]].sum(axis=1) - 1).abs().max() < 1e-5
