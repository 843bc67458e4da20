"""What systemd hears of the daemon, and the socket it hands over: here without systemd, by hand."""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
from kit.daemon import DEADLINE, Refused, gone, plain, score
from kit.forks import said_by

from marianned.systemd.activation import WrongSocket, inherited_socket


class Line:
    """The datagram socket of $NOTIFY_SOCKET, and all that came there."""

    def __init__(self, path):
        self.address = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.address)
        self.heard = []

    def message(self, seconds=DEADLINE):
        """Return the next message's assignments, None when none comes."""
        if not select.select([self.socket], [], [], seconds)[0]:
            return None
        message = dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())
        self.heard.append(message)
        return message

    def until(self, **wanted):
        """Wait for a message with these assignments; return it."""
        while (message := self.message()) is not None:
            if wanted.items() <= message.items():
                return message
        raise AssertionError(f"{wanted} does not come after {self.heard}")

    def seen(self, **wanted):
        """Wait for such a message, unless it has come before."""
        if not any(wanted.items() <= message.items() for message in self.heard):
            self.until(**wanted)


@pytest.fixture
def line(tmp_path):
    made = Line(tmp_path / "n")
    yield made
    made.socket.close()


def test_ready_comes_when_requests_are_served_and_the_status_counts_jobs_which_know_nothing_of_systemd(
    house, line
):
    house.start(NOTIFY_SOCKET=line.address, WATCHDOG_USEC="90000000")
    assert line.until(READY="1")["STATUS"] == "ready; 0 jobs, 0 attempts in flight"
    assert any("EXTEND_TIMEOUT_USEC" in message for message in line.heard)
    assert house.rpc("daemon.hello")["ready"]
    tells = 'note "[$NOTIFY_SOCKET$WATCHDOG_USEC]"'
    house.submit(score("a", [f'{plain(1)}; {tells}; read _ < "$HOME/gate-1"']))
    house.gate("1")
    line.until(STATUS="ready; 1 job, 1 attempt in flight")
    house.ledger.wait_for("[]")
    house.gates["1"].open()
    line.until(STATUS="ready; 0 jobs, 0 attempts in flight")
    house.stop()
    line.until(STOPPING="1")


def test_a_drain_asks_for_time(house, line):
    house.start(NOTIFY_SOCKET=line.address)
    house.gate("1")
    house.submit(score("a", [f'{plain(1)}; read _ < "$HOME/gate-1"']))
    line.until(STATUS="ready; 1 job, 1 attempt in flight")
    line.heard.clear()
    house.rpc("daemon.stop", mode="drain")
    line.seen(EXTEND_TIMEOUT_USEC="30000000")
    line.seen(STATUS="draining; 1 job, 1 attempt in flight")
    house.rpc("daemon.stop", mode="stay")
    line.until(STATUS="ready; 1 job, 1 attempt in flight")


def test_the_heart_beats_in_the_event_loop_and_stops_with_it(house, line):
    house.may_fall = True
    house.start(NOTIFY_SOCKET=line.address, WATCHDOG_USEC="500000", MARIANNE_FAULT="api.read:1:block")
    line.until(READY="1")
    for _ in range(3):
        began = time.monotonic()
        line.until(WATCHDOG="1")
        assert time.monotonic() - began < DEADLINE
    with house.connect() as connection:
        connection.send("daemon.hello")
        while line.message(2.0) is not None:
            pass  # what was sent before it hung
    house.process.send_signal(signal.SIGABRT)
    assert house.process.wait(DEADLINE) == -signal.SIGABRT
    assert "faults.py" in house.log.read_text()


def test_a_watchdog_that_waits_for_another_process_gets_nothing(house, line):
    house.start(NOTIFY_SOCKET=line.address, WATCHDOG_USEC="100000", WATCHDOG_PID="1")
    line.until(READY="1")
    house.stop()
    line.until(STOPPING="1")
    assert not any("WATCHDOG" in message for message in line.heard)


