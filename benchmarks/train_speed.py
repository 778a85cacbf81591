"""How long do an epoch and a prediction take beside the Model Zoo's own class? Prints two tables.

The first: ours against the Zoo's GATs, GRU and LSTM, same rows, same net, same machine. An epoch is what each fit
does in one: ours trains and evaluates the validation days; the Zoo's trains and evaluates the training and validation
days.
The second: where one training step of ours spends its time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import torch
from qlib.contrib.model.pytorch_gats_ts import DailyBatchSampler
from qlib.contrib.model.pytorch_gats_ts import GATs as ZooGATs
from qlib.contrib.model.pytorch_gru_ts import GRU as ZooGRU
from qlib.contrib.model.pytorch_lstm_ts import LSTM as ZooLSTM
from qlib.data.dataset import TSDatasetH
from qlib.data.dataset.handler import DataHandlerLP
from qlib.data.dataset.loader import StaticDataLoader
from qlib.model.utils import ConcatDataset
from torch import nn
from torch.utils.data import DataLoader

from benchmarks.dataset_speed import SWAPPED, synthetic_rows
from benchmarks.measure import machine, ratio, table, target, timed, times
from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.models.base import NeuralModel
from qlib_ext.models.gats import GATs
from qlib_ext.models.gru import GRU
from qlib_ext.models.training import Trainer

STEP_LEN, BATCH_ROWS = 20, 800
NET: dict[str, Any] = {"hidden_size": 64, "num_layers": 2, "lr": 1e-4}
NETS = ("GATs", "GRU", "LSTM")
STOCKS = (300, 3000)
TARGETS = {("GATs", 300): 5.0, ("GATs", 3000): 20.0, ("GRU", 300): 2.0}
PROFILED_STEPS = 20


@dataclass
class Side:
    """One class on one dataset: what an epoch is, what a prediction is."""

    epoch: Callable[[], object]
    predict: Callable[[], object]


def main() -> None:
    options = parse_arguments()
    torch.set_num_threads(options.threads)
    lines: list[tuple[str, ...]] = []
    profiles: dict[str, dict[str, float]] = {}
    for stocks in options.stocks:
        handler, segments = data(stocks, options.fields, options.seed)
        for name in options.nets:
            sides = sides_of(name, handler, segments, options.fields)
            lines += compared(name, stocks, sides, options.rounds)
            profiles[f"{name}, {stocks:,} stocks"] = profile(our_model(name), handler, segments)
    print(machine(options.threads), end="\n\n")
    seconds = ("Zoo, seconds", "ours, seconds", "ours in bfloat16, seconds")
    print(table(("net", "stocks a day", "what", *seconds, "Zoo / ours", "Zoo / bfloat16", "target"), lines), end="\n\n")
    parts = list(next(iter(profiles.values())))
    shares = [(name, *(f"{profiles[name][part]:.0%}" for part in parts)) for name in profiles]
    print(table(("share of a step's time", *parts), shares))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.train_speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""how it is measured:
  Nets of the Zoo's Alpha158 workflows: 2 layers of 64, 20 fields, 20 days, GATs on an LSTM and one day a step, GRU 800
  rows a step. The Zoo's DataLoader without workers, its index built before the clock starts, as is our panel; predict
  is called as a workflow calls it. Short segments in the proportion of 6, 1 and 5 years. Both sides take turns in one
  process; ratio is the median of the rounds' ratios.

example:
  python -m benchmarks.train_speed --stocks 300 --fields 158
""",
    )
    parser.add_argument("--stocks", type=int, nargs="+", default=list(STOCKS), help="stocks a day (300 3000)")
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS), help="of the Zoo (all)")
    parser.add_argument("--fields", type=int, default=20, help="features (20)")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds (5)")
    parser.add_argument("--threads", type=int, default=1, help="torch threads (1)")
    parser.add_argument("--seed", type=int, default=0, help="of the rows (0)")
    return parser.parse_args()


def days_of(stocks: int) -> tuple[int, int, int]:
    """Days of train, valid and test, in the proportion of 2010-15, 2016 and 2017-21; fewer where days are wide."""
    return (60, 10, 50) if stocks < 1_000 else (6, 1, 5)


def data(stocks: int, fields: int, seed: int) -> tuple[DataHandlerLP, dict[str, tuple]]:
    """Random rows of a market of constant size, and the segments."""
    lengths = days_of(stocks)
    rows = synthetic_rows(fields, seed, days=sum(lengths) + STEP_LEN, instruments=stocks + SWAPPED, members=stocks)
    days = rows.index.unique("datetime")
    ends = STEP_LEN + np.cumsum(lengths)
    bounds = zip(("train", "valid", "test"), ends - lengths, ends, strict=True)
    segments = {name: (days[start], days[end - 1]) for name, start, end in bounds}
    return DataHandlerLP(data_loader=StaticDataLoader(rows)), segments


def our_model(name: str, autocast: bool = False) -> NeuralModel:
    """Our class with the Zoo's net: for GRU and LSTM one weak factor and no penalty."""
    training = NET | {"n_epochs": 1, "seed": 0, "autocast": autocast}
    if name == "GATs":
        return GATs(base_model="LSTM", **training)
    return GRU(base_model=name, num_factors=1, orthogonality=0.0, batch_size=BATCH_ROWS, **training)


