"""What happens to the hooks of a run: they wait, start, end, chain, are set back, and follow a new revision.

A hook is like an attempt, its row first; but one that is lost has failed, and is never repeated by itself.
Those of a failure run once for each end `failed`, in a job that has ended.
Source: docs/reference/score-format.md §20 and §28.8, docs/design/control.md §6,
docs/design/durability.md "One supervisor for whatever runs".
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from marianned import lifecycle
from marianned.clock import Instant
from marianned.formatting import duration
from marianned.progress.deciding.draft import DecisionDraft
from marianned.progress.state.hook_queue import is_kept
from marianned.progress.state.run import RunState
from marianned.progress.state.triggers import ChainedJobEnded, ChainedJobsReady, HookEnded, HookWarned
from marianned.protocol import HookLine, HookStatus, JobStatus, Outcome, PlanAction, WaitingFor
from marianned.rows import Deleted, HookRow, PastHook, facts_of_end
from marianned.score.expanded import ExpandedScore, HookDefinition

_SUBMIT_SECONDS = 60.0
"""How long checking and submitting a job is told to take at most."""


# --- starting ------------------------------------------------------------------------------------------


def start_hook(draft: DecisionDraft) -> None:
    """Start the hook whose turn it is, or let it wait for its cool-down; what waits has begun."""
    state = draft.state
    row = state.hook_queue.current
    if row is None or row.status == HookStatus.RUNNING or not lifecycle.may_start_hook(draft.facts):
        return
    if has_just_failed(draft):
        return
    if row.status == HookStatus.PENDING and state.hook_queue.needs_cooldown(row):
        seconds = state.score.concert.cooldown_seconds
        until = draft.now.plus(round(seconds * 1000))
        row = draft.update_hook(row, status=HookStatus.WAITING, waiting_for=WaitingFor.COOLDOWN, until=until)
        draft.note_wait(row, f"waits {duration(seconds)} (cool-down)")
    if row.status == HookStatus.WAITING and not is_kept(row):
        if not state.run.begun:
            draft.update_run(begun=True)
    elif draft.slots > draft.slots_used:
        _start_attempt(draft, row)


def _start_attempt(draft: DecisionDraft, row: HookRow) -> None:
    definition = draft.state.hook_definition(row.hook)
    limit = _SUBMIT_SECONDS if definition.starts_job else definition.timeout_seconds or _SUBMIT_SECONDS
    started = draft.update_hook(
        row.with_attempt(draft.state.run.next_hook_attempt, draft.state.incarnation),
        status=HookStatus.RUNNING,
        waiting_for=None,
        term_sent=False,
        outcome=None,
        error_message=None,
        revision=draft.state.run.revision,
        started_at=draft.now.at,
        time_limit_at=draft.now.at + round(limit * 1000),
        ended_at=None,
    )
    draft.hook_start = started
    draft.update_run(begun=True, next_hook_attempt=started.flight + 1)
    said = (
        "submits what was kept for the end"
        if row.pending_revision is not None
        else f"starts ({definition.label})"
    )
    draft.note_hook("hook.started", started, said, time_limit_at=started.time_limit_at)


# --- ending --------------------------------------------------------------------------------------------


def hook_ended(draft: DecisionDraft, ending: HookEnded) -> None:
    """Close a hook's attempt; a record of a closed one is noted and ignored."""
    row = _running_hook(draft, ending.hook, ending.flight)
    if row is None:
        draft.note("hook.ignored", f"a record of hook {ending.hook} came late; it is closed already")
        return
    for text in ending.warnings:
        draft.note_hook("hook.warned", row, text)
    told = ending.outcome is Outcome.LOST and ending.asked and row.term_sent
    if told or ending.outcome is Outcome.INTERRUPTED:
        _handle_interruption(draft, row)
    elif ending.pending_revision is not None:
        row = draft.update_hook(
            row,
            status=HookStatus.WAITING,
            waiting_for=WaitingFor.END,
            pending_revision=ending.pending_revision,
        )
        draft.note_wait(row, "its job is kept, and submitted when this one ends")
    else:
        _close_attempt(draft, row.overlaid(ending.exit), ending.outcome, ending.message)


def hook_warned(draft: DecisionDraft, warned: HookWarned) -> None:
    """Note what is known of a hook that runs: who looks after it, what hinders its end from being known."""
    row = _running_hook(draft, warned.hook, warned.flight)
    if row is None:
        return
    if warned.pid is not None:
        row = draft.update_hook(row, pid=warned.pid)
    for text in warned.texts:
        draft.note_hook("hook.warned", row, text)


