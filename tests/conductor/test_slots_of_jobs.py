"""Slots over all jobs: how many attempts at once, and whose turn it is; lists and the daemon's status."""

import json

import pytest
from kit.daemon import gated, plain, score


@pytest.fixture
def narrow(house):
    """A daemon that has one attempt in flight at most."""
    house.configure("max_attempts = 1\n")
    return house.start()


def test_one_slot_goes_to_the_two_jobs_in_turn(narrow, ledger):
    for sheet in ("a1", "a2", "b1", "b2"):
        narrow.gate(sheet)
    narrow.submit(score("a", [gated("a1"), gated("a2")]))
    ledger.wait_for("start a1")
    reply = narrow.submit(score("b", [gated("b1"), gated("b2")]))
    assert reply["status"] == "queued"
    assert reply["next"]["text"] == "starts when a slot is free"
    for sheet in ("a1", "b1", "a2", "b2"):
        ledger.wait_for(f"start {sheet}")
        status = narrow.rpc("daemon.status")
        assert status["slots"] == {"used": 1, "total": 1}
        assert status["attempts_in_flight"] == 1
        narrow.gate(sheet).open()
    narrow.wait_for("a", "completed")
    narrow.wait_for("b", "completed")
    turns = [f"{word} {sheet}" for sheet in ("a1", "b1", "a2", "b2") for word in ("start", "end")]
    assert ledger.lines() == turns


def test_a_queued_job_is_paused_at_once_and_takes_no_slot(narrow, ledger):
    narrow.gate("a")
    narrow.submit(score("a", [gated("a")]))
    ledger.wait_for("start a")
    narrow.submit(score("b", [plain("b")]))
    narrow.submit(score("c", [plain("c")]))
    reply = narrow.rpc("job.pause", job_id="b", wait=True, timeout=5)
    assert (reply["status"], reply["acknowledged"]) == ("paused", True)
    narrow.gate("a").open()
    narrow.wait_for("c", "completed")
    assert "start b" not in ledger.lines()
    narrow.rpc("job.resume", job_id="b")
    narrow.wait_for("b", "completed")
    ledger.once("a", "b", "c")


def test_a_resumed_job_without_a_slot_is_queued_and_its_waiter_waits(narrow, ledger):
    narrow.gate("a1")
    narrow.gate("b")
    narrow.submit(score("a", [gated("a1"), plain("a2")]))
    ledger.wait_for("start a1")
    narrow.rpc("job.pause", job_id="a")
    narrow.gate("a1").open()
    narrow.wait_for("a", "paused")
    narrow.submit(score("b", [gated("b")]))
    ledger.wait_for("start b")
    refused = narrow.refusal("job.resume", job_id="a", wait=True, timeout=0.2)
    assert (refused.code, refused.status) == ("E504", "queued")
    narrow.gate("b").open()
    assert narrow.wait_for("a", "ended")["status"] == "completed"


def test_a_cancelled_queued_job_is_cancelled_in_its_own_reply(narrow, ledger):
    narrow.gate("a")
    narrow.submit(score("a", [gated("a")]))
    ledger.wait_for("start a")
    narrow.submit(score("b", [plain("b")]))
    assert narrow.rpc("job.cancel", job_id="b")["status"] == "cancelled"


def test_the_queue_is_bounded(house, ledger):
    house.configure("max_attempts = 1\nmax_queued = 1\n")
    house.start()
    house.gate("a")
    house.submit(score("a", [gated("a")]))
    ledger.wait_for("start a")
    house.submit(score("b", [plain("b")]))
    refused = house.refusal(
        "job.submit", text=score("c", [plain("c")]), directory=str(house.home), submit_directory="/"
    )
    assert refused.code == "E508"
    assert house.refusal("job.status", job_id="c").code == "E501"


def test_the_list_has_the_newest_change_last_and_can_be_filtered(daemon, ledger):
    daemon.gate("c")
    daemon.submit(score("a", ["true"]))
    daemon.wait_for("a", "completed")
    daemon.submit(score("b", ["false"]))
    daemon.wait_for("b", "failed")
    daemon.submit(score("c", [gated("c")]))
    ledger.wait_for("start c")

    def names(**params):
        return [job["job_name"] for job in daemon.rpc("job.list", **params)["jobs"]]

    assert names() == ["a", "b", "c"]
    assert names(statuses=["active"]) == ["c"]
    assert names(statuses=["ended"]) == ["a", "b"]
    assert names(statuses=["failed", "running"]) == ["b", "c"]
    assert names(limit=1, offset=1) == ["b"]
    assert daemon.refusal("job.list", statuses=["odd"]).code == "E510"
    assert daemon.rpc("daemon.status")["needs_attention"] == ["b"]


def test_a_sheet_that_waits_for_a_job_takes_no_slot(narrow, ledger):
    """It submits one and waits for it, with the only slot: they would wait for each other for ever."""
    (narrow.home / "ask.py").write_text(ASK)
    (narrow.home / "child.json").write_text(
        json.dumps(
            {"text": score("child", [plain("child")]), "directory": "/tmp", "submit_directory": "/tmp"}
        )
    )
    narrow.submit(score("parent", ['python3 "$HOME/ask.py" && note end parent']))
    assert narrow.wait_for("parent", "ended")["status"] == "completed"
    assert ledger.lines() == ["start child", "end child", "end parent"]
    assert narrow.rpc("daemon.status")["slots"] == {"used": 0, "total": 1}


ASK = """
import json, os, socket
line = socket.socket(socket.AF_UNIX)
line.connect(os.environ["MARIANNE_SOCKET"])
told = line.makefile()
child = json.load(open(os.environ["HOME"] + "/child.json"))
for method, params in (("job.submit", child), ("job.wait", {"job_id": "child", "words": ["ended"]})):
    line.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode() + b"\\n")
    print(told.readline())
"""
