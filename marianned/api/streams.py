"""Subscriptions: the journal and live output, sent as they come, ended where a reader is too slow.

A stream is a request that is answered once with its id; then `stream.item` notifications follow until
`stream.end`, which has the reason and the last number. A reader that does not read costs at most a full
buffer. Source: docs/design/protocol.md "Streams".
"""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

import anyio
import msgspec

from marianned import wire
from marianned.api.states import JobFilter, SendItem, StateCache, StateSubscription
from marianned.conductor.queries.jobs import JobQueries
from marianned.errors import BadRequest
from marianned.protocol import (
    PAGE_LIMIT,
    Event,
    ListJobs,
    Snapshot,
    SubscribeEvents,
)
from marianned.store.writer import Store

ITEMS_MOST = 1_000
BYTES_MOST = 4 * 1024 * 1024
SendBytes = Callable[[bytes], Awaitable[None]]


class StreamContext(Protocol):
    """What streams need of the server that they belong to."""

    journal: "JournalFeed"
    states: StateCache
    queries: JobQueries


class _EncodedEvent(NamedTuple):
    """An event, and its JSON, which all who subscribed share."""

    event: Event
    json: msgspec.Raw


class JournalFeed:
    """Tells each commit's events to those who subscribed, in the order of the journal."""

    def __init__(self, store: Store) -> None:
        self._listeners: set[Callable[[list[_EncodedEvent]], None]] = set()
        store.on_commit(self._tell)

    def _tell(self, events: list[Event]) -> None:
        if self._listeners:
            told = [_EncodedEvent(event, msgspec.Raw(msgspec.json.encode(event))) for event in events]
            for listener in list(self._listeners):
                listener(told)

    def add(self, listener: Callable[[list[_EncodedEvent]], None]) -> None:
        """Call `listener` with each commit's events from now on."""
        self._listeners.add(listener)

    def discard(self, listener: Callable[[list[_EncodedEvent]], None]) -> None:
        """Call `listener` no more."""
        self._listeners.discard(listener)


class _EventBacklog:
    """Events that wait for a reader. Once there are too many all but the first are dropped: it has `lagged`.

    `notify` is called when there is something for the reader to look at.
    """

    def __init__(self, is_wanted: Callable[[Event], bool], notify: Callable[[], None]) -> None:
        self._is_wanted = is_wanted
        self._notify = notify
        self._waiting: deque[_EncodedEvent] = deque()
        self._bytes = 0
        self.lagged = False

    def put(self, events: list[_EncodedEvent]) -> None:
        """Take events in."""
        for told in events:
            if self.lagged or not self._is_wanted(told.event):
                continue
            self._bytes += len(bytes(told.json))
            self._waiting.append(told)
            if len(self._waiting) > ITEMS_MOST or self._bytes > BYTES_MOST:
                self.lagged = True
                first = self._waiting.popleft()  # it is sent all the same: each stream gets somewhere
                self._waiting.clear()
                self._waiting.append(first)
            self._notify()

    def take(self) -> _EncodedEvent | None:
        """Return the next event; None: none has come."""
        if not self._waiting:
            return None
        told = self._waiting.popleft()
        self._bytes -= len(bytes(told.json))
        return told


