"""What does a training step on data images cost beside the same days read one by one? Prints two tables.

The first: ResNetGRU on 30 images of 6 fields x 5 days against GRU on the same 150 days x 6 fields, and their twins with
the graph. The second: where a step of ResNetGRU spends its time, shaping the images out of the daily rows included.
"""

from __future__ import annotations

import argparse
import time
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from benchmarks.measure import in_fresh_process, machine, peak_bytes, ratio, reset_peak, table, target, timed, times
from qlib_ext.data.batch import Batch, Samples
from qlib_ext.data.panel import Panel
from qlib_ext.data.shapes.images import DAYS_PER_IMAGE, five_day_images, relative_prices
from qlib_ext.data.window import Window
from qlib_ext.models.astgnn import ASTGNN
from qlib_ext.models.gru import GRU
from qlib_ext.models.resnet_gru import ResNetGRU

LENGTH = 150
WEEK = Window(LENGTH, five_day_images, standardise=True, multiple=DAYS_PER_IMAGE)
DAYS = Window(LENGTH, relative_prices, standardise=True)
FIELDS = ["OPEN", "HIGH", "LOW", "CLOSE", "VWAP", "TURNOVER"]
EPOCH = 291  # every fifth trading day of 2010-2015
SHAPING_TARGET = 0.25  # of a step
TARGET = 3.0  # times as fast as the GRU on days
GIGABYTE = 1e9
SIDES: dict[str, tuple[type[GRU], dict[str, Any]]] = {
    "GRU": (GRU, {}),
    "ResNetGRU": (ResNetGRU, {}),
    "ASTGNN": (ASTGNN, {}),
    "ResNetGRU, graph": (ResNetGRU, {"graph": True}),
}
PAIRS = {"GRU": "ResNetGRU", "ASTGNN": "ResNetGRU, graph"}  # on days, on images


class Side:
    """One net, its samples and its optimiser."""

    def __init__(self, name: str, stocks: int) -> None:
        torch.manual_seed(0)
        kind, options = SIDES[name]
        self.model = kind(GPU=-1, **options)
        self.samples, self.window = last_day(stocks), WEEK if kind is ResNetGRU else DAYS
        self.net: Any = self.model.build(self.window.layout(len(FIELDS)), pd.Index([]))
        self.optimizer = torch.optim.Adam(self.net.parameters())

    def shape(self) -> Batch:
        """The day's batch, shaped and standardised."""
        return self.samples.batch(np.array([0]), self.window)

    def step(self) -> None:
        """One training step, as the training loop does it."""
        batch = self.shape()
        loss = self.model.loss(self.net(batch), batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), self.model.options.clip_norm)
        self.optimizer.step()


def last_day(stocks: int) -> Samples:
    """The last of 150 days of random bars, every stock a member throughout."""
    days = pd.date_range("2015-01-01", periods=LENGTH, name="datetime")
    index = pd.MultiIndex.from_product([days, [f"S{n:04d}" for n in range(stocks)]], names=["datetime", "instrument"])
    values = np.random.default_rng(0).lognormal(sigma=0.1, size=(len(index), len(FIELDS))).astype(np.float32)
    labels = pd.DataFrame({"LABEL0": values[:, 0]}, index=index)
    panel = Panel.from_frames([pd.DataFrame(values, index=index, columns=FIELDS)], labels)
    return Samples(panel, index[-stocks:])


def main() -> None:
    options = parse_arguments()
    torch.set_num_threads(options.threads)
    peaks = {name: in_fresh_process(peak_of_step, name, options.stocks, options.threads) for name in SIDES}
    sides = {name: Side(name, options.stocks) for name in SIDES}
    seconds: dict[str, list[float]] = {name: [] for name in SIDES}
    for number in range(-1, options.rounds):
        for name in np.roll(list(SIDES), number):  # each goes first in its turn
            elapsed = timed(sides[name].step)
            if number >= 0:  # the round before the first warms up
                seconds[name].append(elapsed)
    lines = []
    for days, images in PAIRS.items():
        gain = ratio(seconds[days], seconds[images])
        goal = target(TARGET if days == "GRU" else None, gain, at_least=True)
        figures = [f"{median(seconds[name]):.2f}" for name in (days, images)]
        figures += [f"{median(seconds[name]) * EPOCH:.0f}" for name in (days, images)]
        memory = [f"{peaks[name]:.2f}" for name in (days, images)]
        lines.append((f"{days}; {images}", *figures, times(gain), *memory, goal))
    print(machine(options.threads), end="\n\n")
    header = (
        "on days; on images",
        "days, seconds a step",
        "images",
        "days, seconds an epoch",
        "images",
        "days / images",
    )
    print(table((*header, "days, peak GB", "images, peak GB", "target"), lines), end="\n\n")
    shares = [profile(sides[name], options.rounds) for name in PAIRS.values()]
    names = [(name, *(f"{share:.0%}" for share in s.values())) for name, s in zip(PAIRS.values(), shares, strict=True)]
    print(table(("share of a step's time", *shares[0]), names))
    print(f"\nshaping of ResNetGRU {target(SHAPING_TARGET, shares[0]['shaping'], at_least=False)}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.image_speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""how it is measured:
  150 days of random bars; a step gathers, shapes and standardises the windows of the last day, then forward, loss,
  backward, clipping and Adam, options are the defaults. All nets take turns in one process, seconds are medians of the
  rounds, the ratio is the median of the rounds' ratios. An epoch is 291 such steps: every fifth trading day of
  2010-2015, without its validation. Memory is the highest resident memory (VmHWM) of a net's first step in a fresh
  process, above what was resident before it. Shares are of the shortest step; shaping, residual net and RNN are timed
  by themselves.

example:
  python -m benchmarks.image_speed --stocks 800
""",
    )
    parser.add_argument("--stocks", type=int, default=3_000, help="stocks of the day (3000)")
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds (7)")
    parser.add_argument("--threads", type=int, default=1, help="torch threads (1)")
    return parser.parse_args()


def peak_of_step(name: str, stocks: int, threads: int = 1) -> float:
    """GB that a net's first step takes."""
    torch.set_num_threads(threads)
    side = Side(name, stocks)
    before = reset_peak()
    side.step()
    return (peak_bytes() - before) / GIGABYTE


def profile(side: Side, rounds: int) -> dict[str, float]:
    """Shares of a training step's time."""
    encoder = side.net.encoder
    timings = []
    for _ in range(rounds):
        clock = [time.perf_counter()]
        images = side.shape().x.transpose(0, 1).flatten(0, 1)  # [T * samples, rows, columns]
        clock.append(time.perf_counter())
        feature = encoder.resnet(images)  # [T * samples, features]
        feature.sum().backward()
        clock.append(time.perf_counter())
        sequence = feature.detach().unflatten(0, (LENGTH // DAYS_PER_IMAGE, -1)).transpose(0, 1).requires_grad_()
        clock.append(time.perf_counter())
        encoder.recurrent(sequence).sum().backward()
        clock.append(time.perf_counter())
        side.step()
        clock.append(time.perf_counter())
        timings.append(np.diff(clock).tolist())
    shaping, convolution, _, recurrent, whole = np.min(timings, axis=0)
    rest = whole - shaping - convolution - recurrent
    shares = {"shaping": shaping, "residual net": convolution, "RNN": recurrent}
    shares |= {"graph, head, loss, clipping, Adam": rest}
    return {part: seconds / whole for part, seconds in shares.items()}


if __name__ == "__main__":
    main()
