"""``qlib-ext search``: a file of factors, a run with tables and a page, and what stops it."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from handlers.expression_file import read_columns
from qlib_ext.cli import main
from qlib_ext.recorder.provider import provider_of
from qlib_ext.recorder.runs import artifacts_of, find_runs, store_of
from qlib_ext.search import search
from qlib_ext.simulator.simulate import write_market

SPLIT = ["--train", "2014-09-01:2015-12-31", "--valid", "2016-01-01:2016-06-30"]
SMALL = ["--fields", "$open", "close", "vwap", "turnover", "--size", "60", "--generations", "2"]


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search_cli") / "provider"
    write_market(folder, stocks=60, days=480, seed=1)
    return folder


@pytest.fixture
def command(provider, tmp_path):
    files = {"data": provider, "out": tmp_path / "factors.yaml", "runs": provider.with_name("runs")}
    return ["search", *(text for name, path in files.items() for text in (f"--{name}", str(path)))]


def test_a_search_leaves_factors_tables_and_a_page(command, provider, tmp_path, capsys):
    assert main([*command, *SPLIT, *SMALL]) == 0
    printed = capsys.readouterr()
    assert "120 distinct expressions tried" in printed.out
    assert "found; best" in printed.err
    expressions, names = read_columns(tmp_path / "factors.yaml")
    (run,) = find_runs(store_of(provider.with_name("runs")), "search")
    assert run.data.metrics["chosen"] == len(names) > 0
    folder = artifacts_of(run) / "search"
    table = pd.read_pickle(folder / "factors.pkl")
    assert list(table["expression"]) == expressions
    assert list(table.index) == names
    assert (folder / "factors.yaml").read_text() == (tmp_path / "factors.yaml").read_text()
    page = (folder / "report.html").read_text()
    for name in names:
        assert name in page
    assert "labels shuffled within the day" in page
    assert "<h1>SIMULATED: Factor search</h1>" in page
    assert f"{provider}, " in page
    assert provider_of(run).simulated
    ic, years = (pd.read_pickle(folder / f"{name}.pkl") for name in ("ic", "years"))
    assert years.loc[names[0], "2014"] == pytest.approx(ic.loc["2014", names[0]].mean())
    assert main([*command, *SPLIT, *SMALL]) == 0, "a finished search is read, not searched again"
    assert "120 distinct expressions tried" in capsys.readouterr().out


def test_ctrl_c_says_where_the_search_is_kept(command, tmp_path, capsys, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(search.Search, "_advance", stop)
    assert main([*command, *SPLIT, *SMALL]) == 130
    assert f"kept in {tmp_path / 'factors.search'}; the same command goes on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--train", "2014-09-01:2015-12-31", "--valid", "2015-10-01:2016-03-31"], "overlap"),
        ([*SPLIT, "--fields", "close", "--operators", "Add"], "grammar is empty"),
        ([*SPLIT, "--operators", "Mean", "Nosuch"], "'Nosuch'"),
        ([*SPLIT, "--fields", "close", "nothing"], r"\$nothing has no number"),
        ([*SPLIT, "--universe", "csi9"], "csi9"),
        ([*SPLIT, "--backend", "slurm", "--n-jobs", "2"], "backend is one of"),
    ],
)
def test_what_cannot_be_searched_is_one_line(command, capsys, options, message):
    assert main([*command, *options, "--size", "30", "--generations", "1"]) == 2
    assert re.search(message, capsys.readouterr().err)


@pytest.mark.parametrize("text", ["2010", "2010:", "2010-1:2011", "a:b"])
def test_days_are_years_or_dates(command, capsys, text):
    with pytest.raises(SystemExit):
        main([*command, "--train", text, "--valid", "2016:2016"])
    assert "it is 2010:2015 or 2010-01-04:2015-06-30" in capsys.readouterr().err
