"""Index enhancement with a recorded score on real data: the reports' tables, beside the reports' figures.

    python -m benchmarks.enhancement market_day_gru --data PROVIDER --risk DIR --out DIR

Settings run on the ledger (``qlib-ext enhance``) with ``limit: one_price``, those that the report names with ``close``
too. Printed in Markdown are the excess over the price index by year, the summary with the excess over the members'
basket beside it, and seconds.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from benchmarks.measure import machine, table
from qlib_ext.portfolio.grid import GridData, GridJob, grid_jobs, grid_tables, recorded_score, run_grid

# annual excess return at delta .2 and members .8, and tracking error, of Orient's report 000, 2017-2021
PUBLISHED = {"csi300": (0.166, 0.047), "csi500": (0.223, 0.054), "csi1000": (0.311, 0.059)}
PUBLISHED_SETTING = (0.2, 0.8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", help="whose last finished run's score is held")
    parser.add_argument("--runs", default=".", help="the folder of mlflow.db")
    parser.add_argument("--data", required=True)
    parser.add_argument("--risk", required=True)
    parser.add_argument("--out", required=True, help="where finished settings are kept")
    parser.add_argument("--first", default="2017-01-03")
    parser.add_argument("--last", default="2021-12-31")
    parser.add_argument("--indices", nargs="+", default=[*PUBLISHED])
    parser.add_argument("--n-jobs", type=int, default=2)
    args = parser.parse_args()
    score = recorded_score(args.runs, args.experiment)
    every = grid_jobs(args.indices)
    published = [job for job in every if (job.one_sided, job.share) == PUBLISHED_SETTING]
    for limit, jobs in (("one_price", every), ("close", published)):
        data = GridData(args.data, args.risk, args.first, args.last, score, limit=limit)
        clock = time.perf_counter()
        results = run_grid(data, jobs, Path(args.out) / limit, n_jobs=args.n_jobs)
        seconds = time.perf_counter() - clock
        years, summary = grid_tables(results)
        print(f"\n## limit: {limit}\n\nExcess over the price index by year\n")
        names = list(years.index)
        print(table(("setting", *names), [(str(job), *_percent(years[str(job)])) for job in jobs]))
        print("\nSummary; published: report 000, excess of a year and tracking error\n")
        rows = [(str(job), *_summary(summary.loc[str(job)]), _published(job)) for job in jobs]
        header = ["setting", "excess p.a.", "over the basket", "TE", "IR", "max drawdown", "Calmar", "weeks won"]
        header += [
            "months won",
            "turnover, one-sided",
            "names",
            "TE foreseen",
            "TE over the basket",
            "B",
            "relaxed",
            "published",
        ]
        print(table(tuple(header), rows))
        print(f"\n{len(jobs)} settings in {seconds:.0f} s on {args.n_jobs} processes (kept ones are not run again).")
    print(f"\n{machine(1)}")


def _percent(values) -> list[str]:
    return [f"{value:.1%}" for value in values]


def _summary(row) -> list[str]:
    shown = {"information_ratio": ".2f", "calmar": ".2f", "bias": ".2f", "names": ".0f", "relaxed_decisions": ".0f"}
    columns = ["excess", "excess_basket", "tracking_error", "information_ratio", "max_drawdown", "calmar"]
    columns += ["weekly_win_rate", "monthly_win_rate", "turnover_one_sided", "names", "foreseen_tracking_error"]
    columns += ["realised_tracking_error", "bias", "relaxed_decisions"]
    return [format(row[column], shown.get(column, ".1%")) for column in columns]


def _published(job: GridJob) -> str:
    if (job.one_sided, job.share) != PUBLISHED_SETTING:
        return ""
    excess, tracking_error = PUBLISHED[job.members]
    return f"{excess:.1%}, {tracking_error:.1%}"


if __name__ == "__main__":
    main()
