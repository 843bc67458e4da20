"""A job as it is told everywhere: the JOB keys, its sheets, and what happens next.

Read off the state at a moment; nothing is stored. Source: docs/design/cli.md §2.0, §5.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from heapq import nsmallest
from itertools import islice
from typing import Any, TypeVar
from zlib import crc32

import msgspec

from marianned import formatting, lifecycle
from marianned.clock import Instant, milliseconds, timestamp
from marianned.problem import Problem, make_problem
from marianned.progress.state.run import RunState
from marianned.progress.views import messages
from marianned.progress.views.hooks import hook_flights, hook_waits, next_of_hook
from marianned.progress.views.start_blockers import start_blockers
from marianned.protocol import (
    ENDED,
    Breakpoint,
    Hold,
    HookStatus,
    InFlight,
    Job,
    JobStatus,
    LoopProgress,
    Next,
    Outcome,
    Progress,
    SafeTo,
    Sheet,
    SheetStatus,
    Timing,
    Waiting,
    WaitingFor,
)
from marianned.rows import AttemptRow, Flight, HoldRow, SheetFlight, SheetRow, SkipRow
from marianned.score.expanded import SheetDefinition as Definition

BLOCKERS_MOST = 100
"""How many of the failed sheets that keep one back a reply names: there may be thousands, for each."""
WAITS_MOST = 100
"""How many sheets that wait for their next attempt a reply lists, those whose wait ends first."""
HOLDS_MOST = 100
"""How many holds a reply lists, the oldest first: each pause of a pausing job is one."""


def job_id(state: RunState) -> str:
    """Return what the newest run of a job is addressed by."""
    return state.run.job_name


def job_view(state: RunState, now: Instant) -> Job:
    """Return the job at this moment; `event` is the caller's to fill in."""
    run = state.run
    status = lifecycle.status(state.facts)
    return Job(
        job_id=job_id(state),
        status=status,
        message=messages.job_message(state, status),
        hints=messages.hints(state, status),
        job_name=run.job_name,
        run=run.run,
        description=run.description,
        labels=run.labels,
        revision=run.revision,
        staged_revision=run.staged_revision,
        config_file=state.newest.row.config_file,
        workspace=run.workspace,
        status_since_at=timestamp(run.status_since),
        then=_status_after_pausing(state, status),
        phase="hooks" if state.hook_queue.due else "sheets",
        progress=_progress(state),
        timing=Timing(
            created_at=timestamp(run.created_at),
            started_at=timestamp(run.started_at),
            updated_at=timestamp(run.updated_at),
            completed_at=timestamp(run.ended_at),
        ),
        holds=hold_views(state),
        breakpoints=[_breakpoint_view(state, row) for row in breakpoint_sheets(state)],
        in_flight=in_flight(state),
        waiting=_wait_views(state, now),
        next=next_of(state, now, status),
        nothing_left=messages.nothing_left_text(state) if status is JobStatus.PAUSED else None,
        safe_to=SafeTo(
            edit_files=all(_is_at_rest(one) for one in (state, *state.awaited)),
            stop_daemon=True,
            switch_off=not any(one.flights for one in (state, *state.awaited)),
        ),
        cost=state.cost,
        event=0,
    )


def view_of_earlier_run(view: Job) -> Job:
    """Return the view of a run that is not its job's newest: it is addressed by its number, and done with."""
    return msgspec.structs.replace(view, job_id=f"{view.job_name}@{view.run}", hints=[])


@cache
def view_shape() -> str:
    """Return what tells the form of the JOB keys from that of another version of this program."""
    return f"{crc32(msgspec.json.encode(msgspec.json.schema(Job))):08x}"


R = TypeVar("R", bound=Job)
_AT_REST = (JobStatus.PAUSED, *ENDED)
"""Where nothing of a job itself writes into its workspace."""


def extend_view(view: Job, kind: type[R], **fields: Any) -> R:
    """Return the JOB keys of a view with those that one kind of reply has beside them."""
    shared: dict[str, Any] = {name: getattr(view, name) for name in Job.__struct_fields__}
    return kind(**shared, **fields)


def sheet_flights_by_number(state: RunState) -> list[SheetFlight]:
    """Return what is in flight of sheets, by their numbers."""
    return sorted(state.sheet_flights, key=state.number_of)


