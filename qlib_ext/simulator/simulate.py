"""A simulated A-share market with returns that can be learned, and by how much.

Day t's return of stock i, before rounding to 0.01 yuan and the limit of +-10 % of the last close:

    r[t, i] = beta[i] m[t] + g[t, industry(i)] + s[t, i] + e[t, i]

m (mean 0.03 %, standard deviation 1.1 % a day) moves the market, g (0.3 %) an industry, and e is a stock's
own shock: GARCH(1, 1) with parameters 0.08 and 0.90 about a level sigma of 1.7 % that differs between stocks,
and a jump of 6 % on one day in 250. s is planted, the sum of four parts known at the close before; z is standardising
over the trading stocks of a day, cut at 3, and a stock that does not trade that day has s = 0 the next:

    reversal    -0.0014 z(R)      R[t] = 0.7 R[t-1] + (r[t, i] - mean over stocks of r[t])
    volatility  -0.0006 z(log V)  V[t] = 0.94 V[t-1] + 0.06 (r[t, i] - mean over stocks of r[t])^2
    momentum    +0.0006 z(M)      M[t] = sum of (r[u, i] - mean over stocks of r[u]) over u = t-119 .. t-20
    lead_lag    +0.0008 L         L[t] = 0.8 L[t-1] + sum w[j] clip(e[j] / sigma[j], -3, 3) / sqrt(sum w[j]^2)

Both sums of L go over the other stocks j of i's industry that trade that day, w[j] being the square root of j's
float market value at the close before: the large lead, the others follow over the next two weeks, long enough for a
label of ten days to show it. The mean of L over all stocks is taken off. L[t, i] is made of what befell others, so i's
own past does not show it: only a model across stocks can see it. M is momentum of 120 days without the last 20: a
window of 30 days hardly shows it, one of 150 does.

A fifth part, slow and hidden from all prices, is planted where it is asked for, d of the return of a day:

    accruals    -d a              a[q] = 0.8 a[q-1] + 0.6 n[q], the accruals of the quarter that the day knows

Companies with high accruals, earnings that are no cash, fall behind: only who reads ($earnings_ttm - $cash_flow_ttm) /
assets can see it. Where it is not asked for, neither are these reports: the market is one without them.

The label Ref($vwap, -2) / Ref($vwap, -1) - 1 takes half of the return of day t+1 and half of that of day t+2,
since the day's average price has come half of the day's way. ``Market.signal`` is therefore, part by part,
(1 + decay) / 2 times s[t+1], with the decays 0.7, 1, 1, 0.8 and 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qlib_ext.errors import ConfigError
from qlib_ext.provider.writer import read_about, write_provider
from qlib_ext.simulator.fundamentals import REPORTED, company_fields, draw_accruals
from qlib_ext.simulator.index import closing_weights, index_bars, opening_weights, review_members, spans
from qlib_ext.simulator.listing import draw_listing
from qlib_ext.simulator.prices import trade

INDEX = "SH000300"
FEWEST_STOCKS, FEWEST_DAYS = 10, 40


@dataclass(frozen=True)
class Market:
    """A simulated market; arrays are [days, stocks] in the order of ``calendar`` and ``symbols``.

    fields   name -> values: open, high, low, close, vwap (yuan times factor), volume (shares / factor),
             amount (yuan), turnover (a fraction of the float shares), factor, change (close / last close - 1),
             float_mv, total_mv (float and total market value, yuan), shares (total, times factor), book,
             earnings_ttm (yuan, as known on the day), industry (code), csi300_weight (fraction, at the close), and
             where accruals are asked for sales_ttm, cash_flow_ttm (yuan), debt_to_assets, dividend_yield (per cent).
             NaN outside the listing; on a suspended day only factor and those from float_mv on are there
    listed   from a stock's first to its last day
    members  of the index
    index    the bars of SH000300, one row a day
    parts    "reversal", "volatility", "momentum", "lead_lag", and "accruals" where they are planted: what each adds to
             the expected label at the close
    """

    calendar: pd.DatetimeIndex
    symbols: list[str]
    fields: dict[str, NDArray[np.float64]]
    listed: NDArray[np.bool_]
    members: NDArray[np.bool_]
    index: pd.DataFrame
    parts: dict[str, NDArray[np.float64]]

    @property
    def signal(self) -> NDArray[np.float64]:
        """The label that the planted effects let expect at the close; NaN for stocks that do not trade."""
        return np.sum(list(self.parts.values()), axis=0)

    @property
    def label(self) -> NDArray[np.float64]:
        """Ref($vwap, -2) / Ref($vwap, -1) - 1, from the next day's average price to that of the day after."""
        vwap = self.fields["vwap"]
        label = np.full_like(vwap, np.nan)
        label[:-2] = vwap[2:] / vwap[1:-1] - 1
        return np.where(self.listed, label, np.nan)


