"""Seconds of the processor that a factor search takes an expression, beside pandas on the same stocks and days.

    OMP_NUM_THREADS=1 python -m benchmarks.search_speed --data PROVIDER --train 2015:2020 --valid 2021:2021

The labels are shuffled within the day, so that nothing is learnt of these years. gplearn takes part where it is
installed, with expressions without windows: it has no dates and no stocks, so that a mean over five rows would run from
one stock into the next, and its Spearman correlation is one over all rows.
"""

from __future__ import annotations

import argparse
import operator
import resource
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import qlib

from qlib_ext.cli.search import days
from qlib_ext.search.evaluation import Sample, ic_and_coverage
from qlib_ext.search.evolution import Evolution, Plan, ground_of
from qlib_ext.search.grammar import DEFAULT_FIELDS, LONGEST, Grammar
from qlib_ext.search.market import known_fields, read_market
from qlib_ext.search.pool import Rules
from qlib_ext.search.search import LABEL
from qlib_ext.search.statistics import shuffled_within_days
from qlib_ext.search.tree import Node

PLAIN = {"Add": operator.add, "Sub": operator.sub, "Mul": operator.mul, "Div": operator.truediv}
ROLLING = {"Mean": "mean", "Std": "std", "Max": "max", "Min": "min"}
GPLEARN = {"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "abs": "Abs", "log": "Log"}
COMPARED = 20


def in_pandas(node: Node, fields: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The expression over frames [days, stocks]; KeyError for an operator that pandas has no method for."""
    if not node.children:
        return fields[node.name]
    own = [in_pandas(child, fields) for child in node.children]
    if node.name in PLAIN:
        return PLAIN[node.name](*own)
    if node.name == "Ref":
        return own[0].shift(node.window)
    if node.name == "Corr":
        return own[0].rolling(node.window, min_periods=1).corr(own[1])
    if node.name == "Rank":
        return own[0].rolling(node.window, min_periods=1).rank(pct=True)
    return getattr(own[0].rolling(node.window, min_periods=1), ROLLING[node.name])()


def pandas_ic(node: Node, fields: dict[str, pd.DataFrame], places: np.ndarray, labels: pd.DataFrame) -> pd.Series:
    """The daily IC of its ranks, as the screening has it."""
    values = in_pandas(node, fields).iloc[places].replace([np.inf, -np.inf], np.nan)
    values.index = labels.index
    return values.where(labels.notna()).rank(axis=1).corrwith(labels, axis=1)


def main() -> None:
    """Print the table of benchmarks/README.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--train", type=days, required=True)
    parser.add_argument("--valid", type=days, required=True)
    parser.add_argument("--generations", type=int, default=3)
    parser.add_argument("--size", type=int, default=500)
    args = parser.parse_args()
    qlib.init(provider_uri=args.data, region="cn", logging_level=40)
    grammar = Grammar(tuple(known_fields(DEFAULT_FIELDS, "all")))
    market = read_market(grammar.fields, LABEL, "all", args.train, args.valid, LONGEST)
    rules = Rules(margin=-100.0, parts=0, valid_share=-100.0)  # shuffled labels would leave the pool empty
    plan = Plan(grammar, rules, 10, 0, args.size, measured=5)
    ground = ground_of(market, {"shuffled": shuffled_within_days(market.labels, 0)}, 0)
    evolution = Evolution(ground, "shuffled", plan)
    spent: dict[str, list[float]] = defaultdict(list)

    def map_chunks(work, jobs):
        begin = time.process_time()
        results = [work(ground, job) for job in jobs]
        number = sum(len(job.nodes) for job in jobs)
        spent[work.__name__].append((time.process_time() - begin) / number)
        return results

    for _ in range(args.generations):
        generation = evolution.step(map_chunks)
    print(f"{len(market.stocks):,} stocks, {len(market.days):,} days of bars, {args.size} expressions a generation")
    for name, seconds in spent.items():
        print(f"{name}: {', '.join(f'{1000 * each:.0f}' for each in seconds)} ms an expression, by generation")
    grid, stocks = ground.grid, ground.sampled[1]
    sample = Sample(ground.bars[1], ground.days[grid], ground.labels["shuffled"][grid][:, stocks])
    print(f"a fifth: {sample.bars.values.shape[1]} stocks, {len(sample.days)} days ranked")
    beside_pandas(generation.nodes, sample)
    beside_gplearn(sample)
    print(f"most memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


def beside_pandas(nodes: list[Node], sample: Sample) -> None:
    """Both on the same expressions and sample, and how far their ICs are apart."""
    known = {*PLAIN, *ROLLING, "Ref", "Corr", "Rank"}
    plain = [node for node in nodes if all(not each.children or each.name in known for _, each in node.paths())]
    plain = plain[:COMPARED]
    fields = dict(zip(sample.bars.names, (pd.DataFrame(own.T) for own in sample.bars.values), strict=True))
    labels = pd.DataFrame(sample.labels)
    begin = time.process_time()
    ours, _ = ic_and_coverage(sample, plain)
    middle = time.process_time()
    theirs = [pandas_ic(node, fields, sample.days, labels).to_numpy() for node in plain]
    end = time.process_time()
    apart = np.nanmedian(np.abs(ours - np.stack(theirs)))
    print(
        f"{len(plain)} expressions on that sample: ours {(middle - begin) / len(plain) * 1000:.0f} ms each, pandas "
        f"{(end - middle) / len(plain) * 1000:.0f} ms, median difference of an IC {apart:.1e}"
    )


def beside_gplearn(sample: Sample) -> None:
    """Random programs of gplearn's over the fields, with its fitness, and the same trees by ours."""
    try:
        from gplearn._program import _Program
        from gplearn.fitness import _fitness_map
        from gplearn.functions import _function_map
    except ImportError:
        print("gplearn is not installed: pip install gplearn")
        return
    known = ~np.isnan(sample.labels)
    rows = np.stack([own[:, sample.days].T[known] for own in sample.bars.values], axis=1).astype(float)
    rows, labels, weight = np.nan_to_num(rows), sample.labels[known], np.ones(int(known.sum()))
    functions = [_function_map[name] for name in GPLEARN]
    arities = {arity: [each for each in functions if each.arity == arity] for arity in (1, 2)}
    programs = [
        _Program(
            function_set=functions,
            arities=arities,
            init_depth=(2, 4),
            init_method="half and half",
            n_features=rows.shape[1],
            const_range=None,
            metric=_fitness_map["spearman"],
            p_point_replace=0.05,
            parsimony_coefficient=0.0,
            random_state=np.random.RandomState(seed),
        )
        for seed in range(COMPARED)
    ]
    nodes = [_node_of(iter(each.program), sample.bars.names) for each in programs]
    begin = time.process_time()
    ic_and_coverage(sample, nodes)
    middle = time.process_time()
    for each in programs:
        each.raw_fitness(rows, labels, weight)
    end = time.process_time()
    print(
        f"{len(nodes)} expressions without windows, {len(rows):,} rows: "
        f"ours {(middle - begin) / COMPARED * 1000:.0f} ms each, gplearn {(end - middle) / COMPARED * 1000:.0f} ms"
    )


def _node_of(parts: Iterator, names: Sequence[str]) -> Node:
    """The tree of gplearn's list of functions and places of fields, the root first."""
    part = next(parts)
    if isinstance(part, int):
        return Node(names[part])
    return Node(GPLEARN[part.name], tuple(_node_of(parts, names) for _ in range(part.arity)))


if __name__ == "__main__":
    main()