def breakpoint_sheets(state: RunState) -> list[SheetRow]:
    """Return the sheets that have a breakpoint, ascending."""
    rows = [row for uid in state.breakpoints if (row := state.sheet_of(uid)) is not None]
    return sorted(rows, key=lambda row: row.sheet)


def _breakpoint_view(state: RunState, row: SheetRow) -> Breakpoint:
    definition = state.definition(row.sheet)
    return Breakpoint(sheet=row.sheet, stage=definition.stage, instance=definition.instance)


def _status_after_pausing(state: RunState, status: JobStatus) -> str | None:
    if status is not JobStatus.PAUSING:
        return None
    return "pause" if state.holds else "resume"


def _progress(state: RunState) -> Progress:
    total = len(state.score.sheets)
    percent = round(100 * state.done / total, 1)
    return Progress(completed=state.done, total=total, percent=percent, loops=loop_views(state))


def loop_views(state: RunState) -> list[LoopProgress]:
    """Return how far each loop has come, in order."""
    return [
        LoopProgress(span=one.loop.span, round=one.row.round, up_to=one.loop.rounds, state=one.row.state)
        for one in state.loops
    ]


def hold_views(state: RunState) -> list[Hold]:
    """Return its holds, the oldest first."""
    return [hold_view(hold) for hold in islice(state.holds.values(), HOLDS_MOST)]


def hold_view(row: HoldRow) -> Hold:
    """Return a hold as it is told."""
    return Hold(
        cause=row.cause,
        owner=row.owner,
        reason=row.reason,
        held_at=timestamp(row.held_at),
        ends_at=timestamp(row.ends),
    )


def _flight_view(state: RunState, row: SheetFlight) -> InFlight:
    definition = state.definition(state.number_of(row))
    return InFlight(
        sheet=definition.sheet,
        stage=definition.stage,
        instance=definition.instance,
        attempt=0 if isinstance(row, SkipRow) else row.attempt,
        started_at=timestamp(row.started_at),
        time_limit_at=None if _is_unbegun(row) else timestamp(row.time_limit_at),
        time_limit_by="executor" if isinstance(row, AttemptRow) and row.limit_is_clusters else None,
        label=definition.label or definition.movement,
        instrument=row.instrument,
        model=row.model,
        node=row.node if isinstance(row, AttemptRow) else None,
        cluster_job=row.cluster_job if isinstance(row, AttemptRow) else None,
    )


def in_flight(state: RunState) -> list[InFlight]:
    """Return what is in flight of a job, and of those it waits for: they may write where it does."""
    return [*_flights(state), *_flights_elsewhere(state)]


def _flights(state: RunState) -> list[InFlight]:
    return [
        *(_flight_view(state, row) for row in sheet_flights_by_number(state)),
        *hook_flights(state),
        *_loop_flights(state),
    ]


def _loop_flights(state: RunState) -> list[InFlight]:
    """Return the loops of which a round is being judged."""
    return [
        InFlight(
            sheet=None,
            stage=None,
            instance=None,
            attempt=0,
            started_at=timestamp(row.started_at),
            time_limit_at=timestamp(row.time_limit_at),
            loop=one.loop.span if (one := state.loops.identified_by(row.uid)) is not None else None,
        )
        for row in state.loops.asking
    ]


def _flights_elsewhere(state: RunState) -> list[InFlight]:
    """Return what is in flight in the jobs whose end this one waits for."""
    found: list[InFlight] = []
    for child in state.awaited:
        address = messages.run_address(child)
        found += [msgspec.structs.replace(flight, job_id=address) for flight in _flights(child)]
    return found


def _is_at_rest(state: RunState) -> bool:
    """Tell whether nothing is in flight or starts by itself: hooks of a failure do, unless they are held."""
    starts_hook = state.failing and lifecycle.may_start_hook(state.facts)
    return lifecycle.status(state.facts) in _AT_REST and not (state.flights or starts_hook)


def _wait_views(state: RunState, now: Instant) -> list[Waiting]:
    waits = state.waiting_sheets()
    if len(waits) > WAITS_MOST:
        first = nsmallest(WAITS_MOST, waits, key=lambda row: row.until.at if row.until is not None else 0)
        waits = sorted(first, key=lambda row: row.sheet)
    found = [_wait_view(state, row, row.waiting_for or WaitingFor.RETRY, row.until) for row in waits]
    found += hook_waits(state)
    if not lifecycle.may_start(state.facts):
        return found
    limited = state.limited(now)
    for account, row in state.ready_accounts().items():
        if account in limited:
            found.append(_wait_view(state, row, WaitingFor.RATE_LIMIT, state.limits[account].until))
    ready = state.next_ready(limited)
    if ready is None:
        return found
    not_before = state.run.not_before
    if not_before is not None and not now.reached(not_before):
        found.append(_wait_view(state, ready, WaitingFor.PACING, not_before))
    elif len(state.sheet_flights) < state.score.parallel.max_concurrent:
        found.append(_wait_view(state, ready, messages.slot_wait(state)[0], None))
    return found


