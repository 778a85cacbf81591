from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from qlib.contrib.model.pytorch_gats_ts import GATModel
from qlib.contrib.model.pytorch_gru import GRUModel

from benchmarks.leak import measure, zoo_weights
from qlib_ext.data.window import Window
from qlib_ext.errors import CheckpointError
from qlib_ext.models.gats import GATs
from qlib_ext.testing.rows import dataset_of, random_rows

SMALL = {"hidden_size": 6, "num_layers": 2, "n_epochs": 1, "GPU": -1, "seed": 0}


@pytest.mark.parametrize("base_model", ["GRU", "LSTM"])
def test_one_layer_equals_the_zoos_net_with_its_own_weights(base_model):
    theirs = GATModel(d_feat=4, hidden_size=6, base_model=base_model)
    net = GATs(**SMALL | {"base_model": base_model}).build(Window(5).layout(4), pd.Index([]))
    net.load_state_dict(zoo_weights(theirs))
    data = dataset_of(random_rows(stocks=30))
    samples = data.samples("test", learn=False)
    for day in range(samples.n_days):
        batch = samples.batch(np.array([day]), data.window)
        torch.testing.assert_close(net(batch).score, theirs(batch.x.contiguous()), atol=1e-5, rtol=1e-5)


def test_the_encoder_starts_from_a_pretrained_one(tmp_path):
    pretrained = GRUModel(d_feat=4, hidden_size=6, num_layers=2)
    torch.save(pretrained.state_dict(), tmp_path / "gru.pkl")
    net = GATs(**SMALL, model_path=str(tmp_path / "gru.pkl")).build(Window(5).layout(4), pd.Index([]))
    for name, weight in pretrained.rnn.named_parameters():
        assert torch.equal(net.encoder.rnn.get_parameter(name), weight)


def test_a_pretrained_encoder_of_another_kind_is_refused(tmp_path):
    torch.save(GRUModel(d_feat=9, hidden_size=6).state_dict(), tmp_path / "gru.pkl")
    with pytest.raises(CheckpointError, match="another encoder"):
        GATs(**SMALL, model_path=str(tmp_path / "gru.pkl")).fit(dataset_of(random_rows()))


def test_without_pretraining_the_file_is_not_read(tmp_path):
    GATs(**SMALL, model_path=str(tmp_path / "none.pkl"), with_pretrain=False).fit(dataset_of(random_rows()))


@pytest.mark.parametrize("damage", ["missing", "text"])
def test_a_pretrained_file_that_cannot_be_read_is_named(tmp_path, damage):
    path = tmp_path / "lstm.pkl"
    if damage == "text":
        path.write_text("no weights")
    with pytest.raises(CheckpointError, match=r"lstm\.pkl cannot be read"):
        GATs(**SMALL, model_path=str(path)).fit(dataset_of(random_rows()))


def test_no_score_moves_with_the_future_where_the_zoos_do():
    moved = measure(days=80, stocks=20, fields=4)["largest"]
    assert moved["qlib_ext GATs"] == 0.0
    assert moved["Qlib 0.9.7 GATs_ts"] > 0.0
