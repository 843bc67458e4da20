"""What a job says to people: its one-line messages, its refusals, and what to type next.

A message begins `JOB: STATUS; ` and tells time as durations. Hints are commands to be typed as they are.
Source: docs/design/cli.md §2, §4.
"""

from collections.abc import Collection, Sequence

from marianned import formatting, lifecycle, masks
from marianned.clock import Instant, milliseconds
from marianned.errors import WrongStatus
from marianned.lifecycle import Action
from marianned.progress.state.hook_queue import has_failed, is_kept
from marianned.progress.state.run import RunState
from marianned.protocol import (
    ErrorCategory,
    HoldCause,
    Job,
    JobStatus,
    Obstacle,
    SheetStatus,
    WaitingFor,
    lifted_by,
)
from marianned.rows import EventRow, Flight, HoldRow, HookRow, LoopRow, RequestRow, SheetRow
from marianned.score.expanded import ExpandedScore

TYPED = " type: "
"""What stands before the command that somebody has to type first, at the end of a text."""
_REASON_LONGEST = 160
"""Characters of a reason in a message of one line."""
ENDED_WORDS = {
    JobStatus.COMPLETED: "completed",
    JobStatus.FAILED: "failed",
    JobStatus.CANCELLED: "been cancelled",
}

OVERTAKEN = {
    Action.PAUSE: "there is nothing left to pause",
    Action.PAUSE_NOW: "there is nothing left to pause",
    Action.BREAK: "there is nothing left to pause",
    Action.RESUME_FROM: "it does not go on",
    Action.RESUME: "it does not go on",
    Action.RESUME_MARK: "it does not go on",
    Action.MODIFY: "its revision is not in force",
    Action.MODIFY_RESUME: "it does not go on under its revision",
    Action.DISCARD: "nothing is staged",
    Action.CANCEL: "there is nothing left to cancel",
    Action.RETRY: "there is nothing left to try",
}
"""What an end means for whoever waited for something else."""

IN_FORCE = {
    Action.PAUSE: "the pause stays in force",
    Action.PAUSE_NOW: "the pause stays in force",
    Action.BREAK: "the breakpoint stays in force",
    Action.RESUME_FROM: "the resume stays in force",
    Action.RESUME: "the resume stays in force",
    Action.RESUME_MARK: "the resume stays in force",
    Action.MODIFY: "the modify stays in force",
    Action.MODIFY_RESUME: "the modify stays in force",
    Action.DISCARD: "the discard stays in force",
    Action.CANCEL: "the cancel stays in force",
    Action.RETRY: "the retry stays in force",
}
"""What is so when the time of whoever waits for it is up."""

_SHORT_HINTS: dict[JobStatus, tuple[str, ...]] = {
    JobStatus.QUEUED: ("mzt pause {job}", "mzt cancel {job}"),
    JobStatus.RUNNING: ("mzt logs {job} -F", "mzt pause {job}"),
    JobStatus.PAUSING: ("mzt wait {job} --for paused", "mzt pause {job} --now", "mzt resume {job}"),
    JobStatus.PAUSED: ("mzt resume {job}",),
    JobStatus.CANCELLING: ("mzt wait {job} --for cancelled",),
    JobStatus.COMPLETED: ("mzt resume {job} --from {last}", "mzt run {file} --fresh{values}"),
    JobStatus.FAILED: ("mzt why {job}", "mzt resume {job}", "mzt modify {job} -c FILE -r"),
    JobStatus.CANCELLED: (
        "mzt resume {job}",
        "mzt modify {job} -c {file} -r",
        "mzt run {file} --fresh{values}",
    ),
}
"""What a person types next, by status."""

