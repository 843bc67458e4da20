"""job.submit: a run on disk, its name taken, its workspace made."""

import pytest
from kit.daemon import gated, plain, score


def test_an_invalid_score_is_no_job(daemon):
    text = score("solo", ["true"]).replace("size: 1", "size: none")
    refused = daemon.refusal("job.submit", text=text, directory=str(daemon.home), submit_directory="/")
    assert refused.code == "E505"
    assert [problem["code"] for problem in refused.problems if problem["severity"] == "error"] == ["S012"]
    assert daemon.rpc("job.list", runs=True)["jobs"] == []
    assert not (daemon.home / "solo-work").exists()


@pytest.mark.parametrize("status", ["running", "pausing", "paused", "failed"])
def test_the_name_of_a_run_that_is_not_over_is_taken(daemon, ledger, status):
    daemon.gate(1)
    body = gated(1)
    daemon.submit(score("duo", [body + (";exit 1" if status == "failed" else ""), plain(2)]))
    ledger.wait_for("start 1")
    if status in ("pausing", "paused"):
        daemon.rpc("job.pause", job_id="duo")
    if status in ("paused", "failed"):
        daemon.gate(1).open()
    daemon.wait_for("duo", status)
    refused = daemon.refusal(
        "job.submit", text=score("duo", ["true"]), directory=str(daemon.home), submit_directory="/"
    )
    assert (refused.code, refused.status, refused.data["job_id"]) == ("E507", status, "duo")
    assert refused.hints
    active = status in ("running", "pausing")
    if active:
        fresh = daemon.refusal(
            "job.submit", text=score("duo", ["true"]), directory=str(daemon.home), submit_directory="/", fresh=True
        )  # fmt: skip
        assert (fresh.code, fresh.status) == ("E507", status)
    else:
        assert any("--fresh" in hint for hint in refused.hints)
        assert daemon.submit(score("duo", ["true"]), fresh=True)["run"] == 2
        daemon.wait_for("duo", "completed")
        old = daemon.status("duo@1")
        assert (old["status"], old["job_id"]) == ("cancelled", "duo@1")


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_the_name_of_a_run_that_is_over_is_free(daemon, status):
    daemon.gate(1)
    daemon.submit(score("solo", [gated(1)]))
    if status == "cancelled":
        daemon.rpc("job.cancel", job_id="solo", wait=True)
    daemon.gate(1).open()
    daemon.wait_for("solo", status)
    assert daemon.submit(score("solo", ["true"]))["run"] == 2
    daemon.wait_for("solo", "completed")
    assert [job["run"] for job in daemon.rpc("job.list", runs=True)["jobs"]] == [1, 2]
    assert daemon.status("solo")["run"] == 2
    refused = daemon.refusal("job.resume", job_id="solo@1")
    assert (refused.code, "older run" in refused.message) == ("E502", True)


def test_a_workspace_given_at_submission_wins(daemon, ledger):
    daemon.submit(
        score("solo", ['note in "$PWD" "$MARIANNE_WORKSPACE" {{ workspace }}']), workspace="elsewhere/deep"
    )
    daemon.wait_for("solo", "completed")
    place = f"{daemon.home}/elsewhere/deep"
    assert ledger.lines() == [f"in {place} {place} {place}"]
    assert daemon.status("solo")["workspace"] == place


def test_two_jobs_may_share_a_workspace_and_are_told(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("one", [gated(1)]), workspace=str(daemon.home / "shared"))
    reply = daemon.submit(score("two", ["true"]), workspace=str(daemon.home / "shared"))
    assert "one" in reply["message"]
    daemon.gate(1).open()
    daemon.wait_for("one", "completed")
    daemon.wait_for("two", "completed")


def test_a_workspace_that_can_not_be_made_is_said(daemon):
    (daemon.home / "file").touch()
    refused = daemon.refusal(
        "job.submit", text=score("solo", ["true"]), directory=str(daemon.home), submit_directory="/",
        workspace=str(daemon.home / "file" / "below"),
    )  # fmt: skip
    assert refused.code in ("E505", "E508")
    assert daemon.refusal("job.status", job_id="solo").code == "E501"
