"""What pauses a job beside a person's pause, and who lets go: breakpoints, ends, deadlines, budgets, causes."""

import msgspec
import pytest
from kit.scores import Bench, chain, score, stage
from kit.tables import each

from marianned.errors import WaitOverridden, WrongStatus
from marianned.lifecycle import Action
from marianned.progress.state.triggers import SlotFree
from marianned.progress.views import messages
from marianned.progress.views.job import HOLDS_MOST
from marianned.progress.views.reasons import reasons
from marianned.protocol import JobStatus, Outcome
from marianned.rows import Changes, LimitRow
from marianned.score.expanded import CostLimits, ExpandedScore, RetryPolicy


def graph() -> Bench:
    """1; 2 and 3 need it; 4 needs 2; 5 needs 3; 6 needs both; all side by side."""
    return Bench(score(stage(), stage([1]), stage([1]), stage([2]), stage([3]), stage([4, 5]), at_once=6))


def causes(bench: Bench) -> list[str]:
    return [hold.cause for hold in bench.state.holds.values()]


def interrupted(bench: Bench) -> list[int]:
    assert bench.last is not None
    return sorted({attempt.sheet for attempt in bench.last.interrupts})


def limited(most: float) -> Bench:
    return Bench(chain(3, cost_limits=CostLimits(max_cost_per_job=most)))


# --- breakpoints -------------------------------------------------------------------------------------------


def test_all_that_does_not_stand_behind_a_breakpoint_goes_on_then_the_job_is_paused() -> None:
    bench = graph()
    bench.ask(Action.BREAK, sheets="5")
    assert bench.play() == [1, 2, 3, 4]
    assert (bench.status, causes(bench)) == (JobStatus.PAUSED, ["breakpoint"])
    assert bench.sheets == ["completed"] * 4 + ["pending"] * 2
    assert bench.state.breakpoints == {}


def test_a_resume_passes_a_breakpoint_once() -> None:
    bench = graph()
    bench.ask(Action.BREAK, sheets="5")
    bench.play()
    bench.ask(Action.RESUME)
    assert bench.flying == [5]
    assert bench.play() == [5, 6]
    assert bench.status is JobStatus.COMPLETED


def test_a_breakpoint_that_is_not_reached_yet_stays_when_another_is_passed() -> None:
    bench = Bench(chain(4))
    bench.ask(Action.BREAK, sheets="2,4")
    bench.play()
    bench.ask(Action.RESUME)
    assert bench.play() == [2, 3]
    assert causes(bench) == ["breakpoint"]
    bench.ask(Action.RESUME)
    assert bench.play() == [4]


def test_a_resume_of_a_pause_leaves_a_breakpoint_that_lies_ahead() -> None:
    bench = Bench(chain(3))
    bench.go()
    bench.ask(Action.BREAK, sheets="3")
    bench.ask(Action.PAUSE)
    bench.end(1)
    bench.ask(Action.RESUME)
    assert bench.play() == [2]
    assert causes(bench) == ["breakpoint"]


@each("given", ["running", "completed", "waiting", "failed"])
def test_there_is_no_breakpoint_before_what_has_started(given: str) -> None:
    bench = Bench(score(stage(), stage(), fail_fast=False, retry=RetryPolicy(jitter=False)))
    bench.go()
    match given:
        case "completed":
            bench.end(1)
        case "waiting":
            bench.end(1, Outcome.FAILED, category="exit")
        case "failed":
            bench.fail(1)
        case _:
            pass
    assert bench.sheet(1).status == given
    with pytest.raises(WrongStatus) as refused:
        bench.ask(Action.BREAK, sheets="1")
    assert given in refused.value.message
    assert bench.state.breakpoints == {}


