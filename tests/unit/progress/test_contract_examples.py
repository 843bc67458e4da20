"""The examples of the command line's contract, rebuilt from a job on the bench, value by value.

What a later command or option brings is in LATER, with its reason; nothing else may differ.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kit.scores import ANN, NOON, Bench, score, stage
from kit.tables import each

from marianned.clock import timestamp
from marianned.errors import WrongStatus
from marianned.lifecycle import Action
from marianned.progress.views import messages
from marianned.progress.views.job import job_view, sheet_views
from marianned.protocol import JobStatus, Outcome
from marianned.rows import AttemptRow
from marianned.score.expanded import ExpandedScore

TWO = NOON + 2 * 3_600_000
"""14:00:00, when the job of the examples was submitted and started."""
CLI = Path(__file__).parents[3] / "docs" / "design" / "cli.md"

PAUSED = """
{"success": true, "job_id": "release-notes", "status": "pausing", "message": "release-notes: pausing; pauses when sheets 2, 3 end, at most 11m48s from now", "error_code": null,
 "hints": ["mzt wait release-notes --for paused", "mzt pause release-notes --now", "mzt resume release-notes"], "problems": [], "acknowledged": false, "job_name": "release-notes", "run": 1, "description": null, "labels": [],
 "revision": 1, "staged_revision": null, "config_file": "/home/ann/rel/release-notes.yaml", "workspace": "/home/ann/rel/out", "status_since_at": "2026-11-24T14:05:12.000Z", "then": "pause", "phase": "sheets",
 "progress": {"completed": 1, "total": 4, "percent": 25.0}, "timing": {"created_at": "2026-11-24T14:00:00.000Z", "started_at": "2026-11-24T14:00:00.000Z", "updated_at": "2026-11-24T14:05:12.000Z", "completed_at": null},
 "holds": [{"cause": "user", "owner": {"uid": 1000, "pid": 4211, "name": "mzt 1.2.0"}, "reason": "deploy first", "held_at": "2026-11-24T14:05:12.000Z", "ends_at": null}], "breakpoints": [],
 "in_flight": [{"sheet": 2, "stage": 2, "instance": 1, "attempt": 1, "started_at": "2026-11-24T14:02:00.000Z", "time_limit_at": "2026-11-24T14:17:00.000Z"},
  {"sheet": 3, "stage": 2, "instance": 2, "attempt": 1, "started_at": "2026-11-24T14:02:00.000Z", "time_limit_at": "2026-11-24T14:17:00.000Z"}], "waiting": [],
 "next": {"code": "boundary", "text": "pauses when sheets 2, 3 end", "due_at": null, "latest_at": "2026-11-24T14:17:00.000Z"}, "nothing_left": null, "safe_to": {"edit_files": false, "stop_daemon": true, "switch_off": false}, "hindered_by": [], "to_type": [],
 "cost": {"usd": 0.11, "known": true, "input_tokens": 9120, "output_tokens": 1410}, "event": 41}
"""
SHEET_4 = """
{"sheet": 4, "stage": 3, "instance": 1, "label": "merge", "name": null,
 "status": "pending", "waiting_for": null, "until_at": null, "needs": [2, 3], "blocked_by": [], "kept_back_by": null, "instrument": "claude-code", "revision": null, "attempt_count": 0, "validation_passed": null, "error_category": null,
 "error_message": null, "started_at": null, "ended_at": null, "cost_usd": null, "attempts": []}
"""
RESUMED = """
{"status": "running", "message": "release-notes: running; goes on with sheet 4 (3.1)", "hints": ["mzt modify release-notes -c /home/ann/rel/release-notes.yaml -r"]}
"""
PLANNED = """
{"status": "running", "message": "release-notes: running; plan for revision 2, nothing is changed", "hints": ["mzt modify release-notes -c new.yaml -r --wait --expect 1"]}
"""
PLAN = """
[{"sheet": 4, "old_sheet": 4, "stage": 3, "instance": 1, "name": null, "status": "pending", "action": "changed", "runs": true, "why": "prompt, validations differ",
 "reasons": ["prompt", "validations"], "rounds": [], "rounds_sure": false}, {"sheet": 5, "old_sheet": null, "stage": 4, "instance": 1, "name": null, "status": null, "action": "added", "runs": true, "why": "stage 4 is new", "reasons": ["new"], "rounds": [], "rounds_sure": false}]
