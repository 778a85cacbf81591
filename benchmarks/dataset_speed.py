"""How fast and how large is our dataset beside Qlib's TSDataSampler? Prints one table.

Both get the same rows and fill holes by the same rule (forward, then backward); the values of their batches are
asserted equal before anything is timed. Everything compared is measured in one run, in turns, and a ratio is the
median of the ratios of the rounds, so that another job on the machine slows both sides alike.

Rows are random but of the size and shape of CSI300: 300 members a day out of 700 instruments over 2,900 days, a
rebalancing every half year that swaps 25 of them, suspensions of some days that leave holes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from statistics import median

import numpy as np
import pandas as pd
import torch
from qlib.data.dataset import TSDataSampler
from qlib.data.dataset.handler import DataHandlerLP
from qlib.data.dataset.loader import StaticDataLoader
from torch.utils.data import DataLoader

from benchmarks.measure import in_fresh_process, machine, peak_bytes, ratio, reset_peak, table, target, timed, times
from qlib_ext.data.batch import Samples
from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.data.panel import Panel
from qlib_ext.data.window import Window

DAYS, INSTRUMENTS, MEMBERS = 2_900, 700, 300
REBALANCE_DAYS, SWAPPED = 125, 25
SUSPENSION_RATE, SUSPENSION_DAYS = 0.002, 10
CHECKED_DAYS = 100  # days whose values are compared with the Zoo's, beside the first ones, whose windows are padded
SPEED_TARGETS = {20: 15.0, 158: 5.0}
MEMORY_TARGET = 1.6


def main() -> None:
    options = parse_arguments()
    torch.set_num_threads(options.threads)
    lines: list[tuple[str, ...]] = []
    for fields in options.fields:
        lines += speed(fields, options) + index_seconds(fields, options) + memory(fields, options)
    print(machine(torch.get_num_threads()), end="\n\n")
    print(table(("fields", "what", "ours", "Zoo", "ratio", "target"), lines))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.dataset_speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""what the lines of the table mean:
  windows per second   batches of one trading day in random order, as in training. Ours: Samples.batch. The Zoo's:
                       the same cross-section from TSDataSampler, by sampler[indices] and by a DataLoader that
                       collates single windows (num_workers=0); the table names the faster and counts that one.
                       Finding the indices of a day's cross-section is not charged to the Zoo.
  plain copy           torch's clone of as many contiguous bytes as the batch has, from a random place of the panel,
                       so from memory as cold as what our batch reads; the ratio is our speed over the copy's.
  index, seconds       Panel.from_frames and Samples, against TSDataSampler's constructor.
  peak memory          in a fresh process: the highest resident memory (VmHWM, reset just before) above what was
                       resident with the source frame loaded, over the bytes of the float32 values. It counts
                       numpy, torch and pandas alike, and temporaries as well as what stays. 'dataset' is the same
                       through CrossSectionDataset and a DataHandlerLP, whose fetch makes frames of its own.

examples:
  python -m benchmarks.dataset_speed                   both widths, some minutes
  python -m benchmarks.dataset_speed --fields 20 --rounds 15
""",
    )
    parser.add_argument("--fields", type=int, nargs="+", default=[20, 158], help="widths to measure (20 158)")
    parser.add_argument("--step-len", type=int, default=20, help="days of a window (20)")
    parser.add_argument("--rounds", type=int, default=9, help="timed rounds of windows (9)")
    parser.add_argument("--round-days", type=int, default=60, help="trading days a round, the same for all (60)")
    parser.add_argument("--index-rounds", type=int, default=5, help="timed rounds of building the index (5)")
    parser.add_argument("--threads", type=int, default=1, help="torch threads; 1 as the Zoo's num_workers=0 has (1)")
    parser.add_argument("--seed", type=int, default=0, help="seed of rows and of the order of days (0)")
    return parser.parse_args()


