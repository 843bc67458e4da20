"""Subscriptions: the journal and live output, sent as they come, ended where a reader is too slow.

A stream is a request that is answered once with its id; then `stream.item` notifications follow until
`stream.end`, which has the reason and the last number. A reader that does not read costs at most a full
buffer. Source: docs/design/protocol.md.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import anyio
import msgspec
from anyio import to_thread

from marianned import wire
from marianned.conductor.queries.jobs import JobQueries
from marianned.conductor.queries.output import find_output, read_output
from marianned.errors import BadRequest
from marianned.protocol import (
    PAGE_LIMIT,
    READ_LIMIT,
    Event,
    FollowOutput,
    ListJobs,
    Snapshot,
    SubscribeEvents,
)
from marianned.store.writer import Store

ITEMS_MOST = 1_000
BYTES_MOST = 4 * 1024 * 1024
_LOOK_SECONDS = 0.2
"""How often a growing output is looked at: nothing tells of a file's growth on every file system."""
Send = Callable[[bytes], Awaitable[None]]
Item = Callable[[object], Awaitable[None]]


class _Item(NamedTuple):
    """An event, and its JSON, which all who subscribed share."""

    event: Event
    json: msgspec.Raw


class Journal:
    """Tells each commit's events to those who subscribed, in the order of the journal."""

    def __init__(self, store: Store) -> None:
        self._listeners: set[Callable[[list[_Item]], None]] = set()
        store.on_commit(self._tell)

    def _tell(self, events: list[Event]) -> None:
        if self._listeners:
            told = [_Item(event, msgspec.Raw(msgspec.json.encode(event))) for event in events]
            for listener in list(self._listeners):
                listener(told)

    def add(self, listener: Callable[[list[_Item]], None]) -> None:
        """Call `listener` with each commit's events from now on."""
        self._listeners.add(listener)

    def discard(self, listener: Callable[[list[_Item]], None]) -> None:
        """Stop that."""
        self._listeners.discard(listener)


class _Backlog:
    """Events that wait for a reader. Once there are too many they are dropped, and it ends: `lagged`."""

    def __init__(self, wanted: Callable[[Event], bool]) -> None:
        self._wanted = wanted
        self._send, self._receive = anyio.create_memory_object_stream[_Item](ITEMS_MOST)
        self._bytes = 0
        self.lagged = False

    def put(self, events: list[_Item]) -> None:
        """Take events in."""
        for told in events:
            if not self._wanted(told.event):
                continue
            self._bytes += len(bytes(told.json))
            waiting = self._send.statistics().current_buffer_used
            if waiting >= ITEMS_MOST or self._bytes > BYTES_MOST:
                self._drop()
            if self.lagged:
                return
            self._send.send_nowait(told)

    def _drop(self) -> None:
        self.lagged = True
        self._send.close()
        with suppress(anyio.EndOfStream):
            while True:
                self._receive.receive_nowait()

    async def take(self) -> _Item | None:
        """Return the next event when it has come; None: the reader has lagged."""
        try:
            told = await self._receive.receive()
        except anyio.EndOfStream:
            return None
        self._bytes -= len(bytes(told.json))
        return told

    def close(self) -> None:
        """Let go of what is left."""
        self._send.close()
        self._receive.close()


