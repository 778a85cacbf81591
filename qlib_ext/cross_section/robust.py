"""What tells outliers of a day from the rest, in numpy."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

SCALED_MAD = 1.4826  # times the median absolute deviation: the standard deviation, where values are normal
REACH = 3.0

Float = TypeVar("Float", bound=np.floating)


def median(values: NDArray[Float]) -> NDArray[Float]:
    """The median of what is not NaN along the last dimension, NaN where all is: ``[..., n] -> [..., 1]``.

    ``cross_section.standardise`` has the torch form. numpy's nanmedian is many times slower.
    """
    known = (~np.isnan(values)).sum(-1, keepdims=True)  # [..., 1]
    ordered = np.sort(values)  # NaN last
    lower, upper = (np.take_along_axis(ordered, at, axis=-1) for at in (np.maximum((known - 1) // 2, 0), known // 2))
    middle: NDArray[Float] = (lower + upper) / 2
    return middle
