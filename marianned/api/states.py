"""States as they change: jobs, sheets, outputs, the daemon, told as they are when a reader takes them.

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

Item = Callable[[object], Awaitable[None]]


class Wanted:
    """Which jobs a stream is about: all, or those that were named; a name is that of the newest run."""

    def __init__(self, jobs: Sequence[str] | None) -> None:
        self.jobs = jobs
        self._names = None if jobs is None else {name for name in jobs if "@" not in name}
        self._runs = {name for name in jobs or () if "@" in name}
        self._newest: dict[str, int] = {}

    def has(self, name: str | None, run: int | None, *, newest: bool = True) -> bool:
        """Tell whether it is about a run."""
        if self._names is None:
            return newest
        return (newest and name in self._names) or f"{name}@{run}" in self._runs

    def has_event(self, name: str | None, run: int | None) -> bool:
        """Tell whether it is about an event: of a name those of the newest run that was heard of."""
        if self._names is None:
            return True
        if name in self._names and run is not None:
            self._newest[name] = max(run, self._newest.get(name, 0))
            return run == self._newest[name] or f"{name}@{run}" in self._runs
        return f"{name}@{run}" in self._runs

    def begin(self, name: str, run: int) -> None:
        """Hear of the newest run of a name."""
        self._newest[name] = max(run, self._newest.get(name, 0))

    def go_back(self, name: str, run: int) -> None:
        """Hear that a name means an older run again: those behind it were removed."""
        self._newest[name] = run


class Shown(NamedTuple):
    """A job as it is sent, and what tells whether it is as it was."""

    version: int
    item: msgspec.Raw
    digest: int


class States:
    """What all streams of states share: the JSON of what has changed, made once."""

    def __init__(self, queries: JobQueries) -> None:
        self.queries = queries
        self._jobs: dict[int, Shown] = {}
        self._versions: dict[int, int] = {}
        self._outputs: dict[int, tuple[float, list[InFlight]]] = {}
        self._watches: set[Watch] = set()
        self._leave: Callable[[], None] = _nothing
        self._daemon: tuple[float, DaemonState] | None = None

    def add(self, watch: "Watch") -> None:
        """Tell a stream what changes, from now on."""
        if not self._watches:
            self._leave = self.queries.conductor.on_change(self._changed)
        self._watches.add(watch)

    def discard(self, watch: "Watch") -> None:
        """Stop that; nothing is kept for nobody."""
        self._watches.discard(watch)
        if not self._watches:
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
        for watch in self._watches:
            watch.changed(job, changes)

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

    async def job(self, state: RunState) -> Shown:
        """Return a job as it is sent."""
        run_id = state.run.run_id
        version = self._versions.get(run_id, 0)
        known = self._jobs.get(run_id)
        if known is None or known.version != version:
            view = await self.queries.view(state)
            item = msgspec.Raw(msgspec.json.encode({"type": "job", "event": view.event, "job": view}))
            known = Shown(version, item, _digest(view))
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


def _nothing() -> None:
    """There is nobody to leave."""


def _condition(daemon: DaemonState) -> tuple[object, ...]:
    """Return what of the daemon's condition jobs show."""
    return daemon.status, daemon.degraded_by, daemon.damaged


_NOTHING = Changes()


class _Due:
    """What of a run has changed and is not told yet: it, some of its sheets, or all that may show it."""

    def __init__(self, state: RunState) -> None:
        self.state = state
        self.sheets: set[int] = set()
        self.all_sheets = False
        self.derived = False

    def add(self, later: "_Due") -> None:
        """Take in what has changed later."""
        self.state = later.state
        self.sheets |= later.sheets
        self.all_sheets = self.all_sheets or later.all_sheets
        self.derived = self.derived or later.derived


class _Told:
    """What of a run was told: when, and how it and its sheets were then, by their hashes."""

    def __init__(self) -> None:
        self.at = -math.inf
        self.status: JobStatus | None = None
        self.derived_at = -math.inf
        self.digest = 0
        self.revision = 0
        self.failed = 0
        self.sheets: dict[int, int] = {}


