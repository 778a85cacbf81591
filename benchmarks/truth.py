"""What is true on the whole market: labels, losses, features and weightings on the same rows, one training a row.

Runs, labels and combinations stand in benchmarks/truth_runs.py. Choices are made on folds: trained up to a year,
validated on it, 2013 to 2016. What is kept there (``kept``) is tested on 2017-2021, with three seeds. All learn and are
judged on the same rows: stocks that were listed sixty days before and have a close. The last eleven days of a
validation year are left out of its figures, since their labels reach into the next year.

Every training has a process of its own, niced, of one thread, and becomes a row of benchmarks/truth.csv; its scores go
to --scores, so that the table and combinations need no training. What has a row and its scores is not run again, so
that a run that was stopped goes on where it was; a row of another configuration, provider or dates counts as none.
"""

from __future__ import annotations

import argparse
import datetime
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from benchmarks.measure import in_fresh_process
from benchmarks.truth_runs import RUNS, Dates, Job, Run, configuration, digest, jobs_of
from benchmarks.truth_table import summary
from benchmarks.truth_train import read_truth, row_of, train, write_rows
from qlib_ext.errors import ConfigError, QlibExtError
from qlib_ext.system.files import write_whole
from qlib_ext.system.locks import locked

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "truth.csv"
ADVICE = "Make room, and run it again: it goes on where it was."


def main() -> int:
    options = parse_arguments()
    try:
        dates = Dates(options.start, options.test, options.end, tuple(options.folds))
        runs = chosen(RUNS, options.only)
        if options.table:
            print(summary(read_results(options.results), options.scores, options.data, runs, dates, options.against))
            return 0
        jobs = list(jobs_of(runs, dates, options.seeds, options.epochs))
        if options.list:
            print(missing_text(jobs, options))
            return 0
        os.nice(19)
        return run_missing(jobs, options)
    except QlibExtError as error:
        sys.exit(f"error: {error}")


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.truth",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""examples:
  export QLIB_DATA=.data/real/cn_2010_2021
  python -m benchmarks.truth                          run, or resume, all of it
  python -m benchmarks.truth --list                   what is missing, and how long it would take
  python -m benchmarks.truth --table --folds 2013     the table of what has rows of that fold
