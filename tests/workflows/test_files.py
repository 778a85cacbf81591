"""The files of the workflows: what is committed is what the table says, and what each says at its head."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import jinja2
import pytest
from qlib.cli.run import render_template

from qlib_ext.cli import main
from qlib_ext.data.needs import needs_of
from qlib_ext.errors import OutputError
from qlib_ext.ticks.factors import FAMILIES
from qlib_ext.workflows.files import options, render, write_workflows
from qlib_ext.workflows.reading import Workflow, read_workflow
from qlib_ext.workflows.table import TABLE
from qlib_ext.workflows.variables import MEANINGS, meanings, variables_of

COMMITTED = Path(__file__).parents[2] / "workflows"
FACTORS = Path(__file__).parents[1] / "factors.yaml"  # which a user's own search writes
EVERYWHERE = ["QLIB_DATA", "QLIB_RUNS", "UNIVERSE", "BENCHMARK", "TEST", "END"]


def workflow(name: str, **environment: str) -> Workflow:
    return read_workflow(COMMITTED / f"{name}.yaml", {"FACTORS": str(FACTORS)} | environment)


def test_what_is_committed_is_what_the_table_says():
    committed = {path.stem: path.read_text() for path in COMMITTED.iterdir()}
    assert committed == {name: render(name) for name in TABLE}, "run `make workflows`"


@pytest.mark.parametrize("name", TABLE)
def test_a_file_is_read_by_qrun_as_by_us(name, monkeypatch):
    for variable in MEANINGS:
        monkeypatch.delenv(variable, raising=False)
    text = (COMMITTED / f"{name}.yaml").read_text()
    assert render_template(str(COMMITTED / f"{name}.yaml")) == jinja2.Template(text).render()
    assert (
        workflow(name).name == name == workflow(name).config["qlib_init"]["exp_manager"]["kwargs"]["default_exp_name"]
    )


@pytest.mark.parametrize("name", TABLE)
def test_the_head_explains_every_variable_and_no_other(name):
    head, _, body = (COMMITTED / f"{name}.yaml").read_text().partition("qlib_init:")
    explained = re.findall(r"^#   ([A-Z_]+) +\S", head, flags=re.MULTILINE)
    assert explained == list(variables_of(body))
    assert set(explained) <= MEANINGS.keys()
    assert [variable for variable in EVERYWHERE if variable not in explained] == []


@pytest.mark.parametrize("name", TABLE)
def test_no_date_stands_twice(name):
    _, _, body = (COMMITTED / f"{name}.yaml").read_text().partition("qlib_init:")
    dates = re.findall(r"\d{4}-\d\d-\d\d", body)
    start = TABLE[name].days.get("TRAIN", "").split(",")[0]  # a model that is trained once is trained from START on
    assert len(dates) - (start in dates) == len(set(dates))


@pytest.mark.parametrize("name", TABLE)
def test_the_head_names_what_the_handler_needs(name):
    needs, flow = needs_of(workflow(name).handler), workflow(name)
    assert needs is not None
    text = re.search(r"^# It needs (.*?)\.$", flow.path.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert text is not None
    named = text[1].replace("\n# ", " ")
    assert set(re.findall(r"\$(\w+)", named)) - {"hf_"} == set(needs.fields) & {"industry", "float_mv"}
    factors = {family for family, names in FAMILIES.items() if {f"hf_{each}" for each in names} <= set(needs.fields)}
    assert {family for family in FAMILIES if "$hf_" in named and family in named} == factors
    assert ("bars of 30, 15, 5 or 1 minutes" in named) == bool(needs.minute_fields)
    assert [experiment for experiment in flow.inputs if experiment not in named] == []


def test_lines_are_short():
    assert [line for name in TABLE for line in render(name).splitlines() if len(line) > 120] == []


DATES = {"START": "2011-01-03", "TEST": "2015-01-05", "END": "2016-12-30"}


@pytest.mark.parametrize("name", [name for name, entry in TABLE.items() if entry.trained_once])
def test_the_segments_of_a_model_that_is_trained_once(name):
    changed = DATES | {"TRAIN": "2011-02-01, 2013-12-31", "VALID": "2014-01-01,2014-12-31"}
    flow = workflow(name, **changed)
    segments = flow.config["task"]["dataset"]["kwargs"]["segments"]
    handler = flow.handler["kwargs"]
    assert segments["train"] == [handler["fit_start_time"], handler["fit_end_time"]]
    assert segments == {
        "train": [date(2011, 2, 1), date(2013, 12, 31)],
        "valid": [date(2014, 1, 1), date(2014, 12, 31)],
        "test": [date(2015, 1, 5), date(2016, 12, 30)],
    }
    assert (handler["start_time"], handler["end_time"]) == (date(2011, 1, 3), date(2016, 12, 30))
    train, valid, test = workflow(name).config["task"]["dataset"]["kwargs"]["segments"].values()
    assert train[0] < train[1] < valid[0] < valid[1] < test[0] < test[1], "by default no day is of two segments"


RETRAINED = [name for name, entry in TABLE.items() if entry.rolling and "MODEL_TEST" not in entry.days]


@pytest.mark.parametrize("name", RETRAINED)
def test_the_lengths_of_a_model_that_is_retrained(name):
    flow = workflow(name, **DATES, TRAIN="3Y", VALID="6M", STEP="1Y")
    options = flow.config["task"]["model"]["kwargs"]
    assert {key: options[key] for key in ("train", "valid", "step")} == {"train": "3Y", "valid": "6M", "step": "1Y"}
    assert flow.config["task"]["dataset"]["kwargs"]["segments"] == {"test": [date(2015, 1, 5), date(2016, 12, 30)]}
    assert (flow.handler["kwargs"]["start_time"], flow.handler["kwargs"]["end_time"]) == (
        date(2011, 1, 3),
        date(2016, 12, 30),
    )
    assert workflow(name, VALID="0.25").config["task"]["model"]["kwargs"]["valid"] == 0.25


WEIGHTINGS = [name for name, entry in TABLE.items() if "MODEL_TEST" in entry.days]


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_a_weighting_begins_with_the_tests_of_what_it_reads(name):
    flow = workflow(name, **DATES, MODEL_TEST="2016-01-04", MODEL_TRAIN="200D", MODEL_STEP="10D", TRAIN="9Y", STEP="9Y")
    options = flow.config["task"]["model"]["kwargs"]
    assert (options["train"], options["step"]) == ("200D", "10D"), "TRAIN and STEP are those of the experiments"
    assert flow.handler["kwargs"]["start_time"] == date(2015, 1, 5)
    assert flow.config["task"]["dataset"]["kwargs"]["segments"] == {"test": [date(2016, 1, 4), date(2016, 12, 30)]}


def seeds_of(flow: Workflow) -> list[object]:
    """Every seed and list of seeds in the model's configuration."""
    model = flow.config["task"]["model"]
    places = [model["kwargs"], model["kwargs"].get("model", {}).get("kwargs", {})]
    return [place[key] for place in places for key in ("seed", "seeds") if key in place]


