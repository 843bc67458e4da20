"""decide: from a trigger to everything it leads to, settling and starting included.

The order inside one decision: the trigger itself, settling, waits that are over, starting, the run's own
row, and last the waiting requests that the whole of it answers. Source: docs/design/control.md §2-§3,
docs/reference/score-format.md §15-§17.
"""

from collections.abc import Collection, Mapping

import msgspec

from marianned import lifecycle
from marianned.clock import Instant
from marianned.errors import MarianneError, NameTaken
from marianned.lifecycle import Step
from marianned.progress.deciding.answers import answer_waiting
from marianned.progress.deciding.breakpoints import hold_at_breakpoints
from marianned.progress.deciding.draft import Decision, DecisionDraft
from marianned.progress.deciding.holds import (
    hold_for_failure,
    hold_moments,
    interrupt_overdue,
    is_overdue,
    release_ended_holds,
    start_hold_durations,
)
from marianned.progress.deciding.hooks import (
    accept_chained,
    begin_failure_hooks,
    cancel_hooks,
    chained_job_ended,
    end_failure_hooks,
    end_hook_waits,
    has_just_failed,
    hook_ended,
    hook_moments,
    hook_warned,
    settle_failure_hooks,
    start_hook,
)
from marianned.progress.deciding.limits import judge_budget, judge_time, time_limit_moment
from marianned.progress.deciding.outcomes import (
    attempt_ended,
    attempt_parked,
    attempt_warned,
    hold_at_limit,
    keepers_reported,
    move_to_fallback,
)
from marianned.progress.deciding.requests import apply_request
from marianned.progress.deciding.revisions import apply_rewind, apply_staged
from marianned.progress.deciding.rounds import ask_loops, close_loops_by_marks, until_judged
from marianned.progress.deciding.skipping import (
    needs_skip_evaluation,
    skip_evaluated,
    skip_evaluation,
    skip_warned,
)
from marianned.progress.state.run import RunState
from marianned.progress.state.triggers import (
    AttemptEnded,
    AttemptParked,
    AttemptWarned,
    ChainedJobEnded,
    ChainedJobsReady,
    HookEnded,
    HookWarned,
    JobRequest,
    KeepersReported,
    PauseFileFound,
    SkipEvaluated,
    SkipWarned,
    SlotFree,
    Supersede,
    TimeReached,
    Trigger,
    UntilJudged,
)
from marianned.progress.views.messages import refusal_of_removal
from marianned.protocol import ENDED, Caller, HoldCause, JobStatus, Reply, SheetStatus, WaitingFor
from marianned.rows import Account, AttemptRow, Flight, HookRow, SheetRow

FILE_OWNER = "file"


def decide(
    state: RunState,
    trigger: Trigger,
    now: Instant,
    slots: int = 0,
    rooms: Mapping[Account, int] | None = None,
) -> Decision:
    """Return what the trigger leads to; the state is left as it was.

    Args:
        state: the run, its last decision applied.
        trigger: what has happened.
        now: the moment.
        slots: how many attempts may be started at most.
        rooms: how many of each account; one that is not named has room for all.

    Raises:
        MarianneError: the trigger is a request and is refused; nothing follows from it.
    """
    draft = DecisionDraft(state.copy(), now, slots, rooms)
    answers: dict[str, Reply | MarianneError] = {}
    match trigger:
        case JobRequest():
            apply_request(draft, trigger, answers)
        case AttemptEnded():
            attempt_ended(draft, trigger)
        case PauseFileFound():
            _hold_by_pause_file(draft, trigger)
        case Supersede():
            _supersede(draft, trigger)
        case (
            AttemptParked()
            | KeepersReported()
            | AttemptWarned()
            | SkipWarned()
            | SkipEvaluated()
            | UntilJudged()
        ):
            _apply_flight_trigger(draft, trigger)
        case HookEnded() | HookWarned() | ChainedJobEnded() | ChainedJobsReady():
            _apply_hook_trigger(draft, trigger)
        case SlotFree() | TimeReached():
            pass
    if not (isinstance(trigger, JobRequest) and trigger.plan):
        landed = isinstance(trigger, _OUTCOMES) and draft.state.flight_count < state.flight_count
        _apply_consequences(draft, outcome=landed)
        answer_waiting(draft, answers)
    return Decision(
        state=draft.state,
        changes=draft.changes(),
        starts=draft.starts,
        checks=draft.checks,
        asks=draft.asks,
        interrupts=draft.interrupts,
        hook=draft.hook_start,
        hook_interrupt=draft.hook_interrupt,
        hooks_ended=draft.hooks_ended,
        extended=draft.extended,
        declines=draft.declines,
        wake=_next_wake(draft),
        answers=answers,
    )


