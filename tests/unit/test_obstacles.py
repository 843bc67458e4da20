"""What keeps a user from files and directories, as a start and doctor tell it; of a user whom modes bind."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from marianned import obstacles

BOUND = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
"""In front of a command: root is then bound by modes, as others are."""
ASK = """
import json, sys
from pathlib import Path
from marianned import obstacles
found = getattr(obstacles, sys.argv[1])(*map(Path, sys.argv[2:]))
print(json.dumps(found if found is None or isinstance(found, tuple) else list(found)))
"""


def asked(function: str, *places: Path) -> list[str] | None:
    """Return what a function of obstacles finds for a user whom modes bind."""
    done = subprocess.run(
        [*BOUND, sys.executable, "-c", ASK, function, *places], capture_output=True, text=True, check=True
    )
    found: list[str] | None = json.loads(done.stdout)
    return found


def test_a_directory_is_told_with_the_command_that_opens_it(tmp_path: Path) -> None:
    place = tmp_path / "a"
    assert asked("of_directory", place) is None, "it can be made"
    place.mkdir(mode=0o500)
    for wanted in (place, place / "below"):
        assert asked("of_directory", wanted) == [
            f"'{place}' can't be written: its permissions keep you out", f"chmod u+rwx {place}",
        ]  # fmt: skip
    place.chmod(0)
    closed = [f"'{place}' is closed to you", f"chmod u+rwx {place}"]
    assert asked("of_file", place / "below" / "file") == asked("closed_part", place / "file") == closed
    place.chmod(0o700)
    assert asked("of_directory", place) is None
    (place / "file").touch()
    assert asked("of_directory", place / "file") == [
        f"'{place}/file' is a file, not a directory", f"mv {place}/file {place}/file.away",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name", ["marianne.db", "marianne.db-wal", "marianne.db-shm", "lock", "marianned.log", "daemon-start.log"]
)
def test_each_file_that_a_start_writes_is_looked_at(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    start = (tmp_path, tmp_path / "marianne.db", tmp_path / "lock")
    assert asked("of_start", *start) == []
    file.touch(mode=0o400)
    said = f"'{file}' can't be written: its permissions keep you out"
    assert asked("of_start", *start) == [[said, f"chmod u+rw {file}"]]
    file.unlink()
    file.mkdir()
    assert asked("of_start", *start) == [[f"'{file}' is a directory, not a file", f"rmdir {file}"]]
    (file / "more").touch()
    assert asked("of_start", *start) == [[f"'{file}' is a directory, not a file", f"mv {file} {file}.away"]]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
def test_what_is_somebody_elses_can_only_be_looked_at(tmp_path: Path) -> None:
    log = tmp_path / "marianne.db-wal"
    log.touch(mode=0o600)
    os.chown(log, 4001, 4001)
    said = f"'{log}' can't be written: its permissions keep you out: it belongs to uid 4001"
    assert asked("of_start", tmp_path, tmp_path / "marianne.db", tmp_path / "lock") == [
        [said, f"ls -ld {log}"]
    ]


def test_what_is_in_the_way_is_moved_to_a_name_that_is_free(tmp_path: Path) -> None:
    for name in ("pipe", "pipe.away", "pipe.away1"):
        os.mkfifo(tmp_path / name)
    found = obstacles.of_socket(tmp_path / "pipe")
    assert found is not None
    assert found.command == f"mv {tmp_path}/pipe {tmp_path}/pipe.away2"


def test_a_place_for_a_socket_may_have_an_old_one_and_nothing_else(tmp_path: Path) -> None:
    assert obstacles.of_socket(tmp_path / "s") is None
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("nowhere")
    for name, kind in (("pipe", "a named pipe"), ("link", "a link")):
        place = tmp_path / name
        assert obstacles.of_socket(place) == (
            f"'{place}' is {kind}, not a socket",
            f"mv {place} {place}.away",
        )
    found = obstacles.of_socket(Path("/proc/x"))
    assert found is not None
    assert found.why.startswith("'/proc' shows what the kernel knows")


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "see to the disk space there; type: df -h {place}"),
        (errno.EDQUOT, "see to the disk space there; type: df -h {place}"),
        (errno.EACCES, "see to the permissions there; type: ls -ld {place}"),
        (errno.EROFS, "see to how its file system is mounted; type: findmnt -T {place}"),
        (errno.EIO, "see to what is there; type: ls -ld {place}"),
    ],
)
def test_an_error_of_the_system_says_which_of_them_is_meant(tmp_path: Path, number: int, said: str) -> None:
    error = OSError(number, os.strerror(number), str(tmp_path / "gone"))
    assert str(obstacles.of_error(error)) == said.format(place=tmp_path)
