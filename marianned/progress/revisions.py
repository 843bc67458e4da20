"""A job's next score: what would become of each sheet, and bringing that about.

`modify --plan`, the plan that is stored and what is done at last come from the same function, so what
was shown is what is done. Source: design/control.md §5.
"""

import msgspec

from marianned.progress.draft import Draft
from marianned.progress.state import JobState, Version
from marianned.protocol import PlanLine
from marianned.rows import Deleted, SheetRow
from marianned.score import plan as planner

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
}
"""What a sheet has that returns to the beginning; its attempts stay in history."""


def planned(state: JobState, version: Version) -> planner.Planned:
    """Return what would become of each sheet under this version."""
    standing = {
        number: planner.Standing(
            status=row.status, in_flight=row.uid in state.attempts, attempts=row.attempts
        )
        for number, row in state.sheets.items()
    }
    return planner.plan(state.score, version.score, standing, state.run.revision)


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
    result = planned(state, staged)
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
    draft.note("revision.applied", f"revision {applied.row.revision} is in force")
