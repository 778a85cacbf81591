"""How a model does of late, and the page of it."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from qlib_ext.cli import main
from qlib_ext.cross_section.ic import daily_rank_ic
from qlib_ext.errors import DataError
from qlib_ext.live.condition import RECENT_DAYS, Condition, condition_of
from qlib_ext.live.health import check
from qlib_ext.live.health_page import health_page
from qlib_ext.live.health_texts import HEALTH_TEXTS
from qlib_ext.live.prediction import initialise
from qlib_ext.live.recorded import read
from qlib_ext.recorder.runs import artifacts_of, find_runs, store_of
from qlib_ext.risk.build import build
from qlib_ext.risk.model import StyleRiskModel
from tests.live.growing import TRAINED


def condition(evening, name="trees") -> Condition:
    store = store_of(evening.folder)
    recorded = read(store, name)
    initialise(store, recorded)
    return condition_of(recorded)


def slow_rank_ic(evening, scores: pd.Series, days: int) -> pd.Series:
    """From the market itself: the return from the next day's average price to that of the day after."""
    market = evening.market
    price = pd.DataFrame(market.fields["vwap"][:days], market.calendar[:days], market.symbols)
    label = (price.shift(-2) / price.shift(-1) - 1).rename_axis("datetime").rename_axis("instrument", axis=1)
    return daily_rank_ic(scores, label.stack()).dropna()


def test_the_rank_ic_goes_on_after_the_test(evening):
    evening.until(TRAINED + 6)
    evening.predict("trees")
    found = condition(evening)
    expected = slow_rank_ic(evening, evening.scores("trees")["score"], TRAINED + 6)
    pd.testing.assert_series_equal(found.rank_ic, expected, check_names=False, check_freq=False, rtol=1e-6)
    assert found.rank_ic.index[-1] == evening.market.calendar[TRAINED + 3], "its label reads two days more"
    (artifacts_of(find_runs(store_of(evening.folder), "trees")[0]) / "label.pkl").unlink()
    again = condition(evening).rank_ic
    pd.testing.assert_series_equal(again, found.rank_ic, rtol=1e-6)


def test_the_turnover_is_that_of_the_names_that_the_strategy_holds(evening):
    found = condition(evening)
    assert found.top == 4
    by_day = {
        day: set(part.droplevel("datetime").nlargest(4).index)
        for day, part in evening.scores("trees")["score"].groupby(level="datetime")
    }
    days = [*by_day]
    expected = [len(by_day[day] - by_day[before]) / 4 for before, day in pairwise(days)]
    assert [*found.turnover] == pytest.approx(expected)


def test_the_summary_sets_the_last_60_days_against_those_before():
    days = pd.bdate_range("2020-01-01", periods=RECENT_DAYS * 3)
    ic = pd.Series([0.1] * 2 * RECENT_DAYS + [0.02] * RECENT_DAYS, days)
    turnover = pd.Series(np.linspace(0, 1, len(days)), days)
    found = Condition(ic, 5, turnover, pd.DataFrame()).summary()
    assert found["rank_ic_recent"] == pytest.approx(0.02)
    assert found["rank_ic_before"] == pytest.approx(0.1)
    assert (found["lower"], found["best_stocks"]) == (0.0, 5)
    assert found["turnover_recent"] == pytest.approx(turnover[-RECENT_DAYS:].mean())


def test_the_exposures_are_those_of_the_best_over_all(evening):
    """``net`` is held as an enhanced index, and its strategy names the folder of the risk model."""
    folder = evening.provider.with_name("risk")
    evening.until(TRAINED)
    store = store_of(evening.folder)
    without = read(store, "net").workflow.config["task"]["record"][-1]["kwargs"]["config"]["strategy"]["kwargs"]["risk"]
    build(evening.provider, folder, without=without["kwargs"]["without"])
    found = condition(evening, "net")
    assert found.top == 1, "a tenth of eleven"
    day = evening.market.calendar[TRAINED - 1]
    scores = evening.scores("net")["score"].loc[day].dropna()
    model = StyleRiskModel.read(folder)
    styles = model.exposures(day)[model.styles(day)]
    expected = styles.loc[scores.idxmax()] - styles[styles.index.isin(scores.index)].mean()
    pd.testing.assert_series_equal(found.exposures["today"], expected, check_names=False)
    evening.until(TRAINED + 1)
    evening.predict("net")
    with pytest.raises(DataError, match=r"The risk model in .* ends on .* add its days with `qlib-ext risk`"):
        condition(evening, "net")


def test_the_page(evening, tmp_path, capsys):
    evening.until(TRAINED)
    call = ["check", "fused", "--runs", str(evening.folder), "--out", str(tmp_path / "health.html")]
    assert main(call) == 0
    page = (tmp_path / "health.html").read_text()
    elements = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)
    text = re.sub(r"<[^>]+>", " ", elements)
    for words in (
        "Model health: fused",
        "Nothing was found.",
        "RETURN",
        "turnover",
        "60-day means",
        str(evening.provider),
    ):
        assert words in text
    assert 'id="figure-condition"' in page
    assert not re.search(r"(src|href)=\"http", elements)
    evening.until(TRAINED + 1, lambda fields: [values.__setitem__(-1, np.nan) for values in fields.values()])
    chinese = health_page(evening.folder, check(evening.folder, "fused"), "zh")
    assert "模型健康：fused" in chinese
    assert "No member of 11 has a bar on 2015-03-25" in chinese


def test_both_languages_have_the_same_texts():
    assert HEALTH_TEXTS["en"].keys() == HEALTH_TEXTS["zh"].keys()
