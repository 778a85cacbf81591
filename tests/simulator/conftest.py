from __future__ import annotations

import pytest

from qlib_ext.simulator.simulate import Market, simulate


@pytest.fixture(scope="session")
def market() -> Market:
    return simulate(150, 750, seed=0)
