"""``orders`` on the market that grows: real shares, lots, what cannot be traded, and what is refused."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pandas as pd
import pytest

from qlib_ext.cli import main
from qlib_ext.errors import ConfigError, DataError
from qlib_ext.live.orders import orders
from qlib_ext.live.trading_day import trading_day_after
from qlib_ext.recorder.runs import artifacts_of, find_runs, store_of
from qlib_ext.system.files import write_checked
from tests.live.growing import SUSPENDED, TRAINED

CASH = 300_000.0


@pytest.fixture
def order(evening, tmp_path):
    """Orders of ``trees`` for holdings, stock -> shares, or for the text of a file of them."""

    def of(holdings: dict | str = "", cash: float = CASH, name: str = "trees", **options):
        text = holdings or "instrument,shares\n"
        if isinstance(holdings, dict):
            text = "".join(["instrument,shares\n", *(f"{stock},{shares}\n" for stock, shares in holdings.items())])
        (tmp_path / "holdings.csv").write_text(text)
        return orders(evening.folder, name, tmp_path / "holdings.csv", cash, **options)

    return of


def ranked(evening, day: int) -> list[str]:
    """The stocks by the score of a day, the best first."""
    scores = evening.scores("trees")["score"].loc[evening.market.calendar[day]]
    return [*scores.sort_values(ascending=False).index]


def field(evening, name: str, day: int, stock: str) -> float:
    return float(evening.market.fields[name][day, evening.market.symbols.index(stock)])


def test_holdings_are_real_shares_and_orders_are_too(evening, order):
    best = ranked(evening, TRAINED - 1)
    adjusted = [stock for stock in best if abs(field(evening, "factor", TRAINED - 1, stock) - 1) > 0.01]
    worst = next(stock for stock in reversed(best) if stock in adjusted)
    held = {worst: 1234.0, best[0]: 500.0, best[1]: 700.0, best[2]: 700.0}
    made = order(held)
    price = {s: field(evening, "close", TRAINED - 1, s) / field(evening, "factor", TRAINED - 1, s) for s in best}
    value = CASH + sum(shares * price[stock] for stock, shares in held.items())
    assert made.value == pytest.approx(value, rel=1e-6)
    (sold,) = made.table[made.table["side"] == "sell"].itertuples()
    assert (sold.instrument, sold.shares, sold.weight_after) == (worst, 1234.0, 0.0)
    assert sold.weight_before == pytest.approx(1234 * price[worst] / value, rel=1e-6)
    bought = made.table[made.table["side"] == "buy"]
    assert len(bought)
    for row in bought.itertuples():
        assert row.shares % 100 == 0
        assert row.price == pytest.approx(price[row.instrument], rel=1e-6)
        assert row.amount == pytest.approx(row.shares * row.price, rel=1e-6)
        assert row.weight_after == pytest.approx(row.amount / (value - made.cost), rel=1e-6)
    traded = sold.amount - bought["amount"].sum()
    assert made.cash_after == pytest.approx(CASH + traded - made.cost, abs=0.01)
    assert made.turnover == pytest.approx(made.table["amount"].sum() / value, rel=1e-6)


def test_codes_of_other_forms_fractions_and_empty_rows(evening, order):
    stock = ranked(evening, TRAINED - 1)[-1]
    code = f"{stock[2:]}.{stock[:2]}"
    made = order(f"instrument,shares,name\n{code},102.5,x\n{ranked(evening, TRAINED - 1)[0]},0,y\n")
    (sold,) = made.table[made.table["side"] == "sell"].itertuples()
    assert (sold.instrument, made.names) == (stock, 1)
    assert sold.shares == pytest.approx(102.5, abs=1e-6)


NO_HOLDINGS = (
    ("stock,shares\nSH600001,1\n", "has no column 'instrument', it has stock, shares"),
    ("instrument,amount\nSH600001,1\n", "has no column 'shares'"),
    ("instrument,shares\nSH600002,1\nSH999999,5\n", "1 instruments that are unknown .* first 'SH999999'"),
    ("instrument,shares\nSH600002,-5\n", "1 rows whose shares is no number of 0 or more, first SH600002: '-5'"),
    ("instrument,shares\nSH600002,\nSH600003,nan\n", "2 rows whose shares .* first SH600002: None"),
    ("instrument,shares\nSH600002,1e400\n", "1 rows whose shares"),
    ("instrument,shares\nSH600002,many\n", "first SH600002: 'many'"),
    ("instrument,shares\nSH600002,5\n600002.SH,6\n", "1 instruments more than once, first SH600002"),
    ("instrument,shares\n2,5\n", "fewer than six digits"),
    ("instrument,shares\nSH600002,5\n000300.SH,6\n", "1 indices among the holdings, first SH000300"),
    ("instrument,shares,days\nSH600002,5,1.5\n", "1 rows whose days is no whole number, first SH600002: '1.5'"),
    ("instrument,shares,shares\nSH600002,5,6\n", "has several columns 'shares'"),
    ("instrument,side,shares\nSH600002,buy,100\n", "is a file of orders"),
)


def test_holdings_that_make_no_sense_are_refused(order):
    for text, message in NO_HOLDINGS:
        with pytest.raises(DataError, match=message):
            order(text)


def test_cash_that_makes_no_sense_is_refused(order):
    for cash in (-1.0, np.nan, np.inf):
        with pytest.raises(ConfigError, match="The cash is a number of yuan, 0 or more"):
            order(cash=cash)
    with pytest.raises(ConfigError, match="neither holdings nor cash"):
        order(cash=0.0)


def test_a_day_without_scores_says_to_predict(evening, order):
    evening.until(TRAINED + 1)
    day = evening.market.calendar[TRAINED]
    with pytest.raises(DataError, match=f"'trees' has no scores of {day:%Y-%m-%d}.* `qlib-ext predict trees` first"):
        order()


def test_a_holding_without_a_close_is_refused(evening, order):
    first = evening.market.symbols[0]  # listed after this day; its folder is there from its first bar on
    evening.until(TRAINED + 4)
    with pytest.raises(DataError, match=rf"1 holdings have no close until .* first {first}"):
        order({first: 100}, date=evening.market.calendar[TRAINED - 1])


def edit_config(evening, edit) -> None:
    """Change what the newest run of ``trees`` says of itself."""
    path = artifacts_of(find_runs(store_of(evening.folder), "trees")[0]) / "config"
    config = pd.read_pickle(path)
    edit(config["task"]["record"])
    write_checked(path, pickle.dumps(config), "")


def test_a_run_without_a_backtest_is_refused(evening, order):
    edit_config(evening, lambda records: records.pop())
    with pytest.raises(DataError, match="'trees' has no PortAnaRecord among its records"):
        order()


def test_a_backtest_in_other_steps_or_of_another_signal_is_refused(evening, order):
    executor = {"class": "SimulatorExecutor", "module_path": "qlib.backtest.executor"}
    executor["kwargs"] = {"time_per_step": "week", "generate_portfolio_metrics": True}
    edit_config(evening, lambda records: records[-1]["kwargs"]["config"].update(executor=executor))
    with pytest.raises(ConfigError, match="trades in steps of week by SimulatorExecutor"):
        order()
    edit_config(evening, lambda records: records[-1]["kwargs"]["config"].pop("executor"))
    edit_config(evening, lambda records: records[-1]["kwargs"]["config"]["strategy"]["kwargs"].update(signal="file"))
    with pytest.raises(ConfigError, match="reads the signal 'file'"):
        order()


def test_a_record_without_a_config_is_that_of_qlib(evening, order):
    def default(records):
        records[-1] = {"class": "PortAnaRecord"}

    edit_config(evening, default)
    assert len(order().table) == len(ranked(evening, TRAINED - 1))  # 50 of 50 and more would be bought


def test_a_strategy_that_asks_for_days_held(evening, order):
    edit_config(evening, lambda records: records[-1]["kwargs"]["config"]["strategy"]["kwargs"].update(hold_thresh=3))
    best = ranked(evening, TRAINED - 1)
    held = dict.fromkeys([*best[:3], best[-1]], 100.0)
    with pytest.raises(DataError, match="at least 3 days; add the column 'days'"):
        order(held)
    for days, sold in ((2, 0), (3, 1)):
        text = "".join(f"{stock},100,{days}\n" for stock in held)
        table = order(f"instrument,shares,days\n{text}").table
        assert (table["side"] == "sell").sum() == sold


def test_the_end_of_the_calendar_is_no_end(evening, order):
    """Without a calendar of days to come the next weekday is taken, and a warning says so; another can be named."""
    known = order()
    (evening.provider / "calendars" / "day_future.txt").unlink()
    assumed = order()
    pd.testing.assert_frame_equal(assumed.table, known.table)
    assert re.search(r"knows no day after .* is taken to be Wednesday, 2015-03-25", assumed.warnings[0])
    named = order(trading_day="2015-03-30")
    assert (named.table["date"] == pd.Timestamp("2015-03-30")).all()
    assert not named.warnings
    evening.until(TRAINED + 1)
    assert evening.predict("trees").rows, "no calendar of days to come is needed"


def test_the_trading_day(evening):
    evening.until(TRAINED)
    days = evening.market.calendar
    assert trading_day_after(evening.provider, days[5]).day == days[6]
    last = days[TRAINED - 1]
    friday = days[days.day_of_week == 4][0]
    (evening.provider / "calendars" / "day_future.txt").write_text(f"{last:%Y-%m-%d}\n")  # out of date
    assert trading_day_after(evening.provider, last).day == last + pd.offsets.BDay()
    assert trading_day_after(evening.provider, friday).day == days[days > friday][0]
    with pytest.raises(DataError, match=f"The trading day {last:%Y-%m-%d} is not after {last:%Y-%m-%d}"):
        trading_day_after(evening.provider, last, last)
    with pytest.raises(DataError, match="is a Saturday"):
        trading_day_after(evening.provider, friday, friday + pd.Timedelta(days=1))
    with pytest.raises(DataError, match=f"The trading day after {days[5]:%Y-%m-%d} is {days[6]:%Y-%m-%d}"):
        trading_day_after(evening.provider, days[5], days[7])


def test_a_past_evening_knows_nothing_later(evening, order):
    then = order()
    evening.until(TRAINED + 3)
    evening.predict("trees")
    again = order(date=evening.market.calendar[TRAINED - 1])
    pd.testing.assert_frame_equal(again.table, then.table)
    with pytest.raises(DataError, match=r"has no bars after .* Leave --next-bars out"):
        order(next_bars=True)


def test_a_suspended_holding_is_named(evening, order):
    day = SUSPENDED[0] + 1
    evening.until(day + 2)
    evening.predict("trees")
    stock = evening.market.symbols[4]
    best = ranked(evening, day)
    held = dict.fromkeys([stock, *best[:3]], 100.0)
    since = evening.market.calendar[SUSPENDED[0] - 1]
    for next_bars, reason in ((False, f"no bar since {since:%Y-%m-%d}, taken to be suspended"), (True, "no bar on")):
        made = order(held, date=evening.market.calendar[day], next_bars=next_bars)
        (row,) = made.table[made.table["instrument"] == stock].itertuples()
        assert (row.side, row.shares, row.amount) == ("sell", 0.0, 0.0)
        assert reason in row.reason
        assert row.weight_before > 0
        assert made.warnings[0].startswith("1 of 4 holdings have no bar")
        assert f"{stock} since {since:%Y-%m-%d}" in made.warnings[0]


def test_a_price_limit_of_the_next_day_is_named(evening, order):
    best = ranked(evening, TRAINED - 1)
    place = evening.market.symbols.index(best[0])
    evening.until(TRAINED + 1, lambda fields: fields["change"].__setitem__((TRAINED, place), 0.1))
    day = evening.market.calendar[TRAINED - 1]
    (free,) = order(date=day).table.query("instrument == @best[0]").itertuples()
    (closed,) = order(date=day, next_bars=True).table.query("instrument == @best[0]").itertuples()
    assert (free.shares > 0, free.reason) == (True, "")
    assert (closed.shares, closed.reason) == (0.0, f"at its price limit on {evening.market.calendar[TRAINED]:%Y-%m-%d}")
    evening.until(TRAINED, lambda fields: fields["change"].__setitem__((TRAINED - 1, place), 0.1))
    (warned,) = order().table.query("instrument == @best[0]").itertuples()
    assert (warned.shares, warned.reason) == (free.shares, f"was at its price limit on {day:%Y-%m-%d}")


def test_what_a_strategy_orders_and_the_day_does_not_deal_is_named(evening, order):
    """IndexEnhancement orders without looking at the next day, and of the cash that the closes leave."""
    known = order(name="net", cash=1_000_000.0)
    first, second = known.table["instrument"][:2]
    assert not known.table["reason"].any()
    day = evening.market.calendar[TRAINED - 1]

    def change(fields):
        for name, values in fields.items():
            if name != "factor":
                values[TRAINED, evening.market.symbols.index(first)] = np.nan
        for name in ("open", "high", "low", "close", "vwap"):
            fields[name][TRAINED, evening.market.symbols.index(second)] *= 10

    evening.until(TRAINED + 1, change)
    made = order(name="net", cash=1_000_000.0, date=day, next_bars=True)
    rows = made.table.set_index("instrument")
    assert (rows.loc[first, "shares"], rows.loc[first, "amount"]) == (0.0, 0.0)
    assert rows.loc[first, "reason"] == f"no bar on {evening.market.calendar[TRAINED]:%Y-%m-%d}"
    assert rows.loc[first, "price"] > 0
    assert rows.loc[second, "shares"] == known.table["shares"][1], "decided at the close before"
    assert re.fullmatch(r"the cash pays for [0-9]+00 of them", rows.loc[second, "reason"])
    assert made.cash_after >= 0


def test_lots_of_another_factor_are_not_blamed_on_the_cash(evening, order):
    """A dividend overnight: of the adjusted shares decided at the close, fewer are whole lots."""
    known = order(name="net", cash=1_000_000.0)
    stock = known.table["instrument"][0]
    place = evening.market.symbols.index(stock)
    change = lambda fields: fields["factor"].__setitem__((TRAINED, place), 1.07 * fields["factor"][TRAINED, place])  # noqa: E731
    evening.until(TRAINED + 1, change)
    made = order(name="net", cash=1_000_000.0, date=evening.market.calendar[TRAINED - 1], next_bars=True)
    row = made.table.set_index("instrument").loc[stock]
    assert row["shares"] == pytest.approx(1.07 * known.table["shares"][0])
    assert re.fullmatch(r"[0-9]+00 of them are whole lots", row["reason"])


def test_less_than_a_lot_is_named(order):
    made = order(cash=1000.0)
    assert set(made.table["reason"]) == {"less than a lot"}
    assert (made.cash_after, made.names_after, made.turnover) == (1000.0, 0, 0.0)


def test_a_provider_without_factors_trades_in_its_own_units(evening, order):
    evening.until(TRAINED, lambda fields: fields.pop("factor"))
    made = order()
    assert "has no $factor, so Qlib trades" in made.warnings[0]
    assert len(made.table)


def test_a_provider_with_factors_of_some_stocks_is_refused(evening, order):
    evening.until(TRAINED, lambda fields: fields["factor"].__setitem__((TRAINED - 1, 4), np.nan))
    stock = evening.market.symbols[4]
    with pytest.raises(DataError, match=rf"1 bars of .* have a \$close and no \$factor, first that of {stock}"):
        order()


def test_a_close_of_0_is_no_price(evening, order):
    held = ranked(evening, TRAINED - 1)[-1]
    place = evening.market.symbols.index(held)
    evening.until(TRAINED, lambda fields: fields["close"].__setitem__((TRAINED - 1, place), 0.0))
    made = order({held: 100})
    (row,) = made.table[made.table["instrument"] == held].itertuples()
    assert (row.side, row.shares) == ("sell", 0.0)
    assert "suspended" in row.reason
    evening.until(TRAINED, lambda fields: fields["close"].__setitem__(TRAINED - 1, 0.0))
    with pytest.raises(DataError, match=r"No stock that the backtest may trade has a \$close on"):
        order({held: 100})


def test_orders_do_not_replace_the_holdings(evening, tmp_path, capsys):
    (tmp_path / "holdings.csv").write_text("instrument,shares\n\n\n")
    call = ["orders", "trees", "--runs", str(evening.folder), "--holdings", str(tmp_path / "holdings.csv")]
    assert main([*call, "--cash", "500000", "--out", str(tmp_path / "x" / ".." / "holdings.csv")]) == 2
    assert "would replace the holdings" in capsys.readouterr().err
    assert (tmp_path / "holdings.csv").read_text() == "instrument,shares\n\n\n"
    assert main([*call, "--cash", "500000", "--out", str(tmp_path / "orders.csv")]) == 0


def test_the_command(evening, tmp_path, capsys):
    (tmp_path / "holdings.csv").write_text(f"instrument,shares\n{ranked(evening, TRAINED - 1)[-1]},100\n")
    call = ["orders", "trees", "--runs", str(evening.folder), "--holdings", str(tmp_path / "holdings.csv")]
    assert main([*call, "--cash", "500000", "--out", str(tmp_path / "orders.csv")]) == 0
    made = orders(evening.folder, "trees", tmp_path / "holdings.csv", 500_000)
    table = pd.read_csv(tmp_path / "orders.csv", parse_dates=["date"], keep_default_na=False)
    pd.testing.assert_frame_equal(table, made.table, check_dtype=False, rtol=1e-4, atol=1e-4)
    printed = capsys.readouterr().out
    assert "orders for 2015-03-25 by the scores of 2015-03-24" in printed
    assert f"cash 500,000 to {made.cash_after:,.0f}, names 1 to {made.names_after}" in printed
    assert main([*call, "--cash", "-1", "--out", str(tmp_path / "none.csv")]) == 2
    assert not (tmp_path / "none.csv").exists()
