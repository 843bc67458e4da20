"""What a request does: its cell of the table, effect by effect.

A refused request changes nothing at all. Every accepted one leaves a line in the journal and, when it
waits or carries a key, a row that later commits answer. Source: docs/design/control.md §3-§6.
"""

from collections.abc import Callable

import msgspec

from marianned import formatting, lifecycle, masks
from marianned.errors import MarianneError, WrongStatus
from marianned.lifecycle import Action, Effect, Guard, Refusal, TransitionRule
from marianned.progress.deciding import limits
from marianned.progress.deciding.answers import planned_reply, remember_request
from marianned.progress.deciding.breakpoints import set_breakpoints
from marianned.progress.deciding.draft import DecisionDraft
from marianned.progress.deciding.holds import ends_by_itself, resume_waits
from marianned.progress.deciding.hooks import end_failure_hooks, planned_hooks, reset_hooks
from marianned.progress.deciding.marks import (
    apply_marks,
    describe_refused_loops,
    end_retry_waits,
    marks_of,
    not_waiting,
    plan_with_marks,
    starts_nothing,
    waiting_for_retry,
)
from marianned.progress.deciding.outcomes import wait_for_limits
from marianned.progress.deciding.revisions import (
    apply_rewind,
    apply_staged,
    changed_sheets,
    encode_plan,
    is_new,
    plan_version,
    resume_restarts_failed,
    rewind_alone,
    stage_revision,
    uids_asked_for,
    uids_to_rerun,
)
from marianned.progress.state.fresh import fresh, fresh_beside_attempt
from marianned.progress.state.run import ScoreVersion
from marianned.progress.state.triggers import JobRequest
from marianned.progress.views import messages
from marianned.protocol import HoldCause, JobStatus, Reply, RevisionStatus, SheetStatus

_LINES = {
    Action.PAUSE: ("hold.added", "pause asked"),
    Action.PAUSE_NOW: ("hold.added", "pause asked, now"),
    Action.BREAK: ("breakpoint.set", "breakpoint asked"),
    Action.RESUME_FROM: ("hold.released", "resume asked"),
    Action.RESUME: ("hold.released", "resume asked"),
    Action.RESUME_MARK: ("hold.released", "resume asked"),
    Action.MODIFY: ("revision.staged", "modify asked"),
    Action.MODIFY_RESUME: ("revision.staged", "modify and resume asked"),
    Action.DISCARD: ("revision.dropped", "staged revision taken back"),
    Action.CANCEL: ("cancel.asked", "cancel asked"),
    Action.RETRY: ("sheets.tried", "retry asked"),
}
"""Of each request: the type of its line where the status stays as it was, and its text."""


def apply_request(draft: DecisionDraft, ask: JobRequest, answers: dict[str, Reply | MarianneError]) -> None:
    """Carry a request out, or only show its plan.

    Raises:
        MarianneError: it is refused; nothing follows from it.
    """
    status = draft.status
    draft.asked = ask.row.request
    rule = _transition_rule(draft, ask, status)
    _check_expected(draft, ask)
    if ask.plan:
        answers[ask.row.request] = planned_reply(draft, ask)
        return
    if ask.over_budget:
        draft.update_run(over_budget=draft.state.run.over_budget + ask.over_budget)
    target = _target_version(draft, ask)
    named = uids_asked_for(draft.state, target, ask)
    rerun = uids_to_rerun(draft.state, target, named)
    version = _new_version(draft, ask, rerun)
    draft.problems = ask.proposal.version.row.problems if ask.proposal is not None else []
    _note_plan(draft, ask, version, rerun)
    _note_request(draft, ask, version, held=Effect.HOLD in rule.effects)
    if version is not None:
        limits.extend_live(draft, version.score, draft.plan)
    if ask.env:
        draft.update_run(env=draft.state.run.env | ask.env)
    hold: int | None = None
    for effect in rule.effects:
        if effect is Effect.HOLD:
            hold = _add_hold(draft, ask, changes=version is not None or bool(named))
        elif effect in _EFFECTS_OF_ASK:
            _EFFECTS_OF_ASK[effect](draft, ask)
        elif ask.alone and effect is Effect.REWIND:
            rewind_alone(draft, named)
        elif effect in (Effect.REVISE, Effect.REWIND):
            _stage_or_apply(draft, version, rerun)
        else:
            _EFFECTS[effect](draft)
    remember_request(draft, ask, hold, draft.state.newest.row.revision, created=version is not None)


def _note_plan(draft: DecisionDraft, ask: JobRequest, version: ScoreVersion | None, rerun: list[int]) -> None:
    """Note what becomes of sheets and hooks, where the request says anything of them."""
    if ask.action is Action.RESUME_MARK:
        draft.plan = plan_with_marks(draft, ask)
    elif version is not None or (ask.sheets is not None and ask.action is not Action.BREAK):
        anew = version is not None or resume_restarts_failed(draft.state)
        target = version or _target_version(draft, ask)
        result = plan_version(draft.state, target, rerun, anew=anew, alone=ask.alone)
        draft.plan, draft.rounds = result.lines, result.rounds
        draft.hook_plan = planned_hooks(draft.state, target.score, again=bool(rerun) and not ask.alone)


