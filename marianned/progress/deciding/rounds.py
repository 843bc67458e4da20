"""The rounds of a loop: asking its `until`, and what the answer leads to, in one commit.

The question is due by the facts: all sheets of the span are done and the round is not judged. It is in
flight like skip rules, and may be asked again.
Source: docs/reference/score-format.md §29, docs/design/control.md §3.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import msgspec

from marianned import lifecycle
from marianned.progress.deciding.breakpoints import drop_passed_breakpoints, rearm_breakpoints
from marianned.progress.deciding.draft import DecisionDraft
from marianned.progress.deciding.outcomes import fail_sheet
from marianned.progress.deciding.past_sheets import forget_dependents
from marianned.progress.state.fresh import FRESH
from marianned.progress.state.loops import TrackedLoop
from marianned.progress.state.run import DONE, RunState
from marianned.progress.state.triggers import UntilJudged
from marianned.protocol import ErrorCategory, LoopState, SheetStatus
from marianned.rows import LoopRow, SheetRow
from marianned.score.expanded import LoopDefinition

_UNANSWERED = "until has no answer: "


def failed_by_judgement(row: SheetRow) -> bool:
    """Tell whether only the judgement of its loop has failed a sheet: it has played its round."""
    has_none = row.error_category == ErrorCategory.CONFIG and (row.error_message or "").startswith(
        _UNANSWERED
    )
    return row.status == SheetStatus.FAILED and (row.error_category == ErrorCategory.ROUNDS or has_none)


def before_judgement(row: SheetRow) -> SheetRow:
    """Return a sheet as it was before the judgement failed it."""
    return msgspec.structs.replace(row, status=SheetStatus.COMPLETED, error_category=None, error_message=None)


def judgement_inputs(loop: LoopDefinition) -> tuple[object, ...]:
    """Return what the judgement of a loop's rounds depends on."""
    return loop.until, loop.rounds, loop.exact, loop.exhausted


def ask_loops(draft: DecisionDraft) -> None:
    """Ask whether rounds that are over were the last, as far as slots reach."""
    for one in draft.state.due_loops:
        if not lifecycle.may_start(draft.facts) or draft.slots <= draft.slots_used:
            return
        asked = msgspec.structs.replace(
            one.row, asking=True, revision=draft.state.run.revision, started_at=draft.now.at
        )
        draft.put(asked)
        draft.asks.append(asked)
        draft.update_run(begun=True)
        draft.note("loop.asked", f"loop {one.loop.span}: round {asked.round} is judged")


def until_judged(draft: DecisionDraft, said: UntilJudged) -> None:
    """Begin the next round, or close the loop; an answer that comes too late is dropped, and asked again."""
    state = draft.state
    row = state.loops.rows.get(said.uid)
    if row is None or not row.asking:
        return
    row = msgspec.structs.replace(row, asking=False)
    draft.put(row)
    one = state.loops.identified_by(said.uid)
    stale = draft.facts.staged or draft.facts.cancelling or one is None or said.round != row.round
    if stale or one is None or (said.holds is None and said.fault is None):
        return
    if said.fault is not None:
        _fail_loop(draft, one, ErrorCategory.CONFIG, f"{_UNANSWERED}{said.fault}")
    elif _is_last_round(state, one, said):
        _close_loop(draft, one, f"is closed after round {row.round}")
    elif row.round < one.loop.rounds:
        _next_round(draft, one)
    elif one.loop.exhausted == "continue":
        _close_loop(draft, one, f"goes on without its until, after {one.loop.rounds} rounds")
    else:
        short = "its last stage does not go well" if one.loop.until is None else "its until does not hold"
        _fail_loop(draft, one, ErrorCategory.ROUNDS, f"{short} after round {row.round}")


def _is_last_round(state: RunState, one: TrackedLoop, said: UntilJudged) -> bool:
    """Tell whether this was the last round, by the score in force."""
    if one.loop.exact:
        return one.row.round >= one.loop.rounds
    return bool(said.holds) if one.loop.until is not None else ends_well(state, one.loop)


def ends_well(state: RunState, loop: LoopDefinition) -> bool:
    """Tell whether the last stage of a loop went well: all exit codes 0, all checks passed."""
    rows = [state.sheets[number] for number in loop.ends]
    return all(
        row.status == SheetStatus.SKIPPED
        or row.word is not None
        or (row.exit_code in (0, None) and row.validation_passed is not False)
        for row in rows
    )


def _next_round(draft: DecisionDraft, one: TrackedLoop) -> None:
    state, number = draft.state, one.row.round + 1
    draft.put(msgspec.structs.replace(one.row, round=number))
    for sheet in one.loop.sheets:
        row = state.sheets[sheet]
        draft.update_sheet(row, **FRESH | {"fallback": row.fallback, "cost_before": row.cost_usd or 0.0})
    uids = [state.sheets[sheet].uid for sheet in one.loop.sheets]
    forget_dependents(draft, uids, in_round=True)
    rearm_breakpoints(draft, uids)
    up_to = "" if one.loop.exact else "up to "
    said = f"loop {one.loop.span}: round {number} of {up_to}{one.loop.rounds} begins"
    draft.note("loop.round", said)


