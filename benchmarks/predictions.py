"""What every workflow predicts on a small simulated market, hashed: shows that a change of the code changed none.

A tree's market and its workflows/*.yaml are run with that tree's code: the market (day bars, half-hour bars, all
high-frequency factors) by ``qlib-ext market`` and ``ticks build``, each workflow as qrun does, those that read other
experiments last. Dates, lengths, epochs and seeds are made small, and of the records the score alone is kept; all else
is as the file says. A hash covers the float bytes and the (day, instrument) of the scores in the order of pred.pkl; the
scores are kept beside the hashes, so that a comparison can say how far two of them are apart. Every process has one
thread. What has a hash is not run again, so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from ruamel.yaml import YAML

from benchmarks.measure import table

MARKET = {"stocks": 60, "days": 500, "seed": 0, "start": "2014-09-01", "ticks-days": 130}
END = "2016-08-31"  # the market's last day; half-hour bars and high-frequency factors begin on 2016-03-03
YAML_OF_QRUN = YAML(typ="safe", pure=True)  # another reader takes 1e-3 for a text
YAML_OF_QRUN.sort_base_mapping_type_on_output = False  # series and weights stand in an order


@dataclass(frozen=True)
class Lengths:
    """The first day that a handler reads, the first test day, and the windows of a RollingModel."""

    start: str
    test: str
    train: str
    valid: str
    step: str


CSI300 = Lengths(start="2014-09-01", test="2016-05-23", train="12M", valid="3M", step="36D")
MARKET_WIDE = Lengths(start="2016-04-01", test="2016-06-06", train="28D", valid="14D", step="31D")
SECOND_STAGE = Lengths(start="2016-04-01", test="2016-08-08", train="28D", valid="14D", step="9D")
TRAINED_ONCE = {"train": [CSI300.start, "2016-02-29"], "valid": ["2016-03-01", "2016-05-20"]}


def main() -> int:
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    options = parse_arguments()
    try:
        return compare(*options.compare) if options.compare else run_all(options)
    except RuntimeError as error:
        sys.exit(f"error: {error}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.predictions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""example:
  git worktree add ../before v0.3.0
  python -m benchmarks.predictions --tree ../before --out hashes/before.json --market hashes/market
  python -m benchmarks.predictions --tree . --out hashes/after.json --market hashes/market
  python -m benchmarks.predictions --compare hashes/before.json hashes/after.json

Without --market each tree makes its own, and the markets are compared by their hashes.
""",
    )
    parser.add_argument("--tree", type=Path, metavar="DIR", help="the working tree whose code and workflows run")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the hashes; scores, runs and logs go beside it")
    parser.add_argument("--market", type=Path, metavar="DIR", help="made where it is not (default: one of its own)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these workflows, without those that they read")
    parser.add_argument("--compare", nargs=2, type=Path, metavar="FILE", help="two files of hashes; nothing is run")
    options = parser.parse_args()
    if not options.compare and not (options.tree and options.out):
        parser.error("give --tree and --out, or --compare")
    return options


def run_all(options: argparse.Namespace) -> int:
    """Run each workflow that has no hash yet; 1 where one failed.

    Raises RuntimeError where Python finds another tree's code, the market cannot be made, or a name is no workflow.
    """
    out, tree = options.out.resolve(), options.tree.resolve()
    work = out.with_suffix("")
    work.mkdir(parents=True, exist_ok=True)
    require_tree(tree, work)
    market = (options.market or work / "market").resolve()
    if not market.exists():
        make_market(market, tree)
    hashes = json.loads(out.read_text()) if out.exists() else {}
    hashes.setdefault("market", digest_of_folder(market))
    workflows = read_workflows(tree / "workflows", market, work / "runs")
    unknown = [name for name in options.only or () if name not in workflows]
    if unknown:
        raise RuntimeError(f"{tree} has no workflow {unknown[0]!r}; it has {', '.join(workflows)}.")
    failed = []
    for name in options.only or workflows:
        if name in hashes:
            continue
        began = time.monotonic()
        try:
            hashes[name] = predict(name, small(workflows[name]), tree, work)
        except RuntimeError as error:
            failed.append(name)
            print(f"{name}: {error}", flush=True)
        else:
            out.write_text(json.dumps(hashes, indent=2) + "\n")
            print(f"{name}: {hashes[name][:12]} after {time.monotonic() - began:.0f} s", flush=True)
    return 1 if failed else 0


