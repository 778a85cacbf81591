"""A simulated full-market day of trades and orders for ``benchmarks/ticks_speed.py``, written stock by stock."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from qlib_ext.ticks.schema import ORDERS, TRADES

# As the Level-2 samples have it (600000 and 000001 on 2023-02-01; 600536, 600961 and 601825 on 2023-07-11).
STARTS = (565, 570, 600, 630, 660, 780, 810, 840, 870, 900)  # minutes: opening auction, half-hours, closing auction
LENGTHS = (0, 30, 30, 30, 30, 30, 30, 30, 30, 0)
TRADE_SHARES = (0.004, 0.222, 0.170, 0.113, 0.078, 0.083, 0.070, 0.102, 0.150, 0.008)  # of trades
ORDER_STARTS = (555, *STARTS[1:9])
ORDER_LENGTHS = (10, *LENGTHS[1:9])
ORDER_SHARES = (0.055, 0.270, 0.160, 0.110, 0.070, 0.080, 0.065, 0.080, 0.110)  # of orders and cancels
TRADE_SIZE = (5.9, 1.2)  # mean and standard deviation of the logarithm of shares, rounded to lots of 100
ORDER_SIZE = (6.4, 1.35)
TRADES_PER_BUY, TRADES_PER_SELL = 1.75, 2.0
CANCELS = 0.27  # of the rows of orders
ACTIVE_BUYS = 0.49
# not of the samples: how activity differs between stocks, and their prices
ACTIVITY = 0.9  # standard deviation of the logarithm of a stock's trades
STOCKS_PER_FILE = 50
MINUTE = 60_000_000_000  # nanoseconds


def write_day(folder: Path, stocks: int, rows: int, seed: int = 0) -> dict[str, list[Path]]:
    """Write ``rows`` trades and as many orders of ``stocks`` stocks, 50 stocks a file; -> files by source."""
    rng = np.random.default_rng(seed)
    weight = rng.lognormal(0, ACTIVITY, stocks)
    counts = np.maximum(rng.multinomial(rows, weight / weight.sum()), 20)
    files: dict[str, list[Path]] = {"trades": [], "orders": []}
    for source in files:
        (folder / source).mkdir(parents=True, exist_ok=True)
    for first in range(0, stocks, STOCKS_PER_FILE):
        numbers = range(first, min(first + STOCKS_PER_FILE, stocks))
        for source, draw in (("trades", trades_of), ("orders", orders_of)):
            path = folder / source / f"{first:05d}.parquet"
            frames = [draw(rng, f"SH6{number:05d}", int(counts[number])) for number in numbers]
            pl.concat(frames).write_parquet(path, row_group_size=250_000)
            files[source].append(path)
    return files


def trades_of(rng: np.random.Generator, instrument: str, rows: int) -> pl.DataFrame:
    """One stock's trades, in the order in which they happen."""
    time = times(rng, rows, STARTS, LENGTHS, TRADE_SHARES)
    price = prices(rng, rows)
    volume = lots(rng, rows, TRADE_SIZE)
    buys, sells = order_numbers(rng, rows)
    auction = (time < 570 * MINUTE) | (time >= 900 * MINUTE)
    columns = {
        "instrument": pl.Series([instrument]).new_from_index(0, rows),
        "time": pl.Series(time).cast(pl.Time),
        "price": price,
        "volume": volume,
        "amount": np.round(price * volume, 2),
        "buy_order": buys,
        "sell_order": sells,
        "side": np.where(auction, "N", np.where(rng.random(rows) < ACTIVE_BUYS, "B", "S")),
    }
    return pl.DataFrame(columns, schema=TRADES)


def orders_of(rng: np.random.Generator, instrument: str, rows: int) -> pl.DataFrame:
    """One stock's orders and cancels, in the order in which they come."""
    columns = {
        "instrument": pl.Series([instrument]).new_from_index(0, rows),
        "time": pl.Series(times(rng, rows, ORDER_STARTS, ORDER_LENGTHS, ORDER_SHARES)).cast(pl.Time),
        "price": prices(rng, rows),
        "volume": lots(rng, rows, ORDER_SIZE),
        "side": np.where(rng.random(rows) < 0.5, "B", "S"),
        "order_id": np.arange(1, rows + 1),
        "kind": np.where(rng.random(rows) < CANCELS, "cancel", "add"),
    }
    return pl.DataFrame(columns, schema=ORDERS)


def times(rng: np.random.Generator, rows: int, starts: tuple, lengths: tuple, shares: tuple) -> np.ndarray:
    """Increasing times of day in nanoseconds, to the hundredth of a second as the exchanges give them."""
    part = rng.choice(len(starts), rows, p=np.divide(shares, sum(shares)))
    minutes = np.take(starts, part) + rng.random(rows) * np.take(lengths, part)
    return np.sort((minutes * 6_000).astype(np.int64)) * (MINUTE // 6_000)


def prices(rng: np.random.Generator, rows: int) -> np.ndarray:
    """A random walk in cents, yuan."""
    start = rng.lognormal(2.5, 0.7)
    walk = start * np.exp(np.cumsum(rng.choice((-1, 0, 1), rows, p=(0.15, 0.7, 0.15))) * 4e-4)
    return np.maximum(np.round(walk, 2), 0.01)


def lots(rng: np.random.Generator, rows: int, size: tuple[float, float]) -> np.ndarray:
    """Shares, in lots of 100."""
    return np.maximum(np.round(rng.lognormal(*size, rows) / 100), 1).astype(np.int64) * 100


def order_numbers(rng: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The buy and the sell order of each trade: after a trade one of the two is filled, or both, so no pair is twice.

    Numbers are mixed over a stretch of about a hundred, as orders that wait in the book are older than those they meet.
    """
    buy, sell = 1 / TRADES_PER_BUY, 1 / TRADES_PER_SELL  # how often the order of the side is filled
    filled = rng.choice(3, rows, p=(1 - sell, 1 - buy, buy + sell - 1))  # buy, sell, both
    return _mixed(rng, np.cumsum(filled != 1)), _mixed(rng, np.cumsum(filled != 0))


def _mixed(rng: np.random.Generator, place: np.ndarray) -> np.ndarray:
    number = np.argsort(np.arange(place[-1] + 1) + rng.exponential(100, place[-1] + 1)) + 1
    return number[place]
