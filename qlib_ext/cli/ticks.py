"""``qlib-ext ticks``: trades, orders and minute bars -> daily factors in a Qlib provider."""

from __future__ import annotations

import argparse

from qlib_ext.cli.parser import add_command, count, day, tell_unknown

_TICKS = """\
Make daily factors of trades, orders and minute bars, and write them into a Qlib provider.

`ticks read` turns the files of an exchange into partitions, one folder a day; `ticks build` computes
the factors from them.
"""

_TICKS_EXAMPLE = """\
example:
  qlib-ext ticks read --exchange shanghai --date 2023-02-01 --trades sh_trades.csv --orders sh_orders.csv --out ~/ticks
  qlib-ext ticks build --trades ~/ticks/trades --orders ~/ticks/orders --out ~/.qlib/qlib_data/cn_data
"""

_READ = """\
Turn the files of an exchange, CSV or Parquet, all of one day, into partitions for `ticks build`:
DIR/trades/date=2023-02-01/ and DIR/orders/date=2023-02-01/. Files of several exchanges and of many days
go into the same DIR, one call after the other. A file is read whole.

shanghai  trades and orders; the active side is as the exchange gives it
shenzhen  trades, with the cancels in the same file; the active side is that of the later order

What is left out - cancels among the fills, prices of 0, the opening auction, what is no A share - is
counted and printed.
"""

_READ_EXAMPLE = """\
examples:
  qlib-ext ticks read --exchange shanghai --date 2023-02-01 --trades t.csv --orders o.csv --out ~/ticks
  qlib-ext ticks read --exchange shenzhen --date 2023-02-01 --trades a.parquet b.parquet --out ~/ticks

what comes next:
  qlib-ext ticks build --trades ~/ticks/trades --orders ~/ticks/orders --out ~/.qlib/qlib_data/cn_data
"""

_BUILD = """\
Compute the daily factors of trades, orders and minute bars, and write them into a Qlib provider as
fields $hf_<name>, so that expressions and any handler can use them, for example $hf_down_vol_perc.

The inputs are folders of Parquet partitioned by date, DIR/date=2023-02-01/*.parquet, with the columns
  trades  instrument time price volume amount buy_order sell_order side (B, S, N)
  orders  instrument time price volume side (B, S) order_id kind (add, cancel)
  minute  instrument time open high low close volume amount count
Any of the three may be left out: trades give the families "minute" (15 factors; minute bars are built
from trades when --minute is absent) and "trades" (8), orders give "orders" (4), minute bars "minute".
--families flows makes of trades what orders of each size bought and sold, in yuan, as fields
$flow_{small,medium,large,very_large}_{buy,sell}: small below 50 thousand yuan, medium below 200
thousand, large below a million, by what an order traded in the day. --families trades flows makes both.

One day after the other is read and computed, stocks in batches, so that a history of any length needs
the memory of --n-jobs days. Finished days are kept in the folder PROVIDER.ticks beside the provider: a
run that was stopped goes on where it was, a run with new days computes these alone, and a day is
computed again when its files, the parameters or the code have changed. The folder may be deleted.
In the end the values are written file by file, each whole or not at all; days that are not part of
the run stay as they are in the provider.

On a cluster (--backend ray, RAY_ADDRESS=host:6379) the workers must reach the folders of partitions
under the same paths; the provider is written by this machine alone.
"""

_BUILD_EXAMPLE = """\
examples:
  qlib-ext ticks build --trades ticks/trades --orders ticks/orders --out ~/.qlib/qlib_data/cn_data
  qlib-ext ticks build --minute bars --out cn_data --start 2023-01-01 --end 2023-12-31 --n-jobs 2

what comes next:
  an expression of any handler: Mean($hf_down_vol_perc, 20)
"""


def add_ticks(commands: argparse._SubParsersAction) -> None:
    """``qlib-ext ticks``, which has subcommands of its own."""
    parser = add_command(commands, "ticks", None, "make daily factors of trades and orders", _TICKS, _TICKS_EXAMPLE)
    parts = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_read(parts)
    _add_build(parts)


def _add_read(commands: argparse._SubParsersAction) -> None:
    parser = add_command(commands, "read", _read, "an exchange's files -> partitions", _READ, _READ_EXAMPLE)
    parser.add_argument("--exchange", choices=["shanghai", "shenzhen"], required=True, help="whose files they are")
    parser.add_argument("--date", type=day, required=True, help="the day of the files")
    parser.add_argument("--trades", nargs="+", metavar="FILE", default=[], help="files of trades")
    parser.add_argument("--orders", nargs="+", metavar="FILE", default=[], help="files of orders")
    parser.add_argument("--out", required=True, metavar="DIR", help="the folder of the partitions")


def _read(args: argparse.Namespace) -> int:
    from qlib_ext.ticks.convert import convert

    files = {source: paths for source, paths in (("trades", args.trades), ("orders", args.orders)) if paths}
    for source, target, reading in convert(args.exchange, args.date, files, args.out):
        stocks = reading.frame["instrument"].n_unique()
        print(f"{target}: {len(reading.frame):,} {source} of {stocks} stocks; left out: {reading.left_out}")
    return 0


def _add_build(commands: argparse._SubParsersAction) -> None:
    parser = add_command(commands, "build", _build, "partitions -> fields of a provider", _BUILD, _BUILD_EXAMPLE)
    for source in ("trades", "orders", "minute"):
        parser.add_argument(f"--{source}", metavar="DIR", help=f"folder of the partitions of {source}")
    parser.add_argument("--out", required=True, metavar="PROVIDER", help="a Qlib provider that has the days")
    parser.add_argument(
        "--families",
        nargs="+",
        choices=["minute", "trades", "orders", "flows"],
        help="the families of factors, and flows (default: all factors that the inputs suffice for)",
    )
    parser.add_argument("--start", type=day, metavar="DATE", help="the first day (default: that of the inputs)")
    parser.add_argument("--end", type=day, metavar="DATE", help="the last day (default: that of the inputs)")
    parser.add_argument(
        "--big",
        type=float,
        default=1.0,
        metavar="X",
        help="an order is big when the log of its amount exceeds mean + X standard deviations (default: 1)",
    )
    parser.add_argument(
        "--backend", choices=["serial", "loky", "ray"], default="loky", help="where it runs (default: loky)"
    )
    parser.add_argument("--n-jobs", type=count, default=1, metavar="N", help="days at the same time (default: 1)")
    parser.add_argument(
        "--skip-unknown",
        action="store_true",
        help="leave out, and count, instruments that the provider lacks, such as funds; otherwise they are an error",
    )


def _build(args: argparse.Namespace) -> int:
    from qlib_ext.ticks.build import build

    named = {"trades": args.trades, "orders": args.orders, "minute": args.minute}
    done = build(
        args.out,
        {source: folder for source, folder in named.items() if folder is not None},
        families=args.families,
        start=args.start,
        end=args.end,
        big=args.big,
        backend=args.backend,
        n_jobs=args.n_jobs,
        skip_unknown=args.skip_unknown,
    )
    tell_unknown(done.left_out, args.out)
    print(
        f"{args.out}: {done.computed} days computed, {done.kept} kept from before; {done.fields} fields, "
        f"{done.changed} files changed"
    )
    return 0
