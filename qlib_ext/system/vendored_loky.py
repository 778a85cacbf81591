"""What we take of loky as joblib ships it, in this file alone: joblib promises nothing of it.

Its pool kills its workers when asked to, and its tracker of resources, a process of its own, removes a folder even
where the process that made it is killed. Loky by itself would start a second tracker beside joblib's.
"""

from __future__ import annotations

from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.backend import resource_tracker

__all__ = ["ProcessPoolExecutor", "resource_tracker"]
