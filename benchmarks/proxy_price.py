"""What a proxy of the average price flatters: the same scores by the proxy and by the true average, on the same days.

    python -m benchmarks.proxy_price --data PROXY_PROVIDER --true TRUE_PROVIDER [--scores .data/truth]

A provider without amounts has no average price, and (open + high + low + close) / 4 stands in for it: in the label, in
the features and as the price of the backtest. The test scores of benchmarks.truth, which know the proxy's features
alone, are judged by both labels from 2019-08 to 2021, and some are dealt at both prices: TopkDropout 50/5, costs of the
workflows, beside CSI500. --train: runs that are trained on 2010-2017 of the proxy, stopped by 2018, and score the same
days twice, from the proxy's features and from the true ones.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from qlib.contrib.evaluate import backtest_daily
from qlib.contrib.strategy import TopkDropoutStrategy

from benchmarks.measure import in_fresh_process, table
from benchmarks.truth import chosen
from benchmarks.truth_kept import kept_options, kept_parser, kept_scores
from benchmarks.truth_runs import ALPHA158_GRU, DAY_GRU, LIGHTGBM, RUNS, Dates, Job
from benchmarks.truth_table import lines_of, mean_of_ranks, on_common_cells
from benchmarks.truth_train import ALL, figures, prepare, read_truth, trained, write_parquet, write_rows
from qlib_ext.analysis.performance import added_up_by_year, returns_after_cost
from qlib_ext.cross_section.matrix import to_matrix
from qlib_ext.live.scoring import load_rows, score

FIRST = "2019-08-01"  # the true averages begin in April 2019, a day's features reach 60 days back
DATES = Dates(test="2019-01-01", folds=(2018,))
DEALT = (LIGHTGBM, ALPHA158_GRU, DAY_GRU, "LightGBM + both GRUs")
BACKTEST = {
    "account": 100_000_000,
    "benchmark": "SH000905",
    "exchange_kwargs": {
        "limit_threshold": 0.095,
        "deal_price": "vwap",
        "open_cost": 0.0005,
        "close_cost": 0.0015,
        "min_cost": 5,
    },
}


def main() -> None:
    options = parse_arguments()
    folder = options.scores / "proxy_price"
    files = {name: folder / f"rows_{name}.parquet" for name in ("proxy", "true")}
    if not files["proxy"].exists():
        in_fresh_process(write_rows, options.data, DATES, files["proxy"])
    if not files["true"].exists():
        in_fresh_process(write_rows, options.true, Dates(start=FIRST), files["true"])
    labels = dict(zip(files, on_common_cells([read_truth(file)[ALL] for file in files.values()]), strict=True))
    providers = {"proxy": options.data, "true": options.true}
    tested = tested_scores(options)
    cells = [(name, *label_cells(score, labels)) for name, score in tested.items()]
    print(table(HEADER, cells), "\n")
    lines = [
        line
        for name in DEALT
        if name in tested
        for line in dealt_lines(name, {"proxy": tested[name]}, labels, providers)
    ]
    for run in chosen(RUNS, options.train) if options.train else []:
        scores = scores_by_price(Job(run, 2018, 0, DATES), options, folder, files["proxy"])
        frames = on_common_cells([to_matrix(score, "score") for score in scores.values()])
        lines += dealt_lines(f"{run.name}, trained to 2017", dict(zip(scores, frames, strict=True)), labels, providers)
    print(
        table((HEADER[0], "features", "price", *HEADER[1:], "annual excess of the top 50", "information ratio"), lines)
    )


def scores_by_price(job: Job, options: argparse.Namespace, folder: Path, rows: Path) -> dict[str, pd.Series]:
    """The scores of one model by the features of both providers; what is there is not trained again."""
    files = {name: folder / f"{name}_{job.file}" for name in ("proxy", "true")}
    if not files["proxy"].exists():
        in_fresh_process(train_and_score, job, options.data, rows, files["proxy"])
    if not files["true"].exists():
        in_fresh_process(score_again, files["proxy"], options.true, files["true"])
    return {name: pd.read_parquet(file)["score"] for name, file in files.items()}


HEADER = (
    "model",
    *(f"{label}'s label: {figure}" for label in ("proxy", "true") for figure in ("Rank IC", "ICIR", "best twentieth")),
)


def parse_arguments() -> argparse.Namespace:
    parser = kept_parser("proxy_price", __doc__)
    parser.add_argument("--true", required=True, metavar="DIR", help="the same days with true average prices")
    parser.add_argument(
        "--train", nargs="+", default=[], metavar="NAME", help="runs to train, such as 'day GRU, ranked'"
    )
    return kept_options(parser)


def train_and_score(job: Job, provider: str, rows: Path, file: Path) -> None:
    """Train on the proxy, write its scores, and beside them the model and the data set with its fitted processors."""
    with trained(job, provider, rows) as (model, dataset):
        prediction = model.predict(dataset, segment="test")
        dataset.config(dump_all=False, recursive=True)
        pd.to_pickle((model, dataset), file.with_suffix(".pkl"))
    write_parquet(prediction[FIRST:].rename("score").to_frame(), file)


def score_again(file: Path, provider: str, again: Path) -> None:
    """Write the scores of the trained model by another provider's features."""
    prepare(provider)
    model, dataset = pd.read_pickle(file.with_suffix(".pkl"))
    dataset.config(handler_kwargs={"start_time": pd.Timestamp(FIRST)})
    load_rows(dataset, pd.Timestamp(DATES.end))
    prediction, _ = score(model, dataset, pd.Timestamp(FIRST), pd.Timestamp(DATES.end), file.stem)
    write_parquet(prediction.rename("score").to_frame(), again)


def tested_scores(options: argparse.Namespace) -> dict[str, pd.DataFrame]:
    """The test scores of ``benchmarks.truth``, the ranks of a run's seeds added."""
    scores = kept_scores(options)
    found = {line.name: scores.test(line) for line in lines_of(RUNS)}
    return {name: mean_of_ranks(seeds)[FIRST:] for name, seeds in found.items() if seeds}


def dealt_lines(
    name: str, scores: dict[str, pd.DataFrame], labels: dict[str, pd.DataFrame], providers: dict[str, str]
) -> list[tuple[str, ...]]:
    """A line for each features that there are scores of, and each price."""
    lines = []
    for features, own in scores.items():
        for price, provider in providers.items():
            excess = in_fresh_process(dealt, own.stack().dropna().rename("score"), provider)
            money = (f"{excess['annual_excess_return']:.1%}", f"{excess['information_ratio']:.2f}")
            lines.append((name, features, price, *label_cells(own, labels), *money))
    return lines


def label_cells(score: pd.DataFrame, labels: dict[str, pd.DataFrame]) -> list[str]:
    """Rank IC, ICIR and the best twentieth by each label, on the rows of both."""
    cells = []
    for label in labels.values():
        own = figures(score, label)
        cells += [f"{own['rank_ic']:.4f}", f"{own['icir']:.2f}", f"{own['top']:.2%}"]
    return cells


def dealt(score: pd.Series, provider: str) -> pd.Series:
    """The figures of all days of a TopkDropout 50/5 by these scores, after costs."""
    prepare(provider)
    strategy = TopkDropoutStrategy(signal=score, topk=50, n_drop=5, only_tradable=True)
    days = score.index.unique("datetime")
    report, _ = backtest_daily(days.min(), days.max(), strategy, **BACKTEST)
    return added_up_by_year(returns_after_cost(report)).loc["all"]


if __name__ == "__main__":
    main()
