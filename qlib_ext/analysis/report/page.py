"""One page of pictures and tables about the last run of each experiment; it needs no other file and no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

import pandas as pd
from mlflow import MlflowClient
from qlib.log import get_module_logger
from qlib.workflow.recorder import Recorder

from qlib_ext.analysis.compare import render
from qlib_ext.analysis.compare.caveats import provider_line
from qlib_ext.analysis.compare.differences import difference_lines
from qlib_ext.analysis.compare.runs import METRICS, RunSummary, Setup, read_run
from qlib_ext.analysis.compare.table import Table, table_of
from qlib_ext.analysis.compare.texts import LINES, in_language
from qlib_ext.analysis.correlation import score_correlation
from qlib_ext.analysis.reasons import reason_in
from qlib_ext.analysis.report import figures
from qlib_ext.analysis.report.drawing import PALETTE, Colours
from qlib_ext.analysis.report.enhancement import enhancement_part, saved_of
from qlib_ext.analysis.report.indices import indices_part
from qlib_ext.analysis.report.parts import Part, as_html, render_page
from qlib_ext.analysis.report.recorded_run import FOLDERS, RecordedRun, read_recorded_run
from qlib_ext.analysis.report.strategy import strategy_part
from qlib_ext.analysis.report.tables import shaded, stacked, windows_table, yearly_means
from qlib_ext.analysis.report.texts import LANGUAGES, Texts
from qlib_ext.cross_section.matrix import to_matrix
from qlib_ext.errors import DataError
from qlib_ext.recorder.runs import find_runs, load
from qlib_ext.system.files import write_whole

logger = get_module_logger("qlib_ext.analysis")

MOST = len(PALETTE)


def report(store: str, experiments: Sequence[str], last: int = 1, lang: str = "en") -> str:
    """The page: pictures of the last finished run of each experiment, a summary over the last ``last`` runs.

    Raises DataError for more experiments than there are colours to tell apart, and as find_runs does.
    """
    names = list(dict.fromkeys(experiments))
    if len(names) > MOST:
        raise DataError(
            f"A report shows {MOST} experiments at most, more are not to be told apart; {len(names)} are named. "
            "Name fewer, or print them with qlib-ext compare."
        )
    found = {name: find_runs(store, name, last) for name in names}
    summaries = {name: [read_run(run) for run in of] for name, of in found.items()}
    client = MlflowClient(tracking_uri=store)
    runs = [read_recorded_run(client, name, of[0]) for name, of in found.items()]
    between = _between(runs) if len(runs) > 1 else None
    table = table_of(summaries, last, lang=lang)
    table = replace(table, caveats=[*table.caveats, *difference_lines(store, names, LINES[lang])])
    return _page(runs, {name: of[0] for name, of in summaries.items()}, table, lang, between)


def _between(runs: Sequence[RecordedRun]) -> pd.DataFrame | None:
    """The correlations of the scores among each other; None where fewer than two runs have one."""
    scores = {}
    for each in runs:
        score, problem = load(each.run, "pred.pkl")
        if problem:
            each.problems.append(problem)
        else:
            scores[each.experiment] = to_matrix(score.iloc[:, 0], f"score of {each.experiment}")
    return score_correlation(scores) if len(scores) > 1 else None


def attach_report(recorder: Recorder, folder: str, saved: Mapping[str, Any], lang: str = "en") -> None:
    """Write the page of a run that need not be finished into the run's ``folder`` of its artifacts, as report.html.

    ``saved`` is what FactorRecord or EnhancementRecord saves, by file name. Raises OutputError where the page cannot be
    written.
    """
    _finish_logging(recorder)
    frames = {file.removesuffix(".pkl"): frame for file, frame in saved.items()}
    run, name = recorder.client.get_run(recorder.id), frames["about"]["experiment"]
    summary = read_run(run)
    field = next(field for field, name_of_folder in FOLDERS.items() if name_of_folder == folder)
    runs = [read_recorded_run(recorder.client, name, run, {field: frames})]
    with TemporaryDirectory() as temporary:
        page = f"{temporary}/report.html"
        text = _page(runs, {name: summary}, table_of({name: [summary]}, lang=lang), lang)
        write_whole(page, text.encode(), "Make room and run once more.")
        recorder.save_objects(local_path=page, artifact_path=folder)


def _finish_logging(recorder: Recorder) -> None:
    """Wait for the metrics that were logged before: Qlib's recorder writes them in a thread of its own."""
    queue = getattr(recorder, "async_log", None)
    if queue is not None:
        written = Event()
        queue(written.set)
        if not written.wait(timeout=60):  # a thread that has died never answers
            logger.warning("The recorder did not finish logging within a minute; the page may lack figures.")


