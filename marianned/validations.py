"""The rules that decide whether a sheet is done: files, their contents, commands.

Source: docs/reference/score-format.md §13.
"""

import errno
import os
import re
import stat
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import groupby
from typing import Protocol

import anyio
import msgspec
from anyio import to_thread

from marianned import files, workers
from marianned.accidents import SHORT
from marianned.data_checks import data_fault
from marianned.formatting import time_asked
from marianned.protocol import CheckReport, CheckResult
from marianned.score.expanded import Check

TEXT_LIMIT = 64 * 1024 * 1024
"""The most bytes of a file whose text is looked at."""

FileIdentities = dict[str, tuple[int, int, int] | None]
"""Path → size, inode and mtime in ns of what was there; None: nothing was."""

_SHOWN_PATTERN = 100


class CommandResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a command of a check ended; `output_tail` is the last 4 KiB of what it printed.

    `error` says why it could not be carried out; then there is neither exit code nor signal.
    """

    exit_code: int | None = None
    signal: str | None = None
    timed_out: bool = False
    output_tail: str = ""
    error: str | None = None


class CommandRunner(Protocol):
    """Runs `bash -c COMMAND` under supervision, and ends it with all its processes when its time is up."""

    async def __call__(self, name: str, command: str, cwd: str, timeout_seconds: float) -> CommandResult:
        """Run a command; `name` is unique among the commands of an attempt."""
        ...


class _Finding(msgspec.Struct, frozen=True):
    """What one look found: no reason means passed; `final`: looking again would be pointless."""

    reason: str | None
    exit_code: int | None = None
    output: str | None = None
    final: bool = False


async def snapshot(checks: Iterable[Check]) -> FileIdentities:
    """Note what the `file_modified` checks of a sheet find now: to be called before its first attempt."""
    paths = [check.target for check in checks if check.type == "file_modified"]
    return await to_thread.run_sync(_identities, paths, abandon_on_cancel=True)


def _identities(paths: Iterable[str]) -> FileIdentities:
    return {path: _identity(path) for path in paths}


def _identity(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116  paths come as texts, and are looked at by the thousand
    except OSError:
        return None
    return found.st_size, found.st_ino, found.st_mtime_ns


async def run_checks(
    checks: Sequence[Check],
    run_command: CommandRunner,
    before: FileIdentities,
    on_report: Callable[[CheckReport], Awaitable[None]] | None = None,
) -> list[CheckReport]:
    """Run the checks of a sheet in ascending stage, in file order within one.

    All checks of a stage run; when one of them failed, those of higher stages are reported `not_run`.

    Args:
        checks: those that apply to the sheet.
        run_command: how commands are started.
        before: the snapshot from before the sheet's first attempt of this run.
        on_report: is awaited with each report.

    Returns:
        One report a check, in the order of running.
    """
    reports: list[CheckReport] = []
    ordered = sorted(checks, key=lambda check: (check.stage, check.index))
    for _, group in groupby(ordered, key=lambda check: check.stage):
        passed = all(report.result == CheckResult.PASSED for report in reports)
        for check in group:
            report = await _run_check(check, run_command, before) if passed else _report(check, None, 0.0)
            reports.append(report)
            if on_report is not None:
                await on_report(report)
    return reports


async def _run_check(check: Check, run_command: CommandRunner, before: FileIdentities) -> CheckReport:
    start = anyio.current_time()
    finding = await _look_once(check, run_command, before, 0)
    for again in range(1, check.retry_count + 1):
        if finding.reason is None or finding.final:
            break
        await anyio.sleep(check.retry_delay_seconds)
        finding = await _look_once(check, run_command, before, again)
    return _report(check, finding, anyio.current_time() - start)


def _report(check: Check, finding: _Finding | None, seconds: float) -> CheckReport:
    if finding is None:
        result = CheckResult.NOT_RUN
    else:
        result = CheckResult.PASSED if finding.reason is None else CheckResult.FAILED
    return CheckReport(
        index=check.index,
        type=check.type,
        description=check.description,
        target=check.target,
        result=result,
        reason=finding.reason if finding else "a check of an earlier stage failed",
        duration_seconds=round(seconds, 3),
        exit_code=finding.exit_code if finding else None,
        output=finding.output if finding else None,
    )


async def _look_once(
    check: Check, run_command: CommandRunner, before: FileIdentities, again: int
) -> _Finding:
    if check.type == "command_succeeds":
        return await _command(check, run_command, again)
    if check.type.startswith("content_"):
        try:
            return _Finding(await workers.call(content_fault, check.type, check.target, check.pattern or ""))
        except workers.WorkerLimit as limit:
            return _Finding(
                f"{_quote_pattern(check.pattern)} could not be looked for: {limit.message}", final=True
            )
    if check.data is not None:
        try:
            return _Finding(await workers.call(data_fault, check.type, check.target, check.data))
        except workers.WorkerLimit as limit:
            return _Finding(f"it could not be looked at: {limit.message}", final=True)
    was = before.get(check.target) if check.type == "file_modified" else None
    return _Finding(await to_thread.run_sync(_file_fault, check.target, was, abandon_on_cancel=True))


async def _command(check: Check, run_command: CommandRunner, again: int) -> _Finding:
    name = f"check-{check.index}" if again == 0 else f"check-{check.index}-{again}"
    result = await run_command(name, check.target, check.working_directory, check.timeout_seconds)
    return _Finding(_command_fault(result, check.timeout_seconds), result.exit_code, result.output_tail)


def _command_fault(result: CommandResult, timeout_seconds: float) -> str | None:
    if result.error is not None:
        return " ".join(result.error.split())
    if result.timed_out:
        return f"timed out after {time_asked(timeout_seconds)}"
    if result.signal is not None:
        return f"killed by {result.signal}"
    return None if result.exit_code == 0 else f"exit code {result.exit_code}"


def _file_fault(path: str, was: tuple[int, int, int] | None) -> str | None:
    """Say why `path` is no regular file, or is what it was; None: it is one, and is not."""
    try:
        found = os.stat(path)  # noqa: PTH116  as above
    except OSError as error:
        if error.errno in SHORT:
            raise
        return _describe_error(error)
    if not stat.S_ISREG(found.st_mode):
        return "not a regular file"
    return "not modified" if was == (found.st_size, found.st_ino, found.st_mtime_ns) else None


def content_fault(kind: str, path: str, pattern: str) -> str | None:
    """In a worker: say why a file's text fails a `content_*` check; None: it passes."""
    try:
        text = _read(path)
    except OSError as error:
        if error.errno in SHORT:
            raise
        return _describe_error(error)
    if text is None:
        return "not a regular file"
    if len(text) > TEXT_LIMIT:
        return f"larger than {TEXT_LIMIT // 1024**2} MiB"
    words = text.decode(errors="replace")
    if kind == "content_contains":
        return None if pattern in words else f"{_quote_pattern(pattern)} is not in it"
    return None if re.search(pattern, words, re.MULTILINE) else f"{_quote_pattern(pattern)} finds nothing"


def _read(path: str) -> bytes | None:
    """Read one byte more than the limit; None: no regular file. A named pipe is not waited for."""
    try:
        return files.head(path, TEXT_LIMIT + 1)[0]
    except files.UnsuitableFile:
        return None


def _describe_error(error: OSError) -> str:
    return "no such file" if error.errno == errno.ENOENT else (error.strerror or "cannot be read").lower()


def _quote_pattern(pattern: str | None) -> str:
    line = " ".join((pattern or "").split())
    return f"'{line}'" if len(line) <= _SHOWN_PATTERN else f"'{line[:_SHOWN_PATTERN]}…'"
