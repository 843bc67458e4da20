"""The screens: one job, all jobs, a plan, a history, the journal; text lines from results.

Their shapes are fixed by docs/design/cli.md §2 and §5. All of them are functions of the JSON results and of
times.now().
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from marianne_cli import people, terminal
from marianne_cli.screens import render
from marianne_cli.times import age, between, moment, running_times, soon
from marianned.formatting import assignments, dollars, file_list, plural, ranges

Result = Mapping[str, Any]

_ROWS = 9
"""So many rows of sheets are shown in their order; more are summed up."""
_ENDED = {"completed", "failed", "cancelled"}
_STILL = {"paused", *_ENDED}
_URGENT = ("running", "waiting", "failed")
"""Sheets that are shown, each, before all others where not all can be."""
_URGENT_MOST = 12
_TO_TYPE_MOST = 3
"""How many commands are shown that a person has to type."""
_FOLDED = {"completed", "skipped", "pending", "cancelled"}
_HOOK_WAITS = {
    "cooldown": "cool-down",
    "job": "waits for {job}",
    "end": "submitted when this job ends",
    "slot": "waits for a slot",
    "drain": "waits for the end of the drain",
    "disk": "waits for room on the disk",
}


def job_screen(job: Result, *, unfolded: bool = False) -> list[str]:
    """One job: where it stands, whether it is safe to touch, its sheets, what it came to so far."""
    sheets = job["sheets"]
    lines = [
        _first_line(job),
        *job.get("hindered_by", []),
        *drift_lines(
            job, "changed since it failed" if job["status"] == "failed" else "changed since the pause"
        ),
        _safe_line(job),
        *_sheet_rows(job, sheets, unfolded=unfolded),
    ]
    for sheet in sheets:
        lines += _attempt_lines(sheet)
    given = assignments(job.get("variables", {})) if unfolded else ""
    values = [f"with {given}"] if given else []
    return [
        *lines,
        *_hook_rows(job.get("hooks", []), job["status"]),
        *values,
        _last_line(job, sheets),
    ]


def stranger_lines(daemon: Result) -> list[str]:
    """Say what runs, or ran, that the database does not know; a daemon of before tells of none."""
    lines = [daemon["restored"]] if daemon.get("restored") else []
    for one in daemon.get("strangers", []):
        of = f"{one['job_id']}, " if one["job_id"] else ""
        what = f"not in the database: {one['attempt']} ({of}pid {one['pid']}) runs and is left alone"
        lines.append(f"{what}; to end it, type: kill {one['pid']}")
    return lines


def drift_lines(job: Result, said: str) -> list[str]:
    """Say which files of the workspace were changed while a job stood still; older daemons don't tell."""
    seen = job.get("drift")
    if not seen:
        return []
    if seen["unwatched"]:
        return [f"what others have changed in its workspace is not known: {seen['unwatched']}"]
    if not seen["total"]:
        return []
    files = file_list(((one["path"], one["how"]) for one in seen["changes"]), seen["total"])
    return [f"{said}: {files}"]


def _hook_rows(hooks: Sequence[Result], status: str) -> list[str]:
    """A row for each hook; before their phase has come one for all of a success, and one for a failure's.

    Of a job that has completed no hook of a failure is still to run: those that are set back are left out.
    """
    hooks = [
        hook
        for hook in hooks
        if not (status == "completed" and hook.get("after_failure") and hook["status"] == "pending")
    ]
    of_failure = [bool(hook.get("after_failure")) for hook in hooks]
    count = of_failure.index(True) if True in of_failure else len(hooks)
    ended = status in _ENDED
    return [
        *_hook_group_rows(hooks[:count], "", ended=ended),
        *_hook_group_rows(hooks[count:], "runs if the job fails", ended=ended),
    ]


