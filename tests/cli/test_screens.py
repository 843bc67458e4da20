"""The screens are those of the contract, to the letter."""

import time
from datetime import datetime

import pytest
from kit.tables import each

from marianne_cli import people, times
from marianne_cli.screens import jobs as screens
from marianne_cli.screens import render
from marianned.formatting import ranges

DAY = "2026-11-24T"
PAUSED = """\
release-notes  paused since 14:08 (12m) by ann "deploy first"; stays paused until someone resumes it
safe to: edit files yes · stop the daemon yes · power off yes | type: mzt resume release-notes
  1-3  completed  1.1-2.2
  4    pending    3.1 merge                 needs 2, 3
3 of 4 sheets · run 1 · revision 2 · 3 attempts · $0.41 · /home/ann/rel/out"""
PAUSING = """\
release-notes  pausing since 14:05 (40s) by ann "deploy first"; pauses when sheets 2, 3 end, by 14:17
safe to: edit files NO · stop the daemon yes · power off NO | type: mzt wait release-notes --for paused · mzt pause release-notes --now
  1    completed  1.1 list changes
  2    running    2.1 notes for users       attempt 1 since 14:02, limit 14:17, claude-code
  3    running    2.2 notes for developers  attempt 1 since 14:02, limit 14:17, claude-code
  4    pending    3.1 merge                 needs 2, 3
1 of 4 sheets · run 1 · revision 1, 2 staged · 3 attempts · $0.11 · /home/ann/rel/out"""
RUNNING = """\
release-notes  running since 14:00 (5m); sheet 4 starts when sheets 2, 3 end, by 14:17
safe to: edit files NO · stop the daemon yes · power off NO | type: mzt logs release-notes -F · mzt pause release-notes
  1    completed  1.1 list changes
  2    running    2.1 notes for users       attempt 1 since 14:02, limit 14:17, claude-code
  3    running    2.2 notes for developers  attempt 1 since 14:02, limit 14:17, claude-code
  4    pending    3.1 merge                 needs 2, 3
1 of 4 sheets · run 1 · revision 1 · 3 attempts · $0.11 · /home/ann/rel/out"""
FAILED = """\
release-notes  failed since 14:12 (8m); sheet 3 (2.2) failed after 4 attempts: validation: content_regex '^DONE$' finds nothing in notes-2.md; stays failed until someone resumes it
safe to: edit files yes · stop the daemon yes · power off yes | type: mzt why release-notes · mzt resume release-notes
  1-2  completed  1.1-2.1
  3    failed     2.2 notes for developers  content_regex '^DONE$' finds nothing in notes-2.md
  4    pending    3.1 merge                 blocked by 3
2 of 4 sheets · run 1 · revision 1 · 6 attempts · $0.63 · /home/ann/rel/out"""
PLAN = """\
release-notes: running; plan for revision 2, nothing is changed
SHEET  STAGE  NOW        PLAN       WHY
1      1.1    completed  kept       definition unchanged
2      2.1    running    in-flight  finishes under revision 1
3      2.2    running    in-flight  finishes under revision 1
4      3.1    pending    changed    prompt, validations differ
5      4.1    -          added      stage 4 is new
runs: 4, 5 · runs again: none · removed: none"""
MANY = """\
release-notes  running since 14:00 (20m); stays running until someone resumes it; pauses before sheet 1001 (2.1)
safe to: edit files NO · stop the daemon yes · power off NO
  900      running    1.900 work        attempt 1 since 14:02, limit 14:17, claude-code
  7        waiting    1.7 work          attempt 2 at 14:21:05
  10       failed     1.10 work         exit code 3
  60       failed     1.60 work         exit code 3
  110      failed     1.110 work        exit code 3
  160      failed     1.160 work        exit code 3
  210      failed     1.210 work        exit code 3
  260      failed     1.260 work        exit code 3
  310      failed     1.310 work        exit code 3
  360      failed     1.360 work        exit code 3
  410      failed     1.410 work        exit code 3
  460      failed     1.460 work        exit code 3
  510      failed     1.510 work        exit code 3
  560      failed     1.560 work        exit code 3
           failed     1.610-1.960       and 8 more: mzt status release-notes --failed
  1001     pending    2.1 report        pauses before it; needs 1
  1-1000   completed  1.1-1.1000 work   684 of them
  100-997  pending    1.100-1.997 work  294 of them
  1002     pending    3.1 send          needs 1001
679 of 1002 sheets · run 1 · revision 1 · 1000 attempts · $0.00 · /home/ann/rel/out"""
LIST = """\
JOB            STATUS   SHEETS  REV  SINCE  NEXT
nightly        running  12/40   1    13:31  sheet 13 ends, by 14:31
release-notes  paused   3/4     2    14:08  type: mzt resume release-notes"""
HOLD = {
    "cause": "user",
    "owner": {"uid": 1000, "pid": 4211, "name": "mzt 1.2.0"},
    "reason": "deploy first",
    "held_at": f"{DAY}14:05:12.000Z",
    "ends_at": None,
}


