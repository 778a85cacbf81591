"""``check``: what is wrong with a day's data is found and said, and nothing where nothing is wrong."""

from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from qlib_ext.cli import main
from qlib_ext.errors import DataError
from qlib_ext.live.bars import gaps, repeated
from qlib_ext.live.health import check
from qlib_ext.live.recorded import PRED
from qlib_ext.live.shifts import FAR_OUT, LIMIT, shifts, stability_index
from qlib_ext.recorder.runs import artifacts_of, find_runs, store_of
from qlib_ext.system.files import write_checked
from tests.live.growing import BARS, TRAINED


def slow_index(expected, actual, bins):
    """Bin by bin, with a loop."""
    edges = sorted({np.quantile([v for v in expected if v == v], k / bins) for k in range(1, bins)})
    bounds = [-np.inf, *edges, np.inf]
    total = 0.0
    for place in range(len(edges) + 2):
        counts = []
        for sample in (expected, actual):
            if place == len(edges) + 1:
                counts.append(sum(v != v for v in sample))
            else:
                counts.append(sum(bounds[place] < v <= bounds[place + 1] for v in sample))
        if any(counts):
            e, a = (max(count, 0.5) / len(of) for count, of in zip(counts, (expected, actual), strict=True))
            total += (a - e) * np.log(a / e)
    return total


numbers = st.lists(st.one_of(st.floats(-5, 5), st.sampled_from([0.0, 1.0, np.nan])), min_size=1, max_size=60)


@given(numbers.filter(lambda values: any(v == v for v in values)), numbers, st.integers(2, 10))
def test_the_index_is_that_of_a_loop_and_never_below_0(expected, actual, bins):
    found = stability_index(np.array(expected), np.array(actual), bins)
    assert found == pytest.approx(slow_index(expected, actual, bins), rel=1e-9, abs=1e-12)
    assert found >= 0
    assert stability_index(np.array(expected), np.array(expected), bins) == 0


def test_the_index_grows_with_the_distance_and_with_missing_values():
    random = np.random.default_rng(0)
    sample = random.normal(size=2_000)
    found = [stability_index(sample, random.normal(shift, size=2_000)) for shift in (0.0, 0.3, 0.6, 1.2)]
    assert found == sorted(found)
    assert found[0] < 0.05 < LIMIT < found[-1]
    missing = np.where(random.random(2_000) < 0.5, np.nan, sample)
    assert stability_index(sample, missing) > LIMIT
    assert stability_index(np.full(9, np.nan), np.full(4, np.nan)) == 0
    with pytest.raises(DataError, match="one of them is empty"):
        stability_index(sample, np.empty(0))


def test_a_day_is_shifted_where_the_sampled_days_are_not():
    """A market's move of all stocks is usual, as the sampled days have it; a unit that changed is not."""
    random = np.random.default_rng(1)

    def day(scale=1.0):
        return pd.DataFrame(
            {"moves": random.normal(size=200) + 2 * random.normal(), "unit": scale * random.random(200), "same": 1.0}
        )

    table = shifts([day() for _ in range(10)], day(scale=100))
    assert list(table["shifted"]) == [False, True, False]
    assert (table["psi"] > LIMIT).to_list() == [True, True, False]
    assert table["far_out"].to_list() == pytest.approx([0.0, 0.98, 0.0], abs=0.02)


def test_the_limit_is_that_of_a_loop():
    random = np.random.default_rng(2)
    days = [random.normal(random.normal(), 1, 60) for _ in range(7)]
    (row,) = shifts([pd.DataFrame({"x": day}) for day in days], pd.DataFrame({"x": np.full(30, 50.0)})).itertuples()
    edges = np.quantile(np.concatenate(days), [1 / 3, 2 / 3])

    def index(expected, actual):
        total = 0.0
        for low, high in pairwise([-np.inf, *edges, np.inf]):
            e, a = (max(((low < s) & (s <= high)).sum(), 0.5) / len(s) for s in (expected, actual))
            total += (a - e) * np.log(a / e)
        return total

    each = [np.log(max(index(np.concatenate(days[:s] + days[s + 1 :]), days[s]), 1 / 30)) for s in range(7)]
    quantile = student.ppf(0.998, 6)
    assert row.limit == pytest.approx(
        np.exp(np.mean(each) + quantile * np.sqrt(8 / 7) * np.std(each, ddof=1)), rel=1e-4
    )
    assert row.psi == pytest.approx(index(np.concatenate(days), np.full(30, 50.0)))
    assert row.far_out == 1.0