def _page(
    runs: Sequence[RecordedRun],
    summaries: Mapping[str, RunSummary],
    table: Table,
    lang: str,
    between: pd.DataFrame | None = None,
) -> str:
    texts, lines = LANGUAGES[lang], LINES[lang]

    def heading(setup: Setup) -> str:
        universe, test, label = (in_language(text, lines) for text in (setup.universe, setup.test, setup.label))
        mark = texts["mark"] if setup.simulated else ""
        return mark + texts["heading"].format(universe=universe, test=test, label=label)

    colours = dict(zip((each.experiment for each in runs), PALETTE, strict=False))
    parts = [strategy_part(runs, colours, texts), enhancement_part(saved_of(runs), colours, texts)]
    parts += [_rank_ic(runs, colours, texts), _groups(runs, colours, texts), indices_part(runs, colours, texts)]
    parts += [
        _correlation(runs, between, texts),
        _risk(runs, texts),
        _networks(runs, texts),
        _training(runs, colours, texts),
        _windows(runs, texts),
    ]
    mark = texts["mark"] if any(each.setup.simulated for each in summaries.values()) else ""
    shown = [part for part in parts if part]
    return render_page(
        "report.html",
        texts,
        ["summary", "tested", *(part.key for part in shown), "limits", "config"],
        title=mark + texts["title"].format(names=", ".join(colours)),
        colours=colours,
        facts=_facts(runs, summaries, lang),
        missing=_missing(runs, between, lang),
        parts=shown,
        limits=texts["limits_of_data"].split("\n"),
        legend=[(code, texts[f"style_{code}"]) for code in _codes(runs) if f"style_{code}" in texts],
        configs=[(each.experiment, each.config) for each in runs if each.config],
        **render.sections(
            table,
            ("", texts["runs"], *(lines[metric] for metric in METRICS)),
            heading,
            (texts["best"], texts["best_note"]),
        ),
    )


def _facts(runs: Sequence[RecordedRun], summaries: Mapping[str, RunSummary], lang: str) -> list[tuple[str, list[str]]]:
    """What was tested and how, one line a fact; a fact that no experiment knows is left out."""
    texts = LANGUAGES[lang]
    lines: dict[str, list[str]] = {}
    for each in runs:
        about, summary = each.frames.get("about", {}), summaries[each.experiment]
        started = datetime.fromtimestamp(each.run.info.start_time / 1000)
        facts = {
            "run": f"{each.run.info.run_id[:8]}, {started:%Y-%m-%d %H:%M}",
            "provider": provider_line(summary.provider, LINES[lang]) or "-",
        }
        facts |= {"model": _model(summary.params)}
        facts |= {
            name: in_language(getattr(summary.setup, name), LINES[lang]) for name in ("universe", "test", "label")
        }
        facts["label"] = about.get("label") or facts["label"]
        if about:
            days = {name: f"{about[f'{name}_day']:%Y-%m-%d}" for name in ("first", "last")}
            facts["test"] = texts["test_days"].format(days=about["days"], **days)
        for name in ("stocks_per_day", "horizon", "groups", "rebalance", "price"):
            value = about.get(name, "-")
            facts[name] = f"{value:g}" if isinstance(value, float) else str(value)
        for name, text in facts.items():
            lines.setdefault(name, []).append(text)
    return [(texts[name], values) for name, values in lines.items() if set(values) != {"-"}]


def _model(params: Mapping[str, str]) -> str:
    """The class of the model, a rolling model's inner one in brackets."""
    inner = params.get("model.kwargs.model.class")
    return params.get("model.class", "-") + (f" ({inner})" if inner else "")


def _missing(runs: Sequence[RecordedRun], between: pd.DataFrame | None, lang: str) -> list[str]:
    """One sentence for each thing that is not in the page, which says what to add to have it."""
    texts = LANGUAGES[lang]
    alone = runs if between is None else []
    reasons = {
        "no_factor": [each.experiment for each in runs if not each.frames],
        "no_strategy": [each.experiment for each in runs if each.frames and "strategy_returns" not in each.frames],
        "no_styles": [each.experiment for each in runs if each.frames and "style_correlation" not in each.frames],
        "no_scores": [each.experiment for each in alone if each.frames and "score_correlation" not in each.frames],
        "no_risk": [each.experiment for each in runs if each.frames and "risk_ic" not in each.frames],
        "no_curves": [each.experiment for each in runs if each.curves.empty],
        "no_config": [each.experiment for each in runs if not each.config],
    }
    lines = [texts[reason].format(names=", ".join(names)) for reason, names in reasons.items() if names]
    for each in runs:
        lines += _left_out(each, lang)
    problems = ((each.experiment, reason_in(problem, LINES[lang])) for each in runs for problem in each.problems)
    return lines + [LINES[lang]["fact"].format(title=name, value=problem) for name, problem in problems]


