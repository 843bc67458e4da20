"""Each field of the score: the smallest score in which it makes a visible difference, and what that is.

What a field does at run time is tested where it is done; here it is seen in what runs.
"""

import inspect

import msgspec
from kit.tables import each
from scores import PARTS, Disk, compiled, expanded, score

from marianned.score.check.explain import explain
from marianned.score.read import model

ALL = "size: 1, total_items: 4"
CHECK = "type: file_exists, path: a"

SEEN = {
    "Score.name": ("name: m", "name", "m"),
    "Score.description": ("description: d", "description", "d"),
    "Score.workspace": ("workspace: w", "workspace", "/s/w"),
    "Score.instrument": ("instrument: other", "sheets.0.instrument", "other"),
    "Score.instrument_config": ("instrument_config: {model: m}", "sheets.0.settings.model", "m"),
    "Score.instrument_fallbacks": ("instrument_fallbacks: [other]", "sheets.0.fallbacks.0.instrument", "other"),
    "Score.instruments": ("instruments: {tool: {profile: other}}", "sheets.0.instrument", "other"),
    "Score.movements": ("movements: {2: {name: two}}", "sheets.1.movement", "two"),
    "Score.backend": ("backend: {model: m}", "sheets.0.settings.model", "m"),
    "Score.sheet": ("sheet: {size: 2, total_items: 4}", "total_stages", 2),
    "Score.prompt": ("prompt: {template: x}", "prompt.template", "x"),
    "Score.parameters": ("parameters: {a: {default: 1}}", "prompt.variables.a", 1),
    "Score.validations": (f"validations: [{{{CHECK}}}, {{{CHECK}}}]", "sheets.0.checks.1.index", 1),
    "Score.cross_sheet": ("cross_sheet: {auto_capture_stdout: yes}", "cross_sheet.auto_capture_stdout", True),
    "Score.parallel": ("parallel: {fail_fast: no}", "parallel.fail_fast", False),
    "Score.retry": ("retry: {max_retries: 7}", "retry.max_retries", 7),
    "Score.rate_limit": ("rate_limit: {max_waits: 7}", "rate_limit.max_waits", 7),
    "Score.stale_detection": ("stale_detection: {enabled: yes}", "silence.idle_timeout_seconds", 300),
    "Score.cost_limits": ("cost_limits: {max_cost_per_job: 2}", "cost_limits.max_cost_per_job", 2),
    "Score.on_failure": ("on_failure: pause", "on_failure", "pause"),
    "Score.notifications": ("notifications: [{type: desktop}]", "notifications.0.type", "desktop"),
    "Score.pause_between_sheets_seconds": (
        "pause_between_sheets_seconds: 1m", "parallel.pause_between_sheets_seconds", 60,
    ),
    "Score.executor": ("executor: slurm", "executor", "slurm"),
    "ExecutorSection.type": ("executor: {type: slurm}", "executor", "slurm"),
    "ExecutorSection.partition": ("executor: {partition: p}", "sheets.0.resources.partition", "p"),
    "ExecutorSection.account": ("executor: {account: a}", "sheets.0.resources.account", "a"),
    "ExecutorSection.qos": ("executor: {qos: q}", "sheets.0.resources.qos", "q"),
    "ExecutorSection.cpus": ("executor: {cpus: 4}", "sheets.0.resources.cpus", 4),
    "ExecutorSection.memory": ("executor: {memory: 4G}", "sheets.0.resources.memory", "4G"),
    "ExecutorSection.gpus": ("executor: {gpus: 1}", "sheets.0.resources.gpus", "1"),
    "ExecutorSection.time_limit": ("executor: {time_limit: 2h}", "sheets.0.resources.time_limit", 7200),
    "ExecutorSection.constraint": ("executor: {constraint: c}", "sheets.0.resources.constraint", "c"),
    "ExecutorSection.checks": ("executor: {checks: with_attempt}", "sheets.0.resources.checks", "with_attempt"),
    "ExecutorSection.arguments": ("executor: {arguments: [--x]}", "sheets.0.resources.arguments.0", "--x"),
    "AliasSection.executor": (
        "instrument: own\ninstruments: {own: {profile: other, executor: slurm}}", "sheets.0.resources.executor", "slurm",
    ),
    "MovementSection.executor": ("movements: {2: {executor: local}}", "sheets.1.resources.executor", "local"),
    "Score.labels": ("labels: [nightly]", "labels.0", "nightly"),
    "Score.max_wall_seconds": ("max_wall_seconds: 2h", "max_wall_seconds", 7200),
    "SheetSection.size": ("sheet: {size: 3, total_items: 4}", "sheets.0.end_item", 3),
    "SheetSection.total_items": ("sheet: {size: 1, total_items: 9}", "sheets.8.sheet", 9),
    "SheetSection.start_item": ("sheet: {size: 1, total_items: 4, start_item: 3}", "sheets.0.start_item", 3),
    "SheetSection.fan_out": (f"sheet: {{{ALL}, fan_out: {{2: 3}}}}", "sheets.3.instance", 3),
    "SheetSection.dependencies": (f"sheet: {{{ALL}, dependencies: {{4: [1]}}}}", "sheets.3.needs.0", 1),
    "SheetSection.descriptions": (f"sheet: {{{ALL}, descriptions: {{2: two}}}}", "sheets.1.label", "two"),
    "SheetSection.prompt_extensions": (f"sheet: {{{ALL}, prompt_extensions: {{2: [x]}}}}", "sheets.1.extensions.0", "x"),
    "SheetSection.instrument_map": (f"sheet: {{{ALL}, instrument_map: {{other: [2]}}}}", "sheets.1.instrument", "other"),
    "SheetSection.per_sheet_instruments": (
        f"sheet: {{{ALL}, per_sheet_instruments: {{2: other}}}}", "sheets.1.instrument", "other",
    ),
    "SheetSection.per_sheet_instrument_config": (
        f"sheet: {{{ALL}, per_sheet_instrument_config: {{2: {{model: m}}}}}}", "sheets.1.settings.model", "m",
    ),
    "SheetSection.per_sheet_fallbacks": (
        f"sheet: {{{ALL}, per_sheet_fallbacks: {{2: [other]}}}}", "sheets.1.fallbacks.0.instrument", "other",
    ),
    "PromptSection.template": ("prompt: {template: x}", "prompt.template", "x"),
    "PromptSection.template_file": ("prompt: {template_file: t.md}", "prompt.template", "from a file"),
    "PromptSection.stakes": ("prompt: {template: x, stakes: s}", "prompt.stakes", "s"),
    "PromptSection.thinking_method": ("prompt: {template: x, thinking_method: t}", "prompt.thinking_method", "t"),
    "PromptSection.prompt_extensions": ("prompt: {template: x, prompt_extensions: [e]}", "prompt.extensions.0", "e"),
    "ValidationSection.type": ("validations: [{type: file_modified, path: a}]", "sheets.0.checks.0.type", "file_modified"),
    "ValidationSection.path": ("validations: [{type: file_exists, path: b}]", "sheets.0.checks.0.target", "/home/me/workspaces/n/b"),
    "ValidationSection.pattern": (
        "validations: [{type: content_contains, path: a, pattern: p}]", "sheets.0.checks.0.pattern", "p",
    ),
    "ValidationSection.command": (
        "validations: [{type: command_succeeds, command: 'true'}]", "sheets.0.checks.0.target", "true",
    ),
    "ValidationSection.working_directory": (
        "validations: [{type: command_succeeds, command: 'true', working_directory: d}]",
        "sheets.0.checks.0.working_directory", "/home/me/workspaces/n/d",
    ),
    "ValidationSection.description": (f"validations: [{{{CHECK}, description: d}}]", "sheets.0.checks.0.description", "d"),
    "ValidationSection.stage": (f"validations: [{{{CHECK}, stage: 5}}]", "sheets.0.checks.0.stage", 5),
    "ValidationSection.condition": (f"validations: [{{{CHECK}, condition: 'stage == 2'}}]", "sheets.0.checks", []),
    "ValidationSection.sheet": (f"validations: [{{{CHECK}, sheet: 2}}]", "sheets.0.checks", []),
    "ValidationSection.retry_count": (f"validations: [{{{CHECK}, retry_count: 7}}]", "sheets.0.checks.0.retry_count", 7),
    "ValidationSection.retry_delay_ms": (
        f"validations: [{{{CHECK}, retry_delay_ms: 500}}]", "sheets.0.checks.0.retry_delay_seconds", 0.5,
    ),
    "ValidationSection.timeout_seconds": (
        f"validations: [{{{CHECK}, timeout_seconds: 5m}}]", "sheets.0.checks.0.timeout_seconds", 300,
    ),
    "ValidationSection.path_scope": (
        "validations: [{type: path_in_scope, path: a, path_scope: b}]", "sheets.0.checks.0.data.source",
        "/home/me/workspaces/n/b",
    ),
    "ValidationSection.field_path": (
        "validations: [{type: field_match, path: a, field_path: b.c, expected_value: 1}]",
        "sheets.0.checks.0.data.field", "b.c",
    ),
    "ValidationSection.expected_value": (
        "validations: [{type: field_match, path: a, field_path: b, expected_value: 1}]",
        "sheets.0.checks.0.data.expected", 1,
    ),
    "ValidationSection.source_path": (
        "validations: [{type: field_match, path: a, field_path: b, source_path: c}]",
        "sheets.0.checks.0.data.source", "/home/me/workspaces/n/c",
    ),
    "ValidationSection.source_field_path": (
        "validations: [{type: field_match, path: a, field_path: b, source_path: c, source_field_path: d}]",
        "sheets.0.checks.0.data.source_field", "d",
    ),
    "ValidationSection.sha256": (
        f"validations: [{{type: file_sha256, path: a, sha256: {'AB' * 32}}}]",
        "sheets.0.checks.0.data.digest", "ab" * 32,
    ),
    "ValidationSection.key_field": (
        "validations: [{type: csv_unique_key, path: a, key_field: id}]", "sheets.0.checks.0.data.field", "id",
    ),
    "AliasSection.profile": ("instruments: {tool: {profile: other}}", "sheets.0.instrument", "other"),
    "AliasSection.config": ("instruments: {tool: {profile: tool, config: {model: m}}}", "sheets.0.settings.model", "m"),
    "MovementSection.name": ("movements: {2: {name: two}}", "sheets.1.movement", "two"),
    "MovementSection.instrument": ("movements: {2: {instrument: other}}", "sheets.1.instrument", "other"),
    "MovementSection.instrument_config": (
        "movements: {2: {instrument_config: {model: m}}}", "sheets.1.settings.model", "m",
    ),
    "MovementSection.voices": ("movements: {2: {voices: 3}}", "sheets.3.instance", 3),
    "MovementSection.instrument_fallbacks": (
        "movements: {2: {instrument_fallbacks: [other]}}", "sheets.1.fallbacks.0.instrument", "other",
    ),
    "CrossSheetSection.auto_capture_stdout": (
        "cross_sheet: {auto_capture_stdout: yes}", "cross_sheet.auto_capture_stdout", True,
    ),
    "CrossSheetSection.lookback_sheets": ("cross_sheet: {lookback_sheets: 7}", "cross_sheet.lookback_sheets", 7),
    "CrossSheetSection.max_output_chars": ("cross_sheet: {max_output_chars: 7}", "cross_sheet.max_output_chars", 7),
    "CrossSheetSection.capture_files": ("cross_sheet: {capture_files: [a]}", "cross_sheet.capture_files.0", "a"),
    **{
        f"RetrySection.{key}": (f"retry: {{{key}: {value}}}", f"retry.{key}", value)
        for key, value in {
            "max_retries": 7, "base_delay_seconds": 7, "max_delay_seconds": 70, "exponential_base": 7,
            "max_completion_attempts": 7, "completion_delay_seconds": 7, "completion_threshold_percent": 7,
        }.items()
    },
    "RetrySection.jitter": ("retry: {jitter: no}", "retry.jitter", False),
    "ParallelSection.enabled": ("parallel: {enabled: yes}", "parallel.max_concurrent", 3),
    "ParallelSection.max_concurrent": ("parallel: {enabled: yes, max_concurrent: 7}", "parallel.max_concurrent", 7),
    "ParallelSection.fail_fast": ("parallel: {fail_fast: no}", "parallel.fail_fast", False),
    "ParallelSection.stagger_delay_ms": ("parallel: {stagger_delay_ms: 500}", "parallel.stagger_seconds", 0.5),
    "RateLimitSection.detection_patterns": (
        "rate_limit: {detection_patterns: [slow]}", "rate_limit.detection_patterns.0", "slow",
    ),
    "RateLimitSection.wait_minutes": ("rate_limit: {wait_minutes: 7}", "rate_limit.wait_seconds", 420),
    "RateLimitSection.max_waits": ("rate_limit: {max_waits: 7}", "rate_limit.max_waits", 7),
    "StaleDetectionSection.enabled": ("stale_detection: {enabled: yes}", "silence.check_interval_seconds", 30),
    "StaleDetectionSection.idle_timeout_seconds": (
        "stale_detection: {enabled: yes, idle_timeout_seconds: 60}", "silence.idle_timeout_seconds", 60,
    ),
    "StaleDetectionSection.check_interval_seconds": (
        "stale_detection: {enabled: yes, check_interval_seconds: 7}", "silence.check_interval_seconds", 7,
    ),
    **{
        f"CostLimitsSection.{key}": (f"cost_limits: {{max_cost_per_job: 1, {key}: 2}}", f"cost_limits.{key}", 2)
        for key in ("max_cost_per_sheet", "cost_per_1k_input_tokens", "cost_per_1k_output_tokens")
    },
    "CostLimitsSection.warn_at_percent": (
        "cost_limits: {max_cost_per_job: 1, warn_at_percent: 7}", "cost_limits.warn_at_percent", 7,
    ),
    "CostLimitsSection.max_cost_per_job": ("cost_limits: {max_cost_per_job: 2}", "cost_limits.max_cost_per_job", 2),
    "CostLimitsSection.enabled": ("cost_limits: {max_cost_per_job: 2, enabled: no}", "cost_limits", None),
    "NotificationSection.type": ("notifications: [{type: desktop}]", "notifications.0.type", "desktop"),
    "NotificationSection.on_events": (
        "notifications: [{type: desktop, on_events: [job_start]}]", "notifications.0.on_events.0", "job_start",
    ),
    "NotificationSection.config": (
        "notifications: [{type: webhook, config: {url: 'http://a'}}]", "notifications.0.url", "http://a",
    ),
    **{
        f"TargetSection.{key}": (
            f"notifications: [{{type: {kind}, config: {{url: u, webhook_url: w, {key}: {value}}}}}]",
            f"notifications.0.{shown}", value,
        )
        for key, kind, value, shown in (
            ("url_env", "webhook", "A", "url_env"), ("webhook_url_env", "slack", "A", "url_env"),
            ("timeout", "webhook", 7, "timeout_seconds"), ("max_retries", "webhook", 7, "max_retries"),
        )
    },
    "TargetSection.url": ("notifications: [{type: webhook, config: {url: u}}]", "notifications.0.url", "u"),
    "TargetSection.webhook_url": (
        "notifications: [{type: slack, config: {webhook_url: u}}]", "notifications.0.url", "u",
    ),
    "TargetSection.headers": (
        "notifications: [{type: webhook, config: {url: u, headers: {A: b}}}]", "notifications.0.headers.A", "b",
    ),
}  # fmt: skip
"""Field to: the key and value that replace or follow those of the small score, where it is seen, what is seen."""

