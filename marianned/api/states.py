"""States as they change: jobs, sheets, outputs, the daemon, sent as they are when a reader takes them.

A commit only marks what has changed, so that a slow reader costs no more than a set of numbers: it gets fewer
states, and always the last. What they look like is worked out when they are sent, once for all readers.
Source: docs/design/protocol.md "Streams".
"""

import math
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import anyio
import anyio.lowlevel
import msgspec

from marianned.conductor.core.job import JobActor
from marianned.conductor.queries.jobs import JobQueries
from marianned.conductor.queries.live_output import Key, key_of
from marianned.errors import NoSuchJob
from marianned.lifecycle import status
from marianned.progress.state.run import RunState
from marianned.progress.views.job import in_flight, sheet_views
from marianned.protocol import (
    PAGE_LIMIT,
    DaemonState,
    Event,
    InFlight,
    JobStatus,
    ListJobs,
    OutputStates,
    Ready,
    RunRemoved,
    SheetStates,
    SheetStatus,
    Snapshot,
    SubscribeEvents,
)
from marianned.protocol import Job as JobView
from marianned.rows import Changes, LimitRow, LoopRow, RevisionRow, SheetRow

JOB_SECONDS, _JOB_SECONDS_EACH = 0.2, 0.001
"""The least time between two states of a job; and of one whose status stays, for each that is in flight."""
LOOK_SECONDS = 1.0
"""How often it is looked at what no commit tells of: outputs, slots, what degrades the daemon."""
BLOCKERS_MOST = 10
_SLICE = 200
"""So many sheets are worked out before others have their turn."""

SendItem = Callable[[object], Awaitable[None]]


class JobFilter:
    """Which jobs a stream is about: all, or those that were named; a name means its newest run."""

    def __init__(self, jobs: Sequence[str] | None) -> None:
        self.jobs = jobs
        self._names = None if jobs is None else {name for name in jobs if "@" not in name}
        self._runs = {name for name in jobs or () if "@" in name}
        self._newest: dict[str, int] = {}

    def matches(self, name: str | None, run: int | None, *, newest: bool = True) -> bool:
        """Tell whether the stream is about a run."""
        if self._names is None:
            return newest
        return (newest and name in self._names) or f"{name}@{run}" in self._runs

    def matches_event(self, name: str | None, run: int | None) -> bool:
        """Tell whether the stream is about an event; a name stands for the newest run that was seen."""
        if self._names is None:
            return True
        if name in self._names and run is not None:
            self._newest[name] = max(run, self._newest.get(name, 0))
            return run == self._newest[name] or f"{name}@{run}" in self._runs
        return f"{name}@{run}" in self._runs

    def note_newest(self, name: str, run: int) -> None:
        """Note the newest run of a name."""
        self._newest[name] = max(run, self._newest.get(name, 0))

    def note_removed(self, name: str, run: int) -> None:
        """Note that a name means an older run again: the newer ones were removed."""
        self._newest[name] = run


class EncodedJob(NamedTuple):
    """A job as JSON; `version` and `digest` tell whether it has changed since."""

    version: int
    item: msgspec.Raw
    digest: int