_NOTHING_TO = {
    Action.PAUSE: "there is nothing to pause",
    Action.PAUSE_NOW: "there is nothing to pause",
    Action.BREAK: "there is nothing to pause",
    Action.RESUME_FROM: "there is nothing to go back from yet",
    Action.RESUME: "there is nothing to resume",
    Action.RESUME_MARK: "sheets are skipped or accepted in a paused, failed or cancelled job",
    Action.MODIFY: "its score can't be changed any more",
    Action.MODIFY_RESUME: "its score can't be changed any more",
    Action.DISCARD: "no revision is staged",
    Action.CANCEL: "there is nothing to cancel",
    Action.RETRY: "nothing waits for its next attempt",
}


_TOLD_MOST = 3
"""How many sheets a refusal tells of."""
_CAN_WAIT = (JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.PAUSING, JobStatus.PAUSED)


def hints(state: RunState, status: JobStatus) -> list[str]:
    """Return what to type next for a job of this status."""
    if state.damaged is not None:
        ended = status in ENDED_WORDS
        return [f"mzt remove {state.run.job_name}" if ended else f"mzt cancel {state.run.job_name}"]
    name, last = state.run.job_name, len(state.score.sheets)
    newest = state.newest.row
    file, values = formatting.typed(newest.config_file), values_options(state)
    given = {"job": name, "file": file, "last": last, "values": values}
    # where a person has edited the score here, its file would take the edit back
    found = [
        hint.format(**given) for hint in _SHORT_HINTS[status] if not (newest.edited and "{file}" in hint)
    ]
    if any(hold.interrupts_at_once for hold in state.holds.values()):
        found = [hint for hint in found if hint != f"mzt pause {name} --now"]  # nothing ends sooner by it
    if status is JobStatus.COMPLETED and left_to_resume(state):
        found = [f"mzt resume {name}"]
    if status in _CAN_WAIT:
        limited = {state.account(row.sheet).instrument for row in _limited_sheets(state)}
        found = [*(f"mzt clear-rate-limits {instrument}" for instrument in sorted(limited)), *found]
    if status is JobStatus.RUNNING and not state.flights and _has_retry_wait(state):
        found = [f"mzt retry {name}", *found]
    resume, lifted = f"mzt resume {name}", command_to_go_on(state, name)
    if lifted == resume:
        return [given for hint in found for given in (hint, *_with_credentials(state, hint))]
    again = (
        [resume] if _command_of_change(state, name) == lifted else []
    )  # behind the change, it may be elsewhere
    instead = {resume: [lifted, *again]}
    return [*dict.fromkeys(given for hint in found for given in instead.get(hint, [hint]))]


def wait_hints(state: RunState, status: JobStatus) -> list[str]:
    """Return what to type next when a wait is over: first what tells why, where something keeps the job."""
    stands = status in (JobStatus.QUEUED, JobStatus.RUNNING) and not state.flights
    return [*([f"mzt why {state.run.job_name}"] if stands else []), *hints(state, status)]


def command_to_go_on(state: RunState, name: str) -> str:
    """Return the command that lets a job of this name go on: a resume, or what has to come before one."""
    causes = {hold.cause for hold in state.holds.values()}
    if state.run.ended is not None and state.over_cost(state.newest.score):
        causes.add(HoldCause.BUDGET)  # it would be held at once, so that a resume alone is refused
    lifted = lifted_by(causes, name)
    return lifted if lifted != f"mzt resume {name}" else _command_of_change(state, name) or lifted


def _command_of_change(state: RunState, name: str) -> str | None:
    """Return the command of a change without which a resume can only fail again; null: it may help."""
    for row in state.failed_sheets():
        if row.error_category == ErrorCategory.REFUSED:
            _, there, typed = (row.error_message or "").rpartition(TYPED)
            return typed if there else f"mzt modify {name} -c FILE -r"
    return None


def _has_retry_wait(state: RunState) -> bool:
    """Tell whether a sheet waits for its next try."""
    return any(row.waiting_for is WaitingFor.RETRY for row in state.waiting_sheets())


