"""The options of training, under the names of Qlib's Model Zoo, and how they are read from keywords."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from qlib_ext.errors import ConfigError
from qlib_ext.keywords import check_least, check_seeds, check_types, refuse_unknown
from qlib_ext.layers.encoder import CELLS, RecurrentEncoder
from qlib_ext.losses import CROSS_SECTIONAL_LOSSES

LOSSES = ("mse", *CROSS_SECTIONAL_LOSSES, "rank")
METRICS = ("loss", "ic", "rank_ic")
OPTIMIZERS = ("adam", "adamw", "gd", "sgd")

Options = TypeVar("Options", bound="TrainingOptions")


@dataclass(kw_only=True)
class TrainingOptions:
    """What every net's training takes; unknown names are refused by ``read_options``.

    d_feat           number of features; None: all that the dataset has
    n_epochs         at most so many passes over the training days
    lr               learning rate
    weight_decay     L2 penalty of the optimiser
    early_stop       epochs without a better validation ``metric`` before training ends
    metric           loss, ic or rank_ic of the validation segment; "" means loss, as in the Zoo
    loss             mse, ic (-IC), rank_ic (-soft Rank IC), or rank: mse plus what pairs in the wrong order cost
    rank_weight      of these pairs in the loss rank
    optimizer        adam, adamw, gd or sgd
    days_per_batch   trading days whose cross-sections make one step
    batch_size       rows of one step, rounded to whole days; None: days_per_batch decides
    clip_norm        gradients are scaled down to this norm; 0 leaves them
    ema_decay        validated, kept and scored with are the weights' exponential moving average over the steps, which
                     looks back over 1 / (1 - ema_decay) of them, at first over fewer; 0: the weights of the last step
    GPU              number of the CUDA device; -1, or no CUDA: the CPU
    autocast         forward pass in bfloat16; on a CPU faster only where it has AVX512-BF16 or AMX
    seed             of the initial weights, dropout and the order of days; None draws one
    seeds            several nets, one per seed; their standardised scores are averaged
    checkpoint       keep the state after each epoch in the recorder until the run has finished, so that one that was
                     stopped goes on there, run again, with the same bits; needs a seed. What nobody goes on from is
                     removed after 30 days
    n_jobs           accepted for the Zoo's sake: windows are gathered on the device, without worker processes
    """

    d_feat: int | None = None
    n_epochs: int = 200
    lr: float = 0.001
    weight_decay: float = 0.0
    early_stop: int = 20
    metric: str = ""
    loss: str = "mse"
    rank_weight: float = 1.0
    optimizer: str = "adam"
    days_per_batch: int = 1
    batch_size: int | None = None
    clip_norm: float = 3.0
    ema_decay: float = 0.0
    GPU: int = 0
    autocast: bool = False
    seed: int | None = None
    seeds: Sequence[int] | None = None
    checkpoint: bool = False
    n_jobs: int = 0

    def __post_init__(self) -> None:
        self.metric = self.metric or "loss"
        self.optimizer = self.optimizer.lower()
        one_of("metric", self.metric, METRICS)
        one_of("loss", self.loss, LOSSES)
        one_of("optimizer", self.optimizer, OPTIMIZERS)
        at_least_one(self, "n_epochs", "early_stop", "days_per_batch", "batch_size", "d_feat")
        at_least_zero(self, "weight_decay", "rank_weight", "clip_norm")
        if self.lr <= 0:
            raise ConfigError(f"lr is above 0, not {self.lr}.")
        if not 0 <= self.ema_decay < 1:
            raise ConfigError(f"ema_decay is at least 0 and below 1, for example 0.998; not {self.ema_decay}.")
        check_seeds(self.seeds)
        if self.checkpoint and self.seed is None and self.seeds is None:
            raise ConfigError("checkpoint: true needs a seed: without one no training is known again.")


@dataclass(kw_only=True)
class EncoderOptions(TrainingOptions):
    """Options of a recurrent encoder beside those of training, as in Qlib's Model Zoo.

    hidden_size  length of a stock's state
    num_layers   layers of the encoder
    dropout      share of the states that is dropped between two layers in training
    base_model   GRU or LSTM
    """

    hidden_size: int = 64
    num_layers: int = 2
    dropout: float = 0.0
    base_model: str = "GRU"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("base_model", self.base_model, tuple(CELLS))
        at_least_one(self, "hidden_size", "num_layers")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout is at least 0 and below 1, not {self.dropout}.")

    def encoder(self, fields: int) -> RecurrentEncoder:
        """A new encoder of so many fields."""
        return RecurrentEncoder(fields, self.hidden_size, self.num_layers, self.dropout, self.base_model)


def read_options(kind: type[Options], keywords: dict[str, Any]) -> Options:
    """``kind(**keywords)``; raises ConfigError for a name or a type that is none of its options'."""
    refuse_unknown(keywords, (option.name for option in fields(kind)), kind.__name__.removesuffix("Options"))
    check_types(kind, keywords)
    return kind(**keywords)


def one_of(name: str, value: str, valid: Sequence[str]) -> None:
    """Raise ConfigError for a value that is none of the valid ones."""
    if value not in valid:
        raise ConfigError(f"{name} is one of {', '.join(valid)}, not {value!r}.")


def at_least_one(options: TrainingOptions, *names: str) -> None:
    """Raise ConfigError for the first of these options that is below 1; None is fine."""
    check_least(dict.fromkeys(names, 1), vars(options))


def at_least_zero(options: TrainingOptions, *names: str) -> None:
    """Raise ConfigError for the first of these options that is below 0; None is fine."""
    check_least(dict.fromkeys(names, 0), vars(options))
