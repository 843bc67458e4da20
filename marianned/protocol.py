"""Every message on the socket, as types: what may be asked, what is answered, what is told.

METHODS is the only list of what exists; dispatch, the client's typed calls, the JSON Schema and the
reference page are read off it. Names are those of design/cli.md §2.0; what they mean is in
design/control.md. Times end in `_at` and are RFC 3339 in UTC; durations are seconds; lists are never
null; params refuse unknown fields, readers of results ignore them.
"""

from enum import StrEnum
from typing import Annotated, Literal, NamedTuple

import msgspec

from marianned.errors import Problem

PROTOCOL = 1
PAGE_LIMIT = 1_000
"""The most items a page of a reply holds."""
READ_LIMIT = 256 * 1024
"""The most bytes one `log.read` answers."""
REQUEST_LIMIT = 8 * 1024 * 1024
"""The most bytes one request may have."""


class JobStatus(StrEnum):
    """Where a job stands; it follows from its facts (control.md §3)."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


ACTIVE = (JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.PAUSING, JobStatus.CANCELLING)
HELD = (JobStatus.PAUSED,)
ENDED = (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)


class SheetStatus(StrEnum):
    """Where a sheet stands."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class AttemptKind(StrEnum):
    """Why an attempt was made."""

    FIRST = "first"
    RETRY = "retry"
    COMPLETION = "completion"


