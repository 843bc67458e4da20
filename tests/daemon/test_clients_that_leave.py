"""Clients that don't stay: what they asked for is done, and they cost nobody anything."""

import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress

import pytest
from kit.daemon import DEADLINE, Refused, gated, plain, score

pytestmark = pytest.mark.one_daemon

MOST = 512
"""Connections that a daemon takes."""


def left(daemon, method, **params):
    """Ask, and be gone before the answer."""
    with socket.socket(socket.AF_UNIX) as connected:
        connected.connect(str(daemon.socket))
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        connected.sendall(json.dumps(request).encode() + b"\n")


def test_a_stop_whose_client_does_not_stay_is_carried_out(daemon):
    left(daemon, "daemon.stop", mode="detach")
    assert daemon.process.wait(DEADLINE) == 0
    daemon.start()


def test_a_pause_whose_client_does_not_stay_is_in_force(daemon, ledger):
    daemon.submit(score("solo", [gated(1), plain(2)]))
    gate = daemon.gate(1)
    ledger.wait_for("start 1")
    left(daemon, "job.pause", job_id="solo")
    daemon.wait_for("solo", "pausing")
    gate.open()
    daemon.wait_for("solo", "paused")


def test_waiters_that_are_gone_use_up_no_connections(daemon, ledger):
    daemon.submit(score("solo", [gated(1)]))
    ledger.wait_for("start 1")
    for _ in range(MOST + 10):
        left(daemon, "job.wait", job_id="solo")
    with daemon.connect() as asking:
        assert asking.rpc("daemon.hello")["pid"] == daemon.process.pid
    daemon.gate(1).open()
    daemon.wait_for("solo", "completed")


@pytest.mark.own_daemon("all its connections are taken")
def test_one_connection_too_many_is_refused_and_ends_nothing(daemon):
    taken = [daemon.connect() for _ in range(MOST)]
    for connection in taken[:: MOST - 1]:  # served, so all between them are counted
        assert connection.rpc("daemon.hello")["ready"]
    for _ in range(5):
        with socket.socket(socket.AF_UNIX) as one_more:
            one_more.connect(str(daemon.socket))
    for connection in taken:
        connection.socket.close()
        connection._lines.close()
    assert daemon.process.poll() is None
    daemon.submit(score("solo", [plain(1)]))
    daemon.wait_for("solo", "completed")


def test_a_fresh_run_and_a_resume_at_the_same_time_leave_one_run_alive(daemon):
    for round_ in range(5):
        name = f"race-{round_}"
        daemon.submit(score(name, ["exit 1"]))
        daemon.wait_for(name, "failed")
        together = threading.Barrier(2)

        def fresh(name=name, together=together):
            together.wait(DEADLINE)
            with suppress(Refused):  # either may lose
                daemon.submit(score(name, ["exec sleep 30"]), fresh=True)

        def resume(name=name, together=together):
            together.wait(DEADLINE)
            with suppress(Refused):
                daemon.rpc("job.resume", job_id=name)

        asking = [threading.Thread(target=fresh), threading.Thread(target=resume)]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join(DEADLINE)
        runs = [job for job in daemon.rpc("job.list", runs=True)["jobs"] if job["job_name"] == name]
        alive = [job["run"] for job in runs if job["timing"]["completed_at"] is None]
        assert len(alive) <= 1, runs
        assert [run for run in alive if run != max(job["run"] for job in runs)] == []


@pytest.mark.own_daemon("it is executed")
def test_who_started_the_daemon_may_have_gone_when_it_serves(house):
    ours, its = os.pipe()
    os.close(ours)
    with house.log.open("ab") as log:
        house.process = subprocess.Popen(
            [sys.executable, "-m", "marianned", "--ready-fd", str(its)],
            env=house.environment,
            cwd=house.home,
            pass_fds=[its],
            stdout=log,
            stderr=log,
        )
    os.close(its)

    def serves():
        with suppress(FileNotFoundError, ConnectionRefusedError):
            return house.rpc("daemon.hello")

    assert house.until(serves)["ready"]