def test_there_is_no_breakpoint_where_its_own_hold_stands() -> None:
    bench = graph()
    bench.ask(Action.BREAK, sheets="2,3")
    bench.play()
    before = bench.disk.rows.copy()
    for named in ("3", "3,5"):
        with pytest.raises(
            WrongStatus, match="is paused before sheet 3 already; a resume starts it"
        ) as refused:
            bench.ask(Action.BREAK, sheets=named)
        assert refused.value.hints == ["mzt resume release-notes"]
    assert bench.disk.rows == before, "the resume would void what it was told that it is set"
    bench.crash()
    with pytest.raises(WrongStatus):
        bench.ask(Action.BREAK, sheets="2")
    bench.ask(Action.BREAK, sheets="5")
    bench.ask(Action.RESUME)
    assert bench.flying == [2, 3]
    bench.play()
    assert bench.sheets == ["completed"] * 4 + ["pending"] * 2


def test_a_breakpoint_stands_once_more_where_what_leads_to_its_hold_runs_again() -> None:
    bench = Bench(chain(2))
    bench.ask(Action.BREAK, sheets="2")
    bench.play()
    bench.ask(Action.MODIFY, sheets="1")
    assert bench.sheets == ["pending", "pending"]
    bench.ask(Action.BREAK, sheets="2")
    bench.ask(Action.RESUME)
    assert bench.play() == [1]
    assert (bench.status, causes(bench)) == (JobStatus.PAUSED, ["breakpoint"])


def test_a_cancelled_job_takes_a_breakpoint_before_what_never_started() -> None:
    bench = Bench(chain(3))
    bench.go()
    bench.ask(Action.CANCEL)
    bench.end(1, Outcome.INTERRUPTED)
    bench.ask(Action.BREAK, sheets="2")
    bench.ask(Action.RESUME)
    assert bench.play() == [1]
    assert (bench.status, causes(bench)) == (JobStatus.PAUSED, ["breakpoint"])


def test_breakpoints_are_cleared_by_name_or_all() -> None:
    bench = graph()
    bench.ask(Action.BREAK, sheets="4-6")
    bench.ask(Action.BREAK, sheets="5", clear=True)
    assert [bench.state.sheet_of(uid).sheet for uid in sorted(bench.state.breakpoints)] == [4, 6]  # type: ignore[union-attr]
    bench.ask(Action.BREAK, clear=True)
    assert bench.state.breakpoints == {}
    assert bench.play() == [1, 2, 3, 4, 5, 6]


def test_a_breakpoint_follows_its_sheet_through_a_modify() -> None:
    bench = Bench(score(stage(name="a"), stage([1], name="b"), stage([2], name="c")))
    bench.go()
    bench.ask(Action.BREAK, sheets="3")
    new = score(stage(name="a"), stage([1], name="x"), stage([2], name="b"), stage([3], name="c"))
    bench.ask(Action.MODIFY_RESUME, new)
    assert bench.play() == [1, 2, 3]
    assert (bench.status, causes(bench)) == (JobStatus.PAUSED, ["breakpoint"])
    assert next(iter(bench.state.holds.values())).reason == "before sheet 4 (c)"


def test_a_removed_sheet_takes_its_breakpoint_along_and_the_plan_says_so() -> None:
    bench = Bench(score(stage(name="a"), stage([1], name="b"), stage([2], name="c")))
    bench.go()
    bench.ask(Action.BREAK, sheets="2")
    new = score(stage(name="a"), stage([1], name="c"))
    shown = bench.answer(bench.ask(Action.MODIFY_RESUME, new, plan=True))
    lines = {line.old_sheet: line.why for line in shown.plan if line.action == "removed"}
    assert lines == {2: "stage 2 is gone, its breakpoint too"}
    assert bench.state.breakpoints
    bench.ask(Action.MODIFY_RESUME, new)
    assert bench.play() == [1, 2]
    assert bench.status is JobStatus.COMPLETED


def reason_of(bench: Bench) -> str | None:
    (hold,) = (hold for hold in bench.state.holds.values() if hold.cause == "breakpoint")
    (why,) = (one.text for one in reasons(bench.state, bench.now, None, {}) if one.code == "hold:breakpoint")
    assert f'"{hold.reason}"' in why
    return hold.reason


