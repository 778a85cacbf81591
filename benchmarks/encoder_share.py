"""What could sharing between windows, or between seeds, gain? Prints two tables, of prediction and of training.

Windows of consecutive days share all but one row, so the first layer's products with the inputs could be computed once
a row; seeds could share the gathering of windows. A GRU of 2 layers of 64 over 20 days, one day a step. Its products
are timed by themselves, as large as they are within it, and what they leave of its time is its gates. Seconds of the
processor, medians of rounds in turns.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from torch import Tensor

from benchmarks.dataset_speed import SWAPPED, synthetic_rows
from benchmarks.measure import machine, table, times
from benchmarks.train_speed import NET, STEP_LEN
from qlib_ext.data.batch import Samples
from qlib_ext.data.panel import Panel
from qlib_ext.data.window import Window
from qlib_ext.layers.encoder import SAMPLES_AT_ONCE, RecurrentEncoder

HIDDEN = NET["hidden_size"]
GATES = 3 * HIDDEN
SEEDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encoder_share", description=__doc__.split("\n")[0])
    parser.add_argument("--stocks", type=int, nargs="+", default=[300, 3000], help="stocks a day (300 3000)")
    parser.add_argument("--fields", type=int, nargs="+", default=[20, 158], help="features (20 158)")
    parser.add_argument("--rounds", type=int, default=15, help="timed rounds (15)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    prediction, training = [], []
    for fields in options.fields:
        for stocks in options.stocks:
            seconds = measured(stocks, fields, options.rounds)
            prediction.append((str(fields), f"{stocks:,}", *prediction_shares(seconds)))
            training.append((str(fields), f"{stocks:,}", *training_shares(seconds)))
    print(machine(1), end="\n\n")
    shares = ("gathering", "inputs' products", "other products", "gates")
    print(table(("fields", "stocks", *shares, "a row once", "and no gates"), prediction), end="\n\n")
    print(table(("fields", "stocks", "gathering's share of a step", f"{SEEDS} seeds gather once"), training))


def measured(stocks: int, fields: int, rounds: int) -> dict[str, float]:
    """Seconds of each part for the samples of a day."""
    rows = synthetic_rows(fields, days=2 * STEP_LEN, instruments=stocks + SWAPPED, members=stocks)
    panel = Panel.from_frames([rows["feature"]], rows["label"])
    samples = Samples(panel, rows.index)
    day = np.array([samples.n_days - 1])
    encoder = RecurrentEncoder(fields, HIDDEN, NET["num_layers"])
    x = samples.batch(day, Window(STEP_LEN)).x
    parts = [part.contiguous() for part in x.transpose(0, 1).tensor_split(math.ceil(len(x) / SAMPLES_AT_ONCE), dim=1)]
    state = torch.zeros(parts[0].shape[1], HIDDEN)
    below = torch.randn(STEP_LEN * parts[0].shape[1], HIDDEN)
    first, other = torch.randn(GATES, fields), torch.randn(GATES, HIDDEN)

    def predict() -> None:
        with torch.no_grad():
            encoder(x)

    def inputs() -> None:
        for part in parts:
            product(part.flatten(0, 1), first)

    def others() -> None:
        for part in parts:
            product(below[: len(part) * part.shape[1]], other)  # the second layer's inputs
            for _ in range(2 * len(part)):  # both layers' states, one after the other
                product(state, other)

    functions: dict[str, Callable[[], object]] = {
        "gather": lambda: samples.batch(day, Window(STEP_LEN)),
        "predict": predict,
        "inputs": inputs,
        "others": others,
        "train": lambda: encoder(x).sum().backward(),
    }
    return in_turns(functions, rounds)


def product(values: Tensor, weights: Tensor) -> Tensor:
    return values @ weights.T


def in_turns(functions: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median of each function's seconds, after a first round that warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for number in range(rounds + 1):
        for name, function in functions.items():
            began = time.process_time()
            function()
            if number:
                seconds[name].append(time.process_time() - began)
    return {name: median(own) for name, own in seconds.items()}


def prediction_shares(seconds: dict[str, float]) -> list[str]:
    """Shares of gathering, products and gates; and how much faster it would be at best."""
    whole = seconds["gather"] + seconds["predict"]
    gates = seconds["predict"] - seconds["inputs"] - seconds["others"]
    once = whole - seconds["inputs"] * (1 - 1 / STEP_LEN)
    parts = [seconds["gather"], seconds["inputs"], seconds["others"], gates]
    return [*(f"{part / whole:.0%}" for part in parts), times(whole / once), times(whole / (once - gates))]


def training_shares(seconds: dict[str, float]) -> list[str]:
    """The share of gathering, and how much faster several seeds would be that gather once."""
    share = seconds["gather"] / (seconds["gather"] + seconds["train"])
    return [f"{share:.1%}", times(1 / (1 - share * (1 - 1 / SEEDS)))]


if __name__ == "__main__":
    main()
