from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from qlib_ext.analysis.report import drawing, figures
from qlib_ext.analysis.report.texts import LANGUAGES
from tests.analysis.findings import DAYS, findings

EN = LANGUAGES["en"]
NAMES = ["net", "tree", "linear"]
COLOURS = dict(zip(NAMES, drawing.PALETTE, strict=False))


def frames(file, names=NAMES):
    return {name: findings(name, seed)[file] for seed, name in enumerate(names)}


def lines(figure, axis):
    """The traces of one panel, by its y axis."""
    return [trace for trace in figure.data if trace.yaxis == axis]


def test_the_strategy_is_the_sum_of_its_daily_returns():
    returns = frames("strategy_returns")
    figure = figures.strategy_values(returns, COLOURS, EN)
    for column, axis in (("return", "y"), ("excess_return", "y2")):
        for name, trace in zip(NAMES, lines(figure, axis), strict=False):
            np.testing.assert_array_equal(trace.y, 1 + returns[name][column].cumsum())
            assert list(trace.x) == list(DAYS.strftime("%Y-%m-%d"))
            assert (trace.name, trace.line.color) == (name, COLOURS[name])
    assert len(lines(figure, "y2")) == 3


def test_a_benchmark_is_drawn_once_and_named_where_there_are_several():
    returns = frames("strategy_returns")
    (benchmark,) = lines(figures.strategy_values(returns, COLOURS, EN), "y")[3:]
    assert benchmark.name == "benchmark"
    np.testing.assert_allclose(benchmark.y, 1 + (np.sin(np.arange(len(DAYS))) / 100).cumsum())
    returns["tree"] = returns["tree"].assign(excess_return=0.0)
    both = lines(figures.strategy_values(returns, COLOURS, EN), "y")[3:]
    assert [trace.name for trace in both] == ["benchmark, net", "benchmark, tree"]


def test_groups_are_compounded_and_end_where_the_table_says():
    returns, summary = frames("group_returns"), frames("group_summary")
    figure = figures.group_values(returns, EN)
    own, excess = lines(figure, "y3"), lines(figure, "y4")
    assert [trace.name for trace in own] == [f"group {g}" for g in range(1, 6)] + ["universe"]
    for g in range(1, 6):
        daily = returns["tree"][g].dropna()
        np.testing.assert_allclose(own[g - 1].y, (1 + daily).cumprod())
        annual = excess[g - 1].y[-1] ** (252 / len(daily)) - 1
        assert annual == pytest.approx(summary["tree"].loc[g, "annual_excess_return"])
    assert own[0].x[0] == f"{daily.index[0]:%Y-%m-%d}"
    assert [trace.name for trace in figure.data if trace.showlegend] == [trace.name for trace in own]


@pytest.mark.parametrize(
    ("figure", "first", "axes"),
    [
        (figures.strategy_values(frames("strategy_returns"), COLOURS, EN), "x", 2),
        (figures.group_values(frames("group_returns"), EN), "x", 6),
        (figures.group_comparison(frames("group_summary"), frames("group_returns"), COLOURS, EN), "x2", 2),
        (figures.rank_ic_bars(frames("ic"), frames("ic_monthly"), COLOURS, EN), "x", 3),
    ],
)
def test_panels_of_days_are_zoomed_together(figure, first, axes):
    matched = [axis.matches for axis in figure.select_xaxes() if axis.hoverformat == "%Y-%m-%d"]
    assert matched == [None] + [first] * (axes - 1)


def test_experiments_are_compared_by_the_table_and_by_their_first_group():
    returns, summary = frames("group_returns"), frames("group_summary")
    figure = figures.group_comparison(summary, returns, COLOURS, EN)
    for name, bar in zip(NAMES, lines(figure, "y"), strict=True):
        np.testing.assert_array_equal(bar.y, summary[name].loc[1:5, "annual_excess_return"])
        assert (list(bar.x), bar.marker.color) == (["1", "2", "3", "4", "5"], COLOURS[name])
    top, spread = lines(figure, "y2")[2], lines(figure, "y3")[2]
    days = len(top.y)
    assert top.y[-1] ** (252 / days) - 1 == pytest.approx(summary["linear"].loc[1, "annual_excess_return"])
    assert spread.y[-1] ** (252 / days) - 1 == pytest.approx(summary["linear"].loc["long_short", "annual_return"])
    assert [trace.name for trace in figure.data if trace.showlegend is not False] == NAMES


def test_bars_are_the_months_and_the_line_is_the_sum():
    daily, monthly = frames("ic"), frames("ic_monthly")
    figure = figures.rank_ic_bars(daily, monthly, COLOURS, EN)
    bars = [trace for trace in figure.data if trace.type == "bar"]
    sums = [trace for trace in figure.data if trace.type == "scatter"]
    for name, bar, line in zip(NAMES, bars, sums, strict=True):
        assert list(bar.x) == ["2016-11-15", "2016-12-15", "2017-01-15", "2017-02-15", "2017-03-15"]
        np.testing.assert_array_equal(bar.y, monthly[name].stack().dropna())
        np.testing.assert_array_equal(line.y, daily[name]["rank_ic"].cumsum())
        assert bar.marker.color == COLOURS[name]


