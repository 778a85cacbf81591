"""Trainings of benchmarks.truth on a GPU without network: several at a time, and their scores taken home.

    python -m benchmarks.gpu.panel PROVIDER --start 2010-01-01     here: .gpu/panel.xz
    make gpu-truth GPU_OUT=DIR                                     there: what has no row, until the minutes are over
    python -m benchmarks.gpu.truth --take DIR --data PROVIDER      here: rows of benchmarks/truth.csv, and the scores

What networks of stocks read is packed with --reports --risk FOLDER. The nets learn from packed bars, whose prices are
off by .04 % at most; what they are judged by are the labels here. Small nets leave most of a GPU idle: NVIDIA's MPS
lets processes run on it side by side, where it is installed.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import shutil
import sys
import time
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from benchmarks.gpu.market import PACKED
from benchmarks.gpu.panel import unpack
from benchmarks.gpu.sharing import shared_gpu
from benchmarks.measure import in_fresh_process
from benchmarks.truth import RESULTS, chosen, identity, read_results, record, recorded, scores_of
from benchmarks.truth_networks import needs_financial, write_financial
from benchmarks.truth_runs import RUNS, Dates, Job, Run, jobs_of
from benchmarks.truth_train import read_truth, row_of, train, write_parquet, write_rows
from qlib_ext.models.base import share_blocks

MOST_BYTES = 16_500_000  # of a bundle of scores
LEVELS = 240  # of a day's ranks: a multiple of the twentieths; a Rank IC loses 1 / LEVELS^2 of itself
DATES = Dates()
LONGEST = 150.0  # seconds of a training when several share the GPU: none is begun later before the end


def main() -> None:
    options = parse_arguments()
    if options.take:
        take(options.take, options.data, options.scores, options.results)
        return
    known = read_results(options.results)
    jobs = list(jobs_of(chosen(RUNS, options.only), Dates(folds=tuple(options.folds)), options.seeds))
    jobs = [job for job in jobs if not recorded(job, known, options.name)]
    with TemporaryDirectory() as scratch, shared_gpu(Path(scratch)):
        provider = str(unpack(options.packed, Path(scratch) / options.name))
        rows = Path(scratch) / "rows.parquet"
        in_fresh_process(write_rows, provider, DATES, rows)
        if needs_financial(jobs):
            in_fresh_process(write_financial, provider, DATES)
        run_until(time.monotonic() + 60 * options.minutes, jobs, provider, rows, options)
        os._exit(0)  # with the trainings that are not done yet, which end with this process


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu.truth",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these runs alone")
    parser.add_argument("--folds", nargs="+", type=int, default=list(DATES.folds), metavar="YEAR", help="of these")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="SEED", help="of these seeds (default: each run's own)")
    parser.add_argument("--minutes", type=float, default=8, help="of training, the unpacking not counted (8)")
    parser.add_argument("--n-jobs", type=int, default=7, help="trainings at a time (7), each with its share of memory")
    parser.add_argument("--packed", type=Path, default=PACKED, metavar="FILE", help=f"the packed bars ({PACKED})")
    parser.add_argument("--name", default="cn_2010_2021", help="the packed provider's name in the results")
    parser.add_argument("--out", type=Path, default=Path(".gpu/results"), metavar="DIR", help="for bundles of scores")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FILE", help="rows (benchmarks/truth.csv)")
    parser.add_argument("--take", type=Path, metavar="DIR", help="train nothing: record the bundles of this folder")
    parser.add_argument(
        "--data", default=os.environ.get("QLIB_DATA"), metavar="DIR", help="provider, to take ($QLIB_DATA)"
    )
    parser.add_argument(
        "--scores", type=Path, default=Path(".data/truth"), metavar="DIR", help="as of benchmarks.truth"
    )
    options = parser.parse_args()
    if options.take and not options.data:
        parser.error("name the provider whose bars were packed with --data or QLIB_DATA")
    return options


def run_until(deadline: float, jobs: Sequence[Job], provider: str, rows: Path, options: argparse.Namespace) -> None:
    """Train in their order, ``n_jobs`` at a time, and bundle scores as they come; back when all or the time is over."""
    share_blocks()  # before the trainings, which take a share of the memory first of all
    options.out.mkdir(parents=True, exist_ok=True)
    writing, bar = Lock(), tqdm(total=len(jobs), unit="run")

    def one(job: Job) -> None:
        if time.monotonic() > deadline - LONGEST:
            return
        file = rows.with_name(job.file)
        try:
            cost = in_fresh_process(train_within, 1 / options.n_jobs, job, provider, rows, file)
        except Exception as error:  # whatever a training raises stops no other
            tqdm.write(f"{job.name} failed, {type(error).__name__}: {error}", file=sys.stderr)
            return
        about = {"run": job.run.name, "fold": job.fold, "seed": job.seed, "epochs": job.epochs} | cost
        with writing:
            add_to_bundle(options.out, file, about)
            bar.update()
            tqdm.write(f"{job.name}: {cost['seconds']:.0f} s", file=sys.stderr)

    pool = ThreadPoolExecutor(options.n_jobs)
    pending = [pool.submit(one, job) for job in jobs]
    while time.monotonic() < deadline and not all(future.done() for future in pending):
        time.sleep(0.5)


def train_within(fraction: float, *arguments: Any) -> dict[str, Any]:
    """``train`` with at most this share of the GPU's memory, which its cache would fill otherwise."""
    if torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(fraction)
    return train(*arguments)


