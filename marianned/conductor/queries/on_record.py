"""What is on record of a job beside its journal: its attempts, and the versions of its score."""

import msgspec

from marianned import formatting, masks
from marianned.clock import milliseconds, timestamp
from marianned.conductor.queries.jobs import JobQueries
from marianned.conductor.services import Services
from marianned.decoding import from_json, from_msgpack
from marianned.errors import BadRequest
from marianned.progress.state.run import RunState
from marianned.progress.views.job import extend_view
from marianned.protocol import (
    Attempts,
    Caller,
    PlanLine,
    ReadAttempts,
    ReadRevisions,
    Revision,
    Revisions,
    RunAttempt,
)
from marianned.rows import RevisionRow, shown


class RecordQueries:
    """Answers job.attempts and job.revisions, with what JobQueries reads."""

    def __init__(self, services: Services, queries: JobQueries) -> None:
        self._services = services
        self._queries = queries

    async def job_attempts(self, _caller: Caller, params: ReadAttempts) -> Attempts:
        """Return a page of the attempts of a run, or of all."""
        state = None if params.job_id is None else await self._queries.state(params.job_id)
        try:
            since = 0 if params.since is None else milliseconds(params.since)
        except ValueError as error:
            raise BadRequest(f"since: {error}") from None
        page = slice(params.offset, params.offset + params.limit)
        run_id = None if state is None else state.run.run_id
        rows, total = await self._services.store.records.attempts_since(run_id, since, page)
        attempts = [
            shown(
                row,
                RunAttempt,
                job_id=name,
                run=run,
                started_at=timestamp(row.started_at),
                ended_at=timestamp(row.ended_at),
                pid=row.pid or (self._queries.live_pid(name, row) if row.outcome is None else None),
            )
            for name, run, row in rows
        ]
        of = "" if state is None else f"{params.job_id}: "
        return Attempts(
            message=f"{of}{len(attempts)} of {formatting.plural(total, 'attempt')}",
            attempts=attempts,
            total=total,
            event=self._services.store.last_event,
        )

    async def job_revisions(self, _caller: Caller, params: ReadRevisions) -> Revisions:
        """Return the versions of a job's score, and the text of one."""
        state = await self._queries.state(params.job_id)
        rows = await self._services.store.records.revisions(state.run.run_id)
        text = None
        if params.revision is not None:
            text = (await self._revision_row(state, params.revision)).text
        view = await self._queries.view(state)
        view.message = f"{state.run.job_name}: {formatting.plural(len(rows), 'revision')}"
        view.hints = []
        return extend_view(
            view,
            Revisions,
            revisions=[await self._revision_view(state, row, params) for row in rows],
            text=text,
        )

    async def _revision_view(self, state: RunState, row: RevisionRow, params: ReadRevisions) -> Revision:
        whole = await self._revision_row(state, row.revision)
        plan = from_json(row.plan, list[PlanLine])
        return Revision(
            revision=row.revision,
            status=row.status,
            created_at=timestamp(row.created_at),
            applied_at=timestamp(row.applied_at),
            caller=row.caller,
            reason=row.reason,
            config_file=row.config_file,
            directory=row.directory,
            sha256=row.sha256,
            total_sheets=len(from_msgpack(whole.expanded, _ExpandedSheets).sheets),
            plan=plan[params.offset : params.offset + params.limit],
            plan_total=len(plan),
            variables=masks.mask_variables(row.variables),
            edited=row.edited,
        )

    async def _revision_row(self, state: RunState, number: int) -> RevisionRow:
        row = await self._services.store.records.revision(state.run.run_id, number)
        if row is None:
            raise BadRequest(
                f"'{state.run.job_name}' has no revision {number}; the newest is {state.run.last_revision}",
                job_id=state.run.job_name,
                hints=[f"mzt revisions {state.run.job_name}"],
            )
        return row


class _ExpandedSheets(msgspec.Struct):
    """The sheets of an expanded score, to be counted."""

    sheets: list[msgspec.Raw]
