"""The limits of a run. Over the one of cost no new attempt starts, the job pauses, cause `budget`.

When its time is up nothing more starts, what is in flight is interrupted, it pauses, cause `time`; the time
is counted while the run is running, pausing or cancelling, but not while hooks of its failure are to end. A
revision that gives an attempt in flight more time does so at once; one that gives it less never does.
Source: docs/reference/score-format.md §16.4, §28.7, §29.3, docs/design/control.md §8.
"""

from collections.abc import Iterator

import msgspec

from marianned.clock import Instant
from marianned.formatting import duration, of_limit, time_asked
from marianned.progress.deciding.draft import DecisionDraft
from marianned.progress.state.loops import TrackedLoop
from marianned.progress.state.run import RunState
from marianned.protocol import HoldCause, PlanAction, PlanLine
from marianned.rows import AttemptRow
from marianned.score.expanded import ExpandedScore

_ENDLESS = 10.0 * 365 * 86_400
"""Seconds; a limit of silence that was taken away while one counts."""


def loop_over_budget(state: RunState, added: float = 0.0) -> TrackedLoop | None:
    """Return the loop in force that has cost more than it may, with what was added to limits.

    It counts while rounds may follow: whatever its sheets have cost in all rounds.
    """
    for one in state.loops:
        most = one.loop.cost_limit_usd
        if most is not None and one.is_open and _cost_of(state, one) > most + state.run.over_budget + added:
            return one
    return None


def _cost_of(state: RunState, one: TrackedLoop) -> float:
    return sum((state.sheets[sheet].cost_usd or 0.0 for sheet in one.loop.sheets), 0.0)


def _cost_limit(state: RunState, score: ExpandedScore) -> float | None:
    most = score.cost_limits.max_cost_per_job if score.cost_limits is not None else None
    return None if most is None else most + state.run.over_budget


def describe_budget(state: RunState, score: ExpandedScore) -> str:
    """Say how far over its limit the run is, or a loop of it: `it has cost $1.20 of $1.00`."""
    one = None if state.over_cost(score) else loop_over_budget(state)
    if one is not None:
        most = (one.loop.cost_limit_usd or 0.0) + state.run.over_budget
        return f"loop {one.loop.span} has cost {of_limit(_cost_of(state, one), most, known=True)}"
    return f"it has cost {of_limit(state.cost.usd, _cost_limit(state, score) or 0.0, known=state.cost.known)}"


def warn_of_budget(draft: DecisionDraft, spent: float) -> None:
    """Tell once that the part of the limit has been reached which the score wants to hear of.

    `spent` (USD) is what the attempt that has just ended has cost.
    """
    state = draft.state
    limit, costs = _cost_limit(state, state.score), state.score.cost_limits
    if limit is None or costs is None:
        return
    warned_at = limit * costs.warn_at_percent / 100.0
    if state.cost.usd - spent < warned_at <= state.cost.usd:
        text = f"{describe_budget(state, state.score)}: {costs.warn_at_percent:g} % are reached"
        draft.note("budget.warned", text, cause=HoldCause.BUDGET)


def judge_budget(draft: DecisionDraft) -> None:
    """Hold the job that is over its limit, and let go what a higher limit has made needless.

    The limit is that of the newest revision, staged or not: what was acknowledged decides what comes after.
    """
    state = draft.state
    score = state.newest.score
    held = [hold.hold for hold in state.holds.values() if hold.cause == HoldCause.BUDGET]
    if not state.over_cost(score) and (state.staged is not None or loop_over_budget(state) is None):
        draft.release_holds(held)
    elif (
        not held and state.settling_context.could_start and not (draft.facts.cancelling or draft.facts.ended)
    ):
        said = describe_budget(state, score)
        draft.note_hold(said, draft.add_hold(HoldCause.BUDGET, None, said))


# --- time ----------------------------------------------------------------------------------------------


def is_time_up(state: RunState, score: ExpandedScore, now: Instant) -> bool:
    """Tell whether the run has taken as long as this score lets it."""
    limit = score.max_wall_seconds
    return limit is not None and state.milliseconds_run(now) >= round(limit * 1000)


def describe_time(state: RunState, score: ExpandedScore, now: Instant) -> str:
    """Say how long the run has taken: `it has run 2h of 2h (max_wall_seconds)`."""
    taken, limit = state.milliseconds_run(now) / 1000, score.max_wall_seconds or 0.0
    return f"it has run {duration(taken)} of {time_asked(limit)} (max_wall_seconds)"


def judge_time(draft: DecisionDraft) -> None:
    """Hold the job whose time is up, and let go what a later limit has made needless.

    The limit is that of the newest revision, staged or not. The hold has a deadline that has come: what is in
    flight is interrupted; so it comes only after the hooks of a failure, which run once each.
    """
    state = draft.state
    score = state.newest.score
    held = [hold.hold for hold in state.holds.values() if hold.cause == HoldCause.TIME]
    if not is_time_up(state, score, draft.now):
        draft.release_holds(held)
        return
    over = draft.facts.cancelling or draft.facts.ended or draft.facts.failing
    if not held and not over and (state.settling_context.could_start or draft.facts.in_flight):
        said = describe_time(state, score, draft.now)
        draft.note_hold(said, draft.add_hold(HoldCause.TIME, None, said, deadline=draft.now))


