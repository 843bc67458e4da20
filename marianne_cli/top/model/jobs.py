"""What stands in the rows: jobs by group, sheets by stage, attempts, a plan; text and style names, pure."""

from marianne_cli.faces.groups import JobGroup
from marianne_cli.people import who as who_is
from marianne_cli.screens import jobs as screens
from marianne_cli.screens import render
from marianne_cli.times import age, moment, running_times
from marianne_cli.top.model import signs
from marianne_cli.top.model.cells import Cell, Column, Row
from marianne_cli.top.model.store import StateStore, Value
from marianned.formatting import dollars, plural
from marianned.protocol import lifted_by

_BAR = 10
_UNTIL = " until someone resumes it"

JOB_COLUMNS = (
    Column("", 1),
    Column("JOB", 28),
    Column("STATUS", 10),
    Column("SHEETS", 11, right=True),
    Column("", _BAR, shown_from=96),
    Column("AGE", 7, right=True),
    Column("COST", 9, right=True, shown_from=84),
    Column("WHAT"),
)
_GROUP_STYLE = {
    JobGroup.NEEDS_YOU: "warn bold",
    JobGroup.RUNNING: "run bold",
    JobGroup.WAITING: "bold",
    JobGroup.ENDED: "dim bold",
}


def job_rows(store: StateStore, words: str, *, failed_only: bool = False) -> tuple[list[Row], list[str]]:
    """Return the rows of the jobs that have these words, and their job_ids; a title above each group."""
    rows: list[Row] = []
    shown: list[str] = []
    for group, jobs in store.jobs_by_group():
        matching = [
            job for job in jobs if matches(job, words) and (job["status"] == "failed" or not failed_only)
        ]
        if matching:
            rows.append(Row(None, [Cell(f"{group.upper()} ", _GROUP_STYLE[group])]))
            rows += [Row(job["job_id"], job_cells(job)) for job in matching]
            shown += [job["job_id"] for job in matching]
    return rows, shown


def matches(job: Value, words: str) -> bool:
    """Tell whether all the words stand in a job's name, status, labels, or what is told of it."""
    text = " ".join(
        [job["job_id"], job["status"], *job.get("labels", ()), job["message"], job["workspace"]]
    ).lower()
    return all(word in text for word in words.lower().split())


def job_cells(job: Value) -> list[Cell]:
    """Return a job's cells."""
    sign, style = signs.JOBS.get(job["status"], signs.UNKNOWN)
    progress = job["progress"]
    done, total = progress["completed"], progress["total"]
    return [
        Cell(sign, style),
        Cell(job["job_id"], "bold"),
        Cell(job["status"], style),
        Cell(f"{done}/{total}"),
        Cell(signs.bar(done, total, _BAR), style),
        Cell(age(job["status_since_at"]), "dim"),
        Cell(cost_text(job["cost"]), "dim"),
        Cell(status_detail(job)),
    ]


def cost_text(cost: Value) -> str:
    """Say what was spent; empty for nothing."""
    return (
        ""
        if not cost["usd"] and cost["known"]
        else dollars(cost["usd"], known=cost["known"]).replace("at least ", "≥")
    )


def status_detail(job: Value) -> str:
    """Say why a job stands where it stands, and what comes: the status itself stands beside it."""
    said = screens.state_text(job).removeprefix(job["status"]).lstrip(" ;,")
    stays = f"stays {job['status']}{_UNTIL}"
    said = said.removesuffix(stays).rstrip(" ;") or ("paused" if job["status"] == "paused" else "")
    if job["status"] == "running" and (last := last_line(job)):
        return f"{said} │ {last}" if said else last
    return said


def last_line(job: Value) -> str:
    """Return what was printed last of all that is in flight; older daemons don't tell."""
    told = [one for one in job["in_flight"] if one.get("last_line")]
    newest = max(told, key=lambda one: one.get("last_output_at") or "", default=None)
    return "" if newest is None else str(newest["last_line"])


