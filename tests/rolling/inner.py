"""Inner models that are trained in no time; processes of a backend import them from here."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
from qlib.data.dataset.handler import DataHandlerLP
from qlib.model.base import Model


class Ridge(Model):
    """Least squares on the features, with weak factors: each feature times its coefficient.

    alpha: the penalty. log: a folder whose trained.txt gets a line for every training. seconds: how long a training
    takes at least. fail_from: the first day of a test window for which training fails; die_from: or the process
    dies, once where there is a log, else every time.
    """

    def __init__(self, alpha=1.0, seed=0, log=None, seconds=0.0, fail_from=None, die_from=None, **figures):
        self.alpha, self.seed, self.log, self.seconds = alpha, seed, log, seconds
        self.fail_from, self.die_from, self.figures = fail_from, die_from, figures
        self.coefficients = None

    def fit(self, dataset, evals_result=None):
        tested = f"{dataset.segments['test'][0]:%Y-%m-%d}"
        if tested == self.fail_from:
            raise KeyError("no such luck")
        if tested == self.die_from:
            self.die()
        x, y = self.rows(dataset, "train")
        self.coefficients = np.linalg.solve(x.T @ x + self.alpha * np.eye(x.shape[1]), x.T @ y)
        self.coefficients += 0.01 * np.random.default_rng(self.seed).standard_normal(x.shape[1])
        losses = {}
        for segment in ("train", "valid"):
            x, y = self.rows(dataset, segment)
            losses[segment] = {"mse@1": [float(np.mean(y**2)), float(np.mean((y - x @ self.coefficients) ** 2))]}
        evals_result |= losses | {"notes": ["no figure"]}
        time.sleep(self.seconds)
        if self.log is not None:
            with open(Path(self.log, "trained.txt"), "a") as file:
                file.write(f"{tested} {self.seed}\n")

    def die(self):
        mark = None if self.log is None else Path(self.log, "died")
        if mark is None or not mark.exists():
            if mark is not None:
                mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    @staticmethod
    def rows(dataset, segment):
        frame = dataset.prepare(segment, col_set=["feature", "label"], data_key=DataHandlerLP.DK_L).dropna()
        return frame["feature"].to_numpy(float), frame["label"].to_numpy(float)[:, 0]

    def predict(self, dataset, segment="test"):
        x = dataset.prepare(segment, col_set="feature", data_key=DataHandlerLP.DK_I)
        return pd.Series(x.to_numpy(float) @ self.coefficients, index=x.index)

    def weak_factors(self, dataset, segment="test"):
        x = dataset.prepare(segment, col_set="feature", data_key=DataHandlerLP.DK_I)
        return pd.DataFrame(x.to_numpy(float) * self.coefficients, index=x.index, columns=[*map(str, x.columns)])

    def scored(self, dataset, segment="test"):
        return self.predict(dataset, segment), self.weak_factors(dataset, segment)


class LastLabel(Model):
    """Scores every test day by the last label of validation: all that a label known too late could tell."""

    def fit(self, dataset):
        labels = dataset.prepare("valid", col_set="label", data_key=DataHandlerLP.DK_L).iloc[:, 0]
        self.last = labels.groupby(level="instrument").last()

    def predict(self, dataset, segment="test"):
        index = dataset.prepare(segment, col_set="feature", data_key=DataHandlerLP.DK_I).index
        return pd.Series(self.last.reindex(index.get_level_values("instrument")).to_numpy(), index=index)


class ProcessorReader(Model):
    """Weighs the features by the means that the first processor was fitted to: all that it could tell."""

    def fit(self, dataset):
        self.weights = np.asarray(dataset.handler.infer_processors[0].mean_train)

    def predict(self, dataset, segment="test"):
        x = dataset.prepare(segment, col_set="feature", data_key=DataHandlerLP.DK_I)
        return pd.Series(x.to_numpy() @ self.weights, index=x.index)


class Witness(Model):
    """Notes, in its class, what each segment gives to a model; scores are 0."""

    seen: list = []  # noqa: RUF012  one for all, to be read after the model is gone

    def fit(self, dataset):
        keys = (DataHandlerLP.DK_L, DataHandlerLP.DK_I)
        read = {(s, key): dataset.prepare(s, data_key=key) for s in ("train", "valid") for key in keys}
        self.seen.append((dict(dataset.segments), read))

    def predict(self, dataset, segment="test"):
        index = dataset.handler.fetch(slice(*dataset.segments[segment]), col_set="label").index
        return pd.Series(0.0, index=index)
