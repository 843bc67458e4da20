"""The parts that replies are made of (docs/design/cli.md §2.0)."""

from typing import Any

import msgspec

from marianned.places import LOCAL
from marianned.protocol.statuses import (
    AttemptKind,
    CheckResult,
    ErrorCategory,
    FileChange,
    HoldCause,
    HookStatus,
    JobStatus,
    LoopState,
    Outcome,
    PlanAction,
    SheetStatus,
    WaitingFor,
)


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asked."""

    uid: int
    """The user's number; -1: a pause file asked, or the daemon itself."""
    pid: int | None = None
    """The process that asked; null: not known."""
    name: str = ""
    """What the client calls itself, with its version: `mzt 1.2.0`."""
    inside: str | None = None
    """The sheet or hook that the caller is a process of, as `sheet 3 of nightly`; null: none."""
    job: str | None = None
    """The job of that sheet or hook; null: none."""


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """A person's word about a sheet: that its work counts as done, or is not needed."""

    owner: Caller
    """Who gave it."""
    reason: str | None = None
    """Why, in the owner's words; null: nothing was said."""


class Hold(msgspec.Struct, kw_only=True):
    """A reason why a job is paused."""

    cause: HoldCause
    """A `HoldCause`."""
    owner: Caller | None
    """Who paused the job; null: the daemon did, because of what happened."""
    reason: str | None
    """What the owner gave as the reason; null: nothing."""
    held_at: str
    """When the hold was added."""
    ends_at: str | None
    """When it ends by itself; null: a request ends it, or the job is not paused yet and its time starts
    then."""


class Breakpoint(msgspec.Struct, kw_only=True):
    """A sheet before which the job pauses."""

    sheet: int
    """Number of the sheet, in the revision in force."""
    stage: int
    """Number of its stage."""
    instance: int
    """Number of the instance in its stage; 1 without fan-out."""


class InFlight(msgspec.Struct, kw_only=True):
    """What is in flight now: an attempt with its checks, a sheet's skip rules, a hook."""

    sheet: int | None
    """Number of the sheet; null for a hook."""
    stage: int | None
    """Number of its stage; null for a hook."""
    instance: int | None
    """Number of the instance in its stage; null for a hook."""
    attempt: int
    """Number of the attempt, from 1; 0: the sheet's skip rules are being checked."""
    started_at: str
    """When it was started."""
    time_limit_at: str | None
    """When its time limit ends it; null: it runs on a cluster and has not been seen to begin there."""
    time_limit_by: str | None = None
    """`executor`, where that is by the `time_limit` of its executor; null: by the limit of what runs."""
    hook: int | None = None
    """Number of the hook; null for a sheet."""
    loop: str | None = None
    """The loop, as `2-3`, of which a round is being judged; null: it is something else."""
    job_id: str | None = None
    """The job, `name@run`, that it runs in: one whose end this job waits for; null: it is this job's own."""
    label: str | None = None
    """What the score calls it: the sheet's description, else its stage's name, or the hook; null: nothing."""
    instrument: str | None = None
    """The instrument it uses; null for a hook."""
    model: str | None = None
    """The model it uses; null: not known."""
    node: str | None = None
    """The node of a cluster that it runs on; null: none, or not known."""
    cluster_job: str | None = None
    """Its number in that cluster's queue; null: none, or it has not been seen to begin."""
    suspended: bool = False
    """It has begun on a cluster, which lets it stand still; its time goes on counting."""
    stdout_bytes: int | None = None
    """Bytes it has printed on stdout so far; null: it has no output, or the reply to a change tells of it."""
    last_output_at: str | None = None
    """When it printed last, on stdout or stderr; null: it has printed nothing."""
    last_line: str | None = None
    """The last line that it printed on stdout, at most 200 characters, without control characters and with
    secrets masked; null: none."""


class Waiting(msgspec.Struct, kw_only=True):
    """A sheet or hook that waits, and for what."""

    sheet: int | None
    """Number of the sheet; null for a hook."""
    stage: int | None
    """Number of its stage; null for a hook."""
    instance: int | None
    """Number of the instance in its stage; null for a hook."""
    waiting_for: WaitingFor
    """`retry`, `rate_limit`, `pacing`, or what is needed to start: `slot`, `drain`, `disk` or `slurm` (its
    turn in Slurm's queue); for a hook one of these, or `cooldown`, `job` or `end` (of its own job)."""
    until_at: str | None
    """When the wait ends at the latest; null: not known."""
    hook: int | None = None
    """Number of the hook; null for a sheet."""