@pytest.mark.parametrize("stocks", [12, 55, 300])
def test_usual_days_are_shifted_as_rarely_as_the_limit_says(stocks):
    """300 columns that move by the day, and differ between stocks: 2 in 1,000 are expected, 6 in 1,000 allowed."""
    random = np.random.default_rng(stocks)
    days = [pd.DataFrame(random.normal(size=(stocks, 300)) + random.normal(size=300)) for _ in range(11)]
    table = shifts(days[:10], days[10])
    assert table["shifted"].mean() <= 0.006
    assert not (table["far_out"] > FAR_OUT).any()


def findings(evening, name="trees", **options) -> list[str]:
    return [finding for each in check(evening.folder, name, **options) for finding in each.findings]


def test_a_usual_evening_has_no_finding(evening, capsys):
    evening.until(TRAINED + 1)
    call = ["check", "fused", "--runs", str(evening.folder)]
    assert main(call) == 0
    printed = capsys.readouterr().out
    assert "net: 2015-03-25, 4 fields; 3 features, 0 shifted" in printed
    assert "0 findings" in printed
    evening.predict("trees")
    (health,) = check(evening.folder, "trees")
    assert not health.findings
    assert list(health.scores.index) == ["score"]


def test_a_day_that_the_calendar_passes_over_is_a_finding(evening):
    evening.until(TRAINED + 1)
    days = evening.market.calendar[: TRAINED + 3]
    saturday = days[TRAINED] - pd.offsets.Week(weekday=5)
    assert saturday > days[TRAINED - 60]
    future = evening.provider / "calendars" / "day_future.txt"
    future.write_text("".join(f"{day:%Y-%m-%d}\n" for day in days))
    assert not findings(evening)
    future.write_text("".join(f"{day:%Y-%m-%d}\n" for day in days.union([saturday])))
    (finding,) = findings(evening)
    assert finding.startswith(
        f"The calendar lacks 1 trading day of calendars/day_future.txt, first {saturday:%Y-%m-%d}"
    )


def test_a_day_that_was_sent_twice_is_a_finding(evening):
    def repeat(fields):
        for values in fields.values():
            values[TRAINED] = values[TRAINED - 1]

    evening.until(TRAINED + 1, repeat)
    assert any("the update has repeated that day" in finding for finding in findings(evening))


@pytest.mark.parametrize(("same", "found"), [(5, False), (6, True)])
def test_a_day_is_repeated_where_most_members_that_traded_have_its_bars(same, found):
    panels = {name: np.random.default_rng(0).random((2, 14)) for name in ("close", "volume")}
    member = np.arange(14) < 12
    for values in panels.values():
        values[1, :same] = values[0, :same]
        values[1, 12:] = values[0, 12:]  # no members
        values[:, 11] = np.nan  # suspended
    assert bool([*repeated(panels, member, pd.Timestamp("2020-01-07"))]) == found
    panels["volume"][1] += 1.0
    assert not [*repeated(panels, member, pd.Timestamp("2020-01-07"))]


def test_a_day_that_has_not_come_is_a_finding(evening, capsys):
    evening.until(TRAINED)
    day = evening.market.calendar[TRAINED]
    assert main(["check", "trees", "--runs", str(evening.folder), "--date", f"{day:%Y-%m-%d}"]) == 1
    assert f"has no {day:%Y-%m-%d}: its update is missing" in capsys.readouterr().out
    sunday = day - pd.offsets.Week(weekday=6)
    with pytest.raises(DataError, match="no trading day"):
        check(evening.folder, "trees", sunday)
    assert main(["check", "none", "--runs", str(evening.folder)]) == 2


def emptied(fields: dict, names, stocks=slice(None)) -> None:
    for name in names:
        fields[name][-1, stocks] = np.nan


def test_a_day_without_bars_is_a_finding(evening):
    evening.until(TRAINED + 1, lambda fields: emptied(fields, BARS))
    (found,) = findings(evening)
    assert found == "No member of 11 has a bar on 2015-03-25: the update of this day is missing."


def test_members_without_bars_are_counted_and_named(evening):
    evening.until(TRAINED + 1, lambda fields: emptied(fields, BARS, slice(5, 10)))  # beside one that is suspended
    found = findings(evening)
    assert found[0].startswith(f"6 of 11 members have no bar on 2015-03-25, first {evening.market.symbols[5]}; usually")
    assert not any("The field" in each for each in found), "what bars lack is said once"


