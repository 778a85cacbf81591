"""`qlib-ext market`: a simulated market to learn and test on."""

import argparse

from qlib_ext.cli.parser import add_command

_MARKET = """\
Write a simulated A-share market as a Qlib provider folder: day bars with splits, dividends,
suspensions, price limits, listings and a delisting, industries, float market values, and an
index (instruments csi300, bars SH000300) with dated members and weights.

Its returns hold three planted effects that a model can learn: short-term reversal, a
volatility effect, and an industry lead-lag that only a model across stocks can see. The same
parameters give the same bytes; a folder that already holds them is left as it is.
"""

_MARKET_NEXT = """\
example:
  qlib-ext market --out ~/.qlib/simulated --stocks 100 --days 750 --seed 0

what comes next:
  QLIB_DATA=~/.qlib/simulated qrun workflows/csi300_astgnn.yaml
"""


def add_market(commands: argparse._SubParsersAction) -> None:
    """`qlib-ext market`."""
    parser = add_command(
        commands, "market", _market, "write a simulated market to learn and test on", _MARKET, _MARKET_NEXT
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="the provider folder to write")
    parser.add_argument("--stocks", type=int, default=100, help="how many stocks (default: 100)")
    parser.add_argument("--days", type=int, default=750, help="how many trading days (default: 750, three years)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, another market (default: 0)")
    parser.add_argument("--start", default="2014-09-01", metavar="DATE", help="the first day (default: 2014-09-01)")
    parser.add_argument("--overwrite", action="store_true", help="replace the provider that DIR holds")


def _market(args: argparse.Namespace) -> int:
    from qlib_ext.market.simulate import write_market

    written = write_market(args.out, args.stocks, args.days, args.seed, args.start, args.overwrite)
    what = f"{args.stocks} stocks, {args.days} days, seed {args.seed}, from {args.start}"
    print(f"{args.out}: {'wrote a market of' if written else 'already holds the market of'} {what}")
    print(f"next: QLIB_DATA={args.out} qrun workflows/csi300_astgnn.yaml")
    return 0
