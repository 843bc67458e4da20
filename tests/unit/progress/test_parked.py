"""An attempt whose process has succeeded is not thrown away: its checks run when the job goes on."""

from typing import Any

from kit.scores import Bench, score, stage

from marianned.lifecycle import Action
from marianned.progress.views import messages
from marianned.progress.views.job import job_view
from marianned.protocol import JobStatus, Outcome


def parked() -> Bench:
    bench = Bench(score(made()))
    bench.go()
    bench.ask(Action.PAUSE_NOW)
    bench.park(1)
    assert bench.status is JobStatus.PAUSED
    return bench


def made(**digests: str) -> dict[str, Any]:
    return stage(digests={"prompt": "p", "validations": "v"} | digests)


def why(bench: Bench, to: dict[str, Any]) -> str:
    (line,) = bench.answer(bench.ask(Action.MODIFY, score(to), plan=True)).plan
    return line.why


def test_its_new_checks_run_on_it_where_a_modify_leaves_command_and_prompt() -> None:
    bench = parked()
    to = made(validations="other")
    assert why(bench, to) == "validations differ; its attempt has succeeded, the new checks run on it"
    bench.ask(Action.MODIFY_RESUME, score(to))
    assert bench.last is not None
    assert [row.attempt for row in bench.last.checks] == [1]
    assert not bench.last.starts
    bench.end(1)
    assert (bench.status, bench.sheet(1).attempts) == (JobStatus.COMPLETED, 1)


def test_with_another_prompt_it_is_thrown_away_and_the_plan_says_so() -> None:
    bench = parked()
    to = made(prompt="other")
    assert why(bench, to) == "prompt differs; its attempt that has succeeded is thrown away"
    bench.ask(Action.MODIFY_RESUME, score(to))
    assert bench.last is not None
    assert [row.attempt for row in bench.last.starts] == [2]


def test_it_outlasts_a_cancel_and_a_resume() -> None:
    bench = parked()
    bench.ask(Action.CANCEL)
    assert (bench.status, bench.sheets) == (JobStatus.CANCELLED, ["cancelled"])
    bench.crash()
    bench.ask(Action.RESUME)
    assert bench.last is not None
    assert [row.attempt for row in bench.last.checks] == [1]
    bench.end(1)
    assert (bench.status, bench.sheet(1).attempts) == (JobStatus.COMPLETED, 1)


def test_it_outlasts_a_cancel_and_a_modify_that_leaves_its_sheet_as_it_is() -> None:
    """Of a cancelled sheet it was thrown away by any revision, and its work done twice."""
    bench = parked()
    bench.ask(Action.CANCEL)
    to = score(made(), stage(digests={"prompt": "q"}))
    (kept, _) = bench.answer(bench.ask(Action.MODIFY, to, plan=True)).plan
    assert kept.why == "definition unchanged; its attempt has succeeded, its checks run again"
    bench.ask(Action.MODIFY_RESUME, to)
    assert bench.last is not None
    assert [row.attempt for row in bench.last.checks] == [1]
    bench.end(1)
    assert bench.sheet(1).attempts == 1


def test_it_is_closed_where_a_fresh_run_takes_the_place_of_its_own() -> None:
    bench = parked()
    bench.give_up()
    assert not bench.state.parked
    assert [row.outcome for key, row in bench.disk.rows.items() if "AttemptRow" in str(key)] == [
        Outcome.INTERRUPTED
    ]


def test_the_plan_says_so_where_it_is_thrown_away_with_its_sheet_or_because_it_runs_again() -> None:
    bench = parked()
    (line,) = bench.answer(bench.ask(Action.RESUME_FROM, sheets="1", plan=True)).plan
    assert line.why == "asked for; its attempt that has succeeded is thrown away"
    again = bench.ask(Action.MODIFY, score(made(validations="other")), sheets="1", plan=True)
    (line,) = bench.answer(again).plan
    assert line.why == "asked for; its attempt that has succeeded is thrown away"
    bench.ask(Action.RESUME_FROM, sheets="1")
    assert bench.last is not None
    assert [row.attempt for row in bench.last.starts] == [2]


def test_where_its_sheet_has_moved_it_is_told_by_the_number_of_today_and_its_row_by_its_revision_s() -> None:
    """Its row names revision and sheet: with the number of today it named another sheet of that revision."""
    bench = parked()
    new = stage(digests={"prompt": "new"})
    bench.ask(Action.MODIFY_RESUME, score(new, made(), at_once=2))
    for _ in range(2):
        checked = bench.state.attempts[bench.sheet(2).uid]
        assert (checked.revision, checked.sheet, checked.stage) == (1, 1, 1)
        assert messages.flight_name(bench.state, checked) == "sheet 2"
        flights = job_view(bench.state, bench.now).in_flight
        assert [(flight.sheet, flight.stage) for flight in flights] == [(1, 1), (2, 2)]
        bench.crash()
