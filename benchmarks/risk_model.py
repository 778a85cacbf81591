"""The risk model and the weights of the indices on real data: how near, how right, how fast. Prints three tables.

Weights: implied ones beside the official ones of CSI300 by year, and how far a basket of yesterday's weights misses
each index. Bias: the risk that came over the risk foreseen, for the model, its options, and Qlib's two estimators of
252 days. Speed: a whole build in a fresh process, and a day added to it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from qlib.model.riskmodel import ShrinkCovEstimator, StructuredCovEstimator

from benchmarks.measure import in_fresh_process, machine, peak_bytes, table, target
from qlib_ext.provider.panels import above_zero, read_panels
from qlib_ext.risk.benchmark import IndexWeights, index_weights
from qlib_ext.risk.bias import PAST_DAYS, DenseRisk, FactorRisk, bias_table, bias_test
from qlib_ext.risk.build import build
from qlib_ext.risk.files import RiskFiles
from qlib_ext.risk.model import StyleRiskModel
from qlib_ext.risk.universe import Universe, read_universe
from qlib_ext.risk.windows import carried
from qlib_ext.simulator.simulate import write_market

INDICES = {"csi300": ("SH000300", 0.008), "csi500": ("SH000905", 0.010), "csi1000": ("SH000852", 0.0085)}
LARGEST_GAP, LEAST_CORRELATION = 0.11, 0.96
YEAR = 242
QLIB_DAYS = 252
OPTIONS: dict[str, dict] = {
    "the default": {},
    "no regime": {"regime": None},
    "no Newey-West": {"newey_west": 0},
    "no Newey-West, no shrinkage": {"newey_west": 0, "shrinkage": 0.0},
    "eigenfactors 1.4": {"eigenfactors": 1.4, "simulations": 50},
}
QLIB = {
    "Qlib's ShrinkCovEstimator": ShrinkCovEstimator(alpha="lw", target="const_var", scale_return=False),
    "Qlib's StructuredCovEstimator": StructuredCovEstimator(num_factors=10, scale_return=False),
}


def main() -> None:
    options = parse_arguments()
    print(machine(1), end="\n\n")
    if "weights" in options.parts:
        print_weights(options.data, options.official)
    if "speed" in options.parts:
        print_speed(options.data, options.model)
    if "bias" in options.parts:
        print_bias(options.data, options.model)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.risk_model",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""what the columns mean:
  gap           half the sum of |implied - official|, both scaled to 1, over the members that the provider knows
  missed        one day ahead, a year, in percent: the standard deviation of index return less basket return
  B, MRAD       std(return / forecast), and the mean of the years' |B - 1|; see qlib_ext.risk.bias.bias_table

example:
  OMP_NUM_THREADS=1 python -m benchmarks.risk_model --data .data/real/cn_2010_2021 --model .data/risk \\
      --official ../shared/market/csi300_weights_2010_2021.parquet
""",
    )
    parser.add_argument("--data", required=True, type=Path, help="a provider with $total_mv and $industry")
    parser.add_argument("--model", required=True, type=Path, help="a folder of qlib-ext risk, of this provider")
    parser.add_argument("--official", type=Path, help="a table date, instrument, weight")
    parser.add_argument("--parts", nargs="+", default=["weights", "speed", "bias"], help="weights, speed, bias")
    return parser.parse_args()


def print_weights(data: Path, official: Path) -> None:
    lines = []
    for members, (index, goal) in INDICES.items():
        began = time.process_time()
        found = index_weights(data, index, members, "implied")
        took = time.process_time() - began
        missed = found.surprises["2017":"2021"].std() * YEAR**0.5
        traded = basket_misses(data, index, found) * YEAR**0.5
        lines.append(
            (members, f"{100 * missed:.2f}", f"{100 * traded:.2f}", f"{took:.1f}", target(goal, traded, False))
        )
        if members == "csi300" and official:
            by_year = beside_official(found.weights, pd.read_parquet(official))
    print(table(("index", "missed, price return", "missed, total return", "seconds", "target (total)"), lines))
    print(f"\nsimulated market, gap of the last year: {simulated_gap():.3f}")
    if official:
        header = ("CSI300", *(str(year) for year in by_year.index))
        rows = [(name, *(f"{value:.3f}" for value in by_year[name])) for name in by_year]
        print(f"\n{table(header, rows)}\n")


def simulated_gap() -> float:
    """The gap of implied weights from the true ones of a simulated market of 300 stocks, the mean of its last year."""
    with TemporaryDirectory() as folder:
        write_market(folder, stocks=300, days=750, seed=0)
        true, implied = (
            index_weights(folder, "SH000300", "csi300", source, total_return=True).weights.iloc[-YEAR:]
            for source in ("$csi300_weight", "implied")
        )
    return float((implied - true).abs().sum(axis=1).mean() / 2)


