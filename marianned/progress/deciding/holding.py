"""Holds in time: breakpoints that become one, holds that end by themselves, deadlines that interrupt.

Source: docs/design/control.md §4 and §8.
"""

from collections.abc import Collection, Mapping

import msgspec

from marianned.clock import Instant
from marianned.errors import WrongStatus
from marianned.progress.deciding import hooks
from marianned.progress.deciding.draft import DecisionDraft
from marianned.progress.state.hook_queue import is_lost
from marianned.progress.state.run import RunState
from marianned.progress.state.selection import select
from marianned.progress.views import messages
from marianned.progress.views.job import hold_view
from marianned.protocol import HoldCause, JobStatus, SheetStatus, WaitingFor
from marianned.rows import BreakpointRow, Deleted, HoldRow


def ends_by_itself(hold: HoldRow) -> bool:
    """Tell whether a hold has an end of its own."""
    return hold.ends is not None or hold.lasts is not None


def end_holds(draft: DecisionDraft) -> None:
    """Let go what has come to its own end; the last hold to go lets the job go on."""
    over = [hold for hold in draft.state.holds.values() if hold.ends and draft.now.reached(hold.ends)]
    paused = draft.status is JobStatus.PAUSED
    for hold in over:
        draft.release_holds([hold.hold])
        said = "the pause has come to its end"
        draft.note("hold.ended", said, cause=hold.cause, reason=hold.reason, hold=hold_view(hold))
    if over and not draft.state.holds:
        if paused:
            go_on_waiting(draft)
        draft.run(begun=draft.facts.in_flight)


def go_on_waiting(draft: DecisionDraft) -> None:
    """Let retry waits and pacing last as long as they still had to last when the job became paused."""
    paused_at = draft.state.run.paused_at or draft.now
    paced = draft.state.run.not_before
    if paced is not None and not paused_at.reached(paced):
        draft.run(not_before=draft.now.plus(paused_at.until(paced)))
    for row in draft.state.waits():
        if row.waiting_for == WaitingFor.RETRY and row.until is not None and not paused_at.reached(row.until):
            draft.sheet(row, until=draft.now.plus(paused_at.until(row.until)))
    hooks.go_on_waiting(draft, paused_at)


def begin_ends(draft: DecisionDraft) -> None:
    """Let holds with a duration count from now: the job has become paused."""
    if draft.status is not JobStatus.PAUSED:
        return
    for hold in list(draft.state.holds.values()):
        if hold.lasts is not None and hold.ends is None:
            draft.replace(hold, ends=draft.now.plus(hold.lasts))


def hold_for_failure(draft: DecisionDraft) -> None:
    """Pause the job that would end failed: its score says so, or what a hook has done is not known."""
    state = draft.state
    lost = next((row.hook for row in state.success_hooks if is_lost(row)), None)
    if lost is not None and not state.counts[SheetStatus.FAILED]:
        name = messages.hook_name(state, lost)
        why = f"{name} was lost, it is not known whether it did its work; a resume runs it again"
        draft.note_hold(f"to pause: {why}", draft.hold(HoldCause.FAILURE, None, why))
        return
    what = "sheet" if state.counts[SheetStatus.FAILED] else "hook"
    held = draft.hold(HoldCause.FAILURE, None, None)
    draft.note_hold(f"a {what} failed; the score says to pause", held)


def is_overdue(state: RunState, now: Instant) -> bool:
    """Tell whether a deadline is over by which what is in flight had to end."""
    return any(hold.deadline and now.reached(hold.deadline) for hold in state.holds.values())


def interrupt_overdue(draft: DecisionDraft) -> None:
    """End what is in flight past a deadline; a resume voids it with its hold."""
    if draft.state.facts.in_flight and is_overdue(draft.state, draft.now):
        draft.interrupt_all()


def moments_of_holds(draft: DecisionDraft) -> list[Instant | None]:
    """Return when time itself ends a hold or interrupts for one."""
    state = draft.state
    moments: list[Instant | None] = [hold.ends for hold in state.holds.values()]
    if state.facts.in_flight:
        moments += [
            hold.deadline
            for hold in state.holds.values()
            if hold.deadline and not draft.now.reached(hold.deadline)
        ]
    return moments


