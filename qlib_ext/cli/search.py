"""``qlib-ext search``: factors found by genetic programming."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from qlib_ext.cli.parser import add_command, add_data, add_runs, count

if TYPE_CHECKING:
    from qlib_ext.search.evolution import Evolution
    from qlib_ext.search.search import Found, Settings
    from qlib_ext.search.state import Progress

_SEARCH = """\
Search a provider for expressions that rank the stocks by their next return, and write those that add to
each other into a file that handlers.expressions.Expressions reads as a data set.

Generations of expressions are bred from the best of the last one. Each is screened by the Rank IC with
what the factors found so far leave of the label, on a 25th of the stocks, then on a fifth, every fifth
day; the best are measured on all stocks and days of --train. A factor is taken where its t (Newey-West)
is above sqrt(2 ln n), n being every distinct expression that was tried, its sign is the same in three of
four parts of the training, and --valid shows half of its ICIR. No day after --valid is read. A control
with labels shuffled within the day is searched in the same way beside it: what it finds is chance.

After every generation the search is saved in --state; stopped by Ctrl-C, a kill or a full disk, the same
command goes on, and finds what it would have found. More --minutes let a finished one go on.
docs/factor_search.md tells more.
"""

_SEARCH_EXAMPLE = """\
examples:
  qlib-ext search --data ~/.qlib/qlib_data/cn_data --train 2010:2015 --valid 2016:2016 --out factors.yaml
  qlib-ext search --data ~/.qlib/qlib_data/cn_data --train 2010:2015 --valid 2016:2016 --out factors.yaml \\
      --minutes 240 --n-jobs 8 --fields open close vwap volume turnover roe

what comes next:
  FACTORS=factors.yaml qrun workflows/market_dp_gru.yaml
  FACTORS=factors.yaml qrun workflows/market_dp_lightgbm.yaml
