"""What a GPU does with the nets: ``make gpu``. Writes OUT/gpu.json and OUT/gpu.md anew with every result, OUT/gpu.log.

Most important first; each part is a process of its own with a limit of its own, and what it had measured when it was
cut off stays, as does what stood in OUT before, renamed. Runs without CUDA as well, which measures nothing but shows
that it runs.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.gpu import results
from benchmarks.measure import machine

LEAST = 5.0  # seconds without which no part is begun


@dataclass(frozen=True)
class Part:
    """A module of this folder, and the most seconds it may take."""

    name: str
    seconds: float


PARTS = (Part("agreement", 120), Part("speed", 140), Part("steps", 90), Part("workflow", 130), Part("market", 240))


def main() -> int:
    options = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))  # so that the part at work is ended as well
    results.begin(options.out, options.parts)
    results.record(options.out, "machine", **where())
    deadline = time.monotonic() + options.budget
    failed = False
    for part in PARTS:
        if part.name not in options.parts:
            continue
        begun = time.monotonic()
        outcome = run(part, min(part.seconds, deadline - begun), options)
        failed |= outcome.startswith("failed")
        results.record(options.out, "parts", part=part.name, outcome=outcome, seconds=time.monotonic() - begun)
    print((options.out / "gpu.md").read_text(encoding="utf-8"))
    return int(failed)


def parse_arguments() -> argparse.Namespace:
    names = [part.name for part in PARTS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(".gpu/results"), help="folder of the results (.gpu/results)")
    parser.add_argument("--budget", type=float, default=480, help="seconds in all (480)")
    parser.add_argument("--parts", nargs="+", choices=names, default=names, help="these alone (all)")
    parser.add_argument(
        "--small", action="store_true", help="sizes that a CPU does in five minutes: does it run at all?"
    )
    return parser.parse_args()


def where() -> dict[str, str]:
    """The machine and its GPU."""
    if not torch.cuda.is_available():
        device = f"{results.NO_CUDA}: nothing here is a GPU's figure"
        return {"machine": machine(torch.get_num_threads()), "device": device}
    card = torch.cuda.get_device_properties(0)
    return {
        "machine": machine(torch.get_num_threads()),
        "device": f"{card.name}, {card.total_memory / 1e9:.0f} GB, CUDA {torch.version.cuda}, "
        f"cuDNN {torch.backends.cudnn.version()}",
    }


def run(part: Part, seconds: float, options: argparse.Namespace) -> str:
    """Run a part, all its processes ended after so many seconds; says how it went."""
    if seconds < LEAST:
        return "not begun: no time was left"
    command = [sys.executable, "-m", f"benchmarks.gpu.{part.name}", "--out", str(options.out)]
    command += ["--seconds", str(seconds)] + ["--small"] * options.small
    with (options.out / "gpu.log").open("a", encoding="utf-8") as log:
        log.write(f"\n=== {part.name}\n")
        log.flush()
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            return f"cut off after {seconds:.0f} s"
        finally:  # also what it started and left behind
            end_group(process)
    return "whole" if code == 0 else f"failed with code {code}, see gpu.log"


def end_group(process: subprocess.Popen) -> None:
    with suppress(ProcessLookupError):  # which has ended by itself
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


if __name__ == "__main__":
    sys.exit(main())
