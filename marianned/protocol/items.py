"""What streams bring: one Struct for each kind of item; `type` tells them apart.

Events are items, too (`Event` in parts.py): their types have a dot, those of all others have none.
"""

from typing import Literal

import msgspec

from marianned.protocol.parts import InFlight, RateLimit, SafeTo, Sheet
from marianned.protocol.replies import Job, Slots
from marianned.protocol.statuses import DaemonHealth


class Snapshot(msgspec.Struct, kw_only=True):
    """The present state of the jobs, as the first item of a stream."""

    type: Literal["snapshot"] = "snapshot"
    """What tells it from an event."""
    event: int
    """The events after this number follow in the stream."""
    jobs: list[Job]
    """A page of the jobs; apply to each the events after its own `event`."""
    total: int
    """How many jobs there are."""


class JobState(msgspec.Struct, kw_only=True):
    """A job that has changed, as it is now: it takes the place of what was told of it before."""

    type: Literal["job"] = "job"
    """What tells it from other items."""
    event: int
    """The journal position at which it was true."""
    job: Job
    """The job; a higher `run` than before: a new run has taken the place of the one before."""


class SheetStates(msgspec.Struct, kw_only=True):
    """Sheets of a job that have changed, as they are now; in a snapshot all of them, in pages."""

    type: Literal["sheets"] = "sheets"
    """What tells it from other items."""
    event: int
    """The journal position at which it was true."""
    job_id: str
    """What addresses the job: its name, or `name@run` for a run that is not the newest."""
    run: int
    """Number of the run."""
    revision: int
    """Revision of the score in force: under another one than before, numbers may mean other sheets."""
    total_sheets: int
    """How many sheets the job has; those with a higher number are gone."""
    sheets: list[Sheet]
    """The sheets, by number, without attempts and `needs` (which `job.graph` tells), and with the first ten
    of `blocked_by`."""


class OutputStates(msgspec.Struct, kw_only=True):
    """What of a job is in flight and has begun or printed something, as it is now; at most once a second."""

    type: Literal["output"] = "output"
    """What tells it from other items."""
    event: int
    """The journal position at which it was true."""
    job_id: str
    """What addresses the job: its name, or `name@run` for a run that is not the newest."""
    run: int
    """Number of the run."""
    in_flight: list[InFlight]
    """Those that have begun, or printed something, since the item before; the others are as they were."""


class DaemonState(msgspec.Struct, kw_only=True):
    """The daemon's load and condition, whenever something of it has changed."""

    type: Literal["daemon"] = "daemon"
    """What tells it from other items."""
    event: int
    """The journal position at which it was true."""
    status: DaemonHealth
    """Its `DaemonHealth`."""
    message: str
    """The same for people, on one line."""
    slots: Slots
    """How many attempts may be in flight, and how many are."""
    attempts_in_flight: int
    """How many attempts and hooks are in flight."""
    running_jobs: int
    """How many jobs are running."""
    total_jobs_active: int
    """How many jobs are queued, running, pausing or cancelling."""
    degraded_by: list[str]
    """What degrades it, in words for people; empty: nothing."""
    rate_limits: list[RateLimit]
    """The rate limits in force."""
    safe_to: SafeTo
    """What can be done now without losing work of any job."""
    needs_attention: list[str]
    """Names of the jobs whose newest run is paused or failed."""
    damaged: list[str]
    """Names of the jobs that have not ended and can't be read."""


class RunRemoved(msgspec.Struct, kw_only=True):
    """A run that was removed."""

    type: Literal["removed"] = "removed"
    """What tells it from other items."""
    event: int
    """The journal position at which it was true."""
    job_name: str
    """Name of the job."""
    run: int
    """Number of the run."""


class Ready(msgspec.Struct, kw_only=True):
    """The snapshot of a stream of states is complete; what is not in it is gone."""

    type: Literal["ready"] = "ready"
    """What tells it from other items."""
    event: int
    """The events after this number follow."""


class OutputPiece(msgspec.Struct, kw_only=True):
    """A piece of what an attempt prints, or its end."""

    sheet: int | None
    """Number of the sheet, in the revision in force when it was found; null for a hook."""
    stage: int | None
    """Number of its stage; null for a hook."""
    instance: int | None
    """Number of the instance in its stage; null for a hook."""
    hook: int | None
    """Number of the hook; null for a sheet."""
    attempt: int
    """Number of the attempt, from 1."""
    stream: str
    """`stdout` or `stderr`."""
    offset: int
    """Where `data` begins, in bytes; of an end: where the output ends."""
    data: bytes
    """The piece, in base64; empty at the end."""
    skipped: int = 0
    """Bytes before it that are no longer kept, since the piece before."""
    ended: bool = False
    """The attempt has ended, and all that it has printed on this stream was sent."""
