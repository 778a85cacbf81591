"""Samples of a segment, and the days of them that a net reads in one step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from qlib_ext.cross_section.cells import cells_of, index_of
from qlib_ext.cross_section.percentiles import percentiles
from qlib_ext.cross_section.standardise import places_of, standardise
from qlib_ext.data.panel import Panel
from qlib_ext.data.window import Window
from qlib_ext.layers.relation_graph import RelationGraph


@dataclass(frozen=True)
class Batch:
    """The cross-sections of one or more trading days.

    Samples lie day after day without padding, so that an encoder never works on rows that do not exist:
    x [samples, L, fields], y [samples] the first label, labels [samples, k], day and instrument [samples]
    positions in the panel, group [samples] or None, relations, the graph of the samples, or None.
    mask [days, stocks] tells which stocks each day has: ``to_days`` lays samples out as ``[days, stocks, ...]`` for
    layers that look across stocks.
    """

    x: Tensor
    labels: Tensor
    day: Tensor
    instrument: Tensor
    group: Tensor | None
    mask: Tensor
    relations: RelationGraph | None = None

    @property
    def y(self) -> Tensor:
        """The first label, ``[samples]``."""
        return self.labels[:, 0]

    @property
    def padded(self) -> bool:
        """Whether a day has fewer stocks than another; told by the shapes, for a GPU would have to be waited for."""
        return self.mask.numel() > len(self.labels)

    @cached_property
    def places(self) -> tuple[Tensor, ...]:
        """The row and the column of each sample in [days, stocks]: ``[samples]`` each."""
        return places_of(self.mask, len(self.labels)).unbind(1)

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device; to a GPU through pinned memory, so that nobody waits for the copy."""

        def moved(own: Tensor) -> Tensor:
            return (own.pin_memory() if device.type == "cuda" else own).to(device, non_blocking=True)

        tensors = {name: moved(getattr(self, name)) for name in ("x", "labels", "day", "instrument", "mask")}
        group = None if self.group is None else moved(self.group)
        relations = None if self.relations is None else self.relations.to(device)
        return Batch(**tensors, group=group, relations=relations)

    def to_days(self, samples: Tensor) -> Tensor:
        """``[samples, ...]`` -> ``[days, stocks, ...]``, zero where a day has no such stock."""
        if self.mask.shape[0] == 1:
            return samples[None]
        padded = samples.new_zeros(*self.mask.shape, *samples.shape[1:])
        padded[self.places] = samples
        return padded

    def from_days(self, values: Tensor) -> Tensor:
        """``[days, stocks, ...]`` -> ``[samples, ...]``: the inverse of ``to_days``."""
        return values[0] if self.mask.shape[0] == 1 else values[self.places]

    def related(self) -> tuple[Tensor, Tensor] | None:
        """Which stocks hear of which, ``[days, stocks, stocks]``, and those of which it is known, ``[days, stocks]``.

        By the prior group; without one by the relations; None without either. A stock hears of the others of its
        groups and of the sources of its edges. Nothing is known of one without a group and without an edge.
        """
        graph = self.relations if self.group is None else None
        if self.group is not None:
            group, known = self.group, torch.isfinite(self.group)
        elif graph is not None:
            group = graph.group.double().masked_fill(graph.group < 0, torch.nan)
            known = torch.isfinite(group).index_fill(0, torch.cat([graph.target, graph.source]), True)
        else:
            return None
        of_group = self.to_days(group)  # [days, stocks]
        related = of_group[:, :, None] == of_group[:, None, :]  # [days, stocks, stocks]
        if graph is not None:
            row, column = self.places
            related[row[graph.target], column[graph.target], column[graph.source]] = True
        return related, self.to_days(known) & self.mask

    def by_day(self, prediction: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Prediction ``[samples]`` -> what cross-sectional losses take: prediction, label, mask [days, stocks]."""
        return self.to_days(prediction), self.to_days(self.y), self.mask


class Samples:
    """The (day, instrument) pairs of one segment, ascending, and where each day begins."""

    def __init__(self, panel: Panel, index: pd.MultiIndex) -> None:
        cells = cells_of(index, panel.days, panel.instruments)
        cells.sort()
        self.panel = panel
        self.index = index_of(cells, panel.days, panel.instruments)
        del cells
        day, instrument = (np.asarray(codes, dtype=np.int32) for codes in self.index.codes)
        self.bounds = np.append(np.flatnonzero(np.diff(day, prepend=np.int32(-1))), len(day))
        device = panel.values.device
        self.day = torch.from_numpy(day).to(device)
        self.instrument = torch.from_numpy(instrument).to(device)
        self.counts = torch.from_numpy(np.diff(self.bounds)).to(device)  # [days] samples of each
        self.panel_days = day[self.bounds[:-1]]  # [days] positions in the panel

    def __len__(self) -> int:
        return len(self.index)

    @property
    def n_days(self) -> int:
        """Number of days that have a sample."""
        return len(self.bounds) - 1

    def labels(self) -> Tensor:
        """The labels of all samples, ``[samples, k]``."""
        return self.panel.labels[self.panel.rows(self.day.long(), self.instrument.long())]

    def mask(self, days: np.ndarray) -> Tensor:
        """Which stocks the given days have: ``[days, stocks]``."""
        longest = int((self.bounds[days + 1] - self.bounds[days]).max())
        return first_places(torch.cat([self.counts[day : day + 1] for day in days.tolist()]), longest)

    def batch(self, days: np.ndarray, window: Window) -> Batch:
        """The cross-sections of the given days (0 = the segment's first day)."""
        low, high = self.bounds[days], self.bounds[days + 1]
        picks = [slice(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True)]
        day = torch.cat([self.day[pick] for pick in picks]).long()
        instrument = torch.cat([self.instrument[pick] for pick in picks]).long()
        rows = self.panel.rows(day, instrument)
        mask = self.mask(days)
        if window.standardise:
            x = self._standardised(days, mask, instrument, window)
        else:
            x = self.panel.windows(day, instrument, window.length)
            x = x if window.shape is None else window.shape(x)
        groups, relations = self.panel.groups, self.panel.relations
        return Batch(
            x=x,
            labels=self.panel.labels[rows],
            day=day,
            instrument=instrument,
            group=None if groups is None else groups[rows],
            relations=None if relations is None else relations.graph(day, instrument),
            mask=mask,
        )

    def _standardised(self, days: np.ndarray, mask: Tensor, instrument: Tensor, window: Window) -> Tensor:
        """The samples' shaped windows, standardised among all members of their days: ``[samples, ...]``."""
        at = torch.stack([self.day[first] for first in self.bounds[days].tolist()]).long()  # [days]
        members = self.panel.members(at)  # [days, instruments]
        counts = self.panel.member_counts[self.panel_days[days]]  # [days]
        row, stock = places_of(members, int(counts.sum())).unbind(1)  # [members] each, day after day
        x = self.panel.windows(at[row], stock, window.length, fill=False)  # [members, length, fields]
        x = x if window.shape is None else window.shape(x)  # [members, ...]
        x = set_against(x, first_places(members.sum(1), int(counts.max())), window)
        number = members.flatten().cumsum(0).view_as(members) - 1  # [days, instruments] of each member
        row = places_of(mask, len(instrument))[:, 0]  # [samples]
        return x[number[row, instrument]]  # [samples, ...]


def set_against(x: Tensor, mask: Tensor, window: Window) -> Tensor:
    """Shaped windows against those of the day's other stocks, as the window says: ``[samples, ...]``, finite.

    x [samples, ...] day after day, mask [days, stocks] which stocks each day has.
    """
    if window.unscaled:
        scaled = x.shape[-1] - window.unscaled
        own = set_against(x[..., :scaled], mask, replace(window, unscaled=0))
        return torch.cat([own, x[..., scaled:].nan_to_num(0.0)], -1)
    if not window.percentiles:
        return standardise(x, mask)
    values = x.flatten(1)  # [samples, values]
    others = values.shape[1] - window.percentiles
    last = percentiles(values[:, others:], mask)
    whole = torch.cat([standardise(values[:, :others], mask), last], 1) if others else last
    return whole.view(x.shape)


def first_places(counts: Tensor, longest: int) -> Tensor:
    """True for the first ``counts`` places of each row: ``[days] -> [days, longest]``."""
    return torch.arange(longest, device=counts.device) < counts[:, None]
