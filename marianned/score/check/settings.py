"""Checks the settings of instruments: those without effect, missing files, unusual time limits.

Source: docs/reference/score-format.md §8.3, §16.1.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from marianned.instruments.command_line import ARGUMENT_LIMIT, fits_argument
from marianned.instruments.profile import Profile, ToolCommand
from marianned.places import LOCAL
from marianned.score.check.instruments import ResolvedInstrument
from marianned.score.check.sheet_layout import SheetLayout
from marianned.score.read.reader import FileReader, resolve
from marianned.score.read.report import ProblemReport
from marianned.yaml_tree import KeyPath

_SHORTEST = 10
_LONGEST = 86_400

_ALWAYS = {"timeout_seconds", "timeout_overrides", "working_directory", "max_output_capture_bytes", "env"}
_HTTP = {"system_prompt_file", "model", "cli_model", "max_tokens", "temperature", "api_key_env"}
_FLAGS: dict[str, Callable[[ToolCommand], object]] = {
    "model": lambda command: command.model_flag,
    "cli_model": lambda command: command.model_flag,
    "skip_permissions": lambda command: command.auto_approve_flag,
    "disable_mcp": lambda command: command.mcp_disable_args,
    "allowed_tools": lambda command: command.allowed_tools_flag,
    "output_format": lambda command: command.output_format_flag,
    "system_prompt_file": lambda command: command.system_prompt_flag or command.system_prompt_file_flag,
    "cli_extra_args": lambda _: True,
}


def _is_used(key: str, profile: Profile) -> bool:
    if key in _ALWAYS:
        return True
    if key in {"script", "errexit"}:
        return profile.script == "shell"
    if profile.cli is None:
        return key in _HTTP
    return key in _FLAGS and bool(_FLAGS[key](profile.cli.command))


class InstrumentChecker:
    """Checks the chosen instruments of all sheets; each finding is reported once."""

    def __init__(
        self, directory: str, reader: FileReader, report: ProblemReport, files: dict[str, str]
    ) -> None:
        self.directory = directory
        self.reader = reader
        self.report = report
        self.files = files
        self.seen: set[tuple[Any, ...]] = set()

    def _is_new(self, *what: Any) -> bool:
        new = what not in self.seen
        self.seen.add(what)
        return new

    def check(self, chosen: ResolvedInstrument) -> None:
        """Check the instrument and the settings of one sheet."""
        profile = chosen.profile
        if profile.unusable_reason is not None:
            if self._is_new("executable", profile.name):
                message = f"'{profile.name}' can't be used: {profile.unusable_reason}"
                self.report.add("S403", chosen.selected.path, message)
        elif self._is_new("executable", profile.name) and profile.cli is not None:
            name = profile.cli.command.executable
            if not self.reader.executable(name):
                message = f"the executable '{name}' of '{profile.name}' is not found here"
                self.report.add("S403", chosen.selected.path, message)
        for key, path in chosen.origins.items():
            if key in chosen.settings and not _is_used(key, profile) and self._is_new(key, profile.name):
                self.report.add("S404", path, f"'{key}' has no effect on '{profile.name}'", key=True)
        self._check_format(chosen)
        self._check_files(chosen)

    def check_wall(self, chosen: ResolvedInstrument, executor: str | None) -> None:
        """Warn where an instrument wants a wall and its sheet runs where there is none."""
        name = chosen.profile.name
        if chosen.profile.contain == "hide" and executor not in (None, LOCAL) and self._is_new("wall", name):
            said = f"has 'contain: hide', which holds on the daemon's host only, not on '{executor}'"
            hint = "give its stage 'executor: local'; the daemon refuses it otherwise"
            self.report.add("S411", chosen.selected.path, f"'{name}' {said}", hint=hint)

    def check_isolation(self, chosen: Mapping[int, ResolvedInstrument]) -> None:
        """Warn where sheets of an isolated job, also on a fallback, work outside of its worktree.

        Any `working_directory` lies outside: the worktree's own name is not known before it is made.
        """
        outside: dict[KeyPath, tuple[str, set[int]]] = {}
        for sheet, choice in chosen.items():
            used = [(choice.settings, choice.origins)]
            used += [(fallback.settings, fallback.origins) for fallback in choice.fallbacks]
            for settings, origins in used:
                directory = settings.get("working_directory")
                if isinstance(directory, str):
                    outside.setdefault(origins["working_directory"], (directory, set()))[1].add(sheet)
        for path, (directory, sheets) in outside.items():
            there = resolve(directory, self.directory, self.reader)
            message = f"isolation has no effect: the work is done in '{there}'"
            hint = "remove 'working_directory': sheets then start at the top of the run's worktree"
            self.report.add("S517", path, message, key=True, sheets=sheets, hint=hint)

    def _check_format(self, chosen: ResolvedInstrument) -> None:
        """Warn where a tool's stream, which says more than its text, is not asked for."""
        output = chosen.profile.cli.output if chosen.profile.cli else None
        wanted = chosen.settings.get("output_format")
        if (
            wanted == "text"
            and output
            and output.format != "text"
            and self._is_new("text", chosen.profile.name)
        ):
            said = "tells neither cost nor session as text, and its refusals in words alone"
            message = f"'{chosen.profile.name}' {said}"
            self.report.add("S410", chosen.origins["output_format"], message, key=True)

    def _check_files(self, chosen: ResolvedInstrument) -> None:
        settings, origins = chosen.settings, chosen.origins
        directory = settings.get("working_directory")
        if isinstance(directory, str) and self._is_new("directory", origins["working_directory"]):
            path = resolve(directory, self.directory, self.reader)
            if (why := self.reader.missing_directory(path)) is not None:
                self.report.add("S305", origins["working_directory"], why)
        file = settings.get("system_prompt_file")
        if isinstance(file, str) and self._is_new("file", origins["system_prompt_file"]):
            path = resolve(file, self.directory, self.reader)
            text = read_text(path, self.reader)
            if text is None:
                self.report.add("S304", origins["system_prompt_file"], why_no_text(path, self.reader))
            else:
                self.files[path] = text
                self._check_length(chosen, text)

    def _check_length(self, chosen: ResolvedInstrument, text: str) -> None:
        """Report a system prompt that is too long for an argument where the tool takes no file."""
        command = chosen.profile.cli.command if chosen.profile.cli else None
        if command is None or command.system_prompt_file_flag or not command.system_prompt_flag:
            return
        if not fits_argument(text):
            size = len(text.encode())
            message = (
                f"the system prompt has {size:,} bytes; '{chosen.profile.name}' takes it as an argument, "
                f"{ARGUMENT_LIMIT:,} at most"
            )
            self.report.add("S304", chosen.origins["system_prompt_file"], message)


