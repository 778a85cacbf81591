"""The results of the parts: a line of JSON as each comes, and with it one JSON and one Markdown file of all so far."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.measure import table
from qlib_ext.system.files import write_whole

ROWS = "gpu.jsonl"
PLAN = "plan"
NO_CUDA = "no CUDA device"
MAKE_ROOM = "Make room."

TITLES = {
    "machine": "Machine",
    "parts": "How the parts went",
    "tests": "Tests on CUDA",
    "agreement": "The same training on CPU and GPU",
    "speed": "Training and prediction beside the Zoo's classes",
    "zoo_memory": "At how many stocks the Zoo's graph attention runs out of memory",
    "steps": "A training step at full width, and what the device waits for",
    "lines": "By line: synchronisations and operations of an epoch",
    "workflow": "csi300_astgnn on the simulated market",
    "market": "The whole market, retrained every year",
}


def main_of(part: Callable[[argparse.Namespace], None]) -> None:
    """Run a part from the command line."""
    parser = argparse.ArgumentParser(description=part.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--seconds", type=float, default=120, help="the time there is (120)")
    parser.add_argument("--small", action="store_true", help="small sizes")
    part(parser.parse_args())


def begin(out: Path, parts: Sequence[str]) -> None:
    """Make the folder ready for the results of these parts; earlier ones are kept in a folder within, by their time."""
    out.mkdir(parents=True, exist_ok=True)
    earlier = [out / name for name in (ROWS, "gpu.json", "gpu.md", "gpu.log") if (out / name).is_file()]
    if earlier:
        folder = out / f"{datetime.fromtimestamp(earlier[0].stat().st_mtime):before-%Y%m%d-%H%M%S}"
        folder.mkdir(exist_ok=True)
        for path in earlier:
            path.replace(folder / path.name)
    record(out, PLAN, parts=list(parts))


def record(out: Path, kind: str, **figures: Any) -> None:
    """Append a row; it is on the disk, and in the JSON and the Markdown of all rows so far, when this returns.

    A number that is none, such as a mean of nothing, is null.
    """
    known = {name: None if isinstance(x, float) and not math.isfinite(x) else x for name, x in figures.items()}
    with (out / ROWS).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"kind": kind} | known) + "\n")
    write(out)


def read(out: Path) -> list[dict[str, Any]]:
    """All rows so far, without a last one that was cut off while it was written."""
    rows = []
    for line in (out / ROWS).read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows


def write(out: Path) -> None:
    """The JSON and the Markdown of all rows so far."""
    rows = read(out)
    write_whole(out / "gpu.json", json.dumps(rows, indent=1).encode(), MAKE_ROOM)
    ended = {row["part"] for row in rows if row["kind"] == "parts"}
    planned = [part for row in rows if row["kind"] == PLAN for part in row["parts"]]
    rows += [{"kind": "parts", "part": part, "outcome": "not ended yet"} for part in planned if part not in ended]
    sections = []
    for kind, title in TITLES.items():
        of_kind = [{k: v for k, v in row.items() if k != "kind"} for row in rows if row["kind"] == kind]
        if of_kind:
            columns = tuple(dict.fromkeys(column for row in of_kind for column in row))
            lines = [tuple(shown(row.get(column)) for column in columns) for row in of_kind]
            sections.append(f"## {title}\n\n{table(columns, lines)}\n")
    write_whole(out / "gpu.md", "\n".join(sections).encode(), MAKE_ROOM)


def shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "/")
