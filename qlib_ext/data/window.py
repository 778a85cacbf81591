"""What one sample looks like: how many trading days it sees, and how they are shaped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from qlib_ext.errors import ConfigError


@dataclass(frozen=True)
class Window:
    """The past ``length`` trading days of a stock, ending at the day of the sample.

    ``shape`` turns a batch of plain windows ``[samples, length, fields]`` into what the net reads
    (images, bars of another frequency); it runs on the device of the batch. None leaves them as they are.
    ``standardise`` sets the shaped windows of a day against each other, see `cross_section.standardise`: over all
    members of the day, whether they have a label or not, since who has one is known only later. A day that a stock
    has no row of is then missing like a NaN and becomes 0; without it such a day takes the row before it.
    ``multiple``: of how many days the length must be a multiple. Raises ConfigError where it is not.
    """

    length: int
    shape: Callable[[Tensor], Tensor] | None = None
    standardise: bool = False
    multiple: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.length, int) or self.length < 1:
            raise ConfigError(f"A window has at least one day; step_len is {self.length!r}.")
        if self.length % self.multiple:
            raise ConfigError(
                f"This window is cut every {self.multiple} days; step_len {self.length} is no multiple of that."
            )
