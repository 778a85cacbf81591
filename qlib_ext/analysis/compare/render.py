"""A comparison as plain text, as Markdown and as a page of HTML."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from textwrap import wrap
from typing import Any

import jinja2

from qlib_ext.analysis.compare.runs import METRICS, Setup
from qlib_ext.analysis.compare.table import Cell, Row, Section, Table
from qlib_ext.analysis.compare.texts import ENGLISH

HEADER = ("", "runs", *(ENGLISH[metric] for metric in METRICS))
TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("qlib_ext.analysis"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
)


def heading(setup: Setup) -> str:
    """The sentence above the rows of a test."""
    return f"{setup.mark}{setup.universe}, test {setup.test}, label {setup.label}"


def to_text(table: Table) -> str:
    """For a terminal: the standard deviation below its mean, ``*`` at the best."""
    header = [wrap(title, 13) or [""] for title in HEADER]
    depth = max(map(len, header))
    top = [[""] * (depth - len(lines)) + lines for lines in header]
    blocks = [
        (section, [list(line) for line in zip(*top, strict=True)] + _lines(section)) for section in table.sections
    ]
    widths = [max(map(len, column)) for column in zip(*(line for _, lines in blocks for line in lines), strict=True)]
    printed = []
    for section, lines in blocks:
        padded = [
            "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in lines
        ]
        printed.append("\n".join([heading(section.setup), "", *padded, ""]))
    legend = ["* the best mean of this test"] if _marks(table) else []
    return "\n".join([*printed, *legend, *table.caveats])


def to_markdown(table: Table) -> str:
    """For a document: one table a test, the best in bold."""
    printed = []
    for section in table.sections:
        lines = [HEADER, ["---", *["---:"] * (len(HEADER) - 1)]]
        lines += [[_escape(_name(row)), str(row.runs), *map(_bold, row.cells)] for row in section.rows]
        printed += [f"**{_escape(heading(section.setup))}**", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
    legend = ["bold: the best mean of this test"] if _marks(table) else []
    return "\n\n".join([*printed, "\n".join(f"- {_escape(line)}" for line in [*legend, *table.caveats])])


def to_html(table: Table) -> str:
    """For a browser: one page that needs no other file."""
    return TEMPLATES.get_template("comparison.html").render(**sections(table))


def sections(
    table: Table,
    header: Sequence[str] = HEADER,
    heading: Callable[[Setup], str] = heading,
    best: tuple[str, str] = ("bold, shaded", "the best mean of this test"),
) -> dict[str, Any]:
    """What the template sections.html shows: the comparison, its words in the language of the page."""
    return {"table": table, "header": header, "heading": heading, "best": best, "marks": _marks(table)}


def _lines(section: Section) -> list[list[str]]:
    lines = []
    for row in section.rows:
        lines.append([row.name, str(row.runs), *(cell.mean + ("*" if cell.best else " ") for cell in row.cells)])
        below = [f"  {row.published}" if row.published else "", "", *(_below(cell) for cell in row.cells)]
        if any(below):
            lines.append(below)
    return lines


def _below(cell: Cell) -> str:
    return f"± {cell.spread} " if cell.spread else ""


def _bold(cell: Cell) -> str:
    text = f"{cell.mean} ± {cell.spread}" if cell.spread else cell.mean
    return f"**{text}**" if cell.best else text


def _name(row: Row) -> str:
    return f"{row.name}: {row.published}" if row.published else row.name


def _escape(text: str) -> str:
    """Markdown's own characters, and the $ of Qlib's fields, which some readers take for mathematics."""
    return re.sub(r"([\\`*_|<>\[\]$])", r"\\\1", text)


def _marks(table: Table) -> bool:
    return any(cell.best for section in table.sections for row in section.rows for cell in row.cells)
