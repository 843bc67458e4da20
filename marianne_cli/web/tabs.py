"""One tab's stream: what differs between what is known and what it was told, whenever it has room for more.

Nothing queues up for a tab. It remembers what it has told; a browser that reads slowly is told less often,
and the newest. Only output has an order that must stay: its reader waits until the tab has taken it, and the
daemon keeps the rest.
"""

import os
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
import msgspec
from anyio.abc import TaskGroup

from marianne_cli.client import AsyncClient
from marianne_cli.web import outputs, shapes
from marianne_cli.web.live import LiveState, WatchedJob
from marianned.errors import MarianneError

HEARTBEAT_SECONDS = 15.0
"""A stream says something so often: a browser that has gone is noticed."""
_AT_ONCE_SECONDS = 0.1
_ROWS_SECONDS = 1.0
_ROW_SECONDS, _ROWS_SECONDS_MOST = 0.025, 5.0
"""What each row that was told adds to the time until rows are told again, and the most of it."""
_JOB_SECONDS = 0.5
_JOB_AGAIN_SECONDS = 2.0
_AT_ONCE = ("status", "holds", "breakpoints", "revision", "staged_revision", "safe_to", "hooks")
"""The urgent keys of a job: a change of them is sent without waiting."""
_TEXT_MOST = 512 * 1024
"""Characters of output that wait for a tab, and of how many lines,"""
_LINES_MOST = 2_000
"""before their reader waits, too; the daemon keeps the rest."""

Wanted = outputs.OutputRequest


