"""job.cancel, and pause with force: ends a job and everything it started."""

import pytest
from kit.daemon import DEADLINE, gated, plain, score

pytestmark = [pytest.mark.both, pytest.mark.one_daemon]


@pytest.mark.own_daemon("it is set up")
@pytest.mark.parametrize(("method", "force"), [("job.cancel", {}), ("job.pause", {"force": True})])
def test_no_process_of_the_job_is_left_detached_ones_included(house, ledger, method, force):
    house.configure('kill_grace = "500ms"\n')
    house.start()
    house.gate(1)
    house.submit(score("solo", ["escape; trap '' TERM; " + gated(1), plain(2)]))
    for line in ("start 1", "detached session", "detached twice", "detached deaf"):
        ledger.wait_for(line)
    assert len(house.processes("MARIANNE_JOB=solo")) > 3
    reply = house.rpc(method, job_id="solo", wait=True, timeout=DEADLINE, **force)
    assert (reply["status"], reply["acknowledged"]) == ("cancelled", True)
    assert house.processes("MARIANNE_JOB=solo") == []
    assert house.statuses("solo") == ["cancelled", "cancelled"]
    assert house.attempts("solo", 1)[0]["outcome"] == "interrupted"
    assert "end 1" not in ledger.lines()


def test_a_sheet_that_ends_leaves_no_detached_process_either(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("duo", ["escape; " + gated(1), gated(2)]))
    daemon.gate(2)
    for line in ("start 1", "detached session", "detached twice", "detached deaf"):
        ledger.wait_for(line)
    daemon.gate(1).open()
    ledger.wait_for("start 2")
    assert daemon.processes("MARIANNE_SHEET=1") == []
