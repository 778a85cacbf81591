"""A handler's relations stand in every batch, as of the day."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch

from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.data.handler import WindowHandler
from qlib_ext.data.window import Window
from qlib_ext.errors import DataError, ProviderError
from qlib_ext.relations.tables import write_relations

SEGMENTS = {"test": ("2015-05-04", "2015-06-30")}
LABEL = (["Ref($vwap, -2)/Ref($vwap, -1) - 1"], ["LABEL0"])


class OneField(WindowHandler):
    window = Window(3)

    def __init__(self, **kwargs):
        super().__init__((["$close/Ref($close, 1) - 1"], ["RETURN"]), LABEL, **kwargs)


def handler_of(**kwargs):
    return OneField(instruments="csi300", start_time="2015-05-04", end_time="2015-06-30", **kwargs)


def batch_of(handler, days):
    data = CrossSectionDataset(handler, SEGMENTS)
    return data.samples("test", learn=False).batch(np.asarray(days), data.window)


def test_a_field_relates_the_stocks_of_its_groups(small, init):
    init(small[0])
    batch = batch_of(handler_of(relations=["$industry"], group="$industry"), [0, 7])
    same = (batch.group[:, None] == batch.group) & (batch.day[:, None] == batch.day)
    graph = batch.relations
    assert torch.equal((graph.group[:, None] == graph.group) & (graph.group >= 0), same)
    assert not len(graph.target)


def test_edges_are_seen_from_their_day_on(init, copy):
    folder = copy("related")
    names = sorted(path.name.upper() for path in (folder / "features").iterdir())
    pairs = [(a, b, "2015-06-01") for a in names for b in names if a != b and a.startswith("SH6")]
    write_relations(folder, pl.DataFrame(pairs, schema=["source", "target", "from"], orient="row"), "suppliers")
    init(folder)
    handler = handler_of(relations=["suppliers"])
    days = handler.fetch().index.unique("datetime")
    first = int(days.searchsorted(np.datetime64("2015-06-01")))
    counts = [len(batch_of(handler, [day]).relations.target) for day in (first - 1, first)]
    assert counts[0] == 0
    assert counts[1] > 0


def test_without_relations_there_is_no_graph(small, init):
    init(small[0])
    assert batch_of(handler_of(), [0]).relations is None


def test_a_kind_that_is_not_there_is_refused_before_rows_are_loaded(small, init, monkeypatch):
    init(small[0])
    monkeypatch.setattr("qlib_ext.data.loader.HistoryLoader.load", lambda *_: pytest.fail("rows are loaded"))
    with pytest.raises(DataError, match="no relations of the kind 'industry', it has none"):
        handler_of(relations=["industry"])
    with pytest.raises(ProviderError, match=r"has the field \$industri"):
        handler_of(relations=["$industri"])


def walked(batch):
    """Who hears of whom, and of whom anything is known, stock by stock: names of each day."""
    days = []
    for day in batch.day.unique().tolist():
        at = (batch.day == day).nonzero()[:, 0].tolist()
        graph = batch.relations
        if graph is None:
            edges, groups = set(), batch.group.tolist()
        else:
            edges, groups = set(zip(graph.target.tolist(), graph.source.tolist(), strict=True)), graph.group.tolist()
        in_group = [group == group and (graph is None or group >= 0) for group in groups]
        linked = {stock for edge in edges for stock in edge}
        hears = [[(in_group[i] and groups[i] == groups[j]) or (i, j) in edges for j in at] for i in at]
        days.append((hears, [in_group[i] or i in linked for i in at]))
    return days


@pytest.mark.parametrize("kinds", [{"group": "$industry"}, {"relations": ["$industry"]}, {"relations": ["suppliers"]}])
def test_who_is_related_on_each_day_of_a_batch(init, copy, kinds):
    folder = copy("related")
    names = sorted(path.name.upper() for path in (folder / "features").iterdir())
    pairs = [(a, b, "2015-05-06") for a, b in zip(names, names[7:], strict=False)]
    write_relations(folder, pl.DataFrame(pairs, schema=["source", "target", "from"], orient="row"), "suppliers")
    init(folder)
    batch = batch_of(handler_of(**kinds), [0, 7, 20])
    related, known = batch.related()
    for day, (hears, is_known) in enumerate(walked(batch)):
        stocks = len(is_known)
        there = torch.tensor(is_known)
        assert torch.equal(known[day, :stocks], there)
        assert not known[day, stocks:].any()
        both = there[:, None] & there & ~torch.eye(stocks, dtype=torch.bool)
        assert torch.equal(related[day, :stocks, :stocks] & both, torch.tensor(hears) & both)
    assert known.any()
    assert known[0].any() == ("suppliers" not in str(kinds))


def test_nobody_is_related_where_the_handler_names_nothing(small, init):
    init(small[0])
    assert batch_of(handler_of(), [0]).related() is None
