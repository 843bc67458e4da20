"""What all tabs know of the daemon, kept once for them: the jobs, and the sheets of those that are watched.

One subscription feeds it, however many tabs there are. A tab that is slow keeps nothing here waiting and
nothing in memory: it looks for what differs from what it has told, when it has room.
"""

import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec

from marianne_cli.client import AsyncClient
from marianne_cli.web import shapes
from marianned.errors import MarianneError, NoSuchJob
from marianned.protocol import PAGE_LIMIT, Event, JobDetails, Snapshot

AGAIN_SECONDS = 0.5
"""How long to wait before a daemon that is away is tried again: nothing tells of its coming."""
APART_SECONDS = 0.25
"""The least time between two looks at what has changed."""
_SHARE = 8
"""A look that took long is followed by a pause so many times longer."""
EVENTS_MOST = 500
"""Events of a watched job that are kept for tabs that have not taken them yet."""


class Watched:
    """A job that tabs look at: its newest state, its sheets, its last events."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.tabs = 0
        self.job: dict[str, Any] | None = None
        """As `shapes.whole`; null: not known yet."""
        self.problem: dict[str, Any] | None = None
        """Why it is not known: `message` and `hints`; null: it is, or will be."""
        self.static: dict[str, Any] = {}
        self.sheets: dict[int, list[Any]] = {}
        self.flight: dict[str, dict[str, Any]] = {}
        """What is in flight and what waits, by `shapes.flight`."""
        self.events: deque[dict[str, Any]] = deque(maxlen=EVENTS_MOST)


class Live:
    """The state of the daemon as its stream tells it; `run` keeps it, each change calls `changed`."""

    def __init__(self, client: AsyncClient, changed: Callable[[], None]) -> None:
        self._client = client
        self._changed = changed
        self._watched: dict[str, Watched] = {}
        self._stale: set[str] = set()
        self._wake = anyio.Event()
        self.rows: dict[str, dict[str, Any]] = {}
        """The jobs of the list, by name: as `shapes.row`."""
        self.up = False
        """Whether the daemon answers; else all that is known here was so when it was last heard."""
        self.since = time.time()
        """When `up` last changed, in seconds of the epoch."""
        self.daemon: dict[str, Any] = {}

    @asynccontextmanager
    async def watched(self, job_id: str) -> AsyncIterator[Watched]:
        """Keep a job's sheets as long as one tab looks at them."""
        kept = self._watched.setdefault(job_id, Watched(job_id))
        kept.tabs += 1
        self._look_at(job_id)
        try:
            yield kept
        finally:
            kept.tabs -= 1
            if not kept.tabs:
                del self._watched[job_id]

    async def run(self) -> None:
        """Keep the state until cancelled, over restarts of the daemon."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._hear_of_its_end)
            tasks.start_soon(self._look)
            while True:
                try:
                    await self._follow()
                except MarianneError:
                    self._is_up(up=False)
                await anyio.sleep(AGAIN_SECONDS)

    async def _hear_of_its_end(self) -> None:
        """Hold a connection, which tells at once that the daemon has gone, and that it is back."""
        while True:
            try:
                async with await anyio.connect_unix(self._client.path) as line:
                    self._is_up(up=True)
                    await line.receive()
            except (OSError, anyio.EndOfStream, anyio.BrokenResourceError):
                self._is_up(up=False)
            await anyio.sleep(AGAIN_SECONDS)

    def _is_up(self, *, up: bool) -> None:
        if up != self.up:
            self.up, self.since = up, time.time()
            self._look_at(*self._watched)
            self._changed()

    async def _follow(self) -> None:
        async with self._client.subscribe() as items:
            rows: dict[str, dict[str, Any]] = {}
            async for item in items:
                if isinstance(item, Snapshot):
                    rows |= {job.job_name: shapes.row(msgspec.to_builtins(job)) for job in item.jobs}
                    if len(rows) >= item.total or not item.jobs:
                        self.rows = rows
                        self._look_at(*self._watched)
                else:
                    self._hear(item)

    def _hear(self, event: Event) -> None:
        if event.job_id is None:
            self._look_at()
            return
        told = None
        for name in (event.job_id, f"{event.job_id}@{event.run}"):
            if (kept := self._watched.get(name)) is not None:
                told = told or shapes.shown(msgspec.to_builtins(event))
                kept.events.append(told)
        self._look_at(event.job_id, *(name for name in self._watched if name.startswith(f"{event.job_id}@")))

    def _look_at(self, *jobs: str) -> None:
        self._stale.update(jobs)
        self._wake.set()
        self._changed()

    async def _look(self) -> None:
        """Look again at what has changed: not at each event, but soon."""
        while True:
            await self._wake.wait()
            self._wake = anyio.Event()
            stale, self._stale = self._stale, set()
            started = time.monotonic()
            try:
                self.daemon = shapes.shown(msgspec.to_builtins(await self._client.daemon_status()))
                for job_id in stale:
                    await self._refresh(job_id)
            except MarianneError:
                self._stale |= stale  # it is looked at again once the daemon is back
            self._changed()
            await anyio.sleep(max(APART_SECONDS, _SHARE * (time.monotonic() - started)))

    async def _refresh(self, job_id: str) -> None:
        kept = self._watched.get(job_id)
        try:
            found = await self._client.status(job_id, limit=1 if kept is None else PAGE_LIMIT)
            while kept is not None and len(found.sheets) < found.total_sheets:
                page = await self._client.status(job_id, offset=len(found.sheets))
                if not page.sheets:
                    break
                found.sheets += page.sheets
        except NoSuchJob as error:
            self.rows.pop(job_id, None)
            if kept is not None:
                kept.job, kept.problem = None, {"message": error.message, "hints": error.hints}
            return
        job = msgspec.to_builtins(found)
        if "@" not in job_id:
            self.rows[job_id] = shapes.row(job)
        if kept is not None:
            _keep(kept, found, job)


def _keep(kept: Watched, found: JobDetails, job: dict[str, Any]) -> None:
    kept.problem = None
    kept.job = shapes.whole(job)
    if kept.static.get("revision") != found.revision or len(kept.static["sheets"]) != found.total_sheets:
        kept.static = shapes.static(job["sheets"], found.revision)
    kept.sheets = {sheet["sheet"]: shapes.moving(sheet) for sheet in job["sheets"]}
    kept.flight = {shapes.flight(item): shapes.shown(item) for item in (*job["in_flight"], *job["waiting"])}
