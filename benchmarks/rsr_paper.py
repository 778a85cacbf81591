"""Relational Stock Ranking on the data of its paper, Feng et al., Temporal Relational Ranking for Stock Prediction.

Rank_LSTM, GCN, RSR_E and RSR_I on NASDAQ and NYSE, industries as relations; the paper's MSE, MRR and IRR (top 1), Rank
IC, ICIR and the top 5, 10 and 50, and beside them scores that learn nothing. Without --paper: one training of LSTM and
relations, features over the last close, a return as output, the epoch of the best validation Rank IC. With --paper, the
published program: prices over their maximum of 2013 to 2017, a price as output, relations over the frozen states of
Rank_LSTM, training days whose labels reach into validation, a mask that knows the label's day, and the softmax of
``PublishedPropagation``. Both stop after ten epochs without a better one; the program goes through all fifty.

A run is one row of benchmarks/rsr_paper.csv; one that stands there is not repeated. Runs on the GPU where there is one;
several processes may write one file, as long as no two do the same run.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from benchmarks.measure import table
from benchmarks.rsr_market import TRAIN_END, Market, baselines, days_of, measure, read_market
from benchmarks.rsr_nets import MODELS, Net
from qlib_ext.cross_section.tensor_ic import rank_information_coefficient
from qlib_ext.losses import pairwise_rank
from qlib_ext.system.locks import locked

RESULTS = Path(__file__).resolve().with_name("rsr_paper.csv")
PARAMETERS = {"NASDAQ": (16, 64, 0.1), "NYSE": (8, 32, 10.0)}  # S, U and alpha that the published program names
KEY = ["market", "protocol", "model", "seed", "length", "units", "alpha"]
FIGURES = {"mse": ".3e", "mrr": ".4f", "top1": ".2f", "rank_ic": ".4f", "icir": ".2f"}
FIGURES |= {"top5": ".2f", "top10": ".2f", "top50": ".2f"}
EPOCHS, EARLY_STOP, LEARNING_RATE = 50, 10, 1e-3


class Protocol:
    """How one market becomes inputs, labels and masks of a day, and which days are trained on."""

    def __init__(self, market: Market, published: bool, length: int) -> None:
        self.market, self.published, self.length = market, published, length
        self.train_days = days_of("train", length)
        if published:
            self.x = market.x.nan_to_num(1.1)  # as the program fills
        else:
            averages = (market.x[:TRAIN_END, :, :-1] / market.close[:TRAIN_END, :, None]).flatten()
            self.scale = averages[torch.isfinite(averages)].std()

    def epoch(self, random: np.random.Generator) -> np.ndarray:
        """The days of an epoch, in random order; the program draws its windows' first days from all training days."""
        if not self.published:
            return random.permutation(np.array(self.train_days))
        first = random.permutation(TRAIN_END)[: len(self.train_days)]
        return first + self.length - 1

    def inputs(self, day: int) -> Tensor:
        """``[stocks, S, 5]``."""
        window = slice(day - self.length + 1, day + 1)
        if self.published:
            return self.x[window].transpose(0, 1)
        x = self.market.x[window] / self.market.close[day, :, None] - 1  # as of the day
        return (x / self.scale).nan_to_num(0.0).transpose(0, 1)

    def mask(self, day: int) -> Tensor:
        return self.market.present(day, self.length, with_label=self.published)

    def score(self, output: Tensor, day: int) -> Tensor:
        """The predicted return, ``[stocks]``."""
        if not self.published:
            return output
        price = self.x[day, :, -1]
        return (output - price) / price


def main() -> None:
    options = parse_arguments()
    torch.set_num_threads(options.threads)
    for name in () if options.table else options.markets:
        run_market(name, options)
    print(summary(pd.read_csv(options.results)))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rsr_paper",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""examples:
  python -m benchmarks.rsr_paper --data ../shared/rsr --paper    the published program, with its leaks
  python -m benchmarks.rsr_paper --data ../shared/rsr            without them
  python -m benchmarks.rsr_paper --table                         only the table of what has been run
