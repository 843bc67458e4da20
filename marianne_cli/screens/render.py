"""Text from results: columns, names of people, the colours of statuses. Pure but for the terminal's width."""

import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from marianne_cli import terminal
from marianne_cli.context import has_width, wants_colours
from marianne_cli.people import who
from marianne_cli.times import moment, soon
from marianned.formatting import CONTROLS
from marianned.places import LOCAL

_COLOURS = {
    "running": 32,
    "pausing": 33,
    "paused": 33,
    "waiting": 33,
    "cancelling": 31,
    "failed": 31,
    "cancelled": 31,
    "completed": 36,
}
_WORD = re.compile(r"\b(" + "|".join(_COLOURS) + r")\b")
_ROW = re.compile(r" +(?:\S| (?! ))+ {2,}(?=\S)")
"""What stands before the second column of a row."""
_ESCAPES = re.compile(
    r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|"
    rf"[{CONTROLS}]"
)


def table(rows: Sequence[Sequence[str]], *, indent: str = "", widths: Sequence[int] = ()) -> list[str]:
    """Set rows in columns two blanks apart; `widths` are least widths. The last column has none.

    A cell is one line, whatever name or path is in it.
    """
    rows = [[terminal.line(cell) for cell in row] for row in rows]
    columns = len(rows[0]) if rows else 0
    least = [*widths, *([0] * (columns - len(widths)))]
    wide = [max(least[i], *(len(row[i]) for row in rows)) for i in range(columns)]
    return [(indent + "  ".join(cell.ljust(wide[i]) for i, cell in enumerate(row))).rstrip() for row in rows]


def colour_status(line: str) -> str:
    """Colour the first status word of a line."""
    return _WORD.sub(lambda found: f"\x1b[{_COLOURS[found[0]]}m{found[0]}\x1b[0m", line, count=1)


def fit_lines(lines: Iterable[str], rows: str | None = "", hang: int = 2, *, nested: bool = False) -> str:
    """Join lines; on a terminal colour their statuses, unless it wants none, and fit them to its width.

    Those that begin with `rows` are cut (null: none is); the others are wrapped between words, what goes on
    indented by `hang`, which is beyond their own indentation where they are `nested`.
    """
    if has_width(sys.stdout):
        columns = int(width())
        lines = [
            _to_width(line, columns, rows, hang + nested * (len(line) - len(line.lstrip()))) for line in lines
        ]
    return "\n".join(map(colour_status, lines) if wants_colours(sys.stdout) else lines)


def fit_columns(text: str) -> str:
    """Fit paragraphs and rows of two columns to a terminal; the second column is wrapped below itself."""
    columns = width()
    if max(map(len, text.split("\n"))) <= columns:
        return text
    text = re.sub(r"(?<=\S)\n(?=\S)", " ", text)
    return "\n".join(
        _to_width(
            line, int(columns), None, row.end() if (row := _ROW.match(line)) else 4 * line.startswith(" ")
        )
        for line in text.split("\n")
    )


def width() -> float:
    """Return how many columns there are; where stdout is no terminal, as many as one likes."""
    return os.get_terminal_size(sys.stdout.fileno()).columns if has_width(sys.stdout) else float("inf")


def _to_width(line: str, width: int, rows: str | None, hang: int) -> str:
    if not 0 < width < len(line):
        return line
    if rows is not None and line.startswith(rows):
        return f"{line[: width - 1]}…"
    import textwrap

    indent = " " * min(hang, width // 2)
    wrapped = textwrap.wrap(
        line,
        width,
        subsequent_indent=indent,
        break_on_hyphens=False,
        replace_whitespace=False,
        drop_whitespace=True,
        expand_tabs=False,
    )
    return "\n".join(wrapped)


def strip_escapes(text: str) -> str:
    """Take escape sequences and control characters out of what a program printed."""
    return _ESCAPES.sub("", text.replace("\r\n", "\n"))


def next_step_text(step: Mapping[str, Any], in_flight: Iterable[Mapping[str, Any]] = ()) -> str:
    """Return a job's next step and its time: `pauses when sheets 2, 3 end, by 14:17`.

    `in_flight` are the attempts of the job that are shown beside it, each with its limit.
    """
    if step["due_at"]:
        return f"{step['text']}, at {soon(step['due_at'])}"
    if step["latest_at"]:
        return f"{step['text']}, {deadline_text(step['latest_at'], in_flight)}"
    return str(step["text"])


_ENDING_SECONDS = 60
"""An attempt that ends within this time after its limit counts as over by that limit."""


def deadline_text(latest: str, in_flight: Iterable[Mapping[str, Any]]) -> str:
    """Return by when everything in flight is over: the limit shown, if only the ending comes after it.

    Otherwise one deadline would be shown as two, a minute apart.
    """
    over = datetime.fromisoformat(latest)
    limits = [
        limit
        for flight in in_flight
        if (limit := flight["time_limit_at"])
        and 0 <= (over - datetime.fromisoformat(limit)).total_seconds() < _ENDING_SECONDS
    ]
    return f"by {moment(max(limits, default=latest))}"


def place(item: Mapping[str, Any]) -> str:
    """Name a sheet's place: `2.1`; a hook is `hook 1`."""
    if item.get("hook"):
        return f"hook {item['hook']}"
    return f"{item['stage']}.{item['instance']}"


def named_place(item: Mapping[str, Any], name: str | None = None) -> str:
    """Name a sheet's place, with its stage's name: `2.1 review`; a daemon of before tells no name."""
    name = name or item.get("name")
    return f"{place(item)} {name}" if name else place(item)


def seen_to_begin(attempt: Mapping[str, Any]) -> bool:
    """Tell whether an attempt has begun, or may yet: one for a cluster can be refused, or taken back."""
    here = attempt.get("executor", LOCAL) == LOCAL
    if here or attempt.get("cluster_job") is not None:
        return True
    return (
        attempt.get("outcome") not in {"interrupted", "lost"} and attempt.get("error_category") != "refused"
    )


def node_text(attempt: Mapping[str, Any]) -> str:
    """Return where an attempt runs, or ran: `on n2, job 17`; empty: on the daemon's host."""
    number, name = attempt.get("cluster_job"), attempt.get("node")
    if number is None:
        executor = attempt.get("executor", LOCAL)
        on = "on" if seen_to_begin(attempt) else "not seen to begin on"
        return "" if executor == LOCAL else f"{on} {executor}"
    return f"on {name}, job {number}" if name else f"job {number}"


def event_line(event: Mapping[str, Any]) -> str:
    """Write an event as a line of progress: `14:05:12  pause asked`."""
    said = event["text"] or event["type"]
    by = who(event["caller"])
    reason = f' "{event["reason"]}"' if event["reason"] else ""
    return f"{moment(event['recorded_at'], seconds=True)}  {said}{f' by {by}' if by else ''}{reason}"
