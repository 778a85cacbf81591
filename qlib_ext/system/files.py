"""Files and folders that are there whole or not at all, and files that are known to be as they were written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

from qlib_ext.errors import OutputError, ProviderError

CHECKSUM = ".blake2b"  # the suffix of the file with the checksum of the file of the same name
CHUNK_BYTES = 1 << 20  # bytes of a file that are read at a time
BOOT = Path("/proc/sys/kernel/random/boot_id")  # of Linux: another one after each start of the machine


def write_whole(path: str | Path, content: bytes | memoryview, advice: str) -> None:
    """Write a file, with the folders it needs; where that fails, what was there before stays.

    A link is followed. advice: the sentence that says what to do then. Raises OutputError, for a device or a pipe too.
    """
    target = Path(path).expanduser().resolve()
    if target.exists() and not (target.is_file() or target.is_dir()):
        raise OutputError(f"{target} is a device or a pipe, and no file that can be replaced. {advice}")
    part = target.with_name(f".{target.name}.part")  # the same name again, so that what a killed run leaves is replaced
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(content)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{target} cannot be written ({error.strerror or error}). {advice}") from error


def require_writable(folder: str | Path, advice: str) -> None:
    """Make a folder, and raise OutputError where no file can be written into it: before the work that ends there."""
    place = Path(folder).expanduser()
    try:
        place.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise OutputError(f"{place} cannot be written to ({error.strerror or error}). {advice}") from error


def write_checked(path: Path, content: bytes | memoryview, advice: str) -> None:
    """Write a file as ``write_whole`` does, and its checksum beside it, for ``read_checked``.

    Where a run is stopped between the two, what was there before is still as it was written.
    """
    before = read_checked(path) if path.is_file() else None
    checksums = [_checksum(content), *([] if before is None else [_checksum(before)])]
    write_whole(checksum_of(path), b"\n".join(checksums), advice)
    write_whole(path, content, advice)


def write_checksum(path: Path, advice: str) -> None:
    """Write the checksum of a file that is there beside it, for ``is_as_written``."""
    write_whole(checksum_of(path), _checksum(path.read_bytes()), advice)


def read_checked(path: Path) -> bytes | None:
    """The content of a file with a checksum beside it; None where it is not there or a byte of it has changed."""
    try:
        checksums, content = checksum_of(path).read_bytes(), path.read_bytes()
    except FileNotFoundError:
        return None
    return content if _checksum(content) in checksums.split(b"\n") else None


def is_as_written(path: Path) -> bool:
    """Whether a file with a checksum beside it is there and no byte of it has changed."""
    try:
        return content_hash(path, digest_size=64).encode() in checksum_of(path).read_bytes().split(b"\n")
    except FileNotFoundError:
        return False


def write_times(path: Path, advice: str) -> None:
    """Write the size and the times of a file beside it, for ``is_untouched``."""
    write_whole(times_of(path), _times(path), advice)


def is_untouched(path: Path) -> bool:
    """As ``is_as_written``, which takes seconds for a large file: it is asked only where size or times have changed.

    Of these no program can set the last one. What was written before the machine was started again is read as well,
    for a machine that stops loses what it has not yet written. Raises OutputError where new times cannot be written.
    """
    try:
        times = _times(path)
        if times_of(path).is_file() and times_of(path).read_bytes() == times:
            return True
    except FileNotFoundError:
        return False
    if not is_as_written(path):
        return False
    write_whole(times_of(path), times, "Make room.")
    return True


def content_hash(path: Path, digest_size: int = 16) -> str:
    """A hash of a file's content."""
    digest = hashlib.blake2b(digest_size=digest_size)
    with path.open("rb") as file:
        while piece := file.read(CHUNK_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def checksum_of(path: Path) -> Path:
    """The file that keeps the checksum of another one."""
    return path.with_name(path.name + CHECKSUM)


def files_with_checksum(folder: Path) -> list[Path]:
    """The files of a folder that are there or should be: each has its checksum beside it."""
    return sorted(path.with_suffix("") for path in folder.glob(f"*{CHECKSUM}"))


def times_of(path: Path) -> Path:
    """The file that keeps the size and the times of another one."""
    return path.with_name(f"{path.name}.times")


def _checksum(content: bytes | memoryview) -> bytes:
    return hashlib.blake2b(content).hexdigest().encode()


def _times(path: Path) -> bytes:
    about = path.stat()
    boot = BOOT.read_text().strip() if BOOT.is_file() else ""
    return f"{about.st_size} {about.st_mtime_ns} {about.st_ctime_ns} {boot}".encode()


@contextmanager
def whole_folder(target: Path, parts: set[str], kind: str, overwrite: bool) -> Iterator[Path]:
    """Give an empty folder to fill; when the block ends well it takes the place of ``target``, else nothing changes.

    target     an absolute path
    parts      names that a folder of this kind may have in it; a folder with others is never replaced
    kind       what the folder is, for the messages
    overwrite  whether a folder of this kind may be replaced

    Raises ProviderError when ``target`` has something in it (with ``overwrite``: something other than its parts), or
    when the disk refuses.
    """
    try:
        _check_target(target, parts, kind, overwrite)
        target.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
            new = Path(scratch) / "new"
            new.mkdir()
            yield new
            if target.exists():
                target.rename(Path(scratch) / "old")
            new.rename(target)
    except OSError as error:
        raise ProviderError(
            f"The {kind} {target} cannot be written ({error}). Choose another folder or make room."
        ) from error


def _check_target(target: Path, parts: set[str], kind: str, overwrite: bool) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise ProviderError(f"{target} is a file. Name another place for the {kind}.")
    names = {path.name for path in target.iterdir()}
    if names and not overwrite:
        raise ProviderError(
            f"{target} is not empty. Name another folder, or pass overwrite (--overwrite) to replace it."
        )
    if unknown := sorted(names - parts):
        # a mistyped folder must not cost the user its content
        raise ProviderError(
            f"{target} has {len(unknown)} entries that are no part of a {kind}, the first {unknown[0]!r}. It is not "
            "overwritten: name another folder or empty it yourself."
        )
