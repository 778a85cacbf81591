"""How new expressions come from old ones, by Koza's operators under the rules of a grammar."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from qlib_ext.search.canonical import Memory, canonical
from qlib_ext.search.grammar import LARGEST, OPERATORS, RATIO, SMALLEST, Grammar
from qlib_ext.search.tree import Node

TOURNAMENT = 5
DRAWS_EACH = 200  # tries for one new expression before the grammar is taken for exhausted
CROSSOVER, MUTATION, POINT, HOIST, FRESH = 0.5, 0.15, 0.2, 0.05, 0.1  # how often each is tried


def random_tree(rng: np.random.Generator, grammar: Grammar) -> Node:
    """A tree of the grammar; small ones are drawn more often, for what is read is read by a person."""
    return grammar.draw(rng, RATIO, int(min(SMALLEST + rng.geometric(0.2), LARGEST)))


def next_generation(
    rng: np.random.Generator,
    grammar: Grammar,
    parents: Sequence[Node],
    fitness: np.ndarray,
    memory: Memory,
    size: int,
) -> list[Node]:
    """So many canonical expressions that were never tried, of the parents that win tournaments; random without parents.

    They are added to the memory. Fewer come back where the grammar has no more, or none is found any more.
    """
    found: list[Node] = []
    failures = 0
    while len(found) < size and failures < DRAWS_EACH:
        child = _child(rng, grammar, parents, fitness)
        failures += 1
        if grammar.admits(child):
            form = canonical(child)
            if grammar.admits(form) and form not in memory:
                memory.add(form)
                found.append(form)
                failures = 0
    return found


def _child(rng: np.random.Generator, grammar: Grammar, parents: Sequence[Node], fitness: np.ndarray) -> Node:
    if not len(parents):
        return random_tree(rng, grammar)
    ways: tuple[Callable[[], Node], ...] = (
        lambda: crossover(rng, grammar, _winner(rng, parents, fitness), _winner(rng, parents, fitness)),
        lambda: mutation(rng, grammar, _winner(rng, parents, fitness)),
        lambda: point(rng, grammar, _winner(rng, parents, fitness)),
        lambda: hoist(rng, grammar, _winner(rng, parents, fitness)),
        lambda: random_tree(rng, grammar),
    )
    return ways[rng.choice(len(ways), p=(CROSSOVER, MUTATION, POINT, HOIST, FRESH))]()


def _winner(rng: np.random.Generator, parents: Sequence[Node], fitness: np.ndarray) -> Node:
    """The fittest of some drawn at random."""
    drawn = rng.integers(len(parents), size=TOURNAMENT)
    return parents[int(drawn[np.argmax(fitness[drawn])])]


def crossover(rng: np.random.Generator, grammar: Grammar, one: Node, other: Node) -> Node:
    """One tree with a subtree of another in the place of its own of the same unit; itself where there is none."""
    paths = list(one.paths())
    path, old = paths[rng.integers(len(paths))]
    unit = grammar.unit_of(old)
    fitting = [node for _, node in other.paths() if grammar.unit_of(node) == unit]
    return one.replaced(path, fitting[rng.integers(len(fitting))]) if fitting else one


def mutation(rng: np.random.Generator, grammar: Grammar, node: Node) -> Node:
    """The tree with a random one in the place of a subtree."""
    paths = list(node.paths())
    path, old = paths[rng.integers(len(paths))]
    return node.replaced(path, grammar.draw(rng, grammar.unit_of(old), int(rng.integers(1, old.size + 4))))


def point(rng: np.random.Generator, grammar: Grammar, node: Node) -> Node:
    """The tree with another window, operator or field in the place of one, which takes and gives the same units."""
    paths = list(node.paths())
    path, old = paths[rng.integers(len(paths))]
    if not old.children:
        fields = grammar.leaves[grammar.unit_of(old)]
        return node.replaced(path, fields[rng.integers(len(fields))])
    if old.window and rng.random() < 0.5:
        return node.replaced(path, Node(old.name, old.children, grammar.window(rng, old.name)))
    rule = OPERATORS[old.name]
    alike = [OPERATORS[name] for name in grammar.operators]
    alike = [each for each in alike if (each.takes, each.gives, each.rolling) == (rule.takes, rule.gives, rule.rolling)]
    name = alike[int(rng.integers(len(alike)))].name
    choice = grammar.lags if name == "Ref" else grammar.windows
    window = old.window if not rule.rolling or old.window in choice else grammar.window(rng, name)
    return node.replaced(path, Node(name, old.children, window))


def hoist(rng: np.random.Generator, grammar: Grammar, node: Node) -> Node:
    """A subtree that is a ratio alone."""
    ratios = [each for _, each in node.paths() if grammar.unit_of(each) == RATIO]
    return ratios[rng.integers(len(ratios))]