def _with_credentials(state: RunState, hint: str) -> list[str]:
    """Write a resume of a job whose credentials are refused a second time: with the caller's own."""
    if hint != f"mzt resume {state.run.job_name}":
        return []
    refused = {
        (hold.reason or "").partition(" ")[0] for hold in state.holds.values() if hold.cause is HoldCause.AUTH
    }
    profiles = [state.score.profiles[name] for name in sorted(refused) if name in state.score.profiles]
    keys = [profile.credentials[0] for profile in profiles if profile.credentials]
    return [f"{hint} {' '.join(f'-e {key}' for key in dict.fromkeys(keys))}"] if keys else []


def values_options(state: RunState) -> str:
    """Write the options that give a fresh run the values of this one."""
    return formatting.given_again(masks.mask_variables(state.newest.row.variables))


def flights_text(state: RunState) -> str:
    """Name what is in flight: `sheets 2, 3`, `hook 1`, or `the judgement of loop 2-3`."""
    if not state.sheet_flights and state.flights:
        return formatting.listing([flight_name(state, row) for row in state.flights])
    return formatting.sheet_list(map(state.number_of, state.sheet_flights))


def hook_name(state: RunState, hook: int) -> str:
    """Name a hook: `hook 1 (publish)`; without a description `hook 1`."""
    known = hook <= len(state.score.all_hooks)
    description = state.hook_definition(hook).description if known else None
    return f"hook {hook} ({description})" if description else f"hook {hook}"


def flight_name(state: RunState, flight: Flight) -> str:
    """Name what is in flight: its sheet, its hook, or the loop that is judged."""
    match flight:
        case HookRow():
            return hook_name(state, flight.hook)
        case LoopRow():
            return judgement_name(state, flight)
        case _:
            return sheet_name(state, state.number_of(flight))


def judgement_name(state: RunState, row: LoopRow) -> str:
    """Name the question whether a loop goes on: `the judgement of loop 2-3, round 2`."""
    one = state.loops.identified_by(row.uid)
    span = f" of loop {one.loop.span}" if one is not None else ""
    return f"the judgement{span}, round {row.round}"


def sheet_name(state: RunState, sheet: int) -> str:
    """Name a sheet: `sheet 4 (3.1 merge)`; without fan-out `sheet 4 (merge)`."""
    told, fan_out = state.definition(sheet), state.score.fan_out
    return formatting.sheet_name(sheet, told.stage, told.instance, told.movement, fan_out=fan_out)


def sheet_names(state: RunState, sheets: Collection[int]) -> str:
    """Name sheets: one with its stage, several by number."""
    return sheet_name(state, *sheets) if len(sheets) == 1 else formatting.sheet_list(sheets)


def job_message(state: RunState, status: JobStatus) -> str:
    """Say where a job stands: `release-notes: paused; 3 of 4 sheets done`."""
    name = state.run.job_name
    if state.damaged is not None:
        return f"{name}: {status}; damaged: {state.damaged}"
    if status is JobStatus.FAILED and (why := failure_text(state)):
        return f"{name}: failed; {why}"
    if status is JobStatus.PAUSED and (rest := rest_text(state)):
        return f"{name}: paused; {rest}"
    if status is JobStatus.COMPLETED and (left := left_to_resume(state)):
        return f"{name}: completed; {progress_text(state)}, resume runs {left}"
    return f"{name}: {status}; {progress_text(state)}"


def left_to_resume(state: RunState) -> str | None:
    """Name what a completed run has been given to do since it ended, `sheets 5, 6`; None: nothing."""
    if state.run.ended != JobStatus.COMPLETED or not state.settling_context.could_start:
        return None
    sheets = [row.sheet for row in state.sheets.values() if row.status == SheetStatus.PENDING]
    turn = state.hook_queue.current
    return formatting.sheet_list(sheets) if sheets or turn is None else hook_name(state, turn.hook)


