"""What the property tests of the simulated ticks draw."""

from __future__ import annotations

from hypothesis import strategies as st

from qlib_ext.simulator.fills import Bar


@st.composite
def bars(draw):
    low = draw(st.integers(1, 5000))
    high = low + draw(st.integers(0, low // 5 + 1))
    lots = draw(st.one_of(st.integers(4, 40), st.integers(4, 10**7)))
    average = low + draw(st.floats(0, 1)) * (high - low)
    return Bar(draw(st.integers(low, high)), high, low, draw(st.integers(low, high)), lots, average * lots)
