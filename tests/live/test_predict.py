"""``predict`` on a market that grows: the scores of a longer test to the bit, whole or not at all, or a refusal."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from qlib_ext.cli import main
from qlib_ext.errors import ConfigError, DataError, WorkerError
from qlib_ext.live import prediction, scoring, windows
from qlib_ext.recorder.running import at_work_on
from qlib_ext.recorder.runs import find_runs, store_of
from qlib_ext.recorder.windows import TEST_FROM, TEST_TO, windows_of
from tests.live.flows import qrun
from tests.live.growing import BARS, CHANGED, DAYS, LISTED, SUSPENDED, TRAINED

DUE = 139  # position of the day on which the third window of ``rolled`` begins


def assert_same(scores: pd.DataFrame, longer: pd.DataFrame, last: pd.Timestamp) -> None:
    assert scores.index.unique("datetime")[-1] == last
    pd.testing.assert_frame_equal(scores, longer.loc[:last], check_exact=True, check_index_type=False)


def test_evening_after_evening_the_scores_are_those_of_a_longer_test(evening, longer):
    """A single net, trees, a rolling net with two seeds, a second stage on its weak factors, a fusion of scores."""
    for days in (CHANGED + 1, DAYS):
        evening.until(days)
        for name in ("fused", "trees", "second"):
            assert evening.predict(name, retrain=True).due is None
    for name, whole in longer.items():
        assert_same(evening.scores(name), whole, evening.market.calendar[-1])


def test_what_happens_to_the_stocks_is_seen(evening, longer):
    """The tests above are of a new listing, a change of index members and a suspension."""
    whole, market = longer["net"], evening.market
    new, old, joined, _, suspended = market.symbols[:5]
    by_day = [whole.loc[day].index for day in market.calendar[TRAINED - 1 :]]
    days = range(TRAINED - 1, DAYS)
    assert [new in stocks for stocks in by_day] == [day >= LISTED for day in days]
    assert [old in stocks for stocks in by_day] == [day < CHANGED for day in days]
    assert [joined in stocks for stocks in by_day] == [day >= CHANGED for day in days]
    assert [suspended in stocks for stocks in by_day] == [not SUSPENDED[0] <= day < SUSPENDED[1] for day in days]


def test_several_days_at_once_and_a_second_call(evening, longer):
    evening.until(DUE)
    done = evening.predict("net", to=TRAINED)
    assert list(done.days) == [evening.market.calendar[TRAINED]]
    done = evening.predict("net")
    assert list(done.days) == list(evening.market.calendar[TRAINED + 1 : DUE])
    assert_same(evening.scores("net"), longer["net"], done.last)
    again = evening.predict("net")
    assert (len(again.days), again.rows, again.last) == (0, 0, done.last)


def test_a_window_that_is_due_stops_the_days_until_it_is_trained(evening, longer, capsys):
    evening.until(DUE + 2)
    assert main(["predict", "rolled", "--runs", str(evening.folder)]) == 1
    output = capsys.readouterr()
    due, before = (evening.market.calendar[day] for day in (DUE, DUE - 1))
    assert f"rolled: a new window is due on {due:%Y-%m-%d}; train it with --retrain" in output.err
    assert_same(evening.scores("rolled"), longer["rolled"], before)
    run = find_runs(store_of(evening.folder), "rolled")[0]
    before_training = windows_of(run)
    assert main(["predict", "second", "--retrain", "--runs", str(evening.folder)]) == 0
    for name in ("rolled", "second"):
        assert_same(evening.scores(name), longer[name], evening.market.calendar[DUE + 1])
    table = windows_of(run)
    pd.testing.assert_frame_equal(table.iloc[: len(before_training)], before_training, check_dtype=False)
    assert list(table[TEST_FROM].iloc[-2:]) == [f"{due:%Y-%m-%d}"] * 2, "a line for each seed"
    assert list(table[TEST_TO].iloc[-2:]) == [f"{evening.market.calendar[DUE + 1]:%Y-%m-%d}"] * 2


@pytest.mark.parametrize("place", range(4))
def test_an_interrupted_call_loses_nothing(evening, longer, monkeypatch, place):
    """Stopped at each of the writes of a seed, a seed, and pred.pkl; the next call goes on."""
    evening.until(DUE)
    writes = iter(range(100))
    write = scoring.write_checked

    def stopped(*args):
        if next(writes) == place:
            raise KeyboardInterrupt
        write(*args)

    monkeypatch.setattr(scoring, "write_checked", stopped)
    with pytest.raises(KeyboardInterrupt):
        evening.predict("rolled")
    monkeypatch.undo()
    assert_same(evening.scores("rolled"), longer["rolled"], evening.market.calendar[TRAINED - 1])
    evening.predict("rolled")
    assert_same(evening.scores("rolled"), longer["rolled"], evening.market.calendar[DUE - 1])


def test_a_training_that_was_interrupted_is_not_repeated(evening, longer, monkeypatch):
    evening.until(DUE + 1)
    with monkeypatch.context() as patched:
        patched.setattr(windows.RollingRun, "_write", stop_after(2, windows.RollingRun._write))
        with pytest.raises(KeyboardInterrupt):
            evening.predict("rolled", retrain=True)
    monkeypatch.setattr("qlib_ext.rolling.model.train_window", lambda *args: pytest.fail("trained again"))
    evening.predict("rolled", retrain=True)
    assert_same(evening.scores("rolled"), longer["rolled"], evening.market.calendar[DUE])


def stop_after(calls, function):
    """The function, which is interrupted at its call of this number."""
    made = iter(range(1, 100))

    def stopped(*args):
        if next(made) == calls:
            raise KeyboardInterrupt
        return function(*args)

    return stopped


def test_a_changed_past_is_refused(evening):
    evening.until(TRAINED + 1, lambda fields: fields["turnover"][TRAINED - 2, 5:7].__imul__(1.5))
    before = evening.scores("net")
    first = before.loc[evening.market.calendar[TRAINED - 1]].index[0]
    for name in ("net", "rolled"):
        with pytest.raises(DataError, match=rf"The past of '{name}' has changed: of .* first that of {first}: "):
            evening.predict(name)
    pd.testing.assert_frame_equal(evening.scores("net"), before)


def test_the_first_stock_that_differs_is_named():
    day = pd.Timestamp("2015-03-24")
    index = pd.MultiIndex.from_product([[day], ["A", "B", "C"]], names=["datetime", "instrument"])
    recorded = pd.Series([1.0, 2.0, np.nan], index)
    scoring.require_same(recorded, recorded.copy(), day, "net")
    for again, message in (
        (recorded.replace(2.0, np.nextafter(2.0, 3.0)), "1 of 3 .* B: 2.0 then, 2.0000000000000004 now"),
        (recorded.iloc[1:], "1 of 3 .* A: 1.0 then, none now"),
        (recorded.fillna(0.0), "1 of 3 .* C: none then, 0.0 now"),
    ):
        with pytest.raises(DataError, match=message):
            scoring.require_same(recorded, again, day, "net")
    with pytest.raises(DataError, match=r"1 of 3 .* C: none then, none now"):
        scoring.require_same(recorded.iloc[:2], recorded, day, "net")


def test_what_can_be_known_is_refused_before_anything_is_loaded(evening, monkeypatch, capsys):
    monkeypatch.setattr(prediction, "predict_one", lambda *args: pytest.fail("loaded"))
    calendar = evening.market.calendar
    saturday = calendar[TRAINED - 1] + pd.offsets.Week(weekday=5) - pd.Timedelta(days=7)
    for call, message in (
        (("nett",), r"There is no experiment 'nett' .*[Dd]id you mean 'net'\?"),
        (("net", calendar[TRAINED]), rf"{calendar[TRAINED]:%Y-%m-%d} is after {calendar[TRAINED - 1]:%Y-%m-%d}"),
        (("net", saturday), f"{saturday:%Y-%m-%d} is no trading day"),
    ):
        with pytest.raises(DataError, match=message):
            prediction.predict(evening.folder, *call)
    evening.until(TRAINED - 1)
    with pytest.raises(
        DataError, match=f"ends on {calendar[TRAINED - 2]:%Y-%m-%d}, before {calendar[TRAINED - 1]:%Y-%m-%d}"
    ):
        evening.predict("net")
    evening.until(TRAINED, lambda fields: fields.pop("turnover"))
    with pytest.raises(DataError, match=r"'net' cannot be predicted: .*has the field \$turnover"):
        evening.predict("net")


def test_a_second_stage_refuses_an_input_that_was_run_again(evening):
    qrun(evening.market, "net", evening.provider, evening.folder)
    with pytest.raises(DataError, match="'net' was run again after 'fused' had read it"):
        evening.predict("fused")


def test_two_processes_do_not_write_one_run(evening):
    evening.until(TRAINED + 1)
    run = find_runs(store_of(evening.folder), "net")[0]
    with (
        at_work_on(evening.folder, run.info.run_id),
        pytest.raises(WorkerError, match=f"Another process works on the run {run.info.run_id}"),
    ):
        evening.predict("net")


def test_the_table_of_a_day(evening, longer, tmp_path, capsys):
    evening.until(TRAINED + 2)
    file, call = tmp_path / "scores.csv", ["predict", "trees", "--runs", str(evening.folder), "--out"]
    assert main([*call, str(file)]) == 0
    for day, options in ((TRAINED + 1, []), (TRAINED, ["--date", f"{evening.market.calendar[TRAINED]:%Y-%m-%d}"])):
        assert main([*call, str(file), *options]) == 0
        table = pd.read_csv(file, parse_dates=["datetime"]).set_index(["datetime", "instrument"])["score"]
        expected = longer["trees"]["score"].loc[[evening.market.calendar[day]]]
        assert table.is_monotonic_decreasing
        np.testing.assert_array_equal(table.sort_index().to_numpy(), expected.to_numpy())
    assert "no day is new, it is scored to" in capsys.readouterr().out


def test_the_processors_stay_as_they_were_fitted(evening, monkeypatch):
    evening.until(TRAINED + 1)
    fail = lambda *args: pytest.fail("fitted again")  # noqa: E731
    monkeypatch.setattr("qlib_ext.processors.normalise.RobustZScoreNorm.fit", fail)
    for name in ("net", "rolled"):
        assert evening.predict(name).rows


def half_written(fields: dict) -> None:
    """The last day has the bars of some stocks alone."""
    for name in BARS:
        fields[name][-1, 5:10] = np.nan


def test_a_day_that_was_half_written_is_scored_again(evening, longer):
    """All kinds of runs; a second call on the same evening says so, though no day is new."""
    day = evening.market.calendar[TRAINED]
    evening.until(TRAINED + 1, half_written)
    for name in ("trees", "fused", "second"):
        evening.predict(name, retrain=True)
    for name, whole in longer.items():
        assert not evening.scores(name).loc[day].equals(whole.loc[day])
    for days in (TRAINED + 1, TRAINED + 3):
        evening.until(days)
        with pytest.raises(DataError, match=f"of {day:%Y-%m-%d}.* `qlib-ext predict trees --again {day:%Y-%m-%d}`"):
            evening.predict("trees")
    for name in ("trees", "fused", "second"):
        done = evening.predict(name, again=day)
        assert list(done.days) == list(evening.market.calendar[TRAINED : TRAINED + 3])
    for name, whole in longer.items():
        assert_same(evening.scores(name), whole, evening.market.calendar[TRAINED + 2])
    assert not evening.predict("fused").rows


def test_the_first_day_of_a_window_is_scored_again_and_none_before(evening, longer, capsys):
    due, before = (evening.market.calendar[day] for day in (DUE, DUE - 1))
    evening.until(DUE + 1, half_written)
    evening.predict("rolled", retrain=True)
    evening.until(DUE + 2)
    with pytest.raises(DataError, match=f"'rolled' cannot score {before:%Y-%m-%d} again: its last window begins on"):
        evening.predict("rolled", again=before)
    call = ["predict", "rolled", "--runs", str(evening.folder), "--again"]
    assert main([*call, f"{due:%Y-%m-%d}"]) == 0
    assert_same(evening.scores("rolled"), longer["rolled"], evening.market.calendar[DUE + 1])
    with pytest.raises(SystemExit):
        main([*call, f"{due:%Y-%m-%d}", "--to", f"{due:%Y-%m-%d}"])


def test_what_cannot_be_scored_again_is_refused_and_nothing_is_lost(evening):
    days, whole = evening.market.calendar, evening.scores("net")
    saturday = whole.index[-1][0] - pd.offsets.Week(weekday=5)
    with pytest.raises(DataError, match=f"{saturday:%Y-%m-%d} is no trading day"):
        evening.predict("net", again=saturday)
    for day in (whole.index[0][0], days[TRAINED]):
        with pytest.raises(DataError, match=f"'net' cannot score {day:%Y-%m-%d} again: it has scores of"):
            evening.predict("net", again=day)
    with pytest.raises(ConfigError, match="leave out the day to score up to"):
        evening.predict("net", to=TRAINED - 1, again=days[TRAINED - 1])
    evening.until(TRAINED, lambda fields: [fields[name].__setitem__(TRAINED - 2, np.nan) for name in BARS])
    with pytest.raises(DataError, match=rf"would lose its scores of 1 days, first {days[TRAINED - 2]:%Y-%m-%d}"):
        evening.predict("net", again=days[TRAINED - 2])
    pd.testing.assert_frame_equal(evening.scores("net"), whole)
