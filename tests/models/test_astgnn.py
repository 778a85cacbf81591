from __future__ import annotations

import pandas as pd
import pytest
import torch
from qlib.contrib.eva.alpha import calc_ic

from qlib_ext.layers.adaptive_graph import adaptive_adjacency
from qlib_ext.models.astgnn import ASTGNN, InstrumentEmbedding
from qlib_ext.testing.rows import dataset_of, random_rows

SMALL = {"hidden_size": 6, "num_layers": 1, "num_factors": 3, "embedding_size": 4, "n_epochs": 4, "GPU": -1, "seed": 0}


@pytest.fixture(scope="module")
def transductive():
    model = ASTGNN(**SMALL, node_embedding="instrument", lr=0.01)
    model.fit(dataset_of(random_rows(seed=5)))
    return model


def test_every_training_instrument_has_a_vector_and_one_is_for_all_others(transductive):
    embedding = transductive.nets_[0].graph.embedding
    known = list(random_rows(seed=5).index.unique("instrument").sort_values())
    assert embedding.vectors.weight.shape == (len(known) + 1, 4)
    embedding.eval()
    embedding.bind(pd.Index(["SZ999999", known[3], "SH000001"]))
    vectors = embedding(torch.tensor([0, 1, 2]))
    assert torch.equal(vectors[0], vectors[2])
    assert torch.equal(vectors[0], embedding.vectors.weight[0])
    assert torch.equal(vectors[1], embedding.vectors.weight[4])


def test_the_vector_of_the_unknown_is_learnt(transductive):
    untrained = ASTGNN(**SMALL, node_embedding="instrument", lr=1e-12)
    untrained.fit(dataset_of(random_rows(seed=5)))
    first, learnt = (m.nets_[0].graph.embedding.vectors.weight[0] for m in (untrained, transductive))
    assert (first - learnt).abs().max() > 1e-3


def test_an_untrained_vector_looks_at_others():
    """By vectors of N(0, 1), of length 4, the softmax would see the stock itself alone, and nothing could be learnt."""
    torch.manual_seed(0)
    embedding = InstrumentEmbedding(pd.RangeIndex(300).astype(str), 16)
    vectors = embedding(torch.arange(300))[None]
    itself = adaptive_adjacency(vectors, torch.ones(1, 300, dtype=torch.bool))[0].diagonal()
    assert itself.mean() < 0.05


def test_a_weight_of_their_own_lets_a_stock_follow_its_neighbours_against_its_own_past():
    """What is planted: fall after own gains, rise after the group's; one W for both cannot say it."""
    rows = random_rows(days=70, stocks=40, fields=1, holes=0.0, seed=1)
    group = rows.index.get_level_values("instrument").str[-2:].astype(int) % 4
    gain = rows["feature", "F0"]
    day = rows.index.get_level_values("datetime")
    rows["label", "LABEL0"] = 3 * gain.groupby([day, group]).transform("mean") - gain
    rows["group", "GROUP"] = group.astype(float)

    def rank_ic(share_weight: bool) -> float:
        graph = {"node_embedding": "instrument", "proximity": 3.0, "share_weight": share_weight}
        model = ASTGNN(**SMALL | graph | {"n_epochs": 16, "lr": 0.03, "early_stop": 16})
        model.fit(dataset_of(rows))
        return calc_ic(model.predict(dataset_of(rows)), rows["label", "LABEL0"], dropna=True)[1].mean()

    assert rank_ic(share_weight=False) > 0.9
    assert rank_ic(share_weight=True) < 0.7


def test_the_graph_of_a_day_depends_on_who_is_there():
    rows = random_rows(stocks=10, holes=0.0, seed=2)
    model = ASTGNN(**SMALL)
    model.fit(dataset_of(rows))
    day = pd.Timestamp("2020-03-16")
    absent = rows.drop((day, rows.index.unique("instrument")[0]))
    all_there, without = (model.predict(dataset_of(r)).loc[day] for r in (rows, absent))
    assert not torch.allclose(
        torch.tensor(all_there.loc[without.index].to_numpy()), torch.tensor(without.to_numpy()), atol=1e-6
    )


def test_a_cross_section_of_thousands_trains():
    rows = random_rows(days=24, stocks=1500, fields=2, holes=0.0)
    segments = {
        "train": ("2020-01-20", "2020-01-21"),
        "valid": ("2020-01-27", "2020-01-27"),
        "test": ("2020-02-03", None),
    }
    model = ASTGNN(**SMALL | {"n_epochs": 1})
    model.fit(dataset_of(rows, segments=segments))
    assert len(model.predict(dataset_of(rows, segments=segments))) == 1500


def test_proximity_may_be_to_relations():
    """To those of ``dataset_of``, without a group; who they are is tested with ``Batch.related``."""

    def trained(proximity):
        model = ASTGNN(**SMALL, proximity=proximity)
        model.fit(dataset_of(random_rows()))
        return model.predict(dataset_of(random_rows()))

    assert (trained(1.0) - trained(0.0)).abs().max() > 1e-3
