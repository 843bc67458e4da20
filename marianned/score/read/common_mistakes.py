"""Hints for what people often write by mistake, out of habit or from other tools, as data.

The nearest known word would be nonsense for these: `max_retries` at the top is not `ai_review`.
"""

from marianned.yaml_tree import KeyPath

_SHEETS = "a score has no list of them: 'sheet' says how many, the template branches on 'stage'; see mzt init"
_RETRY = "it belongs into 'retry': {max_retries: N}"
_SECONDS = "it belongs into 'instrument_config': {timeout_seconds: N}"
_MODEL = "it belongs into 'instrument_config': {model: NAME}"
_CHECKS = "checks are 'validations': [{type: command_succeeds, command: …}]"
_GIVEN = "what a run is given is 'parameters': {NAME: {default: VALUE}}"
_PROMPT = "it belongs into 'prompt': {template: …}"

KEYS: dict[KeyPath, dict[str, str]] = {
    (): {
        "sheets": _SHEETS,
        "steps": _SHEETS,
        "tasks": _SHEETS,
        "stages": _SHEETS,
        "jobs": _SHEETS,
        "max_retries": _RETRY,
        "retries": _RETRY,
        "timeout": _SECONDS,
        "timeout_seconds": _SECONDS,
        "model": _MODEL,
        "checks": _CHECKS,
        "tests": _CHECKS,
        "template": _PROMPT,
        "command": _PROMPT,
        "script": _PROMPT,
        "run": _PROMPT,
        "vars": "it belongs into 'prompt': {variables: {…}}; what a run is given into 'parameters'",
        "variables": "it belongs into 'prompt': {variables: {…}}; what a run is given into 'parameters'",
        "inputs": _GIVEN,
        "params": _GIVEN,
        "args": _GIVEN,
        "env": "it belongs into 'instrument_config': {env: {NAME: VALUE}}; or 'mzt run --env NAME'",
        "cron": "let cron or a timer call 'mzt run FILE --fresh'",
        "agent": "it is 'instrument'",
        "tool": "it is 'instrument'",
        "working_directory": "it is 'workspace'",
        "cwd": "it is 'workspace'",
        "depends_on": "it belongs into 'sheet': {dependencies: {2: [1]}}",
        "needs": "it belongs into 'sheet': {dependencies: {2: [1]}}",
        "parallelism": "it is 'parallel': {enabled: true, max_concurrent: N}",
        "max_parallel": "it is 'parallel': {enabled: true, max_concurrent: N}",
        "concurrency": "it is 'parallel': {enabled: true, max_concurrent: N}",
    },
}
"""By where a key stands and what it is: the hint."""

MAPPINGS: dict[KeyPath, str] = {
    ("prompt",): "write prompt: {template: …}",
    ("sheet",): "write sheet: {size: 1, total_items: N}",
    ("retry",): "write retry: {max_retries: N}",
    ("parallel",): "write parallel: {enabled: true, max_concurrent: N}",
}
"""By where a mapping is needed and something else stands: how it is written."""

INSTRUMENTS: dict[str, str] = {
    "claude": "claude-code",
    "claude-cli": "claude-code",
    "anthropic": "claude-code",
    "codex": "codex-cli",
    "openai": "codex-cli",
    "agy": "antigravity",
    "antigravity-cli": "antigravity",
    "gemini": "gemini-cli",
    "google": "gemini-cli",
    "shell": "cli",
    "bash": "cli",
    "sh": "cli",
    "command": "cli",
    "script": "cli",
    "none": "cli",
}
"""By what an instrument is called elsewhere: its name here."""

_COLON = "a text with `: ` in it is quoted, or written as a block after `|`"
UNREADABLE: dict[str, str] = {
    "found character that cannot start any token": "a tab? indent with blanks; a value that begins with "
    "`@`, `%` or a backtick is quoted",
    "mapping values are not allowed in this context": _COLON,
    "mapping values are not allowed here": _COLON,
    "could not find expected ':'": "a text of several lines is written as a block after `|`, and indented",
    "did not find expected key": "the lines of one mapping begin in one column",
    "did not find expected '-' indicator": "the items of one list begin in one column, each with `- `",
}
"""By what the reader of YAML says: what it most often means."""