def test_the_hold_of_a_breakpoint_names_sheets_as_the_score_in_force_does_and_says_which_are_gone() -> None:
    def named(*names: str) -> ExpandedScore:
        """All need the first one."""
        return score(*(stage([1] if n else [], name=name, prompt=name) for n, name in enumerate(names)))

    bench = Bench(named("a", "b", "c"))
    bench.ask(Action.BREAK, sheets="2-3")
    bench.play()
    assert reason_of(bench) == "before sheets 2, 3"
    bench.ask(Action.MODIFY, named("a", "x", "b", "c"))
    assert reason_of(bench) == "before sheets 3, 4"
    bench.ask(Action.MODIFY, named("a", "c", "d"))
    assert reason_of(bench) == "before sheet 2 (c)"
    bench.ask(Action.MODIFY, named("a", "d"))
    assert reason_of(bench) == "before sheet 2 (c), which revision 4 removed"
    bench.ask(Action.MODIFY, named("a", "e", "d"))
    assert reason_of(bench) == "before sheet 2 (c), which revision 4 removed"
    bench.crash()
    bench.ask(Action.RESUME)
    assert bench.play() == [2, 3]
    assert bench.status is JobStatus.COMPLETED


def test_a_breakpoint_waits_for_a_retry_that_does_not_stand_behind_it() -> None:
    bench = Bench(score(stage(), stage(), at_once=2, retry=RetryPolicy(jitter=False), fail_fast=False))
    bench.ask(Action.BREAK, sheets="2")
    bench.go()
    bench.end(1, Outcome.FAILED, category="exit")
    assert (bench.status, causes(bench)) == (JobStatus.RUNNING, [])
    assert bench.tick(10) == [1]
    bench.end(1)
    assert causes(bench) == ["breakpoint"]


def test_who_waits_at_a_breakpoint_is_answered_by_the_pause_it_brings_or_by_its_loss() -> None:
    bench = Bench(chain(2))
    bench.go()
    comes = bench.ask(Action.BREAK, sheets="2", wait=True)
    bench.end(1)
    assert (bench.answer(comes).status, bench.answer(comes).acknowledged) == ("paused", True)
    bench = Bench(chain(3))
    bench.go()
    lost = bench.ask(Action.BREAK, sheets="3", wait=True)
    bench.ask(Action.BREAK, sheets="3", clear=True)
    assert isinstance(bench.answer(lost), WaitOverridden)


# --- holds that end, deadlines -----------------------------------------------------------------------------


def test_a_pause_at_once_is_not_told_as_what_to_type_where_one_is_under_way() -> None:
    bench = graph()
    bench.go()
    name = bench.state.run.job_name
    bench.ask(Action.PAUSE)
    told = messages.hints(bench.state, bench.status)
    assert told == [f"mzt wait {name} --for paused", f"mzt pause {name} --now", f"mzt resume {name}"]
    bench.ask(Action.PAUSE_NOW)
    told = messages.hints(bench.state, bench.status)
    assert told == [f"mzt wait {name} --for paused", f"mzt resume {name}"]


def test_a_pause_with_an_end_counts_from_the_moment_of_paused_and_lets_go_by_itself() -> None:
    bench = Bench(chain(2))
    bench.go()
    bench.ask(Action.PAUSE, lasts=60_000)
    assert bench.tick(600) == []
    bench.end(1)
    assert bench.status is JobStatus.PAUSED
    assert bench.tick(59) == []
    assert bench.tick(1) == [2]
    assert "hold.ended" in [event.type for event in bench.disk.events[-3:]]


def test_a_pause_with_an_end_ends_over_a_crash_too() -> None:
    bench = Bench(chain(2))
    bench.ask(Action.PAUSE, lasts=60_000)
    bench.after(120).crash()
    assert bench.go() == [1]


def test_a_pause_that_ends_by_itself_lets_a_retry_wait_as_long_as_it_still_had_to() -> None:
    bench = Bench(chain(1, retry=RetryPolicy(jitter=False)))
    bench.go()
    bench.end(1, Outcome.FAILED, category="exit")
    bench.after(4).ask(Action.PAUSE, lasts=60_000)
    assert bench.status is JobStatus.PAUSED
    assert bench.tick(60) == []
    assert bench.status is JobStatus.QUEUED
    assert bench.tick(5) == []
    assert bench.tick(1) == [1]


