"""A state directory that can't be written: a start says so; under a running daemon nothing is lost.

The latter is what a file system does that meets errors: it turns read-only under who has files open there.
"""

import errno
import os
import subprocess
from pathlib import Path

import pytest
from kit.daemon import DEADLINE, Refused, gated, plain, score
from kit.kernel import Kernel, available

WRITES = ["pwrite64", "fsync", "fdatasync", "ftruncate", "unlink", "open", "mkdir", "rename"]


@pytest.fixture
def mounted(house):
    """A daemon whose state lies on a file system of its own; returns what mounts it anew, `ro` or `rw`."""
    state = house.home / "state"
    state.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(state)], check=False).returncode:
        pytest.skip("no file system can be mounted here")

    def anew(how):
        subprocess.run(["mount", "-o", f"remount,{how}", str(state)], check=True)

    try:
        yield anew
        anew("rw")
        house.end_jobs()
    finally:
        subprocess.run(["umount", "-l", str(state)], check=True)


def test_a_start_on_it_says_what_is_so_and_leaves_all_as_it_was(house, ledger, mounted):
    house.start()
    house.submit(score("solo", [plain(1)]))
    house.wait_for("solo", "completed")
    house.stop()
    mounted("ro")
    house.may_fall = True
    house.start()
    assert house.process.wait(DEADLINE) == 1
    said = "/lock' can't be used: Read-only file system; see to how its file system is mounted; type: findmnt -T "
    assert said in house.log.read_text()
    started = house.mzt("start")
    assert (started.returncode, started.stdout) == (3, "")
    assert "can't be written: Read-only file system" in started.stderr
    assert "mzt doctor" in started.stderr
    found = str(house.checks())
    assert "can't be written: its file system is read-only" in found
    assert "start afresh" not in found
    mounted("rw")
    house.start()
    assert house.status("solo")["status"] == "completed"
    ledger.once(1)


class ReadOnly:
    """Fails whatever would write below a directory, while it is told to."""

    def __init__(self, directory):
        self._directory = str(directory)
        self.now = False

    def decide(self, call):
        return errno.EROFS if self.now and self._path(call).startswith(self._directory) else 0

    def _path(self, call):
        """Return the path that a call would write to; none: it would not write."""
        if call.name == "open" and not call.arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return ""
        if call.name in ("open", "unlink", "mkdir", "rename"):
            name = call.text(call.arguments[call.place])
            return str(Path(f"/proc/{call.pid}/cwd").readlink() / name)
        return call.file()


@pytest.mark.parametrize("meanwhile", ["it stays", "it is killed, and can't start"])
def test_when_it_turns_read_only_nothing_acknowledged_is_lost_and_with_it_writable_all_completes(
    house, ledger, meanwhile
):
    if not available(house.home):
        pytest.skip("the kernel does not ask about calls here")
    house.may_log = ["read-only", "Read-only", "readonly", "disk", "database"]
    turned = ReadOnly(house.state)
    with Kernel(house.home / "kernel", WRITES, turned.decide) as kernel:
        house.start(*kernel.before)
        house.gate(1)
        house.submit(score("first", [gated(1), plain(2)]))
        ledger.wait_for("start 1")
        turned.now = True
        with pytest.raises(Refused) as refused:
            house.rpc("job.pause", job_id="first")
        assert refused.value.code == "E508"
        assert house.rpc("daemon.status")["status"] == "degraded"
        assert house.status("first")["status"] == "running"
        if meanwhile != "it stays":
            house.kill()
            house.may_fall = True
            house.start(*kernel.before)
            assert house.process.wait(DEADLINE) == 1
        house.gate(1).open()
        ledger.wait_for("end 1")
        turned.now = False
        if meanwhile != "it stays":
            house.start(*kernel.before)
        assert house.wait_for("first", "ended")["status"] == "completed"
        ledger.once(1, 2)
        assert [event["type"] for event in house.journal("first")].count("attempt.started") == 2
        house.end_jobs()


def test_a_home_that_can_not_be_written_is_told_before_the_first_start(house, mounted):
    mounted("ro")
    started = house.mzt("start")
    assert started.returncode == 3
    assert "Read-only file system" in started.stderr
    found = house.mzt("doctor")
    assert found.returncode == 1
    assert (
        f"'{house.state}' can't be created: '{house.home / 'state'}' can't be written: its file system is read-only"
        in found.stdout
    )
