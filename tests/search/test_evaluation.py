"""Values are those of the handlers' engine and of Qlib's, figures those of the recorder's Rank IC."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from qlib.data import D

from qlib_ext.cross_section.ic import rank_information_coefficient
from qlib_ext.data.loader import HistoryLoader
from qlib_ext.errors import DataError, SegmentError
from qlib_ext.search.evaluation import (
    Ground,
    Measuring,
    Sample,
    Screening,
    ic_and_coverage,
    measure,
    screen,
    unit_ranks,
    values_of,
)
from qlib_ext.search.grammar import LONGEST, Grammar
from qlib_ext.search.market import read_market
from qlib_ext.search.search import LABEL
from qlib_ext.search.statistics import icir
from qlib_ext.search.variation import random_tree
from tests.search.conftest import FIELDS, TRAIN, VALID


@pytest.fixture(scope="module")
def nodes():
    rng, grammar = np.random.default_rng(4), Grammar(FIELDS)
    trees = (random_tree(rng, grammar) for _ in range(300))
    return [tree for tree in trees if grammar.admits(tree)][:25]


@pytest.fixture
def market(initialised):
    return read_market(FIELDS, LABEL, "all", TRAIN, VALID, LONGEST)


def test_values_are_those_of_the_handlers_loader_and_of_qlib(market, nodes):
    days = np.concatenate([market.train[-30:], market.valid])
    values = values_of(nodes, market.bars, days)
    texts, names = [node.text for node in nodes], [f"F{place}" for place in range(len(nodes))]
    times = market.days[days[[0, -1]]]
    fast = HistoryLoader({"feature": (texts, names)}, traded_only=True).load("all", *times)["feature"]
    slow = D.features(list(market.stocks), texts[:8], *times).swaplevel()
    for theirs, tolerance in ((fast, 0.0), (slow, 1e-4)):
        for place in range(theirs.shape[1]):
            own = pd.DataFrame(values[place].T, market.days[days], market.stocks).stack(future_stack=True)
            own = own.reindex(theirs.index.intersection(fast.index).intersection(own.index))
            expected = theirs.iloc[:, place].replace([np.inf, -np.inf], np.nan).reindex(own.index)
            np.testing.assert_allclose(
                own, expected.astype(np.float32), rtol=tolerance, atol=tolerance, err_msg=texts[place]
            )


def test_figures_are_those_of_the_rank_ic(market, nodes):
    days = np.concatenate([market.train, market.valid])
    labels = unit_ranks_or_nan(market.labels[days])
    sample = Sample(market.bars, days, labels)
    ic, covered = ic_and_coverage(sample, nodes)
    ground = Ground((market.bars,) * 3, (), days, len(market.train), np.arange(5), {"own": labels})
    number, found = measure(ground, Measuring(7, tuple(nodes), "own", np.arange(5), 5))
    assert number == 7
    for place, values in enumerate(values_of(nodes, market.bars, days)):
        known = np.where(np.isnan(market.labels[days]), np.nan, values.T)
        complete = ~(np.isnan(known) & ~np.isnan(labels)).any(1)  # the label is ranked once, whoever has no value
        expected = rank_information_coefficient(known, market.labels[days])
        np.testing.assert_allclose(ic[place][complete], expected[complete], atol=1e-6)
        np.testing.assert_array_equal(found[place].ic, ic[place])
        coverage = np.count_nonzero(~np.isnan(known)) / np.count_nonzero(~np.isnan(labels))
        assert found[place].coverage == covered[place] == pytest.approx(coverage)
        again = rank_information_coefficient(known[5::5], known[:-5:5])
        if not np.isnan(known).any():
            assert found[place].turnover == pytest.approx(1 - np.nanmean(again), abs=1e-6)


def test_the_fittest_of_few_stocks_come_to_more(market, nodes):
    days, labels = market.train[::5], market.labels[market.train[::5]]
    few, more = np.arange(0, len(market.stocks), 2), np.arange(len(market.stocks))
    samples = [Sample(market.bars.chosen(stocks), days, labels[:, stocks]) for stocks in (few, more)]
    bars = samples[0].bars, samples[1].bars, market.bars
    ground = Ground(bars, (few, more), days, len(days), np.arange(len(days)), {})
    own = samples[0].labels, samples[1].labels
    found = screen(ground, Screening(0, tuple(nodes), own, passing=0.3, coverage=0.8, parsimony=0.01))

    def fitness(sample):
        ic, coverage = ic_and_coverage(sample, nodes)
        own = np.abs([icir(each) for each in ic]) - 0.01 * np.array([node.size for node in nodes])
        return np.where(coverage < 0.8, np.nan, own)

    first = fitness(samples[0])
    assert 0 < np.isnan(first).sum() < len(nodes)
    passed = set(pd.Series(first).nlargest(int(0.3 * len(nodes))).index)
    assert set(found.places) == {place for place in passed if not np.isnan(fitness(samples[1])[place])}
    np.testing.assert_array_equal(found.fitness, fitness(samples[1])[found.places])


def unit_ranks_or_nan(labels):
    ranks = pd.DataFrame(labels).rank(axis=1).to_numpy()
    return np.where(np.isnan(labels), np.nan, unit_ranks(ranks))


def test_labels_end_before_the_next_segment_and_before_the_sealed_days(market):
    calendar = pd.DatetimeIndex(D.calendar())
    for places, end in ((market.train, VALID[0]), (market.valid, "2016-07-01")):
        last = calendar.get_loc(market.days[places[-1]])
        assert calendar[last + 11] < pd.Timestamp(end) <= calendar[last + 12]
    used = np.concatenate([market.train, market.valid])
    others = np.setdiff1d(np.arange(len(market.days)), used)
    assert np.isnan(market.labels[others]).all()
    assert market.days[-1] <= pd.Timestamp(VALID[1])


@pytest.mark.parametrize(
    ("train", "valid", "message"),
    [
        (TRAIN, ("2015-06-01", "2016-06-30"), "overlap"),
        (VALID, TRAIN, "comes before"),
        (TRAIN, ("2016-01-01", "2016-01-10"), "valid, 2016-01-01 to 2016-01-10, has no day with a label"),
    ],
)
def test_segments_that_cannot_be_are_refused(initialised, train, valid, message):
    with pytest.raises(SegmentError, match=message):
        read_market(FIELDS, LABEL, "all", train, valid, LONGEST)


@pytest.mark.parametrize("has_files", [False, True])
def test_a_field_without_a_number_is_named(initialised, has_files):
    field = "empty" if has_files else "roe"
    for folder in (initialised / "features").iterdir() if has_files else ():
        np.array([0, np.nan, np.nan], dtype="<f4").tofile(folder / "empty.day.bin")
    with pytest.raises(DataError, match=rf"field \${field} has no number for any of the \d+ stocks"):
        read_market(("close", field), LABEL, "all", TRAIN, VALID, LONGEST)


def test_a_universe_of_ten_stocks_is_too_small(initialised, tmp_path):
    names = D.list_instruments(D.instruments("all"), as_list=True)[:10]
    file = initialised / "instruments" / "ten.txt"
    file.write_text("".join(f"{name}\t2014-09-01\t2020-01-01\n" for name in names))
    with pytest.raises(DataError, match=r"On the median day of train \d+ stocks have a label"):
        read_market(FIELDS, LABEL, "ten", TRAIN, VALID, LONGEST)
