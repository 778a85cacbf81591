"""The trainings of the paper's data on a GPU: each of them once, and a failed one says why."""

from __future__ import annotations

import argparse
import itertools
import time

from benchmarks.gpu import rsr
from benchmarks.rsr_nets import MODELS
from benchmarks.rsr_paper import PARAMETERS, RESULTS


def test_every_net_of_both_protocols_is_trained_once():
    found = []
    for options in rsr.trainings([0, 3]):
        own = dict(itertools.pairwise(options))
        models = [own["--models"]] if "--models" in own else MODELS
        found += [(own["--markets"], own["--seeds"], "--paper" in options, model) for model in models]
    assert sorted(found) == sorted(itertools.product(PARAMETERS, "03", (False, True), MODELS))
    assert found[0][1] == "0"


def test_a_training_that_fails_says_why_and_stops_no_other(tmp_path, capsys):
    options = argparse.Namespace(data=tmp_path / "nothing", out=tmp_path, n_jobs=2)
    every = [["--markets", "NYSE", "--seeds", "0"], ["--markets", "NASDAQ", "--seeds", "0"]]
    rsr.run_until(time.monotonic() + rsr.LONGEST + 100, every, options, tmp_path)
    shown = capsys.readouterr().err
    assert "NYSE_industry_ticker.json" in shown
    assert "NASDAQ_industry_ticker.json" in shown
    rsr.run_until(time.monotonic() + rsr.LONGEST - 1, every, options, tmp_path)
    assert "industry" not in capsys.readouterr().err  # too late to begin
    assert not (tmp_path / RESULTS.name).exists()