""",
    )
    parser.add_argument("--data", metavar="DIR", help="the folder of the paper's data")
    parser.add_argument("--paper", action="store_true", help="the published program's protocol, leaks included")
    parser.add_argument("--markets", nargs="+", default=list(PARAMETERS), choices=PARAMETERS, metavar="NAME")
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS, metavar="NAME", help=", ".join(MODELS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4], help="seeds (default: 0 to 4)")
    parser.add_argument("--length", type=int, metavar="S", help="days of a window (default: the program's)")
    parser.add_argument("--units", type=int, metavar="U", help="units of the LSTM (default: the program's)")
    parser.add_argument("--alpha", type=float, help="weight of the rank loss (default: the program's)")
    parser.add_argument("--states", default=".data/rsr", metavar="DIR", help="where trained Rank_LSTMs are kept")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu, cuda, cuda:1")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FILE", help="rows (benchmarks/rsr_paper.csv)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default: 1)")
    parser.add_argument("--table", action="store_true", help="run nothing")
    options = parser.parse_args()
    if not options.table and not options.data:
        parser.error("name the folder of the paper's data with --data")
    return options


def run_market(name: str, options: argparse.Namespace) -> None:
    """Every run of one market that is not recorded yet."""
    market = read_market(options.data, name).to(torch.device(options.device))
    given = (options.length, options.units, options.alpha)
    length, units, alpha = (
        own if own is not None else usual for own, usual in zip(given, PARAMETERS[name], strict=True)
    )
    protocol = Protocol(market, options.paper, length)
    key = {"market": name, "protocol": "paper" if options.paper else "clean"}
    for seed in options.seeds:
        of_baselines = key | {"seed": seed, "length": length, "units": 0, "alpha": 0.0}
        run_baselines(protocol, of_baselines, options.results)
        for model in options.models:
            run = key | {"model": model, "seed": seed, "length": length, "units": units, "alpha": alpha}
            if not recorded(run, options.results):
                start = time.perf_counter()
                row = train(protocol, model, seed, units, alpha, Path(options.states))
                row |= {"minutes": round((time.perf_counter() - start) / 60, 1), "device": options.device}
                record(run | row, options.results)


def run_baselines(protocol: Protocol, key: dict, results: Path) -> None:
    days = days_of("test", protocol.length)
    mask = torch.stack([protocol.mask(day) for day in days])
    label = torch.stack([protocol.market.label(day) for day in days])
    for model, scores in baselines(protocol.market, days, mask, key["seed"]).items():
        if not recorded(key | {"model": model}, results):
            row = measure(scores, label, mask)  # zero orders no stocks, and the others predict no returns
            kept = {name: row[name] for name in FIGURES if (name == "mse") == (model == "zero")}
            record(key | {"model": model} | kept, results)


Inputs = Callable[[int], Tensor]  # what a net reads of a day


def train(protocol: Protocol, model: str, seed: int, units: int, alpha: float, states: Path) -> dict:
    """Train one net and measure it on the test days."""
    inputs: Inputs = protocol.inputs
    if protocol.published and model != "Rank_LSTM":
        state = frozen_states(protocol, seed, units, alpha, states)
        inputs = state.__getitem__
    torch.manual_seed(seed)
    net = Net(model, units, protocol.market.graph, protocol.published).to(protocol.market.x.device)
    curves = fit(net, protocol, inputs, alpha, seed)
    if protocol.published and model == "Rank_LSTM":
        file = states_file(protocol, seed, units, alpha, states)
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save(net.state_dict(), file)
    return evaluate(net, protocol, inputs, days_of("test", protocol.length)) | curves


def fit(net: nn.Module, protocol: Protocol, inputs: Inputs, alpha: float, seed: int) -> dict:
    """Adam, a day a step; the weights of the best epoch by validation are kept."""
    optimizer = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE, fused=True)
    random = np.random.default_rng(seed)
    best, best_epoch, weights, epoch = -np.inf, 0, {}, 0
    for epoch in range(EPOCHS):
        for day in protocol.epoch(random):
            loss = loss_of(net, protocol, inputs, int(day), alpha)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        quality = validate(net, protocol, inputs, alpha)
        print(f"  epoch {epoch}: validation {quality:.6f}", file=sys.stderr, flush=True)
        if quality > best:
            best, best_epoch, weights = quality, epoch, copy.deepcopy(net.state_dict())
        elif epoch - best_epoch >= EARLY_STOP:
            break
    net.load_state_dict(weights)
    return {"epochs": epoch + 1, "best_epoch": best_epoch, "validation": best}


def loss_of(net: nn.Module, protocol: Protocol, inputs: Inputs, day: int, alpha: float) -> Tensor:
    """MSE and alpha times the pairwise rank loss; the program's mean is over the squares of all stocks, missing too."""
    label = protocol.market.label(day)
    mask = protocol.mask(day) & torch.isfinite(label)
    score = protocol.score(net(inputs(day)), day)
    score, label, mask = score[None], label.nan_to_num(0.0)[None], mask[None]
    share = mask.sum() * (mask.sum() - 1) / mask.numel() ** 2 if protocol.published else 1.0
    return ((score - label)[mask] ** 2).mean() + alpha * share * pairwise_rank(score, label, mask)


