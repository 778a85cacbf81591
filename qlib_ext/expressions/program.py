"""Qlib's expressions over the bars of one stock: each subexpression once, all windows of a statistic in one pass.

The numbers are those of Qlib's operators: elementwise in the order and the precision in which Qlib computes,
rolling statistics in float64 over windows that are shorter at the start, NaN passed over. Only what Qlib's sliding
sums carry along from rows that have left the window is not copied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from typing import Any

import numpy as np
from qlib.data import ops
from qlib.data.base import Expression, Feature

from qlib_ext.expressions import kernels, order
from qlib_ext.expressions.operators import Cut, cut


def lowest(values: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """The minimum and its place, as ```order.highest``` has the maximum."""
    found = order.highest(-values, windows)
    np.negative(found[0], out=found[0])
    return found


ELEMENTWISE: dict[type, Callable] = {
    ops.Add: np.add,
    ops.Sub: np.subtract,
    ops.Mul: np.multiply,
    ops.Div: np.divide,
    ops.Greater: np.maximum,
    ops.Less: np.minimum,
    ops.Abs: np.abs,
    ops.Log: np.log,
    ops.Gt: np.greater,
    ops.Ge: np.greater_equal,
    ops.Lt: np.less,
    ops.Le: np.less_equal,
}
COMPARISONS = (ops.Gt, ops.Ge, ops.Lt, ops.Le)
ROLLING: dict[type, tuple[Callable, tuple]] = {  # the kernel, and which of its results
    ops.Sum: (kernels.moments, (0,)),
    ops.Mean: (kernels.moments, (1,)),
    ops.Std: (kernels.moments, (2,)),
    ops.Slope: (kernels.lines, (0,)),
    ops.Rsquare: (kernels.lines, (1,)),
    ops.Resi: (kernels.lines, (2,)),
    ops.Max: (order.highest, (0,)),
    ops.IdxMax: (order.highest, (1,)),
    ops.Min: (lowest, (0,)),
    ops.IdxMin: (lowest, (1,)),
    ops.Rank: (order.ranks, ()),
}
CONSTANT_STD = 2e-5  # up to this standard deviation Qlib's Corr and Rsquare are NaN


class NotNative(Exception):
    """What is left to Qlib's own engine, and why."""


