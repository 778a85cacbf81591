"""How much memory and time does Alpha158 of a whole market take, from provider to trained model? Prints one table.

The market is that of a provider, or stocks whose prices walk at random, listed on every day up to the end of 2021.
The task is that of workflows/market_alpha158_*.yaml, its training cut to one epoch of every n-th day, its validation
and test to a month, for memory does not depend on how long a net is trained. Models that read one data set do so in
one process, one after the other; the peak is the highest resident memory of data set and model, mapped files included.
A cached start reads what the run before it left in a cache of its own, which is removed in the end. Seconds are of a
process that has imported its modules.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from qlib.utils import init_instance_by_config

from benchmarks.measure import in_fresh_process, machine, peak_bytes, reset_peak, table, target
from benchmarks.truth_train import recorder
from qlib_ext.data.cache import VARIABLE
from qlib_ext.provider.writer import write_provider
from qlib_ext.workflows.reading import read_workflows

WORKFLOWS = Path(__file__).parents[1] / "workflows"
RESERVE = 2.0  # GB that a run may take beside 1.6 times its features
SHARE = 1.6
ROUNDS = 20  # of boosting
END = "2021-12-31"
VARIABLES = {"EPOCHS": "1", "VALID": "2016-12-01, 2016-12-31", "TEST": "2021-12-01", "END": END}


def main() -> None:
    options = parse_arguments()
    lines: list[tuple[str, ...]] = []
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        data, variables = options.data, dict(VARIABLES)
        if options.simulated:
            data = random_walks(Path(scratch) / "market", *options.simulated)
            variables |= halves(calendar_of(options.simulated[1]))
        for names in of_one_data_set(options.models, variables):
            with tempfile.TemporaryDirectory(dir=options.scratch) as cache:
                for what in ("without a cache", "with an empty cache", "cached start")[: 3 if options.cache else 1]:
                    folder = "off" if what == "without a cache" else cache
                    for found in in_fresh_process(run, names, variables, str(data), folder, options.every):
                        lines.append(line(what, found))
                        print(*lines[-1], sep=" | ", flush=True)
    header = (
        "run",
        "rows",
        "features, GB",
        "data set, seconds",
        "of the processor",
        "its peak, GB",
        "peak, GB",
        "over the features",
        "target",
    )
    print(f"\n{machine(int(os.environ.get('OMP_NUM_THREADS', '0')) or os.cpu_count() or 1)}\n\n{table(header, lines)}")


def of_one_data_set(names: list[str], variables: dict[str, str]) -> list[list[str]]:
    """The models, those together that read the same data set."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(json.dumps(task_of(name, variables)["dataset"], sort_keys=True, default=str), []).append(name)
    return list(groups.values())


def task_of(name: str, variables: dict[str, str]) -> dict[str, Any]:
    """The task of a workflow."""
    task: dict[str, Any] = read_workflows(WORKFLOWS, variables)[f"market_alpha158_{name}"].config["task"]
    return task


def line(what: str, found: dict[str, Any]) -> tuple[str, ...]:
    """A line of the table."""
    goal = SHARE * found["features"] + RESERVE
    return (
        f"market_alpha158_{found['model']}, {what}",
        f"{found['rows']:,}",
        f"{found['features']:.2f}",
        f"{found['start']:.1f}",
        f"{found['start of processor']:.1f}",
        f"{found['start peak']:.2f}",
        f"{found['peak']:.2f}",
        f"{found['peak'] / found['features']:.2f}x",
        target(round(goal, 1), found["peak"], at_least=False),
    )


def calendar_of(days: int) -> pd.DatetimeIndex:
    """So many business days up to the end of 2021."""
    return pd.bdate_range(end=END, periods=days)


def halves(calendar: pd.DatetimeIndex) -> dict[str, str]:
    """Variables of a workflow that trains on the first half of the days, and reads a month of each other segment."""
    middle = len(calendar) // 2
    first, last, begin, end, test = (f"{calendar[at]:%Y-%m-%d}" for at in (0, middle, middle + 1, middle + 21, -21))
    return {"START": first, "TRAIN": f"{first}, {last}", "VALID": f"{begin}, {end}", "TEST": test}


def random_walks(folder: Path, stocks: int, days: int) -> Path:
    """Write a provider of so many stocks, all of them listed on all days."""
    rng = np.random.default_rng(0)
    calendar = calendar_of(days)
    names = [f"SH{600000 + number}" for number in range(stocks)]

    def bars() -> Iterator[tuple[str, pd.DataFrame]]:
        for name in names:
            close = 10 * np.exp(rng.normal(0, 0.02, days).cumsum())
            begin, up, down = np.exp(rng.normal(0, 0.01, (3, days)))
            prices = np.sort([close, close * begin, close * up, close * down], axis=0)
            fields = {"open": close * begin, "high": prices[-1], "low": prices[0], "close": close}
            fields |= {"vwap": prices.mean(axis=0), "volume": np.exp(rng.normal(14, 1, days))}
            yield name, pd.DataFrame(fields, index=calendar)

    return write_provider(folder, calendar, bars(), {"all": [(name, calendar[0], calendar[-1]) for name in names]})


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.market_memory",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    market = parser.add_mutually_exclusive_group(required=True)
    market.add_argument("--data", type=Path, metavar="DIR", help="the provider")
    market.add_argument("--simulated", type=int, nargs=2, metavar=("STOCKS", "DAYS"), help="a market of random walks")
    parser.add_argument(
        "--models", nargs="+", default=["gru", "lightgbm", "gats", "astgnn"], help="of market_alpha158_*"
    )
    parser.add_argument("--every", type=int, default=60, help="train on every n-th day")
    parser.add_argument("--cache", action="store_true", help="also with a cache, empty and full: twice 10 GB of disk")
    parser.add_argument("--scratch", type=Path, metavar="DIR", help="where the cache lies (default: temporary files)")
    return parser.parse_args()


def run(names: list[str], variables: dict[str, str], data: str, cache: str, every: int) -> list[dict[str, Any]]:
    """As ``measured``, in a process with a cache and a recorder that is thrown away."""
    os.environ[VARIABLE] = cache
    with recorder(data):
        return measured(names, variables, every)


def measured(names: list[str], variables: dict[str, str], every: int) -> list[dict[str, Any]]:
    """Rows, gigabytes and seconds of the tasks of workflows that read one data set, one after the other."""
    tasks = {name: task_of(name, variables) for name in names}
    began, of_processor = time.perf_counter(), time.process_time()
    dataset = init_instance_by_config(tasks[names[0]]["dataset"])
    if names != ["lightgbm"]:
        dataset.panel()
    found: dict[str, Any] = {"start": time.perf_counter() - began, "start peak": peak_bytes() / 1e9}
    found["start of processor"] = time.process_time() - of_processor
    features = dataset.handler.fetch(col_set="feature")
    found |= {"rows": len(features), "features": features.size * 4 / 1e9}
    del features
    dataset.sample_every = every
    peaks = {}
    for name, task in tasks.items():
        if name == "lightgbm":
            task["model"]["kwargs"]["num_boost_round"] = ROUNDS
        model = init_instance_by_config(task["model"])
        model.fit(dataset)
        model.predict(dataset)
        peaks[name] = max(found["start peak"], peak_bytes() / 1e9)
        reset_peak()
    return [{"model": name, "peak": peak, **found} for name, peak in peaks.items()]


if __name__ == "__main__":
    main()
