"""What is answered: one Struct for each method's result, on the keys that every reply has."""

from typing import Any, Literal

import msgspec

from marianned.errors import Problem
from marianned.protocol.parts import (
    Breakpoint,
    Caller,
    CheckReport,
    Cost,
    Event,
    Hold,
    Hook,
    HookLine,
    InFlight,
    Instrument,
    Next,
    PlanLine,
    Progress,
    RateLimit,
    SafeTo,
    Sheet,
    Timing,
    Waiting,
)


class Reply(msgspec.Struct, kw_only=True):
    """What every reply has: the job, its status, one line for people, and what to type next."""

    job_id: str | None = None
    status: str | None = None
    message: str = ""
    hints: list[str] = []
    problems: list[Problem] = []


class Job(Reply, kw_only=True):
    """A job, the same everywhere: all keys, in every status.

    `holds` has the 100 oldest; the journal has all.
    """

    job_name: str
    run: int
    description: str | None
    revision: int
    staged_revision: int | None
    config_file: str | None
    workspace: str
    status_since_at: str
    then: str | None
    phase: str
    progress: Progress
    timing: Timing
    holds: list[Hold]
    breakpoints: list[Breakpoint]
    in_flight: list[InFlight]
    waiting: list[Waiting]
    next: Next | None
    safe_to: SafeTo
    cost: Cost
    event: int


class Submitted(Job, kw_only=True):
    """The job is on disk."""


class JobDetails(Job, kw_only=True):
    """A job with a page of its sheets, and its hooks."""

    sheets: list[Sheet]
    total_sheets: int
    hooks: list[Hook] = []


class JobList(Reply, kw_only=True):
    """Jobs, the newest change last."""

    event: int
    jobs: list[Job]
    total: int


class Snapshot(msgspec.Struct, kw_only=True):
    """The first item of a stream: the present state of the jobs; apply to each the events after its `event`.

    `event`: the stream continues with the events after this number; `total`: number of jobs.
    """

    type: Literal["snapshot"] = "snapshot"
    event: int
    jobs: list[Job]
    total: int


class Waited(Job, kw_only=True):
    """The wait is over: `reached` is the word that was reached, a status or `ended`."""

    reached: str
    waited_seconds: float


class Paused(Job, kw_only=True):
    """`acknowledged`: the request has taken effect, not only been accepted."""

    acknowledged: bool


class Cancelled(Job, kw_only=True):
    """`acknowledged`: the job has ended, and nothing of it runs."""

    acknowledged: bool


class Resumed(Job, kw_only=True):
    """`source_changed`: the score file on disk differs from the stored revision; null: no file there.

    `plan` is a page of `plan_total` lines.
    """

    acknowledged: bool
    source_changed: bool | None = None
    plan: list[PlanLine] = []
    plan_total: int = 0
    hook_plan: list[HookLine] = []


class Modified(Job, kw_only=True):
    """What a modify did, or would do (`dry_run`); `plan` is a page of `plan_total` lines."""

    acknowledged: bool
    config_validated: bool
    changed: bool
    new_revision: int | None
    dry_run: bool
    plan: list[PlanLine]
    plan_total: int = 0
    hook_plan: list[HookLine] = []


class History(Job, kw_only=True):
    """A job's part of the journal, oldest first; `total` is the number of all its entries."""

    entries: list[Event]
    total: int


class Reason(msgspec.Struct, kw_only=True):
    """Why a job does not move: since and until when, and who or what unblocks it.

    `code`: in_flight hold:CAUSE retry rate_limit slot needs draining disk cooldown job accident
    damaged failed ended;
    `unblocked_by`: caller time sheet hook job daemon nobody.
    """

    code: str
    text: str
    sheets: list[int]
    since_at: str
    until_at: str | None
    unblocked_by: str
    hints: list[str]


class Failure(msgspec.Struct, kw_only=True):
    """A failed attempt with its evidence: checks, and the end of its output.

    For a failed hook, `hook` has its number, and sheet, stage and instance are null.
    """

    sheet: int | None
    stage: int | None
    instance: int | None
    attempt: int
    outcome: str
    error_category: str | None
    error_message: str | None
    exit_code: int | None
    signal: str | None
    instrument: str
    revision: int
    ended_at: str | None
    validations: list[CheckReport]
    stdout_tail: str
    stderr_tail: str
    hook: int | None = None


class Why(Job, kw_only=True):
    """Why a job does not move or why it failed; `reasons` is never empty; `errors`: newest 50."""

    reasons: list[Reason]
    total_errors: int
    errors: list[Failure]