_OUTCOMES = (AttemptEnded, SkipEvaluated, UntilJudged, HookEnded, ChainedJobsReady)
"""What brings the outcome of something that was in flight; a late record of a closed attempt brings none."""


def _apply_consequences(draft: DecisionDraft, *, outcome: bool) -> None:
    """Let everything follow from the trigger, in this order; `outcome`: something in flight ended by it."""
    release_ended_holds(draft)
    _settle(draft, outcome=outcome)
    _end_waits(draft)
    _move_to_fallbacks(draft)
    ask_loops(draft)
    _start_sheets(draft)
    start_hook(draft)
    start_hold_durations(draft)
    interrupt_overdue(draft)
    draft.finish()


def _apply_hook_trigger(
    draft: DecisionDraft, trigger: HookEnded | HookWarned | ChainedJobEnded | ChainedJobsReady
) -> None:
    match trigger:
        case HookEnded():
            hook_ended(draft, trigger)
        case HookWarned():
            hook_warned(draft, trigger)
        case ChainedJobEnded():
            chained_job_ended(draft, trigger)
        case ChainedJobsReady():
            draft.declines = not accept_chained(draft, trigger)


def _apply_flight_trigger(
    draft: DecisionDraft,
    trigger: AttemptParked | KeepersReported | AttemptWarned | SkipWarned | SkipEvaluated | UntilJudged,
) -> None:
    match trigger:
        case AttemptParked():
            attempt_parked(draft, trigger)
        case KeepersReported():
            keepers_reported(draft, trigger)
        case AttemptWarned():
            attempt_warned(draft, trigger)
        case SkipWarned():
            skip_warned(draft, trigger)
        case SkipEvaluated():
            skip_evaluated(draft, trigger)
        case UntilJudged():
            until_judged(draft, trigger)


def _supersede(draft: DecisionDraft, trigger: Supersede) -> None:
    """End a run that a fresh one takes the place of; one that has ended for good is left as it is."""
    status, name = draft.status, draft.state.run.job_name
    if trigger.forget:
        if status not in ENDED or draft.state.failing:
            raise refusal_of_removal(name, status, failing=draft.state.failing)
    elif trigger.fresh and status in (JobStatus.PAUSED, JobStatus.FAILED):
        text = "a fresh run takes its place"
        draft.note_request("job.superseded", text, trigger.caller, trigger.reason, None)
        draft.close_parked(draft.state.parked)
        _end_job(draft, JobStatus.CANCELLED)
    elif status not in (JobStatus.COMPLETED, JobStatus.CANCELLED):
        raise NameTaken(f"'{name}' is {status}", job_id=name, status=status, hints=[f"mzt status {name}"])


def _hold_by_pause_file(draft: DecisionDraft, found: PauseFileFound) -> None:
    if draft.facts.ended or draft.facts.cancelling or _is_held_by_pause_file(draft):
        return
    owner = Caller(uid=-1, name=FILE_OWNER)
    held = draft.add_hold(HoldCause.USER, owner, found.reason)
    draft.note_request("hold.added", "pause file found", owner, found.reason, HoldCause.USER)
    draft.note_hold_in_request(held)


def _is_held_by_pause_file(draft: DecisionDraft) -> bool:
    return any(hold.owner and hold.owner.name == FILE_OWNER for hold in draft.state.holds.values())


def _end_waits(draft: DecisionDraft) -> None:
    """Let sheets whose wait is over stand for a slot again; a paused job's waits stand still."""
    if not lifecycle.may_start(draft.facts):
        return
    for row in draft.state.waiting_sheets():
        if row.until is None or draft.now.reached(row.until) or _is_lifted(draft, row):
            draft.update_sheet(row, status=SheetStatus.PENDING, waiting_for=None, until=None)


def _is_lifted(draft: DecisionDraft, row: SheetRow) -> bool:
    """Tell whether the rate limit that a sheet waits for is over before its time."""
    limit = draft.rate_limit(draft.state.account(row.sheet))
    return row.waiting_for == WaitingFor.RATE_LIMIT and limit is not None and limit.until is None


def _settle(draft: DecisionDraft, *, outcome: bool) -> None:
    """Do what is due when nothing is in flight; a hook whose wait is over may end the job."""
    _take_settling_steps(draft, outcome=outcome)
    while lifecycle.may_start_hook(draft.facts) and end_hook_waits(draft):
        _take_settling_steps(draft, outcome=False)


