"""The record that leaves a risk model's factor returns and bias statistics in Qlib's recorder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from qlib.config import C
from qlib.utils import init_instance_by_config
from qlib.utils.exceptions import LoadObjectError
from qlib.workflow.record_temp import RecordTemp
from qlib.workflow.recorder import Recorder

from qlib_ext.errors import ConfigError
from qlib_ext.keywords import check_types, keywords_of, refuse_unknown
from qlib_ext.risk.bias import FactorRisk, bias_table, bias_test
from qlib_ext.risk.model import StyleRiskModel
from qlib_ext.risk.universe import read_universe

MODEL = {"class": "StyleRiskModel", "module_path": "qlib_ext.risk.model"}


class RiskRecord(RecordTemp):
    """Tests the risk model on the days of a run's score, or on those that are named.

        - class: RiskRecord
          module_path: qlib_ext.risk.records
          kwargs: {universe: csi300, risk: {kwargs: {folder: .data/risk}}}

    universe     instruments whose members make up the portfolios, one name or several
    risk         the risk model, a dict of Qlib's form, by default StyleRiskModel of the provider's whole market
    first, last  days; None: the first and the last of pred.pkl
    model, dataset   not read: Qlib's trainer offers them to every record

    It saves into the artifact folder ``risk``, as pandas frames:

    factor_returns.pkl, t_statistics.pkl   [days, factors]
    statistics.pkl   [days, (stocks, r_squared, without, missing.<style>, excluded.<reason>)]
    bias.pkl         [kinds of portfolios, (years, all, mrad, days)], see ``bias_table``
    outcomes.pkl     [(kind, day), portfolios]: returns over forecasts

    ``risk.bias_<kind>`` and ``risk.mrad_<kind>`` are logged as metrics. Raises ConfigError for a run without a score
    whose days are not named, DataError where no day can be tested.
    """

    artifact_path = "risk"

    def __init__(
        self,
        recorder: Recorder,
        universe: str | Sequence[str] = "csi300",
        risk: Mapping[str, Any] | None = None,
        first: Any = None,
        last: Any = None,
        model: Any = None,
        dataset: Any = None,
        **unknown: Any,
    ) -> None:
        refuse_unknown(unknown, keywords_of(RiskRecord), type(self).__name__)
        check_types(RiskRecord.__init__, locals())
        super().__init__(recorder=recorder)
        self.universe = [universe] if isinstance(universe, str) else list(universe)
        self.risk, self.first, self.last = MODEL | dict(risk or {}), first, last

    def list(self) -> list[str]:
        """The files that it saves."""
        return [f"{name}.pkl" for name in ("factor_returns", "t_statistics", "statistics", "bias", "outcomes")]

    def generate(self, **kwargs: Any) -> dict[str, pd.DataFrame]:
        """Test, save and log; returns what it saved."""
        first, last = self._days()
        model: StyleRiskModel = init_instance_by_config(self.risk, accept_types=StyleRiskModel)
        universe = read_universe(str(C.dpm.get_data_uri("day")), self.universe)
        outcomes = bias_test(
            lambda day, stocks: FactorRisk.of(model, day, stocks), model, universe.close, universe.members, first, last
        )
        table = bias_table(outcomes)
        within = slice(first, last)
        results = {
            "factor_returns.pkl": model.factor_returns.loc[within],
            "t_statistics.pkl": model.t_statistics().loc[within],
            "statistics.pkl": model.statistics().loc[within],
            "bias.pkl": table,
            "outcomes.pkl": pd.concat(outcomes, names=["kind", "datetime"]),
        }
        self.save(**results)
        for kind, row in table.iterrows():
            self.recorder.log_metrics(
                **{f"risk.bias_{kind}": float(row["all"]), f"risk.mrad_{kind}": float(row["mrad"])}
            )
        print(table.round(3).to_string())
        return results

    def _days(self) -> tuple[pd.Timestamp, pd.Timestamp]:
        if self.first is not None and self.last is not None:
            return pd.Timestamp(self.first), pd.Timestamp(self.last)
        try:
            days = self.recorder.load_object("pred.pkl").index.get_level_values("datetime")
        except LoadObjectError as error:
            raise ConfigError(
                "RiskRecord takes its days from pred.pkl, and there is none: put it after SignalRecord, or give first "
                "and last."
            ) from error
        return pd.Timestamp(self.first or days.min()), pd.Timestamp(self.last or days.max())
