"""What a workflow needs of its provider, checked before anything is trained."""

from __future__ import annotations

from qlib_ext.checks import check_task
from qlib_ext.errors import QlibExtError
from qlib_ext.workflows.reading import Workflow


def missing_data(workflow: Workflow, backtests_follow: bool = True) -> str:
    """What the provider lacks for a workflow, or without its backtests; empty where it lacks nothing."""
    return findings(workflow, backtests_follow)[0]


def findings(workflow: Workflow, backtests_follow: bool = True) -> tuple[str, list[str]]:
    """What would stop a workflow, empty where nothing would, and warnings of what its run would pass over."""
    task = workflow.config["task"]
    try:
        # a module of the user's own is found by the workflow's `sys`, which qrun reads
        return "", check_task(task, workflow.provider, importable=False, backtests_follow=backtests_follow)
    except QlibExtError as error:
        return str(error), []
