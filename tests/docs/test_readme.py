"""The commands of README.md that install, those of workflows and tables, and the code of the pages, are run."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path
from textwrap import dedent

import pytest
import yaml
from qlib.utils import init_instance_by_config

from qlib_ext.analysis.records import FactorRecord
from qlib_ext.models.gats import GATs
from qlib_ext.recorder.runs import find_runs, store_of
from qlib_ext.rolling import RollingModel
from qlib_ext.simulator.simulate import write_market
from qlib_ext.ticks.factors import BUILT, FLOWS
from tests.docs.pages import ROOT, blocks, command_lines, commands
from tests.docs.terminal import Terminal
from tests.ticks.test_exchange import shanghai_orders, shanghai_trades

TWO_COMMANDS, INSTALL, REAL_DATA = blocks("README.md", "bash")
DOWNLOAD = blocks("docs/data.md", "bash")[0]
WORKFLOWS, REPORTS = blocks("docs/workflows.md", "bash")[:2]
FIELDS, FUNDAMENTALS = blocks("docs/datasets.md", "bash")[:2]
TICKS = [line for line in command_lines(ROOT / "docs/highfreq_factors.md") if "ticks" in line or "qrun" in line]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with a small market."""
    made = tmp_path_factory.mktemp("readme")
    write_market(made / "market", stocks=20, days=430, start="2015-07-01")
    return made


@pytest.fixture
def terminal(folder, tmp_path) -> Terminal:
    """A terminal in a folder of its own, with the workflows; QLIB_DATA is the small market."""
    (tmp_path / "workflows").symlink_to(ROOT / "workflows")
    return Terminal(tmp_path, QLIB_DATA=str(folder / "market"), OMP_NUM_THREADS="1")


@pytest.fixture(scope="module")
def make() -> Terminal:
    """A terminal in the repository."""
    return Terminal(ROOT)


def test_make_test_lints_checks_types_and_runs_the_tests(make):
    assert commands(TWO_COMMANDS) == ["make quickstart", "make test"]
    plan = make(f"make -n -o install test VENV={sys.prefix}")
    for step in ("ruff format --check", "ruff check", "mypy", "pytest"):
        assert step in plan


def test_an_installed_wheel_is_found_from_any_folder(tmp_path):
    assert commands(INSTALL) == ["pip install torch==2.13.0 -c constraints.txt", "pip install . -c constraints.txt"]
    site = tmp_path / "site"
    elsewhere = Terminal(tmp_path, PYTHONPATH=str(site))
    elsewhere(f"python -m pip install --quiet --no-deps --target {site} {ROOT}")
    imported = "import qlib_ext, handlers.alpha158vwap; print(qlib_ext.__file__, handlers.__file__)"
    found = elsewhere(f"python -c '{imported}'")
    assert found.split() == [f"{site}/qlib_ext/__init__.py", f"{site}/handlers/__init__.py"]
    elsewhere("python -m qlib_ext.cli init workflows")
    assert len(list((tmp_path / "workflows").iterdir())) == len(list((ROOT / "workflows").iterdir()))
    assert list(site.glob("qlib_ext-*.dist-info/licenses/LICENSE"))
    assert (site / "qlib_ext/py.typed").is_file()
    assert (site / "handlers/py.typed").is_file()


def test_the_data_of_qlib_are_downloaded_by_qlib(terminal):
    download, export = commands(DOWNLOAD)
    assert download.startswith("python -m qlib.cli.data qlib_data --target_dir")
    assert "target_dir" in terminal("python -m qlib.cli.data qlib_data --help 2>&1")
    assert commands(REAL_DATA)[0] == export


def test_the_workflows_are_listed_run_with_variables_and_written(terminal, tmp_path):
    overview, one, run, init = commands(WORKFLOWS)
    assert "market_model4 " in terminal(overview)
    assert re.search(r"SEEDS +\[0\] +", terminal(one))
    terminal(run)
    assert (tmp_path / "runs/mlflow.db").is_file()
    terminal(init)
    assert len(list((tmp_path / "my_workflows").iterdir())) == len(list((ROOT / "workflows").iterdir()))


REPORT_ROWS = "".join(f"SH600001,{year}-12-31,{year + 1}-03-20,{year},1,{year - 2000}\n" for year in (2013, 2014))


