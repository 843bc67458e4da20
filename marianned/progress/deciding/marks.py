"""Sheets that a person marks: their work counts as done (`accept`), or is not needed (`skip`); try now.

The marks are kept with the sheet, by whom and why, over modifies too; what sets the sheet back undoes them.
Source: docs/design/control.md §3 and §6.
"""

from collections.abc import Collection, Iterator
from typing import Any

import msgspec

from marianned import formatting
from marianned.errors import BadRequest, MarianneError, WrongStatus
from marianned.lifecycle import Action
from marianned.progress.deciding.draft import DecisionDraft
from marianned.progress.deciding.past_sheets import done_as
from marianned.progress.deciding.revisions import plan_version, resume_restarts_failed
from marianned.progress.deciding.rounds import close_loops_by_marks
from marianned.progress.state.hook_queue import hook_queue
from marianned.progress.state.run import DONE, RunState
from marianned.progress.state.selection import select
from marianned.progress.state.triggers import JobRequest
from marianned.progress.views import messages
from marianned.protocol import PlanLine, SheetStatus, WaitingFor, Word
from marianned.rows import BreakpointRow, Deleted, SheetRow

_MARKED: dict[str, Any] = {
    "waiting_for": None,
    "until": None,
    "lost": 0,
    "error_category": None,
    "error_message": None,
    "judged": True,
}
"""What a sheet has, beside its status, that a person's word is about."""
_ASKED = "asked"
"""Why a sheet is skipped or accepted: a person's own words stand in the line of the request, once."""


def marks_of(ask: JobRequest) -> Iterator[tuple[str, str]]:
    """Yield what a request says of which sheets, as the caller wrote them."""
    if ask.skip is not None:
        yield "skipped:", ask.skip
    if ask.accept is not None:
        yield "accepted:", ask.accept


def typed_marks(ask: JobRequest) -> str:
    """Write what a request says of sheets as it is typed behind `mzt resume JOB`."""
    given = (("--skip", ask.skip), ("--accept", ask.accept))
    return "".join(f" {option} {formatting.typed(sheets)}" for option, sheets in given if sheets is not None)


def apply_marks(draft: DecisionDraft, ask: JobRequest) -> None:
    """Let sheets be done as a person says.

    Raises:
        BadRequest: there is no such sheet, or one is named twice.
        WrongStatus: one is in flight, or done.
    """
    state = draft.state
    word = Word(owner=ask.row.caller, reason=ask.reason)
    for number, status in _marked_sheets(state, ask).items():
        row = state.sheets[number]
        if row.status in (*DONE, SheetStatus.RUNNING):
            raise _mark_refusal(state, draft, row)
        draft.close_parked([row.uid])
        if row.uid in state.breakpoints or row.uid in state.passed:
            draft.delete(Deleted(kind=BreakpointRow, run_id=row.run_id, key=row.uid))
        said = {"skip_reason": ask.reason or _ASKED} if status is SheetStatus.SKIPPED else {}
        passed = {"validation_passed": True} if status is SheetStatus.COMPLETED else {}
        draft.update_sheet(
            row,
            **_MARKED | said | passed | done_as(state, number),
            status=status,
            ended_at=draft.now.at,
            word=word,
        )
        kind = "sheet.accepted" if status is SheetStatus.COMPLETED else "sheet.skipped"
        what = "accepted as it is" if status is SheetStatus.COMPLETED else "skipped"
        why = f": {ask.reason}" if ask.reason else ""
        draft.note_sheet(kind, number, f"{what}, as was asked{why}", reason=_ASKED)
    close_loops_by_marks(draft)


def _marked_sheets(state: RunState, ask: JobRequest) -> dict[int, SheetStatus]:
    """Return what the named sheets become, by number."""
    skipped = [] if ask.skip is None else select(ask.skip, state.score)
    accepted = [] if ask.accept is None else select(ask.accept, state.score)
    if both := set(skipped).intersection(accepted):
        raise BadRequest(f"{formatting.sheet_list(both)}: either skipped or accepted")
    named = dict.fromkeys(skipped, SheetStatus.SKIPPED) | dict.fromkeys(accepted, SheetStatus.COMPLETED)
    return dict(sorted(named.items()))


def _mark_refusal(state: RunState, draft: DecisionDraft, row: SheetRow) -> WrongStatus:
    name = state.run.job_name
    running = row.status == SheetStatus.RUNNING
    said = "it ends first" if running else "there is nothing to skip or accept"
    typed_next = [f"mzt wait {name} --for paused" if running else f"mzt status {name}"]
    one = state.loops.of(row.sheet)
    if one is not None and one.is_open and not running:
        ends = [end for end in one.loop.ends if state.sheets[end].status not in (*DONE, SheetStatus.RUNNING)]
        accept = formatting.ranges(ends)
        typed_next = [f"mzt resume {name} --accept {accept}" if ends else f"mzt modify {name} -c FILE -r"]
    return WrongStatus(
        f"{messages.sheet_name(state, row.sheet)} of '{name}' is {row.status}; {said}"
        f"{describe_loops(state, [row.sheet])}",
        job_id=name,
        status=draft.status,
        hints=typed_next,
    )


