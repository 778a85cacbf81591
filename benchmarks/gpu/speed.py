"""Part 2: training and prediction beside the Model Zoo's classes, and where the Zoo's attention runs out of memory."""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from statistics import median

import pandas as pd
import torch
from qlib.contrib.model.pytorch_gats_ts import GATModel

from benchmarks.gpu.results import NO_CUDA, main_of, record
from benchmarks.measure import ratio
from benchmarks.train_speed import NET, NETS, STEP_LEN, Side, data, days_of, in_turns, sides_of
from qlib_ext.data.batch import Batch
from qlib_ext.data.window import Window
from qlib_ext.models.gats import GATs

FIELDS = 20
STOCKS = {False: (300, 3_000, 5_000), True: (12,)}
ROUNDS = {False: 3, True: 1}
SEARCH = {False: (3_000, 100_000), True: (16, 32)}  # stocks: the first tried, and where the search ends
GROWTH = 1.25
OUT_OF_MEMORY = "out of memory"


def speed(options: argparse.Namespace) -> None:
    """Each net at each width, then the search; it takes a few seconds."""
    deadline = time.monotonic() + options.seconds
    for stocks in STOCKS[options.small]:
        handler, segments = data(stocks, FIELDS, seed=0)
        for name in NETS[: 1 if options.small else None]:
            sides = sides_of(name, handler, segments, FIELDS)
            without = out_of_memory(sides["zoo"])
            if without:
                del sides["zoo"]
            for what, days in zip(("epoch", "predict"), days_of(stocks)[::2], strict=True):
                seconds = in_turns(sides, what, ROUNDS[options.small])
                figures: dict[str, object] = {"net": name, "stocks a day": stocks, "what": f"{what}, {days} days"}
                figures |= {"Zoo, seconds": OUT_OF_MEMORY if without else median(seconds["zoo"])}
                figures |= {"ours, seconds": median(seconds["ours"]), "bfloat16, seconds": median(seconds["bfloat16"])}
                if not without:
                    figures |= {f"Zoo / {side}": ratio(seconds["zoo"], seconds[side]) for side in ("ours", "bfloat16")}
                record(options.out, "speed", **figures)
    if time.monotonic() < deadline:
        search_memory(options)


def out_of_memory(side: Side) -> bool:
    """Whether an epoch of this side does not fit the device."""
    try:
        side.epoch()
    except torch.OutOfMemoryError:
        return True
    finally:
        gc.collect()
        torch.cuda.empty_cache()
    return False


def search_memory(options: argparse.Namespace) -> None:
    """A step of the Zoo's graph attention and one of ours, with a quarter more stocks each time."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    stocks, last = SEARCH[options.small]
    peak: float | str = ""
    while peak != OUT_OF_MEMORY and stocks <= last:
        peak = peak_of(lambda stocks=stocks: zoo_step(stocks, device))
        ours = peak_of(lambda stocks=stocks: our_step(stocks, device))
        record(options.out, "zoo_memory", **{"stocks a day": stocks, "Zoo, peak GB": peak, "ours, peak GB": ours})
        stocks = int(stocks * GROWTH)


def peak_of(step: Callable[[], None]) -> float | str:
    """The most GB that the device held during a step, or why that is not known."""
    cuda = torch.cuda.is_available()
    try:
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        step()
        return torch.cuda.max_memory_allocated() / 1e9 if cuda else NO_CUDA
    except torch.OutOfMemoryError:
        return OUT_OF_MEMORY
    finally:
        gc.collect()
        torch.cuda.empty_cache()


def zoo_step(stocks: int, device: torch.device) -> None:
    sizes = {name: NET[name] for name in ("hidden_size", "num_layers")}
    net = GATModel(d_feat=FIELDS, base_model="LSTM", **sizes).to(device)
    net(torch.randn(stocks, STEP_LEN, FIELDS, device=device)).square().mean().backward()


def our_step(stocks: int, device: torch.device) -> None:
    sizes = {name: NET[name] for name in ("hidden_size", "num_layers")}
    net = GATs(base_model="LSTM", **sizes).build(Window(STEP_LEN).layout(FIELDS), pd.Index([])).to(device)
    x, place = torch.randn(stocks, STEP_LEN, FIELDS, device=device), torch.arange(stocks, device=device)
    mask = torch.ones(1, stocks, dtype=torch.bool, device=device)
    batch = Batch(x, torch.zeros(stocks, 1, device=device), torch.zeros_like(place), place, None, mask)
    net(batch).score.square().mean().backward()


if __name__ == "__main__":
    main_of(speed)