class Watch:
    """One stream of states: what is due to its reader, and what was told."""

    def __init__(
        self, states: States, ask: SubscribeEvents, wanted: Wanted, came: Callable[[], None]
    ) -> None:
        self._states = states
        self._queries = states.queries
        self._ask = ask
        self._wanted = wanted
        self._came = came
        self._due: dict[int, _Due] = {}
        self._told: dict[int, _Told] = {}
        self._removed: list[RunRemoved] = []
        self._outputs: dict[int, dict[Key, InFlight]] = {}
        self._look_at = -math.inf
        self._daemon: DaemonState | None = None

    # --- what changes ------------------------------------------------------------------------------------

    def changed(self, job: JobActor, changes: Changes) -> None:
        """Mark what a commit has changed."""
        run = job.state.run
        if not self._wanted.has(run.job_name, run.run, newest=not job.superseded):
            return
        due = self._due.setdefault(run.run_id, _Due(job.state))
        due.state = job.state
        if self._ask.sheets:
            due.all_sheets = due.all_sheets or run.run_id not in self._told
            _mark(due, changes)
        self._came()

    def heard(self, events: Iterable[Event]) -> None:
        """Mark the runs that were removed: of those nothing else is told any more."""
        for event in events:
            name, run = event.job_id, event.run
            if event.type != "job.removed" or name is None or run is None:
                continue
            if self._wanted.has_event(name, run):
                for run_id, due in list(self._due.items()):
                    if (due.state.run.job_name, due.state.run.run) == (name, run):
                        del self._due[run_id]
                self._removed.append(RunRemoved(event=event.event, job_name=name, run=run))
                self._came()

    def due_in(self) -> float:
        """Return in how many seconds something is to be told or looked at."""
        at = [self._due_at(run_id) for run_id in self._due]
        return max(0.0, min([*at, self._look_at]) - anyio.current_time())

    def _due_at(self, run_id: int) -> float:
        told, state = self._told.get(run_id), self._due[run_id].state
        if told is None:
            return -math.inf
        each = 0.0 if told.status != status(state.facts) else state.flight_count * _JOB_SECONDS_EACH
        return told.at + max(JOB_SECONDS, each)

    # --- telling -----------------------------------------------------------------------------------------

    async def snapshot(self, item: Item) -> None:
        """Send the present state: jobs, sheets, the daemon, then `Ready`."""
        event = self._queries.services.store.last_event
        sheets: list[RunState] = []
        if self._wanted.jobs is None:
            async for page in self._pages(event):
                await item(page)
            sheets = [
                job.state for job in self._queries.conductor.jobs.values() if job.state.run.ended is None
            ]
        else:
            views = []
            for name in self._wanted.jobs:
                state = await self._queries.state(name)
                self._wanted.begin(state.run.job_name, state.run.run)
                views.append(await self._queries.view(state))
                self._told.setdefault(state.run.run_id, _Told()).digest = _digest(views[-1])
                sheets.append(state)
            await item(Snapshot(event=event, jobs=views, total=len(views)))
        for state in sheets if self._ask.sheets else ():
            told = self._told.setdefault(state.run.run_id, _Told())
            told.revision, told.failed = state.run.revision, state.counts[SheetStatus.FAILED]
            await self._send_sheets(item, state, range(1, len(state.score.sheets) + 1), told.sheets)
        await self._look(item)
        await item(Ready(event=event))

    async def _pages(self, event: int) -> Any:
        sent = 0
        while True:
            page = await self._queries.jobs(ListJobs(offset=sent))
            yield Snapshot(event=event, jobs=page.jobs, total=page.total)
            sent += len(page.jobs)
            if sent >= page.total or not page.jobs:
                return

    async def tell(self, item: Item) -> None:
        """Send what is due by now."""
        while self._removed:
            await self._tell_removed(item, self._removed.pop(0))
        now = anyio.current_time()
        for run_id in [run_id for run_id in self._due if self._due_at(run_id) <= now]:
            await self._tell_job(item, run_id, self._due.pop(run_id))
        if now >= self._look_at:
            await self._look(item)

    async def _tell_removed(self, item: Item, gone: RunRemoved) -> None:
        """Tell that a run is gone, and then the one before it, which its name means now."""
        await item(gone)
        # the disk is asked: memory may still have what is gone
        left = await self._queries.services.store.records.run(gone.job_name)
        if left is None or left.run > gone.run or not self._wanted.has(left.job_name, left.run):
            return
        with suppress(NoSuchJob):
            self._wanted.go_back(left.job_name, left.run)
            view = await self._queries.view(await self._queries.state(f"{left.job_name}@{left.run}"))
            await item({"type": "job", "event": view.event, "job": view})

    async def _tell_job(self, item: Item, run_id: int, due: _Due) -> None:
        told = self._told.setdefault(run_id, _Told())
        told.at, told.status = anyio.current_time(), status(due.state.facts)
        shown = await self._states.job(due.state)
        if (meanwhile := self._due.get(run_id)) is not None:
            # the job may show it already, or not: its sheets go before, and it is told once more
            due.add(meanwhile)
            self._due[run_id] = _Due(meanwhile.state)
        state = due.state
        if self._ask.sheets:  # before the job: whoever waits for its end has them all by then
            await self._tell_sheets(item, told, due)
        if shown.digest != told.digest:
            told.digest = shown.digest
            await item(shown.item)
        if state.run.ended is not None and not state.flights and run_id not in self._due:
            self._told.pop(run_id, None)
            self._outputs.pop(run_id, None)
            self._states.forget(run_id)

    async def _tell_sheets(self, item: Item, told: _Told, due: _Due) -> None:
        state, failed = due.state, due.state.counts[SheetStatus.FAILED]
        numbers = due.sheets
        if due.all_sheets or told.revision != state.run.revision:
            numbers = set(range(1, len(state.score.sheets) + 1))
        if due.derived or told.failed != failed:
            if told.at - told.derived_at >= LOOK_SECONDS or not state.flights:
                told.derived_at = told.at
                numbers |= {row.sheet for row in state.sheets.values() if row.status in _OPEN}
            else:
                again = self._due.setdefault(state.run.run_id, _Due(state))
                again.derived = True
        told.revision, told.failed = state.run.revision, failed
        await self._send_sheets(item, state, sorted(numbers), told.sheets)

    async def _send_sheets(
        self, item: Item, state: RunState, numbers: Sequence[int], known: dict[int, int] | None = None
    ) -> None:
        """Send these sheets, but for those that are as they were told before, by their hashes."""
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
                await item(self._sheets(state, page, event))
                page, event = [], self._queries.services.store.last_event
            await anyio.lowlevel.checkpoint()
        if page:
            await item(self._sheets(state, page, event))

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

    async def _look(self, item: Item) -> None:
        """Look at the daemon and at outputs; what is as it was is not told again."""
        self._look_at = anyio.current_time() + LOOK_SECONDS
        daemon = await self._states.daemon()
        if self._daemon is None or _differs(self._daemon, daemon):
            self._daemon = daemon
            await item(daemon)
        for state in list(self._printing()) if self._ask.output else ():
            await self._tell_outputs(item, state)

    def _printing(self) -> Iterator[RunState]:
        for job in self._queries.conductor.jobs.values():
            run = job.state.run
            if job.state.flights and self._wanted.has(run.job_name, run.run, newest=not job.superseded):
                yield job.state

    async def _tell_outputs(self, item: Item, state: RunState) -> None:
        event = self._queries.services.store.last_event
        found = {key_of(one): one for one in await self._states.outputs(state)}
        before = self._outputs.get(state.run.run_id, {})
        self._outputs[state.run.run_id] = found
        new = [one for key, one in found.items() if one.stdout_bytes is not None and one != before.get(key)]
        if new:
            address, run = self._address(state), state.run.run
            await item(OutputStates(event=event, job_id=address, run=run, in_flight=new))


_OPEN = (SheetStatus.PENDING, SheetStatus.WAITING)


def _differs(one: DaemonState, other: DaemonState) -> bool:
    return msgspec.structs.replace(one, event=0) != msgspec.structs.replace(other, event=0)


def _mark(due: _Due, changes: Changes) -> None:
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
