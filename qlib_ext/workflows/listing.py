"""What the workflows are, what they need, and the variables that they take, as text: ``qlib-ext workflows``."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import fill

from qlib_ext.workflows.files import render
from qlib_ext.workflows.table import TABLE
from qlib_ext.workflows.variables import MEANINGS, TRAINED_ONCE, meanings, variables_of

WIDTH = 120


def overview() -> str:
    """All workflows, then all variables."""
    takes = {name: list(variables_of(render(name))) for name in TABLE}
    common = [variable for variable in MEANINGS if all(variable in own for own in takes.values())]
    lines = []
    for name, entry in TABLE.items():
        own = [variable for variable in takes[name] if variable not in common]
        texts = [entry.title, f"needs {entry.data.needs}", f"takes {' '.join(own)}"]
        lines += _columns(name, texts if own else texts[:2], 27)
    lines += ["", f"All take {' '.join(common)} as well.", ""]
    for variable, meaning in MEANINGS.items():
        once = [f"of a model that is trained once: {TRAINED_ONCE[variable]}"] if variable in TRAINED_ONCE else []
        lines += _columns(variable, [meaning, *once], 13)
    return "\n".join(lines)


def details(name: str) -> str:
    """One workflow, with the defaults of its variables."""
    entry, defaults = TABLE[name], variables_of(render(name))
    lines = [f"{name}: {entry.title}", "", *(fill(text, WIDTH) for text in entry.about.split("\n\n"))]
    lines += ["", f"needs {entry.data.needs}", ""]
    texts = {variable: "" if value is None else value for variable, value in defaults.items()}
    width = max(map(len, texts.values())) + 2
    known = meanings(entry.trained_once)
    for variable, default in texts.items():
        lines += [f"{variable:<13}{default:<{width}}{known[variable]}"]
    return "\n".join(lines)


def _columns(first: str, texts: Iterable[str], width: int) -> list[str]:
    """Texts beside a first column, each on lines of its own."""
    lines = [line for text in texts for line in fill(text, WIDTH - width).splitlines()]
    return [f"{first if number == 0 else '':<{width}}{line}" for number, line in enumerate(lines)]
