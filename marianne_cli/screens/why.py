"""The screen of `mzt why`: what a job waits for and what lets it go on, and why failed sheets failed.

Its shape is fixed by docs/design/cli.md §2.3.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from marianne_cli.screens import render
from marianne_cli.times import age, between, moment, soon
from marianned.formatting import plural, ranges, sheet_list, sheet_name

Result = Mapping[str, Any]
Row = tuple[str, str]

_LABEL_WIDTH = 7
SHEETS_MOST = 3
_LINES_MOST = {False: 10, True: 100}
"""How many lines of a stream are shown, and how many unfolded."""
_PAST_FAILURE = {"completed", "skipped", "running"}
"""Sheets in these statuses have got past their failed attempts."""
_WITHOUT_NEXT_ATTEMPT = {"completed", "skipped", "failed", "cancelled"}
"""Sheets in these statuses have no further attempt by themselves: how many there were is known."""


def failures(why: Result, sheets: Sequence[Result], *, named: bool = False) -> list[Result]:
    """Return the newest failed attempt of each sheet that has not got past it; of all that were `named`."""
    stuck = {
        sheet["sheet"]: sheet["attempt_count"]
        for sheet in sheets
        if named or sheet["status"] not in _PAST_FAILURE
    }
    newest: dict[int, Result] = {}
    for error in why["errors"]:
        if error["attempt"] <= stuck.get(error["sheet"], 0):  # else the number is another sheet's by now
            newest.setdefault(error["sheet"], error)
    return [newest[number] for number in sorted(newest)]


def why_screen(
    why: Result, sheets: Sequence[Result], shown: Sequence[Result], *, unfolded: bool = False
) -> list[str]:
    """Set the message, the reasons, the evidence, and what to type.

    `sheets` are all of the job's, with the attempts of those in `shown`, which are `failures`.
    """
    known = {sheet["sheet"]: sheet for sheet in sheets}
    told = why["status"] == "failed" and len(shown) == 1
    rows = [*_reason_rows(why)]
    for error in shown if unfolded else shown[:SHEETS_MOST]:
        name = "" if told else f"{_sheet_name(error, sheets)}: "
        rows += _evidence_rows(name, error, known[error["sheet"]], _LINES_MOST[unfolded])
    if len(shown) > SHEETS_MOST and not unfolded:
        rows.append(("", f"and {plural(len(shown) - SHEETS_MOST, 'sheet')} more: mzt why {why['job_id']} -v"))
    for error in sorted(
        (error for error in why["errors"] if error.get("hook")), key=lambda error: error["hook"]
    ):
        rows += _hook_evidence_rows(error, _LINES_MOST[unfolded])
    rows += [*_blocked_row(sheets), *_look_row(why), *_unblock_row(why)]
    return [why["message"], *render.table(rows, indent="  ", widths=(_LABEL_WIDTH,))]


def hanging_indent(lines: Sequence[str]) -> int:
    """Return where the texts of a screen's rows begin, and go on where they are longer than the terminal."""
    found = re.match(r"  \S.*? {2,}", lines[1]) if len(lines) > 1 else None
    return found.end() if found else 2 + _LABEL_WIDTH + 2


def _sheet_name(item: Result, sheets: Sequence[Result]) -> str:
    fan_out = any(sheet["sheet"] != sheet["stage"] for sheet in sheets)
    names = {sheet["sheet"]: sheet.get("name") for sheet in sheets}
    return sheet_name(
        item["sheet"], item["stage"], item["instance"], names.get(item["sheet"]), fan_out=fan_out
    )


def _reason_rows(why: Result) -> Iterator[Row]:
    """Yield a row for each reason that is not the message itself."""
    for reason in why["reasons"]:
        if reason["text"] in why["message"]:
            continue
        until = ""
        if reason["until_at"]:
            flies = reason["code"] == "in_flight"
            when = (
                render.deadline_text(reason["until_at"], why.get("in_flight") or ())
                if flies
                else f"until {soon(reason['until_at'])}"
            )
            until = f", {when}"
        since = f"since {moment(reason['since_at'])} ({age(reason['since_at'])})"
        yield reason["code"].partition(":")[0].replace("_", " "), f"{reason['text']}; {since}{until}"


def _evidence_rows(name: str, error: Result, sheet: Result, most: int) -> Iterator[Row]:
    yield "attempt", name + ", ".join(_attempt_parts(error, sheet))
    if earlier := _other_attempts_text(error, sheet):
        yield "others", earlier
    failed = [check for check in error["validations"] if check["result"] in {"failed", "error"}]
    for check in failed:
        yield check["result"], _check_text(check)
        yield from _output_rows("", check["output"] or "", most)
    if not failed:
        yield "failed", error["error_message"] or error["error_category"] or error["outcome"]
    yield from _output_rows("stdout", error["stdout_tail"], most)
    yield from _output_rows("stderr", error["stderr_tail"], most)


