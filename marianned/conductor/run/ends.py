"""How an attempt has ended where its output has no say, or not alone; what its cluster says of that.

What a cluster says is a claim: it is asked only of an end that was neither the command's own nor ours. Of a
job that has ended by itself it knows no more than that its supervisor has, which is no success.
Source: docs/reference/score-format.md §15.2, docs/design/executors.md "What Slurm says of an end".
"""

from collections.abc import Sequence

import msgspec

from marianned.accidents import runs_short
from marianned.executors.base import ExitRecord, Fate, FateKind, describe_loss
from marianned.instruments.result import ParsedOutput
from marianned.protocol import CheckReport, CheckResult, ErrorCategory, Outcome
from marianned.rows import AttemptExit, AttemptRow, Exit

EarlyEnd = tuple[Outcome, ErrorCategory | None, str | None]
"""An outcome, its category, its message."""


def ended_early(record: ExitRecord, *, interrupted: bool) -> EarlyEnd | None:
    """Return how an attempt ended where its output has no say, or only its final event; None: that is read.

    `interrupted`: it was to end.
    """
    if record.error is not None:
        unavailable = Outcome.FAILED, ErrorCategory.UNAVAILABLE, record.error
        return (Outcome.INTERRUPTED, None, record.error) if runs_short(record.error) else unavailable
    if record.output_exceeded:
        return Outcome.FAILED, ErrorCategory.OUTPUT, "its output exceeded the setting output_cap"
    if record.timed_out or record.stale or record.final:
        return None
    if interrupted and record.asked:
        return Outcome.INTERRUPTED, None, None
    if (why := describe_loss(record)) is not None:
        return Outcome.LOST, ErrorCategory.LOST, why
    return None


def limit_note(record: ExitRecord, attempt: AttemptRow, fate: Fate | None) -> str:
    """Say, behind what is said of an end by a time limit, that it was not the sheet's own; empty: it was."""
    if not record.timed_out:
        return ""
    if fate is not None:
        return f" ({fate.text})"
    reached = attempt.limit_seconds if record.limit_seconds is None else record.limit_seconds
    if attempt.cluster_seconds is None or reached < attempt.cluster_seconds:
        return ""
    return " (by the time_limit of its executor, less the time that its end may take)"


def is_cancelled(fate: Fate | None) -> bool:
    """Tell whether somebody has cancelled it."""
    return fate is not None and fate.kind is FateKind.CANCELLED


def end_without_record(fate: Fate | None, why: str) -> EarlyEnd:
    """Return how an attempt has ended that has left no record, and is lost otherwise: `why`."""
    if fate is None:
        return Outcome.LOST, ErrorCategory.LOST, why
    match fate.kind:
        case FateKind.CANCELLED | FateKind.DISPLACED:
            return Outcome.INTERRUPTED, None, fate.text
        case FateKind.TIME:
            return Outcome.TIMED_OUT, ErrorCategory.TIMEOUT, fate.text
        case FateKind.BROKEN:
            return Outcome.LOST, ErrorCategory.LOST, fate.text
        case _:
            return Outcome.LOST, ErrorCategory.LOST, f"{fate.text}; {why}"


def end_by_fate(
    fate: Fate | None, early: EarlyEnd | None, record: ExitRecord
) -> tuple[EarlyEnd | None, ExitRecord]:
    """Return how an attempt has ended that others may have ended, and the record as it is read then.

    What its cluster's time limit has ended is judged as what its own has: by its output, as a try.
    """
    if fate is None or fate.kind is FateKind.ENDED:
        return early, record
    if fate.kind is FateKind.TIME:
        took = (record.ended_at - record.started_at) / 1000
        return None, msgspec.structs.replace(record, timed_out=True, limit_seconds=took)
    return end_without_record(fate, "" if early is None else early[2] or ""), record


def outside_cause(fate: Fate | None, why: str | None) -> str | None:
    """Say how the end of a check's command came from elsewhere; null: it was its own.

    `why` is why it is lost by its record; null: it is not, but others may have brought that end about.
    """
    if fate is None or (why is None and fate.kind is FateKind.ENDED):
        return why
    return fate.text if why is None else f"{fate.text}; {why}"


def all_passed(reports: Sequence[CheckReport]) -> bool:
    """Tell whether there were checks, and all of them passed."""
    return bool(reports) and all(report.result == CheckResult.PASSED for report in reports)


def measured_exit(ended: Exit, reading: ParsedOutput, cost: float | None) -> AttemptExit:
    """Return what is known of an attempt by its process and by what its tool has said."""
    told = AttemptExit(
        result=reading.result,
        input_tokens=reading.input_tokens,
        output_tokens=reading.output_tokens,
        cached_tokens=reading.cached_tokens,
        session_id=reading.session_id,
        cost_usd=cost,
    )
    return told.overlaid(ended)
