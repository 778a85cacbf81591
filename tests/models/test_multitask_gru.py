"""MultiTaskGRU: what is shared, the loss, correlations that do not exist, bad options."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from benchmarks.measure import in_fresh_process
from benchmarks.multitask_speed import peak_of_step
from qlib_ext.cross_section.tensor_ic import information_coefficient
from qlib_ext.data.batch import Batch
from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.data.layout import Layout, Series
from qlib_ext.data.window import Window
from qlib_ext.errors import CheckpointError, ConfigError, DataError
from qlib_ext.models import multitask_gru
from qlib_ext.models.multitask_gru import MultiTaskGRU
from qlib_ext.testing import IMAGES
from qlib_ext.testing.rows import dataset_of, random_rows

LENGTHS = {"day": 2, "week": 2, "month": 1}
SERIES = {name: Series(length, (4,)) for name, length in LENGTHS.items()}
WINDOW = Window(5, series=SERIES)
SMALL = {"hidden_size": 6, "n_epochs": 2, "GPU": -1, "seed": 0, "min_stocks": 2}
NOBODY = pd.Index([])


def batch_of(x: torch.Tensor, *counts: int) -> Batch:
    """Days of so many stocks each."""
    mask = torch.arange(max(counts)) < torch.tensor(counts)[:, None]
    nothing = torch.zeros(len(x), dtype=torch.long)
    return Batch(x, torch.randn(len(x), 1), nothing, nothing, None, mask)


def net_of(model: MultiTaskGRU, series: Mapping[str, Series] = SERIES) -> nn.Module:
    torch.manual_seed(0)
    return model.build(Layout(series), NOBODY)


def data_of(rows: pd.DataFrame) -> CrossSectionDataset:
    return dataset_of(rows, WINDOW)


def test_one_gru_reads_all_series():
    net = net_of(MultiTaskGRU(**SMALL))
    x = torch.randn(9, 5, 4)
    state = net(batch_of(x, 9)).state.split(6, dim=1)
    for found, part in zip(state, (x[:, :2], x[:, 2:4], x[:, 4:]), strict=True):
        expected = torch.stack([net.encoders[0].rnn(sample)[0][-1] for sample in part])
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("share", "grus"), [(True, 1), (False, 3)])
def test_a_net_shares_its_gru_or_has_one_for_each_series(share, grus):
    model = MultiTaskGRU(**SMALL, share_gru=share)
    net, batch = net_of(model), batch_of(torch.randn(9, 5, 4), 9)
    assert len(net.encoders) == grus
    y = net(batch).weak_factors
    y[:, 0].square().sum().backward()
    touched = [bool(encoder.rnn.weight_ih_l0.grad.any()) for encoder in net.encoders]
    assert touched == [True] + [False] * (grus - 1)


def test_a_series_changes_its_own_prediction_alone():
    net = net_of(MultiTaskGRU(**SMALL)).eval()
    x = torch.randn(9, 5, 4)
    other = x.clone()
    other[:, 2:4] += 1
    same = net(batch_of(x, 9)).weak_factors == net(batch_of(other, 9)).weak_factors
    assert same[:, [0, 2]].all()
    assert not same[:, 1].any()


FOUR = SERIES | {"factors": Series(3, (7,))}


@pytest.mark.parametrize(("share", "grus"), [(True, [0, 0, 0, 1]), (False, [0, 1, 2, 3])])
def test_series_of_other_fields_have_a_gru_of_their_own(share, grus):
    """Each series cut out of the row of values by hand, each GRU as its own formulas say."""
    net = net_of(MultiTaskGRU(**SMALL, share_gru=share), FOUR)
    row = torch.randn(9, 5 * 4 + 3 * 7)
    state = net(batch_of(row[:, :, None], 9)).state.split(6, dim=1)
    cut = [row[:, :8].reshape(9, 2, 4), row[:, 8:16].reshape(9, 2, 4), row[:, 16:20].reshape(9, 1, 4)]
    cut.append(torch.stack([row[:, 20:27], row[:, 27:34], row[:, 34:41]], dim=1))
    assert len(net.encoders) == len(set(grus))
    for found, part, gru in zip(state, cut, grus, strict=True):
        np.testing.assert_allclose(found.detach(), slow_gru(net.encoders[gru].rnn, part.numpy()), atol=1e-6)


def slow_gru(gru: nn.GRU, x: np.ndarray) -> np.ndarray:
    """The last state of a GRU, by its definition: x [samples, length, fields] -> [samples, hidden]."""
    w, u, b, c = (p.detach().numpy() for p in (gru.weight_ih_l0, gru.weight_hh_l0, gru.bias_ih_l0, gru.bias_hh_l0))
    h = np.zeros((len(x), u.shape[1]))
    for step in x.swapaxes(0, 1):
        own, past = np.split(step @ w.T + b, 3, axis=1), np.split(h @ u.T + c, 3, axis=1)
        reset, update = (1 / (1 + np.exp(-own[k] - past[k])) for k in (0, 1))
        h = (1 - update) * np.tanh(own[2] + reset * past[2]) + update * h
    return h


def test_four_series_are_four_tasks():
    model = MultiTaskGRU(**SMALL, correlation_penalty=0.5)
    batch = batch_of(torch.randn(12, 41, 1), 12)
    scores = net_of(model, FOUR)(batch)
    c = np.corrcoef(np.column_stack([scores.weak_factors.detach(), batch.y]).T)
    pairs = [c[i, j] for i in range(4) for j in range(i)]
    assert model.loss(scores, batch).item() == pytest.approx(-c[4, :4].sum() + 0.5 * sum(pairs), abs=1e-5)
    torch.testing.assert_close(scores.score, scores.weak_factors.mean(1))


@pytest.mark.parametrize("penalty", [0.0, 0.01, 2.0])
def test_the_loss_is_the_reports(penalty):
    model = MultiTaskGRU(**SMALL, correlation_penalty=penalty)
    batch = batch_of(torch.randn(21, 5, 4), 12, 9)
    scores = net_of(model)(batch)
    total = []
    for day in (slice(0, 12), slice(12, 21)):
        columns = np.column_stack([scores.weak_factors[day].detach(), batch.y[day]]).astype(float)
        c = np.corrcoef(columns.T)
        total.append(-c[3, :3].sum() + penalty * (c[0, 1] + c[0, 2] + c[1, 2]))
    assert model.loss(scores, batch).item() == pytest.approx(np.mean(total), abs=1e-5)


def test_every_parameter_is_learnt():
    model = MultiTaskGRU(**SMALL)
    net, batch = net_of(model), batch_of(torch.randn(21, 5, 4), 12, 9)
    model.loss(net(batch), batch).backward()
    still = {name for name, parameter in net.named_parameters() if parameter.grad.abs().max() < 1e-6}
    shifts = {f"head.{part}.{k}.bias" for part in ("norms", "linears") for k in range(3)}
    assert still == shifts, "a correlation is blind to a shift"


def test_a_series_that_is_the_same_for_all_stocks_adds_nothing_and_is_counted():
    model = MultiTaskGRU(**SMALL)
    x = torch.randn(60, 5, 4)
    x[20:40, 2:4] = 0.3  # of the second day the second series
    x[40:] = 0.0  # of the third day all of them
    batch = batch_of(x, 20, 20, 20)
    net = net_of(model)
    scores = net(batch)
    assert model.defined(scores, batch).tolist() == [[True, True, False], [True, False, False], [True, True, False]]
    loss = model.loss(scores, batch)
    loss.backward()
    y = batch.to_days(scores.weak_factors.detach())  # [days, stocks, 3]
    label, mask = batch.to_days(batch.y), batch.mask
    corr = torch.stack([information_coefficient(y[..., k], label, mask) for k in range(3)])
    pairs = torch.stack([information_coefficient(y[..., i], y[..., j], mask) for i, j in ((0, 1), (0, 2), (1, 2))])
    expected = -corr[:, 0].sum() - corr[[0, 2], 1].sum() + 0.01 * (pairs[:, 0].sum() + pairs[1, 1])
    torch.testing.assert_close(loss.detach(), expected / 3)
    assert all(torch.isfinite(parameter.grad).all() for parameter in net.parameters())


def test_the_share_of_undefined_correlations_is_said(monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(multitask_gru, "logger", SimpleNamespace(warning=said.append))
    rows = random_rows(stocks=40, holes=0.0)
    days = rows.index.unique("datetime")
    for day in days[5:15]:
        rows.loc[day, "feature"] = 1.0
    model = MultiTaskGRU(**SMALL)
    model.fit(data_of(rows))
    n_days = data_of(rows).samples("train", learn=True).n_days
    # the first series sees days t-4 and t-3, the second t-2 and t-1, the third t: two days are seldomer both without
    expected = {"day": 9 / n_days, "week": 9 / n_days, "month": 10 / n_days}
    assert model.undefined_ == pytest.approx(expected, abs=1e-6)
    assert any(
        f"month: on {10 / n_days:.1%} of the training days it is the same for all stocks" in line for line in said
    )
    model.fit(data_of(random_rows(stocks=40)))
    assert model.undefined_ == dict.fromkeys(LENGTHS, 0.0)


def test_days_of_few_stocks_add_nothing_and_are_counted():
    rows = random_rows(stocks=40, holes=0.0)
    few = rows.index.get_level_values("instrument") < "SH600019"
    thin = rows.index.get_level_values("datetime") < "2020-01-15"
    model = MultiTaskGRU(**SMALL | {"min_stocks": 20})
    model.fit(data_of(rows[few | ~thin]))
    samples = data_of(rows).samples("train", learn=True)
    share = float((samples.index.unique("datetime") < "2020-01-15").mean())
    assert share > 0
    assert model.undefined_ == pytest.approx(dict.fromkeys(LENGTHS, share), abs=1e-6)


@pytest.mark.parametrize("bad", ["few", "constant"])
def test_nothing_to_learn_is_refused_and_the_model_left_as_it_was(bad):
    rows = random_rows(stocks=40, holes=0.0)
    model = MultiTaskGRU(**SMALL | {"min_stocks": 20})
    model.fit(data_of(rows))
    before = model.predict(data_of(rows))
    broken = random_rows(stocks=19) if bad == "few" else rows.copy()
    if bad == "constant":
        broken["feature"] = 0.0
    with pytest.raises(DataError, match=r"None of the 3 series differs.*no day has 20 stocks"):
        model.fit(data_of(broken))
    pd.testing.assert_series_equal(model.predict(data_of(rows)), before, check_exact=True)


def test_a_single_series_is_trained_by_its_correlation_alone():
    model = MultiTaskGRU(**SMALL)
    batch = batch_of(torch.randn(12, 5, 4), 12)
    scores = net_of(model, {"day": Series(5, (4,))})(batch)
    expected = -np.corrcoef(scores.score.detach(), batch.y)[0, 1]
    assert model.loss(scores, batch).item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "mse"}, "made of correlations, ic; not 'mse'"),
        ({"min_stocks": 1}, "at least 2.*not 1"),
    ],
)
def test_options_that_make_no_sense_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        MultiTaskGRU(**SMALL | options)


def test_images_are_refused():
    with pytest.raises(ConfigError, match="reads series of fields; the handler's windows are 3 images"):
        MultiTaskGRU(**SMALL).fit(dataset_of(random_rows(), IMAGES))


def test_weights_of_a_shared_gru_are_no_weights_of_three(tmp_path):
    model = MultiTaskGRU(**SMALL)
    model.fit(data_of(random_rows()))
    model.save_weights(tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="another net"):
        MultiTaskGRU(**SMALL, share_gru=False).load_weights(tmp_path / "w.pt")


def test_a_step_of_a_thousand_stocks_fits_a_fifth_of_three_gigabytes():
    assert in_fresh_process(peak_of_step, 1000) < 0.6
