"""Retraining window by window: ``module_path: qlib_ext.rolling``, ``class: RollingModel``."""

from __future__ import annotations

from qlib_ext.rolling.model import RollingModel

__all__ = ["RollingModel"]