def sides_of(name: str, handler: DataHandlerLP, segments: dict[str, tuple], fields: int) -> dict[str, Side]:
    """The Zoo's class, ours, and ours in bfloat16."""
    return {
        "zoo": zoo_side(name, handler, segments, fields),
        "ours": our_side(our_model(name), handler, segments),
        "bfloat16": our_side(our_model(name, autocast=True), handler, segments),
    }


def our_side(model: NeuralModel, handler: DataHandlerLP, segments: dict[str, tuple]) -> Side:
    dataset = CrossSectionDataset(handler, segments, step_len=STEP_LEN, purge=0)
    model.fit(dataset)
    train, valid = (dataset.samples(segment, learn=True, device=model.device) for segment in ("train", "valid"))
    trainer = Trainer(model.nets_[0], model.loss, model.options, dataset.window, model.device)
    return Side(epoch=lambda: trainer.fit(train, valid, seed=0), predict=lambda: model.predict(dataset))


def zoo_side(name: str, handler: DataHandlerLP, segments: dict[str, tuple], fields: int) -> Side:
    """The Zoo's class with the loaders that its fit makes."""
    dataset = TSDatasetH(handler=handler, segments=segments, step_len=STEP_LEN)
    prepared = [
        dataset.prepare(segment, col_set=["feature", "label"], data_key=DataHandlerLP.DK_L)
        for segment in ("train", "valid")
    ]
    for sampler in prepared:
        sampler.config(fillna_type="ffill+bfill")
    if name == "GATs":
        model = ZooGATs(d_feat=fields, base_model="LSTM", n_jobs=0, **NET)
        train, valid = (DataLoader(sampler, sampler=DailyBatchSampler(sampler), drop_last=True) for sampler in prepared)
    else:
        kind = ZooGRU if name == "GRU" else ZooLSTM
        model = kind(d_feat=fields, batch_size=BATCH_ROWS, n_jobs=0, **NET)
        weighted = [ConcatDataset(sampler, np.ones(len(sampler))) for sampler in prepared]
        train, valid = (
            DataLoader(pairs, batch_size=BATCH_ROWS, shuffle=shuffle, drop_last=len(pairs) > BATCH_ROWS)
            for pairs, shuffle in zip(weighted, (True, False), strict=True)
        )
    model.fitted = True

    def epoch() -> None:
        model.train_epoch(train)
        model.test_epoch(train)
        model.test_epoch(valid)

    return Side(epoch=epoch, predict=lambda: model.predict(dataset))


def compared(name: str, stocks: int, sides: dict[str, Side], rounds: int) -> list[tuple[str, ...]]:
    """A line for the epoch, one for the prediction."""
    lines = []
    train_days, _, test_days = days_of(stocks)
    for what, days in (("epoch", train_days), ("predict", test_days)):
        seconds = in_turns(sides, what, rounds)
        gains = [ratio(seconds["zoo"], seconds[side]) for side in ("ours", "bfloat16")]
        goal = target(TARGETS.get((name, stocks)), gains[0], at_least=True) if what == "epoch" else ""
        figures = [f"{median(values):.2f}" for values in seconds.values()]
        lines.append((name, f"{stocks:,}", f"{what}, {days} days", *figures, *map(times, gains), goal))
    return lines


def in_turns(sides: dict[str, Side], what: str, rounds: int) -> dict[str, list[float]]:
    """Seconds of each side's epoch or prediction, round by round."""
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(-1, rounds):
        for side in np.roll(list(sides), number):  # each goes first in its turn
            elapsed = timed(getattr(sides[side], what))
            if number >= 0:  # the round before the first warms up
                seconds[side].append(elapsed)
    return seconds


def profile(model: NeuralModel, handler: DataHandlerLP, segments: dict[str, tuple]) -> dict[str, float]:
    """Shares of a training step's time, from the shortest of many; the encoder's backward is timed by itself."""
    dataset = CrossSectionDataset(handler, segments, step_len=STEP_LEN, purge=0)
    model.fit(dataset)
    net, samples = model.nets_[0], dataset.samples("train", learn=True, device=model.device)
    optimizer = torch.optim.Adam(net.parameters())
    rounds: list[list[float]] = []
    for step in range(PROFILED_STEPS):
        clock = [time.perf_counter()]
        batch = samples.batch(np.array([step % samples.n_days]), dataset.window)
        clock.append(time.perf_counter())
        state = net.encoder(batch.x)
        clock.append(time.perf_counter())
        state.sum().backward()
        clock.append(time.perf_counter())
        scores = net(batch)
        loss = model.loss(scores, batch)
        clock.append(time.perf_counter())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        clock.append(time.perf_counter())
        nn.utils.clip_grad_norm_(net.parameters(), 3.0)
        optimizer.step()
        clock.append(time.perf_counter())
        rounds.append(np.diff(clock).tolist())
    gather, encoder, encoder_back, forward, backward, update = np.min(rounds, axis=0)
    whole = gather + forward + backward + update
    shares = {
        "gathering windows": gather,
        "encoder": encoder + encoder_back,
        "layers after it, loss": forward + backward - encoder - encoder_back,
        "clipping, Adam": update,
    }
    return {part: seconds / whole for part, seconds in shares.items()}


if __name__ == "__main__":
    main()
