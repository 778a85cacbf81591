"""What the grammar draws is an expression of the past without unit; what cannot be a grammar is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlib_ext.errors import ConfigError
from qlib_ext.expressions.operators import expression_of
from qlib_ext.expressions.reach import reach_of
from qlib_ext.search.canonical import Memory, canonical
from qlib_ext.search.grammar import LARGEST, LONGEST, OPERATORS, RATIO, SMALLEST, Grammar
from qlib_ext.search.tree import Node
from qlib_ext.search.variation import crossover, hoist, mutation, next_generation, point, random_tree

GRAMMAR = Grammar((*Grammar().fields, "hf_skew"))
SEEDS = st.integers(0, 2**32)


def admitted(seed: int) -> Node:
    rng = np.random.default_rng(seed)
    return next(tree for tree in iter(lambda: random_tree(rng, GRAMMAR), None) if GRAMMAR.admits(tree))


def units_are_kept(node: Node) -> bool:
    """The rules, read the slow way: every operator's operands have the units that it takes."""
    if not node.children:
        return True
    rule, units = OPERATORS[node.name], [GRAMMAR.unit_of(child) for child in node.children]
    same = {unit for unit, takes in zip(units, rule.takes, strict=True) if takes == "same"}
    ratios = all(unit == RATIO for unit, takes in zip(units, rule.takes, strict=True) if takes == RATIO)
    return len(same) <= 1 and ratios and all(map(units_are_kept, node.children))


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_an_expression_reads_the_past_alone_and_has_no_unit(seed):
    node = admitted(seed)
    assert reach_of(node.text) == 0
    assert GRAMMAR.unit_of(node) == RATIO
    assert units_are_kept(node)
    assert SMALLEST <= node.size <= LARGEST
    before, _ = expression_of(node.text).get_extended_window_size()
    assert before <= node.history <= LONGEST
    assert Node.from_json(node.to_json()) == node


@settings(max_examples=60, deadline=None)
@given(SEEDS, SEEDS)
def test_children_keep_the_units_of_the_grammar(seed, other):
    rng = np.random.default_rng(seed)
    one, two = admitted(seed), admitted(other)
    for child in (crossover(rng, GRAMMAR, one, two), mutation(rng, GRAMMAR, one), point(rng, GRAMMAR, one)):
        assert GRAMMAR.unit_of(child) == RATIO
        assert units_are_kept(child)
        assert reach_of(child.text) == 0
    assert hoist(rng, GRAMMAR, one) in [node for _, node in one.paths()]


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_the_canonical_form_is_its_own(seed):
    form = canonical(admitted(seed))
    assert canonical(form) == form


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Node("Add", (Node("$open"), Node("$close"))), Node("Add", (Node("$close"), Node("$open")))),
        (Node("Div", (Node("$open"), Node("$close"))), Node("Div", (Node("$close"), Node("$open")))),
        (Node("Log", (Node("Div", (Node("$open"), Node("$close"))),)), Node("Div", (Node("$close"), Node("$open")))),
        (Node("Sub", (Node("$change"), Node("$turnover"))), Node("Sub", (Node("$turnover"), Node("$change")))),
    ],
)
def test_trees_that_rank_alike_have_one_form(one, other):
    assert canonical(one) == canonical(other)


def test_a_quotient_by_what_may_be_negative_keeps_its_order():
    one, other = Node("$change"), Node("$turnover")
    assert canonical(Node("Div", (one, other))) != canonical(Node("Div", (other, one)))


def test_a_generation_has_nothing_that_was_tried():
    rng, memory = np.random.default_rng(0), Memory()
    first = next_generation(rng, GRAMMAR, [], np.zeros(0), memory, 50)
    second = next_generation(rng, GRAMMAR, first, np.arange(50.0), memory, 50)
    assert len({canonical(node).text for node in first + second}) == len(memory) == 100
    again = Memory(node.text for node in first)
    assert len(again) == 50
    assert all(node in again for node in first)
    assert not any(node in again for node in second)


def test_a_grammar_that_has_no_more_gives_fewer():
    tiny = Grammar(("close",), ("Rank",), (5,))
    found = next_generation(np.random.default_rng(0), tiny, [], np.zeros(0), Memory(), 100)
    assert 1 < len(found) < 20, "a rank of a rank of a rank, to 20 nodes"


@pytest.mark.parametrize(
    ("fields", "operators", "windows", "message"),
    [
        ((), ("Div",), (5,), "grammar is empty: of 0 fields"),
        (("close",), ("Add", "Mean"), (5,), "grammar is empty"),
        (("close",), ("Rank",), (), "grammar is empty"),
        (("close",), ("Div", "Wma"), (5,), "1 of 2 operators are unknown to the search, the first 'Wma'"),
        (("close",), ("Rank",), (5, -1), "at least 1, not -1"),
    ],
)
def test_what_is_no_grammar_is_refused(fields, operators, windows, message):
    with pytest.raises(ConfigError, match=message):
        Grammar(fields, operators, windows)
