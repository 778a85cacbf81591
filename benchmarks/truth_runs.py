"""The trainings of ``python -m benchmarks.truth``: which net learns which label of which data, and on which days."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from handlers.bars import LABEL
from qlib_ext.workflows.reading import read_workflow

WORKFLOWS = Path(__file__).resolve().parent.parent / "workflows"
YEARS = 6  # of the training of a run that is trained anew each year
FINANCIAL = "financial"  # the kind of relation between stocks whose reports are alike
RISK = "risk"  # the risk model, a folder within the provider's
EVERY = 5  # train on every fifth day: the labels of ten days overlap
ON_LABEL = {"kwargs": {"fields_group": "label"}}
Z_SCORED = {"class": "CSZScoreNorm", "module_path": "qlib_ext.processors.normalise"} | ON_LABEL
LABELS: dict[str, list[dict[str, Any]]] = {
    "z-scored": [Z_SCORED],
    "ranked": [{"class": "CSRankNorm"} | ON_LABEL],
    "normal scores": [{"class": "CSNormalScores", "module_path": "qlib_ext.processors.normal_scores"} | ON_LABEL],
    "winsorised": [{"class": "MADClip", "module_path": "qlib_ext.processors.neutralise"} | ON_LABEL, Z_SCORED],
}


@dataclass(frozen=True)
class Dates:
    """The days of all runs: a fold trains from ``start`` to the year before it, and validates on its year.

    The test, which nothing is chosen by, begins the day after the last fold's year.
    """

    start: str = "2010-01-01"
    test: str = "2017-01-01"
    end: str = "2021-12-31"
    folds: tuple[int, ...] = (2013, 2014, 2015, 2016)


@dataclass(frozen=True)
class Run:
    """One model, one label.

    name, stage  stages run in their order: the cheap and telling ones first
    workflow     whose model, handler and processors are taken; ``model``, ``dataset`` and ``handler`` are keywords put
                 over its own
    handler_class  its class and module_path, in the place of the workflow's
    label        of LABELS
    start        first training day where the windows reach too far back for that of the dates
    seeds        of which the first is run before any other
    kept         chosen, and therefore tested; the others know validation years alone
    yearly       trained anew for each test year, on the six years before the last one, which stops it
    published    the model's name in published.csv
    minutes      of one core for a training year, a guess until a row says better
    """

    name: str
    stage: int
    workflow: str
    label: str = "ranked"
    model: Mapping[str, Any] = field(default_factory=dict)
    dataset: Mapping[str, Any] = field(default_factory=dict)
    handler: Mapping[str, Any] = field(default_factory=dict)
    handler_class: Mapping[str, str] = field(default_factory=dict)
    universe: str = "all"
    start: str | None = None
    seeds: tuple[int, ...] = (0,)
    kept: bool = False
    yearly: bool = False
    published: str = ""
    minutes: float = 5.0


@dataclass(frozen=True)
class Job:
    """One training of a run: its validation year and its seed."""

    run: Run
    fold: int
    seed: int
    dates: Dates
    epochs: int | None = None  # at most so many

    @property
    def tested(self) -> bool:
        """Whether it scores test days, too."""
        return self.run.kept and (self.run.yearly or self.fold == int(self.dates.test[:4]) - 1)

    @property
    def start(self) -> str:
        return f"{self.fold - YEARS}-01-01" if self.run.yearly else self.run.start or self.dates.start

    @property
    def test(self) -> tuple[str, str]:
        """First and last test day."""
        after = self.fold + 1
        return (f"{after}-01-01", f"{after}-12-31") if self.run.yearly else (self.dates.test, self.dates.end)

    @property
    def name(self) -> str:
        return f"{self.run.name}, {self.fold}, seed {self.seed}"

    @property
    def file(self) -> str:
        """Where its scores are kept, within the folder of scores."""
        letters = "".join(letter if letter.isalnum() else "-" for letter in self.run.name)
        return f"{letters}_{self.fold}_{self.seed}.parquet"


IN_TEST: dict[str, Any] = {"kept": True, "seeds": (0, 1, 2)}
ONE_IN_TEST: dict[str, Any] = {"kept": True}  # not chosen, shown beside what was
LIGHTGBM, ALPHA158_GRU = "LightGBM, Alpha158", "GRU, Alpha158, normal scores"
FOUND = {"file": "benchmarks/found.yaml"}  # what a search found in 2010-2015 and checked in 2016
PLAIN = {"file": "benchmarks/plain.yaml"}  # its fields in plain forms
LIGHTGBM_FOUND, GRU_FOUND = (f"{model}, Alpha158 and found factors" for model in ("LightGBM", "GRU"))
DAY_GRU, WEEK_NET, MULTI_NET = "day GRU, normal scores", "week, normal scores", "multi-task, normal scores"
DAY, WEEK, MULTI = "market_day_gru", "market_week_resnet_gru", "market_multitask_gru"
FIXED_SCALE = {"class": "FixedScaleBars", "module_path": "benchmarks.fixed_scale"}
TWO_LAYERS = {"num_layers": 2, "dropout": 0.5}
TECHNICAL_GRU, BOTH_BY_STATE = (
    "technical GRU, normal scores",
    "day GRU, fundamentals, two networks by state, normal scores",
)
NETWORKS = "market_network_gat"
# what no line of the provider's reports says; so quality and solvency have no indicator
UNKNOWN = ["CASH_FLOW_GROWTH", "CASH_TO_EARNINGS", "ACCRUALS", "CASH_TO_DEBT", "CFP"]
INDUSTRY: dict[str, Any] = {"relations": ["$industry"], "without": UNKNOWN}
BOTH: dict[str, Any] = {"relations": ["$industry", FINANCIAL], "without": UNKNOWN}
BY_STATE = {"weights": "state", "risk": RISK}
SINCE_2011: dict[str, Any] = IN_TEST | {"start": "2011-01-01", "minutes": 10}  # factors' returns begin in April 2010
RUNS = (
    Run("day GRU, z-scored", 1, DAY, "z-scored", **ONE_IN_TEST, published="day, GRU"),
    Run("day GRU, ranked", 1, DAY, **ONE_IN_TEST, published="day, GRU"),
    Run(DAY_GRU, 1, DAY, "normal scores", **IN_TEST, published="day, GRU"),
    Run("day GRU, winsorised", 1, DAY, "winsorised"),
    Run(LIGHTGBM, 2, "csi300_lightgbm", **IN_TEST),
    Run("LightGBM, Alpha158, each year", 2, "csi300_lightgbm", yearly=True, **ONE_IN_TEST),
    Run(LIGHTGBM_FOUND, 2, "csi300_lightgbm", handler=FOUND, **IN_TEST),
    Run("LightGBM, Alpha158 and plain factors", 2, "csi300_lightgbm", handler=PLAIN, **IN_TEST),
    Run(GRU_FOUND, 3, "csi300_gru", "normal scores", handler=FOUND, **IN_TEST),
    Run("GRU, Alpha158", 3, "csi300_gru", **ONE_IN_TEST),
    Run(ALPHA158_GRU, 3, "csi300_gru", "normal scores", **IN_TEST),
    Run("GRU, Alpha158, normal scores, each year", 3, "csi300_gru", "normal scores", yearly=True, **ONE_IN_TEST),
    Run("day GRU, normal scores, each year", 3, DAY, "normal scores", yearly=True, **ONE_IN_TEST),
    Run("day GRU, IC loss", 4, DAY, "z-scored", {"loss": "ic"}),
    Run("day GRU, IC loss, normal scores", 4, DAY, "normal scores", {"loss": "ic"}),
    Run("day GRU, pairwise loss", 4, DAY, model={"loss": "rank"}),
    Run("day GRU, pairwise loss, normal scores", 4, DAY, "normal scores", {"loss": "rank"}),
    Run("day GRU, one scale, normal scores", 4, DAY, "normal scores", handler_class=FIXED_SCALE),
    Run("day GRU, 60 days, normal scores", 4, DAY, "normal scores", dataset={"step_len": 60}, minutes=10),
    Run("day GRU, 128 wide, normal scores", 4, DAY, "normal scores", {"hidden_size": 128}, minutes=10),
    Run("day GRU, two layers, dropout .5, normal scores", 4, DAY, "normal scores", TWO_LAYERS, minutes=10),
    Run("GRU, Alpha158, 128 wide, normal scores", 4, "csi300_gru", "normal scores", {"hidden_size": 128}, minutes=10),
    Run(
        "GRU, Alpha158, 40 days, normal scores", 4, "csi300_gru", "normal scores", dataset={"step_len": 40}, minutes=10
    ),
    Run("LightGBM, Alpha158, normal scores", 5, "csi300_lightgbm", "normal scores"),
    Run(WEEK_NET, 6, WEEK, "normal scores", **IN_TEST, published="week, GRU", minutes=10),
    Run("week, z-scored", 6, WEEK, "z-scored", minutes=10),
    Run(MULTI_NET, 6, MULTI, "normal scores", start="2011-01-01", **IN_TEST, minutes=10),
    Run("multi-task, z-scored", 6, MULTI, "z-scored", start="2011-01-01", minutes=10),
    Run("LSTM, Alpha158, normal scores", 7, "csi300_lstm", "normal scores", **IN_TEST),
    Run("ASTGNN, Alpha158, normal scores", 7, "csi300_astgnn", "normal scores", **IN_TEST, minutes=8),
    Run("GATs, Alpha158, normal scores", 7, "csi300_gats_ts", "normal scores", **IN_TEST, minutes=8),
    Run("day ASTGNN, normal scores", 8, "market_day_astgnn", "normal scores", **IN_TEST, minutes=8),
    Run("week ASTGNN, normal scores", 8, "market_week_astgnn", "normal scores", **IN_TEST, minutes=12),
    Run(TECHNICAL_GRU, 9, "market_technical_gru", "normal scores", **IN_TEST, minutes=8),
    Run(
        "day GRU, fundamentals, normal scores",
        9,
        NETWORKS,
        "normal scores",
        {"networks": []},
        handler=INDUSTRY | {"relations": []},
        **IN_TEST,
        minutes=8,
    ),
    Run(
        "day GRU, industry network, normal scores",
        9,
        NETWORKS,
        "normal scores",
        {"indicators": False},
        handler=INDUSTRY,
        **IN_TEST,
        minutes=8,
    ),
    Run(
        "day GRU, two networks, normal scores",
        9,
        NETWORKS,
        "normal scores",
        {"indicators": False},
        handler=BOTH,
        **SINCE_2011,
    ),
    Run(
        "day GRU, two networks by state, normal scores",
        9,
        NETWORKS,
        "normal scores",
        BY_STATE | {"indicators": False},
        handler=BOTH,
        **SINCE_2011,
    ),
    Run(BOTH_BY_STATE, 9, NETWORKS, "normal scores", BY_STATE, handler=BOTH, **SINCE_2011),
)
# the means of the day's ranks of several runs, and of the seeds of each
ALPHA158_NETS = tuple(f"{net}, Alpha158, normal scores" for net in ("GRU", "LSTM", "ASTGNN", "GATs"))
COMBINATIONS: dict[str, tuple[str, ...]] = {
    "day GRU, its seeds": (DAY_GRU,),
    "GRU, Alpha158, its seeds": (ALPHA158_GRU,),
    "GRU, LSTM, ASTGNN and GATs": ALPHA158_NETS,
    "LightGBM + day GRU": (LIGHTGBM, DAY_GRU),
    "LightGBM + GRU": (LIGHTGBM, ALPHA158_GRU),
    "LightGBM + both GRUs": (LIGHTGBM, ALPHA158_GRU, DAY_GRU),
    "LightGBM + both GRUs, with found factors": (LIGHTGBM_FOUND, GRU_FOUND, DAY_GRU),
    "LightGBM + both GRUs + week": (LIGHTGBM, ALPHA158_GRU, DAY_GRU, WEEK_NET),
    "LightGBM + day GRU + nets on Alpha158": (LIGHTGBM, DAY_GRU, *ALPHA158_NETS),
    "PV + G": (DAY_GRU, TECHNICAL_GRU),
    "PV with fundamentals and networks + G": (BOTH_BY_STATE, TECHNICAL_GRU),
}


def jobs_of(
    runs: Iterable[Run], dates: Dates, seeds: Iterable[int] | None = None, epochs: int | None = None
) -> Iterator[Job]:
    """All trainings in their order: first seeds before others, then stages, within them fold by fold.

    seeds: of these alone. Seeds but the first are run for the test alone.
    """
    wanted = None if seeds is None else set(seeds)
    jobs = [
        Job(run, fold, seed, dates, epochs)
        for run in runs
        for seed in run.seeds
        for fold in folds_of(run, dates)
        if wanted is None or seed in wanted
    ]
    jobs = [job for job in jobs if job.seed == job.run.seeds[0] or job.tested]
    yield from sorted(jobs, key=lambda job: (job.run.seeds.index(job.seed), job.run.stage, job.fold))


def folds_of(run: Run, dates: Dates) -> tuple[int, ...]:
    """The validation years of a run: those of the dates, or the year before each test year."""
    if not run.yearly:
        return dates.folds
    return tuple(range(int(dates.test[:4]) - 1, int(dates.end[:4])))


def configuration(job: Job) -> tuple[dict[str, Any], dict[str, Any]]:
    """The model and the data set of a training, as Qlib makes them."""
    path = WORKFLOWS / f"{job.run.workflow}.yaml"
    task = read_workflow(path, {"UNIVERSE": job.run.universe}).config["task"]
    model, dataset = task["model"], task["dataset"]
    if model["class"] == "RollingModel":
        model = model["kwargs"]["model"]
    kwargs = {name: value for name, value in model["kwargs"].items() if name != "seeds"}
    kwargs |= {**job.run.model, "seed": job.seed}
    if model["class"] == "LGBModel":
        kwargs["num_threads"] = 1
    elif job.epochs is not None:
        kwargs["n_epochs"] = min(kwargs["n_epochs"], job.epochs)
    train = (job.start, f"{job.fold - 1}-12-31")
    segments = {"train": train, "valid": (f"{job.fold}-01-01", f"{job.fold}-12-31")}
    if job.tested:
        segments["test"] = job.test
    dataset["kwargs"]["handler"] |= job.run.handler_class
    handler = dataset["kwargs"]["handler"]["kwargs"]
    handler |= job.run.handler
    handler |= {"start_time": job.start, "end_time": list(segments.values())[-1][1], "label": LABEL}
    handler["learn_processors"] = [{"class": "DropnaLabel"}, *LABELS[job.run.label]]
    if handler.get("infer_processors"):
        handler |= {"fit_start_time": train[0], "fit_end_time": train[1], "drop_raw": True}
    dataset["kwargs"] |= {"segments": segments, **job.run.dataset}
    dataset["kwargs"].pop("sample_every", None)  # the rows that are learnt say it, for LightGBM as for the nets
    return {**model, "kwargs": kwargs}, dataset


def digest(job: Job) -> str:
    """What tells a training from another one of the same name, fold and seed."""
    text = json.dumps([*configuration(job), EVERY], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