def _running_hook(draft: DecisionDraft, hook: int, flight: int) -> HookRow | None:
    row = draft.state.hook_rows.get(hook)
    return row if row is not None and row.status == HookStatus.RUNNING and row.flight == flight else None


def _handle_interruption(draft: DecisionDraft, row: HookRow) -> None:
    if row.after_failure and not draft.state.run.failing:
        cut = {"outcome": Outcome.INTERRUPTED, "ended_at": draft.now.at}
        row = draft.update_hook(row, status=HookStatus.CANCELLED, **cut)
        draft.note_hook("hook.interrupted", row, "interrupted, it was cancelled", **facts_of_end(row))
        return
    again = (
        {"status": HookStatus.PENDING}
        if row.pending_revision is None
        else {"status": HookStatus.WAITING, "waiting_for": WaitingFor.END}
    )
    row = draft.update_hook(row, **again, outcome=Outcome.INTERRUPTED, ended_at=draft.now.at)
    draft.note_hook("hook.interrupted", row, "interrupted, it runs again", **facts_of_end(row))


def _close_attempt(
    draft: DecisionDraft, row: HookRow, outcome: Outcome, message: str | None, **changed: Any
) -> None:
    status = HookStatus.COMPLETED if outcome is Outcome.SUCCEEDED else HookStatus.FAILED
    closed = {
        "status": status,
        "waiting_for": None,
        "until": None,
        "ended_at": draft.now.at,
        "pending_revision": None,
    }
    ended = draft.update_hook(row, **closed, outcome=outcome, error_message=message, **changed)
    draft.hooks_ended.append(ended)
    kind, cause = ("hook.completed", None) if status == HookStatus.COMPLETED else ("hook.failed", outcome)
    draft.note_hook(kind, ended, message or status, cause=cause, **facts_of_end(ended))


def accept_chained(draft: DecisionDraft, trigger: ChainedJobsReady) -> bool:
    """Take jobs over that hooks submit; tell whether that is so: their rows go into its transaction.

    What was kept is submitted by the end of this job alone: where it does not end, it is kept on.
    """
    row = _running_hook(draft, trigger.hook, trigger.flight)
    if row is None:
        return False
    if row.after_failure:
        return _close_submitted(draft, row, trigger)
    if row.pending_revision is None:
        _await_chained(draft, row, trigger)
        return True
    if draft.facts.staged or draft.facts.cancelling:
        row = draft.update_hook(row, status=HookStatus.WAITING, waiting_for=WaitingFor.END)
        draft.note_wait(row, "its job is kept on, this one does not end yet")
        return False
    for kept in [row, *(other for other in draft.state.hooks if is_kept(other))]:
        if kept.hook in trigger.started:
            address = trigger.started[kept.hook]
            _close_attempt(draft, kept, Outcome.SUCCEEDED, f"submitted {address}", chained=address)
        else:
            _close_attempt(draft, kept, Outcome.REFUSED, trigger.refused[kept.hook])
    return True


def _close_submitted(draft: DecisionDraft, row: HookRow, trigger: ChainedJobsReady) -> bool:
    """Close a hook of a failure, whose job nobody waits for; a run that goes on again is not replaced."""
    address, own = trigger.started[row.hook], draft.state.run.job_name
    if draft.facts.ended is None and address.rpartition("@")[0] == own:
        _close_attempt(draft, row, Outcome.FAILED, f"'{own}' goes on again; no other run of it is submitted")
        return False
    _close_attempt(draft, row, Outcome.SUCCEEDED, f"submitted {address}", chained=address)
    return True


def _await_chained(draft: DecisionDraft, row: HookRow, trigger: ChainedJobsReady) -> None:
    address = trigger.started[row.hook]
    seconds = draft.state.hook_definition(row.hook).timeout_seconds
    until = None if seconds is None else draft.now.plus(round(seconds * 1000))
    row = draft.update_hook(
        row, status=HookStatus.WAITING, waiting_for=WaitingFor.JOB, until=until, chained=address
    )
    draft.note_wait(row, f"submitted {address}, and waits for its end")


def chained_job_ended(draft: DecisionDraft, trigger: ChainedJobEnded) -> None:
    """Take over how a job ended that a hook waits for."""
    row = draft.state.hook_rows.get(trigger.hook)
    if row is None or row.chained != trigger.chained or row.waiting_for != WaitingFor.JOB:
        return
    if trigger.status is JobStatus.COMPLETED:
        _close_attempt(draft, row, Outcome.SUCCEEDED, f"{trigger.chained} has completed")
    else:
        ended = "is not known any more" if trigger.status is None else f"ended {trigger.status}"
        _close_attempt(draft, row, Outcome.FAILED, f"{trigger.chained} {ended}")


# --- waiting -------------------------------------------------------------------------------------------


