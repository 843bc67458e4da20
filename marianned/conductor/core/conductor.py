"""All jobs of this daemon in memory: taken up, found by name, served, evicted.

Requests that change jobs are in `requests`, looks at them in `queries`.
"""

import difflib
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup

from marianned import faults, formatting
from marianned.conductor.core.idempotency import IdempotencyKeys
from marianned.conductor.core.job import JobActor
from marianned.conductor.core.job_index import JobIndex
from marianned.conductor.core.loading import load_state, presences
from marianned.conductor.core.messages import parse_job_id
from marianned.conductor.core.transaction import TransactionPart
from marianned.conductor.run.hook import HookContext
from marianned.conductor.services import Services
from marianned.conductor.workspace import archives
from marianned.errors import (
    InternalError,
    MarianneError,
    NoSuchJob,
    WrongStatus,
)
from marianned.executors.base import Presence
from marianned.moment import now
from marianned.progress.deciding.draft import Decision
from marianned.progress.state.run import RunState
from marianned.progress.state.triggers import ChainedJobsReady, HookEnded, Supersede
from marianned.protocol import (
    ACTIVE,
    ENDED,
    Caller,
    DaemonHealth,
    JobStatus,
    Obstacle,
    Reply,
)
from marianned.rows import Changes, Row, RunRow
from marianned.store.writer import BrokenChanges
from marianned.systemd.journal import current_job

_logger = logging.getLogger(__name__)
_NEAR_MOST = 3
_COMPARED_MOST, _COMPARED_LETTERS = 1_000, 100
"""So many names, the newest, are compared with one that no job has, and so much of it."""
R = TypeVar("R", bound=Reply)
NOBODY = Caller(uid=-1)
_no_rows: Callable[[RunState], Sequence[Row]] = lambda _: ()  # noqa: E731
OnChange = Callable[[JobActor, Changes], None]
"""Hears what was committed of a job in memory, once that shows it; without changes: it was taken up."""
Chain = Callable[["Conductor", JobActor, HookContext], Awaitable[HookEnded | None]]
"""Checks and submits a hook's job; None: the job of the hook was told how that ended."""


class TransactionResult(NamedTuple):
    """A transaction over several jobs: its last event's number, and the new runs, which serve themselves."""

    event: int
    jobs: list[JobActor]


