"""Retraining window by window: ``module_path: qlib_ext.rolling``, ``class: RollingModel``."""

from qlib_ext.rolling.model import RollingModel

__all__ = ["RollingModel"]