class RateLimit(msgspec.Struct, kw_only=True):
    """A rate limit in force."""

    instrument: str
    """Name of the instrument."""
    model: str | None
    """The model; null: the tool chooses it."""
    until_at: str
    """When the limit is over."""
    waiting: int
    """How many sheets of all jobs wait for it."""
    message: str | None
    """What the tool said; null: nothing."""
    env: str | None = None
    """Which account it is of, where the setting `env` chooses one: its variables, and a mark of their values;
    null: the setting has none."""


class Parameter(msgspec.Struct, kw_only=True):
    """What a run of a score can be given: a parameter or a variable of it."""

    name: str
    """What templates call it."""
    description: str | None
    """What it is for; null: the score does not say."""
    declared: bool
    """Whether it stands under `parameters`; false: it is a variable of the prompt."""
    required: bool
    """Whether nothing runs without a value."""
    default: Any
    """The value without one that is given; null: there is none."""
    choices: list[Any]
    """The values it may have; empty: any."""
    value: Any
    """The value it has; null: none."""


class Instrument(msgspec.Struct, kw_only=True):
    """A tool that plays sheets: whether it is ready, or else the problem."""

    name: str
    """What scores call it."""
    display_name: str
    """What people call it; the name if the profile has nothing else."""
    kind: str
    """`cli`, run as a command, or `http`, asked over HTTP."""
    ready: bool
    """Whether it can be used, as far as that is known without a prompt."""
    problem: str | None = None
    """What keeps it from being ready; null: it is ready."""
    executable: str | None = None
    """The program that it runs, as its profile names it; null: it is asked over HTTP."""
    binary_path: str | None = None
    """The executable, as the daemon finds it; null: none was found, or it is asked over HTTP."""
    version: str | None = None
    """What it prints as its version; null unless `instrument.check` asked for it."""
    default_model: str | None = None
    """The model where a score names none; null: the tool chooses."""
    limited_until_at: str | None = None
    """When the last of its rate limits is over; null: none is in force."""
    credentials: list[str] = []
    """Those of `credentials_of` that the daemon has; only names, never values."""
    credentials_of: list[str] = []
    """The variables of which one may hold its key."""
    login: str | None = None
    """What a person types to log in without a key; null: nothing is known."""
    models: list[str] = []
    """Names of the models in its profile."""
    source: str | None = None
    """File of its profile; null: the profile is built in."""
    profile: dict[str, Any] | None = None
    """The whole profile (docs/reference/profiles.md), if one instrument was named; else null."""


class Next(msgspec.Struct, kw_only=True):
    """What happens next by itself."""

    code: str
    """One of `start`, `boundary`, `sheet_end`, `hook_end`, `job_end`, `interrupt`, `hold_end`, `retry`,
    `rate_limit`, `cancel`, `time_limit` (the run's own) and `loop` (a round is being judged)."""
    text: str
    """The same for people, without the time: `pauses when sheets 2, 3 end`."""
    due_at: str | None = None
    """When it happens; null: that depends on something else."""
    latest_at: str | None = None
    """When it happens at the latest; null: not known."""


class SafeTo(msgspec.Struct, kw_only=True):
    """Whether you can edit files, stop the daemon or power off the machine without losing work."""

    edit_files: bool
    """Nothing of the job writes into its workspace, and nothing starts by itself: it is paused or has
    ended."""
    stop_daemon: bool
    """Each attempt in flight outlives the daemon, and what the daemon holds is in the database."""
    switch_off: bool
    """Nothing is in flight."""


class Stranger(msgspec.Struct, kw_only=True, frozen=True):
    """An attempt that runs here and that the database does not know: it is a copy that was put back."""

    attempt: str
    """The id it was started under."""
    pid: int
    """A process of it; to end it, type: kill PID."""
    job_id: str | None = None
    """Name of the job it was started for; null: not known."""
    run: int | None = None
    """Number of that job's run; null: not known."""
    sheet: int | None = None
    """Number of the sheet; null: a hook's, or not known."""


class LoopProgress(msgspec.Struct, kw_only=True):
    """How far a loop has come."""

    span: str
    """Its stages, as `2-3`."""
    round: int
    """Number of the present round, or of the last, from 1."""
    up_to: int
    """How many rounds there are at most."""
    state: LoopState
    """A `LoopState`: `open` while rounds may follow."""


class Progress(msgspec.Struct, kw_only=True):
    """How many sheets are completed or skipped."""

    completed: int
    """Sheets that are completed or skipped."""
    total: int
    """Sheets of the revision in force."""
    percent: float
    """`completed` in percent of `total`, to one decimal; the next round of a loop takes it down."""
    loops: list[LoopProgress] = []
    """The loops of the revision in force, in order."""


