"""When the loss of a check or skip command has to be taken for its own end."""

import pytest

from marianned.conductor.run.checks import FIRST_LOST_PAUSE, LOST_PAUSE, Losses


@pytest.mark.parametrize(
    ("moments", "ends"),
    [
        ([0, 2, 9], False),
        ([0, 1, 11], False),
        ([0, 1, 11, 20], False),
        ([0, 1, 11, 21], True),
        ([0, 60, 120], True),
    ],
)
def test_only_losses_with_time_between_them_count(moments, ends):
    losses = Losses()
    assert [losses.add(moment) for moment in moments] == [False] * (len(moments) - 1) + [ends]


def test_the_first_repeat_comes_soon_and_others_when_a_loss_would_count():
    losses = Losses()
    pauses = []
    for moment in range(3):
        losses.add(moment)
        pauses.append(losses.pause)
    assert pauses == [FIRST_LOST_PAUSE, LOST_PAUSE, LOST_PAUSE]
