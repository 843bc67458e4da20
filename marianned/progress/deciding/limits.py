"""The limits of a run. Over the one of cost no new attempt starts, the job pauses, cause `budget`.

When its time is up nothing more starts, what is in flight is interrupted, it pauses, cause `time`; the time
is counted while the run is running, pausing or cancelling.
Source: docs/reference/score-format.md §16.4, §28.7, §29.3, docs/design/control.md §8.
"""

from marianned.clock import Instant
from marianned.formatting import dollars, duration
from marianned.progress.deciding.draft import Draft
from marianned.progress.state.job import JobState
from marianned.progress.state.loops import Round
from marianned.protocol import HoldCause
from marianned.score.expanded import Expanded


def loop_over(state: JobState, added: float = 0.0) -> Round | None:
    """Return the loop in force that has cost more than it may, with what was added to limits.

    It counts while rounds may follow: whatever its sheets have cost in all rounds.
    """
    for one in state.loops:
        most = one.loop.cost_limit_usd
        if most is not None and one.is_open and _cost_of(state, one) > most + state.run.over_budget + added:
            return one
    return None


def _cost_of(state: JobState, one: Round) -> float:
    return sum((state.sheets[sheet].cost_usd or 0.0 for sheet in one.loop.sheets), 0.0)


def _limit(state: JobState, score: Expanded) -> float | None:
    most = score.cost_limits.max_cost_per_job if score.cost_limits is not None else None
    return None if most is None else most + state.run.over_budget


def describe_budget(state: JobState, score: Expanded) -> str:
    """Say how far over its limit the run is, or a loop of it: `it has cost $1.20 of $1.00`."""
    one = None if state.over_cost(score) else loop_over(state)
    if one is not None:
        most = (one.loop.cost_limit_usd or 0.0) + state.run.over_budget
        cost = dollars(_cost_of(state, one), known=True)
        return f"loop {one.loop.span} has cost {cost} of {dollars(most, known=True)}"
    spent = dollars(state.cost.usd, known=state.cost.known)
    return f"it has cost {spent} of {dollars(_limit(state, score) or 0.0, known=True)}"


def warn_of_budget(draft: Draft, spent: float) -> None:
    """Tell once that the part of the limit has been reached which the score wants to hear of.

    `spent` (USD) is what the attempt that has just ended has cost.
    """
    state = draft.state
    limit, costs = _limit(state, state.score), state.score.cost_limits
    if limit is None or costs is None:
        return
    warned_at = limit * costs.warn_at_percent / 100.0
    if state.cost.usd - spent < warned_at <= state.cost.usd:
        text = f"{describe_budget(state, state.score)}: {costs.warn_at_percent:g} % are reached"
        draft.note("budget.warned", text, cause=HoldCause.BUDGET)


def judge_budget(draft: Draft) -> None:
    """Hold the job that is over its limit, and let go what a higher limit has made needless.

    The limit is that of the newest revision, staged or not: what was acknowledged decides what comes after.
    """
    state = draft.state
    score = state.newest.score
    held = [hold.hold for hold in state.holds.values() if hold.cause == HoldCause.BUDGET]
    if not state.over_cost(score) and (state.staged is not None or loop_over(state) is None):
        draft.let_go(held)
    elif not held and state.outlook.could_start and not (draft.facts.cancelling or draft.facts.ended):
        draft.hold(HoldCause.BUDGET, None, describe_budget(state, score))
        draft.note("hold.added", describe_budget(state, score), cause=HoldCause.BUDGET)


# --- time ----------------------------------------------------------------------------------------------


def is_up(state: JobState, score: Expanded, now: Instant) -> bool:
    """Tell whether the run has taken as long as this score lets it."""
    limit = score.max_wall_seconds
    return limit is not None and state.taken(now) >= round(limit * 1000)


def describe_time(state: JobState, score: Expanded, now: Instant) -> str:
    """Say how long the run has taken: `it has run 2h of 2h (max_wall_seconds)`."""
    taken, limit = state.taken(now) / 1000, score.max_wall_seconds or 0.0
    return f"it has run {duration(taken)} of {duration(limit)} (max_wall_seconds)"


def judge_time(draft: Draft) -> None:
    """Hold the job whose time is up, and let go what a later limit has made needless.

    The limit is that of the newest revision, staged or not. The hold has a deadline that has come: what is in
    flight is interrupted.
    """
    state = draft.state
    score = state.newest.score
    held = [hold.hold for hold in state.holds.values() if hold.cause == HoldCause.TIME]
    if not is_up(state, score, draft.now):
        draft.let_go(held)
        return
    over = draft.facts.cancelling or draft.facts.ended
    if not held and not over and (state.outlook.could_start or draft.facts.in_flight):
        said = describe_time(state, score, draft.now)
        draft.hold(HoldCause.TIME, None, said, deadline=draft.now)
        draft.note("hold.added", said, cause=HoldCause.TIME)


def time_is_up(draft: Draft) -> Instant | None:
    """Return when the run's time is up; None: it has no limit, does not run, or is held for it already."""
    left = draft.state.time_left(draft.now)
    held = any(hold.cause == HoldCause.TIME for hold in draft.state.holds.values())
    return None if left is None or held or draft.facts.cancelling else draft.now.plus(left)