class Timing(msgspec.Struct, kw_only=True):
    """When a run was accepted, started, last changed and ended (in any way)."""

    created_at: str
    """When the run was accepted."""
    started_at: str | None
    """When its first slot was granted; null: not yet."""
    updated_at: str
    """When it last changed."""
    completed_at: str | None
    """When it ended, in any way; null: it has not ended."""


class Cost(msgspec.Struct, kw_only=True):
    """What the run has cost so far."""

    usd: float = 0.0
    """Cost in USD of all attempts whose cost is known."""
    known: bool = True
    """Whether the cost of every attempt is known."""
    input_tokens: int = 0
    """Tokens sent to models, as far as the tools told."""
    output_tokens: int = 0
    """Tokens received from models, as far as the tools told."""


class CheckReport(msgspec.Struct, kw_only=True):
    """The result of one validation of an attempt."""

    index: int
    """Number of the validation in the score, from 1."""
    type: str
    """Type of the validation, as the score names it."""
    description: str | None
    """What the score calls it; null: nothing."""
    target: str
    """What was checked: a file or a command."""
    result: CheckResult
    """A `CheckResult`."""
    reason: str | None
    """Why it did not pass; null: it passed."""
    duration_seconds: float
    """How long the check took."""
    exit_code: int | None = None
    """Exit code of a command; null: there was none."""
    output: str | None = None
    """The end of what a command printed; null: no command, or nothing printed."""


class Attempt(msgspec.Struct, kw_only=True):
    """One start of a sheet's command."""

    attempt: int
    """Number of the attempt, from 1."""
    kind: AttemptKind
    """An `AttemptKind`."""
    round: int | None = None
    """The round of its loop that it was made in; null: its stage is in none."""
    outcome: Outcome | None
    """An `Outcome`; null while it is in flight."""
    error_category: ErrorCategory | None
    """What kind of failure it was, an `ErrorCategory`; null: none."""
    started_at: str
    """When it was started."""
    ended_at: str | None
    """When its process had ended; null while it is in flight."""
    pid: int | None
    """Process of its supervisor; null: not known, or it ended at once."""
    exit_code: int | None
    """Exit code of the process; null: it is in flight, or a signal ended it."""
    signal: str | None
    """The signal that ended the process, as `SIGKILL`; null: none."""
    revision: int
    """Revision of the score it ran under."""
    instrument: str
    """The instrument it used."""
    model: str | None
    """The model it used; null: not known."""
    session_id: str | None
    """The tool's own session; null: it has none."""
    input_tokens: int | None
    """Tokens sent to the model; null: not known."""
    output_tokens: int | None
    """Tokens received from the model; null: not known."""
    cost_usd: float | None
    """Cost in USD; null: not known."""
    stdout_bytes: int
    """Bytes it printed on stdout."""
    stderr_bytes: int
    """Bytes it printed on stderr."""
    max_rss_kib: int | None = None
    """The most memory that one of its processes had at a time, in KiB; null: it runs yet, or nobody knows."""
    executor: str = LOCAL
    """Where it runs: `local`, on the daemon's host, or `slurm`."""
    node: str | None = None
    """The node of the cluster that it runs on, where `pid` is; null: none, or not known."""
    cluster_job: str | None = None
    """Its number in the cluster's queue; null: none, or not known."""
    validations: list[CheckReport]
    """Results of its validations, in the score's order."""


class RunAttempt(Attempt, kw_only=True):
    """An attempt among those of whole runs: with the job and the sheet that it is of."""

    job_id: str
    """The job's name."""
    run: int
    """Number of the run."""
    sheet: int
    """Number of the sheet, when it was started."""
    stage: int
    """Number of its stage then."""
    instance: int
    """Number of the instance in its stage then."""


