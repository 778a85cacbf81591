"""The texts of a report, in English and in Chinese."""

from __future__ import annotations

from collections.abc import Mapping

from qlib_ext.analysis.report.chinese import CHINESE
from qlib_ext.analysis.report.english import ENGLISH
from qlib_ext.analysis.report.enhancement_texts import ENHANCEMENT_EN, ENHANCEMENT_ZH
from qlib_ext.analysis.report.style_texts import STYLES_EN, STYLES_ZH

Texts = Mapping[str, str]

LANGUAGES: Mapping[str, Texts] = {
    "en": ENGLISH | ENHANCEMENT_EN | STYLES_EN,
    "zh": CHINESE | ENHANCEMENT_ZH | STYLES_ZH,
}
