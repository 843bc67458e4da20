"""SHEETS: which sheets a caller names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.scores import score, stage

from marianned.errors import BadRequest
from marianned.progress.state.selection import select

SCORE = score(stage(), stage([1], count=3), stage([2], count=2))


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
    "text", ["0", "7", "5-9", "3-2", "2.4", "4.1", "2.", "all", "", ",", "1,", "-1", "2.1-2"]
)
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
