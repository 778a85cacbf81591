"""A day's graph equals a walk through the tables, and knows nothing of what they say of later days."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd
import polars as pl
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qlib_ext.layers.relation_graph import RelationGraph
from qlib_ext.relations.dated import DatedRelations
from tests.layers.graphs import dense

DAYS = pd.bdate_range("2020-01-01", periods=8)
STOCKS = pd.Index([f"SH60000{i}" for i in range(6)])
DATES = {"from": pl.Date, "to": pl.Date}
MEMBERSHIPS = {"instrument": pl.String, "group": pl.String} | DATES
EDGES = {"source": pl.String, "target": pl.String, "weight": pl.Float64} | DATES


@st.composite
def tables(draw):
    """Industries, of which a stock has one at a time, concepts, of which it has several, and suppliers."""
    day = st.integers(-2, 12).map(lambda n: DAYS[0].date() + timedelta(n))
    name = st.sampled_from([*STOCKS, "BJ430017"])
    spans = st.tuples(day, st.one_of(st.none(), day)).filter(lambda span: span[1] is None or span[0] <= span[1])

    def rows(keys, schema):
        drawn = draw(st.dictionaries(keys, spans, max_size=10))
        return pl.DataFrame([(*key, *span) for key, span in drawn.items()], schema=schema, orient="row")

    groups = st.sampled_from("abc")
    industry = rows(st.tuples(name), {"instrument": pl.String} | DATES)
    industry = industry.with_columns(
        group=pl.Series(draw(st.lists(groups, min_size=len(industry), max_size=len(industry))), dtype=pl.String)
    )
    weight = st.floats(-2, 2, width=32)
    edges = rows(
        st.tuples(name, name).filter(lambda pair: pair[0] != pair[1]),
        {"source": pl.String, "target": pl.String} | DATES,
    )
    edges = edges.with_columns(
        weight=pl.Series(draw(st.lists(weight, min_size=len(edges), max_size=len(edges))), dtype=pl.Float64)
    )
    concept = rows(st.tuples(name, groups), MEMBERSHIPS)
    return {"concept": concept, "industry": industry.select(list(MEMBERSHIPS)), "suppliers": edges.select(list(EDGES))}


def walk(tables, day):
    """Relation vectors of one day, from the tables' rows: (target, source) -> relation -> weight."""
    found: dict = {}
    for kind, table in tables.items():
        rows = [r for r in table.iter_rows(named=True) if r["from"] <= day and (r["to"] is None or day <= r["to"])]
        if kind == "suppliers":
            for r in rows:
                found.setdefault((r["target"], r["source"]), {})[kind] = r["weight"]
            continue
        for r in rows:
            for other in rows:
                if r["group"] == other["group"] and r["instrument"] != other["instrument"]:
                    found.setdefault((r["instrument"], other["instrument"]), {})[f"{kind}: {r['group']}"] = 1.0
    return {pair: vector for pair, vector in found.items() if set(pair) <= set(STOCKS)}


def as_walk(relations: DatedRelations, graph: RelationGraph, names):
    """The same of a graph."""
    related, a = dense(graph, len(relations.names))
    return {
        (names[i], names[j]): {relations.names[k]: float(a[i, j, k]) for k in a[i, j].nonzero()[:, 0]}
        for i, j in related.nonzero().tolist()
    }


def positive(vectors):
    return {pair: {name: weight for name, weight in vector.items() if weight} for pair, vector in vectors.items()}


@settings(max_examples=80, deadline=None)
@given(tables=tables(), present=st.lists(st.integers(0, 5), min_size=1, max_size=6, unique=True))
def test_equals_a_walk_through_the_tables(tables, present):
    relations = DatedRelations.of(tables, DAYS, STOCKS)
    instrument = torch.tensor(present)
    for number, day in enumerate(DAYS.date):
        graph = relations.graph(torch.full_like(instrument, number), instrument)
        ours = as_walk(relations, graph, STOCKS[present])
        expected = {p: v for p, v in walk(tables, day).items() if set(p) <= set(STOCKS[present])}
        assert positive(ours) == positive(expected)


@settings(max_examples=40, deadline=None)
@given(tables=tables(), cut=st.integers(0, 7))
def test_what_comes_later_changes_nothing(tables, cut):
    today = DAYS[cut].date()
    known = {
        kind: table.filter(pl.col("from") <= today).with_columns(
            to=pl.when(pl.col("to") > today).then(pl.lit(None, dtype=pl.Date)).otherwise(pl.col("to"))
        )
        for kind, table in tables.items()
    }
    instrument = torch.arange(len(STOCKS))
    seen = []
    for version in (tables, known):
        relations = DatedRelations.of(version, DAYS, STOCKS)
        seen.append(as_walk(relations, relations.graph(torch.full_like(instrument, cut), instrument), STOCKS))
    assert seen[0] == seen[1]


def test_samples_of_several_days_are_related_within_their_day():
    table = pl.DataFrame(
        [(STOCKS[0], "a", date(2020, 1, 1), None), (STOCKS[1], "a", date(2020, 1, 1), None)],
        schema=MEMBERSHIPS,
        orient="row",
    )
    edges = pl.DataFrame([(STOCKS[0], STOCKS[2], 1.0, date(2020, 1, 2), None)], schema=EDGES, orient="row")
    relations = DatedRelations.of({"industry": table, "suppliers": edges}, DAYS, STOCKS)
    day, instrument = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([0, 1, 2, 0, 2])
    related, _ = dense(relations.graph(day, instrument), len(relations.names))
    assert related.nonzero().tolist() == [[0, 1], [1, 0], [4, 3]]


def test_the_first_kind_without_overlaps_is_never_listed():
    both = [(stock, "a", date(2020, 1, 1), None) for stock in STOCKS]
    table = pl.DataFrame(both, schema=MEMBERSHIPS, orient="row")
    overlapping = pl.concat([table, table.with_columns(group=pl.lit("b"))])
    instrument = torch.arange(6)
    for tables, listed in (({"industry": table}, 0), ({"concept": overlapping, "industry": table}, 30)):
        graph = DatedRelations.of(tables, DAYS, STOCKS).graph(torch.zeros_like(instrument), instrument)
        assert (graph.group >= 0).all()
        assert len(graph.target) == listed
