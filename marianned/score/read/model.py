"""The score as it is written: one Struct a mapping, each field with its type, default and range.

These tables are the schema: rules.py reads a document by them. Numbers are as written (stages or
sheets, §3); nothing is expanded or resolved here. Source: docs/reference/score-format.md §4 to §21.
"""

from typing import Annotated, Any

import msgspec

from marianned.places import EXECUTORS
from marianned.score.read import sbatch
from marianned.score.read.rules import (
    Anything,
    Duration,
    Either,
    FieldRule,
    Flag,
    Given,
    ListOf,
    MapOf,
    Number,
    Part,
    Pattern,
    Settings,
    Text,
)
from marianned.yaml_tree import ListNode, MappingNode

_MS = 0.001
_MINUTE = 60.0

AnyText = Annotated[str, Text()]
OptionalText = Annotated[str | None, Text()]
OptionalLabel = Annotated[str | None, Text(label=True)]
Filled = Annotated[str | None, Text(filled=True)]
Name = Text(filled=True)
Names = Annotated[list[str], ListOf(Name)]
Numbers = ListOf(Number(whole=True))
LABEL = r"[A-Za-z0-9_][A-Za-z0-9._=/:-]{0,62}"
"""What a label of a job looks like: a word that needs no quotes in a shell."""
_OF_LABEL = "a label: letters, digits and ._=/:-, at most 63, and the first a letter, a digit or _"
Labels = Annotated[list[str], ListOf(Text(filled=True, pattern=LABEL, wanted=_OF_LABEL))]
Bool = Annotated[bool, Flag()]
AcceptedOnly = Annotated[Any, Anything(MappingNode, ListNode)]
Positive = Number(whole=True, least=1)
Count = Number(whole=True, least=0)

SETTINGS: dict[str, FieldRule] = {
    "timeout_seconds": Duration(above=0),
    "timeout_overrides": MapOf(Duration(above=0), numbered=True),
    "model": Name,
    "cli_model": Name,
    "script": Text(choices=("auto", "whole", "fenced")),
    "errexit": Flag(),
    "skip_permissions": Flag(),
    "disable_mcp": Flag(),
    "allowed_tools": ListOf(Name),
    "working_directory": Name,
    "output_format": Text(choices=("text", "json", "stream-json", "jsonl")),
    "system_prompt_file": Name,
    "cli_extra_args": ListOf(Text()),
    "max_output_capture_bytes": Number(whole=True, above=0),
    "max_tokens": Number(whole=True, above=0),
    "temperature": Number(least=0),
    "api_key_env": Name,
    "env": MapOf(Text()),
}
INSTRUMENT_SPECIFIC = frozenset(
    {"model", "cli_model", "max_tokens", "temperature", "api_key_env", "allowed_tools", "output_format"}
    | {"system_prompt_file", "cli_extra_args", "script", "errexit"}
)
"""Settings that mean something to one instrument only (§8.3)."""

_OVERRIDES = {
    key: SETTINGS[key] for key in ("cli_model", "model", "temperature", "max_tokens", "timeout_seconds")
}
BACKEND: dict[str, FieldRule] = {
    **{key: rule for key, rule in SETTINGS.items() if key not in {"script", "errexit", "env"}},
    "type": Name,
    "sheet_overrides": MapOf(Settings(_OVERRIDES, closed=True), numbered=True),
}
BACKEND_UNUSED = ("ollama", "recursive_light")

SettingsMap = Annotated[dict[str, Any], Settings(SETTINGS)]


_OneOf = Text(choices=EXECUTORS)
_CHECKED = Text(choices=("local", "with_attempt"))
_MEMORY = Text(
    pattern="[0-9]+[KMGTkmgt]?", wanted="a number of MiB, or one with K, M, G or T behind it, like 64M"
)
_ARGUMENT = Text(filled=True, pattern="-.*", wanted=sbatch.OPTION)


