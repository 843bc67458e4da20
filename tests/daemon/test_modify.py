"""job.modify: a new score for a job; what is done stays done."""

import pytest
from kit.two_versions import first, second

pytestmark = [pytest.mark.both(in_each_run=True), pytest.mark.one_daemon]


def test_a_running_job_gets_its_new_score_when_the_sheet_in_flight_ends(daemon, ledger):
    daemon.gate(1)
    daemon.submit(first())
    ledger.wait_for("start 1")
    with daemon.connect() as waiting:
        asked = waiting.send(
            "job.modify", job_id="trio", text=second(), directory=str(daemon.home), resume=True, wait=True
        )
        daemon.event("trio", "job.pausing")
        staged = daemon.status("trio")
        assert (staged["revision"], staged["staged_revision"], staged["then"]) == (1, 2, "resume")
        daemon.gate(1).open()
        reply = waiting.reply(asked)
    assert (reply["acknowledged"], reply["revision"], reply["new_revision"]) == (True, 2, 2)
    assert reply["config_validated"]
    assert not reply["dry_run"]
    assert daemon.wait_for("trio", "ended")["status"] == "completed"
    assert ledger.lines() == [
        "start 1", "end 1", "start 2", "new 2", "end 2", "start 3", "end 3", "start 4", "end 4",
    ]  # fmt: skip
    assert [daemon.attempts("trio", sheet)[0]["revision"] for sheet in (1, 2, 3, 4)] == [1, 2, 2, 2]
