"""Memory can't run ahead of the disk: what is not committed is told to nobody."""

import sqlite3
from contextlib import closing

import pytest
from kit.daemon import gated, plain, score

pytestmark = pytest.mark.one_daemon

LOOKS = 30


def test_nothing_is_told_before_it_is_on_disk(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    with daemon.connect() as asking, closing(sqlite3.connect(daemon.state / "marianne.db")) as other:
        other.execute("BEGIN IMMEDIATE")  # nobody else can write now
        asked = asking.send("job.pause", job_id="duo")
        for _ in range(LOOKS):
            seen = daemon.status("duo")
            assert (seen["status"], seen["holds"]) == ("running", [])
        other.execute("ROLLBACK")
        assert asking.reply(asked)["status"] == "pausing"
    assert daemon.status("duo")["status"] == "pausing"
