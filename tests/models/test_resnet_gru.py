from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from benchmarks.image_speed import peak_of_step
from benchmarks.measure import in_fresh_process
from qlib_ext.data.batch import Batch
from qlib_ext.data.layout import Layout, Series
from qlib_ext.data.window import Window
from qlib_ext.errors import CheckpointError, ConfigError, DataError
from qlib_ext.models.astgnn import ASTGNN
from qlib_ext.models.gats import GATs
from qlib_ext.models.gru import GRU
from qlib_ext.models.resnet_gru import ResNetGRU
from qlib_ext.testing import IMAGES
from qlib_ext.testing.rows import dataset_of, random_rows

SMALL = {"hidden_size": 6, "num_layers": 1, "num_factors": 3, "n_epochs": 1, "GPU": -1, "seed": 0}
GRAPH = {"graph": True, "embedding_size": 4, "num_graph_layers": 2}
NOBODY = pd.Index([])
STOCKS = pd.Index([f"SH{600000 + i}" for i in range(9)])


def images(shape: tuple[int, ...]) -> Layout:
    """Thirty images of so many rows and columns."""
    return Layout({"week": Series(30, shape)})


def batch_of(x: torch.Tensor) -> Batch:
    """One day of as many stocks as x has samples."""
    samples = len(x)
    nothing = torch.zeros(samples, dtype=torch.long)
    return Batch(x, torch.randn(samples, 1), nothing, torch.arange(samples), None, torch.ones(1, samples).bool())


@pytest.mark.parametrize("shape", [(30, 6, 5), (30, 5, 8), (1, 6, 5)])
@pytest.mark.parametrize("base_model", ["GRU", "LSTM"])
def test_the_state_is_that_of_the_features_of_the_images_in_their_order(shape, base_model):
    torch.manual_seed(0)
    encoder = ResNetGRU(**SMALL, base_model=base_model).build(images(shape[1:]), NOBODY).encoder
    x = torch.randn(7, *shape)
    states = []
    for sample in x:
        features = torch.stack([encoder.resnet(image[None])[0] for image in sample])  # [T, features]
        output, _ = encoder.recurrent.rnn(features)  # a single sample: [T, hidden]
        states.append(output[-1])
    torch.testing.assert_close(encoder(x), torch.stack(states), atol=1e-6, rtol=1e-5)


def test_the_graph_is_that_of_astgnn_over_the_same_states():
    torch.manual_seed(0)
    net = ResNetGRU(**SMALL, **GRAPH).build(images((6, 5)), NOBODY).eval()
    options = {name: value for name, value in GRAPH.items() if name != "graph"}
    astgnn = ASTGNN(**SMALL, **options).build(Window(5).layout(4), NOBODY).eval()
    batch = batch_of(torch.randn(9, 30, 6, 5))
    state = net.encoder(batch.x)
    astgnn.encoder = nn.Identity()
    astgnn.graph.load_state_dict(net.graph.state_dict())
    astgnn.head.load_state_dict(net.head.state_dict())
    torch.testing.assert_close(net(batch), astgnn(batch_of(state)))
    net.graph = None
    assert not torch.allclose(net(batch).score, astgnn(batch_of(state)).score)


def test_without_graph_a_stock_is_scored_by_itself():
    torch.manual_seed(0)
    x = torch.randn(9, 30, 6, 5)
    others = torch.cat([x[:1], torch.randn(8, 30, 6, 5)])
    alone, among = (ResNetGRU(**SMALL, **extra).build(images((6, 5)), STOCKS).eval() for extra in ({}, GRAPH))
    torch.testing.assert_close(alone(batch_of(x)).score[0], alone(batch_of(others)).score[0])
    assert not torch.isclose(among(batch_of(x)).score[0], among(batch_of(others)).score[0])


@pytest.mark.parametrize("extra", [{}, GRAPH, GRAPH | {"node_embedding": "instrument"}])
def test_every_parameter_is_learnt(extra):
    torch.manual_seed(0)
    model = ResNetGRU(**SMALL, **extra)
    net = model.build(images((6, 5)), STOCKS)
    batch = batch_of(torch.randn(9, 30, 6, 5))
    model.loss(net(batch), batch).backward()
    still = {name for name, parameter in net.named_parameters() if parameter.grad.abs().max() < 1e-4}
    assert still == {"head.state_norm.bias", "head.factors.bias"}, "the loss is blind to a shift of all weak factors"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": []}, "channels"),
        ({"channels": 32}, r"channels.*not 32"),
        ({"channels": [16, 0]}, "channels"),
        ({"channels": [16.5]}, "channels"),
        ({"kernel_size": 0}, "kernel_size"),
        ({"kernel_size": 2.0}, "kernel_size"),
        ({"num_graph_layers": 2}, "num_graph_layers is an option of the graph.*graph: true"),
        ({"proximity": 0.1}, "proximity is an option of the graph"),
        ({"graph": True, "num_graph_layers": 0}, "num_graph_layers"),
        ({"base_model": "RNN"}, "base_model is one of GRU, LSTM, not 'RNN'"),
    ],
)
def test_options_that_make_no_sense_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        ResNetGRU(**options).build(images((6, 5)), NOBODY)


def test_images_too_short_for_the_convolutions_are_refused_by_fit():
    with pytest.raises(ConfigError, match="at least 5 columns, these have 3"):
        ResNetGRU(**SMALL, channels=[4, 4]).fit(dataset_of(random_rows(), IMAGES))


def test_windows_of_fields_are_refused_with_the_handlers_to_take():
    with pytest.raises(ConfigError, match=r"reads images, .* window 5 x 4\. Take .*Week or .*MsNew"):
        ResNetGRU(**SMALL).fit(dataset_of(random_rows()))


@pytest.mark.parametrize("kind", [GRU, ASTGNN, GATs])
def test_a_net_of_fields_refuses_images(kind):
    with pytest.raises(
        ConfigError, match=r"reads one series of fields, .* 3 images of 4 rows x 3 columns\. Take .*ResNetGRU"
    ):
        kind(n_epochs=1, GPU=-1).fit(dataset_of(random_rows(), IMAGES))


def test_a_trained_net_refuses_another_kind_of_window():
    model = ResNetGRU(**SMALL, channels=[4])
    model.fit(dataset_of(random_rows(), IMAGES))
    with pytest.raises(
        DataError,
        match=r"trained on windows of 3 images of 4 rows x 3 columns, the handler's are of 2 images of 4 rows x 4",
    ):
        model.predict(dataset_of(random_rows(), Window(5, shape=lambda x: x.unfold(1, 4, 1))))
    with pytest.raises(DataError, match=r"trained on windows of 3 images .*, the handler's are of window 5 x 4"):
        model.predict(dataset_of(random_rows()))


def test_a_longer_history_of_images_is_read_by_the_same_net():
    model = ResNetGRU(**SMALL, channels=[4])
    model.fit(dataset_of(random_rows(), IMAGES))
    assert np.isfinite(model.predict(dataset_of(random_rows(), Window(9, shape=IMAGES.shape)))).all()


def test_weights_for_longer_images_are_refused(tmp_path):
    model = ResNetGRU(**SMALL, channels=[4])
    model.fit(dataset_of(random_rows(), IMAGES))
    model.save_weights(tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=r"another net.*at least 5 columns"):
        ResNetGRU(**SMALL, channels=[4, 4]).load_weights(tmp_path / "w.pt")


def test_a_step_of_three_thousand_stocks_fits_a_gigabyte():
    assert in_fresh_process(peak_of_step, "ResNetGRU, graph", 3000) < 1.0
