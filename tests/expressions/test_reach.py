"""How far a label reaches: read from its tree, it is what changing the future shows."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import qlib
from qlib.data import D
from qlib.data.ops import ElemOperator, NpElemOperator

from qlib_ext.errors import ConfigError
from qlib_ext.expressions.operators import register_operators
from qlib_ext.expressions.reach import horizon_of, label_reach, reach_of

CHANGED = 200  # the first day of the calendar whose prices differ


class Ahead(ElemOperator):
    """What a user writes who shifts by himself and says nothing of it."""

    def _load_internal(self, instrument, start_index, end_index, *args):
        return self.feature.load(instrument, start_index, end_index, *args).shift(-10)


class Declared(Ahead):
    """The same, and it says so."""

    def get_extended_window_size(self):
        before, after = self.feature.get_extended_window_size()
        return before, after + 10


class Sqrt(NpElemOperator):
    """A function of one row, computed by Qlib's own class."""

    def __init__(self, feature):
        super().__init__(feature, "sqrt")


OWN = [Ahead, Declared, Sqrt]
LABELS = {
    "$close/$open": 0,
    "Ref($close, 3)": 0,
    "Ref($close, -10)/$close - 1": 10,
    "0 - Delta($close, -10)/$close": 10,
    "Delta($close, 10)": 0,
    "Delta(Ref($close, -2), -3)": 5,
    "Mean(Ref($close, -5), 5)/$close - 1": 5,
    "Ref(Mean($close, 5), -4)": 4,
    "Ref(Ref($close, -5), 3)": 2,
    "If(Ref($close, -2) > $close, Ref($close, -4), 1)": 4,
    "Corr(Ref($close, -2), Ref($open, -6), 10)": 6,
    "Max(Ref($close, -20), 20)/Ref($close, -1)": 20,
    "Sqrt(Ref($close, -3))": 3,
    "CutHigh($close, $open, 10)": 0,
    "CutSpread(Ref($close, -2), Ref($open, -6), 10)": 6,
    "Declared($close)/$close": 10,
    "Ref(Declared($close), -2)": 12,
    "Declared(Delta($close, -3))/$close": 13,
}


@pytest.fixture
def changed(copy):
    """A provider whose prices are other ones from a day on."""
    rng = np.random.default_rng(0)

    def edit(values, start):
        values[max(CHANGED - start, 0) :] *= rng.uniform(0.5, 2, len(values[max(CHANGED - start, 0) :]))

    return copy("changed", edit=edit)


def test_the_reach_is_what_changing_the_future_shows(small, changed):
    frames = []
    for folder in (small[0], changed):
        qlib.init(provider_uri=str(folder), region="cn", kernels=1, logging_level=40, custom_ops=OWN)
        register_operators()
        frames.append(D.features(D.instruments("all"), list(LABELS)))
        places = D.calendar().tolist().index
    days = frames[0].index.get_level_values("datetime").map(places)
    for label, reach in LABELS.items():
        one, other = (frame[label].to_numpy() for frame in frames)
        moved = days[(one != other) & ~(np.isnan(one) & np.isnan(other))]
        assert max(CHANGED - moved.min(), 0) == reach, label
        assert reach_of(label) == reach, label


def test_an_operator_that_says_nothing_is_no_reach_of_zero(tmp_path):
    qlib.init(provider_uri=str(tmp_path), region="cn", logging_level=40, custom_ops=OWN)
    handler = SimpleNamespace(data_loader=SimpleNamespace(fields={"label": (["Ahead($close)/$close - 1"], ["L"])}))
    with pytest.raises(ConfigError, match=r"How far Ahead reads .* Give purge: N, .*extended_window_size"):
        label_reach(handler)
    assert label_reach(handler, purge=10) == 10
    with pytest.raises(ConfigError, match=r"cannot be read; give horizon, .*Ahead"):
        horizon_of("Ahead($close)/$close - 1")
    assert horizon_of("Declared($close)/$close - 1") == 10
    assert horizon_of("0 - Delta($close, -10)/$close") == 10


@pytest.mark.parametrize("label", ["TResample($close, 'W', 'last')", "P($$roe_q)"])
def test_resampling_is_not_known_and_a_quarterly_field_is_known_on_its_day(qlib_expressions, label):
    if label.startswith("P("):
        assert reach_of(label) == 0
    else:
        with pytest.raises(ConfigError, match="How far TResample reads"):
            reach_of(label)
