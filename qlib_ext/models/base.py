"""NeuralModel: a Qlib model around a net that reads one day's cross-section at a time."""

from __future__ import annotations

import copy
import os
import sys
from abc import abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from qlib.log import get_module_logger
from qlib.model.base import Model
from torch import Tensor, nn

from qlib_ext.cross_section.zscore import mean_of_zscores
from qlib_ext.data.batch import Batch, Samples
from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.data.layout import Layout
from qlib_ext.data.panel import Panel
from qlib_ext.data.window import Window
from qlib_ext.errors import CheckpointError, ConfigError, DataError, NotFittedError, NoWeakFactorsError
from qlib_ext.keywords import written_out
from qlib_ext.layers.scores import Scores
from qlib_ext.losses import CROSS_SECTIONAL_LOSSES, mean_squared_error, pairwise_rank
from qlib_ext.models.options import TrainingOptions, read_options
from qlib_ext.models.resuming import Curves, training_key
from qlib_ext.models.training import Trainer

logger = get_module_logger("qlib_ext.models")


class NeuralModel(Model):
    """What all nets share: fit, predict, weak factors, saving and loading.

    A subclass names its ``options_class`` and says how its net is built: a torch module whose forward takes a
    Batch and returns Scores. After ``fit``: ``nets_``, one per seed, ``curves_``, their training curves, ``layout_``
    and ``instruments_``, what the nets were built for. Making one is cheap, draws no random number and leaves CUDA
    alone, so that a misspelt keyword can be named before any data is read.
    """

    options_class: ClassVar[type[TrainingOptions]] = TrainingOptions
    segments_read: ClassVar[tuple[str, ...]] = ("train", "valid")
    purges: ClassVar[bool] = True  # the samples of any dataset, so that its scores of the test are out-of-sample

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = read_options(self.options_class, options)
        self.nets_: list[nn.Module] = []
        self.curves_: list[Curves] = []
        self.layout_: Layout | None = None
        self.instruments_ = pd.Index([])

    @abstractmethod
    def build(self, layout: Layout, instruments: pd.Index) -> nn.Module:
        """A new net for samples of this layout; ``instruments`` are those of the training samples.

        ``layout.fields`` is for a net that reads one series of fields, ``layout.image`` for one that reads images, and
        ``layout.sequences`` for one that reads several series. Each raises ConfigError for windows of another kind.
        """

    def loss(self, scores: Scores, batch: Batch) -> Tensor:
        """The loss of one step: that of the options, between score and label; MSE takes the normalised score.

        A correlation leaves the scale and the sign of that normalisation without a gradient, so it takes the score.
        """
        if self.options.loss in CROSS_SECTIONAL_LOSSES:
            return CROSS_SECTIONAL_LOSSES[self.options.loss](*batch.by_day(scores.score))
        error = mean_squared_error(scores.normalised, batch.y)
        if self.options.loss == "mse":
            return error
        return error + self.options.rank_weight * pairwise_rank(*batch.by_day(scores.normalised))

    def bind(self, net: nn.Module, panel: Panel) -> None:
        """Tell the net of the panel that it will read; most need not know."""

    @property
    def device(self) -> torch.device:
        """CUDA device ``GPU`` where there is one, else the CPU."""
        if self.options.GPU >= 0 and torch.cuda.is_available():
            share_blocks()
            return torch.device("cuda", self.options.GPU)
        return torch.device("cpu")

    def fit(self, dataset: Any, evals_result: dict | None = None, save_path: str | Path | None = None) -> None:
        """Train on ``train``, stop by ``valid``.

        evals_result receives the curves of the first net; the weights go to save_path if it is given.
        Raises DataError for features that are not finite, for days of one stock or of one label, ConfigError for
        windows of another kind than the net reads. With ``checkpoint`` it goes on where a run of the same experiment,
        options, samples and code was stopped.
        """
        if "mlflow" in sys.modules:  # else no run is active, as in the processes of a rolling model
            from qlib_ext.recorder.checked import check_active_task

            check_active_task()
        if self.options.GPU >= 0 and not torch.cuda.is_available():
            logger.info(f"GPU {self.options.GPU} was asked for, CUDA is not available: training on the CPU")
        data = CrossSectionDataset.of(dataset)
        train, valid = (data.samples(segment, learn=True, device=self.device) for segment in ("train", "valid"))
        panel = train.panel
        if not data.window.standardise:  # which makes 0 of what is missing
            panel.require_finite()
        for segment, samples in (("train", train), ("valid", valid)):
            require_cross_sections(samples, segment)
        if self.options.d_feat not in (None, len(panel.fields)):
            raise ConfigError(
                f"The net is to read {self.options.d_feat} features (d_feat), the handler has {len(panel.fields)}."
            )
        layout = layout_of(data.window, panel)
        instruments = train.index.unique("instrument").sort_values()
        seeds = [self.options.seed] if self.options.seeds is None else list(self.options.seeds)
        kept = self._kept(data.window, {"train": train, "valid": valid})
        nets, curves = [], []
        for seed in seeds:
            with torch.random.fork_rng():
                torch.manual_seed(torch.seed() if seed is None else seed)
                net = self.build(layout, instruments)
                name = type(self).__name__ if len(seeds) == 1 else f"{type(self).__name__}.seed{seed}"
                trainer = replace(self._trainer(net, panel, data.window), **kept)
                curves.append(trainer.fit(train, valid, seed, name))
                nets.append(net)
        self.nets_, self.curves_ = nets, curves
        self.layout_, self.instruments_ = layout, instruments
        if evals_result is not None:
            evals_result.update(self.curves_[0])
        if save_path is not None:
            self.save_weights(save_path)

    def __repr__(self) -> str:
        return written_out(self, vars(self.options))

    def _kept(self, window: Window, samples: dict[str, Samples]) -> dict[str, Any]:
        """What a trainer needs to keep checkpoints; nothing where none are wanted or can be kept."""
        if not self.options.checkpoint:
            return {}
        from qlib_ext.recorder.checkpoints import active_checkpoints  # imports the store, as few need

        checkpoints = active_checkpoints()
        if checkpoints is None:
            logger.warning("checkpoint: true, and no recorder is active: a training that is stopped starts anew.")
            return {}
        key = training_key(self, self.options, window, samples)
        return {"checkpoints": checkpoints, "key": key, "counted": self.counted()}

    def counted(self) -> dict[str, Any]:
        """What the loss counts over a training, by name: objects with ``state_dict`` and ``load_state_dict``."""
        return {}

    def predict(self, dataset: Any, segment: str | slice = "test") -> pd.Series:
        """Scores of every sample of the segment, or of the days ``slice(first, last)``, indexed (datetime, instrument).

        With several seeds the mean of their scores, each standardised over the day's stocks.
        """
        return self.scored(dataset, segment)[0]

    def weak_factors(self, dataset: Any, segment: str | slice = "test") -> pd.DataFrame:
        """The weak factors of every sample, a column for each factor of each net (``net0_factor0``, ...).

        Raises NoWeakFactorsError for a model whose score is not made of weak factors.
        """
        factors = self.scored(dataset, segment)[1]
        if factors is None:
            raise NoWeakFactorsError(f"{type(self).__name__} has no weak factors; GRU, ASTGNN and ResNetGRU have.")
        return factors

    def scored(self, dataset: Any, segment: str | slice = "test") -> tuple[pd.Series, pd.DataFrame | None]:
        """What ``predict`` and ``weak_factors`` give, in one pass over the segment; None for a model without these."""
        if self.layout_ is None:
            raise NotFittedError(f"{type(self).__name__} has no weights yet: call fit, or load_weights.")
        data = CrossSectionDataset.of(dataset)
        samples = data.samples(segment, learn=False, device=self.device)
        if not data.window.standardise:
            samples.panel.require_finite()
        layout = layout_of(data.window, samples.panel)
        if not self.layout_.fits(layout):
            raise DataError(f"The nets were trained on windows of {self.layout_}, the handler's are of {layout}.")
        scores, factors = [], []
        for number, net in enumerate(self.nets_):
            outputs = self._trainer(net, samples.panel, data.window).score(samples)
            score, weak = zip(*((output.score, output.weak_factors) for *_, output in outputs), strict=True)
            scores.append(pd.Series(_concatenated(score), samples.index, name="score"))
            if weak[0] is not None:
                names = [f"net{number}_factor{k}" for k in range(weak[0].shape[1])]
                factors.append(pd.DataFrame(_concatenated(weak), samples.index, names))
        return mean_of_zscores(scores), pd.concat(factors, axis=1) if factors else None

    def _trainer(self, net: nn.Module, panel: Panel, window: Window) -> Trainer:
        """A trainer of a net that lies on the device and knows the panel."""
        net.to(self.device)
        self.bind(net, panel)
        return Trainer(net, self.loss, self.options, window, self.device)

    def save_weights(self, path: str | Path) -> None:
        """The nets' state_dicts and what they were built for, to be read with ``torch.load(weights_only=True)``."""
        if self.layout_ is None:
            raise NotFittedError(f"{type(self).__name__} has no weights to save: call fit first.")
        nets = [net.state_dict() for net in self.nets_]
        torch.save({"layout": self.layout_.plain(), "instruments": list(self.instruments_), "nets": nets}, path)

    def load_weights(self, path: str | Path) -> None:
        """Take the weights that ``save_weights`` wrote for nets of the same options; raises CheckpointError."""
        try:
            saved = torch.load(path, map_location=self.device, weights_only=True)
            layout, instruments = Layout.of(saved["layout"]), pd.Index(saved["instruments"])
            states = saved["nets"]
        except Exception as error:  # damaged bytes make the unpickler raise whatever they happen to spell
            raise CheckpointError(f"{path} cannot be read as saved weights, train again: {error}") from error
        try:
            nets = [self.build(layout, instruments).to(self.device) for _ in states]
            for net, state in zip(nets, states, strict=True):
                net.load_state_dict(state)
        except (RuntimeError, AttributeError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{path} holds weights of another net than {type(self).__name__} with these options: {error}"
            ) from error
        self.nets_, self.layout_, self.instruments_ = nets, layout, instruments

    def __getstate__(self) -> dict:
        # pickled on the CPU, so that a model trained on a GPU opens anywhere
        return super().__getstate__() | {"nets_": [copy.deepcopy(net).cpu() for net in self.nets_]}


