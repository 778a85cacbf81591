"""The bookkeeping of ``python -m benchmarks.zoo``: seeds of one configuration are averaged, other parameters not."""

from __future__ import annotations

import pandas as pd
import pytest

from benchmarks import zoo
from qlib_ext.analysis.compare.runs import METRICS


def configured(name: str, seed: int, **variables: str) -> dict:
    return zoo.configuration(name, seed, {"QLIB_DATA": "provider", "QLIB_RUNS": "runs"} | variables)


@pytest.mark.parametrize("name", ["GATs K=2", "Zoo LSTM", "Zoo LightGBM"])
def test_seeds_are_runs_of_one_configuration(name):
    first, second = configured(name, 0), configured(name, 1)
    assert first["task"]["model"] != second["task"]["model"]
    assert zoo.digest(first) == zoo.digest(second)


@pytest.mark.parametrize("variables", [{"EMA_DECAY": "0"}, {"AUTOCAST": "true"}])
def test_other_parameters_are_another_configuration(variables):
    assert zoo.digest(configured("GRU", 0)) != zoo.digest(configured("GRU", 0, **variables))


def test_the_table_averages_the_seeds_of_the_last_configuration(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "RESULTS", tmp_path / "zoo.csv")
    figures = dict.fromkeys(METRICS, 0.0) | {"minutes": 2.0}
    old, new = configured("GRU", 0, EMA_DECAY="0"), [configured("GRU", seed) for seed in (0, 1)]
    zoo.record("GRU", 0, old, figures | {"Rank IC": 0.5})
    for seed, rank_ic in enumerate((0.08, 0.09)):
        assert not zoo.recorded("GRU", seed, new[seed])
        zoo.record("GRU", seed, new[seed], figures | {"Rank IC": rank_ic})
        assert zoo.recorded("GRU", seed, new[seed])
    line = zoo.summary(pd.read_csv(zoo.RESULTS)).splitlines()[-1]
    assert line.startswith("| GRU | 2 |")
    assert "0.0850 ± 0.0071" in line
    assert "0.5" not in line
