"""The results of the parts: a line of JSON each as it comes, one JSON and one Markdown table in the end."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure import table

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
    "market": "The whole market on real data, retrained every year",
}


def main_of(part: Callable[[argparse.Namespace], None]) -> None:
    """Run a part from the command line."""
    parser = argparse.ArgumentParser(description=part.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--seconds", type=float, default=120, help="the time there is (120)")
    parser.add_argument("--small", action="store_true", help="small sizes")
    part(parser.parse_args())


def record(out: Path, kind: str, **figures: Any) -> None:
    """Append a row; it is on the disk when this returns."""
    with (out / "gpu.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"kind": kind} | figures) + "\n")


def read(out: Path) -> list[dict[str, Any]]:
    """All rows so far, without a last one that was cut off while it was written."""
    rows = []
    for line in (out / "gpu.jsonl").read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows


def write(out: Path) -> None:
    """The JSON and the Markdown of all rows so far."""
    rows = read(out)
    (out / "gpu.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    sections = []
    for kind, title in TITLES.items():
        of_kind = [{k: v for k, v in row.items() if k != "kind"} for row in rows if row["kind"] == kind]
        if of_kind:
            columns = tuple(dict.fromkeys(column for row in of_kind for column in row))
            lines = [tuple(shown(row.get(column)) for column in columns) for row in of_kind]
            sections.append(f"## {title}\n\n{table(columns, lines)}\n")
    (out / "gpu.md").write_text("\n".join(sections), encoding="utf-8")


def shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "/")
