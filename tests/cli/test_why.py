"""The screen of `mzt why` is that of the contract, to the letter."""

import time
from datetime import datetime

import pytest
from kit.tables import each

from marianne_cli import people, times
from marianne_cli.screens import why as screen

DAY = "2026-11-24T"
TEXT = """\
release-notes: failed; sheet 3 (2.2) failed after 4 attempts: validation: content_regex '^DONE$' finds nothing in notes-2.md
  attempt  4 of 4, 14:10:00-14:12:03 (2m3s), claude-code, revision 1, exit 0
  others   attempts 1-3 failed (validation)
  failed   content_regex '^DONE$' finds nothing in /home/ann/rel/out/notes-2.md
  stdout   | Wrote notes-2.md with 14 entries.
  blocks   sheet 4 (3.1)
  unblock  mzt resume release-notes · mzt modify release-notes -c FILE -r"""
FAILED = {
    "job_id": "release-notes", "status": "failed",
    "message": "release-notes: failed; sheet 3 (2.2) failed after 4 attempts: validation: content_regex '^DONE$' finds nothing in notes-2.md",
    "hints": ["mzt resume release-notes", "mzt modify release-notes -c FILE -r"],
    "reasons": [{
        "code": "failed", "text": "sheet 3 (2.2) failed after 4 attempts: validation: content_regex '^DONE$' finds nothing in notes-2.md", "sheets": [3],
        "since_at": f"{DAY}14:12:03.000Z", "until_at": None, "unblocked_by": "caller", "hints": ["mzt resume release-notes"],
    }],
    "total_errors": 4,
    "errors": [{
        "sheet": 3, "stage": 2, "instance": 2, "attempt": 4, "outcome": "failed", "error_category": "validation",
        "error_message": "1 of 2 validations failed", "exit_code": 0, "signal": None, "instrument": "claude-code",
        "revision": 1, "ended_at": f"{DAY}14:12:03.000Z",
        "validations": [{
            "index": 1, "type": "content_regex", "description": None, "target": "/home/ann/rel/out/notes-2.md",
            "result": "failed", "reason": "'^DONE$' finds nothing", "duration_seconds": 0.6, "exit_code": None,
            "output": None,
        }],
        "stdout_tail": "Wrote notes-2.md with 14 entries.\n", "stderr_tail": "",
    }],
}  # fmt: skip


