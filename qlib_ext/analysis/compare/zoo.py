"""The Model Zoo's published figures on Alpha158 and CSI300.

Source: Qlib, examples/benchmarks/README.md, table "Alpha158 dataset", as of commit 007082a; dates, label, universe
and price of the deals from examples/benchmarks/*/workflow_config_*_Alpha158.yaml.
"""

from __future__ import annotations

from dataclasses import dataclass

from qlib_ext.analysis.compare.runs import Setup

SOURCE = "https://github.com/microsoft/qlib/blob/main/examples/benchmarks/README.md"
SETUP = Setup("csi300", "2017-01-01 to 2020-08-01", "Ref($close, -2)/Ref($close, -1) - 1")
SEGMENTS = "train 2008-01-01 to 2014-12-31, valid 2015-01-01 to 2016-12-31"
BACKTEST = "TopkDropoutStrategy against SH000300, topk=50 n_drop=5 deal_price=close"
RUNS = 20

PUBLISHED_METRICS = (
    "IC",
    "ICIR",
    "Rank IC",
    "Rank ICIR",
    "excess return with cost",
    "information ratio",
    "max drawdown",
)

# class of task.model, the Zoo's name, how many of the 158 features it was given, then PUBLISHED_METRICS
_TABLE = """\
TCN              TCN            158 0.0275±0.00 0.2157±0.01 0.0411±0.00 0.3379±0.01 0.0190±0.02 0.2887±0.27 -0.1202±0.03
TabnetModel      TabNet         158 0.0204±0.01 0.1554±0.07 0.0333±0.00 0.2552±0.05 0.0227±0.04 0.3676±0.54 -0.1089±0.08
TransformerModel Transformer    158 0.0264±0.00 0.2053±0.02 0.0407±0.00 0.3273±0.02 0.0273±0.02 0.3970±0.26 -0.1101±0.02
GRU              GRU             20 0.0315±0.00 0.2450±0.04 0.0428±0.00 0.3440±0.03 0.0344±0.02 0.5160±0.25 -0.1017±0.02
LSTM             LSTM            20 0.0318±0.00 0.2367±0.04 0.0435±0.00 0.3389±0.03 0.0381±0.03 0.5561±0.46 -0.1207±0.04
LocalformerModel Localformer    158 0.0356±0.00 0.2756±0.03 0.0468±0.00 0.3784±0.03 0.0438±0.02 0.6600±0.33 -0.0952±0.02
SFM              SFM            158 0.0379±0.00 0.2959±0.04 0.0464±0.00 0.3825±0.04 0.0465±0.02 0.5672±0.29 -0.1282±0.03
ALSTM            ALSTM           20 0.0362±0.01 0.2789±0.06 0.0463±0.01 0.3661±0.05 0.0470±0.03 0.6992±0.47 -0.1072±0.03
GATs             GATs            20 0.0349±0.00 0.2511±0.01 0.0462±0.00 0.3564±0.01 0.0497±0.01 0.7338±0.19 -0.0777±0.02
TRAModel         TRA             20 0.0404±0.00 0.3197±0.05 0.0490±0.00 0.4047±0.04 0.0649±0.02 1.0091±0.30 -0.0860±0.02
LinearModel      Linear         158 0.0397±0.00 0.3000±0.00 0.0472±0.00 0.3531±0.00 0.0692±0.00 0.9209±0.00 -0.1509±0.00
TRAModel         TRA            158 0.0440±0.00 0.3535±0.05 0.0540±0.00 0.4451±0.03 0.0718±0.02 1.0835±0.35 -0.0760±0.02
CatBoostModel    CatBoost       158 0.0481±0.00 0.3366±0.00 0.0454±0.00 0.3311±0.00 0.0765±0.00 0.8032±0.01 -0.1092±0.00
XGBModel         XGBoost        158 0.0498±0.00 0.3779±0.00 0.0505±0.00 0.4131±0.00 0.0780±0.00 0.9070±0.00 -0.1168±0.00
TFTModel         TFT             20 0.0358±0.00 0.2160±0.03 0.0116±0.01 0.0720±0.03 0.0847±0.02 0.8131±0.19 -0.1824±0.03
DNNModelPytorch  MLP            158 0.0376±0.00 0.2846±0.02 0.0429±0.00 0.3220±0.01 0.0895±0.02 1.1408±0.23 -0.1103±0.02
LGBModel         LightGBM       158 0.0448±0.00 0.3660±0.00 0.0469±0.00 0.3877±0.00 0.0901±0.00 1.0164±0.00 -0.1038±0.00
DEnsembleModel   DoubleEnsemble 158 0.0544±0.00 0.4340±0.00 0.0523±0.00 0.4284±0.01 0.1168±0.01 1.3384±0.12 -0.1036±0.01
"""


@dataclass(frozen=True)
class Published:
    """A row of the Zoo's table: figures by column, each (mean, standard deviation) as printed there."""

    model: str
    features: int
    figures: dict[str, tuple[str, str]]


def published(params: dict[str, str]) -> list[Published]:
    """The rows of the model that a run's params name, a GRU on ``base_model: LSTM`` being the Zoo's LSTM."""
    kind = params.get("model.class", "").rpartition(".")[2]
    if kind == "GRU" and params.get("model.kwargs.base_model") == "LSTM":
        kind = "LSTM"
    return _ROWS.get(kind, [])


def _rows() -> dict[str, list[Published]]:
    rows: dict[str, list[Published]] = {}
    for line in _TABLE.splitlines():
        kind, model, features, *cells = line.split()
        figures = {}
        for column, cell in zip(PUBLISHED_METRICS, cells, strict=True):
            mean, spread = cell.split("±")
            figures[column] = mean, spread
        rows.setdefault(kind, []).append(Published(model, int(features), figures))
    return rows


_ROWS = _rows()
