"""What one sample looks like: how many trading days it sees, and how they are shaped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from qlib_ext.errors import WindowError


@dataclass(frozen=True)
class Window:
    """The past ``length`` trading days of a stock, ending at the day of the sample.

    ``shape`` turns a batch of plain windows ``[samples, length, fields]`` into what the net reads
    (images, bars of another frequency); it runs on the device of the batch. None leaves them as they are.
    """

    length: int
    shape: Callable[[Tensor], Tensor] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.length, int) or self.length < 1:
            raise WindowError(f"A window has at least one day; step_len is {self.length!r}.")
