"""A reader that is slow, or does not read at all, costs a bounded buffer and is ended; it cuts no message short."""

import contextlib
import select
from typing import Any

import anyio
import pytest
from peers import Peer, Services

from marianned.api import connection
from marianned.api.streams import ITEMS_MOST
from marianned.protocol import Event, JobList

pytestmark = pytest.mark.anyio
LONG = "x" * 1_000
LATE: dict[str, Any] = dict.fromkeys(Event.__struct_fields__) | {
    "recorded_at": "",
    "type": "job.queued",
    "text": "",
}


async def numbers(peer: Peer) -> tuple[list[int], dict[str, Any]]:
    """Read a stream to its end; return the numbers of its events, and how it ended."""
    seen = []
    while (message := await peer.message())["method"] == "stream.item":
        seen.append(message["params"]["item"]["event"])
    return seen, message["params"]


async def test_a_stream_tells_what_is_on_disk_and_then_what_is_committed(house: Services) -> None:
    await house.commit(3)
    async with house.connect() as peer:
        await peer.ask("events.subscribe", after=1)
        assert (await peer.message())["result"]["event"] == 3
        await house.commit(2)
        seen = [(await peer.message())["params"]["item"]["event"] for _ in range(4)]
    assert seen == [2, 3, 4, 5]


async def test_a_reader_that_is_too_slow_is_told_its_last_number_and_misses_nothing(house: Services) -> None:
    async with house.connect() as peer:
        await peer.ask("events.subscribe")
        await peer.message()
        await house.commit(ITEMS_MOST + 600, LONG)
        seen, end = await numbers(peer)
        assert (end["reason"], end["event"]) == ("lagged", seen[-1])
        assert len(seen) < ITEMS_MOST
        await peer.ask("events.subscribe", after=end["event"])
        await peer.message()
        rest = [
            (await peer.message())["params"]["item"]["event"] for _ in range(ITEMS_MOST + 600 - len(seen))
        ]
    assert seen + rest == list(range(1, ITEMS_MOST + 601))


async def test_a_reader_that_never_reads_is_ended(house: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "STALLED_SECONDS", 0.1)
    await house.commit(400, LONG)
    read = 0
    async with house.connect() as peer:
        await peer.ask("events.subscribe", after=0)
        with anyio.fail_after(20), select.epoll() as ended:
            ended.register(peer.socket.fileno(), 0)  # HUP is told unasked
            await anyio.wait_readable(ended.fileno())
        with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            while True:
                read += len(await peer.stream.receive())
    assert read < 400 * len(LONG)


async def test_a_cancelled_stream_cuts_no_message_short(house: Services) -> None:
    await house.commit(500, LONG)
    async with house.connect() as peer:
        await peer.ask("events.subscribe", after=0)
        started = (await peer.message())["result"]
        asked = await peer.ask("stream.cancel", stream=started["stream"])
        ends, answers = [], []
        while not (ends and answers):
            told = await peer.message()
            ends += [told["params"]["reason"]] if told.get("method") == "stream.end" else []
            answers += [told["id"]] if "id" in told else []
        assert (ends, answers) == (["cancelled"], [asked])


async def test_a_snapshot_and_a_number_exclude_each_other(house: Services) -> None:
    async with house.connect() as peer:
        await peer.ask("events.subscribe", after=0, snapshot=True)
        assert (await peer.message())["error"]["data"]["error_code"] == "E510"


async def test_a_number_that_is_not_yet_is_refused_with_the_newest(house: Services) -> None:
    await house.commit(2)
    async with house.connect() as peer:
        await peer.ask("events.subscribe", after=3)
        assert "newest event is 2" in (await peer.message())["error"]["message"]


async def test_few_questions_of_a_connection_that_does_not_read_are_answered(house: Services) -> None:
    asked = []

    async def listing(_caller: object, _params: object) -> JobList:
        asked.append(1)
        return JobList(message="y" * 1_000_000, event=0, jobs=[], total=0)

    house.server.handlers["job.list"] = listing
    async with house.connect() as peer:
        for _ in range(20):
            await peer.ask("job.list")
        await anyio.wait_readable(peer.socket)
        assert len(asked) <= 2
        for _ in range(20):
            await peer.message()
    assert len(asked) == 20


async def test_what_goes_over_a_limit_is_told_before_the_connection_ends(
    house: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "UNREAD_MOST", 1_000)
    async with house.connect() as peer:
        await peer.stream.send(b'{"jsonrpc":"2.0","id":1,"method":"' + b"x" * 2_000)
        told = await peer.message()
        assert (told["id"], told["error"]["data"]["error_code"]) == (None, "E508")
        await peer.stream.send_eof()
        with pytest.raises(anyio.EndOfStream):
            await peer.stream.receive()


async def test_an_event_that_was_read_from_disk_and_is_told_then_is_sent_once(house: Services) -> None:
    await house.commit(2)
    told = house.store.last_event
    house.store.records.last_published = told - 1  # as between the commit and its being told
    async with house.connect() as peer:
        await peer.ask("events.subscribe", after=0)
        seen = [await peer.message() for _ in range(2)][1:]
        house.store.records.last_published = told
        await anyio.wait_all_tasks_blocked()  # now it listens
        house.journal._tell([Event(**(LATE | {"event": number})) for number in (told - 1, told, told + 1)])
        seen += [await peer.message() for _ in range(2)]
    assert [one["params"]["item"]["event"] for one in seen] == [told - 1, told, told + 1]
