"""Do blocks of consecutive days in a training step cost Rank IC? Prints one table, of the validation year alone.

Steps of consecutive days could share what their windows have in common. A GRU of the day bars of CSI300, 2014 and 2015
to train, 2016 to validate: a step's days drawn at random, and as many that follow each other, in blocks whose borders
and order are drawn anew each epoch. Nothing of the test years is read.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from qlib.utils import init_instance_by_config

from benchmarks.measure import machine, table
from benchmarks.truth_train import prepare
from qlib_ext.models.gru import GRU
from qlib_ext.models.training import Trainer
from qlib_ext.workflows.reading import read_workflows

WORKFLOWS = Path(__file__).parents[1] / "workflows"
VARIABLES = {"UNIVERSE": "csi300", "START": "2014-01-01", "END": "2016-12-31"}
SEGMENTS = {"train": ["2014-01-01", "2015-12-31"], "valid": ["2016-01-01", "2016-12-31"]}
RANDOM, BLOCKS = "drawn at random", "consecutive"


@dataclass
class BlockTrainer(Trainer):
    """A trainer whose steps are of days that follow each other."""

    def _train_epoch(self, optimizer: Any, train: Any, days: np.ndarray, *names: Any) -> dict[str, float]:
        return super()._train_epoch(optimizer, train, in_blocks(days, self.options.days_per_batch), *names)


class BlockGRU(GRU):
    """A GRU that is trained by it."""

    def _trainer(self, *parts: Any) -> Trainer:
        return BlockTrainer(**vars(super()._trainer(*parts)))


def in_blocks(days: np.ndarray, length: int) -> np.ndarray:
    """All days in the blocks of which a trainer makes its steps; a permutation of them draws order and borders.

    What is left of a block at the end of the days is a step with those at their beginning.
    """
    random = np.random.default_rng(days)
    sizes = [len(step) for step in np.array_split(days, -(-len(days) // length))]
    blocks = np.split(np.roll(np.arange(len(days)), random.integers(length)), np.cumsum(sizes)[:-1])
    order = sorted(range(len(blocks)), key=lambda number: (-len(blocks[number]), random.random()))
    return np.concatenate([blocks[number] for number in order])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.day_blocks", description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the provider")
    parser.add_argument("--days", type=int, default=8, help="of a step (8)")
    parser.add_argument("--seeds", type=int, default=3, help="nets of each kind (3)")
    parser.add_argument("--epochs", type=int, default=6, help="passes over the training days (6)")
    options = parser.parse_args()
    prepare(str(options.data))
    task = read_workflows(WORKFLOWS, VARIABLES)["market_day_gru"].config["task"]
    config = task["dataset"]["kwargs"] | {"segments": SEGMENTS, "sample_every": 1}
    dataset = init_instance_by_config(task["dataset"] | {"kwargs": config})
    net = task["model"]["kwargs"]["model"]["kwargs"] | {"n_epochs": options.epochs}
    net["days_per_batch"] = options.days
    curves: dict[str, list[list[float]]] = {RANDOM: [], BLOCKS: []}
    for seed in range(options.seeds):
        for how, kind in ((RANDOM, GRU), (BLOCKS, BlockGRU)):
            model = kind(**net | {"seed": seed})
            model.fit(dataset)
            curves[how].append(model.curves_[0]["valid_rank_ic"])
            print(how, seed, *(f"{value:.4f}" for value in curves[how][-1]), flush=True)
    lines = []
    for how, own in curves.items():
        best = np.max(own, axis=1)
        mean = (f"{value:.4f}" for value in np.mean(own, axis=0))
        lines.append((how, *mean, f"{best.mean():.4f} ± {best.std(ddof=1):.4f}"))
    print(f"\n{machine(torch.get_num_threads())}\n")
    epochs = (f"epoch {number + 1}" for number in range(options.epochs))
    print(table((f"the {options.days} days of a step", *epochs, "best epoch"), lines))


if __name__ == "__main__":
    main()
