"""The names of fields, instruments and universes: as Qlib reads them, and as the files of a provider are called."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from qlib_ext.errors import DataError

if TYPE_CHECKING:
    import polars as pl  # which only tables need: training does without

INDEX_OF = {"csi300": "SH000300", "csi500": "SH000905", "csi1000": "SH000852"}  # of a universe, under its usual name
_FIELD = re.compile(r'\bFeature\("([^"]+)"\)')  # Qlib turns $close into Feature("close"), $$roe into PFeature("roe")
_RENAMED = "_qlib_"  # the prefix that Qlib gives the folders of names that Windows keeps for devices
_DEVICES = {"CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in range(10))}
_CODE = r"(?i)^(?:(SH|SZ|BJ)\.?)?(\d{6})(?:\.([A-Z]+))?$"
_SHORT = r"(?i)^(?:(?:SH|SZ|BJ)\.?)?\d{1,5}(?:\.[A-Z]+)?$"
_EXCHANGES = {"SH": "SH", "SS": "SH", "XSHG": "SH", "SZ": "SZ", "XSHE": "SZ", "BJ": "BJ", "XBSE": "BJ"}


def fields_in(expressions: Iterable[str]) -> list[str]:
    """The daily fields that expressions read, without their ``$``, sorted; ``$$`` fields, kept by quarter, are none.

    Names are what Qlib's own parser takes for one, ``$5d`` and Chinese ones too.
    """
    from qlib.utils import parse_field  # commands that read no expression start sooner without

    return sorted({name for expression in expressions for name in _FIELD.findall(parse_field(expression))})


def is_field(name: str) -> bool:
    """Whether expressions can read a field of this name, as ``$name``."""
    from qlib.utils import parse_field

    return parse_field(f"${name}") == parse_field("$x").replace("x", name)


def feature_folder(provider: Path, instrument: str) -> Path:
    """Where a provider keeps the .bin files of an instrument; Qlib names those of CON, PRN and the like otherwise.

    Qlib's own ``code_to_fname`` makes its list of devices anew for each of thousands of instruments.
    """
    name = f"{_RENAMED}{instrument}" if instrument.upper() in _DEVICES else instrument
    return provider / "features" / name.lower()


def instrument_of(folder: Path) -> str:
    """The instrument whose .bin files a folder has, in capital letters."""
    return folder.name.removeprefix(_RENAMED).upper()


def instruments_with_features(provider: Path) -> set[str]:
    """The instruments that have a folder of .bin files."""
    return {instrument_of(folder) for folder in (provider / "features").iterdir() if folder.is_dir()}


def instruments_with_field(provider: Path, field: str) -> set[str]:
    """The instruments that have a file of this daily field."""
    return {instrument_of(file.parent) for file in (provider / "features").glob(f"*/{field}.day.bin")}


def require_universe(provider: Path, name: str) -> None:
    """Raise DataError where a provider has no such universe, naming those that it has."""
    folder = provider / "instruments"
    there = sorted(path.stem for path in folder.glob("*.txt"))
    if name.lower() in there:
        return
    if other := [stem for stem in there if stem.lower() == name.lower()]:
        raise DataError(
            f"The universe {name!r} stands in {folder}/{other[0]}.txt, and Qlib reads {name.lower()}.txt alone. Rename "
            "the file, to small letters."
        )
    raise DataError(f"The universe {name!r} is not in {folder}, which has {', '.join(there)}.")


def lost_names(instruments: Iterable[str]) -> list[str]:
    """The names that Qlib loses in a file of instruments, since pandas reads NA, NULL and the like as missing."""
    names = list(instruments)
    lines = StringIO("".join(f"{name}\t0\n" for name in names))
    read = pd.read_csv(lines, sep="\t", header=None, names=["name", "rest"], dtype={"name": str})
    return [name for name, missing in zip(names, read["name"].isna(), strict=True) if missing]


def codes_of(securities: pl.Series) -> pl.DataFrame:
    """The six digits of each security, ``code``, and its ``exchange`` (SH, SZ, BJ) where its name says it.

    Read are 600519, SH600519, sh.600519, 600519.SH and 600519.XSHG; both are null for anything else.
    """
    import polars as pl

    text = pl.col("security")
    return securities.to_frame("security").select(
        code=text.str.extract(_CODE, 2),
        exchange=pl.coalesce(text.str.extract(_CODE, 1), text.str.extract(_CODE, 3))
        .str.to_uppercase()
        .replace_strict(_EXCHANGES, default=None, return_dtype=pl.String),
    )


def short_codes(securities: pl.Series) -> pl.Series:
    """True for each security whose code has fewer than six digits, most often as a number without leading zeros."""

    return securities.str.contains(_SHORT).fill_null(False)


def named_as(known: Collection[str], instruments: pl.Series) -> pl.Series:
    """The instruments of a table by the names that a provider knows them by: 600519.SH as SH600519; null for an empty.

    A name that it does not know, in any form of ``codes_of``, is given in capital letters. Raises DataError where
    unknown ones have fewer than six digits.
    """
    import polars as pl

    names = instruments.cast(pl.String).str.strip_chars().str.to_uppercase().replace("", None)
    there = names.is_in(list(known)).fill_null(False)
    of_exchange = codes_of(names).select(pl.concat_str("exchange", "code")).to_series()
    names = names.zip_with(there | ~of_exchange.is_in(list(known)).fill_null(False), of_exchange)
    lost = ~there & short_codes(names)
    if lost.any():
        raise DataError(
            f"{names.filter(lost).n_unique()} of the table's {names.n_unique()} instruments have fewer than six "
            f"digits, first {names.filter(lost)[0]}: leading zeros lost. Keep the codes as text, and name them as the "
            "provider does, SZ000001."
        )
    return names
