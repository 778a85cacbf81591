"""Where a panel lies, and its batches one after the other on the device of the net."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from qlib.log import get_module_logger

from qlib_ext.data.batch import Batch, Samples
from qlib_ext.data.panel import Panel
from qlib_ext.data.window import Window

SHARE_FOR_PANEL = 0.6  # of a GPU's free memory; the rest is for the steps, which need 0.7 to 1.5 GB at 5,000 stocks
GB = 1e9

logger = get_module_logger("qlib_ext.gather")


def free_bytes(device: torch.device) -> float:
    """What a GPU has free; without a limit for the host, where the panel lies anyway."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else float("inf")


def home_of(panel: Panel, device: torch.device) -> torch.device:
    """The device on which a panel is to lie for a net on this one: the same, or the host where it would not fit."""
    free = free_bytes(device)
    if panel.nbytes <= SHARE_FOR_PANEL * free:
        return device
    logger.info(
        f"The data set of {panel.nbytes / GB:.1f} GB stays in the host's memory, for {device} has {free / GB:.1f} GB "
        "free: each step's days are gathered while the last step runs."
    )
    return torch.device("cpu")


def batches(samples: Samples, steps: Iterable[np.ndarray], window: Window, device: torch.device) -> Iterator[Batch]:
    """The batch of each step's days, on the device.

    A panel that lies elsewhere is read by a thread one step ahead, and its batches are copied through pinned memory,
    which a GPU need not be waited for. The batches are the same to the bit.
    """
    if not samples.panel.away_from(device):
        yield from (samples.batch(days, window) for days in steps)
        return

    def gathered(days: np.ndarray) -> Batch:
        return samples.batch(days, window).to(device)

    with ThreadPoolExecutor(1) as ahead:
        following = None
        for days in steps:
            current, following = following, ahead.submit(gathered, days)
            if current is not None:
                yield current.result()
        if following is not None:
            yield following.result()