SETTINGS = {
    "timeout_seconds": ("7m", "sheets.0.timeout_seconds", 420),
    "timeout_overrides": ("{2: 7m}", "sheets.1.timeout_seconds", 420),
    "model": ("m", "sheets.0.settings.model", "m"),
    "cli_model": ("m", "sheets.0.settings.cli_model", "m"),
    "script": ("whole", "sheets.0.settings.script", "whole"),
    "skip_permissions": ("no", "sheets.0.settings.skip_permissions", False),
    "disable_mcp": ("no", "sheets.0.settings.disable_mcp", False),
    "allowed_tools": ("[t]", "sheets.0.settings.allowed_tools.0", "t"),
    "working_directory": ("d", "sheets.0.working_directory", "/s/d"),
    "output_format": ("text", "sheets.0.settings.output_format", "text"),
    "system_prompt_file": ("t.md", "sheets.0.settings.system_prompt_file", "/s/t.md"),
    "cli_extra_args": ("[x]", "sheets.0.settings.cli_extra_args.0", "x"),
    "max_output_capture_bytes": ("7", "sheets.0.settings.max_output_capture_bytes", 7),
    "max_tokens": ("7", "sheets.0.settings.max_tokens", 7),
    "temperature": ("0.5", "sheets.0.settings.temperature", 0.5),
    "api_key_env": ("K", "sheets.0.settings.api_key_env", "K"),
    "env": ("{A: b}", "sheets.0.settings.env.A", "b"),
    "errexit": ("true", "sheets.0.settings.errexit", True),
}
WITHOUT_EFFECT = {
    "SheetSection.total_sheets": (f"sheet: {{{ALL}, total_sheets: 4}}", "S018"),
    "SheetSection.fan_out_stage_map": (f"sheet: {{{ALL}, fan_out_stage_map: {{}}}}", "S018"),
    "SheetSection.spec_tags": (f"sheet: {{{ALL}, spec_tags: []}}", "S501"),
    "HookSection.inherit_learning": (
        "on_success: [{type: run_command, command: 'true', inherit_learning: yes}]", "S501",
    ),
    "StaleDetectionSection.max_idle_checks_before_kill": (
        "stale_detection: {max_idle_checks_before_kill: 3}", "S501",
    ),
    "Score.judgment": ("judgment: {enabled: true}", "S501"),
    "Score.code_execution": ("code_execution: true", "S501"),
    "Score.state_path": ("state_path: a", "S501"),
    "Score.schedule": ("schedule: 0 3 * * *", "S501"),
    "Score.state_backend": ("state_backend: a", None),
    "ParallelSection.budget_partition": ("parallel: {budget_partition: yes}", None),
    **{
        f"Score.{key}": (f"{key}: {{}}", "S501")
        for key in (
            "learning", "logging", "grounding", "ai_review", "checkpoints", "conductor", "feedback", "bridge",
            "agent_card", "circuit_breaker", "spec", "techniques",
        )
    },
}  # fmt: skip
"""Accepted, and seen nowhere but in a warning."""

