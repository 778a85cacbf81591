"""``qlib-ext weights``, what an index holds; ``qlib-ext risk``, the risk model of a provider."""

from __future__ import annotations

import argparse
import sys

from qlib_ext.cli.parser import add_command, add_data

_WEIGHTS = """\
Write the weights of an index's members, day by day, into a Qlib provider as the field
$<members>_weight, which Qlib's own classes read too: fractions of 1 at the close of the day.

Where no dated weights are to be had they are implied: a filter follows them by the index's own
return and the returns of its members, day after day, and never looks ahead. It begins with market
value ($total_mv) and amount. With --from '$field' the weights of a field with some dates are made
into weights of every day: between its dates they drift with returns.

What is odd is counted on stderr: members without bars, days without a close of the index, days on
which index and weights differ by more than 2 %, weights of non-members, sums that are not 1.
"""

_WEIGHTS_EXAMPLE = """\
examples:
  qlib-ext weights --index SH000905 --members csi500 --out ~/.qlib/qlib_data/cn_data
  qlib-ext weights --index SH000300 --members csi300 --from '$csi300_official' --out ~/.qlib/qlib_data/cn_data
"""

_RISK = """\
Build the risk model of a Qlib provider in a folder: each stock's exposures to the market, its
industry and up to 15 styles at the close of every day; what these returned by the regression of the
day's returns on the exposures of the day before, with t-statistics and R^2; and what was left of each stock.
Covariances and own risks are made of these when they are asked for (qlib_ext.risk.model.StyleRiskModel).

Days that the folder has are kept, so the same command adds tomorrow's day, and a run that was stopped
goes on. A style whose fields the provider lacks is left out and named, and so is a code of an industry
that fewer than five stocks have, as a mistyped one. qlib_ext.risk.files says what the folder holds; its
Parquet files open anywhere.
"""

_RISK_EXAMPLE = """\
examples:
  qlib-ext risk --data ~/.qlib/qlib_data/cn_data --out ~/.qlib/risk
  qlib-ext risk --data ~/.qlib/qlib_data/cn_data --out ~/.qlib/risk --size '$float_mv'
  qlib-ext risk --data ~/.qlib/qlib_data/cn_data --out ~/.qlib/risk --no-size
  qlib-ext risk --data ~/.qlib/qlib_data/cn_data --out ~/.qlib/risk --pictures docs --universe csi300 csi500
"""


