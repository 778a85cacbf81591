"""``qlib-ext factor``: what it prints, the table and the page that it writes."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from qlib_ext.analysis.single_factor import page as page_of_factors
from qlib_ext.analysis.single_factor.names import SOLD, named_factors
from qlib_ext.analysis.single_factor.texts import FACTOR_TEXTS
from qlib_ext.cli import main
from qlib_ext.provider.facts import ProviderFacts
from qlib_ext.ticks.factors import FAMILIES
from tests.analysis.test_render import Page

REVERSAL = "0 - $close / Ref($close, 5)"


@pytest.fixture
def factor(small, tmp_path, capsys):
    """Runs the command; its exit code, what it printed, the table and the page."""

    def run(*arguments, data=small[0]):
        out, csv = tmp_path / "factors.html", tmp_path / "factors.csv"
        code = main(["factor", *arguments, "--data", str(data), "--out", str(out), "--csv", str(csv)])
        table = pd.read_csv(csv, index_col="factor") if csv.exists() else None
        return code, capsys.readouterr(), table, out.read_text(encoding="utf-8") if out.exists() else ""

    return run


def test_an_expression_a_style_and_a_file(factor, small, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("CALM: 0 - Std($change, 10)\n")
    code, printed, table, page = factor(REVERSAL, "VOL20", "--file", str(file))
    assert code == 0, printed.err
    assert list(table.index) == [REVERSAL, "CALM", "VOL20"]
    assert "Rank IC" in printed.out
    assert f"{table.loc['CALM', 'mean']:.2%}" in printed.out
    facts = ProviderFacts.of(small[0])
    assert str(facts) in printed.out
    assert str(facts) in page
    assert "<title>SIMULATED: Single-factor test: 3 factors" in page
    shown = Page(page)
    assert shown.open == [], "every element is closed"
    cells = [text for name, _, text in shown.seen if name == "td"]
    for value in (f"{table.loc['VOL20', 'annual_excess_return']:.2%}", f"{table.loc[REVERSAL, 'icir']:.4f}"):
        assert value in cells
    assert re.findall(r'id="figure-([a-z-]+)"', page) == ["factors", "groups", "rank-ic"]
    links = re.findall(r'<a href="#(\w+)"', page)
    assert links == ["tested", "summary", "pictures", "correlation", "group_values", "cumulative_ic", "years"]
    assert all(f'<section id="{link}"' in page for link in links)


def test_the_page_says_how_factors_were_prepared(factor):
    page = factor(REVERSAL)[3]
    assert "mean of 20 days, clipped at 3 scaled MADs, neutral to industry ($industry) and log size" in page
    assert "9.5% higher or more" in page
    page = factor(REVERSAL, "--mean", "1", "--no-clip", "--industry", "none", "--no-zscore", "--limit", "none")[3]
    assert "<td>neutral to log size ($float_mv)</td>" in page
    assert "higher or more" not in page
    page = factor(REVERSAL, "--mean", "1", "--no-clip", "--no-neutral", "--no-zscore", "--lang", "zh")[3]
    assert "<td>无</td>" in page
    assert '<html lang="zh-CN">' in page


def test_alpha158_is_one_word(tmp_path):
    expressions, styles, left_out = named_factors(["alpha158", "styles", "VOL20"], tmp_path)
    assert (len(expressions), len(styles), left_out) == (158, 24, {})
    assert expressions["ROC5"] == "Ref($close, 5)/$close"


def test_of_many_factors_the_most_telling_are_drawn(factor, monkeypatch):
    monkeypatch.setattr(page_of_factors, "MOST", 1)
    _, _, table, page = factor(REVERSAL, "VOL20", "MAXRET20")
    (only,) = re.findall(
        r'"showarrow":false,"text":"([^"]+)"', page[page.index('id="figure-groups"') :].partition("</script>")[0]
    )
    assert only == table["icir"].abs().idxmax()
    assert "the 1 factors of the highest |ICIR| of 3" in page


def test_the_high_frequency_factors_of_a_provider_are_one_word(factor, copy):
    def edit(folder):
        for stock in (folder / "features").glob("sh6*"):
            for name in ("down_vol_perc", "corr_ret_lastret"):
                (stock / f"hf_{name}.day.bin").write_bytes((stock / "turnover.day.bin").read_bytes())
        return folder

    code, printed, table, _ = factor("highfreq", data=edit(copy("ticks")))
    assert (code, list(table.index)) == (0, ["down_vol_perc", "corr_ret_lastret"])
    assert table.loc["down_vol_perc", "mean"] == pytest.approx(-table.loc["corr_ret_lastret", "mean"]), "one is sold"
    assert "left out bigorder_ret: the provider has no $hf_bigorder_ret" in printed.err
    assert {name for names in FAMILIES.values() for name in names} > SOLD


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "No factor is named: give an expression"),
        (("momentum",), "'momentum' is no factor: name an expression of fields"),
        (("highfreq",), "has none of the 27 fields. The fields $hf_..."),
        (("Ref($close, -1)",), "'Ref($close, -1)' reads 1 days after its own"),
        (("-$close / Ref($close, 5)",), r"Write 0 - $close for -$close"),
        (("Nosuch($close, 3)",), "'Nosuch($close, 3)' is no expression"),
        (("$close", "--size", "$mv"), "has the field $mv"),
        (("SIZE", "--file", "no.yaml"), "no.yaml cannot be read as YAML"),
    ],
)
def test_what_cannot_be_tested_is_said_in_one_line(factor, arguments, message):
    code, printed, table, _ = factor(*arguments)
    assert (code, table) == (2, None)
    assert message in printed.err


def test_both_languages_have_every_text():
    english, chinese = FACTOR_TEXTS["en"], FACTOR_TEXTS["zh"]
    assert english.keys() == chinese.keys()
    for key, text in english.items():
        assert set(re.findall(r"{(\w+)", text)) == set(re.findall(r"{(\w+)", chinese[key])), key


def test_an_expression_that_is_taken_for_an_option_is_answered_with_its_form(small, capsys):
    with pytest.raises(SystemExit):
        main(["factor", "-$close", "--data", str(small[0])])
    assert "unrecognized arguments: -$close; an expression that begins with a minus" in capsys.readouterr().err


def test_the_provider_is_that_of_the_environment_where_none_is_named(small, capsys, monkeypatch):
    monkeypatch.setenv("QLIB_DATA", str(small[0]))
    assert main(["factor", "Nosuch($close, 3)"]) == 2
    assert "is no expression" in capsys.readouterr().err
    monkeypatch.delenv("QLIB_DATA")
    with pytest.raises(SystemExit):
        main(["factor", "$close"])
    assert "required: --data" in capsys.readouterr().err
