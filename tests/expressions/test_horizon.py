from __future__ import annotations

import pytest

from qlib_ext.errors import ConfigError
from qlib_ext.expressions.reach import horizon_of


@pytest.mark.parametrize(
    ("label", "days"),
    [
        ("Ref($vwap, -2)/Ref($vwap, -1) - 1", 1),
        ("Ref($vwap, -11)/Ref($vwap, -1) - 1", 10),
        ("Ref($close, -5)/$close - 1", 5),
        ("Ref(Ref($close, -5)/$close, -1) - 1", 5),
        ("Log(Ref($open, -21)) - Log(Ref($open, -1))", 20),
        ("If(Ref($close, -3) > 0, Ref($close, -3)/Ref($close, -1), 0)", 2),
    ],
)
def test_the_horizon_is_read_from_the_label(qlib_expressions, label, days):
    assert horizon_of(label) == days


@pytest.mark.parametrize(
    ("label", "message"),
    [("$close", "of one day alone"), ("Ref($vwap, -2", "cannot be read"), ("Nope($close)", "read")],
)
def test_a_label_without_a_horizon(qlib_expressions, label, message):
    with pytest.raises(ConfigError, match=message):
        horizon_of(label)
