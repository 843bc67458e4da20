"""The score as it is written: one Struct a mapping, each field with its type, default and range.

These tables are the schema: rules.py reads a document by them. Numbers are as written (stages or
sheets, §3); nothing is expanded or resolved here. Source: docs/reference/score-format.md §4 to §21.
"""

from typing import Annotated, Any

import msgspec

from marianned.places import EXECUTORS
from marianned.score.read import sbatch
from marianned.score.read.rules import (
    AnyRule,
    BoolRule,
    DurationRule,
    EitherRule,
    FieldRule,
    ListRule,
    MapRule,
    NullableRule,
    NumberRule,
    PatternRule,
    SettingsRule,
    StructRule,
    TextRule,
)
from marianned.yaml_tree import ListNode, MappingNode

_MS = 0.001
_MINUTE = 60.0

AnyText = Annotated[str, TextRule()]
OptionalText = Annotated[str | None, TextRule()]
OptionalLabel = Annotated[str | None, TextRule(label=True)]
OptionalName = Annotated[str | None, TextRule(filled=True)]
Name = TextRule(filled=True)
Names = Annotated[list[str], ListRule(Name)]
Numbers = ListRule(NumberRule(whole=True))
LABEL = r"[A-Za-z0-9_][A-Za-z0-9._=/:-]{0,62}"
"""What a label of a job looks like: a word that needs no quotes in a shell."""
_OF_LABEL = "a label: letters, digits and ._=/:-, at most 63, and the first a letter, a digit or _"
Labels = Annotated[list[str], ListRule(TextRule(filled=True, pattern=LABEL, wanted=_OF_LABEL))]
Bool = Annotated[bool, BoolRule()]
AcceptedOnly = Annotated[Any, AnyRule(MappingNode, ListNode)]
Positive = NumberRule(whole=True, least=1)
Count = NumberRule(whole=True, least=0)

SETTINGS: dict[str, FieldRule] = {
    "timeout_seconds": DurationRule(above=0),
    "timeout_overrides": MapRule(DurationRule(above=0), numbered=True),
    "model": Name,
    "cli_model": Name,
    "script": TextRule(choices=("auto", "whole", "fenced")),
    "errexit": BoolRule(),
    "skip_permissions": BoolRule(),
    "disable_mcp": BoolRule(),
    "allowed_tools": ListRule(Name),
    "working_directory": Name,
    "output_format": TextRule(choices=("text", "json", "stream-json", "jsonl")),
    "system_prompt_file": Name,
    "cli_extra_args": ListRule(TextRule()),
    "max_output_capture_bytes": NumberRule(whole=True, above=0),
    "max_tokens": NumberRule(whole=True, above=0),
    "temperature": NumberRule(least=0),
    "api_key_env": Name,
    "env": MapRule(TextRule()),
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
    "sheet_overrides": MapRule(SettingsRule(_OVERRIDES, closed=True), numbered=True),
}
BACKEND_UNUSED = ("ollama", "recursive_light")

SettingsMap = Annotated[dict[str, Any], SettingsRule(SETTINGS)]


_OneOf = TextRule(choices=EXECUTORS)
_CHECKED = TextRule(choices=("local", "with_attempt"))
_MEMORY = TextRule(
    pattern="[0-9]+[KMGTkmgt]?", wanted="a number of MiB, or one with K, M, G or T behind it, like 64M"
)
_ARGUMENT = TextRule(filled=True, pattern="-.*", wanted=sbatch.OPTION)


class ExecutorSection(msgspec.Struct, frozen=True, kw_only=True):
    """`executor`, `movements.N.executor` and `instruments.NAME.executor`, where it is a mapping (§30)."""

    type: Annotated[str | None, _OneOf] = None
    partition: OptionalName = None
    account: OptionalName = None
    qos: OptionalName = None
    cpus: Annotated[int | None, Positive] = None
    memory: Annotated[str | None, _MEMORY] = None
    gpus: OptionalName = None
    time_limit: Annotated[float | None, DurationRule(least=60)] = None
    constraint: OptionalName = None
    arguments: Annotated[list[str], ListRule(_ARGUMENT)] = []
    checks: Annotated[str | None, _CHECKED] = None


