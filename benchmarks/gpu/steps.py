"""Part 3: seconds and memory of a training step at full width, and what the device waits for in an epoch."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu.lines import Dispatched, synchronisations
from benchmarks.gpu.results import main_of, record
from qlib_ext.data.batch import Samples
from qlib_ext.data.panel import Panel
from qlib_ext.data.shapes.frequencies import LENGTHS, Frequencies
from qlib_ext.data.shapes.images import DAYS_PER_IMAGE, five_day_images
from qlib_ext.data.window import Window
from qlib_ext.models.astgnn import ASTGNN
from qlib_ext.models.base import NeuralModel
from qlib_ext.models.gats import GATs
from qlib_ext.models.gru import GRU
from qlib_ext.models.multitask_gru import MultiTaskGRU
from qlib_ext.models.resnet_gru import ResNetGRU
from qlib_ext.models.training import Trainer, make_optimizer

FIELDS = ["OPEN", "HIGH", "LOW", "CLOSE", "VWAP", "VOLUME"]
FREQUENCIES = Frequencies(LENGTHS)
DAYS = Window(30, standardise=True)
CASES: dict[str, tuple[type[NeuralModel], Window]] = {
    "GRU": (GRU, DAYS),
    "ASTGNN": (ASTGNN, DAYS),
    "GATs": (GATs, DAYS),
    "ResNetGRU": (ResNetGRU, Window(150, five_day_images, standardise=True, multiple=DAYS_PER_IMAGE)),
    "MultiTaskGRU": (MultiTaskGRU, Window(FREQUENCIES.days, FREQUENCIES, standardise=True, series=FREQUENCIES.series)),
}
TRAIN_DAYS, VALID_DAYS, TIMED = 16, 2, 10
BUSY = 0.8  # the share of an epoch in which the device is to be busy
LINES = 8  # of each table by line
LAUNCHES = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx")


class Training:
    """A net of the whole market on the device, trained for one epoch of a few days."""

    def __init__(self, name: str, panel: Panel, days: pd.MultiIndex, autocast: bool) -> None:
        kind, window = CASES[name]
        torch.manual_seed(0)
        self.model = kind(n_epochs=1, ema_decay=0.99, autocast=autocast)
        panel = panel.to(self.model.device)
        last = days.unique("datetime")
        self.train = Samples(panel, days[days.get_level_values("datetime").isin(last[:-VALID_DAYS])])
        self.valid = Samples(panel, days[days.get_level_values("datetime").isin(last[-VALID_DAYS:])])
        net = self.model.build(window.layout(len(panel.fields)), panel.instruments).to(self.model.device)
        self.model.bind(net, panel)
        self.trainer = Trainer(net, self.model.loss, self.model.options, window, self.model.device)
        self.optimizer = make_optimizer(net, self.model.options)

    def epoch(self) -> None:
        self.trainer.fit(self.train, self.valid, seed=0)

    def step(self, day: int) -> None:
        """One training step, as the training loop does it."""
        trainer, options = self.trainer, self.model.options
        trainer.net.train()
        batch = self.train.batch(np.array([day]), trainer.window)
        with torch.autocast(trainer.device.type, dtype=torch.bfloat16, enabled=options.autocast):
            scores = trainer.net(batch)
        loss = trainer.loss(scores.as_float32(), batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(trainer.net.parameters(), options.clip_norm)
        self.optimizer.step()


def steps(options: argparse.Namespace) -> None:
    """Each net in float32, then in bfloat16."""
    panel, days = market(stocks=12 if options.small else 5_000)
    names = ["GRU"] if options.small else list(CASES)
    for autocast in (False, True):
        for name in names:
            training = Training(name, panel, days, autocast)
            record(options.out, "steps", net=name, type="bfloat16" if autocast else "float32", **measured(training))
            if not autocast:
                for line in by_line(training):
                    record(options.out, "lines", net=name, **line)


def market(stocks: int) -> tuple[Panel, pd.MultiIndex]:
    """Random bars, a twentieth of them missing, and the rows of the last days."""
    random = np.random.default_rng(0)
    count = FREQUENCIES.days + TRAIN_DAYS + VALID_DAYS - 1
    calendar = pd.bdate_range("2020-01-01", periods=count, name="datetime")
    names = pd.Index([f"SH{600000 + i}" for i in range(stocks)], name="instrument")
    index = pd.MultiIndex.from_product([calendar, names])
    bars = random.uniform(0.5, 1.5, (len(index), len(FIELDS))).astype(np.float32)
    bars[random.random(len(index)) < 0.05] = np.nan
    labels = pd.DataFrame(random.standard_normal((len(index), 1), dtype=np.float32), index, ["LABEL0"])
    panel = Panel.from_frames([pd.DataFrame(bars, index, FIELDS)], labels)
    return panel, index[-(TRAIN_DAYS + VALID_DAYS) * stocks :]


def measured(training: Training) -> dict[str, Any]:
    """Seconds, peak GB beside the panel, and the share of an epoch in which the device is busy."""
    cuda = training.model.device.type == "cuda"
    training.step(0)  # warms up
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    seconds = []
    for day in range(1, 1 + TIMED):
        seconds.append(clocked(lambda day=day: training.step(day), cuda))
    figures: dict[str, Any] = {"seconds a step": median(seconds), "peak GB": None}
    if cuda:
        figures["peak GB"] = (torch.cuda.max_memory_allocated() - before) / 1e9
    training.epoch()
    epoch = clocked(training.epoch, cuda)
    figures |= {"seconds an epoch": epoch, "steps": training.train.n_days}
    if cuda:
        figures |= profiled(training, epoch)
    return figures


def clocked(function: Any, cuda: bool) -> float:
    start = time.perf_counter()
    function()
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def profiled(training: Training, epoch: float) -> dict[str, Any]:
    """Busy seconds as the profiler sees them, over the seconds of an epoch that was not profiled."""
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA], acc_events=True) as watched:
        training.epoch()
        torch.cuda.synchronize()
    events = watched.events() or []
    spans = [(e.time_range.start, e.time_range.end) for e in events if e.device_type == DeviceType.CUDA]
    busy = covered(spans) / 1e6 / epoch
    calls = Counter(event.name for event in events if event.device_type == DeviceType.CPU)
    steps = training.train.n_days + 1
    return {
        "device busy": busy,
        "goal": f"at least {BUSY:.0%}: {'met' if busy >= BUSY else 'MISSED'}",
        "launches a step": sum(calls[name] for name in LAUNCHES) / steps,
        "waits a step": sum(number for name, number in calls.items() if "Synchronize" in name) / steps,
    }


def covered(spans: list[tuple[float, float]]) -> float:
    """The length of the union of intervals."""
    total, reached = 0.0, -np.inf
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return float(total)


def by_line(training: Training) -> list[dict[str, Any]]:
    """The lines of an epoch at which the host waits, then those that dispatch most operations."""
    with synchronisations() as waits:
        training.epoch()
    with Dispatched() as dispatched:
        training.epoch()
    operations: Counter[str] = Counter()
    for (line, _), number in dispatched.counts.items():
        operations[line] += number
    rows = [{"line": line, "what": "waits for the device", "an epoch": n} for line, n in waits.most_common()]
    whole = sum(operations.values())
    rows += [
        {"line": line, "what": f"operations, {number / whole:.0%} of all", "an epoch": number}
        for line, number in operations.most_common(LINES)
    ]
    return rows


if __name__ == "__main__":
    main_of(steps)