@pytest.mark.parametrize(
    ("block", "days", "table", "text", "written"),
    [
        (
            FIELDS,
            60,
            "industry.csv",
            "instrument,start,industry\nSH600001,2010-01-04,370102\n",
            "$industry",
        ),
        (
            FUNDAMENTALS,
            300,
            "reports.csv",
            f"instrument,period,announced,equity,earnings,sales\n{REPORT_ROWS}",
            "$equity $earnings_ttm $sales_ttm $sales_yoy",
        ),
    ],
    ids=["industries", "reports"],
)
def test_a_table_becomes_fields(terminal, tmp_path, block, days, table, text, written):
    (command,) = commands(block)
    provider = tmp_path / "market"
    write_market(provider, stocks=10, days=days)
    for field in written.replace("$", "").split():
        for file in provider.glob(f"features/*/{field}.day.bin"):  # which the market has already
            file.unlink()
    (tmp_path / table).write_text(text)
    printed = terminal(command.replace("~/.qlib/qlib_data/cn_data", str(provider)))
    assert f"{written} of 1 instruments, {len(written.split())} files changed" in printed


def test_ticks_are_read_and_built_into_a_provider(terminal, tmp_path):
    read, build, train, flows = TICKS
    provider = tmp_path / "market"
    write_market(provider, stocks=10, days=60, start="2022-12-01")
    shanghai_trades(SecurityID=["600001"] * 4).write_csv(tmp_path / "trades.csv")
    shanghai_orders(SecurityID=["600001.SH"] * 3).write_csv(tmp_path / "orders.csv")
    terminal(read)
    for command, fields in ((build, 27), (flows, len(BUILT[FLOWS]))):
        command = f"{command.replace('~/.qlib/qlib_data/cn_data', str(provider))} --backend serial"
        assert f"{fields} fields" in terminal(command)
    assert train.split()[-1] == "workflows/market_highfreq_gru.yaml", "tests/test_market_workflows.py runs it"


def test_the_reports_are_made_by_the_runner(make):
    some, all_ = commands(REPORTS)
    _, _, name, _, provider = some.split()
    assert (ROOT / f"workflows/{name}.yaml").is_file(), "tests/test_market_workflows.py runs such a one"
    plan = make(all_.replace("make", f"make -n -o install VENV={sys.prefix}", 1))
    assert f"qlib-ext run 'market_*' --data {Path(provider).expanduser()}" in plan


def test_the_files_of_the_workflows_and_the_site_are_made_by_make(make):
    assert "qlib-ext init workflows --overwrite" in make(f"make -n -o install workflows VENV={sys.prefix}")
    assert "mkdocs build --strict" in make(f"make -n -o install docs VENV={sys.prefix}")


def test_a_model_of_ones_own(terminal, tmp_path, monkeypatch):
    (code, check), (mine,) = blocks("docs/own_model.md", "python"), blocks("docs/own_model.md", "yaml")
    assert len(code.splitlines()) <= 45
    (tmp_path / "my_model.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    names = {"MarketGRU": import_module("my_model").MarketGRU}
    exec(check, names)
    names["test_market_gru"]()
    once = mine.replace("n_epochs: 10", "n_epochs: 1")
    assert once != mine
    workflow = (ROOT / "workflows/csi300_gru.yaml").read_text()
    workflow = re.sub(r"    model:\n.*?(?=    dataset:)", lambda _: once, workflow, flags=re.DOTALL)
    (tmp_path / "mine.yaml").write_text('sys: {rel_path: ["."]}\n' + workflow)
    terminal("qrun mine.yaml")
    (run,) = find_runs(store_of(tmp_path / "mlruns"), "csi300_gru")
    assert run.info.run_name.startswith("MarketGRU ")


def test_the_rolling_model_takes_what_is_shown():
    shown = yaml.safe_load(blocks("docs/rolling.md", "yaml")[0])["model"]
    model = init_instance_by_config(shown)
    assert isinstance(model, RollingModel)
    assert isinstance(init_instance_by_config(model.model), GATs)


def test_the_pieces_of_a_zoo_yaml_are_of_a_workflow():
    """Each piece of docs/zoo_yaml.md, put into a workflow of ours, leaves it one that Qlib can make."""
    init, model, dataset, record = blocks("docs/zoo_yaml.md", "yaml")
    assert yaml.safe_load(init)["qlib_init"]["exp_manager"]["class"] == "SQLiteExpManager"
    made = init_instance_by_config(yaml.safe_load(model)["model"])
    assert isinstance(made, GATs)
    config = yaml.safe_load("data_handler_config: &data_handler_config {}\n" + dedent(dataset))
    assert config["dataset"]["kwargs"]["handler"]["class"] == "Alpha158vwap"
    (factors,) = yaml.safe_load(record)
    assert getattr(import_module(factors["module_path"]), factors["class"]) is FactorRecord
