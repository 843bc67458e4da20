"""What the page is told of jobs and sheets: the values of the protocol, cut down to what a screen shows.

A tab hears of a change within a second, for hours: so what changes seldom is told apart from what changes
often, and what a list does not show is not told to it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from marianne_cli import terminal
from marianne_cli.faces import actions
from marianne_cli.faces.groups import group_of

_ROW = (
    "job_id",
    "job_name",
    "run",
    "status",
    "message",
    "description",
    "labels",
    "status_since_at",
    "progress",
    "next",
    "cost",
    "timing",
    "revision",
    "hindered_by",
)
_TOLD_APART = ("in_flight", "waiting", "problems", "event")
"""Parts of a job that are told apart from it, or not at all."""
_STATIC = ("sheet", "stage", "instance", "label", "name", "instrument")
_MOVING = (
    "sheet",
    "status",
    "attempt_count",
    "revision",
    "waiting_for",
    "until_at",
    "started_at",
    "ended_at",
    "error_message",
    "kept_back_by",
    "skip_reason",
    "cost_usd",
)


def row(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job as the list of jobs shows it."""
    told = {key: job[key] for key in _ROW}
    hold = job["holds"][0] if job["holds"] else None
    return {
        **terminal.reply(told),
        "group": group_of(job),
        "hold": terminal.reply(hold),
        "offers": _offers(job),
    }


def full_job(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job as its own page shows it, without what changes with each sheet."""
    told = terminal.reply({key: value for key, value in job.items() if key not in _TOLD_APART})
    return {
        **told,
        "offers": _offers(job),
        "earlier": actions.is_earlier(job),
        "takes_score": actions.takes_score(job),
    }


def static_sheets(sheets: Iterable[Mapping[str, Any]], graph: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stays of a job's sheets while a revision is in force: the rows, and the needs by stage."""
    listed = list(sheets)
    stage_of = {sheet["sheet"]: sheet["stage"] for sheet in listed}
    needs = {node["stage"]: {*node["needs"], *node["needs_own"]} for node in graph["stages"]}
    for sheet in graph["sheets"]:
        stage = stage_of.get(sheet["sheet"])
        needs.setdefault(stage, set()).update(stage_of[need] for need in sheet["needs"] if need in stage_of)
    return {
        "revision": graph["revision"],
        "keys": _STATIC,
        "sheets": [terminal.reply([sheet[key] for key in _STATIC]) for sheet in listed],
        "needs": {stage: sorted(stages - {stage}) for stage, stages in needs.items()},
    }


def sheet_values(sheet: Mapping[str, Any]) -> list[Any]:
    """Return what changes of a sheet, in the order of `MOVING_KEYS`."""
    told: list[Any] = terminal.reply([sheet[key] for key in _MOVING])
    return told


MOVING_KEYS = _MOVING


def flights(items: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return what is in flight and says something, each by what tells it from the others of its job."""
    told = [{key: item[key] for key in ("sheet", "hook", "attempt", "last_line")} for item in items]
    return {
        f"{one['sheet'] or 0}/{one['hook'] or 0}": terminal.reply(one) for one in told if one["last_line"]
    }


def event(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event without what it does not say."""
    said: dict[str, Any] = terminal.reply({key: value for key, value in told.items() if value is not None})
    return said


def sheet_offers(job: Mapping[str, Any], sheet: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what can be asked about a sheet."""
    return [offer._asdict() for offer in actions.sheet_offers(job, sheet)]


def _offers(job: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [offer._asdict() for offer in actions.offers(job)]
