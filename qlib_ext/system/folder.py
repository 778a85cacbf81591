"""Write a folder whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from qlib_ext.errors import ProviderError


@contextmanager
def whole_folder(target: Path, parts: set[str], what: str, overwrite: bool) -> Iterator[Path]:
    """Give an empty folder to fill; when the block ends well it takes the place of `target`, else nothing changes.

    target     an absolute path
    parts      names that a folder of this kind may hold; a folder with others is never replaced
    what       the kind, for the messages
    overwrite  whether a folder of this kind may be replaced

    Raises ProviderError when `target` holds something (with `overwrite`: something other than its parts), or when
    the disk refuses.
    """
    try:
        _check_target(target, parts, what, overwrite)
        target.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as room:
            new = Path(room) / "new"
            new.mkdir()
            yield new
            if target.exists():
                target.rename(Path(room) / "old")
            new.rename(target)
    except OSError as err:
        raise ProviderError(f"cannot write the {what} {target}: {err}; choose another folder or make room") from err


def _check_target(target: Path, parts: set[str], what: str, overwrite: bool) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise ProviderError(f"{target} is a file; name another place for the {what}")
    names = {path.name for path in target.iterdir()}
    if names and not overwrite:
        raise ProviderError(
            f"{target} is not empty; name another folder, or pass overwrite (--overwrite) to replace it"
        )
    if strange := sorted(names - parts):
        # a mistyped folder must not cost the user its content
        raise ProviderError(
            f"{target} holds {len(strange)} entries that are no part of a {what}, first {strange[0]!r}; "
            "it is not overwritten: name another folder or empty it yourself"
        )