HELD = {
    HoldCause.USER: "",
    HoldCause.BREAKPOINT: " at a breakpoint",
    HoldCause.FAILURE: " because a sheet or hook failed",
    HoldCause.AUTH: " because an instrument refuses its credentials",
    HoldCause.RATE_LIMIT: " at a rate limit",
    HoldCause.BUDGET: " at its cost limit",
    HoldCause.TIME: ", its time is up",
    HoldCause.CLUSTER: " because somebody cancelled a sheet's job on the cluster",
}
"""What a job is held at, behind `paused`."""


def hold_text(hold: HoldRow) -> str:
    """Say what holds a job that was to go on: `held at a breakpoint: before sheet 3`."""
    return f"held{HELD[hold.cause]}{f': {hold.reason}' if hold.reason else ''}"


def rest_text(state: RunState) -> str | None:
    """Say of a paused job that nothing is left that it could start, or who goes on without it."""
    turn = state.hook_queue.current
    if turn is not None and turn.waiting_for == WaitingFor.JOB:
        return _awaited_jobs_text(state) or f"{turn.chained} goes on; mzt pause {turn.chained}"
    return nothing_left_text(state)


def nothing_left_text(state: RunState) -> str | None:
    """Say of a paused job that nothing is left that it could start, and what a resume does then."""
    turn = state.hook_queue.current
    if turn is not None and is_kept(turn):
        return f"nothing is left to do; resume ends it and submits {state.hook_definition(turn.hook).label}"
    if not state.nothing_left:
        return None
    if state.settling_context.failed:
        return _failures_text(state)
    return "nothing is left to do; resume ends it"


def _failures_text(state: RunState) -> str:
    """Say what has failed, and how many sheets wait for it: `sheet 2 has failed; resume runs it again`."""
    sheets = [row.sheet for row in state.failed_sheets()]
    hooks = [row.hook for row in state.success_hooks if has_failed(row)]
    names = ([formatting.sheet_list(sheets)] if sheets else []) + [hook_name(state, hook) for hook in hooks]
    has, it = ("has", "it") if len(sheets) + len(hooks) == 1 else ("have", "them")
    behind = state.counts[SheetStatus.PENDING]
    wait = f"; {formatting.plural(behind, 'sheet')} {'waits' if behind == 1 else 'wait'} for {it}"
    said = f"{formatting.listing(names)} {has} failed; resume runs {it} again"
    return said + (wait if behind else "")


def _awaited_jobs_text(state: RunState) -> str | None:
    """Say which of the jobs whose end is awaited go on all the same, else that the last of them is held."""
    children = state.awaited
    going = [
        run_address(child) for child in children if lifecycle.status(child.facts) is not JobStatus.PAUSED
    ]
    if going:
        return f"{formatting.listing(going)} {'goes' if len(going) == 1 else 'go'} on; mzt pause {going[-1]}"
    if children:
        last = run_address(children[-1])
        return f"{last} is paused too; {command_to_go_on(children[-1], last)}"
    return None


def run_address(state: RunState) -> str:
    """Return what a run is addressed by, whichever is the newest: `nightly@3`."""
    return f"{state.run.job_name}@{state.run.run}"


def progress_text(state: RunState) -> str:
    """Count the finished sheets: `3 of 4 sheets done`."""
    return f"{state.done} of {formatting.plural(len(state.score.sheets), 'sheet')} done"


def failure_text(state: RunState) -> str | None:
    """Say what failed, and why: `sheet 3 (2.2) failed after 4 attempts: exit code 3`."""
    failed = state.failed_sheets()
    if not failed:
        return _hook_failure(state)
    row = failed[0]
    more = f", and {formatting.plural(len(failed) - 1, 'sheet')} more" if len(failed) > 1 else ""
    newest_never_began = row.error_category == ErrorCategory.REFUSED
    begun = row.attempts - newest_never_began
    after = f" after {formatting.plural(begun, 'attempt')}" if begun else ""
    return f"{sheet_name(state, row.sheet)} failed{after}: {_why_failed(row)}{more}"


