"""The moves of an archive: all of them, or none."""

from pathlib import Path

import pytest

from marianned.conductor.workspace import archives
from marianned.rows import ArchiveRow


def row(place: Path, *names: str) -> ArchiveRow:
    entries = b"\0".join(name.encode() for name in names)
    return ArchiveRow(run_id=1, workspace=str(place), directory=str(place / "old" / "one"), entries=entries)


def test_what_was_moved_before_one_could_not_be_is_moved_back(tmp_path: Path) -> None:
    for name in ("a", "c"):
        (tmp_path / name).write_text(name)
    planned = row(tmp_path, "a", "gone", "c")
    with pytest.raises(FileNotFoundError):
        archives._move(planned, 0o077)
    assert (tmp_path / "old" / "one" / "a").exists()
    assert (tmp_path / "old").stat().st_mode & 0o777 == 0o700
    archives._move_back(planned)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "c"]


def test_what_is_there_again_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    planned = row(tmp_path, "a")
    archives._move(planned, 0o022)
    (tmp_path / "a").write_text("new")
    archives._move_back(planned)
    assert (tmp_path / "a").read_text() == "new"
    assert (tmp_path / "old" / "one" / "a").read_text() == "old"


def test_an_iteration_is_a_number_in_a_regular_file(tmp_path: Path) -> None:
    file = tmp_path / ".iteration"
    assert archives._iteration(file) is None
    for text, number in (("12\n", 12), (" 3", 3), ("x", None), ("-1", None), ("9" * 30, None), ("", None)):
        file.write_text(text)
        assert archives._iteration(file) == number, text
    file.unlink()
    other = tmp_path.with_name(f"{tmp_path.name}-other")
    file.symlink_to(other)
    other.write_text("5")
    assert archives._iteration(file) is None
