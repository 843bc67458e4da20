"""How a command ends: its text or JSON on stdout, errors on stderr, and the exit code. The one place."""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from marianne_cli import terminal
from marianne_cli.context import GOES_ON, Answer, Invocation, dressed, has_width
from marianne_cli.lines.misuse import Misuse
from marianned.errors import INTERRUPTED_EXIT, PIPE_EXIT, USAGE_EXIT, MarianneError
from marianned.formatting import as_utf8, listing, sheet_list

if TYPE_CHECKING:
    from marianned.problem import Problem

_EXPONENT = re.compile("[0-9]e[-+][0-9]")
"""What may be a number that Python writes as `1e-05`, which is `0.00001` here."""
_SCHEMA: dict[str, object] = {"schema": 1}
"""Which shape the objects have that `mzt` prints; those of the wire have none."""
_BASE: dict[str, object] = {
    "success": True,
    "job_id": None,
    "status": None,
    "message": "",
    "error_code": None,
    "hints": [],
    "problems": [],
}


def answered(call: Invocation, answer: Answer, *, lenient: bool = True) -> int:
    """Print what a command found; return the exit code.

    Raises:
        Misuse: not `lenient`, and a field was asked for that there is not.
    """
    if answer.printed:
        pass
    elif call.as_json:
        found = envelope(answer.result, answer.finding)
        if not lenient:
            _check_fields(call.fields or (), found)
        json_object(call, found)
    else:
        text = _fitted(answer.result["message"], sys.stdout) if answer.text is None else answer.text
        if call.quiet and answer.short is not None:
            text = answer.short
        if text:
            (_paged if call.paged else out)(text)
    return 0 if answer.finding is None else answer.exit_status


def _check_fields(fields: Sequence[str], found: Mapping[str, Any]) -> None:
    import difflib

    for field in fields:
        name = field.partition(".")[0]
        if name not in found:
            near = difflib.get_close_matches(name, found, 1)
            meant = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(found)}"
            raise Misuse(f"no field '{name}'; {meant}")


def _paged(text: str) -> None:
    """Print to stdout; what is longer than the terminal goes through $PAGER, by default less."""
    import subprocess

    from marianne_cli.pagers import words_of

    pager = os.environ.get("PAGER", "less")
    rows = os.get_terminal_size(sys.stdout.fileno()).lines if sys.stdout.isatty() else 0
    wanted = rows <= text.count("\n") and sys.stdin.isatty() and os.environ.get("TERM") != "dumb"
    words = words_of(pager) if rows and wanted else []
    if not words:
        out(text)
        return
    said = terminal.screen(text, coloured=dressed(sys.stdout))
    environment = {"LESS": "FRX", **os.environ}
    subprocess.run(words, input=said.encode(errors="backslashreplace"), env=environment, check=False)


def refused(call: Invocation, error: MarianneError) -> int:
    """Print a refusal; return the exit code."""
    if call.as_json:
        json_line({**failure(error), **_SCHEMA})
    else:
        _err(
            [
                *map(problem_text, error.problems),
                f"mzt: {terminal.line(_by_login(error.message))} ({error.code})",
            ],
            error.hints,
        )
    return error.exit_status


def _by_login(message: str) -> str:
    if "(uid " not in message:
        return message
    from marianne_cli import people

    return people.by_login(message)


def misuse_of(misuse: Misuse, arguments: Sequence[str]) -> int:
    """Print why a line can't be carried out, and what to type to know better; return the exit code."""
    if misuse.hint is not None:
        return misused(misuse.message, [misuse.hint])
    return misused(*in_our_manner(misuse.message, misuse.command, arguments))