class Conductor:
    """Owns every job. `jobs` holds those in memory: all that have not ended, and any just asked for."""

    def __init__(self, services: Services, tasks: TaskGroup, chain: Chain) -> None:
        self.services = services
        self.tasks = tasks
        self.jobs: dict[str, JobActor] = {}
        self.keys = IdempotencyKeys(services.store)
        self.registry_lock = anyio.Lock()
        self.job_index = JobIndex()
        self._older: dict[str, list[JobActor]] = {}
        self._chain = chain
        self._listeners: set[OnChange] = set()
        self._idle = anyio.Event()

    def health(self) -> DaemonHealth:
        """Return the daemon's status."""
        match self.services.scheduler.closed_for:
            case Obstacle.STOPPING:
                return DaemonHealth.STOPPING
            case Obstacle.DRAINING:
                return DaemonHealth.DRAINING
            case _:
                return DaemonHealth.DEGRADED if self.services.degraded_by() else DaemonHealth.READY

    def summary(self) -> str:
        """Return in a line how the daemon is and what it has to do."""
        busy = sum(job.status in (*ACTIVE, JobStatus.PAUSED) for job in self.jobs.values())
        flying = formatting.plural(self.in_flight(), "attempt")
        return f"{self.health()}; {formatting.plural(busy, 'job')}, {flying} in flight"

    # --- jobs in memory --------------------------------------------------------------------------------

    async def recover(self) -> int:
        """Take up every run that has something to do, as its facts say; return how many have not ended.

        Also takes up, uncounted, a run whose failure has hooks to run, even under a newer run of its name.
        """
        runs = await self.services.store.records.unfinished_runs()
        for limit in await self.services.store.records.limits():
            self.services.limits.put(limit, now())
        faults.point("recover.read")
        await archives.recover(self.services.store)
        self.services.scheduler.close(Obstacle.STARTING)
        read: list[tuple[RunState, dict[str, Presence]]] = []
        for run in runs:
            try:
                read.append(await self._read_run(run))
            except Exception:
                _logger.exception("'%s' can't be taken up; it stays as it is on disk", run.job_name)
        ended = [state.run for state, _ in read if state.run.ended is not None]
        older = {run.run_id for run in ended if not await self._is_newest(run)}
        # All at once: one that is served asks for others, which would be taken up a second time.
        for state, found in read:
            self.load(state, found, newest=state.run.run_id not in older)
        self.services.scheduler.open(Obstacle.STARTING)
        self.tasks.start_soon(self.services.worktrees.tend)
        self.grant()
        return sum(run.ended is None for run in runs)

    async def _is_newest(self, run: RunRow) -> bool:
        newest = await self.services.store.records.run(run.job_name)
        return newest is not None and newest.run_id == run.run_id

    async def _read_run(self, run: RunRow) -> tuple[RunState, dict[str, Presence]]:
        """Read a run from the disk, and where its flights stand."""
        state = await load_state(self.services.store, run.job_name, run.run)
        if state is None:
            raise LookupError(f"'{run.job_name}' is not in the database any more")
        faults.point("recover.loaded")
        found = await presences(self.services, state)
        faults.point("recover.looked")
        return state, found

    async def _load_run(self, run: RunRow) -> JobActor:
        """Take up a run that is not in memory; the registry lock is held, so that nobody else does."""
        return self.load(*await self._read_run(run))

    def load(self, state: RunState, found: dict[str, Presence], *, newest: bool = True) -> JobActor:
        """Let a run that is on disk serve itself; `found` is where its flights stand.

        An older run of its name that is still in memory has had its time; so has one that is not `newest`.
        """
        job = self._make_job(state)
        self._publish(job, newest=newest)
        self.tasks.start_soon(self._serve, job, found)
        return job

    def _make_job(self, state: RunState) -> JobActor:
        """Make the one job that serves a run; nobody sees it yet."""
        job = JobActor(self.services, state, self)
        self.job_index.put(job)
        return job

    def _publish(self, job: JobActor, *, newest: bool = True) -> None:
        """Let a job be found by its name: its run is on disk."""
        name = job.state.run.job_name
        older = self.jobs.get(name) if newest else job
        if older is not None:
            older.superseded = True
            self._older.setdefault(name, []).append(older)
        if newest:
            self.jobs[name] = job
        self.changed(job, Changes())

    async def _serve(self, job: JobActor, found: dict[str, Presence]) -> None:
        """Run the job's loop; on an unexpected error the job leaves memory, and the database stays right."""
        current_job.set(job.state.run.job_name)
        try:
            await job.serve(found)
        except Exception:
            _logger.exception(
                "'%s' has left the memory; it is taken up again when asked", job.state.run.job_name
            )
            self.evict(job)
            job.fail(
                InternalError(
                    f"internal error in the daemon with '{job.state.run.job_name}'; its log has more"
                )
            )

    def on_change(self, listener: OnChange) -> Callable[[], None]:
        """Tell `listener` of each change from now on; call what is returned to stop that."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    def changed(self, job: JobActor, changes: Changes) -> None:
        """Tell whoever shows it what was committed of a job."""
        self.job_index.note(job)
        for listener in list(self._listeners):
            listener(job, changes)

    def evict(self, job: JobActor) -> None:
        """Take a job out of memory, and all that it has of what jobs share."""
        if not self.job_index.drop(job):
            return
        self.services.scheduler.forget(job.run_id)
        self.services.limits.forget(job.run_id)
        name = job.state.run.job_name
        if self.jobs.get(name) is job:
            del self.jobs[name]
        older = [other for other in self._older.pop(name, ()) if other is not job]
        if older:
            self._older[name] = older

    async def forget(self, run: RunRow, changes: Changes) -> int:
        """Commit the removal of a run that has ended, so that nothing is asked of it any more.

        Returns the number of the transaction's last event.

        Raises:
            WrongStatus: it has been let go on meanwhile.
        """
        async with self.registry_lock:
            newest = await self.services.store.records.run(run.job_name)
            if newest is None or newest.run_id != run.run_id:
                return (await self.services.store.commit(changes)).event
            forgotten = Supersede(caller=NOBODY, reason=None, forget=True)
            return (await self.transact(changes, supersede=[(newest, forgotten)])).event

    def interrupt_all(self) -> None:
        """End everything in flight, to run it again later: the daemon stops and takes nothing along."""
        for job in self.job_index:
            job.interrupt_all()

    def flights(self) -> list[str]:
        """Return the ids of all attempts and hooks in flight."""
        return [self.services.attempt_id(flight) for job in self.job_index for flight in job.state.flights]

    def incarnations_in_flight(self) -> set[int]:
        """Return the numbers of the incarnations that have started what is in flight."""
        states = [job.state for job in self.job_index]
        return {flight.incarnation for state in states for flight in state.with_process}

    def in_flight(self) -> int:
        """Return how many attempts are in flight over all jobs."""
        return sum(job.state.flight_count for job in self.job_index)

    def wake_all(self) -> None:
        """Let each job look anew at what it may start."""
        for job in self.job_index:
            job.wake()

    def withdraw_all(self) -> None:
        """Take back what waits at a cluster, of all jobs: a drain waits for what has begun."""
        for job in self.job_index:
            job.withdraw()

    def grant(self) -> None:
        """Tell those whose turn it is that a slot is kept for them; called after every step of a job."""
        for run_id in {*self.services.scheduler.grant(), *self.services.limits.freed(now())}:
            if (job := self.job_index.of(run_id)) is not None:
                job.wake()
        if self._idle.statistics().tasks_waiting and not self.in_flight():  # to count takes all jobs
            self._idle.set()
            self._idle = anyio.Event()

    @contextmanager
    def slot_lent(self, run_id: int, attempt: str) -> Iterator[None]:
        """Let others have the slot of a flight that waits for a job: it may be them whom that waits for."""
        scheduler, job = self.services.scheduler, self.job_index.of(run_id)
        flying = [] if job is None else map(self.services.attempt_id, job.state.flights)
        if attempt not in flying:
            yield
            return
        scheduler.lend(run_id, attempt)
        self.grant()
        try:
            yield
        finally:
            scheduler.take_back(run_id, attempt)

    async def idle(self) -> None:
        """Wait until nothing is in flight over all jobs."""
        while self.in_flight():
            await self._idle.wait()

    async def job(self, job_id: str) -> JobActor:
        """Return the newest run of a job, in memory; ask it before the next await.

        Raises:
            NoSuchJob: there is none of that name.
            WrongStatus: an older run is named.
        """
        name, run = parse_job_id(job_id)
        if name not in self.jobs:
            async with self.registry_lock:
                if name not in self.jobs:
                    row = await self.services.store.records.run(name)
                    if row is None:
                        raise await self.no_such_job(job_id)
                    await self._load_run(row)
        job = self.jobs[name]
        if run is not None and run != job.state.run.run:
            raise await self._older_run_refusal(job_id, job)
        return job

    async def _older_run_refusal(self, job_id: str, job: JobActor) -> MarianneError:
        name, run = parse_job_id(job_id)
        if await self.services.store.records.run(name, run) is None:
            return await self.no_such_job(job_id)
        return WrongStatus(
            f"'{job_id}' is an older run; only the newest, '{name}@{job.state.run.run}', can be changed",
            job_id=job_id,
            status=job.status,
            hints=[f"mzt status {name}"],
        )

    async def no_such_job(self, job_id: str) -> NoSuchJob:
        """Return the refusal of a name that no job has, with the nearest names."""
        known = await self.services.store.records.newest_names()
        # In a thread: it compares letters, and a thousand long names would hold the loop up.
        return await to_thread.run_sync(_no_such_job, job_id, known)

    # --- what one job asks of the others ---------------------------------------------------------------

    async def chain(self, job: JobActor, given: HookContext) -> HookEnded | None:
        """Check and submit a hook's job; None: `job` was told how that ended."""
        return await self._chain(self, job, given)

    def serving(self, name: str | None, number: int | None) -> JobActor | None:
        """Return the job that serves a run, also while its first commit is told."""
        return None if name is None or number is None else self.job_index.at(name, number)

    def state_of(self, address: str) -> RunState | None:
        """Return the state of a run that has not ended, which is in memory; None: it has, or is not known."""
        name, number = parse_job_id(address)
        job = self.jobs.get(name)
        here = job is not None and job.state.run.run == number and job.state.run.ended is None
        return job.state if job is not None and here else None

    def failing_before(self, job: JobActor) -> str | None:
        """Name the run before a job's of which hooks of its failure are still to end; None: there is none."""
        return self.failing(job.state.run.job_name, job.run_id)

    def failing(self, name: str, before: int) -> str | None:
        """Name a run of a job, older than the one of that number, whose failure has hooks still to end."""
        known = [*self._older.get(name, ()), *([self.jobs[name]] if name in self.jobs else [])]
        for other in known:
            if other.run_id < before and other.state.failing:
                return f"{name}@{other.state.run.run}"
        return None

    def failed_over(self, job: JobActor) -> None:
        """Let the newest run of a job start, which has waited for the hooks of this one's failure."""
        newest = self.jobs.get(job.state.run.job_name)
        if newest is not None and newest is not job:
            newest.wake()

    async def end_of(self, address: str) -> JobStatus | None:
        """Wait for the end of a run; None: it is not known any more."""
        name, number = parse_job_id(address)
        row = await self.services.store.records.run(name, number)
        if row is None:
            return None
        if row.ended is not None:
            return JobStatus(row.ended)
        job = await self.job(name)
        ended = anyio.Event()
        found: list[JobStatus] = []

        def look(status: JobStatus, _event: int) -> None:
            if status in ENDED:
                found.append(status)
                ended.set()

        leave = job.watch(look)
        try:
            look(job.status, 0)
            await ended.wait()
        finally:
            leave()
        return found[0]

    # --- transactions over several jobs ----------------------------------------------------------------

    async def transact(
        self,
        new: Changes,
        runs: Sequence[RunState] = (),
        supersede: Sequence[tuple[RunRow, Supersede]] = (),
        chain: tuple[JobActor, ChainedJobsReady] | None = None,
        told: Callable[[RunState], Sequence[Row]] = _no_rows,
    ) -> TransactionResult:
        """Commit what several jobs decide, together with what is new; the registry lock is held.

        Three phases. Prepare: each job decides in its own loop, which then waits. Commit: one transaction
        of all. Apply: the new runs are loaded, and each loop goes on with what it decided. Until the
        commit anything may fail or be cancelled: the loops are let go, and nothing has changed.

        A new run decides, too, on its first step. Of a chain it does that later: whether it may begin is
        told by how its parent ends.

        Args:
            new: what is no job's in memory: the rows of the new runs, or a removal.
            runs: the new runs, in `new`.
            supersede: the newest runs of their names, and how they make room.
            chain: the job whose hooks submit the new runs; when it declines them, it alone is committed.
            told: what is put of a new run, too, by how it stands after its first step.

        Raises:
            MarianneError: a job refuses, or the disk.
        """
        parts: list[TransactionPart] = []
        try:
            own, others, first = Changes(), Changes(), Changes()
            if chain is not None:
                decision = await self._prepare(parts, chain[0].prepare(chain[1]))
                own = decision.changes
                if decision.declines:
                    new, runs, supersede = Changes(), (), ()
            for run, how in supersede:
                job = self.jobs.get(run.job_name) or await self._load_run(run)
                others = others.then((await self._prepare(parts, job.prepare(how))).changes)
            begun: list[JobActor] = []
            for state in runs if chain is None else ():
                begun.append(self._make_job(state))
                self.tasks.start_soon(self._serve, begun[-1], {})
                decision = await self._prepare(parts, begun[-1].begin())
                first = first.then(decision.changes).then(Changes(rows=[*told(decision.state)]))
            with anyio.CancelScope(shield=True):  # from here on memory must follow the disk
                event = await self._commit(others.then(new).then(own).then(first))
                for job in begun:
                    self._publish(job)
                jobs = begun or [self.load(state, {}) for state in runs]
                for part in parts:
                    part.settle(event)
                for part in parts:
                    await part.over()
        finally:
            with anyio.CancelScope(shield=True):  # who is refused finds nothing of it left
                for part in parts:
                    await part.let_go()
        return TransactionResult(event, jobs)

    async def _prepare(self, parts: list[TransactionPart], part: TransactionPart) -> Decision:
        parts.append(part)
        return await part.decision()

    async def _commit(self, changes: Changes) -> int:
        if not changes:
            return self.services.store.last_event
        try:
            event = (await self.services.store.commit(changes)).event
        except BrokenChanges:
            _logger.exception("a transaction can't be stored")
            raise MarianneError("this can't be stored; the daemon's log has more") from None
        faults.point("transaction.committed")
        return event


def _no_such_job(job_id: str, known: Sequence[tuple[str, str | None]]) -> NoSuchJob:
    name = parse_job_id(job_id)[0]
    stem = Path(name).stem
    for job_name, config_file in known:
        file = config_file and Path(config_file)
        if file and name != job_name and (file.name == Path(name).name or file.stem == stem):
            return NoSuchJob(
                f"no job '{job_id}'; {file.name} runs as '{job_name}'", hints=[f"mzt status {job_name}"]
            )
    names = [job_name for job_name, _ in known]
    folded = name.casefold()
    near = [candidate for candidate in names if candidate.casefold().startswith(folded)]
    alike = difflib.get_close_matches(name[:_COMPARED_LETTERS], names[-_COMPARED_MOST:], _NEAR_MOST)
    near += [n for n in alike if n not in near]
    near = near[:_NEAR_MOST]
    if not near:
        return NoSuchJob(f"no job '{job_id}'", hints=["mzt list --all"])
    said = f"the nearest is '{near[0]}'" if len(near) == 1 else f"near: {', '.join(near)}"
    return NoSuchJob(f"no job '{job_id}'; {said}", hints=[f"mzt status {candidate}" for candidate in near])
