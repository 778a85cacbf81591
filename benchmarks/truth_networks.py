"""The network of stocks whose reports are alike, which runs of ``python -m benchmarks.truth`` name ``financial``."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.truth_runs import FINANCIAL, UNKNOWN, Dates, Job
from benchmarks.truth_train import prepare
from qlib_ext.data.loader import HistoryLoader
from qlib_ext.factors.fundamentals import FIELDS, INDICATORS

NEIGHBOURS, SHARE = 15, 0.6


def needs_financial(jobs: Iterable[Job]) -> bool:
    """Whether one of the trainings hears of stocks whose reports are alike."""
    return any(FINANCIAL in (job.run.handler.get("relations") or ()) for job in jobs)


def write_financial(provider: str, dates: Dates) -> None:
    """Relate each stock to those nearest by the percentiles of its indicators, made anew on each month's first day.

    The same as ``qlib-ext relations --neighbours 15 --percentiles .6 --similarity cosine --kind financial`` with the
    indicators' names behind --expressions.
    """
    from qlib_ext.relations.neighbours import nearest_neighbours  # polars, which runs without networks do without
    from qlib_ext.relations.tables import write_relations

    prepare(provider)
    known = {name: one.expression(FIELDS) for name, one in INDICATORS.items() if name not in UNKNOWN}
    frame = HistoryLoader({"feature": (list(known.values()), list(known))}).load("all", dates.start, dates.end)
    table = nearest_neighbours(frame["feature"], NEIGHBOURS, similarity="cosine", percentiles=SHARE)
    write_relations(provider, table, FINANCIAL)
