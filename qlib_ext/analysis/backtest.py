"""The backtest of a run, as PortAnaRecord saved it, whatever the length of its steps."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from qlib_ext.provider.calendar import DAYS_PER_YEAR

FOLDER = "portfolio_analysis"
STEPS_A_YEAR = {"day": DAYS_PER_YEAR, "week": DAYS_PER_YEAR / 5, "month": 12.0}
QLIB_STEPS_A_YEAR = {"day": 238, "week": 50, "month": 12}  # of qlib.contrib.evaluate.risk_analysis
REPORT = re.compile(r"(?:.*/)?report_normal_(\d+)(day|week|month)\.pkl")
FEWEST_DAYS = 20  # of which a figure is brought to a year


@dataclass(frozen=True)
class Step:
    """How long a backtest waits from one decision to the next: ``count`` days, weeks or months."""

    count: int = 1
    unit: str = "day"

    def __str__(self) -> str:
        return f"{self.count}{self.unit}"

    @classmethod
    def of(cls, text: str) -> Step:
        """The step of a name as Qlib writes it, such as 1week."""
        return next(iter(_steps([f"report_normal_{text}.pkl"])))

    @property
    def a_year(self) -> float:
        """Steps of a year of 252 trading days, of which five make a week; a year has twelve months."""
        return STEPS_A_YEAR[self.unit] / self.count

    @property
    def qlib_a_year(self) -> float:
        """Steps of a year as Qlib's own figures have it."""
        return QLIB_STEPS_A_YEAR[self.unit] / self.count

    @property
    def fewest(self) -> int:
        """Steps that make 20 trading days; of fewer no figure is brought to a year."""
        return max(2, round(FEWEST_DAYS * self.a_year / DAYS_PER_YEAR))

    def file(self, kind: str) -> str:
        """Where a run keeps the backtest's ``report`` or ``positions``."""
        return f"{FOLDER}/{kind}_normal_{self}.pkl"


DAILY = Step()


def shortest_step(files: Iterable[str]) -> Step | None:
    """The shortest step of a day or longer of which there is a report among the files; None where there is none."""
    return max(_steps(files), key=lambda step: step.a_year, default=None)


def _steps(files: Iterable[str]) -> list[Step]:
    found = (REPORT.fullmatch(file) for file in files)
    return [Step(int(each[1]), each[2]) for each in found if each]
