"""What is answered: one Struct for each method's result, on the keys that every reply has."""

from typing import Any

import msgspec

from marianned.errors import Problem
from marianned.protocol.parts import (
    Breakpoint,
    Caller,
    CheckReport,
    Cost,
    Drift,
    Event,
    Hold,
    Hook,
    HookFound,
    HookLine,
    InFlight,
    Instrument,
    LoopProgress,
    Next,
    Parameter,
    PlanLine,
    Progress,
    RateLimit,
    RunAttempt,
    SafeTo,
    Sheet,
    Stranger,
    Timing,
    Waiting,
)
from marianned.protocol.statuses import DaemonHealth, ErrorCategory, JobStatus, Outcome, RevisionStatus


class Reply(msgspec.Struct, kw_only=True):
    """What every reply has."""

    job_id: str | None = None
    """What addresses the job: its name, or `name@run` for a run that is not the newest; null: it is about no
    single job."""
    status: str | None = None
    """The job's `JobStatus`, or the daemon's condition; null: neither."""
    message: str = ""
    """What there is to say to people, on one line."""
    hints: list[str] = []
    """Commands to type next, as they are."""
    problems: list[Problem] = []
    """Problems and warnings of a score; also of the newest attempts of its sheets (S601)."""


class Job(Reply, kw_only=True):
    """A job, the same everywhere: all keys, in every status."""

    status: JobStatus
    """Its `JobStatus`."""
    job_name: str
    """Name of the job."""
    run: int
    """Number of the run, from 1."""
    description: str | None
    """What the score says of itself; null: nothing."""
    labels: list[str] = []
    """What it is found by with `-l`: labels of its score, and those that the run was given."""
    revision: int
    """Revision of the score in force."""
    staged_revision: int | None
    """Revision that waits to be applied; null: none."""
    config_file: str | None
    """Path of the score file of the newest revision; null: it came without one."""
    workspace: str
    """Directory it works in."""
    status_since_at: str
    """When it came to this status."""
    then: str | None
    """What follows `pausing`: `pause`, or `resume` where only a staged revision is awaited; else null."""
    phase: str
    """`sheets` or `hooks`."""
    progress: Progress
    """How many sheets are done."""
    timing: Timing
    """When the run was accepted, started and ended."""
    holds: list[Hold]
    """The 100 oldest holds; the journal has all."""
    breakpoints: list[Breakpoint]
    """Sheets before which it pauses, by number."""
    in_flight: list[InFlight]
    """What is in flight, in this job and in those whose end it waits for."""
    waiting: list[Waiting]
    """What waits, and for what; of the sheets that wait for their next attempt the 100 whose wait ends first,
    `sheets` has all."""
    next: Next | None
    """What happens next by itself; null: nothing does."""
    safe_to: SafeTo
    """What can be done now without losing work."""
    nothing_left: str | None = None
    """What a resume does of a paused job with nothing left to start; null: it is none."""
    hindered_by: list[str] = []
    """What of the daemon's own, or around it, keeps the job back or makes it unsafe, in words for people;
    empty: nothing."""
    to_type: list[str] = []
    """What a person has to type before something that keeps it back lets it go on; `hints` begin with it.
    Empty: nobody has to, or its status says all."""
    cost: Cost
    """What the run has cost so far."""
    event: int
    """The journal position at which all this was true."""


class Submitted(Job, kw_only=True):
    """The job is on disk."""


class JobDetails(Job, kw_only=True):
    """A job with a page of its sheets, and its hooks."""

    sheets: list[Sheet]
    """A page of its sheets, by number."""
    total_sheets: int
    """How many sheets there are, of those that were asked for."""
    unbegun_count: int = 0
    """How many attempts of the run were for a cluster and were not seen to begin there: refused, or taken
    back from its queue. `attempt_count` of their sheets has them, too."""
    hooks: list[Hook] = []
    """Its hooks, in the order they run in."""
    variables: dict[str, Any] = {}
    """The values the run was given, masked where a name says that it is of a secret."""
    stage_names: list[str] = []
    """Names of stages that SHEETS take, where they were asked for."""
    drift: Drift | None = None
    """What was changed in the workspace since it paused or failed; null: it has not, or nothing is known."""
    last_request: Event | None = None
    """The event by which somebody last paused, resumed or ended it: who, and why; null: there is none."""
    unchanged: bool = False
    """Nothing has changed since the event `newer_than`: only `job_id`, `event` and this are told."""


