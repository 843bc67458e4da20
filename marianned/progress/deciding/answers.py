"""Who waits, for what, and which commit answers: the reply is part of the commit that decides it.

A waiting request is answered by the first commit that reaches its goal, or that takes its own effect
back. It is the transition that answers, not a later look. Source: docs/design/control.md §3 "Waiting".
"""

from collections.abc import Callable

import msgspec

from marianned import formatting
from marianned.errors import MarianneError, WaitOverridden
from marianned.lifecycle import Action
from marianned.progress.deciding.draft import DecisionDraft
from marianned.progress.deciding.holds import ends_by_itself
from marianned.progress.deciding.hooks import planned_hooks
from marianned.progress.deciding.marks import plan_with_marks, typed_marks
from marianned.progress.deciding.revisions import (
    is_new,
    plan_version,
    resume_restarts_failed,
    uids_asked_for,
    uids_to_rerun,
)
from marianned.progress.state.run import RunState
from marianned.progress.state.triggers import JobRequest
from marianned.progress.views import messages
from marianned.progress.views.job import extend_view, job_view
from marianned.protocol import (
    ENDED,
    Cancelled,
    HookLine,
    JobStatus,
    Modified,
    Paused,
    PlanAction,
    PlanLine,
    Reply,
    Resumed,
    Retried,
)
from marianned.rows import RequestRow

_RESUMES = (Action.RESUME, Action.RESUME_FROM, Action.RESUME_MARK)
_MODIFIES = (Action.MODIFY, Action.MODIFY_RESUME)
_PAST = (JobStatus.RUNNING, JobStatus.COMPLETED, JobStatus.FAILED)


def _is_in_force(state: RunState, request: RequestRow) -> bool:
    return state.run.revision == request.revision and not state.run.rewind


def _revision_stands(draft: DecisionDraft, request: RequestRow, status: JobStatus) -> bool:
    """Tell whether the revision is in force in a job that did not end by this very commit."""
    own = status not in ENDED or draft.had_ended or request.request == draft.asked
    return _is_in_force(draft.state, request) and own


_GOALS: dict[Action, Callable[[RunState, RequestRow, JobStatus], bool]] = {
    Action.PAUSE: lambda _state, _request, status: status is JobStatus.PAUSED,
    Action.PAUSE_NOW: lambda _state, _request, status: status is JobStatus.PAUSED,
    Action.BREAK: lambda _state, _request, status: status is JobStatus.PAUSED,
    Action.RESUME_FROM: lambda state, _request, status: (
        status in _PAST and not state.holds and not state.facts.staged
    ),
    Action.RESUME_MARK: lambda state, _request, status: (
        status in _PAST and not state.holds and not state.facts.staged
    ),
    Action.MODIFY: lambda state, request, _status: _is_in_force(state, request),
    Action.MODIFY_RESUME: lambda state, request, status: (
        _is_in_force(state, request) and not state.holds and status is not JobStatus.CANCELLED
    ),
    Action.RESUME: lambda state, _request, status: (
        status in _PAST and not state.holds and not state.facts.staged
    ),
    Action.DISCARD: lambda state, _request, _status: not state.facts.staged,
    Action.CANCEL: lambda state, _request, status: (
        status is JobStatus.CANCELLED or (status is JobStatus.FAILED and not state.failing)
    ),
    Action.RETRY: lambda _state, _request, _status: True,
}
"""What a waiting request waits for: whether the state has reached it."""


def remember_request(
    draft: DecisionDraft, ask: JobRequest, hold: int | None, revision: int, *, created: bool
) -> None:
    """Keep a request until it is answered: on disk when it has a key, else in memory.

    A request that brings no hold keeps the number of the next one: what comes from there on is later.
    """
    row = msgspec.structs.replace(
        ask.row,
        run_id=draft.state.run.run_id,
        awaits=ask.action if ask.wait else f"{ask.action} now",
        since_hold=draft.state.run.next_hold if hold is None else hold,
        revision=revision,
        created_revision=created,
        asked=draft.now,
    )
    if row.key is None:
        draft.unpersisted.add(row.request)
    draft.put(row)


def answer_waiting(draft: DecisionDraft, answers: dict[str, Reply | MarianneError]) -> None:
    """Answer every request that this decision decides, in the decision's own transaction."""
    status = draft.status
    for request in list(draft.state.requests.values()):
        answer = _answer_of(draft, request, status)
        if answer is None:
            continue
        answers[request.request] = answer
        if request.key is None:
            draft.unpersisted.add(request.request)
        draft.put(_with_answer(request, answer))


