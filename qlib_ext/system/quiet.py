"""What other libraries print and helps nobody: off, unless the variable QLIB_EXT_WARNINGS asks for it."""

from __future__ import annotations

import logging
import os
import warnings
from contextlib import suppress

VARIABLE = "QLIB_EXT_WARNINGS"
LIBRARIES = r"(qlib|gym|mlflow|sqlalchemy|alembic)(\.|$)"  # whose code is nothing that a user could change
OF_DEVELOPERS = (FutureWarning, DeprecationWarning, PendingDeprecationWarning)
QLIB_MESSAGES = [  # of every run of Qlib's, and true of every run
    r"No valid experiment found\. Create",
    r"The parameter `reweighter` with value `None` is ignored",
    r"`common_infra` is not set",
]


def quieten() -> None:
    """Leave out deprecations within other libraries, gym's notice, what mlflow says of its tables and its progress.

    With QLIB_EXT_WARNINGS=1 all of it is shown. Errors, and what a library says of the user's own code, always are.
    """
    if os.environ.get(VARIABLE):
        return
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for category in OF_DEVELOPERS:
        warnings.filterwarnings("ignore", category=category, module=LIBRARIES)
    warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning, r"qlib\.utils\.index_data")
    with suppress(ImportError):  # gym comes with Qlib and prints its notice as it is imported
        from gym_notices.notices import notices

        notices.clear()


def quieten_qlib() -> None:
    """Leave out Qlib's warnings that stand in the log of every run; after ``qlib.init``, which makes its handlers."""
    if os.environ.get(VARIABLE):
        return
    from qlib.log import LogFilter

    for handler in logging.getLogger("qlib").handlers:
        handler.addFilter(LogFilter(QLIB_MESSAGES))