def read_text(path: str, reader: FileReader) -> str | None:
    """Return a file's text, or nothing when it cannot be read as UTF-8."""
    try:
        return reader.read(path).decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def why_no_text(path: str, reader: FileReader) -> str:
    """Say why a file has no text: it is not there, is no regular file, may not be read, or is no UTF-8."""
    try:
        reader.read(path)
    except OSError as error:
        return f"'{path}' cannot be read: {error.strerror}"
    return f"'{path}' cannot be read as UTF-8 text"


def check_timeouts(
    settings: dict[str, Any], path: KeyPath, layout: SheetLayout | None, report: ProblemReport
) -> None:
    """Check one mapping of settings: odd time limits (S503), keys that are no sheets (S107, S109)."""
    limits = {(*path, "timeout_seconds"): settings.get("timeout_seconds")}
    overrides = settings.get("timeout_overrides", {})
    limits |= {(*path, "timeout_overrides", sheet): seconds for sheet, seconds in overrides.items()}
    for place, seconds in limits.items():
        if seconds is not None and not report.wrong(*place) and not _SHORTEST <= seconds <= _LONGEST:
            kind = "short" if seconds < _SHORTEST else "long"
            report.add("S503", place, f"a time limit of {seconds:g}s is unusually {kind}")
    if layout is None or not overrides:
        return
    check_sheets(overrides, (*path, "timeout_overrides"), layout, report)
    largest = max(overrides)
    if layout.fan_out and largest <= len(layout.stages):
        first = layout.stages[largest][0]
        position = layout.positions[largest - 1]
        message = (
            f"these are sheet numbers; {largest} is stage {position.stage}, instance {position.instance}"
        )
        hint = f"stage {largest} begins at sheet {first}" if first != largest else None
        report.add("S109", (*path, "timeout_overrides"), message, key=True, hint=hint)


def check_sheets(numbers: Iterable[int], path: KeyPath, layout: SheetLayout, report: ProblemReport) -> None:
    """Report the keys of a mapping that are no sheet numbers (S107)."""
    for sheet in numbers:
        if sheet > len(layout.positions):
            message = f"there is no sheet {sheet}, there are {len(layout.positions)} sheets"
            report.add("S107", (*path, sheet), message, key=True)
