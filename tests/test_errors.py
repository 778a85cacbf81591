"""One tree of errors: nothing of ours raises an error that a user cannot tell from a fault of Python's."""

from __future__ import annotations

import ast
import builtins

import pytest

from qlib_ext import errors
from tests.test_rooms import MODULES

PYTHONS = {name for name, thing in vars(builtins).items() if isinstance(thing, type) and issubclass(thing, Exception)}
PROTOCOL = {"AttributeError", "NotImplementedError"}  # what Python itself waits for


def foreign_raises(source: str) -> list[str]:
    """The errors of Python's that a source raises."""
    raised = [node.exc for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Raise) and node.exc]
    names = [exc.func if isinstance(exc, ast.Call) else exc for exc in raised]
    return [name.id for name in names if isinstance(name, ast.Name) and name.id in PYTHONS - PROTOCOL]


def test_all_that_is_raised_is_of_the_tree():
    found = {name: foreign_raises(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}
    assert {name: raised for name, raised in found.items() if raised} == {}
    assert foreign_raises("raise ValueError('no')\nraise TypeError\nraise DataError('no')") == [
        "ValueError",
        "TypeError",
    ]


@pytest.mark.parametrize("kind", [kind for kind in vars(errors).values() if isinstance(kind, type)])
def test_every_error_has_one_root(kind):
    assert issubclass(kind, errors.QlibExtError)


def test_a_bad_option_is_a_value_error_too():
    assert issubclass(errors.ConfigError, ValueError)
