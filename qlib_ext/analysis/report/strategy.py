"""The section of a report on the backtest: its values, drawdowns, months, account, costs and last holdings."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from qlib_ext.analysis.report.drawing import Colours, Frames, add_line, finish, label_days, panels
from qlib_ext.analysis.report.figures import month_heat_map, strategy_values
from qlib_ext.analysis.report.parts import Part, as_html
from qlib_ext.analysis.report.recorded_run import RecordedRun
from qlib_ext.analysis.report.tables import stacked
from qlib_ext.analysis.report.texts import Texts

SMOOTHED = 20  # days of the mean of the turnover


def strategy_part(runs: Sequence[RecordedRun], colours: Colours, texts: Texts) -> Part:
    """The section, empty where no run has a backtest."""

    def of(file: str) -> dict[str, pd.DataFrame]:
        return {each.experiment: each.frames[file] for each in runs if file in each.frames}

    returns, account = of("strategy_returns"), of("strategy_account")
    pictures = []
    if returns:
        pictures = [
            as_html("strategy", strategy_values(returns, colours, texts)),
            as_html("drawdown", drawdowns(returns, colours, texts)),
            as_html("monthly-returns", month_heat_map(by_month(returns), texts["monthly_returns"], texts, ".1%")),
        ]
    if account:
        pictures.append(as_html("account", account_lines(account, colours, texts)))
    tables = (("yearly_table", "year", "performance_by_year"), ("cost_table", "cost_times", "strategy_costs"))
    grids = [stacked(texts[caption], key, of(file), texts) for caption, key, file in tables if of(file)]
    grids += [
        stacked(f"{texts['holdings']}: {name}", "", {name: frame}, texts) for name, frame in of("holdings").items()
    ]
    return Part("strategy", pictures, grids)


def drawdowns(returns: Frames, colours: Colours, texts: Texts) -> go.Figure:
    """How far the sums of the daily returns, and of the excess returns, stand below their highest, from 0 on."""
    figure = panels(1, 2, [texts["drawdown"], texts["excess_drawdown"]], 260)
    for name, frame in returns.items():
        for column, what in enumerate(("return", "excess_return"), 1):
            style = {"color": colours[name], "width": 1.3}
            add_line(figure, under_water(frame[what]), name, style, 1, column, legend=column == 1)
    figure.update_traces(fill="tozeroy")
    figure.update_yaxes(tickformat=".1~%", rangemode="tozero")
    label_days(figure)
    return finish(figure, 320)


def under_water(returns: pd.Series) -> pd.Series:
    """``C_t - max_{s <= t} C_s`` of the sum C of the returns, with ``C_0 = 0``; its least is the table's drawdown."""
    total = returns.cumsum()
    return total - total.cummax().clip(lower=0)


def by_month(returns: Frames) -> dict[str, pd.DataFrame]:
    """The returns after cost of each month, added up: [years, months], NaN where a month has none."""
    found = {}
    for name, frame in returns.items():
        own = frame["return"].groupby([frame.index.year, frame.index.month]).sum().unstack()
        found[name] = own.reindex(columns=range(1, 13))
    return found


def account_lines(account: Frames, colours: Colours, texts: Texts) -> go.Figure:
    """The mean turnover of the last 20 days, and the share of the account that is cash."""
    figure = panels(1, 2, [texts["mean_turnover"], texts["cash_share"]], 240)
    for name, frame in account.items():
        style = {"color": colours[name], "width": 1.3}
        add_line(figure, frame["turnover"].rolling(SMOOTHED, min_periods=1).mean(), name, style, 1, 1)
        add_line(figure, frame["cash"], name, style, 1, 2, legend=False)
    figure.update_yaxes(tickformat=".1~%", rangemode="tozero")
    label_days(figure)
    return finish(figure, 300)
