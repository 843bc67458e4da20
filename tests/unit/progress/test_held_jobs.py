"""A held job does not end by itself: who ends it, what is said of it, and what an end may overtake."""

import re
from pathlib import Path

import msgspec
from kit.hooks import HookBench, command, hooked, job
from kit.scores import Bench, chain, score, stage
from kit.tables import each

from marianned.errors import WaitOverridden
from marianned.lifecycle import Action
from marianned.progress.state.run import OUTLASTS_THE_END
from marianned.progress.state.triggers import AttemptEnded
from marianned.progress.views.job import job_view, sheet_views
from marianned.progress.views.reasons import reasons
from marianned.protocol import HoldCause, JobStatus, Outcome
from marianned.score.expanded import CostLimits, Parallelism

NOTHING = "nothing is left to do; resume ends it"


def running(sheets: int) -> Bench:
    bench = Bench(chain(sheets))
    bench.go()
    return bench


def message(bench: Bench) -> str:
    return job_view(bench.state, bench.now).message


def test_a_modify_to_what_is_done_leaves_a_paused_job_paused_and_a_resume_ends_it() -> None:
    bench = running(5)
    bench.ask(Action.PAUSE, reason="do not touch until Monday")
    bench.end(1)
    answer = bench.answer(bench.ask(Action.MODIFY, chain(1)))
    assert (bench.status, answer.message) == (
        JobStatus.PAUSED,
        f"release-notes: paused; revision 2 is in force; {NOTHING}",
    )
    view = job_view(bench.state, bench.now)
    assert (view.next, view.progress.percent, view.nothing_left) == (None, 100.0, NOTHING)
    assert NOTHING in [reason.text for reason in reasons(bench.state, bench.now, None, {})]
    bench.crash()
    bench.go()
    assert bench.status is JobStatus.PAUSED
    bench.ask(Action.RESUME)
    assert bench.status is JobStatus.COMPLETED


def test_a_revision_that_takes_the_rest_away_leaves_the_job_paused_when_its_sheet_ends() -> None:
    bench = running(2)
    bench.ask(Action.MODIFY, chain(1))
    bench.end(1)
    assert (bench.status, message(bench)) == (JobStatus.PAUSED, f"release-notes: paused; {NOTHING}")
    bench.ask(Action.MODIFY, chain(2))
    assert (bench.status, bench.sheets) == (JobStatus.PAUSED, ["completed", "pending"])


def test_a_pause_in_the_last_sheet_is_overtaken_and_says_before_that_it_may_be() -> None:
    bench = running(1)
    request = bench.ask(Action.PAUSE, wait=True)
    view = job_view(bench.state, bench.now)
    assert view.next is not None
    assert view.next.text == "pauses when sheet 1 ends, unless that ends the job"
    bench.end(1)
    assert bench.status is JobStatus.COMPLETED
    assert isinstance(bench.answer(request), WaitOverridden)


def test_a_modify_in_the_last_sheet_that_the_end_overtakes_is_told_so() -> None:
    bench = running(1)
    request = bench.ask(Action.MODIFY, chain(1, description="for the team"), wait=True)
    bench.end(1)
    answer = bench.answer(request)
    assert isinstance(answer, WaitOverridden)
    assert answer.message.endswith("revision 2 is in force; the job is completed")
    failed = Bench(chain(1))
    failed.go()
    failed.fail(1)
    answer = failed.answer(failed.ask(Action.MODIFY, chain(2), wait=True))
    assert (answer.acknowledged, failed.status) == (True, JobStatus.FAILED)


def test_a_late_record_ends_no_held_job() -> None:
    bench = running(2)
    attempt = bench.state.attempts[1]
    bench.ask(Action.MODIFY, chain(1))
    bench.end(1)
    bench.step(AttemptEnded(uid=attempt.uid, attempt=attempt.attempt, outcome=Outcome.SUCCEEDED))
    assert bench.status is JobStatus.PAUSED


def test_a_pause_with_an_end_of_its_own_ends_the_job_with_it() -> None:
    bench = running(2)
    bench.ask(Action.PAUSE, lasts=10_000)
    bench.end(1)
    bench.ask(Action.MODIFY_RESUME, chain(1))
    assert bench.status is JobStatus.COMPLETED
    held = HookBench(hooked(job("x")))
    held.go()
    held.end(1)
    held.chains()
    held.ask(Action.PAUSE, lasts=10_000)
    held.chained_ends(1)
    assert held.status is JobStatus.PAUSED
    view = job_view(held.state, held.now)
    assert view.next is not None
    assert view.next.text == "ends by itself"
    held.tick(10)
    assert held.status is JobStatus.COMPLETED


@each("ended", [JobStatus.COMPLETED, JobStatus.FAILED])
def test_a_paused_parent_stays_paused_when_its_child_ends(ended: JobStatus) -> None:
    bench = HookBench(hooked(job("x")))
    bench.go()
    bench.end(1)
    bench.chains()
    answer = bench.answer(bench.ask(Action.PAUSE))
    assert answer.message == "release-notes: paused; next@1 goes on; mzt pause next@1"
    bench.chained_ends(1, ended)
    assert bench.status is JobStatus.PAUSED
    bench.ask(Action.RESUME)
    if ended is JobStatus.COMPLETED:
        assert bench.status is JobStatus.COMPLETED
    else:
        assert (bench.status, bench.hooks) == (JobStatus.RUNNING, ["running"]), "a resume starts it afresh"


