"""A job's next score: what would become of each sheet, and bringing that about.

`modify --plan`, the plan that is stored and what is done at last come from the same function, so what
was shown is what is done. Source: design/control.md §5.
"""

from collections.abc import Collection, Iterable

import msgspec

from marianned.progress.budget import judge_budget
from marianned.progress.draft import Draft
from marianned.progress.selection import select
from marianned.progress.state import DONE, JobState, Version
from marianned.protocol import PlanAction, PlanLine
from marianned.rows import BreakpointRow, Deleted, SheetRow
from marianned.score import plan as planner
from marianned.score.expanded import Expanded
from marianned.words import sheet_list

FRESH = {
    "status": "pending",
    "waiting_for": None,
    "until": None,
    "tries": 0,
    "completions": 0,
    "lost": 0,
    "next_kind": "first",
    "error_category": None,
    "error_message": None,
    "ended_at": None,
    "validation_passed": None,
}
"""What a sheet has that returns to the beginning; its attempts stay in history."""


CHANGED = "changed"
"""Names, in the place of sheets, those that are completed though their definition has changed."""


def planned(state: JobState, version: Version, rerun: Collection[int] = ()) -> planner.Planned:
    """Return what would become of each sheet under this version; `rerun` are uids that run again."""
    standing = {
        number: planner.Standing(
            status=row.status, in_flight=row.uid in state.attempts, attempts=row.attempts
        )
        for number, row in state.sheets.items()
    }
    result = _with_breakpoints(state, planner.plan(state.score, version.score, standing, state.run.revision))
    return _with_rerun(state, version, result, rerun) if rerun else result


def _with_breakpoints(state: JobState, result: planner.Planned) -> planner.Planned:
    """Say of a sheet that is removed that its breakpoint goes with it."""
    standing = {row.sheet for row in state.sheets.values() if row.uid in state.breakpoints}
    lines = [
        msgspec.structs.replace(line, why=f"{line.why}, its breakpoint too")
        if line.action == PlanAction.REMOVED and line.old_sheet in standing
        else line
        for line in result.lines
    ]
    return msgspec.structs.replace(result, lines=lines)


def _with_rerun(
    state: JobState, version: Version, result: planner.Planned, rerun: Collection[int]
) -> planner.Planned:
    """Mark the sheets that were asked for and all that depend on them: done, or in flight, and run again."""
    new_number = {old: new for new, old in result.matched.items()}
    asked = {
        new_number[row.sheet] for row in state.sheets.values() if row.uid in rerun and row.sheet in new_number
    }
    again = below(version.score, asked)
    lines: list[PlanLine] = []
    for line in result.lines:
        if line.sheet in again and line.status in DONE:
            why = "asked for" if line.sheet in asked else f"depends on {sheet_list(asked)}"
            reasons = ["asked" if line.sheet in asked else "upstream"]
            changed = {"action": PlanAction.RERUN, "runs": True, "why": why, "reasons": reasons}
            lines.append(msgspec.structs.replace(line, **changed))
        elif line.sheet in again and line.action == PlanAction.IN_FLIGHT:
            lines.append(msgspec.structs.replace(line, runs=True, why=f"{line.why}, then runs again"))
        else:
            lines.append(line)
    return msgspec.structs.replace(result, lines=lines)


def below(score: Expanded, sheets: Iterable[int]) -> set[int]:
    """Return these sheets and all that depend on them, directly or not."""
    dependents: dict[int, list[int]] = {}
    for sheet in score.sheets:
        for need in sheet.needs:
            dependents.setdefault(need, []).append(sheet.sheet)
    found = set(sheets)
    stack = list(found)
    while stack:
        more = [sheet for sheet in dependents.get(stack.pop(), ()) if sheet not in found]
        found.update(more)
        stack.extend(more)
    return found


def rerun_of(state: JobState, version: Version, sheets: str | None) -> list[int]:
    """Return the uids that `sheets` names: numbers of the revision in force, or `changed`.

    Raises:
        BadRequest: there is no such sheet.
    """
    if sheets is None:
        return []
    if sheets == CHANGED:
        lines = planned(state, version).lines
        chosen = [line.old_sheet for line in lines if line.action == PlanAction.KEPT_CHANGED]
        return [state.sheets[number].uid for number in chosen if number is not None]
    return [state.sheets[number].uid for number in select(sheets, state.score)]


def apply_rewind(draft: Draft) -> None:
    """Bring the sheets that are to run again, and all that depend on them, back to the beginning."""
    state = draft.state
    rows = [row for uid in state.run.rewind if (row := state.sheet_of(uid)) is not None]
    if not state.run.rewind:
        return
    draft.run(rewind=[], staged_hold=None)
    again = sorted(below(state.score, (row.sheet for row in rows)))
    for number in again:
        row = state.sheets[number]
        draft.close_parked([row.uid])
        if row.status != "pending" or row.tries or row.completions:
            draft.sheet(row, **FRESH)
    draft.note("sheets.rewound", f"{sheet_list(again)} run again")


def encode_plan(lines: list[PlanLine]) -> bytes:
    """Encode the lines of a plan as they are stored."""
    return msgspec.json.encode(lines)


def stage_revision(draft: Draft, version: Version, hold: int | None) -> None:
    """Let a version wait to be applied; `hold` is the one its modify brought."""
    draft.put(version.row)
    draft.stage(version)
    draft.run(last_revision=version.row.revision, staged_revision=version.row.revision, staged_hold=hold)


def apply_staged(draft: Draft) -> None:
    """Make the staged revision the one in force, its plan brought up to date with what has ended."""
    staged = draft.state.staged
    if staged is None:
        return
    state = draft.state
    result = planned(state, staged, state.run.rewind)
    restarts = set(result.restarts)
    sheets: list[SheetRow] = []
    uid = state.run.next_uid
    for definition in staged.score.sheets:
        old = result.matched.get(definition.sheet)
        if old is None:
            sheets.append(SheetRow(run_id=state.run.run_id, uid=uid, sheet=definition.sheet))
            uid += 1
            continue
        fresh = FRESH if definition.sheet in restarts else {}
        sheets.append(msgspec.structs.replace(state.sheets[old], sheet=definition.sheet, **fresh))
    kept = {row.uid for row in sheets}
    gone = [row.uid for row in state.sheets.values() if row.uid not in kept]
    draft.close_parked([*gone, *(row.uid for row in sheets if row.sheet in restarts)])
    for number in set(gone).intersection(state.breakpoints):
        draft.delete(Deleted(kind=BreakpointRow, run_id=state.run.run_id, key=number))
    past = state.current.row
    applied = msgspec.structs.replace(
        staged,
        row=msgspec.structs.replace(
            staged.row, status="current", applied_at=draft.now.at, plan=encode_plan(result.lines)
        ),
        plan=result.lines,
    )
    draft.put(msgspec.structs.replace(past, status="past"))
    draft.put(applied.row)
    draft.stage(None)
    draft.adopt(applied, sheets)
    for number in gone:
        draft.delete(Deleted(kind=SheetRow, run_id=state.run.run_id, key=number))
    draft.run(
        revision=applied.row.revision,
        description=applied.score.description,
        config_file=applied.row.config_file,
        staged_revision=None,
        staged_hold=None,
        next_uid=uid,
    )
    judge_budget(draft)
    draft.note("revision.applied", f"revision {applied.row.revision} is in force")
