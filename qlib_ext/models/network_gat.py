"""NetworkGAT: a GRU whose stocks hear of each other on several networks, weighed by the state of the market."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from qlib_ext.data.batch import Batch
from qlib_ext.data.layout import Layout
from qlib_ext.data.panel import Panel
from qlib_ext.errors import ConfigError
from qlib_ext.layers.network_attention import NetworkAttention, entropy_lacking
from qlib_ext.layers.scores import Scores
from qlib_ext.layers.weak_factors import WeakFactorHead
from qlib_ext.models.gru import GRU, GRUOptions
from qlib_ext.models.market_state import MarketState
from qlib_ext.models.options import at_least_one, at_least_zero, one_of

WEIGHTS = ("equal", "state")
INDICATORS = "indicators"  # the series of the window that joins the state before the output


@dataclass(kw_only=True)
class NetworkGATOptions(GRUOptions):
    """Options of the networks beside those of the GRU.

    networks    kinds of the handler's relations, each a network of its own, such as [$industry, financial]; None: all;
                []: none, which leaves the encoder and the indicators
    weights     equal, or state: by the returns of factors over the past days, the same for all stocks of a day
    risk        folder of ``qlib-ext risk``, whose factors' returns are the state; industries' are left out
    state_days  trading days of these returns, up to the day of the sample
    entropy     weight of the penalty on weights of the networks that are not equal
    num_heads   attentions of each network, side by side
    head_size   length of what one of them says
    indicators  the series ``indicators`` of the handler's windows joins the state before the output
    """

    num_layers: int = 1
    networks: Sequence[str] | None = None
    weights: str = "state"
    risk: str | None = None
    state_days: int = 20
    entropy: float = 0.01
    num_heads: int = 4
    head_size: int = 16
    indicators: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("weights", self.weights, WEIGHTS)
        at_least_one(self, "state_days", "num_heads", "head_size")
        at_least_zero(self, "entropy")
        if self.networks is not None and not self.networks and self.weights == "state":
            raise ConfigError("networks names none, and weights: state would weigh them: take weights: equal.")
        if self.weights == "state" and self.risk is None:
            raise ConfigError(
                "weights: state reads the returns of factors: give risk, a folder of `qlib-ext risk`, or take weights: "
                "equal."
            )


class NetworkGATNet(nn.Module):
    """``z = [h || sum_k w_k(t) GAT_k(h) || p]``, ``score = mean of K weak factors of LeakyReLU(A z + b)``.

    h is the encoder's last state, GAT_k the attention of network k, w(t) the weights of the day, and p the indicators,
    or nothing. networks: the kinds of relations; state: of the market, None where all networks count the same.
    """

    def __init__(
        self, layout: Layout, networks: Sequence[str], state: MarketState | None, options: NetworkGATOptions
    ) -> None:
        super().__init__()
        self.layout, self.networks, self.state = layout, list(networks), state
        self.read = [name for name in layout.series if name != INDICATORS]
        (fields,) = (layout.sequences[name][1] for name in self.read)
        heard = options.num_heads * options.head_size if networks else 0
        beside = layout.sequences[INDICATORS] if options.indicators else (0, 0)
        self.indicators = options.indicators
        self.encoder = options.encoder(fields)
        self.attention = None
        if networks:
            self.attention = NetworkAttention(options.hidden_size, len(networks), options.num_heads, options.head_size)
        self.mlp = nn.Linear(options.hidden_size + heard + beside[0] * beside[1], options.hidden_size)
        self.head = WeakFactorHead(options.hidden_size, options.num_factors, options.activation)
        self.register_buffer("network", torch.empty(0, dtype=torch.long), persistent=False)  # of each relation

    def bind(self, panel: Panel) -> None:
        """Read the relations and the days of this panel from now on."""
        if not self.networks:
            return
        assert panel.relations is not None
        device = self.mlp.weight.device
        places = pd.Index(self.networks).get_indexer(pd.Index([kind_of(name) for name in panel.relations.names]))
        self.network = torch.from_numpy(places).to(device)
        if self.state is not None:
            self.state.bind(panel.days, panel.member_counts > 0)

    def forward(self, batch: Batch) -> Scores:
        series = dict(zip(self.layout.series, self.layout.split(batch.x), strict=True))
        h = self.encoder(series[self.read[0]])  # [samples, hidden]
        parts, weights = [h], None
        if self.attention is not None:
            assert batch.relations is not None  # ``NetworkGAT.bind`` has refused a panel without
            graphs = [batch.relations.only(self.network == k) for k in range(len(self.networks))]
            heard = self.attention(h, graphs)  # [samples, networks, heads * size]
            if self.state is not None:
                weights = self.state(batch.day, batch.mask)  # [days, networks]
                heard = heard * (len(self.networks) * weights)[batch.places[0]][:, :, None]
            parts.append(heard.mean(1).to(h.dtype))  # [samples, heads * size]
        if self.indicators:
            parts.append(series[INDICATORS].flatten(1))
        z = nn.functional.leaky_relu(self.mlp(torch.cat(parts, 1)))  # [samples, hidden]
        return self.head(z, h)._replace(network_weights=weights)


class NetworkGAT(GRU):
    """The GRU's loss over a net of several networks, plus ``entropy (log K - H(w))`` where the state weighs them.

    Its handler says which relations there are: ``relations: [$industry, financial]``. Raises ConfigError for a handler
    without, for a network that the handler lacks, and for windows without the series ``indicators``, which
    ``handlers.fundamentals.BarsWithFundamentals`` has, unless ``indicators: false``; DataError for a risk model that
    lacks days.

    Source: Orient Securities, market microstructure series 32 (2026-01-28) and 24; what they leave open is ours.
    """

    options_class = NetworkGATOptions
    options: NetworkGATOptions

    def build(self, layout: Layout, instruments: pd.Index) -> nn.Module:
        """A NetworkGATNet of the networks of the training's panel."""
        options = self.options
        networks = self._networks(layout.relations)
        if options.indicators and INDICATORS not in layout.series:
            raise ConfigError(
                f"The net reads {INDICATORS} before the output, and the handler's windows are {layout}: take "
                "handlers.fundamentals.BarsWithFundamentals, or indicators: false."
            )
        state = None
        if options.weights == "state":
            assert options.risk is not None  # the options have refused it
            state = MarketState(options.risk, options.state_days, len(networks))
        return NetworkGATNet(layout, networks, state, options)

    def _networks(self, relations: Sequence[str]) -> list[str]:
        """The kinds of these relations that are networks; raises ConfigError for one that is not there."""
        if self.options.networks is not None and not self.options.networks:
            return []
        there = list(dict.fromkeys(map(kind_of, relations)))
        if not there:
            raise ConfigError(
                'NetworkGAT hears of related stocks: give the handler relations, such as relations: ["$industry"], or '
                "kinds that `qlib-ext relations` keeps, or take networks: [] and weights: equal."
            )
        if self.options.networks is None:
            return there
        if missing := [name for name in self.options.networks if name not in there]:
            raise ConfigError(
                f"The network {missing[0]!r} is not among the relations of the handler, {', '.join(there)}: add it to "
                "them, or leave it out of networks."
            )
        return list(self.options.networks)

    def bind(self, net: nn.Module, panel: Panel) -> None:
        """Match the panel's relations with the networks, and its days with those of the risk model."""
        names = () if panel.relations is None else panel.relations.names
        there = self._networks(names)
        if lacking := [name for name in net.networks if name not in there]:  # type: ignore[union-attr]
            raise ConfigError(f"The net was trained on the network {lacking[0]!r}, which the handler's relations lack.")
        net.bind(panel)  # type: ignore[operator]

    def loss(self, scores: Scores, batch: Batch) -> Tensor:
        """The GRU's loss plus what the weights of the networks lack in entropy."""
        loss = super().loss(scores, batch)
        if self.options.entropy and scores.network_weights is not None:
            loss = loss + self.options.entropy * entropy_lacking(scores.network_weights)
        return loss

    def state_weights(self, days: pd.DatetimeIndex) -> pd.DataFrame | None:
        """The weights of the networks by day, the mean over the nets: [days, networks]; None where they are equal."""
        if self.options.weights == "equal":
            return None
        states = [net.to(self.device).state for net in self.nets_]
        with torch.no_grad():
            weights = [state.weights(state.past(days)).cpu().numpy() for state in states]  # type: ignore[union-attr, operator]
        return pd.DataFrame(np.mean(weights, 0), days.rename("datetime"), self.nets_[0].networks)

    def beside_dataset(self) -> pd.DataFrame | None:
        """The returns of factors by day, where the state weighs the networks."""
        options = self.options
        return None if options.weights == "equal" or options.risk is None else MarketState.returns_of(options.risk)


def kind_of(relation: str) -> str:
    """The kind of a relation of a panel: ``$industry`` of ``$industry: 37``, ``suppliers`` of itself."""
    return relation.split(": ", 1)[0]
