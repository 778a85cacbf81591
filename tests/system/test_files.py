"""Files that are there whole or not at all."""

from __future__ import annotations

import os

import pytest

from qlib_ext.errors import OutputError
from qlib_ext.system import files
from qlib_ext.system.files import is_as_written, read_checked, require_writable, write_checked, write_whole


def test_a_file_is_written_with_its_folders_and_replaced_whole(tmp_path):
    target = tmp_path / "new" / "deep" / "page.html"
    for text in ("±", "second"):
        write_whole(target, text.encode(), "Name another file.")
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
    with pytest.raises(OutputError, match=rf"{target} cannot be written \(.+\)\. Name another file\."):
        write_whole(target, b"text", "Name another file.")
    assert os.listdir(tmp_path) == ["taken"]


def test_a_link_is_followed_and_a_pipe_is_refused(tmp_path):
    (tmp_path / "share").mkdir()
    (tmp_path / "share" / "real.csv").write_bytes(b"before")
    link, pipe = tmp_path / "link.csv", tmp_path / "pipe"
    link.symlink_to(tmp_path / "share" / "real.csv")
    write_whole(link, b"after", "")
    assert link.is_symlink()
    assert (tmp_path / "share" / "real.csv").read_bytes() == b"after"
    os.mkfifo(pipe)
    with pytest.raises(OutputError, match=r"pipe is a device or a pipe, .* Name another"):
        write_whole(pipe, b"", "Name another.")
    assert pipe.is_fifo()


def test_a_byte_that_changes_is_noticed(tmp_path):
    file = tmp_path / "day.parquet"
    assert not is_as_written(file)
    write_checked(file, b"scores", "Make room.")
    assert is_as_written(file)
    for damaged in (b"scorez", b"score", b"", b"scores "):
        file.write_bytes(damaged)
        assert not is_as_written(file)
    write_checked(file, b"other scores", "Make room.")
    assert is_as_written(file)
    file.unlink()
    assert not is_as_written(file)


def test_a_run_that_is_stopped_while_it_writes_leaves_what_was_there(tmp_path, monkeypatch):
    file = tmp_path / "day.parquet"
    write_checked(file, b"scores", "Make room.")
    write, calls = files.write_whole, []

    def stopped_at_the_second(*args):
        calls.append(args)
        if len(calls) == 2:
            raise OutputError("stopped")
        write(*args)

    monkeypatch.setattr(files, "write_whole", stopped_at_the_second)
    with pytest.raises(OutputError):
        write_checked(file, b"other scores", "Make room.")
    assert read_checked(file) == b"scores"
    monkeypatch.undo()
    write_checked(file, b"other scores", "Make room.")
    assert read_checked(file) == b"other scores"


def test_a_checked_file_that_cannot_be_written(tmp_path):
    (tmp_path / "taken").write_text("kept")
    (tmp_path / "folder").mkdir()
    for target in (tmp_path / "taken" / "day.parquet", tmp_path / "folder"):
        with pytest.raises(OutputError, match=r"cannot be written \(.+\)\. Make room\."):
            write_checked(target, b"scores", "Make room.")


def test_a_folder_is_tried_before_the_work(tmp_path):
    require_writable(tmp_path / "new" / "deep", "Name another one.")
    assert os.listdir(tmp_path / "new" / "deep") == []
    (tmp_path / "taken").write_text("kept")
    with pytest.raises(OutputError, match=r"taken cannot be written to \(.+\)\. Name another one\."):
        require_writable(tmp_path / "taken", "Name another one.")


def test_a_file_of_before_there_were_checksums_is_not_taken_as_it_is(tmp_path):
    (tmp_path / "day.parquet").write_bytes(b"scores")
    assert not is_as_written(tmp_path / "day.parquet")