def _hook_group_rows(hooks: Sequence[Result], when: str, *, ended: bool) -> list[str]:
    untouched = all(hook["status"] == "pending" and not hook["attempt_count"] for hook in hooks)
    left_out = next((hook["skip_reason"] for hook in hooks if hook.get("skip_reason")), None)
    status, when = ("pending", when) if left_out is None else ("skipped", left_out)
    if hooks and untouched and (len(hooks) > 1 or when):
        name = f"hook{'s' if len(hooks) > 1 else ''} {ranges([hook['hook'] for hook in hooks])}"
        return [f"  {name}  {status}{f'  {when}' if when else ''}"]
    rows = [
        (f"hook {hook['hook']}", hook["status"], hook["label"], _hook_detail(hook, ended=ended))
        for hook in hooks
    ]
    return render.table(rows, indent="  ")


def _hook_detail(hook: Result, *, ended: bool) -> str:
    if hook["status"] == "running":
        since, limit = moment(hook["started_at"]), moment(hook["time_limit_at"])
        return f"attempt {hook['attempt_count']} since {since}, limit {limit}"
    if hook["waiting_for"] == "end" and ended:
        return "not submitted: this job has ended without it"
    if hook["waiting_for"]:
        until = f" until {soon(hook['until_at'])}" if hook["until_at"] else ""
        return _HOOK_WAITS[hook["waiting_for"]].format(job=hook["chained"]) + until
    return str(hook["error_message"] or hook["chained"] or "")


def _first_line(job: Result) -> str:
    name = job["job_name"] if job["job_id"] is None else job["job_id"]
    since = f"{job['status']} since {moment(job['status_since_at'])} ({age(job['status_since_at'])})"
    return "; ".join(part for part in (f"{name}  {_state_text(job, since)}", _breakpoints_text(job)) if part)


def state_text(job: Result) -> str:
    """Return a job's status with its cause and what comes next, for a line among others."""
    return _state_text(job, job["status"])


def _state_text(job: Result, said: str) -> str:
    hold = job["holds"][0] if job["holds"] and job["status"] in {"paused", "pausing"} else None
    by = _requester_text(job) if hold is None else people.holder_text(hold)
    return "; ".join(part for part in (f"{said}{by}", _cause_text(job, hold), _next_text(job)) if part)


def _requester_text(job: Result) -> str:
    """Return who cancelled a job, and why; of one that goes on, who resumed it, if the reason is known."""
    asked = job.get("last_request")
    if not asked:
        return ""
    told = people.holder_text({"owner": asked["caller"], "reason": asked["reason"]})
    if job["status"] in {"cancelled", "cancelling"} and asked["type"].startswith("job.cancel"):
        return told
    resumed = asked["type"] == "hold.released" or asked["text"].startswith("resume")
    return (
        f", resumed{told}" if resumed and asked["reason"] and job["status"] in {"running", "queued"} else ""
    )


def _breakpoints_text(job: Result) -> str:
    """Return before which sheets the job will pause."""
    marked = job.get("breakpoints", ())
    if not marked or job["status"] in _ENDED:
        return ""
    if len(marked) == 1:
        names = {sheet["sheet"]: sheet.get("name") for sheet in job.get("sheets", ())}
        place = render.named_place(marked[0], names.get(marked[0]["sheet"]))
        return f"pauses before sheet {marked[0]['sheet']} ({place})"
    return f"pauses before sheets {ranges(item['sheet'] for item in marked)}"


def _cause_text(job: Result, hold: Result | None) -> str:
    if job["status"] == "failed":
        return str(job["message"]).partition("; ")[2]
    if hold is None or hold["cause"] == "user":
        return ""
    reason = hold["reason"] if not people.who(hold["owner"]) else None
    return f"{hold['cause'].replace('_', ' ')}: {reason}" if reason else hold["cause"].replace("_", " ")


def _next_text(job: Result) -> str:
    if job["next"] is not None:
        return render.next_step_text(job["next"], job.get("in_flight") or ())
    if job["status"] == "completed":
        return "nothing is left to do"
    if job.get("nothing_left") is not None:  # a daemon of before does not tell
        return str(job["nothing_left"])
    return f"stays {job['status']} until someone resumes it"


