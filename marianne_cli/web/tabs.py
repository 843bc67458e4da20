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
from marianne_cli.web.live import Live, Watched
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
"""What of a job is told without waiting."""
_TEXT_MOST = 512 * 1024
"""Characters of output that wait for a tab, and of how many lines,"""
_LINES_MOST = 2_000
"""before their reader waits, too; the daemon keeps the rest."""

Wanted = outputs.Wanted


class Watch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a tab looks at: a job, or none, with its journal or without; and an output of it, or none."""

    stream: str
    job: str | None = None
    journal: bool = False
    log: Wanted | None = None


class Told:
    """What was told, so that only what differs is told again."""

    def __init__(self) -> None:
        self._values: dict[object, Any] = {}

    def differing(self, known: Mapping[Any, Any]) -> tuple[list[Any], list[Any]]:
        """Return the values that differ, and the keys that are known no more; both count as told."""
        gone = [key for key in self._values if key not in known]
        for key in gone:
            del self._values[key]
        changed = {key: value for key, value in known.items() if self._values.get(key) != value}
        self._values |= changed
        return list(changed.values()), gone


class Tab:
    """One browser tab, from its stream's opening to its end."""

    def __init__(self, live: Live, client: AsyncClient, *, browser: int, read_only: bool) -> None:
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
        self._watch = Watch(self.name)
        self._at_job, self._at_log = anyio.CancelScope(), anyio.CancelScope()
        self._tasks: TaskGroup | None = None
        self._lines: list[list[str]] = []
        self._said: list[tuple[str, Any]] = []
        self._rows, self._sheets, self._flight = Told(), Told(), Told()
        self._job = Told()
        self._job_state: tuple[Any, ...] = ()
        self._job_at = 0.0
        self._link = Told()
        self._static: dict[str, Any] | None = None
        self._event = 0
        self._kept: Watched | None = None

    def changed(self) -> None:
        """Hear that something may differ."""
        self._rows_due = self._job_due = True
        self._wake.set()

    def end(self) -> None:
        """End the stream: the server stops."""
        self._ends = True
        self._wake.set()

    def watch(self, watch: Watch) -> None:
        """Look at another job, or output."""
        before, self._watch = self._watch, watch
        if watch.job != before.job:
            self._kept, self._static, self._event = None, None, 0
            self._sheets, self._flight, self._job = Told(), Told(), Told()
            self._job_state = ()
            self._at_job = self._instead(
                self._at_job, None if watch.job is None else self._look_at, watch.job
            )
        if watch.log != before.log:
            self._lines = []
            self._at_log = self._instead(self._at_log, None if watch.log is None else self._follow, watch.log)

    def _instead(
        self, before: anyio.CancelScope, work: Callable[[Any], Awaitable[None]] | None, what: Any
    ) -> anyio.CancelScope:
        """End what was looked at, and look at something else, or nothing."""
        before.cancel()
        scope = anyio.CancelScope()

        async def look() -> None:
            with scope:
                if work is not None:
                    await work(what)

        if self._tasks is not None:
            self._tasks.start_soon(look)
        return scope

    async def _look_at(self, job_id: str) -> None:
        async with self._live.watched(job_id) as kept:
            self._event = kept.events[-1]["event"] if kept.events else 0
            self._kept = kept
            self.changed()
            await anyio.sleep_forever()

    async def _follow(self, wanted: Wanted) -> None:
        """Tell an output to its end; where the daemon goes meanwhile, the client takes it up again."""

        async def begun(head: outputs.Head) -> None:
            self._say("log", {"begin": msgspec.to_builtins(head), "of": msgspec.to_builtins(wanted)})

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
            (error, *_) = _flat(refused)
            self._say("log", {"problem": outputs.problem(error), "of": msgspec.to_builtins(wanted)})
        else:
            while self._lines:
                self._room = anyio.Event()
                self._wake.set()
                await self._room.wait()
            self._say("log", {"end": True})

    def _say(self, kind: str, value: Any) -> None:
        self._said.append((kind, value))
        self._wake.set()

    async def run(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        """Send server-sent events until the server stops; cancelled, it leaves all that it looks at."""
        async with anyio.create_task_group() as self._tasks:
            await send(_message("hello", self._greeting))
            rows_at = job_at = spoken_at = 0.0
            while not self._ends:
                self._wake = anyio.Event()
                now = time.monotonic()
                said = self._spoken() + self._of_link()
                if self._rows_due and now >= rows_at:
                    self._rows_due = False
                    rows, told = self._of_all()
                    said += told
                    rows_at = now + (rest_after(rows) if rows_at else _ROWS_SECONDS)  # all come at first
                if self._job_due and (now >= job_at or self._stands_otherwise()):
                    self._job_due, job_at = False, now + _JOB_SECONDS
                    said += self._of_job()
                if said or now >= spoken_at + HEARTBEAT_SECONDS:
                    await send(b"".join(said) or b": \n\n")
                    spoken_at = now
                await anyio.sleep(_AT_ONCE_SECONDS)
                due = [at for at, is_due in ((rows_at, self._rows_due), (job_at, self._job_due)) if is_due]
                with anyio.move_on_after(min(due, default=now + HEARTBEAT_SECONDS) - time.monotonic()):
                    await self._wake.wait()
            await send(_message("bye", {}))
            self._tasks.cancel_scope.cancel()

    def _spoken(self) -> list[bytes]:
        said = [_message(kind, value) for kind, value in self._said]
        self._said = []
        if self._lines:
            said.append(_message("log", {"lines": self._lines}))
            self._lines = []
            self._room.set()
        return said

    def _of_all(self) -> tuple[int, list[bytes]]:
        """Return how many rows are told of the list, and the messages."""
        rows, gone = self._rows.differing(self._live.rows)
        return len(rows), [_message("jobs", {"jobs": rows, "gone": gone})] if rows or gone else []

    def _of_link(self) -> list[bytes]:
        """Return what is told of the daemon, of which a change is told without waiting."""
        live = self._live
        state = {key: value for key, value in live.daemon.items() if key != "event"}
        known = {"up": live.up, "refusal": live.refusal, "daemon": state}
        changed, _ = self._link.differing(known)
        return [_message("daemon", {**known, "since": live.since})] if changed else []

    def _of_job(self) -> list[bytes]:
        kept = self._kept
        if kept is None or (kept.job is None and kept.problem is None):
            return []
        said: list[bytes] = []
        job_id = kept.job_id
        if kept.static and kept.static is not self._static:
            self._static = kept.static
            self._sheets = Told()
            said.append(_message("graph", {"job": job_id, "moving": shapes.MOVING_KEYS, **kept.static}))
        if self._is_job_due(kept):
            said.append(_message("job", {"job": job_id, "state": kept.job, "problem": kept.problem}))
        sheets, _ = self._sheets.differing(kept.sheets)
        if sheets:
            said.append(_message("sheets", {"job": job_id, "sheets": sheets}))
        flight, landed = self._flight.differing(kept.flight)
        if flight or landed:
            said.append(_message("flight", {"job": job_id, "in": flight, "out": landed}))
        events = [event for event in kept.events if event["event"] > self._event]
        if events:
            told = {"job": job_id, "events": events, "gap": self._event < kept.lost}
            self._event = events[-1]["event"]
            if self._watch.journal:
                said.append(_message("events", told))
        return said

    def _is_job_due(self, kept: Watched) -> bool:
        """Tell whether a job is told anew: at once where it stands otherwise, else now and then."""
        now = time.monotonic()
        if now < self._job_at and not self._stands_otherwise():
            self._job_due = True
            return False
        self._job_state, self._job_at = _standing(kept), now + _JOB_AGAIN_SECONDS
        return bool(self._job.differing({"job": kept.job, "problem": kept.problem})[0])

    def _stands_otherwise(self) -> bool:
        return self._kept is not None and _standing(self._kept) != self._job_state


def _standing(kept: Watched) -> tuple[Any, ...]:
    return (kept.problem, *(kept.job[key] for key in _AT_ONCE)) if kept.job else (kept.problem,)


def rest_after(rows: int) -> float:
    """Return in how many seconds rows are told again after so many: a list that never rests is bounded."""
    return max(_ROWS_SECONDS, min(rows * _ROW_SECONDS, _ROWS_SECONDS_MOST))


def _message(kind: str, value: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), msgspec.json.encode(value))


def _flat(group: BaseExceptionGroup[MarianneError]) -> list[MarianneError]:
    found: list[MarianneError] = []
    for error in group.exceptions:
        found += _flat(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
