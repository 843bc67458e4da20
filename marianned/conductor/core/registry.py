"""All jobs of this daemon, and the requests that change them; each request is one method.

A Caller is a parameter of each: it is what the journal records. Looking is done in looking.py.
"""

import difflib
import logging
from pathlib import Path
from typing import TypeVar

import anyio
import msgspec
from anyio import to_thread
from anyio.abc import TaskGroup

from marianned import faults, words
from marianned.conductor.capacity.slots import DRAINING, STARTING, STOPPING
from marianned.conductor.core.idempotency import Keys, rows_of
from marianned.conductor.core.job import Chaining, Commit, Job
from marianned.conductor.core.loading import load_state, presences
from marianned.conductor.core.messages import removed_leftover, split
from marianned.conductor.core.pausefile import pause_file, remove
from marianned.conductor.requests import new_run
from marianned.conductor.services import House
from marianned.conductor.workspace import archives
from marianned.errors import (
    InternalError,
    MarianneError,
    NameTaken,
    NoCapacity,
    NoSuchJob,
    Problem,
    WrongStatus,
)
from marianned.executors.base import Presence
from marianned.moment import now
from marianned.progress.state.job import JobState, Version
from marianned.progress.state.selection import select
from marianned.progress.state.triggers import GiveUp, Made
from marianned.progress.views.job import extended, job_view
from marianned.protocol import (
    ACTIVE,
    Caller,
    Cancel,
    JobStatus,
    Modify,
    Pause,
    Reply,
    Resume,
    Submit,
    Submitted,
)
from marianned.rows import ArchiveRow, BreakpointRow, Changes, RequestRow, RunRow, SheetRow
from marianned.score.read.reader import Source
from marianned.systemd.journal import concerned

_logger = logging.getLogger(__name__)
_NEAR_MOST = 3
Control = Pause | Cancel | Resume | Modify
R = TypeVar("R", bound=Reply)
_SHIELDED_SECONDS = 5.0
"""How long a client's leaving, or the daemon's stop, waits for a submission that is being committed."""
NOBODY = Caller(uid=-1)
_FREE = (JobStatus.COMPLETED, JobStatus.CANCELLED)
"""Statuses of a newest run that leave its name free."""


class Enrolled(msgspec.Struct, frozen=True, kw_only=True):
    """A new run, ready for the disk: its state and rows, the run whose place it takes, and how that goes."""

    state: JobState
    changes: Changes
    newest: RunRow | None
    give_up: GiveUp
    moved: ArchiveRow | None = None


