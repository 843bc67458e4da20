"""Isolation (docs/reference/score-format.md §18): a worktree before the first sheet, kept through a run's life, given up at its end."""

from contextlib import suppress

import pytest
from kit.daemon import DEADLINE, gated, gone
from kit.isolation import COMMIT, HERE, isolated
from kit.repository import branches, git, make_repository, trees

pytestmark = pytest.mark.one_daemon


@pytest.fixture
def repository(house):
    return make_repository(house.home)


def test_sheets_work_in_one_worktree_through_a_pause_and_a_kill(daemon, ledger, repository):
    daemon.gate(1)
    daemon.submit(isolated("through", [f"{HERE}; {gated(1)}", f"{HERE}; {COMMIT}"]))
    ledger.wait_for("start 1")
    assert trees(repository) == {".worktrees/through-1": "through"}
    daemon.rpc("job.pause", job_id="through")
    daemon.kill()
    daemon.gate(1).open()
    daemon.start()
    daemon.wait_for("through", "paused")
    assert trees(repository) == {".worktrees/through-1": "through"}
    daemon.rpc("job.resume", job_id="through")
    assert daemon.event("through", "worktree.removed")["text"].endswith("branch marianne/through-1 stays")
    assert daemon.status("through")["status"] == "completed"
    assert ledger.lines() == ["marianne/through-1 of 1", "start 1", "end 1", "marianne/through-1 of 2"]
    assert (trees(repository), branches(repository)) == ({}, ["marianne/through-1"])
    assert git(repository, "log", "--format=%s", "marianne/through-1").split() == ["done", "first"]
    kinds = [event["type"] for event in daemon.journal("through") if event["type"].startswith("worktree")]
    assert kinds == ["worktree.made", "worktree.removed"]


SLOW_GIT = """#!/bin/sh
case "$*" in *"worktree remove"*) note removing; read _ < "$HOME/gate-git";; esac
PATH=${PATH#*:} exec git "$@"
"""


def test_a_run_is_removed_when_its_worktree_has_been_given_up(daemon, ledger, repository):
    daemon.install("git", SLOW_GIT)
    daemon.gate("git")
    run = daemon.submit(isolated("given-up", ["true"]))["run"]
    daemon.wait_for("given-up", "completed")
    ledger.wait_for("removing")
    with daemon.connect() as asking:
        asked = asking.send("job.remove", job_id="given-up")
        assert not gone(daemon.process.pid, 0.2)  # it would be carried out by then
        daemon.gate("git").open()
        assert asking.reply(asked)["removed"] == [f"given-up@{run}"]
    assert trees(repository) == {}
    assert daemon.rpc("daemon.status")["status"] == "ready"


def test_a_run_is_not_removed_without_its_worktree_though_another_is_given_up_first(
    daemon, ledger, repository
):
    daemon.install("git", SLOW_GIT)
    daemon.gate("git")
    daemon.submit(isolated("first", ["true"]))
    ledger.wait_for("removing")
    run = daemon.submit(isolated("second", ["true"]))["run"]
    daemon.wait_for("second", "completed")
    with daemon.connect() as asking:
        asked = asking.send("job.remove", job_id="second")
        ledger.wait_for("removing", times=2)
        daemon.gate("git").open(times=2)
        assert asking.reply(asked)["removed"] == [f"second@{run}"]
    daemon.event("first", "worktree.removed")
    assert trees(repository) == {}


def falls_at(house, point, text):
    """Submit a score to a daemon that is killed at this point."""
    house.may_fall = True
    house.start(MARIANNE_FAULT=point)
    with suppress(ConnectionError):  # it may be killed before it has answered
        house.submit(text)
    house.process.wait(DEADLINE)


@pytest.mark.own_daemon("a fault is put in")
def test_one_that_a_killed_git_left_half_made_is_made_anew(house, ledger, repository):
    falls_at(house, "isolation.planned", isolated("iso", [HERE], cleanup_on_success=False))
    half = repository / ".worktrees" / "iso-1"
    git(repository, "worktree", "add", "-q", "--lock", "-b", "marianne/iso-1", str(half))
    (half / "README").unlink()
    house.start()
    house.event("iso", "worktree.kept")
    assert (half / "README").read_text() == "first\n"
    assert branches(repository) == ["marianne/iso-1"]
