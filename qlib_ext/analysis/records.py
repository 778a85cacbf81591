"""The record that tests a score as the reports test a factor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pprint import pprint
from typing import Any

import pandas as pd
from qlib.log import get_module_logger
from qlib.utils.exceptions import LoadObjectError
from qlib.workflow import R
from qlib.workflow.record_temp import ACRecordTemp
from qlib.workflow.recorder import Recorder

from qlib_ext.analysis import backtest, reading
from qlib_ext.analysis.correlation import rank_correlation
from qlib_ext.analysis.daily_ic import ic_frames
from qlib_ext.analysis.decay import decay_frame
from qlib_ext.analysis.exposures import INDUSTRY, SIZE, exposure_frames
from qlib_ext.analysis.groups import group_frames
from qlib_ext.analysis.indices import index_frames, index_metrics
from qlib_ext.analysis.metrics import METRICS
from qlib_ext.analysis.reading import STYLES
from qlib_ext.analysis.report.texts import LANGUAGES
from qlib_ext.analysis.score import Score
from qlib_ext.analysis.state_weights import state_frames
from qlib_ext.analysis.strategy import strategy_frames, strategy_metrics
from qlib_ext.analysis.top_k import top_k_frame
from qlib_ext.cross_section.matrix import to_matrix, without_infinite
from qlib_ext.data.needs import Needs
from qlib_ext.errors import ConfigError, DataError, QlibExtError
from qlib_ext.expressions.reach import horizon_of
from qlib_ext.keywords import check_least, check_types, keywords_of, refuse_unknown
from qlib_ext.provider.names import fields_in

logger = get_module_logger("qlib_ext.analysis")

WHOLE_MARKET = 1_000  # stocks a day; the three CSI indices have as many or fewer


class FactorRecord(ACRecordTemp):
    """The factor analysis of the reports, after SignalRecord and, for the strategy table, after PortAnaRecord.

        - class: FactorRecord
          module_path: qlib_ext.analysis.records
          kwargs: {dataset: <DATASET>}

    model       <MODEL>, where it weighs networks as NetworkGAT does: their weights are saved
    label       expression of the return that the Rank IC is taken with, such as the reports' ten days,
                "Ref($vwap, -11)/Ref($vwap, -1) - 1"; None: the label that SignalRecord saved, column label_col
    horizon     trading days of that return; None: read from its expression, by ``label`` or by the dataset
    groups      None: 20 where an average day has more than 1,000 scores, else 5, as in the reports
    rebalance   trading days between two rebalancings of the groups
    price       the field that groups are bought, sold and valued at, the day after the score
    styles      names of price-volume factors, True for all, False for none; those whose fields or minute bars the
                provider lacks, or has only parts of, are left out; the log and the report say which and why
    market      the provider's instruments whose best 100 of a day the style DWF counts
    universes   the provider's instruments inside which the score is tested as well, such as ``[csi300, csi500]``: five
                groups of the members on the day; those that the provider lacks are left out, which log and report say
    compare_with  experiments whose last finished run's score is compared with this one's; one without is left out
    risk        the risk model to whose styles and industries the score's exposures are found, as Qlib writes a class;
                ``{kwargs: {folder: DIR}}`` is that of ``qlib-ext risk --out DIR``; None: without
    report      whether to write the page of ``qlib-ext report`` about this run as well
    lang        the language of that page, en or zh

    It saves into the artifact folder ``factor_analysis``, as pandas frames unless stated otherwise:

    about.pkl             dict: what was tested and how
    ic.pkl                [days, (ic, rank_ic, rank_ic_cumulative, spaced)]; spaced: every horizon-th trading day
    ic_summary.pkl        [(measure, period), (mean, std, icir, positive, days)], measures ic, rank_ic (daily) and
                          rank_ic_spaced; periods all, then the years
    ic_monthly.pkl        mean of the daily Rank IC, [years, months]
    ic_decay.pkl          [1 to 20 days, (rank_ic, icir, autocorrelation)], see ``decay_frame``
    group_returns.pkl     daily returns, [days, groups 1 (highest scores) to n and universe]
    group_turnover.pkl    [rebalancing days, groups]
    group_summary.pkl     [groups and long_short, (annual_return, ..., turnover)], see ``group_summary``
    top_k.pkl             [k, (annual_excess_return, ..., turnover)] of the k highest scores, see ``top_k_frame``
    group_years.pkl       [years, groups and long_short]: excess return over the universe; of long_short, its return
    style_correlation.pkl [styles, scores], where styles are wanted
    index_tests.pkl       [(universe, period), figures], see ``index_test``; where universes are named, as the next two
    index_groups.pkl      [groups, universes], annual excess return over the mean of the members
    index_excess.pkl      [days, universes], daily excess return of the top group
    score_correlation.pkl [scores, scores], where compare_with names experiments
    risk_exposures.pkl    [every horizon-th day, styles and industries], see ``score_exposures``; where risk is given
    risk_ic.pkl           [every horizon-th day, (rank_ic, rank_ic_neutral, explained, stocks)]: before and after the
                          factors are taken out of the score, the share of its variance that they explain, and of how
                          many stocks
    state_weights.pkl     [days, networks or families], each day's sum is 1; where the market's state weighs them, as in
                          NetworkGAT and StateWeight
    exposures.pkl         [every horizon-th day, size and industries] instead, where the provider has both
    strategy_returns.pkl  [steps, (return, excess_return)] since the first score, of PortAnaRecord's report; a step is
                          a day, a week or a month, as ``time_per_step`` of the executor has it
    performance_by_year.pkl  the table of exhibit 32 of these returns; ``strategy_frames`` has it and three more
    report.html           all of it as pictures and tables, for a browser; where report is true

    Returns are fractions. The figures that runs are sorted by are logged as metrics: ``factor.rank_ic`` and so on,
    ``strategy.annual_excess_return``.
    Raises ConfigError for bad options, DataError for scores, labels or prices that cannot be tested.
    """

    artifact_path = "factor_analysis"
    depend_cls = Score

    def __init__(
        self,
        recorder: Recorder,
        model: Any = None,
        dataset: Any = None,
        label: str | None = None,
        label_col: int = 0,
        horizon: int | None = None,
        groups: int | None = None,
        rebalance: int = 5,
        price: str = "$close",
        styles: bool | Sequence[str] = True,
        market: str = "all",
        universes: Sequence[str] = (),
        compare_with: Sequence[str] = (),
        risk: Mapping[str, Any] | None = None,
        report: bool = True,
        lang: str = "en",
        skip_existing: bool = False,
        **unknown: Any,
    ) -> None:
        refuse_unknown(unknown, keywords_of(FactorRecord), type(self).__name__)
        check_types(FactorRecord.__init__, locals())
        check_least({"groups": 2, "rebalance": 1, "horizon": 1, "label_col": 0}, locals())
        super().__init__(recorder=recorder, skip_existing=skip_existing)
        self.model, self.dataset, self.label, self.label_col = model, dataset, label, label_col
        self.horizon, self.groups, self.rebalance, self.price = horizon, groups, rebalance, price
        self.styles = list(STYLES if styles is True else styles or ())
        refuse_unknown(self.styles, STYLES, "styles")
        refuse_unknown([lang], LANGUAGES, "lang")
        self.market, self.compare_with, self.risk = market, list(compare_with), risk
        self.universes, self.report, self.lang = list(universes), report, lang

    def needs(self) -> Needs:
        """What it cannot do without; a style whose fields the provider lacks is left out."""
        return Needs(None, tuple(fields_in([self.price, *([self.label] if self.label else [])])))

    def list(self) -> list[str]:
        """The files that are always there."""
        names = ["ic", "ic_summary", "ic_monthly", "ic_decay", "top_k"]
        names += ["group_returns", "group_turnover", "group_summary", "group_years"]
        if self.styles:
            names.append("style_correlation")
        if self.compare_with:
            names.append("score_correlation")
        return [f"{name}.pkl" for name in ("about", *names)] + (["report.html"] if self.report else [])

    def generate(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        """As in Qlib; writes the page when the frames are saved."""
        results = super().generate(*args, **kwargs)
        if self.report and results is not None:
            from qlib_ext.analysis.report.page import attach_report  # plotly, which a run without a page does without

            attach_report(self.recorder, self.artifact_path, results, self.lang)
        return results

    def _generate(self, **kwargs: Any) -> dict[str, Any]:
        score = to_matrix(self.load("pred.pkl").iloc[:, 0], "score")
        first, last = score.index[0], score.index[-1]
        days = reading.trading_days(first, last, after=self.rebalance + 1)
        outside = score.index.difference(days)
        if len(outside):
            raise DataError(f"{len(outside)} days with scores are no trading days, first {outside[0]:%Y-%m-%d}.")
        score = score.reindex(days)
        per_day = float(score.count(axis=1).loc[:last].median())
        n = (20 if per_day > WHOLE_MARKET else 5) if self.groups is None else self.groups
        bars = self._read(score, reading.trading_days(first, last, reading.LOOKBACK, self.rebalance + 1))
        about = {
            "experiment": R.get_exp(experiment_id=self.recorder.experiment_id, create=False).name,
            "first_day": first,
            "last_day": last,
            "days": int(score.notna().any(axis=1).sum()),
            "stocks_per_day": per_day,
            "horizon": self._horizon(),
            "groups": n,
            "qlib_ext": version("qlib_ext"),
            "left_out": {},
        } | {name: getattr(self, name) for name in ("label", "rebalance", "price", "market", "compare_with")}
        label = self._label(score, bars)
        results = ic_frames(score, label, about["horizon"])
        price = reading.prices_above_zero(bars[self.price], self.price).ffill().reindex(score.index)
        results |= group_frames(score, price, n, self.rebalance)
        results["ic_decay.pkl"] = decay_frame(score, price, self.rebalance)
        results["top_k.pkl"] = top_k_frame(score, price, self.rebalance)
        inside, missing = index_frames(score, label, price, self.universes, about["horizon"], self.rebalance)
        self._leave_out(about, missing)
        results |= inside
        results |= self._correlations(score, bars, about)
        results |= self._risk(score, label, about) or exposure_frames(score, bars, about["horizon"])
        of = self.model, self.recorder.uri, about["experiment"], score.loc[:last].index
        results |= self._where_possible("weights by the state", about, state_frames, *of)
        results |= self._strategy(about)
        metrics = {name: float(results[file].loc[row, column]) for name, (file, row, column) in METRICS.items()}
        metrics |= index_metrics(inside) | strategy_metrics(results)
        self.recorder.log_metrics(**metrics)
        pprint(metrics)
        return results | {"about.pkl": about}

    def _read(self, score: pd.DataFrame, days: pd.DatetimeIndex) -> reading.Frames:
        expressions = {self.price, INDUSTRY, SIZE, *reading.style_fields(self.styles), *filter(None, [self.label])}
        found = reading.read(score.columns, sorted(expressions), days)
        if self.price not in found:
            raise DataError(f"The provider has no {self.price} of the stocks with scores; give price another field.")
        return found

    def _horizon(self) -> int:
        if self.horizon is not None:
            return self.horizon
        if self.label is not None:
            return horizon_of(self.label)
        try:
            label = self.dataset.handler.data_loader.fields["label"][0][self.label_col]
        except (AttributeError, KeyError, TypeError, IndexError) as error:
            remedy = "dataset: <DATASET>, horizon: N in trading days, or label, an expression"
            raise ConfigError(f"The label's horizon is not known: give FactorRecord {remedy}.") from error
        return horizon_of(label)

    def _label(self, score: pd.DataFrame, bars: reading.Frames) -> pd.DataFrame:
        if self.label is not None:
            if self.label not in bars:
                raise DataError(f"The label {self.label} has no number for the stocks with scores.")
            label = bars[self.label]
        else:
            label = to_matrix(without_infinite(self._saved_label().iloc[:, self.label_col], "label"), "label")
        label = label.reindex_like(score)
        if not (score.notna() & label.notna()).any(axis=None):
            raise DataError("No stock has both a score and a label on any day; see the segments that they are of.")
        return label

    def _saved_label(self) -> pd.DataFrame:
        try:
            saved = self.load("label.pkl")
        except LoadObjectError:
            saved = None
        if saved is None or saved.empty:
            raise DataError("SignalRecord saved no label (drop_raw?); give FactorRecord label, an expression.")
        return saved

    def _correlations(self, score: pd.DataFrame, bars: reading.Frames, about: dict[str, Any]) -> dict[str, Any]:
        own = about["experiment"]
        if own in self.compare_with:
            raise ConfigError(f"compare_with names this run's own experiment {own!r}; name others.")
        others, missing = reading.last_scores(self.recorder.uri, self.compare_with)
        scores = {own: score.to_numpy()}
        scores |= {name: other.reindex_like(score).to_numpy() for name, other in others.items()}
        results = {}
        if self.compare_with:
            results["score_correlation.pkl"] = rank_correlation(scores, scores)
        if self.styles:
            found, without = reading.styles_of(score.columns, score.index, bars, self.market, self.styles)
            styles = {name: found[name].reindex_like(score).to_numpy() for name in self.styles if name in found}
            missing |= without
            results["style_correlation.pkl"] = rank_correlation(styles, scores)
        self._leave_out(about, missing)
        return results

    def _risk(self, score: pd.DataFrame, label: pd.DataFrame, about: dict[str, Any]) -> dict[str, Any]:
        if self.risk is None:
            return {}
        from qlib_ext.analysis.risk_factors import risk_frames  # polars, which a run without risk does without

        return self._where_possible("risk factors", about, risk_frames, score, label, about["horizon"], self.risk)

    def _where_possible(
        self, part: str, about: dict[str, Any], frames: Callable[..., dict[str, Any]], *of: Any
    ) -> dict[str, Any]:
        """A part's frames; none where they cannot be made, which is noted."""
        try:
            return frames(*of)
        except QlibExtError as error:
            self._leave_out(about, {part: str(error).rstrip(".")})
            return {}

    def _strategy(self, about: dict[str, Any]) -> dict[str, Any]:
        step = backtest.shortest_step(self.recorder.list_artifacts(backtest.FOLDER))
        if step is None:
            logger.info("There is no backtest, so no strategy table; let PortAnaRecord run before.")
            return {}
        report, positions = (self.recorder.load_object(step.file(kind)) for kind in ("report", "positions"))
        of = report, positions, about["first_day"], step
        frames = self._where_possible("strategy", about, strategy_frames, *of)
        if not frames:
            return {}
        about["step"] = str(step)
        before = len(report) - len(frames["strategy_returns.pkl"])
        logger.info(f"{before} steps before the first trade count in Qlib's figures, not in ours.")
        return frames

    def _leave_out(self, about: dict[str, Any], missing: dict[str, str]) -> None:
        """Note for the report, and say, which parts are missing and why."""
        about["left_out"] |= missing
        for reason in dict.fromkeys(missing.values()):
            parts = ", ".join(part for part in missing if missing[part] == reason)
            logger.info(f"The analysis is without {parts}: {reason}.")