"""
PLAN_SCREEN = """
1      1.1    completed  kept       definition unchanged
2      2.1    running    in-flight  finishes under revision 1
3      2.2    running    in-flight  finishes under revision 1
4      3.1    pending    changed    prompt, validations differ
5      4.1    -          added      stage 4 is new
"""
REVISED = """
{"status": "pausing", "message": "release-notes: pausing; revision 2 applies when sheets 2, 3 end, then it goes on", "hints": ["mzt modify release-notes --discard"]}
"""
CANCELLING = """
{"status": "cancelling", "message": "release-notes: cancelling; sheets 2, 3 are being ended", "hints": ["mzt wait release-notes --for cancelled"]}
"""
STATUS = """
{"status": "paused", "message": "release-notes: paused; 3 of 4 sheets done", "hints": ["mzt resume release-notes"]}
"""
ASKED = """
{"event": 41, "recorded_at": "2026-11-24T14:05:12.000Z", "type": "job.pausing", "job_id": "release-notes", "run": 1,
 "sheet": null, "stage": null, "instance": null, "attempt": null, "status": "pausing", "revision": 1, "caller": {"uid": 1000, "pid": 4211, "name": "mzt 1.2.0"}, "reason": "deploy first", "cause": "user", "text": "pause asked"}
"""
LITERALS = (PAUSED, SHEET_4, RESUMED, PLANNED, PLAN, PLAN_SCREEN, REVISED, CANCELLING, STATUS, ASKED)

NO_HOOK = {"hook": None}
"""A key that came beside those of the examples, which may be: what belongs to a sheet is no hook's."""
NOBODY_ELSES = {"job_id": None, "loop": None, "time_limit_by": None}
"""Keys that came beside those of the examples: what is in flight is the job's own, and its time limit, too."""
ALIVE = {
    "label",
    "instrument",
    "model",
    "stdout_bytes",
    "last_output_at",
    "last_line",
    "node",
    "cluster_job",
    "suspended",
}
"""Keys that came beside those of the examples: what it is, and what it has printed."""
OUTSIDE = {"inside": None, "job": None}
"""Keys that came beside those of the examples: the caller is no process of an attempt."""
NOT_SKIPPED = {"skip_reason": None, "accepted": None, "skipped_by": None}
"""Keys that came beside those of the examples, which may be."""

LATER = {
    "mzt modify release-notes -c /home/ann/rel/release-notes.yaml -r": "the conductor adds it: it looks at the file",
}
OF_THE_CLIENT = {"success", "error_code"}
OF_THE_CONDUCTOR = {"event"}


def notes(*, changed: bool = False, **fields: Any) -> ExpandedScore:
    """The score of the examples; `changed`: as new.yaml changes it."""
    words = ["list changes", "notes", "merge"]
    stages = [
        stage(prompt=words[0], label=words[0]),
        stage([1], count=2, prompt=words[1]),
        stage([2], prompt="merged anew" if changed else words[2], label=words[2]),
    ]
    more = [stage([3], prompt="announce")] if changed else []
    return score(*stages, *more, at_once=2, **fields)


def at(bench: Bench, hour: int, minute: int, second: int = 0) -> Bench:
    moment = NOON + (hour - 12) * 3_600_000 + minute * 60_000 + second * 1000
    bench.now = bench.now.plus(moment - bench.now.at)
    return bench


