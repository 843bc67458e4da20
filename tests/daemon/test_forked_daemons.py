"""A daemon that tests fork off a process which has loaded it is as one that is executed."""

import os
import signal
import sys
from pathlib import Path

import pytest
from kit.daemon import DEADLINE, Daemon, gated, score


@pytest.fixture(params=[False, True], ids=["forked", "executed"])
def started(request):
    made = Daemon(executed=request.param)
    try:
        yield made.start(ONLY_HERE="yes")
    finally:
        made.close()


def test_it_is_a_child_of_this_process_with_all_that_it_was_given_and_ends_as_it_is_ended(started):
    looked = os.geteuid() == 0
    if looked:
        has_what_it_was_given(started)
    started.submit(score("env", ['note "$ONLY_HERE"; ' + gated(1)]))
    started.ledger.wait_for("yes")
    started.gate(1).open()
    started.wait_for("env", "completed")
    started.kill()
    assert started.process.returncode == -signal.SIGKILL
    started.start()
    started.process.send_signal(signal.SIGINT)
    assert started.process.wait(DEADLINE) == 0
    if not looked:
        pytest.skip("all else is so; a daemon closes its /proc to other users than root")


def has_what_it_was_given(started):
    place = Path(f"/proc/{started.process.pid}")
    arguments = (place / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    assert arguments[:4] == [sys.executable.encode(), b"-m", b"marianned", b"--ready-fd"]
    assert dict(line.split(b"=", 1) for line in (place / "environ").read_bytes().split(b"\0") if line) == {
        os.fsencode(name): os.fsencode(value)
        for name, value in {**started.environment, "ONLY_HERE": "yes"}.items()
    }
    assert (place / "exe").readlink() == Path(sys.executable).resolve()
    assert (place / "cwd").readlink() == Path("/")
    fields = (place / "stat").read_text().rpartition(")")[2].split()
    assert [int(fields[n]) for n in (1, 2, 3)] == [os.getpid(), started.process.pid, started.process.pid]
    assert (place / "fd" / "0").readlink() == Path(os.devnull)
    assert {(place / "fd" / number).readlink() for number in "12"} == {started.log}
    told = (place / "status").read_text()
    masks = dict(line.split(":\t") for line in told.splitlines() if line.startswith(("Sig", "Umask")))
    assert masks["SigBlk"] == "0" * 16
    assert masks["Umask"] == "0077"
