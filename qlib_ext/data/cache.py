"""What a handler computed, kept on disk: the next seed or model maps it into its memory.

An entry is a folder, named by a key, of a block of float32 and what belongs to it. It is there whole or not at all, and
no run fails for want of it: what cannot be written, or is damaged, is computed again.
"""

from __future__ import annotations

import copyreg
import hashlib
import io
import json
import os
import pickle
import re
import shutil
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock
from qlib.config import C
from qlib.log import get_module_logger
from qlib.utils.serial import Serializable

from qlib_ext.data.blocks import copies, joined
from qlib_ext.errors import ConfigError, OutputError, ProviderError
from qlib_ext.provider.state import state_of
from qlib_ext.system.description import Description, Undescribed
from qlib_ext.system.files import checksum_of, is_untouched, times_of, whole_folder, write_checked, write_times

VARIABLE = "QLIB_EXT_CACHE"  # off, or the folder of the cache
SIZE_VARIABLE = "QLIB_EXT_CACHE_GB"
MOST_GB = 30.0  # of all entries, where SIZE_VARIABLE does not say it
MOST_DAYS = 30  # since an entry was last used
LEAST_FREE = 5e9  # bytes of the disk, which stay free
VALUES, REST, LOCK = "values.f4", "rest.pkl", ".lock"
PARTS = {part(Path(name)).name for name in (VALUES, REST) for part in (Path, checksum_of, times_of)}
ENTRY = re.compile(r"[0-9a-f]{32}")  # the name of an entry
AT_WORK = re.compile(rf"\.{ENTRY.pattern}-.*")  # the name of a folder that becomes an entry

# what decides how Qlib reads a provider
READING = (
    "calendar_provider",
    "instrument_provider",
    "feature_provider",
    "expression_provider",
    "dataset_provider",
    "custom_ops",
)

logger = get_module_logger("qlib_ext.cache")


def cache_folder() -> Path | None:
    """The folder of ``QLIB_EXT_CACHE``, by default qlib_ext in the user's folder of caches; None where it is off."""
    text = os.environ.get(VARIABLE, "")
    if text.lower() == "off":
        return None
    caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return (Path(text) if text else caches / "qlib_ext").expanduser().absolute()


def most_bytes() -> float:
    """What all entries may take on the disk; raises ConfigError where ``QLIB_EXT_CACHE_GB`` is no number above 0."""
    text = os.environ.get(SIZE_VARIABLE) or str(MOST_GB)
    try:
        size = float(text)
    except ValueError:
        size = 0.0
    if not size > 0:
        raise ConfigError(f"{SIZE_VARIABLE} is the most gigabytes that the cache may take, not {text!r}.")
    return size * 1e9


def key_of(*parts: Any, of_provider: bool = False) -> str | None:
    """The key of what is computed from these parts: their content and the code behind them.

    of_provider: and from the provider, that is how Qlib reads it, where it lies, and its files by size and times.

    None where the cache is off, and where something among the parts is not to be told from others.
    """
    if cache_folder() is None:
        return None
    most_bytes()  # a wrong size is refused before anything is computed
    folders = sorted({str(C.dpm.get_data_uri(freq)) for freq in C.dpm.provider_uri}) if of_provider else []
    reading = {name: C[name] for name in READING} if of_provider else {}
    description = Description(whole=True)
    try:
        described = [description.of(part) for part in (*parts, reading, folders)]
        text = json.dumps([described, description.sources()], sort_keys=True)
    except Undescribed as reason:
        logger.info(f"What the handler computes is not kept in the cache: {reason}.")
        return None
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for folder in folders:
        for line in state_of(Path(folder), of_this_disk=True):
            digest.update(line.encode())
    return digest.hexdigest()


def read(key: str) -> tuple[list[pd.DataFrame], Any] | None:
    """The frames and the rest of an entry; None where there is none, or it is damaged.

    The frames lie over the file: what is written into them stays in the memory of this process.
    """
    root = cache_folder()
    if root is None or not (root / key).is_dir():
        return None
    folder = root / key
    try:
        if not _is_whole(folder):
            if folder.is_dir():  # else another process has just cleared it
                logger.warning(f"The entry {folder} of the cache is damaged, and is computed again.")
            return None
        indexes, columns, rest = pickle.loads((folder / REST).read_bytes())
        shape = sum(map(len, indexes)), len(columns)
        values = np.memmap(folder / VALUES, np.float32, mode="c", shape=shape)
        os.utime(folder)  # the time of the last use, for ``tidy``
    except (OSError, OutputError):  # it was cleared since, or is another user's
        return None
    frames, low = [], 0
    for index in indexes:
        frames.append(pd.DataFrame(values[low : low + len(index)], index, columns, copy=False))
        low += len(index)
    return frames, rest