class Conductor:
    """Owns every job. `jobs` holds those in memory: all that have not ended, and any just asked for."""

    def __init__(self, house: House, tasks: TaskGroup) -> None:
        self.house = house
        self.jobs: dict[str, Job] = {}
        self.keys = Keys(house.store)
        self.chaining: Chaining | None = None
        self.registry = anyio.Lock()
        self._by_run: dict[int, Job] = {}
        self._tasks = tasks
        self._rest = anyio.Event()

    def condition(self) -> str:
        """Return the daemon's status: ready, degraded, draining or stopping."""
        closed_for = self.house.scheduler.closed_for
        if closed_for in {DRAINING, STOPPING}:
            return closed_for
        return "degraded" if self.house.degraded_by() else "ready"

    def in_short(self) -> str:
        """Return in a line how the daemon is and what it has to do."""
        busy = sum(job.status in (*ACTIVE, JobStatus.PAUSED) for job in self.jobs.values())
        flying = words.plural(self.in_flight(), "attempt")
        return f"{self.condition()}; {words.plural(busy, 'job')}, {flying} in flight"

    # --- jobs in memory --------------------------------------------------------------------------------

    async def recover(self) -> int:
        """Take up every run that has not ended, as its facts say; return how many there are."""
        runs = await self.house.store.records.unfinished_runs()
        for limit in await self.house.store.records.limits():
            self.house.limits.put(limit, now())
        faults.point("recover.read")
        await archives.recover(self.house.store)
        self.house.scheduler.close(STARTING)
        read: list[tuple[JobState, dict[str, Presence]]] = []
        for run in runs:
            try:
                read.append(await self._read(run))
            except Exception:
                _logger.exception("'%s' can't be taken up; it stays as it is on disk", run.job_name)
        # All at once: one that is served asks for others, which would be taken up a second time.
        for state, found in read:
            self.take_up(state, found)
        self.house.scheduler.open(STARTING)
        self._tasks.start_soon(self.house.worktrees.tend)
        self.grant()
        return len(runs)

    async def _read(self, run: RunRow) -> tuple[JobState, dict[str, Presence]]:
        """Read a run from the disk, and where its flights stand."""
        state = await load_state(self.house.store, run.job_name, run.run)
        if state is None:
            raise LookupError(f"'{run.job_name}' is not in the database any more")
        faults.point("recover.loaded")
        found = await presences(self.house, state)
        faults.point("recover.looked")
        return state, found

    async def _load(self, run: RunRow) -> Job:
        """Take up a run that is not in memory; the registry is held, so that nobody else does."""
        return self.take_up(*await self._read(run))

    def take_up(self, state: JobState, found: dict[str, Presence]) -> Job:
        """Let a run that is on disk serve itself; `found` is where its flights stand."""
        assert self.chaining is not None
        assert state.run.run_id not in self._by_run, "a run that is served twice does everything twice"
        job = Job(self.house, state, self.grant, self._retire, self.chaining)
        self.jobs[state.run.job_name] = job
        self._by_run[job.run_id] = job
        self._tasks.start_soon(self._serve, job, found)
        return job

    async def _serve(self, job: Job, found: dict[str, Presence]) -> None:
        """Let a job serve itself; what fails in it stays with it, and the disk is right."""
        concerned.set(job.state.run.job_name)
        try:
            await job.serve(found)
        except Exception:
            _logger.exception(
                "'%s' has left the memory; it is taken up again when asked", job.state.run.job_name
            )
            self._retire(job)
            self.house.scheduler.forget(job.run_id)
            self.house.limits.forget(job.run_id)
            job.fail(InternalError(f"the daemon failed over '{job.state.run.job_name}'; its log has more"))

    def _retire(self, job: Job) -> None:
        if self._by_run.pop(job.run_id, None) is job and self.jobs.get(job.state.run.job_name) is job:
            del self.jobs[job.state.run.job_name]

    async def forget(self, run: RunRow, changes: Changes) -> int:
        """Commit the removal of a run that has ended, so that nothing is asked of it any more.

        Returns the number of the transaction's last event.

        Raises:
            WrongStatus: it has been let go on meanwhile.
        """
        async with self.registry:
            newest = await self.house.store.records.run(run.job_name)
            if newest is None or newest.run_id != run.run_id:
                return (await self.house.store.commit(changes)).event
            return await self.make_room(
                newest, GiveUp(request="", caller=NOBODY, reason=None, also=changes, forget=True)
            )

    def interrupt_all(self) -> None:
        """End everything in flight, to run it again later: the daemon stops and takes nothing along."""
        for job in self._by_run.values():
            job.interrupt_all()

    def in_flight(self) -> int:
        """Return how many attempts are in flight over all jobs."""
        return sum(len(job.state.flights) for job in self._by_run.values())

    def tell_all(self) -> None:
        """Let each job look anew at what it may start."""
        for job in self._by_run.values():
            job.poke()

    def grant(self) -> None:
        """Tell those whose turn it is that a slot is kept for them; called after every step of a job."""
        for run_id in {*self.house.scheduler.grant(), *self.house.limits.freed(now())}:
            if run_id in self._by_run:
                self._by_run[run_id].poke()
        if not self.in_flight():
            self._rest.set()
            self._rest = anyio.Event()

    async def rested(self) -> None:
        """Wait until nothing is in flight over all jobs."""
        while self.in_flight():
            await self._rest.wait()

    async def job(self, job_id: str) -> Job:
        """Return the newest run of a job, in memory; ask it before the next await.

        Raises:
            NoSuchJob: there is none of that name.
            WrongStatus: an older run is named.
        """
        name, run = split(job_id)
        if name not in self.jobs:
            async with self.registry:
                if name not in self.jobs:
                    row = await self.house.store.records.run(name)
                    if row is None:
                        raise await self.no_such_job(job_id)
                    await self._load(row)
        job = self.jobs[name]
        if run is not None and run != job.state.run.run:
            raise await self._older_run(job_id, job)
        return job

    async def _older_run(self, job_id: str, job: Job) -> MarianneError:
        name, run = split(job_id)
        if await self.house.store.records.run(name, run) is None:
            return await self.no_such_job(job_id)
        return WrongStatus(
            f"'{job_id}' is an older run; only the newest, '{name}@{job.state.run.run}', can be changed",
            job_id=job_id,
            status=job.status,
            hints=[f"mzt status {name}"],
        )

    async def no_such_job(self, job_id: str) -> NoSuchJob:
        """Return the refusal of a name that no job has, with the nearest names."""
        rows = await self.house.store.records.newest_runs()
        name = split(job_id)[0]
        stem = Path(name).stem
        for row in rows:
            file = row.config_file and Path(row.config_file)
            if file and name != row.job_name and (file.name == Path(name).name or file.stem == stem):
                return NoSuchJob(
                    f"no job '{job_id}'; {file.name} runs as '{row.job_name}'",
                    hints=[f"mzt status {row.job_name}"],
                )
        names = [row.job_name for row in rows]
        near = [candidate for candidate in names if candidate.startswith(name)]
        near += [n for n in difflib.get_close_matches(name, names, _NEAR_MOST) if n not in near]
        near = near[:_NEAR_MOST]
        if not near:
            return NoSuchJob(f"no job '{job_id}'", hints=["mzt list --all"])
        said = f"the nearest is '{near[0]}'" if len(near) == 1 else f"near: {', '.join(near)}"
        return NoSuchJob(
            f"no job '{job_id}'; {said}", hints=[f"mzt status {candidate}" for candidate in near]
        )

    # --- submit --------------------------------------------------------------------------------------------

    async def submit(self, caller: Caller, params: Submit) -> Submitted:
        """Start a run of a score; the reply means that it is on disk."""

        async def act(request: RequestRow) -> Submitted:
            return await self._submit(caller, params, request)

        async def join(_request: RequestRow) -> Submitted:
            raise InternalError("the answer of this submission was not kept with it")

        return await self.keys.once(caller, params, Submitted, act, join)

    async def _submit(self, caller: Caller, params: Submit, request: RequestRow) -> Submitted:
        source = Source(
            text=params.text.encode(),
            file=params.file or "score",
            directory=params.directory,
            submit_directory=params.submit_directory,
            workspace=params.workspace,
        )
        shown = Path(params.file).name if params.file else "the score"
        score = await new_run.compile_valid(source, shown, "")
        expanded = score.version.score
        faults.point("submit.compiled")
        async with self.registry:
            newest = await self.house.store.records.run(expanded.name)
            origin = new_run.Origin(
                caller=caller,
                reason=params.reason,
                submit_directory=params.submit_directory,
                umask=params.umask,
                env=params.env,
                auto_resume=params.auto_resume,
            )
            entry = await self.enrol(score.version, newest, origin, fresh=params.fresh, file=params.file)
            state, changes = entry.state, entry.changes
            try:
                self._add_rows(state, changes, score, params, request)
                # A client that leaves takes nothing along.
                with anyio.fail_after(_SHIELDED_SECONDS, shield=True):
                    if newest is None:
                        await self.house.store.commit(changes)
                    else:
                        await self.make_room(newest, entry.give_up)
                    faults.point("submit.committed")
                    job = self.take_up(state, {})
            finally:
                await self.settle(entry)
        faults.point("submit.taken_up")
        await job.begun()
        faults.point("submit.begun")
        reply = self._submitted(job.state, score.compiled.problems)
        await self.keys.amend(request, reply)
        return reply

    async def enrol(
        self,
        version: Version,
        newest: RunRow | None,
        origin: new_run.Origin,
        *,
        fresh: bool,
        file: str | None = None,
        ending: int | None = None,
    ) -> Enrolled:
        """Make a run of a valid score ready for the disk; the registry is held until it is there.

        `ending` is the run that ends in the same transaction. What was moved away for the new one is
        settled, whatever becomes of it.

        Raises:
            NameTaken, NoCapacity: its name, the daemon or its workspace does not let it.
        """
        expanded = version.score
        self._check_name(newest, fresh=fresh, file=file or version.row.config_file or "FILE")
        self._check_room()
        await to_thread.run_sync(new_run.make_workspace, Path(expanded.workspace), origin.umask)
        leftover = await to_thread.run_sync(remove, pause_file(expanded.workspace, expanded.name))
        faults.point("submit.workspace")
        run = await self.house.store.records.last_run(expanded.name) + 1
        row, current, changes = new_run.first_rows(version, self.house.store.new_run_id(), run, origin, now())
        if leftover:
            changes.events.append(removed_leftover(row, now()))
        state = JobState(row, current, [found for found in changes.rows if isinstance(found, SheetRow)])
        give_up = GiveUp(request="", caller=origin.caller, reason=origin.reason, also=changes, fresh=fresh)
        moved = await self._archived(state, changes, ending) if fresh and expanded.archive else None
        return Enrolled(state=state, changes=changes, newest=newest, give_up=give_up, moved=moved)

    async def _archived(self, state: JobState, changes: Changes, ending: int | None) -> ArchiveRow | None:
        """Move away what lies in a new run's workspace, unless another job may still need it."""
        run, archive = state.run, state.score.archive
        assert archive is not None
        for other in await self.house.store.records.newest_runs():
            if (
                other.workspace == run.workspace
                and other.job_name != run.job_name
                and other.status not in _FREE
                and other.run_id != ending
            ):
                raise WrongStatus(
                    f"'{other.job_name}' is {other.status} and uses the workspace '{run.workspace}', "
                    "which a fresh start would archive; nothing has changed",
                    job_id=other.job_name,
                    status=other.status,
                    hints=[f"mzt status {other.job_name}", f"mzt cancel {other.job_name}"],
                )
        with anyio.CancelScope(shield=True):
            moved = await archives.move_away(
                self.house.store, run.run_id, Path(run.workspace), archive, run.umask
            )
        if moved is not None:
            changes.deleted.append(archives.forgotten(moved))
            changes.events.append(archives.told(moved, run))
        return moved

    async def settle(self, entry: Enrolled) -> None:
        """Move back what was moved for a run that has not come to be; else let go of old archives."""
        archive = entry.state.score.archive
        if entry.moved is None or archive is None:
            return
        with anyio.CancelScope(shield=True):
            if await archives.is_open(self.house.store, entry.moved):
                await archives.move_back(self.house.store, entry.moved)
            else:
                self._tasks.start_soon(archives.prune, entry.moved, archive.max_archives)

    def _add_rows(
        self,
        state: JobState,
        changes: Changes,
        score: new_run.Score,
        params: Submit,
        request: RequestRow,
    ) -> None:
        """Add the breakpoints of a submission, and its request's row."""
        row = state.run
        stops = select(params.before, state.score) if params.before is not None else []
        for stop in [BreakpointRow(run_id=row.run_id, uid=number) for number in stops]:
            state.put(stop)
            changes.rows.append(stop)
        asked = msgspec.structs.replace(request, run_id=row.run_id)
        changes.rows.extend(rows_of(asked, self._submitted(state, score.compiled.problems)))

    def _check_name(self, newest: RunRow | None, *, fresh: bool, file: str) -> None:
        if newest is None or newest.status in _FREE:
            return
        name, status = newest.job_name, newest.status
        if fresh and status in (JobStatus.PAUSED, JobStatus.FAILED):
            return
        ways = {
            JobStatus.PAUSED: [
                f"mzt resume {name}",
                f"mzt modify {name} -c {file} -r",
                f"mzt run {file} --fresh",
            ],
            JobStatus.FAILED: [
                f"mzt resume {name}",
                f"mzt modify {name} -c {file} -r",
                f"mzt run {file} --fresh",
            ],
        }
        said = "has failed" if status == JobStatus.FAILED else f"is {status}"
        raise NameTaken(
            f"'{name}' {said}; the name is taken until it has completed or is cancelled",
            job_id=name,
            status=status,
            hints=ways.get(JobStatus(status), [f"mzt status {name}", f"mzt modify {name} -c {file} -r"]),
        )

    def _check_room(self) -> None:
        waiting = sum(job.status is JobStatus.QUEUED for job in self.jobs.values())
        if waiting >= self.house.settings.max_queued:
            raise NoCapacity(
                f"{waiting} jobs are queued already, the setting max_queued",
                hints=["mzt list --status queued"],
            )

    async def make_room(self, newest: RunRow, trigger: GiveUp, commit: Commit | None = None) -> int:
        """Let the newest run of a name make room in its own loop, where nothing can come between.

        Returns the number of the transaction's last event; `commit` makes that, else the store.
        """
        job = self.jobs.get(newest.job_name) or await self._load(newest)
        answer = await job.give_up(msgspec.structs.replace(trigger, request=f"room {job.run_id}"), commit)
        if isinstance(answer, MarianneError):
            raise answer
        return answer.event if isinstance(answer, Made) else self.house.store.last_event

    def _submitted(self, state: JobState, problems: list[Problem]) -> Submitted:
        view = job_view(state, now())
        view.problems = problems
        sheets = words.plural(len(state.score.sheets), "sheet")
        view.message = f"{state.run.job_name}: {view.status}; {sheets}, workspace {state.run.workspace}"
        shared = {
            other.state.run.job_name
            for other in self.jobs.values()
            if other.state is not state and other.state.run.workspace == state.run.workspace
        }
        if shared:
            view.message += f", which {words.listing(sorted(shared))} uses too"
        view.event = self.house.store.last_event
        return extended(view, Submitted)
