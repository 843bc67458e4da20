"""From a profile and a sheet's settings to a process: its argv, environment and standard input.

Source: docs/reference/score-format.md §5 (environment), §8.3 (settings), §12 (scripts), §23.2 (order).
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from marianned.instruments.profile import FailureRule, OutputFormat, Profile, ToolCommand

ARGUMENT_LIMIT = 100_000
"""The most bytes of a prompt that go into an argument; the kernel takes 128 KiB."""
SYSTEM_NAME = "system-prompt.txt"
"""The file of an attempt with a long system prompt."""
TMP_NAME = "tmp"
"""The subdirectory of an attempt that is its TMPDIR where the profile wants a private one."""
ASK_NAME = "ask.json"
"""The file of an attempt that tells the program which asks over HTTP whom to ask, and how."""
FORMATS = {
    "text": ("text", "text"),
    "json": ("json", "json"),
    "stream-json": ("stream-json", "jsonl"),
    "jsonl": ("jsonl", "jsonl"),
}
"""What the setting `output_format` puts in the place of a profile's value and of its parser."""
_HTTP_OUTPUT = OutputFormat(
    format="json",
    result_path="result",
    error_path="error",
    failure_when=[FailureRule(path="error", exists=True)],
    input_tokens_path="usage.input_tokens",
    output_tokens_path="usage.output_tokens",
    cached_tokens_path="usage.cached_tokens",
    model_path="model",
)

_PASSED_ON = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "LANG", "LC_*", "TZ", "TMPDIR", "TMP", "TEMP"),
    *("XDG_*", "SSL_CERT_FILE", "SSL_CERT_DIR"),
)
_PASSED_ON_IN_ANY_CASE = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class CommandLine(msgspec.Struct, frozen=True, kw_only=True):
    """A process to be started. `argv[0]` is a path or is looked up on PATH of `env`.

    `files` (name → text) are to be written into the attempt's directory first, where argv refers to them;
    `make_tmp`: its subdirectory `tmp` is to be made, and removed after the attempt. No `stdin`: /dev/null.
    """

    argv: list[str]
    env: dict[str, str]
    stdin: bytes | None
    files: dict[str, str]
    make_tmp: bool


def build_command_line(
    profile: Profile,
    settings: Mapping[str, Any],
    prompt: str,
    *,
    timeout_seconds: float,
    cwd: str,
    directory: str,
    environ: Mapping[str, str],
    extra_env: Mapping[str, str],
    marianne: Mapping[str, str],
    system_prompt: str | None,
    helper: Sequence[str] = (),
    session: str | None = None,
) -> CommandLine:
    """Return how a sheet's attempt is started.

    Args:
        profile: the instrument's.
        settings: the sheet's effective ones (§8.3).
        prompt: the whole prompt; for a `script: shell` profile the script.
        timeout_seconds: the attempt's time limit.
        cwd: the attempt's working directory, absolute.
        directory: the attempt's own directory, absolute.
        environ: the daemon's environment.
        extra_env: the variables given at submission.
        marianne: the MARIANNE_* variables of the attempt.
        system_prompt: the text of `system_prompt_file`.
        helper: the program that asks a model over HTTP, for profiles of that kind.
        session: the tool's own session that goes on, where the profile can resume one.
    """
    env = build_environment(profile, settings, cwd, directory, environ, extra_env) | dict(marianne)
    if profile.cli is None:
        asking = _http_request(profile, settings, timeout_seconds, system_prompt)
        return _http_command_line(asking, prompt, directory, helper, env)
    command = profile.cli.command
    words, stdin, files = _prompt_words(profile, command, prompt, directory)
    system, system_files = _system_prompt_words(command, system_prompt, directory)
    argv = [
        command.executable,
        *([command.subcommand] if command.subcommand else []),
        *_approval_flags(command, settings),
        *_format_flags(command, settings),
        *_flag(command.model_flag, requested_model(profile, settings)),
        *_flag(command.timeout_flag, str(max(1, math.ceil(timeout_seconds)))),
        *_flag(command.working_dir_flag, cwd),
        *system,
        *_flag(command.allowed_tools_flag, ",".join(settings.get("allowed_tools") or ())),
        *(word.replace("{session}", session) for word in command.resume_args if session),
        *words,
        *(command.mcp_disable_args if settings.get("disable_mcp", True) else ()),
        *(flag.replace("{directory}", directory) for flag in command.extra_flags),
        *(settings.get("cli_extra_args") or ()),
    ]
    if command.private_tmp and "TMPDIR" not in {**extra_env, **(settings.get("env") or {})}:
        env["TMPDIR"] = f"{directory}/{TMP_NAME}"
    return CommandLine(
        argv=argv,
        env=env,
        stdin=stdin,
        files={**command.files, **files, **system_files},
        make_tmp=command.private_tmp,
    )


def build_environment(
    profile: Profile,
    settings: Mapping[str, Any],
    cwd: str,
    directory: str,
    environ: Mapping[str, str],
    extra_env: Mapping[str, str],
) -> dict[str, str]:
    """Return the environment of everything that is started for a sheet (§5): its tool, its checks, its hooks.

    The daemon's, reduced to what the profile needs; the profile's own; what was given at submission; the
    setting `env`. Arguments as for `build_command_line`; the MARIANNE_* variables come on top.
    """
    if profile.cli is None:
        key = key_variable(profile, settings)
        env = _inherited_variables([key] if key else [], environ)
    else:
        command = profile.cli.command
        env = _inherited_variables(command.required_env, environ)
        env |= {
            name: fill_variables(value, environ).replace("{directory}", directory)
            for name, value in command.env.items()
        }
    # some tools believe PWD more than the system: the daemon's own would lead them astray
    return env | {"PWD": cwd, **extra_env, **(settings.get("env") or {})}


