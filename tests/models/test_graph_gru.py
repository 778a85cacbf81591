"""The graph inside the GRU: bad options, a GRU at order 1, and the market's mean at an infinite temperature."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from qlib_ext.errors import ConfigError
from qlib_ext.models.astgnn import ASTGNN
from qlib_ext.models.graph_gru import GraphGRU
from qlib_ext.testing.rows import dataset_of, random_rows

SMALL = {"hidden_size": 6, "num_layers": 1, "num_factors": 3, "embedding_size": 4, "n_epochs": 1, "GPU": -1, "seed": 0}


@pytest.mark.parametrize("kind", [ASTGNN, GraphGRU])
@pytest.mark.parametrize(
    ("option", "says"),
    [
        ({"neighbours": 0}, "neighbours is a whole number of at least 1, or None for all; not 0"),
        ({"neighbours": 2.5}, "not 2.5"),
        ({"temperature": 0.0}, "temperature is above 0, not 0.0"),
        ({"temperature": float("nan")}, "temperature is a number, not nan"),
    ],
)
def test_a_graph_of_no_neighbours_or_temperature_is_refused(kind, option, says):
    with pytest.raises(ConfigError, match=says):
        kind(**option)


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ({"order": 0}, "order is at least 1, not 0"),
        ({"embedding_size": 0}, "embedding_size is at least 1, not 0"),
        ({"base_model": "LSTM"}, "base_model is GRU, not LSTM"),
    ],
)
def test_options_of_the_gates_are_refused(option, says):
    with pytest.raises(ConfigError, match=says):
        GraphGRU(**option)


def scores(rows, **options):
    model = GraphGRU(**SMALL | options)
    model.fit(dataset_of(random_rows(holes=0.0, seed=2)))
    return model.predict(dataset_of(rows)).loc["2020-03-16"]


def test_a_stock_hears_of_others_unless_the_order_is_one():
    rows = random_rows(holes=0.0, seed=2)
    first = rows.index.unique("instrument")[0]
    changed = rows.copy()
    later = rows.index.get_level_values("datetime") >= "2020-03-09"
    changed.loc[later & (rows.index.get_level_values("instrument") == first), ("feature", "F0")] += 1.0
    for order, heard in ((1, False), (2, True)):
        before, after = (scores(r, order=order).drop(first) for r in (rows, changed))
        assert np.allclose(before, after, atol=1e-6) != heard


def test_at_an_infinite_temperature_it_matters_not_who_is_who():
    rows = random_rows(holes=0.0, seed=2)
    warm = scores(rows, temperature=float("inf"))
    again = scores(rows, temperature=float("inf"), neighbours=1000)
    pd.testing.assert_series_equal(warm, again, atol=1e-6)
    assert not np.allclose(warm, scores(rows, temperature=0.1), atol=1e-4)
