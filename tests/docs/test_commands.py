"""Every command of README and docs is parsed: subcommands, options, workflows, targets, variables, files."""

from __future__ import annotations

import ast
import fnmatch
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from qlib_ext.cli import make_parser
from qlib_ext.workflows.table import TABLE
from qlib_ext.workflows.variables import MEANINGS
from tests.docs.pages import PAGES, ROOT, blocks, command_lines, commands

TARGETS = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)[1].split()
MAKE_VARIABLES = set(re.findall(r"^(\w+) [:?]?=", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)) | {"DATA"}
VARIABLES = {*MEANINGS, "RAY_ADDRESS", "PATH"}
OTHERS = {"cd", "echo", "export", "pip", "update-the-bars", "mlflow"}  # which are not ours to check
SUBSTITUTED = {"date": "2021-12-31", "cat": "250000"}  # $(date +%F), $(cat cash.txt)


LINES = [pytest.param(line, id=f"{page.stem}: {line}") for page in PAGES for line in command_lines(page)]


def check(line: str) -> None:
    """Parse a line of commands; raises SystemExit, AssertionError or ValueError for one that could not run."""
    line = re.sub(r"\$\((\w+)[^)]*\)", lambda found: SUBSTITUTED[found[1]], line)
    for command in re.split(r"&&|;", line):
        words = [word for word in shlex.split(command, comments=True) if word != "..."]
        while words and (assigned := re.match(r"(\w+)=", words[0])):
            assert assigned[1] in VARIABLES, f"no workflow takes {assigned[1]}"
            words.pop(0)
        if words:
            check_words(words)


def check_words(words: list[str]) -> None:
    name = Path(words[0]).name
    if name == "qlib-ext":
        args = make_parser().parse_args(words[1:])
        if words[1] in ("run", "workflows"):
            for pattern in args.names:
                assert fnmatch.filter(TABLE, pattern), f"there is no workflow {pattern}"
        if words[1] in ("predict", "check", "orders"):
            assert args.experiment in TABLE
    elif name == "qrun":
        (file,) = words[1:]
        assert (ROOT / file).is_file() or file == "mine.yaml", f"there is no {file}"
    elif name == "make":
        targets = [word for word in words[1:] if "=" not in word]
        assert not set(targets) - set(TARGETS), f"the Makefile has no {targets}"
        assert not {word.split("=")[0] for word in words[1:] if "=" in word} - MAKE_VARIABLES
    elif name == "export":
        assert words[1].split("=")[0] in VARIABLES
    elif name == "pytest":
        assert all((ROOT / word).exists() for word in words[1:] if not word.startswith("-"))
    elif name == "python":
        module = words[words.index("-m") + 1].replace(".", "/")
        assert module.startswith("qlib/") or (ROOT / module).is_dir() or (ROOT / f"{module}.py").is_file()
    else:
        assert name in OTHERS, f"what is {name}?"


@pytest.mark.parametrize("line", LINES)
def test_a_command_of_the_pages_could_run(line):
    check(line)


@pytest.mark.parametrize(
    "line",
    [
        "qlib-ext reprot csi300_gru",
        "qlib-ext report csi300_gru --language zh",
        "qlib-ext run csi300_gruu",
        "qrun workflows/csi300_gruu.yaml",
        "make quick",
        "EPOCH=2 qrun workflows/csi300_gru.yaml",
        "pytest tests/nowhere",
        "python -m benchmarks.nothing",
        "qlip-ext init workflows",
    ],
)
def test_one_that_could_not_is_found(line):
    with pytest.raises((SystemExit, AssertionError)):
        check(line)


def test_options_within_a_sentence_are_those_of_the_command():
    """Such as `qlib-ext predict --retrain`, which need not be complete."""
    (subcommands,) = (
        action.choices for action in make_parser()._actions if action.dest == "==SUPPRESS==" or action.choices
    )
    for page in PAGES:
        for code in re.findall(r"(?<!`)`(qlib-ext [^`]+)`(?!`)", page.read_text(encoding="utf-8")):
            name, *words = code.split()[1:]
            if name.isupper() or name.startswith("-"):
                continue
            assert name in subcommands, f"{page.name}: {code}"
            options = re.findall(r"--[\w-]+", " ".join(words))
            known = set(subcommands[name]._option_string_actions)
            if name == "ticks":
                continue
            assert not set(options) - known, f"{page.name}: {code}"


@pytest.mark.parametrize("page", ["README.md", "README.zh.md"])
def test_the_table_of_the_readme_names_every_command(page):
    named = re.findall(r"^\|(?:[^|]*\|){2} `([^`]*)`", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE)
    (commands_there,) = (action.choices for action in make_parser()._actions if isinstance(action.choices, dict))
    assert sorted(" ".join(named[1:]).split()) == sorted(commands_there), "the first is the heading"


def test_the_readme_in_chinese_has_the_same_commands():
    english, chinese = ([commands(block) for block in blocks(page, "bash")] for page in ("README.md", "README.zh.md"))
    assert english == chinese


def test_the_readme_in_chinese_has_the_same_links():
    english, chinese = (
        re.findall(r"\]\(([^)]+)\)", (ROOT / page).read_text()) for page in ("README.md", "README.zh.md")
    )
    other = {"README.zh.md": "README.md"}
    other |= {
        f"docs/images/{name}": f"docs/images/{name.replace('.', '_zh.')}" for name in ("report.png", "architecture.svg")
    }
    assert [other.get(link, link) for link in english] == chinese


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        assert link.startswith("http") or (page.parent / link).exists(), f"{page.name}: {link}"


CODE = [pytest.param(code, id=page.stem) for page in PAGES for code in blocks(str(page.relative_to(ROOT)), "python")]
CLASS = re.compile(r"class: (\w+),?\s+module_path: ([\w.]+)")
CLASSES = sorted({found for page in PAGES for found in CLASS.findall(page.read_text(encoding="utf-8"))})


@pytest.mark.parametrize("code", CODE)
def test_what_a_piece_of_code_imports_is_there(code):
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom):
            module = import_module(node.module)
            assert all(hasattr(module, name.name) for name in node.names)


@pytest.mark.parametrize(("name", "module_path"), CLASSES)
def test_what_a_piece_of_yaml_names_is_there(name, module_path):
    if not module_path.startswith("my_"):
        assert hasattr(import_module(module_path), name)
