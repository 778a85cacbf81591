"""How far do the scores of day t move when everything after day t is replaced by noise? Prints one table.

Qlib's GATs_ts and ours carry the same weights and read the same rows. The scores of the days up to the middle of the
test segment are compared between the true rows and rows whose later half is noise. A model that reads nothing of the
future does not move at all. Qlib's ``DailyBatchSampler`` takes consecutive rows of one stock for the stocks of one
day, because ``TSDataSampler`` sorts its rows by instrument (microsoft/qlib issue 2319), and attention then mixes a
stock's past with its own future.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
import torch
from qlib.contrib.model.pytorch_gats_ts import GATs as ZooGATs
from qlib.data.dataset import TSDatasetH
from qlib.data.dataset.handler import DataHandlerLP
from qlib.data.dataset.loader import StaticDataLoader

from benchmarks.measure import table
from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.data.window import Window
from qlib_ext.models.gats import GATs

STEP_LEN = 20


def random_rows(days: int, stocks: int, fields: int, seed: int) -> pd.DataFrame:
    """Rows of (feature, label) by (datetime, instrument)."""
    index = pd.MultiIndex.from_product(
        [pd.bdate_range("2020-01-01", periods=days), [f"SH{600000 + i}" for i in range(stocks)]],
        names=["datetime", "instrument"],
    )
    columns = pd.MultiIndex.from_tuples([("feature", f"F{i}") for i in range(fields)] + [("label", "LABEL0")])
    values = np.random.default_rng(seed).standard_normal((len(index), fields + 1)).astype(np.float32)
    return pd.DataFrame(values, index=index, columns=columns)


def zoo_weights(net: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The state_dict of the Model Zoo's GATModel under the names of our GATsNet with one layer."""
    names = {"rnn": "encoder.rnn", "transformation": "attention.0.transformation.0", "a": "attention.0.a.0"}
    own = {}
    for name, value in net.state_dict().items():
        first, dot, rest = name.partition(".")
        own[names.get(first, first) + dot + rest] = value
    return own


def scores_of_both(
    rows: pd.DataFrame, zoo: ZooGATs, ours: GATs, first_day: pd.Timestamp
) -> tuple[pd.Series, pd.Series]:
    """The test scores of Qlib's model and of ours."""
    segments = {"test": (first_day, None)}
    handler = DataHandlerLP(data_loader=StaticDataLoader(rows.copy()))
    theirs = zoo.predict(TSDatasetH(handler=handler, segments=segments, step_len=STEP_LEN))
    return theirs.sort_index(), ours.predict(CrossSectionDataset(handler, segments, STEP_LEN, purge=0))


def measure(days: int = 120, stocks: int = 60, fields: int = 20, seed: int = 0) -> pd.DataFrame:
    """Movement of the scores up to the middle of the test days: mean and largest, in standard deviations of a score."""
    torch.manual_seed(seed)
    options = {"d_feat": fields, "hidden_size": 64, "num_layers": 2, "base_model": "LSTM", "GPU": -1}
    zoo, ours = ZooGATs(**options, n_jobs=0), GATs(**options)
    zoo.fitted = True
    layout = Window(STEP_LEN).layout(fields)
    net = ours.build(layout, pd.Index([]))
    net.load_state_dict(zoo_weights(zoo.GAT_model))
    ours.nets_, ours.layout_ = [net], layout

    rows = random_rows(days, stocks, fields, seed)
    dates = rows.index.unique("datetime")
    first_day, middle = dates[days // 2], dates[3 * days // 4]
    noise = rows.copy()
    later = noise.index.get_level_values("datetime") > middle
    noise.loc[later] = random_rows(days, stocks, fields, seed + 1)[later]
    movement = {}
    names = ("Qlib 0.9.7 GATs_ts", "qlib_ext GATs")
    pairs = zip(scores_of_both(rows, zoo, ours, first_day), scores_of_both(noise, zoo, ours, first_day), strict=True)
    for name, (true, noisy) in zip(names, pairs, strict=True):
        moved = (true - noisy).loc[:middle].abs() / true.std()
        movement[name] = {
            "mean movement": moved.mean(),
            "largest": moved.max(),
            "scores that moved": (moved > 1e-6).mean(),
        }
    return pd.DataFrame(movement).T


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stocks", type=int, default=60, help="stocks a day (default: 60)")
    parser.add_argument("--seed", type=int, default=0, help="of rows, noise and weights (default: 0)")
    args = parser.parse_args()
    moved = measure(stocks=args.stocks, seed=args.seed)
    lines = [(str(n), f"{row.iloc[0]:.4f}", f"{row.iloc[1]:.4f}", f"{row.iloc[2]:.1%}") for n, row in moved.iterrows()]
    print(table(("model", "mean movement, standard deviations of a score", "largest", "scores that moved"), lines))


if __name__ == "__main__":
    main()
