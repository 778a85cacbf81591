"""The one training loop: days in random order, early stopping, the best weights kept."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
import torch
from qlib.log import get_module_logger
from torch import Tensor, nn
from tqdm.auto import tqdm

from qlib_ext.cross_section.tensor_ic import information_coefficient, rank_information_coefficient
from qlib_ext.data.batch import Batch, Samples
from qlib_ext.data.gather import batches
from qlib_ext.data.window import Window
from qlib_ext.errors import TrainingError
from qlib_ext.layers.scores import Scores
from qlib_ext.models.options import TrainingOptions
from qlib_ext.models.resuming import Checkpoint, Curves, Progress

if TYPE_CHECKING:
    from qlib_ext.recorder.checkpoints import Checkpoints  # mlflow's store, which a training without one does without

STEPS_PER_REPORT = 20  # steps between two updates of the progress bar's figures
EVALUATION_ROWS = {"cpu": 1024, "cuda": 8192}  # samples validated at a time: what fits the cache, what keeps a GPU busy

Loss = Callable[[Scores, Batch], Tensor]

logger = get_module_logger("qlib_ext.training")


@dataclass
class Trainer:
    """Trains one net on one segment's days and stops by another's.

    checkpoints  where the state after each epoch is kept; None: nowhere
    key          of the training, see ``training_key``
    counted      what else has a state: objects with ``state_dict`` and ``load_state_dict``, by name
    """

    net: nn.Module
    loss: Loss
    options: TrainingOptions
    window: Window
    device: torch.device
    checkpoints: Checkpoints | None = None
    key: str = ""
    counted: Mapping[str, Any] = field(default_factory=dict)

    def fit(self, train: Samples, valid: Samples, seed: int | None, name: str = "") -> Curves:
        """Train until ``early_stop`` epochs bring no better validation metric; returns the curves by epoch.

        The order of days depends on the seed alone. With an ``ema_decay`` the moving average of the weights is
        validated and kept. A training that a checkpoint is kept of goes on after its last epoch, with the same bits.
        Raises TrainingError where the loss is not finite.
        """
        optimizer = make_optimizer(self.net, self.options)
        validated, parts = self, {"net": self.net, "optimizer": optimizer, **self.counted}
        if self.options.ema_decay:
            average = MovingAverage(self.net, self.options.ema_decay)
            optimizer.register_step_post_hook(lambda *_: average.update(self.net))
            validated, parts["average"] = replace(self, net=average.net), average
        order = np.random.default_rng(seed)
        checkpoint = None
        if self.checkpoints is not None:
            checkpoint = Checkpoint(self.checkpoints, f"{self.key}_{name}", parts, self.device)
        progress = Progress() if checkpoint is None else checkpoint.load(order)
        self._say_what_is_done(progress, name)
        while not progress.is_over(self.options.n_epochs, self.options.early_stop):
            started = time.perf_counter()
            epoch, days = progress.epochs, order.permutation(train.n_days)
            row = {f"train_{k}": v for k, v in self._train_epoch(optimizer, train, days, epoch, name).items()}
            row |= {f"valid_{k}": v for k, v in validated.evaluate(valid).items()}
            self._count(progress, row, validated.net)
            if checkpoint is not None:
                checkpoint.save(progress, order)
            log_metrics(row, epoch, name)
            figures = "  ".join(f"{k} {v:.4f}" for k, v in row.items())
            seconds = time.perf_counter() - started
            logger.info(f"{name} epoch {epoch + 1}/{self.options.n_epochs}, {seconds:.1f} s: {figures}")
        if progress.best_weights is None:
            raise TrainingError(f"{name} the validation {self.options.metric} is NaN in every epoch; check its labels.")
        self.net.load_state_dict(progress.best_weights)
        figure = progress.curves[f"valid_{self.options.metric}"][progress.best_epoch]
        logger.info(f"{name} best epoch {progress.best_epoch + 1}, validation {self.options.metric} {figure:.4f}")
        return progress.curves

    def _count(self, progress: Progress, row: dict[str, float], net: nn.Module) -> None:
        """Take the figures of one more epoch, and the weights where they are the best so far."""
        for key, figure in row.items():
            progress.curves.setdefault(key, []).append(figure)
        value = -row["valid_loss"] if self.options.metric == "loss" else row[f"valid_{self.options.metric}"]
        if value > progress.best_value:
            progress.best_value, progress.best_epoch = value, progress.epochs
            progress.best_weights = copy.deepcopy(net.state_dict())
        progress.epochs += 1

    def _say_what_is_done(self, progress: Progress, name: str) -> None:
        """Log the epochs of an earlier run to this one's recorder, so that its curves are whole."""
        if progress.epochs:
            logger.info(
                f"{name} goes on after epoch {progress.epochs}/{self.options.n_epochs} of a run that was stopped"
            )
        for epoch in range(progress.epochs):
            log_metrics({key: curve[epoch] for key, curve in progress.curves.items()}, epoch, name)

    def _train_epoch(
        self, optimizer: torch.optim.Optimizer, train: Samples, days: np.ndarray, epoch: int, name: str
    ) -> dict[str, float]:
        self.net.train()
        steps = np.array_split(days, math.ceil(len(days) / days_per_step(train, self.options)))
        losses, correlations = [], []
        progress = tqdm(
            steps, desc=f"{name} epoch {epoch + 1}/{self.options.n_epochs}", unit="step", leave=False, disable=None
        )
        gathered = batches(train, steps, self.window, self.device)
        for number, (step, batch) in enumerate(zip(progress, gathered, strict=True)):
            scores = self._forward(batch)
            loss = self.loss(scores, batch)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if self.options.clip_norm > 0:
                nn.utils.clip_grad_norm_(self.net.parameters(), self.options.clip_norm)
            optimizer.step()
            losses.append(loss.detach() * len(step))
            correlations.append(information_coefficient(*batch.by_day(scores.score.detach())))
            if number % STEPS_PER_REPORT == 0 and not progress.disable:  # reading a figure makes a GPU wait
                progress.set_postfix(loss=f"{loss.item():.4f}", ic=f"{correlations[-1].mean().item():.4f}")
        total = float(torch.stack(losses).sum()) / len(days)
        if not math.isfinite(total):
            raise TrainingError(
                f"{name} the loss is {total} in epoch {epoch}; a smaller lr than {self.options.lr} or a smaller "
                f"clip_norm than {self.options.clip_norm} usually cures it."
            )
        return {"loss": total, "ic": float(torch.cat(correlations).mean())}

    def evaluate(self, samples: Samples) -> dict[str, float]:
        """Loss, mean IC and mean Rank IC of the segment, by day, without training."""
        losses, sizes, ic, rank_ic = [], [], [], []
        at_once = max(1, EVALUATION_ROWS[self.device.type] * samples.n_days // len(samples))
        for days, batch, scores in self.score(samples, at_once):
            losses.append(self.loss(scores, batch))
            sizes.append(len(days))
            by_day = batch.by_day(scores.score)
            ic.append(information_coefficient(*by_day))
            rank_ic.append(rank_information_coefficient(*by_day))
        total = 0.0
        for loss, size in zip(torch.stack(losses).tolist(), sizes, strict=True):
            total += loss * size
        return {
            "loss": total / samples.n_days,
            "ic": float(torch.cat(ic).mean()),
            "rank_ic": float(torch.cat(rank_ic).mean()),
        }

    def score(self, samples: Samples, at_once: int = 1) -> Iterator[tuple[np.ndarray, Batch, Scores]]:
        """The net's scores of all samples in order, ``at_once`` days at a time.

        One at a time, a day's scores are the same to the bit whatever days are scored with it.
        """
        self.net.eval()
        with torch.no_grad():
            steps = [
                np.arange(first, min(first + at_once, samples.n_days)) for first in range(0, samples.n_days, at_once)
            ]
            for days, batch in zip(steps, batches(samples, steps, self.window, self.device), strict=True):
                yield days, batch, self._forward(batch)

    def _forward(self, batch: Batch) -> Scores:
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.options.autocast):
            scores: Scores = self.net(batch)
        return scores.as_float32()


