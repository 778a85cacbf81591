"""A small simulated market, and a short search of it that several tests look at."""

from __future__ import annotations

import pytest
import qlib

from qlib_ext.search.search import Limits, Search, Settings
from qlib_ext.simulator.simulate import write_market

TRAIN, VALID = ("2014-09-01", "2015-12-31"), ("2016-01-01", "2016-06-30")
FIELDS = ("open", "close", "vwap", "volume", "turnover")


@pytest.fixture(scope="session")
def provider(tmp_path_factory):
    """60 stocks whose training begins with the bars; a year of sealed days follows the validation."""
    folder = tmp_path_factory.mktemp("search") / "provider"
    write_market(folder, stocks=60, days=480, seed=1)
    return folder


@pytest.fixture
def initialised(provider):
    qlib.init(provider_uri=str(provider), region="cn", kernels=1, logging_level=40)
    return provider


@pytest.fixture
def settings():
    def of(**changed) -> Settings:
        return Settings(**{"train": TRAIN, "valid": VALID, "fields": FIELDS, "size": 40, "measured": 6} | changed)

    return of


@pytest.fixture(scope="session")
def searched(provider, tmp_path_factory):
    """A search of three generations, and the folder of its state."""
    qlib.init(provider_uri=str(provider), region="cn", kernels=1, logging_level=40)
    folder = tmp_path_factory.mktemp("searched") / "state"
    own = Settings(train=TRAIN, valid=VALID, fields=FIELDS, size=40, measured=6)
    return Search(own, folder).run(Limits(generations=3)), folder
