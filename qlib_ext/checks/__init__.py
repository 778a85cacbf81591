"""What a run will need, checked in its first seconds: names of its YAML, days, data, the benchmark and the members."""

from __future__ import annotations

from qlib_ext.checks.task import check_task

__all__ = ["check_task"]
