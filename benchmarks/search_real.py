"""What a search found, in the years that it never read, beside Alpha158's own factors taken by the same rules.

    python -m benchmarks.search_real --data PROVIDER --factors factors.yaml

The rules are those of the search, with n = 158 for Alpha158: t, signs, half
of the ICIR in the validation, correlation, residual, forward choice.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import qlib
from qlib.contrib.data.loader import Alpha158DL

from handlers.alpha158vwap import FEATURES
from handlers.expression_file import read_columns
from qlib_ext.cli.search import days
from qlib_ext.provider.names import fields_in
from qlib_ext.search.evaluation import unit_ranks
from qlib_ext.search.evolution import Evolution, Map, Plan, ground_of
from qlib_ext.search.grammar import LONGEST, Grammar
from qlib_ext.search.market import read_market
from qlib_ext.search.pool import Rules
from qlib_ext.search.search import LABEL, choose
from qlib_ext.search.statistics import icir, t_of_ic
from qlib_ext.search.tree import Node


def evolution_of(fields: list[str], train: tuple[str, str], valid: tuple[str, str]) -> Evolution:
    """The market of some years, ready to measure expressions."""
    market = read_market(fields, LABEL, "all", train, valid, LONGEST)
    return Evolution(ground_of(market, {"label": market.labels}, 0), "label", Plan(Grammar(), Rules(), 10, 0))


def here(evolution: Evolution) -> Map:
    """Jobs in this process."""
    return lambda work, jobs: [work(evolution.ground, job) for job in jobs]


def by_the_rules(evolution: Evolution, texts: list[str]) -> list[str]:
    """The expressions that the search's rules take of a list, the highest ICIR offered first."""
    nodes = [Node(text) for text in texts]
    measured = evolution.measured(nodes, here(evolution))
    train = evolution.ground.train
    strength = [abs(icir(each.ic[:train])) for each in measured]
    outcomes: Counter = Counter()
    for place in np.argsort(-np.nan_to_num(strength)):
        outcomes[evolution.pool.offer(nodes[place], measured[place], train, len(nodes)) or "taken"] += 1
    print(f"of {len(texts)}: {dict(outcomes)}")
    chosen, *_ = choose(evolution, evolution.pool.factors, 48, here(evolution))
    return [each.factor.node.text for each in chosen]


def look(name: str, texts: list[str], before: Evolution, sealed: Evolution) -> dict[str, object]:
    """A line of the table: signs and ICIRs kept in the sealed years, and the equal-weighted sum of signed ranks."""
    nodes = [Node(text) for text in texts]
    old = [each.ic[: before.ground.train] for each in before.measured(nodes, here(before))]
    new = sealed.measured(nodes, here(sealed), np.arange(len(sealed.ground.days)))
    signs = [np.sign(icir(own)) for own in old]
    kept = [sign * icir(each.ic) / abs(icir(own)) for sign, each, own in zip(signs, new, old, strict=True)]
    total = np.sum([sign * each.ranks for sign, each in zip(signs, new, strict=True)], axis=0)
    ic = (unit_ranks(np.where(total == 0, np.nan, total)) * unit_ranks(sealed.ranks)).sum(1, dtype=float)
    for text, own, each, share in zip(texts, old, new, kept, strict=True):
        print(f"  {icir(own):+.3f} {icir(each.ic):+.3f} {share:+.2f}  {text}")
    return {
        "factors": name,
        "chosen": len(texts),
        "keep sign": int(sum(share > 0 for share in kept)),
        "keep half": int(sum(share >= 0.5 for share in kept)),
        "mean |ICIR| train": float(np.mean([abs(icir(own)) for own in old])),
        "mean ICIR sealed": float(np.mean([sign * icir(each.ic) for sign, each in zip(signs, new, strict=True)])),
        "sum: Rank IC": float(ic.mean()),
        "sum: ICIR": icir(ic),
        "sum: t": t_of_ic(ic, 20),
    }


def main() -> None:
    """Print the table of benchmarks/README.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--factors", required=True, type=Path)
    parser.add_argument("--train", type=days, default=days("2010:2015"))
    parser.add_argument("--valid", type=days, default=days("2016:2016"))
    parser.add_argument("--sealed", type=days, nargs=2, default=[days("2017:2020"), days("2021:2021")])
    args = parser.parse_args()
    qlib.init(provider_uri=args.data, region="cn", logging_level=40)
    found, _ = read_columns(args.factors)
    alpha158, _ = Alpha158DL.get_feature_config(FEATURES)
    fields = fields_in([*found, *alpha158])
    before = evolution_of(fields, args.train, args.valid)
    taken = by_the_rules(before, alpha158)
    sealed = evolution_of(fields, *args.sealed)
    lines = [look("found", list(found), before, sealed), look("Alpha158", taken, before, sealed)]
    print(pd.DataFrame(lines).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
