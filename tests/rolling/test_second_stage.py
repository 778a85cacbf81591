"""Two rolling models, the second on what the first recorded: it runs, and it reads nothing of the future."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from qlib.data.dataset import DatasetH

from handlers.recorded import RecordedFactors
from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.errors import DataError, SegmentError
from qlib_ext.models.weighting import EqualWeight
from qlib_ext.recorder.windows import TRAIN_LABELS_TO, TRAIN_TO, VALID_LABELS_TO, VALID_TO, WINDOWS
from qlib_ext.rolling import RollingModel, model
from tests.garbage import garbage_from
from tests.rolling.cases import Returns, inner
from tests.rolling.conftest import Bench

LABEL = (["Ref($vwap, -3)/Ref($vwap, -1) - 1"], ["LABEL0"])
FIRST = {"train": "60D", "valid": "20D", "step": "40D", "backend": "serial"}
SECOND = {"train": "50D", "valid": 0.2, "step": "20D", "backend": "serial"}
GARBAGE = 260  # of the 300 days; the second stage is tested from day 201 on


def first_stage(bench, seed: int = 0, **kwargs) -> None:
    """Returns of csi300's members by Ridge, tested from day 120 on in windows of 40 days."""
    fill = {"class": "Fillna", "kwargs": {"fields_group": "feature"}}
    handler = Returns(instruments="csi300", infer_processors=[fill])
    dataset = DatasetH(handler, {"test": (days(bench)[120], None)})
    bench.run(RollingModel(bench.ridge(seed=seed), **FIRST | kwargs), dataset, "first")


def days(bench) -> pd.DatetimeIndex:
    return bench.calendar


def second_stage(bench, model: dict, kind=CrossSectionDataset, start: int = 201, **kwargs) -> pd.Series:
    """The weak factors weighted, tested from day ``start`` on."""
    handler = RecordedFactors(["first"], label=LABEL, instruments="csi300")
    dataset = kind(handler, {"test": (days(bench)[start], None)})
    return bench.prediction(bench.run(RollingModel(model, **SECOND | kwargs), dataset, "second"))


@pytest.fixture
def bench_on(bench_in, small, tmp_path):
    """A bench of its own on a provider."""

    def of(name: str, provider) -> Bench:
        bench = bench_in(tmp_path / name)
        bench = Bench(bench.folder, provider)
        bench.calendar = small[1].calendar
        return bench

    return of


EQUAL = {"class": "EqualWeight", "module_path": "qlib_ext.models.weighting"}


@pytest.mark.parametrize("kind", [DatasetH, CrossSectionDataset])
def test_a_rolling_model_weights_the_weak_factors_of_another(bench_on, small, kind):
    bench = bench_on("whole", small[0])
    first_stage(bench)
    scores = second_stage(bench, EQUAL, kind)
    dataset = DatasetH(RecordedFactors(["first"], instruments="csi300"), dict.fromkeys(("train", "test"), (None, None)))
    alone = EqualWeight()
    alone.fit(dataset)
    expected = alone.predict(dataset).loc[days(bench)[201] :]
    pd.testing.assert_series_equal(scores, expected, check_freq=False, check_index_type=False)


def test_no_score_reads_the_future(bench_on, small, copy):
    """With every bar from a day on replaced by garbage, all scores before that day are the same."""
    scores = []
    for name, provider in (("good", small[0]), ("bad", copy("bad", edit=garbage_from(GARBAGE)))):
        bench = bench_on(name, provider)
        first_stage(bench)
        scores.append(second_stage(bench, inner("Ridge")))
    good, bad = (score.loc[: small[1].calendar[GARBAGE - 1]] for score in scores)
    assert good.index.unique("datetime")[-1] == small[1].calendar[GARBAGE - 1]
    pd.testing.assert_series_equal(good, bad)
    day = scores[0].index.unique("datetime")[-1]
    assert not np.allclose(scores[0].loc[day], scores[1].reindex(scores[0].index).loc[day].fillna(0)), "garbage is seen"


def test_the_label_is_purged_by_its_own_reach(bench_on, small):
    bench = bench_on("purged", small[0])
    first_stage(bench)
    second_stage(bench, inner("Ridge"))
    run = bench.runs("second")[0].info.run_id
    windows = pd.read_csv(bench.file(run, "rolling_windows.csv"))
    calendar = days(bench)
    reach = calendar.get_indexer(pd.to_datetime(windows["test from"])) - calendar.get_indexer(
        pd.to_datetime(windows["valid to"])
    )
    assert (reach == 4).all(), "the label of the last validation day is known three days later, before the test"


def test_a_first_stage_that_was_not_purged_is_warned_of_and_refused(bench_on, small, monkeypatch):
    """The label reaches two days: without a purge, training sees returns of the validation and of the test."""
    bench = bench_on("unpurged", small[0])
    lines: list[str] = []
    monkeypatch.setattr(model, "logger", SimpleNamespace(warning=lines.append, info=str))
    first_stage(bench, purge=0)
    assert "purge is 0, and how far the label reaches is 2 trading days" in lines[0]
    windows = pd.read_csv(bench.file(bench.runs("first")[0].info.run_id, WINDOWS))
    for last, labels_to in ((TRAIN_TO, TRAIN_LABELS_TO), (VALID_TO, VALID_LABELS_TO)):
        places = [days(bench).get_indexer(pd.to_datetime(windows[column])) for column in (last, labels_to)]
        np.testing.assert_array_equal(places[1] - places[0], 2)
    for kind in ("weak_factors", "score"):
        with pytest.raises(DataError, match=r"'first' was not purged.*the labels of its train days.*purge: auto"):
            RecordedFactors(["first"], kind=kind, label=LABEL, instruments="csi300")


def test_history_that_is_too_short_is_refused(bench_on, small):
    bench = bench_on("short", small[0])
    first_stage(bench)
    with pytest.raises(SegmentError, match="needs rows 50 trading days, but the handler's begin on"):
        second_stage(bench, EQUAL, start=130)


def test_another_run_of_the_first_stage_trains_the_second_anew(bench_on, small):
    bench = bench_on("again", small[0])
    first_stage(bench)
    second_stage(bench, bench.ridge())
    trained = [line for line in bench.trained() if line >= f"{days(bench)[201]:%Y-%m-%d}"]
    second_stage(bench, bench.ridge())
    assert bench.trained() == [], "the same rows are not trained on again"
    first_stage(bench, seed=1)
    bench.trained()
    second_stage(bench, bench.ridge())
    assert len(bench.trained()) == 5 <= len(trained)
