"""What MkDocs makes of the pages beside their text: commands, the workflows' variables, and links out of docs/."""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

from qlib_ext.cli import make_parser
from qlib_ext.workflows.files import render
from qlib_ext.workflows.table import TABLE
from qlib_ext.workflows.variables import MEANINGS, TRAINED_ONCE, variables_of

VARIABLES = "<!-- variables -->"
COMMANDS = "<!-- commands -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The text of a page, its list of variables or commands written out, links to the benchmarks led to their page."""
    if VARIABLES in markdown:
        markdown = markdown.replace(VARIABLES, f"{all_variables()}\n\n{by_workflow()}")
    if COMMANDS in markdown:
        markdown = markdown.replace(COMMANDS, all_commands())
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


def all_commands() -> str:
    """A table of the commands, and a section for each: its help."""
    (commands,) = subcommands(make_parser())
    rows = [f"| [`{each.dest}`](#{each.dest}) | {cell(str(each.help))} |" for each in commands._choices_actions]
    sections = []
    for name, parser in commands.choices.items():
        helps = [help_of(parser)]
        helps += [help_of(part) for parts in subcommands(parser) for part in parts.choices.values()]
        sections.append(f"## {name}\n\n" + "\n\n".join(f"```text\n{text}```" for text in helps))
    return "\n\n".join(["\n".join(["| command | |", "|---|---|", *rows]), *sections])


def subcommands(parser: argparse.ArgumentParser) -> list[argparse._SubParsersAction]:
    """The place of a parser's commands; none where it has no commands of its own."""
    return [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]


def help_of(parser: argparse.ArgumentParser) -> str:
    """The help of a command, of the same width whatever the terminal's is."""
    parser.formatter_class = partial(argparse.RawDescriptionHelpFormatter, width=110)
    return parser.format_help()


def cell(text: str) -> str:
    """A text as a cell of a table of Markdown."""
    return text.replace("|", "\\|")
