"""For the tests of whoever writes a model: ``check_model(MyModel(hidden_size=8))``."""

from __future__ import annotations

from qlib_ext.testing.contract import check_model
from qlib_ext.testing.rows import IMAGES

__all__ = ["IMAGES", "check_model"]