@pytest.mark.parametrize("name", TABLE)
def test_a_variable_changes_what_its_name_says_wherever_it_is_taken(name):
    taken = variables_of(render(name))
    changes = {"UNIVERSE": "csi500", "BENCHMARK": "SH000852", "SEEDS": "[4, 5]", "EPOCHS": "7", "AUTOCAST": "true"}
    changes |= {"EMA_DECAY": "0.5", "QLIB_DATA": "/data/cn", "QLIB_RUNS": "/runs"}
    flow = workflow(name, **changes)
    config, model = flow.config, flow.config["task"]["model"]
    net = model["kwargs"].get("model", model).get("kwargs", {})
    assert config["market"] == flow.handler["kwargs"]["instruments"] == "csi500"
    assert config["port_analysis_config"]["backtest"]["benchmark"] == "SH000852"
    assert flow.provider == Path("/data/cn")
    assert config["qlib_init"]["exp_manager"]["kwargs"]["uri"] == "sqlite:////runs/mlflow.db"
    assert seeds_of(flow) == ([[4, 5]] if "SEEDS" in taken else [])
    options = {"EPOCHS": ("n_epochs", 7), "AUTOCAST": ("autocast", True), "EMA_DECAY": ("ema_decay", 0.5)}
    for variable, (option, value) in options.items():
        assert (option in net) == (variable in taken)
        assert net.get(option, value) == value


