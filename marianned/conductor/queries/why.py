"""Why a job does not move or failed: what the journal alone does not tell."""

import pwd
from collections.abc import Iterable

import msgspec
from anyio import to_thread

from marianned import files, lifecycle
from marianned.clock import timestamp
from marianned.conductor.core.hindrances import JobBlockers, hindrances, uids_not_flying
from marianned.conductor.queries.jobs import JobQueries
from marianned.conductor.services import Services, mask_of
from marianned.executors.output import quote_tail
from marianned.masks import Mask
from marianned.moment import now
from marianned.progress.state.run import RunState
from marianned.progress.state.selection import select
from marianned.progress.views.job import extend_view, problems_of_sheets
from marianned.progress.views.reasons import reasons
from marianned.protocol import (
    Caller,
    ErrorCategory,
    ExplainJob,
    Failure,
    HookStatus,
    JobStatus,
    Outcome,
    Why,
)
from marianned.rows import AttemptRow, HookRow, shown

_ERRORS_MOST = 50
_TAIL_BYTES = 4_096
_FAILED = (Outcome.FAILED, Outcome.TIMED_OUT, Outcome.LOST, Outcome.RATE_LIMITED)


class WhyQueries:
    """Answers job.why, with what JobQueries reads."""

    def __init__(self, services: Services, queries: JobQueries) -> None:
        self._services = services
        self._queries = queries

    async def job_why(self, _caller: Caller, params: ExplainJob) -> Why:
        """Return what a job waits for, and this run's failed attempts, newest first."""
        state = await self._queries.state(params.job_id)
        chosen = None if params.sheets is None else set(select(params.sheets, state.score))
        holds = [hold for one in (state, *state.awaited) for hold in one.holds.values()]
        owners = {hold.owner.uid for hold in holds if hold.owner is not None}
        logins = await to_thread.run_sync(_login_names, owners)
        displaced, job = self._services.store.displaced, self._queries.in_memory(state)
        blockers = job.blockers() if job is not None else JobBlockers()
        closed_for = self._services.scheduler.closed_for
        found = reasons(state, now(), closed_for, logins, uids_not_flying(state, blockers))
        if view_of_end := await self._who_cancelled(state):
            found = [
                msgspec.structs.replace(reason, text=view_of_end) if reason.code == "ended" else reason
                for reason in found
            ]
        first = await to_thread.run_sync(_commands_for, _directories_of_failures(state))
        found = [
            msgspec.structs.replace(reason, hints=[" && ".join([*first, hint]) for hint in reason.hints])
            if reason.code == "failed"
            else reason
            for reason in found
        ]
        if displaced is not None:
            found = [msgspec.structs.replace(reason, hints=[]) for reason in found]  # each would be refused
        found = [*hindrances(self._services, state, blockers, displaced), *found]
        if chosen is not None:
            found = [reason for reason in found if not reason.sheets or chosen & set(reason.sheets)] or found
        rows = await self._services.store.records.attempts(state.run.run_id)
        failed = [_renumbered(state, row) for row in rows if row.outcome in _FAILED]
        failed = [row for row in failed if chosen is None or row.sheet in chosen]
        failures: list[AttemptRow | HookRow] = [*failed]
        if chosen is None:
            failures += [row for row in state.hooks if row.status == HookStatus.FAILED]
        failures.sort(key=lambda row: row.ended_at or 0, reverse=True)
        mask = mask_of(self._services, state.run)
        view = await self._queries.view(state)
        view.hints = [hint for hint in view.hints if not hint.startswith("mzt why")]
        if first:  # a resume alone would fail again
            view.hints = [hint for hint in view.hints if not hint.startswith("mzt resume")]
        view.problems = problems_of_sheets(state, sorted(chosen or state.sheets))
        return extend_view(
            view,
            Why,
            reasons=found,
            total_errors=len(failures),
            errors=[await self._failure_view(row, mask) for row in failures[:_ERRORS_MOST]],
        )

    async def _who_cancelled(self, state: RunState) -> str | None:
        """Say who cancelled a job, and why; null: nobody has."""
        if state.run.status != JobStatus.CANCELLED:
            return None
        event = await self._services.store.records.last_request(state.run)
        if event is None or event.caller is None:
            return None
        names = await to_thread.run_sync(_login_names, {event.caller.uid})
        by = event.caller.inside or names.get(event.caller.uid, event.caller.name)
        return f"it was cancelled by {by}" + (f' "{event.reason}"' if event.reason else "")

    async def _failure_view(self, row: AttemptRow | HookRow, mask: Mask) -> Failure:
        directory = self._services.directory(row)
        return shown(
            row,
            Failure,
            **(_hook_failure_fields(row) if isinstance(row, HookRow) else {}),
            ended_at=timestamp(row.ended_at),
            stdout_tail=await to_thread.run_sync(quote_tail, directory / "stdout", _TAIL_BYTES, mask),
            stderr_tail=await to_thread.run_sync(quote_tail, directory / "stderr", _TAIL_BYTES, mask),
        )


def _directories_of_failures(state: RunState) -> list[str]:
    """Return where the failed sheets and hooks of a failed job work."""
    if lifecycle.status(state.facts) is not JobStatus.FAILED:
        return []
    places = [state.score.sheets[row.sheet - 1].working_directory for row in state.failed_sheets()]
    failed_hooks = (row for row in state.success_hooks if row.status == HookStatus.FAILED)
    return [*places, *(state.hook_definition(row.hook).working_directory for row in failed_hooks)]


def _commands_for(directories: list[str]) -> list[str]:
    """Return what makes those of the directories that are not there; blocks."""
    missing = (files.no_directory(place) for place in dict.fromkeys(directories))
    return [one.command for one in missing if one is not None and one.command is not None]


def _hook_failure_fields(row: HookRow) -> dict[str, object]:
    """Return what a failure of a hook has in the place of what only sheets have."""
    return {
        "sheet": None,
        "stage": None,
        "instance": None,
        "attempt": row.attempts,
        "error_category": ErrorCategory.HOOK,
        "instrument": "",
        "revision": row.revision or 0,
        "validations": [],
    }


def _renumbered(state: RunState, row: AttemptRow) -> AttemptRow:
    """Return an attempt under the number its sheet has in the revision in force."""
    sheet = state.sheet_of(row.uid)
    return row if sheet is None else msgspec.structs.replace(row, sheet=sheet.sheet)


def _login_names(uids: Iterable[int]) -> dict[int, str]:
    """Name users by their login, by number where there is none; the pause file's -1 is nobody's."""
    found: dict[int, str] = {}
    for uid in uids:
        if uid >= 0:
            try:
                found[uid] = pwd.getpwuid(uid).pw_name
            except KeyError:
                found[uid] = str(uid)
    return found
