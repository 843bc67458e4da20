"""One daemon a state directory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from marianned.lock import LockHeld, holder, locked
from marianned.paths import lock_path


def test_the_lock_says_who_holds_it_and_goes_with_them(tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert holder(state) is None
    with locked(state, Path("/run/s.sock")):
        found = holder(state)
        assert found is not None
        assert (found.pid, found.socket) == (os.getpid(), "/run/s.sock")
    assert holder(state) is None
    assert lock_path(state).read_bytes() == b""


def test_a_second_daemon_is_told_who_holds_the_directory(tmp_path: Path) -> None:
    with locked(tmp_path, Path("/run/s.sock")):
        with (
            pytest.raises(LockHeld, match=f"pid {os.getpid()} on .*, at '/run/s.sock'") as held,
            locked(tmp_path, Path("/b")),
        ):
            pass
        assert held.value.holder is not None
    with locked(tmp_path, Path("/b")):
        pass


def test_a_lock_whose_holder_has_not_written_yet_is_held_by_another_process(tmp_path: Path) -> None:
    with locked(tmp_path, Path("/run/s.sock")):
        lock_path(tmp_path).write_bytes(b"")
        assert holder(tmp_path) is None
        with pytest.raises(LockHeld, match="another process"), locked(tmp_path, Path("/b")):
            pass


def test_a_lock_goes_with_a_process_that_dies(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from marianned.lock import locked\n"
        "with locked(Path(sys.argv[1]), Path('/s')):\n"
        "    print('held', flush=True); sys.stdin.read(); os._exit(9)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        found = holder(tmp_path)
        assert found is not None
        assert found.pid == process.pid
        process.communicate()
    assert holder(tmp_path) is None
    with locked(tmp_path, Path("/b")):
        pass


def test_the_file_of_the_lock_is_its_owner_s_only(tmp_path: Path) -> None:
    with locked(tmp_path, Path("/s")):
        assert lock_path(tmp_path).stat().st_mode & 0o777 == 0o600
