"""RSR hears of those that are related on the day, by their names, and needs a handler that says who they are."""

from __future__ import annotations

from datetime import date

import pandas as pd
import polars as pl
import pytest
import torch
from qlib.data.dataset.handler import DataHandlerLP
from qlib.data.dataset.loader import StaticDataLoader

from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.errors import ConfigError
from qlib_ext.models.rsr import RSR
from qlib_ext.testing.rows import SEGMENTS, RelatedHandler, random_rows

SMALL = {"hidden_size": 6, "num_layers": 1, "n_epochs": 2, "lr": 0.01, "GPU": -1, "seed": 0}
DAY = date(2020, 3, 18)


def dataset_of(rows, tables=None):
    """A dataset of these rows and relations; those of the contract where none are given."""
    processors = [{"class": "DropnaLabel"}]
    handler = RelatedHandler(data_loader=StaticDataLoader(rows.copy()), learn_processors=processors)
    if tables is not None:
        handler.relation_tables = lambda: tables
    return CrossSectionDataset(handler, SEGMENTS, step_len=5, purge=2)


@pytest.fixture(scope="module")
def rows():
    return random_rows(seed=7)


@pytest.fixture(scope="module")
def model(rows):
    model = RSR(**SMALL)
    model.fit(dataset_of(rows))
    return model


def test_relations_from_a_day_on_change_the_scores_from_that_day_on(model, rows):
    tables = dataset_of(rows).handler.relation_tables()
    everyone = tables["industry"].with_columns(group=pl.lit("0"))
    changed = pl.concat(
        [
            tables["industry"].with_columns(to=pl.lit(date(2020, 3, 17))),
            everyone.with_columns(pl.lit(DAY).alias("from")),
        ]
    )
    before, after = (model.predict(dataset_of(rows, t)) for t in (tables, tables | {"industry": changed}))
    days = before.index.get_level_values("datetime")
    pd.testing.assert_series_equal(after[days < pd.Timestamp(DAY)], before[days < pd.Timestamp(DAY)], check_exact=True)
    assert not torch.allclose(*(torch.tensor(s[days == pd.Timestamp(DAY)].to_numpy()) for s in (before, after)))


def test_relations_are_known_by_their_names(model, rows):
    tables = dataset_of(rows).handler.relation_tables()
    expected = model.predict(dataset_of(rows))
    for order in (dict(reversed(tables.items())), tables | {"other": tables["beside"].clear()}):
        pd.testing.assert_series_equal(model.predict(dataset_of(rows, order)), expected, atol=1e-6)
    assert model.nets_[0].relations.tolist() == ["industry: 0", "industry: 1", "industry: 2", "beside"]


def test_a_relation_that_was_never_seen_relates_without_a_weight(model, rows):
    tables = dataset_of(rows).handler.relation_tables()
    renamed = {"sector": tables["industry"], "beside": tables["beside"]}
    score = model.predict(dataset_of(rows, renamed))
    with torch.no_grad():
        weight = model.nets_[0].embedding.relation
        kept = weight[:3].clone()
        weight[:3] = 0
        expected = model.predict(dataset_of(rows))
        weight[:3] = kept
    pd.testing.assert_series_equal(score, expected, atol=1e-6)


def test_a_failed_load_leaves_the_model_as_it_was(model, rows, tmp_path):
    from qlib_ext.errors import CheckpointError

    other = RSR(**SMALL | {"hidden_size": 5})
    other.fit(dataset_of(rows, {"beside": dataset_of(rows).handler.relation_tables()["beside"]}))
    other.save_weights(tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match="another net than RSR"):
        model.load_weights(tmp_path / "other.pt")
    assert len(model.layout_.relations) == 4


def test_a_handler_without_relations_is_refused(rows):
    handler = DataHandlerLP(data_loader=StaticDataLoader(rows.copy()), learn_processors=[{"class": "DropnaLabel"}])
    with pytest.raises(ConfigError, match="give the handler relations"):
        RSR(**SMALL).fit(CrossSectionDataset(handler, SEGMENTS, step_len=5, purge=2))


def test_an_unknown_strength_is_refused():
    with pytest.raises(ConfigError, match="relation is one of uniform, weighted, explicit, implicit, not 'strong'"):
        RSR(relation="strong")
