"""How a command ends: its text or JSON on stdout, errors on stderr, and the exit code. The one place."""

import os
import sys
from collections.abc import Mapping
from typing import Any

import msgspec

from marianne_cli import terminal
from marianne_cli.context import GOES_ON, Answer, Invocation, dressed
from marianned.errors import INTERRUPTED_EXIT, PIPE_EXIT, USAGE_EXIT, MarianneError, Problem
from marianned.formatting import as_utf8, listing, sheet_list

_BASE: dict[str, object] = {
    "success": True,
    "job_id": None,
    "status": None,
    "message": "",
    "error_code": None,
    "hints": [],
    "problems": [],
}


def answered(call: Invocation, answer: Answer) -> int:
    """Print what a command found; return the exit code."""
    if answer.printed:
        pass
    elif call.as_json:
        json_line(envelope(answer.result, answer.finding))
    else:
        text = answer.result["message"] if answer.text is None else answer.text
        if call.quiet and answer.short is not None:
            text = answer.short
        if text:
            out(text)
    return 0 if answer.finding is None else answer.exit_status


def refused(call: Invocation, error: MarianneError) -> int:
    """Print a refusal; return the exit code."""
    if call.as_json:
        json_line(failure(error))
    else:
        _err(
            [*map(problem_text, error.problems), f"mzt: {terminal.line(error.message)} ({error.code})"],
            error.hints,
        )
    return error.exit_status


def misused(message: str, hints: list[str]) -> int:
    """Print what is wrong with the command line; return the exit code."""
    _err([f"mzt: {message}"], hints)
    return USAGE_EXIT


def interrupted(call: Invocation | None) -> int:
    """Tell where the job stands that was waited for; return the exit code."""
    if call is not None and call.waiting_on is not None and not call.as_json:
        said = f"mzt: stopped waiting; {_standing(call, call.waiting_on)}"
        _err(["", said] if os.isatty(2) else [said], [])  # the terminal stands behind its ^C
    return INTERRUPTED_EXIT


def _standing(call: Invocation, job_id: str) -> str:
    """Ask once more where the job stands, and say what becomes of it; what can't be known is not said."""
    from marianne_cli.client.blocking import connect_raw
    from marianne_cli.people import held_by

    try:
        with connect_raw(call.socket, timeout=1.0) as client:
            job = terminal.reply(client.request("job.status", {"job_id": job_id, "limit": 1}, once=True))
    except (MarianneError, OSError):
        return f"'{job_id}' could not be asked, {call.stays}"
    said = f"'{job['job_id']}' is {job['status']}"
    if call.stays != GOES_ON or job["status"] not in {"paused", "completed", "failed", "cancelled"}:
        return f"{said}, {call.stays}"
    if job["status"] != "paused":
        return said
    by = held_by(job["holds"][0]) if job["holds"] else ""
    comes = job["next"]["text"] if job["next"] else "it stays so until someone resumes it"
    return f"{said}{by}; {comes}"


def reader_gone() -> int:
    """Leave stdout to nobody, so that nothing more is said; return the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return PIPE_EXIT


def envelope(result: Mapping[str, Any], finding: str | None = None) -> dict[str, Any]:
    """Return the JSON object of a result: the keys of BASE first, then its own."""
    return {**_BASE, **result, "success": finding is None, "error_code": finding}


def failure(error: MarianneError) -> dict[str, Any]:
    """Return the JSON object of a refusal: BASE alone."""
    return {
        "success": False,
        "job_id": error.job_id,
        "status": error.status,
        "message": error.message,
        "error_code": error.code,
        "hints": error.hints,
        "problems": error.problems,
    }


def out(text: str) -> None:
    """Print to stdout; at once, for whoever reads along."""
    said = terminal.screen(text, coloured=dressed(sys.stdout))
    sys.stdout.write(said if said.endswith("\n") else f"{said}\n")
    sys.stdout.flush()


def json_line(value: object) -> None:
    """Print one JSON value as a line."""
    try:
        encoded = msgspec.json.encode(value)
    except UnicodeEncodeError:  # a path that is no text
        encoded = msgspec.json.encode(_as_utf8(msgspec.to_builtins(value)))
    said = msgspec.json.format(encoded, indent=0).decode()
    sys.stdout.write(f"{terminal.json(said)}\n")
    sys.stdout.flush()


def _as_utf8(value: Any) -> Any:
    if isinstance(value, str):
        return as_utf8(value)
    if isinstance(value, dict):
        return {_as_utf8(key): _as_utf8(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_as_utf8(inner) for inner in value]
    return value


def _err(lines: list[str], hints: list[str]) -> None:
    said = [*lines, *(f"  {terminal.line(hint)}" for hint in hints)]
    sys.stderr.write(terminal.text("\n".join(said)) + "\n")


def problem_text(problem: Problem | Mapping[str, Any]) -> str:
    """Write a problem: place, severity, code, message, and the hint (docs/reference/score-format.md §25)."""
    told = terminal.reply(msgspec.to_builtins(problem))
    place = ":".join(str(part) for part in (told["file"], told["line"], told["column"]) if part is not None)
    sheets = told["sheets"]
    names = f": {listing(told['names'])}" if told.get("names") else ""  # a daemon of before tells none
    concerned = f" ({sheet_list(sheets)}{names})" if sheets else ""
    hint = f"\n    {told['hint']}" if told["hint"] else ""
    return f"{place}: {told['severity']} {told['code']}: {told['message']}{concerned}{hint}"