class Outcome(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    INTERRUPTED = "interrupted"
    LOST = "lost"
    RATE_LIMITED = "rate_limited"


class HoldCause(StrEnum):
    """Why a hold is there (control.md §8)."""

    USER = "user"
    BREAKPOINT = "breakpoint"
    FAILURE = "failure"
    AUTH = "auth"
    RATE_LIMIT = "rate_limit"
    BUDGET = "budget"


class CheckResult(StrEnum):
    """How one validation of an attempt went."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not_run"
    ERROR = "error"


class PlanAction(StrEnum):
    """What becomes of a sheet under a new revision (control.md §5)."""

    KEPT = "kept"
    KEPT_CHANGED = "kept-changed"
    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"
    IN_FLIGHT = "in-flight"
    RERUN = "rerun"


# --- parts of replies ------------------------------------------------------------------------------


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asked: uid, pid, and what the client calls itself."""

    uid: int
    pid: int | None = None
    name: str = ""


class Hold(msgspec.Struct, kw_only=True):
    """A reason why a job is paused."""

    cause: str
    owner: Caller | None
    reason: str | None
    held_at: str
    ends_at: str | None


class Breakpoint(msgspec.Struct, kw_only=True):
    """A sheet before which the job pauses."""

    sheet: int
    stage: int
    instance: int


class InFlight(msgspec.Struct, kw_only=True):
    """What runs for the job now."""

    sheet: int
    stage: int
    instance: int
    attempt: int
    started_at: str
    time_limit_at: str


class Waiting(msgspec.Struct, kw_only=True):
    """A sheet that waits, and for what: retry rate_limit slot pacing disk drain."""

    sheet: int
    stage: int
    instance: int
    waiting_for: str
    until_at: str | None


class Next(msgspec.Struct, kw_only=True):
    """What happens next by itself: start boundary sheet_end interrupt hold_end retry rate_limit cancel."""

    code: str
    text: str
    due_at: str | None = None
    latest_at: str | None = None


class SafeTo(msgspec.Struct, kw_only=True):
    """Whether files may be edited, the daemon stopped, the machine switched off, without losing work."""

    edit_files: bool
    stop_daemon: bool
    switch_off: bool


class Progress(msgspec.Struct, kw_only=True):
    """How many sheets are completed or skipped."""

    completed: int
    total: int
    percent: float


class Timing(msgspec.Struct, kw_only=True):
    """When a run was accepted, began, last changed, and ended (however)."""

    created_at: str
    started_at: str | None
    updated_at: str
    completed_at: str | None


class Cost(msgspec.Struct, kw_only=True):
    """What the run has cost so far; `known` is false when an attempt's cost is not known."""

    usd: float = 0.0
    known: bool = True
    input_tokens: int = 0
    output_tokens: int = 0


class CheckReport(msgspec.Struct, kw_only=True):
    """How one validation of an attempt went, and why; for commands with the end of what they printed."""

    index: int
    type: str
    description: str | None
    target: str
    result: str
    reason: str | None
    duration_seconds: float
    exit_code: int | None = None
    output: str | None = None


class Attempt(msgspec.Struct, kw_only=True):
    """One start of a sheet's command."""

    attempt: int
    kind: str
    outcome: str | None
    error_category: str | None
    started_at: str
    ended_at: str | None
    pid: int | None
    exit_code: int | None
    signal: str | None
    revision: int
    instrument: str
    model: str | None
    session_id: str | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    stdout_bytes: int
    stderr_bytes: int
    validations: list[CheckReport]


class Sheet(msgspec.Struct, kw_only=True):
    """One sheet of a job; `attempts` is filled where sheets were named."""

    sheet: int
    stage: int
    instance: int
    label: str | None
    status: str
    waiting_for: str | None
    until_at: str | None
    needs: list[int]
    blocked_by: list[int]
    instrument: str
    revision: int | None
    attempt_count: int
    validation_passed: bool | None
    error_category: str | None
    error_message: str | None
    started_at: str | None
    ended_at: str | None
    cost_usd: float | None
    attempts: list[Attempt] = []


class PlanLine(msgspec.Struct, kw_only=True):
    """What becomes of one sheet: its number in the new and in the old revision, the action, and why."""

    sheet: int | None
    old_sheet: int | None
    stage: int
    instance: int
    status: str | None
    action: str
    runs: bool
    why: str
    reasons: list[str]


class Event(msgspec.Struct, kw_only=True):
    """A committed fact of the journal."""

    event: int
    recorded_at: str
    type: str
    job_id: str | None = None
    run: int | None = None
    sheet: int | None = None
    stage: int | None = None
    instance: int | None = None
    attempt: int | None = None
    status: str | None = None
    revision: int | None = None
    caller: Caller | None = None
    reason: str | None = None
    cause: str | None = None
    text: str = ""


# --- replies ---------------------------------------------------------------------------------------


class Reply(msgspec.Struct, kw_only=True):
    """What every reply has: which job, where it stands, one line for people, what to type next."""

    job_id: str | None = None
    status: str | None = None
    message: str = ""
    hints: list[str] = []
    problems: list[Problem] = []


class Job(Reply, kw_only=True):
    """A job as it is told everywhere: all keys, in every status."""

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
    """A job with a page of its sheets."""

    sheets: list[Sheet]
    total_sheets: int


class JobList(Reply, kw_only=True):
    """Jobs, the newest change last."""

    event: int
    jobs: list[Job]
    total: int


class Waited(Job, kw_only=True):
    """What was waited for has come: `reached` is the word, a status or `ended`."""

    reached: str
    waited_seconds: float


class Paused(Job, kw_only=True):
    """`acknowledged`: what was asked has happened, not only been accepted."""

    acknowledged: bool


class Cancelled(Job, kw_only=True):
    """`acknowledged`: the job has ended, nothing of it runs."""

    acknowledged: bool


class Resumed(Job, kw_only=True):
    """`source_changed`: the score file on disk differs from the stored revision; null: no file there."""

    acknowledged: bool
    source_changed: bool | None = None
    plan: list[PlanLine] = []


class Modified(Job, kw_only=True):
    """What a modify did, or would do (`dry_run`)."""

    acknowledged: bool
    config_validated: bool
    changed: bool
    new_revision: int | None
    dry_run: bool
    plan: list[PlanLine]


class History(Job, kw_only=True):
    """A job's part of the journal, oldest first; `total` counts what there is."""

    entries: list[Event]
    total: int


class Reason(msgspec.Struct, kw_only=True):
    """Why a job does not move: since and until when, and who or what unblocks it.

    `code`: in_flight hold:CAUSE retry rate_limit slot needs draining disk failed ended; `unblocked_by`:
    caller time sheet daemon nobody.
    """

    code: str
    text: str
    sheets: list[int]
    since_at: str
    until_at: str | None
    unblocked_by: str
    hints: list[str]


class Failure(msgspec.Struct, kw_only=True):
    """A failed attempt with its evidence: checks, and the end of what it printed."""

    sheet: int
    stage: int
    instance: int
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


class Why(Job, kw_only=True):
    """Why a job does not move or failed; `reasons` is never empty, `errors` newest first, at most 50."""

    reasons: list[Reason]
    total_errors: int
    errors: list[Failure]


class Revision(msgspec.Struct, kw_only=True):
    """A version of a job's score; status `current staged past dropped`."""

    revision: int
    status: str
    created_at: str
    applied_at: str | None
    caller: Caller | None
    reason: str | None
    config_file: str | None
    sha256: str
    total_sheets: int
    plan: list[PlanLine]


class Revisions(Job, kw_only=True):
    """The versions of a job's score, oldest first; `text` is that of the one that was named."""

    revisions: list[Revision]
    text: str | None


class Removed(Reply, kw_only=True):
    """What was forgotten, by `name@run`."""

    removed: list[str]
    event: int


class BackedUp(Reply, kw_only=True):
    """The copy is written and whole."""

    file: str
    bytes: int
    event: int


class Output(Reply, kw_only=True):
    """A piece of one stream of an attempt. `data` is base64; `skipped` bytes before it are gone."""

    sheet: int
    stage: int
    instance: int
    attempt: int
    stream: str
    offset: int
    data: bytes
    size: int
    skipped: int = 0
    ended: bool
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
    sheets: list[dict[str, object]] = []


class Events(Reply, kw_only=True):
    """A page of the journal; `event` is the number it is true at."""

    events: list[Event]
    event: int


class Hello(Reply, kw_only=True):
    """Who answers."""

    version: str
    protocol: int
    pid: int
    features: list[str]
    ready: bool
    event: int


class Slots(msgspec.Struct, kw_only=True):
    """How many attempts are in flight over all jobs, of how many."""

    used: int
    total: int


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
    rate_limits: list[dict[str, object]]
    safe_to: SafeTo
    needs_attention: list[str]
    event: int


class Stopping(Reply, kw_only=True):
    """The daemon stops; `attempts_in_flight` go on without it."""

    pid: int
    attempts_in_flight: int
    event: int


class StreamStarted(Reply, kw_only=True):
    """A stream was opened; its items carry this id."""

    stream: int
    event: int


class StreamCancelled(Reply, kw_only=True):
    """The stream is closed; a `stream.end` with reason `cancelled` has been sent."""

    event: int


# --- requests --------------------------------------------------------------------------------------

JobId = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
Key = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Number = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""A number that counts something; JSON readers everywhere, SQLite and files can hold it."""
SheetNumber = Annotated[int, msgspec.Meta(ge=1, le=2**53)]


class Ask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request that looks and changes nothing."""


class Change(Ask, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request that changes something: why, and a key that makes it repeatable for a day."""

    reason: Annotated[str, msgspec.Meta(max_length=1_000)] | None = None
    key: Key | None = None


class Greet(Ask, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say who asks; answered with who answers. `name` goes into the journal with each later request."""

    name: str = ""
    protocol: int = PROTOCOL


class LookAtDaemon(Ask, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask how the daemon does."""


class Stop(Change, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Stop the daemon. `detach` leaves what is in flight running without it.

    `drain` grants nothing more and waits until nothing is in flight, `kill` interrupts first; `stay` gives a
    drain up.
    """

    mode: Literal["detach", "drain", "kill", "stay"] = "detach"


class Submit(Change, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Start a run of a score.

    `text` is the score, `directory` the absolute directory its relative paths count from, `file` its
    absolute path (shown, never read); `submit_directory` is the caller's working directory; `workspace`
    replaces the score's; `env` is kept with the run and masked everywhere; `umask` makes the files.
    `before` sets breakpoints; without `auto_resume` a rate limit pauses the job instead of being waited for.
    """

    text: str
    directory: str
    file: str | None = None
    submit_directory: str
    workspace: str | None = None
    env: dict[str, str] = {}
    umask: Annotated[int, msgspec.Meta(ge=0, le=0o777)] = 0o022
    fresh: bool = False
    before: str | None = None
    auto_resume: bool = True


class LookAtJob(Ask, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask for one job with its sheets; `sheets` (`2,5-7,2.1,3.all`) brings their attempts."""

    job_id: JobId
    sheets: str | None = None
    offset: Number = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_LIMIT)] = PAGE_LIMIT


class ListJobs(Ask, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask for the jobs: active, held, ended within a day; `runs`: every run of every job.

    `statuses` keeps only these; the words `active`, `held`, `ended` stand for several.
    """

    runs: bool = False
    statuses: list[str] = []
    offset: Number = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_LIMIT)] = PAGE_LIMIT


class WaitFor(Ask, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Wait until the job reaches one of the words (a status, or `ended`).

    What is so already counts; with `after`, only if it came later than that event. `timeout` in
    seconds, null for none.
    """

    job_id: JobId
    words: Annotated[list[str], msgspec.Meta(min_length=1)] = msgspec.field(default_factory=lambda: ["ended"])
    after: Number | None = None
    timeout: Seconds | None = None


class Pause(Change, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pause a job at its next sheet boundary; `wait` answers when it is paused; `force` is a cancel.

    `now` interrupts what is in flight, `deadline` (seconds) does so if the boundary has not come by then;
    `for` (seconds from the moment of paused) lets the pause end by itself. `before` (`4`, `3.all`) sets
    breakpoints instead of pausing; with `clear` it drops them, alone it drops all.
    """

    job_id: JobId
    wait: bool = False
    timeout: Seconds = 60.0
    force: bool = False
    now: bool = False
    before: str | None = None
    clear: bool = False
    deadline: Seconds | None = None
    for_: Seconds | None = msgspec.field(default=None, name="for")


class Resume(Change, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Go on with a paused, failed or cancelled job. `env` replaces variables given at submission.

    `from` names completed sheets that run again, with all that depend on them; `plan` only shows that;
    `over_budget` (USD) is added to the score's cost limit.
    """

    job_id: JobId
    wait: bool = False
    timeout: Seconds = 60.0
    from_: str | None = msgspec.field(default=None, name="from")
    plan: bool = False
    over_budget: Annotated[float, msgspec.Meta(gt=0)] | None = None
    env: dict[str, str] = {}


class Modify(Change, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Give a job a new score, or take a staged one back (`discard`).

    `text`, `directory` and `file` as for a submission; instead `revision` takes that one's text again.
    `rerun` (sheets, or `changed`) lets completed sheets run again, alone or beside either. `resume` lets
    the job go on under it, `plan` only shows what would be done, `expect` is the newest revision the
    caller knows.
    """

    job_id: JobId
    text: str | None = None
    directory: str | None = None
    file: str | None = None
    revision: Annotated[int, msgspec.Meta(ge=1)] | None = None
    rerun: str | None = None
    resume: bool = False
    wait: bool = False
    timeout: Seconds = 60.0
    plan: bool = False
    expect: Number | None = None
    discard: bool = False


class Cancel(Change, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """End a job now: what is in flight is ended, detached processes included."""

    job_id: JobId
    wait: bool = False
    timeout: Seconds = 60.0


class ReadHistory(Ask, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask for the newest `limit` entries of a job's journal; `since` is an RFC 3339 time."""

    job_id: JobId
    sheets: str | None = None
    since: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_LIMIT)] = 50


class AskWhy(Ask, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask why a job does not move, or why it failed; `sheets` keeps to those."""

    job_id: JobId
    sheets: str | None = None


class ReadRevisions(Ask, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask for the versions of a job's score; with `revision` that one's text as stored."""

    job_id: JobId
    revision: Annotated[int, msgspec.Meta(ge=1)] | None = None


class Remove(Change, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Forget an ended run, its history and output: of one job, or all that ended `older_than` seconds ago."""

    job_id: JobId | None = None
    older_than: Seconds | None = None


class WriteBackup(Ask, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Write an online copy of the database to a file that does not exist yet (absolute path)."""

    file: Annotated[str, msgspec.Meta(min_length=1, max_length=4_096)]


class ReadOutput(Ask, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read a piece of what an attempt printed (newest attempt: null), from a byte offset."""

    job_id: JobId
    sheet: SheetNumber
    attempt: Number | None = None
    stream: Literal["stdout", "stderr", "prompt", "result"] = "stdout"
    offset: Number = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=READ_LIMIT)] = READ_LIMIT


class Validate(Ask, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Check a score without running it; `explain` brings its sheets, `prompts` their prompts too."""

    text: str
    directory: str
    file: str | None = None
    submit_directory: str
    workspace: str | None = None
    explain: bool = False
    prompts: bool = False


class ReadEvents(Ask, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read the journal after a number, for one job or all."""

    job_id: JobId | None = None
    after: Number = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_LIMIT)] = PAGE_LIMIT


class SubscribeEvents(Ask, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Open a stream of the journal after a number (null: from now), for one job or all."""

    job_id: JobId | None = None
    after: Number | None = None


class FollowOutput(Ask, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Open a live stream of what one attempt prints, from a byte offset; it ends with the attempt."""

    job_id: JobId
    sheet: SheetNumber
    attempt: Number | None = None
    stream: Literal["stdout", "stderr"] = "stdout"
    offset: Number = 0


class CancelStream(Ask, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Close a stream of this connection."""

    stream: Number


class Method(NamedTuple):
    """A method of the socket: its params, its result, whether it changes something, since when."""

    params: type[Ask]
    result: type[Reply]
    writes: bool
    since: int


METHODS: dict[str, Method] = {
    "daemon.hello": Method(Greet, Hello, writes=False, since=1),
    "daemon.status": Method(LookAtDaemon, DaemonStatus, writes=False, since=1),
    "daemon.stop": Method(Stop, Stopping, writes=True, since=1),
    "job.submit": Method(Submit, Submitted, writes=True, since=1),
    "job.status": Method(LookAtJob, JobDetails, writes=False, since=1),
    "job.list": Method(ListJobs, JobList, writes=False, since=1),
    "job.wait": Method(WaitFor, Waited, writes=False, since=1),
    "job.pause": Method(Pause, Paused, writes=True, since=1),
    "job.resume": Method(Resume, Resumed, writes=True, since=1),
    "job.modify": Method(Modify, Modified, writes=True, since=1),
    "job.cancel": Method(Cancel, Cancelled, writes=True, since=1),
    "job.history": Method(ReadHistory, History, writes=False, since=1),
    "job.why": Method(AskWhy, Why, writes=False, since=1),
    "job.revisions": Method(ReadRevisions, Revisions, writes=False, since=1),
    "job.remove": Method(Remove, Removed, writes=True, since=1),
    "backup.write": Method(WriteBackup, BackedUp, writes=False, since=1),
    "log.read": Method(ReadOutput, Output, writes=False, since=1),
    "log.follow": Method(FollowOutput, StreamStarted, writes=False, since=1),
    "events.read": Method(ReadEvents, Events, writes=False, since=1),
    "events.subscribe": Method(SubscribeEvents, StreamStarted, writes=False, since=1),
    "stream.cancel": Method(CancelStream, StreamCancelled, writes=False, since=1),
    "score.validate": Method(Validate, Validated, writes=False, since=1),
}
