"""Technical over a provider: its columns are those of the functions, on whatever day it begins."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import qlib

from handlers.technical import Technical
from qlib_ext.data import own_days_loader
from qlib_ext.data.blocks import joined
from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.data.own_days_loader import BARS
from qlib_ext.errors import ConfigError, ProviderError
from qlib_ext.factors.candle_states import STATES
from qlib_ext.factors.own_days import over_own_days
from qlib_ext.factors.technical import INDICATORS, SHARED
from qlib_ext.models.gru import GRU
from qlib_ext.simulator.simulate import simulate, write_market
from tests.garbage import garbage_after

TIMES = {"start_time": "2015-02-02", "end_time": "2015-08-28", "instruments": "csi300"}
EVERYTHING = INDICATORS | {name: function for name, (function, _) in STATES.items()}
SEGMENTS = {
    "train": ("2015-02-02", "2015-06-12"),
    "valid": ("2015-06-15", "2015-07-24"),
    "test": ("2015-07-27", "2015-08-28"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("technical") / "provider"
    write_market(folder, stocks=30, days=270, seed=4)
    return folder, simulate(30, 270, seed=4)


@pytest.fixture(scope="module")
def handler(made):
    qlib.init(provider_uri=str(made[0]), region="cn", kernels=1, logging_level=40)
    return Technical(**TIMES)


@pytest.fixture(autouse=True)
def _initialised(made, init):
    init(made[0])


def test_columns_are_the_functions_of_all_bars(made, handler):
    market = made[1]
    bars = {name: pd.DataFrame(market.fields[name].astype("f4"), market.calendar, market.symbols) for name in BARS}
    features = handler.fetch(col_set="feature")
    assert list(features.columns) == list(EVERYTHING)
    for name, frame in over_own_days(bars, EVERYTHING, SHARED):
        for rows in (features, handler.history()):
            values = rows[name] if name in rows else rows["feature", name]
            expected = frame.stack(future_stack=True).reindex(rows.index).to_numpy()
            np.testing.assert_allclose(values.to_numpy(), expected, rtol=2e-4, atol=1e-5, err_msg=name)
    assert joined([features, handler.history()]) is not None, "a panel copies nothing"


def test_another_first_day_changes_no_value(handler):
    later = Technical(**TIMES | {"start_time": "2015-05-04"})
    rows = later.fetch(col_set="feature")
    pd.testing.assert_frame_equal(rows, handler.fetch(col_set="feature").loc[rows.index])


def test_what_comes_later_changes_nothing(made, handler, init, tmp_path):
    init(garbage_after(made[0], made[1].calendar.get_loc("2015-06-15"), tmp_path / "garbage"))
    members = Technical(**TIMES | {"instruments": "all"}).fetch(slice(None, "2015-06-15"), col_set="feature")
    init(made[0])
    mine = Technical(**TIMES | {"instruments": "all"}).fetch(slice(None, "2015-06-15"), col_set="feature")
    pd.testing.assert_frame_equal(members, mine, check_exact=True)


def test_a_net_trains_on_it(handler):
    data = CrossSectionDataset(handler, SEGMENTS)
    model = GRU(hidden_size=8, num_layers=1, n_epochs=1, seed=0)
    model.fit(data)
    score = model.predict(data)
    assert np.isfinite(score).all()
    assert score.groupby(level="datetime").nunique().min() > 1


def test_a_net_reads_a_state_as_a_field_for_each_of_its_values(handler):
    data = CrossSectionDataset(handler, SEGMENTS)
    samples = data.samples("test", learn=False)
    x = samples.batch(np.array([2]), data.window).x
    rows = handler.fetch(col_set="feature").loc[samples.index[samples.bounds[2] : samples.bounds[3]]]
    by_number = CrossSectionDataset(Technical(**TIMES, states="number"), SEGMENTS)
    scaled = by_number.samples("test", learn=False).batch(np.array([2]), by_number.window).x
    np.testing.assert_allclose(x[..., : len(INDICATORS)], scaled[..., : len(INDICATORS)])
    first = len(INDICATORS)
    for name, (_, count) in STATES.items():
        expected = np.array([[value == state for value in range(count)] for state in rows[name]], dtype="f4")
        np.testing.assert_array_equal(x[:, -1, first : first + count], expected, err_msg=name)
        first += count
    assert x.shape[1:] == (30, first)


def test_states_may_be_left_out():
    names = Technical(**TIMES, states="none").fetch(col_set="feature").columns
    assert list(names) == list(INDICATORS)


def test_what_was_computed_is_kept_by_its_functions(made, init, cache_folder, monkeypatch):
    computed = []
    monkeypatch.setattr(own_days_loader, "over_own_days", lambda *given: computed.append(1) or over_own_days(*given))
    frames = [Technical(**TIMES, states=states).fetch(col_set="feature") for states in ("one_hot", "number", "none")]
    assert len(computed) == 2
    pd.testing.assert_frame_equal(frames[0], frames[1], check_exact=True)
    assert frames[2].shape[1] == len(INDICATORS)


def test_bad_input(made, tmp_path):
    with pytest.raises(ConfigError, match="states"):
        Technical(**TIMES, states="yes")
    for file in (made[0] / "features").glob("*/high.day.bin"):
        file.rename(file.with_name("tall.day.bin"))
    try:
        with pytest.raises(ProviderError, match="high"):
            Technical(**TIMES)
    finally:
        for file in (made[0] / "features").glob("*/tall.day.bin"):
            file.rename(file.with_name("high.day.bin"))
