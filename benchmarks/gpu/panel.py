"""Real data packed to travel: a provider's day bars as whole numbers, compressed; and a provider made of them again.

    python -m benchmarks.gpu.panel PROVIDER [--start 2014-01-01] [--out .gpu/panel.xz]

Logarithms of prices are rounded to 1 / PRICE_STEPS, those of volumes to 1 / VOLUME_STEPS; a close is kept as its
difference from the last one, the other prices as theirs from the close. Days without trading are left out. So a price
is off by half of 1 / PRICE_STEPS, 0.04 %, and never by more: the differences add up to rounded prices.
"""

from __future__ import annotations

import argparse
import lzma
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from qlib_ext.errors import DataError
from qlib_ext.provider.calendar import read_calendar
from qlib_ext.provider.panels import read_panels, read_spans
from qlib_ext.provider.writer import write_provider

PRICE_STEPS, VOLUME_STEPS = 1_250, 50
PRICES = ("open", "high", "low", "vwap")  # kept as their difference from the close
FIELDS = ("close", *PRICES, "volume")
MOST_BYTES = 40_000_000
UNIVERSE = "all"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.panel", description=__doc__.split("\n")[0])
    parser.add_argument("provider", type=Path, help="a Qlib provider of day bars")
    parser.add_argument("--start", default="2014-01-01", help="the first day (2014-01-01)")
    parser.add_argument("--out", type=Path, default=Path(".gpu/panel.xz"), help="the file to write (.gpu/panel.xz)")
    options = parser.parse_args()
    print(f"{options.out}: {pack(options.provider, options.out, options.start) / 1e6:.1f} MB")


def pack(provider: Path, out: Path, start: str) -> int:
    """Write the packed bars of the instruments ``all`` from a day on; returns their bytes.

    Raises DataError where they are more than MOST_BYTES, with the file still written.
    """
    days = read_calendar(provider)
    first = int(days.searchsorted(pd.Timestamp(start)))
    symbols = sorted(read_spans(provider, UNIVERSE)["instrument"].unique())
    codes: dict[str, list[np.ndarray]] = {name: [] for name in ("day", *FIELDS)}
    counts = []
    panels = read_panels(provider, FIELDS, symbols, first)  # [days, stocks] each
    for stock in range(len(symbols)):
        bars = {field: panels[field][:, stock] for field in FIELDS}
        traded = np.flatnonzero(np.logical_and.reduce([values > 0 for values in bars.values()]))
        counts.append(len(traded))
        rounded = {
            field: np.rint((VOLUME_STEPS if field == "volume" else PRICE_STEPS) * np.log(values[traded]))
            for field, values in bars.items()
        }
        codes["day"].append(differences(traded))
        for field in ("close", "volume"):
            codes[field].append(differences(rounded[field]))
        for field in PRICES:
            codes[field].append(as_int16(rounded[field] - rounded["close"]))
    out.parent.mkdir(parents=True, exist_ok=True)
    with lzma.open(out, "wb", preset=1) as file:
        planes = {name: np.concatenate(parts).view(np.uint8).reshape(-1, 2).T for name, parts in codes.items()}
        np.savez(
            file, symbols=symbols, days=days[first:].to_numpy("datetime64[D]").astype("U10"), counts=counts, **planes
        )
    size = out.stat().st_size
    if size > MOST_BYTES:
        raise DataError(f"{out} has {size:,} bytes, more than {MOST_BYTES:,}; give --start a later day than {start}.")
    return size


def differences(values: np.ndarray) -> np.ndarray:
    return as_int16(np.diff(values, prepend=0))


def as_int16(values: np.ndarray) -> np.ndarray:
    """Whole numbers in two bytes; raises DataError for one that does not fit."""
    if len(values) and np.abs(values).max() > np.iinfo(np.int16).max:
        raise DataError(f"A step of {np.abs(values).max():.0f} does not fit two bytes; are the prices adjusted?")
    return values.astype("<i2")


def unpack(packed: Path, provider: Path) -> Path:
    """A provider of the packed bars, with the factor 1 and the instruments ``all``."""
    with lzma.open(packed) as file:
        stored = np.load(file)
        planes = {name: stored[name] for name in stored.files}
    days = pd.DatetimeIndex(planes.pop("days"))
    symbols, counts = planes.pop("symbols"), planes.pop("counts")
    codes = {name: np.ascontiguousarray(plane.T).view("<i2")[:, 0].astype(int) for name, plane in planes.items()}
    ends = np.cumsum(counts)

    def stocks() -> Iterator[tuple[str, pd.DataFrame]]:
        for symbol, low, high in zip(symbols, ends - counts, ends, strict=True):
            own = {name: values[low:high] for name, values in codes.items()}
            if high > low:
                close = own["close"].cumsum()
                bars = {field: np.exp((close + own[field]) / PRICE_STEPS) for field in PRICES}
                bars |= {"close": np.exp(close / PRICE_STEPS), "factor": np.ones(high - low)}
                bars["volume"] = np.exp(own["volume"].cumsum() / VOLUME_STEPS)
                yield str(symbol), pd.DataFrame(bars, index=days[own["day"].cumsum()])

    frames = list(stocks())
    spans = [(symbol, frame.index[0], frame.index[-1]) for symbol, frame in frames]
    return write_provider(provider, days, frames, {UNIVERSE: spans})


if __name__ == "__main__":
    main()
