"""The folder of a risk model: a Parquet file of stocks a month, one of the days, one of new industries' origins."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from qlib_ext.errors import DataError
from qlib_ext.provider.fields import MAKE_ROOM
from qlib_ext.system.files import write_whole

ABOUT, DAYS, ORIGINS, STOCKS = "about.json", "days.parquet", "origins.parquet", "stocks"


class RiskFiles:
    """Reads and writes a folder:

    about.json            of which market, fields and styles the model is made, and which styles are left out
    days.parquet          a row a day: datetime, stocks, r_squared, f.<factor>, t.<factor>, missing.<style>,
                          excluded.<reason>; written last, so that what it has is whole
    origins.parquet       datetime, industry, origin, share: where the stocks of an industry that is new came from
    stocks/2017-03.parquet   a row a day and stock: datetime, instrument, industry (0: not covered that day),
                             seasoned, cap,
                          the styles at the close, and return and residual of the day, null where not in its regression
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser().absolute()

    def about(self) -> dict[str, Any] | None:
        """What the model is made of, None for a folder without a model; raises DataError where that is not readable."""
        path = self.folder / ABOUT
        if not path.is_file():
            return None
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(f"{path} is damaged ({error}); build the model anew with --overwrite.") from error

    def write_about(self, about: Mapping[str, Any]) -> None:
        write_whole(self.folder / ABOUT, json.dumps(about, indent=2, ensure_ascii=False).encode(), MAKE_ROOM)

    def remove(self) -> None:
        """Take the model away, the days first, and nothing else that is in the folder."""
        for name in (DAYS, ORIGINS):
            (self.folder / name).unlink(missing_ok=True)
        shutil.rmtree(self.folder / STOCKS, ignore_errors=True)
        (self.folder / ABOUT).unlink(missing_ok=True)  # last: by it the folder is known to hold a model

    def days(self) -> pl.DataFrame | None:
        """The finished days, None where there is none."""
        return self._read(self.folder / DAYS)

    def origins(self) -> pl.DataFrame | None:
        return self._read(self.folder / ORIGINS)

    def months(self) -> list[str]:
        """The months of which there are stocks, such as 2017-03."""
        return sorted(path.stem for path in (self.folder / STOCKS).glob("*.parquet"))

    def stocks(self, month: str) -> pl.DataFrame:
        """The rows of a month; raises DataError where it is not there."""
        table = self._read(self.folder / STOCKS / f"{month}.parquet")
        if table is None:
            raise DataError(f"{self.folder} has no stocks of {month}; build the model anew with --overwrite.")
        return table

    def residuals(self) -> pl.DataFrame:
        """Columns datetime, instrument and residual of all days."""
        files = [self.folder / STOCKS / f"{month}.parquet" for month in self.months()]
        return pl.concat(pl.read_parquet(file, columns=["datetime", "instrument", "residual"]) for file in files)

    def write(self, stocks: Mapping[str, pl.DataFrame], origins: pl.DataFrame, days: pl.DataFrame) -> None:
        """Write months of stocks, then origins, then the days that make them count."""
        for month, table in stocks.items():
            self._write(self.folder / STOCKS / f"{month}.parquet", table)
        self._write(self.folder / ORIGINS, origins)
        self._write(self.folder / DAYS, days)

    @staticmethod
    def _read(path: Path) -> pl.DataFrame | None:
        if not path.is_file():
            return None
        try:
            return pl.read_parquet(path)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise DataError(f"{path} is damaged ({error}); build the model anew with --overwrite.") from error

    @staticmethod
    def _write(path: Path, table: pl.DataFrame) -> None:
        content = io.BytesIO()
        table.write_parquet(content, compression="lz4")
        write_whole(path, content.getvalue(), MAKE_ROOM)
