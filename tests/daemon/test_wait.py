"""job.wait: what is so counts, with `after` only what comes later."""

import pytest
from kit.daemon import gated, plain, score

pytestmark = [pytest.mark.both, pytest.mark.one_daemon]


def test_after_a_restart_after_still_counts(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    before = daemon.status("duo")["event"]
    daemon.rpc("job.pause", job_id="duo")
    daemon.gate(1).open()
    paused = daemon.wait_for("duo", "paused")
    daemon.kill()
    daemon.start()
    assert (
        daemon.rpc("job.wait", job_id="duo", words=["paused"], after=before, timeout=5)["reached"] == "paused"
    )
    refused = daemon.refusal("job.wait", job_id="duo", words=["paused"], after=paused["event"], timeout=0.2)
    assert refused.code == "E504"
