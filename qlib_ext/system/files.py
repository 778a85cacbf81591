"""Files that are there whole or not at all."""

from __future__ import annotations

from pathlib import Path

from qlib_ext.errors import OutputError


def write_whole(path: str | Path, content: bytes, advice: str) -> None:
    """Write a file, with the folders it needs; where that fails, what was there before stays.

    advice: what to do then, the end of the message. Raises OutputError.
    """
    target = Path(path).expanduser()
    part = target.with_name(f".{target.name}.part")  # the same name again, so that what a killed run leaves is replaced
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(content)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}; {advice}.") from error