def _why_failed(row: SheetRow) -> str:
    """Say in one line why a sheet failed: `exit code 3`, `validation: 'a.md' is missing`."""
    category = str(row.error_category)
    first, _, _ = (row.error_message or category).strip().partition("\n")
    said = first if len(first) <= _REASON_LONGEST else f"{first[:_REASON_LONGEST]}…"
    return said if said.startswith(category) else f"{category}: {said}"


def _hook_failure(state: RunState) -> str | None:
    failed = [row for row in state.success_hooks if has_failed(row)]
    if not failed:
        return None
    more = f", and {formatting.plural(len(failed) - 1, 'hook')} more" if len(failed) > 1 else ""
    return f"{hook_name(state, failed[0].hook)} failed: {failed[0].error_message}{more}"


def by_whom(events: Sequence[EventRow]) -> str:
    """Name the caller of this decision and its reason, where there are: ` by mzt 1.2.0 (uid 1000) "why"`."""
    for event in events:
        if event.caller is not None:
            why = f' "{event.reason}"' if event.reason else ""
            return f" by {event.caller.name or 'a client'} (uid {event.caller.uid}){why}"
    return ""


_A_SLOT = (WaitingFor.SLOT, "when a slot is free")
_GRANTS = {
    Obstacle.STOPPING: _A_SLOT,
    Obstacle.STARTING: _A_SLOT,
    Obstacle.DRAINING: (WaitingFor.DRAIN, "when the drain is over"),
    Obstacle.DISK: (WaitingFor.DISK, "when the disk has room"),
    Obstacle.AWAY: (WaitingFor.DISK, "when the daemon's directories are there again"),
}
"""What is waited for where the daemon grants no slots for this reason, and until when."""


def slot_wait(state: RunState) -> tuple[WaitingFor, str]:
    """Return what a job waits for that could start something if it were granted a slot, and until when."""
    closed_for = state.closed_for()
    return _A_SLOT if closed_for is None else _GRANTS[closed_for]


GOES_ON = (Action.RESUME, Action.RESUME_FROM, Action.RESUME_MARK, Action.MODIFY_RESUME)
"""Requests after which a job goes on, unless something holds it again."""


def reply_message(state: RunState, now: Instant, action: Action, view: Job, request: RequestRow) -> str:
    """Say what a request has led to, by the status it left."""
    status = view.status
    said: str | None = None
    match status:
        case _ if action is Action.BREAK and state.breakpoints:
            said = f"pauses before {_breakpoint_names(state)}"
        case JobStatus.PAUSED if view.next is not None and view.next.code == "hold_end":
            children = _awaited_jobs_text(state)
            said = f"goes on by itself in {_ends_in(state, now)}{f'; {children}' if children else ''}"
        case JobStatus.PAUSED if action in GOES_ON and state.settling_context.could_start:
            said = hold_text(list(state.holds.values())[-1])
        case JobStatus.PAUSING:
            said = _pause_text(state, now, action, view)
        case JobStatus.CANCELLING:
            said = f"{flights_text(state)} {'is' if state.flight_count == 1 else 'are'} being ended"
        case JobStatus.QUEUED:
            said = _queued_text(state, now, view)
        case JobStatus.RUNNING:
            said = _running_text(state, action, request)
        case JobStatus.PAUSED | JobStatus.FAILED | JobStatus.CANCELLED:
            said = _stopped_text(state, action, status, request)
        case JobStatus.COMPLETED if action is Action.MODIFY and (left := left_to_resume(state)):
            said = f"revision {request.revision} is in force, resume runs {left}"
    return job_message(state, status) if said is None else f"{state.run.job_name}: {status}; {said}"


def _queued_text(state: RunState, now: Instant, view: Job) -> str:
    """Say what a job waits for that is queued: a slot, or the time at which its next sheet is due."""
    if view.next is None or view.next.due_at is None:
        return f"goes on {slot_wait(state)[1]}"
    left = formatting.duration((milliseconds(view.next.due_at) - now.at) / 1000)
    return f"{view.next.text} in {left}"


