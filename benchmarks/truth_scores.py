"""The scores that ``python -m benchmarks.truth`` kept, as experiments of the recorder for ``benchmarks.enhancement``.

    python -m benchmarks.truth_scores --data PROVIDER --scores .data/truth --runs RUNS
    python -m benchmarks.enhancement truth_weighting --runs RUNS --data PROVIDER --risk DIR --out DIR

An experiment's score is the sum of the day's ranks of its runs, that of a run the sum over its seeds, spread as a
normal distribution is: runs count alike, and neither outliers nor the levels in which some ranks are kept matter.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import qlib
from qlib.workflow import R

from benchmarks.truth import chosen
from benchmarks.truth_kept import kept_options, kept_parser, kept_scores
from benchmarks.truth_runs import ALPHA158_GRU, DAY_GRU, LIGHTGBM, MULTI_NET, RUNS, WEEK_NET, Dates, Job, Run
from benchmarks.truth_table import Line, Scores
from qlib_ext.errors import DataError
from qlib_ext.processors.normal_scores import CSNormalScores
from qlib_ext.recorder.windows import COLUMNS, DATES, TRAIN_LABELS_TO, VALID_LABELS_TO, WINDOWS, windows_frame

EXPERIMENTS: dict[str, tuple[str, ...]] = {
    "truth_lightgbm": (LIGHTGBM,),
    "truth_day_gru": (DAY_GRU,),
    "truth_week": (WEEK_NET,),
    "truth_multitask": (MULTI_NET,),
    "truth_alpha158": (LIGHTGBM, ALPHA158_GRU),
    "truth_weighting": (LIGHTGBM, ALPHA158_GRU, DAY_GRU, WEEK_NET),
}


def main() -> None:
    parser = kept_parser("truth_scores", __doc__)
    parser.add_argument("experiments", nargs="*", default=[*EXPERIMENTS], help="these alone")
    parser.add_argument("--runs", type=Path, required=True, help="the folder of mlflow.db")
    options = kept_options(parser)
    dates, scores = Dates(), kept_scores(options)
    start_recorder(options.data, options.runs)
    for experiment in options.experiments:
        members = chosen(RUNS, EXPERIMENTS[experiment])
        score = normal_scores(scores, members)
        record(experiment, score, Job(members[0], int(dates.test[:4]) - 1, 0, dates))
        print(f"{experiment}: {', '.join(run.name for run in members)}; {len(score):,} rows")


def start_recorder(provider: str, runs: Path) -> None:
    runs.mkdir(parents=True, exist_ok=True)
    manager = {"class": "SQLiteExpManager", "module_path": "qlib_ext.recorder"}
    manager["kwargs"] = {"uri": f"sqlite:///{runs.resolve()}/mlflow.db", "default_exp_name": "truth"}
    qlib.init(provider_uri=provider, region="cn", kernels=1, logging_level=30, exp_manager=manager)


def normal_scores(scores: Scores, members: Sequence[Run]) -> pd.DataFrame:
    """One column, score, of the test days and the stocks that all members have; raises DataError where one has none."""
    found = scores.test(Line("", tuple(members)))
    if not found:
        raise DataError(f"{' or '.join(run.name for run in members)} has no row with a test; run benchmarks.truth.")
    score = found[0].stack().dropna().rename_axis(["datetime", "instrument"])
    return CSNormalScores()(score.rename("score").to_frame())


def record(experiment: str, score: pd.DataFrame, job: Job) -> None:
    """A finished run of the score, and the window that says on which days it was trained."""
    days = (job.start, f"{job.fold - 1}-12-31", f"{job.fold}-01-01", f"{job.fold}-12-31", job.dates.test, job.dates.end)
    # its data set purges: no label of training looks at validation, none of validation at the test
    purged = {TRAIN_LABELS_TO: days[1], VALID_LABELS_TO: days[3]}
    window = dict.fromkeys(COLUMNS) | dict(zip(DATES, days, strict=True)) | purged
    with tempfile.TemporaryDirectory() as folder, R.start(experiment_name=experiment):
        R.save_objects(**{"pred.pkl": score})
        windows_frame([window]).to_csv(Path(folder) / WINDOWS, index=False)
        R.save_objects(local_path=str(Path(folder) / WINDOWS))


if __name__ == "__main__":
    main()