def test_a_field_that_is_empty_is_named(evening):
    evening.until(TRAINED + 1, lambda fields: emptied(fields, ["turnover"]))
    found = findings(evening)
    assert found[0] == "The field $turnover is empty on 2015-03-25 for all 11 members."
    evening.until(TRAINED + 1, lambda fields: emptied(fields, ["turnover"], slice(5, 12)))
    assert findings(evening)[0].startswith("The field $turnover has a value for 36.4% of 11 members on 2015-03-25")


def test_a_universe_that_was_not_updated_is_named(evening):
    evening.until(TRAINED + 1)
    path = evening.provider / "instruments" / "csi300.txt"
    day, before = (f"{evening.market.calendar[place]:%Y-%m-%d}" for place in (TRAINED, TRAINED - 1))
    lines = path.read_text().replace(day, before)
    path.write_text(lines)
    assert findings(evening)[0] == (
        f"The universe 'csi300' has no member on {day}; its last are of {before}. Update instruments/csi300.txt with "
        "the bars."
    )
    stale = lines.splitlines()
    path.write_text("\n".join([*(line.replace(before, day) for line in stale[:5]), *stale[5:]]) + "\n")
    assert "and had 11 on the day before" in findings(evening)[0]


def test_a_universe_that_the_exchange_keeps_to_is_looked_at(evening):
    """Qlib's exchanges keep to the codes of all.txt where they name none; ``trees`` learns from csi300."""
    evening.until(TRAINED + 1)
    path = evening.provider / "instruments" / "all.txt"
    day, before = (f"{evening.market.calendar[place]:%Y-%m-%d}" for place in (TRAINED, TRAINED - 1))
    path.write_text(path.read_text().replace(day, before))
    (found,) = findings(evening)
    assert found.startswith(f"The universe 'all' has no member on {day}; its last are of {before}. Update instruments/")


def test_features_in_another_unit_are_a_finding(evening):
    def other_unit(fields):
        fields["turnover"][-1] *= 100
        for name in ("open", "high", "low", "close", "vwap"):
            fields[name][-1] *= 3

    evening.until(TRAINED + 1, other_unit)
    (health,) = check(evening.folder, "trees")
    assert health.findings[0].startswith("3 of 3 features of 'trees' have values on 2015-03-25 far below or above all")


def test_one_feature_far_beyond_the_usual_is_a_finding(evening):
    evening.until(TRAINED + 1, lambda fields: fields["turnover"].__setitem__(-1, 100 * fields["turnover"][-1]))
    (found,) = findings(evening)
    assert found.startswith("1 of 3 features of 'trees' have values on 2015-03-25 far below or above all that they had")
    assert "for so many of the stocks: TURNOVER 100%. See whether the fields that they read are wrong" in found


def test_scores_that_are_all_the_same_or_few_are_a_finding(evening):
    run = find_runs(store_of(evening.folder), "trees")[0]
    scores = evening.scores("trees")
    day = evening.market.calendar[TRAINED - 1]
    today = scores.index.get_level_values("datetime") == day
    skewed = (0.001 * scores.rank()).where(
        scores["score"] != scores["score"][today].max(), 100.0
    )  # all but one below the mean
    for changed, message in (
        (scores.where(~today[:, None], 0.5), "10 scores of 'trees' on 2015-03-24 are all the same"),
        (scores.where(~today[:, None], np.nan), "are all the same, or missing"),
        (
            scores[~today | (np.arange(len(scores)) % 4 == 0)],
            "'trees' scored [0-9] stocks on 2015-03-24, and [0-9]+ to 1[0-9]",
        ),
        (
            scores.where(~today[:, None], skewed),
            "The scores of 'trees' on 2015-03-24 have a population stability index of",
        ),
    ):
        write_checked(artifacts_of(run) / PRED, pickle.dumps(changed), "")
        found = findings(evening, date=day)
        assert any(pd.Series(found).str.contains(message)), found


def test_a_gap_that_no_holiday_explains():
    days = pd.bdate_range("2020-01-01", periods=60)
    assert not [*gaps(days, days[0], days[-1])]
    with_gap = days.delete(range(10, 20))
    (found,) = gaps(with_gap, days[0], days[-1])
    assert found.startswith("The calendar has no day between 2020-01-14 and 2020-01-29, which are 15 days apart")
    assert not [*gaps(with_gap, days[25], days[-1])], "before the last day scored"
