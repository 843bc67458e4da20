"""The hooks of a score: what runs after its success, with their placeholders filled in, and what is wrong.

Source: docs/reference/score-format.md §20.
"""

import os
import shlex
from collections.abc import Iterator

from marianned.formatting import did_you_mean
from marianned.score.expanded import Concert, HookDefinition
from marianned.score.language.placeholders import (
    MisplacedPlaceholder,
    UnknownPlaceholder,
    fill_command,
    fill_path,
    fill_word,
    placeholders,
    unknown_in_command,
)
from marianned.score.read.model import HookSection as Item
from marianned.score.read.model import Score
from marianned.score.read.reader import FileReader, ScoreSource, resolve
from marianned.score.read.report import ProblemReport
from marianned.score.read.variables import BUILT_IN
from marianned.yaml_tree import KeyPath

_COMMAND_SECONDS = 300.0
_DEPTH = 5
"""How deep a chain may be where the score does not say."""
_LOG = "concert.log"
_PATHS = ("job_path", "job_workspace", "working_directory")
_SPLIT = "can't be split into words"


STATUS = {"on_success": "completed", "on_failure": "failed"}
"""How a job has ended that runs the hooks of a list, by the list's key."""


class HookExpander:
    """Expands one list of hooks, `key`, of a score; what is wrong with them goes into the report."""

    def __init__(
        self,
        score: Score,
        variables: dict[str, object],
        sheets: int,
        source: ScoreSource,
        workspace: str,
        key: str = "on_success",
    ) -> None:
        self.score = score
        given = score.on_success if key == "on_success" else score.on_failure
        self.items = given if isinstance(given, list) else []
        self.key = key
        self.source = source
        self.workspace = workspace
        self.values: dict[str, object] = {
            **{name: value for name, value in variables.items() if name not in BUILT_IN},
            "workspace": workspace,
            "job_id": score.name,
            "job_name": score.name,
            "sheet_count": sheets,
            "job_status": STATUS[key],
            "score_dir": source.directory,
        }

    def expand(self, reader: FileReader, report: ProblemReport) -> tuple[HookDefinition, ...]:
        """Return the hooks in their order; those that are wrong are left out."""
        found = []
        for index, item in enumerate(self.items):
            path: KeyPath = (self.key, index)
            self._check(item, path, report)
            if self.key == "on_failure":
                _check_failure_hook(item, path, report)
            if not report.wrong(*path):
                found.append(self._define_hook(item, path, reader, report))
        return tuple(found)

    def concert(self, reader: FileReader) -> Concert:
        """Return how jobs follow each other; what needs `enabled` is off without it."""
        given = self.score.concert
        return Concert(
            max_chain_depth=_DEPTH if given.max_chain_depth is None else given.max_chain_depth,
            ends_at_depth=given.max_chain_depth is not None,
            cooldown_seconds=given.cooldown_between_jobs_seconds,
            inherit_workspace=given.enabled and given.inherit_workspace,
            log_path=resolve(given.concert_log_path or _LOG, self.workspace, reader)
            if given.enabled
            else None,
            abort_on_hook_failure=given.enabled and given.abort_concert_on_hook_failure,
        )

    def targets(self, reader: FileReader, report: ProblemReport) -> Iterator[tuple[KeyPath, str]]:
        """Yield the score files that are chained to and known by now; report those that are not there."""
        own = os.path.join(self.source.directory, os.path.basename(self.source.file))  # noqa: PTH118, PTH119  a text, no file
        for index, item in enumerate(self.items):
            path: KeyPath = (self.key, index, "job_path")
            if item.type != "run_job" or item.job_path is None or "{" in item.job_path or report.wrong(*path):
                continue
            found = next(
                (file for file in self._candidate_files(item.job_path, reader) if reader.is_file(file)), None
            )
            if found is None:
                report.add("S306", path, f"'{item.job_path}' is not there")
            elif found != own:
                yield path, found
            elif not item.fresh:
                message = "the score chains to itself; without 'fresh: true' there is nothing to do"
                report.add("S507", path, message)

    def _check(self, item: Item, path: KeyPath, report: ProblemReport) -> None:
        needed = "job_path" if item.type == "run_job" else "command"
        if getattr(item, needed) is None and not report.wrong(*path):
            report.add("S011", (*path, needed), f"'{needed}' is missing: '{item.type}' needs it")
        if item.type == "run_script" and item.command is not None and not report.wrong(*path, "command"):
            try:
                empty = not shlex.split(item.command)
            except ValueError as fault:
                report.add("S013", (*path, "command"), f"'{item.command}' {_SPLIT}: {str(fault).lower()}")
            else:
                if empty:
                    report.add("S020", (*path, "command"), "the command may not be empty")
        self._check_places(item, path, report)
        for name in unknown_in_command(item.command or "", self.values):
            said = f"'{{{name}}}' is not a placeholder, and stays as it is"
            report.add("S514", (*path, "command"), said, hint=did_you_mean(name, self.values))
        for key in (*_PATHS, "command"):
            for found in placeholders(getattr(item, key) or ""):
                if found.doubled and (found.name in self.values or key != "command"):
                    report.add("S207", (*path, key), f"write '{{{found.name}}}' for '{{{{ {found.name} }}}}'")

    def _check_places(self, item: Item, path: KeyPath, report: ProblemReport) -> None:
        if item.type == "run_command":
            try:
                fill_command(item.command or "", self.values)
            except MisplacedPlaceholder as fault:
                report.add("S515", (*path, "command"), fault.message, hint=fault.hint)

    def _define_hook(
        self, item: Item, path: KeyPath, reader: FileReader, report: ProblemReport
    ) -> HookDefinition:
        def filled(key: str) -> str | None:
            text = getattr(item, key)
            try:
                return None if text is None else fill_path(text, self.values)
            except UnknownPlaceholder as fault:
                report.add("S204", (*path, key), fault.message, hint=did_you_mean(fault.name, self.values))
                return None

        workspace = filled("job_workspace")
        is_job = item.type == "run_job"
        argv = () if is_job else self._argv(item)
        first = filled("job_path") if is_job else argv[0]
        return HookDefinition(
            type=item.type,
            description=item.description,
            files=self._candidate_files(first or "", reader) if item.type != "run_command" else (),
            job_workspace=None if workspace is None else resolve(workspace, self.workspace, reader),
            detached=is_job and item.detached,
            fresh=is_job and item.fresh,
            pause_before_chain=is_job and item.pause_before_chain,
            argv=argv,
            working_directory=resolve(filled("working_directory") or ".", self.workspace, reader),
            timeout_seconds=item.timeout_seconds or (None if is_job else _COMMAND_SECONDS),
            abort_on_failure=item.on_failure == "abort",
            after_failure=self.key == "on_failure",
        )

    def _argv(self, item: Item) -> tuple[str, ...]:
        command = item.command or ""
        if item.type == "run_command":
            return ("bash", "-c", fill_command(command, self.values))
        return tuple(fill_word(word, self.values) for word in shlex.split(command))

    def _candidate_files(self, file: str, reader: FileReader) -> tuple[str, ...]:
        """Return where a file of the score may be: in its directory, else in that of the submission."""
        bases = (self.source.directory, self.source.submit_directory)
        return tuple(dict.fromkeys(resolve(file, base, reader) for base in bases))


def _check_failure_hook(item: Item, path: KeyPath, report: ProblemReport) -> None:
    """Report what a hook can't do in a job that has ended (§28.8)."""
    if item.type == "run_job" and not item.detached:
        message = "a job that has failed waits for no other"
        report.add("S013", (*path, "detached"), message, hint="write detached: true")
    if item.pause_before_chain:
        message = "a job that has failed does not pause"
        report.add("S015", (*path, "pause_before_chain"), message, key=True)