def _stopped_text(state: RunState, action: Action, status: JobStatus, request: RequestRow) -> str | None:
    """Say what a request has led to in a job that is paused or has ended; a hook of its failure may run."""
    if action is Action.CANCEL and state.failing:
        return f"{flights_text(state)} is being ended"
    if action is not Action.MODIFY:
        return None
    if state.staged is not None:
        return f"revision {request.revision} applies when {flights_text(state)} ends"
    rest = rest_text(state) if status is JobStatus.PAUSED else None
    return f"revision {request.revision} is in force{f'; {rest}' if rest else ''}"


def _breakpoint_names(state: RunState) -> str:
    rows = [row.sheet for uid in state.breakpoints if (row := state.sheet_of(uid)) is not None]
    return sheet_names(state, rows)


def _ends_in(state: RunState, now: Instant) -> str:
    last = max(now.until(hold.ends) for hold in state.holds.values() if hold.ends is not None)
    return formatting.duration(last / 1000)


def _pause_text(state: RunState, now: Instant, action: Action, view: Job) -> str:
    text = view.next.text if view.next else "pauses"
    if state.staged is not None or action in (Action.MODIFY, Action.MODIFY_RESUME):
        return text
    if view.next is not None and view.next.latest_at is not None:
        most = formatting.duration((milliseconds(view.next.latest_at) - now.at) / 1000)
        return f"{text}, at most {most} from now"
    return text


def time_left(state: RunState, now: Instant) -> str:
    """Say how long what is in flight may still take at most; nothing where it has no limit."""
    latest = state.limit_of_flights(state.flights)
    return "" if latest is None else f", at most {formatting.duration((latest - now.at) / 1000)} more"


def _running_text(state: RunState, action: Action, request: RequestRow) -> str:
    revised = action is Action.MODIFY_RESUME
    prefix = f"revision {request.revision} is in force, " if revised else ""
    started = list(map(state.number_of, state.sheet_flights))
    if not started and state.flights:
        return f"{prefix}goes on with {flights_text(state)}"
    if not started:
        return f"{prefix}{progress_text(state)}" if prefix else progress_text(state)
    if len(started) == 1:
        return f"{prefix}goes on with {sheet_name(state, started[0])}"
    return f"{prefix}goes on with {flights_text(state)}"


def reply_hints(state: RunState, action: Action, status: JobStatus, *, acknowledged: bool) -> list[str]:
    """Return what to type after a request."""
    name = state.run.job_name
    if status is JobStatus.PAUSING and action in (Action.MODIFY, Action.MODIFY_RESUME):
        return [f"mzt modify {name} --discard"]
    if action is Action.RESUME and acknowledged:
        return []
    return hints(state, status)


def refusal(state: RunState, action: Action, status: JobStatus, more: str = "") -> WrongStatus:
    """Return the refusal of a request in this status: the status, the reason, `more`, the next command."""
    name = state.run.job_name
    return WrongStatus(
        f"'{name}' {_status_text(status, action)}; {_refusal_reason(action, status)}{more}",
        job_id=name,
        status=status,
        hints=_refusal_hints(state, action, status),
    )


def refusal_of_removal(name: str, status: JobStatus, *, failing: bool) -> WrongStatus:
    """Return the refusal to remove a run that has not ended, or of which hooks of its failure still run."""
    said = "its on_failure hooks have not ended" if failing else "only an ended run can be removed"
    return WrongStatus(
        f"'{name}' {'has failed' if failing else f'is {status}'}; {said}",
        job_id=name,
        status=status,
        hints=[f"mzt cancel {name} --wait"],
    )