def _wait_view(state: RunState, row: SheetRow, waiting_for: WaitingFor, until: Instant | None) -> Waiting:
    definition = state.definition(row.sheet)
    return Waiting(
        sheet=row.sheet,
        stage=definition.stage,
        instance=definition.instance,
        waiting_for=waiting_for,
        until_at=timestamp(until),
    )


# --- what happens next by itself ---------------------------------------------------------------------


def next_of(state: RunState, now: Instant, status: JobStatus) -> Next | None:
    """Return what happens next by itself, in code and words; None: nothing does."""
    match status:
        case JobStatus.PAUSING:
            return _next_pause(state, now)
        case JobStatus.PAUSED:
            return _next_hold_end(state)
        case JobStatus.CANCELLING:
            return Next(
                code="cancel", text=f"ends when {messages.flights_text(state)} {_be_verb(state)} gone"
            )
        case JobStatus.QUEUED if state.next_ready(state.limited(now)) is not None and not state.failing:
            return Next(code="start", text=f"starts {messages.slot_wait(state)[1]}")
        case JobStatus.QUEUED | JobStatus.RUNNING:
            return _within_limits(state, now, _next_while_running(state, now))
        case _:
            return next_of_hook(state, now) if state.failing else None


def _within_limits(state: RunState, now: Instant, coming: Next | None) -> Next | None:
    """Return what happens next, unless the run's time is up before, or in that very millisecond."""
    left = state.time_left(now)
    if coming is None or left is None:
        return coming
    up_at = timestamp(now.at + left)
    if coming.due_at is not None and milliseconds(coming.due_at) >= now.at + left:
        return Next(code="time_limit", text="pauses, for its time is up", due_at=up_at)
    if coming.latest_at is not None and milliseconds(coming.latest_at) > now.at + left:
        return msgspec.structs.replace(coming, latest_at=up_at)
    return coming


def _next_limit_end(state: RunState, now: Instant) -> Next | None:
    """Return when a rate limit lets the first sheet start, where nothing else could."""
    limited = state.limited(now)
    if not limited or state.next_ready(limited) is not None:
        return None
    ready = [(state.limits[account].until, row) for account, row in state.ready_accounts().items()]
    due = [(until, row) for until, row in ready if until is not None]
    if not due:
        return None
    until, row = min(due, key=lambda one: now.until(one[0]))
    return Next(code="rate_limit", text=f"sheet {row.sheet} starts", due_at=timestamp(until.at))


def latest_end(state: RunState) -> int | None:
    """Return when the last of what is in flight ends at the latest (UTC milliseconds)."""
    return state.limit_of_flights(state.flights)


def _next_hold_end(state: RunState) -> Next | None:
    """Return when the pause ends by itself: when each hold has an end."""
    ends = [hold.ends for hold in state.holds.values()]
    known = [end for end in ends if end is not None]
    if not known or len(known) < len(ends):
        return None
    last = max(known, key=lambda end: end.at)
    what = "ends" if state.nothing_left else "goes on"
    return Next(code="hold_end", text=f"{what} by itself", due_at=timestamp(last.at))


def _next_pause(state: RunState, now: Instant) -> Next:
    when = _when_all_have_ended(state)
    last = not _more_would_start(state)
    code, latest = "boundary", latest_end(state)
    deadlines = [hold.deadline for hold in state.holds.values() if hold.deadline is not None]
    if any(now.reached(deadline) for deadline in deadlines):
        when = f"{messages.flights_text(state)} {_be_verb(state)} interrupted"
        last = state.failed_fast
        code, latest = "interrupt", None
    elif deadlines and latest is not None:
        latest = min(latest, *(deadline.at for deadline in deadlines))
    changes = [f"revision {state.staged.row.revision} applies"] if state.staged is not None else []
    again = [row.sheet for uid in state.run.rewind if (row := state.sheet_of(uid)) is not None]
    if not again and state.run.rewind:
        changes.append("hooks run again")
    if again:
        changes.append(f"{formatting.sheet_list(again)} {'runs' if len(again) == 1 else 'run'} again")
    if not changes:
        text = f"pauses when {when}"
    else:
        after = "it stays paused" if state.holds else "it goes on"
        text = f"{' and '.join(changes)} when {when}, then {after}"
    if last and state.holds and not again and not _end_is_held_back(state):
        text += ", unless that ends the job"
    return Next(code=code, text=text, latest_at=timestamp(latest) if latest else None)


