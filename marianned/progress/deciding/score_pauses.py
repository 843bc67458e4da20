"""Pauses that the score asks for at a stage (`triggers`): after it, once a run; where a sheet of it fails.

Source: docs/reference/score-format.md §28.9.
"""

from marianned.progress.deciding.draft import DecisionDraft
from marianned.progress.state.run import DONE, RunState
from marianned.progress.views.job import hold_view
from marianned.protocol import HoldCause
from marianned.rows import SheetRow
from marianned.score.expanded import StagePauses


def trigger_of(state: RunState, row: SheetRow) -> StagePauses | None:
    """Return what the score asks for at the stage of a sheet."""
    return state.score.triggers.get(state.score.sheets[row.sheet - 1].stage)


def fails_at_once(state: RunState, row: SheetRow) -> bool:
    """Tell whether a sheet that fails gets no retry, completion attempt or fallback: the job pauses."""
    trigger = trigger_of(state, row)
    return trigger is not None and trigger.pause_on_fail


def pause_for_failure(draft: DecisionDraft, row: SheetRow) -> None:
    """Pause the job whose sheet has failed, where the score says so; a resume gives it fresh tries."""
    trigger = trigger_of(draft.state, row)
    if trigger is None or not trigger.pause_on_fail:
        return
    stage = draft.state.score.sheets[row.sheet - 1].stage
    why = trigger.reason or f"a sheet of stage {stage} has failed"
    held = draft.hold(HoldCause.FAILURE, None, why)
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
        draft.sheet(one, paused_after=True)
    why = f"after stage {stage}"
    draft.note_hold(f"to pause {why}", draft.hold(HoldCause.BREAKPOINT, None, why))
