"""Isolation (docs/reference/score-format.md §18): a worktree before the first sheet, kept through a run's life, given up at its end."""

import shutil
import time

import pytest
from kit.daemon import DEADLINE, gated, plain
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


# --- a worktree that somebody removes -------------------------------------------------------------------

ITS_PLACE = ".worktrees/iso-1"


def paused_after_its_first_sheet(daemon, ledger, bodies=2, **isolation):
    """Return the path of the worktree of a job that is paused between two sheets."""
    first = gated(1) + f"; {COMMIT}"
    daemon.gate(1)
    daemon.submit(
        isolated("iso", [first, *[f"note $(git rev-list --count HEAD); {HERE}"] * (bodies - 1)], **isolation)
    )
    ledger.wait_for("start 1")
    daemon.rpc("job.pause", job_id="iso")
    daemon.gate(1).open()
    daemon.wait_for("iso", "paused")
    return daemon.event("iso", "worktree.made")["text"].split(" ")[1]


def test_a_paused_job_whose_worktree_is_gone_has_it_again_at_the_first_resume(daemon, ledger, repository):
    place = paused_after_its_first_sheet(daemon, ledger)
    shutil.rmtree(repository / ".worktrees")
    told = daemon.rpc("job.resume", job_id="iso")["drift"]["unwatched"]
    assert told == (
        f"its worktree {place} is gone; it is made again from branch marianne/iso-1, "
        "and what was not committed there is lost"
    )
    daemon.wait_for("iso", "completed")
    assert daemon.event("iso", "worktree.gone")["text"] == told
    assert ledger.lines()[2:] == ["2", "marianne/iso-1 of 2"]
    daemon.event("iso", "worktree.removed")
    assert trees(repository) == {}
    git(repository, "branch", "-D", "marianne/iso-1")


def test_an_empty_directory_in_its_place_is_no_worktree_and_nothing_is_done_to_the_repository_around(
    daemon, ledger, repository
):
    place = paused_after_its_first_sheet(daemon, ledger)
    shutil.rmtree(place)
    (repository / ITS_PLACE).mkdir()
    daemon.rpc("job.resume", job_id="iso")
    daemon.wait_for("iso", "completed")
    assert ledger.lines()[2:] == ["2", "marianne/iso-1 of 2"]


def test_what_lies_in_its_place_is_left_alone_and_the_job_goes_on_nowhere_else(daemon, ledger, repository):
    place = paused_after_its_first_sheet(daemon, ledger)
    shutil.rmtree(place)
    (repository / ITS_PLACE).write_text("mine")
    daemon.rpc("job.resume", job_id="iso")
    daemon.wait_for("iso", "failed")
    said = daemon.status("iso")["sheets"][1]["error_message"]
    assert said == (
        f"its worktree can't be made again: what lies at '{place}' is no worktree; "
        "move it away, then type: mzt resume iso"
    )
    assert (repository / ITS_PLACE).read_text() == "mine"
    (repository / ITS_PLACE).unlink()
    daemon.rpc("job.resume", job_id="iso")
    daemon.wait_for("iso", "completed")
    assert ledger.lines()[2:] == ["2", "marianne/iso-1 of 2"]


def test_a_branch_that_is_gone_with_it_begins_again_and_the_history_says_so(daemon, ledger, repository):
    paused_after_its_first_sheet(daemon, ledger)
    shutil.rmtree(repository / ".worktrees")
    git(repository, "worktree", "unlock", ITS_PLACE)
    git(repository, "worktree", "prune")
    git(repository, "branch", "-D", "marianne/iso-1")
    after = daemon.event("iso", "job.paused")["event"]
    daemon.rpc("job.resume", job_id="iso")
    daemon.wait_for("iso", "completed")
    assert "the branch was gone and begins again at" in daemon.event("iso", "worktree.made", after)["text"]
    assert ledger.lines()[2:] == ["1", "marianne/iso-1 of 2"]


def test_one_that_goes_while_a_sheet_runs_fails_the_next_and_the_command_it_names_makes_it_again(
    daemon, ledger, repository
):
    goes = f"{COMMIT}; cd /; rm -rf '{repository}/.worktrees'"
    daemon.submit(isolated("iso", [goes, f"note $(git rev-list --count HEAD); {HERE}"]))
    daemon.wait_for("iso", "failed")
    place = repository / ITS_PLACE
    said = daemon.status("iso")["sheets"][1]["error_message"]
    assert said == f"its worktree is gone: '{place}'; to have it made again, type: mzt resume iso"
    told = daemon.event("iso", "worktree.removed")["text"]
    assert told == f"worktree {place} is gone, and is taken out of git's list; branch marianne/iso-1 stays"
    assert trees(repository) == {}
    daemon.rpc("job.resume", job_id="iso")
    daemon.wait_for("iso", "completed")
    assert ledger.lines() == ["2", "marianne/iso-1 of 2"]


def test_a_job_that_is_cancelled_takes_its_own_entry_out_of_git_and_no_other(daemon, ledger, repository):
    theirs = repository / "theirs"
    git(repository, "worktree", "add", "-q", "-b", "theirs", str(theirs))
    place = paused_after_its_first_sheet(daemon, ledger)
    shutil.rmtree(theirs)
    shutil.rmtree(repository / ".worktrees")
    daemon.rpc("job.cancel", job_id="iso")
    assert place in daemon.event("iso", "worktree.removed")["text"]
    assert trees(repository) == {"theirs": None}


def test_a_kept_one_that_somebody_removes_is_taken_out_of_git_with_its_job(daemon, ledger, repository):
    daemon.submit(isolated("iso", ["false"]))
    daemon.event("iso", "worktree.kept")
    shutil.rmtree(repository / ".worktrees")
    daemon.rpc("job.remove", job_id="iso")
    assert trees(repository) == {}


def test_a_place_where_git_knows_somebody_elses_worktree_that_is_away_is_passed_over(
    daemon, ledger, repository
):
    theirs = repository / ITS_PLACE
    git(repository, "worktree", "add", "-q", "--lock", "-b", "theirs", str(theirs))
    shutil.rmtree(theirs)
    daemon.submit(isolated("iso", [HERE]))
    daemon.event("iso", "worktree.removed")
    assert ledger.lines() == ["marianne/iso-1-1 of 1"]
    assert list(trees(repository)) == [ITS_PLACE]


def test_a_disk_that_is_away_is_not_taken_for_a_removed_worktree(daemon, ledger, repository, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    paused_after_its_first_sheet(daemon, ledger, worktree_base=str(disk / "trees"))
    disk.rename(tmp_path / "away")
    way = f"'{disk}/trees' is not there; bring it back, or"
    assert way in daemon.rpc("job.resume", job_id="iso")["drift"]["unwatched"]
    daemon.wait_for("iso", "failed")
    assert way in daemon.status("iso")["sheets"][1]["error_message"]
    assert "is not there, and stays in git's list" in daemon.event("iso", "worktree.kept")["text"]
    assert len(trees(repository)) == 1
    assert "worktree.gone" not in [event["type"] for event in daemon.journal("iso")]
    (tmp_path / "away").rename(disk)
    daemon.rpc("job.resume", job_id="iso")
    daemon.wait_for("iso", "completed")
    assert ledger.lines()[2:] == ["2", "marianne/iso-1 of 2"]
