"""An expression as a tree: an operator or a field, what stands below it, and the window of a rolling operator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

INFIX = {"Add": "+", "Sub": "-", "Mul": "*", "Div": "/"}


@dataclass(frozen=True, eq=False)
class Node:
    """A tree; two trees of the same text are equal.

    name      of the operator, or of the field with its $
    children  none for a field
    window    of a rolling operator, in rows; 0 for another
    """

    name: str
    children: tuple[Node, ...] = ()
    window: int = 0

    @cached_property
    def text(self) -> str:
        """The expression as Qlib reads it: ``Mean($close, 5) / $close``."""
        if not self.children:
            return self.name
        if self.name in INFIX:
            return f" {INFIX[self.name]} ".join(
                f"({child.text})" if child.name in INFIX else child.text for child in self.children
            )
        arguments = [child.text for child in self.children] + ([str(self.window)] if self.window else [])
        return f"{self.name}({', '.join(arguments)})"

    @cached_property
    def size(self) -> int:
        """How many operators and fields it has."""
        return 1 + sum(child.size for child in self.children)

    @cached_property
    def history(self) -> int:
        """How many rows before its own it reads at most."""
        before = self.window if self.name == "Ref" else max(self.window - 1, 0)
        return before + max((child.history for child in self.children), default=0)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def paths(self) -> Iterator[tuple[tuple[int, ...], Node]]:
        """Every subtree, itself first, and the way to it: which child at each step."""
        yield (), self
        for place, child in enumerate(self.children):
            for path, node in child.paths():
                yield (place, *path), node

    def replaced(self, path: Sequence[int], new: Node) -> Node:
        """The tree with another subtree at the end of a way."""
        if not path:
            return new
        children = list(self.children)
        children[path[0]] = children[path[0]].replaced(path[1:], new)
        return Node(self.name, tuple(children), self.window)

    def to_json(self) -> list[Any]:
        """Lists that json writes and ``from_json`` reads."""
        return [self.name, self.window, *(child.to_json() for child in self.children)]

    @classmethod
    def from_json(cls, written: Sequence[Any]) -> Node:
        """The tree of what ``to_json`` gave."""
        name, window, *children = written
        return cls(name, tuple(map(cls.from_json, children)), window)
