"""The socket: who may have it, and whatever bytes come, the others are served."""

import json
import os
import select
import socket
import stat
import subprocess
import sys

import pytest
from kit import zygote
from kit.daemon import DEADLINE, Daemon, gated, plain, score

pytestmark = pytest.mark.one_daemon

MIB = 1024 * 1024


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_socket_and_state_are_their_owners_alone(daemon):
    daemon.submit(score("solo", ["true"]), env={"SECRET": "x"}, key="of-modes")
    daemon.wait_for("solo", "completed")
    assert mode(daemon.socket) == 0o600
    assert mode(daemon.socket.parent) == 0o700
    for path in [daemon.state, *daemon.state.rglob("*")]:
        assert mode(path) & 0o077 == 0, path
    assert mode(daemon.state) == 0o700


def test_a_second_daemon_says_who_holds_the_lock(daemon):
    second = zygote.run(
        [sys.executable, "-m", "marianned"],
        env=daemon.environment | {"MARIANNE_SOCKET": str(daemon.home / "other")},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert second.returncode == 1
    assert f"pid {daemon.process.pid}" in second.stderr
    assert str(daemon.socket) in second.stderr
    assert len(second.stderr.splitlines()) == 1
    assert not (daemon.home / "other").exists()
    assert daemon.rpc("daemon.hello")["pid"] == daemon.process.pid


def test_a_socket_that_somebody_answers_on_is_not_replaced(daemon):
    other = Daemon()
    try:
        said = zygote.run(
            [sys.executable, "-m", "marianned"],
            env=other.environment | {"MARIANNE_SOCKET": str(daemon.socket)},
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
    finally:
        other.close()
    assert said.returncode == 1
    assert "somebody answers" in said.stderr
    assert "Traceback" not in said.stderr
    assert daemon.rpc("daemon.hello")["pid"] == daemon.process.pid


@pytest.mark.own_daemon("its socket is there before it")
def test_a_stale_socket_is_replaced(house):
    house.socket.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(house.socket))
    house.start()
    assert house.rpc("daemon.hello")["ready"]
    house.kill()
    assert house.socket.exists()
    house.start()
    assert house.rpc("daemon.hello")["ready"]


@pytest.mark.own_daemon("its socket is deleted")
def test_a_socket_that_is_deleted_is_made_again_and_nobody_is_cut_off(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("solo", [gated(1)]))
    with daemon.connect() as before:
        asked = before.send("job.wait", job_id="solo")
        assert before.reply(before.send("daemon.hello"))["ready"]
        daemon.socket.unlink()
        looking = f"until test -S {daemon.socket}; do sleep 0.05; done"  # the file system tells nobody
        subprocess.run(["sh", "-c", looking], timeout=DEADLINE, check=True)
        with daemon.connect() as after:
            assert after.rpc("daemon.hello")["pid"] == daemon.process.pid
        daemon.gate(1).open()
        assert before.reply(asked)["status"] == "completed"


@pytest.mark.own_daemon("it does not start")
def test_a_socket_path_that_is_too_long_is_said(house):
    said = zygote.run(
        [sys.executable, "-m", "marianned"],
        env=house.environment | {"MARIANNE_SOCKET": "/tmp/" + "x" * 120},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert said.returncode == 78
    assert "107" in said.stderr
    assert "Traceback" not in said.stderr


@pytest.mark.own_daemon("it does not start")
def test_a_setting_that_does_not_exist_is_said_with_its_place(house):
    house.configure("max_attempts = 3\nmax_atempts = 4\n")
    said = zygote.run(
        [sys.executable, "-m", "marianned"],
        env=house.environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert said.returncode == 78
    assert "config.toml" in said.stderr
    assert "max_atempts" in said.stderr


HELLO = {"jsonrpc": "2.0", "id": 7, "method": "daemon.hello", "params": {}}


def altered(**changes):
    return json.dumps({key: value for key, value in (HELLO | changes).items() if value is not None}).encode()


HOSTILE = {
    "garbage": (b"\x00\xff\xfe garbage", -32700),
    "not utf-8": (b'{"jsonrpc":"2.0","id":7,"method":"\xff\xfe","params":{}}', -32700),
    "half a message": (b'{"jsonrpc":"2.0","id":7,', -32700),
    "a string": (b'"pause"', -32600),
    "a batch": (b"[" + json.dumps(HELLO).encode() + b"]", -32600),
    "an empty batch": (b"[]", -32600),
    "no id": (altered(id=None), -32600),
    "null as id": (b'{"jsonrpc":"2.0","id":null,"method":"daemon.hello"}', -32600),
    "a list as id": (altered(id=[1]), -32600),
    "an object as id": (altered(id={}), -32600),
    "a huge number as id": (b'{"jsonrpc":"2.0","id":' + b"9" * 5000 + b',"method":"daemon.hello"}', -32600),
    "no version": (altered(jsonrpc=None), -32600),
    "another version": (altered(jsonrpc="1.0"), -32600),
    "no method": (altered(method=None), -32600),
    "a number as method": (altered(method=3), -32600),
    "an unknown method": (altered(method="job.explode"), -32601),
    "positional params": (altered(params=["trio"]), -32602),
    "params as text": (altered(params="x"), -32602),
    "an unknown parameter": (altered(params={"colour": 1}), -32602),
    "a wrong type": (altered(method="job.pause", params={"job_id": 3}), -32602),
    "a negative time": (altered(method="job.pause", params={"job_id": "x", "timeout": -1}), -32602),
    "a huge number": (
        b'{"jsonrpc":"2.0","id":7,"method":"job.wait","params":{"job_id":"x","after":' + b"9" * 400 + b"}}", -32602
    ),
    "a number beyond 64 bits": (altered(method="events.read", params={"after": 2**70}), -32602),
    "an infinite time": (
        b'{"jsonrpc":"2.0","id":7,"method":"job.pause","params":{"job_id":"x","timeout":1e999}}', -32602
    ),
    "deep nesting": (b'{"jsonrpc":"2.0","id":7,"method":"daemon.hello","params":' + b"[" * 100_000, -32700),
    "deep params": (
        b'{"jsonrpc":"2.0","id":7,"method":"daemon.hello","params":{"name":' + b"[" * 90_000 + b"]" * 90_000 + b"}}",
        None,
    ),
    "a lone surrogate": (b'{"jsonrpc":"2.0","id":7,"method":"daemon.hello","params":{"name":"\\ud800"}}', None),
    "zeros in a name": (altered(method="job.status", params={"job_id": "a\x00b"}), -33501),
    "a name that is no name": (altered(method="job.status", params={"job_id": "../../etc"}), -33501),
    "a run beyond 64 bits": (altered(method="job.status", params={"job_id": "a@" + "9" * 40}), -33501),
    "digits of another script": (altered(method="job.status", params={"job_id": "a@\u0661\u0b67\u00b2"}), -33501),
}  # fmt: skip


@pytest.fixture(scope="module")
def shared():
    """One daemon for all hostile lines: none may harm it."""
    made = Daemon().start()
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_line_is_answered_and_the_connection_and_the_others_go_on(shared, name):
    line, code = HOSTILE[name]
    with shared.connect() as healthy, shared.connect() as hostile:
        hostile.raw(line + b"\n" + json.dumps(HELLO | {"id": "next"}).encode() + b"\n")
        messages = [hostile.message(), hostile.message()]
        assert healthy.rpc("daemon.hello")["ready"]
    answer = next(message for message in messages if message.get("id") != "next")
    if code is not None:
        assert answer["error"]["code"] == code, answer
    if "error" in answer:
        data = answer["error"]["data"]
        assert set(data) == {"error_code", "job_id", "status", "hints", "problems"}
        assert data["error_code"].startswith("E5")
        assert "Traceback" not in answer["error"]["message"]
        assert len(answer["error"]["message"]) < 1000
    assert any("result" in message for message in messages if message.get("id") == "next")


@pytest.mark.parametrize("end", [b"\n", b""])
def test_nine_mebibytes_are_refused_and_closed(shared, end):
    with shared.connect() as healthy, shared.connect() as hostile:
        try:
            hostile.raw(b'{"jsonrpc":"2.0","id":1,"method":"daemon.hello","params":{"name":"')
            for _ in range(9):
                hostile.raw(b"x" * MIB)
            hostile.raw(end)
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            message = hostile.message()
        except ConnectionResetError:
            message = None
        assert message is None or message["error"]["code"] == -32600
        assert healthy.rpc("daemon.hello")["ready"]


def test_one_request_too_many_is_refused_and_closed(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("solo", [gated(1)]))
    with daemon.connect() as greedy, daemon.connect() as healthy:
        for _ in range(257):
            greedy.send("job.wait", job_id="solo")
        assert greedy.message()["error"]["data"]["error_code"] == "E510"
        assert greedy.message() is None
        assert healthy.rpc("daemon.hello")["ready"]


def test_a_client_that_goes_away_changes_nothing_about_its_request(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    connection = daemon.connect()
    connection.send("job.pause", job_id="duo", wait=True)
    daemon.event("duo", "job.pausing")
    connection.close()
    daemon.gate(1).open()
    assert daemon.wait_for("duo", "paused", "ended")["status"] == "paused"


def test_a_client_that_goes_away_right_after_sending_has_asked_all_the_same(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    connection = daemon.connect()
    connection.send("job.pause", job_id="duo", wait=True)
    connection.close()
    daemon.event("duo", "job.pausing")


def test_a_line_without_its_end_is_a_request_when_the_input_ends(daemon):
    with daemon.connect() as connection:
        connection.raw(json.dumps(HELLO).encode())
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.message()["result"]["ready"]
        assert connection.message() is None


def test_requests_in_a_row_are_answered_in_any_order_under_their_ids(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    with daemon.connect() as connection:
        waiting = connection.send("job.pause", job_id="duo", wait=True)
        looking = connection.send("job.status", job_id="duo")
        assert connection.message()["id"] == looking
        daemon.gate(1).open()
        assert connection.message()["id"] == waiting


def test_many_connections_that_say_nothing_hold_nobody_up(daemon):
    idle = [daemon.connect() for _ in range(200)]
    try:
        assert daemon.rpc("daemon.hello")["ready"]
    finally:
        for connection in idle:
            connection.close()


def test_a_byte_at_a_time_is_a_request_too(daemon):
    with daemon.connect() as slow:
        for byte in json.dumps(HELLO).encode() + b"\n":
            slow.raw(bytes([byte]))
        assert slow.message()["result"]["ready"]


def test_the_journal_says_who_asked(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    with daemon.connect() as named:
        named.rpc("daemon.hello", name="tester 1.0", protocol=1)
        named.rpc("job.pause", job_id="duo", reason="because")
    event = daemon.event("duo", "job.pausing")
    asked = {"uid": os.getuid(), "pid": os.getpid(), "name": "tester 1.0", "inside": None, "job": None}
    assert event["caller"] == asked
    assert event["reason"] == "because"


def test_a_client_that_never_reads_holds_nobody_up(daemon, ledger):
    daemon.submit(score("solo", ["true"]))
    daemon.wait_for("solo", "completed")
    with daemon.connect() as deaf:
        deaf.socket.setblocking(False)
        line = json.dumps(HELLO | {"method": "job.list", "params": {"runs": True}}).encode() + b"\n"
        sent = 0
        while select.select([], [deaf.socket], [], 0.5)[1] and sent < 20_000_000:
            try:
                sent += deaf.socket.send(line * 50)
            except (BlockingIOError, BrokenPipeError):
                break
        assert daemon.rpc("daemon.hello")["ready"]
