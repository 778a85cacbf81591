"""``qlib-ext ticks build``: partitions of trades, orders and minute bars -> fields of a Qlib provider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from tqdm.auto import tqdm

from qlib_ext.errors import ConfigError, DataError, ProviderError
from qlib_ext.provider.check import check_provider
from qlib_ext.provider.fields import write_field
from qlib_ext.provider.names import instruments_with_features, instruments_with_field
from qlib_ext.system.backends import backend_of, run_jobs
from qlib_ext.ticks.day import Day, build_day
from qlib_ext.ticks.factors import BUILT, FAMILIES, FLOWS
from qlib_ext.ticks.partitions import check_footers, days_in
from qlib_ext.ticks.results import Results, instruments_of, save, values_of
from qlib_ext.ticks.schema import SCHEMAS

# one of them suffices
NEEDED = {"minute": ("minute", "trades"), "trades": ("trades",), "orders": ("orders",), FLOWS: ("trades",)}


@dataclass(frozen=True)
class Built:
    """What a run did: days computed and days kept from runs before, fields, files changed, instruments left out."""

    computed: int
    kept: int
    fields: int
    changed: int
    left_out: list[str]


def build(
    out: str | Path,
    folders: dict[str, str | Path],
    families: Sequence[str] | None = None,
    start: str | None = None,
    end: str | None = None,
    big: float = 1.0,
    backend: str = "loky",
    n_jobs: int = 1,
    skip_unknown: bool = False,
) -> Built:
    """Compute the factors of each day and write them into a provider, as fields ``$hf_<name>``, flows as ``$flow_...``.

    out            a Qlib provider whose calendar has the days
    folders        source (trades, orders, minute) -> folder of its partitions
    families       of factors (minute, trades, orders), and flows; None: all factors that the sources suffice for
    start, end     the first and the last day, ("2023-02-01"); None: as far as there are partitions
    big            an order is big above the mean + ``big`` standard deviations of the logarithm of amounts
    n_jobs         days at the same time
    skip_unknown   leave instruments out that the provider does not have; otherwise they are an error

    Finished days are kept beside the provider, in ``<out>.ticks``, and not computed again while their files, the
    parameters and the code are the same. The values replace those of the same days; all other days stay.

    Raises ConfigError for families that the sources do not suffice for, DataError for partitions that cannot be
    used, ProviderError for a provider that cannot take them, OutputError where the disk refuses, WorkerError where a
    worker dies.
    """
    workers = backend_of(backend)
    start, end = (day and pd.Timestamp(day).strftime("%Y-%m-%d") for day in (start, end))
    provider = Path(out).expanduser().absolute()
    calendar = {f"{day:%Y-%m-%d}": position for position, day in enumerate(check_provider(provider))}
    jobs = day_jobs(folders, select_families(families, folders), start, end, big)
    if outside := [job.day for job in jobs if job.day not in calendar]:
        raise ProviderError(
            f"{len(outside)} of {len(jobs)} days are not in the calendar of {provider}, first {outside[0]}: bring the "
            "provider up to date, or choose days by --start and --end."
        )
    results = Results(provider)
    instruments = ProviderInstruments(provider, skip_unknown)
    with results.locked():
        paths = {job.day: results.path(job) for job in jobs}
        left = unfinished_jobs(jobs, paths, instruments)
        with tqdm(total=len(jobs), initial=len(jobs) - len(left), desc="days", unit="day", disable=None) as progress:
            for job, factors in run_jobs(workers, build_day, None, left, n_jobs) if left else ():
                save(paths[job.day], factors)
                instruments.add(job.day, factors["instrument"].to_list())
                progress.update()
                progress.set_postfix_str(f"{job.day}: {len(factors)} instruments")
        names = [name for family in jobs[0].families for name in BUILT[family]]
        positions = [calendar[job.day] for job in jobs]
        changed = sum(
            write_factor(provider, name, positions, list(paths.values()), instruments.taken)
            for name in tqdm(names, desc="fields", unit="field", disable=None)
        )
    return Built(len(left), len(jobs) - len(left), len(names), changed, sorted(instruments.left_out))


def unfinished_jobs(jobs: list[Day], paths: dict[str, Path], instruments: ProviderInstruments) -> list[Day]:
    """The days without a result, whose files can be read; the instruments of the others are taken."""
    left = []
    for job in jobs:
        if (symbols := instruments_of(paths[job.day])) is None:
            left.append(job)
        else:
            instruments.add(job.day, symbols)
    for job in left:
        for source, files in job.files.items():
            check_footers(files, SCHEMAS[source], source, job.day)
    return left


def write_factor(provider: Path, name: str, positions: list[int], results: list[Path], instruments: set[str]) -> int:
    """Write one factor of all days; an instrument that has the field already gets NaN on days that do not know it."""
    field = name if name in BUILT[FLOWS] else f"hf_{name}"
    values = values_of(results, name, instruments | instruments_with_field(provider, field))
    return write_field(provider, field, positions, values)


def select_families(families: Sequence[str] | None, folders: dict[str, str | Path]) -> tuple[str, ...]:
    """The families of factors, in BUILT's order; raises ConfigError where the sources do not suffice for them."""
    possible = [family for family in BUILT if set(NEEDED[family]) & set(folders)]
    if not possible:
        raise ConfigError("There is nothing to build from: name a folder of trades, orders or minute bars.")
    for family in families or ():
        if family not in BUILT:
            raise ConfigError(f"{family!r} is no family of factors; there are {', '.join(BUILT)}.")
        if family not in possible:
            raise ConfigError(f"The family {family} needs {' or '.join(f'--{source}' for source in NEEDED[family])}.")
    wanted = families or [family for family in possible if family in FAMILIES]
    return tuple(family for family in BUILT if family in wanted)


