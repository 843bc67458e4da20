"""The pause file: agents write there, so nothing is trusted."""

import os
from pathlib import Path

import pytest

from marianned.conductor.core.pausefile import UNREADABLE, pause_file, read_pause_file, remove_pause_file


def test_it_lies_in_the_workspace_under_the_name_of_the_job(tmp_path: Path) -> None:
    assert pause_file(str(tmp_path), "release-notes") == tmp_path / ".marianne-pause-release-notes"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", ""),
        (b"broken build\nmore\n", "broken build"),
        (b"  blanks around  \r\n", "blanks around"),
        (b"\nsecond line", ""),
        (b"\x1b[31mred\x07\n", "[31mred"),
        (b"bad \xff bytes", "bad \ufffd bytes"),
        (b"x" * 500, "x" * 200),
        ("ä".encode() * 101, "ä" * 100),
        (b" \n \n", ""),
    ],
)
def test_its_reason_is_its_first_line_without_control_characters(
    tmp_path: Path, data: bytes, reason: str
) -> None:
    path = tmp_path / "pause"
    path.write_bytes(data)
    assert read_pause_file(path) == reason


def test_none_is_none(tmp_path: Path) -> None:
    assert read_pause_file(tmp_path / "pause") is None
    assert read_pause_file(tmp_path / "no" / "pause") is None
    (tmp_path / "file").write_text("")
    assert read_pause_file(tmp_path / "file" / "pause") is None


def test_anything_else_of_that_name_pauses_too(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("secret")
    tmp_path /= "workspace"
    tmp_path.mkdir()
    link, fifo, directory, dangling = (tmp_path / name for name in ("link", "fifo", "directory", "dangling"))
    link.symlink_to(target)
    dangling.symlink_to(tmp_path / "nowhere")
    os.mkfifo(fifo)
    directory.mkdir()
    assert [read_pause_file(path) for path in (link, fifo, directory, dangling)] == [UNREADABLE] * 4


def test_a_file_that_cannot_be_opened_pauses_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pause"
    path.write_text("why")

    def refuse(*_args: object, **_named: object) -> int:
        raise PermissionError(13, "no")

    monkeypatch.setattr(os, "open", refuse)
    assert read_pause_file(path) == UNREADABLE


def test_a_file_that_becomes_another_thing_between_two_looks_pauses_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pause"
    path.write_text("why")
    opened = os.open

    def swap(name: Path, flags: int) -> int:
        path.unlink()
        os.mkfifo(path)
        return opened(name, flags)

    monkeypatch.setattr(os, "open", swap)
    assert read_pause_file(path) == UNREADABLE


def test_all_kinds_are_removed(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("file", "link", "fifo", "directory")]
    paths[0].write_text("why")
    paths[1].symlink_to(tmp_path / "nowhere")
    os.mkfifo(paths[2])
    paths[3].mkdir()
    assert [remove_pause_file(path) for path in paths] == [True] * 4
    assert [remove_pause_file(path) for path in paths] == [False] * 4
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_removed_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "pause").mkdir()
    (tmp_path / "pause" / "inside").write_text("")
    with pytest.raises(OSError, match="not empty"):
        remove_pause_file(tmp_path / "pause")
