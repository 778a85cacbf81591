"""Real data packed to travel: a provider's day bars as whole numbers, compressed; and a provider made of them again.

    python -m benchmarks.gpu.panel PROVIDER [--start 2014-01-01] [--out .gpu/panel.xz] [--reports] [--risk FOLDER]

Logarithms of prices are rounded to 1 / PRICE_STEPS, those of volumes to 1 / VOLUME_STEPS; a close is kept as its
difference from the last one, the other prices as theirs from the close. Days without trading are left out. So a price
is off by half of 1 / PRICE_STEPS, 0.04 %, and never by more: the differences add up to rounded prices. With --reports
and --risk what networks of stocks read travels as well: see benchmarks/gpu/held.py.
"""

from __future__ import annotations

import argparse
import lzma
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.gpu.held import HELD, packed_field, returns_of, unpacked_field, write_risk
from benchmarks.truth_runs import RISK
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
    parser.add_argument("--reports", action="store_true", help=f"and {', '.join(HELD)}")
    parser.add_argument("--risk", type=Path, metavar="FOLDER", help="and the returns of factors of this risk model")
    options = parser.parse_args()
    size = pack(options.provider, options.out, options.start, HELD if options.reports else (), options.risk)
    print(f"{options.out}: {size / 1e6:.1f} MB")


def pack(provider: Path, out: Path, start: str, held: Sequence[str] = (), risk: Path | None = None) -> int:
    """Write the packed bars of the instruments ``all`` from a day on, with these fields and returns; returns the bytes.

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
    others = {f"{name}.{part}": plane for name in held for part, plane in packed_held(provider, name, symbols, first)}
    if risk is not None:
        others |= {f"{RISK}.{part}": values for part, values in returns_of(risk).items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    with lzma.open(out, "wb", preset=1) as file:
        planes = {name: np.concatenate(parts).view(np.uint8).reshape(-1, 2).T for name, parts in codes.items()}
        np.savez(
            file,
            symbols=symbols,
            days=days[first:].to_numpy("datetime64[D]").astype("U10"),
            counts=counts,
            **planes,
            **others,
        )
    size = out.stat().st_size
    if size > MOST_BYTES:
        raise DataError(f"{out} has {size:,} bytes, more than {MOST_BYTES:,}; give --start a later day than {start}.")
    return size


def packed_held(provider: Path, name: str, symbols: Sequence[str], first: int) -> Iterable[tuple[str, np.ndarray]]:
    """The parts of a field that is held, by their names."""
    panel = read_panels(provider, [name], symbols, first)[name]
    if not np.isfinite(panel).any():
        raise DataError(f"{provider} has no ${name}; write it, or leave --reports out.")
    return packed_field(panel.T.astype("<f4")).items()


def differences(values: np.ndarray) -> np.ndarray:
    return as_int16(np.diff(values, prepend=0))


def as_int16(values: np.ndarray) -> np.ndarray:
    """Whole numbers in two bytes; raises DataError for one that does not fit."""
    if len(values) and np.abs(values).max() > np.iinfo(np.int16).max:
        raise DataError(f"A step of {np.abs(values).max():.0f} does not fit two bytes; are the prices adjusted?")
    return values.astype("<i2")


def unpack(packed: Path, provider: Path) -> Path:
    """A provider of the packed bars, with the factor 1 and the instruments ``all``, and what was packed beside them."""
    with lzma.open(packed) as file:
        stored = np.load(file)
        planes = {name: stored[name] for name in stored.files}
    days = pd.DatetimeIndex(planes.pop("days"))
    symbols, counts = planes.pop("symbols"), planes.pop("counts")
    others: dict[str, dict[str, np.ndarray]] = {}
    for name in [name for name in planes if "." in name]:
        field, part = name.split(".")
        others.setdefault(field, {})[part] = planes.pop(name)
    risk = others.pop(RISK, None)
    held = {name: unpacked_field(stored, len(symbols), len(days)) for name, stored in others.items()}
    codes = {name: np.ascontiguousarray(plane.T).view("<i2")[:, 0].astype(int) for name, plane in planes.items()}
    ends = np.cumsum(counts)

    def stocks() -> Iterator[tuple[str, pd.DataFrame]]:
        for place, (low, high) in enumerate(zip(ends - counts, ends, strict=True)):
            if high > low:
                own = {name: values[low:high] for name, values in codes.items()}
                frame = pd.DataFrame(bars_of(own), index=days[own["day"].cumsum()])
                yield (
                    str(symbols[place]),
                    with_held(frame, days, {name: values[place] for name, values in held.items()}),
                )

    frames = list(stocks())
    spans = [(symbol, frame.index[0], frame.index[-1]) for symbol, frame in frames]
    folder = write_provider(provider, days, frames, {UNIVERSE: spans})
    if risk is not None:
        write_risk(risk, folder / RISK)
    return folder


def bars_of(codes: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The bars of a stock's trading days."""
    close = codes["close"].cumsum()
    bars = {field: np.exp((close + codes[field]) / PRICE_STEPS) for field in PRICES}
    bars |= {"close": np.exp(close / PRICE_STEPS), "factor": np.ones(len(close))}
    return bars | {"volume": np.exp(codes["volume"].cumsum() / VOLUME_STEPS)}


def with_held(bars: pd.DataFrame, days: pd.DatetimeIndex, held: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """The bars, NaN on days without trading, with what is known of the stock on these days as well.

    The market value is that of the shares at the last close, as the provider that was packed has it.
    """
    if not held:
        return bars
    own = days[days.searchsorted(bars.index[0]) : days.searchsorted(bars.index[-1]) + 1]
    frame = bars.reindex(own).assign(**{name: pd.Series(values, days).reindex(own) for name, values in held.items()})
    if "shares" in held:
        frame["total_mv"] = frame["shares"] * frame["close"]
    return frame


if __name__ == "__main__":
    main()