class StateCache:
    """What all streams of states share: the JSON of what has changed, made once."""

    def __init__(self, queries: JobQueries) -> None:
        self.queries = queries
        self._jobs: dict[int, EncodedJob] = {}
        self._versions: dict[int, int] = {}
        self._outputs: dict[int, tuple[float, list[InFlight]]] = {}
        self._subscriptions: set[StateSubscription] = set()
        self._leave: Callable[[], None] = _leave_nobody
        self._daemon: tuple[float, DaemonState] | None = None

    def add(self, subscription: "StateSubscription") -> None:
        """Mark what changes for a subscription, from now on."""
        if not self._subscriptions:
            self._leave = self.queries.conductor.on_change(self._changed)
        self._subscriptions.add(subscription)

    def discard(self, subscription: "StateSubscription") -> None:
        """Mark nothing more for a subscription; with the last one all that is cached goes."""
        self._subscriptions.discard(subscription)
        if not self._subscriptions:
            self._leave()
            self._jobs.clear()
            self._versions.clear()
            self._outputs.clear()
            self._daemon = None

    def _changed(self, job: JobActor, changes: Changes) -> None:
        jobs = self.queries.conductor.jobs
        concerned = {job.run_id: job}
        if any(isinstance(row, LimitRow) for row in changes.rows):
            concerned |= {other.run_id: other for other in jobs.values() if other.state.run.ended is None}
        if job.state.run.depth:  # a hook has started it, whose job may wait for its end
            concerned |= {other.run_id: other for other in jobs.values() if job.state in other.state.awaited}
        for one in concerned.values():
            self._mark(one, changes if one is job else _NOTHING)

    def _mark(self, job: JobActor, changes: Changes) -> None:
        self._versions[job.run_id] = self._versions.get(job.run_id, 0) + 1
        for subscription in self._subscriptions:
            subscription.mark_changed(job, changes)

    async def daemon(self) -> DaemonState:
        """Return how the daemon is, or was within the last second; what changes with it of jobs is marked."""
        at, known = anyio.current_time(), self._daemon
        if known is not None and at - known[0] < LOOK_SECONDS / 2:
            return known[1]
        daemon = await self.queries.daemon_state()
        self._daemon = (at, daemon)
        if known is not None and _condition(known[1]) != _condition(daemon):
            for job in list(self.queries.conductor.jobs.values()):
                self._mark(job, _NOTHING)
        return daemon

    async def job(self, state: RunState) -> EncodedJob:
        """Return a job as it is sent."""
        run_id = state.run.run_id
        version = self._versions.get(run_id, 0)
        known = self._jobs.get(run_id)
        if known is None or known.version != version:
            view = await self.queries.view(state)
            item = msgspec.Raw(msgspec.json.encode({"type": "job", "event": view.event, "job": view}))
            known = EncodedJob(version, item, _digest(view))
            self._jobs[run_id] = known
        return known

    def forget(self, run_id: int) -> None:
        """Forget a job that has ended or was removed."""
        self._jobs.pop(run_id, None)
        self._outputs.pop(run_id, None)

    async def outputs(self, state: RunState) -> list[InFlight]:
        """Return what is in flight of a job, as it was within the last second."""
        run_id, at = state.run.run_id, anyio.current_time()
        known = self._outputs.get(run_id)
        if known is None or at - known[0] >= LOOK_SECONDS / 2:
            known = self._outputs[run_id] = (
                at,
                await self.queries.live_outputs.with_outputs(state, in_flight(state)),
            )
        return known[1]


def _digest(view: JobView) -> int:
    """Return what tells whether a job is as it was, whatever the moment."""
    return hash(msgspec.json.encode(msgspec.structs.replace(view, event=0)))


def _leave_nobody() -> None:
    """Do nothing: no listener is registered."""


def _condition(daemon: DaemonState) -> tuple[object, ...]:
    """Return what of the daemon's condition jobs show."""
    return daemon.status, daemon.degraded_by, daemon.damaged


_NOTHING = Changes()


class _PendingChanges:
    """What of a run has changed and is not sent yet: the job, some of its sheets, or all that may show it."""

    def __init__(self, state: RunState) -> None:
        self.state = state
        self.sheets: set[int] = set()
        self.all_sheets = False
        self.derived = False

    def add(self, later: "_PendingChanges") -> None:
        """Add what has changed later."""
        self.state = later.state
        self.sheets |= later.sheets
        self.all_sheets = self.all_sheets or later.all_sheets
        self.derived = self.derived or later.derived


class _SentState:
    """What of a run was sent last: when, and how the job and its sheets were then, by their hashes."""

    def __init__(self) -> None:
        self.at = -math.inf
        self.status: JobStatus | None = None
        self.derived_at = -math.inf
        self.digest = 0
        self.revision = 0
        self.failed = 0
        self.sheets: dict[int, int] = {}


