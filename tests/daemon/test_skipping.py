"""Skip rules in a run: expressions over what has happened, commands in the workspace, pauses and crashes meanwhile."""

import pytest
from kit.daemon import plain, score

pytestmark = [pytest.mark.both, pytest.mark.one_daemon]

ASKED = 'note asked; read _ < "$HOME/gate-rule"'


def commands(**rules):
    return {"skip_when_command": {int(stage[1:]): rule for stage, rule in rules.items()}}


def test_a_killed_daemon_and_a_pause_in_the_middle_of_a_skip_command_never_start_and_skip_its_sheet(
    daemon, ledger
):
    daemon.gate("rule")
    rule = {"command": ASKED, "timeout_seconds": 60}
    daemon.submit(score("held", [plain(1), plain(2)], sheet=commands(s1=rule)))
    ledger.wait_for("asked")
    status = daemon.status("held")
    assert [(flight["sheet"], flight["attempt"]) for flight in status["in_flight"]] == [(1, 0)]
    assert not status["safe_to"]["switch_off"]
    daemon.kill()
    daemon.start()
    ledger.wait_for("asked", times=2)
    assert daemon.rpc("job.pause", job_id="held")["status"] == "pausing"
    daemon.gate("rule").open()
    daemon.wait_for("held", "paused")
    assert daemon.statuses("held") == ["skipped", "pending"]
    daemon.kill()
    daemon.start()
    daemon.rpc("job.resume", job_id="held")
    daemon.wait_for("held", "completed")
    assert ledger.lines() == ["asked", "asked", "start 2", "end 2"]
