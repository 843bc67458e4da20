"""What may be asked of the jobs without changing anything; each question is one method.

Jobs in memory answer from their state, which is what is committed; the others are read from disk.
"""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import msgspec
from anyio import to_thread

from marianned import __version__, formatting, masks, workers
from marianned.clock import timestamp
from marianned.conductor.core import drift
from marianned.conductor.core.conductor import Conductor
from marianned.conductor.core.hindrances import JobBlockers, add_hindrances, safe_from
from marianned.conductor.core.idempotency import DAY
from marianned.conductor.core.job import JobActor
from marianned.conductor.core.messages import parse_job_id, wait_overridden
from marianned.conductor.queries.ended_runs import EndedRunCache
from marianned.conductor.queries.field_selection import FieldSelection, unchanged_reply
from marianned.conductor.queries.instruments import limits_in_force
from marianned.conductor.queries.lists import brief_run, moment_of, statuses_named
from marianned.conductor.queries.live_output import LiveOutputReader
from marianned.conductor.queries.metrics import RequestMeter
from marianned.conductor.queries.output import (
    OutputSource,
    find_output,
    read_output,
    stream_format,
    where_to_begin,
)
from marianned.conductor.queries.reply_cache import JobReplyCache
from marianned.conductor.run.attempt import PROMPT
from marianned.decoding import Undecodable, from_json
from marianned.errors import BadRequest, MarianneError, NoSuchJob, WaitTimeout
from marianned.moment import now
from marianned.problem import ERROR, Problem, make_problem
from marianned.progress.state.run import RunState
from marianned.progress.state.selection import select, selectors
from marianned.progress.views import messages
from marianned.progress.views.hooks import hook_view
from marianned.progress.views.job import (
    extend_view,
    job_view,
    problems_of_sheets,
    sheet_views,
    view_of_earlier_run,
    view_shape,
)
from marianned.protocol import (
    ACTIVE,
    ENDED,
    PROTOCOL,
    Attempt,
    BriefRun,
    Caller,
    DaemonHealth,
    DaemonState,
    DaemonStatus,
    Events,
    GetDaemon,
    GetJob,
    Hello,
    History,
    JobDetails,
    JobList,
    JobStatus,
    ListJobs,
    Metrics,
    Output,
    ReadEvents,
    ReadHistory,
    ReadOutput,
    SafeTo,
    SayHello,
    Sheet,
    Slots,
    Validate,
    Validated,
    Waited,
    WaitFor,
)
from marianned.protocol import Job as JobView
from marianned.rows import AttemptRow, Flight, WorktreeStatus, shown
from marianned.score.read.reader import ScoreSource
from marianned.store.records import ListedRun

_NO_FILE = "score"
_SLICE = 250
"""So many sheets, or jobs of a list, are worked out before others have their turn."""
_NOBODY = Caller(uid=-1)
_logger = logging.getLogger(__name__)


