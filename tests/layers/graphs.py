"""Random graphs of related stocks, and the matrix of all pairs that they stand for."""

from __future__ import annotations

import torch

from qlib_ext.layers.relation_graph import RelationGraph


def random_graph(stocks: int, groups: int, edges: int, relations: int = 6, seed: int = 0) -> RelationGraph:
    """Some stocks without a group, edges with no, one or two relations each, some relations unknown."""
    random = torch.Generator().manual_seed(seed)

    def numbers(high: int, size: int, low: int = 0) -> torch.Tensor:
        return torch.randint(low, high, (size,), generator=random)

    pairs = torch.randperm(stocks * stocks, generator=random)[:edges]
    pairs = pairs[pairs // stocks != pairs % stocks]
    edge = numbers(max(len(pairs), 1), 2 * len(pairs))
    return RelationGraph(
        group=numbers(groups, stocks, low=-1),
        group_relation=numbers(relations, groups, low=-1),
        target=pairs // stocks,
        source=pairs % stocks,
        edge=edge,
        relation=numbers(relations, len(edge), low=-1),
        weight=torch.rand(len(edge), generator=random) + 0.5,
    )


def dense(graph: RelationGraph, relations: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Who is related, [targets, sources], and the relation vectors, [targets, sources, relations], pair by pair."""
    stocks = len(graph)
    related = torch.zeros(stocks, stocks, dtype=torch.bool)
    a = torch.zeros(stocks, stocks, relations + 1, dtype=torch.float64)  # the last: unknown
    for i in range(stocks):
        for j in range(stocks):
            if i != j and graph.group[i] == graph.group[j] >= 0:
                related[i, j] = True
                a[i, j, graph.group_relation[graph.group[i]]] += 1
    related[graph.target, graph.source] = True
    for edge, relation, weight in zip(graph.edge, graph.relation, graph.weight, strict=True):
        a[graph.target[edge], graph.source[edge], relation] += weight
    return related, a[..., :-1]
