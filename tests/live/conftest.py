"""Runs on a market that grows: made once, copied for each test that changes them."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from qlib_ext.live.prediction import Prediction, predict
from qlib_ext.recorder.runs import find_runs, load, store_of
from qlib_ext.recorder.store import create_database
from qlib_ext.system.imports import code_behind
from tests.live.flows import qrun
from tests.live.growing import DAYS, TRAINED, Market, growing, write_until

NAMES = ("net", "trees", "rolled", "second", "fused")


@dataclass
class Evening:
    """A folder of runs, and a provider that grows."""

    folder: Path
    provider: Path
    market: Market

    def until(self, days: int, edit: Callable[[dict], None] | None = None) -> None:
        """Let the provider end after so many days."""
        write_until(self.provider, self.market, days, edit)

    def predict(self, name: str, to: int | None = None, **kwargs) -> Prediction:
        """``predict`` up to the provider's last day, or the day at position ``to``; what became of the experiment."""
        day = None if to is None else self.market.calendar[to]
        return predict(self.folder, name, day, **kwargs)[-1]

    def scores(self, name: str) -> pd.DataFrame:
        """The pred.pkl of the newest run."""
        found, problem = load(find_runs(store_of(self.folder), name)[0], "pred.pkl")
        assert not problem, problem
        return found


@pytest.fixture(scope="session")
def code_read_once():
    """The code behind a model takes seconds to read and is the same in all tests."""
    known: dict = {}

    def read(modules, without):
        key = frozenset(modules)
        if key not in known:
            known[key] = code_behind(modules, without=without)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("qlib_ext.system.description.code_behind", read)
        yield


@pytest.fixture(scope="session")
def grown(tmp_path_factory, code_read_once) -> tuple[Evening, dict[str, pd.DataFrame]]:
    """Runs on the market up to TRAINED, and the scores of runs whose test reaches its end."""
    base = tmp_path_factory.mktemp("live")
    market, provider = growing(), base / "provider"
    create_folder(base / "longer")
    shutil.copytree(base / "longer", base / "runs")
    longer, evening = Evening(base / "longer", provider, market), Evening(base / "runs", provider, market)
    longer.until(DAYS)
    run_all(longer, NAMES, DAYS)
    evening.until(TRAINED)
    run_all(evening, NAMES, TRAINED)
    return evening, {name: longer.scores(name) for name in NAMES}


def create_folder(folder: Path) -> None:
    folder.mkdir()
    create_database(folder / "mlflow.db")


def run_all(evening: Evening, names: Sequence[str], days: int) -> None:
    for name in names:
        qrun(evening.market, name, evening.provider, evening.folder, days)


@pytest.fixture
def evening(grown) -> Evening:
    """A copy of the runs, on the provider as it was when they ran; always in one folder, as mlflow takes its time."""
    runs = grown[0].folder.with_name("evening")
    for path in runs.iterdir() if runs.is_dir() else ():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.suffix != ".db":
            path.unlink()
    shutil.copytree(grown[0].folder, runs, dirs_exist_ok=True, ignore=shutil.ignore_patterns("mlflow.db"))
    with (
        closing(sqlite3.connect(grown[0].folder / "mlflow.db")) as kept,
        closing(sqlite3.connect(runs / "mlflow.db")) as db,
    ):
        db.execute("PRAGMA synchronous = OFF")
        kept.backup(db)  # mlflow's connections to it stay open
    grown[0].until(TRAINED)
    shutil.rmtree(grown[0].provider.with_name("risk"), ignore_errors=True)  # a model of later days
    return Evening(runs, grown[0].provider, grown[0].market)


@pytest.fixture
def longer(grown) -> dict[str, pd.DataFrame]:
    """The scores of each experiment whose test reaches the market's end."""
    return grown[1]