def end_hook_waits(draft: DecisionDraft) -> bool:
    """End a cool-down that is over, and a wait for a job that is too long; tell whether one was."""
    over = [
        row for row in _timed_hooks(draft.state) if row.until is not None and draft.now.reached(row.until)
    ]
    for row in over:
        if row.waiting_for == WaitingFor.COOLDOWN:
            draft.update_hook(
                row, status=HookStatus.PENDING, waiting_for=None, until=None, cooldown_done=True
            )
        else:
            _close_attempt(draft, row, Outcome.TIMED_OUT, f"{row.chained} has not ended in time; it goes on")
    return bool(over)


def hook_moments(state: RunState) -> list[Instant | None]:
    """Return when time itself ends the wait of a hook."""
    return [row.until for row in _timed_hooks(state)]


def resume_hook_waits(draft: DecisionDraft, paused_at: Instant) -> None:
    """Let a hook's wait last as long as it still had to last when the job became paused."""
    for row in _timed_hooks(draft.state):
        if row.until is not None and not paused_at.reached(row.until):
            draft.update_hook(row, until=draft.now.plus(paused_at.until(row.until)))


def _timed_hooks(state: RunState) -> list[HookRow]:
    return [row for row in state.hooks if row.status == HookStatus.WAITING and row.until is not None]


# --- beginning again -----------------------------------------------------------------------------------


def _fresh_row(row: HookRow) -> HookRow:
    return HookRow(
        run_id=row.run_id,
        hook=row.hook,
        after_failure=row.after_failure,
        attempt_ids=row.attempt_ids,
        incarnations=row.incarnations,
    )


def _retry_row(row: HookRow) -> HookRow:
    """Return a hook that has failed, to be tried again; the run that it has submitted is looked at first."""
    if row.chained is None:
        return _fresh_row(row)
    return msgspec.structs.replace(
        _fresh_row(row), chained=row.chained, cooldown_done=row.cooldown_done, pause_passed=row.pause_passed
    )


def reset_hooks(draft: DecisionDraft) -> None:
    """Let what has failed run again, and what was cancelled go on where it stood."""
    for row in draft.state.success_hooks:
        if row.status == HookStatus.FAILED:
            draft.put(_retry_row(row))
        elif row.status == HookStatus.CANCELLED and row.pending_revision is not None:
            draft.update_hook(row, status=HookStatus.WAITING, waiting_for=WaitingFor.END)
        elif row.status == HookStatus.CANCELLED:
            draft.update_hook(row, status=HookStatus.PENDING)


def cancel_hooks(draft: DecisionDraft) -> None:
    """Mark what the run had still to do; a job that was started is not touched."""
    for row in draft.state.success_hooks:
        if row.status in (HookStatus.PENDING, HookStatus.WAITING):
            draft.update_hook(row, status=HookStatus.CANCELLED, waiting_for=None, until=None)


# --- of a failure --------------------------------------------------------------------------------------


def has_just_failed(draft: DecisionDraft) -> bool:
    """Tell whether the job fails in this very commit: hooks of that failure run after it."""
    return draft.facts.ended is not None and not draft.had_ended


def begin_failure_hooks(draft: DecisionDraft) -> None:
    """Let the hooks of a failure run: the job has ended failed in this very commit."""
    if draft.state.failure_hooks:
        draft.update_run(failing=True)


def end_failure_hooks(draft: DecisionDraft) -> None:
    """Give up those that have not ended: what is in flight of them is to be ended, the others don't start."""
    for row in draft.state.failure_hooks:
        if row.status == HookStatus.RUNNING:
            draft.hook_interrupt = row if row.term_sent else draft.update_hook(row, term_sent=True)
        elif row.status in (HookStatus.PENDING, HookStatus.WAITING):
            draft.update_hook(row, status=HookStatus.CANCELLED, waiting_for=None, until=None)
    draft.update_run(failing=False)


def settle_failure_hooks(draft: DecisionDraft) -> None:
    """Note that all hooks of the failure have had their turn; in a job that goes on they are set back."""
    state = draft.state
    if state.damaged is not None:
        return
    if state.run.failing and state.hook_queue.current is None:
        draft.update_run(failing=False)
    if not state.score.failure_hooks or state.run.ended is not None or state.failing:
        return
    for row in state.failure_hooks:
        if row != _fresh_row(row):
            draft.put(_fresh_row(row))


# --- under another score, or where sheets run again ----------------------------------------------------


def rewind_hooks(draft: DecisionDraft) -> None:
    """Set all hooks back, also those that are out of the score by now: their sheets run again."""
    draft.update_run(past_hooks=[])
    for row in draft.state.success_hooks:
        if row != _fresh_row(row):
            draft.put(_fresh_row(row))


