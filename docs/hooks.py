"""What MkDocs makes of the pages beside their text: the variables of the workflows, and links out of docs/."""

from __future__ import annotations

from typing import Any

from qlib_ext.workflows.files import render
from qlib_ext.workflows.table import TABLE
from qlib_ext.workflows.variables import MEANINGS, TRAINED_ONCE, variables_of

VARIABLES = "<!-- variables -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The text of a page, its list of variables written out and its links to the benchmarks led to their page."""
    if VARIABLES in markdown:
        markdown = markdown.replace(VARIABLES, f"{all_variables()}\n\n{by_workflow()}")
    return markdown.replace("../benchmarks/README.md", "benchmarks.md")


def all_variables() -> str:
    """A table of what each variable means."""
    lines = ["| variable | meaning |", "|---|---|"]
    for name, meaning in MEANINGS.items():
        once = f"; of a model that is trained once: {TRAINED_ONCE[name]}" if name in TRAINED_ONCE else ""
        lines.append(f"| `{name}` | {cell(meaning + once)} |")
    return "\n".join(lines)


def by_workflow() -> str:
    """A section for each workflow: what it is, what it needs, its variables with their defaults."""
    parts = []
    for name, entry in TABLE.items():
        defaults = variables_of(render(name))
        rows = [f"| `{variable}` | {cell(default or '')} |" for variable, default in defaults.items()]
        lines = [
            f"## {name}",
            "",
            entry.title,
            "",
            f"Needs {entry.data.needs}.",
            "",
            "| variable | default |",
            "|---|---|",
        ]
        parts.append("\n".join(lines + rows))
    return "\n\n".join(parts)


def cell(text: str) -> str:
    """A text as a cell of a table of Markdown."""
    return text.replace("|", "\\|")