class EventStream:
    """The journal from a number on, and states beside it: what is on disk, then what is committed.

    No event is missed, none comes twice.
    """

    def __init__(self, shared: "StreamContext", store: Store, ask: SubscribeEvents) -> None:
        self._journal = shared.journal
        self._states = shared.states
        self._queries = shared.queries
        self._store = store
        self._ask = ask
        self._job_filter = JobFilter(ask.jobs if ask.job_id is None else [ask.job_id])
        self._run_id: int | None = None
        self._news = anyio.Event()
        self.last = 0
        """The number of the last event sent, or of where the stream began."""

    async def prepare(self) -> int:
        """Find the jobs that are asked for and where the stream begins; return the journal's number.

        Raises:
            NoSuchJob: there is none of them.
            BadRequest: the journal does not reach back so far, or not yet so far; or the params contradict.
        """
        self._check()
        if self._ask.job_id is not None:
            run = (await self._queries.state(self._ask.job_id)).run
            self._job_filter, self._run_id = JobFilter([f"{run.job_name}@{run.run}"]), run.run_id
        for job_id in dict.fromkeys(self._ask.jobs or ()):
            run = (await self._queries.state(job_id)).run
            self._job_filter.note_newest(run.job_name, run.run)
        after = self._ask.after
        oldest = await self._store.records.oldest_event() if after else 0
        newest = self.last = self._store.last_event
        if after is None:
            return newest
        if after > newest:
            raise BadRequest(f"the journal's newest event is {newest}, which {after} is not before")
        if 0 < after < oldest - 1:
            raise BadRequest(
                f"the journal no longer has what came after {after}; its oldest event is {oldest}"
            )
        self.last = after
        return newest

    def _check(self) -> None:
        ask = self._ask
        if ask.snapshot and ask.after is not None:
            raise BadRequest("'after' or 'snapshot': a snapshot says the number it is true at")
        if ask.snapshot and ask.states:
            raise BadRequest("'snapshot' or 'states': states begin with a snapshot of their own")
        if ask.job_id is not None and ask.jobs is not None:
            raise BadRequest("'job_id' or 'jobs': the one keeps to a run, the other follows the newest")
        if (ask.sheets or ask.output) and not ask.states:
            raise BadRequest(f"'{'sheets' if ask.sheets else 'output'}' goes with 'states'")

    def _is_wanted(self, event: Event) -> bool:
        if not self._job_filter.matches_event(event.job_id, event.run):
            return False
        types = self._ask.types
        return types is None or any(
            event.type == one or (one.endswith(".") and event.type.startswith(one)) for one in types
        )

    def _wake(self) -> None:
        self._news.set()

    async def run(self, send_item: SendItem) -> str:
        """Send items until the reader lags; return the reason of the end.

        Nothing is missed and nothing comes twice because of where the listener is added: the journal is
        read from disk until there is no newer event, and the listener is added without an await in between,
        so that no commit can come between the two. What is committed while the disk is read is in both:
        events that are not newer than the last one sent are passed over. States that change while the
        snapshot is sent are marked from before it, and follow.
        """
        backlog = _EventBacklog(self._is_wanted, self._wake)
        subscription = (
            StateSubscription(self._states, self._ask, self._job_filter, self._wake)
            if self._ask.states
            else None
        )

        def heard(told: list[_EncodedEvent]) -> None:
            if subscription is not None:
                subscription.mark_removed(one.event for one in told)

        try:
            if subscription is not None:
                self._states.add(subscription)
                self._journal.add(heard)
                await subscription.snapshot(send_item)
            elif self._ask.snapshot:
                await self._send_snapshot(send_item)
            await self._catch_up(send_item)
            self._journal.add(backlog.put)  # nothing was awaited since the journal was read to its end
            await self._follow(send_item, backlog, subscription)
        finally:
            self._journal.discard(backlog.put)
            self._journal.discard(heard)
            if subscription is not None:
                self._states.discard(subscription)
        return "lagged"

    async def _follow(
        self, send_item: SendItem, backlog: _EventBacklog, subscription: StateSubscription | None
    ) -> None:
        """Send what comes, events before states, until the reader has lagged."""
        while True:
            self._news = anyio.Event()
            while (told := backlog.take()) is not None:
                if told.event.event > self.last:  # else it was read from disk before it was told
                    await send_item(told.json)
                    self.last = told.event.event
            if backlog.lagged:
                return
            if subscription is not None:
                await subscription.send_due(send_item)
            with anyio.move_on_after(None if subscription is None else subscription.due_in()):
                await self._news.wait()

    async def _send_snapshot(self, send_item: SendItem) -> None:
        """Send the present state: what is committed from here on follows as events."""
        number = self.last
        if self._ask.job_id is not None or self._ask.jobs is not None:
            asked = [self._ask.job_id] if self._ask.job_id is not None else self._ask.jobs or []
            jobs = [await self._queries.view(await self._queries.state(one)) for one in asked]
            await send_item(Snapshot(event=number, jobs=jobs, total=len(jobs)))
            return
        sent = 0
        while True:
            page = await self._queries.jobs(ListJobs(offset=sent))
            await send_item(Snapshot(event=number, jobs=page.jobs, total=page.total))
            sent += len(page.jobs)
            if sent >= page.total or not page.jobs:
                return

    async def _catch_up(self, send_item: SendItem) -> None:
        while (newest := self._store.last_event) > self.last:
            events = await self._store.records.events(self.last, self._run_id, PAGE_LIMIT)
            for event in events:
                if self._is_wanted(event):
                    await send_item(event)
                self.last = event.event
            if len(events) < PAGE_LIMIT:
                self.last = max(self.last, newest)


class StreamSource(Protocol):
    """What a stream sends: `run` returns the reason of its end, `last` is the number that goes with it."""

    @property
    def last(self) -> int:
        """The journal's number that the stream has come to."""

    async def prepare(self) -> int:
        """Find what is asked for, or refuse it; return the journal's number."""

    async def run(self, send_item: SendItem) -> str:
        """Send items; return why no more come."""


async def send_stream(stream: int, source: StreamSource, send: SendBytes, cut: Callable[[], str]) -> None:
    """Run a stream to its end: its items, then `stream.end` with the reason.

    `cut` tells why a stream that was cancelled ends: `cancelled`, or `stopping` where the daemon stops.
    """

    async def send_item(value: object) -> None:
        await send(wire.notification("stream.item", {"stream": stream, "item": value}))

    reason = None
    try:
        reason = await source.run(send_item)
    finally:
        reason = reason or cut()
        with anyio.CancelScope(shield=True):
            ended = {"stream": stream, "reason": reason, "event": source.last}
            await send(wire.notification("stream.end", ended))
