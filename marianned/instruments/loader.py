"""Profiles from YAML: those shipped here, and anybody's own, with each problem at its place (S405)."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import msgspec

from marianned import yaml_tree
from marianned.formatting import DURATION_MOST, DURATION_MOST_SAID, did_you_mean, read_duration
from marianned.instruments import json_path
from marianned.instruments.profile import (
    HANDOFF_NAME,
    SIGNALS,
    CliInstrument,
    OutputFormat,
    Profile,
    StopRequest,
)
from marianned.problem import Problem, make_problem
from marianned.yaml_tree import ListNode, MappingNode, Node, ScalarNode, SourcePosition, UnreadableYaml

ALIASES = {"claude_cli": "claude-code"}
"""Other names of built-in profiles."""

_DIRECTORY = Path(__file__).parent / "profiles"
_WORDS = {
    "kind": ("cli", "http"),
    "contain": ("off", "hide"),
    "script": (None, "shell"),
    "cli.output.format": ("text", "json", "jsonl"),
    "cli.output.result_join": ("last", "concat", "run"),
    "http.schema_family": ("openai", "anthropic", "gemini"),
}
_WITHOUT_EFFECT = (
    "code_mode",
    "cli.interactive",
    "cli.command.mcp_config_workspace_path",
    "cli.command.mcp_config_workspace_merge_key",
    "cli.command.mcp_config_prefix_args",
    "cli.command.json_schema_flag",
    "http.response_format",
)
_SHOWN = ("text", "piece", "tool", "result", "note", "error")
_PATHS = (
    *(
        "result_path",
        "error_path",
        "input_tokens_path",
        "output_tokens_path",
        "cached_tokens_path",
        "written_tokens_path",
        "total_tokens_path",
        "cost_path",
    ),
    "session_path",
)
_DURATIONS = ("default_timeout_seconds", "cli.output.final_grace", "cli.stop.wait")
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_PLAIN_PATH = re.compile(r"[^.\[\]*\s]+(\.[^.\[\]*\s]+)*")
_PATTERNS = (
    "auth_error_patterns",
    "rate_limit_patterns",
    "capacity_patterns",
    "timeout_patterns",
    "crash_patterns",
    "stale_patterns",
    "failure_patterns",
)


_builtin: dict[str, Profile] = {}


def builtin_profiles() -> dict[str, Profile]:
    """Return the profiles shipped with the product by name, aliases too; read once a process."""
    if not _builtin:
        preload_builtin_profiles(_load_shipped())
    return _builtin


def preload_builtin_profiles(profiles: dict[str, Profile]) -> None:
    """Use these as the profiles shipped with the product: an update may have removed their files."""
    _builtin.update(profiles)


def _load_shipped() -> dict[str, Profile]:
    found: dict[str, Profile] = {}
    for file in sorted(_DIRECTORY.glob("*.yaml")):
        profile, problems = load_profile(file.read_text("utf-8"), str(file))
        assert profile is not None, problems
        found[profile.name] = profile
    return found | {alias: found[name] for alias, name in ALIASES.items()}


def load_profile(text: str, file: str) -> tuple[Profile | None, list[Problem]]:
    """Read one profile; `file` is what problems call it.

    Returns:
        The profile, or None when it has errors (S405), and the problems; warnings come with a profile.
    """
    reading = _ProfileReader(file)
    try:
        tree = yaml_tree.read(text.encode())
    except UnreadableYaml as why:
        reading.add("", f"this can't be read: {why.message}", place=why.place)
        return None, reading.problems
    if not isinstance(tree.root, MappingNode):
        reading.add("", "a profile is a mapping")
        return None, reading.problems
    reading.duplicates = tree.duplicates
    value = reading.read_value(tree.root, Profile, "")
    profile = reading.convert(value) if not reading.problems else None
    if profile is None:
        return None, sorted(reading.problems, key=_order_in_file)
    for path, message in _faults(profile):
        reading.add(path, message)
    if reading.problems:
        return None, sorted(reading.problems, key=_order_in_file)
    for path in _WITHOUT_EFFECT:
        if _field_at(profile, path) is not None:
            said = f"'{path.rpartition('.')[2]}' is accepted and has no effect"
            reading.add(path, said, code="S501")
    if profile.http is not None and profile.http.schema_family == "gemini":
        said = "the schema family 'gemini' is accepted, but not supported"
        reading.add("http.schema_family", said, code="S501")
    return profile, reading.problems


def _order_in_file(problem: Problem) -> tuple[int, int, str]:
    return (problem.line or 0, problem.column or 0, problem.message)


class _ProfileReader:
    """One file being read: its problems, the keys it has twice, and where each of its values stands."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.duplicates: list[tuple[SourcePosition, ScalarNode]] = []
        self._places: dict[str, SourcePosition] = {}

    def add(
        self,
        path: str,
        message: str,
        *,
        place: SourcePosition | None = None,
        hint: str | None = None,
        code: str = "S405",
    ) -> None:
        """Note a problem at `place`, else at `path` or the nearest place above it."""
        above = path
        while place is None and above and above not in self._places:
            above = re.sub(r"(\.[^.\[]*|\[[^\[]*\]|^[^.\[]+)$", "", above)
        place = place or self._places.get(above)
        self.problems.append(
            make_problem(
                code,
                message,
                self.file,
                line=place.line if place else None,
                column=place.column if place else None,
                path=path or None,
                hint=hint,
            )
        )

    def read_value(self, node: Node, wanted: Any, path: str) -> Any:
        """Return what a node says, as the wanted type takes it: a text is as written in the file."""
        self._places.setdefault(path, node.place)
        kinds = _accepted_types(wanted)
        if isinstance(node, MappingNode):
            return self._mapping(node, kinds, path)
        if isinstance(node, ListNode):
            inner = next((get_args(kind)[0] for kind in kinds if get_origin(kind) is list), Any)
            return [
                self.read_value(item, inner, f"{path}[{number}]") for number, item in enumerate(node.items)
            ]
        if str in kinds and node.value is not None:
            return node.text
        return self._scalar(node, path)

    def _mapping(self, node: MappingNode, kinds: tuple[Any, ...], path: str) -> dict[str, Any]:
        struct = next((kind for kind in kinds if hasattr(kind, "__struct_fields__")), None)
        fields = {f.encode_name: f.type for f in msgspec.structs.fields(struct)} if struct else {}
        inner = next((get_args(kind)[1] for kind in kinds if get_origin(kind) is dict), Any)
        found: dict[str, Any] = {}
        prefix = f"{path}." if path else ""
        for mapping, twice in self.duplicates:
            if mapping == node.place:
                self.add(f"{prefix}{twice.text}", f"'{twice.text}' is given twice", place=twice.place)
        for key, value in node.entries:
            name, where = key.text, f"{prefix}{key.text}"
            if struct and name not in fields:
                hint = did_you_mean(name, fields)
                self.add(where, f"unknown key '{name}'", place=key.place, hint=hint)
            else:
                self._places[where] = key.place
                found[name] = self.read_value(value, fields.get(name, inner), where)
        return found

    def _scalar(self, node: ScalarNode, path: str) -> Any:
        if path not in _DURATIONS or not isinstance(node.value, str):
            return node.value
        try:
            return read_duration(node.value)
        except ValueError as error:
            self.add(path, str(error), place=node.place)
            return None

    def convert(self, value: Any) -> Profile | None:
        """Return the profile, or note what has the wrong type or is missing."""
        try:
            return msgspec.convert(value, Profile, strict=False)
        except msgspec.ValidationError as error:
            message, _, place = str(error).partition(" - at `$")
            path = place.rstrip("`").lstrip(".")
            missing = re.fullmatch(r"Object missing required field `(.*)`", message)
            said = f"'{missing[1]}' is missing" if missing else f"{message[0].lower()}{message[1:]}"
            self.add(path, said)
            return None


