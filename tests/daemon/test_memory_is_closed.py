"""The secrets in the daemon's memory stay there: no core dump, no /proc/PID/environ for others of the user."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from kit.daemon import plain, score

from marianned import faults


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user for a moment")
def test_daemon_and_workers_belong_to_root_in_proc_and_all_goes_on(house):
    house.start(OPENAI_API_KEY="sk-core-secret-4242")
    house.submit(score("a", [plain(1)], validations=[{"type": "command_succeeds", "command": "true"}]))
    house.wait_for("a", "completed")
    dumpable = {}
    for pid in house.processes():
        status = Path(f"/proc/{pid}/cmdline").read_bytes()
        dumpable[pid] = (status, Path(f"/proc/{pid}/environ").stat().st_uid)
    assert dumpable[house.process.pid]
    code = "import ctypes, sys; from marianned import memory; memory.keep_to_ourselves(); print(ctypes.CDLL(None).prctl(3))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "0\n"


def test_an_abort_leaves_no_core(house):
    import resource

    def unlimited():
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)

    before = set(Path("/").glob("core*"))
    unlimited()
    house.start(OPENAI_API_KEY="sk-core-secret-4242")
    house.may_fall = True
    house.process.send_signal(signal.SIGABRT)
    assert house.process.wait(30) == -signal.SIGABRT
    assert set(Path("/").glob("core*")) == before
    assert not list(house.home.rglob("core*"))
    house.start()


def test_an_installed_daemon_has_no_faults(tmp_path, monkeypatch):
    assert faults._wish("api.read:2:stop") == ["api.read", "2", "stop"]
    assert faults._wish("x:y") == [""]
    monkeypatch.setattr(faults, "_TESTS", tmp_path / "tests")
    assert faults._wish("api.read") == [""]
