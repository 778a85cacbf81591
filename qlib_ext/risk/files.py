"""The folder of a risk model: a Parquet file of stocks a month, one of the days, one of new industries' origins."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from qlib_ext.errors import DataError
from qlib_ext.provider.fields import MAKE_ROOM
from qlib_ext.system.files import checksum_of, read_checked, write_checked

ABOUT, DAYS, ORIGINS, STOCKS = "about.json", "days.parquet", "origins.parquet", "stocks"
NOT_STYLES = ("datetime", "instrument", "industry", "seasoned", "cap", "return", "residual")
ANEW = "build the model anew with overwrite (--overwrite)"


class RiskFiles:
    """Reads and writes a folder:

    about.json            of which market, fields and styles the model is made, and which styles are left out
    days.parquet          a row a day: datetime, stocks, r_squared, f.<factor>, t.<factor>, missing.<style>,
                          excluded.<reason>; written last, so that what it has is whole
    origins.parquet       datetime, industry, origin, share: where the stocks of an industry that is new came from
    stocks/2017-03.parquet   a row a day and stock: datetime, instrument, industry (0: not covered that day),
                             seasoned, cap,
                          the styles at the close, and return and residual of the day, null where not in its regression

    Beside each file is its checksum, and a file that is not as it was written is refused with DataError.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser().absolute()

    def about(self) -> dict[str, Any] | None:
        """What the model is made of, None for a folder that has no days either."""
        if not (self.folder / ABOUT).is_file() and not (self.folder / DAYS).is_file():
            return None
        return json.loads(_content(self.folder / ABOUT))

    def write_about(self, about: Mapping[str, Any]) -> None:
        write_checked(self.folder / ABOUT, json.dumps(about, indent=2, ensure_ascii=False).encode(), MAKE_ROOM)

    def holds_something_else(self) -> bool:
        """Whether there is a file in the folder's place, or in it what is no risk model, damaged or whole."""
        if not self.folder.is_dir():
            return self.folder.exists()
        if (self.folder / ABOUT).is_file():
            return False
        parts = {path.name for name in (ABOUT, DAYS, ORIGINS) for path in (Path(name), checksum_of(Path(name)))}
        return not {path.name for path in self.folder.iterdir()} <= parts | {STOCKS}

    def remove(self) -> None:
        """Take the model away, the days first, and nothing else that is in the folder."""
        shutil.rmtree(self.folder / STOCKS, ignore_errors=True)
        for name in (DAYS, ORIGINS, ABOUT):  # the last one: by it the folder is known to hold a model
            checksum_of(self.folder / name).unlink(missing_ok=True)
            (self.folder / name).unlink(missing_ok=True)

    def days(self) -> pl.DataFrame | None:
        """The finished days, None where there is none."""
        return _table(self.folder / DAYS) if (self.folder / DAYS).is_file() else None

    def origins(self) -> pl.DataFrame:
        """The origins of new industries; raises DataError where there are no days."""
        return _table(self.folder / ORIGINS)

    def months(self) -> list[str]:
        """The months of its days, such as 2017-03."""
        days = self.days()
        return [] if days is None else days["datetime"].dt.strftime("%Y-%m").unique().sort().to_list()

    def stocks(self, month: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The rows of a month."""
        return _table(self.folder / STOCKS / f"{month}.parquet", columns)

    def residuals(self, days: pd.DatetimeIndex) -> pd.DataFrame:
        """[days, stocks], of all its days; NaN for a stock that is not in the day's regression."""
        columns = ["datetime", "instrument", "residual"]
        table = pl.concat(self.stocks(month, columns) for month in self.months()).drop_nulls()
        stocks = table["instrument"].unique().sort()
        rows = days.get_indexer(pd.DatetimeIndex(table["datetime"].to_numpy()))
        places = table["instrument"].cast(pl.Enum(stocks)).to_physical()
        values = np.full((len(days), len(stocks)), np.nan)
        values[rows, places.to_numpy()] = table["residual"].to_numpy()
        return pd.DataFrame(values, days, stocks.to_list())

    def write(self, stocks: Mapping[str, pl.DataFrame], origins: pl.DataFrame, days: pl.DataFrame) -> None:
        """Write months of stocks, then origins, then the days that make them count."""
        for month, table in stocks.items():
            self._write(self.folder / STOCKS / f"{month}.parquet", table)
        self._write(self.folder / ORIGINS, origins)
        self._write(self.folder / DAYS, days)

    @staticmethod
    def _write(path: Path, table: pl.DataFrame) -> None:
        content = io.BytesIO()
        table.write_parquet(content, compression="lz4")
        write_checked(path, content.getvalue(), MAKE_ROOM)


def styles_in(stocks: pl.DataFrame) -> list[str]:
    """The styles of rows of stocks: those that have a value on one of their days."""
    missing = stocks.null_count().row(0, named=True)
    return [name for name in stocks.columns if name not in NOT_STYLES and missing[name] < len(stocks)]


def _content(path: Path) -> bytes:
    content = read_checked(path)
    if content is None:
        fault = "is not as it was written" if path.is_file() else "is missing"
        raise DataError(f"{path} of a risk model {fault}; {ANEW}.")
    return content


def _table(path: Path, columns: Sequence[str] | None = None) -> pl.DataFrame:
    return pl.read_parquet(io.BytesIO(_content(path)), columns=None if columns is None else [*columns])