def _with_answer(request: RequestRow, answer: Reply | MarianneError) -> RequestRow:
    if isinstance(answer, Reply):
        return msgspec.structs.replace(request, reply=msgspec.json.encode(answer))
    kept = {
        "code": answer.code,
        "message": answer.message,
        "job_id": answer.job_id,
        "status": answer.status,
        "hints": answer.hints,
    }
    return msgspec.structs.replace(request, refusal=msgspec.json.encode(kept))


def _answer_of(draft: DecisionDraft, request: RequestRow, status: JobStatus) -> Reply | MarianneError | None:
    """Return the answer of a request that waits, if this decision has one.

    Asked once for each waiting request, after everything of the decision has happened. Its goal may be
    reached: acknowledged. Or it does not wait for that (`now` behind the goal): answered all the same, by
    what is so. Or its effect was taken back, so that the goal can't be reached any more: E513 with who did
    that. None of these: it goes on waiting. A rerun that this very decision has dropped counts as taken
    back, although the revision that was to carry it is in force.
    """
    goal = request.awaits or ""
    at_once = goal.endswith(" now")
    action = Action(goal.removesuffix(" now"))
    undone = action in _MODIFIES and draft.rewind_dropped and request.revision == draft.state.run.revision
    reached = _GOALS[action](draft.state, request, status)
    if action is Action.MODIFY:
        reached = _revision_stands(draft, request, status)
    if not undone and reached:
        return _reply(draft, request, action, acknowledged=True)
    if at_once:
        return _reply(draft, request, action, acknowledged=action is Action.BREAK)
    why = _why_overridden(draft, request, action, status)
    if why is None and undone:
        why = f"is {status}: what was to run again was taken back{messages.by_whom(draft.events)}"
    if why is None:
        return None
    name = draft.state.run.job_name
    return WaitOverridden(
        f"'{name}' {why}", job_id=name, status=status, hints=messages.hints(draft.state, status)
    )


def _why_overridden(
    draft: DecisionDraft, request: RequestRow, action: Action, status: JobStatus
) -> str | None:
    """Say why what the request waits for can no longer come; None: it still can."""
    state = draft.state
    who = messages.by_whom(draft.events)
    staged = action is Action.MODIFY and state.facts.staged
    waits = draft.had_ended and (staged or action is Action.CANCEL)
    if (status in ENDED and not waits) or state.run.cancelling:
        if action is Action.MODIFY and status in ENDED and _is_in_force(state, request):
            return f"has {messages.ENDED_WORDS[status]}{who}: {_OVERTOOK.format(request.revision, status)}"
        if action is Action.CANCEL and status not in ENDED:
            return None
        said = "is being cancelled" if status not in ENDED else f"has {messages.ENDED_WORDS[status]}"
        return f"{said}{who}; {messages.OVERTAKEN[action]}"
    lost = next((said for about, is_so, said in _LOST if action in about and is_so(state, request)), None)
    if lost is _AGAIN and (hold := list(state.holds.values())[-1]).owner is None:
        return f"is {status}: it is {messages.hold_text(hold)}"
    return None if lost is None else f"is {status}: {lost.format(revision=request.revision)}{who}"


_OVERTOOK = "revision {} is in force; the job is {}"
"""What becomes of a modify without -r that the end of its job overtakes."""


def _revision_lives(state: RunState, request: RequestRow) -> bool:
    staged = state.staged.row.revision if state.staged else None
    return request.revision in (state.run.revision, staged)


def _was_held_again(state: RunState, request: RequestRow) -> bool:
    """Tell whether a hold without an end came after the request (holds are numbered as they come)."""
    return any(
        not ends_by_itself(hold) and hold.hold >= (request.since_hold or 0) for hold in state.holds.values()
    )


_AGAIN = "it was held again"
_LOST: tuple[tuple[tuple[Action, ...], Callable[[RunState, RequestRow], bool], str], ...] = (
    (
        (Action.PAUSE, Action.PAUSE_NOW),
        lambda state, request: request.since_hold not in state.holds,
        "its pause was released",
    ),
    (
        (Action.BREAK,),
        lambda state, _request: not state.breakpoints,
        "its breakpoint was cleared",
    ),
    (
        _MODIFIES,
        lambda state, request: not _revision_lives(state, request),
        "revision {revision} was dropped",
    ),
    (
        messages.GOES_ON,
        _was_held_again,
        _AGAIN,
    ),
    (
        (Action.CANCEL,),  # of the hooks of a failure, in a job that had ended
        lambda state, _request: state.run.ended is None,
        "it goes on again",
    ),
)
"""What takes the effect of a waiting request back, and how that is said."""


