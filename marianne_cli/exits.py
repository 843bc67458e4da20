"""How a command ends: its text or JSON on stdout, errors on stderr, and the exit code. The one place."""

import errno
import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from marianne_cli import terminal
from marianne_cli.context import GOES_ON, CommandOutcome, Invocation, has_width, wants_colours
from marianne_cli.lines.misuse import Misuse
from marianned.errors import INTERRUPTED_EXIT, OUTPUT_EXIT, PIPE_EXIT, USAGE_EXIT, MarianneError
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


def print_outcome(call: Invocation, answer: CommandOutcome, *, lenient: bool = True) -> int:
    """Print what a command found; return the exit code.

    Raises:
        Misuse: not `lenient`, and a field was asked for that there is not.
    """
    if answer.printed:
        pass
    elif call.as_json:
        found = result_object(answer.result, answer.finding)
        if not lenient:
            _check_fields(call.fields or (), found)
        print_json_object(call, found)
    else:
        text = (
            _wrapped(terminal.line(answer.result["message"]), sys.stdout)
            if answer.text is None
            else answer.text
        )
        if call.quiet and answer.short is not None:
            text = answer.short
        if text:
            (_print_paged if call.paged else print_text)(text)
    return 0 if answer.finding is None else answer.exit_status


def _check_fields(fields: Sequence[str], found: Mapping[str, Any]) -> None:
    import difflib

    for field in fields:
        name = field.partition(".")[0]
        if name not in found:
            near = difflib.get_close_matches(name, found, 1)
            meant = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(found)}"
            raise Misuse(f"no field '{name}'; {meant}")


def _print_paged(text: str) -> None:
    """Print to stdout; what is longer than the terminal goes through $PAGER, by default less."""
    import subprocess

    from marianne_cli.pagers import words_of

    pager = os.environ.get("PAGER", "less")
    rows = os.get_terminal_size(sys.stdout.fileno()).lines if sys.stdout.isatty() else 0
    wanted = rows <= text.count("\n") and sys.stdin.isatty() and os.environ.get("TERM") != "dumb"
    words = words_of(pager) if rows and wanted else []
    if not words:
        print_text(text)
        return
    said = terminal.screen(text, coloured=wants_colours(sys.stdout))
    environment = {"LESS": "FRX", **os.environ}
    subprocess.run(words, input=said.encode(errors="backslashreplace"), env=environment, check=False)


def print_refusal(call: Invocation, error: MarianneError) -> int:
    """Print a refusal; return the exit code."""
    put_in_typed_words(call, error)
    if call.as_json:
        print_json({**refusal_object(error), **_SCHEMA})
    else:
        _print_errors(
            [
                *map(problem_text, error.problems),
                f"mzt: {terminal.line(_with_login_names(error.message))} ({error.code})",
            ],
            error.hints,
        )
    return error.exit_status


def put_in_typed_words(call: Invocation, error: MarianneError) -> None:
    """Give a refusal that has hints for the socket alone, or none, those of the command that was typed."""
    if not error.hints or error.hints[0].startswith("mzt rpc"):
        from marianne_cli.lines.refused import in_words_of

        in_words_of(call.form, error)


def _with_login_names(message: str) -> str:
    if "(uid " not in message:
        return message
    from marianne_cli import people

    return people.with_login_names(message)


def print_misuse(misuse: Misuse, arguments: Sequence[str]) -> int:
    """Print why a line can't be carried out, and what to type for help; return the exit code."""
    if misuse.hints:
        return print_usage_error(misuse.message, misuse.hints)
    return print_usage_error(*usage_message(misuse.message, misuse.command, arguments))