class EventStream:
    """The journal from a number on: first what is on disk, then what is committed, none missed or twice."""

    def __init__(self, journal: Journal, queries: JobQueries, store: Store, ask: SubscribeEvents) -> None:
        self._journal = journal
        self._queries = queries
        self._store = store
        self._ask = ask
        self._name: str | None = None
        self._run: int | None = None
        self._run_id: int | None = None
        self.last = 0
        """The number of the last event sent, or of where the stream began."""

    async def prepare(self) -> int:
        """Find the job that is asked for and where the stream begins; return the journal's number.

        Raises:
            NoSuchJob: there is none.
            BadRequest: the journal does not reach back so far, or not yet so far.
        """
        if self._ask.job_id is not None:
            run = (await self._queries.state(self._ask.job_id)).run
            self._name, self._run, self._run_id = run.job_name, run.run, run.run_id
        after = self._ask.after
        oldest = await self._store.records.oldest_event() if after else 0
        newest = self.last = self._store.last_event
        if after is None:
            return newest
        if self._ask.snapshot:
            raise BadRequest("'after' or 'snapshot': a snapshot says the number it is true at")
        if after > newest:
            raise BadRequest(f"the journal's newest event is {newest}, which {after} is not before")
        if 0 < after < oldest - 1:
            raise BadRequest(
                f"the journal no longer has what came after {after}; its oldest event is {oldest}"
            )
        self.last = after
        return newest

    def _wanted(self, event: Event) -> bool:
        return self._name is None or (event.job_id == self._name and event.run == self._run)

    async def run(self, item: Item) -> str:
        """Send items until the reader lags; return the reason of the end.

        Nothing is missed and nothing comes twice because of where the listener is added: the journal is
        read from disk until there is no newer event, and the listener is added without an await in between,
        so that no commit can come between the two. What is committed while the disk is read is in both:
        events that are not newer than the last one sent are passed over.
        """
        if self._ask.snapshot:
            await self._show(item)
        await self._catch_up(item)
        backlog = _Backlog(self._wanted)
        self._journal.add(backlog.put)  # nothing was awaited since the journal was read to its end
        try:
            while (told := await backlog.take()) is not None:
                if told.event.event > self.last:  # else it was read from disk before it was told
                    await item(told.json)
                    self.last = told.event.event
        finally:
            self._journal.discard(backlog.put)
            backlog.close()
        return "lagged"

    async def _show(self, item: Item) -> None:
        """Send the present state: what is committed from here on follows as events."""
        number = self.last
        if self._ask.job_id is not None:
            job = await self._queries.view(await self._queries.state(self._ask.job_id))
            await item(Snapshot(event=number, jobs=[job], total=1))
            return
        sent = 0
        while True:
            page = await self._queries.jobs(ListJobs(offset=sent))
            await item(Snapshot(event=number, jobs=page.jobs, total=page.total))
            sent += len(page.jobs)
            if sent >= page.total or not page.jobs:
                return

    async def _catch_up(self, item: Item) -> None:
        while (newest := self._store.last_event) > self.last:
            events = await self._store.records.events(self.last, self._run_id, PAGE_LIMIT)
            for event in events:
                await item(event)
                self.last = event.event
            if len(events) < PAGE_LIMIT:
                self.last = max(self.last, newest)


class OutputStream:
    """What one attempt prints, as it grows; it ends with the attempt."""

    def __init__(self, queries: JobQueries, store: Store, ask: FollowOutput) -> None:
        self._queries = queries
        self._store = store
        self._services = queries.services
        self._ask = ask
        self._path = Path()
        self._attempt = 0

    @property
    def last(self) -> int:
        """The journal's number."""
        return self._store.last_event

    async def prepare(self) -> int:
        """Find the attempt that is asked for; return the journal's number.

        Raises:
            NoSuchJob, BadRequest: there is none.
        """
        state = await self._queries.state(self._ask.job_id)
        printed = await find_output(self._services, state, self._ask)
        self._ask = msgspec.structs.replace(self._ask, attempt=printed.attempt)
        self._attempt = printed.attempt
        self._path = printed.directory / self._ask.stream
        return self.last

    async def run(self, item: Item) -> str:
        """Send pieces until the attempt has ended and all is sent; return the reason of the end."""
        offset = self._ask.offset
        while True:
            ended = await self._ended()
            while True:
                data, skipped, _ = await to_thread.run_sync(
                    read_output, self._path, offset, READ_LIMIT, abandon_on_cancel=True
                )
                if not data and not skipped:
                    break
                offset += skipped
                await item({"offset": offset, "data": data, "skipped": skipped, "attempt": self._attempt})
                offset += len(data)
            if ended:
                return "ended"
            await anyio.sleep(_LOOK_SECONDS)

    async def _ended(self) -> bool:
        state = await self._queries.state(self._ask.job_id)
        return (await find_output(self._services, state, self._ask)).ended


async def send_stream(
    stream: int, source: EventStream | OutputStream, send: Send, cut: Callable[[], str]
) -> None:
    """Run a stream to its end: its items, then `stream.end` with the reason.

    `cut` tells why a stream that was cancelled ends: `cancelled`, or `stopping` where the daemon stops.
    """

    async def item(value: object) -> None:
        await send(wire.notification("stream.item", {"stream": stream, "item": value}))

    reason = None
    try:
        reason = await source.run(item)
    finally:
        reason = reason or cut()
        with anyio.CancelScope(shield=True):
            ended = {"stream": stream, "reason": reason, "event": source.last}
            await send(wire.notification("stream.end", ended))
