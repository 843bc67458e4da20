"""A tool's own session: which one an attempt goes on with, and which one a lost attempt had told of.

Source: docs/reference/score-format.md §15.2.
"""

from marianned import workers
from marianned.accidents import FlightAbandoned
from marianned.conductor.run.attempt_spec import can_resume
from marianned.conductor.run.process import STDERR, STDOUT, FlightProcess
from marianned.instruments.profile import Profile
from marianned.protocol import AttemptKind, Outcome
from marianned.rows import AttemptRow
from marianned.score.expanded import SheetDefinition
from marianned.store.writer import Store

COUNTED = frozenset({Outcome.FAILED, Outcome.TIMED_OUT, Outcome.SUCCEEDED})
"""Outcomes of attempts that ended by what they did themselves."""


async def session_to_resume(store: Store, profile: Profile, attempt: AttemptRow) -> str | None:
    """Return the tool's own session that an attempt goes on with; None: it begins anew.

    A completion's is that of the attempt it completes, a resumed one's the newest that is known.
    """
    if attempt.kind not in (AttemptKind.COMPLETION, AttemptKind.RESUMED) or not can_resume(profile):
        return None
    rows = await store.records.attempts(attempt.run_id, attempt.uid)
    before = [row for row in rows if row.attempt < attempt.attempt]
    if attempt.kind == AttemptKind.COMPLETION:
        before = [row for row in before if row.outcome in COUNTED]
    else:
        before = [row for row in before if row.session_id is not None]
    last = before[-1] if before else None
    same = last is not None and (last.instrument, last.model) == (attempt.instrument, attempt.model)
    return last.session_id if last is not None and same else None


async def printed_session(process: FlightProcess, profile: Profile, seat: SheetDefinition) -> str | None:
    """Return the session of a lost attempt of which there is no record, by what it has printed, if any."""
    if not can_resume(profile) or not await process.has_files():
        return None
    try:
        reading, _ = await workers.read_end(
            profile,
            seat.settings,
            stdout=str(process.directory / STDOUT),
            stderr=str(process.directory / STDERR),
            exit_code=None,
            signal_name=None,
            timed_out=False,
            timeout_seconds=seat.timeout_seconds,
        )
    except FlightAbandoned:
        return None
    return reading.session_id