class StateSubscription:
    """One stream of states: what is still to be sent to its reader, and what was sent."""

    def __init__(
        self, states: StateCache, ask: SubscribeEvents, job_filter: JobFilter, notify: Callable[[], None]
    ) -> None:
        self._states = states
        self._queries = states.queries
        self._ask = ask
        self._job_filter = job_filter
        self._notify = notify
        self._pending: dict[int, _PendingChanges] = {}
        self._sent: dict[int, _SentState] = {}
        self._removed: list[RunRemoved] = []
        self._outputs: dict[int, dict[Key, InFlight]] = {}
        self._look_at = -math.inf
        self._daemon: DaemonState | None = None

    # --- what changes ------------------------------------------------------------------------------------

    def mark_changed(self, job: JobActor, changes: Changes) -> None:
        """Mark what a commit has changed."""
        run = job.state.run
        if not self._job_filter.matches(run.job_name, run.run, newest=not job.superseded):
            return
        due = self._pending.setdefault(run.run_id, _PendingChanges(job.state))
        due.state = job.state
        if self._ask.sheets:
            due.all_sheets = due.all_sheets or run.run_id not in self._sent
            _mark_sheets(due, changes)
        self._notify()

    def mark_removed(self, events: Iterable[Event]) -> None:
        """Mark the runs that were removed: nothing else of them is sent any more."""
        for event in events:
            name, run = event.job_id, event.run
            if event.type != "job.removed" or name is None or run is None:
                continue
            if self._job_filter.matches_event(name, run):
                for run_id, due in list(self._pending.items()):
                    if (due.state.run.job_name, due.state.run.run) == (name, run):
                        del self._pending[run_id]
                self._removed.append(RunRemoved(event=event.event, job_name=name, run=run))
                self._notify()

    def due_in(self) -> float:
        """Return in how many seconds something is to be sent or polled."""
        at = [self._due_at(run_id) for run_id in self._pending]
        return max(0.0, min([*at, self._look_at]) - anyio.current_time())

    def _due_at(self, run_id: int) -> float:
        sent, state = self._sent.get(run_id), self._pending[run_id].state
        if sent is None:
            return -math.inf
        each = 0.0 if sent.status != status(state.facts) else state.flight_count * _JOB_SECONDS_EACH
        return sent.at + max(JOB_SECONDS, each)

    # --- telling -----------------------------------------------------------------------------------------

    async def snapshot(self, send_item: SendItem) -> None:
        """Send the present state: jobs, sheets, the daemon, then `Ready`."""
        event = self._queries.services.store.last_event
        sheets: list[RunState] = []
        if self._job_filter.jobs is None:
            async for page in self._pages(event):
                await send_item(page)
            sheets = [
                job.state for job in self._queries.conductor.jobs.values() if job.state.run.ended is None
            ]
        else:
            views = []
            for name in self._job_filter.jobs:
                state = await self._queries.state(name)
                self._job_filter.note_newest(state.run.job_name, state.run.run)
                views.append(await self._queries.view(state))
                self._sent.setdefault(state.run.run_id, _SentState()).digest = _digest(views[-1])
                sheets.append(state)
            await send_item(Snapshot(event=event, jobs=views, total=len(views)))
        for state in sheets if self._ask.sheets else ():
            sent = self._sent.setdefault(state.run.run_id, _SentState())
            sent.revision, sent.failed = state.run.revision, state.counts[SheetStatus.FAILED]
            await self._send_sheets(send_item, state, range(1, len(state.score.sheets) + 1), sent.sheets)
        await self._send_polled(send_item)
        await send_item(Ready(event=event))

    async def _pages(self, event: int) -> Any:
        sent = 0
        while True:
            page = await self._queries.jobs(ListJobs(offset=sent))
            yield Snapshot(event=event, jobs=page.jobs, total=page.total)
            sent += len(page.jobs)
            if sent >= page.total or not page.jobs:
                return

    async def send_due(self, send_item: SendItem) -> None:
        """Send what is due by now."""
        while self._removed:
            await self._send_removed(send_item, self._removed.pop(0))
        now = anyio.current_time()
        for run_id in [run_id for run_id in self._pending if self._due_at(run_id) <= now]:
            await self._send_job(send_item, run_id, self._pending.pop(run_id))
        if now >= self._look_at:
            await self._send_polled(send_item)

    async def _send_removed(self, send_item: SendItem, gone: RunRemoved) -> None:
        """Send that a run is gone, and then the one before it, which its name means now."""
        await send_item(gone)
        # the disk is asked: memory may still have what is gone
        left = await self._queries.services.store.records.run(gone.job_name)
        if left is None or left.run > gone.run or not self._job_filter.matches(left.job_name, left.run):
            return
        with suppress(NoSuchJob):
            self._job_filter.note_removed(left.job_name, left.run)
            view = await self._queries.view(await self._queries.state(f"{left.job_name}@{left.run}"))
            await send_item({"type": "job", "event": view.event, "job": view})

    async def _send_job(self, send_item: SendItem, run_id: int, due: _PendingChanges) -> None:
        sent = self._sent.setdefault(run_id, _SentState())
        sent.at, sent.status = anyio.current_time(), status(due.state.facts)
        encoded = await self._states.job(due.state)
        if (meanwhile := self._pending.get(run_id)) is not None:
            # the job may show it already, or not: its sheets go before, and it is told once more
            due.add(meanwhile)
            self._pending[run_id] = _PendingChanges(meanwhile.state)
        state = due.state
        if self._ask.sheets:  # before the job: whoever waits for its end has them all by then
            await self._send_changed_sheets(send_item, sent, due)
        if encoded.digest != sent.digest:
            sent.digest = encoded.digest
            await send_item(encoded.item)
        if state.run.ended is not None and not state.flights and run_id not in self._pending:
            self._sent.pop(run_id, None)
            self._outputs.pop(run_id, None)
            self._states.forget(run_id)

    async def _send_changed_sheets(self, send_item: SendItem, sent: _SentState, due: _PendingChanges) -> None:
        state, failed = due.state, due.state.counts[SheetStatus.FAILED]
        numbers = due.sheets
        if due.all_sheets or sent.revision != state.run.revision:
            numbers = set(range(1, len(state.score.sheets) + 1))
        if due.derived or sent.failed != failed:
            if sent.at - sent.derived_at >= LOOK_SECONDS or not state.flights:
                sent.derived_at = sent.at
                numbers |= {row.sheet for row in state.sheets.values() if row.status in _OPEN}
            else:
                again = self._pending.setdefault(state.run.run_id, _PendingChanges(state))
                again.derived = True
        sent.revision, sent.failed = state.run.revision, failed
        await self._send_sheets(send_item, state, sorted(numbers), sent.sheets)

    async def _send_sheets(
        self,
        send_item: SendItem,
        state: RunState,
        numbers: Sequence[int],
        known: dict[int, int] | None = None,
    ) -> None:
        """Send these sheets, except those whose hash is that of what was sent before."""
        page: list[msgspec.Raw] = []
        event = self._queries.services.store.last_event
        for start in range(0, len(numbers), _SLICE):
            count = len(state.score.sheets)
            chosen = [number for number in numbers[start : start + _SLICE] if number <= count]
            for sheet in sheet_views(state, chosen, needs=False, blockers_most=BLOCKERS_MOST):
                raw = msgspec.json.encode(sheet)
                if known is None or known.get(sheet.sheet) != hash(raw):
                    page.append(msgspec.Raw(raw))
                if known is not None:
                    known[sheet.sheet] = hash(raw)
            if len(page) > PAGE_LIMIT - _SLICE:
                await send_item(self._sheets(state, page, event))
                page, event = [], self._queries.services.store.last_event
            await anyio.lowlevel.checkpoint()
        if page:
            await send_item(self._sheets(state, page, event))

    def _sheets(self, state: RunState, page: list[msgspec.Raw], event: int) -> dict[str, Any]:
        """Return an item of sheets, which are JSON by now."""
        told = SheetStates(
            event=event,
            job_id=self._address(state),
            run=state.run.run,
            revision=state.run.revision,
            total_sheets=len(state.score.sheets),
            sheets=[],
        )
        return msgspec.structs.asdict(told) | {"sheets": page}

    def _address(self, state: RunState) -> str:
        name = state.run.job_name
        job = self._queries.conductor.jobs.get(name)
        older = job is not None and job.state.run.run != state.run.run
        return f"{name}@{state.run.run}" if older else name

    # --- what no commit tells of -------------------------------------------------------------------------

    async def _send_polled(self, send_item: SendItem) -> None:
        """Poll the daemon and outputs, of which no commit tells; send what has changed."""
        self._look_at = anyio.current_time() + LOOK_SECONDS
        daemon = await self._states.daemon()
        if self._daemon is None or _has_changed(self._daemon, daemon):
            self._daemon = daemon
            await send_item(daemon)
        for state in list(self._printing()) if self._ask.output else ():
            await self._send_outputs(send_item, state)

    def _printing(self) -> Iterator[RunState]:
        for job in self._queries.conductor.jobs.values():
            run = job.state.run
            if job.state.flights and self._job_filter.matches(
                run.job_name, run.run, newest=not job.superseded
            ):
                yield job.state

    async def _send_outputs(self, send_item: SendItem, state: RunState) -> None:
        event = self._queries.services.store.last_event
        found = {key_of(one): one for one in await self._states.outputs(state)}
        before = self._outputs.get(state.run.run_id, {})
        self._outputs[state.run.run_id] = found
        new = [one for key, one in found.items() if one.stdout_bytes is not None and one != before.get(key)]
        if new:
            address, run = self._address(state), state.run.run
            await send_item(OutputStates(event=event, job_id=address, run=run, in_flight=new))


_OPEN = (SheetStatus.PENDING, SheetStatus.WAITING)


def _has_changed(one: DaemonState, other: DaemonState) -> bool:
    return msgspec.structs.replace(one, event=0) != msgspec.structs.replace(other, event=0)


def _mark_sheets(due: _PendingChanges, changes: Changes) -> None:
    """Mark the sheets that a commit has changed; `derived`: what others show of loops and limits, too."""
    if not changes.rows:
        due.derived = True
    for row in changes.rows:
        match row:
            case SheetRow():
                due.sheets.add(row.sheet)
            case RevisionRow():
                due.all_sheets = True
            case LoopRow() | LimitRow():
                due.derived = True
