"""Isolation (docs/reference/score-format.md §18): a worktree before the first sheet, kept through a run's life, given up at its end."""

import shutil
import time

import pytest
from kit.daemon import DEADLINE, plain
from kit.isolation import COMMIT, HERE, isolated
from kit.repository import branches, git, make_repository, trees


@pytest.fixture
def repository(house):
    return make_repository(house.home)


def test_a_link_in_the_place_of_the_worktrees_is_not_followed_out_of_the_repository(daemon, repository):
    elsewhere = daemon.home.parent / f"{daemon.home.name}-elsewhere"
    elsewhere.mkdir()
    try:
        (repository / ".worktrees").symlink_to(elsewhere)
        daemon.submit(isolated("iso", ["true"], fallback_on_error=False))
        daemon.wait_for("iso", "failed")
        assert "a link leads out of" in daemon.event("iso", "worktree.failed")["text"]
        assert list(elsewhere.iterdir()) == []
    finally:
        shutil.rmtree(elsewhere)


KILLED_ONCE = """#!/bin/bash
case " $* " in *" {words} "*) mkdir "{there}" 2>/dev/null && {first}kill -9 $$ ;; esac
exec {git} "$@"
"""
"""A git that somebody kills, the first time that it is asked for something."""


@pytest.mark.parametrize(
    ("words", "half_done"),
    [
        ("rev-parse --show-toplevel", ""),
        ("worktree add", ""),
        ("worktree add", '{git} "$@" && '),
        ("worktree lock", ""),
        ("worktree remove", ""),
    ],
)
def test_a_git_that_is_killed_is_asked_again_and_decides_nothing(house, ledger, repository, words, half_done):
    real, programs = shutil.which("git"), house.home / "programs"
    programs.mkdir()
    fake = programs / "git"
    first = half_done.format(git=real)
    fake.write_text(KILLED_ONCE.format(words=words, there=house.home / "killed", first=first, git=real))
    fake.chmod(0o755)
    house.environment["PATH"] = f"{programs}:{house.environment['PATH']}"
    daemon = house.start()
    daemon.submit(isolated("iso", [HERE], fallback_on_error=False))
    daemon.wait_for("iso", "completed")
    assert daemon.event("iso", "worktree.removed")
    assert (house.home / "killed").is_dir()
    assert ledger.lines() == ["marianne/iso-1 of 1"]
    assert branches(repository) == ["marianne/iso-1"]


def test_uncommitted_changes_keep_it(daemon, repository):
    daemon.submit(isolated("iso", ["echo more >> README"]))
    assert "modified or untracked files" in daemon.event("iso", "worktree.kept")["text"]
    assert trees(repository) == {".worktrees/iso-1": None}


def test_a_failed_run_keeps_it_and_a_resume_goes_on_in_it(daemon, ledger, repository):
    body = "test -e again || { touch again; note no; exit 1; }; note yes"
    daemon.submit(isolated("iso", [body], lock_during_execution=False))
    daemon.event("iso", "worktree.kept")
    daemon.rpc("job.resume", job_id="iso")
    daemon.wait_for("iso", "completed")
    assert ledger.lines() == ["no", "yes"]
    assert branches(repository) == ["marianne/iso-1"]


def test_a_removed_one_is_made_again_from_its_branch(daemon, ledger, repository):
    body = f"git log -1 --format=%s > log; note $(cat log); rm log; {COMMIT}; exit 1"
    daemon.submit(isolated("iso", [body], cleanup_on_failure=True))
    daemon.event("iso", "worktree.removed")
    daemon.rpc("job.resume", job_id="iso")
    daemon.wait_for("iso", "failed")
    assert ledger.lines() == ["first", "done"]