""",
    )
    dates = Dates()
    parser.add_argument("--data", default=os.environ.get("QLIB_DATA"), metavar="DIR", help="provider ($QLIB_DATA)")
    parser.add_argument("--scores", type=Path, default=Path(".data/truth"), metavar="DIR", help="where scores are kept")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FILE", help="rows (benchmarks/truth.csv)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these runs alone")
    parser.add_argument(
        "--folds", nargs="+", type=int, default=list(dates.folds), metavar="YEAR", help="of these years"
    )
    parser.add_argument("--seeds", nargs="+", type=int, metavar="SEED", help="of these seeds (default: each run's own)")
    parser.add_argument("--epochs", type=int, metavar="N", help="of the nets, at most so many")
    parser.add_argument("--start", default=dates.start, help=f"first training day ({dates.start})")
    parser.add_argument("--test", default=dates.test, help=f"first test day ({dates.test})")
    parser.add_argument("--end", default=dates.end, help=f"last test day ({dates.end})")
    parser.add_argument("--against", default=RUNS[0].name, metavar="NAME", help="what others are compared with")
    parser.add_argument("--list", action="store_true", help="run nothing, print what is missing")
    parser.add_argument("--table", action="store_true", help="run nothing, print the table of what has rows")
    options = parser.parse_args(arguments)
    if not options.data:
        parser.error("name a provider folder with --data or QLIB_DATA")
    options.data = str(Path(options.data).expanduser().resolve())
    return options


def chosen(runs: Sequence[Run], names: Sequence[str] | None) -> list[Run]:
    """The named runs, or all; raises ConfigError for a name that is none."""
    known = {run.name: run for run in runs}
    for name in names or ():
        if name not in known:
            raise ConfigError(f"There is no run {name!r}; there are {', '.join(map(repr, known))}.")
    return [known[name] for name in names or known]


def run_missing(jobs: Sequence[Job], options: argparse.Namespace) -> int:
    """Train what has no row, one after the other; 1 where one failed, which stops no other."""
    os.environ["OMP_NUM_THREADS"] = "1"
    busy = ConfigError(f"Another process writes {options.results}: let it run, or end it first.")
    with locked(options.results.with_suffix(".lock"), busy):
        print(missing_text(jobs, options), file=sys.stderr)
        left = missing(jobs, options)
        folder = scores_of(options.scores, options.data)
        rows = folder / f"rows_{options.start}_{options.end}.parquet"
        if left and not rows.exists():
            in_fresh_process(write_rows, options.data, left[0].dates, rows)
        failed = 0
        for job in (bar := tqdm(left, unit="run")):
            bar.set_description(job.name)
            try:
                cost = in_fresh_process(train, job, options.data, rows, folder / job.file)
            except Exception as error:  # whatever a training raises, or its end for want of memory
                failed += 1
                tqdm.write(f"{job.name} failed, {type(error).__name__}: {error}", file=sys.stderr)
                continue
            scores = pd.read_parquet(folder / job.file)["score"]
            record(options.results, identity(job, options.data) | row_of(job, scores, read_truth(rows)) | cost)
    return 1 if failed else 0


def missing_text(jobs: Sequence[Job], options: argparse.Namespace) -> str:
    """What has no row, in the order in which it would run, and how long it would take."""
    left, known = missing(jobs, options), read_results(options.results)
    minutes = [minutes_of(job, known) for job in left]
    lines = [f"{job.name}: about {own:.0f} minutes" for job, own in zip(left, minutes, strict=True)]
    return "\n".join([*lines, f"{len(left)} of {len(jobs)} runs are missing, about {sum(minutes) / 60:.1f} hours."])


def missing(jobs: Sequence[Job], options: argparse.Namespace) -> list[Job]:
    known, folder = read_results(options.results), scores_of(options.scores, options.data)
    return [job for job in jobs if not recorded(job, known, options.data) or not (folder / job.file).exists()]


def minutes_of(job: Job, known: pd.DataFrame) -> float:
    """By the CPU's rows of the same run, which grow with the years of training; without one, by the table's guess."""
    years = job.fold - int(job.start[:4])
    own = known[(known["run"] == job.run.name) & (known["device"] == "CPU")] if len(known) else known
    if not len(own):
        return job.run.minutes * years
    return float((own["seconds"] / (own["fold"] - own["train_start"].str[:4].astype(int))).mean() * years / 60)


def identity(job: Job, provider: str) -> dict[str, Any]:
    """What is known of a row before it is trained."""
    model, dataset = configuration(job)
    handler = dataset["kwargs"]["handler"]["class"]
    loss = model["kwargs"].get("loss", "mse" if model["class"] != "MultiTaskGRU" else "multi-task")
    return {
        "run": job.run.name,
        "fold": job.fold,
        "seed": job.seed,
        "model": model["class"],
        "data": handler,
        "label": job.run.label,
        "loss": loss,
        "universe": job.run.universe,
        "train_start": job.start,
        "test_end": job.test[1] if job.tested else "",
        "provider": Path(provider).name,
        "configuration": digest(job),
        "commit": commit(),
        "date": f"{datetime.date.today()}",
    }


def commit() -> str:
    command = ["git", "-C", str(HERE), "describe", "--always", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def scores_of(folder: Path, provider: str) -> Path:
    return folder / Path(provider).name


def read_results(file: Path) -> pd.DataFrame:
    """The rows; a commit such as 9390e87 is no number."""
    return (
        pd.read_csv(file, dtype={"commit": str, "configuration": str})
        if file.exists()
        else pd.DataFrame({"run": [], "provider": []})
    )


def recorded(job: Job, known: pd.DataFrame, provider: str) -> bool:
    """Whether a row is of this training; the configuration has the dates, and whether it is tested."""
    if not len(known):
        return False
    own = (known["run"] == job.run.name) & (known["fold"] == job.fold) & (known["seed"] == job.seed)
    own &= (known["provider"] == Path(provider).name) & (known["configuration"] == digest(job))
    return bool(own.any())


def record(file: Path, row: dict[str, Any]) -> None:
    """Add a row, in the place of an older one of the same run, fold, seed and provider."""
    known = read_results(file)
    if len(known):
        older = pd.concat([known[name] == row[name] for name in ("run", "fold", "seed", "provider")], axis=1).all(
            axis=1
        )
        known = known[~older]
    rows = pd.concat([known, pd.DataFrame([row])])
    write_whole(file, rows.to_csv(index=False, float_format="%.6g").encode(), ADVICE)


if __name__ == "__main__":
    sys.exit(main())
