"""The parameters of LightGBM, which Qlib's models hand to it unseen, and which it passes over where it knows none."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from qlib_ext.errors import ConfigError

# modules of Qlib whose constructors take any keyword as a parameter of LightGBM
MODULES = tuple(f"qlib.contrib.model.{name}" for name in ("gbdt", "double_ensemble", "highfreq_gdbt_model"))


def refuse_unknown_parameters(keywords: Iterable[str], own: Iterable[str], owner: str) -> None:
    """Raise ConfigError, with the nearest name, for a keyword that is neither a model's own nor one of LightGBM."""
    parameters = names_of_parameters()
    known = sorted({*own, *parameters})
    for name in keywords if parameters else ():
        if name not in known:
            nearest = get_close_matches(str(name), known, n=1, cutoff=0.0)[0]
            raise ConfigError(
                f"{owner} has no option {name!r} and LightGBM no such parameter: it would be passed over; did you mean "
                f"{nearest!r}?"
            )


def names_of_parameters() -> set[str]:
    """All parameters of the installed LightGBM with their aliases; none where it does not tell them."""
    try:
        from lightgbm.basic import _ConfigAliases

        aliases = _ConfigAliases._get_all_param_aliases()
    except (ImportError, AttributeError):  # it is not public, so that a later version may have it elsewhere
        return set()
    return {name for names in aliases.values() for name in names}