class TabSubscription(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a tab subscribes to: a job or none, with or without its journal, and an output of it or none."""

    stream: str
    job: str | None = None
    journal: bool = False
    log: Wanted | None = None


class ChangeTracker:
    """Remembers the values that a tab has been sent, so that only changes are sent again."""

    def __init__(self) -> None:
        self._values: dict[object, Any] = {}

    def take_changes(self, known: Mapping[Any, Any]) -> tuple[list[Any], list[Any]]:
        """Return the values that differ from those sent, and the keys that are gone; both count as sent."""
        gone = [key for key in self._values if key not in known]
        for key in gone:
            del self._values[key]
        changed = {key: value for key, value in known.items() if self._values.get(key) != value}
        self._values |= changed
        return list(changed.values()), gone


class Tab:
    """One browser tab, from its stream's opening to its end."""

    def __init__(self, live: LiveState, client: AsyncClient, *, browser: int, read_only: bool) -> None:
        self.name = secrets.token_urlsafe(12)
        self.browser = browser
        """What tells the tabs of one browser from others."""
        self._live = live
        self._client = client
        self._greeting = {"stream": self.name, "read_only": read_only, "uid": os.getuid()}
        self._wake = anyio.Event()
        self._room = anyio.Event()
        self._ends = False
        self._rows_due = self._job_due = True
        self._watch = TabSubscription(self.name)
        self._job_scope, self._log_scope = anyio.CancelScope(), anyio.CancelScope()
        self._tasks: TaskGroup | None = None
        self._lines: list[list[str]] = []
        self._queued: list[tuple[str, Any]] = []
        self._rows, self._sheets, self._flight = ChangeTracker(), ChangeTracker(), ChangeTracker()
        self._job = ChangeTracker()
        self._job_state: tuple[Any, ...] = ()
        self._job_at = 0.0
        self._daemon_told = ChangeTracker()
        self._static: dict[str, Any] | None = None
        self._event = 0
        self._watched: WatchedJob | None = None

    def wake(self) -> None:
        """Wake the stream: something may have changed."""
        self._rows_due = self._job_due = True
        self._wake.set()

    def end(self) -> None:
        """End the stream: the server stops."""
        self._ends = True
        self._wake.set()

    def watch(self, watch: TabSubscription) -> None:
        """Subscribe to another job or output."""
        before, self._watch = self._watch, watch
        if watch.job != before.job:
            self._watched, self._static, self._event = None, None, 0
            self._sheets, self._flight, self._job = ChangeTracker(), ChangeTracker(), ChangeTracker()
            self._job_state = ()
            self._job_scope = self._replace_task(
                self._job_scope, None if watch.job is None else self._watch_job, watch.job
            )
        if watch.log != before.log:
            self._lines = []
            self._log_scope = self._replace_task(
                self._log_scope, None if watch.log is None else self._follow, watch.log
            )

    def _replace_task(
        self, before: anyio.CancelScope, work: Callable[[Any], Awaitable[None]] | None, what: Any
    ) -> anyio.CancelScope:
        """Cancel the task of the last subscription, and start one for the new, or none."""
        before.cancel()
        scope = anyio.CancelScope()

        async def look() -> None:
            with scope:
                if work is not None:
                    await work(what)

        if self._tasks is not None:
            self._tasks.start_soon(look)
        return scope

    async def _watch_job(self, job_id: str) -> None:
        async with self._live.watch_job(job_id) as kept:
            self._event = kept.events[-1]["event"] if kept.events else 0
            self._watched = kept
            self.wake()
            await anyio.sleep_forever()

    async def _follow(self, wanted: Wanted) -> None:
        """Send an output to its end; if the daemon restarts meanwhile, the client goes on where it was."""

        async def begun(head: outputs.OutputHead) -> None:
            self._queue("log", {"begin": msgspec.to_builtins(head), "of": msgspec.to_builtins(wanted)})

        async def tell(lines: list[list[str]]) -> None:
            self._lines += lines
            self._wake.set()
            while len(self._lines) > _LINES_MOST or sum(len(text) for _, text in self._lines) > _TEXT_MOST:
                self._room = anyio.Event()
                await self._room.wait()

        try:
            if wanted.sheet is None and wanted.hook is None:
                await outputs.follow_job(self._client, wanted.job_id, begun, tell)
            else:
                await outputs.follow(self._client, wanted, begun, tell)
        except* MarianneError as refused:
            (error, *_) = _flatten(refused)
            self._queue("log", {"problem": outputs.error_object(error), "of": msgspec.to_builtins(wanted)})
        else:
            while self._lines:
                self._room = anyio.Event()
                self._wake.set()
                await self._room.wait()
            self._queue("log", {"end": True})

    def _queue(self, kind: str, value: Any) -> None:
        self._queued.append((kind, value))
        self._wake.set()

    async def run(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        """Send server-sent events until the server stops; cancelled, it leaves all that it looks at."""
        async with anyio.create_task_group() as self._tasks:
            await send(_event_bytes("hello", self._greeting))
            rows_at = job_at = spoken_at = 0.0
            while not self._ends:
                self._wake = anyio.Event()
                now = time.monotonic()
                said = self._queued_messages() + self._daemon_messages()
                if self._rows_due and now >= rows_at:
                    self._rows_due = False
                    rows, told = self._list_messages()
                    said += told
                    rows_at = now + (rows_interval(rows) if rows_at else _ROWS_SECONDS)  # all come at first
                if self._job_due and (now >= job_at or self._urgent_state_changed()):
                    self._job_due, job_at = False, now + _JOB_SECONDS
                    said += self._job_messages()
                if said or now >= spoken_at + HEARTBEAT_SECONDS:
                    await send(b"".join(said) or b": \n\n")
                    spoken_at = now
                await anyio.sleep(_AT_ONCE_SECONDS)
                due = [at for at, is_due in ((rows_at, self._rows_due), (job_at, self._job_due)) if is_due]
                with anyio.move_on_after(min(due, default=now + HEARTBEAT_SECONDS) - time.monotonic()):
                    await self._wake.wait()
            await send(_event_bytes("bye", {}))
            self._tasks.cancel_scope.cancel()

    def _queued_messages(self) -> list[bytes]:
        said = [_event_bytes(kind, value) for kind, value in self._queued]
        self._queued = []
        if self._lines:
            said.append(_event_bytes("log", {"lines": self._lines}))
            self._lines = []
            self._room.set()
        return said

    def _list_messages(self) -> tuple[int, list[bytes]]:
        """Return how many rows of the list are sent, and the messages."""
        rows, gone = self._rows.take_changes(self._live.rows)
        return len(rows), [_event_bytes("jobs", {"jobs": rows, "gone": gone})] if rows or gone else []

    def _daemon_messages(self) -> list[bytes]:
        """Return the message about the daemon, if something changed; it is sent without delay."""
        live = self._live
        state = {key: value for key, value in live.daemon.items() if key != "event"}
        known = {"up": live.up, "refusal": live.refusal, "daemon": state}
        changed, _ = self._daemon_told.take_changes(known)
        return [_event_bytes("daemon", {**known, "since": live.since})] if changed else []

    def _job_messages(self) -> list[bytes]:
        kept = self._watched
        if kept is None or (kept.job is None and kept.problem is None):
            return []
        said: list[bytes] = []
        job_id = kept.job_id
        if kept.static and kept.static is not self._static:
            self._static = kept.static
            self._sheets = ChangeTracker()
            said.append(_event_bytes("graph", {"job": job_id, "moving": shapes.MOVING_KEYS, **kept.static}))
        if self._is_job_due(kept):
            said.append(_event_bytes("job", {"job": job_id, "state": kept.job, "problem": kept.problem}))
        sheets, _ = self._sheets.take_changes(kept.sheets)
        if sheets:
            said.append(_event_bytes("sheets", {"job": job_id, "sheets": sheets}))
        flight, landed = self._flight.take_changes(kept.flight)
        if flight or landed:
            said.append(_event_bytes("flight", {"job": job_id, "in": flight, "out": landed}))
        events = [event for event in kept.events if event["event"] > self._event]
        if events:
            told = {"job": job_id, "events": events, "gap": self._event < kept.lost}
            self._event = events[-1]["event"]
            if self._watch.journal:
                said.append(_event_bytes("events", told))
        return said

    def _is_job_due(self, kept: WatchedJob) -> bool:
        """Tell whether the job is sent again: at once if its urgent state changed, else at intervals."""
        now = time.monotonic()
        if now < self._job_at and not self._urgent_state_changed():
            self._job_due = True
            return False
        self._job_state, self._job_at = _urgent_state(kept), now + _JOB_AGAIN_SECONDS
        return bool(self._job.take_changes({"job": kept.job, "problem": kept.problem})[0])

    def _urgent_state_changed(self) -> bool:
        return self._watched is not None and _urgent_state(self._watched) != self._job_state


def _urgent_state(kept: WatchedJob) -> tuple[Any, ...]:
    return (kept.problem, *(kept.job[key] for key in _AT_ONCE)) if kept.job else (kept.problem,)


def rows_interval(rows: int) -> float:
    """Return in how many seconds rows are told again after so many: a list that never rests is bounded."""
    return max(_ROWS_SECONDS, min(rows * _ROW_SECONDS, _ROWS_SECONDS_MOST))


def _event_bytes(kind: str, value: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), msgspec.json.encode(value))


def _flatten(group: BaseExceptionGroup[MarianneError]) -> list[MarianneError]:
    found: list[MarianneError] = []
    for error in group.exceptions:
        found += _flatten(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
