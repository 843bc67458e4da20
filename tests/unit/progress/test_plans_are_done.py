"""The run does exactly what the plan said: ten stages with fan-out, and pairs of scores at random."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kit.scores import Bench, chain, score, stage

from marianned.lifecycle import Action
from marianned.protocol import JobStatus, PlanLine
from marianned.score.expanded import ExpandedScore

PAIRS = settings(max_examples=70, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def symphony(*stages: tuple[str, str, int]) -> ExpandedScore:
    """Stages by name, prompt and width, each needing the one before."""
    return score(
        *(
            stage([number] if number else [], name=name, prompt=prompt, count=count)
            for number, (name, prompt, count) in enumerate(stages)
        ),
        at_once=3,
    )


FIRST = (
    ("plan", "a", 1),
    ("list", "b", 1),
    ("draft", "c", 3),
    ("check", "d", 1),
    ("merge", "e", 1),
    ("edit", "f", 2),
    ("proof", "g", 1),
    ("sign", "h", 1),
    ("ship", "i", 1),
    ("tell", "j", 1),
)
SECOND = (
    ("plan", "A", 1),
    ("list", "b", 1),
    ("draft", "c", 4),
    ("verify", "d", 1),
    ("merge", "e", 1),
    ("polish", "new", 1),
    ("edit", "f", 2),
    ("proof", "G", 1),
    ("ship", "i", 1),
    ("tell", "j", 1),
)


def executed(bench: Bench) -> list[int]:
    """Play the job to its end; return the sheets that started, ascending."""
    before = {row.uid: row.attempts for row in bench.state.sheets.values()}
    bench.play()
    return sorted(
        row.sheet for row in bench.state.sheets.values() for _ in range(row.attempts - before.get(row.uid, 0))
    )


def running(lines: list[PlanLine]) -> list[int]:
    return [line.sheet for line in lines if line.runs and line.sheet is not None]


def after_merge() -> Bench:
    """Stages 1 to 5 are done, both sheets of stage 6 in flight; one ends, then somebody asks."""
    bench = Bench(symphony(*FIRST))
    bench.go()
    for sheet in range(1, 8):
        bench.end(sheet)
    assert bench.flying == [8, 9]
    return bench


def test_ten_stages_of_which_all_kinds_of_things_become() -> None:
    bench = after_merge()
    shown = bench.answer(bench.ask(Action.MODIFY_RESUME, symphony(*SECOND), plan=True)).plan
    assert [(line.old_sheet, line.sheet, line.action, line.runs, line.reasons) for line in shown] == [
        (1, 1, "kept-changed", False, ["prompt", "validations"]),
        (2, 2, "kept", False, []),
        (3, 3, "kept", False, []),
        (4, 4, "kept", False, []),
        (5, 5, "kept", False, []),
        (None, 6, "added", True, ["new"]),
        (6, 7, "kept-changed", False, ["needs"]),
        (7, 8, "kept", False, []),
        (None, 9, "added", True, ["new"]),
        (8, 10, "in-flight", False, ["needs"]),
        (9, 11, "in-flight", False, ["needs"]),
        (10, 12, "changed", True, ["prompt", "validations"]),
        (11, None, "removed", False, ["gone"]),
        (12, 13, "changed", True, ["needs"]),
        (13, 14, "kept", True, []),
    ]
    done = bench.answer(bench.ask(Action.MODIFY_RESUME, symphony(*SECOND))).plan
    assert done == shown
    bench.end(8)
    bench.end(9)
    assert bench.state.run.revision == 2
    assert [line.action for line in bench.state.current.plan if line.sheet in (10, 11)] == [
        "kept-changed"
    ] * 2
    assert running(bench.state.current.plan) == running(shown)
    bench.play()
    assert bench.status is JobStatus.COMPLETED
    ran = sorted(row.sheet for row in bench.state.sheets.values() if row.revision == 2)
    assert ran == running(shown)
    assert all(row.attempts == 1 for row in bench.state.sheets.values())


def test_the_changed_ones_run_again_when_that_is_asked_for_with_all_that_depend_on_them() -> None:
    bench = after_merge()
    bench.ask(Action.PAUSE)
    bench.end(8)
    bench.end(9)
    new = symphony(*FIRST[:3], ("check", "D", 1), *FIRST[4:])
    shown = bench.answer(bench.ask(Action.MODIFY_RESUME, new, sheets="changed", plan=True)).plan
    assert [line.sheet for line in shown if line.action == "rerun"] == [6, 7, 8, 9]
    assert {tuple(line.reasons) for line in shown if line.action == "rerun"} == {("asked",), ("upstream",)}
    bench.slots = 0
    bench.ask(Action.MODIFY_RESUME, new, sheets="changed")
    assert executed_from_here(bench) == running(shown)


def executed_from_here(bench: Bench) -> list[int]:
    bench.slots = 16
    return executed(bench)


def test_a_rerun_that_is_staged_waits_for_what_is_in_flight_and_runs_that_again_too() -> None:
    bench = after_merge()
    shown = bench.answer(bench.ask(Action.MODIFY_RESUME, sheets="7", plan=True)).plan
    waits = bench.ask(Action.MODIFY_RESUME, sheets="7", wait=True)
    assert bench.status is JobStatus.PAUSING
    bench.crash()
    assert bench.status is JobStatus.PAUSING
    bench.end(8)
    assert bench.waits(waits)
    bench.slots = 0
    bench.end(9)
    assert executed_from_here(bench) == running(shown) == [7, 8, 9, 10, 11, 12, 13]


def test_a_discard_takes_a_staged_rerun_back() -> None:
    bench = after_merge()
    bench.ask(Action.MODIFY_RESUME, sheets="1")
    bench.ask(Action.DISCARD)
    assert bench.status is JobStatus.RUNNING
    bench.end(8)
    bench.end(9)
    bench.play()
    assert all(row.attempts == 1 for row in bench.state.sheets.values())


def test_a_resume_from_a_sheet_does_what_its_plan_said() -> None:
    for status in ("paused", "failed", "completed"):
        bench = Bench(chain(4))
        bench.go()
        bench.end(1)
        bench.end(2)
        match status:
            case "paused":
                bench.ask(Action.PAUSE)
                bench.end(3)
            case "failed":
                bench.fail(3)
            case _:
                bench.play()
        assert bench.status == status
        bench.slots = 0
        shown = bench.answer(bench.ask(Action.RESUME_FROM, sheets="2", plan=True)).plan
        done = bench.answer(bench.ask(Action.RESUME_FROM, sheets="2")).plan
        assert done == shown
        assert executed_from_here(bench) == running(shown) == [2, 3, 4]
        assert bench.status is JobStatus.COMPLETED


# --- pairs at random -----------------------------------------------------------------------------------------


@st.composite
def scores(draw: st.DrawFn) -> ExpandedScore:
    stages: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 6))):
        below = list(range(1, number + 1))
        needs = draw(st.lists(st.sampled_from(below), unique=True, max_size=2)) if below else []
        name = draw(st.sampled_from([None, "x", "y", "z"]))
        prompt = draw(st.sampled_from("abcd"))
        stages.append(stage(sorted(needs), count=draw(st.integers(1, 3)), prompt=prompt, name=name))
    return score(*stages, at_once=draw(st.integers(1, 3)), fail_fast=draw(st.booleans()))


@st.composite
def begun(draw: st.DrawFn) -> Bench:
    """A job somewhere on its way, that has not ended."""
    bench = Bench(draw(scores()), checked=False)
    bench.after(1).go()
    for _ in range(draw(st.integers(0, 8))):
        if len(bench.flying) == 0 or bench.state.done + 1 >= len(bench.sheets):
            break
        which = bench.flying[draw(st.integers(0, 20)) % len(bench.flying)]
        if draw(st.integers(0, 5)) or len(bench.flying) == 1:
            bench.end(which)
        else:
            bench.fail(which)
    return bench


def at_rest(bench: Bench) -> None:
    """Pause, unless it has failed meanwhile, and let all in flight end."""
    if not bench.state.run.ended:
        bench.ask(Action.PAUSE)
    while bench.flying:
        bench.end(bench.flying[0])


def completed(bench: Bench) -> dict[int, int]:
    return {row.uid: row.attempts for row in bench.state.sheets.values() if row.status == "completed"}


@PAIRS
@given(begun(), scores(), st.data())
def test_what_was_shown_is_what_is_done_and_what_was_done_is_what_runs(
    bench: Bench, new: ExpandedScore, data: st.DataObject
) -> None:
    at_rest(bench)
    if bench.status is JobStatus.COMPLETED:
        return
    chosen = data.draw(st.sampled_from([None, "changed", *map(str, range(1, len(new.sheets) + 1))]))
    bench.slots = 0
    shown = bench.answer(bench.ask(Action.MODIFY_RESUME, new, sheets=chosen, plan=True))
    before = completed(bench)
    reply = bench.answer(bench.ask(Action.MODIFY_RESUME, new, sheets=chosen))
    assert reply.plan == shown.plan
    if not shown.changed and chosen is None:
        return  # there is no plan
    assert executed_from_here(bench) == sorted(running(shown.plan))
    stays_failed = any(line.why == "failed, stays" for line in shown.plan)
    assert bench.status is (JobStatus.FAILED if stays_failed else JobStatus.COMPLETED)
    if chosen is None:
        kept = {row.uid: row.attempts for row in bench.state.sheets.values() if row.uid in before}
        assert kept == {uid: attempts for uid, attempts in before.items() if uid in kept}


@PAIRS
@given(begun(), st.booleans(), st.data())
def test_a_resume_runs_what_its_plan_showed_whatever_has_failed(
    bench: Bench, pauses: bool, data: st.DataObject
) -> None:
    if pauses:
        at_rest(bench)
    else:
        bench.play()
    sheets = data.draw(st.sampled_from([None, *map(str, range(1, len(bench.sheets) + 1))]))
    if sheets is None and bench.status is JobStatus.COMPLETED:
        return
    action = Action.RESUME if sheets is None else Action.RESUME_FROM
    bench.slots = 0
    shown = bench.answer(bench.ask(action, sheets=sheets, plan=True)).plan
    reply = bench.answer(bench.ask(action, sheets=sheets))
    assert reply.plan == ([] if sheets is None else shown)
    assert executed_from_here(bench) == sorted(running(shown))


@PAIRS
@given(begun(), st.data())
def test_reruns_that_wait_for_what_is_in_flight_run_all_that_was_asked_for(
    bench: Bench, data: st.DataObject
) -> None:
    flying = bench.flying
    if not flying:
        return
    bench.slots = 0
    numbers = st.sampled_from(range(1, len(bench.sheets) + 1))
    asked = data.draw(st.lists(numbers, min_size=1, max_size=3))
    replies = [bench.answer(bench.ask(Action.MODIFY_RESUME, sheets=str(sheet))) for sheet in asked]
    assert set(bench.state.run.rewind) == {bench.sheet(sheet).uid for sheet in asked}
    for sheet in flying:
        bench.end(sheet)
    assert executed_from_here(bench) == running(replies[-1].plan)


@PAIRS
@given(begun(), scores())
def test_what_is_staged_in_flight_does_what_it_said_brought_up_to_date(
    bench: Bench, new: ExpandedScore
) -> None:
    if not bench.flying:
        return
    flying = set(bench.flying)
    shown = bench.answer(bench.ask(Action.MODIFY_RESUME, new)).plan
    bench.slots = 0
    for sheet in sorted(flying):
        bench.end(sheet)
    if not shown:
        return
    assert bench.state.run.revision == 2
    applied = bench.state.current.plan
    assert running(applied) == running(shown)
    assert executed_from_here(bench) == sorted(running(applied))
    assert bench.status is JobStatus.COMPLETED


@PAIRS
@given(begun())
def test_the_same_score_again_runs_nothing_again(bench: Bench) -> None:
    at_rest(bench)
    if bench.state.run.ended:
        return
    before = completed(bench)
    reply = bench.answer(bench.ask(Action.MODIFY_RESUME, bench.state.score))
    assert (reply.changed, reply.plan, bench.state.run.revision) == (False, [], 1)
    bench.play()
    assert {uid: bench.state.sheet_of(uid).attempts for uid in before} == before  # type: ignore[union-attr]


@PAIRS
@given(begun(), scores())
def test_there_and_back_again_runs_nothing_again_that_was_kept(bench: Bench, other: ExpandedScore) -> None:
    at_rest(bench)
    if bench.state.run.ended:
        return
    first = bench.state.score
    before = completed(bench)
    bench.ask(Action.MODIFY, other)
    if bench.state.run.ended:
        return
    bench.ask(Action.MODIFY, first)
    if bench.state.run.ended:
        return
    kept = {row.uid for row in bench.state.sheets.values()} & set(before)
    bench.ask(Action.RESUME)
    bench.play()
    assert {uid: bench.state.sheet_of(uid).attempts for uid in kept} == {uid: before[uid] for uid in kept}  # type: ignore[union-attr]
