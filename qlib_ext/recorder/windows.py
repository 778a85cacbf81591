"""The table of a rolling model's windows, as its run keeps it; who writes and who reads it take the columns from here.

One line a window and seed: first and last day of each segment, the last day that the labels of training and of
validation look at (empty: not known), the seed (empty: the model's own), the rows that were scored, the mean Rank IC of
the test days, whether this run trained it or kept it from an earlier one, the seconds that its steps took, and the id
of the child run that keeps its files (empty without a recorder).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd
from mlflow.entities import Run

from qlib_ext.errors import DataError
from qlib_ext.recorder.runs import artifacts_of, find_run

WINDOWS = "rolling_windows.csv"
PREDICTION, WEAK_FACTORS, MODEL, DATASET = (
    "prediction.pkl",
    "weak_factors.pkl",
    "model.pkl",
    "dataset",
)  # of a child run
TRAIN_FROM, TRAIN_TO = "train from", "train to"
VALID_FROM, VALID_TO = "valid from", "valid to"
TEST_FROM, TEST_TO = "test from", "test to"
TRAIN_LABELS_TO, VALID_LABELS_TO = "train labels to", "valid labels to"
SEED, ROWS, RANK_IC, TRAINED, RUN = "seed", "rows", "Rank IC", "trained", "run"
PROCESSING, FIT, PREDICT = "processing", "fit", "predict"
SECONDS = (PROCESSING, FIT, PREDICT)
DATES = (TRAIN_FROM, TRAIN_TO, VALID_FROM, VALID_TO, TEST_FROM, TEST_TO)
COLUMNS = (*DATES, TRAIN_LABELS_TO, VALID_LABELS_TO, SEED, ROWS, RANK_IC, TRAINED, *SECONDS, RUN)


def windows_frame(lines: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """The table of lines that have every column; raises DataError for a line that lacks one or has another."""
    for line in lines:
        if line.keys() != set(COLUMNS):
            raise DataError(f"The columns {sorted(line.keys() ^ set(COLUMNS))} are not those of a window.")
    return pd.DataFrame(lines, columns=list(COLUMNS))


def run_of_window(store: str, window: Mapping[Hashable, Any], experiment: str) -> Run:
    """The child run of a line of the table; raises DataError where it was removed."""
    child = find_run(store, window[RUN])
    if child is None:
        raise DataError(
            f"The window of {experiment!r} that is tested from {window[TEST_FROM]} on was removed from the "
            f"recorder, its run {window[RUN]} with it. Run the rolling model again."
        )
    return child


def windows_of(run: Run) -> pd.DataFrame | None:
    """The table of a rolling model's windows; None for a run of another model.

    Raises DataError for a table that lacks a column.
    """
    path = artifacts_of(run) / WINDOWS
    if not path.is_file():
        return None
    table = pd.read_csv(path, dtype={RUN: str, SEED: "Int64"})
    if missing := [name for name in COLUMNS if name not in table]:
        raise DataError(
            f"{path} lacks {len(missing)} columns of a table of windows, the first {missing[0]!r}. It is damaged or of "
            "another version: run the rolling model again."
        )
    return table