def _accepted_types(wanted: Any) -> tuple[Any, ...]:
    kinds = get_args(wanted) if get_origin(wanted) in (UnionType, Union) else (wanted,)
    return tuple(kind for kind in kinds if kind is not NoneType)


def _faults(profile: Profile) -> Iterator[tuple[str, str]]:
    """Yield (path, message) of what the types don't say."""
    for path, words in _WORDS.items():
        value = _field_at(profile, path)
        if value is not None and value not in words:
            allowed = ", ".join(f"'{word}'" for word in words if word)
            yield path, f"'{value}' is not one of {allowed}"
    if profile.kind in _WORDS["kind"] and getattr(profile, profile.kind) is None:
        yield "kind", f"a profile of kind '{profile.kind}' needs '{profile.kind}:'"
    if not profile.name.strip():
        yield "name", "'name' is empty"
    if profile.http is not None and not profile.http.base_url.lower().startswith(("http://", "https://")):
        yield "http.base_url", "'base_url' begins with http:// or https://"
    if not 0 < profile.default_timeout_seconds <= DURATION_MOST:
        yield "default_timeout_seconds", f"a time limit is more than 0 seconds, at most {DURATION_MOST_SAID}"
    for number, model in enumerate(profile.models):
        read, written = model.cost_per_1k_cached_input, model.cost_per_1k_cache_write
        prices = (model.cost_per_1k_input, model.cost_per_1k_output, read, written)
        if (
            not all(price is None or 0 <= price < float("inf") for price in prices)
            or model.max_concurrent < 1
        ):
            yield f"models[{number}]", "a price is 0 or more, and finite, and 'max_concurrent' is 1 or more"
    if profile.cli is not None:
        yield from _cli_faults(profile.cli)