def _safe_line(job: Result) -> str:
    safe = job["safe_to"]
    words = ("edit files", "edit_files"), ("stop the daemon", "stop_daemon"), ("power off", "switch_off")
    said = " · ".join(f"{word} {'yes' if safe[key] else 'NO'}" for word, key in words)
    if not safe["edit_files"] and job["status"] in _STILL and not job.get("hindered_by"):
        said = said.replace("edit files NO", f"edit files NO ({_writer_text(job)})")
    most = max(2, min(len(job.get("to_type", ())), _TO_TYPE_MOST))
    hints = " · ".join(job["hints"][:most])
    return f"safe to: {said}" + (f" | type: {hints}" if hints else "")


def _writer_text(job: Result) -> str:
    """Say what still writes, or soon will, though the job does not run."""
    flight = next(iter(job["in_flight"]), None)
    if flight is None:
        return "a hook is still to run" if job["status"] == "failed" else "a job that it waits for goes on"
    if flight.get("job_id"):
        return f"{flight['job_id']} goes on"
    return f"hook {flight['hook']} runs"


def _sheet_rows(job: Result, sheets: Sequence[Result], *, unfolded: bool) -> list[str]:
    """The sheets in their order; what would be too many rows is summed up, but for what needs eyes."""
    if not sheets:
        return []
    shown = _SheetTable(job)
    rows = [shown.row(sheet) for sheet in sheets] if unfolded else shown.folded_rows(sheets)
    widths = (
        3,
        max(len(sheet["status"]) for sheet in sheets),
        max(len(_sheet_name(sheet)) for sheet in sheets),
    )
    if not unfolded and len(rows) > _ROWS:
        rows, widths = shown.summary_rows(sheets), (3, 0, 0)
    return render.table(rows, indent="  ", widths=widths)


Row = tuple[str, str, str, str]


class _SheetTable:
    """Makes the rows of sheets: number, status, place, and details."""

    def __init__(self, job: Result) -> None:
        self._job = job["job_name"] if job["job_id"] is None else job["job_id"]
        self._paused = job["status"] == "paused"
        self._flights = {item["sheet"]: item for item in job["in_flight"] if not item.get("job_id")}
        marked = () if job["status"] in _ENDED else job.get("breakpoints", ())
        self._breakpoints = {item["sheet"] for item in marked}

    def row(self, sheet: Result) -> Row:
        """Return the row of one sheet."""
        detail = sheet_detail(sheet, self._flights)
        if self._paused and sheet["waiting_for"] == "retry":
            detail = f"attempt {sheet['attempt_count'] + 1} when the job goes on"
        if sheet["sheet"] in self._breakpoints:
            detail = "; ".join(part for part in ("pauses before it", detail) if part)
        return str(sheet["sheet"]), sheet["status"], _sheet_name(sheet), detail

    def folded_rows(self, sheets: Sequence[Result]) -> list[Row]:
        """Return all sheets in order; neighbours without details of their own share a row."""
        groups = [list(group) for _, group in groupby(sheets, key=self._fold_key)]
        return [_folded_row(group) if len(group) > 1 else self.row(group[0]) for group in groups]

    def _fold_key(self, sheet: Result) -> object:
        if sheet["status"] not in _FOLDED or sheet["waiting_for"] or sheet["attempts"]:
            return sheet["sheet"]
        if sheet["sheet"] in self._breakpoints:
            return sheet["sheet"]
        return sheet["status"], tuple(sheet["blocked_by"]), sheet.get("kept_back_by"), _decision_text(sheet)

    def summary_rows(self, sheets: Sequence[Result]) -> list[Row]:
        """Return first what runs, waits, failed, or has a breakpoint; the rest is counted."""
        eyed = {status: [sheet for sheet in sheets if sheet["status"] == status] for status in _URGENT}
        rows: list[Row] = []
        for status, members in eyed.items():
            rows += [self.row(sheet) for sheet in members[:_URGENT_MOST]]
            if rest := members[_URGENT_MOST:]:
                which = "--failed" if status == "failed" else f"{rest[0]['sheet']}-{rest[-1]['sheet']}"
                more = f"and {len(rest)} more: mzt status {self._job} {which}"
                rows.append(("", status, _place_range(rest), more))
        others = [sheet for sheet in sheets if sheet["status"] not in _URGENT]
        marked = [sheet for sheet in others if sheet["sheet"] in self._breakpoints][:_URGENT_MOST]
        told = {sheet["sheet"] for sheet in marked}
        rows += [self.row(sheet) for sheet in marked]
        return [*rows, *_count_rows([sheet for sheet in others if sheet["sheet"] not in told])]


