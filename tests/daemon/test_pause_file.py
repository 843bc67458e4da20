"""The pause file: a pause for who can write into the workspace but not reach the socket."""

import pytest
from kit.daemon import plain, score

pytestmark = [pytest.mark.both, pytest.mark.one_daemon]


def test_an_agent_pauses_its_own_job(daemon, ledger):
    daemon.submit(score("duo", ['echo "look at this" > .marianne-pause-$MARIANNE_JOB', plain(2)]))
    paused = daemon.wait_for("duo", "paused", "ended")
    assert [hold["reason"] for hold in paused["holds"]] == ["look at this"]
    assert ledger.lines() == []
