"""Keys: the same request again gets the first answer and changes nothing."""

import sqlite3

import pytest
from kit.daemon import gated, plain, score

from marianned.protocol import METHODS


def test_the_same_key_again_is_the_same_answer_and_one_effect(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    first = daemon.rpc("job.pause", job_id="duo", key="k")
    events = len(daemon.journal("duo"))
    second = daemon.rpc("job.pause", job_id="duo", key="k")
    assert second == first
    assert len(daemon.journal("duo")) == events
    assert len(daemon.status("duo")["holds"]) == 1
    daemon.rpc("job.resume", job_id="duo", key="k")
    daemon.rpc("job.resume", job_id="duo", key="k")
    assert daemon.rpc("job.pause", job_id="duo", key="k") == first
    assert daemon.status("duo")["status"] == "running"


def test_the_same_key_with_other_params_is_refused(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    daemon.rpc("job.pause", job_id="duo", key="k", reason="one")
    refused = daemon.refusal("job.pause", job_id="duo", key="k", reason="another")
    assert refused.code == "E510"
    assert refused.message.startswith("the key 'k' was used for another job.pause of 'duo' at 20")


def test_a_key_joins_the_request_that_still_waits(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    with daemon.connect() as one, daemon.connect() as other:
        one.send("job.pause", job_id="duo", wait=True, key="k")
        daemon.event("duo", "job.pausing")
        other.send("job.pause", job_id="duo", wait=True, key="k")
        assert other.rpc("daemon.hello")["ready"]
        daemon.gate(1).open()
        replies = [one.reply(), other.reply()]
    assert replies[0] == replies[1]
    assert replies[0]["status"] == "paused"
    assert len(replies[0]["holds"]) == 1


def test_a_request_that_waited_at_the_kill_is_answered_when_it_is_repeated(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    with daemon.connect() as waiting:
        waiting.send("job.pause", job_id="duo", wait=True, key="p")
        daemon.event("duo", "job.pausing")
        daemon.kill()
        assert waiting.message() is None
    daemon.start()
    with daemon.connect() as waiting:
        asked = waiting.send("job.pause", job_id="duo", wait=True, key="p")
        daemon.gate(1).open()
        reply = waiting.reply(asked)
    assert (reply["status"], reply["acknowledged"], len(reply["holds"])) == ("paused", True, 1)


def test_a_time_that_ran_out_is_not_kept_and_a_repeat_waits_again(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    assert daemon.refusal("job.pause", job_id="duo", wait=True, timeout=0, key="p").code == "E504"
    assert daemon.refusal("job.pause", job_id="duo", wait=True, timeout=0.1, key="p").code == "E504"
    with daemon.connect() as waiting:
        asked = waiting.send("job.pause", job_id="duo", wait=True, key="p")
        daemon.gate(1).open()
        assert waiting.reply(asked)["status"] == "paused"


def test_a_refusal_is_not_kept(daemon):
    daemon.gate(1)
    assert daemon.refusal("job.cancel", job_id="solo", key="c").code == "E501"
    daemon.submit(score("solo", [gated(1)]))
    assert daemon.rpc("job.cancel", job_id="solo", key="c", wait=True)["status"] == "cancelled"


@pytest.mark.parametrize("ended", ["completed", "failed"])
def test_a_submission_repeated_after_the_end_is_the_first_answer(daemon, ledger, ended):
    text = score("solo", ["note start 1; note end 1" + ("; exit 1" if ended == "failed" else "")])
    first = daemon.submit(text, key="s")
    daemon.wait_for("solo", ended)
    again = daemon.submit(text, key="s")
    assert (again["job_name"], again["run"]) == (first["job_name"], first["run"])
    ledger.once(1)


def test_keys_of_different_methods_do_not_meet(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1), plain(2)]), key="k")
    ledger.wait_for("start 1")
    assert daemon.rpc("job.pause", job_id="duo", key="k")["status"] == "pausing"
    assert daemon.rpc("job.resume", job_id="duo", key="k")["status"] == "running"
    assert daemon.modify("duo", score("duo", [gated(1), plain(3)]), key="k")["status"] == "pausing"
    assert daemon.rpc("job.cancel", job_id="duo", key="k", wait=True)["status"] == "cancelled"


def test_a_fresh_run_with_a_key_is_started_once(daemon, ledger):
    daemon.submit(score("solo", ["note start 1; exit 1"]))
    daemon.wait_for("solo", "failed")
    text = score("solo", ["note start 2; exit 1"])
    first = daemon.submit(text, fresh=True, key="f")
    daemon.wait_for("solo", "failed")
    assert daemon.submit(text, fresh=True, key="f") == first
    daemon.kill()
    daemon.start()
    assert daemon.submit(text, fresh=True, key="f") == first
    assert first["run"] == 2
    assert ledger.lines() == ["start 1", "start 2"]


def test_what_could_not_come_is_kept_as_the_final_answer(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("solo", [gated(1)]))
    ledger.wait_for("start 1")
    with daemon.connect() as waiting:
        waiting.send("job.pause", job_id="solo", wait=True, key="p")
        daemon.event("solo", "job.pausing")
        daemon.gate(1).open()
        first = waiting.message()["error"]
    assert first["data"]["error_code"] == "E513"
    daemon.kill()
    daemon.start()
    again = daemon.refusal("job.pause", job_id="solo", wait=True, key="p")
    assert (again.code, again.message, again.data) == ("E513", first["message"], first["data"])


def test_a_modify_with_a_key_makes_one_revision(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    text = score("duo", [gated(1), plain("two")])
    first = daemon.modify("duo", text, key="m")
    assert daemon.modify("duo", text, key="m") == first
    daemon.kill()
    daemon.start()
    assert daemon.modify("duo", text, key="m") == first
    status = daemon.status("duo")
    assert (status["staged_revision"], len(status["holds"])) == (2, 1)


def test_the_warnings_of_a_waiting_modify_outlive_the_daemon(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    text = score("duo", [gated(1), plain("two")])
    warned = daemon.modify("duo", text, resume=True, key="m")["problems"]
    assert warned
    again = {"text": text, "directory": str(daemon.home), "resume": True, "wait": True}
    with daemon.connect() as waiting:
        waiting.send("job.modify", job_id="duo", key="w", discard=True)
        waiting.message()
        waiting.send("job.modify", job_id="duo", key="n", **again)
        daemon.event("duo", "job.pausing", after=daemon.status("duo")["event"] - 1)
        daemon.kill()
    daemon.start()
    with daemon.connect() as waiting:
        asked = waiting.send("job.modify", job_id="duo", key="n", **again)
        daemon.gate(1).open()
        reply = waiting.reply(asked)
    assert (reply["problems"], reply["changed"]) == (warned, True)


def test_a_key_outlives_the_run_it_started(daemon, ledger):
    text = score("solo", [plain(1)])
    first = daemon.submit(text, key="nightly")
    daemon.wait_for("solo", "completed")
    daemon.rpc("job.remove", job_id="solo")
    for _ in range(2):
        assert daemon.submit(text, key="nightly") == first
        daemon.kill()
        daemon.start()
    ledger.once(1)


def test_a_repeated_remove_takes_no_newer_run_along(daemon):
    text = score("solo", [plain(1)])
    daemon.submit(text)
    daemon.wait_for("solo", "completed")
    first = daemon.rpc("job.remove", job_id="solo", key="rm")
    daemon.submit(text)
    daemon.wait_for("solo", "completed")
    for _ in range(2):
        assert daemon.rpc("job.remove", job_id="solo", key="rm") == first
        assert daemon.status("solo")["status"] == "completed"
        daemon.kill()
        daemon.start()


def test_a_remove_of_several_is_kept_with_the_last_of_them(daemon):
    for name in ("one", "two"):
        daemon.submit(score(name, [plain(name)]))
        daemon.wait_for(name, "completed")
    first = daemon.rpc("job.remove", older_than=0, key="rm")
    assert sorted(first["removed"]) == ["one@1", "two@1"]
    daemon.submit(score("three", [plain("three")]))
    daemon.wait_for("three", "completed")
    assert daemon.rpc("job.remove", older_than=0, key="rm") == first
    assert daemon.status("three")["status"] == "completed"


CHANGES = {
    "job.pause": {},
    "job.resume": {},
    "job.modify": {"revision": 1},
    "job.retry": {},
    "job.cancel": {},
    "job.remove": {},
    "job.submit": {},
    "instrument.clear_limits": {},
    "daemon.reload": {},
    "daemon.stop": {},
}


@pytest.mark.parametrize("method", CHANGES)
def test_over_a_restart_and_the_run_s_removal_every_change_is_repeated_by_its_key(daemon, method):
    """The table names every method that changes something: the next one must come here, too."""
    assert set(CHANGES) == {name for name, known in METHODS.items() if known.writes}
    waits = {"retry": {"max_retries": 1, "base_delay_seconds": 3600}} if method == "job.retry" else {}
    text = score("solo", ["exit 1"], **waits)
    asked = {"job_id": "solo"} if method.startswith("job.") and method != "job.submit" else {}
    if method != "job.submit":
        daemon.submit(text, **({"before": "1"} if method in {"job.pause", "job.cancel"} else {}))
        if waits:
            daemon.event("solo", "sheet.waiting")
        else:
            daemon.wait_for("solo", "paused" if method in {"job.pause", "job.cancel"} else "failed")
    if method == "job.pause":
        asked["before"] = None
        asked["clear"] = True

    def ask():
        if method == "job.submit":
            return daemon.submit(text, key="k")
        return daemon.rpc(method, key="k", **(asked | CHANGES[method]))

    first = ask()
    if method == "daemon.stop":
        daemon.until_stopped()
        daemon.start()
    if method not in {"job.remove", "daemon.stop"}:
        if method == "job.pause":
            daemon.rpc("job.cancel", job_id="solo", wait=True)
        daemon.wait_for("solo", "ended")
        daemon.rpc("job.remove", job_id="solo")
    told = ask()
    daemon.kill()
    daemon.start()
    assert ask() == told == first
    assert daemon.rpc("daemon.hello")["ready"]
    assert [job["job_name"] for job in daemon.rpc("job.list", runs=True)["jobs"]] == (
        ["solo"] if method == "daemon.stop" else []
    )


def test_a_clock_set_forward_makes_no_key_older(daemon, ledger):
    text = score("solo", [plain(1)])
    first = daemon.submit(text, key="k")
    daemon.wait_for("solo", "completed")
    daemon.stop()
    database = sqlite3.connect(daemon.state / "marianne.db")
    with database:  # as if the clock had been set 25 hours forward since
        database.execute("UPDATE requests SET asked = json_set(asked, '$.at', asked_at - 90000000)")
    database.close()
    daemon.start()
    daemon.rpc("instrument.clear_limits", key="another")
    assert daemon.submit(text, key="k") == first
    ledger.once(1)


def test_a_repeated_resume_tells_what_the_first_told_of_the_score_s_file(daemon):
    daemon.gate(1)
    daemon.submit(score("solo", [gated(1)]), before="1")
    daemon.wait_for("solo", "paused")
    (daemon.home / "solo.yaml").write_text(score("solo", [gated(1), plain(2)]))
    first = daemon.rpc("job.resume", job_id="solo", key="r")
    assert first["source_changed"] is True
    (daemon.home / "solo.yaml").unlink()
    assert daemon.rpc("job.resume", job_id="solo", key="r") == first
