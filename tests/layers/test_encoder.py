from __future__ import annotations

import pytest
import torch
from qlib.contrib.model.pytorch_gru_ts import GRUModel
from qlib.contrib.model.pytorch_lstm_ts import LSTMModel

from qlib_ext.errors import ConfigError
from qlib_ext.layers.encoder import SAMPLES_AT_ONCE, RecurrentEncoder


@pytest.mark.parametrize(("base_model", "zoo"), [("GRU", GRUModel), ("LSTM", LSTMModel)])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_encoder_equals_the_zoos_with_the_same_weights(base_model, zoo, num_layers):
    theirs = zoo(d_feat=5, hidden_size=7, num_layers=num_layers)
    ours = RecurrentEncoder(5, 7, num_layers, base_model=base_model)
    ours.rnn.load_state_dict(theirs.rnn.state_dict())
    x = torch.randn(11, 6, 5)
    torch.testing.assert_close(theirs.fc_out(ours(x))[:, 0], theirs(x))


@pytest.mark.parametrize("base_model", ["GRU", "LSTM"])
def test_samples_read_in_parts_have_the_states_and_gradients_of_all_at_once(base_model):
    encoder = RecurrentEncoder(3, 4, base_model=base_model).double()
    x = torch.randn(2 * SAMPLES_AT_ONCE + 1, 5, 3, dtype=torch.double)
    in_parts = encoder(x)
    torch.testing.assert_close(in_parts, encoder.rnn(x.transpose(0, 1))[0][-1])
    gradients = [
        torch.autograd.grad(states.square().sum(), list(encoder.parameters()))
        for states in (in_parts, encoder.rnn(x.transpose(0, 1))[0][-1])
    ]
    torch.testing.assert_close(*gradients)


def test_an_unknown_cell_is_refused():
    with pytest.raises(ConfigError, match="GRU or LSTM, not 'RNN'"):
        RecurrentEncoder(5, base_model="RNN")
