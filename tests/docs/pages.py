"""The pages for people: their blocks of code, and the lines of commands in these."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("README*.md"), ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")])


def blocks(page: str, language: str) -> list[str]:
    """The blocks of code of a page, by its path in the repository."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def command_lines(page: Path) -> list[str]:
    """The command lines of a page: of its blocks of bash, and indented ones that begin with a command of ours."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    fenced = re.findall(r"^```bash\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    indented = re.findall(r"^ {4}((?:qlib-ext|qrun|make) .*)$", text, flags=re.MULTILINE)
    return [line for block in fenced for line in commands(block)] + indented


def commands(block: str) -> list[str]:
    """The lines of a block without their comments."""
    return [line.split("  #")[0].strip() for line in block.splitlines() if line.strip()]