@pytest.fixture(autouse=True)
def _somewhere(monkeypatch):
    """TZ=UTC, and uid 1000 is ann."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr(people, "login", {1000: "ann"}.__getitem__)
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def looked_at(monkeypatch):
    def look(clock):
        monkeypatch.setattr(times, "now", lambda: datetime.fromisoformat(f"{DAY}{clock}Z"))

    return look


def sheet(number, stage, instance, label, status, **rest):
    return {
        "sheet": number, "stage": stage, "instance": instance, "label": label, "status": status,
        "waiting_for": None, "until_at": None, "needs": [], "blocked_by": [], "instrument": "claude-code",
        "revision": None, "attempt_count": 0, "validation_passed": None, "error_category": None,
        "error_message": None, "started_at": None, "ended_at": None, "cost_usd": None, "attempts": [], **rest,
    }  # fmt: skip


def sheets(*rest):
    """The four sheets; `rest` is (status, more keys) for each."""
    places = [
        (1, 1, "list changes"),
        (2, 1, "notes for users"),
        (2, 2, "notes for developers"),
        (3, 1, "merge"),
    ]
    return [
        sheet(number, *place, status, **more)
        for number, (place, (status, more)) in enumerate(zip(places, rest, strict=True), 1)
    ]


def job(status, since, *, usd, hints, completed, **rest):
    idle = status in {"paused", "failed"}
    return {
        "job_id": "release-notes", "job_name": "release-notes", "status": status, "message": f"release-notes: {status}; ...",
        "hints": hints, "run": 1, "revision": 1, "staged_revision": None, "workspace": "/home/ann/rel/out",
        "status_since_at": f"{DAY}{since}.000Z", "then": None, "phase": "sheets", "holds": [], "in_flight": [], "next": None,
        "progress": {"completed": completed, "total": 4, "percent": 25.0 * completed},
        "safe_to": {"edit_files": idle, "stop_daemon": True, "switch_off": idle},
        "breakpoints": [], "timing": {"started_at": f"{DAY}14:00:00.000Z", "completed_at": None},
        "cost": {"usd": usd, "known": True, "input_tokens": 0, "output_tokens": 0}, **rest,
    }  # fmt: skip


def in_flight(number):
    return {"sheet": number, "started_at": f"{DAY}14:02:00.000Z", "time_limit_at": f"{DAY}14:17:00.000Z"}


DONE = ("completed", {"attempt_count": 1})
FLYING = ("running", {"attempt_count": 1, "started_at": f"{DAY}14:02:00.000Z", "needs": [1]})
PENDING = ("pending", {"needs": [2, 3]})
BOUNDARY = {
    "code": "boundary",
    "text": "pauses when sheets 2, 3 end",
    "due_at": None,
    "latest_at": f"{DAY}14:17:00.000Z",
}


def test_a_paused_job_tells_who_paused_it_and_why(looked_at):
    looked_at("14:20:00")
    shown = job(
        "paused", "14:08:40", usd=0.41, hints=["mzt resume release-notes"], completed=3, revision=2,
        holds=[HOLD], sheets=sheets(DONE, DONE, DONE, PENDING),
    )  # fmt: skip
    assert "\n".join(screens.job_screen(shown)) == PAUSED


def test_a_held_job_with_nothing_left_tells_what_a_resume_does(looked_at):
    looked_at("14:20:00")
    shown = job(
        "paused", "14:08:40", usd=0.41, hints=["mzt resume release-notes"], completed=4, revision=2,
        holds=[HOLD], sheets=sheets(DONE, DONE, DONE, DONE),
        nothing_left="nothing is left to do; resume ends it",
    )  # fmt: skip
    assert screens.job_screen(shown)[0] == (
        'release-notes  paused since 14:08 (12m) by ann "deploy first"; nothing is left to do; resume ends it'
    )


@pytest.mark.parametrize(
    ("status", "flying", "said"),
    [
        ("failed", [{"hook": 1, "sheet": None}], "edit files NO (hook 1 runs)"),
        ("failed", [], "edit files NO (a hook is still to run)"),
        ("paused", [{"job_id": "next@1", "sheet": 1}], "edit files NO (next@1 goes on)"),
        ("paused", [], "edit files NO (a job that it waits for goes on)"),
    ],
)
def test_a_job_that_stands_still_says_why_its_files_are_not_safe_to_edit(looked_at, status, flying, said):
    looked_at("14:20:00")
    shown = job(
        status,
        "14:08:40",
        usd=0.41,
        hints=[],
        completed=3,
        in_flight=flying,
        sheets=sheets(DONE, DONE, DONE, PENDING),
    )
    shown["safe_to"]["edit_files"] = False
    assert any(f"{said} · stop the daemon" in line for line in screens.job_screen(shown))


def test_a_sheet_whose_needs_are_done_says_what_it_waits_for(looked_at):
    looked_at("14:20:00")
    kept = ("pending", {"needs": [2, 3], "kept_back_by": "the end of loop 2-3, round 2"})
    shown = job("running", "14:08:40", usd=0.41, hints=[], completed=3, sheets=sheets(DONE, DONE, DONE, kept))
    (row,) = [line for line in screens.job_screen(shown) if line.startswith("  4")]
    assert row.endswith("waits for the end of loop 2-3, round 2")


def test_a_pausing_job_tells_what_it_waits_for_and_until_when(looked_at):
    looked_at("14:05:52")
    shown = job(
        "pausing", "14:05:12", usd=0.11, completed=1, staged_revision=2, holds=[HOLD], next=BOUNDARY,
        hints=["mzt wait release-notes --for paused", "mzt pause release-notes --now", "mzt resume release-notes"],
        in_flight=[in_flight(2), in_flight(3)], sheets=sheets(DONE, FLYING, FLYING, PENDING),
    )  # fmt: skip
    assert "\n".join(screens.job_screen(shown)) == PAUSING


def test_a_running_job_tells_what_comes_next(looked_at):
    looked_at("14:05:00")
    starts = {**BOUNDARY, "code": "start", "text": "sheet 4 starts when sheets 2, 3 end"}
    shown = job(
        "running", "14:00:00", usd=0.11, completed=1, next=starts,
        hints=["mzt logs release-notes -F", "mzt pause release-notes"],
        in_flight=[in_flight(2), in_flight(3)], sheets=sheets(DONE, FLYING, FLYING, PENDING),
    )  # fmt: skip
    assert "\n".join(screens.job_screen(shown)) == RUNNING


def test_a_failed_job_tells_the_evidence_and_what_it_blocks(looked_at):
    looked_at("14:20:00")
    wrong = {"attempt_count": 4, "error_message": "content_regex '^DONE$' finds nothing in notes-2.md"}
    shown = job(
        "failed", "14:12:03", usd=0.63, completed=2,
        hints=["mzt why release-notes", "mzt resume release-notes"],
        message="release-notes: failed; sheet 3 (2.2) failed after 4 attempts: validation: content_regex '^DONE$' finds nothing in notes-2.md",
        sheets=sheets(DONE, DONE, ("failed", wrong), ("pending", {"blocked_by": [3], "needs": [2, 3]})),
    )  # fmt: skip
    assert "\n".join(screens.job_screen(shown)) == FAILED


def test_a_completed_job_has_nothing_left_to_do(looked_at):
    looked_at("14:20:00")
    shown = job(
        "completed", "14:19:50", usd=0.0, completed=4, hints=[], sheets=sheets(DONE, DONE, DONE, DONE)
    )
    lines = screens.job_screen(shown)
    assert lines[0] == "release-notes  completed since 14:19 (10s); nothing is left to do"
    assert lines[2] == "  1-4  completed  1.1-3.1"


def test_a_waiting_sheet_tells_for_what_and_which_attempt_comes(looked_at):
    looked_at("14:20:00")
    limited = {"attempt_count": 1, "waiting_for": "rate_limit", "until_at": f"{DAY}14:30:00.000Z"}
    shown = job(
        "running", "14:00:00", usd=0.0, completed=1, hints=[],
        sheets=sheets(DONE, ("waiting", limited), ("waiting", limited), PENDING),
    )  # fmt: skip
    assert "rate limit of claude-code until 14:30, then attempt 2" in screens.job_screen(shown)[3]


def test_of_many_sheets_those_that_need_eyes_come_first_and_the_rest_is_counted(looked_at):
    looked_at("14:20:00")
    waits = {"attempt_count": 1, "waiting_for": "retry", "until_at": f"{DAY}14:21:05.000Z"}
    work = [sheet(n, 1, n, "work", "completed", attempt_count=1) for n in range(1, 1001)]
    for n in range(100, 1000, 3):
        work[n - 1] |= {"status": "pending"}
    for n in range(10, 1000, 50):
        work[n - 1] |= {"status": "failed", "error_message": "exit code 3"}
    work[6] |= {"status": "waiting", **waits}
    work[899] |= {"status": "running"}
    ends = [
        sheet(1001, 2, 1, "report", "pending", needs=[1]),
        sheet(1002, 3, 1, "send", "pending", needs=[1001]),
    ]
    many = [*work, *ends]
    shown = job(
        "running", "14:00:00", usd=0.0, completed=679, hints=[], sheets=many, in_flight=[in_flight(900)],
        breakpoints=[{"sheet": 1001, "stage": 2, "instance": 1}],
    )  # fmt: skip
    shown["progress"] = {"completed": 679, "total": 1002, "percent": 67.8}
    assert "\n".join(screens.job_screen(shown)) == MANY
    assert len(screens.job_screen(shown, unfolded=True)) == 1005


def test_a_plan_in_which_numbers_change_shows_the_old_ones_beside_the_new():
    def line(number, was, action, *, runs=False):
        return {
            "sheet": number, "old_sheet": was, "stage": 1, "instance": number or was, "status": "pending",
            "action": action, "runs": runs, "why": action,
        }  # fmt: skip

    plan = [line(1, 1, "kept", runs=True), line(None, 2, "removed"), line(2, 3, "kept", runs=True)]
    assert screens.plan_screen({"message": "m", "plan": plan, "hook_plan": []}) == [
        "m",
        "SHEET  WAS  STAGE  NOW      PLAN     WHY",
        "1      1    1.1    pending  kept     kept",
        "-      2    1.2    pending  removed  removed",
        "2      3    1.2    pending  kept     kept",
        "runs: 1, 2 · runs again: none · removed: 2 (as numbered before)",
    ]


def test_a_plan_and_its_reply_name_what_runs_again_in_rounds_to_come():
    def told(*, sure, last=4):
        line = {"old_sheet": 1, "stage": 1, "instance": 1, "status": "completed", "runs": False, "why": "w"}
        line |= {"rounds": [3, last], "rounds_sure": sure}
        plan = [line | {"sheet": 1, "action": "kept-changed"}, line | {"sheet": 2, "action": "kept"}]
        result = {"message": "m", "plan": plan}
        return screens.plan_screen(result)[-1], screens.lost_definitions(result)

    said = "changed but completed, they run again: 1"
    goes_on = "if the loop goes on"
    assert told(sure=False) == (
        f"runs: none · runs again: 1, 2 {goes_on} · removed: none",
        f"{said} {goes_on}",
    )
    assert told(sure=True)[0] == "runs: none · runs again: 1, 2 in rounds 3-4 · removed: none"
    assert told(sure=True, last=3)[1] == f"{said} in round 3"


def test_a_short_wait_of_a_hook_is_told_by_the_second(looked_at):
    looked_at("14:20:00")
    hook = {
        "hook": 1, "status": "waiting", "label": "next.yaml", "waiting_for": "cooldown", "attempt_count": 0,
        "chained": None, "until_at": f"{DAY}14:20:09.000Z",
    }  # fmt: skip
    shown = job("running", "14:19:00", usd=0.0, completed=0, hints=[], sheets=[], hooks=[hook])
    assert "  hook 1  waiting  next.yaml  cool-down until 14:20:09" in screens.job_screen(shown)


def test_a_plan_names_the_hooks_that_run_beside_the_sheets():
    def hook(number, status, action, *, runs):
        return {"hook": number, "status": status, "action": action, "runs": runs, "why": action}

    def last(*hooks, plan=()):
        return screens.plan_screen({"message": "m", "plan": plan, "hook_plan": hooks})[-1]

    done, failed = hook(1, "completed", "kept", runs=False), hook(2, "failed", "kept", runs=True)
    assert last(done, failed) == "runs: hook 2 · runs again: none · removed: none"
    again = hook(1, "completed", "rerun", runs=True)
    assert last(again, failed) == "runs: hook 2 · runs again: hook 1 · removed: none"
    assert last(failed, hook(3, None, "added", runs=True)).startswith("runs: hooks 2, 3 · ")
    of_failure = [hook(number, "pending", "kept", runs=True) | {"after_failure": True} for number in (1, 2)]
    sheet = {"sheet": 2, "old_sheet": 2, "stage": 2, "instance": 1, "status": "failed", "action": "kept"}
    runs = last(*of_failure, failed | {"hook": 3}, plan=[sheet | {"runs": True, "why": "w"}])
    assert runs.startswith("runs: hooks 1, 2 of the failure, then 2, hook 3 · ")
    assert last(*of_failure).startswith("runs: hooks 1, 2 of the failure · ")


def test_a_completed_job_shows_no_hook_of_a_failure_as_pending(looked_at):
    looked_at("14:20:00")

    def lines(status):
        hook = {"hook": 1, "status": "pending", "attempt_count": 1, "after_failure": True, "label": "tell"}
        hook |= {"waiting_for": None, "error_message": None, "chained": None}
        shown = job(status, "14:19:00", usd=0.0, completed=0, hints=[], sheets=[], hooks=[hook])
        shown["timing"] |= {"completed_at": f"{DAY}14:12:05.000Z"}
        return "\n".join(screens.job_screen(shown))

    assert "hook 1" not in lines("completed")
    assert "hook 1" in lines("failed")


def test_what_a_cancel_ended_is_folded_like_what_is_done(looked_at):
    looked_at("14:20:00")
    ended = [sheet(n, n, 1, None, "completed" if n < 4 else "cancelled") for n in range(1, 21)]
    shown = job("cancelled", "14:19:00", usd=0.0, completed=3, hints=[], sheets=ended)
    shown["timing"] |= {"completed_at": f"{DAY}14:12:05.000Z"}
    lines = screens.job_screen(shown)
    assert lines[2:4] == ["  1-3   completed  1.1-3.1", "  4-20  cancelled  4.1-20.1"]
    assert "took 12m5s" in lines[4]


@each(("numbers", "said"), [
    ([], ""), ([3], "3"), ([1, 2], "1, 2"), ([3, 1, 2], "1-3"), ([1, 2, 3, 5, 6, 9], "1-3, 5, 6, 9"),
    (range(1, 30, 2), "1, 3, 5, 7, 9 and 10 more"), ([*range(1, 10, 2), *range(20, 30)], "1, 3, 5, 7, 9 and 10 more"),
])  # fmt: skip
def test_numbers_are_listed_as_ranges(numbers, said):
    assert ranges(numbers) == said


def test_the_table_of_jobs_tells_what_comes_or_what_to_type(looked_at):
    looked_at("14:20:00")
    ends = {"code": "sheet_end", "text": "sheet 13 ends", "due_at": None, "latest_at": f"{DAY}14:31:00.000Z"}
    nightly = job("running", "13:31:00", usd=0.0, completed=12, hints=["mzt pause nightly"], next=ends)
    nightly |= {"job_id": "nightly", "progress": {"completed": 12, "total": 40, "percent": 30.0}}
    notes = job("paused", "14:08:40", usd=0.0, completed=3, hints=["mzt resume release-notes"], revision=2)
    assert "\n".join(screens.jobs_table([nightly, notes])) == LIST


def test_a_plan_tells_of_each_sheet_what_becomes_of_it():
    def line(number, stage, instance, status, action, runs, why):
        return {
            "sheet": number, "old_sheet": number if status else None, "stage": stage, "instance": instance,
            "status": status, "action": action, "runs": runs, "why": why, "reasons": [],
        }  # fmt: skip

    plan = [
        line(1, 1, 1, "completed", "kept", False, "definition unchanged"),
        line(2, 2, 1, "running", "in-flight", False, "finishes under revision 1"),
        line(3, 2, 2, "running", "in-flight", False, "finishes under revision 1"),
        line(4, 3, 1, "pending", "changed", True, "prompt, validations differ"),
        line(5, 4, 1, None, "added", True, "stage 4 is new"),
    ]
    result = {"message": "release-notes: running; plan for revision 2, nothing is changed", "plan": plan}
    assert "\n".join(screens.plan_screen(result)) == PLAN
    assert screens.lost_definitions(result) == ""


def test_a_time_of_another_day_has_its_date(looked_at):
    looked_at("14:20:00")
    assert times.moment("2026-11-23T14:08:40.000Z") == "Nov 23 14:08"
    assert times.moment("2025-11-23T14:08:40.000Z", seconds=True) == "Nov 23 2025 14:08"


def test_an_age_has_its_two_largest_units(looked_at):
    looked_at("14:20:00")
    assert times.age(f"{DAY}12:50:00.000Z") == "1h30m"
    assert times.age("2026-11-21T10:20:00.000Z") == "3d4h"


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("2h", f"{DAY}12:20:00.000Z"),
        ("14:00", f"{DAY}14:00:00.000Z"),
        ("15:00", "2026-11-23T15:00:00.000Z"),
        ("2026-11-24T07:30:00+01:00", f"{DAY}06:30:00.000Z"),
    ],
)
def test_since_is_a_duration_ago_the_last_clock_time_or_rfc_3339(looked_at, typed, read):
    looked_at("14:20:00")
    assert times.parse_since(typed) == read


def test_what_programs_print_is_shown_without_escapes():
    assert render.strip_escapes("\x1b[31mred\x1b[0m\r\n\x07ok\tgo\n") == "red\nok\tgo\n"


def test_a_history_of_all_runs_says_of_which_each_line_is():
    entry = {"recorded_at": "2026-11-24T12:00:00.000Z", "type": "job.removed", "caller": None}
    lines = screens.history_screen(
        [
            {**entry, "run": 1, "text": "duo@1 removed", "reason": "old"},
            {**entry, "run": 2, "text": "running", "reason": None},
        ],
        runs=True,
    )
    assert [line.split()[0] for line in lines] == ["RUN", "1", "2"]
    assert lines[1].endswith("old")


def test_before_which_sheet_it_pauses_is_told_with_the_name_of_its_stage(looked_at):
    looked_at("14:20:00")
    merge = sheet(4, 3, 1, "merge", "pending", needs=[2, 3], name="merge")
    mark = {"sheet": 4, "stage": 3, "instance": 1}
    made = job(
        "paused",
        "14:08:40",
        usd=0.41,
        hints=[],
        completed=3,
        sheets=[merge],
        holds=[HOLD],
        breakpoints=[mark],
    )
    assert screens.job_screen(made)[0].endswith("; pauses before sheet 4 (3.1 merge)")


def test_a_sheet_between_two_tries_of_a_paused_job_waits_for_the_job(looked_at):
    looked_at("14:20:00")
    waits = {"attempt_count": 2, "waiting_for": "retry", "until_at": f"{DAY}14:21:05.000Z"}
    made = job(
        "paused", "14:08:40", usd=0.41, hints=[], completed=3, holds=[HOLD],
        sheets=[sheet(4, 3, 1, "merge", "waiting", **waits)],
    )  # fmt: skip
    assert screens.job_screen(made)[2] == "  4    waiting  3.1 merge  attempt 3 when the job goes on"


def test_a_history_on_a_narrow_terminal_keeps_who_and_why(monkeypatch):
    entries = [
        {
            "event": 9, "recorded_at": f"{DAY}14:05:12.000Z", "type": "job.pausing", "run": 1, "text": "pause asked",
            "caller": {"uid": 1000, "pid": 1, "name": "mzt"}, "reason": "deploy first",
        },
        {
            "event": 10, "recorded_at": f"{DAY}14:08:40.000Z", "type": "job.paused", "run": 1, "text": "paused",
            "caller": None, "reason": None,
        },
    ]  # fmt: skip
    monkeypatch.setattr(times, "now", lambda: datetime.fromisoformat(f"{DAY}14:20:00Z"))
    monkeypatch.setattr(render, "width", lambda: 30)
    assert screens.history_screen(entries) == [
        "14:05:12  pause asked",
        '    by ann "deploy first"',
        "14:08:40  paused",
    ]
    monkeypatch.setattr(render, "width", lambda: 80)
    assert screens.history_screen(entries)[0].split() == ["WHEN", "WHAT", "WHO", "WHY"]


def test_an_attempt_names_its_checks_as_people_do(looked_at):
    looked_at("14:20:00")
    check = {
        "index": 1,
        "type": "command_succeeds",
        "target": "make test",
        "result": "failed",
        "reason": "exit code 2",
    }
    attempt = {
        "attempt": 1, "kind": "first", "outcome": "failed", "started_at": f"{DAY}14:10:00.000Z",
        "ended_at": f"{DAY}14:12:00.000Z", "exit_code": 0, "signal": None, "error_category": "validation",
        "instrument": "cli", "revision": 1,
        "validations": [{**check, "description": "the tests pass"}, {**check, "description": None}],
    }  # fmt: skip
    made = job(
        "failed", "14:12:03", usd=0, hints=[], completed=3,
        sheets=[sheet(4, 3, 1, "merge", "failed", attempts=[attempt], error_message="the tests pass: exit code 2")],
    )  # fmt: skip
    shown = screens.job_screen(made)
    assert "  4: attempt 1 first, failed, 14:10:00-14:12:00 (2m), exit code 0, cli, revision 1" in shown
    assert "      the tests pass: failed, exit code 2" in shown
    assert "      command_succeeds make test: failed, exit code 2" in shown


@pytest.mark.parametrize(
    ("limits", "latest", "told"),
    [
        (["14:17:55", "14:16:10"], "14:18:07", "14:17"),  # twelve seconds in which it is ended
        (["14:17:55"], "14:40:00", "14:40"),
        (["14:17:55"], "14:10:00", "14:10"),  # a deadline of the pause comes first
        ([None], "14:18:07", "14:18"),
        ([], "14:18:07", "14:18"),
    ],
)
def test_a_limit_is_the_same_moment_at_its_sheet_and_where_its_end_is_waited_for(
    looked_at, limits, latest, told
):
    looked_at("14:05:00")
    flights = [{"time_limit_at": limit and f"{DAY}{limit}.000Z"} for limit in limits]
    step = {"text": "pauses when sheet 2 ends", "due_at": None, "latest_at": f"{DAY}{latest}.000Z"}
    assert render.next_step_text(step, flights) == f"pauses when sheet 2 ends, by {told}"