def _when_all_have_ended(state: RunState) -> str:
    """Say until when a pause lasts: what waits at a cluster, and was not seen to begin, is taken back."""
    queued = {state.number_of(row) for row in state.sheet_flights if _is_unbegun(row)}
    if not queued:
        return f"{messages.flights_text(state)} {_end_verb(state)}"
    begun = sorted({state.number_of(row) for row in state.sheet_flights} - queued)
    if begun:
        return f"{formatting.sheet_list(begun)} {'ends' if len(begun) == 1 else 'end'}"
    one = len(queued) == 1
    taken, ended = ("is taken", "ends, if it has") if one else ("are taken", "end, if they have")
    return f"{messages.flights_text(state)} {taken} out of the queue, or {ended} begun"


def _is_unbegun(row: Flight) -> bool:
    return isinstance(row, AttemptRow) and row.unbegun


def _more_would_start(state: RunState) -> bool:
    """Tell whether something is left to start when what is in flight ends well."""
    turns = state.hook_queue
    if state.failing and (state.success_queue.current or state.due_loops or state.has_open_sheets):
        return True
    if turns.current is None or turns.current.status != HookStatus.RUNNING:
        return state.settling_context.could_start
    ended = {"status": HookStatus.COMPLETED, "outcome": Outcome.SUCCEEDED}
    rows = [msgspec.structs.replace(r, **ended) if r.status == HookStatus.RUNNING else r for r in turns.rows]
    return turns._replace(rows=rows).current is not None


def _end_is_held_back(state: RunState) -> bool:
    """Tell whether the end of the job is kept back by a hold that is about it."""
    settling_context = state.settling_context
    return settling_context.keeps or (settling_context.failed and settling_context.pause_on_failure)


def _next_of_judgement(state: RunState) -> Next:
    """Return what follows a round that is over."""
    if asked := state.loops.asking:
        text = f"{messages.judgement_name(state, asked[0])} says whether another round follows"
        return Next(code="loop", text=text, latest_at=timestamp(latest_end(state)))
    return Next(
        code="start",
        text=f"{messages.judgement_name(state, state.due_loops[0].row)} {messages.slot_wait(state)[1]}",
    )


def _next_while_running(state: RunState, now: Instant) -> Next | None:
    if state.hook_queue.current is not None:
        return next_of_hook(state, now)
    if state.sheet_flights:
        return _next_of_flights(state, now)
    return _next_of_judgement(state) if state.loops.asking or state.due_loops else _next_when_idle(state, now)


def _next_when_idle(state: RunState, now: Instant) -> Next | None:
    """Return what follows where nothing is in flight: what is ready starts, or a wait ends."""
    waits_until = state.next_wait(now)
    ready = state.next_ready(state.limited(now))
    if ready is not None:
        not_before = state.run.not_before
        paced = not_before is not None and not now.reached(not_before)
        due = timestamp(not_before) if paced else None
        when = "" if paced else f" {messages.slot_wait(state)[1]}"
        return Next(code="start", text=f"sheet {ready.sheet} starts{when}", due_at=due)
    limited = _next_limit_end(state, now)
    if waits_until is None:
        return limited
    if limited is not None and limited.due_at and limited.due_at < timestamp(waits_until.at):
        return limited
    row = next(row for row in state.waiting_sheets() if row.until == waits_until)
    again = f"sheet {row.sheet} is tried again"
    return Next(code=row.waiting_for or WaitingFor.RETRY, text=again, due_at=timestamp(waits_until.at))


