"""``qlib-ext check``, ``predict`` and ``orders``: what a finished run does every evening."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from qlib_ext.cli.parser import add_command, add_runs, day

_PREDICT = """\
Score the days that the provider has got since a run has scored its last one. Model, data set and processors
are those of the newest finished run of the experiment, as they were fitted; the provider is that of its
workflow, as it is today. The scores are appended to the run's pred.pkl, and are those that a test over the
longer time would have given, to the bit.

Of a second stage or a fusion, the experiments that it reads are predicted first.

A rolling model's last window scores until its step ends. Then a new window is due: the command says so and
stops at that day, with the exit code 1. With --retrain it trains that window, and no other, and goes on.

Before anything is appended, and where no day is new, the last day that was scored is scored once more. If a
score is no longer the same, the past of the provider or the code has changed, and the command refuses, naming
the first stock. Where the data of that day were not whole when it was scored, --again scores it, and all days
after it, anew; the scored day before it is compared.
"""

_PREDICT_EXAMPLE = """\
examples:
  qlib-ext predict csi300_gru                                  every day up to the provider's last
  qlib-ext predict csi300_gru --out scores.csv                 and the last day's scores as a table, the best first
  qlib-ext predict market_model0 --retrain --out scores.csv    day and week are predicted first, windows trained
  qlib-ext predict csi300_gru --to 2021-12-15                  up to that day
  qlib-ext predict csi300_gru --date 2021-12-15 --out day.csv  the scores of that day, scored now or before
  qlib-ext predict csi300_gru --again 2021-12-15               that day and those after it anew, and the new ones

docs/every_evening.md tells the whole evening.
"""


_CHECK = """\
Look whether the data of a day can be scored and traded on, for an experiment and those that it reads:

  days        the provider has the day, and no gap that no holiday explains since the last day scored
  universe    it has members on the day, and about as many as the day before
  bars        members without a bar, and fields without values, are not more than in the 60 days before
  features    their distributions over the stocks, before processors, against 10 days of the last training by the
              population stability index; a feature is shifted above 0.25 and above what two days in a thousand
              would have, as these 10 are apart; a finding are more than a twentieth of the features, or one
              that has values far from all of the 10 days for a fifth of the stocks
  scores      where the day is scored: they differ, are as many as before, and are not shifted

Each finding is a sentence. The exit code is 0 without one, 1 with one or more, 2 where it cannot be checked.

--out writes a page of all this, with the Rank IC of the last 60 days beside that of the days before, the
turnover of the best stocks, and where a record names a risk model, their exposures.
"""

_CHECK_EXAMPLE = """\
examples:
  qlib-ext check csi300_gru                                     the provider's last day
  qlib-ext check csi300_gru --out health.html                   and a page of model health
  qlib-ext check csi300_gru --date $(date +%F) && qlib-ext predict csi300_gru

docs/every_evening.md tells the whole evening.
"""

_ORDERS = """\
Turn the score of an evening into the orders of the next trading day. The strategy is that of the run's
backtest, TopkDropoutStrategy or IndexEnhancement or your own; it decides by its own code, with the
backtest's exchange, for an account that holds what the broker says it holds.

In the evening the next day is not known. Assumed are: its prices are today's closes; a stock without a bar
today is suspended tomorrow; no stock is at its price limit. So the names are those that the backtest trades,
but for suspensions and limits that are new. Shares are those of the backtest where the strategy sizes by
the close, as IndexEnhancement does; TopkDropoutStrategy sizes its buys by the next day's price, which
--next-bars reads where the provider has it.

The CSV has the columns date, instrument, side, shares, price, amount, weight_before, weight_after, reason:
shares and prices as traded, not adjusted; amounts in yuan; weights are fractions of the account; the
reason says what cannot be traded (0 shares), and what may not be.
"""

_ORDERS_EXAMPLE = """\
holdings.csv has the columns instrument and shares, and days (of trading that each has been held) where the
strategy's hold_thresh is above 1:
  instrument,shares
  SH600000,1200
  000001.SZ,500

