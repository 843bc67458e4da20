"""What a score expands to: the values that run, are stored with a revision, and are shown.

Everything that can be known before the run is worked out here once, at validation: sheet numbers,
needs, instruments, settings, checks with their placeholders filled in.
Source: docs/reference/score-format.md §7 and §8.3.
"""

import bisect
import hashlib
import math
from collections.abc import Mapping
from typing import Any

import msgspec

from marianned.decoding import MsgpackDecoder, from_msgpack
from marianned.errors import Problem
from marianned.instruments.profile import Profile
from marianned.protocol import HookFound, Parameter


class DataCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What a check of data (§13.1) looks at, and what it compares that with.

    `field` is the field that is looked at (of a CSV file: the column), `expected` its value, packed
    (variables.py), where `source` is null; else `source` is the absolute path of the file whose
    `source_field` it equals, or of the directory that a path must lie in. `digest` is a SHA-256, lower case.
    """

    field: str | None = None
    expected: Any = None
    source: str | None = None
    source_field: str | None = None
    digest: str | None = None


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A validation that applies to a sheet (§13); `target` is the absolute path or the command."""

    index: int
    type: str
    stage: int
    description: str | None
    target: str
    pattern: str | None = None
    working_directory: str
    retry_count: int
    retry_delay_seconds: float
    timeout_seconds: float
    data: DataCheck | None = None


_ROOM_SECONDS = 10.0
"""What of a cluster's time limit passes before a job's first process begins there, and after its last."""


