"""How much memory does a net need for one big cross-section? Prints one table.

One trading day of 5,000 stocks x 30 days x 6 fields: the batch, forward, loss and backward of the whole net, on the
CPU, with default options. ASTGNN holds [stocks, stocks] matrices, the encoder a state for each stock and day.
"""

from __future__ import annotations

import argparse
import time
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.measure import in_fresh_process, machine, peak_bytes, reset_peak, table
from qlib_ext.data.batch import Samples
from qlib_ext.data.panel import Panel
from qlib_ext.data.window import Window
from qlib_ext.models.astgnn import ASTGNN
from qlib_ext.models.graph_gru import GraphGRU
from qlib_ext.models.gru import GRU

GIGABYTE = 1e9
TARGET = 2.0  # GB, for ASTGNN with default options
INSIDE_TARGET = 4.0  # GB, for the graph inside the GRU
NETS: dict[str, tuple[type[GRU], dict[str, Any]]] = {
    "GRU": (GRU, {}),
    "ASTGNN": (ASTGNN, {}),
    "ASTGNN, num_graph_layers 2": (ASTGNN, {"num_graph_layers": 2}),
    "ASTGNN, proximity 0.1": (ASTGNN, {"proximity": 0.1}),
    "GraphGRU": (GraphGRU, {}),
    "GraphGRU, neighbours 20": (GraphGRU, {"neighbours": 20}),
}


def main() -> None:
    options = parse_arguments()
    lines = []
    for name in NETS:
        forward, whole, seconds = in_fresh_process(step_of, name, options)
        limit = {"ASTGNN": TARGET, "GraphGRU": INSIDE_TARGET}.get(name)
        goal = "" if limit is None else f"under {limit:g} GB: {'met' if whole < limit else 'MISSED'}"
        lines.append((name, f"{forward:.2f}", f"{whole:.2f}", f"{seconds:.2f}", goal))
    shape = f"{options.stocks:,} stocks x {options.length} days x {options.fields} fields"
    print(machine(options.threads), end="\n\n")
    print(table((shape, "peak GB, forward and loss", "peak GB, whole step", "seconds a step", "target"), lines))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.astgnn_memory",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""how it is measured:
  Each net runs in a fresh process. Memory is the highest resident memory (VmHWM) above what was resident before
  batch and net were built, the panel being loaded; the first step alone counts, the next ones are timed (median).

examples:
  python -m benchmarks.astgnn_memory
  python -m benchmarks.astgnn_memory --stocks 3000 --length 60 --fields 158
""",
    )
    parser.add_argument("--stocks", type=int, default=5_000, help="stocks of the day (5000)")
    parser.add_argument("--length", type=int, default=30, help="days of a window (30)")
    parser.add_argument("--fields", type=int, default=6, help="fields (6)")
    parser.add_argument("--steps", type=int, default=5, help="timed steps (5)")
    parser.add_argument("--threads", type=int, default=1, help="torch threads (1)")
    return parser.parse_args()


def step_of(name: str, options: argparse.Namespace) -> tuple[float, float, float]:
    """Peak GB of forward and loss, peak GB with backward, and seconds of a whole step."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    samples = one_day(options.stocks, options.length, options.fields)
    kind, extra = NETS[name]
    model = kind(GPU=-1, **extra)

    before = reset_peak()
    window = Window(options.length)
    net = model.build(window.layout(options.fields), samples.panel.instruments)
    model.bind(net, samples.panel)
    batch = samples.batch(np.array([0]), window)
    loss = model.loss(net(batch), batch)
    forward = peak_bytes() - before
    loss.backward()
    whole = peak_bytes() - before

    seconds = []
    for _ in range(options.steps):
        net.zero_grad(set_to_none=True)
        start = time.perf_counter()
        model.loss(net(batch), batch).backward()
        seconds.append(time.perf_counter() - start)
    return forward / GIGABYTE, whole / GIGABYTE, median(seconds)


def one_day(stocks: int, length: int, fields: int) -> Samples:
    """The last day of a panel of random values without holes, each stock in one of 30 prior groups."""
    random = np.random.default_rng(0)
    index = pd.MultiIndex.from_product(
        [pd.bdate_range("2020-01-01", periods=length), [f"SH{600000 + i}" for i in range(stocks)]],
        names=["datetime", "instrument"],
    )
    values = random.standard_normal((len(index), fields), dtype=np.float32)
    features = pd.DataFrame(values, index=index, columns=[f"F{i}" for i in range(fields)])
    labels = pd.DataFrame({"LABEL0": random.standard_normal(len(index), dtype=np.float32)}, index=index)
    groups = pd.Series(random.integers(0, 30, len(index)).astype(np.float32), index=index)
    return Samples(Panel.from_frames([features], labels, groups), index[-stocks:])


if __name__ == "__main__":
    main()
