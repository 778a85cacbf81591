"""Relational embedding of 5,000 stocks: attention within groups beside the same pairs as edges. Prints one table.

31 groups of 22 to about 300 stocks, a million pairs; forward and backward with 64 hidden values, one torch thread. The
ratio is to the same pairs listed as edges and summed by scatter; "encoder" is the step of a 2-layer LSTM of 30 days.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import torch
from torch import Tensor, nn

from benchmarks.measure import machine, ratio, table, target, times
from qlib_ext.layers.encoder import RecurrentEncoder
from qlib_ext.layers.relation_embedding import STRENGTHS, RelationalEmbedding
from qlib_ext.layers.relation_graph import RelationGraph

STOCKS, GROUPS, HIDDEN, DAYS, FIELDS = 5_000, 31, 64, 30, 6
FASTER, SHARE = 15.0, 0.1  # than edges, at least; of the encoder's step, at most; both for implicit


def main() -> None:
    options = parse_arguments()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    groups, edges = graphs()
    e = torch.randn(STOCKS, HIDDEN, requires_grad=True)
    x = torch.randn(DAYS, STOCKS, FIELDS).transpose(0, 1)
    encoder = RecurrentEncoder(FIELDS, HIDDEN, 2, base_model="LSTM")
    lines = []
    for strength in STRENGTHS:
        layer = RelationalEmbedding(HIDDEN, GROUPS, strength)
        by_group, by_edge, encoding = [], [], []
        for _ in range(options.rounds):  # the sides take turns
            by_group.append(step(layer, e, groups))
            by_edge.append(step(layer, e, edges))
            encoding.append(step(encoder, x))
        faster, share = ratio(by_edge, by_group), ratio(by_group, encoding)
        goals = (target(FASTER, faster, True), target(SHARE, share, False)) if strength == "implicit" else ("", "")
        figures = (f"{1000 * median(by_group):.0f}", f"{1000 * median(by_edge):.0f}", times(faster), goals[0])
        lines.append((strength, *figures, f"{share:.3f}", goals[1]))
    print(machine(options.threads), end="\n\n")
    head = ("strength", "groups, ms", "edges, ms", "faster", "target", "of the encoder's step", "target")
    print(table(head, lines))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.relations_speed", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: 3)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default: 1)")
    return parser.parse_args()


def graphs() -> tuple[RelationGraph, RelationGraph]:
    """The same related pairs as groups and as edges."""
    sizes = torch.linspace(22, 300, GROUPS).round().long()
    sizes[-1] += STOCKS - sizes.sum()
    group = torch.arange(GROUPS).repeat_interleave(sizes)[torch.randperm(STOCKS)]
    none, nothing = torch.zeros(0, dtype=torch.long), torch.zeros(0)
    groups = RelationGraph(group, torch.arange(GROUPS), none, none, none, none, nothing)
    target, source = (group[:, None] == group).fill_diagonal_(False).nonzero(as_tuple=True)
    alone, edge = torch.full_like(group, -1), torch.arange(len(target))
    return groups, RelationGraph(alone, none, target, source, edge, group[target], torch.ones(len(target)))


def step(module: nn.Module, *inputs: Tensor | RelationGraph) -> float:
    """Seconds of forward and backward."""
    start = time.perf_counter()
    module(*inputs).square().sum().backward()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