class Program:
    """Expressions as steps in order, to be run on one stock after another.

    ``fields`` are those that it reads; ``rows_before`` and ``rows_after`` are how far a result reaches. Raises
    NotNative for an operator or an argument that has no step here.
    """

    def __init__(self, expressions: Sequence[Expression]) -> None:
        self.fields: set[str] = set()
        self.numbers: dict[str, float] = {}
        self.steps: dict[str, tuple[Callable, list[str]]] = {}
        self.parameters: dict[str, list] = {}  # the windows, and the shares, that are wanted of a statistic
        self.results = [self._add(expression) for expression in expressions]
        for wanted in self.parameters.values():
            wanted.sort()
        self.last_uses = self._last_uses()
        reach = [expression.get_extended_window_size() for expression in expressions]
        self.rows_before, self.rows_after = (int(max(side)) for side in zip(*reach, strict=True))

    def run(self, bars: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The values ``[rows]`` of each expression, from ``bars``: "$close" -> ``[rows]`` float32.

        Raises NotNative where a line is to be drawn through infinities.
        """
        values: dict[str, Any] = self.numbers | dict(bars)
        with np.errstate(all="ignore"):
            for name, (function, operands) in self.steps.items():
                values[name] = function(*[values[operand] for operand in operands])
                for operand in self.last_uses[name]:
                    del values[operand]  # its memory, still in the processor's cache, serves the next step
        return [values[name] for name in self.results]

    def _last_uses(self) -> dict[str, list[str]]:
        """The steps whose values nobody reads after each step."""
        last = {operand: name for name, (_, operands) in self.steps.items() for operand in operands}
        done: dict[str, list[str]] = {name: [] for name in self.steps}
        wanted = set(self.results)
        for operand, name in last.items():
            if operand in self.steps and operand not in wanted:
                done[name].append(operand)
        return done

    def _add(self, node: Any) -> str:
        """Add the steps of an expression, each once, after those that they need; the name of its values."""
        name = str(node)
        if type(node) is Feature:
            self.fields.add(name)
        elif name not in self.steps:
            self.steps[name] = self._step(node)
        return name

    def _step(self, node: Any) -> tuple[Callable, list[str]]:
        kind, window = type(node), getattr(node, "N", None)
        if kind in ELEMENTWISE:
            operands = [node.feature] if hasattr(node, "feature") else [node.feature_left, node.feature_right]
            return ELEMENTWISE[kind], [self._operand(operand) for operand in operands]
        if type(window) is int and kind is ops.Ref and window != 0:
            return partial(shifted, by=window), [self._operand(node.feature)]
        if type(window) is int and window >= 1:
            if kind in ROLLING:
                return self._rolling(kind, self._add(node.feature), window)
            if kind is ops.Quantile and 0 < node.qscore < 1:
                return self._quantile(self._add(node.feature), window, node.qscore)
            if kind is ops.Corr and all(isinstance(n, Expression) for n in (node.feature_left, node.feature_right)):
                operands = [self._operand(node.feature_left), self._operand(node.feature_right)]
                spreads = [self._statistic(kernels.moments, [operand], window, (2,)) for operand in operands]
                return unless_constant, [self._statistic(kernels.correlations, operands, window), *spreads]
            if isinstance(node, Cut) and all(
                isinstance(n, Expression) for n in (node.feature_left, node.feature_right)
            ):
                operands = [self._operand(node.feature_left), self._operand(node.feature_right)]
                return np.asarray, [self._statistic(cut, operands, window, (node.which,))]
        raise NotNative(f"{node} is not among the operations of the fast engine")

    def _operand(self, node: Any) -> str:
        """The name of an operand's values; comparisons are none, since pandas and numpy count with them differently."""
        if type(node) in (int, float):
            self.numbers[repr(node)] = node
            return repr(node)
        if type(node) in COMPARISONS or not isinstance(node, Expression):
            raise NotNative(f"{node} is no number to the fast engine")
        return self._add(node)

    def _rolling(self, kind: type, operand: str, window: int) -> tuple[Callable, list[str]]:
        kernel, which = ROLLING[kind]
        statistic = self._statistic(kernel, [operand], window, which)
        if kind is ops.Rsquare:
            return unless_constant, [statistic, self._statistic(kernels.moments, [operand], window, (2,))]
        return np.asarray, [statistic]

    def _statistic(self, kernel: Callable, operands: list[str], window: int, which: tuple = ()) -> str:
        """One result of a kernel for one window; the kernel itself runs once for all windows that are wanted of it."""
        family = f"{kernel.__name__}({', '.join(operands)})"
        windows = self._register(family, window)
        inputs = [
            self._prepared(require_finite if kernel is kernels.lines else kernels.without_infinities, operand)
            for operand in operands
        ]
        self.steps.setdefault(family, (partial(all_windows, kernel, windows), inputs))
        name = f"{family}[{which}, {window}]"
        self.steps.setdefault(name, (partial(one_window, windows, window, which), [family]))
        return name

    def _quantile(self, operand: str, window: int, share: float) -> tuple[Callable, list[str]]:
        family = f"quantiles({operand})"
        windows, shares = self._register(family, window), self._register(f"shares of {family}", share)
        self.steps.setdefault(
            family, (partial(all_quantiles, windows, shares), [self._prepared(kernels.without_infinities, operand)])
        )
        return partial(one_quantile, windows, window, shares, share), [family]

    def _register(self, family: str, wanted: float) -> list:
        """The parameters of a statistic, with one more; sorted once every expression has its steps."""
        parameters = self.parameters.setdefault(family, [])
        if wanted not in parameters:
            parameters.append(wanted)
        return parameters

    def _prepared(self, prepare: Callable, operand: str) -> str:
        name = f"{prepare.__name__}({operand})"
        self.steps.setdefault(name, (prepare, [operand]))
        return name


def require_finite(values: np.ndarray) -> np.ndarray:
    """float64; NotNative where there is an infinity, after which Qlib's Slope, Rsquare and Resi are NaN for good."""
    if np.isinf(values).any():
        raise NotNative("Slope, Rsquare or Resi of an infinity")
    return values.astype(np.float64)


def shifted(values: np.ndarray, by: int) -> np.ndarray:
    """The values of ``by`` rows before, NaN where there is none; later rows where ``by`` is negative."""
    moved = np.full_like(values, np.nan)
    if by > 0:
        moved[by:] = values[:-by]
    else:
        moved[:by] = values[-by:]
    return moved


def unless_constant(values: np.ndarray, *spreads: np.ndarray) -> np.ndarray:
    """NaN where one of the standard deviations is next to nothing."""
    return np.where(reduce(np.fmin, spreads) <= CONSTANT_STD, np.nan, values)


def all_windows(kernel: Callable, windows: list, *operands: np.ndarray) -> np.ndarray:
    return kernel(*operands, np.array(windows))


def one_window(windows: list, window: int, which: tuple, found: np.ndarray) -> np.ndarray:
    return found[(*which, windows.index(window))]


def all_quantiles(windows: list, shares: list, operand: np.ndarray) -> np.ndarray:
    return order.quantiles(operand, np.array(windows), np.array(shares))


def one_quantile(windows: list, window: int, shares: list, share: float, found: np.ndarray) -> np.ndarray:
    return found[shares.index(share), windows.index(window)]
