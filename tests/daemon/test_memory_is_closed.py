"""The secrets in the daemon's memory stay there: no core dump, no /proc/PID/environ for others of the user."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from kit.daemon import children, gated, score
from kit.secrets import MARK, secret

from marianned import faults

VICTIM = 4001
AS_VICTIM = ["setpriv", f"--reuid={VICTIM}", f"--regid={VICTIM}", "--clear-groups"]


def environments_of(pids):
    look = [*AS_VICTIM, "cat", *(f"/proc/{pid}/environ" for pid in pids)]
    return subprocess.run(look, capture_output=True, text=True, check=False)


def can_be_victim():
    """Tell whether another user's daemon can run here: the interpreter may lie where only root comes."""
    runs = [*AS_VICTIM, "sh", "-c", 'exec "$0" -c ""', sys.executable]
    return os.getuid() == 0 and subprocess.run(runs, check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not can_be_victim(), reason="needs root, and an interpreter that other users can start")
def test_no_other_process_of_the_user_reads_the_environment_of_daemon_and_workers(house, ledger):
    house.gate("held")
    for path in (house.home, *house.home.rglob("*")):
        os.chown(path, VICTIM, VICTIM)
    house.start(*AS_VICTIM, OPENAI_API_KEY=secret("core"))
    house.submit(score("a", [gated("held")]))
    ledger.wait_for("start held")
    family = {house.process.pid, *children(house.process.pid), *house.workers()}
    assert (
        len(family) > 3
    )  # daemon, nursery, workers; and the fork server, which has an environment of its own
    seen = environments_of(family)
    assert seen.stderr.count("Permission denied") == len(family) - 1, seen.stderr
    assert MARK not in seen.stdout
    assert MARK in environments_of(house.processes("MARIANNE_SHEET=1")).stdout  # so it would have been seen
    house.gate("held").open()
    house.wait_for("a", "completed")


def test_an_abort_leaves_no_core(house):
    import resource

    before, limits = set(Path("/").glob("core*")), resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (limits[1], limits[1]))
    try:
        house.start(OPENAI_API_KEY=secret("core"))
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, limits)
    house.may_fall = True
    house.process.send_signal(signal.SIGABRT)
    assert house.process.wait(30) == -signal.SIGABRT
    assert set(Path("/").glob("core*")) == before
    assert not list(house.home.rglob("core*"))
    house.start()


def test_an_installed_daemon_has_no_faults(tmp_path, monkeypatch):
    assert faults._parse_fault("api.read:2:stop") == ["api.read", "2", "stop"]
    assert faults._parse_fault("x:y") == [""]
    monkeypatch.setattr(faults, "_TESTS", tmp_path / "tests")
    assert faults._parse_fault("api.read") == [""]