def time_limit_moment(draft: DecisionDraft) -> Instant | None:
    """Return when the run's time is up; None: it has no limit, does not run, or is held for it already."""
    left = draft.state.time_left(draft.now)
    held = any(hold.cause == HoldCause.TIME for hold in draft.state.holds.values())
    return None if left is None or held or draft.facts.cancelling else draft.now.plus(left)


# --- of what is in flight, under a new revision (docs/design/control.md §5 "Live limits") -----------------


def with_live_limits(state: RunState, new: ExpandedScore, lines: list[PlanLine]) -> list[PlanLine]:
    """Say of sheets that are in flight which limit they have from now on, where the new score has another."""
    said: list[PlanLine] = []
    for line in lines:
        attempt = _in_flight(state, line)
        told = (
            []
            if attempt is None
            else [*_time_limit_notes(state, new, line, attempt), *_silence_notes(new, attempt)]
        )
        said.append(msgspec.structs.replace(line, why="; ".join([line.why, *told])) if told else line)
    return said


def _time_limit_notes(
    state: RunState, new: ExpandedScore, line: PlanLine, attempt: AttemptRow
) -> Iterator[str]:
    asked = _limit_under(new, line, state, attempt)
    if asked is None:
        return
    limit, now = attempt.within(asked), time_asked(attempt.limit_seconds)
    if limit > attempt.limit_seconds:
        bound = f", {_BOUND}" if limit < asked else ""
        yield f"limit {time_asked(limit)}{_tool_limit_note(state, attempt)}{bound}"
    elif attempt.limit_is_clusters and _asks_for_more(state, new, line, asked):
        yield f"its limit stays {now}, {_BOUND}"
    elif limit < attempt.limit_seconds:
        yield f"its limit stays {now}"


_BOUND = "for the time_limit of its executor can't be raised while it runs"


def _asks_for_more(state: RunState, new: ExpandedScore, line: PlanLine, asked: float) -> bool:
    """Tell whether a new score gives a sheet more time than the one in force, its own or its executor's."""
    assert line.sheet is not None
    assert line.old_sheet is not None
    before = state.definition(line.old_sheet)
    there, here = new.sheets[line.sheet - 1].resources.time_limit, before.resources.time_limit
    more = here is not None and (there is None or there > here)
    return more or asked > before.timeout_seconds


def _silence_notes(new: ExpandedScore, attempt: AttemptRow) -> Iterator[str]:
    limit = _silence_under(new)
    if attempt.silence_seconds is None or limit == attempt.silence_seconds:
        return
    if limit < attempt.silence_seconds:
        yield f"its limit of silence stays {time_asked(attempt.silence_seconds)}"
    else:
        yield "no limit of silence" if limit == _ENDLESS else f"limit of silence {time_asked(limit)}"


def _silence_under(new: ExpandedScore) -> float:
    return _ENDLESS if new.silence is None else new.silence.idle_timeout_seconds


def extend_live(draft: DecisionDraft, new: ExpandedScore, lines: list[PlanLine]) -> None:
    """Raise the limits that the new score has raised; `lines` are its plan."""
    for line in lines:
        attempt = _in_flight(draft.state, line)
        if attempt is None or line.old_sheet is None:
            continue
        asked, silence, said = _limit_under(new, line, draft.state, attempt), _silence_under(new), []
        limit = 0.0 if asked is None else attempt.within(asked)
        raised = attempt
        if limit > attempt.limit_seconds:
            raised = msgspec.structs.replace(raised, time_limit_at=attempt.started_at + round(limit * 1000))
            said.append(f"limit {time_asked(limit)}, was {time_asked(attempt.limit_seconds)}")
        if attempt.silence_seconds is not None and silence > attempt.silence_seconds:
            raised = msgspec.structs.replace(raised, silence_seconds=silence)
            said += [
                f"{one}, was {time_asked(attempt.silence_seconds)}" for one in _silence_notes(new, attempt)
            ]
        if not said:
            continue
        draft.put(raised)
        draft.extended.append(raised)
        told = f"attempt {attempt.attempt}: {'; '.join(said)}"
        draft.note_sheet("attempt.extended", line.old_sheet, told, attempt=attempt.attempt)


def _in_flight(state: RunState, line: PlanLine) -> AttemptRow | None:
    if line.action != PlanAction.IN_FLIGHT or line.old_sheet is None:
        return None
    return state.attempts.get(state.sheets[line.old_sheet].uid)


def _limit_under(new: ExpandedScore, line: PlanLine, state: RunState, attempt: AttemptRow) -> float | None:
    """Return the limit, in seconds, that a new score has for the instrument that the attempt plays on.

    None: it has none, for the sheet is played on another one there.
    """
    assert line.sheet is not None
    assert line.old_sheet is not None
    definition, fallback = new.sheets[line.sheet - 1], state.sheets[line.old_sheet].fallback
    if fallback > len(definition.fallbacks):
        return None
    there = definition.on_fallback(fallback)
    return there.timeout_seconds if there.instrument == attempt.instrument else None


def _tool_limit_note(state: RunState, attempt: AttemptRow) -> str:
    """Say that the tool was told a limit when it started, where its profile does that: it may keep it."""
    profile = state.score.profiles[attempt.instrument]
    tells = profile.http is not None or (profile.cli is not None and profile.cli.command.timeout_flag)
    return f" ({attempt.instrument} was told {time_asked(attempt.limit_seconds)})" if tells else ""
