"""A terminal for the lines of the pages: what is ours runs in this process, so that imports are paid for once."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from qlib.cli.run import workflow

from qlib_ext.cli import main
from qlib_ext.workflows.variables import MEANINGS

ASSIGNED = re.compile(r"(\w+)=(.*)", re.DOTALL)
OURS = re.compile(r"(?:\w+=(?:'[^']*'|\S+) +)*(qlib-ext|qrun|export) ")


class Terminal:
    """Runs command lines in a folder, with a home and variables of its own; what is exported stays.

    today is what ``date`` prints.
    """

    def __init__(self, folder: Path, today: str = "", **environment: str) -> None:
        self.folder = folder
        self.today = today
        self.environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **environment}

    def __call__(self, line: str) -> str:
        """Run a line and return what it printed, on both streams; raises AssertionError where it fails."""
        if not OURS.match(line):
            return self._bash(line)
        words = self._bash(f"date() {{ echo {self.today}; }}; printf '%s\\0' {line}").split("\0")[:-1]
        own = {}
        while assigned := ASSIGNED.fullmatch(words[0]):
            own[assigned[1]] = assigned[2]
            words.pop(0)
        if words[0] == "export":
            self.environment |= dict(ASSIGNED.fullmatch(word).groups() for word in words[1:])
            return ""
        printed = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed), redirect_stderr(printed):
            patch.chdir(self.folder)
            for name in MEANINGS:
                patch.delenv(name, raising=False)
            for name, value in (self.environment | own).items():
                patch.setenv(name, value)
            code = main(words[1:]) if words[0] == "qlib-ext" else workflow(*words[1:])
        assert not code, f"{line}\n{printed.getvalue()[-3000:]}"
        return printed.getvalue()

    def _bash(self, line: str) -> str:
        done = subprocess.run(
            ["bash", "-ec", line], cwd=self.folder, env=os.environ | self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{line}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout
