"""What has become of a job of Slurm's, in words: states of squeue, and of sacct where there is accounting.

squeue knows a job for some minutes behind its end (MinJobAge) and needs no accounting; sacct knows it for
ever, and who has cancelled it. Source: docs/design/executors.md "What Slurm says of an end".
"""

import pwd
import re
from collections.abc import Collection, Iterable
from typing import NamedTuple

from marianned.executors.base import Fate, FateKind
from marianned.executors.clusters.engine import JobKey

_STATES: dict[str, tuple[FateKind, str]] = {
    "RUNNING": (FateKind.RUNS, "runs"),
    "COMPLETING": (FateKind.ENDING, "is ending"),
    "CONFIGURING": (FateKind.RUNS, "is being started"),
    "SUSPENDED": (FateKind.RUNS, "is suspended"),
    "STOPPED": (FateKind.RUNS, "is stopped"),
    "SIGNALING": (FateKind.RUNS, "is being signalled"),
    "STAGE_OUT": (FateKind.ENDING, "is ending"),
    "COMPLETED": (FateKind.ENDED, "has ended"),
    "FAILED": (FateKind.ENDED, "has failed"),
    "CANCELLED": (FateKind.CANCELLED, "was cancelled"),
    "TIMEOUT": (FateKind.TIME, "has used up its time limit"),
    "DEADLINE": (FateKind.BROKEN, "has come to its deadline"),
    "OUT_OF_MEMORY": (FateKind.BROKEN, "ran out of memory (it gets what 'memory' of its executor says)"),
    "NODE_FAIL": (FateKind.BROKEN, "was ended, for a node of it has failed"),
    "BOOT_FAIL": (FateKind.BROKEN, "could not be started, for its node did not come up"),
    "LAUNCH_FAILED": (FateKind.BROKEN, "could not be launched"),
    "PREEMPTED": (FateKind.DISPLACED, "was preempted by another job"),
    "REVOKED": (FateKind.BROKEN, "runs on another cluster of its federation"),
    "PENDING": (FateKind.BROKEN, "was put back into the queue"),
    "REQUEUED": (FateKind.BROKEN, "was put back into the queue"),
    "REQUEUE_HOLD": (FateKind.BROKEN, "was put back into the queue, and is held"),
    "SPECIAL_EXIT": (FateKind.BROKEN, "was put back into the queue, and is held"),
}
_BY = re.compile(r"(?P<state>[A-Z_]+)(?: by (?P<uid>\d+))?")


_LEAST = (
    FateKind.CANCELLED,
    FateKind.ENDED,
    FateKind.BROKEN,
    FateKind.DISPLACED,
    FateKind.TIME,
    FateKind.ENDING,
    FateKind.RUNS,
)
"""Of several jobs under one name the one whose kind is the last of these counts: one of them has begun."""


class JobStateLine(NamedTuple):
    """A line about a job; `state` may name who has cancelled it."""

    name: str
    job: str
    state: str


def key_of(name: str, job: str) -> JobKey:
    """Return what finds a job again, by its name and its id, as `12_3`."""
    _, _, task = job.partition("_")
    return name, int(task) if task.isdigit() else None


def fates(keys: Collection[JobKey], lines: Iterable[JobStateLine]) -> dict[JobKey, Fate]:
    """Say what has become of these jobs, by what is told of some."""
    found: dict[JobKey, Fate] = {}
    for told in lines:
        key, fate = key_of(told.name, told.job), _fate(told)
        if key in keys and fate is not None:
            found[key] = max(found.get(key, fate), fate, key=lambda one: _LEAST.index(one.kind))
    return found


def _fate(told: JobStateLine) -> Fate | None:
    match = _BY.match(told.state)
    if match is None or match["state"] not in _STATES:
        return None
    kind, text = _STATES[match["state"]]
    by = f" by {_login(int(match['uid']))}" if match["uid"] else ""
    return Fate(kind, f"its job {told.job} of Slurm {text}{by}")


def _login(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
