"""A finished job takes a corrected score: what a modify does to a completed and to a cancelled one."""

import pytest
from kit.hooks import HookBench, command, hooked
from kit.scores import Bench, chain, score, stage
from kit.tables import each

from marianned.errors import WrongStatus
from marianned.lifecycle import Action
from marianned.protocol import JobStatus
from marianned.score.expanded import CostLimits


def prompts(*texts: str, **fields: object) -> object:
    return score(*(stage([n] if n else [], prompt=text) for n, text in enumerate(texts)), **fields)


def completed(*texts: str) -> Bench:
    bench = Bench(prompts(*texts))
    bench.play()
    assert bench.status is JobStatus.COMPLETED
    return bench


def cancelled() -> Bench:
    """Sheet 1 is done, 2 was in flight, 3 never began."""
    bench = Bench(prompts("a", "b", "c"))
    bench.go()
    bench.end(1)
    bench.ask(Action.CANCEL)
    bench.end(2, "interrupted")
    assert bench.status is JobStatus.CANCELLED
    return bench


def test_a_modify_that_adds_sheets_to_a_completed_job_waits_for_a_resume() -> None:
    bench = completed("a", "b")
    answer = bench.answer(bench.ask(Action.MODIFY, prompts("a", "b", "c", "d"), wait=True))
    assert (answer.status, answer.acknowledged, answer.revision) == ("completed", True, 2)
    assert answer.message == "release-notes: completed; revision 2 is in force, resume runs sheets 3, 4"
    assert answer.hints == ["mzt resume release-notes"]
    assert answer.next is None
    assert (answer.progress.completed, answer.progress.total) == (2, 4)
    assert not bench.go()
    bench.crash()
    bench.ask(Action.RESUME)
    bench.play()
    assert bench.status is JobStatus.COMPLETED
    assert [row.attempts for row in bench.state.sheets.values()] == [1, 1, 1, 1]


def test_a_modify_with_r_runs_what_is_new_at_once() -> None:
    bench = completed("a", "b")
    answer = bench.answer(bench.ask(Action.MODIFY_RESUME, prompts("a", "b", "c"), wait=True))
    assert (answer.status, answer.acknowledged) == ("running", True)
    assert bench.flying == [3]


def test_the_changed_sheets_of_a_completed_job_run_again_with_what_depends_on_them() -> None:
    bench = completed("a", "b", "c")
    bench.ask(Action.MODIFY, prompts("a", "B", "c"), sheets="changed")
    assert bench.sheets == ["completed", "pending", "pending"]
    assert bench.status is JobStatus.COMPLETED
    bench.ask(Action.RESUME)
    assert bench.flying == [2]


def test_where_nothing_would_run_the_score_of_a_completed_job_is_not_taken_and_what_to_type_is_said() -> None:
    bench = completed("a", "b")
    with pytest.raises(WrongStatus) as refused:
        bench.ask(Action.MODIFY, prompts("a", "B"), options=" -c new.yaml")
    said = "'release-notes' has completed; nothing would run: sheet 2 differs; --rerun changed, or --rerun SHEETS"
    assert refused.value.message == said
    assert refused.value.hints == ["mzt modify release-notes -c new.yaml --rerun changed -r"]
    assert bench.state.run.last_revision == 1
    nothing = "nothing would run: no finished sheet has changed; --rerun SHEETS"
    for action in (Action.MODIFY, Action.MODIFY_RESUME):
        for sheets in (None, "changed"):
            with pytest.raises(WrongStatus, match=nothing) as refused:
                bench.ask(action, prompts("a"), sheets=sheets, options=" -c new.yaml")
            assert refused.value.hints == ["mzt modify release-notes -c new.yaml --rerun 1 -r"]
            with pytest.raises(WrongStatus, match=nothing):
                bench.ask(action, prompts("a", "b"), sheets=sheets)
    bench.ask(Action.MODIFY_RESUME, prompts("a"), sheets="1")
    assert bench.flying == [1]


def test_a_modify_that_changes_nothing_says_so() -> None:
    bench = Bench(prompts("a", "b"))
    bench.ask(Action.BREAK, sheets="2")
    bench.play()

    def told(action: Action, sheets: str | None, *given: str) -> str:
        answer = bench.answer(bench.ask(action, prompts(*given) if given else None, sheets=sheets))
        return str(answer.message)

    for sheets in (None, "changed"):
        said = told(Action.MODIFY, sheets, "a", "b")
        assert said == "release-notes: paused; revision 1 is in force; nothing has changed"
    assert told(Action.MODIFY, "1") == "release-notes: paused; revision 1 is in force"
    assert told(Action.MODIFY, None, "a", "B") == "release-notes: paused; revision 2 is in force"


def test_a_resume_and_a_breakpoint_of_a_completed_job_want_something_to_run() -> None:
    bench = completed("a", "b")
    for action in (Action.RESUME, Action.BREAK):
        with pytest.raises(WrongStatus, match="has completed; nothing would run: 2 of 2 sheets done"):
            bench.ask(action, sheets="2" if action is Action.BREAK else None)
    bench.ask(Action.MODIFY, prompts("a", "b", "c"))
    bench.ask(Action.BREAK, sheets="3")
    bench.ask(Action.RESUME)
    assert (bench.status, bench.flying) == (JobStatus.PAUSED, [])


def test_beside_a_new_score_numbers_are_those_of_its_sheets() -> None:
    bench = Bench(score(stage(name="x"), stage([1], name="y", prompt="y")))
    bench.play()
    new = score(stage(name="w", prompt="w"), stage(name="x"), stage([2], name="y", prompt="y"))
    bench.ask(Action.MODIFY, new, sheets="3")
    assert bench.sheets == ["pending", "completed", "pending"]


