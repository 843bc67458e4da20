"""The rows of the attempts of a sheet, and of a plan."""

from collections.abc import Mapping, Sequence
from typing import Any

from marianne_cli.screens import render
from marianne_cli.times import age, between, moment
from marianne_cli.top.model import signs
from marianne_cli.top.model.cells import Cell, Column, Row
from marianne_cli.top.model.jobs import count_text
from marianne_cli.top.model.store import Value
from marianned.formatting import dollars, plural

ATTEMPT_COLUMNS = (
    Column("ATTEMPT", 10),
    Column("OUTCOME", 14),
    Column("STARTED", 17),
    Column("TOOK", 8, right=True),
    Column("REV", 4, right=True),
    Column("COST", 9, right=True),
    Column("WHAT"),
)


def attempt_rows(attempts: Sequence[Value]) -> list[Row]:
    """Return a row for each attempt, the newest first."""
    return [Row(("attempt", one["attempt"]), _attempt_cells(one)) for one in reversed(attempts)]


def _attempt_cells(one: Value) -> list[Cell]:
    sign, style = (
        signs.OUTCOMES.get(one["outcome"], signs.UNKNOWN) if one["outcome"] else signs.SHEETS["running"]
    )
    took = between(one["started_at"], one["ended_at"]) if one["ended_at"] else age(one["started_at"])
    return [
        Cell(f"{sign} {one['attempt']}", style),
        Cell((one["outcome"] or "in flight").replace("_", " "), style),
        Cell(moment(one["started_at"], seconds=True)),
        Cell(took, "dim"),
        Cell(str(one["revision"])),
        Cell(dollars(one["cost_usd"], known=True) if one["cost_usd"] else ""),
        Cell(attempt_facts(one)),
    ]


def attempt_facts(one: Value) -> str:
    """Say how an attempt ended, with what, and which of its checks did not pass."""
    tokens = (one["input_tokens"] or 0) + (one["output_tokens"] or 0)
    parts = [
        None if one["exit_code"] in {None, 0} else f"exit {one['exit_code']}",
        one["signal"],
        one["error_category"] if one["error_category"] not in {"exit", None} else None,
        one["instrument"],
        one["model"],
        f"{count_text(one['input_tokens'] or 0)}+{count_text(one['output_tokens'] or 0)} tokens"
        if tokens
        else None,
        None if one["kind"] == "first" else one["kind"],
    ]
    return " · ".join([*failed_checks(one), *(part for part in parts if part)])


def failed_checks(attempt: Mapping[str, Any]) -> list[str]:
    """Say which checks of an attempt did not pass, and why."""
    return [
        ": ".join(
            part
            for part in (check["description"] or check["type"], check["reason"] or check["result"])
            if part
        )
        for check in attempt["validations"]
        if check["result"] in {"failed", "error"}
    ]


PLAN_COLUMNS = (
    Column("", 1),
    Column("SHEET", 6, right=True),
    Column("WAS", 6, right=True),
    Column("STAGE", 24),
    Column("NOW", 10),
    Column("PLAN", 13),
    Column("WHY"),
)


def plan_rows(plan: Sequence[Value]) -> list[Row]:
    """Return a row for each line of a plan; what changes nothing is folded to one row behind the others."""
    moved = any(line["old_sheet"] not in {None, line["sheet"]} for line in plan)
    changes = [line for line in plan if line["runs"] or line["action"] != "kept"]
    kept = len(plan) - len(changes)
    rows = [Row(("plan", place), _plan_cells(line, moved=moved)) for place, line in enumerate(changes)]
    if kept:
        rows.append(Row(None, [Cell(f"= {plural(kept, 'sheet')} kept as they are", "dim")]))
    return rows


def _plan_cells(line: Value, *, moved: bool) -> list[Cell]:
    sign, style = signs.PLANS.get(line["action"], signs.UNKNOWN)
    runs = "runs; " if line["runs"] and line["action"] != "rerun" else ""
    return [
        Cell(sign, style),
        Cell("-" if line["sheet"] is None else str(line["sheet"])),
        Cell("" if not moved else "-" if line["old_sheet"] is None else str(line["old_sheet"])),
        Cell(render.named_place(line)),
        Cell(line["status"] or "-"),
        Cell(line["action"], style),
        Cell(f"{runs}{line['why']}"),
    ]