def _count_rows(sheets: Sequence[Result]) -> list[Row]:
    """Count sheets, a row for each status of a stage; neighbours of one sheet each are one stage here."""
    sizes = Counter(sheet["stage"] for sheet in sheets)
    rows: list[Row] = []
    for _, stages in groupby(sheets, key=lambda sheet: sheet["stage"] if sizes[sheet["stage"]] > 1 else None):
        by_status: dict[str, list[Result]] = {}
        for sheet in stages:
            by_status.setdefault(sheet["status"], []).append(sheet)
        rows += [_folded_row(members) for members in by_status.values()]
    return rows


def _sheet_name(sheet: Result) -> str:
    return f"{render.place(sheet)} {sheet['label']}" if sheet["label"] else render.place(sheet)


def _place_range(members: Sequence[Result]) -> str:
    first, last = render.place(members[0]), render.place(members[-1])
    return first if first == last else f"{first}-{last}"


def _folded_row(members: Sequence[Result]) -> Row:
    first, last = members[0], members[-1]
    needs = {sheet_detail(member, {}) for member in members}
    detail = needs.pop() if len(needs) == 1 else ""
    numbers = str(first["sheet"]) if first is last else f"{first['sheet']}-{last['sheet']}"
    if len(members) <= last["sheet"] - first["sheet"]:  # others lie between them
        detail = "; ".join(part for part in (f"{len(members)} of them", detail) if part)
    labels = {member["label"] for member in members}
    label = labels.pop() if len(labels) == 1 else None
    places = f"{_place_range(members)} {label}" if label else _place_range(members)
    return numbers, first["status"], places, detail


def sheet_detail(sheet: Result, flights: Mapping[int, Result]) -> str:
    """Return the details of a sheet beside its status; `flights` are the attempts in flight, by sheet."""
    if sheet["status"] == "running":
        return _running_text(sheet, flights.get(sheet["sheet"]))
    if sheet["waiting_for"]:
        return _waiting_text(sheet)
    if sheet["status"] == "pending":
        return _pending_text(sheet)
    if sheet["status"] == "failed":
        return sheet["error_message"] or sheet["error_category"] or ""
    return _decision_text(sheet)


def _pending_text(sheet: Result) -> str:
    if sheet["blocked_by"]:
        return f"blocked by {ranges(sheet['blocked_by'])}"
    if kept := sheet.get("kept_back_by"):  # a daemon of before does not tell
        return f"waits for {kept}"
    return f"needs {ranges(sheet['needs'])}" if sheet["needs"] else ""


def _decision_text(sheet: Result) -> str:
    if word := sheet.get("accepted"):
        return f"accepted{people.holder_text(word)}"
    if word := sheet.get("skipped_by"):
        return f"skipped{people.holder_text(word)}"
    return sheet.get("skip_reason") or ""


