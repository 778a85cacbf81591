"""Part 5: the whole market by day bars, GRU and ASTGNN, three seeds, retrained every year; on the packed real data."""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.gpu.panel import unpack
from benchmarks.gpu.results import main_of, record
from benchmarks.gpu.workflow import qrun
from qlib_ext.simulator.simulate import write_market

PACKED = Path(".gpu/panel.xz")
NETS = ("market_day_gru", "market_day_astgnn")
SEEDS = (0, 1, 2)
RECORDS = ("SignalRecord", "FactorRecord")  # an index to trade against does not travel
REAL = {"START": "2014-01-01", "TRAIN": "4Y", "VALID": "1Y", "STEP": "1Y", "TEST": "2019-01-01", "END": "2021-12-31"}
SMALL = {"START": "2014-09-01", "TRAIN": "6M", "VALID": "3M", "STEP": "6M", "TEST": "2016-01-04", "END": "2016-06-30"}
SMALL |= {"EPOCHS": "1"}


def market(options: argparse.Namespace) -> None:
    """A row for each net and seed as it is trained; nothing where no data was packed."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        data = "simulated" if options.small else "real"
        if options.small:
            write_market(folder / "market", stocks=30, days=500, seed=0)
        elif PACKED.is_file():
            unpack(PACKED, folder / "market")
        else:
            record(options.out, "market", net=f"{PACKED} is not there: python -m benchmarks.gpu.panel PROVIDER")
            return
        for seed in SEEDS[: 1 if options.small else None]:
            for name in NETS[: 1 if options.small else None]:
                given = (SMALL if options.small else REAL) | {"SEEDS": f"[{seed}]"}
                given |= {"QLIB_DATA": str(folder / "market"), "QLIB_RUNS": str(folder / f"{name}{seed}")}
                record(options.out, "market", net=name, seed=seed, data=data, **qrun(name, folder, given, RECORDS))


if __name__ == "__main__":
    main_of(market)
