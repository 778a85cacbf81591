"""New days of a rolling model: its last window scores them until its step ends, then a new window is due."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from mlflow.entities import Run
from qlib.data.dataset.handler import DataHandler

from qlib_ext.cross_section.zscore import mean_of_zscores
from qlib_ext.data.segments import bounds_of
from qlib_ext.errors import DataError
from qlib_ext.live.scoring import append, load_rows, recorded_rows, require_same, score
from qlib_ext.recorder.runs import artifacts_of
from qlib_ext.recorder.windows import (
    DATASET,
    MODEL,
    PREDICTION,
    ROWS,
    TEST_FROM,
    TEST_TO,
    WEAK_FACTORS,
    WINDOWS,
    run_of_window,
    windows_of,
)
from qlib_ext.rolling.model import RollingModel
from qlib_ext.rolling.rows import RawData
from qlib_ext.rolling.store import WindowStore
from qlib_ext.rolling.windows import RollingWindow, plan
from qlib_ext.system.files import write_whole


@dataclass
class RollingRun:
    """A finished run of a rolling model, with all that it recorded of its windows."""

    store: str
    run: Run
    experiment: str

    def __post_init__(self) -> None:
        self.model: RollingModel = recorded_rows(self.run, "params.pkl")
        self.dataset: Any = recorded_rows(self.run, DATASET)
        self.test_start, _ = bounds_of("test", self.dataset.segments["test"])

    def table(self) -> pd.DataFrame:
        """The table of its windows."""
        table = windows_of(self.run)
        if table is None:
            raise DataError(f"The run of {self.experiment!r} has lost {WINDOWS}. Run the workflow again.")
        return table

    def extend(
        self, last: pd.Timestamp, to: pd.Timestamp, again: pd.Timestamp | None = None
    ) -> tuple[pd.Series, pd.Timestamp | None]:
        """Score the days after ``last`` by the last window; the scores, and the first day of the window that is due.

        The first day is scored again, and compared, but where it is ``again``, the first to be replaced. Scores and
        weak factors of each seed go to its child run, then the table of windows names the new last day.
        """
        table = self.table()
        begin = pd.Timestamp(table[TEST_FROM].iloc[-1])
        first = max(last, begin)
        kept = first if first != again else first - pd.Timedelta(days=1)
        lines = table[table[TEST_FROM] == table[TEST_FROM].iloc[-1]]
        line = lines.iloc[0].to_dict()
        recorded = recorded_rows(run_of_window(self.store, line, self.experiment), DATASET)
        recorded.config(handler_kwargs={"end_time": to})
        DataHandler.setup_data(recorded.handler)  # loads, and leaves the processing to dataset_of
        data = RawData.of(recorded)
        end, due = self._step(data.members.days, begin, to)
        dataset = data.dataset_of(replace(RollingWindow.of(line), test=(first, end)), fit=False)
        scores = []
        for place, line in lines.iterrows():
            child = run_of_window(self.store, line.to_dict(), self.experiment)
            new, factors = score(recorded_rows(child, MODEL), dataset, first, end, self.experiment)
            if kept == first:
                require_same(recorded_rows(child, PREDICTION), new, first, self.experiment)
            append(child, PREDICTION, new, kept)
            if factors is not None:
                append(child, WEAK_FACTORS, factors.assign(segment="test"), kept)
            table.loc[place, [TEST_TO, ROWS]] = [f"{end:%Y-%m-%d}", len(recorded_rows(child, PREDICTION))]
            scores.append(new)
        self._write(table)
        return mean_of_zscores(scores), due

    def retrain(self, due: pd.Timestamp, to: pd.Timestamp) -> None:
        """Train the window that is tested from ``due`` on, up to that day, and add it to the table.

        What a call that was interrupted has trained is known by its key, and not trained again on the same rows.
        """
        dataset = recorded_rows(self.run, DATASET)
        dataset.config(segments={**dataset.segments, "test": (self.test_start, to)})
        load_rows(dataset, to)
        (window,) = (each for each in self.model.plan(dataset) if each.test[0] == due)
        dataset.config(segments={**dataset.segments, "test": (due, due)})
        table, _ = self.model.train_windows(
            dataset, [replace(window, test=(due, due))], WindowStore(self.run, self.store)
        )
        self._write(pd.concat([self.table(), table], ignore_index=True))

    def _step(
        self, days: pd.DatetimeIndex, begin: pd.Timestamp, to: pd.Timestamp
    ) -> tuple[pd.Timestamp, pd.Timestamp | None]:
        """The last day of the window that begins on ``begin``, and the first of the next; None where it goes on."""
        model = self.model
        windows = plan(days, (self.test_start, to), model.train, model.valid, model.step, model.expanding)
        tests = [window.test for window in windows]
        place = next((number for number, (start, _) in enumerate(tests) if start == begin), None)
        if place is None:
            raise DataError(
                f"No window of {self.experiment!r} begins on {begin:%Y-%m-%d} any more, as its last one did: the "
                "trading days before have changed. Bring back the provider's calendar and members, "
                "or run the workflow again."
            )
        return tests[place][1], tests[place + 1][0] if place + 1 < len(tests) else None

    def _write(self, table: pd.DataFrame) -> None:
        content = table.to_csv(index=False).encode()
        write_whole(artifacts_of(self.run) / WINDOWS, content, "Make room and predict again.")
