"""job.pause: at the next boundary, once, durably."""

import time

import pytest
from kit.daemon import gated, plain, score


def three(name="trio"):
    return score(name, [gated(1), plain(2), plain(3)])


def test_pause_without_wait_answers_at_once_that_it_is_not_paused_yet(daemon, ledger):
    daemon.gate(1)
    daemon.submit(three())
    ledger.wait_for("start 1")
    reply = daemon.rpc("job.pause", job_id="trio")
    assert (reply["status"], reply["acknowledged"], reply["then"]) == ("pausing", False, "pause")
    assert reply["in_flight"][0]["sheet"] == 1
    assert not reply["safe_to"]["edit_files"]
    daemon.gate(1).open()
    daemon.wait_for("trio", "paused")
    assert ledger.lines() == ["start 1", "end 1"]


def test_a_pause_whose_time_runs_out_stays_in_force(daemon, ledger):
    daemon.gate(1)
    daemon.submit(three())
    ledger.wait_for("start 1")
    began = time.monotonic()
    refused = daemon.refusal("job.pause", job_id="trio", wait=True, timeout=1)
    assert time.monotonic() - began >= 1  # and the sheet, which has no end by itself, was not waited for
    assert (refused.code, refused.rpc_code, refused.status) == ("E504", -33504, "pausing")
    assert "the pause stays in force" in refused.message
    assert refused.hints
    daemon.gate(1).open()
    daemon.wait_for("trio", "paused")
    assert ledger.lines() == ["start 1", "end 1"]


def test_a_time_of_nothing_only_looks_once_the_request_is_in_force_or_refused(daemon, ledger):
    daemon.gate(1)
    daemon.submit(three())
    ledger.wait_for("start 1")
    refused = daemon.refusal("job.pause", job_id="trio", wait=True, timeout=0, reason="quick")
    assert (refused.code, refused.status) == ("E504", "pausing")
    assert [event["reason"] for event in daemon.journal("trio")][-1] == "quick"
    daemon.gate(1).open()
    daemon.wait_for("trio", "paused")
    assert daemon.refusal("job.pause", job_id="trio", wait=True, timeout=0).code == "E502"
    assert daemon.rpc("job.cancel", job_id="trio", wait=True, timeout=0)["acknowledged"]


def test_a_pause_while_it_waits_for_the_retry_is_paused_in_its_own_reply(daemon, ledger):
    daemon.submit(
        score("trio", ["note start 1; exit 3", plain(2)], retry={"max_retries": 3, "base_delay_seconds": 600})
    )
    daemon.event("trio", "sheet.waiting")
    reply = daemon.rpc("job.pause", job_id="trio")
    assert (reply["status"], reply["acknowledged"]) == ("paused", True)
    assert reply["waiting"][0]["waiting_for"] == "retry"
    daemon.rpc("job.resume", job_id="trio")
    sheet = daemon.status("trio")["sheets"][0]
    assert (sheet["status"], sheet["attempt_count"]) == ("waiting", 1)


def test_a_pause_in_the_last_sheet_is_overtaken_by_the_end(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("solo", [gated(1)]))
    ledger.wait_for("start 1")
    with daemon.connect() as waiting:
        asked = waiting.send("job.pause", job_id="solo", wait=True)
        daemon.event("solo", "job.pausing")
        daemon.gate(1).open()
        message = waiting.message()
    assert message["id"] == asked
    assert message["error"]["data"]["error_code"] == "E513"
    assert message["error"]["data"]["status"] == "completed"
    assert daemon.status("solo")["holds"] == []


def unchanged(status):
    return {key: value for key, value in status.items() if key != "event"}


@pytest.mark.parametrize("wanted", ["paused", "completed", "failed", "cancelled"])
def test_a_pause_of_what_can_not_be_paused_is_refused_and_changes_nothing(daemon, wanted):
    daemon.gate(1)
    body = {"completed": "true", "failed": "exit 1"}.get(wanted, gated(1))
    daemon.submit(score("solo", [body, "true"]))
    if wanted == "paused":
        daemon.rpc("job.pause", job_id="solo")
        daemon.gate(1).open()
    if wanted == "cancelled":
        daemon.rpc("job.cancel", job_id="solo")
    daemon.wait_for("solo", wanted)
    before = unchanged(daemon.status("solo"))
    events = daemon.journal()
    refused = daemon.refusal("job.pause", job_id="solo", wait=True)
    assert (refused.code, refused.status, refused.data["job_id"]) == ("E502", wanted, "solo")
    assert refused.hints
    assert wanted in refused.message
    assert unchanged(daemon.status("solo")) == before
    assert daemon.journal() == events


def test_a_pause_of_an_unknown_job_names_the_nearest(daemon):
    daemon.submit(score("release-notes", ["true"]))
    daemon.wait_for("release-notes", "ended")
    refused = daemon.refusal("job.pause", job_id="release-note")
    assert (refused.code, refused.status) == ("E501", None)
    assert "'release-notes'" in refused.message
    assert refused.hints == ["mzt status release-notes"]
    assert daemon.refusal("job.pause", job_id="zzz").code == "E501"
    assert daemon.refusal("job.pause", job_id="release-notes@7").code == "E501"