def test_a_pause_in_the_last_hook_is_overtaken_and_one_before_a_kept_job_is_not() -> None:
    bench = HookBench(hooked(command("a")))
    bench.go()
    bench.end(1)
    bench.ask(Action.PAUSE)
    assert job_view(bench.state, bench.now).next.text == "pauses when hook 1 ends, unless that ends the job"
    bench.hook_ends()
    assert bench.status is JobStatus.COMPLETED
    bench = HookBench(hooked(job("x", detached=True), command("a")))
    bench.go()
    bench.end(1)
    bench.hook_ends(pending_revision=b"x")
    bench.ask(Action.PAUSE)
    assert job_view(bench.state, bench.now).next.text == "pauses when hook 2 ends"
    bench.hook_ends()
    assert bench.status is JobStatus.PAUSED
    assert "resume ends it and submits" in message(bench)


def test_a_pause_for_a_failure_outlasts_the_end_of_what_ran_beside_it() -> None:
    bench = Bench(score(stage(count=2), at_once=2, fail_fast=False, on_failure="pause"))
    bench.go()
    bench.fail(1)
    bench.end(2)
    assert bench.status is JobStatus.PAUSED


def test_a_limit_is_looked_at_when_what_raised_it_is_taken_back() -> None:
    def costly(most: float):
        limits = CostLimits(max_cost_per_job=most)
        return score(stage(count=3), at_once=2, cost_limits=limits)

    bench = Bench(costly(1.0))
    bench.go()
    bench.end(1, cost_usd=2.0)
    assert [hold.cause for hold in bench.state.holds.values()] == ["budget"]
    bench.ask(Action.MODIFY_RESUME, costly(9.0))
    assert not bench.state.holds
    bench.ask(Action.DISCARD)
    assert [hold.cause for hold in bench.state.holds.values()] == ["budget"]
    assert bench.flying == [2]


@each(
    ("made", "said"),
    [
        (chain(3), "sheet 1 has failed; resume runs it again; 2 sheets wait for it"),
        (chain(2), "sheet 1 has failed; resume runs it again; 1 sheet waits for it"),
        (chain(1), "sheet 1 has failed; resume runs it again"),
        (
            score(stage(count=2), stage([1])),
            "sheets 1, 2 have failed; resume runs them again; 1 sheet waits for them",
        ),
    ],
)
def test_of_a_failure_that_pauses_it_is_said_what_failed_and_how_many_wait_for_it(made, said) -> None:
    bench = Bench(msgspec.structs.replace(made, on_failure="pause", parallel=Parallelism(max_concurrent=2)))
    for sheet in bench.go():
        bench.fail(sheet)
    view = job_view(bench.state, bench.now)
    assert (view.nothing_left, view.message) == (said, f"release-notes: paused; {said}")
    bench.ask(Action.RESUME)
    assert bench.sheets[0] == "running"


def test_of_a_failed_hook_that_pauses_it_is_said_that_a_resume_runs_it_again() -> None:
    bench = HookBench(chain(1, hooks=(command("a"),), on_failure="pause"))
    bench.go()
    bench.end(1)
    bench.hook_ends(Outcome.FAILED)
    assert job_view(bench.state, bench.now).nothing_left == "hook 1 has failed; resume runs it again"


def resumed_over_its_hooks() -> HookBench:
    hooks = tuple(command(name, after_failure=True) for name in "ab")
    bench = HookBench(chain(2, failure_hooks=hooks))
    bench.go()
    bench.fail(1)
    bench.go()
    bench.ask(Action.RESUME)
    return bench


def test_a_paused_job_may_be_edited_though_hooks_of_its_failure_are_still_to_run() -> None:
    bench = resumed_over_its_hooks()
    bench.ask(Action.PAUSE)
    assert not job_view(bench.state, bench.now).safe_to.edit_files, "a hook runs"
    bench.hook_ends()
    view = job_view(bench.state, bench.now)
    assert (view.status, bench.hooks) == (JobStatus.PAUSED, ["completed", "pending"])
    assert (view.safe_to.edit_files, view.safe_to.switch_off) == (True, True)
    bench.ask(Action.RESUME)
    assert not job_view(bench.state, bench.now).safe_to.edit_files


def test_what_the_hooks_of_a_failure_keep_back_says_so() -> None:
    bench = resumed_over_its_hooks()
    assert [one.kept_back_by for one in sheet_views(bench.state, [1, 2])] == ["the on_failure hooks", None]
    said = {reason.code: reason.text for reason in reasons(bench.state, bench.now, None, {})}
    assert said["kept_back"] == "sheet 1 waits for the on_failure hooks"


def test_no_end_overtakes_what_the_contract_says_and_it_says_of_each_cause() -> None:
    page = (Path(__file__).parents[3] / "docs" / "design" / "control.md").read_text()
    (said,) = re.findall(r"Holds of cause (.+) are never overtaken", page)
    assert set(OUTLASTS_THE_END) == set(HoldCause)
    assert {cause for cause, stays in OUTLASTS_THE_END.items() if stays} == set(re.findall(r"`(\w+)`", said))
