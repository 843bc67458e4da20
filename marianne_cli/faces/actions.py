"""What a face offers of a job: the requests that it takes now, each with the `mzt` line that it is."""

import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

from marianned.protocol.statuses import JobStatus, SheetStatus

_STARTED = frozenset({JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.PAUSING})
_NOT_ENDED = _STARTED | {JobStatus.PAUSED}
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
    planned: bool = False
    """Whether it has a plan (`plan` of its params), which is shown first."""


class _JobAction(NamedTuple):
    statuses: frozenset[JobStatus]
    words: str
    method: str
    params: Mapping[str, Any] = {}
    asks: str | None = None


class _SheetAction(NamedTuple):
    statuses: frozenset[JobStatus]
    sheets: frozenset[SheetStatus]
    words: str
    method: str
    param: str
    params: Mapping[str, Any] = {}
    planned: bool = False


_JOB_ACTIONS = {
    "pause": _JobAction(_STARTED - {JobStatus.PAUSING}, "pause {job}", "job.pause"),
    "pause now": _JobAction(
        _STARTED - {JobStatus.QUEUED},
        "pause {job} --now",
        "job.pause",
        {"now": True},
        "Interrupt what is in flight? It runs again after the resume.",
    ),
    "resume": _JobAction(_RESTING | {JobStatus.PAUSING}, "resume {job}", "job.resume"),
    "retry": _JobAction(_NOT_ENDED, "retry {job}", "job.retry"),
    "discard": _JobAction(
        frozenset({JobStatus.PAUSING}),
        "modify {job} --discard",
        "job.modify",
        {"discard": True},
        "Take the staged revision back?",
    ),
    "cancel": _JobAction(
        _NOT_ENDED, "cancel {job}", "job.cancel", {}, "End this job now? What is in flight is ended, too."
    ),
    "remove": _JobAction(
        _ENDED,
        "remove {job}",
        "job.remove",
        {},
        "Delete this run, with its history and output? The workspace stays.",
    ),
}
_OF_EARLIER_RUNS = frozenset({"remove"})
"""All that can be asked of a run that is not the newest of its job."""
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
        for word, known in _JOB_ACTIONS.items()
        if job["status"] in known.statuses
        and (word not in _ONLY_WITH or job[_ONLY_WITH[word]])
        and (word in _OF_EARLIER_RUNS or not is_earlier(job))
    ]


def action_line(word: str, job: Mapping[str, Any], sheet: Mapping[str, Any] | None) -> str:
    """Return the `mzt` line of an action, possible now or not; empty: the action needs a sheet."""
    name = shlex.quote(job["job_id"])
    if (known := _JOB_ACTIONS.get(word)) is not None:
        return f"mzt {known.words.format(job=name)}"
    return "" if sheet is None else f"mzt {_SHEET_ACTIONS[word].words.format(job=name, sheet=sheet['sheet'])}"


def is_earlier(job: Mapping[str, Any]) -> bool:
    """Tell whether a run is not the newest of its job."""
    return bool(job["job_id"] != job["job_name"])


_DONE = frozenset({SheetStatus.COMPLETED, SheetStatus.SKIPPED, SheetStatus.FAILED})
_OPEN = frozenset({SheetStatus.PENDING, SheetStatus.WAITING, SheetStatus.FAILED, SheetStatus.CANCELLED})
_TO_COME = frozenset({SheetStatus.PENDING, SheetStatus.WAITING})
_MAY_STOP_BEFORE = _STARTED | _RESTING
_SHEET_ACTIONS = {
    "run from here": _SheetAction(
        _RESTING | _ENDED, _DONE, "resume {job} --from {sheet}", "job.resume", "from", planned=True
    ),
    "run it alone": _SheetAction(
        _RESTING | _ENDED, _DONE, "resume {job} --only {sheet}", "job.resume", "only", planned=True
    ),
    "accept": _SheetAction(
        _RESTING, _OPEN, "resume {job} --accept {sheet}", "job.resume", "accept", planned=True
    ),
    "skip": _SheetAction(_RESTING, _OPEN, "resume {job} --skip {sheet}", "job.resume", "skip", planned=True),
    "pause before it": _SheetAction(
        _MAY_STOP_BEFORE, _TO_COME, "pause {job} --before {sheet}", "job.pause", "before"
    ),
    "clear the breakpoint": _SheetAction(
        _MAY_STOP_BEFORE,
        _TO_COME,
        "pause {job} --before {sheet} --clear",
        "job.pause",
        "before",
        {"clear": True},
    ),
}
_BREAKPOINTS = {"pause before it": False, "clear the breakpoint": True}


def sheet_offers(job: Mapping[str, Any], sheet: Mapping[str, Any]) -> list[Offer]:
    """Return what can be asked of a job about one of its sheets (SHEET there), in a fixed order."""
    if is_earlier(job):
        return []
    number = str(sheet["sheet"])
    name = shlex.quote(job["job_id"])
    marked = any(one["sheet"] == sheet["sheet"] for one in job["breakpoints"])
    return [
        Offer(
            word,
            f"mzt {known.words.format(job=name, sheet=number)}",
            known.method,
            {"job_id": job["job_id"], known.param: number, **known.params},
            None,
            known.planned,
        )
        for word, known in _SHEET_ACTIONS.items()
        if job["status"] in known.statuses
        and sheet["status"] in known.sheets
        and _BREAKPOINTS.get(word, marked) is marked
    ]


def takes_score(job: Mapping[str, Any]) -> bool:
    """Tell whether a job, as it stands, can be given a new score."""
    return job["status"] != JobStatus.CANCELLING and not is_earlier(job)
