"""Files that are there whole or not at all."""

from __future__ import annotations

import os

import pytest

from qlib_ext.errors import OutputError
from qlib_ext.system.files import write_whole


def test_a_file_is_written_with_its_folders_and_replaced_whole(tmp_path):
    target = tmp_path / "new" / "deep" / "page.html"
    for text in ("±", "second"):
        write_whole(target, text.encode(), "name another file")
        assert target.read_text(encoding="utf-8") == text
    assert os.listdir(target.parent) == ["page.html"]


@pytest.mark.parametrize("case", ["the parent is a file", "the target is a folder"])
def test_a_path_that_cannot_be_written_is_told_and_leaves_nothing(tmp_path, case):
    if case == "the parent is a file":
        (tmp_path / "taken").write_text("kept")
        target = tmp_path / "taken" / "page.html"
    else:
        target = tmp_path / "taken"
        target.mkdir()
    with pytest.raises(OutputError, match=rf"cannot write {target}: .+; name another file\."):
        write_whole(target, b"text", "name another file")
    assert os.listdir(tmp_path) == ["taken"]
