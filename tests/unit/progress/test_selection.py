"""SHEETS: which sheets a caller names."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.scores import score, stage
from kit.tables import each

from marianned.errors import BadRequest
from marianned.progress.state.selection import select, selectors
from marianned.score.expanded import ExpandedScore

SCORE = score(stage(), stage([1], count=3), stage([2], count=2))


@each(
    ("text", "sheets"),
    [
        ("2", [2]),
        ("2,5-6", [2, 5, 6]),
        ("6,1", [1, 6]),
        ("2.1", [2]),
        ("2.all", [2, 3, 4]),
        ("3.2,2.1", [2, 6]),
        (" 1 , 1-2 ", [1, 2]),
    ],
)
def test_sheets_are_named_by_number_range_stage_and_instance(text: str, sheets: list[int]) -> None:
    assert select(text, SCORE) == sheets


@each("text", ["0", "7", "5-9", "3-2", "2.4", "4.1", "2.", "all", "", ",", "1,", "-1", "2.1-2"])
def test_what_is_outside_the_score_is_refused_with_its_range(text: str) -> None:
    with pytest.raises(BadRequest, match="the score has sheets 1-6, stages 1-3"):
        select(text, SCORE)


@given(st.text(alphabet="0123456789.,-al ", max_size=12))
def test_no_text_selects_a_sheet_that_is_not_there(text: str) -> None:
    try:
        chosen = select(text, SCORE)
    except BadRequest:
        return
    assert chosen
    assert set(chosen) <= {1, 2, 3, 4, 5, 6}


def _named(score_: ExpandedScore, **names: int | tuple[int, ...]) -> ExpandedScore:
    """Give stages names: `review=2`, or a name that several have."""
    by_stage = {
        stage: name for name, of in names.items() for stage in (of if isinstance(of, tuple) else (of,))
    }
    sheets = [msgspec.structs.replace(sheet, movement=by_stage.get(sheet.stage)) for sheet in score_.sheets]
    return msgspec.structs.replace(score_, sheets=tuple(sheets))


@each(
    ("text", "sheets"),
    [
        ("review", [2, 3, 4]),
        ("review.all", [2, 3, 4]),
        ("review.3", [4]),
        ("draft,review.1", [1, 2]),
        ("3.all, draft", [1, 5, 6]),
    ],
)
def test_stages_are_named_by_their_names(text: str, sheets: list[int]) -> None:
    assert select(text, _named(SCORE, draft=1, review=2)) == sheets


def test_descriptions_name_stages_that_have_no_other_name() -> None:
    described = [
        msgspec.structs.replace(sheet, label="draft" if sheet.stage == 1 else f"part-{sheet.instance}")
        for sheet in SCORE.sheets
    ]
    said = msgspec.structs.replace(SCORE, sheets=tuple(described))
    assert select("draft", said) == [1]
    with pytest.raises(BadRequest):
        select("part-1", said)


def test_a_name_that_two_stages_have_is_refused_with_both() -> None:
    with pytest.raises(BadRequest, match=r"'review' is the name of stages 2, 3; write 2.all or 3.all"):
        select("review", _named(SCORE, review=(2, 3)))


@each("name", ["all", "changed", "hooks", "final report", "v1.2", "7"])
def test_a_name_that_means_something_else_or_can_not_be_typed_is_no_selector(name: str) -> None:
    said = _named(SCORE, **{name: 3, "draft": 1})
    with pytest.raises(BadRequest):
        select(name, said)
    assert selectors(said) == ["draft"]


def test_a_mistyped_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(BadRequest, match="named draft, review; did you mean 'review'"):
        select("reviw.2", _named(SCORE, draft=1, review=2))