class ExecutorPart(msgspec.Struct, frozen=True, kw_only=True):
    """`executor`, `movements.N.executor` and `instruments.NAME.executor`, where it is a mapping (§30)."""

    type: Annotated[str | None, _OneOf] = None
    partition: Filled = None
    account: Filled = None
    qos: Filled = None
    cpus: Annotated[int | None, Positive] = None
    memory: Annotated[str | None, _MEMORY] = None
    gpus: Filled = None
    time_limit: Annotated[float | None, Duration(least=60)] = None
    constraint: Filled = None
    arguments: Annotated[list[str], ListOf(_ARGUMENT)] = []
    checks: Annotated[str | None, _CHECKED] = None


Executor = Annotated[str | ExecutorPart | None, Either(_OneOf, Part(ExecutorPart), MappingNode)]


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """`instruments.NAME` (§8.1)."""

    profile: Annotated[str, Name]
    config: SettingsMap = {}
    executor: Executor = None


class RetryPart(msgspec.Struct, frozen=True, kw_only=True):
    """`retry`, and `movements.N.retry`, where what is left out is the score's (§15.3)."""

    max_retries: Annotated[int, Count] = 3
    base_delay_seconds: Annotated[float, Duration(above=0)] = 10.0
    max_delay_seconds: Annotated[float | None, Duration(above=0)] = None
    exponential_base: Annotated[float, Number(above=1)] = 2.0
    jitter: Bool = True
    max_completion_attempts: Annotated[int, Count] = 5
    completion_delay_seconds: Annotated[float, Duration()] = 5.0
    completion_threshold_percent: Annotated[float, Number(above=0, most=100)] = 50.0


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """`movements.N` (§8.1)."""

    name: OptionalLabel = None
    instrument: Filled = None
    instrument_config: SettingsMap = {}
    voices: Annotated[int | None, Positive] = None
    instrument_fallbacks: Annotated[list[str] | None, ListOf(Name)] = None
    retry: Annotated[RetryPart | None, Part(RetryPart)] = None
    executor: Executor = None


class Injection(msgspec.Struct, frozen=True, kw_only=True):
    """An item of `prelude` or `cadenzas` (§10)."""

    as_: Annotated[str, Text(choices=("context", "skill", "tool"))]
    file: Filled = None
    directory: Filled = None
    required: Bool = False


class SkipCommand(msgspec.Struct, frozen=True, kw_only=True):
    """`sheet.skip_when_command.N` (§14), and `sheet.skip_when.N` where that is a mapping."""

    command: Annotated[str, Name]
    description: OptionalLabel = None
    timeout_seconds: Annotated[float, Duration(above=0, most=60)] = 10.0


_INDEX = Text(pattern="[A-Za-z][A-Za-z0-9_]*", wanted="a name of letters, digits and _, the first a letter")


class LoopPart(msgspec.Struct, frozen=True, kw_only=True):
    """`sheet.loops.SPAN` (§29)."""

    index: Annotated[str, _INDEX] = "round"
    until: Filled = None
    max_iterations: Annotated[int | None, Positive] = None
    count: Annotated[int | None, Positive] = None
    cost_limit_usd: Annotated[float | None, Number(above=0)] = None
    on_exhausted: Annotated[str, Text(choices=("fail", "continue"))] = "fail"


class ActionPart(msgspec.Struct, frozen=True, kw_only=True):
    """An item of `sheet.triggers.N.on_success` and `on_fail` (§28.9): a mapping with one key."""

    pause: Bool = False
    escalate: Annotated[str | None, Text(label=True)] = None
    continue_: Bool = False


_ACTIONS = ListOf(Part(ActionPart, others="S511"))


class TriggersPart(msgspec.Struct, frozen=True, kw_only=True):
    """`sheet.triggers.N` (§28.9)."""

    on_success: Annotated[list[ActionPart], _ACTIONS] = []
    on_fail: Annotated[list[ActionPart], _ACTIONS] = []


