"""Part 1: every test marked cuda, the contract of the models among them; and the same training on CPU and GPU."""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import torch

from benchmarks.gpu.results import NO_CUDA, main_of, record
from tests.models.cases import NOISE, case_of, devices_apart

ROOT = Path(__file__).parents[2]
OUTCOME = re.compile(r"(PASSED|FAILED|ERROR|SKIPPED)\b")
TEST = re.compile(r"tests/\S+")
NETS = ("GRU", "LSTM", "ASTGNN", "GATs", "ResNetGRU", "MultiTaskGRU")  # those that draw no number while they train
WHICH = {0: "all", 1: "all"}  # by pytest's exit code
PROCESSES = {False: "8", True: "0"}  # of pytest, which share the device
LAST_WORDS = 15.0  # seconds in which pytest says why tests failed, after it was told to stop


def agreement(options: argparse.Namespace) -> None:
    """Nets first, for they take seconds. Exits with an error where a test fails."""
    began = time.monotonic()
    torch.backends.cudnn.allow_tf32 = False  # float32 is to be float32
    for name in NETS[: 1 if options.small else None]:
        compare(name, options.out)
    run_tests(options, options.seconds - (time.monotonic() - began))


def compare(name: str, out: Path) -> None:
    """One net; what is compared stands at ``devices_apart``. Without CUDA nothing of it is shown."""
    apart, rounding = devices_apart(case_of(name))
    if torch.cuda.is_available():
        goal = f"below {NOISE:g}: {'met' if apart < NOISE else 'MISSED'}"
    else:
        apart, goal = None, f"not shown: {NO_CUDA}"
    record(out, "agreement", net=name, **{"GPU from CPU": apart, "CPU, one rounding": rounding, "goal": goal})


def cuda_tests() -> list[str]:
    """The files of tests that name the mark."""
    paths = sorted((ROOT / "tests").rglob("test_*.py"))
    named = [
        path for path in paths if "mark.cuda" in path.read_text(encoding="utf-8") or path.name == "test_contract.py"
    ]
    return [str(path.relative_to(ROOT)) for path in named]


def run_tests(options: argparse.Namespace, seconds: float) -> None:
    """Run them, noting each that fails as it fails; they stop when the seconds are nearly up."""
    command = [sys.executable, "-m", "pytest", "-vv", "-m", "cuda", "-p", "no:cacheprovider", "--tb=short"]
    command += ["-n", PROCESSES[options.small], *cuda_tests()]
    counts: Counter[str] = Counter()
    own = os.environ | {"OMP_NUM_THREADS": "1"}  # so many processes leave none a second core
    process = subprocess.Popen(command, cwd=ROOT, env=own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    stopped = threading.Event()

    def stop() -> None:
        stopped.set()
        process.send_signal(signal.SIGINT)

    timer = threading.Timer(max(5.0, seconds - LAST_WORDS), stop)
    timer.start()
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", flush=True)
        outcome, test = OUTCOME.search(line), TEST.search(line)
        if outcome and test and "%]" in line:  # a line of progress, not of the summary
            counts[outcome[1]] += 1
            if outcome[1] in ("FAILED", "ERROR"):
                record(options.out, "tests", outcome=outcome[1].lower(), test=test[0])
    code = process.wait()
    timer.cancel()
    which = "those before the time was up" if stopped.is_set() else WHICH.get(code)
    record(options.out, "tests", outcome=summary_of(counts), test=which or f"pytest ended with {code}, see gpu.log")
    if counts["FAILED"] + counts["ERROR"] or which is None:
        sys.exit("The tests marked cuda did not all pass.")


def summary_of(counts: Counter[str]) -> str:
    """How many tests passed, failed and were skipped; why, where all were."""
    text = ", ".join(f"{number} {outcome.lower()}" for outcome, number in counts.items()) or "none ran"
    return text if torch.cuda.is_available() else f"{text}: {NO_CUDA}"


if __name__ == "__main__":
    main_of(agreement)