def _next_of_flights(state: RunState, now: Instant) -> Next:
    """Return which sheet starts next, and which ends that waits for; what waits in a queue has to begin."""
    flying = {state.number_of(row): row for row in state.sheet_flights}
    judged = bool(state.loops.asking)  # another round may come first
    sheet = None if state.failed_fast or judged else _first_to_start(state, now)
    needs = set() if sheet is None else flying.keys() & set(state.waits_for(sheet))
    if sheet is not None and not needs and len(flying) < state.score.parallel.max_concurrent:
        return Next(code="start", text=f"sheet {sheet} starts {messages.slot_wait(state)[1]}")
    if all(map(_is_unbegun, [flying[number] for number in needs] or state.flights)):
        one = "" if len(needs or flying) == 1 else "one of "
        what = formatting.sheet_list(needs) if needs else messages.flights_text(state)
        return Next(code="start", text=f"{one}{what} begins")
    if sheet is None:
        latest = state.limit_of_flights(flying.values())
        return Next(
            code="sheet_end",
            text=f"{messages.flights_text(state)} {_end_verb(state)}",
            latest_at=timestamp(latest),
        )
    if needs:
        ends = f"{formatting.sheet_list(needs)} {'ends' if len(needs) == 1 else 'end'}"
    else:
        ends = (
            f"{messages.flights_text(state)} ends"
            if len(flying) == 1
            else f"one of {messages.flights_text(state)} ends"
        )
    latest = state.limit_of_flights(flying[number] for number in needs or flying)
    return Next(code="start", text=f"sheet {sheet} starts when {ends}", latest_at=timestamp(latest))


def _first_to_start(state: RunState, now: Instant) -> int | None:
    """Return the first pending sheet that nothing but ends in flight, and slots, keeps from starting."""
    limited = state.limited(now)
    for row in state.next_in_line():
        kept = state.blocked(row.sheet) or state.behind_breakpoint(row.sheet)
        if not kept and state.account(row.sheet) not in limited:
            return row.sheet
    return None


def _end_verb(state: RunState) -> str:
    return "ends" if state.flight_count == 1 else "end"


def _be_verb(state: RunState) -> str:
    return "is" if state.flight_count == 1 else "are"


# --- sheets ------------------------------------------------------------------------------------------


def sheet_views(
    state: RunState, numbers: Sequence[int], *, needs: bool = True, blockers_most: int = BLOCKERS_MOST
) -> list[Sheet]:
    """Return these sheets; their attempts are the caller's to fill in.

    `needs`: tell what each needs; `blockers_most`: how many of the sheets that keep one back are named.
    """
    blockers = state.failed_above([number for number in numbers if state.blocked(number)])
    for found in {id(found): found for found in blockers.values()}.values():  # most sheets share theirs
        del found[blockers_most:]
    kept = start_blockers(state, numbers)
    views = []
    for number in numbers:
        row = state.sheets[number]
        definition = state.definition_of(row)
        view = _sheet_view(state, row, definition, blockers.get(number, []), kept.get(number))
        if needs:
            view.needs = list(definition.needs)
        views.append(view)
    return views


def _sheet_view(
    state: RunState, row: SheetRow, definition: Definition, blocked_by: list[int], kept: str | None
) -> Sheet:
    number = row.sheet
    limit_met = state.limit_holding_back(number) if state.limits else None
    until = limit_met.until if limit_met is not None else row.until
    return Sheet(
        sheet=number,
        stage=definition.stage,
        instance=definition.instance,
        label=definition.label or definition.movement,
        name=definition.movement,
        status=row.status,
        waiting_for=row.waiting_for if limit_met is None else WaitingFor.RATE_LIMIT,
        until_at=timestamp(until),
        blocked_by=blocked_by,
        kept_back_by=kept,
        instrument=definition.instrument,
        revision=row.revision,
        attempt_count=row.attempts,
        validation_passed=row.validation_passed,
        error_category=row.error_category,
        error_message=row.error_message,
        started_at=timestamp(row.started_at),
        ended_at=timestamp(row.ended_at),
        cost_usd=row.cost_usd,
        skip_reason=row.skip_reason,
        accepted=row.word if row.status == SheetStatus.COMPLETED else None,
        skipped_by=row.word if row.status == SheetStatus.SKIPPED else None,
    )


def problems_of_sheets(state: RunState, numbers: Iterable[int]) -> list[Problem]:
    """Return what people should know of the newest attempts of sheets, as warnings."""
    warned, sheets = state.warned_sheets(), dict[str, list[int]]()
    wanted = frozenset(numbers) if warned else ()
    for row in warned:
        for text in row.warnings if row.sheet in wanted else ():
            sheets.setdefault(text, []).append(row.sheet)
    file = state.current.row.config_file or state.run.job_name
    return [make_problem("S601", text, file, sheets=concerned) for text, concerned in sheets.items()]
