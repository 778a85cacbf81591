"""What finished runs came to, beside what the reports published for the same model. Prints one table.

``years``: the figures of the report on graph networks (002, exhibits 23 and 32) by year. ``groups``: those of the
reports on data sets (000, exhibits 4 and 5; 001, table 1) and on several frequencies (003, exhibit 52). Ours come from
what FactorRecord saved in the recorder, the published ones, in brackets, from benchmarks/published.csv.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from mlflow import MlflowClient

from benchmarks.measure import table
from qlib_ext.analysis.report.recorded_run import gather
from qlib_ext.recorder.runs import find_runs, store_of

PUBLISHED = Path(__file__).resolve().with_name("published.csv")
WHOLE = "all"
PERCENT = ("return", "volatility", "drawdown", "share", "turnover", "win rate")
MEASURES = {
    "IC": ("ic", "mean"),
    "ICIR": ("ic", "icir"),
    "Rank IC": ("rank_ic", "mean"),
    "Rank ICIR": ("rank_ic", "icir"),
}
SPACED = {"Rank IC": "mean", "standard deviation of Rank IC": "std", "ICIR": "icir", "share > 0": "positive"}
STRATEGY = {
    "annual return": "annual_return",
    "volatility": "volatility",
    "Sharpe ratio": "sharpe",
    "maximum drawdown": "max_drawdown",
    "annual excess return": "annual_excess_return",
    "excess volatility": "excess_volatility",
    "information ratio": "information_ratio",
    "maximum drawdown of excess": "excess_max_drawdown",
}
TOP = {
    "turnover of the top group": "turnover",
    "maximum drawdown of its excess": "excess_max_drawdown",
    "excess return of the top group": "annual_excess_return",
    "information ratio of the top group": "information_ratio",
    "win rate by month": "monthly_win_rate",
}
Figures = dict[tuple[str, str], float]  # (figure, period) -> value


def main() -> None:
    options = parse_arguments()
    published = pd.read_csv(PUBLISHED).set_index(["model", "figure", "period"])["value"]
    figures: dict[str, Figures] = {}
    for named in options.experiments:
        experiment, _, model = named.partition("=")
        figures[model or experiment] = read(store_of(options.runs), experiment, LAYOUTS[options.layout])
    print((by_year if options.layout == "years" else by_model)(figures, published))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.results",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""examples:
  python -m benchmarks.results years csi300_lstm_rolling=LSTM "csi300_gats_ts_rolling=GATs K=1"
  python -m benchmarks.results groups "market_day_gru=day, GRU" "market_week_astgnn=week, ASTGNN"
  python -m benchmarks.results groups market_multitask_gru=multi-task "market_multitask_day=days only"
""",
    )
    parser.add_argument("layout", choices=LAYOUTS, help="years or groups")
    parser.add_argument("experiments", nargs="+", metavar="EXPERIMENT[=MODEL]", help="MODEL as in published.csv")
    parser.add_argument(
        "--runs", default=os.environ.get("QLIB_RUNS", "mlruns"), metavar="DIR", help="folder of the runs"
    )
    return parser.parse_args()


def read(store: str, experiment: str, layout: Callable[[dict[str, pd.DataFrame]], Figures]) -> Figures:
    """The figures of the last finished run of an experiment."""
    run = find_runs(store, experiment)[0]
    return layout(dict(gather(MlflowClient(tracking_uri=store), experiment, run).frames))


def of_years(frames: dict[str, pd.DataFrame]) -> Figures:
    ic, strategy = frames["ic_summary"], frames["performance_by_year"]
    periods = list(strategy.index)
    found = {
        (name, str(period)): ic.at[(measure, str(period)), column]
        for name, (measure, column) in MEASURES.items()
        for period in periods
    }
    return found | {
        (name, str(period)): strategy.at[period, column] for name, column in STRATEGY.items() for period in periods
    }


def of_groups(frames: dict[str, pd.DataFrame]) -> Figures:
    ic, top = frames["ic_summary"].loc["rank_ic_spaced"].loc[WHOLE], frames["group_summary"].iloc[0]
    found = {(name, WHOLE): ic[column] for name, column in SPACED.items()}
    return found | {(name, WHOLE): top[column] for name, column in TOP.items()}


LAYOUTS = {"years": of_years, "groups": of_groups}


def by_year(figures: dict[str, Figures], published: pd.Series) -> str:
    periods = sorted(
        {period for own in figures.values() for _, period in own}, key=lambda period: (period != WHOLE, period)
    )
    lines = []
    for model, own in figures.items():
        for name in dict.fromkeys(name for name, _ in own):
            cells = (cell(name, own.get((name, period)), published.get((model, name, period))) for period in periods)
            lines.append((model, name, *cells))
    return table(("model", "ours (the report's)", *periods), lines)


def by_model(figures: dict[str, Figures], published: pd.Series) -> str:
    lines = []
    for name in [*SPACED, *TOP]:
        cells = (cell(name, own[name, WHOLE], published.get((model, name, WHOLE))) for model, own in figures.items())
        lines.append((name, *cells))
    return table(("ours (the report's)", *figures), lines)


def cell(name: str, value: float | None, published: float | None) -> str:
    digits = ".2%" if any(word in name for word in PERCENT) else ".2f" if "ratio" in name or "ICIR" in name else ".3f"
    text = "" if value is None else f"{value:{digits}}"
    return text if published is None else f"{text} ({published:{digits}})"


if __name__ == "__main__":
    main()
