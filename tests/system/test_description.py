"""Objects that are described whole: alike only where they compute alike."""

from __future__ import annotations

import threading

import numpy as np
import polars as pl
import pytest
import torch

from qlib_ext.system.description import Description, Undescribed


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


class Named(np.ndarray):
    """An array with attributes."""


class Fitted:
    def __init__(self, value, **others):
        self._value = value
        vars(self).update(others)


def named(value) -> Named:
    array = np.full(3, value).view(Named)
    array.name = "same"
    return array


def net(value) -> torch.nn.Module:
    layer = torch.nn.Linear(2, 1)
    torch.nn.init.constant_(layer.weight, value)
    torch.nn.init.zeros_(layer.bias)
    return layer


MADE = {
    "private": Fitted,
    "slots": Slotted,
    "within another": lambda value: Fitted([{"a": Slotted(value)}]),
    "an array's class": named,
    "the middle of a long array": lambda value: np.r_[np.zeros(5000), value, np.zeros(5000)],
    "a net": net,
    "a method": lambda value: Slotted(value).__reduce_ex__,
}


@pytest.mark.parametrize("what", MADE)
def test_what_is_described_alike_is_alike(what):
    first, again, other = (Description(whole=True).of(MADE[what](value)) for value in (1.0, 1.0, 2.0))
    assert first == again != other


class Local:
    """Given the name that a class of a function has."""

    __qualname__ = "function.<locals>.Local"


UNTOLD = {
    "a lock": threading.Lock,
    "a class of a function": Local,
    "a generator": lambda: (x for x in "ab"),
    "a table of polars": lambda: pl.DataFrame({"a": [1.0]}),
}


@pytest.mark.parametrize("what", UNTOLD)
def test_what_cannot_be_told_from_others_is_undescribed(what):
    thing = UNTOLD[what]()
    with pytest.raises(Undescribed):
        Description(whole=True).of([Fitted(thing)])
