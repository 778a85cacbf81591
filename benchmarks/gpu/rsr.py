"""The trainings of benchmarks.rsr_paper on a GPU without network: several at a time, their rows taken home.

    cp -r ../shared/rsr .gpu/               here: the paper's data, to travel
    make gpu-rsr GPU_OUT=DIR                there: what has no row, until the minutes are over
    cp DIR/rsr_paper.csv benchmarks/        here

It needs torch, pandas, pyarrow, tqdm and filelock, and no Qlib.

A process trains what belongs together: of the published program's protocol all nets of one seed, which read the states
of its Rank_LSTM, else one net of one seed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from tqdm import tqdm

from benchmarks.gpu.sharing import shared_gpu
from benchmarks.rsr_nets import MODELS
from benchmarks.rsr_paper import PARAMETERS, RESULTS

DATA = Path(".gpu/rsr")
LONGEST = 150.0  # seconds of a training when several share the GPU: none is begun later before the end


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu.rsr", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA, metavar="DIR", help=f"the paper's data ({DATA})")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4], metavar="SEED", help="(0 1 2 3 4)")
    parser.add_argument("--minutes", type=float, default=8.5, help="of training (8.5)")
    parser.add_argument("--n-jobs", type=int, default=11, help="trainings at a time (11)")
    parser.add_argument("--out", type=Path, default=Path(".gpu/results"), metavar="DIR", help="for rsr_paper.csv")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    results = options.out / RESULTS.name
    shutil.copyfile(RESULTS, results)
    with TemporaryDirectory() as scratch, shared_gpu(Path(scratch)):
        run_until(time.monotonic() + 60 * options.minutes, list(trainings(options.seeds)), options, Path(scratch))


def trainings(seeds: Sequence[int]) -> Iterator[list[str]]:
    """The options of ``benchmarks.rsr_paper`` of each process, first seeds first, the long ones before the short."""
    for seed in seeds:
        for market in PARAMETERS:
            yield ["--markets", market, "--seeds", f"{seed}", "--paper"]
            for model in MODELS:
                yield ["--markets", market, "--seeds", f"{seed}", "--models", model]


def run_until(deadline: float, every: Sequence[list[str]], options: argparse.Namespace, scratch: Path) -> None:
    """Train in their order, ``n_jobs`` at a time; what is not done at the deadline is ended."""
    usual = [sys.executable, "-m", "benchmarks.rsr_paper", "--data", f"{options.data}"]
    usual += ["--states", f"{scratch / 'states'}", "--results", f"{options.out / RESULTS.name}"]
    bar = tqdm(total=len(every), unit="process")

    def one(number: int) -> None:
        if time.monotonic() > deadline - LONGEST:
            return
        with open(scratch / f"{number}.log", "w+") as log:
            left = max(deadline - time.monotonic(), 0)
            try:
                code = subprocess.run([*usual, *every[number]], stdout=log, stderr=log, timeout=left).returncode
            except subprocess.TimeoutExpired:
                code = None
            log.seek(0)
            ended = "" if code == 0 else f": {'not ended' if code is None else log.read()[-500:]}"
        bar.update()
        tqdm.write(f"{' '.join(every[number])}{ended}", file=sys.stderr)

    with ThreadPoolExecutor(options.n_jobs) as pool:
        list(pool.map(one, range(len(every))))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
