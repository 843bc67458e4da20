"""What all tabs know of the daemon, kept once for them: the jobs, and the sheets of those that are watched.

One stream of states feeds the list, and one each job that is watched, however many tabs there are. A tab
that is slow keeps nothing here waiting and nothing in memory: it looks for what differs from what it has
told, when it has room.
"""

import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec

from marianne_cli import terminal
from marianne_cli.client import AsyncClient
from marianne_cli.web import shapes
from marianned.errors import MarianneError, NoDaemon
from marianned.protocol import (
    PAGE_LIMIT,
    DaemonState,
    Event,
    Job,
    JobState,
    OutputStates,
    Ready,
    RunRemoved,
    SheetStates,
    Snapshot,
)

AGAIN_SECONDS = 0.5
"""How long to wait before a daemon that is away is tried again: nothing tells of its coming."""
EVENTS_MOST = 500
"""Events of a watched job that are kept for tabs that have not taken them yet."""


class WatchedJob:
    """A job that tabs look at: its newest state, its sheets, its last events."""

    def __init__(self, job_id: str, client: AsyncClient, changed: Callable[[], None]) -> None:
        self.job_id = job_id
        self.tabs = 0
        self.scope = anyio.CancelScope()
        self.job: dict[str, Any] | None = None
        """As `shapes.full_job`; null: not known yet."""
        self.problem: dict[str, Any] | None = None
        """Why it is not known: `message` and `hints`; null: it is, or will be."""
        self.static: dict[str, Any] = {}
        """As `shapes.static_sheets`; empty: not known yet."""
        self.sheets: dict[int, list[Any]] = {}
        self.flight: dict[str, dict[str, Any]] = {}
        """What is in flight and says something, as `shapes.flights`."""
        self.events: deque[dict[str, Any]] = deque(maxlen=EVENTS_MOST)
        self.lost = 0
        """The newest event that is kept no more; 0: all are."""
        self._client = client
        self._changed = changed
        self._known: dict[int, dict[str, Any]] = {}
        self._at: tuple[int, int] = (0, 0)
        self._details: dict[str, Any] = {"hooks": [], "drift": None}

    async def run(self) -> None:
        """Follow the job until cancelled, and keep what is known of it up to date."""
        with self.scope:
            while True:
                try:
                    await self._follow()
                except NoDaemon:
                    pass  # what is known stays; the page says that the daemon is away
                except MarianneError as error:
                    self._set_problem(error.message, error.hints)
                    self._changed()
                await anyio.sleep(AGAIN_SECONDS)

    async def _follow(self) -> None:
        async with self._client.states(jobs=[self.job_id], sheets=True, output=True) as items:
            async for item in items:
                match item:
                    case Snapshot(jobs=[job]) | JobState(job=job):
                        await self._take_job(job)
                    case SheetStates():
                        await self._take_sheets(item)
                    case OutputStates():
                        self.flight |= shapes.flights(msgspec.to_builtins(item.in_flight))
                    case Event():
                        self.add_event(shapes.event(msgspec.to_builtins(item)))
                        if item.hook is not None:
                            await self._read_details()
                    case RunRemoved() if self.job is None or self.job["run"] == item.run:
                        self._set_problem(f"'{self.job_id}' was removed", [])
                    case _:
                        pass
                self._changed()

    def _set_problem(self, message: str, hints: list[str]) -> None:
        """Note why there is no such job; its name came with an address, which anybody may have written."""
        self.job, self.problem = None, terminal.reply({"message": message, "hints": hints})

    def add_event(self, event: dict[str, Any]) -> None:
        """Keep an event for the tabs; of the oldest, which is dropped for it, keep the number."""
        if len(self.events) == EVENTS_MOST:
            self.lost = self.events[0]["event"]
        self.events.append(event)

    async def _take_job(self, told: Job) -> None:
        if self.job is None or (told.run, told.status) != (self.job["run"], self.job["status"]):
            await self._read_details()
        job = msgspec.to_builtins(told)
        self.problem = None
        self.job = {**shapes.full_job(job), **self._details}
        self.flight = shapes.flights(job["in_flight"])

    async def _take_sheets(self, item: SheetStates) -> None:
        if (item.run, item.revision) != self._at:
            self._at = (item.run, item.revision)
            self._known, self.sheets, self.static = {}, {}, {}
        for sheet in msgspec.to_builtins(item.sheets):
            self._known[sheet["sheet"]] = sheet
            self.sheets[sheet["sheet"]] = shapes.sheet_values(sheet)
        if not self.static and len(self._known) >= item.total_sheets:
            graph = await self._client.graph(self.job_id)
            while len(graph.sheets) < graph.total:
                page = await self._client.graph(self.job_id, offset=len(graph.sheets), limit=PAGE_LIMIT)
                if not page.sheets:
                    break
                graph.sheets += page.sheets
            if graph.revision == item.revision:
                known = [self._known[number] for number in sorted(self._known)]
                self.static = shapes.static_sheets(known, msgspec.to_builtins(graph))

    async def _read_details(self) -> None:
        """Read what no stream brings: a job's hooks, and what others changed in its workspace."""
        found = msgspec.to_builtins(await self._client.status(self.job_id, limit=1))
        self._details = terminal.reply({key: found[key] for key in ("hooks", "drift")})
        if self.job is not None:
            self.job = {**self.job, **self._details}


