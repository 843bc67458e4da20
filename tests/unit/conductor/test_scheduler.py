"""Slots: never over the total, the fairest first, and nobody is forgotten."""

from hypothesis import given
from hypothesis import strategies as st

from marianned.conductor.capacity.slots import Scheduler


def test_a_free_slot_is_taken_at_once() -> None:
    scheduler = Scheduler(2)
    assert scheduler.take(1, 5) == 2
    assert scheduler.take(2, 1) == 0
    assert scheduler.used == 2


def test_a_job_that_wants_none_gets_none() -> None:
    assert Scheduler(2).take(1, 0) == 0


def test_whoever_waits_is_told_when_a_slot_is_given_back() -> None:
    scheduler = Scheduler(1)
    scheduler.take(1, 1)
    scheduler.want(2, wants=True)
    assert scheduler.grant() == []
    scheduler.give_back(1, 1)
    assert scheduler.grant() == [2]
    assert scheduler.grant() == []
    assert scheduler.take(3, 1) == 0, "the slot is kept for the one that was told"
    assert scheduler.take(2, 1) == 1


def test_the_job_with_the_fewest_in_flight_is_first_and_of_those_the_oldest() -> None:
    scheduler = Scheduler(5)
    for job, count in ((1, 2), (2, 1), (3, 1), (4, 1)):
        scheduler.take(job, count)
    for job in (4, 1, 3, 2):
        scheduler.want(job, wants=True)
    told = []
    for job in (4, 3, 1, 2):
        scheduler.give_back(job, 1)
        told += scheduler.grant()
    assert told == [4, 3, 1, 2]


def test_a_slot_that_others_wait_for_is_not_taken_before_them() -> None:
    scheduler = Scheduler(2)
    scheduler.take(1, 2)
    scheduler.want(2, wants=True)
    scheduler.give_back(1, 1)
    assert scheduler.take(1, 1) == 0
    assert scheduler.grant() == [2]


def test_of_two_with_as_many_in_flight_the_one_that_stands_longer_is_first() -> None:
    scheduler = Scheduler(1)
    assert scheduler.take(1, 1) == 1
    scheduler.want(2, wants=True)
    scheduler.give_back(1, 1)
    scheduler.want(1, wants=True)
    assert scheduler.grant() == [2]
    assert scheduler.take(2, 1) == 1
    assert scheduler.take(1, 1) == 0
    scheduler.give_back(2, 1)
    scheduler.want(2, wants=True)
    assert scheduler.grant() == [1]


def test_a_kept_slot_that_is_not_wanted_any_more_goes_to_the_next() -> None:
    scheduler = Scheduler(1)
    scheduler.want(1, wants=True)
    scheduler.want(2, wants=True)
    assert scheduler.grant() == [1]
    scheduler.want(1, wants=False)
    assert scheduler.grant() == [2]


def test_a_slot_is_others_while_its_flight_waits_and_is_counted_again_at_once() -> None:
    scheduler = Scheduler(1)
    scheduler.take(1, 1)
    scheduler.want(2, wants=True)
    assert scheduler.grant() == []
    scheduler.lend(1, "a")
    scheduler.lend(1, "a")  # it waits for two
    assert scheduler.grant() == [2]
    assert scheduler.take(2, 1) == 1
    scheduler.take_back(1, "a")
    assert scheduler.used == 1
    scheduler.take_back(1, "a")
    assert (scheduler.used, scheduler.lent) == (2, 0)
    scheduler.give_back(2, 1)
    scheduler.want(2, wants=True)
    assert scheduler.grant() == []


def test_what_a_flight_has_lent_that_ends_is_free_only_once() -> None:
    scheduler = Scheduler(2)
    scheduler.take(1, 2)
    scheduler.lend(1, "a")
    scheduler.give_back(1, 1)
    scheduler.landed(1, ["b"])
    assert scheduler.used == 1
    scheduler.take_back(1, "a")
    assert scheduler.used == 1


def test_a_closed_scheduler_gives_nothing() -> None:
    scheduler = Scheduler(2)
    scheduler.close("draining")
    scheduler.want(1, wants=True)
    assert (scheduler.take(2, 1), scheduler.grant()) == (0, [])


def test_attempts_that_are_in_flight_already_are_counted_over_the_total() -> None:
    scheduler = Scheduler(1)
    scheduler.restore(1, 3)
    scheduler.restore(2, 0)
    scheduler.want(2, wants=True)
    assert (scheduler.used, scheduler.grant()) == (3, [])
    scheduler.give_back(1, 2)
    assert scheduler.grant() == []
    scheduler.give_back(1, 1)
    assert scheduler.grant() == [2]


class Services:
    """Jobs that play sheets one after another; each does with the scheduler what a job's loop does."""

    def __init__(self, total: int, sheets: list[int]) -> None:
        self.scheduler = Scheduler(total)
        self.left = dict(enumerate(sheets, 1))
        self.flying = dict.fromkeys(self.left, 0)
        self.most = dict.fromkeys(self.left, 3)
        self.order: list[int] = []

    def step(self, job: int, *, ends: bool = False) -> None:
        room = min(self.most[job] - self.flying[job] + ends, self.left[job])
        given_slots = self.scheduler.take(job, max(0, room))
        assert given_slots <= max(0, room)
        self.left[job] -= given_slots
        self.flying[job] += given_slots - ends
        self.order += [job] * given_slots
        self.scheduler.give_back(job, int(ends))
        wants = self.left[job] > 0 and self.flying[job] < self.most[job]
        self.scheduler.want(job, wants=wants)
        assert self.scheduler.used <= self.scheduler.total
        assert sum(self.flying.values()) <= self.scheduler.total
        for told in self.scheduler.grant():
            self.step(told)


@given(
    st.integers(1, 5),
    st.lists(st.integers(0, 8), min_size=1, max_size=6),
    st.lists(st.integers(0, 99), max_size=200),
)
def test_everybody_who_waits_gets_a_slot_in_the_end_and_there_are_never_too_many(
    total: int, sheets: list[int], choices: list[int]
) -> None:
    house = Services(total, sheets)
    for job in house.left:
        house.step(job)
    choice = iter(choices)
    while any(house.flying.values()):
        busy = [job for job, count in house.flying.items() if count]
        house.step(busy[next(choice, 0) % len(busy)], ends=True)
    assert not any(house.left.values()), "somebody waits although every slot is free"
    assert sorted(house.order) == sorted(job for job, count in enumerate(sheets, 1) for _ in range(count))


@given(st.integers(2, 4), st.integers(1, 20))
def test_a_job_that_comes_late_gets_a_slot_with_the_first_that_is_given_back(total: int, sheets: int) -> None:
    house = Services(total, [50, sheets])
    house.most = {1: 9, 2: 9}
    house.step(1)
    house.step(2)
    assert house.flying == {1: total, 2: 0}
    house.step(1, ends=True)
    assert house.flying[2] == 1
