"""`mzt status`: what a job does, what is safe, what comes next; and `mzt` alone."""

from collections.abc import Mapping
from typing import Any

from marianne_cli import exits, options
from marianne_cli.context import CommandOutcome, Invocation
from marianne_cli.lines import kinds
from marianne_cli.lines.misuse import Misuse
from marianne_cli.screens import jobs as screens
from marianne_cli.screens import render
from marianned import __version__
from marianned.errors import BadRequest, MarianneError, NoDaemon
from marianned.formatting import versions_apart

_NO_DAEMON = """\
Run scores; pause them at a sheet boundary, change them, go on. No daemon runs.
  mzt demo                     see it work: 15 seconds, no AI account
  mzt init                     write a first score
  mzt run FILE                 run it; the daemon starts by itself
  mzt pause JOB                pause it at its next sheet boundary
  mzt modify JOB -c FILE -r    give it a new score and go on
  mzt --help                   everything else"""


@options.command(
    "status",
    "mzt status",
    "mzt status release-notes",
    "mzt status release-notes 2,3 -j",
    "mzt status release-notes --watch",
    watched=True,
)
@options.argument("job", metavar="[JOB]", required=False, kind=kinds.JobName())
@options.sheets_argument
@options.flag("--failed", help="Show the failed sheets alone, each with its reason.")
@options.flag("--metrics", help="Print the daemon's counts and latencies for Prometheus.")
def command(
    call: Invocation, *, job: str | None, sheets: str | None, failed: bool, metrics: bool
) -> CommandOutcome:
    """Show what a job does, what is safe, what comes next; without JOB: show the daemon."""
    if metrics:
        return _metrics(call, job)
    if job is None:
        if failed:
            raise Misuse("'--failed' is about one job: name it")
        return daemon_status(call)
    details = job_details(call, job, sheets)
    details.pop("total_sheets", None)
    if failed:
        details["sheets"] = [sheet for sheet in details["sheets"] if sheet["status"] == "failed"]
    call.note_warnings(details)
    call.note_version()
    unfolded = call.verbose or failed
    rows = "  " if sheets is None else None  # sheets that are asked for are told in full
    lines = screens.job_screen(details, unfolded=unfolded)
    return CommandOutcome(details, text=render.fit_lines(lines, rows=rows, nested=True))


def _metrics(call: Invocation, job: str | None) -> CommandOutcome:
    from marianne_cli.screens.prometheus import exposition

    if job is not None:
        raise Misuse("'--metrics' is about the daemon: it takes no JOB")
    status = call.ask("daemon.status", metrics=True)
    return CommandOutcome({**status, "jobs": []}, text=exposition(status))


_NEEDS_MOST = 100
"""Of so many sheets what each needs comes with them; of a job that has more it is told by stages."""


def job_details(call: Invocation, job: str, sheets: str | None = None) -> dict[str, Any]:
    """Ask for a job with all its sheets, page by page.

    What the sheets of a large job need is asked once, by stages: sheet by sheet, ten stages of 300 need
    810,000 numbers, and to read them took nearly all of the time.
    """
    asked = {"job_id": job, "sheets": sheets}
    without: dict[str, Any] = {"without": ["sheets.needs"]}
    while True:
        details = call.ask("job.status", **asked, limit=_NEEDS_MOST)
        if len(details["sheets"]) >= details["total_sheets"]:
            return details
        try:
            needs = _needs(call, details)
        except BadRequest:  # a daemon of before has no graph
            needs, without = {}, {}
        if needs is None:
            continue  # there is a new revision or run by now
        more: Mapping[str, Any] = details
        while more["sheets"] and len(details["sheets"]) < details["total_sheets"]:
            more = call.ask("job.status", **asked, **without, offset=len(details["sheets"]))
            if _sheets_version(more) != _sheets_version(details):
                break
            details["sheets"] += more["sheets"]
        else:
            for sheet in details["sheets"] if without else ():
                sheet["needs"] = needs[sheet["sheet"]]
            return details


def _sheets_version(told: Mapping[str, Any]) -> tuple[int, int]:
    """Return what the numbers of a job's sheets hold for."""
    return told["run"], told["revision"]


def _needs(call: Invocation, details: Mapping[str, Any]) -> dict[int, list[int]] | None:
    """Return what each sheet of a job needs; null: the job is at another revision by now."""
    graph = call.ask("job.graph", job_id=details["job_id"])
    others = graph["sheets"]
    while len(others) < graph["total"]:
        page = call.ask("job.graph", job_id=details["job_id"], offset=len(others))
        if not page["sheets"] or _sheets_version(page) != _sheets_version(graph):
            return None
        others += page["sheets"]
    if _sheets_version(graph) != _sheets_version(details):
        return None
    first = {node["stage"]: node["first"] for node in graph["stages"]}
    count = {node["stage"]: node["count"] for node in graph["stages"]}
    needs: dict[int, list[int]] = {}
    for node in graph["stages"]:
        every = [first[stage] + place for stage in node["needs"] for place in range(count[stage])]
        for place in range(node["count"]):
            own = [first[stage] + place for stage in node["needs_own"]]
            needs[node["first"] + place] = sorted([*every, *own]) if own else every
    return needs | {one["sheet"]: one["needs"] for one in others}


def daemon_status(call: Invocation) -> CommandOutcome:
    """Ask how the daemon does, and for the jobs that matter now."""
    status = call.ask("daemon.status")
    jobs = options.job_list(call, statuses=["active", "held", "failed"])["jobs"]
    degraded = [f"degraded: {why}" for why in status["degraded_by"]]
    apart = versions_apart(status["version"], __version__)
    if apart is not None:
        degraded.append(f"{apart[0]}; type: {' · '.join(apart[1])}")
        status["hints"] = [*status["hints"], *apart[1]]
    lines = [status["message"], *degraded, *screens.stranger_lines(status), *screens.jobs_table(jobs)]
    return CommandOutcome({**status, "jobs": jobs}, text=render.fit_lines(lines))


def without_command(given: Mapping[str, Any]) -> int:
    """Answer `mzt` without a command: the daemon's screen, or how to begin; `given` are its own options."""
    as_json, quiet, verbose = (bool(given.get(name)) for name in ("as_json", "quiet", "verbose"))
    call = Invocation(socket=given.get("socket"), as_json=as_json, quiet=quiet, verbose=verbose)
    try:
        answer = daemon_status(call)
        if not call.as_json:
            answer = answer._replace(text=f"{answer.text}\nmzt --help lists all commands")
        return exits.print_outcome(call, answer)
    except NoDaemon as error:
        if call.as_json:
            return exits.print_refusal(call, error)
        exits.print_text(_NO_DAEMON)
        return 0
    except MarianneError as error:
        return exits.print_refusal(call, error)
    finally:
        call.close()