class JobQueries:
    """Answers questions about the jobs of a conductor."""

    def __init__(self, conductor: Conductor, started_at: int) -> None:
        self._conductor = self.conductor = conductor
        self.services = conductor.services
        self._records = conductor.services.store.records
        self.meter = RequestMeter()
        self.live_outputs = LiveOutputReader(self.services)
        self.reply_cache = JobReplyCache(conductor, self.live_outputs)
        self._ended = EndedRunCache(self.services.store, conductor.tasks)
        self._started_at = started_at
        self._started = time.monotonic()

    # --- jobs ------------------------------------------------------------------------------------------

    async def state(self, job_id: str) -> RunState:
        """Return the state of a run, from memory or from disk.

        Raises:
            NoSuchJob: there is no such job, or no such run of it.
        """
        name, number = parse_job_id(job_id)
        job = self._conductor.jobs.get(name)
        if job is not None and number in (None, job.state.run.run):
            return job.state
        state = await self._ended.state(name, number)
        if state is None:
            raise await self._conductor.no_such_job(job_id)
        return state

    async def view(self, state: RunState) -> JobView:
        """Return the JOB keys of a run, `event` included; an older run is addressed by its number."""
        view = job_view(state, now())
        job = self.in_memory(state)
        view.event = self.services.store.last_event if job is None else job.true_at
        view.in_flight = await self.live_outputs.with_outputs(state, view.in_flight)
        if job is None:  # what is in memory is the newest
            newest = await self._records.run(state.run.job_name)
            if newest is not None and newest.run != state.run.run:
                view = view_of_earlier_run(view)
        add_hindrances(self.services, view, state, job.blockers() if job is not None else JobBlockers())
        return view

    def in_memory(self, state: RunState) -> JobActor | None:
        """Return the job whose state this is, if it is in memory."""
        job = self._conductor.jobs.get(state.run.job_name)
        return job if job is not None and job.state is state else None

    async def job_status(self, _caller: Caller, params: GetJob) -> JobDetails:
        """Return one job with a page of its sheets; named sheets come with their attempts."""
        state = await self.state(params.job_id)
        with self.reply_cache.making(params, state):
            return await self._status(params, state)

    async def _status(self, params: GetJob, state: RunState) -> JobDetails:
        fields = FieldSelection(params.fields, params.without)
        numbers = list(state.sheets) if params.sheets is None else select(params.sheets, state.score)
        numbers.sort()
        event = self.services.store.last_event  # what is committed while it is looked for comes after it
        if params.newer_than is not None and await self.reply_cache.is_unchanged(state, params.newer_than):
            return unchanged_reply(params.job_id, event)
        job = self.in_memory(state)
        before = self.reply_cache.conditions(job)
        view = await self.view(state)  # before all others: what is told is at least as new as its event
        sheets = []
        if "sheets" in fields:
            page = numbers[params.offset : params.offset + params.limit]
            sheets = await self._sheets(state, page, params, needs=fields.of_sheets("needs"))
        if "problems" in fields:
            view.problems = [*await self._worktree_warning(state), *problems_of_sheets(state, numbers)]
        reply = extend_view(
            view,
            JobDetails,
            sheets=sheets,
            total_sheets=len(numbers),
            unbegun_count=await self._records.unbegun(state.run.run_id) if "unbegun_count" in fields else 0,
            hooks=[hook_view(state, row, self.live_pid(state.run.job_name, row)) for row in state.hooks],
            variables=masks.mask_variables(state.current.row.variables),
            drift=await drift.find_drift(self._conductor.services, state) if "drift" in fields else None,
            last_request=await self._records.last_request(state.run) if "last_request" in fields else None,
            stage_names=selectors(state.score) if params.names else [],
        )
        return self.reply_cache.keep(params, job, before, fields.leave_out(reply), view.in_flight)

    async def _sheets(
        self, state: RunState, numbers: list[int], params: GetJob, *, needs: bool
    ) -> list[Sheet]:
        """Return a page of the sheets, with their attempts where they were named."""
        sheets: list[Sheet] = []
        if len(numbers) <= _SLICE:
            sheets = sheet_views(state, numbers, needs=needs)
        else:
            one = state.copy()  # it stays as it is while others have their turn
            for start in range(0, len(numbers), _SLICE):
                sheets += sheet_views(one, numbers[start : start + _SLICE], needs=needs)
                await anyio.lowlevel.checkpoint()
        for sheet in sheets if params.sheets is not None else ():
            rows = await self._records.attempts(state.run.run_id, state.sheets[sheet.sheet].uid)
            sheet.attempts = [self._attempt_view(state, row) for row in rows]
        return sheets

    async def _worktree_warning(self, state: RunState) -> list[Problem]:
        """Return the warning of a run that was to have a worktree of its own and has none."""
        row = await self._records.worktree(state.run.run_id) if state.score.isolation else None
        if row is None or row.status != WorktreeStatus.REFUSED:
            return []
        return [
            make_problem(
                "S602",
                f"it is not isolated: no worktree could be made; it works in '{state.run.workspace}'",
                state.current.row.config_file or state.run.job_name,
                path="isolation",
                hint=f"mzt history {state.run.job_name} says why",
            )
        ]

    def _attempt_view(self, state: RunState, row: AttemptRow) -> Attempt:
        return shown(
            row,
            Attempt,
            started_at=timestamp(row.started_at),
            ended_at=timestamp(row.ended_at),
            pid=row.pid or (self.live_pid(state.run.job_name, row) if row.outcome is None else None),
        )

    def live_pid(self, job_name: str, row: Flight) -> int | None:
        """Return the process of what is in flight, where it is known."""
        job = self._conductor.jobs.get(job_name)
        return None if job is None or job.run_id != row.run_id else job.pid(row)

    async def job_list(self, _caller: Caller, params: ListJobs) -> JobList:
        """Answer job.list."""
        return await self._names(params) if params.names else await self.jobs(params)

    async def _names(self, params: ListJobs) -> JobList:
        wanted = statuses_named(params.statuses)
        names = [
            name if newest else f"{name}@{run}"
            for name, run, status, newest, labels in await self._records.run_names()
            if (newest or params.runs)
            and (not wanted or status in wanted)
            and labels.issuperset(params.labels)
        ]
        message, event = formatting.plural(len(names), "job"), self.services.store.last_event
        return JobList(message=message, event=event, jobs=[], names=names, total=len(names))

    async def jobs(self, params: ListJobs) -> JobList:
        """Return the jobs: active, paused, ended within a day; with `runs` all runs of all."""
        wanted = statuses_named(params.statuses)
        changed, prefix = moment_of(params.since), params.prefix or ""
        chosen, total = await self._records.list_runs(
            runs=params.runs,
            statuses=wanted,
            labels=params.labels,
            since=now().at - DAY,
            changed=changed,
            prefix=prefix,
            newest_first=params.newest_first,
            shape="" if params.brief else view_shape(),
            page=slice(params.offset, params.offset + params.limit),
        )
        counts = {}
        if params.counts:
            counts = await self._records.listed_counts(
                runs=params.runs, labels=params.labels, changed=changed, prefix=prefix
            )
        listed = JobList(
            message=formatting.plural(total, "job"),
            event=self.services.store.last_event,
            jobs=[],
            brief=await self._brief_runs(chosen),
            counts={str(status): counts.get(status, 0) for status in JobStatus} if params.counts else {},
            total=total,
        )
        return listed if params.brief else await self._full_list(listed, chosen)

    async def _brief_runs(self, chosen: list[ListedRun]) -> list[BriefRun]:
        """Return these runs in short, as far as they are wanted so."""
        brief: list[BriefRun] = []
        for start in range(0, len(chosen), _SLICE):
            slice_ = chosen[start : start + _SLICE]
            brief += [brief_run(row.brief, newest=row.newest) for row in slice_ if row.brief is not None]
            await anyio.lowlevel.checkpoint()
        return brief

    async def _full_list(self, listed: JobList, chosen: list[ListedRun]) -> JobList:
        """Return a list with these runs, each as it is told."""
        hindered = bool(self.services.strangers or self.services.ran_since or self.services.store.degraded)
        views, problems, gone = [], [], 0
        for told, row in enumerate(chosen, 1):
            address = f"{row.job_name}@{row.run}"
            if told % _SLICE == 0:
                await anyio.lowlevel.checkpoint()
            try:
                view = None if hindered else self._stored_view(row)
                views.append(view or await self.view(await self.state(address)))
            except NoSuchJob:
                gone += 1  # removed since its row was read
            except MarianneError:
                raise
            except Exception as error:
                _logger.exception("'%s' can't be told", address)
                message = f"'{address}' can't be read: {error}"
                problems.append(Problem(code="E514", severity=ERROR, message=message, file=""))
        total = listed.total - gone
        return msgspec.structs.replace(
            listed,
            message=formatting.plural(total, "job"),
            hints=[] if total else ["mzt run FILE", "mzt demo"],
            jobs=views,
            problems=problems,
            total=total,
        )

    def _stored_view(self, row: ListedRun) -> JobView | None:
        """Return a run as it was told at its end; None: it has to be read, with what is about it now."""
        job = self._conductor.jobs.get(row.job_name)
        if row.job is None or (job is not None and job.state.run.run == row.run):
            return None
        try:
            view = from_json(row.job, JobView)
        except Undecodable:
            return None
        view.event = self.services.store.last_event
        return view if row.newest else view_of_earlier_run(view)

    async def job_wait(self, _caller: Caller, params: WaitFor) -> Waited:
        """Wait until the job reaches one of the words; what is so already counts."""
        wanted = statuses_named(params.words)
        began = anyio.current_time()
        if (older := await self._older_run(params.job_id)) is not None:
            status = older.run.status
            if status not in wanted:
                raise wait_overridden(older, status, params.words, older=True)
            return await self._waited(older, status, params, began)
        job = await self._conductor.job(params.job_id)
        await job.log_written()
        reached = await self._wait_until_reached(job, wanted, params)
        return await self._waited(job.state, reached, params, began)

    async def _older_run(self, job_id: str) -> RunState | None:
        """Return the run that is named where it is not the newest: it has ended for good."""
        name, number = parse_job_id(job_id)
        newest = None if number is None else await self._records.run(name)
        return None if newest is None or newest.run == number else await self.state(job_id)

    async def _waited(self, state: RunState, reached: JobStatus, params: WaitFor, began: float) -> Waited:
        view = await self.view(state)
        name = "ended" if "ended" in params.words and reached in ENDED else str(reached)
        view.status = reached
        waited = round(anyio.current_time() - began, 3)
        return extend_view(view, Waited, reached=name, waited_seconds=waited)

    async def _wait_until_reached(self, job: JobActor, wanted: set[str], params: WaitFor) -> JobStatus:
        came = anyio.Event()
        seen: list[JobStatus] = []

        def look(status: JobStatus, event: int) -> None:
            if (status in wanted or status in ENDED) and event > (params.after or -1):
                seen.append(status)
                came.set()

        leave: Callable[[], None] = job.watch(look)
        try:
            if params.after is None:
                look(job.status, 0)
            else:
                look(job.status, job.status_event or await self._status_event(job))
            with anyio.move_on_after(params.timeout):
                await came.wait()
        finally:
            leave()
        name, status = job.state.run.job_name, job.status
        if not seen:
            spent = formatting.time_asked(params.timeout or 0)
            raise WaitTimeout(
                f"'{name}' is still {status} after {spent}",
                job_id=name,
                status=status,
                hints=messages.wait_hints(job.state, status),
            )
        if seen[0] not in wanted:
            newest = await self._records.run(name)
            older = newest is not None and newest.run != job.state.run.run
            raise wait_overridden(job.state, seen[0], params.words, older=older)
        return seen[0]

    async def _status_event(self, job: JobActor) -> int:
        """Return the number of the event that brought the job's present status."""
        events, _ = await self._records.history(job.run_id, None, None, 1_000)
        changes = [event for event in events if event.type.startswith("job.") and event.event is not None]
        return changes[-1].event if changes else 0

    async def job_history(self, _caller: Caller, params: ReadHistory) -> History:
        """Return the newest part of a job's journal."""
        state = await self.state(params.job_id)
        sheets = None if params.sheets is None else select(params.sheets, state.score)
        since = None if params.since is None else moment_of(params.since)
        entries, total = await self._records.history(
            state.run.run_id, sheets, since, params.limit, params.offset
        )
        view = await self.view(state)
        shown = f"{len(entries)} of {formatting.plural(total, 'entry')}".replace("entrys", "entries")
        view.message = f"{state.run.job_name}: {shown}"
        view.hints = []
        return extend_view(view, History, entries=entries, total=total)

    # --- output ----------------------------------------------------------------------------------------

    async def log_read(self, _caller: Caller, params: ReadOutput) -> Output:
        """Return a piece of what an attempt printed."""
        state = await self.state(params.job_id)
        printed = await find_output(self.services, state, params)
        offset, data, skipped, size = await self._piece(state, printed, params)
        return Output(
            job_id=params.job_id,
            status=state.run.status,
            message=f"{state.run.job_name}: output of {printed.name}, attempt {printed.attempt}",
            hook=printed.hook,
            sheet=printed.sheet,
            stage=printed.stage,
            instance=printed.instance,
            name=printed.stage_name,
            attempt=printed.attempt,
            stream=params.stream,
            offset=offset,
            data=data,
            size=size,
            skipped=skipped,
            ended=printed.ended,
            reads=await stream_format(self.services, state, printed.row) if params.reads else None,
            event=self.services.store.last_event,
        )

    async def _piece(
        self, state: RunState, row: OutputSource, params: ReadOutput
    ) -> tuple[int, bytes, int, int]:
        """Return where a piece begins, its bytes, how many before it are gone, and the whole's size."""
        offset, lines = params.offset, params.tail_lines
        if params.stream == "result":
            uid = row.row.uid if row.row is not None else 0
            result = await self._records.last_result(state.run.run_id, uid)
            data = (result or "").encode()
            if lines is not None:
                offset = len(data) - sum(map(len, data.splitlines(keepends=True)[-lines:] if lines else []))
            elif offset < 0:
                begin = max(0, len(data) + offset)
                offset = data.find(b"\n", begin - 1) + 1 if begin else 0
                offset = offset if begin <= offset < len(data) else begin
            return offset, data[offset : offset + params.limit], 0, len(data)
        path = row.directory / (PROMPT if params.stream == "prompt" else params.stream)
        if lines is not None or offset < 0:
            offset = await to_thread.run_sync(where_to_begin, path, offset, lines, abandon_on_cancel=True)
        piece = await to_thread.run_sync(read_output, path, offset, params.limit, abandon_on_cancel=True)
        return offset, *piece

    # --- the journal, scores, the daemon -----------------------------------------------------------------

    async def events_read(self, _caller: Caller, params: ReadEvents) -> Events:
        """Return a page of the journal."""
        run_id = None if params.job_id is None else (await self.state(params.job_id)).run.run_id
        events = await self._records.events(params.after, run_id, params.limit, params.job_name)
        return Events(
            message=formatting.plural(len(events), "event"),
            events=events,
            event=self.services.store.last_event,
        )

    async def score_validate(self, _caller: Caller, params: Validate) -> Validated:
        """Check a score without running it."""
        source = ScoreSource(
            text=params.text.encode(),
            file=params.file or _NO_FILE,
            directory=params.directory,
            submit_directory=params.submit_directory,
            workspace=params.workspace,
            given=params.variables,
        )
        try:
            compiled = await workers.compile_score(source)
            sheets, hooks = [], []
            if compiled.expanded is not None and (params.explain or params.prompts):
                hooks = compiled.expanded.hooks_found
                sheets = await workers.explain(compiled.expanded, prompts=params.prompts)
        except workers.WorkerLimit as limit:
            raise BadRequest(f"'{source.file}' can't be checked: {limit.message}") from None
        errors = sum(problem.severity == "error" for problem in compiled.problems)
        warnings = len(compiled.problems) - errors
        counted = f"{formatting.plural(errors, 'error')}, {formatting.plural(warnings, 'warning')}"
        return Validated(
            message=f"{Path(source.file).name}: {counted}",
            problems=compiled.problems,
            valid=compiled.expanded is not None,
            job_name=compiled.name,
            config_file=source.file,
            error_count=errors,
            warning_count=warnings,
            total_sheets=compiled.total_sheets,
            total_stages=compiled.total_stages,
            parameters=compiled.parameters,
            stage_names=compiled.expanded.stage_names if compiled.expanded else {},
            sheets=sheets[params.offset : params.offset + params.limit],
            hooks=hooks,
            event=self.services.store.last_event,
        )

    async def _metrics(self) -> Metrics:
        counts = await self._records.run_counts()
        jobs = {str(status): counts.get(status, 0) for status in JobStatus}
        return Metrics(jobs=jobs, connections=self.meter.connections, requests=self.meter.report())

    async def daemon_hello(self, _caller: Caller, _params: SayHello) -> Hello:
        """Say who answers."""
        status = self._conductor.health()
        return Hello(
            status=status,
            message=f"marianned {__version__}",
            version=__version__,
            protocol=PROTOCOL,
            pid=os.getpid(),
            features=[],
            ready=status in (DaemonHealth.READY, DaemonHealth.DEGRADED),
            event=self.services.store.last_event,
        )

    async def daemon_status(self, _caller: Caller, params: GetDaemon) -> DaemonStatus:
        """Return the daemon's load and what degrades it."""
        jobs = list(self._conductor.jobs.values())
        active = [job for job in jobs if job.status in ACTIVE]
        flying = sum(job.state.flight_count for job in jobs)
        attention = await self._records.newest_names(JobStatus.PAUSED, JobStatus.FAILED)
        displaced, strangers = self.services.store.displaced, self.services.strangers
        safe = SafeTo(
            edit_files=not active and not strangers,
            stop_daemon=True,
            switch_off=not flying and not strangers,
        )
        return DaemonStatus(
            status=self._conductor.health(),
            message=f"marianned {__version__} (pid {os.getpid()}): {self._conductor.summary()}",
            hints=["mzt stop"] if displaced is None else displaced.hints,
            pid=os.getpid(),
            version=__version__,
            protocol=PROTOCOL,
            socket=str(self.services.socket),
            started_at=timestamp(self._started_at),
            uptime_seconds=round(time.monotonic() - self._started, 3),
            running_jobs=sum(job.status is JobStatus.RUNNING for job in jobs),
            total_jobs_active=len(active),
            memory_usage_mb=round(_memory_bytes() / 1024**2, 1),
            attempts_in_flight=flying,
            slots=Slots(used=flying - self.services.scheduler.lent, total=self.services.scheduler.total),
            degraded_by=self.services.degraded_by(),
            rate_limits=limits_in_force(self.services.limits.rows.values(), [job.state for job in jobs]),
            safe_to=safe_from(displaced, safe),
            strangers=[*strangers],
            restored=self.services.restored,
            needs_attention=[name for name, _ in attention],
            damaged=[job.state.run.job_name for job in jobs if job.state.damaged and job.status not in ENDED],
            metrics=await self._metrics() if params.metrics else None,
            event=self.services.store.last_event,
        )

    async def daemon_state(self) -> DaemonState:
        """Return of the daemon's load and condition what streams of states tell."""
        whole = await self.daemon_status(_NOBODY, GetDaemon())
        told = {name: getattr(whole, name) for name in DaemonState.__struct_fields__ if name != "type"}
        return DaemonState(**told | {"message": self._conductor.summary()})


def _memory_bytes() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
