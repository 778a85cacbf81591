"""No English sentence stays in a Chinese page, whatever a run lacks."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from qlib_ext.analysis import reading
from qlib_ext.analysis.compare.texts import LINES
from qlib_ext.analysis.reasons import reason_in
from qlib_ext.errors import DataError
from qlib_ext.provider.facts import ProviderFacts
from qlib_ext.provider.panels import read_spans
from qlib_ext.recorder.provider import TAG
from qlib_ext.recorder.runs import load
from tests.analysis.findings import findings
from tests.analysis.recorders import save
from tests.analysis.test_render import Page

SENTENCE = re.compile(r"[A-Za-z]{2,}(?:,? [a-z]{2,}){2,}")  # three English words; names and options are fewer


def english_in(text: str) -> list[str]:
    """The English sentences that a reader of a page sees."""
    return [seen for tag, _, seen in Page(text).seen if tag not in ("script", "style", "pre") and SENTENCE.search(seen)]


def reasons_of_code(recorders, small) -> list[str]:
    """Reasons for which parts are left out, as the code gives them."""
    recorders.experiment("empty")
    found = [*reading.last_scores(recorders.store, ["nowhere", "empty"])[1].values()]
    with pytest.raises(DataError) as error:
        read_spans(small[0], "csi500")
    found.append(str(error.value).rstrip("."))
    found += reading.day_styles({}, "all", ["VOL20"])[1].values()
    return found


def test_a_chinese_page_has_no_english_sentence(whole, recorders, small, command):
    facts = ProviderFacts.of(small[0])
    for lr in (0.1, 0.2):  # shown apart; both simulated
        artifacts = recorders.run("apart_1", params={"model.kwargs.lr": lr, "model.class": "GRU"})
        recorders.client.set_tag(artifacts.parent.name, TAG, replace(facts, folder="provider").as_json())
    for name in ("seeds_1", "repeats_1", "other_1"):
        about = findings(name)["about"]
        about["left_out"] = {f"part{at}": reason for at, reason in enumerate(reasons_of_code(recorders, small))}
        artifacts = whole(
            name, about=about, **({"strategy_returns": None, "style_correlation": None} if name == "other_1" else {})
        )
    (artifacts / "dataset").unlink()
    (artifacts / "factor_analysis/ic.pkl").write_bytes(b"")
    (recorders.run("bare_1", universe="csi500") / "task").unlink()
    names = ("apart_1", "seeds_1", "repeats_1", "other_1", "bare_1")
    _, text, printed = command(*names, "--last", "2", "--lang", "zh")
    assert printed.err == ""
    assert english_in(text) == []
    _, text, _ = command(*names, "--last", "2")
    assert len(english_in(text)) > 30, "the test sees sentences"


def test_reasons_are_translated_or_quoted(recorders, small):
    zh, en = LINES["zh"], LINES["en"]
    artifacts = recorders.run("net")
    save(artifacts / "task", {})
    reasons = [*reasons_of_code(recorders, small)]
    run = recorders.client.get_run(artifacts.parent.name)
    (artifacts / "label.pkl").write_bytes(b"")
    reasons.append(load(run, "label.pkl")[1])
    for reason in reasons:
        assert "程序提示" not in reason_in(reason, zh), reason
        assert reason_in(reason, en) == reason
    assert reason_in("something else", zh) == "程序提示“something else”"


def test_both_languages_of_a_comparison_have_the_same_lines_and_places():
    en, zh = LINES["en"], LINES["zh"]
    assert list(en) == list(zh)
    for key in en:
        fields = [set(re.findall(r"\{(\w+)", text[key])) for text in (en, zh)]
        assert fields[0] == fields[1], key
