"""Subscriptions: the journal and live output, sent as they come, ended where a reader is too slow.

A stream is a request that is answered once with its id; then `stream.item` notifications follow until
`stream.end`. A reader that does not read costs at most a full buffer. Source: design/protocol.md.
"""

import math
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import msgspec
from anyio import to_thread

from marianned import wire
from marianned.conductor.looking import Lookout, read_output
from marianned.protocol import PAGE_LIMIT, READ_LIMIT, Event, FollowOutput, SubscribeEvents
from marianned.store.writer import Store

ITEMS_MOST = 1_000
BYTES_MOST = 4 * 1024 * 1024
_LOOK_SECONDS = 0.2
"""How often a growing output is looked at: nothing tells of a file's growth on every file system."""
_FAREWELL_SECONDS = 1.0
Send = Callable[[bytes], Awaitable[None]]


class Journal:
    """Tells each commit's events to those who subscribed, in the order of the journal."""

    def __init__(self, store: Store) -> None:
        self._listeners: set[Callable[[list[Event]], None]] = set()
        store.on_commit(self._tell)

    def _tell(self, events: list[Event]) -> None:
        for listener in list(self._listeners):
            listener(events)

    def add(self, listener: Callable[[list[Event]], None]) -> None:
        """Call `listener` with each commit's events from now on."""
        self._listeners.add(listener)

    def discard(self, listener: Callable[[list[Event]], None]) -> None:
        """Stop that."""
        self._listeners.discard(listener)


class _Backlog:
    """Events that wait for a reader; `lagged` once there are too many, and then no more come in."""

    def __init__(self, wanted: Callable[[Event], bool]) -> None:
        self._wanted = wanted
        self._send, self.receive = anyio.create_memory_object_stream[Event](math.inf)
        self._bytes = 0
        self.lagged = False

    def put(self, events: list[Event]) -> None:
        """Take events in."""
        for event in events:
            if self.lagged or not self._wanted(event):
                continue
            size = len(msgspec.json.encode(event))
            buffered = self.receive.statistics().current_buffer_used
            if buffered >= ITEMS_MOST or self._bytes + size > BYTES_MOST:
                self.lagged = True
                self._send.close()
                return
            self._bytes += size
            self._send.send_nowait(event)

    def taken(self, event: Event) -> None:
        """Note that an event has been sent."""
        self._bytes -= len(msgspec.json.encode(event))


class EventStream:
    """The journal from a number on: first what is on disk, then what is committed, none missed or twice."""

    def __init__(self, journal: Journal, lookout: Lookout, store: Store, ask: SubscribeEvents) -> None:
        self._journal = journal
        self._lookout = lookout
        self._store = store
        self._ask = ask
        self._name: str | None = None
        self._run: int | None = None
        self._run_id: int | None = None

    async def prepare(self) -> None:
        """Find the job that is asked for.

        Raises:
            NoSuchJob: there is none.
        """
        if self._ask.job_id is not None:
            run = (await self._lookout.state(self._ask.job_id)).run
            self._name, self._run, self._run_id = run.job_name, run.run, run.run_id

    def _wanted(self, event: Event) -> bool:
        return self._name is None or (event.job_id == self._name and event.run == self._run)

    async def run(self, item: Callable[[object], Awaitable[None]]) -> str:
        """Send items until the reader lags; return the reason of the end."""
        backlog = _Backlog(self._wanted)
        self._journal.add(backlog.put)
        last = self._store.last_event if self._ask.after is None else self._ask.after
        try:
            if self._ask.after is not None:
                last = await self._catch_up(last, item)
            async for event in backlog.receive:
                backlog.taken(event)
                if event.event > last:
                    last = event.event
                    await item(event)
        finally:
            self._journal.discard(backlog.put)
        return "lagged"

    async def _catch_up(self, last: int, item: Callable[[object], Awaitable[None]]) -> int:
        while True:
            events = await self._store.records.events(last, self._run_id, PAGE_LIMIT)
            for event in events:
                last = event.event
                await item(event)
            if len(events) < PAGE_LIMIT:
                return last


class OutputStream:
    """What one attempt prints, as it grows; it ends with the attempt."""

    def __init__(self, lookout: Lookout, ask: FollowOutput) -> None:
        self._lookout = lookout
        self._ask = ask
        self._path = Path()
        self._attempt = 0

    async def prepare(self) -> None:
        """Find the attempt that is asked for.

        Raises:
            NoSuchJob, BadRequest: there is none.
        """
        state = await self._lookout.state(self._ask.job_id)
        row = await self._lookout.attempt_row(state, self._ask.sheet, self._ask.attempt)
        self._attempt = row.attempt
        self._path = self._lookout.output_path(row, self._ask.stream)

    async def run(self, item: Callable[[object], Awaitable[None]]) -> str:
        """Send pieces until the attempt has ended and all is sent; return the reason of the end."""
        offset = self._ask.offset
        while True:
            ended = await self._ended()
            while True:
                data, skipped, _ = await to_thread.run_sync(read_output, self._path, offset, READ_LIMIT)
                if not data and not skipped:
                    break
                offset += skipped
                await item({"offset": offset, "data": data, "skipped": skipped, "attempt": self._attempt})
                offset += len(data)
            if ended:
                return "ended"
            await anyio.sleep(_LOOK_SECONDS)

    async def _ended(self) -> bool:
        state = await self._lookout.state(self._ask.job_id)
        row = await self._lookout.attempt_row(state, self._ask.sheet, self._attempt)
        return row.outcome is not None


async def send_stream(stream: int, source: EventStream | OutputStream, send: Send) -> None:
    """Run a stream to its end: its items, then `stream.end` with the reason."""

    async def item(value: object) -> None:
        await send(wire.notification("stream.item", {"stream": stream, "item": value}))

    reason = "cancelled"
    try:
        reason = await source.run(item)
    finally:
        with anyio.move_on_after(_FAREWELL_SECONDS, shield=True):
            await send(wire.notification("stream.end", {"stream": stream, "reason": reason}))
