"""A sheet's skip rules: asked once, when it is about to get its first attempt, and what their answer means.

While they are asked something of the job is in flight.
Source: docs/reference/score-format.md §14, docs/design/control.md §2.
"""

from marianned.clock import Instant
from marianned.progress.deciding.draft import DecisionDraft
from marianned.progress.deciding.holds import pause_after_stage
from marianned.progress.deciding.outcomes import fail_sheet
from marianned.progress.deciding.past_sheets import done_as
from marianned.progress.state.run import RunState
from marianned.progress.state.triggers import SkipEvaluated, SkipWarned
from marianned.protocol import ErrorCategory, SheetStatus
from marianned.rows import AttemptRow, Deleted, SheetRow, SkipRow
from marianned.score.language.expressions import SheetValue, sheets_of


def needs_skip_evaluation(state: RunState, row: SheetRow) -> bool:
    """Tell whether a sheet that is ready has skip rules that were not asked yet."""
    return not row.judged and state.definition(row.sheet).skip is not None


def skip_evaluation(state: RunState, row: SheetRow, attempt: AttemptRow, now: Instant) -> SkipRow:
    """Return the row of the asking, made from that of the attempt which would be the sheet's next."""
    skip = state.definition(row.sheet).skip
    assert skip is not None
    return SkipRow(
        run_id=row.run_id,
        uid=row.uid,
        sheet=row.sheet,
        stage=attempt.stage,
        instance=attempt.instance,
        revision=attempt.revision,
        instrument=attempt.instrument,
        model=attempt.model,
        started_at=now.at,
        time_limit_at=now.at + round(skip.timeout_seconds * 1000),
        incarnation=state.incarnation,
    )


def seen_sheets(state: RunState, expression: str) -> dict[int, SheetValue]:
    """Return what an expression sees of the sheets, as they stand now."""
    wanted = sheets_of(expression)
    return {
        number: SheetValue(
            status=row.status,
            validation_passed=row.validation_passed,
            exit_code=row.exit_code,
            attempts=row.attempts,
            error=row.error_message,
        )
        for number, row in state.sheets.items()
        if wanted is None or number in wanted
    }


def skip_warned(draft: DecisionDraft, warned: SkipWarned) -> None:
    """Note what hinders the skip rules of a sheet from being asked."""
    row = draft.state.sheet_of(warned.uid)
    if row is None or warned.uid not in draft.state.skips:
        return
    for text in warned.texts:
        draft.note_sheet("skip.lost", row.sheet, text)


def skip_evaluated(draft: DecisionDraft, judged: SkipEvaluated) -> None:
    """Skip the sheet, fail it, or let it have its first attempt; what was interrupted is asked again."""
    state = draft.state
    row = state.sheet_of(judged.uid)
    if row is None or judged.uid not in state.skips:
        return
    draft.delete(Deleted(kind=SkipRow, run_id=row.run_id, key=row.uid))
    if judged.fault is not None:
        draft.note_sheet("skip.failed", row.sheet, f"a skip rule has no answer, it runs: {judged.fault}")
    if judged.unasked is not None:
        fail_sheet(draft, row, ErrorCategory.CONFIG, judged.unasked)
        return
    if not judged.skip:
        draft.update_sheet(row, status=SheetStatus.PENDING, judged=judged.skip is not None)
        return
    draft.update_sheet(
        row,
        status=SheetStatus.SKIPPED,
        judged=True,
        skip_reason=judged.reason,
        ended_at=draft.now.at,
        **done_as(state, row.sheet),
    )
    draft.note_sheet("sheet.skipped", row.sheet, f"skipped: {judged.reason}", reason=judged.reason)
    pause_after_stage(draft, row)
