"""An entry of the table of workflows, and what entries are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Options = dict[str, Any]  # a text stands in the file as it is, so that qrun fills in {{ NAME | default(..) }}

INDICES: Options = {"universes": ["csi300", "csi500", "csi1000"]}  # inside which a score of the market is tested


@dataclass(frozen=True)
class Kind:
    """A class by its name and module, and its options."""

    name: str
    module_path: str
    options: Options = field(default_factory=dict)


@dataclass(frozen=True)
class DataSet(Kind):
    """A handler; needs: what it reads of the provider."""

    needs: str = "day bars"


@dataclass(frozen=True)
class Enhancement:
    """How an index is enhanced: its members, constraints as lines of YAML, and costs of buying and selling."""

    members: str
    constraints: tuple[str, ...]
    buy: float
    sell: float


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What the file of a workflow says where it differs from the others.

    title, about          the comment at its head
    data                  the handler
    label_norm            what the label is made of on each day, in place of the handler's own z-scores
    days                  the defaults of START, TEST and END, and of TRAIN and VALID where the model is trained once
    model                 the model
    rolling               the options of the RollingModel around it; None where there is none
    universe, benchmark   the defaults of UNIVERSE and BENCHMARK
    dataset               the options of CrossSectionDataset; None: Qlib's DatasetH, where nothing is trained
    strategy              the options of TopkDropoutStrategy beside topk and n_drop
    deal_price            of TopkDropoutStrategy's orders
    enhancement           of IndexEnhancement, in its place; None where there is none
    analysis              the options of FactorRecord beside dataset
    """

    title: str
    about: str
    data: DataSet
    days: dict[str, str]
    model: Kind
    label_norm: Kind | None = None
    rolling: Options | None = None
    universe: str = "all"
    benchmark: str = "SH000905"
    dataset: Options | None = field(default_factory=dict)
    strategy: Options = field(default_factory=dict)
    deal_price: str = "vwap"
    enhancement: Enhancement | None = None
    analysis: Options = field(default_factory=dict)

    @property
    def trained_once(self) -> bool:
        """Whether training and validation are days, and not lengths of time before each test."""
        return "TRAIN" in self.days


def training(n_epochs: int, lr: float, ema_decay: float, early_stop: int, **others: Any) -> Options:
    """How a net is trained."""
    return {
        "n_epochs": variable("EPOCHS", n_epochs),
        "lr": lr,
        "ema_decay": variable("EMA_DECAY", ema_decay),
        "early_stop": early_stop,
        **others,
        "autocast": variable("AUTOCAST", "false"),
        "GPU": 0,
    }


def windows(train: str, valid: str | float, step: str, **others: Any) -> Options:
    """How often a model is retrained, and on how much."""
    valid = f"'{valid}'" if isinstance(valid, str) else valid
    lengths = {"train": f"'{train}'", "valid": valid, "step": f"'{step}'"}
    return {name: variable(name.upper(), length) for name, length in lengths.items()} | others | {"n_jobs": 1}


def seeds(default: str = "[0]") -> Options:
    """A model for each seed."""
    return {"seeds": variable("SEEDS", f"'{default}'")}


def variable(name: str, default: object) -> str:
    """A value that a variable of the environment changes."""
    return f"{{{{ {name} | default({default}) }}}}"