def _take_settling_steps(draft: DecisionDraft, *, outcome: bool) -> None:
    """Take the steps of settling (docs/design/control.md §3), limits judged before each: they are facts.

    One step at a time, from the beginning after each, since a step changes the facts that the next one
    follows from: a revision that is applied may bring sheets that can start, a hold that is set keeps the
    job from ending. It ends because every step makes its own condition false. `left` is what could start
    before the first step: a held job that had something to do is not ended by a revision.
    """
    left = draft.state.settling_context.could_start
    while True:
        settle_failure_hooks(draft)
        close_loops_by_marks(draft)
        judge_budget(draft)
        judge_time(draft)
        facts = {"outcome": outcome, "could_start_before": left}
        step = lifecycle.settle(draft.facts, msgspec.structs.replace(draft.state.settling_context, **facts))
        if step is None:
            return
        match step:
            case Step.CANCEL:
                _end_job(draft, JobStatus.CANCELLED)
            case Step.APPLY:
                apply_staged(draft)
                apply_rewind(draft)
            case Step.COMPLETE:
                _end_job(draft, JobStatus.COMPLETED)
            case Step.FAIL:
                _end_job(draft, JobStatus.FAILED)
            case Step.HOLD_FAILURE:
                hold_for_failure(draft)
            case Step.HOLD_BREAKPOINT:
                hold_at_breakpoints(draft)


def _end_job(draft: DecisionDraft, ended: JobStatus) -> None:
    unfinished = {SheetStatus.PENDING, SheetStatus.WAITING}
    for row in list(draft.state.sheets.values()):
        if row.status in unfinished and ended is JobStatus.CANCELLED:
            draft.update_sheet(
                row, status=SheetStatus.CANCELLED, waiting_for=None, until=None, ended_at=draft.now.at
            )
        elif row.status == SheetStatus.WAITING:
            draft.update_sheet(row, status=SheetStatus.PENDING, waiting_for=None, until=None)
    if ended is JobStatus.CANCELLED:
        cancel_hooks(draft)
    if draft.state.failing and draft.state.run.ended is None:
        end_failure_hooks(draft)
    draft.drop_staged("the job has ended")
    draft.release_holds(list(draft.state.holds))
    draft.update_run(ended=ended, ended_at=draft.now.at, cancelling=False, not_before=None)
    if ended is JobStatus.FAILED:
        begin_failure_hooks(draft)


def _move_to_fallbacks(draft: DecisionDraft) -> None:
    """Move ready sheets whose account is limited to a fallback, instead of letting them wait.

    Source: docs/reference/score-format.md §8.4.
    """
    if not lifecycle.may_start(draft.facts):
        return
    for account in sorted(draft.state.limited(draft.now)):
        for row in draft.state.ready_of(account):
            if row.uid not in draft.state.parked and not move_to_fallback(draft, row, "rate limit"):
                hold_at_limit(draft, row)


def _start_sheets(draft: DecisionDraft) -> None:
    """Start ready sheets in ascending number, as far as slots, the job's own limit and pacing let it.

    Each turn of the loop changes the state that the next turn looks at: the sheet that starts is no longer
    ready, its account has one room less, pacing may now say stop. `draft.slots` and `draft.rooms` are what
    the job has reserved for this decision; what is not used of them is given back after the commit. A sheet
    with skip rules first has them asked, which takes a slot but starts nothing; one with a parked attempt
    has its checks run again, and no new attempt.
    """
    state = draft.state
    parallel = state.score.parallel
    while (
        lifecycle.may_start(draft.facts)
        and draft.slots_used < draft.slots
        and len(state.sheet_flights) < parallel.max_concurrent
        and not _is_paced(draft)
    ):
        row = state.next_ready([account for account, room in draft.rooms.items() if room <= 0])
        if row is None:
            return
        asked = state.account(row.sheet).of_model
        for account in draft.rooms:
            draft.rooms[account] -= account.of_model == asked
        if needs_skip_evaluation(state, row):
            _start_skip_evaluation(draft, row)
            continue
        parked = state.parked.get(row.uid)
        if parked is not None:
            attempt = msgspec.structs.replace(parked, parked=False)
            draft.checks.append(attempt)
            said = f"the checks of attempt {attempt.attempt} run again"
        else:
            attempt = _new_attempt(draft, row)
            draft.starts.append(attempt)
            row = msgspec.structs.replace(row, warnings=[])
            said = f"attempt {attempt.attempt} starts ({attempt.kind}, {attempt.instrument})"
        draft.put(attempt)
        draft.update_sheet(
            row,
            status=SheetStatus.RUNNING,
            attempts=attempt.attempt,
            revision=attempt.revision,
            started_at=row.started_at or draft.now.at,
            ended_at=None,
        )
        stagger = parallel.stagger_seconds
        draft.update_run(
            begun=True,
            started_at=state.run.started_at or draft.now.at,
            not_before=draft.now.plus(round(stagger * 1000)) if stagger else None,
        )
        draft.note_sheet(
            "attempt.started",
            row.sheet,
            said,
            attempt=attempt.attempt,
            kind=attempt.kind,
            instrument=attempt.instrument,
            model=attempt.model,
            time_limit_at=attempt.time_limit_at,
        )


