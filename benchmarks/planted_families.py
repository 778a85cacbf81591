"""What of a simulated market's planted signals each family of factors can see: a ridge regression, no net.

    python -m benchmarks.planted_families

Each planted part is regressed on all values of a family's windows on training days; the table has the correlation of
fit and part on the days after. Accruals last for quarters, in which prices follow them: the last line is of what a
report said that the one before did not, in its first five days, when prices cannot have followed yet. PV are 30 days of
bars, standardised over the day or on one scale for all days, G the last day of technical indicators and candle states,
F the indicators of reports; "industry" is the mean PV of the other stocks of the industry, what a network hears.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import qlib

from benchmarks.fixed_scale import FixedScaleBars
from benchmarks.measure import table
from handlers.bars import DayBars
from handlers.fundamentals import Fundamentals
from handlers.technical import Technical
from qlib_ext.cross_section.zscore import zscore
from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.simulator.simulate import Market, simulate, write_market

WARM, DAYS_A_BATCH, RIDGE = 270, 5, 1e-3  # days before which momentum and growth are not known; of all a batch
ACCRUALS, NEWS_DAYS = 0.0006, 5


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.planted_families", description=__doc__.split("\n")[0])
    parser.add_argument("--stocks", type=int, default=150, help="of the market (150)")
    parser.add_argument("--days", type=int, default=800, help="of the market (800), of which the last third tests")
    options = parser.parse_args()
    market = {"stocks": options.stocks, "days": options.days, "seed": 0, "accruals": ACCRUALS}
    with TemporaryDirectory() as scratch:
        write_market(Path(scratch) / "market", **market)
        qlib.init(provider_uri=str(Path(scratch) / "market"), region="cn", kernels=1, logging_level=40)
        print(seen(simulate(**market)))


def seen(market: Market) -> str:
    """The table: a line for each planted part, a column for each family."""
    first, last = market.calendar[WARM], market.calendar[-12]
    bars = values_of(DayBars, first, last)
    families = {
        "PV": bars,
        "PV, one scale": values_of(FixedScaleBars, first, last),
        "G": values_of(Technical, first, last, 87),
        "F": values_of(Fundamentals, first, last),
        "industry": of_others(bars, pd.DataFrame(market.fields["industry"], market.calendar, market.symbols)),
    }
    split = market.calendar[WARM + 2 * (len(market.calendar) - WARM) // 3]
    lines = []
    parts = {name: pd.DataFrame(part, market.calendar, market.symbols) for name, part in market.parts.items()}
    quarter = market.calendar.to_period("Q")
    news = parts["accruals"].diff()[quarter != np.roll(quarter, 1)]
    parts["news of accruals"] = news.reindex(market.calendar).ffill(limit=NEWS_DAYS - 1)
    for name, part in parts.items():
        frame = part.rename_axis(index="datetime", columns="instrument")
        planted = zscore(frame.stack().rename(name).to_frame())[name]
        lines.append((name, *(f"{fitted(values, planted, split):.2f}" for values in families.values())))
    return table(("planted", *families), lines)


def values_of(handler: type, first: pd.Timestamp, last: pd.Timestamp, kept: int | None = None) -> pd.DataFrame:
    """The windows of all members, flat, the last ``kept`` values of them, by (datetime, instrument)."""
    own = handler(instruments="all", start_time=first, end_time=last)
    dataset = CrossSectionDataset(own, {"all": (first, last)}, purge=0)
    samples = dataset.samples("all", learn=False)
    days = np.arange(len(samples.index.unique("datetime")))
    blocks = [samples.batch(days[k : k + DAYS_A_BATCH], dataset.window).x.flatten(1) for k in days[::DAYS_A_BATCH]]
    values = np.concatenate([block.numpy() for block in blocks])
    return pd.DataFrame(values if kept is None else values[:, -kept:], samples.index)


def of_others(bars: pd.DataFrame, industry: pd.DataFrame) -> pd.DataFrame:
    """The mean of each value over the other stocks of the day's industry."""
    code = industry.stack().reindex(bars.index)
    groups = bars.groupby([bars.index.get_level_values("datetime"), code.to_numpy()])
    count = groups.transform("size").to_numpy()[:, None]
    return (groups.transform("sum") - bars) / np.maximum(count - 1, 1)


def fitted(values: pd.DataFrame, planted: pd.Series, split: pd.Timestamp) -> float:
    """The correlation of what a ridge regression of the days before ``split`` says with the part on the days after."""
    both = values.index.intersection(planted.dropna().index)
    x, y = values.loc[both].to_numpy(float), planted.loc[both].to_numpy()
    train = both.get_level_values("datetime") < split
    gram = x[train].T @ x[train]
    gram[np.diag_indices_from(gram)] += RIDGE * np.trace(gram)
    return float(np.corrcoef(x[~train] @ np.linalg.solve(gram, x[train].T @ y[train]), y[~train])[0, 1])


if __name__ == "__main__":
    main()