def test_names_that_are_taken_are_passed_over_and_everything_can_be_named(daemon, ledger, repository):
    base = repository / "trees 'of' \"ümläut\""
    git(repository, "branch", "agents/iso-1")
    git(repository, "branch", "old")
    git(repository, "commit", "-q", "--allow-empty", "-m", "second")
    body = "note $(git log -1 --format=%s) on $(git rev-parse --abbrev-ref HEAD)"
    named = {"worktree_base": base.name, "branch_prefix": "agents", "source_branch": "old"}
    daemon.submit(isolated("iso", [body], cleanup_on_success=False, **named))
    daemon.event("iso", "worktree.kept")
    assert ledger.lines() == ["first on agents/iso-1-1"]
    assert (base / "iso-1-1" / "README").exists()


def test_without_a_repository_the_job_goes_on_or_fails_before_its_first_sheet(daemon, ledger):
    daemon.submit(isolated("goes-on", ["note $(pwd)"]))
    daemon.wait_for("goes-on", "completed")
    assert ledger.lines() == [str(daemon.home / "goes-on-work")]
    assert "no git repository" in daemon.event("goes-on", "worktree.failed")["text"]
    (warned,) = daemon.status("goes-on")["problems"]
    assert (warned["severity"], warned["path"]) == ("warning", "isolation")
    assert f"it works in '{daemon.home / 'goes-on-work'}'" in warned["message"]
    daemon.submit(isolated("fails", [plain_note()], fallback_on_error=False))
    daemon.wait_for("fails", "failed")
    sheet = daemon.status("fails")["sheets"][0]
    assert (sheet["status"], sheet["error_category"]) == ("failed", "config")
    assert "its worktree can't be made: no git repository" in sheet["error_message"]
    assert len(ledger.lines()) == 1


def plain_note():
    return "note never"


def test_a_source_that_is_no_commit_is_told(daemon):
    daemon.submit(isolated("iso", ["true"], source_branch="--output=x"))
    daemon.wait_for("iso", "completed")
    daemon.event("iso", "worktree.failed")


def test_a_directory_of_its_own_wins_over_the_worktree(daemon, ledger, repository):
    (repository / "own place").mkdir()
    named = {"instrument_config": {"working_directory": "./own place"}}
    daemon.submit(isolated("iso", ["note $(pwd)"], top=named))
    daemon.wait_for("iso", "completed")
    assert ledger.lines() == [str(repository / "own place")]


@pytest.mark.parametrize("name", ["a..b", "a...b", "a.lock", "a.", "a-.-b..", "A..1.lock"])
def test_every_name_of_a_job_makes_a_branch(daemon, ledger, repository, name):
    daemon.submit(isolated(name, [HERE]))
    daemon.wait_for(name, "completed")
    assert daemon.event(name, "worktree.made")["text"].startswith("worktree ")
    assert daemon.status(name)["problems"] == []
    (line,) = ledger.lines()
    assert line.startswith("marianne/")
    assert line.endswith(" of 1")


SLOW_GIT = """#!/bin/bash
[[ "$*" == *"worktree add"* && -e "$HOME/slow" ]] && { note adding; exec sleep 60; }
exec {git} "$@"
"""


@pytest.mark.parametrize("method", ["job.cancel", "job.pause"])
def test_nobody_waits_for_git_to_make_it(house, ledger, repository, method):
    house.install("git", SLOW_GIT.replace("{git}", shutil.which("git")))
    (house.home / "slow").touch()
    house.start()
    house.submit(isolated("iso", [plain(1)]))
    ledger.wait_for("adding")
    began = time.monotonic()
    now = {"now": True} if method == "job.pause" else {}
    house.rpc(method, job_id="iso", wait=True, timeout=DEADLINE, **now)
    assert time.monotonic() - began < DEADLINE / 2
    assert house.processes("MARIANNE_JOB=iso") == []
    (house.home / "slow").unlink()
    house.rpc("job.resume", job_id="iso")
    assert house.wait_for("iso", "ended")["status"] == "completed"
    assert ledger.lines() == ["adding", "start 1", "end 1"]
