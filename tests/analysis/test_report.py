"""The page as ``qlib-ext report`` writes it."""

from __future__ import annotations

import json
import os
import re
import string
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qlib_ext.analysis.compare.table import comparison
from qlib_ext.analysis.report.page import report
from qlib_ext.analysis.report.texts import LANGUAGES
from qlib_ext.cli import main
from qlib_ext.recorder.windows import RANK_IC, RUN, SEED, TEST_FROM
from tests.analysis.findings import DAYS, findings
from tests.analysis.recorders import save, save_windows
from tests.analysis.test_render import Page

LONG = "基于自适应时空图网络的沪深三百指数增强策略_每半年滚动训练_随机种子零至四_与门控循环单元对照"
HOSTILE = "<img src=http://x.y/z onerror=alert(1)> \"a\" & 'b' {{ 7 * 7 }} {names} </script><script>alert(2)</script>"


def outside_scripts(text):
    return re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)


def texts(page, tag):
    return [text for name, _, text in page.seen if name == tag]


def test_the_page_shows_every_part(whole, command):
    whole("net", others=("tree",))
    whole("tree")
    code, text, printed = command("net", "tree")
    assert (code, printed.err) == (0, "")
    assert printed.out.startswith("wrote ")
    page = Page(text)
    assert page.open == [], "every element is closed"
    assert texts(page, "h1") == ["Factor report: net, tree"]
    headings = texts(page, "h2")
    assert [h for h in headings if not h.startswith("csi300")] == [
        *("Summary", "What was tested", "Strategy after cost", "Rank IC", "Groups by score", "Inside indices"),
        *("Correlation", "Exposures and risk factors", "Training curves"),
        *("Limits of the data, and what the codes mean", "Configuration"),
    ]
    assert re.findall(r'id="figure-([a-z-]+)"', text) == [
        *(
            "strategy",
            "drawdown",
            "monthly-returns",
            "account",
            "rank-ic",
            "months",
            "decay",
            "groups",
            "group-values",
            "indices",
            "training",
        )
    ]
    for cell in ("2016-11-01 to 2017-03-06, 90 trading days", "csi300", "GRU", "$close", "40", "10"):
        assert cell in texts(page, "td")
    assert texts(page, "pre")[0].startswith("record:")


def test_risk_factors_by_year(whole, command):
    whole("net")
    page = Page(command("net")[1])
    seen = [text for name, _, text in page.seen if name in ("caption", "td", "th")]
    ic = seen[seen.index("Rank IC by year, before and after the risk factors are taken out") :]
    assert ic[:7] == [ic[0], "year", "Rank IC", "without risk factors", "explained", "stocks", "days"]
    assert (ic[7], ic[9:13], ic[13]) == ("all", ["0.0123", "34.50%", "38", "9"], "2016")
    shown = seen[seen.index("Exposures by year: net") :]
    assert shown[1:4] == ["all", "2016", "2017"]
    assert shown[4:12] == ["size", "0.250", "0.250", "0.250", "industry_27", "-0.500", "-0.500", "-"]


def test_the_summary_is_the_table_of_compare(whole, command, recorders):
    for value in (0.03, 0.05):
        whole("net", value)
    whole("tree", 0.07)
    page = Page(command("net", "tree", "--last", "2")[1])
    (section,) = comparison(recorders.store, ["net", "tree"], 2).sections
    shown = iter(texts(page, "td"))
    for row in section.rows:
        for cell in (row.name, str(row.runs), *(cell.mean for cell in row.cells)):
            assert cell in shown, "in the order of the table"
    assert any("tree: of the 2 runs asked for there are 1." in line for line in texts(page, "li"))


def test_tables_print_what_was_saved(whole, command):
    whole("net")
    frames = findings("net", 3)
    cells = texts(Page(command("net")[1]), "td")
    for file, row, column in (
        ("performance_by_year", "2017", "annual_excess_return"),
        ("group_summary", 5, "excess_max_drawdown"),
        ("group_years", 2016, "long_short"),
    ):
        assert f"{frames[file].loc[row, column]:.2%}" in cells
    assert f"{frames['ic_summary'].loc[('rank_ic_spaced', 'all'), 'mean']:.4f}" in cells
    assert f"{frames['style_correlation'].loc['RET20', 'net']:.3f}" in cells