def test_a_pause_without_an_end_outlasts_one_with_an_end_and_joins_it() -> None:
    bench = Bench(chain(2))
    bench.ask(Action.PAUSE, lasts=60_000)
    bench.ask(Action.PAUSE)
    with pytest.raises(WrongStatus):
        bench.ask(Action.PAUSE, lasts=1_000)
    assert bench.tick(61) == []
    assert (bench.status, len(bench.state.holds)) == (JobStatus.PAUSED, 1)


def test_a_deadline_interrupts_what_has_not_come_to_its_boundary_by_then() -> None:
    bench = Bench(chain(2))
    bench.go()
    waits = bench.ask(Action.PAUSE, wait=True, deadline=5_000)
    bench.tick(4)
    assert interrupted(bench) == []
    bench.tick(1)
    assert interrupted(bench) == [1]
    bench.end(1, Outcome.INTERRUPTED)
    assert bench.answer(waits).status == "paused"
    assert (bench.sheet(1).tries, bench.sheet(1).attempts) == (0, 1)
    bench.ask(Action.RESUME)
    assert bench.flying == [1]


def test_a_boundary_before_the_deadline_is_the_pause_and_nothing_is_interrupted() -> None:
    bench = Bench(chain(2))
    bench.go()
    bench.ask(Action.PAUSE, deadline=5_000)
    bench.after(5).end(1)
    assert (bench.status, interrupted(bench)) == (JobStatus.PAUSED, [])
    bench.tick(10)
    assert interrupted(bench) == []
    bench.ask(Action.RESUME)
    assert bench.flying == [2]
    assert interrupted(bench) == []


def test_a_deadline_that_passed_while_the_daemon_was_down_fires_at_the_first_look() -> None:
    bench = Bench(chain(2))
    bench.go()
    bench.ask(Action.PAUSE, deadline=5_000)
    bench.after(60).crash()
    bench.go()
    assert interrupted(bench) == [1]


def test_a_resume_voids_a_deadline_with_its_pause() -> None:
    bench = Bench(chain(2))
    bench.go()
    bench.ask(Action.PAUSE, deadline=5_000)
    bench.ask(Action.RESUME)
    bench.tick(60)
    assert (bench.status, interrupted(bench)) == (JobStatus.RUNNING, [])


def test_a_shorter_deadline_tightens_and_a_longer_one_does_not_weaken() -> None:
    bench = Bench(chain(2))
    bench.go()
    bench.ask(Action.PAUSE, deadline=5_000)
    bench.ask(Action.PAUSE, deadline=50_000)
    bench.tick(5)
    assert interrupted(bench) == [1]


def test_what_is_interrupted_now_is_told_once_and_runs_again_without_a_try() -> None:
    bench = Bench(chain(2))
    bench.go()
    bench.ask(Action.PAUSE_NOW)
    assert bench.last is not None
    assert [attempt.sheet for attempt in bench.last.interrupts] == [1]
    bench.end(1, Outcome.INTERRUPTED)
    assert (bench.status, bench.sheets) == (JobStatus.PAUSED, ["pending", "pending"])
    bench.ask(Action.RESUME)
    assert (bench.flying, bench.sheet(1).tries) == ([1], 0)


def test_checks_that_were_ended_run_again_without_the_process() -> None:
    bench = Bench(chain(2))
    bench.go()
    bench.ask(Action.PAUSE_NOW)
    bench.park(1)
    assert (bench.status, bench.sheets) == (JobStatus.PAUSED, ["pending", "pending"])
    bench.crash()
    bench.ask(Action.RESUME)
    assert bench.last is not None
    assert ([row.attempt for row in bench.last.checks], bench.last.starts) == ([1], [])
    bench.end(1)
    assert bench.sheet(1).attempts == 1


# --- money ----------------------------------------------------------------------------------------------------


