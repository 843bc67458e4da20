"""What a modify would do: who is who across two revisions, and what becomes of each sheet."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from kit.tables import each

from marianned.score.expanded import (
    CrossSheetSettings,
    ExpandedScore,
    Parallelism,
    PromptDefinition,
    RetryPolicy,
    SheetDefinition,
)
from marianned.score.matching import match_revisions
from marianned.score.plan import RevisionPlan, SheetProgress, plan_revision


def stage(prompt: str, count: int = 1, name: str | None = None, **digests: str) -> dict[str, Any]:
    return {"digests": {"prompt": prompt, "retry": "3"} | digests, "count": count, "name": name}


def score(*stages: dict[str, Any], needs: dict[int, list[int]] | None = None) -> ExpandedScore:
    """A score of these stages, each needing none, or all sheets of those that `needs` names for it."""
    numbers: dict[int, list[int]] = {}
    last = 0
    for number, made in enumerate(stages, 1):
        numbers[number] = list(range(last + 1, last + 1 + made["count"]))
        last += made["count"]
    sheets = [
        SheetDefinition(
            sheet=sheet,
            stage=number,
            instance=instance,
            fan_count=made["count"],
            start_item=sheet,
            end_item=sheet,
            movement=made["name"],
            label=None,
            needs=tuple(need for below in (needs or {}).get(number, []) for need in numbers[below]),
            instrument="sh",
            settings={},
            fallbacks=(),
            timeout_seconds=1.0,
            working_directory="/w",
            checks=(),
            digests=made["digests"],
        )
        for number, made in enumerate(stages, 1)
        for instance, sheet in enumerate(numbers[number], 1)
    ]
    return ExpandedScore(
        name="notes",
        description=None,
        workspace="/w",
        total_stages=len(stages),
        sheets=tuple(sheets),
        prompt=PromptDefinition(template=None, variables={}),
        retry=RetryPolicy(),
        parallel=Parallelism(),
        cross_sheet=CrossSheetSettings(),
        profiles={},
    )


def standing(old: ExpandedScore, *statuses: str) -> dict[int, SheetProgress]:
    """The sheets in order; those that are not given are pending."""
    given_ones = dict(enumerate(statuses, 1))
    stands = {}
    for sheet in old.sheets:
        status = given_ones.get(sheet.sheet, "pending")
        stands[sheet.sheet] = SheetProgress(status, status == "running", status != "pending")
    return stands


def planned(old: ExpandedScore, new: ExpandedScore, *statuses: str) -> RevisionPlan:
    return plan_revision(old, new, match_revisions(old, new).sheets, standing(old, *statuses), 1)


def shown(result: RevisionPlan) -> list[tuple[int | None, int | None, str, bool]]:
    return [(line.sheet, line.old_sheet, line.action, line.runs) for line in result.lines]


def whys(result: RevisionPlan) -> list[tuple[str, list[str]]]:
    return [(line.why, line.reasons) for line in result.lines]


def test_the_example_of_the_contract() -> None:
    old = score(stage("a"), stage("b", 2), stage("c", validations="1"))
    new = score(stage("a"), stage("b", 2), stage("d", validations="2"), stage("e"))
    result = planned(old, new, "completed", "running", "running")
    assert shown(result) == [
        (1, 1, "kept", False),
        (2, 2, "in-flight", False),
        (3, 3, "in-flight", False),
        (4, 4, "changed", True),
        (5, None, "added", True),
    ]
    assert whys(result) == [
        ("definition unchanged", []),
        ("finishes under revision 1", []),
        ("finishes under revision 1", []),
        ("prompt, validations differ", ["prompt", "validations"]),
        ("stage 4 is new", ["new"]),
    ]
    assert [line.status for line in result.lines] == ["completed", "running", "running", "pending", None]
    assert result.matched == {1: 1, 2: 2, 3: 3, 4: 4}
    assert result.restarts == []


def test_an_identical_score_keeps_everything() -> None:
    same = score(stage("a"), stage("a"), stage("b", 3), needs={2: [1], 3: [2]})
    result = planned(same, same, "completed", "skipped", "waiting")
    assert {line.action for line in result.lines} == {"kept"}
    assert [line.runs for line in result.lines] == [False, False, True, True, True]
    assert result.restarts == []


@each("status", ["completed", "skipped"])
def test_a_finished_sheet_stays_finished_when_its_definition_changes(status: str) -> None:
    result = planned(score(stage("a")), score(stage("b")), status)
    assert shown(result) == [(1, 1, "kept-changed", False)]
    assert whys(result) == [(f"prompt differs; {status}, stays", ["prompt"])]
    assert result.restarts == []


def test_a_failed_sheet_runs_again_changed_or_not() -> None:
    old = score(stage("a"), stage("b"))
    result = planned(old, score(stage("a"), stage("c")), "failed", "failed")
    assert shown(result) == [(1, 1, "changed", True), (2, 2, "changed", True)]
    assert whys(result) == [("failed, runs again", ["failed"]), ("prompt differs", ["prompt"])]
    assert result.restarts == [1, 2]


def test_a_cancelled_sheet_runs_again() -> None:
    result = planned(score(stage("a")), score(stage("a")), "cancelled")
    assert shown(result) == [(1, 1, "kept", True)]
    assert result.restarts == [1]


def test_a_changed_definition_gives_fresh_tries_to_what_was_tried() -> None:
    old, new = score(*[stage("a", name=n) for n in "xyz"]), score(*[stage("b", name=n) for n in "xyz"])
    stands = {
        1: SheetProgress("waiting", False, True),
        2: SheetProgress("pending", False, True),
        3: SheetProgress("pending", False, False),
    }
    result = plan_revision(old, new, match_revisions(old, new).sheets, stands, 1)
    assert {line.action for line in result.lines} == {"changed"}
    assert result.restarts == [1, 2]


def test_what_waits_under_the_same_definition_keeps_its_tries() -> None:
    result = planned(score(stage("a")), score(stage("a")), "waiting")
    assert shown(result) == [(1, 1, "kept", True)]
    assert result.restarts == []


def test_a_stage_inserted_before_finished_ones_runs_and_they_do_not() -> None:
    old = score(stage("a"), stage("b"))
    result = planned(old, score(stage("new"), stage("a"), stage("b")), "completed", "completed")
    assert shown(result) == [(1, None, "added", True), (2, 1, "kept", False), (3, 2, "kept", False)]
    assert result.lines[0].why == "stage 1 is new"


def test_needs_are_compared_by_who_they_are_not_by_number() -> None:
    old = score(stage("a"), stage("b"), needs={2: [1]})
    moved = score(stage("new"), stage("a"), stage("b"), needs={3: [2]})
    assert [line.action for line in planned(old, moved).lines] == ["added", "kept", "kept"]
    more = score(stage("new"), stage("a"), stage("b"), needs={3: [1, 2]})
    assert planned(old, more).lines[2].reasons == ["needs"]
    fewer = score(stage("new"), stage("a"), stage("b"))
    assert planned(old, fewer, "completed", "completed").lines[2].why == "needs differ; completed, stays"


def test_a_removed_stage_is_shown_after_its_neighbour() -> None:
    old = score(stage("a"), stage("b", 2), stage("c"))
    result = planned(old, score(stage("a"), stage("c")), "completed", "completed")
    assert shown(result) == [
        (1, 1, "kept", False),
        (None, 2, "removed", False),
        (None, 3, "removed", False),
        (2, 4, "kept", True),
    ]
    assert whys(result)[1] == ("stage 2 is gone", ["gone"])
    assert (result.lines[1].stage, result.lines[2].instance, result.lines[2].status) == (2, 2, "pending")
    first = planned(old, score(stage("b", 2), stage("c")))
    assert shown(first)[0] == (None, 1, "removed", False)


def test_a_removed_sheet_in_flight_finishes() -> None:
    result = planned(score(stage("a"), stage("b")), score(stage("a")), "completed", "running")
    assert whys(result)[1] == ("stage 2 is gone; finishes under revision 1", ["gone"])


def test_a_wider_fan_out_adds_instances_and_a_narrower_one_removes_them() -> None:
    narrow = score(stage("a"), stage("b", 2, "work"), stage("c"))
    wide = score(stage("a"), stage("b", 3, "work"), stage("c"))
    result = planned(narrow, wide, "completed", "completed", "completed")
    assert shown(result)[2:] == [(3, 3, "kept", False), (4, None, "added", True), (5, 4, "kept", True)]
    assert whys(result)[3] == ("instance 3 of stage 2 is new", ["new"])
    back = planned(wide, narrow)
    assert shown(back)[2:] == [(3, 3, "kept", True), (None, 4, "removed", False), (4, 5, "kept", True)]
    assert whys(back)[3] == ("instance 3 of stage 2 is gone", ["gone"])


def test_a_wider_fan_out_without_a_name_is_matched_by_its_number() -> None:
    result = planned(score(stage("a"), stage("b", 2)), score(stage("a"), stage("b", 3)))
    assert result.matched == {1: 1, 2: 2, 3: 3}


def test_a_movement_keeps_its_identity_by_its_name() -> None:
    old = score(stage("a", name="first"), stage("b", name="second"))
    result = planned(old, score(stage("c", name="second"), stage("a", name="first")), "completed")
    assert shown(result) == [(1, 2, "changed", True), (2, 1, "kept", False)]


def test_a_renamed_movement_is_known_by_its_definition() -> None:
    old = score(stage("a", name="first"), stage("b", name="second"))
    result = planned(old, score(stage("b", name="zwei"), stage("a", name="eins")))
    assert result.matched == {1: 2, 2: 1}
    assert {line.action for line in result.lines} == {"kept"}


def test_a_name_that_comes_twice_says_nothing() -> None:
    old = score(stage("a", name="x"), stage("b", name="x"))
    assert planned(old, score(stage("b", name="x"), stage("a"))).matched == {1: 2, 2: 1}


def test_equal_stages_are_matched_in_ascending_order() -> None:
    three, two = score(*[stage("a")] * 3), score(*[stage("a")] * 2)
    assert planned(three, two).matched == {1: 1, 2: 2}
    assert planned(two, three).matched == {1: 1, 2: 2}


def test_a_number_counts_only_where_it_keeps_the_order_of_the_others() -> None:
    old = score(stage("a"), stage("b"), stage("c"))
    kept = planned(old, score(stage("a"), stage("x"), stage("c")))
    assert kept.matched == {1: 1, 2: 2, 3: 3}
    crossed = planned(old, score(stage("c"), stage("x"), stage("a")))
    assert crossed.matched == {1: 3, 3: 1}
    assert shown(crossed) == [
        (1, 3, "kept", True),
        (2, None, "added", True),
        (3, 1, "kept", True),
        (None, 2, "removed", False),
    ]
    shifted = planned(old, score(stage("x"), stage("a"), stage("b"), stage("c")))
    assert shifted.matched == {2: 1, 3: 2, 4: 3}


STAGES = st.builds(stage, st.sampled_from("abcd"), st.integers(1, 3), st.sampled_from([None, "x", "y", "z"]))
STATUSES = st.sampled_from(["pending", "running", "waiting", "completed", "failed", "skipped", "cancelled"])


@st.composite
def scores(draw: st.DrawFn) -> ExpandedScore:
    stages = draw(st.lists(STAGES, min_size=1, max_size=7))
    numbers = range(1, len(stages) + 1)
    needs = {
        number: draw(st.lists(st.sampled_from(numbers), unique=True, max_size=2).map(sorted))
        for number in numbers
    }
    return score(*stages, needs=needs)


@given(scores(), st.data())
def test_the_same_score_again_changes_nothing(same: ExpandedScore, data: st.DataObject) -> None:
    statuses = [data.draw(STATUSES.filter(lambda s: s not in ("running", "failed"))) for _ in same.sheets]
    result = planned(same, same, *statuses)
    assert result.matched == {sheet.sheet: sheet.sheet for sheet in same.sheets}
    assert {line.action for line in result.lines} == {"kept"}
    assert all(line.runs != (line.status in ("completed", "skipped")) for line in result.lines)


@given(scores(), scores(), st.data())
def test_every_sheet_of_both_is_told_once_and_in_order(
    old: ExpandedScore, new: ExpandedScore, data: st.DataObject
) -> None:
    result = planned(old, new, *[data.draw(STATUSES) for _ in old.sheets])
    numbers = [line.sheet for line in result.lines if line.sheet is not None]
    assert numbers == [sheet.sheet for sheet in new.sheets]
    before = [line.old_sheet for line in result.lines if line.old_sheet is not None]
    assert sorted(before) == [sheet.sheet for sheet in old.sheets]
    assert result.matched == {
        line.sheet: line.old_sheet for line in result.lines if line.sheet and line.old_sheet is not None
    }
    for line in result.lines:
        if line.status in ("completed", "skipped"):
            assert not line.runs


@given(scores(), scores())
def test_there_and_back_again_everybody_is_who_he_was(first: ExpandedScore, second: ExpandedScore) -> None:
    there, back = planned(first, second), planned(second, first)
    assert back.matched == {before: number for number, before in there.matched.items()}
    kept = {line.sheet for line in there.lines if line.action == "kept"}
    assert kept == {line.old_sheet for line in back.lines if line.action == "kept"}


def test_ten_thousand_sheets_are_planned_at_once() -> None:
    old = score(*[stage(str(number)) for number in range(10_000)])
    new = score(stage("new"), *[stage(str(number)) for number in range(1, 10_000)])
    result = planned(old, new)
    assert len(result.lines) == 10_000
    assert shown(result)[0] == (1, 1, "changed", True)
