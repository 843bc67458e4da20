"""What both clients promise of streams: no gap, no repeat, no error over restarts; a left one has ended.

MARIANNE_RESTARTS=200 restarts the daemon so often.
"""

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest
from kit import zygote
from kit.daemon import DEADLINE, gated, plain, score
from kit.stream_server import StreamServer

from marianne_cli.client import aconnect, connect
from marianned.errors import NoSuchJob
from marianned.protocol import Event, Snapshot

pytestmark = pytest.mark.one_daemon

RESTARTS = int(os.environ.get("MARIANNE_RESTARTS", "4"))
BOTH = pytest.mark.parametrize("read", ["blocking", "anyio"])


def taken(read, socket, stream, until):
    """Take the items of a stream, `stream` of a client, up to one that `until` is true of, or to its end."""
    items = []
    if read == "blocking":
        with connect(socket) as client:
            for item in stream(client):
                items.append(item)
                if until(item):
                    break
        return items

    async def take():
        async with aconnect(socket) as client:
            async for item in stream(client):
                items.append(item)
                if until(item):
                    break

    anyio.run(take)
    return items


@pytest.mark.own_daemon("it is restarted")
@pytest.mark.timeout(60 + 10 * RESTARTS)
def test_events_go_on_over_orderly_restarts_without_gap_repeat_or_error(house):
    house.gate(1)
    limit = {"instrument_config": {"timeout_seconds": 86_400}}  # 200 restarts take longer than its default
    house.submit(score("solo", [gated(1), plain(2)], **limit))
    house.ledger.wait_for("start 1")

    def all_of(client):
        return client.events(after=0)

    listening = threading.Semaphore(0)

    def is_last(event):
        listening.release()
        return event.type == "job.completed"

    with (
        zygote.Popen(
            [sys.executable, "-m", "marianne_cli", "events", "-F", "--json", "--after", "0"],
            env=house.environment, cwd=house.home, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as following,
        ThreadPoolExecutor(3) as readers,
    ):  # fmt: skip
        try:
            told = [
                readers.submit(taken, read, house.socket, all_of, is_last) for read in ("blocking", "anyio")
            ]
            first = json.loads(following.stdout.readline())
            printed = readers.submit(lines_until, following.stdout, "job.completed")
            for _ in range(2 * 3):  # both clients have had what there is: submitted, started, running
                assert listening.acquire(timeout=DEADLINE)
            for _ in range(RESTARTS):
                house.rpc("job.pause", job_id="solo")
                house.stop()
                house.start()
                house.rpc("job.resume", job_id="solo")
            house.gate(1).open()
            house.wait_for("solo", "completed")
            whole = house.journal()
            for events in told:
                assert [event.event for event in events.result(DEADLINE)] == [one["event"] for one in whole]
            assert [first, *printed.result(DEADLINE)] == [{**one, "schema": 1} for one in whole]
        finally:
            following.kill()
        assert following.stderr.read() == b""


def lines_until(stream, kind):
    lines = []
    for line in stream:
        lines.append(json.loads(line))
        if lines[-1]["type"] == kind:
            break
    return lines


@pytest.mark.own_daemon("it is restarted")
@BOTH
def test_a_subscription_is_the_state_then_what_follows_it_over_a_restart(house, read):
    house.gate(1)
    house.submit(score("solo", [gated(1), plain(2)]))
    house.ledger.wait_for("start 1")

    def seen(item):
        if isinstance(item, Snapshot):
            house.rpc("job.pause", job_id="solo")
            house.stop()
            house.start()
            house.gate(1).open()
        return isinstance(item, Event) and item.type == "job.paused"

    first, *rest = taken(read, house.socket, lambda client: client.subscribe(job_id="solo"), seen)
    assert [job.status for job in first.jobs] == ["running"]
    numbers = [event.event for event in rest]
    assert numbers == [one["event"] for one in house.journal("solo") if one["event"] > first.event]


@pytest.mark.own_daemon("it is restarted")
@BOTH
def test_what_attempts_print_is_followed_over_a_restart_byte_for_byte(house, read):
    body = 'seq 1 20000; read _ < "$HOME/gate-{0}"; seq 20001 40000; echo loud >&2'
    for gate in (1, 2):
        house.gate(gate)
    house.submit(score("prints", [body.format(1), body.format(2)]))
    house.event("prints", "attempt.started")
    whole = "".join(f"{number}\n" for number in range(1, 40001)).encode()
    restarted = []

    def restart(_):
        if not restarted:
            restarted.append(True)
            house.stop()
            house.start()
            house.gate(1).open()
        return False

    follow = taken(read, house.socket, lambda client: client.follow("prints", 1), restart)
    assert b"".join(follow) == whole
    house.gate(2).open()
    streams = ("stdout", "stderr")
    pieces = taken(
        read, house.socket, lambda client: client.follow_job("prints", streams=streams), lambda _: False
    )
    assert {piece.output.sheet for piece in pieces} <= {2}
    house.wait_for("prints", "completed")
    last = taken(read, house.socket, lambda client: client.follow("prints", 2, stream="stderr"), bool)
    assert last == [b"loud\n"]


@BOTH
def test_what_is_refused_is_raised_from_the_stream(house, read):
    with pytest.raises(NoSuchJob):
        taken(read, house.socket, lambda client: client.events(job_id="nobody"), bool)


@BOTH
def test_a_stream_that_is_left_ends_on_the_wire_and_other_requests_go_on(tmp_path, read):
    with StreamServer(tmp_path / "s", items=3) as server:
        if read == "blocking":
            with connect(server.path) as client:
                for _ in client.events():
                    break
                assert server.left.wait(DEADLINE)
                assert client.list().jobs == []
        else:

            async def leave():
                async with aconnect(server.path) as client:
                    async for _ in client.events():
                        break
                    assert await anyio.to_thread.run_sync(server.left.wait, DEADLINE)
                    assert (await client.list()).jobs == []

            anyio.run(leave)


@BOTH
def test_what_a_stream_brings_and_nobody_takes_is_not_heaped_up(tmp_path, read):
    with StreamServer(tmp_path / "s", items=10**6, stalled=threading.Event()) as server:
        if read == "blocking":
            with connect(server.path) as client:
                events = client.events()
                next(events)
                assert server.stalled.wait(DEADLINE)
                assert client.list().jobs == []
                events.close()
        else:

            async def idle():
                async with aconnect(server.path) as client, client.events() as events:
                    await anext(events)
                    assert await anyio.to_thread.run_sync(server.stalled.wait, DEADLINE)
                    assert (await client.list()).jobs == []

            anyio.run(idle)
    assert server.sent < 8 * 1024 * 1024


def test_a_wait_for_an_event_that_is_cancelled_can_be_waited_again(house):
    async def wait():
        async with aconnect(house.socket) as client, client.events() as events:
            with anyio.move_on_after(0.05) as idle:
                await anext(events)
            assert idle.cancelled_caught
            house.submit(score("solo", ["true"]))
            with anyio.fail_after(DEADLINE):
                return await anext(events)

    assert anyio.run(wait).type == "job.submitted"
