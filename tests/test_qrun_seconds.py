"""``python -m benchmarks.qrun_seconds``: every second is booked once, to the innermost part at work."""

from __future__ import annotations

import pytest

from benchmarks import qrun_seconds


@pytest.fixture
def clock(monkeypatch):
    now = iter(range(1000))
    monkeypatch.setattr(qrun_seconds.time, "perf_counter", lambda: float(next(now)))


def test_a_second_belongs_to_the_innermost_part(clock):
    watch = qrun_seconds.Stopwatch("imports", begun=-5.0)
    inner = watch.around(lambda: "done", "panel")

    def fails():
        inner()
        raise ValueError("stopped")

    with watch.running("the rest of qrun"):  # 0
        assert inner() == "done"  # 1 to 2
        with pytest.raises(ValueError, match="stopped"):
            watch.around(fails, "training")()  # 3, 4 to 5, 6
    assert watch.seconds == {"imports": 5.0, "the rest of qrun": 3.0, "panel": 2.0, "training": 2.0}


def test_the_parts_exist_and_the_table_adds_up():
    assert all(callable(getattr(owner, name)) for owner, name, _, _ in qrun_seconds.PARTS)
    text = qrun_seconds.summary({"panel": 1.0, "the rest of qrun": 3.0})
    assert "| the rest of qrun | Qlib | 3.0 | 75% |" in text
    assert "| in all |  | 4.0 |" in text