def usage_message(message: str, command: str | None, arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Return a usage message in the manner of this program's others, and what to type then."""
    message = message.rstrip(".")
    if message.endswith(", add -y"):
        import shlex

        return message, [shlex.join(["mzt", *arguments, "-y"])]
    return message[:1].lower() + message[1:], [f"mzt {command} -h" if command else "mzt -h"]


def print_usage_error(message: str, hints: list[str]) -> int:
    """Print what is wrong with the command line; return the exit code."""
    _print_errors([f"mzt: {terminal.line(message)}"], hints)
    return USAGE_EXIT


def print_interrupted(call: Invocation | None) -> int:
    """Print the state of the job that was waited for; return the exit code."""
    if call is not None and call.waiting_on is not None and not call.as_json:
        said = f"mzt: stopped waiting; {_job_state_text(call, call.waiting_on)}"
        _print_errors(["", said] if os.isatty(2) else [said], [])  # the terminal stands behind its ^C
    return INTERRUPTED_EXIT


def _job_state_text(call: Invocation, job_id: str) -> str:
    """Ask once more for the job's status, and say what becomes of the job, as far as that is known."""
    from marianne_cli.client.blocking import connect_raw
    from marianne_cli.people import holder_text

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
    by = holder_text(job["holds"][0]) if job["holds"] else ""
    comes = job["next"]["text"] if job["next"] else "it stays so until someone resumes it"
    return f"{said}{by}; {comes}"


def close_stdout() -> int:
    """Leave stdout to nobody, so that nothing more is written there; return the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return PIPE_EXIT


class StdoutError(OSError):
    """Writing to standard output failed though its reader is there: its disk is full, or broken."""


def write(data: str | bytes) -> None:
    """Write to stdout, at once: whatever a command prints is written here.

    A write that fails drops what the buffer does not hold, so that a later flush would not tell of it.

    Raises:
        BrokenPipeError: its reader is gone.
        StdoutError: it takes no more.
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
        raise StdoutError(error.errno, error.strerror) from None


def print_environment_error(error: OSError) -> int | None:
    """Print what is wrong with this process's output or directory; return the exit code, null: nothing is."""
    try:
        if isinstance(error, StdoutError):
            raise error
        sys.stdout.flush()  # Click and the help of `mzt` write by themselves
    except BrokenPipeError:
        return close_stdout()
    except OSError as unwritten:
        closed = unwritten.errno == errno.EBADF
        why = "stdout is closed" if closed else (unwritten.strerror or "unknown").lower()
        _print_errors([f"mzt: the output can't be written: {why}"], [])
        close_stdout()
        return OUTPUT_EXIT
    if isinstance(error, FileNotFoundError) and not _has_current_directory():
        return print_usage_error("the current directory is gone; go to one that is there", ["cd"])
    return None


def _has_current_directory() -> bool:
    try:
        os.getcwd()  # noqa: PTH109  pathlib is not wanted for this
    except FileNotFoundError:
        return False
    return True


def result_object(result: Mapping[str, Any], finding: str | None = None) -> dict[str, Any]:
    """Return the JSON object of a result: the keys of BASE first, then its own."""
    return {**_BASE, **result, "success": finding is None, "error_code": finding}


def refusal_object(error: MarianneError) -> dict[str, Any]:
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


def print_text(text: str) -> None:
    """Print to stdout; at once, for whoever reads along."""
    said = terminal.screen(text, coloured=wants_colours(sys.stdout))
    write(said if said.endswith("\n") else f"{said}\n")


def print_json_object(call: Invocation, value: Mapping[str, Any]) -> None:
    """Print an object of ours as a line: with the number of its schema, and the fields that are wanted."""
    print_json({**(value if call.fields is None else _keep_fields(value, call.fields)), **_SCHEMA})


def _keep_fields(value: Any, fields: Sequence[str]) -> Any:
    """Return an object with these fields alone; `jobs.status` is one of each object in the list `jobs`."""
    if isinstance(value, list):
        return [_keep_fields(one, fields) for one in value]
    if not isinstance(value, Mapping):
        return value
    inner: dict[str, list[str]] = {}
    for field in fields:
        name, _, rest = field.partition(".")
        inner.setdefault(name, []).extend([rest] if rest else [])
    return {
        name: _keep_fields(value[name], within) if within else value[name]
        for name, within in inner.items()
        if name in value
    }


def print_json(value: object) -> None:
    """Print one JSON value as a line."""
    said = _encode_without_msgspec(value)
    write(f"{terminal.json(_encode(value) if said is None else said)}\n")


def _encode_without_msgspec(value: object) -> str | None:
    """Write JSON without msgspec, which takes long to load; null: of this it makes something else, or all."""
    import json

    try:
        said = json.dumps(value, ensure_ascii=False, allow_nan=False)
        said.encode()
    except (TypeError, ValueError):  # a type of ours, an infinity, or a path that is no text
        return None
    return None if _EXPONENT.search(said) else said


def _encode(value: object) -> str:
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


def _print_errors(lines: list[str], hints: list[str]) -> None:
    said = [
        *(_wrapped(line, sys.stderr) for line in lines),
        *(f"  {terminal.line(hint)}" for hint in hints),
    ]  # those are typed as they are
    sys.stderr.write(terminal.text("\n".join(said)) + "\n")


def _wrapped(line: str, stream: TextIO) -> str:
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
