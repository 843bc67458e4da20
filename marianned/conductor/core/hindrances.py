"""What of the daemon's own, or around it, keeps a job back or makes it unsafe, told with the job."""

from collections.abc import Iterable

import msgspec

from marianned.conductor.services import Services
from marianned.progress.state.job import JobState
from marianned.progress.views import reasons
from marianned.protocol import Job as JobView
from marianned.protocol import Reason, SafeTo
from marianned.rows import Flight


def hindrances(services: Services, state: JobState, waits: Iterable[tuple[Flight, str]]) -> list[Reason]:
    """Return why a job is kept back by what is none of its own; `waits` are those of its flights."""
    store = services.store
    displaced = store.displaced
    return [
        *reasons.degraded(state, store.degraded, None if displaced is None else displaced.hints),
        *reasons.strangers(state, services.strangers),
        *reasons.accidents(state, waits),
    ]


def hinder(services: Services, view: JobView, found: Iterable[Reason]) -> None:
    """Put into a view what was found: the words, what is not safe because of it, and the way out.

    Where the database is gone no command about the job helps, for each is refused.
    """
    found = list(found)
    view.hindered_by = [reason.text for reason in found]
    view.message = "; ".join([view.message, *view.hindered_by])
    ways = [hint for reason in found if reason.code == "stranger" for hint in reason.hints]
    if ways:
        view.safe_to = SafeTo(edit_files=False, stop_daemon=False, switch_off=False)
        view.hints = [*ways, *view.hints]
    view.safe_to = safe_from(services, view.safe_to)
    displaced = services.store.displaced
    if displaced is not None:
        view.hints = displaced.hints


def safe_from(services: Services, safe: SafeTo) -> SafeTo:
    """Return what is safe where the database may be gone: then the daemon alone holds what happened last."""
    displaced = services.store.displaced
    if displaced is None:
        return safe
    return msgspec.structs.replace(
        safe, stop_daemon=safe.stop_daemon and not displaced.lost, switch_off=False
    )
