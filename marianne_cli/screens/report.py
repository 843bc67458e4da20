"""What happened since a time, for a terminal and as Markdown; both say the same, in the same parts."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from marianne_cli import people
from marianne_cli.screens import render
from marianne_cli.times import between, moment
from marianned.formatting import dollars

Found = Mapping[str, Any]
_ACTIVE = re.compile(r"[\\`*_\[\]<>#~|!&^=@]|://|\b[a-z]+:\S|www\.", re.IGNORECASE)
"""What Markdown may take for more than text: emphasis, HTML, links, also those that nobody marks."""
_TICKS = re.compile("`+")


class _ReportSection(NamedTuple):
    """A section of the report: its heading, column names and rows; without rows it is not shown."""

    heading: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def text(found: Found) -> list[str]:
    """Return the lines for a terminal."""
    lines = [found["message"]]
    for part in _sections(found):
        lines += ["", part.heading, *render.table([part.columns, *part.rows], indent="  ")]
    return lines


def markdown(found: Found) -> list[str]:
    """Return the lines of a Markdown page."""
    lines = [f"# {_cell(found['message'])}"]
    for part in _sections(found):
        rows = [part.columns, ["---"] * len(part.columns), *part.rows]
        lines += ["", f"## {part.heading}", "", *(f"| {' | '.join(map(_cell, row))} |" for row in rows)]
    return lines


def _cell(text: str) -> str:
    """Write a text of anybody's into a row; as code where it could be active: nothing is, there."""
    text = text.replace("\n", " ").strip()
    if not _ACTIVE.search(text):
        return text
    ticks = "`" * (max((len(run) for run in _TICKS.findall(text)), default=0) + 1)
    edge = " " if text.startswith("`") or text.endswith("`") else ""
    barred = text.replace("\\|", "\\ |").replace("|", "\\|")  # a bar ends the cell, in code too
    return f"{ticks}{edge}{barred}{edge}{ticks}"


def _sections(found: Found) -> Iterator[_ReportSection]:
    parts = (
        _ReportSection(
            "Needs you", ("JOB", "STATUS", "TYPE", "WHY"), [*map(_needs_person_row, found["needs_person"])]
        ),
        _ReportSection("Next, by itself", ("JOB", "WHAT"), [*map(_next_row, found["next"])]),
        _ReportSection(
            "Runs",
            ("JOB", "STATUS", "SHEETS", "ATTEMPTS", "FAILED", "COST", "TOOK"),
            [*map(_run_row, found["runs"])],
        ),
        _ReportSection("What stopped", ("WHEN", "JOB", "WHO", "WHAT"), [*map(_stop_row, found["stopped"])]),
        _ReportSection(
            "Instruments",
            ("INSTRUMENT", "MODEL", "ATTEMPTS", "FAILED", "COST", "TOKENS IN", "OUT"),
            [*map(_instrument_row, found["instruments"])],
        ),
    )
    return (part for part in parts if part.rows)


def _needs_person_row(one: Found) -> tuple[str, ...]:
    return one["job_id"], one["status"], (one["hints"] or [""])[0], "; ".join(one["why"])


def _next_row(one: Found) -> tuple[str, ...]:
    return one["job_id"], render.next_step_text(one)


def _run_row(one: Found) -> tuple[str, ...]:
    began, ended = one["started_at"], one["completed_at"]
    took = between(began, ended) if began and ended else ""
    return one["job_id"], one["status"], f"{one['completed']}/{one['total']}", *_count_cells(one), took


def _count_cells(one: Found) -> tuple[str, str, str]:
    cost = dollars(one["cost_usd"], known=one["cost_known"])
    return str(one["attempts"]), str(one["failed_attempts"] or ""), cost


def _stop_row(one: Found) -> tuple[str, ...]:
    reason = f' "{one["reason"]}"' if one["reason"] else ""
    job, who = f"{one['job_id']}@{one['run']}", people.who(one["caller"])
    times = f" ({one['times']} times)" if one["times"] > 1 else ""
    return moment(one["recorded_at"]), job, who, f"{one['text']}{reason}{times}"


def _instrument_row(one: Found) -> tuple[str, ...]:
    tokens = (f"{one[name]:,}" if one[name] else "" for name in ("input_tokens", "output_tokens"))
    return (one["instrument"], one["model"] or "", *_count_cells(one), *tokens)