def _http_command_line(
    asking: dict[str, Any], prompt: str, directory: str, helper: Sequence[str], env: dict[str, str]
) -> CommandLine:
    """Return how the program that asks over HTTP is started."""
    return CommandLine(
        argv=[*helper, f"{directory}/{ASK_NAME}"],
        env=env,
        stdin=prompt.encode(errors="surrogateescape"),
        files={ASK_NAME: msgspec.json.encode(asking).decode()},
        make_tmp=False,
    )


def key_variable(profile: Profile, settings: Mapping[str, Any]) -> str | None:
    """Return the variable that holds the key of an http instrument."""
    if profile.http is None:
        return None
    return settings.get("api_key_env") or profile.http.auth_env_var


def _http_request(
    profile: Profile,
    settings: Mapping[str, Any],
    timeout_seconds: float,
    system_prompt: str | None,
) -> dict[str, Any]:
    """Return the request for the program that asks over HTTP, without the prompt and the key."""
    assert profile.http is not None
    return {
        "family": profile.http.schema_family,
        "url": profile.http.base_url.rstrip("/") + profile.http.endpoint,
        "model": requested_model(profile, settings),
        "key_env": key_variable(profile, settings),
        "max_tokens": settings.get("max_tokens"),
        "temperature": settings.get("temperature"),
        "system": system_prompt,
        "timeout_seconds": timeout_seconds,
    }


def requested_model(profile: Profile, settings: Mapping[str, Any]) -> str | None:
    """Return the model an attempt asks for; None: the tool's own choice."""
    return settings.get("model") or settings.get("cli_model") or profile.default_model


def _flag(flag: str | None, value: str | None) -> list[str]:
    if not flag or not value:
        return []
    return [flag + value] if flag.endswith("=") else [flag, value]


def _approval_flags(command: ToolCommand, settings: Mapping[str, Any]) -> list[str]:
    return (command.auto_approve_flag or "").split() if settings.get("skip_permissions", True) else []


def _format_flags(command: ToolCommand, settings: Mapping[str, Any]) -> list[str]:
    flag, value, wanted = (
        command.output_format_flag,
        command.output_format_value,
        settings.get("output_format"),
    )
    if not flag:
        return []
    if value is None:
        return [] if wanted == "text" else [flag]
    return _flag(flag, FORMATS[wanted][0] if wanted in FORMATS else value)


def _prompt_words(
    profile: Profile, command: ToolCommand, prompt: str, directory: str
) -> tuple[list[str], bytes | None, dict[str, str]]:
    """Return the words in the prompt's place, what goes to stdin, and the files."""
    data = prompt.encode(errors="surrogateescape")
    too_long = not fits_argument(prompt)
    if command.prompt_via_stdin:
        return _sentinel_words(command), data, {}
    if profile.script == "shell":  # by file: the arguments of a process are everybody's to read
        return [f"{directory}/script.sh"], None, {"script.sh": prompt}
    if not too_long:
        return _flag(command.prompt_flag, prompt) if command.prompt_flag else [prompt], None, {}
    if command.prompt_file_flag:
        return _flag(command.prompt_file_flag, f"{directory}/prompt.txt"), None, {"prompt.txt": prompt}
    return _sentinel_words(command), data, {}


def fits_argument(text: str) -> bool:
    """Tell whether a text can be an argument of a program, or a variable of its environment."""
    data = text.encode(errors="surrogateescape")
    return len(data) <= ARGUMENT_LIMIT and b"\0" not in data


def _system_prompt_words(
    command: ToolCommand, text: str | None, directory: str
) -> tuple[list[str], dict[str, str]]:
    """Return the words that bring the system prompt, and the file it is in where it is too long for one."""
    if not text or fits_argument(text) or command.system_prompt_file_flag is None:
        return _flag(command.system_prompt_flag, text), {}
    return _flag(command.system_prompt_file_flag, f"{directory}/{SYSTEM_NAME}"), {SYSTEM_NAME: text}


def _sentinel_words(command: ToolCommand) -> list[str]:
    if command.stdin_sentinel is None:
        return []
    return _flag(command.prompt_flag, command.stdin_sentinel) or [command.stdin_sentinel]


def _inherited_variables(required: list[str] | None, environ: Mapping[str, str]) -> dict[str, str]:
    if required is None:
        return dict(environ)
    patterns = (*_PASSED_ON, *required)
    return {name: value for name, value in environ.items() if _is_passed_on(name, patterns)}


def _is_passed_on(name: str, patterns: tuple[str, ...]) -> bool:
    return name.upper() in _PASSED_ON_IN_ANY_CASE or any(
        _matches_pattern(name, pattern) for pattern in patterns
    )


def _matches_pattern(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def fill_variables(value: str, environ: Mapping[str, str]) -> str:
    """Return a text with each `${NAME}` replaced by its variable; by nothing where it is unset."""
    return _VARIABLE.sub(lambda found: environ.get(found[1], ""), value)


def effective_output_format(profile: Profile, settings: Mapping[str, Any]) -> OutputFormat:
    """Return how the output of a sheet with these settings is read: its own `output_format` goes first."""
    output = profile.cli.output if profile.cli else _HTTP_OUTPUT
    wanted = settings.get("output_format")
    return msgspec.structs.replace(output, format=FORMATS[wanted][1]) if wanted in FORMATS else output