def test_a_score_is_correlated_by_its_own_run_where_it_has_one(whole, command):
    whole("net", others=("tree", "old"))
    whole("tree")
    cells = texts(Page(command("net", "tree")[1]), "td")
    of_net, of_tree = (
        findings(*of)["style_correlation"].loc["VOL20"] for of in (("net", 3, ("tree", "old")), ("tree", 4))
    )
    assert f"{of_tree['tree']:.3f}" in cells
    assert f"{of_net['tree']:.3f}" not in cells
    assert f"{of_net['old']:.3f}" in cells


def test_scores_of_several_experiments_are_correlated_with_each_other(whole, command):
    random = np.random.default_rng(0)
    index = pd.MultiIndex.from_product([DAYS, [f"SH60000{i}" for i in range(8)]], names=["datetime", "instrument"])
    scores = {name: pd.DataFrame({"score": random.normal(size=len(index))}, index) for name in ("net", "tree")}
    scores["tree"] = (scores["tree"] - scores["net"]).iloc[80:-16]
    for name, score in scores.items():
        save(whole(name, score_correlation=None) / "pred.pkl", score)
    text = command("net", "tree")[1]
    both = pd.concat(scores, axis=1, join="inner")
    daily = [day.corr(method="spearman").iloc[0, 1] for _, day in both.groupby(level="datetime")]
    cells = texts(Page(text), "td")
    assert cells.count(f"{np.mean(daily):.3f}") == 2, "above and below the diagonal"
    assert LANGUAGES["en"]["between"] in text
    assert "give FactorRecord compare_with" not in outside_scripts(text), "there is nothing to add"
    alone = command("net")[1]
    assert LANGUAGES["en"]["between"] not in alone
    assert "give FactorRecord compare_with" in outside_scripts(alone)


def test_a_score_that_cannot_be_read_is_named_and_the_others_are_correlated(whole, command):
    for name in ("net", "tree", "lost"):
        artifacts = whole(name)
        if name != "lost":
            index = pd.MultiIndex.from_product([DAYS, ["SH600000", "SH600001"]], names=["datetime", "instrument"])
            save(artifacts / "pred.pkl", pd.DataFrame({"score": np.arange(len(index)) % 3.0}, index))
    text = command("net", "tree", "lost")[1]
    assert LANGUAGES["en"]["between"] in text
    lines = [line for line in texts(Page(text), "li") if line.startswith("lost: the recorded pred.pkl cannot be read")]
    assert len(lines) == 1


def test_pictures_are_of_the_last_run(whole, command):
    whole("net", strategy_returns=None)
    whole("net")
    assert 'id="figure-strategy"' in command("net", "--last", "2")[1]


def test_nothing_is_fetched(whole, command):
    whole(HOSTILE)
    _, text, _ = command(HOSTILE)
    assert Page(text).fetched == []
    assert not re.search(r"@import|url\(|<link|<iframe", outside_scripts(text))
    assert "default-src 'none'" in text
    assert text.index("Content-Security-Policy") < text.index("<script")


def test_a_picture_cannot_be_sent_to_a_cloud(whole, command):
    whole("net")
    _, text, _ = command("net")
    buttons = re.findall(r'"modeBarButtons": (\[\[.*?\]\])', text)
    assert [json.loads(found) for found in buttons] == [[["toImage", "zoom2d", "pan2d", "resetScale2d"]]] * 11


def test_names_are_text(whole, command):
    whole("net")
    calm = command("net")[1]
    whole(HOSTILE)
    page = Page(command(HOSTILE)[1])
    assert page.open == []
    assert "img" not in page.tags
    assert texts(page, "h1") == [f"Factor report: {HOSTILE}"]
    assert len(texts(page, "script")) == len(texts(Page(calm), "script"))