def speed(fields: int, options: argparse.Namespace) -> list[tuple[str, ...]]:
    """Windows per second, ours against the Zoo's and against a plain copy."""
    rows = synthetic_rows(fields, options.seed)
    panel, samples = build(rows)
    sampler = zoo_sampler(rows, options.step_len)
    positions = zoo_positions(sampler, samples)
    window, random = Window(options.step_len), np.random.default_rng(options.seed)

    def ours(days: np.ndarray) -> None:
        for day in days:
            samples.batch(day[None], window)

    def by_indices(days: np.ndarray) -> None:
        for day in days:
            torch.from_numpy(sampler[positions[day]])

    def by_loader(days: np.ndarray) -> None:
        for _ in DataLoader(sampler, batch_sampler=[positions[day] for day in days], num_workers=0):
            pass

    def copy(days: np.ndarray) -> None:
        sizes = np.diff(samples.bounds)[days] * options.step_len
        for size, start in zip(sizes, random.integers(0, len(panel.values) - sizes), strict=True):
            panel.values[start : start + size].clone()

    checked = np.append(np.arange(options.step_len + 5), random.choice(samples.n_days, CHECKED_DAYS, replace=False))
    assert_equal(samples, sampler, positions, window, checked)
    ways = {"ours": ours, "sampler[indices]": by_indices, "DataLoader": by_loader, "copy": copy}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    counts = []
    for number in range(-1, options.rounds):
        days = random.choice(samples.n_days, options.round_days, replace=False)
        for name in np.roll(list(ways), number):  # each goes first in its turn
            elapsed = timed(ways[name], days)
            if number >= 0:  # the round before the first warms up
                seconds[name].append(elapsed)
        if number >= 0:
            counts.append(np.diff(samples.bounds)[days].sum())

    zoo = min("sampler[indices]", "DataLoader", key=lambda name: median(seconds[name]))
    other = "DataLoader" if zoo == "sampler[indices]" else "sampler[indices]"
    rate = {name: f"{median(np.divide(counts, seconds[name])):,.0f}" for name in ways}
    shape = f"{len(rows):,} rows, {samples.n_days:,} days"
    return [
        (
            str(fields),
            f"windows per second ({shape}; the Zoo's faster way is `{zoo}`)",
            rate["ours"],
            rate[zoo],
            times(ratio(seconds[zoo], seconds["ours"])),
            target(SPEED_TARGETS.get(fields), ratio(seconds[zoo], seconds["ours"]), at_least=True),
        ),
        (str(fields), f"… the Zoo's other way, `{other}`", "", rate[other], "", ""),
        (
            str(fields),
            "… a plain copy of the same bytes; our speed over the copy's",
            rate["ours"],
            rate["copy"],
            times(ratio(seconds["copy"], seconds["ours"])),
            "",
        ),
    ]


def assert_equal(
    samples: Samples, sampler: TSDataSampler, positions: list[np.ndarray], window: Window, days: np.ndarray
) -> None:
    """The same windows and labels, bit for bit, by both of the Zoo's ways."""
    loader = DataLoader(sampler, batch_sampler=[positions[day] for day in days], num_workers=0)
    for day, collated in zip(days, loader, strict=True):
        batch = samples.batch(day[None], window)
        for theirs in (torch.from_numpy(sampler[positions[day]]), collated):
            assert torch.equal(batch.x, theirs[:, :, :-1]), f"windows differ on day {day}"
            assert torch.equal(batch.y, theirs[:, -1, -1]), f"labels differ on day {day}"


def index_seconds(fields: int, options: argparse.Namespace) -> list[tuple[str, ...]]:
    """Seconds from the rows to a dataset that can be read."""
    rows = synthetic_rows(fields, options.seed)
    ours: list[float] = []
    zoo: list[float] = []
    for number in range(options.index_rounds):
        own = rows.copy()  # the sampler empties the frame that it is given
        if number % 2:
            zoo.append(timed(zoo_sampler, own, options.step_len, False))
            ours.append(timed(build, rows))
        else:
            ours.append(timed(build, rows))
            zoo.append(timed(zoo_sampler, own, options.step_len, False))
    return [
        (
            str(fields),
            "index, seconds",
            f"{median(ours):.2f}",
            f"{median(zoo):.2f}",
            times(ratio(zoo, ours)),
            "",
        )
    ]


def memory(fields: int, options: argparse.Namespace) -> list[tuple[str, ...]]:
    """Peak of memory beyond the source frame, in float32 values."""
    ours, ours_dataset, zoo = (
        in_fresh_process(peak_of_building, name, fields, options) for name in ("panel", "dataset", "zoo")
    )
    text = "peak memory over the bytes of the float32 values"
    line = (f"{text}: panel + index", f"{ours:.2f}", f"{zoo:.2f}", times(zoo / ours))
    return [
        (str(fields), *line, target(MEMORY_TARGET, ours, at_least=False)),
        (str(fields), f"{text}: dataset", f"{ours_dataset:.2f}", "", "", ""),
    ]


