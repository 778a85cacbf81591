"""Trainings in processes of their own that are killed within an epoch, as a machine kills them."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
import torch

from qlib_ext.models.training import Trainer

# its processes are forked from one that has imported all there is to import and has no threads, unlike pytest's own
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["tests.killed", "tests.models.cases", "tests.rolling.conftest"])
SECONDS = 100


def kill_in_epoch(number: int, batches: int, train: Callable[..., Any], *of: Any) -> None:
    """Call ``train(*of)``, and kill its process after so many batches of the epoch of this number, counted from 1."""
    process = SERVER.Process(target=_train_until_killed, args=(number, batches, train, of))
    process.start()
    process.join(SECONDS)
    assert process.exitcode == -signal.SIGKILL, process.exitcode


def epochs_trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the epochs that are trained from now on."""
    seen: list[int] = []
    train_epoch = Trainer._train_epoch

    def noted(self, optimizer, train, days, epoch, name):
        seen.append(epoch)
        return train_epoch(self, optimizer, train, days, epoch, name)

    monkeypatch.setattr(Trainer, "_train_epoch", noted)
    return seen


def _train_until_killed(number: int, batches: int, train: Callable[..., Any], of: tuple) -> None:
    torch.set_num_threads(1)
    train_epoch, forward = Trainer._train_epoch, Trainer._forward
    epochs, seen = [0], [0]

    def counted(self, *args):
        epochs[0] += 1
        return train_epoch(self, *args)

    def until_killed(self, batch):
        if epochs[0] == number and self.net.training:
            if seen[0] == batches:
                os.kill(os.getpid(), signal.SIGKILL)
            seen[0] += 1
        return forward(self, batch)

    Trainer._train_epoch, Trainer._forward = counted, until_killed
    train(*of)
