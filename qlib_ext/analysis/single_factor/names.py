"""The factors that a test runs by one word."""

from __future__ import annotations

from pathlib import Path

from qlib.contrib.data.loader import Alpha158DL

from qlib_ext.analysis.reading import STYLES
from qlib_ext.errors import ConfigError, ProviderError
from qlib_ext.provider.check import MADE_BY_TICKS
from qlib_ext.provider.names import instruments_with_features
from qlib_ext.provider.panels import fields_known
from qlib_ext.ticks.factors import FAMILIES

SETS = ("alpha158", "highfreq", "styles")
# the direction -1 of exhibits 6, 25 and 36: high values are sold
SOLD = {
    *("late_skew_ret", "corr_ret_lastret", "corr_close_nextopen", "corr_volume_item", "bigorder_ret"),
    *("corr_volume_amplitude", "bigorder_ret2", "concentration_diff", "corr_netactivebuy_lastret"),
    *("corr_netactivebuy_nextret", "skew_order_diff", "kurt_order_diff", "early_kurt_order"),
    "corr_buyorder_volume_price",
}


def named_factors(words: list[str], provider: Path) -> tuple[dict[str, str], list[str], dict[str, str]]:
    """The expressions by name, the styles, and what is left out and why, of words: sets, styles' names, expressions.

    An expression is its own name. Directions of the high-frequency factors are those of Huatai Securities, artificial
    intelligence series 72 (2023-12-08), exhibits 6, 25 and 36; those without a field in the provider are left out.
    Raises ConfigError for a word that is none of these, ProviderError where the provider has no high-frequency factor.
    """
    expressions: dict[str, str] = {}
    styles: list[str] = []
    left_out: dict[str, str] = {}
    for word in words:
        if word == "alpha158":
            expressions |= dict(zip(*reversed(Alpha158DL.get_feature_config()), strict=True))
        elif word == "highfreq":
            found, left_out = _highfreq(provider)
            expressions |= found
        elif word in ("styles", *STYLES):
            styles += STYLES if word == "styles" else [word]
        elif "$" in word:
            expressions[word] = word
        else:
            raise ConfigError(
                f"{word!r} is no factor: name an expression of fields, such as '$close / Ref($close, 20)', a set, "
                f"{', '.join(SETS)}, or one of the styles {', '.join(STYLES)}."
            )
    return expressions, list(dict.fromkeys(styles)), left_out


def _highfreq(provider: Path) -> tuple[dict[str, str], dict[str, str]]:
    names = [name for family in FAMILIES.values() for name in family]
    there = set(fields_known(provider, [f"hf_{name}" for name in names], sorted(instruments_with_features(provider))))
    if not there:
        raise ProviderError(f"The provider {provider} has none of the {len(names)} fields. {MADE_BY_TICKS}")
    left_out = {name: f"the provider has no $hf_{name}" for name in names if f"hf_{name}" not in there}
    known = [name for name in names if name not in left_out]
    return {name: f"0 - $hf_{name}" if name in SOLD else f"$hf_{name}" for name in known}, left_out
