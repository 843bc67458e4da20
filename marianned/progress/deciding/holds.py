"""Holds, which keep a job from starting anything: those that nobody asks for, and when a hold ends.

* **What sets one**, where nobody asks: `hold_for_failure`, the job would end failed; `pause_for_failure` and
  `pause_after_stage`, the score asks for it at a stage (`triggers`). Breakpoints are in `breakpoints`, holds
  that people ask for in `requests`, those of limits in `limits` and `outcomes`.
* **What ends one by itself**: `start_hold_durations` when the job has become paused, `release_ended_holds`
  when the time has come; then `resume_waits` lets sheets and hooks wait for what remained.
* **Deadlines**: `interrupt_overdue` ends what is in flight past the deadline of a hold.
* `hold_moments` says when time itself is the next trigger.

Source: docs/design/control.md §4 and §8, docs/reference/score-format.md §28.9.
"""

from marianned.clock import Instant
from marianned.progress.deciding import hooks
from marianned.progress.deciding.draft import DecisionDraft
from marianned.progress.state.hook_queue import is_lost
from marianned.progress.state.run import DONE, RunState
from marianned.progress.views import messages
from marianned.progress.views.job import hold_view
from marianned.protocol import HoldCause, JobStatus, SheetStatus, WaitingFor
from marianned.rows import HoldRow, SheetRow
from marianned.score.expanded import StagePauses

# --- set where nobody asks ----------------------------------------------------------------------------------


def hold_for_failure(draft: DecisionDraft) -> None:
    """Pause the job that would end failed: its score says so, or what a hook has done is not known."""
    state = draft.state
    lost = next((row.hook for row in state.success_hooks if is_lost(row)), None)
    if lost is not None and not state.counts[SheetStatus.FAILED]:
        name = messages.hook_name(state, lost)
        why = f"{name} was lost, it is not known whether it did its work; a resume runs it again"
        draft.note_hold(f"to pause: {why}", draft.add_hold(HoldCause.FAILURE, None, why))
        return
    what = "sheet" if state.counts[SheetStatus.FAILED] else "hook"
    held = draft.add_hold(HoldCause.FAILURE, None, None)
    draft.note_hold(f"a {what} failed; the score says to pause", held)


def pause_for_failure(draft: DecisionDraft, row: SheetRow) -> None:
    """Pause the job whose sheet has failed, where the score says so; a resume gives it fresh tries."""
    trigger = trigger_of(draft.state, row)
    if trigger is None or not trigger.pause_on_fail:
        return
    stage = draft.state.score.sheets[row.sheet - 1].stage
    why = trigger.reason or f"a sheet of stage {stage} has failed"
    held = draft.add_hold(HoldCause.FAILURE, None, why)
    draft.note_sheet(
        "hold.added", row.sheet, f"to pause: {why}", cause=HoldCause.FAILURE, hold=hold_view(held)
    )


def pause_after_stage(draft: DecisionDraft, row: SheetRow) -> None:
    """Pause the job whose stage has just come to its end, where the score says so, once in the run."""
    state = draft.state
    trigger = trigger_of(state, row)
    if trigger is None or not trigger.pause_after:
        return
    stage = state.score.sheets[row.sheet - 1].stage
    rows = [state.sheets[sheet.sheet] for sheet in state.score.sheets if sheet.stage == stage]
    if any(one.paused_after or one.status not in DONE for one in rows):
        return
    for one in rows:
        draft.update_sheet(one, paused_after=True)
    why = f"after stage {stage}"
    draft.note_hold(f"to pause {why}", draft.add_hold(HoldCause.BREAKPOINT, None, why))


def fails_at_once(state: RunState, row: SheetRow) -> bool:
    """Tell whether a sheet that fails gets no retry, completion attempt or fallback: the job pauses."""
    trigger = trigger_of(state, row)
    return trigger is not None and trigger.pause_on_fail


def trigger_of(state: RunState, row: SheetRow) -> StagePauses | None:
    """Return what the score asks for at the stage of a sheet."""
    return state.score.triggers.get(state.score.sheets[row.sheet - 1].stage)


# --- ended by time ------------------------------------------------------------------------------------------


def ends_by_itself(hold: HoldRow) -> bool:
    """Tell whether a hold has an end of its own."""
    return hold.ends is not None or hold.lasts is not None


def start_hold_durations(draft: DecisionDraft) -> None:
    """Let holds with a duration count from now: the job has become paused."""
    if draft.status is not JobStatus.PAUSED:
        return
    for hold in list(draft.state.holds.values()):
        if hold.lasts is not None and hold.ends is None:
            draft.replace(hold, ends=draft.now.plus(hold.lasts))


def release_ended_holds(draft: DecisionDraft) -> None:
    """Release the holds whose time has come; the last hold to be released lets the job go on."""
    over = [hold for hold in draft.state.holds.values() if hold.ends and draft.now.reached(hold.ends)]
    paused = draft.status is JobStatus.PAUSED
    for hold in over:
        draft.release_holds([hold.hold])
        said = "the pause has come to its end"
        draft.note("hold.ended", said, cause=hold.cause, reason=hold.reason, hold=hold_view(hold))
    if over and not draft.state.holds:
        if paused:
            resume_waits(draft)
        draft.update_run(begun=draft.facts.in_flight)


def resume_waits(draft: DecisionDraft) -> None:
    """Let retry waits and pacing last as long as they still had to last when the job became paused."""
    paused_at = draft.state.run.paused_at or draft.now
    paced = draft.state.run.not_before
    if paced is not None and not paused_at.reached(paced):
        draft.update_run(not_before=draft.now.plus(paused_at.until(paced)))
    for row in draft.state.waiting_sheets():
        if row.waiting_for == WaitingFor.RETRY and row.until is not None and not paused_at.reached(row.until):
            draft.update_sheet(row, until=draft.now.plus(paused_at.until(row.until)))
    hooks.resume_hook_waits(draft, paused_at)


# --- deadlines ----------------------------------------------------------------------------------------------


def interrupt_overdue(draft: DecisionDraft) -> None:
    """End what is in flight past a deadline; a resume voids it with its hold."""
    if draft.state.facts.in_flight and is_overdue(draft.state, draft.now):
        draft.interrupt_all()


def is_overdue(state: RunState, now: Instant) -> bool:
    """Tell whether a deadline is over by which what is in flight had to end."""
    return any(hold.deadline and now.reached(hold.deadline) for hold in state.holds.values())


# --- the next moment ----------------------------------------------------------------------------------------


def hold_moments(draft: DecisionDraft) -> list[Instant | None]:
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
