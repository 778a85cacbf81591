"""``qlib-ext market``: a simulated market to learn and test on."""

from __future__ import annotations

import argparse

from qlib_ext.cli.parser import add_command

_MARKET = """\
Write a simulated A-share market as a Qlib provider folder: day bars with splits, dividends,
suspensions, price limits, listings and a delisting, industries, float market values, and an
index (instruments csi300, bars SH000300) with dated members and weights.

Its returns hold four planted effects that a model can learn: short-term reversal, a
volatility effect, momentum of half a year, and an industry lead-lag that only a model across
stocks can see. The same parameters give the same bytes; a folder that already holds them is left
as it is. --accruals 0.0006 plants a fifth, slow one, that only the companies' reports show.

--ticks writes the same market's minute bars, and for the last days its trades and orders, into a
folder of its own. They add up to the day bars, and informed traders leave traces in them that the
high-frequency factors find (`qlib_ext.simulator.informed` says which).
"""

_MARKET_NEXT = """\
examples:
  qlib-ext market --out ~/.qlib/simulated --stocks 100 --days 750 --seed 0
  qlib-ext market --out ~/.qlib/simulated --ticks ~/simulated-ticks --ticks-days 20

what comes next:
  QLIB_DATA=~/.qlib/simulated qrun workflows/csi300_astgnn.yaml
  qlib-ext ticks build --minute ~/simulated-ticks/minute --out ~/.qlib/simulated
"""


def add_market(commands: argparse._SubParsersAction) -> None:
    """``qlib-ext market``."""
    parser = add_command(
        commands, "market", _market, "write a simulated market to learn and test on", _MARKET, _MARKET_NEXT
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="the provider folder to write")
    parser.add_argument("--stocks", type=int, default=100, help="how many stocks (default: 100)")
    parser.add_argument("--days", type=int, default=750, help="how many trading days (default: 750, three years)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, another market (default: 0)")
    parser.add_argument("--start", default="2014-09-01", metavar="DATE", help="the first day (default: 2014-09-01)")
    parser.add_argument(
        "--accruals",
        type=float,
        metavar="RETURN",
        help="companies report sales, cash flows, debt and dividends, and fall behind by so much a day where their "
        "accruals are high: 0.0006, or 0 for not at all",
    )
    parser.add_argument("--ticks", metavar="DIR", help="a folder for its minute bars, trades and orders")
    parser.add_argument(
        "--ticks-days",
        type=int,
        metavar="N",
        help="trades and orders of the last N days (default: 0, minute bars alone)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace what --out and --ticks hold")


def _market(args: argparse.Namespace) -> int:
    from qlib_ext.errors import ConfigError
    from qlib_ext.simulator.simulate import write_market

    if args.ticks_days is not None and args.ticks is None:
        raise ConfigError(
            "--ticks-days says how many days of trades and orders --ticks DIR gets; name that folder, too"
        )
    same = {name: getattr(args, name) for name in ("stocks", "days", "seed", "start", "accruals", "overwrite")}
    what = f"{args.stocks} stocks, {args.days} days, seed {args.seed}, from {args.start}"
    written = write_market(args.out, **same)
    print(f"{args.out}: {'wrote a market of' if written else 'already holds the market of'} {what}")
    if args.ticks is not None:
        from qlib_ext.simulator.ticks import write_ticks

        written = write_ticks(args.ticks, ticks_days=args.ticks_days or 0, **same)
        print(f"{args.ticks}: {'wrote the ticks of' if written else 'already holds the ticks of'} this market")
        print(f"next: qlib-ext ticks build --minute {args.ticks}/minute --out {args.out}")
    print(f"next: QLIB_DATA={args.out} qrun workflows/csi300_astgnn.yaml")
    return 0
