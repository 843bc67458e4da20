"""The pause file: a pause for who can write into the workspace but not reach the socket."""

import os
import subprocess

import pytest
from kit.daemon import gated, plain, score


@pytest.fixture
def running(daemon, ledger):
    """A job in its first sheet; returns the path of its pause file."""
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    return daemon.home / "duo-work" / ".marianne-pause-duo"


def test_it_pauses_at_the_next_boundary_with_its_first_line_as_reason(daemon, ledger, running):
    running.write_text("dis\x1bk is \tfull\nand more\n")
    daemon.gate(1).open()
    paused = daemon.wait_for("duo", "paused", "ended")
    assert paused["status"] == "paused"
    hold = paused["holds"][0]
    assert (hold["cause"], hold["owner"]["name"], hold["reason"]) == ("user", "file", "disk is full")
    assert ledger.lines() == ["start 1", "end 1"]
    daemon.rpc("job.resume", job_id="duo")
    assert not running.exists()
    daemon.wait_for("duo", "completed")
    ledger.once(1, 2)


def test_nothing_starts_over_it_with_a_request_that_lets_the_job_go_on(daemon, ledger):
    for sheet in (1, 2):
        daemon.gate(sheet)
    two = {"sheet": {"dependencies": {1: [], 2: []}}, "parallel": {"enabled": True, "max_concurrent": 2}}
    daemon.submit(score("duo", [gated(1), gated(2)], **two), before="2")
    ledger.wait_for("start 1")
    (daemon.home / "duo-work" / ".marianne-pause-duo").touch()
    assert daemon.rpc("job.pause", job_id="duo", before="2", clear=True)["status"] == "pausing"
    daemon.gate(1).open()
    daemon.wait_for("duo", "paused")
    assert ledger.lines() == ["start 1", "end 1"]


def test_an_empty_one_pauses_without_a_reason(daemon, ledger, running):
    running.touch()
    daemon.gate(1).open()
    paused = daemon.wait_for("duo", "paused", "ended")
    assert [hold["reason"] for hold in paused["holds"]] == [None]


@pytest.mark.parametrize("kind", ["fifo", "directory", "link", "dangling link", "full directory"])
def test_anything_else_of_that_name_pauses_as_unreadable_and_never_hangs(daemon, ledger, running, kind):
    secret = daemon.home / "secret"
    secret.write_text("not to be told")
    {
        "fifo": lambda: os.mkfifo(running),
        "directory": running.mkdir,
        "link": lambda: running.symlink_to(secret),
        "dangling link": lambda: running.symlink_to(daemon.home / "nothing"),
        "full directory": lambda: (running / "x").mkdir(parents=True),
    }[kind]()
    daemon.gate(1).open()
    paused = daemon.wait_for("duo", "paused", "ended")
    assert [hold["reason"] for hold in paused["holds"]] == ["unreadable"]
    if kind == "full directory":
        refused = daemon.refusal("job.resume", job_id="duo")
        assert (refused.code, refused.status) == ("E502", "paused")
        assert str(running) in refused.message
        assert len(daemon.status("duo")["holds"]) == 1
        (running / "x").rmdir()
    daemon.rpc("job.resume", job_id="duo")
    assert not running.is_symlink()
    assert not running.exists()
    assert secret.exists()
    daemon.wait_for("duo", "completed")
    ledger.once(1, 2)


def test_a_modify_that_resumes_removes_it_too(daemon, ledger, running):
    running.touch()
    daemon.gate(1).open()
    daemon.wait_for("duo", "paused")
    daemon.modify("duo", score("duo", [gated(1), plain("two")]), resume=True)
    assert not running.exists()
    daemon.wait_for("duo", "completed")
    ledger.once(1, "two")


def test_one_left_over_when_a_run_begins_is_removed_with_an_event(daemon, ledger):
    workspace = daemon.home / "solo-work"
    workspace.mkdir()
    (workspace / ".marianne-pause-solo").write_text("of last week")
    daemon.submit(score("solo", [plain(1)]))
    assert daemon.wait_for("solo", "paused", "ended")["status"] == "completed"
    assert "pausefile.removed" in [event["type"] for event in daemon.journal("solo")]


def test_the_end_of_the_run_removes_it(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("solo", [gated(1)]))
    ledger.wait_for("start 1")
    file = daemon.home / "solo-work" / ".marianne-pause-solo"
    file.touch()
    daemon.gate(1).open()
    assert daemon.wait_for("solo", "paused", "ended")["status"] == "completed"
    daemon.submit(score("solo", ["true"]))
    assert not file.exists()


def test_one_that_comes_while_the_daemon_is_down_counts_at_its_start(daemon, ledger, running):
    daemon.kill()
    running.touch()
    daemon.start()
    assert daemon.status("duo")["status"] in ("running", "pausing")
    daemon.gate(1).open()
    assert daemon.wait_for("duo", "paused", "ended")["status"] == "paused"
    assert ledger.lines() == ["start 1", "end 1"]


def test_a_leftover_that_can_not_be_removed_refuses_the_run_with_a_hint_that_works(daemon, ledger):
    leftover = daemon.home / "solo-work" / ".marianne-pause-solo"
    (leftover / "full of it").mkdir(parents=True)
    refused = daemon.refusal(
        "job.submit",
        text=score("solo", [plain(1)]),
        directory=str(daemon.home),
        submit_directory=str(daemon.home),
    )
    assert (refused.code, refused.hints) == ("E502", [f"rm -r {leftover}"])
    assert "Directory not empty" in refused.message
    subprocess.run(["bash", "-c", refused.hints[0]], check=True)
    daemon.submit(score("solo", [plain(1)]))
    daemon.wait_for("solo", "completed")
    ledger.once(1)