def head_lines(job: Value) -> list[list[Cell]]:
    """Return the lines at the top of a job: where it stands and why, what is safe, what it came to."""
    sign, style = signs.JOBS.get(job["status"], signs.UNKNOWN)
    said = screens.state_text(job).removeprefix(job["status"])
    since = f" since {moment(job['status_since_at'])} ({age(job['status_since_at'])})"
    first = [
        Cell(f"{sign} {job['job_id']}  ", f"{style} bold"),
        Cell(job["status"], f"{style} bold"),
        Cell(f"{since}{said}"),
    ]
    safe = job["safe_to"]
    second = [Cell("safe to ", "dim")]
    for word, key in _SAFE:
        second += [Cell(f"{word} "), _yes_or_no(safe[key]), Cell(" · ", "dim")]
    progress, cost = job["progress"], job["cost"]
    staged = f" ({job['staged_revision']} staged)" if job["staged_revision"] is not None else ""
    tokens = cost["input_tokens"] + cost["output_tokens"]
    parts = [
        f"{progress['completed']}/{plural(progress['total'], 'sheet')}",
        *(f"loop {one['span']} round {one['round']}/{one['up_to']}" for one in progress.get("loops", ())),
        f"rev {job['revision']}{staged}",
        dollars(cost["usd"], known=cost["known"]) if cost["usd"] or not cost["known"] else "",
        f"{count_text(cost['input_tokens'])}+{count_text(cost['output_tokens'])} tokens" if tokens else "",
    ]
    second.append(Cell(" · ".join(part for part in parts if part), "dim"))
    return [first, second, *([Cell(f"! {one}", "warn")] for one in job.get("hindered_by", ()))]


_SAFE = (("edit files", "edit_files"), ("stop daemon", "stop_daemon"), ("power off", "switch_off"))


def _yes_or_no(is_so: bool) -> Cell:
    return Cell("yes" if is_so else "NO", "good" if is_so else "bad bold")


def count_text(count: int) -> str:
    """Return a number of tokens as text: `812`, `12k`, `3.4M`."""
    if count < 10_000:  # noqa: PLR2004
        return str(count)
    return f"{count // 1_000}k" if count < 1_000_000 else f"{count / 1_000_000:.1f}M"  # noqa: PLR2004


def detail_lines(job: Value) -> list[list[Cell]]:
    """Return what else there is to say of a job: its holds, waits, what runs, and what to type."""
    lines = head_lines(job)
    for hold in job["holds"]:
        owner = hold["owner"]
        who = who_is(owner) if owner is not None else "the daemon"
        reason = f' "{hold["reason"]}"' if hold["reason"] else ""
        ends = f", ends by itself {moment(hold['ends_at'])}" if hold["ends_at"] else ""
        by = "" if ends else f", lifted by: {lifted_by([hold['cause']], job['job_id'])}"
        since = f" since {moment(hold['held_at'])}"
        lines.append(
            [
                Cell("hold   ", "warn"),
                Cell(f"{hold['cause']}  {who}{reason}{since}"),
                Cell(f"{ends}{by}", "dim"),
            ]
        )
    for wait in job["waiting"][:_MOST]:
        until = f" until {moment(wait['until_at'], seconds=True)}" if wait["until_at"] else ""
        what_for = str(wait["waiting_for"]).replace("_", " ")
        lines.append([Cell("waits  ", "warn"), Cell(f"{_item_text(wait)}  {what_for}{until}")])
    for flight in job["in_flight"][:_MOST]:
        times = running_times(flight)
        last = f"  │ {flight['last_line']}" if flight.get("last_line") else ""
        attempt = f"attempt {flight['attempt']} " if flight["attempt"] else ""
        lines.append(
            [Cell("runs   ", "run"), Cell(f"{_item_text(flight)}  {attempt}{times}"), Cell(last, "dim")]
        )
    rest = max(0, len(job["waiting"]) - _MOST) + max(0, len(job["in_flight"]) - _MOST)
    if rest:
        lines.append([Cell(f"       and {rest} more", "dim")])
    if job["hints"]:
        lines.append([Cell("type   ", "dim"), Cell(" · ".join(job["hints"]))])
    labels = f" · labels {', '.join(job['labels'])}" if job.get("labels") else ""
    lines.append([Cell(f"       {job['workspace']}{labels}", "dim")])
    return lines


_MOST = 6


def _item_text(item: Value) -> str:
    if item.get("hook"):
        return f"hook {item['hook']}"
    if item.get("loop"):
        return f"loop {item['loop']} is judged"
    label = f" {item['label']}" if item.get("label") else ""
    where = f" of {item['job_id']}" if item.get("job_id") else ""
    return f"sheet {item['sheet']} ({render.place(item)}{label}){where}"