def write(key: str, frames: Sequence[pd.DataFrame], rest: Any = None) -> None:
    """Keep frames of float32 with the same columns, and what belongs to them.

    Frames of other types are not kept, and nothing is kept where it cannot be written, which a warning says.
    """
    root, most = cache_folder(), most_bytes()
    if root is None or not all(frame.columns.equals(frames[0].columns) for frame in frames):
        return
    values = joined(frames)
    if values is None or not values.flags.c_contiguous:
        values = joined(copies(frames))
    if values is None:
        return
    _announce(root, most)
    if values.nbytes > most:
        logger.warning(
            f"The cache keeps {most / 1e9:g} GB ({SIZE_VARIABLE}), and not the {values.nbytes / 1e9:.1f} here."
        )
        return
    try:
        about = _pickled(([frame.index for frame in frames], frames[0].columns, rest))
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / LOCK):
            if _is_whole(root / key):  # another process was quicker
                return
            tidy(root, most - values.nbytes)
            free = shutil.disk_usage(root).free
            if free - values.nbytes < LEAST_FREE:
                logger.warning(
                    f"The cache {root} keeps nothing more: {free / 1e9:.1f} GB of its disk are free, of which "
                    f"{LEAST_FREE / 1e9:g} stay so; {VARIABLE} names another folder."
                )
                return
            with whole_folder(root / key, PARTS, "entry of the cache", overwrite=True) as folder:
                write_checked(folder / VALUES, values.data.cast("B"), "")
                write_checked(folder / REST, about, "")
                for name in (VALUES, REST):
                    write_times(folder / name, "")
    except (OSError, OutputError, ProviderError, pickle.PicklingError) as error:
        logger.warning(f"What was computed is not kept in the cache {root}: {error}")


def tidy(root: Path, most: float) -> None:
    """Remove entries that were not used for ``MOST_DAYS``, what killed runs left, and the oldest beyond ``most`` bytes.

    Nothing but entries is touched, whatever else lies in the folder. No other process may write meanwhile.
    """
    now, left = time.time(), most
    for path in sorted(root.iterdir(), key=lambda path: path.lstat().st_mtime, reverse=True):
        outdated = bool(AT_WORK.fullmatch(path.name))
        if ENTRY.fullmatch(path.name):
            left -= sum(file.stat().st_size for file in path.iterdir())
            outdated = left < 0 or now - path.stat().st_mtime > MOST_DAYS * 86_400
            if outdated:
                path = path.rename(root / f".{path.name}-old")  # it is there whole or not at all
        if outdated:
            shutil.rmtree(path, ignore_errors=True)


def _is_whole(folder: Path) -> bool:
    return is_untouched(folder / VALUES) and is_untouched(folder / REST)


@cache
def _announce(root: Path, most: float) -> None:
    """Say once where the cache lies and how large it becomes."""
    logger.info(
        f"What handlers compute is kept in {root} for {MOST_DAYS} days, at most {most / 1e9:g} GB ({SIZE_VARIABLE}); "
        f"{VARIABLE} names another folder, or is off."
    )


class _Pickler(pickle.Pickler):
    """Pickles Qlib's objects with their private attributes, which Qlib leaves out."""

    def reducer_override(self, thing: Any) -> Any:
        """How a thing is made again."""
        if isinstance(thing, Serializable):
            return copyreg.__newobj__, (type(thing),), dict(vars(thing))  # type: ignore[attr-defined]
        return NotImplemented


def _pickled(thing: Any) -> bytes:
    """Raises PicklingError for what cannot be pickled."""
    content = io.BytesIO()
    try:
        _Pickler(content, protocol=pickle.HIGHEST_PROTOCOL).dump(thing)
    except Exception as error:  # whatever a class raises that refuses
        raise pickle.PicklingError(str(error)) from error
    return content.getvalue()