def hold_at_breakpoints(draft: DecisionDraft) -> None:
    """Pause: only what stands behind breakpoints is left to start. Those it stands at are used up."""
    state = draft.state
    hook = state.hook_queue.current
    if hook is not None:
        before = f"before {messages.hook_name(state, hook.hook)}"
        draft.hook(hook, pause_passed=True)
        held = draft.hold(HoldCause.BREAKPOINT, None, before)
        draft.note_hold(f"to pause {before}", held, hook=hook.hook)
        return
    rows = state.at_breakpoints()
    before = f"before {messages.sheet_names(state, [row.sheet for row in rows])}"
    held = draft.hold(HoldCause.BREAKPOINT, None, before, stands_before=[row.uid for row in rows])
    for row in rows:
        one = state.loops.of(row.sheet)
        if one is not None and one.is_open:  # it stops in each round
            draft.put(BreakpointRow(run_id=row.run_id, uid=row.uid, passed=True))
        else:
            draft.delete(Deleted(kind=BreakpointRow, run_id=row.run_id, key=row.uid))
    draft.note_hold(f"breakpoint {before}", held)


def names_of_breakpoints(state: RunState, gone: Collection[int]) -> dict[int, str]:
    """Name by hold the sheets in `gone` (uids) that its breakpoints stood before, by the score in force."""
    leaving = {
        hold.hold: sorted(
            row.sheet for uid in hold.stands_before if uid in gone and (row := state.sheet_of(uid))
        )
        for hold in state.holds.values()
    }
    return {hold: messages.sheet_names(state, numbers) for hold, numbers in leaving.items() if numbers}


def tell_breakpoints_anew(draft: DecisionDraft, gone: Mapping[int, str]) -> None:
    """Let holds of breakpoints name the sheets as the score that has come in force does.

    `gone` names by hold those that it has no more: what such a hold stood before is gone, and it stays.
    """
    state = draft.state
    for hold in [hold for hold in state.holds.values() if hold.stands_before]:
        here = sorted(row.sheet for uid in hold.stands_before if (row := state.sheet_of(uid)))
        if here:
            reason: str | None = f"before {messages.sheet_names(state, here)}"
        elif hold.hold in gone:
            reason = f"before {gone[hold.hold]}, which revision {state.run.revision} removed"
        else:
            reason = hold.reason
        if reason != hold.reason:
            draft.put(msgspec.structs.replace(hold, reason=reason))


def set_breakpoints(draft: DecisionDraft, sheets: str | None, *, clear: bool) -> None:
    """Set breakpoints, or drop those that are named (all).

    Raises:
        BadRequest: there is no such sheet.
        WrongStatus: a sheet has started or is done, or the job is paused before it by a breakpoint.
    """
    state = draft.state
    numbers = select(sheets, state.score) if sheets is not None else []
    uids = [state.sheets[number].uid for number in numbers]
    if clear:
        for uid in uids if sheets is not None else [*state.breakpoints, *state.passed]:
            draft.delete(Deleted(kind=BreakpointRow, run_id=state.run.run_id, key=uid))
        return
    for number, uid in zip(numbers, uids, strict=True):
        row = state.sheets[number]
        if row.status not in (SheetStatus.PENDING, SheetStatus.CANCELLED) or uid in state.parked:
            raise WrongStatus(
                f"{messages.sheet_name(state, number)} of '{state.run.job_name}' is {row.status}; "
                "a breakpoint stands before a sheet that has not started",
                job_id=state.run.job_name,
                status=draft.status,
                hints=[f"mzt status {state.run.job_name}"],
            )
        if state.stands_before(row):
            raise WrongStatus(
                f"'{state.run.job_name}' is paused before {messages.sheet_name(state, number)} already; "
                "a resume starts it",
                job_id=state.run.job_name,
                status=draft.status,
                hints=[f"mzt resume {state.run.job_name}"],
            )
        draft.put(BreakpointRow(run_id=state.run.run_id, uid=uid))