class Resources(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where an attempt runs, and what it gets there (§30); null: the cluster's default, or what the run says.

    `executor` is local or slurm, `memory` as Slurm takes it (`4G`), `time_limit` in seconds, `arguments` are
    further ones of sbatch; `checks`, local or with_attempt, is where the commands of its checks run.
    """

    executor: str | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    cpus: int | None = None
    memory: str | None = None
    gpus: str | None = None
    time_limit: float | None = None
    constraint: str | None = None
    arguments: tuple[str, ...] = ()
    checks: str | None = None

    @property
    def minutes(self) -> int | None:
        """The time limit in whole minutes, rounded up, as clusters count it; null: none."""
        return None if self.time_limit is None else math.ceil(self.time_limit / 60)

    def most_seconds(self, grace: float) -> float | None:
        """Return how long a command may take to end, with this grace, before the cluster ends it; seconds.

        Where the time limit leaves little beside the grace, it is half of the limit. None: no time limit.
        """
        if self.minutes is None:
            return None
        whole = 60 * self.minutes
        return float(max(whole // 2, math.floor(whole - grace - _ROOM_SECONDS)))


class Fallback(msgspec.Struct, frozen=True, kw_only=True):
    """An instrument that a sheet moves to (§8.4): its settings, time limit in seconds, absolute directory."""

    instrument: str
    settings: dict[str, Any]
    timeout_seconds: float
    working_directory: str


class Injection(msgspec.Struct, frozen=True, kw_only=True):
    """A file, or the files of a directory, that go into a prompt (§10); `path` is a template.

    `section` is context, skill or tool; without a `required` one the sheet fails.
    """

    path: str
    directory: bool
    section: str
    required: bool


class SkipRules(msgspec.Struct, frozen=True, kw_only=True):
    """When a sheet is skipped (§14): an expression is true, then a command exits with 0.

    `description` is what is said of a sheet that the command has skipped.
    """

    when: str | None = None
    command: str | None = None
    description: str | None = None
    timeout_seconds: float = 10.0


class SheetDefinition(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One sheet, as far as it is known before it runs.

    `needs` are sheet numbers. `settings` are the effective ones (§8.3), `timeout_seconds` the attempt's
    (§16.1), `working_directory` the absolute cwd. `digests` names the aspects of the definition (§7.3)
    and a hash of each: prompt, files, instrument, settings, fallbacks, validations, skip, retry.
    `words` is the hash of the prompt where white space that says nothing is left out (§7.3); empty: of an
    older daemon. `extensions` are the texts that only this sheet's prompt is extended by (§9.4), `injections`
    all that goes into it, the prelude's first.
    """

    sheet: int
    stage: int
    instance: int
    fan_count: int
    start_item: int
    end_item: int
    movement: str | None
    label: str | None
    needs: tuple[int, ...]
    instrument: str
    settings: dict[str, Any]
    fallbacks: tuple[Fallback, ...]
    timeout_seconds: float
    working_directory: str
    checks: tuple[Check, ...]
    digests: dict[str, str]
    words: str = ""
    extensions: tuple[str, ...] = ()
    injections: tuple[Injection, ...] = ()
    skip: SkipRules | None = None
    resources: Resources = Resources()

    @property
    def instruments_in_turn(self) -> "list[tuple[str, dict[str, Any]]]":
        """The instrument of the sheet and its fallbacks, in turn, each with its settings."""
        return [
            (self.instrument, self.settings),
            *((one.instrument, one.settings) for one in self.fallbacks),
        ]

    def on_fallback(self, fallback: int) -> "SheetDefinition":
        """Return the sheet as it runs on its nth fallback; 0 is its own instrument."""
        if not fallback:
            return self
        return msgspec.structs.replace(self, **msgspec.structs.asdict(self.fallbacks[fallback - 1]))


class PromptDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """What prompts are made of (§9): the template's text (null: none was given) and its variables.

    `variables` are packed (variables.py), so that JSON keeps their keys and dates.
    """

    template: str | None
    variables: dict[str, Any]
    stakes: str = ""
    thinking_method: str = ""
    extensions: tuple[str, ...] = ()


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often and when a failed sheet is tried again (§15.3); seconds."""

    max_retries: int = 3
    base_delay_seconds: float = 10.0
    max_delay_seconds: float = 3600.0
    exponential_base: float = 2.0
    jitter: bool = True
    max_completion_attempts: int = 5
    completion_delay_seconds: float = 5.0
    completion_threshold_percent: float = 50.0


class Parallelism(msgspec.Struct, frozen=True, kw_only=True):
    """How many sheets of the job may be in flight (1: not parallel), and how they are paced (§17)."""

    max_concurrent: int = 1
    fail_fast: bool = True
    stagger_seconds: float = 0.0
    pause_between_sheets_seconds: float = 0.0


class CrossSheetSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a sheet sees of earlier ones (§11)."""

    auto_capture_stdout: bool = False
    lookback_sheets: int = 3
    max_output_chars: int = 2000
    capture_files: tuple[str, ...] = ()


class RateLimitPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Patterns that tell of a rate limit, beside the profile's, and how long one is waited for (§16.3)."""

    detection_patterns: tuple[str, ...] = ()
    wait_seconds: float = 3600.0
    max_waits: int = 24
    max_quota_waits: int = 48


class CostLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a sheet and the whole job may cost, in USD; prices for where nothing better is known (§16.4)."""

    max_cost_per_sheet: float | None = None
    max_cost_per_job: float | None = None
    cost_per_1k_input_tokens: float = 0.003
    cost_per_1k_output_tokens: float = 0.015
    warn_at_percent: float = 80.0


class SilencePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How long an attempt may show no sign of life, and how often one is looked for; seconds (§16.2)."""

    idle_timeout_seconds: float
    check_interval_seconds: float


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """A destination of messages about a job (§21); `url_env` is the variable that holds the url.

    `type` is desktop, webhook or slack.

    `on_events` are the format's names (job_start …); a header may refer to variables as `${NAME}`.
    """

    type: str
    on_events: tuple[str, ...]
    url: str | None = None
    url_env: str | None = None
    headers: dict[str, str] = {}
    timeout_seconds: float = 10.0
    max_retries: int = 3


_LABEL_MOST = 80


class HookDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """What runs once all sheets are done (§20), or the job has failed (§28.8), its placeholders filled in.

    `files` are the places where the score of a run_job, or the script of a run_script, may lie, the first
    that is there counts; `argv` is the command's, of a run_script with its first word as written.
    `timeout_seconds` is null where a job is waited for without a limit; `abort_on_failure`: the hooks after
    it are not run when it fails; `after_failure`: it is one of `on_failure`.
    """

    type: str
    description: str | None = None
    files: tuple[str, ...] = ()
    job_workspace: str | None = None
    detached: bool = False
    fresh: bool = False
    pause_before_chain: bool = False
    argv: tuple[str, ...] = ()
    working_directory: str
    timeout_seconds: float | None
    abort_on_failure: bool = False
    after_failure: bool = False

    @property
    def starts_job(self) -> bool:
        """Whether it starts a job."""
        return self.type == "run_job"

    @property
    def label(self) -> str:
        """Its description, else its file, its script or its command, on one short line."""
        words = self.description or (self.files[0] if self.starts_job else self.argv[-1])
        if self.type == "run_script" and not self.description:
            words = " ".join(self.argv)
        line = words.strip().partition("\n")[0]
        return line if len(line) <= _LABEL_MOST else f"{line[: _LABEL_MOST - 1]}…"

    @property
    def identity(self) -> tuple[object, ...]:
        """What a hook does, without its description, its limit and what follows from it."""
        return (
            self.type,
            self.files,
            self.job_workspace,
            self.detached,
            self.fresh,
            self.argv,
            self.working_directory,
            *(("on_failure",) if self.after_failure else ()),
        )


class LoopDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """Stages that are played again until an expression holds (§29).

    `first` and `last` are the span's stages, `sheets` all sheets of it and `ends` those of its last stage,
    ascending. `until` is an expression of `language/expressions.py` with the language `until(index)`; null:
    all exit codes of the last stage are 0 and all its checks passed. `rounds` is how many there are at most;
    `exact`: so many there are, whatever they bring, and `until` is null. `exhausted` is fail or continue:
    what follows the last round where `until` is still false. `index` is the name of the round's number beside
    `round`, as in `loop.NAME`.
    """

    first: int
    last: int
    sheets: tuple[int, ...]
    ends: tuple[int, ...]
    index: str = "round"
    until: str | None = None
    rounds: int = 10
    exact: bool = False
    exhausted: str = "fail"
    cost_limit_usd: float | None = None

    @property
    def span(self) -> str:
        """Its stages as a score writes them: `2-3`, or `2`."""
        return f"{self.first}-{self.last}" if self.first != self.last else str(self.first)


class StagePauses(msgspec.Struct, frozen=True, kw_only=True):
    """Pauses that the score asks for at one stage (§28.9).

    `pause_after`: the job pauses when the stage's last sheet is completed or skipped. `pause_on_fail`: it
    pauses when a sheet of it fails, without a retry, a completion attempt or a fallback; `reason` is what
    is said then, if anything.
    """

    pause_after: bool = False
    pause_on_fail: bool = False
    reason: str | None = None


class Concert(msgspec.Struct, frozen=True, kw_only=True):
    """How jobs follow each other (§20); `log_path` is absolute, null without a log.

    `ends_at_depth`: the score itself says how deep, so that one which chains to itself ends there.
    `pins` says, of a pinned chain, of each score in it by its file what it was made of: see `file_digests`.
    """

    max_chain_depth: int = 5
    ends_at_depth: bool = False
    cooldown_seconds: float = 5.0
    inherit_workspace: bool = False
    log_path: str | None = None
    abort_on_hook_failure: bool = False
    pins: dict[str, dict[str, str]] | None = None


class Isolation(msgspec.Struct, frozen=True, kw_only=True):
    """A git worktree for the run (§18); its repository is looked for at `places`, then at the workspace.

    `contain`: a profile of the score asks for a wall.
    """

    places: tuple[str, ...]
    worktree_base: str | None
    branch_prefix: str
    source_branch: str | None
    cleanup_on_success: bool
    cleanup_on_failure: bool
    lock_during_execution: bool
    fallback_on_error: bool
    contain: bool = False


class ArchivePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Where a fresh start moves what lies in the workspace, and what it leaves there (§19)."""

    directory: str
    naming: str
    max_archives: int
    preserve_patterns: tuple[str, ...]


class ExpandedScore(msgspec.Struct, frozen=True, kw_only=True, weakref=True):
    """A whole score, expanded: its sheets in ascending number, and what they share.

    `profiles` holds each profile that a sheet or a fallback uses, by name, as it was at submission;
    `directory` is the score's, where injected files are looked for that the workspace has not;
    `given_workspace` is what the score says, where `workspace` may be the run's (None: of an older version).
    `hooks` run when all is done, `failure_hooks` when the job has ended failed (`on_failure` is fail then).
    `max_wall_seconds` is how long the run may take while it runs (§28.7), null without a limit. `loops` are
    in the order of their stages and have no stage in common; `triggers` are by stage,
    and so are `retries`, of stages that differ from `retry`. `executor` is where its sheets run (§30), unless
    their own resources say so; null: it does not say.
    """

    name: str
    description: str | None
    workspace: str
    total_stages: int
    sheets: tuple[SheetDefinition, ...]
    prompt: PromptDefinition
    retry: RetryPolicy
    parallel: Parallelism
    cross_sheet: CrossSheetSettings
    profiles: dict[str, Profile]
    directory: str = "/"
    labels: tuple[str, ...] = ()
    on_failure: str = "fail"
    rate_limit: RateLimitPolicy = RateLimitPolicy()
    cost_limits: CostLimits | None = None
    silence: SilencePolicy | None = None
    notifications: tuple[Notification, ...] = ()
    hooks: tuple[HookDefinition, ...] = ()
    concert: Concert = Concert()
    isolation: Isolation | None = None
    archive: ArchivePolicy | None = None
    given_workspace: str | None = None
    failure_hooks: tuple[HookDefinition, ...] = ()
    max_wall_seconds: float | None = None
    loops: tuple[LoopDefinition, ...] = ()
    triggers: dict[int, StagePauses] = {}
    retries: dict[int, RetryPolicy] = {}
    executor: str | None = None

    def retry_of(self, sheet: int) -> RetryPolicy:
        """Return how a sheet (its number) is tried again: as its stage says, else as the score does."""
        return self.retries.get(self.sheets[sheet - 1].stage, self.retry) if self.retries else self.retry

    def awaited_sheets(self) -> list[tuple[int, ...]]:
        """Return what each sheet waits for: what it needs, and the end of a loop that it needs a sheet of.

        Whoever needs any sheet of a loop from outside waits for its last stage too (§29.2).
        """
        needs = [sheet.needs for sheet in self.sheets]
        for loop in self.loops:
            span, known = frozenset(loop.sheets), dict[tuple[int, ...], tuple[int, ...]]()
            for place, own in enumerate(needs):
                if place + 1 in span:
                    continue
                if own not in known:
                    known[own] = own if span.isdisjoint(own) else tuple(sorted({*own, *loop.ends}))
                needs[place] = known[own]
        return needs

    def loop_of(self, stage: int) -> LoopDefinition | None:
        """Return the loop that a stage is part of."""
        if not self.loops:
            return None
        place = bisect.bisect_right(self.loops, stage, key=_first_stage)
        loop = self.loops[place - 1] if place else None
        return loop if loop is not None and stage <= loop.last else None

    def with_fallback(self, sheet: int, fallback: int) -> "ExpandedScore":
        """Return the score with one sheet (its number) on its nth fallback; 0 is its own instrument."""
        if not fallback:
            return self
        moved = self.sheets[sheet - 1].on_fallback(fallback)
        return msgspec.structs.replace(self, sheets=(*self.sheets[: sheet - 1], moved, *self.sheets[sheet:]))

    @property
    def all_hooks(self) -> tuple[HookDefinition, ...]:
        """All hooks by their numbers: those of a success, then those of a failure."""
        return (*self.hooks, *self.failure_hooks)

    @property
    def hooks_found(self) -> list[HookFound]:
        """All hooks, as a reply about the score shows them."""
        return [
            HookFound(hook=number, type=hook.type, label=hook.label, after_failure=hook.after_failure)
            for number, hook in enumerate(self.all_hooks, 1)
        ]

    @property
    def fan_out(self) -> bool:
        """Whether some stage has several sheets, so that a sheet number does not name its stage."""
        return len(self.sheets) != self.total_stages

    @property
    def stage_names(self) -> dict[str, str]:
        """The names of the stages that have one, by number as JSON has it."""
        return {str(sheet.stage): sheet.movement for sheet in self.sheets if sheet.movement}


def _first_stage(loop: LoopDefinition) -> int:
    return loop.first


def unpack_score(data: bytes) -> ExpandedScore:
    """Decode a score from msgpack, one sheet after the other.

    As a whole, 10,000 sheets hold all other threads up for 40 ms; between two sheets they get their turn.

    Raises:
        Undecodable: the data is no score as this version of the program stores it.
    """
    parts = from_msgpack(data, dict[str, msgspec.Raw])
    sheets = [_sheet_decoder.decode(raw) for raw in _sheets_decoder.decode(parts.get("sheets", _NO_SHEETS))]
    rest = msgspec.msgpack.encode({**parts, "sheets": _NO_SHEETS})
    return msgspec.structs.replace(from_msgpack(rest, ExpandedScore), sheets=tuple(sheets))


_sheet_decoder = MsgpackDecoder[SheetDefinition](SheetDefinition)
_sheets_decoder = MsgpackDecoder[list[msgspec.Raw]](list[msgspec.Raw])
_NO_SHEETS = msgspec.Raw(msgspec.msgpack.encode([]))


class CompileResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a score compiles to: `expanded` is null when `problems` holds errors.

    `packed` is `expanded` in msgpack, where a worker has made it; `files` are the texts read with it by
    absolute path; `name` is null where it could not be read, and the totals are 0 where the numbers of the
    score are wrong. `parameters` are what a run can be given.
    """

    expanded: ExpandedScore | None
    problems: list[Problem]
    files: dict[str, str]
    name: str | None
    total_sheets: int
    total_stages: int
    parameters: list[Parameter] = []
    packed: bytes = b""


def file_digests(file: str, text: bytes, files: Mapping[str, str]) -> dict[str, str]:
    """Return the SHA-256 of a score, and of each file that was read with it, by path."""
    texts = {file: text, **{path: other.encode() for path, other in files.items()}}
    return {path: hashlib.sha256(one).hexdigest() for path, one in sorted(texts.items())}


def describe_differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Say which files changed, are new or are gone between two sets of digests, a few words each."""
    told = [(path, "has changed") for path in before if path in now and before[path] != now[path]]
    told += [(path, "is new") for path in now if path not in before]
    told += [(path, "is not there any more") for path in before if path not in now]
    return [f"'{path}' {what}" for path, what in sorted(told)]