Executor = Annotated[
    str | ExecutorSection | None, EitherRule(_OneOf, StructRule(ExecutorSection), MappingNode)
]


class AliasSection(msgspec.Struct, frozen=True, kw_only=True):
    """`instruments.NAME` (§8.1)."""

    profile: Annotated[str, Name]
    config: SettingsMap = {}
    executor: Executor = None


class RetrySection(msgspec.Struct, frozen=True, kw_only=True):
    """`retry`, and `movements.N.retry`, where what is left out is the score's (§15.3)."""

    max_retries: Annotated[int, Count] = 3
    base_delay_seconds: Annotated[float, DurationRule(above=0)] = 10.0
    max_delay_seconds: Annotated[float | None, DurationRule(above=0)] = None
    exponential_base: Annotated[float, NumberRule(above=1)] = 2.0
    jitter: Bool = True
    max_completion_attempts: Annotated[int, Count] = 5
    completion_delay_seconds: Annotated[float, DurationRule()] = 5.0
    completion_threshold_percent: Annotated[float, NumberRule(above=0, most=100)] = 50.0


class MovementSection(msgspec.Struct, frozen=True, kw_only=True):
    """`movements.N` (§8.1)."""

    name: OptionalLabel = None
    instrument: OptionalName = None
    instrument_config: SettingsMap = {}
    voices: Annotated[int | None, Positive] = None
    instrument_fallbacks: Annotated[list[str] | None, ListRule(Name)] = None
    retry: Annotated[RetrySection | None, StructRule(RetrySection)] = None
    executor: Executor = None


class InjectionSection(msgspec.Struct, frozen=True, kw_only=True):
    """An item of `prelude` or `cadenzas` (§10)."""

    as_: Annotated[str, TextRule(choices=("context", "skill", "tool"))]
    file: OptionalName = None
    directory: OptionalName = None
    required: Bool = False


class SkipCommandSection(msgspec.Struct, frozen=True, kw_only=True):
    """`sheet.skip_when_command.N` (§14), and `sheet.skip_when.N` where that is a mapping."""

    command: Annotated[str, Name]
    description: OptionalLabel = None
    timeout_seconds: Annotated[float, DurationRule(above=0, most=60)] = 10.0


_INDEX = TextRule(
    pattern="[A-Za-z][A-Za-z0-9_]*", wanted="a name of letters, digits and _, the first a letter"
)


class LoopSection(msgspec.Struct, frozen=True, kw_only=True):
    """`sheet.loops.SPAN` (§29)."""

    index: Annotated[str, _INDEX] = "round"
    until: OptionalName = None
    max_iterations: Annotated[int | None, Positive] = None
    count: Annotated[int | None, Positive] = None
    cost_limit_usd: Annotated[float | None, NumberRule(above=0)] = None
    on_exhausted: Annotated[str, TextRule(choices=("fail", "continue"))] = "fail"


class ActionSection(msgspec.Struct, frozen=True, kw_only=True):
    """An item of `sheet.triggers.N.on_success` and `on_fail` (§28.9): a mapping with one key."""

    pause: Bool = False
    escalate: Annotated[str | None, TextRule(label=True)] = None
    continue_: Bool = False


_ACTIONS = ListRule(StructRule(ActionSection, others="S511"))


class TriggersSection(msgspec.Struct, frozen=True, kw_only=True):
    """`sheet.triggers.N` (§28.9)."""

    on_success: Annotated[list[ActionSection], _ACTIONS] = []
    on_fail: Annotated[list[ActionSection], _ACTIONS] = []