def _reply(draft: DecisionDraft, request: RequestRow, action: Action, *, acknowledged: bool) -> Reply:
    state = draft.state
    view = job_view(state, draft.now)
    view.message = messages.reply_message(state, draft.now, action, view, request)
    view.hints = messages.reply_hints(state, action, view.status, acknowledged=acknowledged)
    if action in (Action.PAUSE, Action.PAUSE_NOW, Action.BREAK):
        return extend_view(view, Paused, acknowledged=acknowledged)
    if action is Action.RETRY:
        view.message = messages.retry_message(state, view.status, draft.retried)
        return extend_view(view, Retried, acknowledged=acknowledged, retried=draft.retried)
    if action is Action.CANCEL:
        return extend_view(view, Cancelled, acknowledged=acknowledged)
    if action in _RESUMES:
        mine = request.request == draft.asked
        return extend_view(
            view,
            Resumed,
            acknowledged=acknowledged,
            plan=draft.plan if mine else [],
            plan_total=len(draft.plan) if mine else 0,
            hook_plan=draft.hook_plan if mine else [],
        )
    version = (
        state.staged if state.staged and state.staged.row.revision == request.revision else state.current
    )
    if request.request == draft.asked:
        view.problems, plan = draft.problems, draft.plan
        same = [] if _changes_anything(draft, request, action) else ["nothing has changed"]
        view.message = "; ".join([view.message, *draft.rounds, *same])
    else:
        view.problems, plan = (
            ([], []) if not request.created_revision else (version.row.problems, version.plan)
        )
    return extend_view(
        view,
        Modified,
        acknowledged=acknowledged,
        config_validated=action is not Action.DISCARD,
        changed=request.created_revision,
        new_revision=request.revision if request.created_revision else None,
        dry_run=False,
        plan=plan,
        plan_total=len(plan),
        hook_plan=draft.hook_plan if request.request == draft.asked else [],
    )


def _changes_anything(draft: DecisionDraft, request: RequestRow, action: Action) -> bool:
    """Tell whether a modify brings a revision, or lets anything run again."""
    again = {line.action for line in draft.plan} | {line.action for line in draft.hook_plan}
    return action not in _MODIFIES or request.created_revision or PlanAction.RERUN in again


def _rerun_option(ask: JobRequest) -> str:
    return f" --rerun {formatting.typed(ask.sheets)}" if ask.sheets is not None else ""


def planned_reply(draft: DecisionDraft, ask: JobRequest) -> Reply:
    """Answer a request with `plan`: the job as it is, and what would become of its sheets."""
    state = draft.state
    view = job_view(state, draft.now)
    lines: list[PlanLine] = []
    anew_rounds: list[str] = []
    hooks: list[HookLine] = []
    revision: int | None = None
    target = ask.proposal.version if ask.proposal is not None else state.newest
    if is_new(state, target):
        revision = state.run.last_revision + 1
    if revision is not None or ask.sheets is not None or ask.action in _RESUMES:
        rerun = uids_to_rerun(state, target, uids_asked_for(state, target, ask))
        anew = revision is not None or resume_restarts_failed(state)
        result = plan_version(state, target, rerun, anew=anew, alone=ask.alone)
        lines, anew_rounds = result.lines, result.rounds
        hooks = planned_hooks(state, target.score, again=bool(rerun) and not ask.alone)
    if ask.action is Action.RESUME_MARK:
        lines = plan_with_marks(draft, ask)
    name = state.run.job_name
    view.problems = target.row.problems if ask.proposal is not None else []
    if ask.action in _RESUMES:
        view.message = f"{name}: {view.status}; plan of the resume, nothing is changed"
        option = "--only" if ask.alone else "--from"
        again = f" {option} {formatting.typed(ask.sheets)}" if ask.sheets else ""
        view.hints = [f"mzt resume {name}{again}{typed_marks(ask)}"]
        return extend_view(
            view, Resumed, acknowledged=False, plan=lines, plan_total=len(lines), hook_plan=hooks
        )
    if revision is None and lines:
        view.message = (
            f"{name}: {view.status}; plan under revision {state.newest.row.revision}, nothing is changed"
        )
    elif revision is None:
        same = f"the score is that of revision {state.newest.row.revision}"
        view.message = f"{name}: {view.status}; {same}, nothing would change"
        view.hints = []
    else:
        view.message = f"{name}: {view.status}; plan for revision {revision}, nothing is changed"
        newest = state.newest.row.revision
        view.hints = [f"mzt modify {name}{ask.options}{_rerun_option(ask)} -r --wait --expect {newest}"]
    view.message = "; ".join([view.message, *anew_rounds])
    return extend_view(
        view,
        Modified,
        acknowledged=False,
        config_validated=True,
        changed=revision is not None,
        new_revision=revision,
        dry_run=True,
        plan=lines,
        plan_total=len(lines),
        hook_plan=hooks,
    )
