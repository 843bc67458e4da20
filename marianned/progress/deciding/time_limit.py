"""The time limit of a run: when it is up nothing more starts, what is in flight is interrupted, it pauses.

The time is counted while the run is running or cancelling, and while it is pausing; not while it is queued,
paused or ended. Source: docs/reference/score-format.md §28.7, docs/design/control.md §8.
"""

from marianned.clock import Instant
from marianned.formatting import duration
from marianned.progress.deciding.draft import Draft
from marianned.progress.state.job import JobState
from marianned.protocol import HoldCause
from marianned.score.expanded import Expanded


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