def _waiting_text(sheet: Result) -> str:
    retries = sheet["waiting_for"] == "retry"
    if sheet["until_at"] is None:
        return "waits for its next attempt" if retries else f"rate limit of {sheet['instrument']}"
    again, until = f"attempt {sheet['attempt_count'] + 1}", soon(sheet["until_at"])
    if retries:
        return f"{again} at {until}"
    return f"rate limit of {sheet['instrument']} until {until}, then {again}"


def _running_text(sheet: Result, flight: Result | None) -> str:
    if flight is None:
        return f"attempt {sheet['attempt_count']}, {sheet['instrument']}"
    times = f" {running_times(flight)}"
    if flight.get("attempt") == 0:
        return f"checking its skip rules{times}"
    where = f", {found}" if (found := render.node_text(flight)) else ""
    return f"attempt {sheet['attempt_count']}{times}, {sheet['instrument']}{where}"


_SAID_BESIDE = (None, "exit", "validation")
"""Categories of failures of which exit code and checks, which stand beside them, say more."""


def _check_name(check: Result) -> str:
    return f"{check['type']} {check['target']}"


def _attempt_lines(sheet: Result) -> list[str]:
    lines = []
    for attempt in sheet["attempts"]:
        ended = ", in flight"
        if attempt["ended_at"]:
            took = between(attempt["started_at"], attempt["ended_at"])
            ended = f"-{moment(attempt['ended_at'], seconds=True)} ({took})"
        parts = [
            f"  {sheet['sheet']}: attempt {attempt['attempt']} {attempt['kind']}",
            attempt["outcome"],
            moment(attempt["started_at"], seconds=True) + ended,
            None if attempt["exit_code"] is None else f"exit code {attempt['exit_code']}",
            attempt["signal"],
            None if attempt["error_category"] in _SAID_BESIDE else attempt["error_category"],
            attempt["instrument"],
            render.node_text(attempt),
            f"revision {attempt['revision']}",
        ]
        lines.append(", ".join(part for part in parts if part))
        lines += [
            f"      {check['description'] or _check_name(check)}: {check['result'].replace('_', ' ')}"
            + (f", {check['reason']}" if check["reason"] else "")
            for check in attempt["validations"]
        ]
    return lines


def _last_line(job: Result, sheets: Sequence[Result]) -> str:
    progress, cost = job["progress"], job["cost"]
    staged = f", {job['staged_revision']} staged" if job["staged_revision"] is not None else ""
    attempts = sum(sheet["attempt_count"] for sheet in sheets) - job.get("unbegun_count", 0)
    parts = [
        f"{progress['completed']} of {plural(progress['total'], 'sheet')}",
        *(_round_text(loop) for loop in progress.get("loops", ())),
        f"run {job['run']}",
        f"revision {job['revision']}{staged}",
        plural(attempts, "attempt") if len(sheets) == progress["total"] else "",
        _duration_text(job["timing"]),
        dollars(cost["usd"], known=cost["known"]),
        f"labels {', '.join(job['labels'])}" if job.get("labels") else "",
        job["workspace"],
    ]
    return " · ".join(part for part in parts if part)


def _round_text(loop: Result) -> str:
    """Return how far a loop has come: `loop 2-3: round 2 of up to 5`."""
    up_to = f" of up to {loop['up_to']}" if loop["state"] == "open" else ", closed"
    return f"loop {loop['span']}: round {loop['round']}{up_to}"


def _duration_text(timing: Result) -> str:
    """Return how long an ended run has taken."""
    if not timing["started_at"] or not timing["completed_at"]:
        return ""
    return f"took {between(timing['started_at'], timing['completed_at'])}"


def jobs_table(jobs: Sequence[Result]) -> list[str]:
    """All jobs, a line each."""
    rows = [("JOB", "STATUS", "SHEETS", "REV", "SINCE", "NEXT")]
    for job in jobs:
        progress = job["progress"]
        if job["next"] is not None and not job.get("to_type"):
            comes = render.next_step_text(job["next"], job.get("in_flight") or ())
        else:
            comes = f"type: {job['hints'][0]}" if job["hints"] else ""
        done = f"{progress['completed']}/{progress['total']}"
        since = moment(job["status_since_at"])
        rows.append((job["job_id"], job["status"], done, str(job["revision"]), since, comes))
    return render.table(rows) if jobs else []


