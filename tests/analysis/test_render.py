from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from qlib_ext.analysis.compare.render import to_html, to_markdown, to_text
from qlib_ext.analysis.compare.runs import METRICS, Setup
from qlib_ext.analysis.compare.table import Cell, Row, Section, Table
from qlib_ext.analysis.compare.texts import ENGLISH
from qlib_ext.cli import main

HOSTILE = "<script>alert('x')</script> a|b *c* [d](e) \\`f`"


def row(name, mean, spread="", best=False, published=""):
    return Row(name, 3, [Cell(mean, spread, best), *[Cell("-")] * (len(METRICS) - 1)], published)


@pytest.fixture
def table():
    first = Section(
        Setup("csi300", "2017-01-03 to 2021-12-31", "Ref($vwap, -2)/Ref($vwap, -1) - 1"),
        [row("gru", "0.05", "0.01", best=True), row("zoo", "0.04", published="csi300, 2017"), row("linear", "0.03")],
    )
    return Table([first, Section(Setup("csi500", "2018", "l"), [row("other", "0.99")])], ["a note", HOSTILE])


def hostile():
    return Table([Section(Setup(HOSTILE, HOSTILE, HOSTILE), [row(HOSTILE, "1", published=HOSTILE)])], [HOSTILE])


def test_text_lines_up_and_stars_the_best(table):
    lines = to_text(table).splitlines()
    assert lines[0] == "csi300, test 2017-01-03 to 2021-12-31, label Ref($vwap, -2)/Ref($vwap, -1) - 1"
    assert "csi500, test 2018, label l" in lines
    figures = [line for line in lines if re.match(r"(gru|zoo|linear|other) ", line)]
    assert [line.split()[1:3] for line in figures] == [["3", "0.05*"], ["3", "0.04"], ["3", "0.03"], ["3", "0.99"]]
    assert len({line.index("0.") for line in figures}) == 1
    below = lines[lines.index(figures[0]) + 1]
    assert below.index("0.01") == figures[0].index("0.05")
    assert below.strip() == "± 0.01"
    assert lines[lines.index(figures[1]) + 1] == "  csi300, 2017"
    assert lines[-3:] == ["* the best mean of this test", "a note", HOSTILE]


def test_a_simulated_market_is_in_every_headline():
    simulated = Table([Section(Setup("u", "t", "l", simulated=True), [row("a", "1")])], [])
    assert to_text(simulated).startswith("SIMULATED: u, test t")
    assert to_markdown(simulated).startswith("**SIMULATED: u, test t")
    assert "<h2>SIMULATED: u, test t" in to_html(simulated)


def test_a_table_without_spread_takes_one_line_a_row():
    lines = to_text(Table([Section(Setup("u", "t", "l"), [row("a", "1"), row("b", "2")])], [])).splitlines()
    assert [line.split()[0] for line in lines[-2:]] == ["a", "b"]
    assert "best" not in "".join(lines)


def test_markdown_is_one_table_a_test_with_the_best_in_bold(table):
    text = to_markdown(table)
    assert text.count("| --- |") == 2
    assert f"|  | runs | {' | '.join(ENGLISH[metric] for metric in METRICS)} |" in text
    assert "| gru | 3 | **0.05 ± 0.01** | - |" in text
    assert "| zoo: csi300, 2017 | 3 | 0.04 | - |" in text
    assert "- a note" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in rows} == {len(METRICS) + 3}


def test_markdown_escapes():
    text = to_markdown(hostile())
    assert text.count(r"\<script\>alert('x')\</script\> a\|b \*c\* \[d\](e) \\\`f\`") == 6


class Page(HTMLParser):
    """Text by tag and class, and every address that a browser would fetch."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.fetched, self.tags = [], [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.fetched += [value for name, value in attrs if name in ("src", "href") and value[:1] != "#"]
        if tag != "meta":
            self.open.append((tag, dict(attrs).get("class")))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if data.strip():
            self.seen.append((*self.open[-1], data.strip()))


def test_html_is_one_page_with_the_best_in_bold(table):
    page = Page(to_html(table))
    assert page.open == []
    assert page.fetched == []
    assert [text for _, kind, text in page.seen if kind == "best"] == ["0.05", "bold, shaded"]
    assert [text for tag, _, text in page.seen if tag == "small"] == ["± 0.01", "csi300, 2017"]
    assert [text for tag, _, text in page.seen if tag == "h2"][1] == "csi500, test 2018, label l"
    assert [text for tag, _, text in page.seen if tag == "th"] == ["runs", *(ENGLISH[metric] for metric in METRICS)] * 2
    assert [text for tag, _, text in page.seen if tag == "li"][-2:] == ["a note", HOSTILE]


def test_html_escapes():
    page = Page(to_html(hostile()))
    assert "script" not in page.tags
    assert sum(HOSTILE in text for *_, text in page.seen) == 4  # heading, name, published, note


@pytest.fixture
def compare(recorders, capsys):
    """The command over the experiments "net" and "tree"."""
    for name in ("net", "tree"):
        recorders.run(name, params={"model.class": "LGBModel"})

    def command(*arguments):
        code = main(["compare", *arguments, "--runs", str(recorders.folder)])
        return code, *capsys.readouterr()

    return command


def test_the_command_prints_the_table_and_the_way_to_the_ui(compare, recorders):
    code, out, err = compare("net", "tree")
    assert (code, err) == (0, "")
    for word in (
        "csi300, test 2017-01-01 to 2021-12-31",
        "Rank ICIR",
        "0.0500*",
        f"mlflow ui --backend-store-uri {recorders.store}",
    ):
        assert word in out
    assert "Model Zoo" not in out


def test_the_command_prints_markdown_alone(compare):
    code, out, err = compare("net", "tree", "--markdown", "--zoo")
    assert (code, err) == (0, "")
    assert out.startswith("**csi300, test")
    assert "Model Zoo LightGBM" in out
    assert "mlflow ui" not in out


def test_the_command_writes_a_page_beside_the_table(compare, tmp_path):
    code, out, err = compare("net", "tree", "--html", str(tmp_path / "new" / "page.html"))
    assert code == 0
    assert "Rank ICIR" in out
    assert err == f"wrote {tmp_path}/new/page.html\n"
    assert "<td>net</td>" in (tmp_path / "new" / "page.html").read_text()


def test_a_page_that_cannot_be_written_is_named_in_one_line(compare, tmp_path):
    (tmp_path / "file").write_text("")
    code, out, err = compare("net", "--html", str(tmp_path / "file" / "page.html"))
    assert (code, out) == (2, "")
    assert "cannot be written" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("number", ["0", "-1", "two"])
def test_last_is_a_number_of_runs(compare, capsys, number):
    with pytest.raises(SystemExit):
        compare("net", "--last", number)
    assert "at least 1" in capsys.readouterr().err


def test_a_folder_without_runs_is_named_in_one_line(tmp_path, capsys):
    assert main(["compare", "net", "--runs", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error:")