def test_hup_and_a_request_read_the_settings_anew(house, line):
    house.start(NOTIFY_SOCKET=line.address)
    line.until(READY="1")
    house.configure('max_attempts = 3\nattempts_dir = "/elsewhere"\n')
    house.process.send_signal(signal.SIGHUP)
    begun = line.until(RELOADING="1")
    assert 0 < int(begun["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    line.until(READY="1")
    assert house.rpc("daemon.status")["slots"]["total"] == 3
    house.configure("max_attempts = 5\nkeep_days = 7\n")
    done = house.rpc("daemon.reload")
    assert (done["changed"], done["after_restart"]) == (["max_attempts", "keep_days"], [])
    assert house.rpc("daemon.status")["slots"]["total"] == 5
    house.configure('max_attempts = 6\nkeep_days = 7\n[slurm]\nlost_after = "40s"\narguments = ["--hold"]\n')
    done = house.rpc("daemon.reload")
    assert done["changed"] == ["max_attempts"]
    assert sorted(done["after_restart"]) == ["slurm.arguments", "slurm.lost_after"]


def test_settings_that_cannot_be_used_leave_the_old_ones_in_force_and_are_told_everywhere(house, line):
    house.configure("max_attempts = 4\n")
    house.start(NOTIFY_SOCKET=line.address)
    line.until(READY="1")
    house.configure("max_attempts = 0\nfleet = 1\n")
    with pytest.raises(Refused) as refused:
        house.rpc("daemon.reload")
    assert refused.value.code == "E510"
    assert "config.toml:1:16" in refused.value.message
    assert "config.toml:2:1" in refused.value.message
    assert line.until(READY="1")["STATUS"].startswith("degraded; ")
    status = house.rpc("daemon.status")
    assert (status["status"], status["slots"]["total"]) == ("degraded", 4)
    assert "config.toml:1:16" in status["degraded_by"][0]
    assert "config.toml:2:1" in house.log.read_text()
    house.configure("max_attempts = 6\n")
    house.rpc("daemon.reload")
    assert house.rpc("daemon.status")["status"] == "ready"


# --- the socket that is handed over ----------------------------------------------------------------------


def activated(house, line, listener, names, kind="3<&"):
    """Start a daemon as systemd does: the socket is descriptor 3, and three variables tell of it."""
    with house.log.open("ab") as log:
        return subprocess.Popen(
            ["bash", "-c", f'exec {kind}{listener.fileno()}; export LISTEN_PID=$$; exec "$@"', "-", sys.executable, "-m", "marianned"],
            env=house.environment | {"NOTIFY_SOCKET": line.address, "LISTEN_FDS": "1", "LISTEN_FDNAMES": names},
            pass_fds=[listener.fileno()], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip


@pytest.fixture
def listener(house):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as made:
        house.socket = house.home / "handed"
        made.bind(str(house.socket))
        made.listen()
        yield made


def test_a_socket_that_is_handed_over_is_served_and_left_in_its_place(house, line, listener):
    with house.connect() as early:  # before any daemon runs
        early.send("daemon.hello")
        house.process = activated(house, line, listener, "api")
        assert early.reply()["pid"] == house.process.pid
    line.until(READY="1")
    assert house.rpc("daemon.status")["socket"] == str(house.socket)
    assert not (house.home / "run").exists()
    house.stop()
    assert house.socket.exists()
    house.process = activated(house, line, listener, "api")
    house.rpc("daemon.hello")


NAMED = "one named 'api' is wanted: FileDescriptorName=api"


def test_a_socket_under_a_wrong_name_is_a_clear_error_of_the_daemon(house, line, listener):
    process = activated(house, line, listener, "other")
    assert process.wait(DEADLINE) == 78
    assert NAMED in house.log.read_text()


def refusal_of(listener, names):
    """Return what a process says to which this is handed over."""

    def take():
        os.dup2(listener.fileno(), 3)
        os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": names}
        try:
            return "it was taken" if inherited_socket() else "it was not seen"
        except WrongSocket as wrong:
            return str(wrong)

    return said_by(take)


@pytest.mark.parametrize("names", ["other", "", "api:api"])
def test_only_one_socket_under_its_name_is_taken(listener, names):
    assert NAMED in refusal_of(listener, names)


def test_what_is_no_listening_unix_socket_is_refused(listener):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        assert "not a listening Unix stream socket" in refusal_of(other, "api")
    assert refusal_of(listener, "api") == "it was taken"


def test_a_door_whose_directory_has_gone_for_good_moves_and_the_lock_says_where(house):
    house.socket = house.home / "runtime" / "marianne" / "marianned.sock"
    house.start(MARIANNE_SOCKET="", XDG_RUNTIME_DIR=str(house.home / "runtime"))
    with house.connect() as connection:
        connection.rpc("daemon.hello")
        shutil.rmtree(house.home / "runtime")
        (house.home / "runtime").touch()  # nothing can be made below it
        house.socket = house.state / "marianned.sock"
        while not house.socket.exists():
            assert not gone(house.process.pid, 0.1)
        assert json.loads((house.state / "lock").read_text())["socket"] == str(house.socket)
        assert connection.rpc("daemon.status")["socket"] == str(house.socket)
    house.rpc("daemon.hello")
    (house.home / "runtime").unlink()
