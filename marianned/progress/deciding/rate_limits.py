"""What an attempt tells of its account's rate limit, for the sheets of all jobs: met, or over.

The limit is a row of its own, committed with the end of the attempt that tells of it. Source:
docs/reference/score-format.md §16.3.
"""

from marianned.clock import Instant
from marianned.formatting import duration
from marianned.progress.deciding.draft import DecisionDraft
from marianned.progress.state.triggers import AttemptEnded
from marianned.protocol import HoldCause
from marianned.rows import Account, AttemptRow, LimitRow

LEAST_SECONDS = 60.0
MOST_SECONDS = 35 * 86_400.0
"""What a tool says of its reset counts within these bounds."""
ALONE_SECONDS = 3_600.0
"""How long others wait for what one run alone has heard."""
_SAME_SECONDS = 300.0
"""So far apart may be what two runs have heard of one limit."""
_JITTER = 0.05
_JITTER_MOST_SECONDS = 30.0


def record_limit(draft: DecisionDraft, sheet: int, attempt: AttemptRow, ending: AttemptEnded) -> Instant:
    """Note the limit that an attempt has met; return until when its sheet waits.

    A shell script is nobody's account: what it meets is its own sheet's affair.
    """
    until = draft.now.plus(round(_wait_seconds(draft, draft.state.account(sheet), ending) * 1000))
    if draft.state.score.profiles[attempt.instrument].raw_prompt:
        return until
    account = draft.state.account(sheet)
    untimed = unknown_time_note(draft, account, ending)
    closed = (
        until
        if _is_heard_twice(draft, account, until)
        else min(until, _end_for_others(draft), key=draft.now.until)
    )
    row = LimitRow(
        **account._asdict(),
        until=closed,
        since=draft.now.at,
        message=f"{ending.message or ''}{untimed}".strip() or None,
        run_id=draft.state.run.run_id,
        said=until,
    )
    draft.put(row)
    if account in draft.rooms:
        draft.rooms[account] = 0
    text = f"rate limit of {account}, in all jobs, for {duration(draft.now.until(closed) / 1000)}{untimed}"
    if closed != until:
        waits = duration(draft.now.until(until) / 1000)
        text += f"; '{draft.state.run.job_name}' alone has heard of it, and waits {waits}"
    draft.note_sheet("limit.met", sheet, text, cause=HoldCause.RATE_LIMIT)
    return until


def _end_for_others(draft: DecisionDraft) -> Instant:
    return draft.now.plus(round(ALONE_SECONDS * 1000))


def _is_heard_twice(draft: DecisionDraft, account: Account, until: Instant) -> bool:
    """Tell whether another run has heard of the same limit."""
    known = draft.state.limits.get(account)
    if known is None or known.said is None or known.run_id in (0, draft.state.run.run_id):
        return False
    return abs(known.said.until(until)) <= _SAME_SECONDS * 1000


def _wait_seconds(draft: DecisionDraft, account: Account, ending: AttemptEnded) -> float:
    """Return how long it is waited: what the tool says, else what is known already, else the score's."""
    known = draft.state.limits.get(account)
    if ending.resets_in is not None:
        seconds = min(max(ending.resets_in, LEAST_SECONDS), MOST_SECONDS)
        seconds += ending.chance * min(seconds * _JITTER, _JITTER_MOST_SECONDS)
        gone = 0 if ending.ended_at is None else draft.now.at - ending.ended_at
        return max(0.0, seconds - gone / 1000)
    if known is not None and known.until is not None and not draft.now.reached(known.until):
        return draft.now.until(known.until) / 1000
    return draft.state.score.rate_limit.wait_seconds


def unknown_time_note(draft: DecisionDraft, account: Account, ending: AttemptEnded) -> str:
    """Say for people that the tool has given no time, and none is known, so that the score's is taken."""
    known = draft.state.limits.get(account)
    if ending.resets_in is not None or (
        known is not None and known.until is not None and not draft.now.reached(known.until)
    ):
        return ""
    return f" (no time given; looks again in {duration(draft.state.score.rate_limit.wait_seconds)})"


def lift_limit(draft: DecisionDraft, sheet: int, attempt: AttemptRow) -> None:
    """Note that a limit is over: an attempt that started behind it was not refused."""
    row = draft.state.limits.get(draft.state.account(sheet))
    if row is None or row.until is None or not draft.now.reached(row.until):
        return
    if attempt.started_at < row.since:
        return
    draft.put(LimitRow(**row.account._asdict(), until=None, since=draft.now.at))
    draft.note("limit.lifted", f"the rate limit of {row.account} is over", cause=HoldCause.RATE_LIMIT)
