"""A command that was lost runs again, however often that was: later each time, and with fewer words."""

from marianned.accidents import LossCounter


def losses_of(count):
    losses = LossCounter()
    for _ in range(count):
        losses.add()
    return losses


def test_the_first_repeat_comes_soon_and_the_pauses_grow_to_five_minutes():
    assert [losses_of(count).pause for count in (1, 2, 3, 4, 5, 6, 7, 1_000)] == [
        1,
        10,
        30,
        60,
        120,
        300,
        300,
        300,
    ]


def test_of_many_losses_few_are_told():
    assert [count for count in range(1, 100) if losses_of(count).is_reported] == [1, 2, 3, 4, 8, 16, 32, 64]


def test_from_the_third_on_it_may_be_the_command_itself():
    assert [losses_of(count).many for count in (1, 2, 3, 4)] == [False, False, True, True]
