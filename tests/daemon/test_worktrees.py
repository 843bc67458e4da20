"""Isolation (docs/reference/score-format.md §18): a worktree before the first sheet, kept through a run's life, given up at its end."""

from contextlib import suppress

import pytest
from kit.daemon import DEADLINE, gated
from kit.isolation import COMMIT, HERE, isolated
from kit.repository import branches, git, make_repository, trees

pytestmark = pytest.mark.one_daemon


@pytest.fixture
def repository(house):
    return make_repository(house.home)


def test_sheets_work_in_one_worktree_through_a_pause_and_a_kill(daemon, ledger, repository):
    daemon.gate(1)
    daemon.submit(isolated("iso", [f"{HERE}; {gated(1)}", f"{HERE}; {COMMIT}"]))
    ledger.wait_for("start 1")
    assert trees(repository) == {".worktrees/iso-1": "iso"}
    daemon.rpc("job.pause", job_id="iso")
    daemon.kill()
    daemon.gate(1).open()
    daemon.start()
    daemon.wait_for("iso", "paused")
    assert trees(repository) == {".worktrees/iso-1": "iso"}
    daemon.rpc("job.resume", job_id="iso")
    assert daemon.event("iso", "worktree.removed")["text"].endswith("branch marianne/iso-1 stays")
    assert daemon.status("iso")["status"] == "completed"
    assert ledger.lines() == ["marianne/iso-1 of 1", "start 1", "end 1", "marianne/iso-1 of 2"]
    assert (trees(repository), branches(repository)) == ({}, ["marianne/iso-1"])
    assert git(repository, "log", "--format=%s", "marianne/iso-1").split() == ["done", "first"]
    kinds = [event["type"] for event in daemon.journal("iso") if event["type"].startswith("worktree")]
    assert kinds == ["worktree.made", "worktree.removed"]


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