def simulate(
    stocks: int = 100, days: int = 750, seed: int = 0, start: str = "2014-09-01", accruals: float | None = None
) -> Market:
    """Simulate a market over ``days`` trading days from ``start``; the same seed gives the same market.

    accruals  by how much a day a company whose accruals are one standard deviation higher falls behind, such as 0.0006;
              None: companies report neither sales, cash flows, debt nor dividends

    Raises ConfigError for less than 10 stocks or 40 days, a negative seed, or a start that is no date.
    """
    if seed < 0:
        raise ConfigError(f"The seed {seed} is negative. Give 0 or a positive number.")
    if stocks < FEWEST_STOCKS or days < FEWEST_DAYS:
        raise ConfigError(
            f"A market of {stocks} stocks and {days} days is too small. Ask for at least {FEWEST_STOCKS} stocks and "
            f"{FEWEST_DAYS} days."
        )
    rng = np.random.default_rng(seed)
    listing = draw_listing(stocks, days, start, rng)
    drawn = draw_accruals(listing.calendar, stocks, np.random.default_rng([seed, 2]))
    trades = trade(listing, rng, {"accruals": -accruals * drawn} if accruals else {})
    float_mv = np.where(listing.listed, trades.bars["float_mv"], np.nan)
    members = review_members(listing.calendar, float_mv, trades.issue_mv, listing.listed)
    companies = company_fields(
        listing.calendar, float_mv, trades.bars["close"], trades.issue_mv, drawn, np.random.default_rng([seed, 1])
    )
    if accruals is None:
        companies = {name: values for name, values in companies.items() if name not in REPORTED}
    first = listing.listed & ~np.vstack([np.zeros(stocks, dtype=bool), listing.listed[:-1]])
    change = np.where(first, np.nan, trades.bars["change"])  # no close before the first day
    fields = (
        trades.bars
        | companies
        | {
            "change": change,
            "industry": listing.industry.astype(float),
            "csi300_weight": closing_weights(float_mv, members),
        }
    )
    return Market(
        calendar=listing.calendar,
        symbols=listing.symbols,
        fields={name: np.where(listing.listed, values, np.nan) for name, values in fields.items()},
        listed=listing.listed,
        members=members,
        index=pd.DataFrame(
            index_bars(fields, opening_weights(float_mv, trades.issue_mv, members)), index=listing.calendar
        ),
        parts=trades.parts,
    )


def write_market(
    folder: str | Path,
    stocks: int = 100,
    days: int = 750,
    seed: int = 0,
    start: str = "2014-09-01",
    accruals: float | None = None,
    overwrite: bool = False,
) -> bool:
    """Write a simulated market as a Qlib provider; return False where the folder already holds this one.

    Instruments ``all`` and ``csi300`` (the members of the index); bars of the index under SH000300; the parameters
    and the version of qlib_ext in market.json.

    Raises ConfigError as ``simulate`` and ProviderError as ``write_provider``.
    """
    about = {"stocks": stocks, "days": days, "seed": seed, "start": start, "accruals": accruals}
    about |= {"version": version("qlib_ext")}
    if not overwrite and read_about(folder) == about:
        return False
    market = simulate(stocks, days, seed, start, accruals)

    def frames() -> Iterator[tuple[str, pd.DataFrame]]:
        for i, symbol in enumerate(market.symbols):
            rows = market.listed[:, i]
            columns = {name: values[rows, i] for name, values in market.fields.items()}
            yield symbol, pd.DataFrame(columns, index=market.calendar[rows])
        yield INDEX, market.index

    instruments = {
        "all": spans(market.calendar, market.symbols, market.listed),
        "csi300": spans(market.calendar, market.symbols, market.members),
    }
    write_provider(folder, market.calendar, frames(), instruments, about=about, overwrite=overwrite)
    return True