class StageNode(msgspec.Struct, kw_only=True):
    """A stage as a node of a job's graph."""

    stage: int
    """Number of the stage, from 1."""
    name: str | None
    """Its name, which SHEETS take; null: it has none."""
    label: str | None
    """What the score calls all its sheets; null: nothing, or not all the same."""
    first: int
    """Number of its first sheet; the others follow."""
    count: int
    """How many sheets it has."""
    instrument: str | None
    """The instrument that its sheets start with; null: not all with the same."""
    needs: list[int]
    """The stages all of whose sheets each of its sheets needs."""
    needs_own: list[int]
    """The stages of as many sheets, of which each of its sheets needs the one with its own instance."""


class SheetNeeds(msgspec.Struct, kw_only=True):
    """What a sheet needs that does not follow from its stage."""

    sheet: int
    """Number of the sheet."""
    needs: list[int]
    """Numbers of the sheets that must be completed or skipped before it: all of them."""


class Graph(Reply, kw_only=True):
    """What needs what in a job, by stages."""

    job_name: str
    """Name of the job."""
    run: int
    """Number of the run."""
    revision: int
    """Revision of the score in force, whose graph it is."""
    stages: list[StageNode]
    """The stages, by number."""
    sheets: list[SheetNeeds]
    """A page of the sheets whose needs are others than their stage's, by number."""
    total: int
    """How many such sheets there are."""
    loops: list[LoopProgress]
    """The loops of its stages, in order."""
    event: int
    """The journal position at which this was true."""


class BriefRun(msgspec.Struct, kw_only=True):
    """A run as its own row has it: what a list of thousands needs."""

    job_id: str
    """What addresses it: the job's name, or `name@run` for a run that is not the newest."""
    job_name: str
    """Name of the job."""
    run: int
    """Number of the run, from 1."""
    status: JobStatus
    """Its `JobStatus`."""
    labels: list[str]
    """What it is found by with `-l`."""
    revision: int
    """Revision of the score in force."""
    description: str | None
    """What the score says of itself; null: nothing."""
    config_file: str | None
    """Path of the score file of that revision; null: it came without one."""
    status_since_at: str
    """When it came to this status."""
    created_at: str
    """When it was accepted."""
    started_at: str | None
    """When its first slot was granted; null: not yet."""
    updated_at: str
    """When it last changed."""
    ended_at: str | None
    """When it ended, in any way; null: it has not ended."""


class JobList(Reply, kw_only=True):
    """Jobs, the newest change last."""

    event: int
    """The journal position at which this was true."""
    jobs: list[Job]
    """A page of the jobs, the newest change last."""
    names: list[str] = []
    """The names of all, where they were asked for: `name`, of an older run `name@run`."""
    brief: list[BriefRun] = []
    """The page in short, where that was asked for; then `jobs` is empty."""
    counts: dict[str, int] = {}
    """How many there are of each status, where that was asked for, whatever `statuses` leaves."""
    total: int
    """How many jobs there are, of those that were asked for."""


class Waited(Job, kw_only=True):
    """The wait is over."""

    reached: str
    """The word that was reached: a status, or `ended`."""
    waited_seconds: float
    """How long that took."""


class Paused(Job, kw_only=True):
    """The job is paused, or will pause."""

    acknowledged: bool
    """The request has taken effect, not only been accepted."""


class Cancelled(Job, kw_only=True):
    """The job is cancelled, or is being ended."""

    acknowledged: bool
    """The job has ended, and nothing of it runs."""


class Retried(Job, kw_only=True):
    """Sheets wait no more for their next attempt."""

    acknowledged: bool
    """The request has taken effect; always so."""
    retried: list[int]
    """The sheets whose wait has ended, by number."""


class Resumed(Job, kw_only=True):
    """The job goes on, or would."""

    acknowledged: bool
    """The request has taken effect, not only been accepted."""
    source_changed: bool | None = None
    """The score file on disk differs from the stored revision; null: no such file is there."""
    drift: Drift | None = None
    """What was changed in the workspace while it was paused, or had failed; null: nothing is known."""
    released: list[Hold] = []
    """The holds that it has released, or would."""
    plan: list[PlanLine] = []
    """A page of what becomes of each sheet, where that was asked for or sheets were named."""
    plan_total: int = 0
    """How many lines the plan has."""
    hook_plan: list[HookLine] = []
    """What becomes of each hook, beside such a plan."""


