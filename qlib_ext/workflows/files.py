"""The files of the workflows, made of the table: ``qlib-ext init DIR``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import fill
from typing import Any

import jinja2

from qlib_ext.errors import OutputError
from qlib_ext.system.files import write_whole
from qlib_ext.workflows.table import TABLE
from qlib_ext.workflows.table.entry import Kind
from qlib_ext.workflows.table.notes import NOTES
from qlib_ext.workflows.variables import meanings, variables_of

LINE_LENGTH, NOTE_COLUMN = 120, 38


def render(name: str) -> str:
    """The text of a workflow's file, with its own {{ NAME | default(..) }} still in it."""
    entry = TABLE[name]
    body = _TEMPLATES.get_template("workflow.yaml").render(name=name, **vars(entry), once=entry.trained_once)
    known = meanings(entry.trained_once)
    variables = {variable: known[variable] for variable in variables_of(body)}
    head = _TEMPLATES.get_template("head.yaml").render(name=name, **vars(entry), variables=variables)
    return f"{head}\n{body}"


def write_workflows(folder: str | Path, overwrite: bool = False) -> list[Path]:
    """Write the files of all workflows into a folder; those that were not there already, as they are.

    Raises OutputError for a file that is another one, unless overwrite says to replace it; nothing is written then.
    """
    target = Path(folder).expanduser()
    texts = {target / f"{name}.yaml": render(name) for name in TABLE}
    missing = {path: text for path, text in texts.items() if not path.is_file() or path.read_text() != text}
    changed = [path for path in missing if path.exists()]
    if changed and not overwrite:
        raise OutputError(
            f"{len(changed)} workflows in {target} are not as they would be written, first {changed[0].name}; "
            "name another folder, or replace them with --overwrite."
        )
    for path, text in missing.items():
        write_whole(path, text.encode(), "Name another folder.")
    return list(missing)


def kind(value: Kind, depth: int) -> str:
    """A class as Qlib makes one."""
    config = {"class": value.name, "module_path": value.module_path}
    return options(config | ({"kwargs": value.options} if value.options else {}), depth)


def options(values: Mapping[str, Any], depth: int) -> str:
    """Lines ``name: value  # note`` of YAML, the notes one below the other; where one is too long, before its line."""
    space = " " * depth
    plain = {name: f"{space}{name}: {_inline(value)}".rstrip() for name, value in values.items()}
    column = max([NOTE_COLUMN, *(len(line) + 2 for name, line in plain.items() if name in NOTES)])
    lines = []
    for name, value in values.items():
        line, note = plain[name], f"# {NOTES[name]}" if name in NOTES else ""
        if note and column + len(note) > LINE_LENGTH:
            lines.append(space + note)
        elif note:
            line = f"{line:<{column}}{note}"
        lines.append(line)
        if isinstance(value, dict):
            lines.append(options(value, depth + 4))
    return "\n".join(lines)


def comment(text: str) -> str:
    """A comment of the text's paragraphs, which an empty line ends."""
    paragraphs = [
        fill(paragraph, LINE_LENGTH, initial_indent="# ", subsequent_indent="# ") for paragraph in text.split("\n\n")
    ]
    return "\n".join(paragraphs)


def _inline(value: Any) -> str:
    """A value on one line of YAML; a text stands as it is, a mapping below its name."""
    if isinstance(value, dict):
        return ""
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("qlib_ext.workflows"),
    undefined=jinja2.StrictUndefined,
    variable_start_string="<<",
    variable_end_string=">>",
    block_start_string="<%",
    block_end_string="%>",
    comment_start_string="<#",
    comment_end_string="#>",
    keep_trailing_newline=True,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {"options": options, "kind": kind, "comment": comment}