class SheetSection(msgspec.Struct, frozen=True, kw_only=True):
    """`sheet` (§6)."""

    size: Annotated[int, Positive]
    total_items: Annotated[int, Positive]
    start_item: Annotated[int, Positive] = 1
    fan_out: Annotated[dict[int, int], MapRule(Positive, numbered=True)] = {}
    fan_out_from: Annotated[dict[int, str], MapRule(Name, numbered=True)] = {}
    dependencies: Annotated[dict[int, list[int]], MapRule(Numbers, numbered=True)] = {}
    descriptions: Annotated[dict[int, str], MapRule(TextRule(label=True), numbered=True)] = {}
    prelude: Annotated[list[InjectionSection], ListRule(StructRule(InjectionSection))] = []
    cadenzas: Annotated[
        dict[int, list[InjectionSection]], MapRule(ListRule(StructRule(InjectionSection)), numbered=True)
    ] = {}
    prompt_extensions: Annotated[dict[int, list[str]], MapRule(ListRule(TextRule()), numbered=True)] = {}
    skip_when: Annotated[
        dict[int, str | SkipCommandSection],
        MapRule(EitherRule(Name, StructRule(SkipCommandSection), MappingNode), numbered=True),
    ] = {}
    skip_when_command: Annotated[
        dict[int, SkipCommandSection], MapRule(StructRule(SkipCommandSection), numbered=True)
    ] = {}
    instrument_map: Annotated[dict[str, list[int]], MapRule(Numbers)] = {}
    per_sheet_instruments: Annotated[dict[int, str], MapRule(Name, numbered=True)] = {}
    per_sheet_instrument_config: Annotated[
        dict[int, dict[str, Any]], MapRule(SettingsRule(SETTINGS), numbered=True)
    ] = {}
    per_sheet_fallbacks: Annotated[dict[int, list[str]], MapRule(ListRule(Name), numbered=True)] = {}
    loops: Annotated[dict[str, LoopSection], MapRule(StructRule(LoopSection))] = {}
    triggers: Annotated[dict[int, TriggersSection], MapRule(StructRule(TriggersSection), numbered=True)] = {}
    total_sheets: Annotated[Any, AnyRule()] = None
    fan_out_stage_map: Annotated[Any, AnyRule()] = None
    spec_tags: AcceptedOnly = None


class ParameterSection(msgspec.Struct, frozen=True, kw_only=True):
    """`parameters.NAME` (§9.5)."""

    default: Annotated[Any, AnyRule()] = None
    required: Bool = False
    description: OptionalLabel = None
    choices: Annotated[list[Any], ListRule(AnyRule())] = []


class PromptSection(msgspec.Struct, frozen=True, kw_only=True):
    """`prompt` (§9)."""

    template: OptionalText = None
    template_file: OptionalName = None
    variables: Annotated[dict[str, Any], MapRule(AnyRule())] = {}
    stakes: AnyText = ""
    thinking_method: AnyText = ""
    prompt_extensions: Annotated[list[str], ListRule(TextRule())] = []


DATA_CHECKS = ("path_in_scope", "field_match", "file_sha256", "csv_unique_key")
FILE_CHECKS = ("file_exists", "content_contains", "content_regex", "file_modified", *DATA_CHECKS)
CHECKS = (*FILE_CHECKS, "command_succeeds")


_SHA256 = TextRule(pattern="[0-9A-Fa-f]{64}", wanted="a SHA-256 in its 64 hexadecimal digits")


class ValidationSection(msgspec.Struct, frozen=True, kw_only=True):
    """An item of `validations` (§13)."""

    type: Annotated[str, TextRule(choices=CHECKS)]
    path: OptionalName = None
    pattern: OptionalText = None
    command: OptionalName = None
    path_scope: OptionalName = None
    field_path: OptionalName = None
    expected_value: Annotated[tuple[Any] | None, NullableRule()] = None
    source_path: OptionalName = None
    source_field_path: OptionalName = None
    sha256: Annotated[str | None, _SHA256] = None
    key_field: OptionalName = None
    working_directory: OptionalName = None
    description: OptionalLabel = None
    stage: Annotated[int, NumberRule(whole=True, least=1, most=10)] = 1
    condition: OptionalText = None
    sheet: Annotated[int | None, NumberRule(whole=True)] = None
    retry_count: Annotated[int | None, NumberRule(whole=True, least=0, most=10)] = None
    retry_delay_ms: Annotated[float, DurationRule(unit=_MS, most=5)] = 0.2
    timeout_seconds: Annotated[float, DurationRule(above=0)] = 3600.0


class CrossSheetSection(msgspec.Struct, frozen=True, kw_only=True):
    """`cross_sheet` (§11)."""

    auto_capture_stdout: Bool = False
    lookback_sheets: Annotated[int, Count] = 3
    max_output_chars: Annotated[int, Positive] = 2000
    capture_files: Annotated[list[str], ListRule(Name)] = []


