"""What the benchmarks measure and print with: fresh processes, peak memory, time, ratios, tables, standard errors."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch

os.environ.setdefault("QLIB_EXT_CACHE", "off")  # what is measured is computed


def in_fresh_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of a module in a process of its own, which starts with nothing of this one's memory."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def reset_peak() -> int:
    """Give freed memory back, start the process's peak anew, and return the bytes now resident. Linux only."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return peak_bytes()


def peak_bytes() -> int:
    """The highest resident memory of this process since it started, or since ``reset_peak``."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024


def timed(function: Callable[..., object], *arguments: Any) -> float:
    """Seconds of a call, with all that it leaves to a GPU."""
    gc.collect()
    start = time.perf_counter()
    function(*arguments)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def ratio(slow: list[float], fast: list[float]) -> float:
    """The median of the rounds' ratios."""
    return median(np.divide(slow, fast).tolist())


def newey_west(values: np.ndarray, lags: int) -> float:
    """Standard error of a mean: ``sqrt((g_0 + 2 sum_{l<=L} (1 - l / (L + 1)) g_l) / n)``, g the autocovariances."""
    deviation, n = values - values.mean(), len(values)
    variance = deviation @ deviation / n
    for lag in range(1, lags + 1):
        variance += 2 * (1 - lag / (lags + 1)) * (deviation[lag:] @ deviation[:-lag]) / n
    return float(np.sqrt(max(variance, 0.0) / n))


def times(value: float) -> str:
    return f"{value:.2f}x" if value < 10 else f"{value:.1f}x"


def target(goal: float | None, value: float, at_least: bool) -> str:
    if goal is None:
        return ""
    met = value >= goal if at_least else value <= goal
    return f"{'at least' if at_least else 'at most'} {goal:g}: {'met' if met else 'MISSED'}"


def table(header: tuple[str, ...], lines: Sequence[tuple[str, ...]]) -> str:
    cells = [header, tuple("---" for _ in header), *lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def machine(threads: int) -> str:
    """One line on where the numbers come from."""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), platform.machine())
    return (
        f"{os.cpu_count()} cores, {cpu}, load {os.getloadavg()[0]:.1f}; {threads} torch thread(s); "
        f"Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}, "
        f"pandas {pd.__version__}"
    )
