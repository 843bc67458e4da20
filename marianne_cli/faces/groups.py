"""The groups in which jobs are shown, by whether they need a person; all faces show them in this order."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

_ENDED = {"completed", "cancelled"}


class JobGroup(StrEnum):
    """The groups of jobs, in the order in which they are shown."""

    NEEDS_YOU = "needs you"
    RUNNING = "running"
    WAITING = "waiting"
    ENDED = "ended"


def needs_person(job: Mapping[str, Any]) -> bool:
    """Tell whether nothing of a job goes on before a person acts, or something that it has begun does not.

    A daemon of before does not tell the latter.
    """
    stands = job["status"] == "failed" or (job["status"] == "paused" and job["next"] is None)
    return stands or (bool(job.get("to_type")) and job["status"] not in _ENDED)


def group_of(job: Mapping[str, Any]) -> JobGroup:
    """Tell whether a job needs a person, runs, waits for a time or another thing, or has ended.

    It needs a person where it has failed, is paused and nothing goes on by itself, or somebody has to act.
    """
    status = job["status"]
    if needs_person(job):
        return JobGroup.NEEDS_YOU
    if status in _ENDED:
        return JobGroup.ENDED
    if job["in_flight"]:
        return JobGroup.RUNNING
    if status in {"paused", "queued"} or job["waiting"]:
        return JobGroup.WAITING
    return JobGroup.RUNNING