def revise_hooks(draft: DecisionDraft, new: ExpandedScore) -> None:
    """Give each hook of a new score the place of the one that did the same; what has failed runs again.

    What a hook that goes has done stays known: it is not done again when a later score has it once more.

    Hooks have no names: one is known by what it does. Each new hook takes the row of the first old one that
    does the same and is not taken yet; then the row of one that an earlier revision took out
    (`past_hooks`). What is left over is remembered there, if it did something. So A, then B, then A again
    does not push twice, while a hook that stands twice in a score runs twice.
    """
    state = draft.state
    matched = _match_hooks(state.score.all_hooks, new.all_hooks)
    rows = {number: row for number, old in matched.items() if (row := state.hook_rows.get(old)) is not None}
    past = list(state.run.past_hooks)
    for number, known in _returning_hooks(state, new, matched).items():
        past.remove(known)
        rows[number] = known.row
    for old, row in state.hook_rows.items():
        if old not in matched.values() and (row.status == HookStatus.COMPLETED or row.chained is not None):
            past.append(PastHook(essence=_identity(state.hook_definition(old)), row=row))
    for number in [number for number in state.hook_rows if number not in rows]:
        draft.delete(Deleted(kind=HookRow, run_id=state.run.run_id, key=number))
    for number, row in rows.items():
        anew = row.status == HookStatus.FAILED and not row.after_failure
        draft.update_hook(_retry_row(row) if anew else row, hook=number)
    draft.update_run(past_hooks=past)


def _returning_hooks(state: RunState, new: ExpandedScore, matched: Mapping[int, int]) -> dict[int, PastHook]:
    """Return, by new number, what hooks did before that come back."""
    free = list(state.run.past_hooks)
    found: dict[int, PastHook] = {}
    for number, hook in enumerate(new.all_hooks, 1):
        known = next((past for past in free if past.essence == _identity(hook)), None)
        if number not in matched and known is not None:
            free.remove(known)
            found[number] = known
    return found


def _identity(hook: HookDefinition) -> str:
    return hashlib.sha256(msgspec.json.encode(hook.identity)).hexdigest()


def _match_hooks(old: tuple[HookDefinition, ...], new: tuple[HookDefinition, ...]) -> dict[int, int]:
    """Return, by new number, the old number of each hook that does the same."""
    free = dict(enumerate(old, 1))
    matched: dict[int, int] = {}
    for number, hook in enumerate(new, 1):
        same = next((n for n, known in free.items() if known.identity == hook.identity), None)
        if same is not None:
            del free[same]
            matched[number] = same
    return matched


def planned_hooks(state: RunState, new: ExpandedScore, *, again: bool) -> list[HookLine]:
    """Tell what would become of each hook under a score; `again`: sheets run again, and so do all hooks."""
    matched = _match_hooks(state.score.all_hooks, new.all_hooks)
    rows = {row.hook: row for row in state.hooks}
    past = {number: known.row for number, known in _returning_hooks(state, new, matched).items()}
    lines = [
        _plan_line(
            number,
            hook,
            rows.get(matched.get(number, 0), past.get(number)),
            again=again,
            failing=state.failing,
        )
        for number, hook in enumerate(new.all_hooks, 1)
    ]
    gone = [row for row in rows.values() if row.hook not in matched.values()]
    return lines + [
        HookLine(
            hook=row.hook,
            label=state.hook_definition(row.hook).label,
            status=row.status,
            action=PlanAction.REMOVED,
            runs=False,
            why="it is gone",
            after_failure=row.after_failure,
        )
        for row in gone
    ]


_HAD_THEIR_TURN = (HookStatus.COMPLETED, HookStatus.FAILED, HookStatus.CANCELLED)


def _plan_line(
    number: int, hook: HookDefinition, row: HookRow | None, *, again: bool, failing: bool
) -> HookLine:
    done = row is not None and row.status == HookStatus.COMPLETED
    action, runs, why = (
        PlanAction.KEPT,
        not done,
        "has succeeded, it is not repeated" if done else "as before",
    )
    if hook.after_failure:
        action = PlanAction.KEPT if row is not None else PlanAction.ADDED
        runs = failing and (row is None or row.status not in _HAD_THEIR_TURN)
        why = "is one of the failure, and runs first" if runs else "runs if the job fails"
    elif row is None:
        action, why = PlanAction.ADDED, "it is new"
    elif again and done:
        action, runs, why = PlanAction.RERUN, True, "sheets run again, all hooks do"
    return HookLine(
        hook=number,
        label=hook.label,
        status=row.status if row else None,
        action=action,
        runs=runs,
        why=why,
        after_failure=hook.after_failure,
    )
