"""What does an epoch of MultiTaskGRU cost, and how much of it is the shaping of week and month bars? Prints two tables.

The first: seconds per epoch, the share of shaping, and the memory of one training step. The second: the three series
through the shared GRU one by one, as the net does it, against one call with all of them, packed or padded, and against
the same in bfloat16 (``autocast: true``).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from benchmarks.measure import in_fresh_process, machine, peak_bytes, ratio, reset_peak, table, target, timed, times
from qlib_ext.cross_section.standardise import standardise
from qlib_ext.data.batch import Batch, Samples
from qlib_ext.data.panel import Panel
from qlib_ext.data.shapes.frequencies import LENGTHS, Frequencies
from qlib_ext.data.window import Window
from qlib_ext.models.multitask_gru import MultiTaskGRU

SHAPE = Frequencies(LENGTHS)
WINDOW = Window(SHAPE.days, SHAPE, standardise=True, multiple=SHAPE.days, series=SHAPE.series)
FIELDS = ["OPEN", "HIGH", "LOW", "CLOSE", "VWAP", "VOLUME"]
EPOCH_DAYS = 250  # sampled days of an epoch, every fifth of five years
SHAPING, MEMORY = 0.25, 3.0  # the most that shaping may take of an epoch, GB of a step of 5,000 stocks
MEMORY_STOCKS = 5_000
GIGABYTE = 1e9


class Training:
    """A net, its optimiser and samples of random bars, a twentieth of which is missing."""

    def __init__(self, stocks: int, days: int) -> None:
        torch.manual_seed(0)
        random = np.random.default_rng(0)
        calendar = pd.bdate_range("2010-01-01", periods=SHAPE.days + days - 1, name="datetime")
        names = pd.Index([f"SH{600000 + i}" for i in range(stocks)], name="instrument")
        index = pd.MultiIndex.from_product([calendar, names])
        bars = random.uniform(0.5, 1.5, (len(index), len(FIELDS))).astype(np.float32)
        bars[random.random(len(index)) < 0.05] = np.nan
        features = pd.DataFrame(bars, index, FIELDS)
        labels = pd.DataFrame(random.standard_normal((len(index), 1)), index, ["LABEL0"])
        panel = Panel.from_frames([features], labels)
        self.samples = Samples(panel, index[-days * stocks :])
        self.model = MultiTaskGRU(GPU=-1)
        self.net = self.model.build(WINDOW.layout(len(FIELDS)), pd.Index([]))
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=0.005)

    def learn(self, batch: Batch) -> None:
        """One training step, as the training loop does it."""
        loss = self.model.loss(self.net(batch), batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), self.model.options.clip_norm)
        self.optimizer.step()


def main() -> None:
    options = parse_arguments()
    torch.set_num_threads(options.threads)
    peak = in_fresh_process(peak_of_step, MEMORY_STOCKS, options.threads)
    training = Training(options.stocks, options.days)
    parts: dict[str, list[float]] = {}
    for number in range(-1, options.rounds):
        for day in range(options.days):
            for part, seconds in clocked_step(training, np.array([day])).items():
                if number >= 0:  # the round before the first warms up
                    parts.setdefault(part, []).append(seconds)
    seconds = {part: median(each) for part, each in parts.items()}
    whole = sum(seconds.values())
    shaping = seconds["shaping"] / whole
    lines = [
        (part, f"{1000 * each:.0f}", f"{each / whole:.0%}", target(SHAPING, shaping, False) * (part == "shaping"))
        for part, each in seconds.items()
    ]
    print(machine(options.threads), end="\n\n")
    print(table((f"a day of {options.stocks} stocks", "milliseconds", "share", "target"), lines), end="\n\n")
    print(f"An epoch of {EPOCH_DAYS} days: {EPOCH_DAYS * whole:.0f} s, scaled from {options.days} days.")
    goal = target(MEMORY, peak, False)
    print(f"A step of {MEMORY_STOCKS} stocks x {len(LENGTHS)} series: peak {peak:.2f} GB ({goal}).", end="\n\n")
    print(table(("the GRU's forward and backward", "seconds", "times as long"), calls(options.stocks, options.rounds)))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.multitask_speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""how it is measured:
  Random bars of a few days and the 239 before them, a twentieth missing. Each day is one step; its parts are clocked
  one after the other: gathering (240 days of every stock), shaping (week and month bars, each series over its last
  value), standardising over the stocks, and the step (forward, loss, backward, clipping, Adam). Milliseconds are
  medians over days and rounds, the epoch is their sum times 250. Memory is the highest resident memory (VmHWM) of a
  first step with its batch in a fresh process, above what was resident with the panel before it. The calls of the GRU
  take turns in one process, the ratio is the median of the rounds' ratios; in float32 they give the same states.

example:
  python -m benchmarks.multitask_speed --stocks 800 --days 3
""",
    )
    parser.add_argument("--stocks", type=int, default=3_000, help="stocks of a day (3000)")
    parser.add_argument("--days", type=int, default=5, help="days of which the epoch is scaled up (5)")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds (3)")
    parser.add_argument("--threads", type=int, default=1, help="torch threads (1)")
    return parser.parse_args()


