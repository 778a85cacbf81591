"""Does an enhanced index earn what was planted, and as much as the law of active management says?

    python -m benchmarks.planted_alpha [--stocks 200] [--days 1000] [--seeds 1 2]

On simulated markets a score is held that knows what of the coming returns was planted beyond the risk model's factors,
and the same score permuted within each day, which knows nothing. Printed in Markdown are excess returns over the basket
before and after costs, and the information ratio before costs beside ``TC x IC x sqrt(breadth)``: the mean transfer
coefficient, the mean correlation of the scores with the stocks' own returns of the week in units of their risk, and
stocks with a score times weeks of a year. Source: Clarke, de Silva and Thorley (2002), Portfolio Constraints and the
Fundamental Law of Active Management.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from benchmarks.measure import machine, table
from qlib_ext.portfolio.backtest import backtest
from qlib_ext.portfolio.boards import Boards
from qlib_ext.portfolio.days import Days
from qlib_ext.portfolio.decision import Decision
from qlib_ext.portfolio.history import History
from qlib_ext.portfolio.ledger import Costs
from qlib_ext.portfolio.quotes import Quotes, read_quotes
from qlib_ext.portfolio.setting import setting_of
from qlib_ext.provider.calendar import DAYS_PER_YEAR
from qlib_ext.risk.build import build
from qlib_ext.risk.model import StyleRiskModel
from qlib_ext.simulator.simulate import INDEX, Market, simulate, write_market

FIRST = 330  # by then the risk model has a covariance
SETTINGS = ((0.03, 0.05), (0.03, 0.1), (0.03, 0.2), (0.06, 0.4))  # tracking error, one-sided turnover
WEEKS = 52


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stocks", type=int, default=200)
    parser.add_argument("--days", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    args = parser.parse_args()
    rows = [row for seed in args.seeds for row in rows_of(args.stocks, args.days, seed)]
    header = ("seed", "score", "TE", "delta", "excess p.a.", "costs p.a.", "IR", "TC", "IC", "law", "IR / law", "z")
    print(table(header, rows))
    print("\nExcess before costs; z: its mean in standard errors.")
    print(f"\n{machine(1)}")


def rows_of(stocks: int, count: int, seed: int) -> list[tuple]:
    """A row a setting of the planted score, and one of the permuted score."""
    with TemporaryDirectory() as folder:
        provider, risk = Path(folder) / "provider", Path(folder) / "risk"
        market = simulate(stocks, count, seed=seed)
        write_market(provider, stocks, count, seed=seed)
        build(provider, risk)
        model = StyleRiskModel.read(risk)
        days, quotes = Days(provider, model, INDEX, "csi300"), read_quotes(provider, *market.calendar[[FIRST, -10]])
        planted = beyond_factors(market, model)
        values, random = planted.to_numpy(copy=True), np.random.default_rng(seed)
        for row in values:
            row[np.isfinite(row)] = random.permutation(row[np.isfinite(row)])
        permuted = pd.DataFrame(values, planted.index, planted.columns)
        cases = [("planted", planted, *setting) for setting in SETTINGS] + [("permuted", permuted, *SETTINGS[2])]
        return [
            (str(seed), name, f"{te:.0%}", f"{delta:g}", *held(market, days, quotes, score, te, delta))
            for name, score, te, delta in cases
        ]


def beyond_factors(market: Market, model: StyleRiskModel) -> pd.DataFrame:
    """[days, stocks] what was planted of the return to come and is in none of the factors."""
    planted = pd.DataFrame(market.signal, market.calendar, market.symbols)
    score = planted * np.nan
    for day in market.calendar[FIRST - 5 :]:
        covered = model.covered(day)
        signal = planted.loc[day].reindex(covered.index).to_numpy()
        known = np.flatnonzero(np.isfinite(signal))
        x = covered.matrix(known)
        left = signal[known] - x @ np.linalg.lstsq(x, signal[known], rcond=None)[0]
        score.loc[day, covered.stocks[known]] = left
    return score


def held(market: Market, days: Days, quotes: Quotes, score: pd.DataFrame, te: float, delta: float) -> list[str]:
    """The columns of a setting. Styles, for which the simulated market pays, are kept out: the score is of none."""
    limits = {
        "TrackingError": {"limit": te},
        "Styles": {"limit": 0.05},
        "Industries": {"limit": 0.05},
        "Members": {"share": 0.8},
        "ActiveWeight": {"limit": 0.03},
        "Turnover": {"one_sided": delta},
    }
    constraints = [{"class": name, "kwargs": kwargs} for name, kwargs in limits.items()]
    setting = setting_of({"index": INDEX, "members": "csi300"}, constraints)
    bench = market.index["close"].pct_change().reindex(quotes.days)
    made = backtest(days, setting, quotes, score, 1e9, Costs(0.001, 0.002), Boards(), bench)
    history = History.of(made.report, made.holdings, quotes, days.weights)
    costs = history.report["cost"]
    gross = history.daily()["excess_basket"] + costs
    ratio = gross.mean() / gross.std() * np.sqrt(DAYS_PER_YEAR)
    transfer = np.nanmean([each.solution.transfer_coefficient for each in made.decisions])
    ic, breadth = information(made.decisions, days.model, quotes, score)
    law = transfer * ic * np.sqrt(breadth)
    figures = [f"{ratio:.2f}", f"{transfer:.2f}", f"{ic:.3f}", f"{law:.2f}", f"{ratio / law:.2f}"]
    error = gross.std() / np.sqrt(len(gross))
    yearly = [f"{DAYS_PER_YEAR * series.mean():.1%}" for series in (gross, costs)]
    return [*yearly, *figures, f"{gross.mean() / error:.1f}"]


def information(
    decisions: list[Decision], model: StyleRiskModel, quotes: Quotes, score: pd.DataFrame
) -> tuple[float, float]:
    """The mean IC of the decisions' scores, and bets a year."""
    returns = pd.DataFrame(np.log1p(quotes.returns), quotes.days, list(quotes.stocks))
    found, counts = [], []
    for decision, following in pairwise(decisions):
        covered, risk = model.covered(decision.day), model.specific(decision.day).to_numpy()
        period = (quotes.days > decision.traded) & (quotes.days <= following.traded)
        whole = np.expm1(returns.loc[period].sum()).reindex(covered.index).fillna(0.0).to_numpy()
        x, y = covered.matrix() / risk[:, None], whole / risk
        own = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
        z = score.loc[decision.day].reindex(covered.index).to_numpy()
        known = np.isfinite(z)
        found.append(np.corrcoef(z[known], own[known])[0, 1])
        counts.append(known.sum())
    return float(np.mean(found)), float(np.mean(counts) * WEEKS)


if __name__ == "__main__":
    main()