@pytest.fixture(autouse=True)
def _at_14_20(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr(times, "now", lambda: datetime.fromisoformat(f"{DAY}14:20:00Z"))
    yield
    monkeypatch.undo()
    time.tzset()


def sheet(number, stage, instance, status, blocked_by=(), attempts=(), count=1):
    return {
        "sheet": number, "stage": stage, "instance": instance, "status": status, "blocked_by": [*blocked_by],
        "attempts": [*attempts], "attempt_count": count,
    }  # fmt: skip


def tried_before(number, outcome="failed", category="validation", **given):
    told = {"started_at": None, "exit_code": 0, "signal": None, "executor": "local", "cluster_job": None}
    return {"attempt": number, "outcome": outcome, "error_category": category, **told, **given}


def sheets(*third):
    tried = [tried_before(number) for number in (1, 2, 3)]
    tried.append({"attempt": 4, "started_at": f"{DAY}14:10:00.000Z", "outcome": "failed"})
    return [
        sheet(1, 1, 1, "completed"), sheet(2, 2, 1, "completed"),
        sheet(3, 2, 2, *(third or ("failed",)), attempts=tried, count=4), sheet(4, 3, 1, "pending", [3], count=0),
    ]  # fmt: skip


def shown(why, known, **options):
    named = options.pop("named", False)
    chosen = screen.failures(why, known, named=named)
    return screen.why_screen(why, known, chosen, **options)


def reason(code, text, unblocked_by, until=None, hints=()):
    until_at = None if until is None else f"{DAY}{until}.000Z"
    return {
        "code": code, "text": text, "sheets": [], "since_at": f"{DAY}14:08:40.000Z", "until_at": until_at,
        "unblocked_by": unblocked_by, "hints": [*hints],
    }  # fmt: skip


def waiting(*reasons):
    return {
        "job_id": "a", "status": "running", "message": "a: running; 1 of 4 sheets done", "hints": ["mzt logs a -F"],
        "reasons": reasons, "errors": [],
    }  # fmt: skip


def test_a_failed_job_shows_its_evidence():
    assert "\n".join(shown(FAILED, sheets())) == TEXT


def test_the_hint_that_was_followed_is_not_given_again():
    why = {**FAILED, "hints": ["mzt why release-notes", *FAILED["hints"]]}
    assert "\n".join(shown(why, sheets())) == TEXT


def test_a_sheet_that_got_past_its_failures_shows_none_unless_it_is_named():
    why = {
        **FAILED,
        "status": "running",
        "reasons": waiting(reason("slot", "sheet 4 waits", "daemon"))["reasons"],
    }
    assert not screen.failures(why, sheets("completed"))
    lines = shown(why, sheets("completed"), named=True)
    assert (
        lines[2]
        == "  attempt  sheet 3 (2.2): 4 of 4, 14:10:00-14:12:03 (2m3s), claude-code, revision 1, exit 0"
    )


def test_a_check_is_said_as_the_message_says_it_with_its_whole_path():
    check = {**FAILED["errors"][0]["validations"][0], "type": "file_exists", "reason": "no such file"}
    lines = shown({**FAILED, "errors": [{**FAILED["errors"][0], "validations": [check]}]}, sheets())
    assert lines[3] == "  failed   file_exists: no such file: /home/ann/rel/out/notes-2.md"


@each(
    ("tried", "told"),
    [
        ([], []),
        ([tried_before(1, "timed_out"), tried_before(2, "timed_out")], ["attempts 1, 2 timed out"]),
        (
            [tried_before(1, "timed_out"), tried_before(2, exit_code=3), tried_before(3, "rate_limited")],
            ["attempt 1 timed out; attempt 2 failed (exit 3); attempt 3 rate limited"],
        ),
        ([tried_before(5, "succeeded", None), tried_before(6, None)], ["attempt 5 succeeded"]),
        (
            [
                tried_before(1, "interrupted", None, executor="slurm"),
                tried_before(2, "interrupted", None, executor="slurm", cluster_job="7", signal="SIGTERM"),
                tried_before(3, "lost", "lost", executor="slurm"),
            ],
            ["attempt 1 interrupted before it began; attempt 2 interrupted; attempt 3 lost"],
        ),
    ],
)
def test_how_the_other_attempts_of_a_sheet_have_ended_is_said_beside_the_newest_that_failed(tried, told):
    known = sheets()
    known[2]["attempts"] = [*tried, known[2]["attempts"][-1]]
    lines = shown(FAILED, known)
    assert [line.split("others   ")[1] for line in lines if "  others" in line] == told


def test_where_another_attempt_is_to_come_it_is_not_said_how_many_there_are():
    lines = shown({**FAILED, "status": "running"}, sheets("waiting"))
    assert (
        lines[1] == "  attempt  sheet 3 (2.2): 4, 14:10:00-14:12:03 (2m3s), claude-code, revision 1, exit 0"
    )


def test_an_attempt_of_a_sheet_that_is_gone_shows_nothing():
    assert not screen.failures(FAILED, sheets()[:2], named=True)


def test_an_attempt_whose_sheet_has_another_number_now_is_not_shown_as_another_sheets():
    revised = {**FAILED["reasons"][0], "text": "a revision came after it had failed; a resume runs it"}
    why = {**FAILED, "message": "release-notes: failed; 0 of 4 sheets done", "reasons": [revised]}
    known = [sheet(n, n, 1, "pending", count=0) for n in range(1, 5)]
    assert shown(why, known)[1:] == [
        "  failed   a revision came after it had failed; a resume runs it; since 14:12 (8m)",
        "  unblock  mzt resume release-notes · mzt modify release-notes -c FILE -r",
    ]


def test_a_command_that_failed_shows_what_it_printed_and_a_signal_its_name():
    check = {
        **FAILED["errors"][0]["validations"][0], "type": "command_succeeds", "target": "make test", "reason": "exit code 2",
        "output": "one\ntwo\n",
    }  # fmt: skip
    error = {**FAILED["errors"][0], "validations": [check], "signal": "SIGKILL", "outcome": "timed_out"}
    lines = shown({**FAILED, "errors": [error]}, sheets())
    assert lines[1].endswith(", revision 1, timed out, SIGKILL")
    assert lines[3:6] == ["  failed   make test: exit code 2", "           | one", "           | two"]


def test_a_long_output_shows_its_last_ten_lines_and_unfolded_a_hundred():
    error = {**FAILED["errors"][0], "stdout_tail": "".join(f"line {n}\n" for n in range(1, 301))}
    why = {**FAILED, "errors": [error]}
    told = [line for line in shown(why, sheets()) if "| line" in line]
    assert (len(told), told[0]) == (10, "  stdout   | line 291")
    assert sum("| line" in line for line in shown(why, sheets(), unfolded=True)) == 100


def test_of_many_failed_sheets_three_are_shown_and_unfolded_all():
    errors = [{**FAILED["errors"][0], "sheet": n, "stage": n, "instance": 1} for n in range(5, 0, -1)]
    known = [sheet(n, n, 1, "failed", count=4) for n in range(1, 6)]
    lines = shown({**FAILED, "errors": errors}, known)
    assert [line.split()[2] for line in lines if "attempt  " in line] == ["1:", "2:", "3:"]
    assert "           and 2 sheets more: mzt why release-notes -v" in lines
    assert sum("attempt  " in line for line in shown({**FAILED, "errors": errors}, known, unfolded=True)) == 5


@each(
    ("given", "told"),
    [
        (
            [reason("hold:user", 'paused by mzt 1.2.0 "deploy first"', "caller", hints=["mzt resume a"])],
            [
                '  hold     paused by mzt 1.2.0 "deploy first"; since 14:08 (12m)',
                "  unblock  mzt resume a",
            ],
        ),
        (
            [reason("hold:user", "paused", "time", "16:08:40", ["mzt resume a"])],
            [
                "  hold     paused; since 14:08 (12m), until 16:08",
                "  unblock  by itself, at 16:08 · mzt resume a",
            ],
        ),
        (
            [reason("retry", "sheet 4 waits, then attempt 3", "time", "14:21:05", ["mzt retry a 4"])],
            [
                "  retry    sheet 4 waits, then attempt 3; since 14:08 (12m), until 14:21:05",
                "  unblock  by itself, at 14:21:05 · mzt retry a 4",
            ],
        ),
        (
            [reason("in_flight", "sheets 2, 3 are in flight", "sheet", "14:17:00", ["mzt logs a -F"])],
            ["  in flight  sheets 2, 3 are in flight; since 14:08 (12m), by 14:17", "  unblock    by itself"],
        ),
        (
            [reason("slurm", "sheet 2: Slurm does not answer", "cluster", hints=["scontrol ping"])],
            [
                "  slurm    sheet 2: Slurm does not answer; since 14:08 (12m)",
                "  look     scontrol ping",
                "  unblock  by itself",
            ],
        ),
        (
            [
                reason("hold:user", "paused", "caller", hints=["mzt resume a"]),
                reason("slurm", "sheet 2: Slurm does not answer", "cluster", hints=["scontrol ping"]),
                reason("slurm", "sheet 3: Slurm does not answer", "cluster", hints=["scontrol ping"]),
            ],
            [
                "  hold     paused; since 14:08 (12m)",
                "  slurm    sheet 2: Slurm does not answer; since 14:08 (12m)",
                "  slurm    sheet 3: Slurm does not answer; since 14:08 (12m)",
                "  look     scontrol ping",
                "  unblock  mzt resume a",
            ],
        ),
        (
            [reason("ended", "it has completed; nothing is left to do", "nobody")],
            ["  ended    it has completed; nothing is left to do; since 14:08 (12m)"],
        ),
    ],
)
def test_what_waits_tells_since_when_and_who_unblocks_it(given, told):
    assert shown(waiting(*given), []) == ["a: running; 1 of 4 sheets done", *told]


def test_a_refusal_names_people_by_login_and_other_clients_as_they_are(monkeypatch):
    monkeypatch.setattr(people, "login", {1000: "ann"}.__getitem__)
    said = 'its pause was released by mzt 1.2.0 (uid 1000) "no", asked by robot 9 (uid 1000)'
    assert people.with_login_names(said) == 'its pause was released by ann "no", asked by robot 9 (uid 1000)'


def test_a_long_label_moves_where_lines_go_on():
    lines = shown(waiting(reason("rate_limit", "sheet 1 waits", "time", "14:21:05")), [])
    assert lines[1].startswith("  rate limit  sheet 1")
    assert screen.hanging_indent(lines) == len("  rate limit  ")