def test_over_its_cost_limit_a_job_is_paused_and_a_plain_resume_is_told_the_way_out() -> None:
    bench = limited(1.0)
    bench.go()
    bench.end(1, cost_usd=1.5)
    assert (bench.status, causes(bench)) == (JobStatus.PAUSED, ["budget"])
    with pytest.raises(WrongStatus) as refused:
        bench.ask(Action.RESUME)
    assert "it has cost $1.50 of $1.00" in refused.value.message
    assert any("--over-budget" in hint for hint in refused.value.hints)
    assert any("modify" in hint for hint in refused.value.hints)
    with pytest.raises(WrongStatus):
        bench.ask(Action.RESUME, over_budget=0.25)
    assert bench.state.run.over_budget == 0.0
    bench.ask(Action.RESUME, over_budget=1.0)
    assert bench.flying == [2]
    bench.end(2, cost_usd=1.0)
    assert causes(bench) == ["budget"]


def test_what_a_run_has_cost_is_told_as_at_least_that_where_an_attempt_had_no_price() -> None:
    bench = limited(1.0)
    bench.go()
    bench.end(1, Outcome.TIMED_OUT, category="timeout")
    bench.tick(3600)
    bench.end(1, cost_usd=1.5)
    assert causes(bench) == ["budget"]
    with pytest.raises(WrongStatus) as refused:
        bench.ask(Action.RESUME)
    assert "it has cost at least $1.50 of $1.00" in refused.value.message


def test_a_plan_of_a_resume_adds_nothing_to_the_limit() -> None:
    bench = limited(1.0)
    bench.go()
    bench.end(1, cost_usd=1.5)
    bench.ask(Action.RESUME, over_budget=1.0, plan=True)
    assert bench.state.run.over_budget == 0.0
    assert bench.last is not None
    assert not bench.last.changes


@each("most", [None, 5.0])
def test_a_modify_with_a_higher_limit_lets_it_go(most: float | None) -> None:
    bench = limited(1.0)
    bench.go()
    bench.end(1, cost_usd=1.5)
    higher = chain(3, cost_limits=None if most is None else CostLimits(max_cost_per_job=most))
    with pytest.raises(WrongStatus):
        bench.ask(Action.MODIFY_RESUME, chain(4, cost_limits=CostLimits(max_cost_per_job=1.2)))
    bench.ask(Action.MODIFY_RESUME, higher)
    assert bench.flying == [2]


def test_a_modify_with_a_lower_limit_pauses_the_job_when_it_is_applied() -> None:
    bench = limited(5.0)
    bench.go()
    bench.end(1, cost_usd=1.5)
    bench.ask(Action.MODIFY_RESUME, chain(3, cost_limits=CostLimits(max_cost_per_job=1.0)))
    bench.end(2, cost_usd=0.0)
    assert (bench.status, causes(bench)) == (JobStatus.PAUSED, ["budget"])


def test_a_budget_that_the_last_sheet_breaks_is_no_pause() -> None:
    bench = Bench(chain(1, cost_limits=CostLimits(max_cost_per_job=1.0)))
    bench.go()
    bench.end(1, cost_usd=2.0)
    assert bench.status is JobStatus.COMPLETED


def test_an_ended_job_that_is_over_its_limit_starts_nothing_again_without_more_of_it() -> None:
    bench = limited(1.0)
    bench.go()
    bench.end(1, cost_usd=0.5)
    bench.end(2, Outcome.FAILED, category="config", cost_usd=2.0)
    assert bench.status is JobStatus.FAILED
    for action, fields in ((Action.RESUME, {}), (Action.RESUME_FROM, {"sheets": "1"})):
        with pytest.raises(WrongStatus, match="at its cost limit"):
            bench.ask(action, **fields)
    bench.ask(Action.RESUME, over_budget=5.0)
    assert bench.flying == [2]


# --- the other causes ---------------------------------------------------------------------------------------------


def test_parallel_sheets_whose_credentials_are_refused_bring_one_hold_and_complete_when_mended() -> None:
    bench = Bench(score(stage(count=4), at_once=4))
    bench.go()
    for sheet in (1, 2, 3):
        bench.end(sheet, Outcome.FAILED, category="auth", message="401")
    bench.end(4)
    assert (bench.status, causes(bench)) == (JobStatus.PAUSED, ["auth"])
    bench.ask(Action.RESUME)
    assert bench.play() == [1, 2, 3]
    assert bench.status is JobStatus.COMPLETED
    assert [bench.sheet(n).tries for n in (1, 2, 3)] == [0, 0, 0]


