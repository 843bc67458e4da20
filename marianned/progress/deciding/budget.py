"""The cost limit of a run: over it no new attempt starts, the job pauses, cause `budget`.

Source: docs/reference/score-format.md §16.4, docs/design/control.md §8.
"""

from marianned.formatting import dollars
from marianned.progress.deciding.draft import Draft
from marianned.progress.state.job import JobState
from marianned.protocol import HoldCause
from marianned.score.expanded import Expanded


def is_over(state: JobState, score: Expanded, added: float = 0.0) -> bool:
    """Tell whether the run has cost more than this score, and what was added to it, lets it."""
    limit = _limit(state, score)
    return limit is not None and state.cost.usd > limit + added


def _limit(state: JobState, score: Expanded) -> float | None:
    most = score.cost_limits.max_cost_per_job if score.cost_limits is not None else None
    return None if most is None else most + state.run.over_budget


def describe_budget(state: JobState, score: Expanded) -> str:
    """Say how far over its limit the run is: `it has cost $1.20 of $1.00`."""
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
    if not is_over(state, score):
        draft.let_go(held)
    elif not held and state.outlook.could_start and not (draft.facts.cancelling or draft.facts.ended):
        draft.hold(HoldCause.BUDGET, None, describe_budget(state, score))
        draft.note("hold.added", describe_budget(state, score), cause=HoldCause.BUDGET)