def test_a_long_chinese_name_is_whole_in_the_tables_and_short_in_the_pictures(whole, command):
    whole(LONG)
    whole("net")
    _, text, _ = command(LONG, "net", "--lang", "zh")
    assert LONG in texts(Page(text), "span")
    drawn = [json.loads(f'"{name}"') for name in re.findall(r'"name":"((?:[^"\\]|\\.)*)"', text)]
    assert LONG not in drawn
    assert any(name.startswith(LONG[:10]) and name.endswith(LONG[-5:]) and len(name) < 30 for name in drawn)


def test_chinese_labels(whole, command):
    whole("net")
    _, text, _ = command("net", "--lang", "zh")
    page = Page(text)
    assert '<html lang="zh-CN">' in text
    assert texts(page, "h1") == ["因子测试报告：net"]
    for heading in ("汇总", "测试设置", "策略表现（费后）", "分组测试", "相关性", "训练曲线", "配置"):
        assert heading in texts(page, "h2")
    for title in ("年化超额收益", "信息比率", "最大回撤", "换手率", "天数"):
        assert title in texts(page, "th")
    assert "Sharpe" not in outside_scripts(text)


NAMED = re.compile(r"qlib-ext \w+|\b\w*[a-z][A-Z]\w*|\b[a-z]+_\w+")  # commands, classes, options


def test_both_languages_name_the_same_commands_classes_and_options():
    english, chinese = LANGUAGES["en"], LANGUAGES["zh"]
    assert NAMED.findall(english["no_scores"]) == ["FactorRecord", "compare_with", "qlib-ext report"]
    assert [key for key in english for name in NAMED.findall(english[key]) if name not in chinese[key]] == []


def test_both_languages_have_the_same_keys_and_places():
    en, zh = LANGUAGES["en"], LANGUAGES["zh"]
    assert list(en) == list(zh)
    for key in en:
        places = [{field for _, field, _, _ in string.Formatter().parse(text) if field} for text in (en[key], zh[key])]
        assert places[0] == places[1], key
    assert len(en["months"].split()) == len(zh["months"].split()) == 12


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        (["strategy_returns", "performance_by_year"], "net: no strategy; let PortAnaRecord run before FactorRecord."),
        (["style_correlation"], "net: no correlation with price-volume factors; FactorRecord was given styles: false."),
        (["risk_exposures", "risk_ic"], "net: no risk factors; give FactorRecord risk: {kwargs: {folder: DIR}}"),
        (["score_correlation"], "net: no correlation with other scores; give FactorRecord compare_with: "),
    ],
)
def test_a_part_that_is_missing_is_named_and_the_rest_is_there(whole, command, missing, sentence):
    whole("net", **dict.fromkeys(missing))
    whole("tree")
    code, text, _ = command("net", "tree")
    assert code == 0
    assert [line for line in texts(Page(text), "li") if line.startswith(sentence)]
    for figure in ("strategy", "rank-ic", "group-values"):
        assert f'id="figure-{figure}"' in text, "the other experiment has it"
    alone = command("net")[1]
    assert ('id="figure-strategy"' in alone) == ("strategy_returns" not in missing)
    assert ("VOL20" in alone) == ("style_correlation" not in missing)


def test_a_run_without_records_has_a_summary_and_says_what_to_add(recorders, command):
    (recorders.run("net") / "task").unlink()
    code, text, _ = command("net")
    assert code == 0
    page = Page(text)
    assert texts(page, "h2")[0] == "Summary"
    assert "figure-" not in text.split("</head>")[-1]
    lines = texts(page, "li")
    for start in ("net: no factor analysis; add FactorRecord", "net: no training curves", "net: no configuration"):
        assert [line for line in lines if line.startswith(start)]
    assert not [line for line in lines if "no strategy" in line], "one reason is enough"