def days_per_step(samples: Samples, options: TrainingOptions) -> int:
    """Trading days of one training step: ``batch_size`` rows rounded to whole days, else ``days_per_batch``."""
    if options.batch_size is None:
        return options.days_per_batch
    return max(1, round(options.batch_size * samples.n_days / len(samples)))


def make_optimizer(net: nn.Module, options: TrainingOptions) -> torch.optim.Optimizer:
    """The optimiser of the options over the net's parameters."""
    kinds: dict[str, type[torch.optim.Optimizer]] = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "gd": torch.optim.SGD,
        "sgd": torch.optim.SGD,
    }
    return kinds[options.optimizer](net.parameters(), lr=options.lr, weight_decay=options.weight_decay)  # type: ignore[call-arg]


class MovingAverage:
    """``A <- A + a (W - A), a = max(1 - decay, 9 / (10 + t))`` after step t, of weights and batch norms' statistics W.

    So a short training is averaged over its last ninth. ``net`` has the average A, after the first step W itself.
    torch's AveragedModel counts its steps in a tensor, which a GPU would have to be waited for in every one.
    Source: ``tf.train.ExponentialMovingAverage(num_updates=t)``.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.net = copy.deepcopy(net)
        self.decay = decay
        self.steps = 0
        for module in self.net.modules():
            if isinstance(module, nn.RNNBase):
                module.flatten_parameters()  # cuDNN wants them in one piece, and a copy is not

    def state_dict(self) -> dict[str, Any]:
        """The average and the number of steps."""
        return {"net": self.net.state_dict(), "steps": self.steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what ``state_dict`` gave."""
        self.net.load_state_dict(state["net"])
        self.steps = state["steps"]

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        """Count one more step, which has led to the weights of ``net``."""
        share = (9 / torch.tensor(10 + self.steps)).clamp(min=1 - self.decay).item() if self.steps else 1.0
        for old, new in zip(_state_of(self.net), _state_of(net), strict=True):
            if old.is_floating_point():
                old.lerp_(new, share)
            else:  # an instrument's number has no mean
                old.copy_(new)
        self.steps += 1


def _state_of(net: nn.Module) -> Iterator[Tensor]:
    return chain(net.parameters(), net.buffers())


def log_metrics(row: dict[str, float], epoch: int, name: str) -> None:
    """Log one epoch to the recorder that is active, if one is: Qlib's recorder is an mlflow run."""
    if mlflow.active_run() is not None:
        prefix = f"{name}." if name else ""
        mlflow.log_metrics({prefix + key: value for key, value in row.items()}, step=epoch)