def _concatenated(parts: tuple[Tensor, ...]) -> np.ndarray:
    return torch.cat(parts).cpu().numpy()


def share_blocks() -> None:
    """Let torch's allocator cut its memory of a GPU as it needs it, unless the user has set it otherwise.

    Each day has its own number of stocks, and a block kept for every size filled 18 GB of an H100 for a net whose step
    takes 1.4. Too late, and without effect, where the GPU has been used before.
    """
    if not os.environ.keys() & {"PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"}:
        os.environ["PYTORCH_CUDA_ALLOC_CONF"] = "expandable_segments:True"


def layout_of(window: Window, panel: Panel) -> Layout:
    """Of what the samples of a panel are made in these windows, and the names of its relations."""
    relations = () if panel.relations is None else panel.relations.names
    return replace(window.layout(len(panel.fields)), relations=relations)


def require_cross_sections(samples: Samples, segment: str) -> None:
    """Raise DataError where a day has one stock, or the same label for all: nothing can be ranked there."""
    labels = samples.labels()[:, 0].cpu().numpy()
    low, high = (ufunc.reduceat(labels, samples.bounds[:-1]) for ufunc in (np.minimum, np.maximum))
    days = samples.index.get_level_values("datetime")[samples.bounds[:-1]]
    counts = np.diff(samples.bounds)
    if (counts < 2).any():
        raise DataError(
            f"{int((counts < 2).sum())} of {len(days)} days of {segment!r} have a single stock, the first "
            f"{days[counts < 2][0]:%Y-%m-%d}; a cross-section needs two. Widen the universe or move start_time."
        )
    if (low == high).any():
        raise DataError(
            f"The label is the same for all stocks on {int((low == high).sum())} of {len(days)} days of {segment!r}, "
            f"the first {days[low == high][0]:%Y-%m-%d}; check the label's fields, or drop these days."
        )
