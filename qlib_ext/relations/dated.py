"""Dated relations among the instruments of a panel -> the graph of any of its days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import polars as pl
import torch
from torch import Tensor

from qlib_ext.layers.relation_graph import RelationGraph

NONE = -1


@dataclass(frozen=True)
class Edges:
    """Rows (target, source, relation, weight) that hold for spans of days, rows of one span side by side.

    first, last  [spans] positions of the days of each span, both included
    start        [spans + 1] where the rows of each span begin
    """

    first: Tensor
    last: Tensor
    start: Tensor
    target: Tensor
    source: Tensor
    relation: Tensor
    weight: Tensor

    @classmethod
    def of(cls, rows: pl.DataFrame) -> Edges:
        """Rows of the columns first, last, target, source, relation, weight."""
        rows = rows.sort("first", "last", "target", "source", "relation")
        spans = rows.group_by("first", "last", maintain_order=True).len()
        start = np.concatenate([[0], spans["len"].cum_sum().to_numpy()]).astype(np.int64)
        names = ("target", "source", "relation")
        return cls(
            first=_tensor(spans["first"]),
            last=_tensor(spans["last"]),
            start=torch.from_numpy(start),
            weight=torch.from_numpy(rows["weight"].cast(pl.Float32).to_numpy().copy()),
            **{name: _tensor(rows[name]) for name in names},
        )

    def on(self, day: int) -> Tensor:
        """The rows that hold on a day."""
        spans = ((self.first <= day) & (day <= self.last)).nonzero()[:, 0]
        return ranges(self.start[spans], self.start[spans + 1])


@dataclass(frozen=True)
class DatedRelations:
    """Who is related to whom on each day of a panel.

    names   of the relations, in the order of their numbers: "industry: 37" for a group, "suppliers" for a kind of edges
    groups  [days, instruments] int32, the relation whose group a stock is in, -1 for none: those of the first kind of
            memberships in which no stock has two groups at a time
    member  rows (stock, stock, relation, 1): the memberships of all other kinds; they become pairs day by day
    edges   the rows of the kinds of edges

    A relation is seen on the days from ``from`` to ``to``, both included, whatever day the panel ends on.
    """

    names: tuple[str, ...]
    groups: Tensor
    member: Edges
    edges: Edges

    @classmethod
    def of(cls, tables: Mapping[str, pl.DataFrame], days: pd.DatetimeIndex, instruments: pd.Index) -> DatedRelations:
        """Of tables as ``read_relations`` gives them, kind -> memberships or edges; other instruments are left out."""
        calendar = days.to_numpy(dtype="datetime64[D]")
        position = pl.DataFrame({"name": [str(name) for name in instruments]}).with_row_index("position")
        names: list[str] = []
        groups, listed, edges = None, [], []
        for kind, table in tables.items():
            rows = _on_days(table, calendar)
            if "group" in table.columns:
                labels = table["group"].unique().sort()
                numbers = labels.to_frame().with_row_index("relation", offset=len(names))
                names += [f"{kind}: {label}" for label in labels]
                rows = _at(rows.join(numbers, on="group", maintain_order="left"), "instrument", position)
                grid = _grid(rows, len(days), len(instruments)) if groups is None else None
                if grid is not None:
                    groups = grid
                else:
                    listed.append(rows.with_columns(target="instrument", source="instrument", weight=pl.lit(1.0)))
            else:
                rows = _at(_at(rows, "source", position), "target", position)
                edges.append(rows.with_columns(relation=pl.lit(len(names))))
                names.append(kind)
        if groups is None:
            groups = np.full((len(days), len(instruments)), NONE, dtype=np.int32)
        return cls(tuple(names), torch.from_numpy(groups), _edges(listed), _edges(edges))

    def to(self, device: torch.device) -> DatedRelations:
        """The same relations on another device."""
        member, edges = (
            replace(rows, **{name: getattr(rows, name).to(device) for name in Edges.__dataclass_fields__})
            for rows in (self.member, self.edges)
        )
        return replace(self, groups=self.groups.to(device), member=member, edges=edges)

    def graph(self, day: Tensor, instrument: Tensor) -> RelationGraph:
        """The graph of some samples, given by their positions in the panel, ``[samples]`` each, day after day.

        Samples of different days are never related.
        """
        relation = self.groups[day, instrument].long()  # [samples]
        grouped = (relation != NONE).nonzero()[:, 0]
        keys, number = (day[grouped] * len(self.names) + relation[grouped]).unique(return_inverse=True)
        group = torch.full_like(relation, NONE).index_copy(0, grouped, number)
        pairs = [self._pairs(one, day, instrument) for one in day.unique().tolist()]
        target, source, relation, weight = (torch.cat(parts) for parts in zip(*pairs, strict=True))
        key, edge = (target * len(day) + source).unique(return_inverse=True)
        return RelationGraph(
            group=group,
            group_relation=keys % max(len(self.names), 1),
            target=key // len(day),
            source=key % len(day),
            edge=edge,
            relation=relation,
            weight=weight,
        )

    def _pairs(self, one: int, day: Tensor, instrument: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The pairs of one day that are listed: target and source among the samples, relation, weight."""
        samples = (day == one).nonzero()[:, 0]
        place = torch.full((self.groups.shape[1],), NONE, device=day.device)  # [instruments], the sample of each
        place[instrument[samples]] = samples
        rows = self.edges.on(one)
        target, source = place[self.edges.target[rows]], place[self.edges.source[rows]]
        there = (target != NONE) & (source != NONE)
        of_edges = (target[there], source[there], self.edges.relation[rows][there], self.edges.weight[rows][there])

        rows = self.member.on(one)
        sample, relation = place[self.member.target[rows]], self.member.relation[rows]
        sample, relation = sample[sample != NONE], relation[sample != NONE]
        order = relation.argsort(stable=True)
        sample, relation = sample[order], relation[order]
        _, size = relation.unique_consecutive(return_counts=True)
        start, size = (size.cumsum(0) - size).repeat_interleave(size), size.repeat_interleave(size)  # [members] each
        target, source = sample.repeat_interleave(size), sample[ranges(start, start + size)]
        relation, apart = relation.repeat_interleave(size), target != source
        weight = self.edges.weight.new_ones(int(apart.sum()))
        of_members = (target[apart], source[apart], relation[apart], weight)
        target, source, relation, weight = (torch.cat(parts) for parts in zip(of_edges, of_members, strict=True))
        return target, source, relation, weight


