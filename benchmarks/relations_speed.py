"""Attention among related stocks, 5,000 of them: within groups beside the same pairs as edges, and on several networks.

31 groups of 22 to about 300 stocks, a million pairs; forward and backward with 64 hidden values, one torch thread. In
the first table, of the relational embedding, the ratio is to the same pairs listed as edges and summed by one scatter
of all their terms; "edges" sums them a cacheful at a time, as ``edge_sums`` does; the encoder is a 2-layer LSTM of 30
days. The second is of NetworkGAT's attention, 4 heads of 16, on the groups, on networks of 15 neighbours a stock and on
both, beside its encoder, a GRU of one layer; the memory is that of one step.
"""

from __future__ import annotations

import argparse
import time
from statistics import median
from unittest.mock import patch

import torch
from torch import Tensor, nn

from benchmarks.measure import in_fresh_process, machine, peak_bytes, ratio, reset_peak, table, target, times
from qlib_ext.layers import edge_sums
from qlib_ext.layers.encoder import RecurrentEncoder
from qlib_ext.layers.network_attention import NetworkAttention
from qlib_ext.layers.relation_embedding import STRENGTHS, RelationalEmbedding
from qlib_ext.layers.relation_graph import RelationGraph

STOCKS, GROUPS, HIDDEN, DAYS, FIELDS = 5_000, 31, 64, 30, 6
FASTER, SHARE = 15.0, 0.1  # than edges, at least; of the encoder's step, at most; both for implicit
NEIGHBOURS = 15
NETWORK_SHARE, NETWORK_GB = 0.25, 3.0  # of the encoder's step, and of memory for a step, at most


def main() -> None:
    options = parse_arguments()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    print(machine(options.threads), end="\n\n")
    print(embedding(options.rounds), end="\n\n")
    print(networks(options.rounds, options.threads))


def embedding(rounds: int) -> str:
    """The table of the relational embedding."""
    groups = grouped()
    edges = listed(groups)
    e = torch.randn(STOCKS, HIDDEN, requires_grad=True)
    x = torch.randn(DAYS, STOCKS, FIELDS).transpose(0, 1)
    encoder = RecurrentEncoder(FIELDS, HIDDEN, 2, base_model="LSTM")
    lines = []
    for strength in STRENGTHS:
        layer = RelationalEmbedding(HIDDEN, GROUPS, strength)
        by_group, by_edge, by_scatter, encoding = [], [], [], []
        for _ in range(rounds):  # the sides take turns
            by_group.append(step(layer, e, groups))
            by_edge.append(step(layer, e, edges))
            with patch.object(edge_sums, "CHUNK", len(edges.target)):
                by_scatter.append(step(layer, e, edges))
            encoding.append(step(encoder, x))
        faster, share = ratio(by_scatter, by_group), ratio(by_group, encoding)
        goals = (target(FASTER, faster, True), target(SHARE, share, False)) if strength == "implicit" else ("", "")
        seconds = (by_group, by_edge, by_scatter)
        figures = (*(f"{1000 * median(each):.0f}" for each in seconds), times(faster), goals[0])
        lines.append((strength, *figures, f"{share:.3f}", goals[1]))
    head = (
        "strength",
        "groups, ms",
        "edges, ms",
        "scatter, ms",
        "scatter over groups",
        "target",
        "of the encoder's step",
        "target",
    )
    return table(head, lines)


def networks(rounds: int, threads: int) -> str:
    """The table of NetworkGAT's attention."""
    groups = grouped()
    beside = {
        "groups": [groups],
        f"{NEIGHBOURS} neighbours": [neighbours()],
        f"groups and {NEIGHBOURS} neighbours": [groups, neighbours()],
        f"two of {NEIGHBOURS} neighbours": [neighbours(), neighbours()],
        f"groups and two of {NEIGHBOURS} neighbours": [groups, neighbours(), neighbours()],
    }
    lines = []
    for name, read in beside.items():
        attending, encoding, peak = in_fresh_process(network_steps, read, rounds, threads)
        share = ratio(attending, encoding)
        figures = (f"{1000 * median(attending):.0f}", f"{1000 * median(encoding):.0f}", f"{share:.0%}")
        goals = target(NETWORK_SHARE, share, False), target(NETWORK_GB, peak, False)
        lines.append((name, *figures, goals[0], f"{peak:.2f}", goals[1]))
    head = ("networks", "attention, ms", "encoder, ms", "share", "target", "peak of a step, GB", "target")
    return table(head, lines)


def network_steps(networks: list[RelationGraph], rounds: int, threads: int) -> tuple[list[float], list[float], float]:
    """Seconds of the attention's and the encoder's steps, in turns, and the peak GB of a step of both together."""
    torch.set_num_threads(threads)
    encoder, attention = RecurrentEncoder(FIELDS, HIDDEN, 1), NetworkAttention(HIDDEN, len(networks))
    x = torch.randn(DAYS, STOCKS, FIELDS).transpose(0, 1)
    before = reset_peak()
    attention(encoder(x), networks).square().sum().backward()
    peak = (peak_bytes() - before) / 1e9
    e = torch.randn(STOCKS, HIDDEN, requires_grad=True)
    attending, encoding = [], []
    for _ in range(rounds):  # the sides take turns
        attending.append(step(attention, e, networks))
        encoding.append(step(encoder, x))
    return attending, encoding, peak


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.relations_speed", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: 3)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default: 1)")
    return parser.parse_args()


def grouped() -> RelationGraph:
    """Stocks that are related within groups."""
    sizes = torch.linspace(22, 300, GROUPS).round().long()
    sizes[-1] += STOCKS - sizes.sum()
    group = torch.arange(GROUPS).repeat_interleave(sizes)[torch.randperm(STOCKS)]
    none, nothing = torch.zeros(0, dtype=torch.long), torch.zeros(0)
    return RelationGraph(group, torch.arange(GROUPS), none, none, none, none, nothing)


def listed(groups: RelationGraph) -> RelationGraph:
    """The pairs of the groups as edges."""
    group = groups.group
    target, source = (group[:, None] == group).fill_diagonal_(False).nonzero(as_tuple=True)
    return edges_of(target, source, group[target])


def neighbours() -> RelationGraph:
    """So many random neighbours of each stock."""
    target = torch.arange(STOCKS).repeat_interleave(NEIGHBOURS)
    return edges_of(target, torch.randint(STOCKS, target.shape), torch.zeros_like(target))


def edges_of(target: Tensor, source: Tensor, relation: Tensor) -> RelationGraph:
    """A graph without groups, one relation an edge, of weight 1."""
    alone, none = torch.full((STOCKS,), -1), torch.zeros(0, dtype=torch.long)
    return RelationGraph(alone, none, target, source, torch.arange(len(target)), relation, torch.ones(len(target)))


def step(module: nn.Module, *inputs: Tensor | RelationGraph | list[RelationGraph]) -> float:
    """Seconds of forward and backward."""
    start = time.perf_counter()
    module(*inputs).square().sum().backward()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