def require_tree(tree: Path, cwd: Path) -> None:
    """Raise RuntimeError where another qlib_ext than the tree's would run."""
    command = [sys.executable, "-c", "import qlib_ext; print(qlib_ext.__file__)"]
    found = subprocess.run(command, cwd=cwd, env=environment(tree), capture_output=True, text=True, check=True).stdout
    if tree not in Path(found.strip()).resolve().parents:
        raise RuntimeError(f"With PYTHONPATH={tree} Python imports {found.strip()}; give a tree that has qlib_ext.")


def environment(tree: Path) -> dict[str, str]:
    """The variables of every process: the tree's code, one thread, a fixed seed of Python's hashes."""
    return os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}


def run(arguments: Sequence[str], tree: Path, log: Path) -> None:
    """Run a module with the tree's code; raises RuntimeError with the last line that it wrote."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file:
        command = [sys.executable, "-m", *arguments]
        code = subprocess.run(command, cwd=log.parent, env=environment(tree), stdout=file, stderr=file).returncode
    if code:
        lines = log.read_text(errors="replace").strip().splitlines()
        raise RuntimeError(f"It ended with code {code}: {lines[-1] if lines else 'it wrote nothing'}; see {log}.")


def make_market(folder: Path, tree: Path) -> None:
    """A provider with day bars, half-hour bars and the fields of all high-frequency factors, whole or not at all."""
    new, ticks, logs = (folder.with_name(f"{folder.name}{part}") for part in (".new", ".made-of", ".logs"))
    for old in (new, ticks):
        shutil.rmtree(old, ignore_errors=True)
    what = [text for name, value in MARKET.items() for text in (f"--{name}", str(value))]
    run(["qlib_ext.cli", "market", "--out", str(new), "--ticks", str(ticks), *what], tree, logs / "market.log")
    days = sorted((ticks / "trades").iterdir())
    inputs = [text for name in ("minute", "trades", "orders") for text in (f"--{name}", str(ticks / name))]
    inputs += ["--start", days[0].name.removeprefix("date=")]
    run(["qlib_ext.cli", "ticks", "build", *inputs, "--out", str(new)], tree, logs / "ticks.log")
    add_half_hours(new, [ticks / "minute" / day.name for day in days])
    shutil.rmtree(ticks)
    shutil.rmtree(new.with_name(f"{new.name}.ticks"))
    new.rename(folder)


def add_half_hours(provider: Path, days: Sequence[Path]) -> None:
    """Bars of half an hour, named by their ends, of partitions of minute bars; in Qlib's format, without our writer."""
    frames = []
    for folder in days:
        bars = pd.read_parquet(folder, columns=["instrument", "time", "open", "high", "low", "close", "amount"])
        begin = pd.Timestamp(folder.name.removeprefix("date=")) + pd.to_timedelta(bars.pop("time").astype(str))
        frames.append(bars.assign(end=(begin + pd.Timedelta(minutes=1)).dt.ceil("30min")))
    taken = {"open": "first", "high": "max", "low": "min", "close": "last", "amount": "sum"}
    half_hours = pd.concat(frames).groupby(["instrument", "end"]).agg(taken)
    calendar = half_hours.index.unique("end").sort_values()
    (provider / "calendars/30min.txt").write_text("".join(f"{time}\n" for time in calendar))
    for symbol, own in half_hours.groupby("instrument"):
        for name, values in own.droplevel("instrument").reindex(calendar).items():
            path = provider / "features" / str(symbol).lower() / f"{name}.30min.bin"
            np.append(0, values.to_numpy()).astype("<f4").tofile(path)  # the first number is the first bar's position


def read_workflows(folder: Path, market: Path, runs: Path) -> dict[str, dict[str, Any]]:
    """The workflows by file name, filled in as qrun does; those that read other experiments after all others."""
    where = {"QLIB_DATA": str(market), "QLIB_RUNS": str(runs), "FACTORS": str(folder.parent / "tests/factors.yaml")}
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.yaml"))}
    found = {name: YAML_OF_QRUN.load(jinja2.Template(text).render(where)) for name, text in texts.items()}
    return dict(sorted(found.items(), key=lambda item: bool(reads(item[1]))))


def handler_of(workflow: dict[str, Any]) -> dict[str, Any]:
    return workflow["task"]["dataset"]["kwargs"]["handler"]["kwargs"]


def reads(workflow: dict[str, Any]) -> list[str]:
    """The experiments whose scores or weak factors the workflow reads."""
    return handler_of(workflow).get("experiments", [])


def lengths_of(workflow: dict[str, Any]) -> Lengths:
    if handler_of(workflow)["instruments"] == "csi300":
        return CSI300
    trained = workflow["task"]["model"]["class"] == "RollingModel"
    return SECOND_STAGE if trained and reads(workflow) else MARKET_WIDE