class SheetPart(msgspec.Struct, frozen=True, kw_only=True):
    """`sheet` (§6)."""

    size: Annotated[int, Positive]
    total_items: Annotated[int, Positive]
    start_item: Annotated[int, Positive] = 1
    fan_out: Annotated[dict[int, int], MapOf(Positive, numbered=True)] = {}
    fan_out_from: Annotated[dict[int, str], MapOf(Name, numbered=True)] = {}
    dependencies: Annotated[dict[int, list[int]], MapOf(Numbers, numbered=True)] = {}
    descriptions: Annotated[dict[int, str], MapOf(Text(label=True), numbered=True)] = {}
    prelude: Annotated[list[Injection], ListOf(Part(Injection))] = []
    cadenzas: Annotated[dict[int, list[Injection]], MapOf(ListOf(Part(Injection)), numbered=True)] = {}
    prompt_extensions: Annotated[dict[int, list[str]], MapOf(ListOf(Text()), numbered=True)] = {}
    skip_when: Annotated[
        dict[int, str | SkipCommand], MapOf(Either(Name, Part(SkipCommand), MappingNode), numbered=True)
    ] = {}
    skip_when_command: Annotated[dict[int, SkipCommand], MapOf(Part(SkipCommand), numbered=True)] = {}
    instrument_map: Annotated[dict[str, list[int]], MapOf(Numbers)] = {}
    per_sheet_instruments: Annotated[dict[int, str], MapOf(Name, numbered=True)] = {}
    per_sheet_instrument_config: Annotated[
        dict[int, dict[str, Any]], MapOf(Settings(SETTINGS), numbered=True)
    ] = {}
    per_sheet_fallbacks: Annotated[dict[int, list[str]], MapOf(ListOf(Name), numbered=True)] = {}
    loops: Annotated[dict[str, LoopPart], MapOf(Part(LoopPart))] = {}
    triggers: Annotated[dict[int, TriggersPart], MapOf(Part(TriggersPart), numbered=True)] = {}
    total_sheets: Annotated[Any, Anything()] = None
    fan_out_stage_map: Annotated[Any, Anything()] = None
    spec_tags: AcceptedOnly = None


class ParameterPart(msgspec.Struct, frozen=True, kw_only=True):
    """`parameters.NAME` (§9.5)."""

    default: Annotated[Any, Anything()] = None
    required: Bool = False
    description: OptionalLabel = None
    choices: Annotated[list[Any], ListOf(Anything())] = []


class PromptPart(msgspec.Struct, frozen=True, kw_only=True):
    """`prompt` (§9)."""

    template: OptionalText = None
    template_file: Filled = None
    variables: Annotated[dict[str, Any], MapOf(Anything())] = {}
    stakes: AnyText = ""
    thinking_method: AnyText = ""
    prompt_extensions: Annotated[list[str], ListOf(Text())] = []


DATA_CHECKS = ("path_in_scope", "field_match", "file_sha256", "csv_unique_key")
FILE_CHECKS = ("file_exists", "content_contains", "content_regex", "file_modified", *DATA_CHECKS)
CHECKS = (*FILE_CHECKS, "command_succeeds")


_SHA256 = Text(pattern="[0-9A-Fa-f]{64}", wanted="a SHA-256 in its 64 hexadecimal digits")


class Validation(msgspec.Struct, frozen=True, kw_only=True):
    """An item of `validations` (§13)."""

    type: Annotated[str, Text(choices=CHECKS)]
    path: Filled = None
    pattern: OptionalText = None
    command: Filled = None
    path_scope: Filled = None
    field_path: Filled = None
    expected_value: Annotated[tuple[Any] | None, Given()] = None
    source_path: Filled = None
    source_field_path: Filled = None
    sha256: Annotated[str | None, _SHA256] = None
    key_field: Filled = None
    working_directory: Filled = None
    description: OptionalLabel = None
    stage: Annotated[int, Number(whole=True, least=1, most=10)] = 1
    condition: OptionalText = None
    sheet: Annotated[int | None, Number(whole=True)] = None
    retry_count: Annotated[int | None, Number(whole=True, least=0, most=10)] = None
    retry_delay_ms: Annotated[float, Duration(unit=_MS, most=5)] = 0.2
    timeout_seconds: Annotated[float, Duration(above=0)] = 3600.0


class CrossSheetPart(msgspec.Struct, frozen=True, kw_only=True):
    """`cross_sheet` (§11)."""

    auto_capture_stdout: Bool = False
    lookback_sheets: Annotated[int, Count] = 3
    max_output_chars: Annotated[int, Positive] = 2000
    capture_files: Annotated[list[str], ListOf(Name)] = []