def add_to_bundle(out: Path, file: Path, about: dict[str, Any]) -> None:
    """Add a training's levels to the first bundle that has room; bundles are replaced whole."""
    packed = BytesIO()
    np.savez(packed, about=json.dumps(about), **packed_levels(pd.read_parquet(file)["score"]))
    size = packed.getbuffer().nbytes
    bundles = sorted(out.glob("scores_*.zip"))
    room = [bundle for bundle in bundles if bundle.stat().st_size + size < MOST_BYTES]
    bundle = room[0] if room else out / f"scores_{len(bundles):02d}.zip"
    part = bundle.with_suffix(".part")
    if room:
        shutil.copyfile(bundle, part)
    with zipfile.ZipFile(part, "a") as archive:
        archive.writestr(file.with_suffix(".npz").name, packed.getvalue())
    part.replace(bundle)


def packed_levels(score: pd.Series) -> dict[str, Any]:
    """The ranks of each day in ``LEVELS`` steps, ``floor(LEVELS (rank - 1) / stocks)``, and which cells have one.

    Cells are [stocks, days]; a level is kept as its difference from the last one, which compresses better.
    """
    matrix = score.unstack("instrument")
    ranks = matrix.rank(axis=1, method="first")
    levels = (LEVELS * (ranks - 1)).floordiv(ranks.count(axis=1), axis=0).to_numpy().T  # [stocks, days]
    has = np.isfinite(levels)
    change = np.diff(levels[has].astype(np.uint8), prepend=np.uint8(0))  # modulo 256
    return {
        "days": matrix.index.to_numpy("datetime64[D]").astype("U10"),
        "stocks": matrix.columns.to_numpy("U"),
        "has": compressed(np.packbits(has)),
        "change": compressed(change),
    }


def unpacked_levels(stored: Any) -> pd.Series:
    """The scores' levels by day and stock, from ``packed_levels``."""
    days, stocks = pd.DatetimeIndex(stored["days"], name="datetime"), pd.Index(stored["stocks"], name="instrument")
    shape = (len(stocks), len(days))
    has = np.unpackbits(decompressed(stored["has"]), count=shape[0] * shape[1]).reshape(shape).astype(bool)
    levels = np.full(shape, np.nan, np.float32)
    levels[has] = np.cumsum(decompressed(stored["change"]), dtype=np.uint8)
    return pd.DataFrame(levels.T, days, stocks).stack().dropna().rename("score")


def compressed(values: np.ndarray) -> np.ndarray:
    return np.frombuffer(lzma.compress(values.tobytes()), np.uint8)


def decompressed(values: np.ndarray) -> np.ndarray:
    return np.frombuffer(lzma.decompress(values.tobytes()), np.uint8)


def take(
    folder: Path, provider: str, scores: Path, results: Path, runs: Sequence[Run] = RUNS, dates: Dates = DATES
) -> None:
    """Record what the bundles hold: rows by this provider's labels, and the levels as scores."""
    known = {run.name: run for run in runs}
    kept = scores_of(scores, provider)
    rows_file = kept / f"rows_{dates.start}_{dates.end}.parquet"
    if not rows_file.exists():
        in_fresh_process(write_rows, provider, dates, rows_file)
    truth = read_truth(rows_file)
    for bundle in sorted(folder.glob("scores_*.zip")):
        with zipfile.ZipFile(bundle) as archive:
            for name in archive.namelist():
                stored = np.load(BytesIO(archive.read(name)))
                about = json.loads(str(stored["about"]))
                job = Job(known[about.pop("run")], about.pop("fold"), about.pop("seed"), dates, about.pop("epochs"))
                score = unpacked_levels(stored)
                write_parquet(score.to_frame(), kept / job.file)
                row = identity(job, provider) | row_of(job, score, truth) | about
                record(results, row)
                print(f"{job.name}: validation {row['valid_rank_ic']:.4f}", flush=True)


if __name__ == "__main__":
    main()