class Sheet(msgspec.Struct, kw_only=True):
    """One sheet of a job."""

    sheet: int
    """Number of the sheet, from 1."""
    stage: int
    """Number of its stage, from 1."""
    instance: int
    """Number of the instance in its stage, from 1."""
    label: str | None
    """What the score calls it: its description, else its stage's name; null: nothing."""
    name: str | None = None
    """Its stage's name, which SHEETS take; null: it has none."""
    status: SheetStatus
    """A `SheetStatus`."""
    waiting_for: WaitingFor | None
    """What it waits for between two attempts, `retry` or `rate_limit`; null: it does not wait."""
    until_at: str | None
    """When that wait ends; null: it does not wait."""
    needs: list[int] | None = None
    """Numbers of the sheets that must be completed or skipped before it; null: not told here, see
    `job.graph`."""
    blocked_by: list[int]
    """Numbers of the failed sheets that keep it from starting, the first 100 of them."""
    kept_back_by: str | None = None
    """What it waits for though what it needs is done: `the end of loop 2-3, round 2`; null: nothing."""
    instrument: str
    """The instrument it starts with, as the score says."""
    revision: int | None
    """Revision of its newest attempt; null: none was made."""
    attempt_count: int
    """How many attempts were made."""
    validation_passed: bool | None
    """Whether its newest validations passed; null: none were run."""
    error_category: ErrorCategory | None
    """What kind of failure its newest attempt was, an `ErrorCategory`; null: none."""
    error_message: str | None
    """The same for people; null: none."""
    started_at: str | None
    """When its first attempt was started; null: not yet."""
    ended_at: str | None
    """When it was completed, failed, skipped or cancelled; null: not yet."""
    cost_usd: float | None
    """Cost in USD of all its attempts; null: not known."""
    skip_reason: str | None = None
    """Why it was skipped; null: it was not."""
    accepted: Word | None = None
    """Who accepted it as it is, so that it counts as completed, its checks as passed; null: nobody did."""
    skipped_by: Word | None = None
    """Who skipped it by a resume; null: nobody did."""
    attempts: list[Attempt] = []
    """Its attempts in order, if sheets were named; else empty."""


class Hook(msgspec.Struct, kw_only=True):
    """A hook of a job: what runs once all its sheets are done, or when it has failed."""

    hook: int
    """Number of the hook in the score, from 1; those of `on_failure` come after those of `on_success`."""
    type: str
    """Type of the hook, as the score names it."""
    label: str
    """What the score calls it, or else what it runs."""
    status: HookStatus
    """A `HookStatus`."""
    waiting_for: WaitingFor | None
    """`slot`, `cooldown`, `job` (the one it started) or `end` (of its own job); null: it does not wait."""
    until_at: str | None
    """When that wait ends at the latest; null: not known, or it does not wait."""
    attempt_count: int
    """How many attempts were made."""
    outcome: Outcome | None
    """How its last attempt ended, an `Outcome`; null: none has ended."""
    error_message: str | None
    """Why it failed; null: it has not failed."""
    exit_code: int | None
    """Exit code of its last attempt; null: there is none."""
    signal: str | None
    """The signal that ended its last attempt; null: none."""
    pid: int | None
    """Process of its last attempt's supervisor; null: not known, or it ended at once."""
    chained: str | None
    """The job it started, as `name@run`; null: none."""
    revision: int | None
    """Revision of the score it last ran under; null: it was not started."""
    started_at: str | None
    """When its last attempt was started; null: it was not started."""
    ended_at: str | None
    """When it last ended; null: it has not."""
    time_limit_at: str | None
    """When its time limit ends it; null: it does not run."""
    stdout_bytes: int
    """Bytes its last attempt printed on stdout."""
    stderr_bytes: int
    """Bytes its last attempt printed on stderr."""
    max_rss_kib: int | None = None
    """The most memory that one of its processes had at a time, in KiB; null: it runs yet, or nobody knows."""
    after_failure: bool = False
    """It is one of `on_failure`, and runs when the job has failed."""
    skip_reason: str | None = None
    """Why it is left out, though its job has completed; null: it is not."""


class HookFound(msgspec.Struct, kw_only=True):
    """A hook of a score that is looked at: what follows its sheets, or its failure."""

    hook: int
    """Number of the hook in the score, from 1; those of `on_failure` come after those of `on_success`."""
    type: str
    """Type of the hook, as the score names it."""
    label: str
    """What the score calls it, or else what it runs."""
    after_failure: bool
    """It is one of `on_failure`, and runs when the job has failed."""


class HookLine(msgspec.Struct, kw_only=True):
    """What becomes of one hook under a new score, or when sheets run again."""

    hook: int
    """Number of the hook: in the new revision, of one that is removed in the old."""
    label: str
    """What the score calls it, or else what it runs."""
    status: HookStatus | None
    """Its status before the change; null: it is new."""
    action: PlanAction
    """One of `kept`, `added`, `removed` and `rerun`."""
    runs: bool
    """Whether it runs, or runs again, after the change."""
    why: str
    """The reason, for people."""
    after_failure: bool = False
    """It is one of `on_failure`, and runs when the job has failed."""