class ParallelPart(msgspec.Struct, frozen=True, kw_only=True):
    """`parallel` (§17)."""

    enabled: Bool = False
    max_concurrent: Annotated[int, Number(whole=True, least=1, most=1000)] = 3
    fail_fast: Bool = True
    stagger_delay_ms: Annotated[float, Duration(unit=_MS, most=5)] = 0.0
    budget_partition: Annotated[bool, Flag(only=True)] = True


class RateLimit(msgspec.Struct, frozen=True, kw_only=True):
    """`rate_limit` (§16.3)."""

    detection_patterns: Annotated[list[str], ListOf(Pattern())] = []
    wait_minutes: Annotated[float, Duration(unit=_MINUTE, least=60)] = 3600.0
    max_waits: Annotated[int, Positive] = 24
    max_quota_waits: Annotated[int, Positive] = 48


class StaleDetection(msgspec.Struct, frozen=True, kw_only=True):
    """`stale_detection` (§16.2)."""

    enabled: Bool = False
    idle_timeout_seconds: Annotated[float, Duration(above=0)] = 300.0
    check_interval_seconds: Annotated[float | None, Duration(above=0)] = None
    max_idle_checks_before_kill: Annotated[Any, Anything()] = None


class CostLimits(msgspec.Struct, frozen=True, kw_only=True):
    """`cost_limits` (§16.4)."""

    enabled: Annotated[bool | None, Flag()] = None
    max_cost_per_sheet: Annotated[float | None, Number(above=0)] = None
    max_cost_per_job: Annotated[float | None, Number(above=0)] = None
    cost_per_1k_input_tokens: Annotated[float, Number(least=0)] = 0.003
    cost_per_1k_output_tokens: Annotated[float, Number(least=0)] = 0.015
    warn_at_percent: Annotated[float, Number(above=0, most=100)] = 80.0


_PREFIX = Text(pattern="[a-zA-Z][a-zA-Z0-9_-]*", wanted="letters, digits, _ and -, the first a letter")


class Isolation(msgspec.Struct, frozen=True, kw_only=True):
    """`isolation` (§18)."""

    enabled: Bool = False
    mode: Annotated[str, Text(choices=("worktree", "none"))] = "worktree"
    worktree_base: Filled = None
    branch_prefix: Annotated[str, _PREFIX] = "marianne"
    source_branch: Filled = None
    cleanup_on_success: Bool = True
    cleanup_on_failure: Bool = False
    lock_during_execution: Bool = True
    fallback_on_error: Bool = True


class WorkspaceLifecycle(msgspec.Struct, frozen=True, kw_only=True):
    """`workspace_lifecycle` (§19)."""

    archive_on_fresh: Bool = False
    archive_dir: Annotated[str, Name] = "archive"
    archive_naming: Annotated[str, Text(choices=("iteration", "timestamp"))] = "iteration"
    max_archives: Annotated[int, Count] = 0
    preserve_patterns: Names = msgspec.field(
        default_factory=lambda: [".iteration", ".marianne-*", ".coverage", "archive/**", ".worktrees/**"]
    )


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """An item of `on_success` (§20), and of `on_failure` where that is a list (§28.8)."""

    type: Annotated[str, Text(choices=("run_job", "run_command", "run_script"))]
    job_path: Filled = None
    job_workspace: Filled = None
    detached: Bool = False
    fresh: Bool = False
    pause_before_chain: Bool = False
    command: Filled = None
    working_directory: Filled = None
    description: OptionalLabel = None
    timeout_seconds: Annotated[float | None, Duration(above=0)] = None
    on_failure: Annotated[str, Text(choices=("continue", "abort"))] = "continue"
    inherit_learning: Annotated[Any, Anything()] = None


class Concert(msgspec.Struct, frozen=True, kw_only=True):
    """`concert` (§20)."""

    enabled: Bool = False
    max_chain_depth: Annotated[int | None, Number(whole=True, least=1, most=100)] = None
    cooldown_between_jobs_seconds: Annotated[float, Duration()] = 5.0
    inherit_workspace: Bool = True
    concert_log_path: Filled = None
    abort_concert_on_hook_failure: Bool = False
    pinned: Bool = False