def _start_skip_evaluation(draft: DecisionDraft, row: SheetRow) -> None:
    """Let the skip rules of a sheet be asked; only an attempt counts for pacing."""
    asked = skip_evaluation(draft.state, row, _new_attempt(draft, row), draft.now)
    draft.starts.append(asked)
    draft.put(asked)
    draft.update_sheet(row, status=SheetStatus.RUNNING, revision=asked.revision)
    draft.update_run(begun=True, started_at=draft.state.run.started_at or draft.now.at)
    draft.note_sheet("skip.asked", row.sheet, "checking its skip rules")


def _new_attempt(draft: DecisionDraft, row: SheetRow) -> AttemptRow:
    state = draft.state
    definition = state.definition(row.sheet)
    settings = definition.settings
    profile = state.score.profiles[definition.instrument]
    most = state.cluster_seconds_of(definition)
    limit = definition.timeout_seconds if most is None else min(definition.timeout_seconds, most)
    return AttemptRow(
        run_id=row.run_id,
        uid=row.uid,
        attempt=row.attempts + 1,
        sheet=row.sheet,
        stage=definition.stage,
        instance=definition.instance,
        kind=row.next_kind,
        round=state.round_of(row.sheet),
        revision=state.run.revision,
        instrument=definition.instrument,
        model=settings.get("model") or settings.get("cli_model") or profile.default_model,
        started_at=draft.now.at,
        time_limit_at=draft.now.at + round(limit * 1000),
        silence_seconds=None if state.score.silence is None else state.score.silence.idle_timeout_seconds,
        incarnation=state.incarnation,
        executor=state.executor_of(definition),
        cluster_seconds=most,
    )


def _is_paced(draft: DecisionDraft) -> bool:
    not_before = draft.state.run.not_before
    return not_before is not None and not draft.now.reached(not_before)


def _next_wake(draft: DecisionDraft) -> Instant | None:
    """Return when time itself is the next trigger."""
    state = draft.state
    moments = [*hold_moments(draft), time_limit_moment(draft)]
    if lifecycle.may_start_hook(state.facts):
        moments += [*hook_moments(state), *([draft.now] if has_just_failed(draft) else [])]
    if lifecycle.may_start(state.facts):
        moments.append(state.next_wait(draft.now))
        if _is_paced(draft) and state.next_ready() is not None:
            moments.append(state.run.not_before)
    due = [moment for moment in moments if moment is not None]
    return min(due, key=draft.now.until, default=None)


def could_use_slot(state: RunState, now: Instant, closed: Collection[Account] = ()) -> bool:
    """Tell whether a slot would start an attempt or a hook now; those of the accounts in `closed` may not."""
    if lifecycle.may_start_hook(state.facts) and state.hook_queue.startable is not None:
        return True
    if not lifecycle.may_start(state.facts):
        return False
    if state.due_loops:
        return True
    return (
        len(state.sheet_flights) < state.score.parallel.max_concurrent
        and (state.run.not_before is None or now.reached(state.run.not_before))
        and state.next_ready(closed) is not None
    )


def flights_to_terminate(state: RunState, now: Instant) -> list[Flight]:
    """Return the flights to be ended when the daemon starts, for what an earlier one had decided.

    A cancel is in force, a hook was sent TERM, or a deadline is over. They are told so before their records
    are read: an end on disk that the earlier daemon has brought about is no loss.
    """
    to_end: list[Flight] = [row for row in state.flights if isinstance(row, HookRow) and row.term_sent]
    if is_overdue(state, now):
        to_end += state.sheet_flights
    return state.flights if state.run.cancelling else to_end