def _transition_rule(draft: DecisionDraft, ask: JobRequest, status: JobStatus) -> TransitionRule:
    """Return the rule of the request's cell.

    Raises:
        WrongStatus: the cell, or the guard of its rule, refuses.
    """
    cell = lifecycle.TABLE[ask.action, status]
    if isinstance(cell, Refusal):
        raise messages.refusal(draft.state, ask.action, status, describe_refused_loops(draft.state, ask))
    for guard in cell.guards:
        if not _GUARDS[guard](draft, ask):
            raise _guard_refusal(draft, ask, guard)
    return cell


def _guard_refusal(draft: DecisionDraft, ask: JobRequest, guard: Guard) -> WrongStatus:
    state = draft.state
    match guard:
        case Guard.WOULD_RUN:
            target = _target_version(draft, ask)
            differing = list(changed_sheets(state, target))  # `--rerun changed` would name these
            return messages.refusal_nothing_runs(
                state, target.score, ask.action, draft.status, ask.options, differing
            )
        case Guard.WAITS:
            return messages.refusal_of_retry(state, draft.status, not_waiting(state, ask.sheets))
        case Guard.IN_LIMITS:
            return _refusal_at_limit(draft, ask)
        case Guard.HOLDS_END | Guard.STAGED | Guard.FAILING:
            return messages.refusal(state, ask.action, draft.status)


def _refusal_at_limit(draft: DecisionDraft, ask: JobRequest) -> WrongStatus:
    state = draft.state
    name, score = state.run.job_name, _target_version(draft, ask).score
    if limits.is_time_up(state, score, draft.now):
        taken = limits.describe_time(state, score, draft.now)
        return WrongStatus(
            f"'{name}' is {draft.status}, its time is up: {taken}",
            job_id=name,
            status=draft.status,
            hints=[f"mzt modify {name} -c FILE -r"],
        )
    spent = limits.describe_budget(state, score)
    return WrongStatus(
        f"'{name}' is {draft.status} at its cost limit: {spent}",
        job_id=name,
        status=draft.status,
        hints=[f"mzt resume {name} --over-budget 5", f"mzt modify {name} -c FILE -r"],
    )


def _would_run(draft: DecisionDraft, ask: JobRequest) -> bool:
    """Tell whether a job that has completed would have something to do: it is tried on a copy."""
    trial = DecisionDraft(draft.state.copy(), draft.now, 0)
    target = _target_version(trial, ask)
    rerun = uids_to_rerun(trial.state, target, uids_asked_for(trial.state, target, ask))
    _stage_or_apply(trial, _new_version(trial, ask, rerun), rerun)
    return trial.state.settling_context.could_start


def _target_version(draft: DecisionDraft, ask: JobRequest) -> ScoreVersion:
    return ask.proposal.version if ask.proposal is not None else draft.state.newest


def _note_request(draft: DecisionDraft, ask: JobRequest, version: ScoreVersion | None, *, held: bool) -> None:
    kind, text = _LINES[ask.action]
    if ask.proposal is not None and version is None:
        kind, text = "revision.unchanged", f"{text}: nothing differs from the newest revision"
    elif version is not None:
        text = f"{text}: revision {version.row.revision}{_new_values(draft, version)}"
    if ask.sheets is not None:
        text = f"{text}, {'cleared: ' if ask.clear else ''}sheets {ask.sheets}"
    text += "".join(f", {how} sheets {named}" for how, named in marks_of(ask))
    draft.note_request(kind, text, ask.row.caller, ask.reason, HoldCause.USER if held else None)


def _new_values(draft: DecisionDraft, version: ScoreVersion) -> str:
    """Say which values a version brings that the run has not."""
    before, given = draft.state.newest.row.variables, version.row.variables
    new = {name: value for name, value in given.items() if name not in before or before[name] != value}
    return f", {formatting.assignments(masks.mask_variables(new))}" if new else ""


def _check_expected(draft: DecisionDraft, ask: JobRequest) -> None:
    newest = draft.state.newest.row
    if ask.expect is not None and ask.expect != newest.revision:
        who = f" by {newest.caller.name}" if newest.caller and newest.caller.name else ""
        name = draft.state.run.job_name
        raise WrongStatus(
            f"'{name}' has revision {newest.revision}{who}, not {ask.expect}; nothing has changed",
            job_id=name,
            status=draft.status,
            hints=[f"mzt history {name}", f"mzt status {name}"],
        )


def _new_version(draft: DecisionDraft, ask: JobRequest, rerun: list[int]) -> ScoreVersion | None:
    """Number the proposal; None where it is equal to the newest revision, or there is none."""
    if ask.proposal is None:
        return None
    proposed = ask.proposal.version
    if not is_new(draft.state, proposed):
        return None
    lines = plan_version(draft.state, proposed, rerun).lines
    row = msgspec.structs.replace(
        proposed.row,
        run_id=draft.state.run.run_id,
        revision=draft.state.run.last_revision + 1,
        status=RevisionStatus.STAGED,
        caller=ask.row.caller,
        reason=ask.reason,
        created_at=draft.now.at,
        plan=encode_plan(lines),
    )
    return msgspec.structs.replace(proposed, row=row, plan=lines)


