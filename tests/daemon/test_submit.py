"""job.submit: a run on disk, its name taken, its workspace made."""

import stat

import pytest
from kit.daemon import gated, score

pytestmark = pytest.mark.one_daemon


def test_the_reply_means_that_it_is_on_disk(daemon, ledger):
    daemon.gate(1)
    reply = daemon.submit(score("on-disk", [gated(1)], description="one gate"))
    assert reply["job_id"] == reply["job_name"] == "on-disk"
    assert (reply["run"], reply["revision"], reply["description"]) == (1, 1, "one gate")
    assert reply["message"] == f"on-disk: {reply['status']}; 1 sheet, workspace {daemon.home}/on-disk-work"
    daemon.kill()
    daemon.start()
    ledger.wait_for("start 1")
    daemon.gate(1).open()
    daemon.wait_for("on-disk", "completed")
    ledger.once(1)


def test_a_fresh_run_survives_a_kill_right_after_its_reply(daemon, ledger):
    daemon.submit(score("fresh-one", ["exit 1"]))
    daemon.wait_for("fresh-one", "failed")
    daemon.gate(1)
    daemon.submit(score("fresh-one", [gated(1)]), fresh=True)
    daemon.kill()
    daemon.start()
    assert daemon.status("fresh-one@1")["status"] == "cancelled"
    daemon.gate(1).open()
    assert daemon.wait_for("fresh-one", "ended")["run"] == 2
    ledger.once(1)


def test_what_it_makes_has_the_umask_of_the_client(daemon):
    daemon.submit(score("solo", ["touch file; mkdir directory"]), umask=0o027)
    daemon.wait_for("solo", "completed")
    workspace = daemon.home / "solo-work"
    modes = [
        stat.S_IMODE(path.stat().st_mode) for path in (workspace, workspace / "file", workspace / "directory")
    ]
    assert modes == [0o750, 0o640, 0o750]