def begun(**fields: Any) -> Bench:
    """Started 14:00, sheets 2 and 3 at 14:02."""
    bench = Bench(notes(**fields), at=TWO)
    bench.go()
    at(bench, 14, 2).end(1, cost_usd=0.11, input_tokens=9120, output_tokens=1410)
    assert bench.flying == [2, 3]
    return bench


def paused(request: str = "pause") -> Bench:
    """Pause asked 14:05:12, paused 14:08:40."""
    bench = begun()
    at(bench, 14, 5, 12).ask(Action.PAUSE, reason="deploy first", wait=True, key=request)
    at(bench, 14, 8).end(2)
    at(bench, 14, 8, 40).end(3)
    return bench


def plain(answer: Any) -> Any:
    return msgspec.to_builtins(answer)


def expected(text: str) -> Any:
    """The contract's values, less what somebody else brings."""
    wanted = json.loads(text)
    for key in OF_THE_CLIENT | OF_THE_CONDUCTOR:
        wanted.pop(key, None)
    wanted["hints"] = [hint for hint in wanted.get("hints", []) if hint not in LATER]
    return wanted


def shows(answer: Any, text: str) -> None:
    found, wanted = plain(answer), expected(text)
    assert {key: found[key] for key in wanted} == with_loops(wanted)


def with_loops(wanted: dict[str, Any]) -> dict[str, Any]:
    """What came beside the keys of the examples: none has a loop."""
    return wanted | ({"progress": wanted["progress"] | {"loops": []}} if "progress" in wanted else {})


def test_the_examples_here_are_those_of_the_contract() -> None:
    text = CLI.read_text()
    for literal in LITERALS:
        assert literal.strip().strip("{}[]") in text


def test_pause_as_json() -> None:
    bench = begun()
    answer = bench.answer(at(bench, 14, 5, 12).ask(Action.PAUSE, reason="deploy first"))
    found, wanted = plain(answer), expected(PAUSED)
    wanted["in_flight"] = [flight | NO_HOOK | NOBODY_ELSES for flight in wanted["in_flight"]]
    alive = [{key: flight.pop(key) for key in ALIVE} for flight in found["in_flight"]]
    assert [(one["instrument"], one["last_line"]) for one in alive] == [("claude-code", None)] * 2
    for hold in wanted["holds"]:
        hold["owner"] |= OUTSIDE
    assert found | {"event": 0} == with_loops(wanted) | {"event": 0}


def test_pause_with_wait() -> None:
    assert paused("p").answer("p").message == "release-notes: paused; 3 of 4 sheets done"


def test_status_as_json() -> None:
    bench = at(paused(), 14, 20)
    shows(job_view(bench.state, bench.now), STATUS)
    assert plain(sheet_views(bench.state, [4])[0]) == json.loads(SHEET_4) | NOT_SKIPPED
    view = job_view(bench.state, bench.now)
    assert (view.status_since_at, view.next, view.then) == ("2026-11-24T14:08:40.000Z", None, None)
    assert plain(view.safe_to) == {"edit_files": True, "stop_daemon": True, "switch_off": True}


def test_the_entry_of_a_running_job_in_a_list() -> None:
    bench = Bench(score(*(stage([n] if n else []) for n in range(40)), name="nightly"), at=TWO)
    bench.go()
    for number in range(1, 13):
        bench.end(number)
    view = job_view(bench.state, bench.now)
    assert (view.message, view.hints) == (
        "nightly: running; 12 of 40 sheets done",
        ["mzt logs nightly -F", "mzt pause nightly"],
    )
    assert view.next is not None
    assert view.next.text == "sheet 14 starts when sheet 13 ends"


def test_what_a_running_job_does_next() -> None:
    bench = at(begun(), 14, 5)
    following = job_view(bench.state, bench.now).next
    assert plain(following) == {
        "code": "start",
        "text": "sheet 4 starts when sheets 2, 3 end",
        "due_at": None,
        "latest_at": "2026-11-24T14:17:00.000Z",
    }


