"""What our records need of those before them."""

from __future__ import annotations

from qlib.workflow.record_temp import SignalRecord


class Score(SignalRecord):
    """SignalRecord, as far as a factor analysis needs it: of datasets other than DatasetH it leaves no label.pkl."""

    def list(self) -> list[str]:
        return ["pred.pkl"]
