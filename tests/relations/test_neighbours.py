"""Nearest neighbours equal numpy's correlations pair by pair, and know nothing of later days."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

from qlib_ext.errors import ConfigError, DataError
from qlib_ext.relations.neighbours import nearest_neighbours, percentiles_of

DAYS = pd.bdate_range("2020-01-15", periods=60)


def values(stocks=9, seed=0):
    random = np.random.default_rng(seed)
    index = pd.MultiIndex.from_product([DAYS, [f"SH60000{i}" for i in range(stocks)]], names=["datetime", "instrument"])
    return pd.DataFrame(random.standard_normal((len(index), 2)), index, ["a", "b"])


@pytest.mark.parametrize(("similarity", "every"), [("correlation", "month"), ("cosine", "week")])
def test_equals_pair_by_pair(similarity, every):
    rows = values()
    edges = nearest_neighbours(rows, 3, days=5, every=every, similarity=similarity)
    made = sorted(edges["from"].unique())
    firsts = pd.Series(DAYS).groupby(DAYS.to_period("M" if every == "month" else "W")).min()
    assert made == [day.date() for day in firsts if day >= DAYS[4]]
    for day in made:
        past = rows.loc[: day.isoformat()].unstack("instrument").iloc[-5:]
        vector = {name: past.xs(name, axis=1, level="instrument").to_numpy().flatten() for name in rows.index.levels[1]}
        for target, own in vector.items():
            near = {}
            for source, other in vector.items():
                if source != target:
                    cosine = own @ other / np.linalg.norm(own) / np.linalg.norm(other)
                    near[source] = np.corrcoef(own, other)[0, 1] if similarity == "correlation" else cosine
            expected = sorted(near, key=near.get, reverse=True)[:3]
            found = edges.filter((pl.col("from") == day) & (pl.col("target") == target))
            assert found["source"].to_list() == expected
            np.testing.assert_allclose(found["weight"], [near[name] for name in expected], atol=1e-5)


def test_edges_hold_until_the_next_are_made():
    spans = nearest_neighbours(values(), 2, days=5).select("from", "to").unique().sort("from").rows()
    assert [str(day) for span in spans for day in span] == [
        "2020-02-03", "2020-03-01", "2020-03-02", "2020-03-31", "2020-04-01", "None",
    ]  # fmt: skip


def test_what_comes_later_changes_nothing():
    rows = values()
    later = rows.index.get_level_values("datetime") > pd.Timestamp("2020-03-02")
    garbage = rows.copy()
    garbage.loc[later] = np.random.default_rng(1).uniform(1, 1e6, garbage[later].shape)
    before = [
        nearest_neighbours(version, 2, days=5).filter(pl.col("from") <= pl.date(2020, 3, 2)).drop("to")
        for version in (rows, garbage, rows[~later])
    ]
    assert before[0].equals(before[1])
    assert before[0].equals(before[2])


def test_a_stock_without_all_values_or_with_constant_ones_is_no_neighbour():
    rows = values()
    rows.loc[(slice("2020-01-29", "2020-01-30"), "SH600001"), "a"] = np.nan
    rows.loc[(slice(None), "SH600002"), :] = 3.0
    first = nearest_neighbours(rows, 8, days=5).filter(pl.col("from") == pl.date(2020, 2, 3))
    others = {f"SH60000{i}" for i in (0, 3, 4, 5, 6, 7, 8)}
    assert set(first["source"]) == set(first["target"]) == others
    assert len(first) == 7 * 6


def test_percentiles_are_those_of_the_day_and_what_is_missing_is_the_middle():
    rows = values().where(np.random.default_rng(2).random((540, 2)) > 0.2)
    rows.iloc[3, 0] = np.inf
    found = percentiles_of(rows, 0.5)
    for _, day in rows.groupby(level="datetime"):
        known = day.where(np.isfinite(day))
        for name in known:
            expected = [
                (sum(known[name] < x) + 0.5 * sum(known[name] == x)) / known[name].count() - 0.5 for x in known[name]
            ]
            expected = np.where(known[name].isna(), 0.0, expected)
            expected[known.isna().all(axis=1)] = np.nan
            np.testing.assert_allclose(found.loc[day.index, name], expected, atol=1e-12)
    edges = nearest_neighbours(rows, 2, similarity="cosine", percentiles=1.0)
    whole = rows.loc[str(edges["from"].max())].replace(np.inf, np.nan).dropna().index.get_level_values("instrument")
    assert set(edges.filter(pl.col("from") == pl.col("from").max())["target"]) <= set(whole)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"neighbours": 0}, "at least 1, not 0 and 1"),
        ({"days": 0}, "at least 1, not 2 and 0"),
        ({"every": "day"}, "one of week, month, not 'day'"),
        ({"similarity": "spearman"}, "one of correlation, cosine, not 'spearman'"),
        ({"percentiles": 0.0}, "above 0, not 0.0"),
    ],
)
def test_other_options_are_refused(options, says):
    with pytest.raises(ConfigError, match=says):
        nearest_neighbours(values(), **{"neighbours": 2} | options)


def test_values_that_are_never_complete_are_refused():
    with pytest.raises(DataError, match="On none of 4 days have two stocks all values of the last 100 days"):
        nearest_neighbours(values(), 2, days=100)