def refusal_nothing_runs(
    state: RunState,
    score: ExpandedScore,
    action: Action,
    status: JobStatus,
    options: str,
    differing: Sequence[int],
) -> WrongStatus:
    """Return the refusal of a request after which a completed job would have nothing to do.

    `score` is the one that would be in force, `options` are those of a modify as they are typed, `differing`
    the sheets that are done and differ under it.
    """
    name, last = state.run.job_name, len(score.sheets)
    if action in (Action.MODIFY, Action.MODIFY_RESUME):
        differ = f"{formatting.sheet_list(differing)} {'differs' if len(differing) == 1 else 'differ'}"
        way = "--rerun changed, or --rerun SHEETS" if differing else "--rerun SHEETS"
        said = f"nothing would run: {differ if differing else 'no finished sheet has changed'}; {way}"
        typed = [f"mzt modify {name}{options} --rerun {'changed' if differing else last} -r"]
    else:
        said, typed = f"nothing would run: {progress_text(state)}", hints(state, status)
    return WrongStatus(
        f"'{name}' {_status_text(status, action)}; {said}", job_id=name, status=status, hints=typed
    )


def retry_message(state: RunState, status: JobStatus, sheets: Sequence[int]) -> str:
    """Say whose wait a retry has ended, and what follows."""
    no_more = f"{formatting.sheet_list(sheets)} {'waits' if len(sheets) == 1 else 'wait'} no more"
    follows = ", nothing starts before a resume" if state.holds else ""
    return f"{state.run.job_name}: {status}; {no_more}{follows}"


def refusal_of_retry(state: RunState, status: JobStatus, named: Sequence[SheetRow]) -> WrongStatus:
    """Return the refusal of a retry where nothing waits for its next attempt, or not what was named."""
    name = state.run.job_name
    limited = [] if named else _limited_sheets(state)
    told = [_what_it_does(state, row) for row in (named or limited)[:_TOLD_MOST]]
    more = len(named or limited) - len(told)
    told += [f"{formatting.plural(more, 'sheet')} more"] if more else []
    said = "nothing is changed" if named else _NOTHING_TO[Action.RETRY]
    return WrongStatus(
        f"'{name}' {_status_text(status, Action.RETRY)}; {'; '.join([said, *told])}",
        job_id=name,
        status=status,
        hints=hints(state, status),
    )


def _limited_sheets(state: RunState) -> list[SheetRow]:
    """Return the sheets that a rate limit keeps from starting; of an account's ready ones the first."""
    limits = state.limits
    waits = [row for row in state.waiting_sheets() if row.waiting_for == WaitingFor.RATE_LIMIT]
    firsts = state.ready_accounts().items()
    return waits + [row for who, row in firsts if who in limits and limits[who].until is not None]


def _what_it_does(state: RunState, row: SheetRow) -> str:
    """Say of a sheet that waits for no attempt of its own what it does."""
    if row.waiting_for == WaitingFor.RATE_LIMIT or row in _limited_sheets(state):
        return f"{sheet_name(state, row.sheet)} waits for the rate limit of {state.account(row.sheet)}"
    return f"{sheet_name(state, row.sheet)} is {row.status}"


def _status_text(status: JobStatus, action: Action) -> str:
    if status in ENDED_WORDS:
        return f"has {ENDED_WORDS[status]}"
    if status is JobStatus.PAUSED and action is Action.PAUSE:
        return "is paused already"
    return f"is {'being cancelled' if status is JobStatus.CANCELLING else status}"


def _refusal_reason(action: Action, status: JobStatus) -> str:
    if action is Action.PAUSE and status is JobStatus.PAUSED:
        return "it stays paused until someone resumes it"
    if action is Action.RESUME and status in (JobStatus.QUEUED, JobStatus.RUNNING):
        return "nothing holds it"
    return _NOTHING_TO[action]


def _refusal_hints(state: RunState, action: Action, status: JobStatus) -> list[str]:
    name = state.run.job_name
    if action is Action.RESUME_MARK and status in (JobStatus.QUEUED, JobStatus.RUNNING):
        return [f"mzt pause {name}"]
    if action is Action.DISCARD and status in (JobStatus.PAUSING, JobStatus.PAUSED, JobStatus.RUNNING):
        return [f"mzt status {name}"]
    return hints(state, status)
