"""The journal as pages and as a stream: none missed, none twice, over restarts too."""

import socket

import pytest
from kit.daemon import gated, plain, score

pytestmark = pytest.mark.one_daemon


def numbers(events):
    return [event["event"] for event in events]


@pytest.mark.own_daemon("its events are counted from 1")
def test_a_stream_goes_on_without_a_gap_over_a_kill(daemon, ledger):
    daemon.gate(2)
    daemon.submit(score("trio", [plain(1), gated(2), plain(3)]))
    seen = []
    with daemon.connect() as reading:
        reading.rpc("events.subscribe", after=0)
        while not seen or (seen[-1]["type"], seen[-1]["sheet"]) != ("attempt.started", 2):
            seen.append(reading.message()["params"]["item"])
        ledger.wait_for("start 2")
        daemon.kill()
        while (message := reading.message()) is not None:
            seen.append(message["params"]["item"])
    daemon.gate(2).open()
    daemon.start()
    for event in daemon.events(seen[-1]["event"]):
        seen.append(event)
        if event["type"] == "job.completed":
            break
    assert numbers(seen) == list(range(1, len(seen) + 1))
    assert seen == daemon.journal()


@pytest.mark.parametrize("by_request", [False, True])
def test_a_daemon_that_stops_ends_every_stream_as_stopping(daemon, ledger, by_request):
    daemon.gate(1)
    daemon.submit(score("solo", [gated(1)]))
    ledger.wait_for("start 1")
    with daemon.connect() as reading, daemon.connect() as idle:
        streams = [
            reading.rpc("events.subscribe", after=0)["stream"],
            reading.rpc("log.follow", job_id="solo", sheet=1)["stream"],
        ]
        newest = idle.rpc("events.subscribe")["event"]
        if by_request:
            daemon.rpc("daemon.stop")
            daemon.process.wait(30)
        else:
            daemon.stop()
        ends = [message["params"] for message in rest(reading) if message["method"] == "stream.end"]
        assert {(end["stream"], end["reason"]) for end in ends} == {(one, "stopping") for one in streams}
        assert [message["params"] for message in rest(idle)] == [
            {"stream": 1, "reason": "stopping", "event": newest}
        ]
    daemon.gate(1).open()
    daemon.start()


def test_a_subscriber_that_does_not_read_keeps_no_daemon_from_stopping(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("solo", [gated(1)]))
    ledger.wait_for("start 1")
    with daemon.connect() as deaf:
        deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(200):
            deaf.send("events.subscribe", after=0)
        daemon.stop()
    daemon.gate(1).open()
    daemon.start()


def rest(connection):
    """Return what comes on a connection until it is closed."""
    messages = []
    while (message := connection.message()) is not None:
        messages.append(message)
    return messages