def peak_of_building(what: str, fields: int, options: argparse.Namespace) -> float:
    """Build one of them from a loaded frame; the peak beyond that frame over the bytes of the values."""
    torch.set_num_threads(options.threads)
    BUILDERS[what](warm_up := synthetic_rows(2, days=40, instruments=20, members=10), options.step_len)()
    del warm_up  # imports that wait for the first use are done
    rows = synthetic_rows(fields, options.seed)
    step = BUILDERS[what](rows, options.step_len)
    size = len(rows) * fields * np.dtype(np.float32).itemsize
    del rows
    before = reset_peak()
    built = step()
    peak = peak_bytes() - before
    del built
    return peak / size


def builder_of_panel(rows: pd.DataFrame, step_len: int) -> Callable[[], object]:
    features, labels = rows["feature"], rows["label"]
    return lambda: build_from(features, labels)


def builder_of_dataset(rows: pd.DataFrame, step_len: int) -> Callable[[], object]:
    days = rows.index.unique("datetime")
    handler = DataHandlerLP(data_loader=StaticDataLoader(rows))
    dataset = CrossSectionDataset(handler, {"train": (days[0], days[-1])}, step_len=step_len, purge=0)
    return lambda: dataset.samples("train", learn=True)


def builder_of_zoo(rows: pd.DataFrame, step_len: int) -> Callable[[], object]:
    return lambda: zoo_sampler(rows, step_len, copy=False)


BUILDERS = {"panel": builder_of_panel, "dataset": builder_of_dataset, "zoo": builder_of_zoo}


def build(rows: pd.DataFrame) -> tuple[Panel, Samples]:
    return build_from(rows["feature"], rows["label"])


def build_from(features: pd.DataFrame, labels: pd.DataFrame) -> tuple[Panel, Samples]:
    panel = Panel.from_frames([features], labels)
    return panel, Samples(panel, labels.index)


def zoo_sampler(rows: pd.DataFrame, step_len: int, copy: bool = True) -> TSDataSampler:
    return TSDataSampler(rows.copy() if copy else rows, None, None, step_len=step_len, fillna_type="ffill+bfill")


def zoo_positions(sampler: TSDataSampler, samples: Samples) -> list[np.ndarray]:
    """Where the Zoo's sampler keeps each day's cross-section, in our order of instruments."""
    positions = sampler.get_index().get_indexer(samples.index)
    return np.split(positions, samples.bounds[1:-1])


def synthetic_rows(
    fields: int, seed: int = 0, days: int = DAYS, instruments: int = INSTRUMENTS, members: int = MEMBERS
) -> pd.DataFrame:
    """Rows of (feature, label) by (datetime, instrument), float32, of an index whose members change."""
    random = np.random.default_rng(seed)
    member = np.zeros((days, instruments), dtype=bool)
    now = random.permutation(instruments) < members
    for day in range(days):
        if day and day % REBALANCE_DAYS == 0:
            leave = random.choice(np.flatnonzero(now), min(SWAPPED, members // 4), replace=False)
            enter = random.choice(np.flatnonzero(~now), len(leave), replace=False)
            now[leave], now[enter] = False, True
        member[day] = now
    until = np.zeros(instruments)
    for day in range(days):
        halted = random.random(instruments) < SUSPENSION_RATE
        until = np.where(halted, day + random.geometric(1 / SUSPENSION_DAYS, instruments), until)
        member[day] &= until <= day
    day_of_row, instrument_of_row = member.nonzero()
    index = pd.MultiIndex(
        levels=[pd.bdate_range("2010-01-04", periods=days), [f"SH{600000 + i}" for i in range(instruments)]],
        codes=[day_of_row, instrument_of_row],
        names=["datetime", "instrument"],
    )
    values = np.empty((len(index), fields + 1), dtype=np.float32)
    random.standard_normal(dtype=np.float32, out=values)
    columns = [("feature", f"F{i}") for i in range(fields)] + [("label", "LABEL0")]
    return pd.DataFrame(values, index=index, columns=pd.MultiIndex.from_tuples(columns))


if __name__ == "__main__":
    main()
