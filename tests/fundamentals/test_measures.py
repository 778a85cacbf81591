"""What a day knows of reports equals a walk through all announcements before it."""

from __future__ import annotations

import statistics
from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlib_ext.errors import ConfigError, DataError
from qlib_ext.fundamentals.formulas import FORMULAS
from qlib_ext.fundamentals.measures import MEASURES, as_known
from qlib_ext.fundamentals.reports import read_reports

ENDS = [date(year, month, day) for year in range(2015, 2020) for month, day in ((3, 31), (6, 30), (9, 30), (12, 31))]
FIELDS = {name: ("x", name) for name in FORMULAS}

reports = st.lists(
    st.tuples(
        st.sampled_from(["SH600001", "SZ000002"]),
        st.sampled_from(range(len(ENDS))),
        st.integers(0, 500),
        st.one_of(st.none(), st.integers(-3, 3).map(float)),
    ),
    min_size=1,
    max_size=60,
    unique_by=lambda row: row[:3],
)


def table_of(rows) -> pl.DataFrame:
    schema = {"instrument": pl.String, "period": pl.Date, "announced": pl.Date, "x": pl.Float64}
    told = [(stock, ENDS[place], ENDS[place] + timedelta(days=late), value) for stock, place, late, value in rows]
    return pl.DataFrame(told, schema=schema, orient="row")


def minus(a, b):
    return None if a is None or b is None else a - b


def slow(table: pl.DataFrame, stock: str, day: date, to_date: bool) -> dict[str, float | None]:
    """The measures of one stock on one day."""
    past = [row for row in table.sort("announced").rows() if row[0] == stock and row[2] < day]
    x = {}
    for _, end, _, value in past:
        place = ENDS.index(end)
        x[place] = x.get(place) if value is None else value
    latest = max(x)

    def quarter(place):
        if place % 4 == 0 or not to_date:
            return x.get(place)
        return minus(x.get(place), x.get(place - 1))

    def year(place):
        if to_date:  # what is missing between the three that are added is not missed
            if place % 4 == 3:
                return x.get(place)
            parts = [x.get(place), x.get(place - place % 4 - 1), x.get(place - 4)]
            return None if None in parts else parts[0] + parts[1] - parts[2]
        parts = [quarter(place - back) for back in range(4)]
        return None if None in parts else sum(parts)

    before, changes = x.get(latest - 4), [minus(quarter(latest - k), quarter(latest - k - 4)) for k in range(8)]
    spread = None if None in changes else statistics.stdev(changes)
    return {
        "latest": x.get(latest),
        "quarter": quarter(latest),
        "ttm": year(latest),
        "yoy": None if not before or x.get(latest) is None else (x[latest] - before) / abs(before),
        "sue": changes[0] / spread if spread else None,
    }


@settings(max_examples=60, deadline=None)
@given(rows=reports, to_date=st.booleans())
def test_it_equals_a_walk_through_the_announcements(rows, to_date):
    table = table_of(rows)
    known = as_known(read_reports(table, ["x"]), FIELDS, to_date)
    assert known.select("instrument", "known").rows() == sorted(
        {(stock, announced + timedelta(days=1)) for stock, _, announced, _ in table.rows()}
    )
    for row in known.iter_rows(named=True):
        expected = slow(table, row["instrument"], row["known"], to_date)
        assert {name: row[name] for name in FORMULAS} == pytest.approx(expected, nan_ok=False)


def test_a_surprise_needs_eight_changes():
    """Twelve quarters of a rising profit, which a drawn table hardly ever has."""
    quarters = [1.0, 2, 3, 4, 2, 3, 5, 5, 3, 5, 6, 9]
    rows = [("SH600001", place, 40, value) for place, value in enumerate(quarters)]
    known = as_known(read_reports(table_of(rows), ["x"]), FIELDS, to_date=False)
    assert known["sue"][:11].is_null().all()
    changes = [b - a for a, b in zip(quarters, quarters[4:], strict=False)]
    assert known["sue"][11] == pytest.approx(changes[-1] / statistics.stdev(changes))
    assert known["ttm"][11] == sum(quarters[-4:])


def test_every_formula_is_computed():
    assert list(MEASURES) == list(FORMULAS)


def test_a_restatement_changes_nothing_before_it():
    rows = [("SH600001", place, 40, float(place)) for place in range(12)]
    before = as_known(read_reports(table_of(rows), ["x"]), FIELDS)
    restated = [*rows, ("SH600001", 7, 400, -50.0)]  # of 2016, announced in 2018
    after = as_known(read_reports(table_of(restated), ["x"]), FIELDS)
    day = ENDS[7] + timedelta(days=401)
    assert after.filter(pl.col("known") < day).equals(before.filter(pl.col("known") < day))
    assert not after.filter(pl.col("known") >= day).equals(before.filter(pl.col("known") >= day))


def test_a_late_report_of_an_older_quarter_does_not_become_the_latest():
    rows = [("SH600001", 4, 20, 4.0), ("SH600001", 3, 300, 3.0)]
    known = as_known(read_reports(table_of(rows), ["x"]), FIELDS)
    assert known["latest"].to_list() == [4.0, 4.0]


def test_a_report_that_says_nothing_of_a_value_leaves_what_was_said():
    table = table_of([("SH600001", 0, 10, 1.0), ("SH600001", 0, 20, None), ("SH600001", 1, 20, None)])
    known = as_known(read_reports(table, ["x"]), {"x": ("x", "latest")})
    assert known["x"].to_list() == [1.0, 1.0, None], "nor does an older quarter's stand for the new one's"


def test_without_an_announcement_the_deadline_counts():
    ends = ENDS[:4]
    table = pl.DataFrame({"instrument": ["SH600001"] * 4, "period": ends, "x": [1.0, 2, 3, 4]})
    expected = [date(2015, 5, 1), date(2015, 9, 1), date(2015, 11, 1), date(2016, 5, 1)]
    assert read_reports(table, ["x"])["known"].to_list() == expected
    empty = table.with_columns(announced=pl.lit("")).with_columns(pl.col("period").cast(pl.String))
    assert read_reports(empty, ["x"])["known"].to_list() == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"period": date(2015, 3, 30)}, "last day of a quarter"),
        ({"period": date(2015, 2, 28)}, "last day of a quarter"),
        ({"period": "yesterday"}, "last day of a quarter"),
        ({"announced": date(2015, 3, 30)}, "on or after the last day of their period"),
        ({"announced": "soon"}, "a day such as"),
        ({"x": "much"}, "a number"),
        ({"x": "inf"}, "a number"),
        ({"instrument": None}, "an instrument"),
    ],
)
def test_a_row_that_cannot_be_is_named(change, message):
    row = {"instrument": "SH600001", "period": date(2015, 3, 31), "announced": date(2015, 4, 20), "x": "1"} | change
    with pytest.raises(DataError, match=message):
        read_reports(pl.DataFrame([row]), ["x"])


def test_other_tables_that_cannot_be_used():
    table = table_of([("SH600001", 0, 10, 1.0)])
    with pytest.raises(DataError, match="several rows of SH600001 for 2015-03-31, announced 2015-04-10"):
        read_reports(pl.concat([table, table]), ["x"])
    with pytest.raises(DataError, match="no column 'y'"):
        read_reports(table, ["y"])
    with pytest.raises(DataError, match="another meaning"):
        read_reports(table.rename({"x": "known"}), ["known"])
    with pytest.raises(ConfigError, match="did you mean 'ttm'"):
        as_known(read_reports(table, ["x"]), {"x": ("x", "tm")})
