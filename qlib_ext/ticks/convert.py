"""``qlib-ext ticks read``: an exchange's files -> the schema's partitions."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from qlib_ext.errors import ConfigError, DataError
from qlib_ext.system.files import write_whole
from qlib_ext.ticks import shanghai, shenzhen
from qlib_ext.ticks.exchange import Reading

READERS: dict[tuple[str, str], Callable[[str | Path, str], Reading]] = {
    ("shanghai", "trades"): shanghai.read_trades,
    ("shanghai", "orders"): shanghai.read_orders,
    ("shenzhen", "trades"): shenzhen.read_trades,
}
ROW_GROUP = 250_000  # rows; a batch of stocks reads little of the stocks beside them


def convert(
    exchange: str, day: str, files: Mapping[str, Sequence[str | Path]], out: str | Path
) -> Iterator[tuple[str, Path, Reading]]:
    """Read an exchange's files of one day and write each into ``out/<source>/date=<day>/``.

    exchange    "shanghai" or "shenzhen"
    files       source ("trades", "orders") -> files
    Yields source, file written and what was read, file by file. A file is called ``<exchange>-<name>-<hash>.parquet``
    after the name and the place of the one that was read: the same file read again is replaced, and those of one name
    in several folders, 600001/trades.csv and 600002/trades.csv, stand side by side.

    Raises DataError for files that cannot be read as what they are, and for one whose rows are there already under
    another name, as after a move; OutputError where the disk refuses.
    """
    for source, paths in files.items():
        if (exchange, source) not in READERS:
            there = ", ".join(f"{of} of {place}" for place, of in READERS)
            raise ConfigError(f"There is no reader for {source} of {exchange}; there are readers for {there}.")
        for path in paths:
            reading = READERS[exchange, source](path, day)
            if reading.frame.is_empty():
                raise DataError(f"{path} has no {source} that can be used; left out: {reading.left_out}.")
            place = hashlib.blake2b(str(Path(path).expanduser().resolve()).encode(), digest_size=4).hexdigest()
            target = Path(out).expanduser() / source / f"date={day}" / f"{exchange}-{Path(path).stem}-{place}.parquet"
            content = io.BytesIO()
            reading.frame.write_parquet(content, row_group_size=ROW_GROUP)
            refuse_twin(target, content.getvalue(), path)
            write_whole(target, content.getvalue(), "Make room or choose another --out.")
            yield source, target, reading


def refuse_twin(target: Path, content: bytes, path: str | Path) -> None:
    """Raise DataError where another file beside the target has the same content: its rows would count twice."""
    for other in sorted(target.parent.glob("*.parquet")):
        if other != target and other.stat().st_size == len(content) and other.read_bytes() == content:
            raise DataError(
                f"What {path} holds is in {other} already, under another name, and would count twice. Leave one of "
                "them out, or remove what was read before."
            )