@torch.no_grad()
def validate(net: nn.Module, protocol: Protocol, inputs: Inputs, alpha: float) -> float:
    """Higher is better: the mean Rank IC of validation; for the program its loss, negative."""
    days = days_of("valid", protocol.length)
    if protocol.published:
        return -float(np.mean([loss_of(net, protocol, inputs, day, alpha).item() for day in days]))
    ic = []
    for day in days:
        label = protocol.market.label(day)
        known = protocol.mask(day) & torch.isfinite(label)
        ic.append(rank_information_coefficient(net(inputs(day))[None], label.nan_to_num(0.0)[None], known[None]))
    return float(torch.cat(ic).mean())


@torch.no_grad()
def evaluate(net: nn.Module, protocol: Protocol, inputs: Inputs, days: range) -> dict:
    scores = torch.stack([protocol.score(net(inputs(day)), day) for day in days])
    label = torch.stack([protocol.market.label(day) for day in days])
    return measure(scores, label, torch.stack([protocol.mask(day) for day in days]))


def states_file(protocol: Protocol, seed: int, units: int, alpha: float, folder: Path) -> Path:
    return folder / f"{protocol.market.name}_{protocol.length}_{units}_{alpha}_{seed}.pt"


@torch.no_grad()
def frozen_states(protocol: Protocol, seed: int, units: int, alpha: float, folder: Path) -> Tensor:
    """Rank_LSTM's last states of all days, ``[days, stocks, units]``, 0 before the first window is complete."""
    file = states_file(protocol, seed, units, alpha, folder)
    if not file.exists():
        sys.exit(f"{file} is not there: delete the rows of Rank_LSTM, or give its folder with --states")
    device = protocol.market.x.device
    net = Net("Rank_LSTM", units, protocol.market.graph, published=True).to(device)
    net.load_state_dict(torch.load(file, weights_only=True, map_location=device))
    days, stocks = protocol.market.close.shape
    states = torch.zeros(days, stocks, units, device=device)
    for day in range(protocol.length - 1, days):
        states[day] = net.state(protocol.inputs(day))
    return states


def recorded(run: dict, results: Path) -> bool:
    if not results.exists():
        return False
    known = pd.read_csv(results)
    return bool((known[list(run)] == pd.Series(run)).all(axis=1).any())


def record(row: dict, results: Path) -> None:
    """Append one run, unless another process was quicker."""
    columns = [*KEY, *FIGURES, "epochs", "best_epoch", "validation", "minutes", "device"]
    frame = pd.DataFrame([row]).reindex(columns=columns)
    with locked(results.with_suffix(".lock")):
        if not recorded({name: row[name] for name in KEY}, results):
            frame.to_csv(results, mode="a", header=not results.exists(), index=False, float_format="%.8g")


def summary(results: pd.DataFrame) -> str:
    """One line a model: mean and standard deviation over its seeds, for each market and protocol."""
    lines = []
    for (market, protocol, model), runs in results.groupby(["market", "protocol", "model"], sort=False):
        cells = [
            "" if runs[name].isna().all() else f"{runs[name].mean():{form}} ± {runs[name].std(ddof=0):{form}}"
            for name, form in FIGURES.items()
        ]
        lines.append((market, protocol, model, str(len(runs)), *cells))
    return table(("market", "protocol", "model", "seeds", *(name.upper() for name in FIGURES)), lines)


if __name__ == "__main__":
    main()
