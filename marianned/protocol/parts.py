"""The parts that replies are made of (docs/design/cli.md §2.0)."""

from typing import Any

import msgspec


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asked: uid, pid, and what the client calls itself.

    `inside` names the sheet or hook that the caller is a process of: `sheet 3 of nightly`; `job` is its job.
    """

    uid: int
    pid: int | None = None
    name: str = ""
    inside: str | None = None
    job: str | None = None


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
    """What is in flight now; with `attempt` 0 and no `hook`, a sheet's skip rules are being checked.

    For a hook, `hook` has its number, and sheet, stage and instance are null. `job_id` is set where it is
    another job's, whose end this one waits for.
    """

    sheet: int | None
    stage: int | None
    instance: int | None
    attempt: int
    started_at: str
    time_limit_at: str
    hook: int | None = None
    job_id: str | None = None


class Waiting(msgspec.Struct, kw_only=True):
    """A sheet or hook that waits, and for what: retry rate_limit slot pacing disk drain cooldown job.

    For a hook, `hook` has its number, and sheet, stage and instance are null.
    """

    sheet: int | None
    stage: int | None
    instance: int | None
    waiting_for: str
    until_at: str | None
    hook: int | None = None


class RateLimit(msgspec.Struct, kw_only=True):
    """A rate limit in force: until when, and how many sheets of all jobs wait for it.

    `model` is null if the tool chooses it; `message` is what the tool said.
    """

    instrument: str
    model: str | None
    until_at: str
    waiting: int
    message: str | None


class Instrument(msgspec.Struct, kw_only=True):
    """A tool that plays sheets: whether it is ready, or else the problem.

    `version` is known after a check; `credentials` are the variables with a key that the daemon has, of those
    in `credentials_of`; `login` is what else logs it in. `source` is the profile's file, null: built in.
    `profile` is the whole profile, if one instrument was named.
    """

    name: str
    display_name: str
    kind: str
    ready: bool
    problem: str | None = None
    binary_path: str | None = None
    version: str | None = None
    default_model: str | None = None
    limited_until_at: str | None = None
    credentials: list[str] = []
    credentials_of: list[str] = []
    login: str | None = None
    models: list[str] = []
    source: str | None = None
    profile: dict[str, Any] | None = None


class Next(msgspec.Struct, kw_only=True):
    """What happens next by itself.

    `code`: start boundary sheet_end hook_end job_end interrupt hold_end retry rate_limit cancel.
    """

    code: str
    text: str
    due_at: str | None = None
    latest_at: str | None = None


class SafeTo(msgspec.Struct, kw_only=True):
    """Whether you can edit files, stop the daemon or power off the machine without losing work."""

    edit_files: bool
    stop_daemon: bool
    switch_off: bool


class Progress(msgspec.Struct, kw_only=True):
    """How many sheets are completed or skipped."""

    completed: int
    total: int
    percent: float


class Timing(msgspec.Struct, kw_only=True):
    """When a run was accepted, started, last changed and ended (in any way)."""

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
    """The result of one validation of an attempt, and why; for commands also the end of their output."""

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
    """One sheet of a job; `attempts` is filled if sheets were named; `skip_reason`: why it was skipped."""

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
    skip_reason: str | None = None
    attempts: list[Attempt] = []


class Hook(msgspec.Struct, kw_only=True):
    """A hook of a job: what runs once all its sheets are done.

    `status`: pending waiting running completed failed cancelled; `waiting_for`: slot cooldown job end;
    `chained` is the job (NAME@RUN) that it started.
    """

    hook: int
    type: str
    label: str
    status: str
    waiting_for: str | None
    until_at: str | None
    attempt_count: int
    outcome: str | None
    error_message: str | None
    exit_code: int | None
    signal: str | None
    pid: int | None
    chained: str | None
    revision: int | None
    started_at: str | None
    ended_at: str | None
    time_limit_at: str | None
    stdout_bytes: int
    stderr_bytes: int


class HookLine(msgspec.Struct, kw_only=True):
    """What becomes of one hook: `action` kept, added, removed or rerun, and why."""

    hook: int
    label: str
    status: str | None
    action: str
    runs: bool
    why: str


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
    hook: int | None = None
    attempt: int | None = None
    status: str | None = None
    revision: int | None = None
    caller: Caller | None = None
    reason: str | None = None
    cause: str | None = None
    text: str = ""