class Modified(Job, kw_only=True):
    """What a modify did, or would do."""

    acknowledged: bool
    """The request has taken effect, not only been accepted."""
    config_validated: bool
    """The score that counts has no errors; false: a staged one was taken back, none was checked."""
    changed: bool
    """There is, or would be, a new revision; false: the score equals the newest one."""
    new_revision: int | None
    """Number that the revision has or would get; null: there is no new one."""
    dry_run: bool
    """Only the plan was asked for; nothing was done."""
    released: list[Hold] = []
    """The holds that it has released, or would, where it resumes."""
    plan: list[PlanLine]
    """A page of what becomes of each sheet."""
    plan_total: int = 0
    """How many lines the plan has."""
    hook_plan: list[HookLine] = []
    """What becomes of each hook."""


class History(Job, kw_only=True):
    """A job's part of the journal."""

    entries: list[Event]
    """A page of the entries, oldest first."""
    total: int
    """How many entries there are, of those that were asked for."""


class Reason(msgspec.Struct, kw_only=True):
    """One reason why a job does not move, or why it failed."""

    code: str
    """What it is: `in_flight`, `hold:CAUSE`, `nothing_left`, `retry`, `rate_limit`, `slot`, `slurm`, `needs`,
    `kept_back`, `hooks_before` (the failure of the run before is not over), an `Obstacle`, `cooldown`, `job`,
    `accident`, `degraded`, `stranger`, `restored`, `damaged`, `failed` or `ended`."""
    text: str
    """The same for people."""
    sheets: list[int]
    """Numbers of the sheets it is about; empty: the whole job, or a hook."""
    since_at: str
    """Since when."""
    until_at: str | None
    """Until when, at the latest; null: not known."""
    unblocked_by: str
    """Who or what ends it: `caller`, `time`, `sheet`, `hook`, `job`, `daemon`, `cluster` or `nobody`."""
    hints: list[str]
    """Commands that end it or say more, as they are."""


class Failure(msgspec.Struct, kw_only=True):
    """A failed attempt or hook with its evidence."""

    sheet: int | None
    """Number of the sheet; null for a hook."""
    stage: int | None
    """Number of its stage; null for a hook."""
    instance: int | None
    """Number of the instance in its stage; null for a hook."""
    attempt: int
    """Number of the attempt, from 1."""
    outcome: Outcome
    """An `Outcome`."""
    error_category: ErrorCategory | None
    """What kind of failure it was, an `ErrorCategory`; null: none."""
    error_message: str | None
    """The same for people; null: nothing."""
    exit_code: int | None
    """Exit code of the process; null: a signal ended it, or it was not started."""
    signal: str | None
    """The signal that ended the process, as `SIGKILL`; null: none."""
    instrument: str
    """The instrument it used; empty for a hook."""
    revision: int
    """Revision of the score it ran under."""
    ended_at: str | None
    """When it ended; null: not known."""
    validations: list[CheckReport]
    """Results of its validations."""
    stdout_tail: str
    """The end of its stdout, at most 4 KiB, with secrets masked."""
    stderr_tail: str
    """The end of its stderr, at most 4 KiB, with secrets masked."""
    hook: int | None = None
    """Number of the hook; null for a sheet."""


class Why(Job, kw_only=True):
    """Why a job does not move, or why it failed."""

    reasons: list[Reason]
    """Why the job does not move; never empty."""
    total_errors: int
    """How many failed attempts and hooks there are, of those that were asked for."""
    errors: list[Failure]
    """The newest 50 of them, newest first."""


class Revision(msgspec.Struct, kw_only=True):
    """A version of a job's score."""

    revision: int
    """Number of the revision, from 1."""
    status: RevisionStatus
    """`current`, `staged`, `past` or `dropped` (replaced before it was applied)."""
    created_at: str
    """When it was accepted."""
    applied_at: str | None
    """When it took effect; null: it has not."""
    caller: Caller | None
    """Who brought it; null: not known."""
    reason: str | None
    """What the caller gave as the reason; null: nothing."""
    config_file: str | None
    """Path of the score file it came from; null: it came without one."""
    directory: str
    """Directory that its relative paths start at."""
    sha256: str
    """SHA-256 of its text and files, in hexadecimal."""
    total_sheets: int
    """How many sheets it has."""
    plan: list[PlanLine]
    """A page of what became of each sheet when it was accepted."""
    plan_total: int = 0
    """How many lines the plan has."""
    variables: dict[str, Any] = {}
    """The values the run was given until then, masked like those of a job."""
    edited: bool = False
    """It is not what that file said when it came: it was edited."""


class Revisions(Job, kw_only=True):
    """The versions of a job's score."""

    revisions: list[Revision]
    """The revisions, oldest first."""
    text: str | None
    """Text of the revision that was named; null: none was."""


class Removed(Reply, kw_only=True):
    """Runs were removed, or would be (`plan`)."""

    removed: list[str]
    """The runs that were removed, as `name@run`."""
    event: int
    """The journal position at which this was true."""
    would_remove: list[str] = []
    """The runs that would be removed, as `name@run`."""


