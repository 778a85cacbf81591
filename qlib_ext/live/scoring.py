"""The scores of new days by a model and a dataset as they were recorded, and how they come to those before."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
from mlflow.entities import Run
from qlib.data.dataset.handler import DataHandlerLP

from qlib_ext.errors import DataError, QlibExtError
from qlib_ext.live.recorded import days_of
from qlib_ext.recorder.runs import artifacts_of, load
from qlib_ext.rolling.jobs import as_scores, tested_by
from qlib_ext.system.files import write_checked


def load_rows(dataset: Any, to: pd.Timestamp) -> None:
    """Load the rows of a recorded dataset from its own first day to ``to``; its processors stay as they were fitted.

    From its first day, not from the first that a window needs: so every column is computed from, and every processor
    sees, what a prediction of the whole test would.
    """
    dataset.config(handler_kwargs={"end_time": to})
    dataset.setup_data(handler_kwargs={"init_type": DataHandlerLP.IT_LS})


def score(
    model: Any, dataset: Any, first: pd.Timestamp, to: pd.Timestamp, experiment: str
) -> tuple[pd.Series, pd.DataFrame | None]:
    """Scores and weak factors of ``first`` to ``to``, by (datetime, instrument); None without weak factors.

    Raises DataError for whatever a model that is not ours raises.
    """
    dataset.config(segments={**dataset.segments, "test": (first, to)})
    try:
        prediction, factors = tested_by(model, dataset)
    except QlibExtError:
        raise
    except Exception as error:  # whatever a model raises, its user must learn the experiment
        raise DataError(
            f"{type(model).__name__} of {experiment!r} cannot score {first:%Y-%m-%d} to {to:%Y-%m-%d}: "
            f"{type(error).__name__}: {error}"
        ) from error
    return as_scores(prediction), factors


def require_same(recorded: pd.Series, again: pd.Series, day: pd.Timestamp, experiment: str) -> None:
    """Raise DataError where the scores of a day, computed again, are not those that were recorded, to the bit."""
    before, now = (scores[days_of(scores) == day].droplevel("datetime") for scores in (recorded, again))
    names = before.index.union(now.index)
    old, new = before.reindex(names), now.reindex(names)
    same = (old == new) | (old.isna() & new.isna() & names.isin(before.index) & names.isin(now.index))
    differing = names[~np.asarray(same)]
    if len(differing):
        first = differing[0]
        raise DataError(
            f"The past of {experiment!r} has changed: of {day:%Y-%m-%d}, the last day that was scored, "
            f"{len(differing)} of {len(names)} scores are no longer what was recorded, first that of {first}: "
            f"{text(old[first])} then, {text(new[first])} now. Nothing is appended. Where the data of that day were "
            f"not whole when it was scored, score it again: `qlib-ext predict {experiment} --again {day:%Y-%m-%d}`. "
            "Else bring back the bars, members and code it was run on, or run it again on the new ones."
        )


def require_days(recorded: pd.DataFrame, new: pd.DataFrame, last: pd.Timestamp, experiment: str) -> None:
    """Raise DataError where a day after ``last`` that has scores would have none among the new ones."""
    days = days_of(recorded).unique()
    gone = days[days > last].difference(days_of(new))
    if len(gone):
        raise DataError(
            f"{experiment!r} would lose its scores of {len(gone)} days, first {gone[0]:%Y-%m-%d}: no stock can be "
            "scored on it any more. Bring back the bars and members of these days."
        )


def text(score: float) -> str:
    """A score with all its digits."""
    return "none" if pd.isna(score) else repr(float(score))


def append(run: Run, name: str, new: pd.DataFrame | pd.Series, last: pd.Timestamp) -> None:
    """Add the rows after ``last`` to a recorded file of rows, whole or not at all, with its checksum.

    Rows after ``last`` that are there already, to be scored again or of a call that was interrupted, are replaced.
    """
    recorded = recorded_rows(run, name)
    rows = pd.concat([recorded[days_of(recorded) <= last], new[days_of(new) > last]])
    write_checked(artifacts_of(run) / name, pickle.dumps(rows), "Make room and predict again.")


def recorded_rows(run: Run, name: str) -> Any:
    """A file of a run; raises DataError where it is not there or damaged."""
    found, problem = load(run, name)
    if problem:
        raise DataError(f"Run {run.info.run_id} cannot be gone on with: {problem}. Run the workflow again.")
    return found