"""


def days(text: str) -> tuple[str, str]:
    """First and last day: 2010:2015, whole years, or 2010-01-04:2015-06-30."""
    found = re.fullmatch(r"(\d{4})(-\d\d-\d\d)?:(\d{4})(-\d\d-\d\d)?", text)
    if not found:
        raise argparse.ArgumentTypeError(f"it is 2010:2015 or 2010-01-04:2015-06-30, not {text!r}")
    return f"{found[1]}{found[2] or '-01-01'}", f"{found[3]}{found[4] or '-12-31'}"


def add_search(commands: argparse._SubParsersAction) -> None:
    """``qlib-ext search``."""
    parser = add_command(commands, "search", _search, "find factors by genetic programming", _SEARCH, _SEARCH_EXAMPLE)
    add_data(parser)
    parser.add_argument("--out", required=True, metavar="FILE", help="the YAML file of the factors that are chosen")
    parser.add_argument("--train", required=True, type=days, metavar="A:B", help="years or days, such as 2010:2015")
    parser.add_argument("--valid", required=True, type=days, metavar="A:B", help="the days after it, such as 2016:2016")
    parser.add_argument("--universe", default="all", metavar="NAME", help="instruments that are ranked (default: all)")
    parser.add_argument("--label", metavar="EXPRESSION", help="what is predicted (default: the return of ten days)")
    parser.add_argument(
        "--fields", nargs="+", metavar="FIELD", help="without $ (default: prices, volume, amount, turnover, change)"
    )
    parser.add_argument("--operators", nargs="+", metavar="NAME", help="those that may be used (default: all it knows)")
    parser.add_argument("--windows", nargs="+", type=count, metavar="N", help="of rolling operators, in days")
    parser.add_argument("--factors", type=count, default=48, metavar="N", help="chosen at most (default: 48)")
    parser.add_argument(
        "--turnover", type=float, default=1.0, metavar="X", help="of a factor, over five days, at most (default: 1)"
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="of all runs of this search (default: 60)")
    parser.add_argument("--generations", type=count, help="that are tried at most")
    parser.add_argument("--size", type=count, default=1000, help="expressions of a generation (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, another search (default: 0)")
    parser.add_argument("--n-jobs", type=count, default=1, help="processes (default: 1); they change no result")
    parser.add_argument("--backend", default="loky", help="serial, loky or ray (default: loky)")
    parser.add_argument("--state", metavar="DIR", help="the folder of the search (default: FILE with .search)")
    parser.add_argument("--overwrite", action="store_true", help="begin anew, whatever --state holds of a search")
    add_runs(parser)


def _search(args: argparse.Namespace) -> int:
    import qlib

    from qlib_ext.provider.facts import ProviderFacts
    from qlib_ext.provider.panels import checked_folder
    from qlib_ext.search.records import record
    from qlib_ext.search.search import Limits, Search
    from qlib_ext.system.files import require_writable

    out = Path(args.out).expanduser()
    require_writable(out.parent, "Name another --out.")
    folder = checked_folder(args.data)
    settings = _settings(args)
    store = {"uri": f"sqlite:///{Path(args.runs).expanduser().absolute()}/mlflow.db", "default_exp_name": "search"}
    manager = {"class": "SQLiteExpManager", "module_path": "qlib_ext.recorder", "kwargs": store}
    qlib.init(provider_uri=str(folder), region="cn", logging_level=30, exp_manager=manager)
    search = Search(settings, args.state or out.with_suffix(".search"), args.overwrite)
    limits = Limits(args.minutes, args.generations, args.n_jobs, args.backend)
    try:
        found = search.run(limits, _print)
    except KeyboardInterrupt:
        print(f"\nkept in {search.state.folder}; the same command goes on", file=sys.stderr)
        raise
    finally:
        print(file=sys.stderr)
    run = record(found, settings, out, ProviderFacts.of(folder))
    _tell(found, out, run)
    return 0


def _settings(args: argparse.Namespace) -> Settings:
    from qlib_ext.search.search import Settings

    given = {name: getattr(args, name) for name in ("train", "valid", "universe", "seed", "size", "turnover")}
    given["most"] = args.factors
    given |= {name: tuple(value) for name in ("fields", "operators", "windows") if (value := getattr(args, name))}
    if "fields" in given:
        given["fields"] = tuple(field.removeprefix("$") for field in given["fields"])
    return Settings(**given | ({"label": args.label} if args.label else {}))


def _print(progress: Progress, evolutions: dict[str, Evolution]) -> None:
    """One line that the next one replaces: how far it is, and the best so far."""
    factors = evolutions["search"].pool.factors
    best = max(factors, key=lambda factor: abs(factor.icir), default=None)
    text = "none yet" if best is None else f"ICIR {best.icir:+.2f} {best.node.text}"
    tried, control = (progress.tried(name) for name in ("search", "control"))
    line = (
        f"{progress.seconds / 60:.1f} min, {tried:,} tried, {len(factors)} found; of {control:,} shuffled "
        f"{len(evolutions['control'].pool.factors)} found; best {text}"
    )
    print(f"\r{line[:150]:150}", end="", file=sys.stderr, flush=True)


def _tell(found: Found, out: Path, run: str) -> None:
    tried, control = (found.progress.tried(name) for name in ("search", "control"))
    print(
        f"{tried:,} distinct expressions tried, bar of t {found.bar:.2f}: {len(found.pool)} factors found, "
        f"{len(found.chosen)} chosen"
    )
    print(f"control, labels shuffled within the day: {control:,} tried, {len(found.control)} found")
    for each in found.chosen[:5]:
        own = each.factor
        print(f"  {each.name}  ICIR {own.icir:+.2f}, validation {own.valid_icir:+.2f}  {own.node.text}")
    if not found.chosen:
        print(f"no factor passed, {out} is not written; give more minutes, or other fields")
    print(f"{f'wrote {out}; ' if found.chosen else ''}run {run[:8]} of the experiment search has the page")
