from __future__ import annotations

from tests.ticks.conftest import provider, ticks

__all__ = ["provider", "ticks"]