def plan_screen(result: Result) -> list[str]:
    """What a modify would do: the message, a line a sheet, and what runs."""
    plan = result["plan"]
    rows = plan_rows(plan, heads=True)
    hooks = result.get("hook_plan", [])
    run_hooks = [line for line in hooks if _runs_first_time(line)]
    after = [line for line in run_hooks if not line.get("after_failure")]
    runs = _with_hooks(_sheet_numbers(plan, "sheet"), after)
    if first := [line for line in run_hooks if line.get("after_failure")]:
        runs = f"{_with_hooks('none', first)} of the failure{'' if runs == 'none' else f', then {runs}'}"
    again = [line for line in hooks if line["action"] == "rerun"]
    at_once = _with_hooks(_sheet_numbers(plan, "sheet", "rerun"), again)
    later = _rounds_texts(plan)
    run_again = ", ".join(later if later and at_once == "none" else [at_once, *later])
    last = f"runs: {runs} · runs again: {run_again} · removed: {_removed_numbers(plan)}"
    told = [(f"hook {line['hook']}", line["status"] or "-", line["action"], line["why"]) for line in hooks]
    return [result["message"], *(render.table(rows) if plan else []), *render.table(told), last]


def _rounds_texts(plan: Sequence[Result]) -> list[str]:
    """Say which sheets run again in rounds to come: `1, 2 in rounds 3-4`, `1, 2 if the loop goes on`."""
    sheets: dict[str, list[int]] = {}
    for line in plan:
        if rounds := line.get("rounds"):
            first, last = rounds
            sure = f"in round {first}" if first == last else f"in rounds {first}-{last}"
            when = sure if line["rounds_sure"] else "if the loop goes on"
            sheets.setdefault(when, []).append(line["sheet"])
    return [f"{ranges(numbers)} {when}" for when, numbers in sheets.items()]


def _runs_first_time(line: Result) -> bool:
    """Tell whether a sheet or hook of a plan runs, and has not been done before."""
    return line["runs"] is True and line["action"] != "rerun"


def _with_hooks(sheets: str, hooks: Sequence[Result]) -> str:
    """Name hooks behind sheets; they run last."""
    if not hooks:
        return sheets
    named = f"hook{'s' if len(hooks) > 1 else ''} {ranges([line['hook'] for line in hooks])}"
    return named if sheets == "none" else f"{sheets}, {named}"


def plan_rows(plan: Sequence[Result], *, heads: bool = False) -> list[tuple[str, ...]]:
    """A row for each sheet of a plan: number, place, status, what becomes of it, and why.

    Where a sheet changes its number or goes, what it was is a column of its own.
    """
    moved = any(line["old_sheet"] is not None and line["old_sheet"] != line["sheet"] for line in plan)
    rows: list[tuple[str, ...]] = [("SHEET", "WAS", "STAGE", "NOW", "PLAN", "WHY")] if heads else []
    for line in plan:
        numbers = ["-" if number is None else str(number) for number in (line["sheet"], line["old_sheet"])]
        status = line["status"] or "-"
        rows.append((*numbers, render.named_place(line), status, line["action"], line["why"]))
    return rows if moved else [(row[0], *row[2:]) for row in rows]


def _sheet_numbers(plan: Sequence[Result], key: str, action: str | None = None) -> str:
    """Name the sheets of an action; without one those that run for the first time."""
    chosen = [line[key] for line in plan if (line["action"] == action if action else _runs_first_time(line))]
    return ranges(chosen) if chosen else "none"