def basket_misses(data: Path, index: str, found: IndexWeights) -> float:
    """The standard deviation of what a basket of yesterday's weights misses, its members with dividends, 2017 on."""
    stocks = list(found.weights.columns)
    close = carried(above_zero(read_panels(data, ["close"], stocks)["close"]))
    own = above_zero(read_panels(data, ["close"], [index])["close"][:, 0])
    returns = np.nan_to_num(close[1:] / close[:-1] - 1)
    missed = own[1:] / own[:-1] - 1 - (np.nan_to_num(found.weights.to_numpy()[:-1]) * returns).sum(1)
    return float(pd.Series(missed, found.weights.index[1:])["2017":"2021"].std())


def beside_official(implied: pd.DataFrame, official: pd.DataFrame) -> pd.DataFrame:
    """By year: gap, correlation, and the official weight of members that the provider does not know."""
    rows = []
    for day, weights in official[official["weight"] > 0].groupby(pd.to_datetime(official["date"])):
        if day not in implied.index or implied.loc[day].isna().all():
            continue
        true = weights.set_index("instrument")["weight"].astype(float)
        own = implied.loc[day].dropna()
        both = true.index.intersection(own.index)
        left, right = true[both] / true[both].sum(), own[both] / own[both].sum()
        unknown = 1 - true[true.index.isin(implied.columns)].sum() / true.sum()
        rows.append((day.year, (left - right).abs().sum() / 2, left.corr(right), unknown))
    found = pd.DataFrame(rows, columns=["year", "gap", "correlation", "unknown"]).groupby("year").mean()
    print(f"gap {target(LARGEST_GAP, found.loc[2012:, 'gap'].max(), False)}")
    print(f"correlation {target(LEAST_CORRELATION, found.loc[2012:, 'correlation'].min(), True)}\n")
    return found


def print_speed(data: Path, model: Path) -> None:
    seconds, cpu, peak, days = in_fresh_process(whole_build, data)
    added = added_day(data, model)
    lines = [
        (f"all {days:,} days", f"{seconds:.0f}", f"{cpu:.0f}", f"{peak / 1e9:.2f}", target(60, cpu, False)),
        ("one day more", f"{added[0]:.1f}", f"{added[1]:.1f}", "", target(2, added[1], False)),
    ]
    print(table(("what", "seconds", "of the processor", "peak GB", "target (of the processor)"), lines), end="\n\n")


def whole_build(data: Path) -> tuple[float, float, float, int]:
    with TemporaryDirectory() as folder:
        began, cpu = time.perf_counter(), time.process_time()
        built = build(data, Path(folder) / "model")
        return time.perf_counter() - began, time.process_time() - cpu, float(peak_bytes()), built.total


def added_day(data: Path, model: Path) -> tuple[float, float]:
    """Take the last day off a copy of a model and add it again, in a fresh process, as every evening does."""
    with TemporaryDirectory() as folder:
        short = Path(folder) / "short"
        copytree(model, short)
        files = RiskFiles(short)
        days, origins = files.days(), files.origins()
        assert days is not None
        assert origins is not None
        files.write({}, origins, days[:-1])
        return in_fresh_process(timed_build, data, short)


def timed_build(data: Path, folder: Path) -> tuple[float, float]:
    began, cpu = time.perf_counter(), time.process_time()
    assert build(data, folder).added == 1
    return time.perf_counter() - began, time.process_time() - cpu


def print_bias(data: Path, folder: Path) -> None:
    universe = read_universe(data, ["csi300", "csi500"])
    styles = StyleRiskModel.read(folder)
    lines = []
    for name, options in OPTIONS.items():
        model = StyleRiskModel.read(folder, **options)
        lines.append(
            bias_line(name, lambda day, stocks, model=model: FactorRisk.of(model, day, stocks), styles, universe)
        )
    returns = universe.close / universe.close.shift(1) - 1
    for name, estimator in QLIB.items():
        lines.append(bias_line(name, by_qlib(estimator, returns), styles, universe))
    kinds = ("random", "style_tilted", "optimised", "reversal", *PAST_DAYS)
    print(table(("B / MRAD, 2014-2021", *kinds), lines), end="\n\n")


def bias_line(name: str, risk_of: Callable, styles: StyleRiskModel, universe: Universe) -> tuple[str, ...]:
    first, last = pd.Timestamp("2014-01-01"), pd.Timestamp("2021-12-31")
    found = bias_table(bias_test(risk_of, styles, universe.close, universe.members, first, last))
    print(f"{name}\n{found.round(2).to_string()}\n", flush=True)
    return (name, *(f"{row['all']:.2f} / {row['mrad']:.2f}" for _, row in found.iterrows()))


def by_qlib(estimator: ShrinkCovEstimator, returns: pd.DataFrame) -> Callable:
    """The covariance of the last 252 days' returns, days without one 0."""

    def risk_of(day: pd.Timestamp, stocks: list[str]) -> DenseRisk:
        past = returns.loc[:day, stocks].iloc[-QLIB_DAYS:].fillna(0.0)
        return DenseRisk(estimator.predict(past, is_price=False).to_numpy())

    return risk_of


if __name__ == "__main__":
    main()
