"""Of what a sample is made, as a net reads it: how many series, how long, and what stands at each step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from qlib_ext.errors import ConfigError


class Series(NamedTuple):
    """Steps in the order of time, and the shape of each: ``(fields,)``, or ``(rows, columns)`` of an image."""

    length: int
    step: tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """The series of a sample by name, in the order in which they lie in it.

    A single series is a tensor [samples, length, fields], or [samples, length, rows, columns] of images. Several lie
    one after the other: [samples, sum of lengths, fields] where all have the same fields, else all values in a row,
    [samples, values, 1]. relations: the names of those among the stocks, known when a net is built.
    """

    series: Mapping[str, Series]
    relations: tuple[str, ...] = ()

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Layout:
        """What ``plain`` gave."""
        series = {name: Series(length, tuple(step)) for name, (length, step) in plain["series"].items()}
        return cls(series, tuple(plain["relations"]))

    def plain(self) -> dict[str, Any]:
        """The layout as dicts and lists, for a file."""
        series = {name: [length, list(step)] for name, (length, step) in self.series.items()}
        return {"series": series, "relations": list(self.relations)}

    @property
    def values(self) -> int:
        """How many values a sample has."""
        return sum(length * math.prod(step) for length, step in self.series.values())

    @property
    def fields(self) -> int:
        """The fields of a sample's only series; raises ConfigError for images and for several series."""
        ((_, step), *others) = self.series.values()
        if len(step) == 1 and not others:
            return step[0]
        raise ConfigError(
            f"The net reads one series of fields, [samples, length, fields]; the handler's windows are {self}. Take "
            f"{'a net of images such as ResNetGRU' if len(step) == 2 else 'MultiTaskGRU'}, or another handler."
        )

    @property
    def image(self) -> tuple[int, int]:
        """Rows and columns of a sample's images; raises ConfigError where it has none."""
        ((_, step), *others) = self.series.values()
        if len(step) == 2 and not others:
            rows, columns = step
            return rows, columns
        raise ConfigError(
            f"The net reads images, [samples, length, rows, columns]; the handler's windows are {self}. Take "
            "handlers.week.Week or handlers.msnew.MsNew, or a net of fields such as GRU."
        )

    @property
    def sequences(self) -> dict[str, tuple[int, int]]:
        """Length and number of fields of each series; raises ConfigError for images."""
        if any(len(step) != 1 for _, step in self.series.values()):
            raise ConfigError(
                f"The net reads series of fields; the handler's windows are {self}. Take a net of images such as "
                "ResNetGRU, or another handler."
            )
        return {name: (length, math.prod(step)) for name, (length, step) in self.series.items()}

    def split(self, x: Tensor) -> list[Tensor]:
        """The series of samples: x [samples, ...] -> [samples, length, ...] each."""
        parts = x.flatten(1).split([length * math.prod(step) for length, step in self.series.values()], dim=1)
        shapes = [(length, *step) for length, step in self.series.values()]
        return [part.unflatten(1, shape) for part, shape in zip(parts, shapes, strict=True)]

    def fits(self, other: Layout) -> bool:
        """Whether a net made for one reads the series of the other: the length of a single one is free."""
        if len(self.series) == len(other.series) == 1:
            return [step for _, step in self.series.values()] == [step for _, step in other.series.values()]
        return dict(self.series) == dict(other.series)

    def __str__(self) -> str:
        parts = []
        for name, (length, step) in self.series.items():
            if len(step) == 2:
                parts.append(f"{length} images of {step[0]} rows x {step[1]} columns")
            else:
                parts.append(f"{name} {length} x {', '.join(map(str, step))}")
        return ", ".join(parts)
