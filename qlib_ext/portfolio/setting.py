"""How a portfolio is to be made, as a YAML says it: index, constraints, objective, when, and what gives way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qlib_ext.errors import ConfigError
from qlib_ext.keywords import check_type, check_types, keywords_of, refuse_unknown
from qlib_ext.portfolio.block import Constraint
from qlib_ext.portfolio.constraints import CONSTRAINTS, TrackingError
from qlib_ext.portfolio.objective import Objective

HORIZONS = {"day": 1, "week": 5, "month": 21}  # trading days
ORDER = ("turnover", "members", "industries", "styles", "tracking_error")  # in which constraints give way


@dataclass(frozen=True)
class Benchmark:
    """The index: the instrument of its bars, its instruments file, and its weights as in ``index_weights``."""

    index: str
    members: str
    weights: str | None = None


@dataclass(frozen=True)
class Setting:
    """All that makes a portfolio of a score; ``setting_of`` makes it of a YAML."""

    benchmark: Benchmark
    constraints: tuple[Constraint, ...]
    objective: Objective
    rebalance: str
    relax: tuple[str, ...]


def setting_of(
    benchmark: Mapping[str, Any] | None,
    constraints: Sequence[Mapping[str, Any] | Constraint],
    objective: Mapping[str, Any] | None = None,
    rebalance: str = "week",
    relax: Sequence[str] | None = None,
) -> Setting:
    """The setting that a YAML describes.

    benchmark    {index: SH000905, members: csi500, weights: implied}
    constraints  {class: Styles, kwargs: {limit: 0.5}}, of ``qlib_ext.portfolio.constraints`` or of a module_path
    objective    options of ``Objective``; its horizon is that of rebalance unless it says so
    rebalance    "day", "week" or "month": on the first trading day of each
    relax        names of constraints in the order in which they give way; None: turnover, members, industries, styles,
                 tracking_error

    Raises ConfigError for whatever of it makes no sense, with the nearest name for one that is misspelt.
    """
    if not benchmark:
        raise ConfigError("There is no benchmark to enhance; write benchmark: {index: SH000905, members: csi500}.")
    refuse_unknown(benchmark, keywords_of(Benchmark), "The benchmark")
    if missing := [name for name in ("index", "members") if not benchmark.get(name)]:
        raise ConfigError(f"The benchmark has no {missing[0]}; write {{index: SH000905, members: csi500}}.")
    check_types(Benchmark, benchmark)
    refuse_unknown([rebalance], HORIZONS, "rebalance")
    made = tuple(constraint_of(each) for each in constraints)
    names = [constraint.name for constraint in made]
    if names.count(TrackingError.name) > 1:
        raise ConfigError(f"There are {names.count(TrackingError.name)} constraints of the tracking error; keep one.")
    check_type("relax", relax, Sequence[str] | None)
    order = tuple(name for name in ORDER if name in names) if relax is None else tuple(relax)
    refuse_unknown(order, names, "relax, with these constraints,")
    if twice := [name for name in order if order.count(name) > 1]:
        raise ConfigError(f"relax names {twice[0]} twice.")
    given = {"horizon_days": HORIZONS[rebalance]} | dict(objective or {})
    refuse_unknown(given, keywords_of(Objective), "objective")
    return Setting(Benchmark(**benchmark), made, Objective(**given), rebalance, order)


def constraint_of(config: Mapping[str, Any] | Constraint) -> Constraint:
    """The constraint of a dict of Qlib's form, or the constraint itself."""
    if isinstance(config, Constraint):
        return config
    check_type("A constraint", config, Mapping)
    refuse_unknown(config, ["class", "module_path", "kwargs"], "A constraint")
    name, kwargs = config.get("class"), config.get("kwargs") or {}
    if "module_path" in config:
        klass = getattr(import_module(config["module_path"]), str(name), None)
        if not (isinstance(klass, type) and issubclass(klass, Constraint)):
            raise ConfigError(f"{name} of {config['module_path']} is no constraint; make it a subclass of Constraint.")
    else:
        refuse_unknown([str(name)], CONSTRAINTS, "The list of constraints")
        klass = CONSTRAINTS[str(name)]
    takes_any = klass is CONSTRAINTS["Styles"]  # limits by style, whose names the risk model has
    if not takes_any:
        refuse_unknown(kwargs, keywords_of(klass), klass.__name__)
    try:
        made: Constraint = klass(**kwargs)
    except TypeError as error:
        raise ConfigError(f"{klass.__name__} cannot be made of {dict(kwargs)}: {error}.") from error
    return made


def rebalancing_days(days: pd.DatetimeIndex, rebalance: str) -> NDArray[np.bool_]:
    """Which of some days, all trading days of their span, are the first of a day, an ISO week or a month.

    The first day counts as one, since nothing is held before it.
    """
    if rebalance == "day":
        return np.ones(len(days), dtype=bool)
    periods = days.to_period("W-SUN" if rebalance == "week" else "M")
    first = np.ones(len(days), dtype=bool)
    first[1:] = periods[1:] != periods[:-1]
    return first
