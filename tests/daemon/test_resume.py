"""job.resume: goes on with what is left, and never with what is done."""

import pytest
from kit.daemon import plain, score

pytestmark = [pytest.mark.both(in_each_run=True), pytest.mark.one_daemon]


def test_a_failed_job_runs_only_what_failed_and_what_never_ran(daemon, ledger):
    body = 'note start 2; test -e "$HOME/mended" && note end 2'
    daemon.submit(score("trio", [plain(1), body, plain(3)]))
    failed = daemon.wait_for("trio", "failed")
    assert "sheet 2 failed after 1 attempt: exit code 1" in failed["message"]
    assert ledger.lines() == ["start 1", "end 1", "start 2"]
    (daemon.home / "mended").touch()
    reply = daemon.rpc("job.resume", job_id="trio", reason="mended")
    assert reply["status"] in ("queued", "running")
    assert daemon.wait_for("trio", "ended")["status"] == "completed"
    assert ledger.lines() == ["start 1", "end 1", "start 2", "start 2", "end 2", "start 3", "end 3"]
    assert [attempt["outcome"] for attempt in daemon.attempts("trio", 2)] == ["failed", "succeeded"]
