"""What a job is to the person who looks: both faces show the jobs in these groups, in this order."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Group(StrEnum):
    """What a job is to the person who looks, in the order in which they are shown."""

    NEEDS_YOU = "needs you"
    RUNNING = "running"
    WAITING = "waiting"
    ENDED = "ended"


def group_of(job: Mapping[str, Any]) -> Group:
    """Tell whether a job needs a person, runs, waits for a time or another thing, or has ended.

    It needs a person where it has failed, or is paused and nothing goes on by itself.
    """
    status = job["status"]
    if status == "failed" or (status == "paused" and job["next"] is None):
        return Group.NEEDS_YOU
    if status in {"completed", "cancelled"}:
        return Group.ENDED
    if job["in_flight"]:
        return Group.RUNNING
    if status in {"paused", "queued"} or job["waiting"]:
        return Group.WAITING
    return Group.RUNNING
