"""Who is related to whom among the stocks of a day, as tensors: groups that are never expanded, and a list of edges."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class RelationGraph:
    """The related pairs (target i, source j) of some samples, and the relation vector a_ji [relations] of each pair.

    group           [samples] number of the sample's group, -1 for none: any two samples of a group are related
    group_relation  [groups] the relation that a group stands for, where the pair's a is 1
    target, source  [edges] further pairs, each once, in any order. Such a pair may lie within a group as well, and then
                    has the group's relation beside its own
    edge            [entries] the edge of an entry of the relation vectors,
    relation        [entries] the relation,
    weight          [entries] float32, the value of a there

    A relation of number -1 has no weight in any net: it is unknown.
    """

    group: Tensor
    group_relation: Tensor
    target: Tensor
    source: Tensor
    edge: Tensor
    relation: Tensor
    weight: Tensor

    def __len__(self) -> int:
        return len(self.group)

    @cached_property
    def inside(self) -> Tensor:
        """Which edges are pairs of a group as well: ``[edges]``."""
        of_target, of_source = self.group[self.target], self.group[self.source]
        return (of_target == of_source) & (of_target >= 0) & (self.target != self.source)

    @cached_property
    def degree(self) -> Tensor:
        """d_j, of how many others a sample is a neighbour, each counted once: ``[samples]`` float32."""
        sizes = torch.bincount(self.group + 1)[1:]  # [groups]
        degree = torch.zeros_like(self.group)
        grouped = self.group >= 0
        degree[grouped] = sizes[self.group[grouped]] - 1
        outside = self.source[~self.inside]
        return degree.index_add(0, outside, torch.ones_like(outside)).float()

    @cached_property
    def layouts(self) -> list[tuple[Tensor, Tensor]]:
        """The groups of two samples or more as rows: the groups' numbers [rows], and their samples [rows, size].

        Rows are padded with -1. Groups are laid out with others of about their size, so that all rows together have
        fewer than twice as many places as there are samples, whatever the sizes.
        """
        sizes = torch.bincount(self.group + 1)[1:]  # [groups]
        samples = self.group.argsort(stable=True)[len(self.group) - int(sizes.sum()) :]  # [grouped], group by group
        starts = sizes.cumsum(0) - sizes
        layouts, width, largest = [], 2, int(sizes.max()) if len(sizes) else 0
        while width < 2 * largest:
            rows = ((sizes > width // 2) & (sizes <= width)).nonzero()[:, 0]
            if len(rows):
                place = torch.arange(width, device=self.group.device)
                there = place < sizes[rows, None]  # [rows, width]
                index = (starts[rows, None] + place).clamp(max=len(samples) - 1)
                layouts.append((rows, samples[index].masked_fill(~there, -1)))
            width *= 2
        return layouts

    def pair_sums(self, of_relation: Tensor) -> tuple[Tensor, Tensor]:
        """``w . a_ji`` of the groups' pairs, ``[groups]``, and of the edges, ``[edges]``; w ``[relations]``."""
        known = torch.cat([of_relation, of_relation.new_zeros(1)])  # -1 reads the last
        group = known[self.group_relation]  # [groups]
        edge = known.new_zeros(len(self.target))
        edge = edge.index_add(0, self.edge, known[self.relation] * self.weight.to(known.dtype))
        inside = self.inside.nonzero()[:, 0]
        return group, edge.index_add(0, inside, group[self.group[self.target[inside]]])

    def numbered(self, position: Tensor) -> RelationGraph:
        """The graph with other numbers of its relations: k becomes ``position[k]``, [relations], -1 where unknown."""
        known = torch.cat([position, position.new_full((1,), -1)])
        return replace(self, group_relation=known[self.group_relation], relation=known[self.relation])

    def only(self, kept: Tensor) -> RelationGraph:
        """The pairs of some relations alone; kept [relations] bool."""
        known = torch.cat([kept, kept.new_zeros(1)])  # -1 reads the last
        of_group = torch.cat([known[self.group_relation], kept.new_zeros(1)])
        entries = known[self.relation].nonzero()[:, 0]
        edges, edge = self.edge[entries].unique(return_inverse=True)
        return replace(
            self,
            group=self.group.masked_fill(~of_group[self.group], -1),
            target=self.target[edges],
            source=self.source[edges],
            edge=edge,
            relation=self.relation[entries],
            weight=self.weight[entries],
        )

    def with_self(self) -> RelationGraph:
        """The graph in which every sample is a neighbour of itself, too, by no relation."""
        own = torch.arange(len(self), device=self.group.device)
        return replace(self, target=torch.cat([self.target, own]), source=torch.cat([self.source, own]))

    def to(self, device: torch.device) -> RelationGraph:
        """The same graph on another device."""
        return replace(self, **{name: getattr(self, name).to(device) for name in self.__dataclass_fields__})