def _stage_or_apply(draft: DecisionDraft, version: ScoreVersion | None, rerun: list[int]) -> None:
    if version is not None:
        draft.drop_staged(f"revision {version.row.revision} takes its place")
        stage_revision(draft, version, hold=None)
    if rerun:
        draft.update_run(rewind=rerun)
    if not draft.facts.in_flight:
        apply_staged(draft)
        apply_rewind(draft)


def _add_hold(draft: DecisionDraft, ask: JobRequest, *, changes: bool) -> int | None:
    if ask.action is Action.MODIFY and not changes:
        return None
    deadline = draft.now.plus(ask.deadline) if ask.deadline is not None else None
    if ask.action is Action.PAUSE_NOW:
        deadline = draft.now
    held = draft.add_hold(HoldCause.USER, ask.row.caller, ask.reason, ask.lasts, deadline)
    draft.note_hold_in_request(held)
    number = held.hold
    if ask.action is Action.MODIFY and draft.facts.staged:
        before = draft.state.run.staged_hold  # that of a modify whose reruns this one joins
        draft.release_holds([before] if before is not None else [])
        draft.update_run(staged_hold=number)
    return number


def _release_holds(draft: DecisionDraft) -> None:
    paused = draft.status is JobStatus.PAUSED
    if draft.state.settling_context.held_for_failure or draft.state.nothing_left:
        _reset_sheets(draft)  # where all is done there is nothing to begin anew: the resume ends the job
    if paused:
        resume_waits(draft)
    limited = any(hold.cause == HoldCause.RATE_LIMIT for hold in draft.state.holds.values())
    draft.release_holds(list(draft.state.holds))
    if limited:
        wait_for_limits(draft)
    draft.update_run(begun=draft.facts.in_flight, staged_hold=None, ended=None, ended_at=None)


def _reopen_job(draft: DecisionDraft) -> None:
    _reset_sheets(draft)
    draft.update_run(ended=None, ended_at=None, begun=draft.facts.in_flight)


def _reset_sheets(draft: DecisionDraft) -> None:
    for row in list(draft.state.sheets.values()):
        if row.status in (SheetStatus.FAILED, SheetStatus.CANCELLED):
            parked = row.uid in draft.state.parked
            draft.put(fresh_beside_attempt(row) if parked else fresh(row))
    reset_hooks(draft)


def _cancel_job(draft: DecisionDraft) -> None:
    draft.update_run(cancelling=True)
    draft.drop_staged("the job is cancelled")
    draft.interrupt_all()


def _join_cancel(_draft: DecisionDraft) -> None:
    """A second cancel changes nothing; it waits for the first."""


_EFFECTS: dict[Effect, Callable[[DecisionDraft], None]] = {
    Effect.UNDO: DecisionDraft.drop_staged,
    Effect.RESET: _reopen_job,
    Effect.RELEASE: _release_holds,
    Effect.INTERRUPT: DecisionDraft.interrupt_all,
    Effect.CANCEL: _cancel_job,
    Effect.END_HOOKS: end_failure_hooks,
    Effect.JOIN: _join_cancel,
}


_EFFECTS_OF_ASK: dict[Effect, Callable[[DecisionDraft, JobRequest], None]] = {
    Effect.SET: lambda draft, ask: set_breakpoints(draft, ask.sheets, clear=ask.clear),
    Effect.MARK: apply_marks,
    Effect.END_WAITS: end_retry_waits,
}


def _only_ends_job(draft: DecisionDraft, ask: JobRequest) -> bool:
    """Tell whether the request starts nothing: all is done, and it ends the job."""
    state = draft.state
    if ask.action is Action.RESUME_MARK:
        return starts_nothing(state, ask)
    stands = state.nothing_left and not state.settling_context.failed
    return stands and ask.proposal is None and ask.sheets is None


def _is_over_limits(draft: DecisionDraft, ask: JobRequest) -> bool:
    """Tell whether a limit of the revision that would be in force would hold the job at once."""
    state, target, added = draft.state, _target_version(draft, ask), ask.over_budget or 0.0
    if state.over_cost(target.score, added) or limits.is_time_up(state, target.score, draft.now):
        return True
    return target is state.current and limits.loop_over_budget(state, added) is not None


_GUARDS: dict[Guard, Callable[[DecisionDraft, JobRequest], bool]] = {
    Guard.HOLDS_END: lambda draft, _ask: all(ends_by_itself(hold) for hold in draft.state.holds.values()),
    Guard.STAGED: lambda draft, _ask: draft.facts.staged,
    Guard.IN_LIMITS: lambda draft, ask: _only_ends_job(draft, ask) or not _is_over_limits(draft, ask),
    Guard.WOULD_RUN: _would_run,
    Guard.FAILING: lambda draft, _ask: draft.state.run.failing,
    Guard.WAITS: lambda draft, ask: (
        waiting_for_retry(draft.state, ask.sheets) != [] and not not_waiting(draft.state, ask.sheets)
    ),
}