def _field_at(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = getattr(value, name, None)
    return value


def _final_faults(output: OutputFormat) -> Iterator[tuple[str, str]]:
    if not 0 < output.final_grace <= DURATION_MOST:
        yield "cli.output.final_grace", f"a grace is more than 0 seconds, at most {DURATION_MOST_SAID}"
    if output.final_event is not None and output.format == "text":
        yield "cli.output.final_event", "an output in text form has no events"
    for path in output.final_event.where if output.final_event else ():
        if not _PLAIN_PATH.fullmatch(path):
            yield "cli.output.final_event.where", f"'{path}' is more than keys joined by dots"


def _stop_faults(stop: StopRequest) -> Iterator[tuple[str, str]]:
    if not 0 < stop.wait <= DURATION_MOST:
        yield "cli.stop.wait", f"a wait is more than 0 seconds, at most {DURATION_MOST_SAID}"
    if stop.signal is not None and stop.signal_number is None:
        yield "cli.stop.signal", f"'{stop.signal}' is not one of {', '.join(SIGNALS)}"
    if stop.file is not None and (not _FILE_NAME.fullmatch(stop.file) or stop.file == HANDOFF_NAME):
        yield "cli.stop.file", f"'{stop.file}' is not the name of a file of its own, without a directory"
    if stop.signal is None and stop.file is None:
        yield "cli.stop", "'stop' needs 'signal' or 'file'"


def _cli_faults(cli: CliInstrument) -> Iterator[tuple[str, str]]:
    if not cli.command.executable.strip():
        yield "cli.command.executable", "'executable' is empty"
    written = [(name, getattr(cli.output, name) or "") for name in (*_PATHS, "model_path")]
    written += [(f"failure_when[{n}].path", rule.path) for n, rule in enumerate(cli.output.failure_when)]
    for n, shown in enumerate(cli.output.live):
        if shown.show not in _SHOWN:
            yield f"cli.output.live[{n}].show", f"'{shown.show}' is not one of {', '.join(_SHOWN)}"
        of_shown = (shown.path, shown.each or "", shown.name or "", *shown.where)
        written += [(f"live[{n}]", path) for path in of_shown]
    written += [("completion_event_filter", path) for path in cli.output.completion_event_filter]
    written += [("rate_limit_reset_path", cli.errors.rate_limit_reset_path or "")]
    yield from _final_faults(cli.output)
    if cli.stop is not None:
        yield from _stop_faults(cli.stop)
    for name, paths in written:
        for path in paths.split():
            try:
                json_path.parse(path)
            except ValueError as error:
                yield f"cli.output.{name}", str(error)
    yield from _pattern_faults(cli)


def _pattern_faults(cli: CliInstrument) -> Iterator[tuple[str, str]]:
    patterns = [
        (f"cli.errors.{name}[{n}]", pattern)
        for name in _PATTERNS
        for n, pattern in enumerate(getattr(cli.errors, name))
    ]
    patterns += [
        (f"cli.output.failure_when[{n}].matches", rule.matches or "")
        for n, rule in enumerate(cli.output.failure_when)
    ]
    amounts = cli.output.text_amounts
    groups = [
        (f"cli.output.text_amounts.{name}", pattern)
        for name in (amounts.__struct_fields__ if amounts is not None else ())
        if (pattern := getattr(amounts, name)) is not None
    ]
    for where, pattern in (*patterns, *groups):
        try:
            found = re.compile(pattern, re.IGNORECASE)
        except (re.error, RecursionError, OverflowError) as error:
            yield where, f"'{pattern}' is not a regular expression: {error}"
        else:
            if (where, pattern) in groups and not found.groups:
                yield where, f"'{pattern}' has no group: the amount is its first"