def _close_loop(draft: DecisionDraft, one: TrackedLoop, why: str) -> None:
    draft.put(msgspec.structs.replace(one.row, state=LoopState.CLOSED))
    drop_passed_breakpoints(draft, [draft.state.sheets[sheet].uid for sheet in one.loop.sheets])
    draft.note("loop.closed", f"loop {one.loop.span}: {why}")


def _fail_loop(draft: DecisionDraft, one: TrackedLoop, category: ErrorCategory, message: str) -> None:
    for sheet in one.loop.ends:
        fail_sheet(draft, draft.state.sheets[sheet], category, message)


def close_loops_by_marks(draft: DecisionDraft) -> None:
    """Close loops whose last stage is done by a person's word: its round is good, nothing is asked.

    It is so where one of its sheets was accepted, or all were skipped, and the others are done. It follows
    from the facts, not from an event: what the others do may come after the word.
    """
    for one in draft.state.loops:
        if one.is_open and not one.row.asking and (how := _verdict_of_people(draft.state, one.loop)):
            _close_loop(draft, one, f"is closed, its last stage was {how}")


def _verdict_of_people(state: RunState, loop: LoopDefinition) -> str | None:
    """Say what people have said of a loop's last stage; None: not enough of it to end the rounds."""
    rows = [state.sheets[number] for number in loop.ends]
    words = [row.status for row in rows if row.word is not None]
    if any(row.status not in DONE for row in rows):
        return None
    if SheetStatus.COMPLETED in words:
        return "accepted"
    return "skipped" if len(words) == len(rows) else None


def restart_loops(draft: DecisionDraft, again: Collection[int]) -> None:
    """Count from round 1 in loops of which sheets (by number) run again.

    Also in those that the score in force has no more, for they may come back: what runs again of their spans,
    or before them, is followed by the sheet that tells them, or led to it when that left.
    """
    state = draft.state
    uids = {state.sheets[number].uid for number in again}
    in_force = {one.row.uid for one in state.loops}
    for row in [row for row in state.loops.rows.values() if row.uid not in in_force]:
        if row.uid in uids or not uids.isdisjoint(row.needs):
            draft.put(msgspec.structs.replace(row, round=1, state=LoopState.REMOVED))
    for one in state.loops:
        if not set(again).isdisjoint(one.loop.sheets):
            draft.put(LoopRow(run_id=one.row.run_id, uid=one.row.uid))


class UpcomingLoop(NamedTuple):
    """A loop of a score to come.

    `uid` is the sheet that identifies it (0: a new one), `once` the one that did when the score was in force
    before (0: none did), `finished` whether all its sheets are done.
    """

    loop: LoopDefinition
    uid: int
    once: int
    finished: bool


def revise_loops(draft: DecisionDraft, loops: Collection[UpcomingLoop]) -> None:
    """Bring the loops of a new score in.

    Each is the one of before that has the same last stage, and its rounds stay. One that goes is closed; one
    that is put around finished sheets too.
    """
    state = draft.state
    before = {one.row.uid: one for one in state.loops}
    coming = {upcoming.uid for upcoming in loops}
    for one in [one for uid, one in before.items() if uid not in coming]:
        above = [state.sheets[number].uid for number in _needs_of(state, one.loop.ends)]
        over = LoopState.REMOVED if one.is_open else one.row.state
        draft.put(msgspec.structs.replace(one.row, state=over, needs=above))
    for upcoming in loops:
        if upcoming.uid not in before:
            draft.put(revised_loop_row(state, upcoming))


def _needs_of(state: RunState, ends: Sequence[int]) -> list[int]:
    """Return, by number, all that these sheets need, directly or not."""
    needs = state.score.awaited_sheets()
    found: set[int] = set()
    stack = list(ends)
    while stack:
        more = [need for need in needs[stack.pop() - 1] if need not in found]
        found.update(more)
        stack += more
    return sorted(found)


def revised_loop_row(state: RunState, upcoming: UpcomingLoop) -> LoopRow:
    """Return where a loop of a new score stands."""
    before = next((one.row for one in state.loops if one.row.uid == upcoming.uid), None)
    if before is not None:
        return before
    known = state.loops.rows.get(upcoming.uid) or state.loops.rows.get(upcoming.once)
    row = LoopRow(run_id=state.run.run_id, uid=upcoming.uid)
    if known is not None:
        row = msgspec.structs.replace(row, round=known.round, revision=known.revision)
    decided = upcoming.finished or (known is not None and known.state == LoopState.CLOSED)
    return msgspec.structs.replace(row, state=LoopState.CLOSED if decided else LoopState.OPEN)


def restarted_loop_notes(
    state: RunState, loops: Collection[UpcomingLoop], uids: Mapping[int, int]
) -> list[str]:
    """Say which loops of a new score begin with round 1, though a stage of theirs was in a later one.

    `uids` are the sheets of this run by their numbers in it.
    """
    rounds = {
        state.sheets[sheet].uid: one for one in state.loops if one.row.round > 1 for sheet in one.loop.sheets
    }
    said = []
    for upcoming in loops:
        row = revised_loop_row(state, upcoming)
        before = {
            one.loop.span: one.row.round for n in upcoming.loop.sheets if (one := rounds.get(uids.get(n, 0)))
        }
        if before and row.round == 1 and row.state == LoopState.OPEN:
            was = " and ".join(f"loop {span} in round {number}" for span, number in before.items())
            said.append(
                f"loop {upcoming.loop.span} counts from round 1, for its last stage is another; {was} is gone"
            )
    return said
