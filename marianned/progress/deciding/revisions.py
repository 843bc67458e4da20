"""A job's next score: what would become of each sheet, and bringing that about.

`modify --plan`, the plan that is stored and what is done at last come from the same function, so what
was shown is what is done. Source: docs/design/control.md §5.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from marianned import lifecycle
from marianned.formatting import sheet_list
from marianned.lifecycle import Action
from marianned.progress.deciding import rounds
from marianned.progress.deciding.breakpoints import (
    rearm_breakpoints,
    removed_breakpoint_names,
    rename_breakpoint_holds,
)
from marianned.progress.deciding.draft import DecisionDraft
from marianned.progress.deciding.hooks import revise_hooks, rewind_hooks
from marianned.progress.deciding.limits import with_live_limits
from marianned.progress.deciding.past_sheets import (
    SheetOrigins,
    done_as,
    fingerprint,
    forget_dependents,
    loop_uids_then,
    origins,
    remember_done,
    uids_of,
    with_needs,
    with_unchanged_again,
)
from marianned.progress.state.fresh import fresh, fresh_beside_attempt
from marianned.progress.state.run import ALL_HOOKS, DONE, RunState, ScoreVersion
from marianned.progress.state.selection import select
from marianned.progress.state.triggers import JobRequest
from marianned.protocol import ENDED, JobStatus, LoopState, PlanAction, PlanLine, RevisionStatus, SheetStatus
from marianned.rows import BreakpointRow, Deleted, PastSheetRow, RevisionRow, SheetRow
from marianned.score import plan as planner
from marianned.score.expanded import ExpandedScore, LoopDefinition
from marianned.score.expanded import SheetDefinition as Definition

CHANGED = "changed"
"""Names, in the place of sheets, those that are completed though their definition has changed."""
HOOKS = "hooks"
"""Names, in the place of sheets, the hooks alone."""


def plan_version(
    state: RunState,
    version: ScoreVersion,
    rerun: Collection[int] = (),
    *,
    anew: bool = True,
    alone: bool = False,
    where: SheetOrigins | None = None,
) -> planner.RevisionPlan:
    """Return what would become of each sheet under this version, once the job goes on.

    `rerun` are uids that run again, with what depends on them or `alone`; `anew`: what has failed begins
    anew, which it does under each new revision and after a resume of what failed; `where` its sheets come
    from, if that is known already.

    The planner compares the two scores and knows nothing of this run but how each old sheet stands. What
    only the run knows is laid over its lines, in this order: what stood as something else and is again what
    it was done as, breakpoints that move or go, limits of what is in flight, sheets that run again with all
    that depends on them (in the new score's needs), failed sheets that stay as they are, rounds to come.
    Numbers of sheets differ between the revisions: uids and old numbers come in, new numbers go through.
    """
    values = _values_that_differ(state.current.row, version.row)
    where = where or origins(state, version.score)
    judged_again = _sheets_judged_again(state, version.score, where)
    standing = {
        number: planner.SheetProgress(
            status=row.status,
            in_flight=row.uid in state.attempts or row.uid in state.skips,
            begun=row.attempts > 0 or row.judged,
            parked=row.uid in state.parked,
            moved=row.fallback > 0,
            judged_again=number in judged_again,
        )
        for number, row in state.sheets.items()
    }
    matched, returned = where
    back = {
        number: planner.RestoredSheet(past.row.status, past.row.revision) for number, past in returned.items()
    }
    result = planner.plan_revision(
        state.score, version.score, matched, standing, state.run.revision, values, back
    )
    lines = with_unchanged_again(state, version.score, result.lines, where)
    lines = with_live_limits(state, version.score, _with_breakpoints(state, lines))
    new_number = {old: new for new, old in result.matched.items()}
    asked = {new_number[row.sheet] for row in _rows_of(state, rerun) if row.sheet in new_number}
    asked |= {number for number, past in returned.items() if past.uid in rerun}
    below_asked = with_dependents(version.score, asked)
    again = asked if alone else below_asked
    parked = {new_number[row.sheet] for row in _rows_of(state, state.parked) if row.sheet in new_number}
    lines = _with_rerun(lines, asked, again, parked)
    if alone:
        lines = _with_kept(lines, asked, below_asked - asked)
    if not anew:
        lines = _with_failed(version.score, lines, again)
    loops = _loops_to_come(state, version.score, lines, where)
    anew_rounds = rounds.restarted_loop_notes(state, loops, uids_of(state, where))
    lines = _with_rounds(state, lines, loops, () if alone else again)
    return msgspec.structs.replace(result, lines=lines, rounds=anew_rounds)


def _sheets_judged_again(state: RunState, score: ExpandedScore, where: SheetOrigins) -> set[int]:
    """Return the sheets that only the judgement of their loop has failed, where another loop is to judge it.

    It is another where it asks for something else, or may go round more often. Source:
    docs/reference/score-format.md §29.4.
    """
    failed = [
        one
        for one in state.loops
        if any(rounds.failed_by_judgement(state.sheets[end]) for end in one.loop.ends)
    ]
    uids = uids_of(state, where) if failed else {}
    new = {uids.get(loop.ends[0]): loop for loop in score.loops}
    return {
        end
        for one in failed
        if one.row.uid in new
        and rounds.judgement_inputs(new[one.row.uid]) != rounds.judgement_inputs(one.loop)
        for end in one.loop.ends
        if rounds.failed_by_judgement(state.sheets[end])
    }


def _values_that_differ(old: RevisionRow, new: RevisionRow) -> list[str]:
    """Name the variables whose values are all that differs; none where the score is another."""
    if (old.text, old.files) != (new.text, new.files):
        return []
    return [name for name in new.variables if new.variables[name] != old.variables.get(name)]


def is_new(state: RunState, version: ScoreVersion) -> bool:
    """Tell whether a version's text, files or values differ from those of the newest revision."""
    return version.row.sha256 != state.newest.row.sha256


def uids_to_rerun(state: RunState, version: ScoreVersion, asked_for: Collection[int]) -> list[int]:
    """Return the uids that run again: a new score takes the place of all that waits, the newest joins it."""
    waiting = [] if is_new(state, version) else state.run.rewind
    return sorted({*asked_for, *waiting})


def resume_restarts_failed(state: RunState) -> bool:
    """Tell whether what has failed begins anew when the job goes on, without a revision that is new."""
    ended = lifecycle.status(state.facts) in ENDED
    only_failed = state.nothing_left and state.settling_context.failed
    return ended or state.staged is not None or state.settling_context.held_for_failure or only_failed


def _rows_of(state: RunState, uids: Iterable[int]) -> list[SheetRow]:
    return [row for uid in uids if (row := state.sheet_of(uid)) is not None]


def _with_breakpoints(state: RunState, lines: list[PlanLine]) -> list[PlanLine]:
    """Say of a sheet that is removed, or moves, that its breakpoint does so too."""
    standing = {row.sheet for row in _rows_of(state, state.breakpoints)}
    said: list[PlanLine] = []
    for line in lines:
        if line.old_sheet in standing and line.action == PlanAction.REMOVED:
            said.append(msgspec.structs.replace(line, why=f"{line.why}, its breakpoint too"))
        elif line.old_sheet in standing and line.old_sheet != line.sheet:
            moves = f"{line.why}; its breakpoint moves from sheet {line.old_sheet}"
            said.append(msgspec.structs.replace(line, why=moves))
        else:
            said.append(line)
    return said


def _with_rounds(
    state: RunState, lines: list[PlanLine], loops: Collection[rounds.UpcomingLoop], again: Collection[int]
) -> list[PlanLine]:
    """Say of sheets that are done in which rounds to come they run again, where their loop may go on.

    Of those that have failed the round is said in which they run again. A loop of which a sheet is in `again`
    begins with round 1.
    """
    follow: dict[int, tuple[int, LoopDefinition]] = {}
    plays: dict[int, int] = {}
    for told in loops:
        loop, row = told.loop, rounds.revised_loop_row(state, told)
        anew = not set(again).isdisjoint(loop.sheets)
        present = 1 if anew else row.round
        if anew or row.state == LoopState.OPEN:
            plays |= dict.fromkeys(loop.sheets, present)
        if (anew or row.state == LoopState.OPEN) and present < loop.rounds:
            follow |= dict.fromkeys(loop.sheets, (present + 1, loop))
    said: list[PlanLine] = []
    for line in lines:
        if line.sheet in follow and _is_played(line) and not line.runs:
            said.append(_runs_again(line, *follow[line.sheet]))
        elif line.sheet in plays and line.runs and line.reasons == planner.FAILED:
            said.append(msgspec.structs.replace(line, why=f"{line.why} in round {plays[line.sheet]}"))
        else:
            said.append(line)
    return said


def _loops_to_come(
    state: RunState, score: ExpandedScore, lines: list[PlanLine], where: SheetOrigins
) -> list[rounds.UpcomingLoop]:
    uids, once = uids_of(state, where), loop_uids_then(state, score)
    played = {line.sheet for line in lines if line.sheet and _is_played(line)}
    return [
        rounds.UpcomingLoop(
            loop, uids.get(loop.ends[0], 0), once.get(loop.ends[0], 0), played.issuperset(loop.sheets)
        )
        for loop in score.loops
    ]


def _is_played(line: PlanLine) -> bool:
    """Tell whether a sheet has played its round, whatever has been made of it."""
    return line.status in DONE or line.reasons == planner.JUDGED


def _runs_again(line: PlanLine, first: int, loop: LoopDefinition) -> PlanLine:
    if not loop.exact:
        said = f"round {first} if there is one"
    else:
        said = f"round {first}" if first == loop.rounds else f"rounds {first}-{loop.rounds}"
    return msgspec.structs.replace(
        line,
        why=f"{line.why}; runs again in {said}",
        rounds=[first, loop.rounds],
        rounds_sure=loop.exact,
    )


def _with_failed(score: ExpandedScore, lines: list[PlanLine], again: Collection[int]) -> list[PlanLine]:
    """Say of failed sheets that stay as they are that they do, and of what they keep from starting."""
    stay = {line.sheet for line in lines if line.sheet and line.status == SheetStatus.FAILED}.difference(
        again
    )
    blocked = with_dependents(score, stay) if stay and not score.parallel.fail_fast else None
    said: list[PlanLine] = []
    for line in lines:
        if line.sheet in stay:
            kept = {"action": PlanAction.KEPT, "runs": False, "why": "failed, stays", "reasons": []}
            said.append(msgspec.structs.replace(line, **kept))
        elif stay and line.runs and (blocked is None or line.sheet in blocked):
            why = f"{line.why}; not while {sheet_list(stay)} stays failed"
            said.append(msgspec.structs.replace(line, runs=False, why=why))
        else:
            said.append(line)
    return said


def _with_rerun(
    lines: list[PlanLine], asked: Collection[int], again: Collection[int], parked: Collection[int]
) -> list[PlanLine]:
    """Mark the sheets that were asked for and all that depend on them: done, or in flight, and run again.

    Those in `parked` have an attempt that has succeeded, and lose it.
    """
    marked: list[PlanLine] = []
    for line in lines:
        if line.sheet in again and (_is_played(line) or line.sheet in parked):
            why = "asked for" if line.sheet in asked else f"depends on {sheet_list(asked)}"
            why += planner.THROWN_AWAY if line.sheet in parked else ""
            reasons = ["asked" if line.sheet in asked else "upstream"]
            changed = {"action": PlanAction.RERUN, "runs": True, "why": why, "reasons": reasons}
            marked.append(msgspec.structs.replace(line, **changed))
        elif line.sheet in again and line.action == PlanAction.IN_FLIGHT:
            marked.append(msgspec.structs.replace(line, runs=True, why=f"{line.why}, then runs again"))
        else:
            marked.append(line)
    return marked


def _with_kept(lines: list[PlanLine], asked: Collection[int], dependents: Collection[int]) -> list[PlanLine]:
    """Say of what depends on sheets that run again alone, and is done, that it stays as it is."""
    kept = {"action": PlanAction.KEPT, "runs": False, "why": f"though {sheet_list(asked)} ran again"}
    return [
        msgspec.structs.replace(line, **kept) if line.sheet in dependents and line.status in DONE else line
        for line in lines
    ]


def with_dependents(score: ExpandedScore, sheets: Iterable[int]) -> set[int]:
    """Return these sheets and all that depend on them, directly or not."""
    dependents: dict[int, list[int]] = {}
    for sheet, needs in enumerate(score.awaited_sheets(), 1):
        for need in needs:
            dependents.setdefault(need, []).append(sheet)
    found = set(sheets)
    stack = list(found)
    while stack:
        more = [sheet for sheet in dependents.get(stack.pop(), ()) if sheet not in found]
        found.update(more)
        stack.extend(more)
    return found


def uids_asked_for(state: RunState, version: ScoreVersion, ask: JobRequest) -> list[int]:
    """Return the uids of what a request wants to run again; `version` is the revision that would count.

    `changed` are those that are completed and have another definition under this version than the one they
    completed under, however many revisions ago. Beside a new score numbers are those of its sheets, else
    those of the revision in force.

    Raises:
        BadRequest: there is no such sheet.
    """
    sheets = ask.sheets
    if sheets is None or ask.action is Action.BREAK:
        return []
    if sheets == CHANGED:
        return list(changed_sheets(state, version).values())
    if sheets == HOOKS:
        return [ALL_HOOKS]
    if ask.proposal is None:
        return [state.sheets[number].uid for number in select(sheets, state.score)]
    return _uids_named(state, version.score, select(sheets, version.score))


def _uids_named(state: RunState, new: ExpandedScore, numbers: Collection[int]) -> list[int]:
    """Return the uids of sheets of a new score; of one that is new, of those that depend on it."""
    uids = uids_of(state, origins(state, new))
    added = [number for number in numbers if number not in uids]
    wanted = {*numbers, *(with_dependents(new, added) if added else ())}
    return sorted(uids[number] for number in wanted if number in uids)


def changed_sheets(state: RunState, version: ScoreVersion) -> dict[int, int]:
    """Return the uids, by number in this version, of done sheets that changed, see `uids_asked_for`."""
    where = origins(state, version.score)
    plan = plan_version(state, version, where=where)
    uids = uids_of(state, where)
    found: dict[int, int] = {}
    for sheet in version.score.sheets:
        back = where.back.get(sheet.sheet)
        row = back.row if back else state.sheet_of(uids.get(sheet.sheet, 0))
        if row is None or row.status != SheetStatus.COMPLETED:
            continue
        if sheet.sheet in plan.spaced and row.definition == done_as(state, row.sheet)["definition"]:
            continue
        definition = fingerprint(sheet, (uids.get(need) for need in sheet.needs))
        if row.definition != definition:
            found[sheet.sheet] = row.uid
    return found


def apply_rewind(draft: DecisionDraft) -> None:
    """Bring the sheets that are to run again, and all that depend on them, back to the beginning."""
    state = draft.state
    rows = _rows_of(state, state.run.rewind)
    if not state.run.rewind:
        return
    draft.update_run(rewind=[], staged_hold=None)
    named = {row.sheet for row in rows}
    again = sorted(with_dependents(state.score, named))
    for number in again:
        row = state.sheets[number]
        draft.close_parked([row.uid])
        if row != _reset_row(state, row):
            draft.put(_reset_row(state, row))
    forget_dependents(draft, [state.sheets[number].uid for number in again])
    rounds.restart_loops(draft, again)
    rearm_breakpoints(draft, [state.sheets[number].uid for number in again if number not in named])
    rewind_hooks(draft)
    verb = "runs" if len(again) == 1 else "run"
    draft.note("sheets.rewound", f"{sheet_list(again) if again else 'hooks'} {verb} again")


def rewind_alone(draft: DecisionDraft, uids: Collection[int]) -> None:
    """Bring these sheets alone back to the beginning: what depends on them stays, hooks and rounds too."""
    state = draft.state
    rows = _rows_of(state, uids)
    draft.close_parked([row.uid for row in rows])
    for row in rows:
        draft.put(_reset_row(state, row))
    verb = "runs" if len(rows) == 1 else "run"
    draft.note("sheets.rewound", f"{sheet_list(row.sheet for row in rows)} alone {verb} again")


def _reset_row(state: RunState, row: SheetRow, *, beside_attempt: bool = False) -> SheetRow:
    """Return a sheet at its beginning; in a cancelled job it is shown as cancelled until a resume."""
    begun = fresh_beside_attempt(row) if beside_attempt else fresh(row)
    if state.run.ended != JobStatus.CANCELLED or row.status != SheetStatus.CANCELLED:
        return begun
    return msgspec.structs.replace(begun, status=row.status, ended_at=row.ended_at)


def encode_plan(lines: list[PlanLine]) -> bytes:
    """Encode the lines of a plan as they are stored."""
    return msgspec.json.encode(lines)


def stage_revision(draft: DecisionDraft, version: ScoreVersion, hold: int | None) -> None:
    """Let a version wait to be applied; `hold` is the one its modify brought."""
    draft.put(version.row)
    draft.stage(version)
    draft.update_run(
        last_revision=version.row.revision, staged_revision=version.row.revision, staged_hold=hold
    )


def _instrument_chain(sheet: Definition) -> list[tuple[object, ...]]:
    """Return what a sheet's place in its chain of instruments counts on."""
    return [
        (instrument, settings.get("model") or settings.get("cli_model"), settings.get("env"))
        for instrument, settings in sheet.instruments_in_turn
    ]


def _sheet_rows(
    state: RunState, score: ExpandedScore, result: planner.RevisionPlan, back: Mapping[int, PastSheetRow]
) -> tuple[list[SheetRow], int]:
    """Return the rows of a score's sheets, and the next uid that is free.

    Each sheet gets the row of the old one it is matched with (its uid, attempts and cost), or that of one
    which comes back; a fresh one where there is neither.
    """
    restarts = set(result.restarts)
    uids = uids_of(state, SheetOrigins(result.matched, dict(back)))
    sheets: list[SheetRow] = []
    uid = state.run.next_uid
    for definition in score.sheets:
        old = result.matched.get(definition.sheet)
        if definition.sheet in back:
            sheets.append(msgspec.structs.replace(back[definition.sheet].row, sheet=definition.sheet))
            continue
        if old is None:
            sheets.append(SheetRow(run_id=state.run.run_id, uid=uid, sheet=definition.sheet))
            uid += 1
            continue
        needs = [uids.get(need, 0) for need in definition.needs]
        spaced = definition.sheet in result.spaced
        spaced = spaced and state.sheets[old].definition == done_as(state, old)["definition"]
        row = with_needs(state, state.sheets[old], needs)
        row = msgspec.structs.replace(row, sheet=definition.sheet)
        if spaced:  # what it was done as says the same: later it is not taken for something else
            row = msgspec.structs.replace(row, definition=fingerprint(definition, needs))
        if definition.sheet in result.judged:
            row = rounds.before_judgement(row)
        if definition.sheet in restarts or definition.sheet in result.rechecks:
            row = _reset_row(state, row, beside_attempt=definition.sheet not in restarts)
        if _instrument_chain(state.score.sheets[old - 1]) != _instrument_chain(definition):
            row = msgspec.structs.replace(row, fallback=0)
        sheets.append(row)
    return sheets, uid


def _upcoming_loops(
    state: RunState, score: ExpandedScore, sheets: Sequence[SheetRow]
) -> list[rounds.UpcomingLoop]:
    """Return the loops of a score that has these sheets."""
    once = loop_uids_then(state, score)
    return [
        rounds.UpcomingLoop(
            loop,
            sheets[loop.ends[0] - 1].uid,
            once.get(loop.ends[0], 0),
            all(sheets[number - 1].status in DONE for number in loop.sheets),
        )
        for loop in score.loops
    ]


def apply_staged(draft: DecisionDraft) -> None:
    """Make the staged revision the one in force, its plan brought up to date with what has ended.

    The plan is made anew, for sheets may have ended since it was shown. The rows of sheets that are left
    over are deleted. Only then the rows go in all at once, with the version: `adopt` counts everything
    anew. Parked attempts of sheets that are gone or begin anew are closed, and hooks are matched before the
    old score is out of reach.
    """
    staged = draft.state.staged
    if staged is None:
        return
    state = draft.state
    where = origins(state, staged.score)
    result = plan_version(state, staged, state.run.rewind, where=where)
    restarts = set(result.restarts)
    back = where.back
    sheets, next_uid = _sheet_rows(state, staged.score, result, back)
    kept = {row.uid for row in sheets}
    gone = [row.uid for row in state.sheets.values() if row.uid not in kept]
    draft.close_parked([*gone, *(row.uid for row in sheets if row.sheet in restarts)])
    loops = _upcoming_loops(state, staged.score, sheets)
    anew = rounds.restarted_loop_notes(state, loops, {row.sheet: row.uid for row in sheets})
    remember_done(draft, gone)
    for one in back.values():
        draft.delete(Deleted(kind=PastSheetRow, run_id=one.run_id, key=one.uid))
    rounds.revise_loops(draft, loops)
    for number in set(gone).intersection(state.breakpoints.keys() | state.passed.keys()):
        draft.delete(Deleted(kind=BreakpointRow, run_id=state.run.run_id, key=number))
    stood_before = removed_breakpoint_names(state, gone)
    past = state.current.row
    applied = msgspec.structs.replace(
        staged,
        row=msgspec.structs.replace(
            staged.row, status=RevisionStatus.CURRENT, applied_at=draft.now.at, plan=encode_plan(result.lines)
        ),
        plan=result.lines,
    )
    draft.put(msgspec.structs.replace(past, status=RevisionStatus.PAST))
    draft.put(applied.row)
    draft.stage(None)
    revise_hooks(draft, applied.score)
    draft.adopt(applied, sheets)
    for number in gone:
        draft.delete(Deleted(kind=SheetRow, run_id=state.run.run_id, key=number))
    draft.update_run(
        revision=applied.row.revision,
        description=applied.score.description,
        labels=list(dict.fromkeys([*applied.score.labels, *state.run.given_labels])),
        config_file=applied.row.config_file,
        staged_revision=None,
        staged_hold=None,
        next_uid=next_uid,
    )
    rename_breakpoint_holds(draft, stood_before)
    draft.note("revision.applied", "; ".join([f"revision {applied.row.revision} is in force", *anew]))