def test_a_damaged_file_is_named(whole, command):
    (whole("net") / "factor_analysis" / "ic.pkl").write_bytes(b"")
    code, text, _ = command("net")
    assert code == 0
    assert [line for line in texts(Page(text), "li") if "factor_analysis/ic.pkl cannot be read (EOFError" in line]
    assert 'id="figure-groups"' in text


def test_windows_of_a_rolling_model_are_a_table(recorders, command):
    child = recorders.run("net").parent.name
    recorders.client.set_tag(child, "mlflow.parentRunId", "p")
    recorders.client.set_tag(child, "mlflow.runName", "2016-06-01")
    params = {"model.class": "RollingModel", "model.kwargs.model.class": "LGBModel"}
    line = {TEST_FROM: "2016-06-01", SEED: 3, RANK_IC: 0.0456, RUN: child}
    save_windows(recorders.run("net", params=params), [line])
    cells = texts(Page(command("net")[1]), "td")
    assert {"2016-06-01", "3", "0.0456", "RollingModel (LGBModel)"} <= {*cells}


def test_days_are_written_once(whole, command):
    whole("net")
    whole("tree")
    _, text, _ = command("net", "tree")
    lists = json.loads(re.search(r"const days=(\[.*?\]\])</script>", text)[1])
    assert [f"{day:%Y-%m-%d}" for day in DAYS] in lists
    assert text.count("2017-01-31") == sum("2017-01-31" in days for days in lists) < 4
    used = {int(number) for number in re.findall(r'"x":days\[(\d+)\]', text)}
    assert used == {*range(len(lists))}


def test_the_same_runs_give_the_same_page(whole, recorders):
    whole("net")
    assert report(recorders.store, ["net", "net"]) == report(recorders.store, ["net"])


def test_more_experiments_than_colours_are_refused(recorders, command):
    code, text, printed = command(*(f"e{k}" for k in range(9)))
    assert (code, text) == (2, "")
    assert printed.err.startswith("error: A report shows 8 experiments at most")
    assert "9 are named" in printed.err


@pytest.mark.parametrize(("name", "message"), [("nett", "no experiment 'nett'"), ("empty", "no finished run")])
def test_an_experiment_that_has_nothing_is_named_in_one_line(whole, recorders, command, name, message):
    whole("net")
    recorders.experiment("empty")
    code, text, printed = command("net", name)
    assert (code, text) == (2, "")
    assert message in printed.err
    assert printed.err.count("\n") == 1


def test_a_page_that_cannot_be_written_is_named_in_one_line_and_leaves_nothing(recorders, tmp_path, capsys):
    recorders.run("net")
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "page.html"
    assert main(["report", "net", "--runs", str(recorders.folder), "--out", str(out)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"error: {out} cannot be written")
    assert sorted(os.listdir(tmp_path)) == ["file", "runs"]


class Trap:
    """A pickle that writes a file when it is read."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


def test_without_pickles_nothing_of_a_stranger_is_executed(whole, recorders, command, tmp_path, capsys):
    artifacts, mark = whole("net", 0.0456), tmp_path / "executed"
    for path in artifacts.rglob("*"):
        if path.is_file():
            save(path, Trap(mark))
    code, text, _ = command("net", "--no-pickles")
    assert (code, mark.exists()) == (0, False)
    assert "0.0456" in texts(Page(text), "td")
    assert 'id="figure-training"' in text
    compare = ["compare", "net", "--runs", str(recorders.folder)]
    assert main([*compare, "--no-pickles"]) == 0
    assert "0.0456" in capsys.readouterr().out
    assert not mark.exists()
    main(compare)
    assert mark.exists(), "the trap is one"


@pytest.mark.parametrize("name", ["compare", "report"])
def test_help_warns_of_pickles(name, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([name, "--help"])
    assert "executes what its author put into it" in capsys.readouterr().out


def test_help_teaches(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["report", "--help"])
    printed = capsys.readouterr().out
    for word in ("FactorRecord", "module_path: qlib_ext.analysis.records", "--lang", "--last", "examples:"):
        assert word in printed
