"""Expressions of a file are a handler's columns; a file that cannot be used is refused before anything is loaded."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from qlib.data import D

from handlers.alpha158vwap import Alpha158vwap
from handlers.expressions import Expressions
from qlib_ext.data.needs import needs_of
from qlib_ext.errors import ConfigError
from qlib_ext.simulator.simulate import write_market

TIMES = {"start_time": "2015-01-05", "end_time": "2015-03-27", "instruments": "all"}
COLUMNS = {"REVERSAL": "1 - $close / Ref($close, 20)", "CALM": "0 - Std($close / Ref($close, 1), 10)"}


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    folder = tmp_path_factory.mktemp("expressions") / "provider"
    write_market(folder, stocks=12, days=160, seed=0)
    return folder


@pytest.fixture(autouse=True)
def _initialised(market, init):
    init(market)


def file_of(folder, text: str):
    file = folder / "factors.yaml"
    file.write_text(text)
    return str(file)


def test_columns_are_the_files_expressions(tmp_path):
    file = file_of(tmp_path, "".join(f"{name}: {expression}\n" for name, expression in COLUMNS.items()))
    handler = Expressions(file, **TIMES)
    rows = handler.fetch(col_set="feature")
    assert list(rows.columns) == list(COLUMNS)
    instruments = sorted(rows.index.unique("instrument"))
    theirs = D.features(instruments, list(COLUMNS.values()), TIMES["start_time"], TIMES["end_time"])
    theirs = theirs.swaplevel().sort_index().reindex(rows.index)
    np.testing.assert_allclose(rows.to_numpy(), theirs.to_numpy(), rtol=1e-5, atol=1e-6)
    config = {"class": "Expressions", "module_path": "handlers.expressions", "kwargs": {"file": file, **TIMES}}
    assert set(needs_of(config).fields) >= {"close", "vwap"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no column"),
        ("- $close", "names no column"),
        ("X: 1", "'X' is 1"),
        ("X: [", "cannot be read as YAML"),
        ("X: $close\nX: $open", 'duplicate key "X"'),
        ("X: $close +", "is no expression"),
        ("X: Nosuch($close, 3)", "is no expression"),
        ("X: Ref($close, -1) / $close", "reads 1 days after its own"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        Expressions(file_of(tmp_path, text), **TIMES, init_data=False)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        Expressions(str(tmp_path / "none.yaml"), **TIMES)
    with pytest.raises(ConfigError, match="file"):
        Expressions(7, **TIMES)


def test_columns_of_a_file_stand_beside_alpha158(tmp_path):
    file = file_of(tmp_path, "".join(f"{name}: {expression}\n" for name, expression in COLUMNS.items()))
    both, alpha, own = (
        handler.fetch(col_set="feature")
        for handler in (Alpha158vwap(file=file, **TIMES), Alpha158vwap(**TIMES), Expressions(file, **TIMES))
    )
    assert both.shape[1] == 158 + len(COLUMNS)
    pd.testing.assert_frame_equal(both, pd.concat([alpha, own], axis=1))


def test_a_file_does_not_name_a_column_of_alpha158(tmp_path):
    with pytest.raises(ConfigError, match="'KMID', which is one of Alpha158's own columns"):
        Alpha158vwap(file=file_of(tmp_path, "KMID: $close"), **TIMES)
