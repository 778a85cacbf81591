"""Workflows as qrun reads them, and the order in which they run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import filter as matching
from pathlib import Path
from typing import Any

import jinja2
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from qlib_ext.errors import ConfigError, DataError


@dataclass(frozen=True)
class Workflow:
    """A file, and its configuration as qrun reads it."""

    path: Path
    config: dict[str, Any]

    @property
    def name(self) -> str:
        """The name of its experiment."""
        return str(self.config["experiment_name"])

    @property
    def handler(self) -> dict[str, Any]:
        """The configuration of its handler."""
        handler: dict[str, Any] = self.config["task"]["dataset"]["kwargs"]["handler"]
        return handler

    @property
    def provider(self) -> Path:
        """The folder of its provider, that of the day bars where there are several."""
        return self.providers[0]

    @property
    def providers(self) -> list[Path]:
        """All folders of its provider, that of the day bars first."""
        uri = self.config["qlib_init"]["provider_uri"]
        uris = [uri["day"], *uri.values()] if isinstance(uri, dict) else [uri]
        return list(dict.fromkeys(Path(text).expanduser().resolve() for text in uris))

    @property
    def inputs(self) -> list[str]:
        """The experiments that its handler reads, which are to be finished before it."""
        return list(self.handler["kwargs"].get("experiments", []))


def read_workflows(folder: Path, environment: Mapping[str, str]) -> dict[str, Workflow | DataError]:
    """The workflows of a folder by name, with the variables of the environment filled in.

    A file that cannot be read as one stands under its own name, with the error that says why. Raises DataError for a
    folder without files.
    """
    found: dict[str, Workflow | DataError] = {}
    broken: dict[str, Workflow | DataError] = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            workflow = read_workflow(path, environment)
            found[workflow.name] = workflow
        except DataError as error:
            broken[path.stem] = error
    if not found and not broken:
        raise DataError(f"{folder.absolute()} has no workflows (*.yaml); `qlib-ext init {folder}` writes them.")
    return found | broken


def read_workflow(path: Path, environment: Mapping[str, str]) -> Workflow:
    """One of them; raises DataError for a file that is no workflow."""
    try:
        text = jinja2.Template(path.read_text(encoding="utf-8")).render(environment)
        workflow = Workflow(path, YAML(typ="safe", pure=True).load(text))  # another reader takes 1e-3 for a text
        _ = workflow.name, workflow.provider, workflow.inputs
    except (jinja2.TemplateError, YAMLError, UnicodeDecodeError, OSError) as error:
        first = str(error).splitlines()[0]
        raise DataError(f"{path} cannot be read as a workflow: {first} ({type(error).__name__}).") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is no workflow: it needs experiment_name, qlib_init.provider_uri and "
            f"task.dataset.kwargs.handler.kwargs, of which {error} is missing. Move it to another folder."
        ) from error
    return workflow


def in_order(workflows: Mapping[str, Workflow | DataError], names: Sequence[str] = ()) -> list[Workflow]:
    """The named workflows, or all, each after those that it reads; those that read none come first.

    names: names, or patterns such as ``market_*``. Raises ConfigError for one that no workflow has, and the error of a
    file that is among them and cannot be read.
    """
    wanted = [found for name in names or ["*"] for found in select(workflows, name)]
    ordered: dict[str, Workflow] = {}

    def add(name: str) -> None:
        workflow = workflows.get(name)
        if isinstance(workflow, DataError):
            raise workflow
        if workflow is not None:
            for needed in workflow.inputs:
                add(needed)
            ordered[name] = workflow

    for name in wanted:
        add(name)
    return sorted(ordered.values(), key=lambda workflow: bool(workflow.inputs))


def select(names: Mapping[str, Any], pattern: str) -> list[str]:
    """The names that a pattern fits; raises ConfigError where there is none, with a name that is near."""
    found = matching(names, pattern)
    if not found:
        path = Path(pattern)
        is_missing_file = path.suffix in (".yaml", ".yml") and not path.is_file()
        near = get_close_matches(path.stem, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ConfigError(
            f"There is no {'file' if is_missing_file else 'workflow'} {pattern!r}{hint} `qlib-ext workflows` lists the "
            "workflows, which are named without a folder and without .yaml."
        )
    return found
