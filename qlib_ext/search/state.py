"""The folder of a search: what every generation tried, and where a run that was stopped goes on."""

from __future__ import annotations

import io
import json
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from qlib_ext.errors import DataError
from qlib_ext.search.evolution import Evolution, Generation, Map
from qlib_ext.search.pool import Factor
from qlib_ext.search.tree import Node
from qlib_ext.system.files import checksum_of, read_checked, write_checked

ABOUT, STATE, LOCK = "about.json", "state.json", ".lock"
SEARCH, CONTROL = "search", "control"
MAKE_ROOM = "Make room and run the same command again: it goes on after the last whole generation."
ANEW = "start anew with --overwrite, or name another --state"


@dataclass
class Progress:
    """How far a search is: seconds of all its runs, and one line a generation of each evolution."""

    seconds: float = 0.0
    history: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {SEARCH: [], CONTROL: []})

    def tried(self, name: str) -> int:
        """The distinct expressions of an evolution."""
        return sum(line["tried"] for line in self.history[name])

    def outcomes(self, name: str) -> Counter:
        """How many of what an evolution measured were taken, and why others were not."""
        total: Counter = Counter()
        for line in self.history[name]:
            total.update(line["outcomes"])
        return total


class StateFolder:
    """Reads and writes a folder:

    about.json                      what is searched, in what; another search does not go on here
    state.json                      Progress and the two pools; written last, after each generation
    search/00012.parquet            a generation: expression, tree (json), icir and fitness, null for those that the
                                    first sample was enough for
    control/...                     the same of the labels that are shuffled within the day

    Beside each file is its checksum, and a file that is not as it was written is refused with DataError.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser().absolute()

    def open(self, about: Mapping[str, Any], overwrite: bool) -> None:
        """Begin, or go on with, the search of these settings.

        Raises DataError where the folder holds another search, or something else.
        """
        names = {path.name for path in self.folder.iterdir()} if self.folder.is_dir() else set()
        own = {name for part in (ABOUT, STATE) for name in (part, checksum_of(Path(part)).name)} | {
            SEARCH,
            CONTROL,
            LOCK,
        }
        if self.folder.is_file() or names - own:
            raise DataError(f"{self.folder} is, or has in it, something that is no search; name another --state.")
        if overwrite:
            for name in names - {LOCK}:
                path = self.folder / name
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        if (self.folder / ABOUT).is_file():
            there = json.loads(self._content(ABOUT))
            if different := [name for name in about if there.get(name) != about[name]]:
                name = different[0]
                raise DataError(
                    f"{self.folder} holds a search with {name} {there.get(name)!r}, not {about[name]!r}: {ANEW}."
                )
        else:
            write_checked(self.folder / ABOUT, json.dumps(about, indent=2, ensure_ascii=False).encode(), MAKE_ROOM)

    def save(self, name: str, generation: Generation, progress: Progress, evolutions: Mapping[str, Evolution]) -> None:
        """Write a generation of one of the evolutions, and then where both stand; raises OutputError."""
        table = pl.DataFrame(
            {
                "expression": [node.text for node in generation.nodes],
                "tree": [json.dumps(node.to_json()) for node in generation.nodes],
                "icir": generation.icir,
                "fitness": generation.fitness,
            }
        )
        content = io.BytesIO()
        table.fill_nan(None).write_parquet(content)
        write_checked(self._file(name, evolutions[name].done - 1), content.getvalue(), MAKE_ROOM)
        pools = {each: [factor.to_json() for factor in own.pool.factors] for each, own in evolutions.items()}
        state = {"seconds": progress.seconds, "history": progress.history, "pools": pools}
        write_checked(self.folder / STATE, json.dumps(state, ensure_ascii=False).encode(), MAKE_ROOM)

    def resume(self, evolutions: Mapping[str, Evolution], map_chunks: Map) -> Progress:
        """Bring both evolutions to where the last whole generation left them."""
        if not (self.folder / STATE).is_file():
            return Progress()
        state = json.loads(self._content(STATE))
        progress = Progress(state["seconds"], state["history"])
        for name, evolution in evolutions.items():
            tables = [self._table(name, number) for number in range(len(progress.history[name]))]
            if tables:
                last = tables[-1]
                nodes = [Node.from_json(json.loads(tree)) for tree in last["tree"]]
                fitness = last["fitness"].fill_null(float("nan")).to_numpy()
                factors = [Factor.from_json(written) for written in state["pools"][name]]
                texts = [table["expression"].to_list() for table in tables]
                evolution.resume(texts, (nodes, fitness), factors, map_chunks)
        return progress

    def _table(self, name: str, number: int) -> pl.DataFrame:
        return pl.read_parquet(io.BytesIO(self._content(str(self._file(name, number).relative_to(self.folder)))))

    def _file(self, name: str, number: int) -> Path:
        return self.folder / name / f"{number:05d}.parquet"

    def _content(self, name: str) -> bytes:
        content = read_checked(self.folder / name)
        if content is None:
            raise DataError(f"{self.folder / name} is missing or is not what was written: {ANEW}.")
        return content
