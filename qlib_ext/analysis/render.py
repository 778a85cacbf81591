"""A comparison as plain text, as Markdown and as a page of HTML."""

from __future__ import annotations

import os
import re
from pathlib import Path
from textwrap import wrap

import jinja2

from qlib_ext.analysis.compare import METRICS, Cell, Row, Section, Table
from qlib_ext.analysis.runs import Setup
from qlib_ext.errors import OutputError

HEADER = ("", "runs", *METRICS)


def heading(setup: Setup) -> str:
    """The sentence above the rows of a test."""
    return f"{setup.universe}, test {setup.test}, label {setup.label}"


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
    return "\n".join([*printed, *legend, *table.notes])


def to_markdown(table: Table) -> str:
    """For a document: one table a test, the best in bold."""
    printed = []
    for section in table.sections:
        lines = [HEADER, ["---", *["---:"] * (len(HEADER) - 1)]]
        lines += [[_escape(_name(row)), str(row.runs), *map(_bold, row.cells)] for row in section.rows]
        printed += [f"**{_escape(heading(section.setup))}**", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
    legend = ["bold: the best mean of this test"] if _marks(table) else []
    return "\n\n".join([*printed, "\n".join(f"- {_escape(note)}" for note in [*legend, *table.notes])])


def to_html(table: Table) -> str:
    """For a browser: one page that needs no other file."""
    template = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(_PAGE)
    return template.render(table=table, header=HEADER, heading=heading, marks=_marks(table))


def write(path: str | Path, text: str) -> None:
    """Write a file whole or not at all, with the folders it needs; raises OutputError."""
    target = Path(path).expanduser()
    part = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_text(text, encoding="utf-8")
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}; name another file.") from error


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


_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Comparison of experiments</title>
<style>
body { margin: 2em auto; max-width: 1200px; padding: 0 1em; background: #fff; color: #1a1a1a;
       font: 14px/1.45 system-ui, sans-serif; }
h1 { font-size: 20px; }
h2 { font-size: 15px; margin: 2em 0 .5em; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .4em .6em; text-align: right; vertical-align: top; border-bottom: 1px solid #ddd; }
th { width: 8.7%; vertical-align: bottom; border-bottom: 2px solid #555; }
th:first-child, td:first-child { width: auto; text-align: left; overflow-wrap: anywhere; }
small { display: block; color: #595959; font-weight: normal; white-space: nowrap; }
th:nth-child(2) { width: 4%; }
.best { font-weight: bold; background: #dbe9f6; }
.published td { color: #595959; font-style: italic; }
.published td:first-child { padding-left: 1.8em; white-space: nowrap; }
</style>
</head>
<body>
<h1>Comparison of experiments</h1>
{% for section in table.sections %}
<h2>{{ heading(section.setup) }}</h2>
<table>
<thead><tr>{% for title in header %}<th scope="col">{{ title }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in section.rows %}
<tr{% if row.published %} class="published"{% endif %}>
<td>{{ row.name }}{% if row.published %}<small>{{ row.published }}</small>{% endif %}</td>
<td>{{ row.runs }}</td>
{% for cell in row.cells %}
<td{% if cell.best %} class="best"{% endif %}>{{ cell.mean }}\
{% if cell.spread %}<small>± {{ cell.spread }}</small>{% endif %}</td>
{% endfor %}
</tr>
{% endfor %}
</tbody>
</table>
{% endfor %}
<ul>
{% if marks %}
<li><span class="best">bold, shaded</span>: the best mean of this test</li>
{% endif %}
{% for note in table.notes %}
<li>{{ note }}</li>
{% endfor %}
</ul>
</body>
</html>
"""