def test_without_auto_resume_a_rate_limit_is_a_hold() -> None:
    bench = Bench(chain(1))
    bench.go()
    bench.end(1, Outcome.RATE_LIMITED)
    assert bench.status is JobStatus.RUNNING
    bench = Bench(chain(1))
    bench.state.run = bench.disk.rows[type(bench.state.run),] = type(bench.state.run)(
        **{name: getattr(bench.state.run, name) for name in bench.state.run.__struct_fields__}
        | {"auto_resume": False}
    )
    bench.go()
    bench.end(1, Outcome.RATE_LIMITED)
    assert (bench.status, causes(bench), bench.sheets) == (JobStatus.PAUSED, ["rate_limit"], ["pending"])
    bench.ask(Action.RESUME)
    assert bench.play() == [1]


def test_why_lists_the_first_of_many_holds_and_counts_the_others() -> None:
    bench = limited(9.0)
    bench.go()
    for _ in range(HOLDS_MOST + 7):
        bench.ask(Action.PAUSE)
    found = reasons(bench.state, bench.now, None, {})
    assert sum(reason.code == "hold:user" for reason in found) == HOLDS_MOST + 1
    assert any(reason.text == f"7 more holds, {HOLDS_MOST + 7} in all" for reason in found)


def test_the_hints_of_a_budget_hold_release_it() -> None:
    bench = limited(0.5)
    bench.go()
    bench.end(1, cost_usd=1.0)
    assert causes(bench) == ["budget"]
    assert messages.hints(bench.state, bench.status) == [
        f"mzt resume {bench.state.run.job_name} --over-budget 5"
    ]
    bench.ask(Action.CANCEL)
    ended = [reason.hints for reason in reasons(bench.state, bench.now, None, {}) if reason.code == "ended"]
    assert ended == [[f"mzt resume {bench.state.run.job_name} --over-budget 5"]]


def test_without_auto_resume_a_rate_limit_that_others_have_met_is_a_hold_too() -> None:
    bench = Bench(chain(2))
    bench.disk.commit(Changes(rows=[msgspec.structs.replace(bench.state.run, auto_resume=False)]))
    bench.crash()
    account = bench.state.account(1)
    until = bench.now.plus(3_600_000)
    bench.state.limits = {
        account: LimitRow(instrument=account.instrument, model=account.model, until=until, since=bench.now.at)
    }
    bench.checked = False  # the limit is in memory alone: all jobs share it
    bench.step(SlotFree(), 0)
    assert (bench.status, causes(bench)) == (JobStatus.PAUSED, ["rate_limit"])
    bench.ask(Action.RESUME)
    assert (bench.status, bench.sheet(1).waiting_for) == (JobStatus.QUEUED, "rate_limit")


def test_a_resume_lets_a_sheet_cost_as_much_again_as_it_may() -> None:
    bench = Bench(chain(1, cost_limits=CostLimits(max_cost_per_sheet=1.0), retry=RetryPolicy(max_retries=9)))
    bench.go()
    bench.end(1, Outcome.FAILED, category="exit", cost_usd=1.5)
    assert bench.status is JobStatus.FAILED
    bench.ask(Action.RESUME)
    bench.end(1, Outcome.FAILED, category="exit", cost_usd=0.5)
    assert bench.sheets == ["waiting"], "it has cost 0.50 since the resume"
    bench.tick(3600)
    bench.end(1, Outcome.FAILED, category="exit", cost_usd=0.6)
    assert bench.status is JobStatus.FAILED


def test_a_failed_job_over_its_limit_is_hinted_at_what_is_accepted() -> None:
    bench = Bench(chain(2, cost_limits=CostLimits(max_cost_per_job=1.0)))
    bench.go()
    bench.end(1, Outcome.FAILED, category="config", cost_usd=1.5)
    assert bench.status is JobStatus.FAILED
    given = messages.hints(bench.state, bench.status)
    assert f"mzt resume {bench.state.run.job_name}" not in given
    assert f"mzt resume {bench.state.run.job_name} --over-budget 5" in given
    with pytest.raises(WrongStatus):
        bench.ask(Action.RESUME)
    bench.ask(Action.RESUME, over_budget=5.0)