VARIABLES = {"PromptSection.variables"}
"""Seen in the body."""

ELSEWHERE = {
    "Score.on_success": "conductor/test_hooks_and_chains.py",
    "Score.concert": "conductor/test_hooks_and_chains.py",
    "HookSection": "conductor/test_hooks_and_chains.py",
    "ConcertSection": "conductor/test_hooks_and_chains.py",
    "Score.isolation": "conductor/test_worktrees_of_runs.py",
    "IsolationSection": "conductor/test_worktrees_of_runs.py",
    "Score.workspace_lifecycle": None,
    "WorkspaceLifecycleSection": None,
    "SheetSection.fan_out_from": "unit/score/test_parameters.py",
    "ParameterSection": "unit/score/test_parameters.py",
    "MovementSection.retry": "unit/score/test_newer_scores.py",
    "SheetSection.loops": "unit/score/test_loops.py",
    "LoopSection": "unit/score/test_loops.py",
    "SheetSection.triggers": "unit/score/test_loops.py",
    "TriggersSection": "unit/score/test_loops.py",
    "ActionSection": "unit/score/test_loops.py",
    "SheetSection.prelude": "conductor/test_injected_texts.py",
    "SheetSection.cadenzas": "conductor/test_injected_texts.py",
    "InjectionSection": "conductor/test_injected_texts.py",
    "SheetSection.skip_when": "conductor/test_rules_that_skip.py",
    "SheetSection.skip_when_command": "conductor/test_rules_that_skip.py",
    "SkipCommandSection": "conductor/test_rules_that_skip.py",
    "RateLimitSection.max_quota_waits": "unit/progress/test_quotas.py",
}
"""Fields, and whole parts, whose effect is a run's: the tests that cover them, where they are honoured."""