def day_jobs(
    folders: dict[str, str | Path], families: tuple[str, ...], start: str | None, end: str | None, big: float
) -> list[Day]:
    """A job for each day; raises DataError where a source lacks a day that another one has."""
    asked = {NEEDED[family][0] if NEEDED[family][0] in folders else NEEDED[family][-1] for family in families}
    sources = {source: days_in(folders[source], source) for source in SCHEMAS if source in asked}
    first, last = start or "", end or "9999-12-31"
    days = sorted({day for found in sources.values() for day in found if first <= day <= last})
    if not days:
        there = ", ".join(f"{source} {min(found)} to {max(found)}" for source, found in sources.items())
        raise DataError(
            f"No partition lies in the days asked for, {start or 'the first'} to {end or 'the last'}; {there}."
        )
    for source, found in sources.items():
        if missing := [day for day in days if day not in found]:
            raise DataError(
                f"{source} lack {len(missing)} of {len(days)} days that the other inputs have, first {missing[0]}: add "
                "them, or choose days by --start and --end."
            )
    return [Day(day, {source: found[day] for source, found in sources.items()}, families, big) for day in days]


class ProviderInstruments:
    """The instruments that are written, and those that the provider does not have."""

    def __init__(self, provider: Path, skip_unknown: bool) -> None:
        self.provider, self.known, self.skip = provider, instruments_with_features(provider), skip_unknown
        self.taken: set[str] = set()
        self.left_out: set[str] = set()

    def add(self, day: str, symbols: list[str]) -> None:
        """Take those of a day; raises ProviderError for one that the provider lacks, unless it may be skipped."""
        unknown = sorted(set(symbols) - self.known)
        if unknown and not self.skip:
            raise ProviderError(
                f"{len(unknown)} of {len(symbols)} instruments of {day} are unknown to {self.provider}, "
                f"first {unknown[0]}: bring the provider up to date, or leave them out by --skip-unknown; finished "
                "days are kept."
            )
        self.left_out.update(unknown)
        self.taken.update(symbol for symbol in symbols if symbol in self.known)
