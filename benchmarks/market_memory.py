"""How much memory and time does Alpha158 of a whole market take, from provider to trained model? Prints one table.

The task is that of workflows/market_alpha158_*.yaml, its training cut to one epoch of every n-th day, its test to the
last year, for memory does not depend on how long a net is trained. Each run is a process of its own; the peak is its
highest resident memory, pages of mapped files included. A cached start reads what the run before it left in a cache
of its own, which is removed in the end. Seconds are of a process that has imported its modules.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from qlib.utils import init_instance_by_config

from benchmarks.measure import in_fresh_process, machine, peak_bytes, table, target
from benchmarks.truth_train import recorder
from qlib_ext.data.cache import VARIABLE
from qlib_ext.workflows.reading import read_workflows

WORKFLOWS = Path(__file__).parents[1] / "workflows"
RESERVE = 2.0  # GB that a run may take beside 1.6 times its features
SHARE = 1.6
ROUNDS = 20  # of boosting


def main() -> None:
    options = parse_arguments()
    lines = []
    for name in options.models:
        with tempfile.TemporaryDirectory(dir=options.scratch) as cache:
            for what in ("without a cache", "with an empty cache", "cached start")[: 3 if options.cache else 1]:
                folder = "off" if what == "without a cache" else cache
                found = in_fresh_process(run, name, str(options.data), folder, options.every)
                goal = SHARE * found["features"] + RESERVE
                lines.append(
                    (
                        f"market_alpha158_{name}, {what}",
                        f"{found['rows']:,}",
                        f"{found['features']:.2f}",
                        f"{found['start']:.1f}",
                        f"{found['start peak']:.2f}",
                        f"{found['peak']:.2f}",
                        f"{found['peak'] / found['features']:.2f}x",
                        target(round(goal, 1), found["peak"], at_least=False),
                    )
                )
                print(*lines[-1], sep=" | ", flush=True)
    header = (
        "run",
        "rows",
        "features, GB",
        "data set, seconds",
        "its peak, GB",
        "peak, GB",
        "over the features",
        "target",
    )
    print(f"\n{machine(int(os.environ.get('OMP_NUM_THREADS', '0')) or os.cpu_count() or 1)}\n\n{table(header, lines)}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.market_memory",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the provider")
    parser.add_argument(
        "--models", nargs="+", default=["gru", "lightgbm", "gats", "astgnn"], help="of market_alpha158_*"
    )
    parser.add_argument("--every", type=int, default=60, help="train on every n-th day")
    parser.add_argument("--cache", action="store_true", help="also with a cache, empty and full: twice 10 GB of disk")
    parser.add_argument("--scratch", type=Path, metavar="DIR", help="where the cache lies (default: temporary files)")
    return parser.parse_args()


def run(name: str, data: str, cache: str, every: int) -> dict[str, Any]:
    """As ``measured``, in a process with a cache and a recorder that is thrown away."""
    os.environ[VARIABLE] = cache
    with recorder(data):
        return measured(name, every)


def measured(name: str, every: int) -> dict[str, Any]:
    """Rows, gigabytes and seconds of one workflow's task."""
    task = read_workflows(WORKFLOWS, {"EPOCHS": "1"})[f"market_alpha158_{name}"].config["task"]
    began = time.perf_counter()
    dataset = init_instance_by_config(task["dataset"])
    panel = dataset.panel() if name != "lightgbm" else None
    found: dict[str, Any] = {"start": time.perf_counter() - began, "start peak": peak_bytes() / 1e9}
    features = dataset.handler.fetch(col_set="feature")
    found |= {"rows": len(features), "features": features.size * 4 / 1e9}
    del features, panel
    dataset.sample_every = every
    dataset.segments = dataset.segments | {"valid": ["2016-12-01", "2016-12-31"], "test": ["2021-12-01", "2021-12-31"]}
    if name == "lightgbm":
        task["model"]["kwargs"]["num_boost_round"] = ROUNDS
    model = init_instance_by_config(task["model"])
    model.fit(dataset)
    model.predict(dataset)
    return found | {"peak": peak_bytes() / 1e9}


if __name__ == "__main__":
    main()
