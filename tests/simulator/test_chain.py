"""The whole chain on a market where informed traders leave traces: day bars to ticks, factors, windows and a net."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from handlers.highfreq import HighFreq27
from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.models.gru import GRU
from qlib_ext.simulator import ticks
from qlib_ext.simulator.informed import expected_return, informed_flow
from qlib_ext.simulator.simulate import simulate, write_market
from qlib_ext.ticks.build import build

pytestmark = pytest.mark.slow
MARKET = {"stocks": 60, "days": 240, "seed": 0}
TRAIN, VALID, TEST = 60, 160, 185  # first days: the windows of 40 days of 20-day means reach back 59
SIGNS = {  # as qlib_ext.simulator.informed says, not as the report does
    "EARLY_ACTIVE_BUY_PERC": 1,
    "CONCENTRATION_DIFF": 1,
    "EARLY_BIGORDER_BUY_PERC": 1,
    "BIGORDER_RET2": 1,
    "EARLY_ACTIVE_BIGORDER_RET": 1,
    "BIGORDER_RET": 1,
    "DOWN_SINGLE_AMT_PERC": -1,
}
NET = {"hidden_size": 30, "num_layers": 1, "num_factors": 1, "orthogonality": 0.0, "activation": "sigmoid"}


def shuffled(parts, seed):
    """The flow of each day, given to other stocks: nobody knows anything."""
    flow, random = informed_flow(parts, seed), np.random.default_rng(5)
    for day in flow:
        on = np.flatnonzero(~np.isnan(day))
        day[on] = random.permutation(day[on])
    return flow


@pytest.fixture(scope="module", params=["informed", "uninformed"])
def chain(request, tmp_path_factory, init):
    """Who trades, the handler of a market built from its ticks, and what was planted: by (datetime, instrument)."""
    root = tmp_path_factory.mktemp(request.param)
    write_market(root / "provider", **MARKET)
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "uninformed":
            patch.setattr(ticks, "informed_flow", shuffled)
        ticks.write_ticks(root / "ticks", **MARKET, ticks_days=MARKET["days"])
    sources = {source: root / "ticks" / source for source in ("minute", "trades")}
    assert build(root / "provider", sources, n_jobs=2).computed == MARKET["days"]
    init(root / "provider")
    market = simulate(**MARKET)
    handler = HighFreq27(
        families=["minute", "trades"], size="$float_mv", instruments="all", start_time=market.calendar[TRAIN]
    )
    planted = pd.DataFrame(expected_return(market.parts), market.calendar, market.symbols).stack()
    return request.param, handler, planted.rename_axis(["datetime", "instrument"])


def rank_ic(score, truth):
    both = pd.concat([score, truth], axis=1, keys=["score", "truth"], join="inner").dropna()
    return both.groupby(level="datetime").corr(method="spearman")["score"].xs("truth", level=1).mean()


def test_the_factors_of_informed_trades_foretell_ten_days(chain):
    """Rank IC of 20-day means, neutral to industry and size, with the label: 0.1 of informed trades, else chance."""
    who, handler, planted = chain
    factors = handler.fetch(col_set="feature")
    label = handler.fetch(col_set="label", data_key="raw")["LABEL0"]
    found = {name: sign * rank_ic(factors[name], label) for name, sign in SIGNS.items()}
    known = {name: sign * rank_ic(factors[name], planted) for name, sign in SIGNS.items()}
    if who == "informed":
        assert min(found.values()) > 0.06, found
        assert min(known.values()) > 0.35, known
    else:
        assert max(map(abs, found.values())) < 0.05, found
        assert max(map(abs, known.values())) < 0.1, known


def test_the_net_of_the_report_learns_it(chain):
    """Rank IC of three nets' mean score with what was planted: the label of 55 days is too noisy to tell by."""
    who, handler, planted = chain
    days = handler.fetch(col_set="feature").index.unique("datetime").sort_values()
    parts = {"train": (TRAIN, VALID), "valid": (VALID, TEST), "test": (TEST, MARKET["days"])}
    segments = {name: (days[first - TRAIN], days[end - TRAIN - 1]) for name, (first, end) in parts.items()}
    data = CrossSectionDataset(handler, segments)
    scores = []
    for seed in range(3):
        net = GRU(
            **NET, loss="ic", metric="ic", lr=0.005, n_epochs=15, early_stop=10, batch_size=600, GPU=-1, seed=seed
        )
        net.fit(data)
        scores.append(net.predict(data))
    found = rank_ic(sum(scores), planted)
    assert found > 0.15 if who == "informed" else abs(found) < 0.15, found