def test_the_fields_are_the_handlers():
    fields = {"TURNOVER": "$t", "FLOAT_MV": "$m", "INDUSTRY": "$i"}
    names = ("market_day_gru", "market_msnew_astgnn", "market_ms_gru")
    day, msnew, ms = (workflow(name, **fields).handler["kwargs"] for name in names)
    assert day["fields"] == {"turnover": "$t"}
    assert msnew["fields"] == {"float_mv": "$m"}
    assert (ms["industry"], ms["size"]) == ("$i", "$m")


def test_variables_are_found_with_their_defaults():
    text = "a: {{ B | default('1, 2') }}\nb: {{ OTHER if TEST else START }}\n{% set c = (TEST | default(3)) %}{{ c }}"
    assert variables_of(text) == {"START": None, "TEST": "3", "B": "1, 2", "OTHER": None}
    assert meanings(True)["TRAIN"] != meanings(False)["TRAIN"]


def test_options_have_their_notes_one_below_the_other():
    assert options({"seasoned_days": 60, "x": [1, 2], "traded_only": True, "w": {"a": 1}}, 4).splitlines() == [
        "    seasoned_days: 60                 # a new stock runs from limit to limit at first: nobody can buy it",
        "    x: [1, 2]",
        "    traded_only: true                 # nobody can buy a suspended stock, and a net ranks its calm highest",
        "    w:",
        "        a: 1",
    ]


def test_files_are_written_once_and_changes_kept(tmp_path):
    assert len(write_workflows(tmp_path / "w")) == len(TABLE)
    assert write_workflows(tmp_path / "w") == []
    changed, gone = (tmp_path / f"w/{name}.yaml" for name in ("csi300_gru", "market_model0"))
    changed.write_text("mine")
    gone.unlink()
    with pytest.raises(OutputError, match=r"1 workflows in .* first csi300_gru.yaml; .*--overwrite"):
        write_workflows(tmp_path / "w")
    assert not gone.exists(), "all or nothing"
    assert set(write_workflows(tmp_path / "w", overwrite=True)) == {changed, gone}
    assert changed.read_text() == render("csi300_gru")


def test_init_writes_what_is_committed(tmp_path, capsys):
    assert main(["init", str(tmp_path / "flows")]) == 0
    assert f"qrun {tmp_path}/flows/csi300_astgnn.yaml" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in (tmp_path / "flows").iterdir()} == {
        path.name: path.read_bytes() for path in COMMITTED.iterdir()
    }


def test_init_into_a_file(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["init", str(tmp_path / "file")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "Name another folder." in error


def test_the_list_names_every_workflow_and_variable(capsys):
    assert main(["workflows"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [name for name in (*TABLE, *MEANINGS) if not any(line.startswith(f"{name} ") for line in lines)] == []
    assert f"All take {' '.join(EVERYWHERE)} as well." in lines
    place = next(number for number, line in enumerate(lines) if line.startswith("market_ms_gru "))
    assert "needs day bars, $hf_... of minute bars, $industry, $float_mv" in lines[place + 1]
    assert "takes START TRAIN VALID STEP" in lines[place + 2]


def test_a_workflow_is_shown_with_its_defaults(capsys):
    assert main(["workflows", "csi300_gru", "market_model[12]"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"^TRAIN +2010-01-01, 2015-12-31 +first and last day of training", text, flags=re.MULTILINE)
    assert "market_model1: " in text
    assert "market_model2: " in text
    assert "market_model3: " not in text


def test_a_reader_that_is_gone_is_no_error():
    command = f"{sys.executable} -m qlib_ext.cli workflows | true"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", ["workflows", "run"])
def test_an_unknown_name_is_answered_with_the_nearest(command, capsys, monkeypatch):
    monkeypatch.chdir(COMMITTED.parent)
    assert main([command, "workflows/market_wek_astgnn.yaml"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "did you mean 'market_week_astgnn'?" in error