def add_weights(commands: argparse._SubParsersAction) -> None:
    """``qlib-ext weights``."""
    parser = add_command(
        commands, "weights", _weights, "write an index's weights as a field of a provider", _WEIGHTS, _WEIGHTS_EXAMPLE
    )
    parser.add_argument("--index", required=True, metavar="CODE", help="the instrument of the index's bars: SH000905")
    parser.add_argument("--members", required=True, metavar="NAME", help="its instruments file: csi500")
    parser.add_argument("--out", required=True, metavar="PROVIDER", help="a Qlib provider of day bars")
    parser.add_argument("--from", dest="source", default="implied", metavar="FIELD", help="a field; default: implied")
    parser.add_argument(
        "--total-return", action="store_true", help="the index counts dividends; a price index, as CSI's are, does not"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the field where it is there already")


def _weights(args: argparse.Namespace) -> int:
    from qlib_ext.errors import ProviderError
    from qlib_ext.provider.names import instruments_with_field
    from qlib_ext.provider.panels import checked_folder
    from qlib_ext.risk.benchmark import index_weights, write_weights

    name = f"{args.members.lower()}_weight"
    if not args.overwrite and instruments_with_field(checked_folder(args.out), name):
        raise ProviderError(f"{args.out} has ${name} already; add --overwrite to replace it.")
    weights = index_weights(args.out, args.index, args.members, args.source, args.total_return)
    for finding in weights.findings:
        print(finding, file=sys.stderr)
    changed = write_weights(args.out, weights, name)
    days = weights.weights.dropna(how="all").index
    print(
        f"{args.out}: ${name} from {days[0]:%Y-%m-%d} to {days[-1]:%Y-%m-%d}, {weights.source}, {changed} files changed"
    )
    if weights.surprises is not None:
        error = weights.surprises.std() * 242**0.5
        print(f"one day ahead the weights miss the index by {error:.2%} a year")
    return 0


def add_risk(commands: argparse._SubParsersAction) -> None:
    """``qlib-ext risk``."""
    parser = add_command(
        commands, "risk", _risk, "build or continue the risk model of a provider", _RISK, _RISK_EXAMPLE
    )
    add_data(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="the model's folder")
    parser.add_argument("--market", default="all", metavar="NAME", help="instruments that are modelled (default: all)")
    parser.add_argument(
        "--industry",
        default="$industry",
        metavar="FIELD",
        help="a stock's industry, a whole number (default: $industry)",
    )
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument(
        "--size", default="$total_mv", metavar="FIELD", help="a stock's market value (default: $total_mv)"
    )
    sizes.add_argument(
        "--no-size", action="store_true", help="no market value is known: the mean amount stands in, and is named so"
    )
    parser.add_argument(
        "--without", nargs="+", default=(), metavar="STYLE", help="styles to do without, as one that others explain"
    )
    parser.add_argument("--pictures", metavar="DIR", help="a folder for two SVGs: factor returns and bias statistics")
    parser.add_argument(
        "--universe",
        nargs="+",
        metavar="NAME",
        help="instruments that make up the portfolios of the bias statistics, with --pictures (default: all)",
    )
    parser.add_argument("--overwrite", action="store_true", help="build anew, whatever the folder holds of a model")


def _risk(args: argparse.Namespace) -> int:
    from qlib_ext.errors import ConfigError
    from qlib_ext.provider.facts import ProviderFacts
    from qlib_ext.risk.build import build
    from qlib_ext.risk.market import LEFT_OUT

    if args.pictures:
        _check_pictures(args)
    elif args.universe:
        raise ConfigError("--universe is of the bias statistics, which --pictures DIR draws; name DIR or leave it out.")

    def progress(done: int, wanted: int) -> None:
        print(f"\r{done} of {wanted} days", end="" if done < wanted else "\n", file=sys.stderr, flush=True)

    size = None if args.no_size else args.size
    built = build(args.data, args.out, args.market, args.industry, size, args.without, args.overwrite, progress)
    for style, missing in built.left_out.items():
        if missing != LEFT_OUT:
            print(f"left out the style {style}: the provider has no {missing}", file=sys.stderr)
    for code, (day, stock) in built.unknown_industries.items():
        print(
            f"left out the industry {code}, which fewer than five stocks have, first {stock} on {day:%Y-%m-%d}; "
            f"correct it in {args.industry} if it is no industry",
            file=sys.stderr,
        )
    print(f"{args.out}: {built.added} days added, {built.total} in all, of {ProviderFacts.of(args.data)}")
    if args.pictures:
        _draw(args)
    return 0


def _check_pictures(args: argparse.Namespace) -> None:
    """Raise what drawing would raise after the build: an unknown universe, a folder that cannot be written."""
    from pathlib import Path

    from qlib_ext.provider.names import require_universe
    from qlib_ext.provider.panels import checked_folder
    from qlib_ext.system.files import require_writable

    for name in args.universe or ["all"]:
        require_universe(checked_folder(args.data), name)
    require_writable(Path(args.pictures), "Name another folder for the pictures.")


def _draw(args: argparse.Namespace) -> None:
    from pathlib import Path

    from qlib_ext.provider.facts import ProviderFacts
    from qlib_ext.risk.bias import FactorRisk, bias_table, bias_test
    from qlib_ext.risk.model import StyleRiskModel
    from qlib_ext.risk.pictures import write_bias, write_factor_returns
    from qlib_ext.risk.universe import read_universe

    model, universe = StyleRiskModel.read(args.out), read_universe(args.data, args.universe or ["all"])
    begin, end = model.first_forecast(), model.days[-1]
    outcomes = bias_test(
        lambda day, stocks: FactorRisk.of(model, day, stocks), model, universe.close, universe.members, begin, end
    )
    table = bias_table(outcomes)
    print(table.round(3).to_string())
    folder = Path(args.pictures)
    mark, returns = ProviderFacts.of(args.data).mark, model.factor_returns.loc[begin:, model.styles(end)]
    write_factor_returns(folder / "risk_factor_returns.svg", returns, mark)
    write_bias(folder / "risk_bias.svg", table, mark)
    print(f"wrote {folder}/risk_factor_returns.svg and {folder}/risk_bias.svg")
