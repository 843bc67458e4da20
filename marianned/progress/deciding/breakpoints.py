"""Breakpoints: the job pauses where nothing is left to start but what has a breakpoint before it.

Requests set and clear them (`set_breakpoints`); they become a hold where the job pauses at them
(`hold_at_breakpoints`), are named anew by a revision, and stand before each round of a loop.
Source: docs/design/control.md §4 and §8, docs/reference/score-format.md §29.
"""

from collections.abc import Collection, Mapping

import msgspec

from marianned.errors import WrongStatus
from marianned.progress.deciding.draft import DecisionDraft
from marianned.progress.state.run import RunState
from marianned.progress.state.selection import select
from marianned.progress.views import messages
from marianned.protocol import HoldCause, SheetStatus
from marianned.rows import BreakpointRow, Deleted


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


def hold_at_breakpoints(draft: DecisionDraft) -> None:
    """Pause: only what stands behind breakpoints is left to start. Those it stands at are used up."""
    state = draft.state
    hook = state.hook_queue.current
    if hook is not None:
        before = f"before {messages.hook_name(state, hook.hook)}"
        draft.update_hook(hook, pause_passed=True)
        held = draft.add_hold(HoldCause.BREAKPOINT, None, before)
        draft.note_hold(f"to pause {before}", held, hook=hook.hook)
        return
    rows = state.at_breakpoints()
    before = f"before {messages.sheet_names(state, [row.sheet for row in rows])}"
    held = draft.add_hold(HoldCause.BREAKPOINT, None, before, stands_before=[row.uid for row in rows])
    for row in rows:
        one = state.loops.of(row.sheet)
        if one is not None and one.is_open:  # it stops in each round
            draft.put(BreakpointRow(run_id=row.run_id, uid=row.uid, passed=True))
        else:
            draft.delete(Deleted(kind=BreakpointRow, run_id=row.run_id, key=row.uid))
    draft.note_hold(f"breakpoint {before}", held)


# --- where a revision comes ---------------------------------------------------------------------------------


def removed_breakpoint_names(state: RunState, gone: Collection[int]) -> dict[int, str]:
    """Name by hold the sheets in `gone` (uids) that its breakpoints stood before, by the score in force."""
    leaving = {
        hold.hold: sorted(
            row.sheet for uid in hold.stands_before if uid in gone and (row := state.sheet_of(uid))
        )
        for hold in state.holds.values()
    }
    return {hold: messages.sheet_names(state, numbers) for hold, numbers in leaving.items() if numbers}


def rename_breakpoint_holds(draft: DecisionDraft, gone: Mapping[int, str]) -> None:
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


# --- in the rounds of a loop --------------------------------------------------------------------------------


def rearm_breakpoints(draft: DecisionDraft, uids: Collection[int]) -> None:
    """Let breakpoints stop anew that were passed in a round."""
    for uid in uids:
        if uid in draft.state.passed:
            draft.put(BreakpointRow(run_id=draft.state.run.run_id, uid=uid))


def drop_passed_breakpoints(draft: DecisionDraft, uids: Collection[int]) -> None:
    """Forget breakpoints that were passed: no round follows."""
    for uid in uids:
        if uid in draft.state.passed:
            draft.delete(Deleted(kind=BreakpointRow, run_id=draft.state.run.run_id, key=uid))
