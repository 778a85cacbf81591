"""The Model Zoo's table, read from the recorder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from mlflow import MlflowClient

from qlib_ext.errors import DataError

COLUMNS = {
    "IC": "IC",
    "ICIR": "ICIR",
    "Rank IC": "Rank IC",
    "Rank ICIR": "Rank ICIR",
    "1day.excess_return_without_cost.annualized_return": "excess return without cost",
    "1day.excess_return_with_cost.annualized_return": "excess return with cost",
    "1day.excess_return_with_cost.information_ratio": "information ratio",
    "1day.excess_return_with_cost.max_drawdown": "max drawdown",
}
PERCENT = {"excess return without cost", "excess return with cost", "max drawdown"}


def store_of(runs: str | Path) -> str:
    """The tracking URI of a folder of runs that SQLiteExpManager wrote; raises DataError where there is none."""
    database = Path(runs).expanduser().resolve() / "mlflow.db"
    if not database.is_file():
        raise DataError(f"{database} does not exist; run a workflow first, or name its folder with --runs.")
    return f"sqlite:///{database}"


def read_runs(store: str, experiment: str, last: int = 1) -> pd.DataFrame:
    """Metrics of the last finished runs of an experiment, one row a run; excess return and drawdown as fractions.

    Annualised figures are Qlib's: mean daily excess return times 238, sums instead of compounding.
    Raises DataError where the experiment has no finished run.
    """
    client = MlflowClient(tracking_uri=store)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        there = sorted(e.name for e in client.search_experiments() if e.name != "Default")
        raise DataError(f"There is no experiment {experiment!r} in {store}; it has {', '.join(there) or 'none'}.")
    runs = client.search_runs(
        [found.experiment_id], "attributes.status = 'FINISHED'", order_by=["attributes.start_time DESC"]
    )
    rows = [{column: run.data.metrics.get(name) for name, column in COLUMNS.items()} for run in runs[:last]]
    if not rows:
        raise DataError(f"Experiment {experiment!r} has no finished run; see its log for what stopped it.")
    return pd.DataFrame(rows, columns=list(COLUMNS.values())).astype(float)


def comparison(store: str, experiments: Sequence[str], last: int = 1) -> pd.DataFrame:
    """One column an experiment, one row a metric: its value, or mean ± standard deviation over several runs."""
    columns = {}
    for experiment in experiments:
        runs = read_runs(store, experiment, last)
        columns[experiment] = {"runs": str(len(runs))} | {name: _cell(runs[name]) for name in runs}
    return pd.DataFrame(columns)


def _cell(values: pd.Series) -> str:
    percent = values.name in PERCENT
    figures = [values.mean(), values.std()] if len(values) > 1 else [values.iloc[0]]
    return " ± ".join("-" if pd.isna(f) else f"{f:.2%}" if percent else f"{f:.4f}" for f in figures)
