"""The first hour: quickstart, the tutorial and the evening, line by line as their pages say, on one small market."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.docs.pages import ROOT, blocks, commands
from tests.docs.terminal import Terminal

QUICKSTART, SHELL, REPORT, LIGHTGBM, RSR, ORDERS = (commands(block) for block in blocks("docs/tutorial.md", "bash"))
EVENING, AGAIN = (commands(block) for block in blocks("docs/every_evening.md", "bash"))
INIT, RUN, COMPARE = commands(blocks("README.md", "bash")[2])[1:]
ANALYSE, _ = (commands(block) for block in blocks("docs/factor_analysis.md", "bash"))
STOCKS = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with the workflows, and a home within it whose runs are the folder's."""
    made = tmp_path_factory.mktemp("first_hour")
    (made / "workflows").symlink_to(ROOT / "workflows")
    (made / "home").mkdir()
    (made / "home/runs").symlink_to(made / "mlruns")
    return made


@pytest.fixture(scope="module")
def quick(folder) -> dict[str, str]:
    """Variables of a quick training, on one thread: two are slower for nets this small."""
    return {"EPOCHS": "1", "OMP_NUM_THREADS": "1", "HOME": str(folder / "home")}


@pytest.fixture(scope="module")
def quickstart(folder, quick) -> str:
    """What ``make quickstart`` printed; the market and the run are in the folder."""
    (command,) = QUICKSTART
    installed = command.replace("make", f"make -o install VENV={sys.prefix}")
    make = Terminal(ROOT, QLIB_RUNS=f"{folder}/mlruns", **quick)
    return make(f"{installed} STOCKS={STOCKS} MARKET={folder}/.data/market")


@pytest.fixture(scope="module")
def terminal(folder, quick, quickstart) -> Terminal:
    """A terminal in the folder after quickstart, where the shell's two lines have been typed."""
    days = (folder / ".data/market/calendars/day.txt").read_text().split()
    made = Terminal(folder, today=days[-1], **quick)
    for line in SHELL:
        made(line)
    return made


def test_quickstart_shows_the_results_and_the_way_on(quickstart):
    for word in ("Rank ICIR", "excess return", "with cost", "max drawdown", "mlflow ui"):
        assert word in quickstart
    assert "qlib-ext report csi300_astgnn " in quickstart


def test_the_page_is_one_file(terminal, folder):
    (report,) = REPORT
    terminal(report)
    assert "<title>SIMULATED: Factor report: csi300_astgnn" in (folder / "report.html").read_text()


@pytest.mark.parametrize("lines", [LIGHTGBM, RSR], ids=["lightgbm", "rsr"])
def test_a_second_model_is_compared(terminal, lines):
    train, compare = lines
    terminal(train)
    printed = terminal(compare)
    first, second = compare.split()[2:]
    assert first in printed
    assert f"{second} less {first}" in printed or f"{first} less {second}" in printed
    if second == "csi300_lightgbm":
        (analyse,) = ANALYSE
        assert "report.html" in terminal(analyse)


def test_tomorrows_orders(terminal, folder):
    check, predict, hold, orders = ORDERS
    assert "finding" in terminal(check)
    terminal(predict)
    scores = pd.read_csv(folder / "scores.csv")
    assert list(scores) == ["datetime", "instrument", "score"]
    assert set(scores["datetime"]) == {terminal.today}
    terminal(hold)
    terminal(orders)
    table = pd.read_csv(folder / "orders.csv")
    assert set(table["side"]) == {"buy"}
    assert (table["shares"] > 0).all()
    assert table["amount"].sum() <= 1_000_000


def test_every_evening(terminal, folder):
    update = folder / "bin/update-the-bars"
    update.parent.mkdir()
    update.write_text('#!/bin/sh\ntest -n "$1"')
    update.chmod(0o755)
    evening = Terminal(folder, today=terminal.today, **terminal.environment)
    evening("export PATH=$PWD/bin:$PATH")
    (folder / "home/holdings.csv").write_text("instrument,shares\n")
    for line in EVENING:
        evening(line.replace("csi300_gru", "csi300_astgnn"))
    assert pd.read_csv(folder / "home/orders.csv")["amount"].sum() <= 250_000
    (again,) = AGAIN
    command, day = again.replace("csi300_gru", "csi300_astgnn").rsplit(" ", 1)
    assert pd.Timestamp(day)
    assert f"scores of {terminal.today}" in evening(f"{command} {terminal.today}")


def test_real_data_in_four_lines(folder, quick, quickstart, tmp_path):
    """With quickstart's market in their place, in a folder of its own."""
    typed = Terminal(tmp_path, QLIB_DATA=f"{folder}/.data/market", **quick)
    typed(INIT)
    typed(RUN)
    printed = typed(COMPARE)
    assert "csi300_astgnn" in printed
    assert "csi300_lightgbm" in printed
