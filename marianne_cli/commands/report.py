"""`mzt report`: what ran since a time, what stopped and why, what it cost, and what needs a person."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from marianne_cli import options, times
from marianne_cli.context import CommandOutcome, Invocation
from marianne_cli.faces.groups import needs_person
from marianne_cli.lines import kinds
from marianned.clock import milliseconds
from marianned.errors import NoSuchJob
from marianned.formatting import dollars, plural

_PAGE = 200
_STOPS = {"hold.added", "sheet.failed", "hook.failed", "job.superseded"}
"""Events that say why a job stopped."""
_ASKED = {"job.pausing", "job.paused", "job.cancelling", "job.cancelled"}
"""Events that do where somebody has asked for it."""
_GOES_ON = {"job.running", "job.queued"}
"""Events after which what had stopped the job no longer does, but for a sheet that has failed."""
_TRIED = {"attempt.started", "sheet.completed", "sheet.skipped", "sheet.accepted"}
"""Events after which a sheet that had failed no longer has."""
_NEEDY = ("paused", "failed")

Found = dict[str, Any]


@options.command(
    "report", "mzt report", "mzt report --since 22:00", "mzt report --since 7d --format md", paged=True
)
@options.option(
    "--since",
    metavar="TIME",
    kind=kinds.PastTime(),
    default="24h",
    show_default=True,
    help="From when on: 2h (ago), 07:30, RFC 3339.",
)
@options.option(
    "--format",
    "form",
    kind=kinds.OneOf("text", "md", "json"),
    default="text",
    show_default=True,
    help="For a terminal, as Markdown, or as --json.",
)
def command(call: Invocation, *, since: str, form: str) -> CommandOutcome:
    """Tell what ran, what stopped and why, what it cost, what needs you, and what comes next by itself."""
    from marianne_cli.screens import render
    from marianne_cli.screens import report as screens

    call.as_json = call.as_json or form == "json"
    found = _gather(call, since)
    if form == "md":
        return CommandOutcome(found, text="\n".join(screens.markdown(found)))
    return CommandOutcome(found, text=render.fit_lines(screens.text(found)))


def _gather(call: Invocation, since: str) -> Found:
    """Return what happened from a time (RFC 3339) until now. Source: docs/design/cli.md §2."""
    from marianne_cli.screens.render import seen_to_begin

    jobs = _changed_runs(call, since)
    by_run: dict[object, Found] = {}
    by_instrument: dict[object, Found] = {}
    for attempt in filter(seen_to_begin, _attempts(call, since)):
        used = {"instrument": attempt["instrument"], "model": attempt["model"]}
        _add(by_instrument.setdefault((*used.values(),), used | _empty_sums()), attempt)
        _add(by_run.setdefault((attempt["job_id"], attempt["run"]), _empty_sums()), attempt)
    instruments = sorted(by_instrument.values(), key=lambda one: (-one["cost_usd"], str(one["instrument"])))
    total = sum(one["cost_usd"] for one in instruments)
    cost = {"usd": round(total, 6), "known": all(one["cost_known"] for one in instruments)}
    attempts = sum(one["attempts"] for one in instruments)
    counted = f"{plural(len(jobs), 'run')}, {plural(attempts, 'attempt')}"
    needy = [job for job in jobs if needs_person(job)]
    return {
        "message": f"{counted}, {dollars(total, known=cost['known'])} since {times.moment(since)}",
        "since_at": since,
        "until_at": times.utc(times.now()),
        "needs_person": [_needs_person(call, job) for job in needy],
        "next": [{"job_id": job["job_id"], **job["next"]} for job in jobs if job["next"] is not None],
        "runs": [_run_object(job) | by_run.get((job["job_name"], job["run"]), _empty_sums()) for job in jobs],
        "stopped": sorted(_stops(call, jobs, since), key=lambda entry: entry["event"]),
        "instruments": instruments,
        "cost": cost,
    }


def _changed_runs(call: Invocation, since: str) -> list[Found]:
    """Return the runs that have changed since a time, or have not ended; the newest change last."""
    found: dict[tuple[str, int], Found] = {}
    first = int(call.ask("job.list", runs=True, limit=1)["total"])
    while first > 0:
        first, last = max(0, first - _PAGE), first
        page = call.ask("job.list", runs=True, offset=first, limit=last - first)["jobs"]
        found = {(job["job_name"], job["run"]): job for job in page} | found
        if page and milliseconds(page[0]["timing"]["updated_at"]) < milliseconds(since):
            break
    for job in options.job_list(call, statuses=["active", "held", "failed"])["jobs"]:
        found.setdefault((job["job_name"], job["run"]), job)
    return [job for job in found.values() if _belongs_in_report(job, since)]


def _belongs_in_report(job: Found, since: str) -> bool:
    late = milliseconds(job["timing"]["updated_at"]) >= milliseconds(since)
    return late or job["status"] in _NEEDY or not job["timing"]["completed_at"]


def _attempts(call: Invocation, since: str) -> Iterator[Found]:
    seen = 0
    while page := call.ask("job.attempts", since=since, offset=seen)["attempts"]:
        yield from page
        seen += len(page)


def _empty_sums() -> Found:
    return {
        "attempts": 0,
        "failed_attempts": 0,
        "cost_usd": 0.0,
        "cost_known": True,
        "input_tokens": 0,
        "output_tokens": 0,
    }


def _add(sums: Found, attempt: Found) -> None:
    sums["attempts"] += 1
    sums["failed_attempts"] += attempt["outcome"] not in (None, "succeeded")
    sums["cost_known"] &= attempt["cost_usd"] is not None or attempt["outcome"] is None
    for name in ("cost_usd", "input_tokens", "output_tokens"):
        sums[name] += attempt[name] or 0


def _needs_person(call: Invocation, job: Found) -> Found:
    """Say why a job stands still, and what to type."""
    short: Found = {"job_id": job["job_id"], "status": job["status"], "hints": job["hints"][:1]}
    try:
        why = call.ask("job.why", job_id=job["job_id"])
    except NoSuchJob:
        return short | {"why": []}  # removed meanwhile
    acts = [reason for reason in why["reasons"] if reason["unblocked_by"] == "caller"]
    told = acts if job.get("to_type") else why["reasons"]
    return short | {"why": _count_texts(reason["text"] for reason in told)}


def _run_object(job: Found) -> Found:
    names = ("job_id", "run", "status", "message", "labels", "workspace")
    timing, progress = job["timing"], job["progress"]
    return {name: job[name] for name in names} | {
        "started_at": timing["started_at"],
        "completed_at": timing["completed_at"],
        "completed": progress["completed"],
        "total": progress["total"],
    }


def _stops(call: Invocation, jobs: list[Found], since: str) -> Iterator[Found]:
    """Yield the events by which jobs stopped that have not gone on since."""
    for job in jobs:
        try:
            address = f"{job['job_name']}@{job['run']}"
            entries = call.ask("job.history", job_id=address, since=since, limit=1_000)
        except NoSuchJob:
            continue
        yield from standing_causes(entries["entries"])


def standing_causes(entries: Iterable[Found]) -> list[Found]:
    """Return what of a job's history still stops it: each cause once, the last time, with how often."""
    found: dict[object, Found] = {}
    for entry in entries:
        kind, sheet = entry["type"], entry["sheet"]
        if kind == "job.completed":
            found = {}
        elif kind in _GOES_ON:
            found = {cause: one for cause, one in found.items() if one["type"] == "sheet.failed"}
        elif kind in _TRIED and sheet is not None:
            found = {cause: one for cause, one in found.items() if one["sheet"] != sheet}
        elif kind in _STOPS or (kind in _ASKED and entry["caller"]):
            whose = (entry["caller"] or {}).get("uid")
            cause = kind, sheet, entry.get("cause"), entry["text"], entry["reason"], whose
            times = found.pop(cause, {"times": 0})["times"] + 1
            found[cause] = entry | {"times": times}
    return list(found.values())


def _count_texts(texts: Iterable[str]) -> list[str]:
    """Return each text once, with how often it was there."""
    return [text if count == 1 else f"{text} ({count} times)" for text, count in Counter(texts).items()]
