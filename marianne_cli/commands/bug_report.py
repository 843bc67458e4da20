"""`mzt bug-report`: what a report of a fault needs, in one file, without secrets."""

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from marianne_cli import options, terminal
from marianne_cli.context import CommandOutcome, Invocation
from marianned import __version__
from marianned.decoding import Undecodable, from_json
from marianned.errors import InternalError, NoDaemon

_ENTRIES_MOST = 1_000
_LOG_LINES_MOST = 2_000
_LOG_BYTES_MOST = 4 * 1024**2
"""Of each of the two newest files of the log, the end."""
_GRAVE = frozenset({"warning", "error", "critical"})
_HEAD = """\
Bug report of job '{job}', written by `mzt bug-report`. Secrets are masked, and your home is written as ~.
It has no score, no prompt, and of outputs only the last lines of what failed. Read it before you send it.
"""


class _BugReportPart(NamedTuple):
    """A part of the report: its name, what it is, and its lines."""

    name: str
    what: str
    lines: list[str]


@options.command("bug-report", "mzt bug-report nightly", "mzt bug-report nightly report.txt -y")
@options.job_argument
@options.argument("file", metavar="[FILE]", required=False, kind=options.FILE)
@options.yes_option("it asks before it writes the file")
def command(call: Invocation, *, job: str, file: str | None, yes: bool) -> CommandOutcome:
    """Write what a report of a fault needs into FILE: versions, doctor, a job's status, journal and log.

    Without FILE it is JOB-bug-report.txt. Secrets are masked. It shows what it takes, and asks.
    """
    parts = [*_installation_parts(), *_job_parts(call, job), _log_part(job)]
    call.note(*(f"  {part.name:<9} {len(part.lines):>5} lines  {part.what}" for part in parts))
    named = file or f"{job.replace('/', '_')}-bug-report.txt"
    options.confirm(f"write this to '{named}'", yes=yes)
    text = _report_text(job, parts)
    options.write_new(named, text, 0o600)
    taken = [{"name": part.name, "lines": len(part.lines)} for part in parts]
    size = len(text.encode(errors="backslashreplace"))
    message = f"'{named}': written, {size} bytes; read it before you send it"
    return CommandOutcome(
        {"message": message, "file": str(Path(named).absolute()), "bytes": size, "parts": taken}
    )


def _report_text(job: str, parts: list[_BugReportPart]) -> str:
    """Return the report, masked."""
    from marianned import logs, masks, paths

    logs.hide(masks.secrets_of(os.environ))
    body = "".join(
        f"\n== {part.name}: {part.what}\n" + "".join(f"{x}\n" for x in part.lines) for part in parts
    )
    home = str(paths.home_directory())
    masked = logs.masked(_HEAD.format(job=job) + body)
    return masked.replace(home, "~") if home != "/" else masked


def _installation_parts() -> Iterator[_BugReportPart]:
    from marianne_cli.service.installation import daemon_check_report
    from marianne_cli.service.unit_checks import service_checks

    yield _BugReportPart("versions", "programs and system", list(_versions()))
    try:
        checks = [*daemon_check_report()["checks"], *service_checks()]
    except InternalError as error:
        yield _BugReportPart("doctor", "what `mzt doctor` finds", [error.message])
        return
    said = (
        f"{'ok  ' if check['passed'] else 'FAIL'} {check['name']}: {terminal.line(check['message'])}"
        for check in checks
    )
    yield _BugReportPart("doctor", "what `mzt doctor` finds", list(said))


def _versions() -> Iterator[str]:
    import sqlite3

    yield f"mzt {__version__}, Python {platform.python_version()} ({sys.implementation.name})"
    yield f"SQLite {sqlite3.sqlite_version}, {platform.libc_ver()[0] or 'libc'} {platform.libc_ver()[1]}"
    system = ""
    with suppress(OSError):
        system = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    yield f"{system or 'unknown system'}, {platform.system()} {platform.release()} {platform.machine()}"


def _job_parts(call: Invocation, job: str) -> Iterator[_BugReportPart]:
    """Yield what the daemon knows of the job; of one that does not answer, that.

    Raises:
        NoSuchJob: there is no such job.
    """
    from marianne_cli.commands.status import job_details

    try:
        daemon = call.ask("daemon.status")
    except NoDaemon as error:
        yield _BugReportPart("daemon", "no status and no journal: it does not answer", [error.message])
        return
    yield _BugReportPart("daemon", "its status", _indented_json(daemon))
    yield _BugReportPart(
        "job", "status of the job and its sheets, without output", _indented_json(job_details(call, job))
    )
    yield _BugReportPart(
        "why",
        "why it does not move, or failed; last lines of output",
        _indented_json(call.ask("job.why", job_id=job)),
    )
    entries = call.ask("job.history", job_id=job, limit=_ENTRIES_MOST)["entries"]
    yield _BugReportPart(
        "journal", "who asked what, and what followed", [_compact_json(entry) for entry in entries]
    )


def _indented_json(value: dict[str, Any]) -> list[str]:
    return msgspec.json.format(msgspec.json.encode(value), indent=1).decode().splitlines()


def _compact_json(value: dict[str, Any]) -> str:
    told = {name: one for name, one in value.items() if one is not None}
    return msgspec.json.encode(told).decode()


def _log_part(job: str) -> _BugReportPart:
    """Take the lines of the daemon's log that are about the job, and its warnings and errors about no job."""
    from marianned import paths

    lines: list[str] = []
    for name in ("marianned.log.1", "marianned.log"):
        with suppress(OSError):
            lines += [line for line in _last_lines(paths.state_directory() / name) if _concerns(line, job)]
    what = "lines of its log about this job, and warnings about none"
    return _BugReportPart("log", what, lines[-_LOG_LINES_MOST:])


def _last_lines(file: Path) -> list[str]:
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - _LOG_BYTES_MOST))
        return opened.read().decode(errors="replace").splitlines()


def _concerns(line: str, job: str) -> bool:
    try:
        told = from_json(line)
    except Undecodable:
        return False
    if not isinstance(told, dict):
        return False
    about = told.get("job")
    return (
        told.get("level") in _GRAVE
        if about is None
        else str(about).partition("@")[0] == job.partition("@")[0]
    )
