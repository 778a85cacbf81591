"""The search: two evolutions side by side, of the labels and of shuffled ones, saved after every generation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from qlib_ext.errors import ConfigError, WorkerError
from qlib_ext.expressions.reach import horizon_of
from qlib_ext.search.choice import Chosen, forward
from qlib_ext.search.evaluation import Ground, Measured, unit_ranks
from qlib_ext.search.evolution import Evolution, Map, Plan, Work, ground_of
from qlib_ext.search.grammar import DEFAULT_FIELDS, LAGS, LONGEST, OPERATORS, WINDOWS, Grammar
from qlib_ext.search.market import Days, known_fields, read_market
from qlib_ext.search.pool import Factor, Rules
from qlib_ext.search.state import CONTROL, LOCK, SEARCH, Progress, StateFolder
from qlib_ext.search.statistics import bar_of, shuffled_within_days
from qlib_ext.system.backends import backend_of
from qlib_ext.system.description import Description
from qlib_ext.system.locks import locked

LABEL = "Ref($vwap, -11)/Ref($vwap, -1) - 1"  # that of ``handlers.bars``
CONTROL_EVERY = 4  # generations of the search to one of the control


@dataclass(frozen=True)
class Settings:
    """What is searched for, in what; two runs of the same settings and data find the same.

    train, valid  first and last day
    fields        without $; () those of ``DEFAULT_FIELDS`` that the provider has
    size          expressions of a generation
    most          factors that are chosen in the end, at most
    turnover      of a chosen factor, at most: 1 - the rank correlation with itself five days before
    """

    train: Days
    valid: Days
    universe: str = "all"
    label: str = LABEL
    fields: tuple[str, ...] = ()
    operators: tuple[str, ...] = tuple(OPERATORS)
    windows: tuple[int, ...] = WINDOWS
    lags: tuple[int, ...] = LAGS
    seed: int = 0
    size: int = 1000
    measured: int = 20
    most: int = 48
    turnover: float = 1.0
    rules: Rules = field(default_factory=Rules)


@dataclass(frozen=True)
class Limits:
    """When a run ends, seconds of all runs counted, and where it runs."""

    minutes: float | None = None
    generations: int | None = None
    n_jobs: int = 1
    backend: str = "loky"


@dataclass(frozen=True)
class Found:
    """What a search found.

    days      of the training and of the validation
    labels    [days of the validation, stocks] unit ranks
    bar       of t, by all that was tried
    pool      the factors above it; control: those that the shuffled labels gave
    chosen    of the pool; measured: on all stocks and days, ranks on those of the validation
    """

    days: pd.DatetimeIndex
    labels: np.ndarray
    progress: Progress
    bar: float
    pool: list[Factor]
    control: list[Factor]
    chosen: list[Chosen]
    measured: list[Measured]


class Search:
    """A search of a provider, which Qlib is initialised with, kept in a folder.

    Raises, before anything is searched, what ``Grammar``, ``read_market`` and ``StateFolder.open`` raise.
    """

    def __init__(self, settings: Settings, folder: str | Path, overwrite: bool = False) -> None:
        self.settings, self.state = settings, StateFolder(folder)
        self.grammar = Grammar(
            settings.fields or tuple(known_fields(DEFAULT_FIELDS, settings.universe)),
            settings.operators,
            settings.windows,
            settings.lags,
        )
        self.market = read_market(
            self.grammar.fields, settings.label, settings.universe, settings.train, settings.valid, LONGEST
        )
        with self._locked():
            self.state.open(self._about(), overwrite)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        busy = WorkerError(f"Another process searches in {self.state.folder}. Wait for it, or name another --state.")
        with locked(self.state.folder / LOCK, busy):
            yield

    def _about(self) -> dict[str, Any]:
        """What must be the same for a run to go on; the data by its content, of which later days are no part.

        The same code as well: other kernels may change the last bit of a value, and with it which expression is bred.
        """
        digest = blake2b(self.market.bars.values.tobytes(), digest_size=16)
        digest.update(self.market.labels.tobytes())
        about = asdict(self.settings) | {"fields": self.grammar.fields}
        for name in ("most", "turnover"):  # which matter in the end alone
            about.pop(name)
        tuples = {name: [*value] for name, value in about.items() if isinstance(value, tuple)}
        return about | tuples | {"data": digest.hexdigest(), "code": code_hash()}

    def run(self, limits: Limits, report: Callable[[Progress, dict[str, Evolution]], None] | None = None) -> Found:
        """Search until a limit is reached, from where the folder stands; ``report`` hears of each generation.

        A run that is stopped, or that a full disk stops (OutputError), goes on after its last whole generation.
        """
        if limits.minutes is None and limits.generations is None:
            raise ConfigError("Give minutes or generations: a search has no end of its own.")
        backend = backend_of("serial" if limits.n_jobs == 1 and limits.backend == "loky" else limits.backend)
        ground = self._ground()
        with self._locked(), backend(ground, limits.n_jobs, 0.0) as run:

            def map_chunks(work: Work, jobs: Sequence[Any]) -> list[Any]:
                return list(run(work, jobs))

            evolutions = self._evolutions(ground)
            progress = self.state.resume(evolutions, map_chunks)
            while not self._is_over(progress, limits) and self._advance(evolutions, progress, map_chunks):
                if report is not None:
                    report(progress, evolutions)
            return self._found(evolutions, progress, map_chunks)

    def _ground(self) -> Ground:
        shuffled = shuffled_within_days(self.market.labels, self.settings.seed)
        return ground_of(self.market, {SEARCH: self.market.labels, CONTROL: shuffled}, self.settings.seed)

    def _evolutions(self, ground: Ground) -> dict[str, Evolution]:
        own = self.settings
        plan = Plan(self.grammar, own.rules, horizon_of(own.label), own.seed, own.size, own.measured)
        return {name: Evolution(ground, name, plan) for name in (SEARCH, CONTROL)}

    def _is_over(self, progress: Progress, limits: Limits) -> bool:
        late = limits.minutes is not None and progress.seconds >= 60 * limits.minutes
        return late or (limits.generations is not None and len(progress.history[SEARCH]) >= limits.generations)

    def _advance(self, evolutions: dict[str, Evolution], progress: Progress, map_chunks: Map) -> bool:
        """One more generation, of the control where it is behind its share; False where there is no expression left."""
        behind = CONTROL_EVERY * evolutions[CONTROL].done < evolutions[SEARCH].done
        name = CONTROL if behind else SEARCH
        evolution, begin = evolutions[name], time.monotonic()
        generation = evolution.step(map_chunks)
        if generation is None:
            return False
        progress.seconds += time.monotonic() - begin
        best = np.nanmax(generation.icir) if np.isfinite(generation.icir).any() else np.nan
        progress.history[name].append(
            {
                "tried": len(generation.nodes),
                "outcomes": dict(generation.outcomes),
                "pool": len(evolution.pool.factors),
                "best": float(best),
            }
        )
        self.state.save(name, generation, progress, evolutions)
        return True

    def _found(self, evolutions: dict[str, Evolution], progress: Progress, map_chunks: Map) -> Found:
        """Hold the pools against the bar of all that was tried, and choose."""
        passed = {}
        for name, evolution in evolutions.items():
            bar = bar_of(progress.tried(name), self.settings.rules.margin)
            passed[name] = [own for own in evolution.pool.factors if min(abs(own.t), abs(own.residual_t)) > bar]
        bar = bar_of(progress.tried(SEARCH), self.settings.rules.margin)
        pool = [own for own in passed[SEARCH] if own.turnover <= self.settings.turnover]
        chosen, kept, labels = choose(evolutions[SEARCH], pool, self.settings.most, map_chunks)
        days = self.market.days[evolutions[SEARCH].ground.days]
        return Found(days, labels, progress, bar, passed[SEARCH], passed[CONTROL], chosen, kept)


@cache
def code_hash() -> str:
    """Of the modules that a search imports, and of the versions of the packages that these import."""
    return str(joblib.hash(Description().sources(__name__)))


def choose(
    evolution: Evolution, pool: Sequence[Factor], most: int, map_chunks: Map
) -> tuple[list[Chosen], list[Measured], np.ndarray]:
    """The factors of a pool that are kept, what all days say of them, and the validation's labels as unit ranks."""
    train, days = evolution.ground.train, len(evolution.ground.days)
    measured = evolution.measured([own.node for own in pool], map_chunks, np.arange(train, days))
    labels, signs = unit_ranks(evolution.ranks[train:]), [float(np.sign(own.icir)) for own in pool]
    order = forward([own.ranks for own in measured], labels, signs, most)
    chosen = [Chosen(f"SEARCH{number:02d}", pool[place], gain) for number, (place, gain) in enumerate(order, 1)]
    return chosen, [measured[place] for place, _ in order], labels