class BackedUp(Reply, kw_only=True):
    """The copy is complete."""

    file: str
    """Path of the copy."""
    bytes: int
    """Size of the copy."""
    event: int
    """The journal position that the copy has, or a later one."""


class Output(Reply, kw_only=True):
    """A piece of one stream of an attempt."""

    hook: int | None = None
    """Number of the hook; null for a sheet."""
    sheet: int | None
    """Number of the sheet; null for a hook."""
    stage: int | None
    """Number of its stage; null for a hook."""
    instance: int | None
    """Number of the instance in its stage; null for a hook."""
    name: str | None = None
    """Its stage's name; null: it has none."""
    attempt: int
    """Number of the attempt, from 1."""
    stream: str
    """`stdout`, `stderr`, `prompt` or `result`."""
    offset: int
    """Where in the stream the piece was asked for, in bytes."""
    data: bytes
    """The piece, in base64."""
    size: int
    """Bytes of the stream so far."""
    skipped: int = 0
    """Bytes at this place that are no longer kept: `data` begins behind them."""
    ended: bool
    """Whether the attempt has ended, so that no more comes."""
    reads: dict[str, Any] | None = None
    """The part `cli.output` of its profile (docs/reference/profiles.md), where it was asked for; null: the
    output is text."""
    event: int
    """The journal position at which this was true."""


class Match(msgspec.Struct, kw_only=True):
    """A line of an output that has what was searched for."""

    offset: int
    """Where the line begins, in bytes."""
    line: int
    """Number of the line in its output, from 1, counting what is kept."""
    text: str
    """The line, at most 1,000 characters of it around the first match."""


class Matches(Reply, kw_only=True):
    """The lines of an output that have what was searched for."""

    hook: int | None = None
    """Number of the hook; null for a sheet."""
    sheet: int | None
    """Number of the sheet; null for a hook."""
    attempt: int
    """Number of the attempt, from 1."""
    stream: str
    """`stdout` or `stderr`."""
    matches: list[Match]
    """The lines, in their order."""
    more: bool
    """Whether the search was ended before the end of the output: by `limit`, or because it is long."""
    offset: int
    """Where to search on, in bytes: behind the last line that was looked at."""
    lines: int
    """How many lines lie before that place, of those that are kept."""
    size: int
    """Bytes of the output so far."""
    ended: bool
    """Whether the attempt has ended, so that no more comes."""
    event: int
    """The journal position at which this was true."""


class Validated(Reply, kw_only=True):
    """What a validation found."""

    valid: bool
    """Whether the score has no errors."""
    job_name: str | None
    """The name it has; null: none can be read."""
    config_file: str
    """The file that was named, or `score`."""
    error_count: int
    """How many of the problems are errors."""
    warning_count: int
    """How many of the problems are warnings."""
    total_sheets: int
    """How many sheets it makes."""
    total_stages: int
    """How many stages it has."""
    parameters: list[Parameter] = []
    """What a run of it can be given: its parameters and variables."""
    stage_names: dict[str, str] = {}
    """Names of its stages by their number, as far as they have one; empty while it has errors."""
    sheets: list[dict[str, Any]] = []
    """A page of its sheets, with `explain` or `prompts`: each with its place, needs, instrument, settings,
    size of its prompt and validations; with `prompts` also the prompt."""
    hooks: list[HookFound] = []
    """Its hooks, with `explain` or `prompts`."""
    event: int
    """The journal position at which this was true."""


class Instruments(Reply, kw_only=True):
    """The tools that play sheets, by name; `problems` are those of profiles that can't be read."""

    instruments: list[Instrument]
    """The tools, by name."""
    event: int
    """The journal position at which this was true."""


class Cleared(Reply, kw_only=True):
    """Rate limits were ended."""

    cleared: int
    """How many rate limits were ended."""
    instrument: str | None
    """The instrument that was named; null: all."""
    event: int
    """The journal position at which this was true."""


class Events(Reply, kw_only=True):
    """A page of the journal."""

    events: list[Event]
    """A page of the journal, oldest first."""
    event: int
    """The newest position of the journal."""


class Hello(Reply, kw_only=True):
    """Who answers: the daemon, its version and protocol."""

    status: DaemonHealth
    """Its `DaemonHealth`."""
    version: str
    """Version of the daemon."""
    protocol: int
    """Version of the protocol it speaks."""
    pid: int
    """The daemon's process."""
    features: list[str]
    """Names of what it can do beyond its protocol."""
    ready: bool
    """Whether it serves all requests; false while it drains or stops."""
    read_only: bool = False
    """Whether this connection takes questions only, as was asked."""
    event: int
    """The newest position of the journal."""