def ranges(start: Tensor, end: Tensor) -> Tensor:
    """``start_1, ..., end_1 - 1, start_2, ...``: the numbers of several ranges, one after the other."""
    size = end - start
    shift = start - (size.cumsum(0) - size)
    return torch.arange(int(size.sum()), device=start.device) + shift.repeat_interleave(size)


def _on_days(table: pl.DataFrame, calendar: np.ndarray) -> pl.DataFrame:
    """The rows that hold on a day of the calendar, with the positions of their first and last one."""
    first = np.searchsorted(calendar, table["from"].to_numpy().astype("datetime64[D]"))
    end = table["to"].fill_null(pl.date(9999, 12, 31)).to_numpy().astype("datetime64[D]")
    last = np.searchsorted(calendar, end, side="right") - 1
    return table.with_columns(first=pl.Series(first), last=pl.Series(last)).filter(pl.col("first") <= pl.col("last"))


def _at(rows: pl.DataFrame, column: str, position: pl.DataFrame) -> pl.DataFrame:
    """The rows whose instrument in this column is known, by its position."""
    found = rows.join(position, left_on=column, right_on="name", maintain_order="left")
    return found.drop(column).rename({"position": column})


def _grid(rows: pl.DataFrame, days: int, instruments: int) -> np.ndarray | None:
    """The relation of each stock on each day, [days, instruments], or None where a stock has two at a time."""
    grid = np.full((days, instruments), NONE, dtype=np.int32)
    for first, last, instrument, relation in rows.select("first", "last", "instrument", "relation").iter_rows():
        span = grid[first : last + 1, instrument]
        if (span != NONE).any():
            return None
        span[:] = relation
    return grid


def _edges(parts: list[pl.DataFrame]) -> Edges:
    columns = [
        pl.col("first", "last", "target", "source", "relation").cast(pl.Int64),
        pl.col("weight").cast(pl.Float64),
    ]
    empty = pl.DataFrame(schema=["first", "last", "target", "source", "relation", "weight"])
    return Edges.of(pl.concat([part.select(columns) for part in [empty, *parts]]))


def _tensor(column: pl.Series) -> Tensor:
    return torch.from_numpy(column.cast(pl.Int64).to_numpy().copy())
