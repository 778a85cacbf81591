"""What a provider folder holds, in one line: its days, how many stocks, and whether they were simulated."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from qlib_ext.provider.calendar import read_calendar
from qlib_ext.provider.names import instruments_with_features
from qlib_ext.provider.panels import checked_folder, read_spans
from qlib_ext.provider.writer import read_about

SIMULATED = "SIMULATED"


def mark_of(simulated: bool) -> str:
    """What stands before the headline of a table, page or picture of a simulated market; nothing before others."""
    return f"{SIMULATED}: " if simulated else ""


@dataclass(frozen=True)
class ProviderFacts:
    """A provider folder as it was at some time.

    first, last   days of its calendar, YYYY-MM-DD; days: their number
    stocks        instruments of its universe ``all``; where it has none, those with bars
    simulated     whether ``qlib-ext market`` wrote it
    """

    folder: str
    first: str
    last: str
    days: int
    stocks: int
    simulated: bool

    @classmethod
    def of(cls, provider: str | Path) -> ProviderFacts:
        """The facts of a folder as it is now; raises ProviderError where it is no provider."""
        folder = checked_folder(provider)
        calendar = read_calendar(folder)
        listed = (folder / "instruments" / "all.txt").is_file()
        stocks = set(read_spans(folder, "all")["instrument"]) if listed else instruments_with_features(folder)
        return cls(
            str(folder),
            f"{calendar[0]:%Y-%m-%d}",
            f"{calendar[-1]:%Y-%m-%d}",
            len(calendar),
            len(stocks),
            "seed" in (read_about(folder) or {}),  # which the simulator alone notes
        )

    @classmethod
    def read(cls, text: str) -> ProviderFacts:
        """The facts that ``as_json`` wrote."""
        return cls(**json.loads(text))

    def as_json(self) -> str:
        """The facts as text that ``read`` reads."""
        return json.dumps(asdict(self))

    @property
    def mark(self) -> str:
        """What stands before a headline, see ``mark_of``."""
        return mark_of(self.simulated)

    def __str__(self) -> str:
        mark = f"{SIMULATED} " if self.simulated else ""
        return f"{mark}{self.folder}, {self.first} to {self.last}, {self.days:,} days, {self.stocks:,} stocks"