def _hook_evidence_rows(error: Result, most: int) -> Iterator[Row]:
    code = [] if error["exit_code"] is None else [f"exit {error['exit_code']}"]
    told = [f"hook {error['hook']}", f"attempt {error['attempt']}", f"revision {error['revision']}", *code]
    yield "attempt", ", ".join(told)
    yield "failed", error["error_message"] or error["outcome"]
    yield from _output_rows("stdout", error["stdout_tail"], most)
    yield from _output_rows("stderr", error["stderr_tail"], most)


def _attempt_parts(error: Result, sheet: Result) -> Iterator[str]:
    last = error["attempt"] == sheet["attempt_count"] and sheet["status"] not in _WITHOUT_NEXT_ATTEMPT
    yield str(error["attempt"]) if last else f"{error['attempt']} of {sheet['attempt_count']}"
    ran = next((one for one in sheet["attempts"] if one["attempt"] == error["attempt"]), None)
    if ran is not None and error["ended_at"]:
        began, ended = ran["started_at"], error["ended_at"]
        yield f"{moment(began, seconds=True)}-{moment(ended, seconds=True)} ({between(began, ended)})"
    yield error["instrument"]
    if ran is not None and (where := render.node_text(ran)):
        yield where
    yield f"revision {error['revision']}"
    if error["outcome"] != "failed":
        yield error["outcome"].replace("_", " ")
    if error["signal"]:
        yield error["signal"]
    elif error["exit_code"] is not None:
        yield f"exit {error['exit_code']}"


def _other_attempts_text(error: Result, sheet: Result) -> str:
    """Say how the other attempts of a sheet have ended: `attempts 1, 2 timed out; attempt 4 succeeded`."""
    told: list[tuple[str, list[int]]] = []
    for one in sheet["attempts"]:
        if one["attempt"] != error["attempt"] and one["outcome"] is not None:
            how = _end_text(one)
            if not told or told[-1][0] != how:
                told.append((how, []))
            told[-1][1].append(one["attempt"])
    return "; ".join(f"attempt{'s' * (len(some) > 1)} {ranges(some)} {how}" for how, some in told)


def _end_text(attempt: Result) -> str:
    said = str(attempt["outcome"]).replace("_", " ")
    if attempt["outcome"] != "lost" and not render.seen_to_begin(attempt):
        return f"{said} before it began"
    if attempt["outcome"] != "failed":
        return said
    code = "" if not attempt["exit_code"] else f"exit {attempt['exit_code']}"
    why = attempt["signal"] or code or attempt["error_category"]
    return f"{said} ({why})" if why else said


def _check_text(check: Result) -> str:
    if check["type"] == "command_succeeds":
        return f"{check['description'] or check['target']}: {check['reason']}"
    reason, target = check["reason"] or check["result"], check["target"]
    quoting = reason.startswith("'")  # of what was looked for, as '^DONE$' finds nothing
    return f"{check['type']} {reason} in {target}" if quoting else f"{check['type']}: {reason}: {target}"


def _output_rows(label: str, text: str, most: int) -> Iterator[Row]:
    for number, line in enumerate(render.strip_escapes(text).splitlines()[-most:]):
        yield "" if number else label, f"| {line}"


def _blocked_row(sheets: Sequence[Result]) -> Iterator[Row]:
    blocked = [sheet for sheet in sheets if sheet["blocked_by"]]
    if len(blocked) == 1:
        yield "blocks", _sheet_name(blocked[0], sheets)
    elif blocked:
        yield "blocks", sheet_list(sheet["sheet"] for sheet in blocked)


def _look_row(why: Result) -> Iterator[Row]:
    """Tell what to type to see more of what passes without a caller, where that is not simply at work.

    What ends a wait sooner is its way out.
    """
    others = [one for one in why["reasons"] if one["unblocked_by"] not in {"caller", "time"}]
    others = [one for one in others if one["code"] != "in_flight"]
    if hints := dict.fromkeys(hint for one in others for hint in one["hints"]):
        yield "look", " · ".join(hints)


def _unblock_row(why: Result) -> Iterator[Row]:
    """Tell what to type where a caller lets it go on, else when it goes on by itself."""
    reasons = why["reasons"]
    if any(reason["unblocked_by"] == "caller" for reason in reasons):
        hints = [hint for reason in reasons if reason["unblocked_by"] == "caller" for hint in reason["hints"]]
        others = why["hints"] if why["status"] == "failed" else []
        others = [hint for hint in others if not hint.startswith("mzt why ")]
        yield "unblock", " · ".join(dict.fromkeys([*hints, *others]))
    elif any(reason["unblocked_by"] != "nobody" for reason in reasons):
        times = [reason["until_at"] for reason in reasons if reason["unblocked_by"] == "time"]
        at = f", at {soon(min(times))}" if times and all(times) else ""
        sooner = [hint for reason in reasons if reason["unblocked_by"] == "time" for hint in reason["hints"]]
        yield "unblock", " · ".join([f"by itself{at}", *dict.fromkeys(sooner)])