examples:
  qlib-ext orders csi300_gru --holdings holdings.csv --cash 250000 --out orders.csv
  qlib-ext orders csi300_gru --holdings holdings.csv --cash 250000 --out orders.csv --trading-day 2021-10-08
  qlib-ext orders csi300_gru --holdings holdings.csv --cash 250000 --out orders.csv --date 2021-12-15 --next-bars

docs/every_evening.md tells the whole evening.
"""

SHOWN = 20  # rows of orders on the screen; the file has all


def add_predict(commands: argparse._SubParsersAction) -> None:
    """``qlib-ext predict``."""
    parser = add_command(
        commands, "predict", _predict, "score the days that are new since a run", _PREDICT, _PREDICT_EXAMPLE
    )
    parser.add_argument("experiment", metavar="EXPERIMENT", help="experiment_name of a workflow")
    until = parser.add_mutually_exclusive_group()
    until.add_argument("--date", type=day, metavar="D", help="score up to this day, of which --out gets the scores")
    until.add_argument("--to", type=day, metavar="D", help="the last day to score (default: the provider's last)")
    until.add_argument(
        "--again", type=day, metavar="D", help="score this day and those after it anew, whose data are whole by now"
    )
    parser.add_argument("--retrain", action="store_true", help="train the windows of rolling models that are due")
    parser.add_argument("--out", type=Path, metavar="FILE", help="a CSV of the last day's scores, or those of --date")
    _add_workflows(parser)
    add_runs(parser)


def add_check(commands: argparse._SubParsersAction) -> None:
    """``qlib-ext check``."""
    parser = add_command(
        commands, "check", _check, "tell whether a day's data can be scored and traded on", _CHECK, _CHECK_EXAMPLE
    )
    parser.add_argument("experiment", metavar="EXPERIMENT", help="experiment_name of a workflow")
    parser.add_argument("--date", type=day, metavar="D", help="the day to look at (default: the provider's last)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="a page of it, and of how the models do of late")
    parser.add_argument("--lang", choices=["en", "zh"], default="en", help="of the page (default: en)")
    _add_workflows(parser)
    add_runs(parser)


def add_orders(commands: argparse._SubParsersAction) -> None:
    """``qlib-ext orders``."""
    parser = add_command(
        commands, "orders", _orders, "write tomorrow's orders of a run's strategy", _ORDERS, _ORDERS_EXAMPLE
    )
    parser.add_argument("experiment", metavar="EXPERIMENT", help="experiment_name of a workflow with a backtest")
    parser.add_argument("--holdings", type=Path, required=True, metavar="FILE", help="what is held, see below")
    parser.add_argument("--cash", type=float, required=True, metavar="YUAN", help="of the account")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="where the orders are written")
    parser.add_argument("--date", type=day, metavar="D", help="day of the score (default: the provider's last)")
    parser.add_argument(
        "--trading-day",
        type=day,
        metavar="D",
        help="day of the orders (default: the next of the calendar, of day_future.txt, or the next weekday)",
    )
    parser.add_argument("--next-bars", action="store_true", help="decide by the next day's bars, as the backtest did")
    _add_workflows(parser)
    add_runs(parser)


def _add_workflows(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workflows",
        type=Path,
        default=Path("workflows"),
        metavar="DIR",
        help="folder of the workflows, from which `sys: rel_path` leads to modules of your own (default: workflows)",
    )


def _check(args: argparse.Namespace) -> int:
    from qlib_ext.live.health import check

    found = check(args.runs, args.experiment, args.date, args.workflows)
    for each in found:
        looked_at = [f"{len(each.fields)} fields"] if len(each.fields) else []
        for name, table in (("features", each.features), ("scores", each.scores)):
            looked_at += [f"{len(table)} {name}, {table['shifted'].sum()} shifted"] if len(table) else []
        print(f"{each.experiment}: {each.day:%Y-%m-%d}, {'; '.join(looked_at) or 'the calendar'}")
        for finding in each.findings:
            print(f"  finding: {finding}")
    findings = {finding for each in found for finding in each.findings}
    print(f"{len(findings)} finding{'' if len(findings) == 1 else 's'}")
    if args.out is not None:
        from qlib_ext.live.health_page import health_page
        from qlib_ext.system.files import write_whole

        write_whole(args.out, health_page(args.runs, found, args.lang).encode(), "Name another file.")
        print(f"wrote {args.out}")
    return 1 if findings else 0


def _orders(args: argparse.Namespace) -> int:
    from qlib_ext.errors import ConfigError
    from qlib_ext.live.orders import orders
    from qlib_ext.provider.facts import ProviderFacts
    from qlib_ext.system.files import write_whole

    if Path(args.out).expanduser().resolve() == Path(args.holdings).expanduser().resolve():
        raise ConfigError(f"The orders would replace the holdings, {args.out}. Name another file with --out.")
    made = orders(
        args.runs,
        args.experiment,
        args.holdings,
        args.cash,
        args.date,
        args.trading_day,
        args.next_bars,
        args.workflows,
    )
    table = made.table.round({"price": 4, "amount": 2, "weight_before": 6, "weight_after": 6})
    traded = table[table["shares"] > 0]
    table = table.assign(shares=table["shares"].map("{:.12g}".format))  # whole ones without a point
    write_whole(args.out, table.to_csv(index=False).encode(), "Name another file.")
    print(
        f"{made.experiment}, run {made.run[:8]}: orders for {made.trading.day:%Y-%m-%d} by the scores of "
        f"{made.trading.before:%Y-%m-%d}"
    )
    print(f"provider: {ProviderFacts.of(made.provider)}")
    if not len(table):
        print("the strategy trades nothing on this day")
    else:
        print(table.drop(columns="date").head(SHOWN).to_string(index=False))
    if len(table) > SHOWN:
        print(f"... and {len(table) - SHOWN} more in {args.out}")
    for side in ("sell", "buy"):
        of_side = traded[traded["side"] == side]
        print(f"{side}: {len(of_side)} orders of {of_side['amount'].sum():,.0f} yuan")
    if len(table) > len(traded):
        print(f"not to be traded: {len(table) - len(traded)}, see the reason of each")
    print(
        f"account: {made.value:,.0f} yuan, turnover {made.turnover:.2%}, cost {made.cost:,.0f} yuan, cash "
        f"{made.cash:,.0f} to {made.cash_after:,.0f}, names {made.names} to {made.names_after}"
    )
    print(f"wrote {args.out}")
    for warning in made.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return 0


def _predict(args: argparse.Namespace) -> int:
    from qlib_ext.live.prediction import predict, scores_on
    from qlib_ext.provider.facts import ProviderFacts
    from qlib_ext.system.files import write_whole

    done = predict(args.runs, args.experiment, args.date or args.to, args.retrain, args.workflows, args.again)
    for provider in dict.fromkeys(each.provider for each in done):
        print(f"provider: {ProviderFacts.of(provider)}")
    for each in done:
        if each.rows:
            days = f"{each.last:%Y-%m-%d}"
            if len(each.days) > 1:
                days = f"{len(each.days)} days, {each.days[0]:%Y-%m-%d} to {days}"
            print(f"{each.experiment}: {each.rows} scores of {days}, run {each.run[:8]}")
        else:
            print(f"{each.experiment}: no day is new, it is scored to {each.last:%Y-%m-%d}, run {each.run[:8]}")
        if each.due is not None:
            print(
                f"{each.experiment}: a new window is due on {each.due:%Y-%m-%d}; train it with --retrain",
                file=sys.stderr,
            )
    if args.out is not None:
        table = scores_on(args.runs, args.experiment, args.date)
        write_whole(args.out, table.to_csv(index=False).encode(), "Name another file.")
        print(f"wrote {args.out}: {len(table)} scores of {table['datetime'][0]:%Y-%m-%d}")
    return 1 if any(each.due is not None for each in done) else 0