class FileDifference(msgspec.Struct, kw_only=True):
    """A file of the workspace that is not as it was when the job came to rest."""

    path: str
    """Its name, from the directory that is watched; bytes that are no text as `\\xNN`."""
    how: FileChange
    """What became of it."""


class Drift(msgspec.Struct, kw_only=True):
    """What somebody else changed in the workspace since the job came to rest: it paused, or failed."""

    since_at: str
    """When that was."""
    changes: list[FileDifference]
    """The first of the files, by name."""
    total: int
    """How many there are."""
    unwatched: str | None
    """Why it isn't known; null: it is."""


class PlanLine(msgspec.Struct, kw_only=True, gc=False):
    """What becomes of one sheet under a new score, or when sheets run again."""

    sheet: int | None
    """Number of the sheet in the new revision; null: it is removed."""
    old_sheet: int | None
    """Its number in the old revision; null: it is new, or comes back."""
    stage: int
    """Number of its stage; of a removed sheet in the old revision."""
    instance: int
    """Number of the instance in its stage."""
    name: str | None = None
    """Its stage's name; null: it has none."""
    status: SheetStatus | None
    """Its status before the change; null: it is new."""
    action: PlanAction
    """A `PlanAction`."""
    runs: bool
    """Whether it starts, or starts again, after the change."""
    why: str
    """The reason, for people."""
    reasons: list[str]
    """What differs in its definition (`prompt`, `files`, `instrument`, `settings`, `fallbacks`,
    `validations`, `needs`, `skip`, `retry`), or else one of `new`, `gone`, `failed`, `judged` (only its
    loop's judgement had failed it: that is made again), `asked` and `upstream`; empty: nothing."""
    rounds: list[int] = []
    """The first and the last of the rounds to come in which it runs again, though it is done; empty: none."""
    rounds_sure: bool = False
    """Whether these rounds come whatever this one brings: the loop has a `count`; else they may come."""


class Event(msgspec.Struct, kw_only=True):
    """A committed fact of the journal."""

    event: int
    """Its number in the journal."""
    recorded_at: str
    """When it was recorded."""
    type: str
    """Its type, one of docs/reference/events.md."""
    job_id: str | None = None
    """The job's name; null: it is of no job."""
    run: int | None = None
    """Number of the run; null: it is of no job."""
    sheet: int | None = None
    """Number of the sheet at that time; null: it is of no sheet."""
    stage: int | None = None
    """Number of its stage; null: it is of no sheet."""
    instance: int | None = None
    """Number of the instance in its stage; null: it is of no sheet."""
    hook: int | None = None
    """Number of the hook; null: it is of no hook."""
    attempt: int | None = None
    """Number of the attempt; null: it is of none."""
    status: JobStatus | None = None
    """The job's status after it; null: it is of no job."""
    revision: int | None = None
    """Revision of the score that it is about; null: none."""
    caller: Caller | None = None
    """Who asked; null: nobody did."""
    reason: str | None = None
    """Why, in the caller's words or as a word for scripts; null: nothing."""
    cause: str | None = None
    """The cause of a hold, or the category of a failure; null: neither."""
    text: str = ""
    """The same for people."""
    kind: AttemptKind | None = None
    """Of `attempt.started`: an `AttemptKind`; else null."""
    instrument: str | None = None
    """Of `attempt.started` and `attempt.ended`: the instrument it uses; else null."""
    model: str | None = None
    """Of the same: the model it uses; null: not known."""
    time_limit_at: str | None = None
    """Of `attempt.started` and `hook.started`: when its time limit ends it; else null."""
    outcome: Outcome | None = None
    """How an attempt or hook has ended, an `Outcome`; null: this tells of no end."""
    exit_code: int | None = None
    """Exit code of its process; null: a signal ended it, or this tells of no end."""
    signal: str | None = None
    """The signal that ended its process, as `SIGKILL`; null: none."""
    error_category: ErrorCategory | None = None
    """What kind of failure it was, an `ErrorCategory`; null: none."""
    cost_usd: float | None = None
    """Cost in USD of the attempt that has ended; null: not known."""
    input_tokens: int | None = None
    """Tokens it sent to the model; null: not known."""
    output_tokens: int | None = None
    """Tokens it received from the model; null: not known."""
    duration_seconds: float | None = None
    """How long its process ran; null: this tells of no end."""
    waiting_for: WaitingFor | None = None
    """Of `sheet.waiting` and `hook.waiting`: what for; else null."""
    until_at: str | None = None
    """Of the same: when the wait ends at the latest; null: not known."""
    hold: Hold | None = None
    """The hold that was added, or has come to its end, as it was then; null: this tells of none."""