def small(workflow: dict[str, Any]) -> dict[str, Any]:
    """The workflow on the small market: dates, lengths, epochs and seeds; of the records the score alone."""
    task, handler, lengths = workflow["task"], handler_of(workflow), lengths_of(workflow)
    model, dataset = task["model"]["kwargs"], task["dataset"]["kwargs"]
    handler |= {"start_time": lengths.start, "end_time": END}
    if "fit_start_time" in handler:
        handler |= dict(zip(("fit_start_time", "fit_end_time"), TRAINED_ONCE["train"], strict=True))
    segments = TRAINED_ONCE | {"test": [lengths.test, END]}
    dataset["segments"] = {name: segments[name] for name in dataset["segments"]}
    if task["model"]["class"] == "RollingModel":
        model |= {"train": lengths.train, "valid": lengths.valid, "step": lengths.step}
    for options in (model, model.get("model", {}).get("kwargs", {})):
        if "n_epochs" in options:
            options["n_epochs"] = 2
        if "seeds" in options:
            options["seeds"] = options["seeds"][:2]
    task["record"] = [record for record in task["record"] if record["class"] == "SignalRecord"]
    return workflow


def predict(name: str, workflow: dict[str, Any], tree: Path, work: Path) -> str:
    """Run the workflow, keep its scores, and return their hash; raises RuntimeError where it fails or shows nothing."""
    file = work / "workflows" / f"{name}.yaml"
    file.parent.mkdir(exist_ok=True)
    YAML_OF_QRUN.dump(workflow, file)
    run(["qlib.cli.run", str(file)], tree, work / "logs" / f"{name}.log")
    scores = last_scores(f"sqlite:///{work}/runs/mlflow.db", workflow["experiment_name"])
    constant = (scores.groupby(level="datetime").nunique() < 2).any(axis=1)
    if constant.any():
        raise RuntimeError(
            f"It gives all stocks one score on {constant.sum()} of {len(constant)} days, first "
            f"{constant.idxmax():%Y-%m-%d}, which shows nothing; make the market or the training days larger."
        )
    scores.to_parquet(scores_of(work.with_suffix(".json"), name))
    return digest(scores)


def last_scores(store: str, experiment: str) -> pd.DataFrame:
    """The prediction of the last finished run that is no window of another one."""
    client = MlflowClient(store)
    runs = client.search_runs([client.get_experiment_by_name(experiment).experiment_id], "status = 'FINISHED'")
    last = next(run for run in runs if "mlflow.parentRunId" not in run.data.tags)
    return pd.read_pickle(client.download_artifacts(last.info.run_id, "pred.pkl"))


def scores_of(hashes: Path, name: str) -> Path:
    return hashes.with_suffix("") / f"{name}.parquet"


def digest(scores: pd.DataFrame) -> str:
    """Of the values' bytes, their type, and the days and instruments in their order."""
    values = np.ascontiguousarray(scores.to_numpy())
    rows = "\n".join(f"{day:%Y-%m-%d} {stock}" for day, stock in scores.index)
    return hashlib.sha256(f"{values.dtype} {list(scores.columns)}\n{rows}\n".encode() + values.tobytes()).hexdigest()


def digest_of_folder(folder: Path) -> str:
    """Of names and contents of all files but market.json, which names the version of qlib_ext."""
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != "market.json":
            whole.update(f"{path.relative_to(folder)}\n{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def compare(before: Path, after: Path) -> int:
    """Print what is equal, different or missing; 1 where anything is not equal."""
    first, second = (json.loads(path.read_text()) for path in (before, after))
    lines = []
    for name in dict.fromkeys([*first, *second]):
        state, apart = "equal", ""
        if name not in first or name not in second:
            state = f"missing in {before if name not in first else after}"
        elif first[name] != second[name]:
            state = "different"
            if name != "market":
                apart = difference(*(pd.read_parquet(scores_of(path, name)) for path in (before, after)))
        lines.append((name, state, apart))
    print(table(("workflow", "predictions", "how far apart"), lines))
    return 0 if all(state == "equal" for _, state, _ in lines) else 1


def difference(before: pd.DataFrame, after: pd.DataFrame) -> str:
    """The largest absolute difference of the rows that both have, and how many rows one of them lacks."""
    common = before.index.intersection(after.index)
    apart = np.abs(before.loc[common].to_numpy() - after.loc[common].to_numpy())
    lone = len(before) + len(after) - 2 * len(common)
    text = f"at most {apart.max(initial=0):.3g} in {len(common)} rows" if len(common) else "no row in common"
    return text + (f", {lone} rows in one alone" if lone else "")


if __name__ == "__main__":
    sys.exit(main())