def _left_out(run: RecordedRun, lang: str) -> list[str]:
    """One sentence for each reason for which FactorRecord left parts out."""
    left_out: dict[str, str] = run.frames.get("about", {}).get("left_out", {})
    return [
        LANGUAGES[lang]["left_out"].format(
            name=run.experiment,
            parts=LINES[lang]["list"].join(part for part in left_out if left_out[part] == reason),
            reason=reason_in(reason, LINES[lang]),
        )
        for reason in dict.fromkeys(left_out.values())
    ]


def _frames(runs: Sequence[RecordedRun], file: str) -> dict[str, pd.DataFrame]:
    return {each.experiment: each.frames[file] for each in runs if file in each.frames}


def _rank_ic(runs: Sequence[RecordedRun], colours: Colours, texts: Texts) -> Part:
    daily, monthly = _frames(runs, "ic"), _frames(runs, "ic_monthly")
    years = {name: table.loc["rank_ic_spaced"] for name, table in _frames(runs, "ic_summary").items()}
    if not (daily and monthly and years):
        return Part("rank_ic")
    bars = as_html("rank-ic", figures.rank_ic_bars(daily, monthly, colours, texts))
    pictures = [bars, as_html("months", figures.month_heat_map(monthly, texts["heat_map"], texts))]
    if decay := _frames(runs, "ic_decay"):
        pictures.append(as_html("decay", figures.decay_curves(decay, colours, texts)))
    return Part("rank_ic", pictures, [stacked(texts["ic_table"], "year", years, texts)])


def _groups(runs: Sequence[RecordedRun], colours: Colours, texts: Texts) -> Part:
    returns, summary = _frames(runs, "group_returns"), _frames(runs, "group_summary")
    years = _frames(runs, "group_years")
    if not (returns and summary and years):
        return Part("group_test")
    pictures = [
        as_html("groups", figures.group_comparison(summary, returns, colours, texts)),
        as_html("group-values", figures.group_values(returns, texts)),
    ]
    grids = [
        stacked(texts["group_table"], "group", summary, texts),
        stacked(texts["group_years"], "year", years, texts),
    ]
    if top := _frames(runs, "top_k"):
        grids.append(stacked(texts["top_k_table"], "top_k", top, texts))
    return Part("group_test", pictures, grids)


def _correlation(runs: Sequence[RecordedRun], between: pd.DataFrame | None, texts: Texts) -> Part:
    scores, styles = _frames(runs, "score_correlation"), _frames(runs, "style_correlation")
    columns = {name: table.iloc[:, 0] for name, table in styles.items()}  # the first is the run's own score
    others = {name: column for table in styles.values() for name, column in table.iloc[:, 1:].items()}
    columns |= {name: column for name, column in others.items() if name not in columns}
    tables = [shaded(f"{texts['scores']}{name}", table) for name, table in scores.items()]
    tables += [shaded(texts["styles"], pd.DataFrame(columns))] if columns else []
    if between is not None:
        tables.insert(0, shaded(texts["between"], between))
    return Part("correlation", shaded=tables)


def _risk(runs: Sequence[RecordedRun], texts: Texts) -> Part:
    plain, exposures, daily = (_frames(runs, name) for name in ("exposures", "risk_exposures", "risk_ic"))
    tables = [
        shaded(texts["exposures"].format(name=name), yearly_means(frame).T)
        for name, frame in (plain | exposures).items()
    ]
    if not daily:
        return Part("risk", shaded=tables)
    ic = {
        name: yearly_means(frame).assign(days=yearly_means(frame, "count").iloc[:, 0]) for name, frame in daily.items()
    }
    return Part("risk", grids=[stacked(texts["risk_table"], "year", ic, texts)], shaded=tables)


def _networks(runs: Sequence[RecordedRun], texts: Texts) -> Part:
    weights = _frames(runs, "state_weights")
    return Part("networks", [as_html("networks", figures.state_weights(weights))] if weights else [])


def _training(runs: Sequence[RecordedRun], colours: Colours, texts: Texts) -> Part:
    curves = {each.experiment: each.curves for each in runs if not each.curves.empty}
    return Part("training", [as_html("training", figures.training_curves(curves, colours, texts))] if curves else [])


def _windows(runs: Sequence[RecordedRun], texts: Texts) -> Part:
    tables = [windows_table(each.experiment, each.windows, texts) for each in runs if each.windows is not None]
    return Part("windows", grids=tables)


def _codes(runs: Sequence[RecordedRun]) -> list[str]:
    """The codes of price-volume factors that the page shows."""
    return list(dict.fromkeys(code for table in _frames(runs, "style_correlation").values() for code in table.index))
