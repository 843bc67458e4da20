"""The state in memory: its counts follow every row, and a copy is another."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from kit.invariants import recount, snapshot
from kit.scores import Bench, score, stage

from marianned.progress.state.copy_on_write import BitSet
from marianned.progress.state.graph import SheetGraph
from marianned.progress.state.run import RunState
from marianned.protocol import SheetStatus
from marianned.rows import Deleted, HoldRow, SheetRow

DIAMOND = score(stage(), stage([1]), stage([1]), stage([2, 3]), stage())
statuses = st.lists(st.tuples(st.integers(1, 5), st.sampled_from(list(SheetStatus))), max_size=30)


def put(state: RunState, number: int, status: str) -> None:
    state.put(msgspec.structs.replace(state.sheets[number], status=status))


def counts_are_right(state: RunState) -> None:
    found = snapshot(state)
    for name, value in recount(state).items():
        assert found[name] == value, name


@given(statuses)
def test_counts_follow_every_row_whatever_it_becomes(changes: list[tuple[int, str]]) -> None:
    state = Bench(DIAMOND).state
    for number, status in changes:
        put(state, number, status)
        counts_are_right(state)


@given(statuses, statuses, statuses)
def test_a_copy_and_its_original_know_nothing_of_what_is_put_into_the_other(
    before: list[tuple[int, str]], inside: list[tuple[int, str]], after: list[tuple[int, str]]
) -> None:
    state = Bench(DIAMOND).state
    for number, status in before:
        put(state, number, status)
    was = snapshot(state)
    copy = state.copy()
    assert snapshot(copy) == was
    for number, status in inside:
        put(copy, number, status)
        copy.next_ready()
    counts_are_right(copy)
    assert snapshot(state) == was
    ready = sorted(recount(state)["_ready"])
    row = state.next_ready()
    assert (row.sheet if row else None) == (ready[0] if ready and not state.failed_fast else None)
    became = snapshot(copy)
    for number, status in after:
        put(state, number, status)
    counts_are_right(state)
    assert snapshot(copy) == became
    state.become(copy)
    assert snapshot(state) == became


def test_all_that_a_copy_shares_with_its_original_never_changes() -> None:
    """An attribute of a new kind is found here: a copy has to have its own, or it cannot change."""
    state = Bench(DIAMOND).state
    copy = vars(state.copy())
    shared = {name: value for name, value in vars(state).items() if copy[name] is value}
    unchanging = (int, float, str, frozenset, type(None), SheetGraph, BitSet)
    others = {
        name: value
        for name, value in shared.items()
        if not isinstance(value, unchanging)
        and not (isinstance(value, msgspec.Struct) and value.__struct_config__.frozen)
    }
    assert set(others) == {"limits", "find", "endless", "closed_for", "cost"}, (
        "all but the last are not its own, that is replaced"
    )


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