def clocked_step(training: Training, days: np.ndarray) -> dict[str, float]:
    """Seconds of the parts of one step; the batch is put together as ``Samples.batch`` does it, and equal to that."""
    panel, samples = training.samples.panel, training.samples
    first = samples.bounds[days[0]]
    day = samples.day[first : samples.bounds[days[-1] + 1]].long()
    instrument = samples.instrument[first : samples.bounds[days[-1] + 1]].long()
    clock = [time.perf_counter()]
    x = panel.windows(day, instrument, WINDOW.length, fill=False)  # [samples, 240, 6]
    clock.append(time.perf_counter())
    x = SHAPE(x)  # [samples, 72, 6]
    clock.append(time.perf_counter())
    mask = samples.mask(days)
    x = standardise(x, mask)
    clock.append(time.perf_counter())
    labels = panel.labels[panel.rows(day, instrument)]
    training.learn(Batch(x, labels, day, instrument, None, mask))
    clock.append(time.perf_counter())
    return dict(zip(("gathering", "shaping", "standardising", "the step"), np.diff(clock).tolist(), strict=True))


def peak_of_step(stocks: int, threads: int = 1) -> float:
    """GB that a batch and the first step with it take, beside the panel."""
    torch.set_num_threads(threads)
    training = Training(stocks, 1)
    before = reset_peak()
    training.learn(training.samples.batch(np.array([0]), WINDOW))
    return (peak_bytes() - before) / GIGABYTE


def calls(stocks: int, rounds: int) -> list[tuple[str, str, str]]:
    """The three series through one GRU: one by one, in one packed call, in one padded to the longest, in bfloat16."""
    torch.manual_seed(0)
    gru = nn.GRU(len(FIELDS), MultiTaskGRU().options.hidden_size)
    series = [torch.randn(length, stocks, len(FIELDS)) for length in LENGTHS.values()]  # longest first
    ways: dict[str, Callable[[nn.GRU, list[Tensor]], list[Tensor]]] = {
        "one by one": one_by_one,
        "one packed call": packed,
        "one padded call": padded,
        "one by one, in bfloat16": in_bfloat16,
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(-1, rounds):
        for name in np.roll(list(ways), number):
            elapsed = timed(lambda way=ways[name]: torch.cat(way(gru, series)).sum().backward())
            if number >= 0:
                seconds[name].append(elapsed)
    first = seconds["one by one"]
    return [(name, f"{median(each):.2f}", times(ratio(each, first))) for name, each in seconds.items()]


def one_by_one(gru: nn.GRU, series: list[Tensor]) -> list[Tensor]:
    return [gru(x)[0][-1] for x in series]


def packed(gru: nn.GRU, series: list[Tensor]) -> list[Tensor]:
    steps = [[x[t] for x in series if t < len(x)] for t in range(len(series[0]))]
    sizes = torch.tensor([sum(map(len, step)) for step in steps])
    _, last = gru(PackedSequence(torch.cat([torch.cat(step) for step in steps]), sizes))
    return list(last[0].split(series[0].shape[1]))


def padded(gru: nn.GRU, series: list[Tensor]) -> list[Tensor]:
    states, _ = gru(nn.utils.rnn.pad_sequence(series).flatten(1, 2))  # zeros behind the end change nothing before it
    states = states.unflatten(1, (len(series), -1))  # [longest, series, stocks, hidden]
    return [states[len(x) - 1, k] for k, x in enumerate(series)]


def in_bfloat16(gru: nn.GRU, series: list[Tensor]) -> list[Tensor]:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return [state.float() for state in one_by_one(gru, series)]


if __name__ == "__main__":
    main()
