"""``qlib-ext --version``."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from qlib_ext.cli import main


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as done:
        main(["--version"])
    assert (done.value.code, capsys.readouterr().out) == (0, f"qlib_ext {version('qlib_ext')}\n")
