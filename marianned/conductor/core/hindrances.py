"""What of the daemon's own, or around it, keeps a job back or makes it unsafe, told with the job."""

import shlex
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from marianned.conductor.services import Services
from marianned.executors.base import WaitReason
from marianned.progress.state.run import RunState
from marianned.progress.views import reasons
from marianned.protocol import Job as JobView
from marianned.protocol import Reason, SafeTo, Waiting, WaitingFor
from marianned.rows import AttemptRow, Flight
from marianned.store.location import DatabaseDisplaced

_TAKEN = WaitReason("it is taken out of the queue", queued=True)


class JobBlockers(NamedTuple):
    """What keeps a job in memory back: the waits of its flights, and the run before it that has failed.

    `queue_waits` are the attempts that wait at a cluster, and what each waits for.
    """

    helper_waits: Sequence[tuple[Flight, str]] = ()
    by: str | None = None
    queue_waits: Sequence[tuple[Flight, WaitReason]] = ()


def is_endless(state: RunState, blockers: JobBlockers) -> bool:
    """Tell whether nobody can foretell an end: it can't be known, has not begun, or stands still."""
    stands = any(wait.stopped for _, wait in blockers.queue_waits)
    return bool(blockers.helper_waits) or stands or any(row.unbegun for row in state.attempts.values())


def uids_not_flying(state: RunState, blockers: JobBlockers) -> set[int]:
    """Return the sheets, by uid, of what has not begun, and is told to wait, or to be taken back, instead."""
    waits = {id(flight) for flight, _ in blockers.queue_waits}
    attempts = state.attempts.values()
    return {row.uid for row in attempts if row.unbegun and (state.takes_back or id(row) in waits)}


def hindrances(
    services: Services, state: RunState, blockers: JobBlockers, displaced: DatabaseDisplaced | None
) -> list[Reason]:
    """Return why a job is kept back by something outside of it."""
    hints = None if displaced is None else displaced.hints
    return [
        *reasons.degraded_reasons(state, services.store.degraded_by(displaced), hints),
        *_away_reason(services, state),
        *reasons.stranger_reasons(state, services.strangers),
        *reasons.restored_reasons(state, services.ran_since.get(state.run.run_id, ())),
        *reasons.accident_reasons(state, blockers.helper_waits),
        *reasons.hooks_before_reasons(state, blockers.by),
        *reasons.cluster_reasons(state, _cluster_waits(state, blockers)),
    ]


def _cluster_waits(state: RunState, blockers: JobBlockers) -> list[tuple[Flight, WaitReason]]:
    """Return what waits at a cluster, without what waits for its engine to answer a submission as it is.

    What was taken back waits for nothing any more, and is told with what is yet to be.
    """
    told = {id(flight) for flight, _ in blockers.helper_waits}
    found: list[tuple[Flight, WaitReason]] = [one for one in blockers.queue_waits if id(one[0]) not in told]
    if state.takes_back:
        told.update(id(flight) for flight, _ in blockers.queue_waits)
        attempts = state.attempts.values()
        found += [(row, _TAKEN) for row in attempts if row.unbegun and id(row) not in told]
    return found


def _away_reason(services: Services, state: RunState) -> list[Reason]:
    away = None if state.run.ended is not None else services.disk.away
    return (
        []
        if away is None
        else [reasons.away_reason(state, away.text, f"findmnt -T {shlex.quote(str(away.place))}")]
    )


def add_hindrances(services: Services, view: JobView, state: RunState, blockers: JobBlockers) -> None:
    """Put into a view what keeps its job back: the words, what is not safe because of it, and the way out.

    Where the database is gone no command about the job helps, for each is refused.
    """
    displaced = services.store.displaced
    found = hindrances(services, state, blockers, displaced)
    view.hindered_by = [reason.text for reason in found]
    view.message = "; ".join([view.message, *view.hindered_by])
    suspended = {
        state.number_of(row)
        for row, wait in blockers.queue_waits
        if isinstance(row, AttemptRow) and wait.suspended
    }
    if suspended:
        view.in_flight = [
            msgspec.structs.replace(one, suspended=True)
            if one.job_id is None and one.sheet in suspended
            else one
            for one in view.in_flight
        ]
    view.waiting += [
        _waiting_view(flight)
        for flight, wait in blockers.queue_waits
        if isinstance(flight, AttemptRow) and not (wait.queued and state.takes_back)
    ]
    view.to_type = _typed_hints([*found, *reasons.awaited_hold_reasons(state)])
    shown = [hint for reason in found if reason.unblocked_by == "cluster" for hint in reason.hints]
    view.hints = [*dict.fromkeys([*view.to_type, *shown, *view.hints])]
    if any(reason.code == "stranger" for reason in found):
        view.safe_to = SafeTo(edit_files=False, stop_daemon=False, switch_off=False)
    view.safe_to = safe_from(displaced, view.safe_to)
    if displaced is not None:
        view.hints = view.to_type = displaced.hints


def _typed_hints(found: Iterable[Reason]) -> list[str]:
    """Return what helps where nothing goes on by itself; usual commands come after it."""
    acts = (reason for reason in found if reason.unblocked_by == "caller")
    return [*dict.fromkeys(hint for reason in acts for hint in reason.hints)]


def _waiting_view(row: AttemptRow) -> Waiting:
    return Waiting(
        sheet=row.sheet, stage=row.stage, instance=row.instance, waiting_for=WaitingFor.SLURM, until_at=None
    )


def safe_from(displaced: DatabaseDisplaced | None, safe: SafeTo) -> SafeTo:
    """Return what is safe where the database may be gone: then the daemon alone holds what happened last."""
    if displaced is None:
        return safe
    return msgspec.structs.replace(
        safe, stop_daemon=safe.stop_daemon and not displaced.lost, switch_off=False
    )
