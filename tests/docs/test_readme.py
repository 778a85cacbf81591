"""Every command in README.md and the code of the pages it leads to is run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from textwrap import dedent

import pytest
import yaml
from qlib.utils import init_instance_by_config

from qlib_ext.analysis.records import FactorRecord
from qlib_ext.models.gats import GATs
from qlib_ext.rolling import RollingModel
from qlib_ext.simulator.simulate import write_market
from tests.docs.pages import ROOT, blocks, commands
from tests.ticks.test_exchange import shanghai_orders, shanghai_trades

TWO_COMMANDS, INSTALL, REAL_DATA = blocks("README.md", "bash")
DOWNLOAD = blocks("docs/data.md", "bash")[0]
WORKFLOWS, REPORTS = blocks("docs/workflows.md", "bash")[:2]
FIELDS, FUNDAMENTALS = blocks("docs/datasets.md", "bash")[:2]
TICKS = blocks("docs/highfreq_factors.md", "bash")[0]
FACTORS = next(block for block in blocks("docs/factor_analysis.md", "bash") if block.startswith("qlib-ext factor"))


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    """Runs a command line in the repository with a small market as QLIB_DATA and a folder of runs of its own."""
    folder = tmp_path_factory.mktemp("readme")
    write_market(folder / "market", stocks=30)
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "QLIB_RUNS": str(folder / "runs"),
        "QLIB_DATA": str(folder / "market"),
        "OMP_NUM_THREADS": "1",  # nets this small are slower on two threads, much slower beside other work
    }

    def run(command: str, cwd: Path = ROOT, **more: str) -> str:
        done = subprocess.run(
            ["bash", "-ec", command], cwd=cwd, env=environment | more, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    run.folder = folder
    return run


def test_quickstart_shows_the_results_and_the_way_to_the_recorder(shell):
    assert commands(TWO_COMMANDS) == ["make quickstart", "make test"]
    folder = shell.folder
    printed = shell(f"make -o install quickstart VENV={sys.prefix} STOCKS=30 MARKET={folder}/quick", EPOCHS="2")
    for word in ("Rank ICIR", "excess return", "with cost", "max drawdown", "mlflow ui"):
        assert word in printed


def test_make_test_lints_checks_types_and_runs_the_tests(shell):
    plan = shell(f"make -n -o install test VENV={sys.prefix}")
    for step in ("ruff format --check", "ruff check", "mypy", "pytest"):
        assert step in plan


def test_an_installed_wheel_is_found_from_any_folder(shell, tmp_path):
    assert commands(INSTALL) == ["pip install torch==2.13.0 -c constraints.txt", "pip install . -c constraints.txt"]
    site = tmp_path / "site"
    shell(f"python -m pip install --quiet --no-deps --target {site} {ROOT}", cwd=tmp_path)
    found = shell(
        "python -c 'import qlib_ext, handlers.alpha158vwap; print(qlib_ext.__file__, handlers.__file__)'",
        cwd=tmp_path,
        PYTHONPATH=str(site),
    )
    assert found.split() == [f"{site}/qlib_ext/__init__.py", f"{site}/handlers/__init__.py"]
    shell("python -m qlib_ext.cli init workflows", cwd=tmp_path, PYTHONPATH=str(site))
    assert len(list((tmp_path / "workflows").iterdir())) == len(list((ROOT / "workflows").iterdir()))
    assert list(site.glob("qlib_ext-*.dist-info/licenses/LICENSE"))
    assert (site / "qlib_ext/py.typed").is_file()
    assert (site / "handlers/py.typed").is_file()


def test_real_data_in_four_lines(shell, tmp_path):
    download, export = commands(DOWNLOAD)
    assert download.startswith("python -m qlib.cli.data qlib_data --target_dir")
    assert "target_dir" in shell("python -m qlib.cli.data qlib_data --help 2>&1")
    assert commands(REAL_DATA)[0] == export
    init, run, compare = commands(REAL_DATA)[1:]
    shell(init, cwd=tmp_path)
    shell(run, cwd=tmp_path, EPOCHS="2")
    printed = shell(compare)
    assert "csi300_astgnn" in printed
    assert "csi300_lightgbm" in printed


def test_the_workflows_are_listed_run_with_variables_and_written(shell, tmp_path):
    overview, one, run, init = commands(WORKFLOWS)
    assert "market_model4 " in shell(overview)
    assert re.search(r"SEEDS +\[0\] +", shell(one))
    (tmp_path / "workflows").symlink_to(ROOT / "workflows")
    shell(run, cwd=tmp_path)
    assert (tmp_path / "runs/mlflow.db").is_file()
    shell(init, cwd=tmp_path)
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
def test_a_table_becomes_fields(shell, tmp_path, block, days, table, text, written):
    (command,) = commands(block)
    provider = tmp_path / "market"
    write_market(provider, stocks=10, days=days)
    for field in written.replace("$", "").split():
        for file in provider.glob(f"features/*/{field}.day.bin"):  # which the market has already
            file.unlink()
    (tmp_path / table).write_text(text)
    printed = shell(command.replace("~/.qlib/qlib_data/cn_data", str(provider)), cwd=tmp_path)
    assert f"{written} of 1 instruments, {len(written.split())} files changed" in printed


def test_ticks_are_read_and_built_into_a_provider(shell, tmp_path):
    read, build, train = commands(TICKS)
    provider = tmp_path / "market"
    write_market(provider, stocks=10, days=60, start="2022-12-01")
    shanghai_trades(SecurityID=["600001"] * 4).write_csv(tmp_path / "trades.csv")
    shanghai_orders(SecurityID=["600001.SH"] * 3).write_csv(tmp_path / "orders.csv")
    shell(read, cwd=tmp_path)
    assert "27 fields" in shell(build.replace("~/.qlib/qlib_data/cn_data", str(provider)), cwd=tmp_path)
    assert train.split()[-1] == "workflows/market_highfreq_gru.yaml", "tests/test_market_workflows.py runs it"


def test_the_reports_are_made_by_the_runner(shell):
    some, all_ = commands(REPORTS)
    _, _, name, _, provider = some.split()
    assert (ROOT / f"workflows/{name}.yaml").is_file(), "tests/test_market_workflows.py runs such a one"
    plan = shell(all_.replace("make", f"make -n -o install VENV={sys.prefix}", 1))
    assert f"qlib-ext run 'market_*' --data {Path(provider).expanduser()}" in plan


def test_factors_are_tested_one_by_one(shell, tmp_path):
    (command,) = commands(FACTORS)
    printed = shell(command.replace("~/.qlib/qlib_data/cn_data", "$QLIB_DATA"), cwd=tmp_path)
    assert re.search(r"^VOL20 +-?\d+\.\d\d%", printed, flags=re.MULTILINE)
    assert (tmp_path / "factors.html").is_file()


def test_the_files_of_the_workflows_are_made_by_make(shell):
    assert "qlib-ext init workflows --overwrite" in shell(f"make -n -o install workflows VENV={sys.prefix}")


def test_a_model_of_ones_own(shell, tmp_path):
    (code, check), (mine,) = blocks("docs/own_model.md", "python"), blocks("docs/own_model.md", "yaml")
    assert len(code.splitlines()) <= 45
    (tmp_path / "my_model.py").write_text(code)
    (tmp_path / "test_my_model.py").write_text("from my_model import MarketGRU\n" + check)
    assert "1 passed" in shell("python -m pytest -q test_my_model.py", cwd=tmp_path)
    workflow = (ROOT / "workflows/csi300_gru.yaml").read_text()
    workflow = re.sub(r"    model:\n.*?(?=    dataset:)", lambda _: mine, workflow, flags=re.DOTALL)
    (tmp_path / "mine.yaml").write_text('sys: {rel_path: ["."]}\n' + workflow)
    assert "MarketGRU" in shell("qrun mine.yaml 2>&1", cwd=tmp_path)


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
