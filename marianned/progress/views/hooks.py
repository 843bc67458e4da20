"""The hooks of a job as they are told: rows, what is in flight, what waits, what happens next.

Read off the state at a moment; nothing is stored.
"""

from marianned import lifecycle
from marianned.clock import Instant, timestamp
from marianned.progress.state.run import RunState
from marianned.progress.views import messages
from marianned.protocol import Hook, HookStatus, InFlight, JobStatus, Next, Waiting, WaitingFor
from marianned.rows import HookRow, shown


def hook_view(state: RunState, row: HookRow, pid: int | None = None) -> Hook:
    """Return one hook; `pid` is that of one that is in flight."""
    definition = state.hook_definition(row.hook)
    waits_for_slot = lifecycle.may_start_hook(state.facts) and state.hook_queue.startable == row
    return shown(
        row,
        Hook,
        type=definition.type,
        label=definition.label,
        waiting_for=messages.slot_wait(state)[0] if waits_for_slot else row.waiting_for,
        until_at=timestamp(row.until),
        attempt_count=row.attempts,
        error_message=row.error_message if row.status == HookStatus.FAILED else None,
        pid=row.pid or pid,
        started_at=timestamp(row.started_at),
        ended_at=timestamp(row.ended_at),
        time_limit_at=timestamp(row.time_limit_at if row.status == HookStatus.RUNNING else None),
        skip_reason=_why_left_out(state, row),
    )


def _why_left_out(state: RunState, row: HookRow) -> str | None:
    """Say why a hook has not run in a job that has completed: there was no work for it to follow."""
    passed = state.run.ended == JobStatus.COMPLETED and row.hook <= len(state.score.hooks)
    if not passed or row.status != HookStatus.PENDING:
        return None
    return None if any(sheet.attempts for sheet in state.sheets.values()) else "no sheet was attempted"


def hook_flights(state: RunState) -> list[InFlight]:
    """Return the hook that is in flight, if one is."""
    return [
        InFlight(
            sheet=None,
            stage=None,
            instance=None,
            hook=row.hook,
            attempt=row.attempts,
            started_at=timestamp(row.started_at or 0),
            time_limit_at=timestamp(row.time_limit_at or 0),
            label=state.hook_definition(row.hook).label,
        )
        for row in state.hooks
        if row.status == HookStatus.RUNNING
    ]


def hook_waits(state: RunState) -> list[Waiting]:
    """Return the hook whose turn it is and that waits: for its cool-down, a job, or a slot."""
    row = state.hook_queue.current
    if row is None or row.status == HookStatus.RUNNING:
        return []
    waiting_for = row.waiting_for
    if state.hook_queue.startable is not None:
        waiting_for = messages.slot_wait(state)[0] if lifecycle.may_start_hook(state.facts) else None
    if waiting_for is None:
        return []
    until = timestamp(row.until)
    return [
        Waiting(sheet=None, stage=None, instance=None, hook=row.hook, waiting_for=waiting_for, until_at=until)
    ]


def next_of_hook(state: RunState, now: Instant) -> Next | None:
    """Return what happens next by itself in the phase of hooks."""
    row = state.hook_queue.current
    if row is None:
        return None
    name = messages.hook_name(state, row.hook)
    if row.status == HookStatus.RUNNING:
        latest = None if row.time_limit_at is None else state.limit_of_flights([row])
        return Next(code="hook_end", text=f"{name} ends", latest_at=timestamp(latest))
    due = row.until if row.until is not None and not now.reached(row.until) else None
    at = timestamp(due)
    if row.waiting_for == WaitingFor.JOB:
        return Next(code="job_end", text=f"{name} ends when {row.chained} has ended", latest_at=at)
    if row.waiting_for == WaitingFor.COOLDOWN:
        return Next(code="start", text=f"{name} starts", due_at=at)
    return Next(code="start", text=f"{name} starts {messages.slot_wait(state)[1]}")
