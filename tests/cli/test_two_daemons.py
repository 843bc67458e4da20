"""Two daemons on one state directory: the second refuses, and clients that look elsewhere find the first."""

import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from home_for_tests import GATED


def test_a_client_of_another_socket_path_finds_the_daemon_that_holds_the_directory(home):
    first = home.json("start")
    named = home.environment.pop("MARIANNE_SOCKET")
    home.environment["XDG_RUNTIME_DIR"] = str(home.path / "elsewhere")
    try:
        assert home.json("status")["pid"] == first["pid"]
        assert home.json("start")["pid"] == first["pid"]
        assert home.json("status")["socket"] == named
    finally:
        home.environment["MARIANNE_SOCKET"] = named


def test_a_socket_that_is_named_is_meant_and_one_that_answers_elsewhere_is_named(home):
    """Never `kill -9` of a daemon that does listen, at another place."""
    home.mzt("start")
    named = home.environment["MARIANNE_SOCKET"]
    home.environment["MARIANNE_SOCKET"] = str(home.path / "else")
    score = home.score("solo")
    try:
        for arguments in (["status"], ["run", score], ["cancel", "solo"]):
            told = home.mzt(*arguments, code=3)
            assert named in told.stderr, arguments
            assert told.stderr.splitlines()[-1] == f"  mzt --socket {named} status"
    finally:
        home.environment["MARIANNE_SOCKET"] = named
    home.mzt("--socket", named, "status")


def test_without_its_socket_the_lock_tells_that_a_daemon_runs(home):
    """The daemon makes a deleted socket again within seconds: what is asked in between waits for it."""
    first = home.json("start")
    socket = home.path / "s"
    for arguments in (["start"], ["run", home.score("solo"), "--wait"]):
        socket.unlink()
        home.json(*arguments)
        assert home.json("status")["pid"] == first["pid"]
    socket.unlink()
    second = home.json("restart")
    assert second["pid"] != first["pid"]
    home.mzt("run", home.score("gated", GATED))
    socket.unlink()
    stopped = home.json("stop", "--kill", "-y")
    assert (stopped["pid"], stopped["message"]) == (
        second["pid"],
        f"marianned (pid {second['pid']}): stopped; 1 attempt was interrupted",
    )
    home.json("start")


def test_a_start_that_reaches_a_daemon_which_is_just_ending_starts_one(cold_home):
    with socket.socket(socket.AF_UNIX) as ending:
        ending.bind(str(cold_home.path / "s"))
        ending.listen()
        ending.settimeout(60)

        def end():
            taken, _ = ending.accept()
            ending.close()
            taken.close()

        thread = threading.Thread(target=end)
        thread.start()
        assert cold_home.json("start")["success"]
        thread.join()


@pytest.mark.slow
def test_a_daemon_that_hangs_is_named_with_the_way_out_in_time(home):
    pid = home.json("start")["pid"]
    home.mzt("run", home.score("gated", GATED))

    def refused(arguments):
        began = time.monotonic()
        said = home.mzt(*arguments, code=3).stderr
        return time.monotonic() - began, said

    os.kill(pid, signal.SIGSTOP)
    try:
        asked = [
            ["restart", "-t", "5"],
            ["stop", "--kill", "-y", "-t", "5"],
            ["start", "-t", "5"],
            ["pause", "gated", "--wait", "-t", "5"],
            ["status", "gated"],
        ]
        with ThreadPoolExecutor(len(asked)) as side_by_side:  # each waits its five seconds
            refusals = list(side_by_side.map(refused, asked))
        for arguments, (seconds, said) in zip(asked, refusals, strict=True):
            assert seconds < 8, arguments
            assert f"marianned (pid {pid}) at {home.path / 's'} accepts but does not answer" in said
            assert said.endswith(f"\n  kill -9 {pid}\n  mzt start\n"), said
        checked = home.json("doctor", code=1)
        (found,) = [check for check in checked["checks"] if check["name"] == "daemon"]
        assert (found["passed"], found["hints"]) == (False, [f"kill -9 {pid}", "mzt start"])
    finally:
        os.kill(pid, signal.SIGKILL)
    home.json("start")
    home.mzt("cancel", "gated", "--wait")
