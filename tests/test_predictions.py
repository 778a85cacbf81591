"""``python -m benchmarks.predictions``: what it changes in a workflow, when hashes are equal, how it compares them."""

from __future__ import annotations

import copy
import io
import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from qlib.utils import flatten_dict

from benchmarks import predictions

ROOT = Path(__file__).parents[1]
WORKFLOWS = predictions.read_workflows(ROOT / "workflows", Path("market"), Path("runs"))
CHANGED = {"start_time", "end_time", "fit_start_time", "fit_end_time"}
CHANGED |= {"train", "valid", "test", "step", "n_epochs", "seeds"}


@pytest.fixture
def scores():
    index = pd.MultiIndex.from_product(
        [pd.to_datetime(["2016-06-06", "2016-06-07"]), ["SH600001", "SZ000002"]], names=["datetime", "instrument"]
    )
    return pd.DataFrame({"score": np.array([0.25, -1.5, 3.0, 1e-7], dtype=np.float32)}, index)


def written(folder: Path, name: str, **scores: pd.DataFrame) -> Path:
    """A file of hashes with the scores beside it."""
    file = folder / f"{name}.json"
    file.with_suffix("").mkdir()
    for workflow, frame in scores.items():
        frame.to_parquet(predictions.scores_of(file, workflow))
    file.write_text(json.dumps({workflow: predictions.digest(frame) for workflow, frame in scores.items()}))
    return file


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_small_workflow_differs_in_dates_lengths_epochs_and_seeds_alone(name):
    before, after = WORKFLOWS[name]["task"], predictions.small(copy.deepcopy(WORKFLOWS[name]))["task"]
    assert [record["class"] for record in after["record"]] == ["SignalRecord"]
    flat = [flatten_dict({key: task[key] for key in ("model", "dataset")}) for task in (before, after)]
    assert flat[0].keys() == flat[1].keys()
    different = {key.rpartition(".")[2] for key in flat[0] if flat[0][key] != flat[1][key]}
    assert {"start_time", "test"} <= different <= CHANGED


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_is_written_as_it_was_read_each_key_in_its_place(name):
    text = io.StringIO()
    predictions.YAML_OF_QRUN.dump(WORKFLOWS[name], text)
    again = predictions.YAML_OF_QRUN.load(text.getvalue())
    assert again == WORKFLOWS[name]
    assert list(flatten_dict(again)) == list(flatten_dict(WORKFLOWS[name]))


def test_a_workflow_runs_after_those_that_it_reads():
    place = {name: number for number, name in enumerate(WORKFLOWS)}
    pairs = [(needed, name) for name, workflow in WORKFLOWS.items() for needed in predictions.reads(workflow)]
    assert len(pairs) >= 20
    assert all(place[needed] < place[name] for needed, name in pairs)


def test_equal_scores_have_one_hash_and_the_last_bit_another(scores):
    changed = scores.copy()
    changed.iloc[3, 0] = np.nextafter(changed.iloc[3, 0], np.float32(1))
    assert predictions.digest(scores.copy()) == predictions.digest(scores)
    others = [changed, scores.astype(np.float64), scores.iloc[::-1], scores.rename({"SH600001": "SH600003"}, level=1)]
    assert predictions.digest(scores) not in map(predictions.digest, others)


def test_a_comparison_says_what_is_equal_how_far_apart_and_what_is_missing(scores, tmp_path, capsys):
    before = written(tmp_path, "before", same=scores, moved=scores, fewer=scores, gone=scores)
    after = written(tmp_path, "after", same=scores, moved=scores + np.float32(0.5), fewer=scores[:3])
    assert predictions.compare(before, after) == 1
    lines = capsys.readouterr().out.splitlines()[2:]
    assert lines == [
        "| same | equal |  |",
        "| moved | different | at most 0.5 in 4 rows |",
        "| fewer | different | at most 0 in 3 rows, 1 rows in one alone |",
        f"| gone | missing in {after} |  |",
    ]
    assert predictions.compare(before, before) == 0


def test_what_has_a_hash_is_not_run_again(tmp_path, capsys):
    hashes = {"market": "", **dict.fromkeys(WORKFLOWS, "")}
    out = tmp_path / "hashes.json"
    out.write_text(json.dumps(hashes))
    (tmp_path / "market").mkdir()
    options = Namespace(tree=ROOT, out=out, market=tmp_path / "market", only=None)
    assert predictions.run_all(options) == 0
    assert capsys.readouterr().out == ""
    assert json.loads(out.read_text()) == hashes


def test_another_tree_and_an_unknown_workflow_are_refused(tmp_path):
    (tmp_path / "market").mkdir()
    options = Namespace(
        tree=tmp_path, out=tmp_path / "hashes.json", market=tmp_path / "market", only=["market_dya_gru"]
    )
    with pytest.raises(RuntimeError, match="give a tree that has qlib_ext"):
        predictions.run_all(options)
    options.tree = ROOT
    with pytest.raises(RuntimeError, match="has no workflow 'market_dya_gru'"):
        predictions.run_all(options)
