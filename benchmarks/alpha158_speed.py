"""How fast is the fast engine beside Qlib's expression engine, on real data? Prints one table.

Both load the 158 features and the label of Alpha158vwap through HistoryLoader, from .bin files to the finished float32
frame, in one process with kernels=1. Everything compared is measured in one run, in turns; a ratio is the median of
the ratios of the rounds, so that another job on the machine slows both sides alike. The values of every load are
compared cell by cell, and what differs is counted and shown.
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import pandas as pd
import qlib
from qlib.contrib.data.handler import Alpha158vwap as ZooAlpha158vwap
from qlib.contrib.data.loader import Alpha158DL
from qlib.data import D
from qlib.data.cache import H

from benchmarks.measure import in_fresh_process, machine, peak_bytes, ratio, reset_peak, table, target, times
from handlers.alpha158vwap import FEATURES, LABEL, Alpha158vwap
from qlib_ext.data.loader import HistoryLoader

CONFIG = {"feature": Alpha158DL.get_feature_config(FEATURES), "label": LABEL}
HISTORY = 19
DAYS = ("2010-01-01", "2021-12-31")
FIT = {"fit_start_time": "2010-01-01", "fit_end_time": "2015-12-31"}
RELATIVE, ABSOLUTE = 1e-4, 1e-5
SPEED_TARGET, MEMORY_TARGET = 10.0, 2.0
HANDLER_TARGET = 5.9  # 8 seconds where Qlib's handler takes 45 to 50
OURS = "qlib_ext.processors.normalise"


def main() -> None:
    options = parse_arguments()
    start(options.data)
    cold, warm = first_calls(options.data)
    lines = [("one stock", "the first load, seconds: kernels compiled, kernels from the cache", cold, warm, "", "")]
    if options.rounds:
        lines += loads("csi300", [D.instruments("csi300")], options.rounds)
        lines += [memory("csi300", options.data, ("fast", "qlib")), handlers(options.rounds)]
    if options.all_rounds:
        lines += loads("all", in_parts("all", options.parts), options.all_rounds)
        lines += [memory("all", options.data, ("fast",))]
    print(machine(int(os.environ.get("OMP_NUM_THREADS", "0")) or os.cpu_count() or 1), end="\n\n")
    print(table(("universe", "what", "fast", "Qlib's", "ratio", "target"), lines))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.alpha158_speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""what the lines of the table mean:
  the first load       of one stock's year in a fresh process, with an empty cache of kernels and with a full one.
  load, seconds        HistoryLoader.load of the members' days 2010-2021 and of the 19 days before each joined.
                       'all' is loaded in parts by both, since Qlib's engine needs several times the frame's memory.
  cells that differ    by more than 1e-4 of Qlib's value and 1e-5, or NaN in one of them alone.
  peak memory          in a fresh process: the highest resident memory above what was resident before the load, over
                       the bytes of the float32 values. 'all' in one part.
  handler, seconds     Alpha158vwap with RobustZScoreNorm, Fillna, DropnaLabel and CSRankNorm: ours with the
                       processors of our workflows, against the Zoo's handler with Qlib's.

examples:
  python -m benchmarks.alpha158_speed --data ~/.qlib/qlib_data/cn_data      some 20 minutes on an idle machine
  python -m benchmarks.alpha158_speed --data DIR --rounds 1 --all-rounds 0  csi300 alone, some minutes
""",
    )
    parser.add_argument("--data", required=True, help="the provider folder, with csi300 and all")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds of csi300 (5); 0 leaves it out")
    parser.add_argument("--all-rounds", type=int, default=1, help="timed rounds of all stocks (1); 0 leaves them out")
    parser.add_argument("--parts", type=int, default=4, help="parts in which all stocks are loaded (4)")
    return parser.parse_args()


def start(data: str) -> None:
    qlib.init(provider_uri=data, region="cn", kernels=1, logging_level=40)


def in_parts(market: str, parts: int) -> list[dict]:
    spans = list(D.list_instruments(D.instruments(market), *DAYS).items())
    return [dict(spans[part::parts]) for part in range(parts)]


def loads(universe: str, parts: list, rounds: int) -> list[tuple[str, ...]]:
    """Seconds of both engines, part by part in turns, and the cells in which they differ."""
    seconds: dict[str, list[float]] = {"fast": [], "qlib": []}
    rows = cells = differ = 0
    examples: list[str] = []
    load("fast", ["SH600000"])  # from here on the kernels are there
    for number in range(rounds):
        total = dict.fromkeys(seconds, 0.0)
        for part in parts:
            frames = {}
            for engine in np.roll(list(seconds), number):
                elapsed, frames[engine] = load(str(engine), part)
                total[engine] += elapsed
            if not number:
                rows += sum(map(len, frames["fast"]))
                for ours, theirs in zip(frames["fast"], frames["qlib"], strict=True):
                    cells += ours.size
                    found = differences(ours, theirs)
                    differ += len(found)
                    examples += found
            del frames
        for engine in seconds:
            seconds[engine].append(total[engine])
    print(*examples[:40], sep="\n")
    speed = ratio(seconds["qlib"], seconds["fast"])
    what = f"load, seconds ({rows:,} rows, {rounds} rounds, in {len(parts)} parts)"
    middle = [f"{median(seconds[engine]):.1f}" for engine in seconds]
    return [
        (universe, what, *middle, times(speed), target(SPEED_TARGET, speed, at_least=True)),
        (
            universe,
            f"cells that differ, of {cells:,}",
            str(differ),
            "",
            "",
            "at most 0.01 %: " + met(differ < cells / 1e4),
        ),
    ]


