"""A submission: the new run is prepared, committed, taken up, and what was moved away for it is settled.

Source: docs/design/control.md §6.
"""

from pathlib import Path

import anyio
import msgspec
from anyio import to_thread

from marianned import faults, formatting, masks
from marianned.conductor.core import pausefile
from marianned.conductor.core.conductor import Conductor
from marianned.conductor.core.idempotency import rows_of
from marianned.conductor.core.messages import leftover_removed_event
from marianned.conductor.requests import new_run
from marianned.conductor.run import walls
from marianned.conductor.workspace import archives
from marianned.errors import InternalError, NameTaken, Problem, Unavailable, WrongStatus
from marianned.moment import now
from marianned.progress.state.run import RunState, ScoreVersion
from marianned.progress.state.selection import select
from marianned.progress.state.triggers import Supersede
from marianned.progress.views.job import extend_view, job_view
from marianned.protocol import Caller, JobStatus, Submit, Submitted, WaitingFor
from marianned.rows import ArchiveRow, BreakpointRow, Changes, RequestRow, Row, RunRow, SheetRow
from marianned.score.read.reader import ScoreSource
from marianned.store.records import NewestRun

_FREE = (JobStatus.COMPLETED, JobStatus.CANCELLED)
"""Statuses of a newest run that leave its name free."""


class PreparedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A new run, ready for the disk: its state and rows, and the run that makes room for it, if one does."""

    state: RunState
    changes: Changes
    supersedes: list[tuple[RunRow, Supersede]]
    moved: ArchiveRow | None = None


class Submissions:
    """Submits runs, for clients and for hooks, over all jobs of the conductor."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor

    async def submit(self, caller: Caller, params: Submit) -> Submitted:
        """Start a run of a score; the reply means that it is on disk."""

        async def act(request: RequestRow) -> Submitted:
            return await self._submit(caller, params, request)

        async def join(_request: RequestRow) -> Submitted:
            raise InternalError("the answer of this submission was not kept with it")

        return await self._conductor.keys.run(caller, params, Submitted, act, join)

    async def _submit(self, caller: Caller, params: Submit, request: RequestRow) -> Submitted:
        source = ScoreSource(
            text=params.text.encode(),
            file=params.file or "score",
            directory=params.directory,
            submit_directory=params.submit_directory,
            workspace=params.workspace,
            given=params.variables,
        )
        shown = Path(params.file).name if params.file else new_run.UNNAMED
        score = await new_run.compile_valid(source, shown, "")
        expanded = score.version.score
        faults.point("submit.compiled")
        async with self._conductor.registry_lock:
            newest = await self._conductor.services.store.records.newest(expanded.name)
            left = await self._leftover_note(newest.row)
            origin = new_run.RunOrigin(
                caller=caller,
                reason=params.reason,
                submit_directory=params.submit_directory,
                umask=params.umask,
                env=params.env,
                labels=params.labels,
                auto_resume=params.auto_resume,
                executor=params.executor,
            )
            entry = await self.prepare(score.version, newest, origin, fresh=params.fresh, file=params.file)
            replies: list[Submitted] = []

            def told(state: RunState) -> list[Row]:
                replies.append(self._reply(state, score.compiled.problems, left))
                asked = msgspec.structs.replace(request, run_id=state.run.run_id)
                return rows_of(asked, replies[0])

            try:
                if params.before is not None:
                    _add_breakpoints(entry, params.before)
                done = await self._conductor.transact(
                    entry.changes, [entry.state], entry.supersedes, told=told
                )
            finally:
                await self.finish(entry)
        faults.point("submit.begun")
        replies[0].event = done.event
        return replies[0]

    async def prepare(
        self,
        version: ScoreVersion,
        newest: NewestRun,
        origin: new_run.RunOrigin,
        *,
        fresh: bool,
        file: str | None = None,
        ending: int | None = None,
        awaited: bool = False,
    ) -> PreparedRun:
        """Make a run of a valid score ready for the disk; the registry lock is held until it is there.

        `awaited`: it takes no place in the queue, its parent has one.
        `ending` is the run that ends in the same transaction. What was moved away for the new one is
        settled, whatever becomes of it.

        Raises:
            NameTaken, Unavailable, WrongStatus: its name, the daemon or its workspace does not let it.
        """
        expanded = version.score
        await walls.check_available(self._conductor.services, expanded, origin.executor)
        before = newest.row
        self._check_name(before, version, fresh=fresh, file=file)
        if not awaited:
            self._check_room()
        leftover = await to_thread.run_sync(
            _prepare_workspace, expanded.workspace, expanded.name, origin.umask
        )
        faults.point("submit.workspace")
        row, current, changes = new_run.first_rows(
            version, self._conductor.services.store.new_run_id(), newest.last + 1, origin, now()
        )
        if leftover:
            changes.events.append(leftover_removed_event(row, now()))
        state = RunState(row, current, [found for found in changes.rows if isinstance(found, SheetRow)])
        room = Supersede(caller=origin.caller, reason=origin.reason, fresh=fresh)
        supersedes = [] if before is None or before.run_id == ending else [(before, room)]
        moved = await self._archive_workspace(state, changes, ending) if fresh and expanded.archive else None
        return PreparedRun(state=state, changes=changes, supersedes=supersedes, moved=moved)

    async def _archive_workspace(
        self, state: RunState, changes: Changes, ending: int | None
    ) -> ArchiveRow | None:
        """Move away what lies in a new run's workspace, unless another job may still need it."""
        run, archive = state.run, state.score.archive
        assert archive is not None
        failing = self._conductor.failing(run.job_name, run.run_id)
        if failing is not None:
            raise WrongStatus(
                f"the on_failure hooks of '{failing}' have not ended, and use the workspace "
                f"'{run.workspace}', which a fresh start would archive; nothing has changed",
                job_id=failing,
                status=JobStatus.FAILED,
                hints=[f"mzt status {failing}", f"mzt cancel {run.job_name} --wait"],
            )
        for other in await self._conductor.services.store.records.runs_in(run.workspace):
            if other.job_name != run.job_name and other.status not in _FREE and other.run_id != ending:
                raise WrongStatus(
                    f"'{other.job_name}' is {other.status} and uses the workspace '{run.workspace}', "
                    "which a fresh start would archive; nothing has changed",
                    job_id=other.job_name,
                    status=other.status,
                    hints=[f"mzt status {other.job_name}", f"mzt cancel {other.job_name}"],
                )
        with anyio.CancelScope(shield=True):
            moved = await archives.move_away(
                self._conductor.services.store, run.run_id, Path(run.workspace), archive, run.umask
            )
        if moved is not None:
            changes.deleted.append(archives.deletion_of(moved))
            changes.rows.append(archives.archived_row(moved, run))
            changes.events.append(archives.archived_event(moved, run))
        return moved

    async def finish(self, entry: PreparedRun) -> None:
        """Move back what was moved for a run that has not come to be; else let go of old archives."""
        archive = entry.state.score.archive
        if entry.moved is None or archive is None:
            return
        with anyio.CancelScope(shield=True):
            if await archives.is_open(self._conductor.services.store, entry.moved):
                await archives.move_back(self._conductor.services.store, entry.moved)
            else:
                made = archives.archived_row(entry.moved, entry.state.run)
                self._conductor.tasks.start_soon(
                    archives.prune, self._conductor.services.store, made, archive.max_archives
                )

    def _check_name(
        self, newest: RunRow | None, version: ScoreVersion, *, fresh: bool, file: str | None
    ) -> None:
        if newest is None or newest.status in _FREE:
            return
        name, status = newest.job_name, newest.status
        if fresh and status in (JobStatus.PAUSED, JobStatus.FAILED):
            return
        typed = formatting.typed(file or version.row.config_file)
        given = formatting.given_again(masks.mask_variables(version.row.variables))
        modify = f"mzt modify {name} -c {typed}"
        stopped = [f"mzt resume {name}", f"{modify} -r{given}", f"mzt run {typed} --fresh{given}"]
        ways = {JobStatus.PAUSED: stopped, JobStatus.FAILED: stopped}
        said = "has failed" if status == JobStatus.FAILED else f"is {status}"
        raise NameTaken(
            f"'{name}' {said}; the name is taken until it has completed or is cancelled",
            job_id=name,
            status=status,
            hints=ways.get(JobStatus(status), [f"mzt status {name}", f"{modify} -r{given}"]),
        )

    async def _leftover_note(self, newest: RunRow | None) -> str:
        """Say that an ended run which was given something to do since then stays behind."""
        records = self._conductor.services.store.records
        if newest is None or newest.ended is None:
            return ""
        if newest.ended == JobStatus.CANCELLED:
            row = await records.revision(newest.run_id, newest.revision)
            waits = row is not None and (row.applied_at or 0) > (newest.ended_at or 0)
        else:
            waits = newest.ended == JobStatus.COMPLETED and await records.has_left(newest.run_id)
        address = f"{newest.job_name}@{newest.run}"
        said = f"; revision {newest.revision} of {address} waits for a resume and stays behind"
        return said if waits else ""

    def _check_room(self) -> None:
        known = self._conductor.job_index.queued()
        if len(known) < self._conductor.services.settings.max_queued:
            return
        awaited = {
            row.chained
            for job in self._conductor.jobs.values()
            for row in job.state.hook_rows.values()
            if row.waiting_for == WaitingFor.JOB
        }
        queued = [job.state.run for job in known if not job.superseded]
        waiting = sum(f"{run.job_name}@{run.run}" not in awaited for run in queued)
        if waiting >= self._conductor.services.settings.max_queued:
            raise Unavailable(
                f"{waiting} jobs are queued already, the setting max_queued",
                hints=["mzt list --status queued"],
            )

    def _reply(self, state: RunState, problems: list[Problem], left: str) -> Submitted:
        """Return the reply, but for its event; `left` is said of the run before."""
        view = job_view(state, now())
        view.problems = problems
        sheets = formatting.plural(len(state.score.sheets), "sheet")
        again = f", run {state.run.run}" if state.run.run > 1 else ""
        place = f"workspace {state.run.workspace}"
        view.message = f"{state.run.job_name}: {view.status}; {sheets}{again}, {place}"
        shared = {
            other.state.run.job_name
            for other in self._conductor.job_index.within(state.run.workspace)
            if not other.superseded
        } - {state.run.job_name}
        if shared:
            view.message += f", which {formatting.listing(sorted(shared))} uses too"
        view.message += left
        return extend_view(view, Submitted)


def _add_breakpoints(entry: PreparedRun, before: str) -> None:
    for number in select(before, entry.state.score):
        stop = BreakpointRow(run_id=entry.state.run.run_id, uid=number)
        entry.state.put(stop)
        entry.changes.rows.append(stop)


def _prepare_workspace(workspace: str, name: str, umask: int) -> bool:
    """Make a workspace, and remove the pause file that was left over there; tell whether there was one.

    Raises:
        Unavailable, WrongStatus: that can't be done.
    """
    new_run.make_workspace(Path(workspace), umask)
    return pausefile.clear(pausefile.pause_file(workspace, name), name)