DISK = Disk({"/s/t.md": "from a file", "/s/d/a": ""})


def with_part(written: str) -> str:
    key, _, value = written.partition(": ")
    return score(**{key: value}) if key in PARTS else score() + f"{written}\n"


def seen(text: str, path: str):
    value = msgspec.to_builtins(expanded(text, DISK))
    for step in path.split("."):
        value = value[int(step)] if isinstance(value, list | tuple) else value.get(step)
        if value is None:
            return None
    return list(value) if isinstance(value, tuple) else value


def parts():
    return [one for _, one in inspect.getmembers(model, inspect.isclass) if one.__module__ == model.__name__]


def test_no_field_lacks_a_test():
    fields = {f"{part.__name__}.{field}" for part in parts() for field in part.__struct_fields__}
    covered = set(SEEN) | set(WITHOUT_EFFECT) | VARIABLES
    covered |= {field for field in fields if field in ELSEWHERE or field.partition(".")[0] in ELSEWHERE}
    assert fields - covered == set()
    assert covered - fields == set()
    assert set(SETTINGS) == set(model.SETTINGS)


@each("field", SEEN)
def test_a_field_is_seen_in_what_runs(field):
    written, path, value = SEEN[field]
    assert seen(with_part(written), path) == value
    assert field == "CostLimitsSection.enabled" or _without(path) != value


def _without(path: str):
    try:
        return seen(score(), path)
    except (IndexError, AttributeError):
        return None


@each("setting", SETTINGS)
def test_a_setting_is_seen_in_what_runs(setting):
    written, path, value = SETTINGS[setting]
    assert seen(score() + f"instrument_config: {{{setting}: {written}}}\n", path) == value
    assert _without(path) != value


@each("field", WITHOUT_EFFECT)
def test_a_field_without_effect_changes_nothing_and_says_so(field):
    written, code = WITHOUT_EFFECT[field]
    result = compiled(with_part(written))
    assert code is None or code in {problem.code for problem in result.problems}
    if field != "HookSection.inherit_learning":
        assert result.expanded == expanded(score())


def test_variables_are_seen_in_the_body():
    text = score(prompt='{template: "{{ a }}", variables: {a: 7}}')
    assert explain(expanded(text), prompts=True)[0]["prompt"].count("7")