_EVENTS = (
    "job_start",
    "sheet_start",
    "sheet_complete",
    "sheet_failed",
    "job_complete",
    "job_failed",
    "job_paused",
)


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """`notifications[].config` (§21): where a message is sent; `webhook_url` is slack's `url`."""

    url: OptionalText = None
    url_env: OptionalText = None
    webhook_url: OptionalText = None
    webhook_url_env: OptionalText = None
    headers: Annotated[dict[str, str], MapOf(Text())] = {}
    timeout: Annotated[float, Duration(above=0, most=300)] = 10.0
    max_retries: Annotated[int, Number(whole=True, least=0, most=10)] = 3


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """An item of `notifications` (§21)."""

    type: Annotated[str, Text(choices=("desktop", "slack", "webhook", "email"))]
    on_events: Annotated[list[str], ListOf(Text(choices=_EVENTS))] = msgspec.field(
        default_factory=lambda: ["job_complete", "job_failed"]
    )
    config: Annotated[Target, Part(Target, others="S501")] = Target()


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """A whole score (§4)."""

    name: Annotated[str, Text()]
    sheet: Annotated[SheetPart, Part(SheetPart)]
    prompt: Annotated[PromptPart, Part(PromptPart)]
    parameters: Annotated[dict[str, ParameterPart], MapOf(Part(ParameterPart))] = {}
    description: OptionalLabel = None
    labels: Labels = []
    workspace: Filled = None
    instrument: Filled = None
    instrument_config: SettingsMap = {}
    instrument_fallbacks: Names = []
    instruments: Annotated[dict[str, Alias], MapOf(Part(Alias))] = {}
    movements: Annotated[dict[int, Movement], MapOf(Part(Movement), numbered=True)] = {}
    backend: Annotated[dict[str, Any] | None, Settings(BACKEND, closed=True, ignored=BACKEND_UNUSED)] = None
    validations: Annotated[list[Validation], ListOf(Part(Validation))] = []
    cross_sheet: Annotated[CrossSheetPart, Part(CrossSheetPart)] = CrossSheetPart()
    parallel: Annotated[ParallelPart, Part(ParallelPart)] = ParallelPart()
    retry: Annotated[RetryPart, Part(RetryPart)] = RetryPart()
    rate_limit: Annotated[RateLimit | None, Part(RateLimit)] = None
    stale_detection: Annotated[StaleDetection, Part(StaleDetection)] = StaleDetection()
    cost_limits: Annotated[CostLimits | None, Part(CostLimits)] = None
    isolation: Annotated[Isolation, Part(Isolation)] = Isolation()
    workspace_lifecycle: Annotated[WorkspaceLifecycle, Part(WorkspaceLifecycle)] = WorkspaceLifecycle()
    on_success: Annotated[list[Hook], ListOf(Part(Hook))] = []
    on_failure: Annotated[
        str | list[Hook], Either(Text(choices=("fail", "pause")), ListOf(Part(Hook)), ListNode)
    ] = "fail"
    max_wall_seconds: Annotated[float | None, Duration(least=60)] = None
    concert: Annotated[Concert, Part(Concert)] = Concert()
    notifications: Annotated[list[Notification], ListOf(Part(Notification))] = []
    pause_between_sheets_seconds: Annotated[float, Duration()] = 0.0
    executor: Executor = None
    state_backend: Annotated[str | None, Text()] = None
    state_path: Annotated[str | None, Text()] = None
    schedule: Annotated[Any, Anything()] = None
    judgment: Annotated[Any, Anything()] = None
    code_execution: Annotated[Any, Anything()] = None
    learning: AcceptedOnly = None
    logging: AcceptedOnly = None
    grounding: AcceptedOnly = None
    ai_review: AcceptedOnly = None
    checkpoints: AcceptedOnly = None
    conductor: AcceptedOnly = None
    feedback: AcceptedOnly = None
    bridge: AcceptedOnly = None
    agent_card: AcceptedOnly = None
    circuit_breaker: AcceptedOnly = None
    spec: AcceptedOnly = None
    techniques: AcceptedOnly = None
