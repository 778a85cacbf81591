"""Minute bars, trades and orders of the simulated market, in the schema of ``qlib_ext.ticks.schema``.

Every stock that trades on a day has trades, whether they are kept or not, and its minute bars are built from them.
They agree with its day bar as traded (prices divided by factor, volume times factor): first open, max high, min low,
last close and the sum of volume are equal; the sum of amount is the day's amount rounded to the yuan, since prices are
whole fen and volumes lots of 100 shares (where the day's average price lies at its high or low, the nearest that a lot
each at open, high, low and close allows).

Nothing trades in the opening auction: the day's open is the first trade after 09:30:00. Nothing trades between 14:57
and the closing auction at 15:00:00, whose trades are of side "N" and make the last minute. A suspended stock has no
rows. Which factors tell of the next days' returns, and how well: ``qlib_ext.simulator.informed``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from tqdm.auto import tqdm

from qlib_ext.errors import ConfigError
from qlib_ext.provider.sessions import AFTERNOON, MINUTES_A_SESSION, MORNING, MORNING_END
from qlib_ext.provider.writer import ABOUT, read_about
from qlib_ext.simulator.fills import MINUTE, Bar, Fills, draw_fills
from qlib_ext.simulator.informed import informed_flow
from qlib_ext.simulator.resting import draw_orders
from qlib_ext.simulator.simulate import Market, simulate
from qlib_ext.system.files import whole_folder
from qlib_ext.ticks.bars import minute_bars
from qlib_ext.ticks.schema import ORDERS, TRADES

_PARTS = {"minute", "trades", "orders", ABOUT}
_OPEN, _LUNCH, _LUNCH_AT = MORNING * MINUTE, (AFTERNOON - MORNING_END) * MINUTE, MINUTES_A_SESSION * MINUTE  # ms
_NAMES = {"side": {0: "N", 1: "B", -1: "S"}, "kind": {0: "add", 1: "cancel"}}


def write_ticks(
    folder: str | Path,
    stocks: int = 100,
    days: int = 750,
    seed: int = 0,
    start: str = "2014-09-01",
    accruals: float | None = None,
    ticks_days: int = 0,
    overwrite: bool = False,
) -> bool:
    """Write the ticks of the market that ``write_market`` makes of the same parameters; return False if they are there.

    Minute bars of all days into minute/date=2014-09-01/, and trades and orders of the last ``ticks_days`` days into
    trades/ and orders/. A day is in memory at a time. The same parameters give the same bytes, and the minute bars do
    not depend on ``ticks_days``.

    Raises ConfigError as ``simulate`` and for ``ticks_days`` outside 0..days, ProviderError when the folder has
    something in it (with ``overwrite``: something other than ticks) or the disk refuses; then nothing is written.
    """
    if not 0 <= ticks_days <= days:
        raise ConfigError(f"Trades of {ticks_days} days are asked for, and the market has {days}. Give 0 to {days}.")
    target = Path(folder).expanduser().resolve()
    about = {"stocks": stocks, "days": days, "seed": seed, "start": start, "accruals": accruals}
    about |= {"ticks_days": ticks_days, "version": version("qlib_ext")}
    if not overwrite and read_about(target) == about:
        return False
    market = simulate(stocks, days, seed, start, accruals)
    flow = informed_flow(market.parts, seed)
    with whole_folder(target, _PARTS, "ticks folder", overwrite) as new:
        for t, day in enumerate(tqdm(market.calendar, desc="ticks", unit="day", disable=None)):
            for part, frame in draw_day(market, flow, t, seed, with_orders=t >= days - ticks_days).items():
                place = new / part / f"date={day:%Y-%m-%d}"
                place.mkdir(parents=True)
                frame.write_parquet(place / "part-0.parquet")
        (new / ABOUT).write_text(json.dumps(about, indent=2) + "\n")
    return True


def draw_day(
    market: Market, flow: NDArray[np.float64], t: int, seed: int, with_orders: bool = True
) -> dict[str, pl.DataFrame]:
    """Draw one day: "minute" and, with orders, "trades" and "orders"; each sorted by instrument, then as it happened.

    flow    [days, stocks], from ``informed_flow``
    t       position of the day in the market's calendar

    Order numbers are those of the day: no two stocks share one. Days are drawn independently of each other. A day on
    which no stock trades has no frames.
    """
    fills = {i: draw_fills(bar, flow[t, i], _generator(seed, t, i, 0)) for i, bar in day_bars(market, t).items()}
    if not fills:
        return {}
    traded = _frame(market, {i: _trade_columns(fill) for i, fill in fills.items()})
    if not with_orders:
        return {"minute": minute_bars(traded)}
    columns, buy, sell, known = {}, [], [], 0
    for i, fill in fills.items():
        orders, bought, sold = draw_orders(fill, _generator(seed, t, i, 1))
        columns[i] = {
            "time": _clock(orders.time),
            "price": orders.price / 100,
            "volume": orders.lots * 100,
            "side": orders.side,
            "order_id": orders.number + known,
            "kind": orders.cancel.astype(int),
        }
        buy.append(bought + known)
        sell.append(sold + known)
        known += int(orders.number.max())
    trades = traded.with_columns(buy_order=np.concatenate(buy), sell_order=np.concatenate(sell))
    return {
        "minute": minute_bars(traded),
        "trades": trades.select(list(TRADES)),
        "orders": _frame(market, columns).select(list(ORDERS)),
    }


def day_bars(market: Market, t: int) -> dict[int, Bar]:
    """The bars as traded of the stocks that trade on a day, by their position in ``market.symbols``."""
    fields = {name: values[t] for name, values in market.fields.items()}
    prices = [fields[name] / fields["factor"] * 100 for name in ("open", "high", "low", "close")]
    lots = fields["volume"] * fields["factor"] / 100
    whole = np.stack([*prices, lots], axis=1)
    trading = np.flatnonzero(~np.isnan(fields["close"])).tolist()
    return {i: Bar._make([*whole[i].round().astype(int).tolist(), float(fields["amount"][i])]) for i in trading}


def _trade_columns(fills: Fills) -> dict[str, NDArray]:
    return {
        "time": _clock(fills.time),
        "price": fills.price / 100,
        "volume": fills.lots * 100,
        "amount": (fills.price * fills.lots).astype(float),
        "side": fills.side,
    }


def _frame(market: Market, stocks: Mapping[int, Mapping[str, NDArray]]) -> pl.DataFrame:
    """One frame of the columns of several stocks, by their position, with the column ``instrument``."""
    rows = [len(columns["time"]) for columns in stocks.values()]
    names = next(iter(stocks.values()))
    columns = {name: np.concatenate([columns[name] for columns in stocks.values()]) for name in names}
    symbol = pl.Series(market.symbols).gather(np.repeat(list(stocks), rows))
    frame = pl.DataFrame({"instrument": symbol, **columns})
    named = [pl.col(name).replace_strict(_NAMES[name], return_dtype=pl.String) for name in names if name in _NAMES]
    return frame.with_columns(pl.col("time").cast(pl.Time), *named)


def _clock(time: NDArray[np.int64]) -> NDArray[np.int64]:
    """Milliseconds of trading as nanoseconds of the day."""
    return (_OPEN + time + _LUNCH * (time >= _LUNCH_AT)) * 1_000_000


def _generator(seed: int, *place: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=place))