def met(reached: bool) -> str:
    return "met" if reached else "MISSED"


def load(engine: str, universe: object) -> tuple[float, tuple[pd.DataFrame, pd.DataFrame]]:
    H.clear()  # what Qlib remembers of an earlier load
    gc.collect()
    loader = HistoryLoader(CONFIG, history=HISTORY, engine=engine)
    begin = time.perf_counter()
    members = loader.load(universe, *DAYS)
    return time.perf_counter() - begin, (members, loader.history_)


def differences(ours: pd.DataFrame, theirs: pd.DataFrame) -> list[str]:
    """Every cell that differs, in words."""
    assert ours.index.equals(theirs.index)
    assert ours.columns.equals(theirs.columns)
    found = []
    for at, (_, name) in enumerate(ours.columns):
        own, other = ours.iloc[:, at].to_numpy(), theirs.iloc[:, at].to_numpy()
        for row in np.flatnonzero(~np.isclose(own, other, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True)):
            day, stock = ours.index[row]
            found.append(f"{name} {day:%Y-%m-%d} {stock}: fast {own[row]:.6g}, Qlib's {other[row]:.6g}")
    return found


def first_calls(data: str) -> tuple[str, str]:
    """Seconds of a first load in a fresh process, with an empty cache and with the one that it has filled."""
    with tempfile.TemporaryDirectory() as cache:
        os.environ["NUMBA_CACHE_DIR"] = cache
        seconds = [in_fresh_process(first_load, data) for _ in range(2)]
        del os.environ["NUMBA_CACHE_DIR"]
    return f"{seconds[0]:.1f}", f"{seconds[1]:.1f}"


def first_load(data: str) -> float:
    start(data)
    begin = time.perf_counter()
    HistoryLoader(CONFIG, history=HISTORY).load(["SH600000"], "2015-01-01", "2015-12-31")
    return time.perf_counter() - begin


def memory(universe: str, data: str, engines: tuple[str, ...]) -> tuple[str, ...]:
    """Peak of memory over the bytes of the result, each engine in a process of its own."""
    peaks = [in_fresh_process(peak_of_loading, engine, universe, data) for engine in engines]
    words = [f"{peak:.2f}" for peak in peaks] + [""] * (2 - len(peaks))
    of_both = times(peaks[1] / peaks[0]) if len(peaks) > 1 else ""
    what = "peak memory over the bytes of the float32 values"
    return (universe, what, *words, of_both, target(MEMORY_TARGET, peaks[0], at_least=False))


def peak_of_loading(engine: str, universe: str, data: str) -> float:
    start(data)
    load(engine, ["SH600000"])  # imports that wait for the first use are done
    before = reset_peak()
    _, frames = load(engine, D.instruments(universe))
    return (peak_bytes() - before) / sum(4 * frame.size for frame in frames)


def handlers(rounds: int) -> tuple[str, ...]:
    """Seconds of the whole handler, ours and the Zoo's in turns."""

    def processors(own: bool) -> dict:
        robust = {"class": "RobustZScoreNorm", "kwargs": {"fields_group": "feature", "clip_outlier": True}}
        fill = {"class": "Fillna", "kwargs": {"fields_group": "feature"}}
        learn = [{"class": "DropnaLabel"}, {"class": "CSRankNorm", "kwargs": {"fields_group": "label"}}]
        where = {"module_path": OURS} if own else {}
        return {"infer_processors": [robust | where, fill | where], "learn_processors": learn}

    config = {"instruments": "csi300", "start_time": DAYS[0], "end_time": DAYS[1], **FIT}
    ways: dict[str, Callable[[], object]] = {
        "ours": lambda: Alpha158vwap(**config, **processors(own=True)),
        "Zoo": lambda: ZooAlpha158vwap(**config, **processors(own=False)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in np.roll(list(ways), number):
            H.clear()
            gc.collect()
            begin = time.perf_counter()
            ways[name]()
            seconds[name].append(time.perf_counter() - begin)
    ours, zoo = median(seconds["ours"]), median(seconds["Zoo"])
    what = f"handler, seconds ({rounds} rounds)"
    speed = ratio(seconds["Zoo"], seconds["ours"])
    met_or_not = target(HANDLER_TARGET, speed, at_least=True)
    return ("csi300", what, f"{ours:.1f}", f"{zoo:.1f}", times(speed), met_or_not)


if __name__ == "__main__":
    main()