def test_what_depends_on_a_named_sheet_that_is_new_runs_again_too() -> None:
    bench = completed("a", "b")
    new = score(stage(prompt="a"), stage([1], prompt="x"), stage([2], prompt="b"))
    bench.ask(Action.MODIFY, new, sheets="2")
    assert bench.sheets == ["completed", "pending", "pending"]


def test_hooks_run_again_where_sheets_are_set_back_and_not_for_added_ones() -> None:
    bench = HookBench(hooked(command("push")))
    bench.go()
    bench.end(1)
    bench.hook_ends()
    assert bench.status is JobStatus.COMPLETED
    bench.ask(Action.MODIFY_RESUME, hooked(command("push"), sheets=2))
    bench.end(2)
    assert bench.status is JobStatus.COMPLETED
    assert bench.state.hooks[0].attempts == 1
    lines = bench.answer(bench.ask(Action.MODIFY_RESUME, sheets="2")).hook_plan
    assert [(line.action, line.runs) for line in lines] == [("rerun", True)]
    bench.end(2)
    assert bench.state.hooks[0].status == "running"


def test_hooks_alone_can_be_named() -> None:
    bench = HookBench(hooked(command("push")))
    bench.go()
    bench.end(1)
    bench.hook_ends()
    answer = bench.answer(bench.ask(Action.MODIFY, sheets="hooks"))
    assert answer.message == "release-notes: completed; revision 1 is in force, resume runs hook 1"
    assert bench.sheets == ["completed"]
    bench.ask(Action.RESUME)
    assert bench.state.hooks[0].status == "running"
    bench.hook_ends()
    assert bench.status is JobStatus.COMPLETED


def test_a_cancelled_job_shows_its_sheets_as_cancelled_until_it_is_resumed() -> None:
    bench = cancelled()
    answer = bench.answer(bench.ask(Action.MODIFY, prompts("a", "B", "c"), wait=True))
    assert (answer.status, answer.acknowledged) == ("cancelled", True)
    assert answer.message == "release-notes: cancelled; revision 2 is in force"
    assert bench.sheets == ["completed", "cancelled", "cancelled"]
    bench.ask(Action.RESUME)
    assert (bench.flying, bench.sheet(2).revision) == ([2], 2)


def test_a_cancelled_job_goes_on_under_a_corrected_score_in_one_request() -> None:
    bench = cancelled()
    bench.ask(Action.MODIFY_RESUME, prompts("a", "B", "c", "d"))
    assert (bench.flying, bench.sheets) == ([2], ["completed", "running", "pending", "pending"])


def test_a_finished_job_does_not_go_on_under_a_score_whose_limit_is_used_up() -> None:
    limit = CostLimits(max_cost_per_job=1.0)
    bench = Bench(prompts("a", "b", cost_limits=limit))
    bench.go()
    bench.end(1, cost_usd=0.5)
    bench.end(2, cost_usd=0.6)
    assert bench.status is JobStatus.COMPLETED
    with pytest.raises(WrongStatus, match=r"it has cost \$1.10 of \$1.00"):
        bench.ask(Action.MODIFY_RESUME, prompts("a", "b", "c", cost_limits=limit))
    bench.ask(Action.MODIFY, prompts("a", "b", "c", cost_limits=limit))
    with pytest.raises(WrongStatus, match=r"it has cost \$1.10 of \$1.00"):
        bench.ask(Action.RESUME)
    bench.ask(Action.RESUME, over_budget=1.0)
    assert bench.flying == [3]


def test_what_is_in_force_in_a_completed_job_can_not_be_taken_back() -> None:
    bench = completed("a")
    bench.ask(Action.MODIFY, chain(2))
    with pytest.raises(WrongStatus):
        bench.ask(Action.DISCARD)


# --- one sheet alone -----------------------------------------------------------------------------------------


def test_a_sheet_alone_runs_again_and_what_depends_on_it_stays() -> None:
    bench = HookBench(hooked(command("push"), sheets=3))
    bench.go()
    for sheet in (1, 2, 3):
        bench.end(sheet)
    bench.hook_ends()
    shown = bench.answer(bench.ask(Action.RESUME_FROM, sheets="2", alone=True, plan=True))
    assert [(line.sheet, line.action, line.runs, line.why) for line in shown.plan] == [
        (1, "kept", False, "definition unchanged"),
        (2, "rerun", True, "asked for"),
        (3, "kept", False, "though sheet 2 ran again"),
    ]
    assert [line.runs for line in shown.hook_plan] == [False]
    assert shown.hints == ["mzt resume release-notes --only 2"]
    bench.crash()
    assert bench.answer(bench.ask(Action.RESUME_FROM, sheets="2", alone=True)).plan == shown.plan
    assert (bench.sheets, bench.flying) == (["completed", "running", "completed"], [2])
    bench.end(2)
    assert bench.status is JobStatus.COMPLETED
    assert bench.state.hooks[0].attempts == 1


@each("status", ["paused", "failed"])
def test_a_sheet_alone_runs_again_in_a_job_that_is_held_or_has_failed(status: str) -> None:
    bench = Bench(prompts("a", "b", "c"))
    bench.go()
    bench.end(1)
    if status == "paused":
        bench.ask(Action.PAUSE)
        bench.end(2)
    else:
        bench.fail(2)
    bench.ask(Action.RESUME_FROM, sheets="1", alone=True)
    assert bench.play() == ([1, 3] if status == "paused" else [1, 2, 3])
    assert bench.status is JobStatus.COMPLETED
