"""Who waits, for what, and which commit answers: the reply is part of the commit that decides it.

A waiting request is answered by the first commit that makes its wish true, or that takes its own effect
back. It is the transition that answers, not a later look. Source: design/control.md §3 "Waiting".
"""

from collections.abc import Callable

import msgspec

from marianned.errors import CannotCome, MarianneError
from marianned.lifecycle import Action
from marianned.progress import texts
from marianned.progress.draft import Draft
from marianned.progress.revisions import planned
from marianned.progress.state import JobState
from marianned.progress.triggers import Asked
from marianned.progress.view import extended, job_view
from marianned.protocol import (
    ENDED,
    Cancelled,
    JobStatus,
    Modified,
    Paused,
    PlanLine,
    Reply,
    Resumed,
)
from marianned.rows import RequestRow

_PAST = (JobStatus.RUNNING, JobStatus.COMPLETED, JobStatus.FAILED)


def _in_force(state: JobState, request: RequestRow) -> bool:
    return state.run.revision == request.revision


_WISHES: dict[Action, Callable[[JobState, RequestRow, JobStatus], bool]] = {
    Action.PAUSE: lambda _state, _request, status: status is JobStatus.PAUSED,
    Action.MODIFY: lambda state, request, _status: _in_force(state, request),
    Action.MODIFY_RESUME: lambda state, request, status: (
        _in_force(state, request) and not state.holds and status is not JobStatus.CANCELLED
    ),
    Action.RESUME: lambda state, _request, status: (
        status in _PAST and not state.holds and state.staged is None
    ),
    Action.DISCARD: lambda state, _request, _status: state.staged is None,
    Action.CANCEL: lambda _state, _request, status: status is JobStatus.CANCELLED,
}
"""What makes the wish of a waiting request true."""


def remember(draft: Draft, ask: Asked, hold: int | None, revision: int) -> None:
    """Keep a request until it is answered: on disk when it has a key, else in memory.

    A request that brings no hold keeps the number of the next one: what comes from there on is later.
    """
    row = msgspec.structs.replace(
        ask.request,
        run_id=draft.state.run.run_id,
        wish=ask.action if ask.wait else f"{ask.action} now",
        hold=draft.state.run.next_hold if hold is None else hold,
        revision=revision,
        asked_at=draft.now.at,
    )
    if row.key is None:
        draft.unpersisted.add(row.request)
    draft.put(row)


def answer_waiting(draft: Draft, answers: dict[str, Reply | MarianneError]) -> None:
    """Answer every request that this decision decides, in the decision's own transaction."""
    status = draft.status
    for request in list(draft.state.requests.values()):
        answer = _answer(draft, request, status)
        if answer is None:
            continue
        answers[request.request] = answer
        if request.key is None:
            draft.unpersisted.add(request.request)
        draft.put(_answered(request, answer))


def _answered(request: RequestRow, answer: Reply | MarianneError) -> RequestRow:
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


def _answer(draft: Draft, request: RequestRow, status: JobStatus) -> Reply | MarianneError | None:
    wish = request.wish or ""
    at_once = wish.endswith(" now")
    action = Action(wish.removesuffix(" now"))
    if _WISHES[action](draft.state, request, status):
        return _reply(draft, request, action, acknowledged=True)
    if at_once:
        return _reply(draft, request, action, acknowledged=False)
    why = _taken_back(draft, request, action, status)
    if why is None:
        return None
    name = draft.state.run.job_name
    return CannotCome(f"'{name}' {why}", job_id=name, status=status, hints=texts.hints(draft.state, status))


def _taken_back(draft: Draft, request: RequestRow, action: Action, status: JobStatus) -> str | None:
    """Say why what the request waits for can no longer come; None: it still can."""
    state = draft.state
    who = texts.by_whom(draft.events)
    if status in ENDED or state.run.cancelling:
        if action is Action.CANCEL and status not in ENDED:
            return None
        said = "is being cancelled" if status not in ENDED else f"has {texts.ENDED_WORDS[status]}"
        return f"{said}{who}; {texts.OVERTAKEN[action]}"
    if request.hold is not None and action is Action.PAUSE and request.hold not in state.holds:
        return f"is {status}: its pause was released{who}"
    if action in (Action.MODIFY, Action.MODIFY_RESUME) and not _revision_lives(state, request):
        return f"is {status}: revision {request.revision} was dropped{who}"
    if action in (Action.RESUME, Action.MODIFY_RESUME) and _held_again(state, request):
        return f"is {status}: it was held again{who}"
    return None


def _revision_lives(state: JobState, request: RequestRow) -> bool:
    staged = state.staged.row.revision if state.staged else None
    return request.revision in (state.run.revision, staged)


def _held_again(state: JobState, request: RequestRow) -> bool:
    """Tell whether a hold without an end came after the request (holds are numbered as they come)."""
    return any(hold.ends is None and hold.hold >= (request.hold or 0) for hold in state.holds.values())


def _reply(draft: Draft, request: RequestRow, action: Action, *, acknowledged: bool) -> Reply:
    state = draft.state
    view = job_view(state, draft.now)
    view.message = texts.reply_message(state, draft.now, action, view, request)
    view.hints = texts.reply_hints(state, action, JobStatus(view.status or ""), acknowledged=acknowledged)
    if action is Action.PAUSE:
        return extended(view, Paused, acknowledged=acknowledged)
    if action is Action.CANCEL:
        return extended(view, Cancelled, acknowledged=acknowledged)
    if action is Action.RESUME:
        return extended(view, Resumed, acknowledged=acknowledged)
    version = (
        state.staged if state.staged and state.staged.row.revision == request.revision else state.current
    )
    brought = (
        action is not Action.DISCARD
        and version.row.caller == request.caller
        and version.row.created_at == request.asked_at
    )
    return extended(
        view,
        Modified,
        acknowledged=acknowledged,
        config_validated=action is not Action.DISCARD,
        changed=brought,
        new_revision=version.row.revision if brought else None,
        dry_run=False,
        plan=version.plan if brought else [],
    )


def planned_reply(draft: Draft, ask: Asked) -> Reply:
    """Answer a modify with `plan`: the job as it is, and what would become of its sheets."""
    state = draft.state
    view = job_view(state, draft.now)
    lines: list[PlanLine] = []
    revision: int | None = None
    if ask.proposal is not None and ask.proposal.version.row.sha256 != state.newest.row.sha256:
        lines = planned(state, ask.proposal.version).lines
        revision = state.run.last_revision + 1
    name = state.run.job_name
    if revision is None:
        same = f"the score is that of revision {state.newest.row.revision}"
        view.message = f"{name}: {view.status}; {same}, nothing would change"
        view.hints = []
    else:
        view.message = f"{name}: {view.status}; plan for revision {revision}, nothing is changed"
        view.hints = [
            f"mzt modify {name} -c {ask.file or 'FILE'} -r --wait --expect {state.newest.row.revision}"
        ]
    return extended(
        view,
        Modified,
        acknowledged=False,
        config_validated=True,
        changed=revision is not None,
        new_revision=revision,
        dry_run=True,
        plan=lines,
    )
