"""What a face offers of a job: the requests that it takes now, each with the `mzt` line that it is."""

import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

from marianned.protocol.statuses import JobStatus

_STARTED = frozenset({JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.PAUSING})
_ALIVE = _STARTED | {JobStatus.PAUSED}
_RESTING = frozenset({JobStatus.PAUSED, JobStatus.FAILED, JobStatus.CANCELLED})
_ENDED = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED})


class Offer(NamedTuple):
    """A request about one job: `line` does the same in a terminal, `method` and `params` are the wire's."""

    name: str
    """Its word: unique among the offers of a job."""
    line: str
    method: str
    params: dict[str, Any]
    asks: str | None
    """What a person is asked first, because it ends or discards something; null: nothing."""


class _Known(NamedTuple):
    statuses: frozenset[JobStatus]
    words: str
    method: str
    params: Mapping[str, Any] = {}
    asks: str | None = None


_KNOWN = {
    "pause": _Known(_STARTED - {JobStatus.PAUSING}, "pause {job}", "job.pause"),
    "pause now": _Known(
        _STARTED - {JobStatus.QUEUED},
        "pause {job} --now",
        "job.pause",
        {"now": True},
        "Interrupt what is in flight? It runs again after the resume.",
    ),
    "resume": _Known(_RESTING | {JobStatus.PAUSING}, "resume {job}", "job.resume"),
    "retry": _Known(_ALIVE, "retry {job}", "job.retry"),
    "discard": _Known(
        frozenset({JobStatus.PAUSING}),
        "modify {job} --discard",
        "job.modify",
        {"discard": True},
        "Take the staged revision back?",
    ),
    "cancel": _Known(
        _ALIVE, "cancel {job}", "job.cancel", {}, "End this job now? What is in flight is ended, too."
    ),
    "remove": _Known(
        _ENDED,
        "remove {job}",
        "job.remove",
        {},
        "Delete this run, with its history and output? The workspace stays.",
    ),
}
_ONLY_WITH = {"retry": "waiting", "discard": "staged_revision"}
"""Offered only where this key of the job is something."""


def offers(job: Mapping[str, Any]) -> list[Offer]:
    """Return what can be asked of a job (JOB of docs/design/cli.md §2.0) as it stands, in a fixed order."""
    name = shlex.quote(job["job_id"])
    return [
        Offer(
            word,
            f"mzt {known.words.format(job=name)}",
            known.method,
            {"job_id": job["job_id"], **known.params},
            known.asks,
        )
        for word, known in _KNOWN.items()
        if job["status"] in known.statuses and (word not in _ONLY_WITH or job[_ONLY_WITH[word]])
    ]


def takes_score(status: str) -> bool:
    """Tell whether a job in this status can be given a new score."""
    return status != JobStatus.CANCELLING
