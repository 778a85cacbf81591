"""What a handler tells of its needs before it reads anything, and that it is what it reads."""

from __future__ import annotations

import pytest
import qlib
from qlib.utils import init_instance_by_config

from qlib_ext.data.needs import Needs, needs_of
from qlib_ext.errors import ConfigError, ProviderError
from qlib_ext.ticks.factors import FAMILIES

BARS = ("close", "high", "low", "open", "volume", "vwap")
TIMES = {"start_time": "2015-05-04", "end_time": "2015-06-30"}


def config(name: str, module: str, **kwargs: object) -> dict:
    return {"class": name, "module_path": module, "kwargs": kwargs}


HANDLERS = {
    "Alpha158vwap": config("Alpha158vwap", "handlers.alpha158vwap", instruments="csi300"),
    "DayBars": config("DayBars", "handlers.bars", instruments="all", fields={"turnover": "$turnover"}),
    "Week": config("Week", "handlers.week", instruments="all", group="$industry"),
    "MultiFrequencyBars": config("MultiFrequencyBars", "handlers.bars", instruments="csi300", calendar=True),
    "MsNew": config("MsNew", "handlers.msnew", instruments="all"),
    "HighFreq27": config("HighFreq27", "handlers.highfreq", instruments="all", families=["orders"], size="$total_mv"),
    "FusedBars": config(
        "FusedBars", "handlers.fused", instruments="all", families=["orders"], without=[FAMILIES["orders"][0]]
    ),
    "RecordedFactors": config("RecordedFactors", "handlers.recorded", experiments=["day"], traded_only=True),
}
ORDERS = [f"hf_{name}" for name in FAMILIES["orders"]]
NEEDS = {
    "Alpha158vwap": Needs("csi300", BARS),
    "DayBars": Needs("all", ("close", "high", "low", "open", "turnover", "vwap")),
    "Week": Needs("all", ("close", "high", "industry", "low", "open", "volume", "vwap")),
    "MultiFrequencyBars": Needs("csi300", BARS),
    "MsNew": Needs("all", ("close", "float_mv", "vwap"), ("amount", "close", "high", "low", "open")),
    "HighFreq27": Needs("all", tuple(sorted([*ORDERS, "industry", "total_mv", "vwap"]))),
    "FusedBars": Needs("all", tuple(sorted([*ORDERS[1:], *BARS, "float_mv", "industry"]))),
    "RecordedFactors": Needs("all", ("close", "vwap")),
}


@pytest.fixture
def nowhere(tmp_path):
    """Qlib opened on a folder without a provider: whoever reads one fails."""
    qlib.init(provider_uri=str(tmp_path / "nothing"), region="cn", logging_level=40)


@pytest.mark.parametrize("name", HANDLERS)
def test_needs_are_told_without_a_provider(nowhere, name):
    assert needs_of(HANDLERS[name]) == NEEDS[name]


@pytest.mark.parametrize("name", ["Alpha158vwap", "Week", "MsNew", "FusedBars"])
def test_a_field_that_is_needed_and_not_there_is_missed(small, init, copy, name):
    """Every field of the needs is read: without its files the handler refuses the provider."""
    folder = copy("lacking")
    for bar in (folder / "features").glob("*/high.day.bin" if name != "MsNew" else "*/float_mv.day.bin"):
        bar.unlink()
    init(folder)
    kwargs = HANDLERS[name]["kwargs"] | TIMES | {"instruments": "csi300"}
    with pytest.raises(ProviderError, match=r"has the field|has no intraday bars"):
        init_instance_by_config(HANDLERS[name] | {"kwargs": kwargs})


@pytest.mark.parametrize(
    ("instruments", "universe"),
    [
        ("csi300", "csi300"),
        (None, "all"),
        ({"market": "csi500", "filter_pipe": []}, "csi500"),
        (["SH600000", "SZ000001"], None),
        ({"SH600000": [("2015-01-01", "2015-06-30")]}, None),
    ],
)
def test_the_universe_as_qlib_takes_it(instruments, universe):
    assert needs_of(config("DayBars", "handlers.bars", instruments=instruments)).universe == universe


def test_a_handler_that_does_not_tell_its_needs():
    assert needs_of(config("Alpha158", "qlib.contrib.data.handler", instruments="csi300")) is None


def test_bad_options_are_refused_before_anything_is_read(nowhere):
    with pytest.raises(ConfigError, match="families of HighFreq27 has no option 'order'"):
        needs_of(config("HighFreq27", "handlers.highfreq", families=["order"]))
    with pytest.raises(ConfigError, match="DayBars has no option 'instrument'"):
        needs_of(config("DayBars", "handlers.bars", instrument="all"))
