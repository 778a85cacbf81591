"""How a training that was stopped goes on with the same bits: what it is known by, and all that it depends on."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import pandas as pd
import torch
from torch import Tensor

from qlib_ext.data.batch import Samples
from qlib_ext.system.description import Description

if TYPE_CHECKING:
    from qlib_ext.recorder.checkpoints import Checkpoints  # mlflow's store, which a training without one does without

Curves = dict[str, list[float]]


@dataclass
class Progress:
    """How far a training has come: epochs done, their curves, and the best of them with its weights."""

    epochs: int = 0
    curves: Curves = field(default_factory=dict)
    best_value: float = -math.inf
    best_epoch: int = 0
    best_weights: dict[str, Tensor] | None = None

    def is_over(self, n_epochs: int, early_stop: int) -> bool:
        """Whether all epochs are done, or ``early_stop`` of them brought nothing better."""
        return self.epochs >= n_epochs or self.epochs - 1 - self.best_epoch >= early_stop


@dataclass(frozen=True)
class Checkpoint:
    """Reads and writes the state of one training.

    parts  what has a state of its own, by name: nets, the optimiser, whatever has ``state_dict`` and
           ``load_state_dict``
    device of the net, whose random numbers dropout draws
    """

    checkpoints: Checkpoints
    key: str
    parts: Mapping[str, Any]
    device: torch.device

    def save(self, progress: Progress, order: np.random.Generator) -> None:
        """Keep the state after an epoch; raises OutputError where it cannot be written."""
        state = {
            "progress": {each.name: getattr(progress, each.name) for each in fields(progress)},
            "order": order.bit_generator.state,
            "random": {name: get() for name, (get, _) in _random_numbers(self.device).items()},
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
        }
        content = io.BytesIO()
        torch.save(state, content)
        self.checkpoints.write(self.key, content.getvalue())

    def load(self, order: np.random.Generator) -> Progress:
        """Take the state that was kept last; nothing is done yet where there is none."""
        content = self.checkpoints.read(self.key)
        if content is None:
            return Progress()
        state = torch.load(io.BytesIO(content), map_location=self.device, weights_only=True)
        order.bit_generator.state = state["order"]
        for name, part in self.parts.items():
            part.load_state_dict(state["parts"][name])
        for name, (_, set_state) in _random_numbers(self.device).items():
            set_state(state["random"][name].cpu())
        return Progress(**state["progress"])


def _random_numbers(device: torch.device) -> dict[str, tuple[Callable[[], Tensor], Callable[[Tensor], Any]]]:
    """How the state of torch's random numbers is read and set: those of the CPU, and of the device."""
    found: dict[str, tuple[Callable[[], Tensor], Callable[[Tensor], Any]]] = {
        "cpu": (torch.get_rng_state, torch.set_rng_state)
    }
    if device.type == "cuda":
        found["cuda"] = (
            lambda: torch.cuda.get_rng_state(device),
            lambda state: torch.cuda.set_rng_state(state, device),
        )
    return found


def training_key(model: Any, options: Any, window: Any, samples: Mapping[str, Samples]) -> str:
    """A hash of the options, the samples of each segment, the code and the packages of a training, and of the device.

    Trainings of one key have the same bits, seed by seed: the name of a net and its seed belong to the name of its
    checkpoint.
    """
    description = Description()
    configured = [description.of(each) for each in (type(model), vars(options), vars(window))]
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps([configured, description.sources(type(model).__module__)], sort_keys=True).encode())
    panels = {id(each.panel): each.panel for each in samples.values()}
    for panel in panels.values():
        digest.update(joblib.hash(_plain(vars(panel))).encode())
    for segment, each in samples.items():
        digest.update(joblib.hash([segment, each.panel.values.device.type, _plain(each.index)]).encode())
    return digest.hexdigest()


def _plain(thing: Any) -> Any:
    """Tensors, indices and objects that are their attributes as arrays and lists, which hash alike in every process."""
    if isinstance(thing, Tensor):
        return thing.cpu().numpy()
    if isinstance(thing, pd.MultiIndex):
        return [_plain(level) for level in (*thing.levels, *thing.codes)]
    if isinstance(thing, pd.Index):
        return [str(thing.dtype), [str(value) for value in thing]]
    if isinstance(thing, Mapping):
        return [[name, _plain(value)] for name, value in thing.items()]
    if isinstance(thing, list | tuple):
        return [_plain(value) for value in thing]
    return _plain(vars(thing)) if hasattr(thing, "__dict__") else thing
