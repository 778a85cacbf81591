"""Which expressions there are: fields with units, operators with a rule for units, windows of the past.

No rule takes a negative window, so that no expression of the grammar reads a later day than its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from qlib_ext.errors import ConfigError
from qlib_ext.search.tree import Node

RATIO = "ratio"  # of a number without unit, which can be compared across stocks
SAME, ANY, FIELD = "same", "any", "field"  # one unit for all operands; any unit; a field of any unit, not a ratio
UNITS = {
    **dict.fromkeys(("open", "high", "low", "close", "vwap"), "price"),
    "volume": "volume",
    **dict.fromkeys(("amount", "float_mv", "total_mv", "book", "earnings_ttm", "sales_ttm"), "money"),
    **dict.fromkeys(("turnover", "change", "industry_change"), RATIO),
    **dict.fromkeys(("roe", "debt_to_assets", "debt_to_eqt", "dividend_yield"), RATIO),
}
SIGNED = ("change", "industry_change", "roe", "book", "earnings_ttm", "sales_ttm", "debt_to_eqt")  # that may be below 0
DEFAULT_FIELDS = ("open", "high", "low", "close", "vwap", "volume", "amount", "turnover", "change", "industry_change")
WINDOWS = (5, 10, 20, 60)
LAGS = (1, 5, 10, 20, 60, 120)  # of Ref, which costs the same for all
SMALLEST, LARGEST = 3, 20  # nodes of an expression
LONGEST = 250  # rows that an expression may look back
DRAWS = 1000  # after which a grammar is said to have no expression


@dataclass(frozen=True)
class Operator:
    """A rule: the units of the operands, the unit of the result, and whether there is a window."""

    name: str
    takes: tuple[str, ...]
    gives: str = SAME
    rolling: bool = False


OPERATORS = {
    operator.name: operator
    for operator in (
        Operator("Add", (SAME, SAME)),
        Operator("Sub", (SAME, SAME)),
        Operator("Mul", (RATIO, RATIO), RATIO),
        Operator("Div", (SAME, SAME), RATIO),
        Operator("Greater", (SAME, SAME)),
        Operator("Less", (SAME, SAME)),
        Operator("Abs", (SAME,)),
        Operator("Log", (RATIO,), RATIO),
        Operator("Ref", (SAME,), rolling=True),
        Operator("Mean", (SAME,), rolling=True),
        Operator("Std", (SAME,), rolling=True),
        Operator("Max", (SAME,), rolling=True),
        Operator("Min", (SAME,), rolling=True),
        Operator("Rank", (ANY,), RATIO, rolling=True),
        Operator("IdxMax", (ANY,), RATIO, rolling=True),
        Operator("IdxMin", (ANY,), RATIO, rolling=True),
        # Qlib's lines are NaN for good after an infinity, which a quotient may have: they are drawn through fields
        Operator("Rsquare", (FIELD,), RATIO, rolling=True),
        Operator("Slope", (FIELD,), FIELD, rolling=True),
        Operator("Resi", (FIELD,), FIELD, rolling=True),
        Operator("Corr", (ANY, ANY), RATIO, rolling=True),
        Operator("CutHigh", (SAME, ANY), rolling=True),
        Operator("CutLow", (SAME, ANY), rolling=True),
        Operator("CutSpread", (SAME, ANY), rolling=True),
    )
}
COMMUTATIVE = ("Add", "Mul", "Greater", "Less", "Corr")
NEVER_NEGATIVE = ("Abs", "Std", "Rank", "IdxMax", "IdxMin", "Rsquare")
KEEPS_POSITIVE = ("Add", "Mul", "Div", "Greater", "Less", "Ref", "Mean", "Max", "Min", "CutHigh", "CutLow")


@dataclass(frozen=True)
class Grammar:
    """The expressions over some fields (without $), operators and windows whose unit is a ratio.

    A field that ``UNITS`` does not know has a unit of its own: it is compared with its own past alone. Raises
    ConfigError for an operator that there is not, a window below 1, and a grammar without an expression.
    """

    fields: tuple[str, ...] = DEFAULT_FIELDS
    operators: tuple[str, ...] = tuple(OPERATORS)
    windows: tuple[int, ...] = WINDOWS
    lags: tuple[int, ...] = LAGS

    def __post_init__(self) -> None:
        if unknown := [name for name in self.operators if name not in OPERATORS]:
            raise ConfigError(
                f"{len(unknown)} of {len(self.operators)} operators are unknown to the search, the first "
                f"{unknown[0]!r}; it knows {', '.join(OPERATORS)}."
            )
        if wrong := [window for window in (*self.windows, *self.lags) if window < 1]:
            raise ConfigError(f"A window is a number of past days, at least 1, not {wrong[0]}.")
        rng = np.random.default_rng(0)
        if not self.fields or not any(self.admits(self.draw(rng)) for _ in range(DRAWS)):
            raise ConfigError(
                f"The grammar is empty: of {len(self.fields)} fields, {len(self.operators)} operators and "
                f"{len(self.windows)} windows no expression of {SMALLEST} to {LARGEST} nodes without unit can be made. "
                "Name more fields or operators; Div makes a ratio of two prices."
            )

    @cached_property
    def leaves(self) -> dict[str, list[Node]]:
        """The fields of each unit."""
        found: dict[str, list[Node]] = {}
        for field in self.fields:
            found.setdefault(UNITS.get(field, f"${field}"), []).append(Node(f"${field}"))
        return found

    @cached_property
    def rules(self) -> dict[str, list[Operator]]:
        """The operators that can give each unit."""
        known = [OPERATORS[name] for name in self.operators]
        known = [rule for rule in known if not rule.rolling or (self.lags if rule.name == "Ref" else self.windows)]
        if set(self.leaves) <= {RATIO}:
            known = [rule for rule in known if FIELD not in rule.takes]
        units = {
            unit: [rule for rule in known if rule.gives == SAME or (rule.gives == FIELD and unit != RATIO)]
            for unit in self.leaves
        }
        return units | {RATIO: [rule for rule in known if rule.gives in (SAME, RATIO)]}

    def unit_of(self, node: Node) -> str:
        """The unit of a tree of this grammar."""
        if not node.children:
            return UNITS.get(node.name[1:], node.name)
        return RATIO if OPERATORS[node.name].gives == RATIO else self.unit_of(node.children[0])

    def draw(self, rng: np.random.Generator, unit: str = RATIO, size: int | None = None) -> Node:
        """A random tree of a unit, of about so many nodes, without a number of ``SMALLEST`` to ``LARGEST`` of them."""
        left = int(rng.integers(SMALLEST, LARGEST + 1)) if size is None else size
        return self._grow(rng, unit, left)

    def _grow(self, rng: np.random.Generator, unit: str, size: int) -> Node:
        fields = self.leaves.get(unit, [])
        rules = [rule for rule in self.rules[unit] if len(rule.takes) < size]
        if not fields and size <= 4:
            rules = [rule for rule in self.rules[RATIO] if rule.gives == RATIO and RATIO not in rule.takes]
        if not rules:
            return fields[rng.integers(len(fields))] if fields else Node("")  # no such tree, which ``admits`` refuses
        rule = rules[rng.integers(len(rules))]
        parts = self._parts(rng, size - 1, len(rule.takes))
        operand = unit if rule.gives == SAME else self._any_unit(rng, min(parts))
        children = [
            self._field(rng, unit if rule.gives == FIELD else None)
            if takes == FIELD
            else self._grow(rng, {SAME: operand, RATIO: RATIO}.get(takes) or self._any_unit(rng, part), part)
            for takes, part in zip(rule.takes, parts, strict=True)
        ]
        return Node(rule.name, tuple(children), self.window(rng, rule.name) if rule.rolling else 0)

    def window(self, rng: np.random.Generator, operator: str) -> int:
        """A window that an operator may have."""
        choice = self.lags if operator == "Ref" else self.windows
        return int(choice[rng.integers(len(choice))])

    def _parts(self, rng: np.random.Generator, size: int, count: int) -> list[int]:
        if count == 1:
            return [size]
        first = int(rng.integers(1, max(size, 2)))
        return [first, size - first]

    def _any_unit(self, rng: np.random.Generator, size: int) -> str:
        """A unit, the more often the more fields it has; a ratio as often as two fields, where it fits the size."""
        weights = {unit: float(len(fields)) for unit, fields in self.leaves.items()}
        if RATIO in weights or size > 4:
            weights[RATIO] = weights.get(RATIO, 0.0) + 2.0
        chances = np.array(list(weights.values()))
        return list(weights)[rng.choice(len(chances), p=chances / chances.sum())]

    def _field(self, rng: np.random.Generator, unit: str | None) -> Node:
        units = [each for each in self.leaves if each != RATIO] if unit is None else [unit]
        fields = [field for each in units for field in self.leaves[each]]
        return fields[rng.integers(len(fields))]

    def admits(self, node: Node) -> bool:
        """Whether a tree is an expression worth trying: its size and history, and no operation that does nothing."""
        return (
            SMALLEST <= node.size <= LARGEST
            and node.history <= LONGEST
            and self.unit_of(node) == RATIO
            and all(_does_something(each) for _, each in node.paths())
        )


def is_positive(node: Node) -> bool:
    """Whether a tree has no value below 0, as far as its form says."""
    if not node.children:
        return node.name[1:] in UNITS and node.name[1:] not in SIGNED
    if node.name == "Greater":
        return any(map(is_positive, node.children))
    if node.name in ("CutHigh", "CutLow"):
        return is_positive(node.children[0])
    return node.name in NEVER_NEGATIVE or (node.name in KEEPS_POSITIVE and all(map(is_positive, node.children)))


def _does_something(node: Node) -> bool:
    if not node.children:
        return bool(node.name)
    if len(node.children) == 2 and node.children[0] == node.children[1]:
        return False
    below = node.children[0].name
    if node.name == "Abs":
        return not is_positive(node.children[0])
    if node.name in ("Ref", "Log"):
        return below != node.name
    return node.name == "Ref" or node.window != 1