def test_resume_as_json() -> None:
    bench = at(paused(), 14, 20)
    answer = bench.answer(bench.ask(Action.RESUME))
    shows(answer, RESUMED)
    assert (answer.acknowledged, answer.plan) == (True, [])


def test_modify_with_plan() -> None:
    bench = at(begun(), 14, 5, 12)
    answer = bench.answer(bench.ask(Action.MODIFY, notes(changed=True), plan=True, options=" -c new.yaml"))
    shows(answer, PLANNED)
    assert (answer.acknowledged, answer.config_validated, answer.changed) == (False, True, True)
    assert (answer.new_revision, answer.dry_run) == (2, True)
    assert plain(answer.plan)[3:] == json.loads(PLAN)
    screen = [line.split(maxsplit=4) for line in PLAN_SCREEN.strip().splitlines()]
    told = [
        [str(line.sheet), f"{line.stage}.{line.instance}", line.status or "-", line.action, line.why]
        for line in answer.plan
    ]
    assert told == screen


def test_modify_with_resume_while_something_is_in_flight() -> None:
    bench = at(begun(), 14, 5, 12)
    answer = bench.answer(bench.ask(Action.MODIFY_RESUME, notes(changed=True)))
    shows(answer, REVISED)
    assert (answer.acknowledged, answer.staged_revision, answer.then) == (False, 2, "resume")
    assert (answer.config_validated, answer.changed, answer.dry_run) == (True, True, False)
    assert (answer.new_revision, len(answer.plan)) == (2, 5)


def test_cancel_as_json() -> None:
    bench = at(begun(), 14, 5, 12)
    answer = bench.answer(bench.ask(Action.CANCEL))
    shows(answer, CANCELLING)
    assert answer.acknowledged is False


def test_an_entry_of_the_history() -> None:
    bench = begun()
    at(bench, 14, 5, 12).ask(Action.PAUSE, reason="deploy first")
    found = plain(bench.disk.events[-1])
    wanted = expected(ASKED)
    del wanted["hints"]
    assert found.pop("job_name") == wanted.pop("job_id")
    assert timestamp(found.pop("recorded_at")) == wanted.pop("recorded_at")
    assert found.pop("run_id") == 1
    assert found.pop("facts")["hold"]["reason"] == "deploy first"
    wanted["caller"] |= OUTSIDE
    assert found == wanted | NO_HOOK


def message(bench: Bench, action: Action, to: ExpandedScore | None = None, **fields: Any) -> str:
    text: str = bench.answer(bench.ask(action, to, **fields)).message
    return text.removeprefix("release-notes: ")


def test_the_other_messages() -> None:
    new = notes(changed=True)
    bench = at(begun(), 14, 5)
    assert message(bench, Action.MODIFY, new) == (
        "pausing; revision 2 applies when sheets 2, 3 end, then it stays paused"
    )
    assert message(paused(), Action.MODIFY, new) == "paused; revision 2 is in force"
    assert message(paused(), Action.MODIFY_RESUME, new, wait=True) == (
        "running; revision 2 is in force, goes on with sheet 4 (3.1)"
    )
    bench = paused()
    bench.slots = 0
    assert message(bench, Action.RESUME) == "queued; goes on when a slot is free"
    assert message(paused(), Action.CANCEL) == "cancelled; 3 of 4 sheets done"


def test_a_modify_with_resume_and_wait_says_with_what_the_job_goes_on() -> None:
    bench = begun()
    request = bench.ask(Action.MODIFY_RESUME, notes(changed=True), wait=True)
    bench.end(2)
    bench.end(3)
    assert bench.answer(request).message == (
        "release-notes: running; revision 2 is in force, goes on with sheet 4 (3.1)"
    )


def failed() -> Bench:
    """Sheet 3 failed for good at 14:12:03, with its fourth attempt."""
    bench = begun()
    bench.end(2)
    for _ in range(3):
        bench.end(3, Outcome.FAILED, category="validation", message="1 of 2 validations failed")
        bench.tick(40)
    at(bench, 14, 12, 3)
    bench.end(
        3,
        Outcome.FAILED,
        category="validation",
        evidence="content_regex '^DONE$' finds nothing in notes-2.md",
    )
    return bench