def _removed_numbers(plan: Sequence[Result]) -> str:
    """Name the sheets that are gone, and say that these are old numbers where others have them now."""
    numbers = _sheet_numbers(plan, "old_sheet", "removed")
    moved = any(line["sheet"] and line["old_sheet"] not in (None, line["sheet"]) for line in plan)
    return f"{numbers} (as numbered before)" if moved and numbers != "none" else numbers


def lost_definitions(result: Result) -> str:
    """Name the sheets whose new definition does not run, those that are back and those that are gone."""
    plan = result["plan"]
    back = [line for line in plan if line["action"] == "kept" and line["old_sheet"] is None]
    changed = [line for line in plan if line["action"] == "kept-changed"]
    stay = [line for line in changed if not line.get("rounds")]
    told = {
        "changed but completed, they stay": _sheet_numbers(stay, "sheet", "kept-changed"),
        "changed but completed, they run again": ", ".join(_rounds_texts(changed)) or "none",
        "back as they were": _sheet_numbers(back, "sheet", "kept"),
        "removed": _removed_numbers(plan),
    }
    return " · ".join(f"{what}: {numbers}" for what, numbers in told.items() if numbers != "none")


def revisions_screen(revisions: Sequence[Result], *, unfolded: bool = False) -> list[str]:
    """The versions of a job's score, oldest first; unfolded with what each brought to the sheets."""
    rows = [("REV", "STATUS", "SHEETS", "WHEN", "WHO", "WHY", "FILE")]
    for told in revisions:
        who, why, file = people.who(told["caller"]), told["reason"] or "", told["config_file"] or ""
        file += " (edited)" if told.get("edited") else ""  # a daemon of before does not tell
        when = moment(told["applied_at"] or told["created_at"])
        cells = str(told["revision"]), told["status"], str(told["total_sheets"]), when, who, why, file
        rows.append(cells)
    lines = render.table(rows)
    if not unfolded:
        return lines
    plans = [[], *(render.table(plan_rows(told["plan"]), indent="  ") for told in revisions)]
    return [shown for line, plan in zip(lines, plans, strict=True) for shown in (line, *plan)]


def history_screen(entries: Sequence[Result], *, runs: bool = False) -> list[str]:
    """Who asked what, when and why, and what followed; oldest first. `runs`: of which run it is, too."""
    rows = [(*(("RUN",) if runs else ()), "WHEN", "WHAT", "WHO", "WHY")]
    for event in entries:
        when = moment(event["recorded_at"], seconds=True)
        what = event["text"] or event["type"]
        run = (str(event["run"] or ""),) if runs else ()
        rows.append((*run, when, what, people.who(event["caller"]), event["reason"] or ""))
    if not entries:
        return []
    lines = render.table(rows)
    if max(map(len, lines)) <= render.width():
        return lines
    return [line for row in rows[1:] for line in _narrow_entry(row)]


def _narrow_entry(row: Sequence[str]) -> Iterator[str]:
    """An entry of the history where columns have no room: who and why are on a line of their own."""
    *before, who, why = row
    yield "  ".join(before)
    if who or why:
        asked = f'"{why}"' if why else ""
        yield f"    {' '.join(part for part in ('by' if who else '', who, asked) if part)}"


def events_lines(events: Sequence[Result]) -> list[str]:
    """The journal of all jobs, a line an event."""
    return render.table(
        [
            (
                str(event["event"]),
                moment(event["recorded_at"], seconds=True),
                event["job_id"] or "-",
                event["type"],
                event["text"],
            )
            for event in events
        ]
    )


def checks_table(checks: Sequence[Result]) -> list[str]:
    """What a check of the installation found; what to type below what did not pass."""
    lines: list[str] = []
    width = max((len(check["name"]) for check in checks), default=0)
    for check in checks:
        mark, said = "ok" if check["passed"] else "NO", terminal.line(check["message"])
        lines.append(f"{mark:<4}{check['name']:<{width}}  {said}")
        lines += [f"      {hint}" for hint in check["hints"]]
    return lines