def describe_loops(state: RunState, sheets: Collection[int]) -> str:
    """Name the loops that play sheets: `; loop 2-3 (stages 2 mend, 3 check) is in round 2 of up to 4`."""
    told = ""
    for one in state.loops:
        if set(sheets).isdisjoint(one.loop.sheets):
            continue
        stages = range(one.loop.first, one.loop.last + 1)
        names = [f"{stage} {state.score.stage_names.get(str(stage), '')}".strip() for stage in stages]
        up_to = f"is in round {one.row.round} of {'' if one.loop.exact else 'up to '}{one.loop.rounds}"
        where = up_to if one.is_open else f"is closed after round {one.row.round}"
        told += f"; loop {one.loop.span} (stage{'s' if len(names) > 1 else ''} {', '.join(names)}) {where}"
    return told


def describe_refused_loops(state: RunState, ask: JobRequest) -> str:
    """Name the loops of the sheets that a refused `--from`, `--skip` or `--accept` names."""
    if ask.action not in (Action.RESUME_FROM, Action.RESUME_MARK):
        return ""
    try:
        named = (
            select(ask.sheets, state.score) if ask.sheets is not None else list(_marked_sheets(state, ask))
        )
    except MarianneError:
        return ""  # the status is what stands in the way
    return describe_loops(state, named)


def plan_with_marks(draft: DecisionDraft, ask: JobRequest) -> list[PlanLine]:
    """Return what would become of each sheet, once the word is taken and the job goes on."""
    named = _marked_sheets(draft.state, ask)
    scratch = DecisionDraft(draft.state.copy(), draft.now, slots=0)
    apply_marks(scratch, ask)
    state = scratch.state
    lines = plan_version(state, state.newest, state.run.rewind, anew=resume_restarts_failed(state)).lines
    return [_line_before_marks(draft.state, line, named) for line in lines]


def _line_before_marks(before: RunState, line: PlanLine, named: dict[int, SheetStatus]) -> PlanLine:
    """Return a line of the plan that was made as if the word were taken, with what stands before it is."""
    if line.old_sheet is None:
        return line
    status = before.sheets[line.old_sheet].status
    if line.old_sheet in named and line.status in DONE:
        return msgspec.structs.replace(
            line, status=status, runs=False, why=_mark_reason(named[line.old_sheet])
        )
    return msgspec.structs.replace(line, status=status)


def _mark_reason(status: SheetStatus) -> str:
    return f"{'skipped' if status is SheetStatus.SKIPPED else 'accepted'}, as was asked"


def starts_nothing(state: RunState, ask: JobRequest) -> bool:
    """Tell whether all is done once the word is taken, hooks too: the job ends."""
    if ask.action is not Action.RESUME_MARK:
        return False
    named = _marked_sheets(state, ask)
    rows = state.sheets.values()
    if any(row.status not in DONE and row.sheet not in named for row in rows) or state.facts.in_flight:
        return False
    done = len(state.score.sheets)
    return hook_queue(state.score, state.hooks, rows, state.run.depth, done=done).current is None


# --- try now ---------------------------------------------------------------------------------------------


def waiting_for_retry(state: RunState, sheets: str | None) -> list[SheetRow]:
    """Return the sheets that wait for their next attempt, ascending; only the named ones, if some are.

    Raises:
        BadRequest: there is no such sheet.
    """
    named = None if sheets is None else set(select(sheets, state.score))
    waits = [row for row in state.waiting_sheets() if row.waiting_for == WaitingFor.RETRY]
    return [row for row in waits if named is None or row.sheet in named]


def not_waiting(state: RunState, sheets: str | None) -> list[SheetRow]:
    """Return the named sheets that do not wait for their next attempt, ascending."""
    if sheets is None:
        return []
    waits = {row.sheet for row in waiting_for_retry(state, sheets)}
    return [state.sheets[number] for number in select(sheets, state.score) if number not in waits]


def end_retry_waits(draft: DecisionDraft, ask: JobRequest) -> None:
    """Let sheets wait no more for their next attempt."""
    rows = waiting_for_retry(draft.state, ask.sheets)
    for row in rows:
        draft.update_sheet(row, status=SheetStatus.PENDING, waiting_for=None, until=None)
    draft.retried = [row.sheet for row in rows]