class Revision(msgspec.Struct, kw_only=True):
    """A version of a job's score; status `current staged past dropped`.

    Its relative paths start at `directory`; `plan` is a page of `plan_total` lines.
    """

    revision: int
    status: str
    created_at: str
    applied_at: str | None
    caller: Caller | None
    reason: str | None
    config_file: str | None
    directory: str
    sha256: str
    total_sheets: int
    plan: list[PlanLine]
    plan_total: int = 0


class Revisions(Job, kw_only=True):
    """The versions of a job's score, oldest first; `text` is that of the named revision."""

    revisions: list[Revision]
    text: str | None


class Removed(Reply, kw_only=True):
    """The runs that were removed, as `name@run`."""

    removed: list[str]
    event: int


class BackedUp(Reply, kw_only=True):
    """The copy is complete."""

    file: str
    bytes: int
    event: int


class Output(Reply, kw_only=True):
    """A piece of one stream of an attempt. `data` is base64; `skipped` bytes before it are no longer kept.

    Of a hook its number is in `hook`, and its sheet, stage, instance are null. `reads` is `cli.output` of the
    profile that it was started by, where that was asked for, and null where the output is text.
    """

    hook: int | None = None
    sheet: int | None
    stage: int | None
    instance: int | None
    attempt: int
    stream: str
    offset: int
    data: bytes
    size: int
    skipped: int = 0
    ended: bool
    reads: dict[str, Any] | None = None
    event: int


class Validated(Reply, kw_only=True):
    """What a validation found; `sheets` with `explain`."""

    valid: bool
    job_name: str | None
    config_file: str
    error_count: int
    warning_count: int
    total_sheets: int
    total_stages: int
    sheets: list[dict[str, Any]] = []
    event: int


class Instruments(Reply, kw_only=True):
    """The tools that play sheets, by name; `problems` are those of profiles that can't be read."""

    instruments: list[Instrument]
    event: int


class Cleared(Reply, kw_only=True):
    """The rate limits that were ended, of one instrument or all."""

    cleared: int
    instrument: str | None
    event: int


class Events(Reply, kw_only=True):
    """A page of the journal; `event` is the journal position at which it was true."""

    events: list[Event]
    event: int


class Hello(Reply, kw_only=True):
    """Who answers: the daemon, its version and protocol."""

    version: str
    protocol: int
    pid: int
    features: list[str]
    ready: bool
    event: int


class Slots(msgspec.Struct, kw_only=True):
    """Attempts in flight over all jobs, and how many are allowed."""

    used: int
    total: int


class Bucket(msgspec.Struct, kw_only=True):
    """The number of answers that took at most this long."""

    le_seconds: float
    count: int


class RequestCounts(msgspec.Struct, kw_only=True):
    """How often a method was answered since the daemon's start, and how fast.

    `timed` are those that waited for nothing; the percentiles are upper ends of their `buckets`, null beyond
    the last or where there is none.
    """

    method: str
    count: int
    refused: int
    timed: int
    total_seconds: float
    p50_seconds: float | None
    p99_seconds: float | None
    buckets: list[Bucket]


class Metrics(msgspec.Struct, kw_only=True):
    """Counts for monitoring: newest runs by status, connections, requests by method."""

    jobs: dict[str, int]
    connections: int
    requests: list[RequestCounts]


class DaemonStatus(Reply, kw_only=True):
    """The daemon's load: status `ready degraded draining stopping`, and what degrades it."""

    pid: int
    version: str
    protocol: int
    socket: str
    started_at: str
    uptime_seconds: float
    running_jobs: int
    total_jobs_active: int
    memory_usage_mb: float
    attempts_in_flight: int
    slots: Slots
    degraded_by: list[str]
    rate_limits: list[RateLimit]
    safe_to: SafeTo
    needs_attention: list[str]
    metrics: Metrics | None = None
    event: int


class Stopping(Reply, kw_only=True):
    """The daemon is stopping; `attempts_in_flight` go on without it."""

    pid: int
    attempts_in_flight: int
    event: int


class Reloaded(Reply, kw_only=True):
    """The settings were read again: those in `changed` are in force, those in `after_restart` not yet."""

    changed: list[str]
    after_restart: list[str]
    event: int


class StreamStarted(Reply, kw_only=True):
    """A stream was opened; its items carry this id."""

    stream: int
    event: int


class StreamCancelled(Reply, kw_only=True):
    """The stream is closed; a `stream.end` with reason `cancelled` has been sent."""

    event: int
