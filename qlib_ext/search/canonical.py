"""One form for expressions that rank the stocks of a day alike, and the memory of all that were tried."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from qlib_ext.search.grammar import COMMUTATIVE, is_positive
from qlib_ext.search.tree import Node


def canonical(node: Node) -> Node:
    """The form that stands for all trees with the same values, or the same ranks or the reverse, as it.

    Operands that may change places are sorted. At the root a logarithm, a difference's order and that of a quotient of
    positive numbers change no rank but for the direction, which an IC shows by its sign.
    """
    return _root(_sorted(node))


def _sorted(node: Node) -> Node:
    children = tuple(map(_sorted, node.children))
    if node.name in COMMUTATIVE:
        children = tuple(sorted(children, key=lambda child: child.text))
    return Node(node.name, children, node.window)


def _root(node: Node) -> Node:
    if node.name == "Log" and is_positive(node.children[0]):
        return _root(node.children[0])
    turned = node.name == "Sub" or (node.name == "Div" and all(map(is_positive, node.children)))
    if turned and node.children[0].text > node.children[1].text:
        return Node(node.name, node.children[::-1])
    return node


class Memory:
    """The distinct expressions that were tried, each by 64 bits of a hash of its canonical form."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._known = set(map(key_of, texts))

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, form: Node) -> bool:
        return key_of(form.text) in self._known

    def add(self, form: Node) -> None:
        """Remember a canonical form."""
        self._known.add(key_of(form.text))


def key_of(text: str) -> int:
    """The hash of the text of a canonical form."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