def test_a_failed_job_says_what_failed() -> None:
    bench = at(failed(), 14, 20)
    view = job_view(bench.state, bench.now)
    assert (
        view.message
        == "release-notes: failed; sheet 3 (2.2) failed after 4 attempts: validation: content_regex '^DONE$' finds nothing in notes-2.md"
    )
    assert (view.status_since_at, view.timing.completed_at) == ("2026-11-24T14:12:03.000Z",) * 2
    assert view.hints == [
        "mzt why release-notes",
        "mzt resume release-notes",
        "mzt modify release-notes -c FILE -r",
    ]
    sheet = sheet_views(bench.state, [3])[0]
    assert (sheet.error_message, sheet.attempt_count) == (
        "content_regex '^DONE$' finds nothing in notes-2.md",
        4,
    )
    assert sheet_views(bench.state, [4])[0].blocked_by == [3]
    assert len(bench.disk.of(AttemptRow)) == 6


def test_a_refusal_says_what_is_so_and_what_to_type() -> None:
    bench = begun()
    bench.end(2)
    bench.end(3)
    bench.end(4)
    with pytest.raises(WrongStatus) as refused:
        bench.ask(Action.PAUSE)
    assert refused.value.message == "'release-notes' has completed; there is nothing to pause"
    assert refused.value.hints == [
        "mzt resume release-notes --from 4",
        "mzt run /home/ann/rel/release-notes.yaml --fresh",
    ]
    assert refused.value.status == "completed"
    assert refused.value.job_id == "release-notes"


REFUSALS = {
    (Action.RESUME, JobStatus.RUNNING): ("is running; nothing holds it", ["mzt logs release-notes -F"]),
    (Action.DISCARD, JobStatus.RUNNING): ("is running; no revision is staged", ["mzt status release-notes"]),
    (Action.PAUSE, JobStatus.PAUSED): (
        "is paused already; it stays paused until someone resumes it",
        ["mzt resume release-notes"],
    ),
    (Action.CANCEL, JobStatus.FAILED): (
        "has failed; there is nothing to cancel",
        ["mzt why release-notes"],
    ),
    (Action.PAUSE, JobStatus.CANCELLING): (
        "is being cancelled; there is nothing to pause",
        ["mzt wait release-notes --for cancelled"],
    ),
    (Action.MODIFY, JobStatus.CANCELLING): (
        "is being cancelled; its score can't be changed any more",
        ["mzt wait release-notes --for cancelled"],
    ),
}


@each(("action", "status"), REFUSALS)
def test_refusals_of_all_kinds(action: Action, status: JobStatus) -> None:
    state = begun().state
    said, hints = REFUSALS[action, status]
    error = messages.refusal(state, action, status)
    assert error.message == f"'release-notes' {said}"
    assert error.hints[: len(hints)] == hints


def test_what_is_left_at_most_is_told_as_a_duration() -> None:
    bench = at(begun(), 14, 5, 13)
    assert messages.time_left(bench.state, bench.now) == ", at most 11m47s more"
    assert messages.flights_text(bench.state) == "sheets 2, 3"


def test_a_score_without_fan_out_names_sheets_by_number_alone() -> None:
    bench = Bench(score(stage(), stage([1])))
    bench.go()
    bench.ask(Action.PAUSE)
    bench.end(1)
    assert message(bench, Action.RESUME) == "running; goes on with sheet 2"


def test_the_caller_of_an_unnamed_client_is_told_by_its_uid() -> None:
    bench = begun()
    waiting = bench.ask(Action.PAUSE, wait=True)
    bench.ask(Action.RESUME, caller=type(ANN)(uid=7))
    assert bench.answer(waiting).message.endswith("its pause was released by a client (uid 7)")
