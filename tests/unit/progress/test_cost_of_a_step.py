"""A step costs what it changes, not what the score has: counted, not timed, on many sheets."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from kit.scores import Bench, score, stage

from marianned.lifecycle import Action
from marianned.progress.state.run import RunState
from marianned.protocol import Outcome
from marianned.rows import SheetRow

COUNT = 2_000
"""Several times what any of the bounds below allows for."""


class Steps:
    """How many sheets' rows were moved, and how many sheets asked whether they are ready."""

    def __init__(self) -> None:
        self.moved = 0
        self.looked = 0


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Steps]:
    steps = Steps()
    move, ready = RunState._replace_sheet, RunState._is_ready

    def moving(state: RunState, number: int, old: SheetRow | None, new: SheetRow) -> None:
        steps.moved += 1
        move(state, number, old, new)

    def looking(state: RunState, number: int) -> bool:
        steps.looked += 1
        return ready(state, number)

    with monkeypatch.context() as patched:
        patched.setattr(RunState, "_replace_sheet", moving)
        patched.setattr(RunState, "_is_ready", looking)
        yield steps


@pytest.fixture
def wide() -> Bench:
    """Half of the sheets wait for nothing, each of the others for one of those."""
    stages = [stage() for _ in range(COUNT // 2)] + [stage([n]) for n in range(1, COUNT // 2 + 1)]
    bench = Bench(score(*stages, at_once=20, fail_fast=False), slots=20, checked=False)
    bench.go()
    return bench


def rows(bench: Bench) -> int:
    assert bench.last is not None
    return sum(isinstance(row, SheetRow) for row in bench.last.changes.rows)


@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.FAILED, Outcome.INTERRUPTED])
def test_the_end_of_an_attempt_touches_its_own_sheet_and_those_it_lets_start(
    wide: Bench, outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    with counted(monkeypatch) as steps:
        for _ in range(20):
            wide.end(wide.flying[0], outcome, category="config")
    assert steps.moved <= 20 * 6
    assert steps.looked <= 20 * 20
    assert rows(wide) <= 2


def test_a_pause_and_a_resume_touch_no_sheet(wide: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with counted(monkeypatch) as steps:
        wide.ask(Action.PAUSE)
        wide.ask(Action.RESUME)
    assert steps.moved == 0
    assert rows(wide) == 0
    assert steps.looked <= 40  # the 20 that run are forgotten as ready ones, once


def test_the_ready_ones_are_forgotten_as_they_start(wide: Bench) -> None:
    wide.state.next_ready()
    before = sum(map(len, wide.state._ready.values()))
    for _ in range(200):
        wide.end(wide.flying[0], Outcome.INTERRUPTED)
    wide.state.next_ready()
    assert sum(map(len, wide.state._ready.values())) <= before + 20


def test_a_failure_costs_as_many_as_need_it(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(score(stage(), stage(count=COUNT), at_once=2, fail_fast=False), slots=2, checked=False)
    bench.go()
    with counted(monkeypatch) as steps:
        bench.fail(1)
    assert steps.moved <= 6
    assert steps.looked <= 20