class ParallelSection(msgspec.Struct, frozen=True, kw_only=True):
    """`parallel` (§17)."""

    enabled: Bool = False
    max_concurrent: Annotated[int, NumberRule(whole=True, least=1, most=1000)] = 3
    fail_fast: Bool = True
    stagger_delay_ms: Annotated[float, DurationRule(unit=_MS, most=5)] = 0.0
    budget_partition: Annotated[bool, BoolRule(only=True)] = True


class RateLimitSection(msgspec.Struct, frozen=True, kw_only=True):
    """`rate_limit` (§16.3)."""

    detection_patterns: Annotated[list[str], ListRule(PatternRule())] = []
    wait_minutes: Annotated[float, DurationRule(unit=_MINUTE, least=60)] = 3600.0
    max_waits: Annotated[int, Positive] = 24
    max_quota_waits: Annotated[int, Positive] = 48


class StaleDetectionSection(msgspec.Struct, frozen=True, kw_only=True):
    """`stale_detection` (§16.2)."""

    enabled: Bool = False
    idle_timeout_seconds: Annotated[float, DurationRule(above=0)] = 300.0
    check_interval_seconds: Annotated[float | None, DurationRule(above=0)] = None
    max_idle_checks_before_kill: Annotated[Any, AnyRule()] = None


class CostLimitsSection(msgspec.Struct, frozen=True, kw_only=True):
    """`cost_limits` (§16.4)."""

    enabled: Annotated[bool | None, BoolRule()] = None
    max_cost_per_sheet: Annotated[float | None, NumberRule(above=0)] = None
    max_cost_per_job: Annotated[float | None, NumberRule(above=0)] = None
    cost_per_1k_input_tokens: Annotated[float, NumberRule(least=0)] = 0.003
    cost_per_1k_output_tokens: Annotated[float, NumberRule(least=0)] = 0.015
    warn_at_percent: Annotated[float, NumberRule(above=0, most=100)] = 80.0


_PREFIX = TextRule(pattern="[a-zA-Z][a-zA-Z0-9_-]*", wanted="letters, digits, _ and -, the first a letter")


class IsolationSection(msgspec.Struct, frozen=True, kw_only=True):
    """`isolation` (§18)."""

    enabled: Bool = False
    mode: Annotated[str, TextRule(choices=("worktree", "none"))] = "worktree"
    worktree_base: OptionalName = None
    branch_prefix: Annotated[str, _PREFIX] = "marianne"
    source_branch: OptionalName = None
    cleanup_on_success: Bool = True
    cleanup_on_failure: Bool = False
    lock_during_execution: Bool = True
    fallback_on_error: Bool = True


class WorkspaceLifecycleSection(msgspec.Struct, frozen=True, kw_only=True):
    """`workspace_lifecycle` (§19)."""

    archive_on_fresh: Bool = False
    archive_dir: Annotated[str, Name] = "archive"
    archive_naming: Annotated[str, TextRule(choices=("iteration", "timestamp"))] = "iteration"
    max_archives: Annotated[int, Count] = 0
    preserve_patterns: Names = msgspec.field(
        default_factory=lambda: [".iteration", ".marianne-*", ".coverage", "archive/**", ".worktrees/**"]
    )


class HookSection(msgspec.Struct, frozen=True, kw_only=True):
    """An item of `on_success` (§20), and of `on_failure` where that is a list (§28.8)."""

    type: Annotated[str, TextRule(choices=("run_job", "run_command", "run_script"))]
    job_path: OptionalName = None
    job_workspace: OptionalName = None
    detached: Bool = False
    fresh: Bool = False
    pause_before_chain: Bool = False
    command: OptionalName = None
    working_directory: OptionalName = None
    description: OptionalLabel = None
    timeout_seconds: Annotated[float | None, DurationRule(above=0)] = None
    on_failure: Annotated[str, TextRule(choices=("continue", "abort"))] = "continue"
    inherit_learning: Annotated[Any, AnyRule()] = None