def in_our_manner(message: str, command: str | None, arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Return a message as all of ours are, and what to type then."""
    message = message.rstrip(".")
    if message.endswith(", add -y"):
        import shlex

        return message, [shlex.join(["mzt", *arguments, "-y"])]
    return message[:1].lower() + message[1:], [f"mzt {command} -h" if command else "mzt -h"]


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
    """Leave stdout to nobody, so that nothing more is written there; return the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return PIPE_EXIT


class Unwritten(OSError):
    """Standard output takes no more, though its reader is there: its disk is full, or broken."""


def write(data: str | bytes) -> None:
    """Write to stdout, at once: whatever a command prints is written here.

    A write that fails drops what the buffer does not hold, so that a later flush would not tell of it.

    Raises:
        BrokenPipeError: its reader is gone.
        Unwritten: it takes no more.
    """
    try:
        if isinstance(data, bytes):
            sys.stdout.buffer.write(data)
        else:
            sys.stdout.write(data)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Unwritten(error.errno, error.strerror) from None


def surroundings(error: OSError) -> int | None:
    """Say what this process lacks that all commands need; return the exit code, null: nothing of that."""
    try:
        if isinstance(error, Unwritten):
            raise error
        sys.stdout.flush()  # Click and the help of `mzt` write by themselves
    except OSError as unwritten:
        _err([f"mzt: the output can't be written: {(unwritten.strerror or 'unknown').lower()}"], [])
        return reader_gone()
    if isinstance(error, FileNotFoundError) and not _is_somewhere():
        return misused("the current directory is gone; go to one that is there", ["cd"])
    return None


def _is_somewhere() -> bool:
    try:
        os.getcwd()  # noqa: PTH109  pathlib is not wanted for this
    except FileNotFoundError:
        return False
    return True


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
    write(said if said.endswith("\n") else f"{said}\n")


def json_object(call: Invocation, value: Mapping[str, Any]) -> None:
    """Print an object of ours as a line: with the number of its schema, and the fields that are wanted."""
    json_line({**(value if call.fields is None else _kept(value, call.fields)), **_SCHEMA})


def _kept(value: Any, fields: Sequence[str]) -> Any:
    """Return an object with these fields alone; `jobs.status` is one of each object in the list `jobs`."""
    if isinstance(value, list):
        return [_kept(one, fields) for one in value]
    if not isinstance(value, Mapping):
        return value
    inner: dict[str, list[str]] = {}
    for field in fields:
        name, _, rest = field.partition(".")
        inner.setdefault(name, []).extend([rest] if rest else [])
    return {
        name: _kept(value[name], within) if within else value[name]
        for name, within in inner.items()
        if name in value
    }


def json_line(value: object) -> None:
    """Print one JSON value as a line."""
    said = _plainly(value)
    write(f"{terminal.json(_encoded(value) if said is None else said)}\n")


def _plainly(value: object) -> str | None:
    """Write JSON without msgspec, which takes long to load; null: of this it makes something else, or all."""
    import json

    try:
        said = json.dumps(value, ensure_ascii=False, allow_nan=False)
        said.encode()
    except (TypeError, ValueError):  # a type of ours, an infinity, or a path that is no text
        return None
    return None if _EXPONENT.search(said) else said


def _encoded(value: object) -> str:
    import msgspec

    try:
        encoded = msgspec.json.encode(value)
    except UnicodeEncodeError:  # a path that is no text
        encoded = msgspec.json.encode(_as_utf8(msgspec.to_builtins(value)))
    return msgspec.json.format(encoded, indent=0).decode()


def _as_utf8(value: Any) -> Any:
    if isinstance(value, str):
        return as_utf8(value)
    if isinstance(value, dict):
        return {_as_utf8(key): _as_utf8(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_as_utf8(inner) for inner in value]
    return value


def _err(lines: list[str], hints: list[str]) -> None:
    said = [
        *(_fitted(line, sys.stderr) for line in lines),
        *(f"  {terminal.line(hint)}" for hint in hints),
    ]  # those are typed as they are
    sys.stderr.write(terminal.text("\n".join(said)) + "\n")


def _fitted(line: str, stream: TextIO) -> str:
    """Wrap a text between words where a terminal shows it."""
    if not has_width(stream):
        return line
    columns = os.get_terminal_size(stream.fileno()).columns
    if not 0 < columns < max(map(len, line.split("\n"))):
        return line
    import textwrap

    how = textwrap.TextWrapper(
        columns, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False
    )
    return "\n".join(map(how.fill, line.split("\n")))


def problem_text(problem: "Problem | Mapping[str, Any]") -> str:
    """Write a problem: place, severity, code, message, and the hint (docs/reference/score-format.md §25)."""
    if not isinstance(problem, Mapping):
        import msgspec

        problem = msgspec.to_builtins(problem)
    told = terminal.reply(problem)
    place = ":".join(str(part) for part in (told["file"], told["line"], told["column"]) if part is not None)
    sheets = told["sheets"]
    names = f": {listing(told['names'])}" if told.get("names") else ""  # a daemon of before tells none
    concerned = f" ({sheet_list(sheets)}{names})" if sheets else ""
    hint = f"\n    {told['hint']}" if told["hint"] else ""
    return f"{place}: {told['severity']} {told['code']}: {told['message']}{concerned}{hint}"
