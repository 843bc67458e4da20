"""Containers that share: each copy is as a list, a dict, a set of its own would be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marianned.progress.state.copy_on_write import BitSet, NumberMap, Vector

MOST = 300
steps = st.lists(st.tuples(st.integers(0, 3), st.integers(1, MOST), st.integers()), max_size=60)


@given(steps)
def test_whoever_copies_and_changes_a_vector_changes_no_other(changes: list[tuple[int, int, int]]) -> None:
    vectors = [Vector(range(MOST + 1))]
    lists = [list(range(MOST + 1))]
    for chosen, index, value in changes:
        of = chosen % len(vectors)
        if len(vectors) < 4:
            vectors.append(vectors[of].copy())
            lists.append(lists[of].copy())
        vectors[of][index] = lists[of][index] = value
        assert [list(vector) for vector in vectors] == lists
        assert vectors[of][index] == value
        assert len(vectors[of]) == MOST + 1


@given(steps)
def test_values_by_number_are_as_in_a_dict(changes: list[tuple[int, int, int]]) -> None:
    numbered: list[NumberMap[int]] = [NumberMap(MOST)]
    dicts: list[dict[int, int]] = [{}]
    for chosen, number, value in changes:
        of = chosen % len(numbered)
        if len(numbered) < 4:
            numbered.append(numbered[of].copy())
            dicts.append(dicts[of].copy())
        numbered[of][number] = dicts[of][number] = value
    for ours, theirs in zip(numbered, dicts, strict=True):
        assert ours == theirs
        assert list(ours) == sorted(theirs)
        assert list(ours.values()) == [theirs[number] for number in sorted(theirs)]
        assert len(ours) == len(theirs)
        odd = BitSet()
        for number in range(1, MOST + 2, 2):
            odd = odd.plus(number)
        assert ours.at(odd) == [theirs[number] for number in odd if number in theirs]
        assert {number: ours.get(number) for number in range(-1, MOST + 2)} == {
            number: theirs.get(number) for number in range(-1, MOST + 2)
        }


def test_numbers_that_all_have_a_value_are_told_in_their_order() -> None:
    numbered: NumberMap[str] = NumberMap(MOST)
    for number in range(MOST, 0, -1):
        numbered[number] = str(number)
    assert list(numbered) == list(range(1, MOST + 1))


def test_a_number_that_has_no_value_is_none() -> None:
    with pytest.raises(KeyError):
        NumberMap(3)[2]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, MOST))))
def test_numbers_are_as_a_sorted_set(changes: list[tuple[bool, int]]) -> None:
    numbers, known = BitSet(), set()
    for adds, number in changes:
        before, was = numbers, list(numbers)
        by_difference = numbers.having(number, present=adds)
        numbers = numbers.plus(number) if adds else numbers.minus(number)
        assert list(by_difference) == list(numbers)
        (known.add if adds else known.discard)(number)
        assert list(before) == was
        assert list(numbers) == sorted(known)
        assert (len(numbers), bool(numbers), numbers.first) == (
            len(known),
            bool(known),
            min(known, default=-1),
        )
        assert (number in numbers) is adds