class ConcertSection(msgspec.Struct, frozen=True, kw_only=True):
    """`concert` (§20)."""

    enabled: Bool = False
    max_chain_depth: Annotated[int | None, NumberRule(whole=True, least=1, most=100)] = None
    cooldown_between_jobs_seconds: Annotated[float, DurationRule()] = 5.0
    inherit_workspace: Bool = True
    concert_log_path: OptionalName = None
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


class TargetSection(msgspec.Struct, frozen=True, kw_only=True):
    """`notifications[].config` (§21): where a message is sent; `webhook_url` is slack's `url`."""

    url: OptionalText = None
    url_env: OptionalText = None
    webhook_url: OptionalText = None
    webhook_url_env: OptionalText = None
    headers: Annotated[dict[str, str], MapRule(TextRule())] = {}
    timeout: Annotated[float, DurationRule(above=0, most=300)] = 10.0
    max_retries: Annotated[int, NumberRule(whole=True, least=0, most=10)] = 3


class NotificationSection(msgspec.Struct, frozen=True, kw_only=True):
    """An item of `notifications` (§21)."""

    type: Annotated[str, TextRule(choices=("desktop", "slack", "webhook", "email"))]
    on_events: Annotated[list[str], ListRule(TextRule(choices=_EVENTS))] = msgspec.field(
        default_factory=lambda: ["job_complete", "job_failed"]
    )
    config: Annotated[TargetSection, StructRule(TargetSection, others="S501")] = TargetSection()


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """A whole score (§4)."""

    name: Annotated[str, TextRule()]
    sheet: Annotated[SheetSection, StructRule(SheetSection)]
    prompt: Annotated[PromptSection, StructRule(PromptSection)]
    parameters: Annotated[dict[str, ParameterSection], MapRule(StructRule(ParameterSection))] = {}
    description: OptionalLabel = None
    labels: Labels = []
    workspace: OptionalName = None
    instrument: OptionalName = None
    instrument_config: SettingsMap = {}
    instrument_fallbacks: Names = []
    instruments: Annotated[dict[str, AliasSection], MapRule(StructRule(AliasSection))] = {}
    movements: Annotated[dict[int, MovementSection], MapRule(StructRule(MovementSection), numbered=True)] = {}
    backend: Annotated[dict[str, Any] | None, SettingsRule(BACKEND, closed=True, ignored=BACKEND_UNUSED)] = (
        None
    )
    validations: Annotated[list[ValidationSection], ListRule(StructRule(ValidationSection))] = []
    cross_sheet: Annotated[CrossSheetSection, StructRule(CrossSheetSection)] = CrossSheetSection()
    parallel: Annotated[ParallelSection, StructRule(ParallelSection)] = ParallelSection()
    retry: Annotated[RetrySection, StructRule(RetrySection)] = RetrySection()
    rate_limit: Annotated[RateLimitSection | None, StructRule(RateLimitSection)] = None
    stale_detection: Annotated[StaleDetectionSection, StructRule(StaleDetectionSection)] = (
        StaleDetectionSection()
    )
    cost_limits: Annotated[CostLimitsSection | None, StructRule(CostLimitsSection)] = None
    isolation: Annotated[IsolationSection, StructRule(IsolationSection)] = IsolationSection()
    workspace_lifecycle: Annotated[WorkspaceLifecycleSection, StructRule(WorkspaceLifecycleSection)] = (
        WorkspaceLifecycleSection()
    )
    on_success: Annotated[list[HookSection], ListRule(StructRule(HookSection))] = []
    on_failure: Annotated[
        str | list[HookSection],
        EitherRule(TextRule(choices=("fail", "pause")), ListRule(StructRule(HookSection)), ListNode),
    ] = "fail"
    max_wall_seconds: Annotated[float | None, DurationRule(least=60)] = None
    concert: Annotated[ConcertSection, StructRule(ConcertSection)] = ConcertSection()
    notifications: Annotated[list[NotificationSection], ListRule(StructRule(NotificationSection))] = []
    pause_between_sheets_seconds: Annotated[float, DurationRule()] = 0.0
    executor: Executor = None
    state_backend: Annotated[str | None, TextRule()] = None
    state_path: Annotated[str | None, TextRule()] = None
    schedule: Annotated[Any, AnyRule()] = None
    judgment: Annotated[Any, AnyRule()] = None
    code_execution: Annotated[Any, AnyRule()] = None
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
