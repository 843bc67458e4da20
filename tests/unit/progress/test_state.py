"""The state in memory: its counts follow every row, and a trial takes everything back."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.invariants import invariants, recount, snapshot
from kit.scores import Bench, score, stage

from marianned.progress.state.job import JobState
from marianned.protocol import SheetStatus
from marianned.rows import Deleted, HoldRow, SheetRow

DIAMOND = score(stage(), stage([1]), stage([1]), stage([2, 3]), stage())
statuses = st.lists(st.tuples(st.integers(1, 5), st.sampled_from(list(SheetStatus))), max_size=30)


def put(state: JobState, number: int, status: str) -> None:
    state.put(msgspec.structs.replace(state.sheets[number], status=status))


def counts_are_right(state: JobState) -> None:
    found = snapshot(state)
    for name, value in recount(state).items():
        assert found[name] == value, name


@given(statuses)
def test_counts_follow_every_row_whatever_it_becomes(changes: list[tuple[int, str]]) -> None:
    state = Bench(DIAMOND).state
    for number, status in changes:
        put(state, number, status)
        counts_are_right(state)


@given(statuses, statuses)
def test_a_trial_takes_back_whatever_was_put_inside(
    before: list[tuple[int, str]], inside: list[tuple[int, str]]
) -> None:
    state = Bench(DIAMOND).state
    for number, status in before:
        put(state, number, status)
    was = snapshot(state)
    with state.trial():
        for number, status in inside:
            put(state, number, status)
            state.next_ready()
    assert snapshot(state) == was
    counts_are_right(state)
    ready = sorted(recount(state)["_ready"])
    row = state.next_ready()
    assert (row.sheet if row else None) == (ready[0] if ready and not state.failed_fast else None)


def test_a_trial_takes_back_what_was_put_before_an_error() -> None:
    state = Bench(DIAMOND).state
    was = snapshot(state)

    def nested() -> None:
        with state.trial():
            put(state, 1, "completed")
            with state.trial():
                pass

    with pytest.raises(RuntimeError, match="inside a trial"):
        nested()
    assert snapshot(state) == was
    invariants(state)


def test_a_sheet_that_is_gone_has_left_already_with_the_revision() -> None:
    state = Bench(DIAMOND).state
    was = snapshot(state)
    state.remove(Deleted(kind=SheetRow, run_id=1, key=99))
    state.remove(Deleted(kind=HoldRow, run_id=1, key=99))
    assert snapshot(state) == was


def test_a_sheet_is_found_by_its_uid() -> None:
    state = Bench(DIAMOND).state
    assert state.sheet_of(3) == state.sheets[3]
    assert state.sheet_of(99) is None