@pytest.mark.parametrize("sign", [1, -1])
def test_both_axes_have_zero_at_one_height_and_room_for_all(sign):
    daily = {name: frame * sign for name, frame in frames("ic").items()}
    monthly = {name: frame * sign for name, frame in frames("ic_monthly").items()}
    layout = figures.rank_ic_bars(daily, monthly, COLOURS, EN).layout
    left, right = np.array(layout.yaxis.range), np.array(layout.yaxis2.range)
    assert left[0] / left[1] == pytest.approx(right[0] / right[1])
    for (low, high), values in ((left, monthly), (right, {n: f["rank_ic_cumulative"] for n, f in daily.items()})):
        for frame in values.values():
            assert low < np.nanmin(frame.to_numpy())
            assert np.nanmax(frame.to_numpy()) < high


def test_a_rank_ic_that_is_never_a_number_is_an_empty_picture():
    daily, monthly = ({"net": frame * np.nan} for frame in (findings("net")["ic"], findings("net")["ic_monthly"]))
    assert np.isfinite(figures.rank_ic_bars(daily, monthly, COLOURS, EN).layout.yaxis.range).all()
    assert figures.month_heat_map(monthly, EN["heat_map"], EN).data[0].zmax > 0


@pytest.mark.parametrize(("lang", "first"), [("en", "Jan"), ("zh", "1月")])
def test_months_share_one_scale_around_zero(lang, first):
    monthly = frames("ic_monthly")
    figure = figures.month_heat_map(monthly, LANGUAGES[lang]["heat_map"], LANGUAGES[lang])
    for name, heat in zip(NAMES, figure.data, strict=True):
        np.testing.assert_array_equal(heat.z, monthly[name])
        assert (heat.x[0], list(heat.y)) == (first, ["2016", "2017"])
        assert heat.zmin == -heat.zmax == figure.data[0].zmin
    assert figure.data[0].zmax >= max(np.nanmax(np.abs(table)) for table in monthly.values())


def curves(*rows):
    return pd.DataFrame(rows, columns=["part", "measure", "segment", "epoch", "value"])


def test_curves_stand_by_measure_and_training_is_dashed():
    net = curves(("", "loss", "train", 0, 3.0), ("", "loss", "train", 1, 2.0), ("", "loss", "valid", 0, 4.0))
    tree = curves(*[(part, "l2", "valid", 0, 1.0) for part in ("2016", "2017")])
    figure = figures.training_curves({"net": net, "tree": tree}, COLOURS, EN)
    assert [(trace.yaxis, trace.line.dash, trace.line.width, list(trace.y)) for trace in figure.data] == [
        ("y", "dash", 1.8, [3.0, 2.0]),
        ("y", "solid", 1.8, [4.0]),
        ("y2", "solid", 1, [1.0]),
        ("y2", "solid", 1, [1.0]),
    ]
    assert [trace.name for trace in figure.data if trace.showlegend] == ["net, train", "net, valid", "tree, valid"]
    assert [note.text for note in figure.layout.annotations] == ["loss", "l2"]
    assert "2017" in figure.data[3].hovertemplate


def test_the_colours_differ():
    assert len({*drawing.PALETTE}) == len(drawing.PALETTE) == 8


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("csi300_gru", "csi300_gru"),
        ("", ""),
        ("<b>a&b</b>", "&lt;b&gt;a&amp;b&lt;/b&gt;"),
        ("沪深三百指数增强_门控循环单元_每半年滚动训练_种子0", "沪深三百指数增强_门控循…动训练_种子0"),
    ],
)
def test_names_fit_into_a_picture(name, shown):
    assert drawing.short(name) == shown


def test_a_long_legend_makes_the_picture_higher_and_not_the_axes_lower():
    long = {f"策略{k}" * 20: findings("x", k)["strategy_returns"] for k in range(8)}
    colours = dict(zip(long, drawing.PALETTE, strict=True))
    few, many = (figures.strategy_values(r, colours, EN).layout for r in (dict([*long.items()][:1]), long))
    assert many.height > few.height
    assert many.height - many.margin.b == few.height - few.margin.b


def test_markup_in_a_name_is_text_in_every_picture():
    hostile = "<a href='javascript:x'>x</a>"
    of = {key: {hostile: value} for key, value in findings(hostile).items()}
    colours = {hostile: drawing.PALETTE[0]}
    lines_of = curves(("<i>", "<u>", "train", 0, 1.0))
    for figure in (
        figures.strategy_values(of["strategy_returns"], colours, EN),
        figures.group_values(of["group_returns"], EN),
        figures.group_comparison(of["group_summary"], of["group_returns"], colours, EN),
        figures.rank_ic_bars(of["ic"], of["ic_monthly"], colours, EN),
        figures.month_heat_map(of["ic_monthly"], EN["heat_map"], EN),
        figures.training_curves({hostile: lines_of}, colours, EN),
    ):
        texts = [trace.name for trace in figure.data] + [note.text for note in figure.layout.annotations]
        texts += [trace.hovertemplate.replace("<extra></extra>", "") for trace in figure.data]
        assert not [text for text in texts if text and "<" in text]
