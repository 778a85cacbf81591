"""What one sample looks like: how many trading days it sees, how they are shaped, and of what it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from qlib_ext.data.layout import Layout, Series
from qlib_ext.errors import ConfigError


@dataclass(frozen=True)
class Window:
    """The past ``length`` trading days of a stock, ending at the day of the sample.

    ``shape`` turns a batch of plain windows ``[samples, length, fields]`` into what the net reads
    (images, bars of another frequency); it runs on the device of the batch. None leaves them as they are.
    ``standardise`` sets the shaped windows of a day against each other, see ``cross_section.standardise``: over all
    members of the day, whether they have a label or not, since who has one is known only later. A day that a stock
    has no row of is then missing like a NaN and becomes 0; without it such a day takes the row before it.
    ``percentiles``: the last so many values of a shaped window become percentiles among the members in place of that,
    see ``cross_section.percentiles``.
    ``unscaled``: the last so many fields of each of its days stay as they are, those that are missing become 0.
    ``multiple``: of how many days the length must be a multiple. ``series``: those that ``shape`` puts one after the
    other, by name; None where it makes one series. Raises ConfigError for a length that is none, or no such multiple,
    and for percentiles or unscaled fields without ``standardise``.
    """

    length: int
    shape: Callable[[Tensor], Tensor] | None = None
    standardise: bool = False
    multiple: int = 1
    series: Mapping[str, Series] | None = None
    percentiles: int = 0
    unscaled: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.length, int) or self.length < 1:
            raise ConfigError(f"A window has at least one day; step_len is {self.length!r}.")
        if self.length % self.multiple:
            raise ConfigError(
                f"This window is cut every {self.multiple} days; step_len {self.length} is no multiple of that."
            )
        if (self.percentiles or self.unscaled) and not self.standardise:
            raise ConfigError("percentiles and unscaled are of a window that is standardised: let standardise be True.")

    def layout(self, fields: int) -> Layout:
        """Of what a sample is made where a day has so many fields; raises ConfigError where shape and series differ."""
        x = torch.zeros(1, self.length, fields)
        x = x if self.shape is None else self.shape(x)  # [1, ...]
        if self.series is None:
            return Layout({"window": Series(x.shape[1], tuple(x.shape[2:]))})
        layout = Layout(self.series)
        if layout.values != x.numel():
            raise ConfigError(
                f"The series {layout} of a window hold {layout.values} values, but its shape makes {x.numel()} of "
                f"{self.length} days of {fields} fields; correct one of the two."
            )
        return layout
