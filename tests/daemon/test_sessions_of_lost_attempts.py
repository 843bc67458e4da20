"""What an agent has done in its session is not paid again where the attempt was taken away from outside."""

import pytest
from kit.sessions import installed, kinds, moody

pytestmark = pytest.mark.one_daemon


@pytest.mark.parametrize("mood", ["doomed", "orphaned"])
def test_a_lost_attempt_goes_on_in_its_session_with_a_record_and_without(house, mood):
    agent = installed(house)
    moody(agent, mood)
    agent.ledger.wait_for("start 2 s-1")
    agent.gate(1).open()
    agent.wait_for("solo", "completed")
    assert kinds(agent) == [("first", "lost", "s-1"), ("resumed", "succeeded", "s-1")]


def test_where_its_output_is_gone_too_it_begins_anew(house):
    agent = installed(house)
    moody(agent, "bereft")
    agent.ledger.wait_for("start 2 s-2")
    agent.gate(1).open()
    agent.wait_for("solo", "completed")
    assert kinds(agent) == [("first", "lost", None), ("first", "succeeded", "s-2")]
