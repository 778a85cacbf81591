"""Index enhancement: a score of the whole market, held within constraints about an index."""

from __future__ import annotations

from dataclasses import replace

from qlib_ext.workflows.table import alpha158
from qlib_ext.workflows.table.data import recorded
from qlib_ext.workflows.table.entry import Enhancement, Entry, Kind, variable

SCORES = variable("SCORES", "'market_day_gru'")
RECORDED = """\
The score of another experiment is read from the recorder, SCORES=market_model0 or any that scores the market, and
`qlib-ext run` runs it first where the recorder has none.\
"""
TRAINED = "The score is that of market_alpha158_lightgbm.yaml, which is trained here."
ABOUT = """ On the first trading day of each week the portfolio of the
best score is bought that keeps to the index, as known at the close before. Its report is `qlib-ext report`.

The risk model needs the fields industry and total_mv; `qlib-ext risk` makes it once, RISK names its folder.
"""


def enhanced(title: str, about: str, benchmark: str, enhancement: Enhancement) -> Entry:
    """A recorded score, held as an enhanced index."""
    return Entry(
        title=title,
        about=RECORDED + ABOUT + about,
        data=replace(recorded(SCORES, kind="score"), needs="day bars, the run of market_day_gru or of other SCORES"),
        days={"TEST": "2017-01-01", "END": "2021-12-31"},
        model=Kind("Fusion", "qlib_ext.models.weighting", {"weights": "{ " + SCORES + ": 1}"}),
        benchmark=benchmark,
        dataset=None,
        enhancement=enhancement,
        analysis={"groups": 20},
    )


def within(te: float, styles: str, active_weight: float, turnover: str, delta: float) -> tuple[str, ...]:
    """The constraints, each a line."""
    kwargs = {
        "TrackingError": f"limit: {variable('TE', te)}",
        "Styles": styles,
        "Industries": "limit: 0.02",
        "Members": f"share: {variable('CPCT', 0.8)}",
        "ActiveWeight": f"limit: {active_weight}",
        "Turnover": f"{turnover}: {variable('DELTA', delta)}",
    }
    return tuple(f"{{class: {name}, kwargs: {{{values}}}}}" for name, values in kwargs.items())


def of_orient(te: float) -> tuple[str, ...]:
    return within(te, "limit: 0.5", 0.01, "one_sided", 0.2)


def trained(title: str, about: str, enhancement: Enhancement) -> Entry:
    """A score that is trained in the same run, held as an enhanced index."""
    scored = alpha158.ENTRIES["market_alpha158_lightgbm"]
    return replace(scored, title=title, about=TRAINED + ABOUT + about, enhancement=enhancement)


SOURCE = "Source: Orient Securities, factor selection series 110 (2024-02-19), section 4."
ENTRIES = {
    "csi300_enhanced": enhanced(
        "CSI300 enhanced: a tracking error of 4 %, a fifth of it traded a week.",
        SOURCE,
        "SH000300",
        Enhancement("csi300", of_orient(0.04), 0.001, 0.002),
    ),
    "csi500_enhanced": enhanced(
        "CSI500 enhanced: a tracking error of 5 %, a fifth of it traded a week.",
        SOURCE,
        "SH000905",
        Enhancement("csi500", of_orient(0.05), 0.001, 0.002),
    ),
    "csi500_enhanced_lightgbm": trained(
        "CSI500 enhanced by a score that the run itself trains: LightGBM on Alpha158.",
        SOURCE,
        Enhancement("csi500", of_orient(0.05), 0.001, 0.002),
    ),
    "csi1000_enhanced": enhanced(
        "CSI1000 enhanced: a tracking error of 5 %, a fifth of it traded a week.",
        SOURCE,
        "SH000852",
        Enhancement("csi1000", of_orient(0.05), 0.001, 0.002),
    ),
    "csi500_enhanced_huatai": enhanced(
        "CSI500 enhanced as in the report of several frequencies: turnover two-sided, size alone of the styles.",
        "Source: Huatai Securities, artificial intelligence series 72 (2023-12-08), exhibits 62 to 68.",
        "SH000905",
        Enhancement("csi500", within(0.05, "size: 0.2", 0.008, "two_sided", 0.3), 0.002, 0.002),
    ),
}