class Slots(msgspec.Struct, kw_only=True):
    """How many attempts may be in flight over all jobs, and how many are."""

    used: int
    """Attempts and hooks that are in flight on this host, without those that wait for a job."""
    total: int
    """How many may be in flight at once."""


class Bucket(msgspec.Struct, kw_only=True):
    """One bucket of latencies."""

    le_seconds: float
    """Upper end of the bucket, in seconds."""
    count: int
    """How many answers took at most this long."""


class RequestCounts(msgspec.Struct, kw_only=True):
    """How often a method was answered since the daemon's start, and how fast."""

    method: str
    """Name of the method."""
    count: int
    """How often it was answered."""
    refused: int
    """How many of those answers were errors."""
    timed: int
    """How many of those answers waited for nothing, so that their latency counts."""
    total_seconds: float
    """Sum of their latencies."""
    p50_seconds: float | None
    """Upper end of the bucket that half of them stay within; null: none was timed, or it is beyond the
    last."""
    p99_seconds: float | None
    """Upper end of the bucket that 99 % of them stay within; null: none was timed, or it is beyond the
    last."""
    buckets: list[Bucket]
    """Their latencies, cumulated."""


class Attempts(Reply, kw_only=True):
    """A page of the attempts of a run, or of all runs."""

    attempts: list[RunAttempt]
    """The attempts in the order of their starts, without what their checks found: `validations` is empty."""
    total: int
    """How many there are in all."""
    event: int
    """The newest position of the journal."""


class Metrics(msgspec.Struct, kw_only=True):
    """Counts for monitoring."""

    jobs: dict[str, int]
    """How many jobs have each status, by their newest runs."""
    connections: int
    """Connections that are open."""
    requests: list[RequestCounts]
    """Counts of each method that was asked since the daemon's start."""


class DaemonStatus(Reply, kw_only=True):
    """The daemon's load and condition."""

    status: DaemonHealth
    """Its `DaemonHealth`."""
    pid: int
    """The daemon's process."""
    version: str
    """Version of the daemon."""
    protocol: int
    """Version of the protocol it speaks."""
    socket: str
    """Path of its socket."""
    started_at: str
    """When it was started."""
    uptime_seconds: float
    """How long it has run."""
    running_jobs: int
    """How many jobs are running."""
    total_jobs_active: int
    """How many jobs are queued, running, pausing or cancelling."""
    memory_usage_mb: float
    """Its resident memory in MiB."""
    attempts_in_flight: int
    """How many attempts and hooks are in flight."""
    slots: Slots
    """How many may be in flight, and how many are."""
    degraded_by: list[str]
    """What degrades it, in words for people; empty: nothing."""
    rate_limits: list[RateLimit]
    """The rate limits in force."""
    safe_to: SafeTo
    """What can be done now without losing work of any job."""
    strangers: list[Stranger] = []
    """Attempts that run here and that the database does not know; they are left alone."""
    restored: str | None = None
    """That the database is a copy which was put back before this start, and what ran since, in words for
    people; null: it is the one that was used here last."""
    needs_attention: list[str]
    """Names of the jobs whose newest run is paused or failed."""
    damaged: list[str] = []
    """Names of the jobs that have not ended and can't be read; what they have in flight is watched."""
    metrics: Metrics | None = None
    """Counts and latencies, if they were asked for; else null."""
    event: int
    """The journal position at which this was true."""


class Stopping(Reply, kw_only=True):
    """The daemon stops or drains, or, with `stay`, goes on."""

    status: DaemonHealth
    """Its `DaemonHealth`."""
    pid: int
    """The daemon's process."""
    attempts_in_flight: int
    """How many attempts and hooks are in flight: with `detach` they go on without it."""
    event: int
    """The newest position of the journal."""


class Reloaded(Reply, kw_only=True):
    """The settings were read again."""

    changed: list[str]
    """Names of the settings that have changed and are in force."""
    after_restart: list[str]
    """Names of the settings that have changed and take effect at the daemon's next start."""
    event: int
    """The newest position of the journal."""


class StreamStarted(Reply, kw_only=True):
    """A stream was opened."""

    stream: int
    """Number of the stream on this connection; its items carry it."""
    event: int
    """The journal position at which the stream was opened."""


class StreamCancelled(Reply, kw_only=True):
    """The stream is closed; a `stream.end` with reason `cancelled` has been sent."""

    event: int
    """The newest position of the journal."""
