"""Lists of options in docstrings, aligned in two columns, as lists of Markdown: an extension of Griffe for the site."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

ENTRY = re.compile(r"^([\w, .]*\w) {2,}(\S.*)$")


class OptionLists(Extension):
    """Rewrites the docstrings of what is collected."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring is not None:
            obj.docstring.value = listed(obj.docstring.value)


def listed(text: str) -> str:
    """The text, each line ``name  meaning`` with its continuation an entry of a list."""
    lines: list[str] = []
    within = False
    for line in text.splitlines():
        if entry := ENTRY.match(line):
            lines += [] if within or not lines or not lines[-1] else [""]
            lines.append(f"- `{entry[1]}`: {entry[2]}")
            within = True
        elif within and re.match(r"^ {4,}\S", line):
            lines.append(f"  {line.strip()}")
        else:
            within = within and not line
            lines.append(line)
    return "\n".join(lines)
