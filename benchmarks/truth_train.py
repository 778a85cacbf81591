"""One training of ``python -m benchmarks.truth`` in a process of its own, and the rows that all of them share."""

from __future__ import annotations

import ctypes
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import qlib
import torch
from qlib.utils import init_instance_by_config
from qlib.workflow import R

from benchmarks.measure import peak_bytes
from benchmarks.truth_runs import EVERY, RISK, Dates, Job, configuration
from handlers.bars import LABEL
from qlib_ext.analysis.groups import assign_groups
from qlib_ext.cross_section.ic import rank_information_coefficient
from qlib_ext.cross_section.matrix import to_matrix
from qlib_ext.data.loader import HistoryLoader
from qlib_ext.processors.rows import KeepRows
from qlib_ext.provider.panels import membership, read_spans

REACH = 11  # days after t that the label of t reads
TOP = 20  # the best twentieth
SEASONED = 60
INDICES = ("csi300", "csi500", "csi1000")
ALL = "all"
PR_SET_PDEATHSIG = 1
GB = 1e9


def prepare(provider: str, **options: Any) -> None:
    """Make this process one of one thread, which ends with its parent, and start Qlib in it."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    torch.set_num_threads(1)
    qlib.init(provider_uri=provider, region="cn", kernels=1, logging_level=30, **options)


@contextmanager
def recorder(provider: str) -> Iterator[None]:
    """Qlib, with a recorder that is thrown away: Qlib's own models write their curves to one."""
    with tempfile.TemporaryDirectory() as scratch:
        manager = {"class": "SQLiteExpManager", "module_path": "qlib_ext.recorder"}
        manager["kwargs"] = {"uri": f"sqlite:///{scratch}/mlflow.db", "default_exp_name": "truth"}
        prepare(provider, exp_manager=manager)
        with R.start(experiment_name="truth"):
            yield


def write_rows(provider: str, dates: Dates, file: Path) -> None:
    """Write the rows on which everything is trained and judged: label, and whether a member of each index.

    Every stock of the provider on every day with a close, sixty days after it was listed.
    """
    prepare(provider)
    loader = HistoryLoader({"label": LABEL}, seasoned_days=SEASONED, traded_only=True)
    frame = loader.load("all", dates.start, dates.end)
    rows = pd.DataFrame({"label": frame["label"].iloc[:, 0].to_numpy(float)}, index=frame.index)
    rows = rows[np.isfinite(rows["label"])]
    days, stocks = rows.index.unique("datetime"), rows.index.unique("instrument")
    cells = days.get_indexer(rows.index.get_level_values("datetime"))
    columns = stocks.get_indexer(rows.index.get_level_values("instrument"))
    for name in INDICES:
        if (Path(provider) / "instruments" / f"{name}.txt").exists():
            rows[name] = membership(read_spans(Path(provider), name), days, list(stocks))[cells, columns]
    write_parquet(rows, file)


def train(job: Job, provider: str, rows: Path, file: Path) -> dict[str, Any]:
    """Train and write the scores of the validation and test days; where, seconds and the peak of the memory."""
    start = time.perf_counter()
    with trained(job, provider, rows) as (model, dataset):
        scores = pd.concat([model.predict(dataset, segment=name) for name in dataset.segments if name != "train"])
        of_qlib = type(model).__module__.startswith("qlib.")
    write_parquet(scores.rename("score").astype(np.float32).to_frame(), file)
    on_gpu = not of_qlib and torch.cuda.is_available()
    device = torch.cuda.get_device_name() if on_gpu else "CPU"
    return {"device": device, "seconds": round(time.perf_counter() - start, 1), "peak_gb": round(peak_bytes() / GB, 2)}


@contextmanager
def trained(job: Job, provider: str, rows: Path) -> Iterator[tuple[Any, Any]]:
    """The model after its training, and its data set; Qlib is started in this process."""
    model_config, dataset_config = configuration(job)
    if model_config["kwargs"].get("risk"):
        model_config["kwargs"]["risk"] = str(Path(provider) / RISK)
    learnt = learnt_rows(pd.read_parquet(rows, columns=["label"]).index, dataset_config["kwargs"]["segments"]["train"])
    dataset_config["kwargs"]["handler"]["kwargs"]["learn_processors"].insert(1, KeepRows(learnt))
    of_qlib = model_config["module_path"].startswith("qlib.")
    with recorder(provider) if of_qlib else nullcontext(prepare(provider)):
        dataset = init_instance_by_config(dataset_config)
        model = init_instance_by_config(model_config)
        model.fit(dataset)
        yield model, dataset


def learnt_rows(rows: pd.MultiIndex, train: tuple[str, str]) -> pd.MultiIndex:
    """Every ``EVERY``-th day of the training, and all later days."""
    days = rows.unique("datetime").sort_values()
    of_training = days[days.slice_indexer(*train)]
    left_out = of_training.difference(of_training[::EVERY])
    return rows[~rows.get_level_values("datetime").isin(left_out)]


def write_parquet(frame: pd.DataFrame, file: Path) -> None:
    """Whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.part")
    frame.to_parquet(part)
    part.replace(file)


def read_truth(rows: Path) -> dict[str, pd.DataFrame]:
    """The labels of all rows, "all", and those of the members of each index, by its name: [days, stocks]."""
    frame = pd.read_parquet(rows)
    label = to_matrix(frame["label"], "label")
    members = {name: to_matrix(frame[name], name) == 1 for name in INDICES if name in frame}
    return {ALL: label} | {name: label.where(member) for name, member in members.items()}


def of_valid(score: pd.DataFrame, fold: int) -> pd.DataFrame:
    """The scores of a fold's year, without the last days, whose labels reach into the next year."""
    return score[score.index.year == fold].iloc[:-REACH]


def of_test(score: pd.DataFrame, job: Job) -> pd.DataFrame:
    return score[score.index >= job.test[0]]


def daily_ic(score: pd.DataFrame, label: pd.DataFrame) -> pd.Series:
    """The Rank IC of each day that has one, of the stocks that have both."""
    y = label.reindex_like(score).to_numpy()
    return pd.Series(rank_information_coefficient(score.to_numpy(), y), score.index).dropna()


def figures(score: pd.DataFrame, label: pd.DataFrame) -> dict[str, float]:
    """Rank IC, its ICIR and the mean excess of the best twentieth, in fractions of ten days; NaN of no rows."""
    ic = daily_ic(score, label)
    return {"rank_ic": ic.mean(), "icir": ic.mean() / ic.std(), "top": top_excess(score, label).mean()}


def top_excess(score: pd.DataFrame, label: pd.DataFrame) -> pd.Series:
    """Day by day, the mean label of the best twentieth less that of all, of the stocks that have both."""
    y = label.reindex_like(score).where(score.notna())
    best = y.where(assign_groups(score.where(y.notna()).to_numpy(), TOP) == 1)
    return best.mean(axis=1) - y.mean(axis=1)


def row_of(job: Job, score: pd.Series, truth: Mapping[str, pd.DataFrame]) -> dict[str, float]:
    """The figures of a training: validation, and where it is tested, test, its years and its indices."""
    scores = to_matrix(score, "score")
    parts = {"valid": figures(of_valid(scores, job.fold), truth[ALL])}
    if job.tested:
        test = of_test(scores, job)
        parts["test"] = figures(test, truth[ALL])
        parts |= {f"test_{year}": figures(own, truth[ALL]) for year, own in test.groupby(test.index.year)}
        parts |= {f"test_{name}": figures(test, label) for name, label in truth.items() if name != ALL}
    return {f"{part}_{name}": value for part, own in parts.items() for name, value in own.items()}
