"""Slots over all jobs: how many attempts at once, and whose turn it is; lists and the daemon's status."""

import pytest
from kit.daemon import gated, plain, score

pytestmark = pytest.mark.one_daemon


@pytest.fixture
def narrow(house):
    """A daemon that has one attempt in flight at most."""
    house.configure("max_attempts = 1\n")
    return house.start()


@pytest.mark.own_daemon("it is set up")
def test_slots_are_counted_again_after_a_kill(narrow, ledger):
    narrow.gate("a")
    narrow.submit(score("a", [gated("a")]))
    ledger.wait_for("start a")
    narrow.submit(score("b", [plain("b")]))
    narrow.kill()
    narrow.start()
    assert narrow.rpc("daemon.status")["slots"] == {"used": 1, "total": 1}
    assert narrow.status("b")["status"] == "queued"
    narrow.gate("a").open()
    narrow.wait_for("b", "completed")
    assert narrow.rpc("daemon.status")["slots"]["used"] == 0


def test_a_daemon_with_nothing_to_do_is_ready(daemon):
    status = daemon.rpc("daemon.status")
    assert (status["status"], status["pid"], status["socket"]) == (
        "ready",
        daemon.process.pid,
        str(daemon.socket),
    )
    assert status["safe_to"] == {"edit_files": True, "stop_daemon": True, "switch_off": True}
    hello = daemon.rpc("daemon.hello")
    assert (hello["protocol"], hello["ready"]) == (1, True)
    assert daemon.rpc("job.list")["jobs"] == []
