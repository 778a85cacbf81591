"""What ``make gpu`` runs, with small sizes and without a GPU."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.gpu import __main__ as driver
from benchmarks.gpu import agreement, held, panel, results, speed, steps
from benchmarks.gpu.lines import Dispatched
from qlib_ext.errors import DataError
from qlib_ext.models.market_state import MarketState
from qlib_ext.models.network_gat import NetworkGAT
from qlib_ext.models.rsr import RSR
from qlib_ext.provider.panels import read_panels
from tests.models.cases import MODELS, NOISE, case_of, risk_model_of

ROOT = Path(__file__).parents[1]
LAZY = """
import sys
for name in ("polars", "plotly", "ray"):
    sys.modules[name] = None
from benchmarks.gpu import agreement, market, speed, steps, workflow
import handlers.alpha158vwap, handlers.bars
import qlib.cli.run, qlib.contrib.strategy
import qlib_ext.analysis.records, qlib_ext.cli, qlib_ext.recorder.store, qlib_ext.rolling
"""


@pytest.fixture
def small_run(tmp_path):
    return argparse.Namespace(out=tmp_path, seconds=600.0, small=True)


def of_kind(out: Path, kind: str) -> list[dict]:
    return [row for row in results.read(out) if row["kind"] == kind]


def test_a_gpu_machine_needs_neither_polars_nor_plotly_nor_ray():
    done = subprocess.run([sys.executable, "-c", LAZY], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("standardise", [False, True])
@pytest.mark.parametrize("days", [[4], [4, 0, 7]])
@pytest.mark.parametrize("name", [name for name in MODELS if MODELS[name][0] not in (RSR, NetworkGAT)])
def test_no_training_step_makes_the_host_wait_for_the_device(name, days, standardise):
    case = case_of(name)
    model, dataset = case.make(), case.dataset()
    window = replace(dataset.window, standardise=standardise)
    samples = dataset.samples("train", learn=True)
    net = model.build(window.layout(len(samples.panel.fields)), samples.panel.instruments)
    model.bind(net, samples.panel)
    with Dispatched() as dispatched:
        batch = samples.batch(np.array(days), window)
        model.loss(net(batch).as_float32(), batch).backward()
    assert sum(dispatched.counts.values()) > 50
    assert not dispatched.waits()


def test_what_makes_the_host_wait_is_found():
    x, mask = torch.ones(4), torch.tensor([True, False, True, True])
    for wait in (lambda: x[mask], lambda: x.sum().item(), lambda: x.nonzero(), lambda: x.masked_select(mask)):
        with Dispatched() as dispatched:
            wait()
        assert dispatched.waits()
    with Dispatched() as dispatched:
        x[torch.tensor([0, 2])] = 2.0
    assert not dispatched.waits()


def test_the_parts_record_what_they_measure(small_run):
    steps.steps(small_run)
    assert [row["type"] for row in of_kind(small_run.out, "steps")] == ["float32", "bfloat16"]
    assert all(row["seconds a step"] > 0 for row in of_kind(small_run.out, "steps"))
    assert any(row["line"].startswith("layers/encoder.py") for row in of_kind(small_run.out, "lines"))
    speed.speed(small_run)
    assert [row["what"] for row in of_kind(small_run.out, "speed")] == ["epoch, 60 days", "predict, 50 days"]
    assert len(of_kind(small_run.out, "zoo_memory")) > 1
    agreement.compare("GRU", small_run.out)
    (row,) = of_kind(small_run.out, "agreement")
    assert 0 < row["CPU, one rounding"] < NOISE
    if not torch.cuda.is_available():
        assert row["GPU from CPU"] is None
        assert row["goal"] == "not shown: no CUDA device"
        assert {row["ours, peak GB"] for row in of_kind(small_run.out, "zoo_memory")} == {"no CUDA device"}
    assert json.loads((small_run.out / "gpu.json").read_text()) == results.read(small_run.out)
    assert "| GRU |" in (small_run.out / "gpu.md").read_text()


def test_the_tests_marked_cuda_are_found_and_counted(small_run, monkeypatch):
    assert {"tests/models/test_contract.py", "tests/data/test_panel.py"} <= set(agreement.cuda_tests())
    monkeypatch.setattr(agreement, "cuda_tests", lambda: ["tests/data/test_panel.py"])
    agreement.run_tests(small_run, small_run.seconds)
    (row,) = of_kind(small_run.out, "tests")
    assert row == {"kind": "tests", "test": "all"} | {
        "outcome": "1 passed" if torch.cuda.is_available() else "1 skipped: no CUDA device"
    }


@pytest.mark.parametrize(
    ("test", "says"),
    [("def test_it():\n    assert False", ["failed", "1 failed"]), ("import nowhere", ["none ran"])],
)
def test_a_test_marked_cuda_that_fails_fails_the_part(small_run, tmp_path, monkeypatch, test, says):
    path = tmp_path / "tests" / "test_bad.py"
    path.parent.mkdir()
    path.write_text(f"import pytest\n{test}\n".replace("def test", "@pytest.mark.cuda\ndef test"))
    monkeypatch.setattr(agreement, "cuda_tests", lambda: ["tests/test_bad.py"])
    monkeypatch.setattr(agreement, "ROOT", tmp_path)
    with pytest.raises(SystemExit, match="did not all pass"):
        agreement.run_tests(small_run, small_run.seconds)
    assert [row["outcome"].split(":")[0] for row in of_kind(tmp_path, "tests")] == says


def test_a_part_that_takes_too_long_is_cut_off_and_keeps_what_it_had(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(driver, "PARTS", (driver.Part("steps", 5.1), driver.Part("speed", 60)))
    monkeypatch.setattr(sys, "argv", ["gpu", "--small", "--out", str(tmp_path), "--budget", "6"])
    begun = time.monotonic()
    assert driver.main() == 0
    assert time.monotonic() - begun < 30
    assert [row["outcome"].split()[0] for row in of_kind(tmp_path, "parts")] == ["cut", "not"]
    assert "no CUDA device" in capsys.readouterr().out or torch.cuda.is_available()


def test_a_run_that_is_stopped_names_what_is_left_and_ends_what_it_began(tmp_path):
    command = [sys.executable, "-m", "benchmarks.gpu", "--small", "--out", str(tmp_path), "--parts", "steps", "speed"]
    run = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not (tmp_path / "gpu.log").exists() and time.monotonic() < until:
        time.sleep(0.05)
    run.terminate()
    assert run.wait(30) == 1
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
    assert not [line for line in commands if str(tmp_path).encode() in line]
    text = (tmp_path / "gpu.md").read_text()
    assert "| steps | not ended yet |" in text
    assert "| speed | not ended yet |" in text


def test_results_are_whole_with_every_row_and_earlier_ones_are_kept(tmp_path):
    for value in (1.5, float("nan")):
        results.begin(tmp_path, ["steps"])
        results.record(tmp_path, "steps", net="GRU", value=value)
    assert of_kind(tmp_path, "steps") == [{"kind": "steps", "net": "GRU", "value": None}]
    assert "| GRU |  |" in (tmp_path / "gpu.md").read_text()
    (before,) = tmp_path.glob("before-*")
    assert of_kind(before, "steps")[0]["value"] == 1.5
    assert "| steps | not ended yet |" in (before / "gpu.md").read_text()


def test_a_part_that_fails_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(driver, "PARTS", (driver.Part("nowhere", 60),))
    options = argparse.Namespace(out=tmp_path, small=True)
    assert driver.run(driver.PARTS[0], 60, options).startswith("failed with code 1")
    assert "No module named" in (tmp_path / "gpu.log").read_text()


def test_a_row_that_was_cut_off_is_left_out(tmp_path):
    results.record(tmp_path, "steps", net="GRU", value=1.5)
    with (tmp_path / "gpu.jsonl").open("a") as file:
        file.write('{"kind": "steps", "ne')
    assert results.read(tmp_path) == [{"kind": "steps", "net": "GRU", "value": 1.5}]


def test_busy_time_counts_what_overlaps_once():
    assert steps.covered([(5.0, 6.0), (0.0, 2.0), (1.0, 3.0), (1.5, 2.0)]) == 4.0
    assert steps.covered([]) == 0.0


def bars_of(provider: Path, symbol: str) -> pd.DataFrame:
    panels = read_panels(provider, panel.FIELDS, [symbol])
    return pd.DataFrame({field: values[:, 0] for field, values in panels.items()})


def test_packed_bars_are_the_providers_within_a_rounding(small, tmp_path, monkeypatch):
    provider, _ = small
    days = (provider / "calendars" / "day.txt").read_text().split()
    panel.pack(provider, tmp_path / "panel.xz", days[40])
    again = panel.unpack(tmp_path / "panel.xz", tmp_path / "again")
    symbols = [line.split("\t")[0] for line in (again / "instruments" / "all.txt").read_text().splitlines()]
    assert len(symbols) == 20
    compared = 0
    for symbol in symbols:
        whole, packed = bars_of(provider, symbol)[40:].reset_index(drop=True), bars_of(again, symbol)
        whole = whole.where((whole > 0).all(axis=1))
        pd.testing.assert_frame_equal(whole.isna(), packed.isna())
        np.testing.assert_allclose(packed.drop(columns="volume"), whole.drop(columns="volume"), rtol=4.1e-4)
        np.testing.assert_allclose(packed["volume"], whole["volume"], rtol=0.011)
        compared += int(whole["close"].notna().sum())
    assert compared > 2_000
    monkeypatch.setattr(panel, "MOST_BYTES", 100)
    with pytest.raises(DataError, match=r"more than 100; give --start a later day"):
        panel.pack(provider, tmp_path / "panel.xz", days[40])


def test_held_fields_and_returns_of_factors_travel_with_the_bars(small, tmp_path):
    provider, _ = small
    days = (provider / "calendars" / "day.txt").read_text().split()
    names = ("industry", "total_mv")
    returns = pd.DataFrame({"f.market": [0.01, -0.02], "f.industry_1": [0.5, 0.5]}, pd.to_datetime(days[40:42]))
    risk = risk_model_of(returns, str(tmp_path / "risk"))
    panel.pack(provider, tmp_path / "panel.xz", days[40], names, Path(risk))
    again = panel.unpack(tmp_path / "panel.xz", tmp_path / "again")
    symbols = [line.split("\t")[0] for line in (again / "instruments" / "all.txt").read_text().splitlines()]
    for name in names:
        whole, packed = (read_panels(folder, [name], symbols)[name] for folder in (provider, again))
        known = np.isfinite(packed)
        assert known.mean() > 0.8
        np.testing.assert_allclose(packed[known], whole[40:][known], rtol=2**-held.DIGITS)
    np.testing.assert_array_equal(
        *(read_panels(f, ["industry"], symbols)["industry"][-100:] for f in (provider, again))
    )
    found = MarketState.returns_of(again / "risk")
    pd.testing.assert_frame_equal(found, MarketState.returns_of(risk), rtol=1e-6)
    assert list(found) == ["market"]
    with pytest.raises(DataError, match=r"has no \$book_of_nobody"):
        panel.pack(provider, tmp_path / "panel.xz", days[40], ("book_of_nobody",))


@pytest.mark.parametrize("share", [0.02, 0.5, 1.0])
def test_what_is_held_is_packed_whole(share):
    random = np.random.default_rng(1)
    values = np.where(random.random((5, 200)) < share, np.exp(20 * random.standard_normal((5, 200))), np.nan)
    values[0] = np.nan
    values[1] = np.arange(200) // 7
    values = pd.DataFrame(values.T).ffill(limit=50).to_numpy().T.astype("<f4")
    found = held.unpacked_field(held.packed_field(values), 5, 200)
    np.testing.assert_allclose(found, values, rtol=2.0**-held.DIGITS)
    np.testing.assert_array_equal(found[1], values[1])