class LiveState:
    """The newest state that the daemon has told; `run` keeps it up to date, each change calls `changed`."""

    def __init__(self, client: AsyncClient, changed: Callable[[], None]) -> None:
        self._client = client
        self._changed = changed
        self._watched: dict[str, WatchedJob] = {}
        self._tasks: anyio.abc.TaskGroup | None = None
        self.rows: dict[str, dict[str, Any]] = {}
        """The jobs of the list, by name: as `shapes.row`."""
        self.up = False
        """Whether the daemon answers; else all that is known here was so when it was last heard."""
        self.since = time.time()
        """When `up` last changed, in seconds of the epoch."""
        self.refusal: str | None = None
        """Why a daemon that answers tells nothing: it is an older one; null: it tells all."""
        self.daemon: dict[str, Any] = {}
        """As `DaemonState`; empty: nothing was heard yet."""

    @asynccontextmanager
    async def watch_job(self, job_id: str) -> AsyncIterator[WatchedJob]:
        """Keep a job's sheets as long as one tab looks at them."""
        kept = self._watched.get(job_id)
        if kept is None:
            kept = self._watched[job_id] = WatchedJob(job_id, self._client, self._changed)
            if self._tasks is not None:
                self._tasks.start_soon(kept.run)
        kept.tabs += 1
        try:
            yield kept
        finally:
            kept.tabs -= 1
            if not kept.tabs:
                kept.scope.cancel()
                del self._watched[job_id]

    async def run(self) -> None:
        """Keep the state until cancelled, over restarts of the daemon."""
        async with anyio.create_task_group() as self._tasks:
            self._tasks.start_soon(self._watch_connection)
            while True:
                try:
                    await self._follow()
                except NoDaemon:
                    self._set_up(up=False)
                except MarianneError as error:
                    self.refusal = error.message
                    self._changed()
                await anyio.sleep(AGAIN_SECONDS)

    async def _watch_connection(self) -> None:
        """Hold a connection, which tells at once that the daemon has gone, and that it is back."""
        while True:
            try:
                async with await anyio.connect_unix(self._client.path) as line:
                    self._set_up(up=True)
                    await line.receive()
            except (OSError, anyio.EndOfStream, anyio.BrokenResourceError):
                self._set_up(up=False)
            await anyio.sleep(AGAIN_SECONDS)

    def _set_up(self, *, up: bool) -> None:
        if up != self.up:
            self.up, self.since = up, time.time()
            self._changed()

    async def _follow(self) -> None:
        found: dict[str, dict[str, Any]] | None = {}
        async with self._client.states(types=["job."]) as items:
            async for item in items:
                match item:
                    case Snapshot():
                        rows = {job.job_name: shapes.row(msgspec.to_builtins(job)) for job in item.jobs}
                        found = {**(found or {}), **rows}
                    case JobState():
                        row = shapes.row(msgspec.to_builtins(item.job))
                        self.rows[row["job_name"]] = row
                        if found is not None:
                            found[row["job_name"]] = row
                    case DaemonState():
                        self.daemon = terminal.reply(msgspec.to_builtins(item))
                    case RunRemoved() if self.rows.get(item.job_name, {}).get("run") == item.run:
                        del self.rows[item.job_name]
                    case Ready() if found is not None:
                        self.refusal = None
                        self.rows, found = found, None  # what was removed while nothing was heard is gone
                    case _:
                        continue
                self._changed()
