"""Directories of a job that are gone, or in whose place something else lies: each message says so, its command works."""

import os
import subprocess

import pytest
from kit.daemon import Refused, plain, score

PLACES = {
    "a file": lambda place: place.write_text("mine"),
    "a named pipe": os.mkfifo,
    "a link that leads nowhere": lambda place: place.symlink_to("nowhere"),
}


@pytest.mark.parametrize("kind", [None, *PLACES])
def test_a_resume_says_what_lies_there_and_the_command_that_why_names_lets_it_go_on(daemon, ledger, kind):
    work, away = daemon.home / "job-work", daemon.home / "away"
    daemon.submit(score("job", [f"{plain(1)}; mv '{work}' '{away}'", plain(2)]))
    daemon.wait_for("job", "failed")
    why = f"'{work}' is not there"
    if kind is not None:
        PLACES[kind](work)
        why = f"'{work}' is {kind}, not a directory"
        daemon.rpc("job.resume", job_id="job")
        daemon.wait_for("job", "failed")
    assert daemon.status("job")["drift"]["unwatched"] == why
    command = f"mkdir -p {work}" if kind is None else f"mv {work} {work}.old && mkdir -p {work}"
    assert daemon.status("job")["sheets"][1]["error_message"] == (
        f"the directory it works in is gone: {why}; bring it back, or type: {command}; then type: mzt resume job"
    )
    told = daemon.rpc("job.why", job_id="job")
    (typed,) = told["reasons"][0]["hints"]
    assert typed == f"{command} && mzt resume job"
    assert "mzt resume job" not in told["hints"]
    subprocess.run(command, shell=True, check=True)
    daemon.rpc("job.resume", job_id="job")
    daemon.wait_for("job", "completed")


@pytest.mark.parametrize("kind", PLACES)
def test_a_workspace_that_is_something_else_is_refused_with_what_it_is(daemon, ledger, kind):
    work = daemon.home / "job-work"
    PLACES[kind](work)
    with pytest.raises(Refused) as refused:
        daemon.submit(score("job", [plain(1)]))
    (problem,) = [one for one in refused.value.data["problems"] if one["code"] == "S303"]
    assert problem["message"] == f"'{work}' cannot be created or written: '{work}' is {kind}, not a directory"


def test_a_hook_whose_directory_is_gone_is_told_likewise(daemon, ledger):
    hook = {"type": "run_command", "command": "echo", "working_directory": "sub"}
    daemon.submit(score("job", [plain(1)], on_success=[hook]))
    daemon.wait_for("job", "failed")
    command = f"mkdir -p {daemon.home}/job-work/sub"
    assert daemon.rpc("job.why", job_id="job")["reasons"][0]["hints"] == [f"{command} && mzt resume job"]
    subprocess.run(command, shell=True, check=True)
    daemon.rpc("job.resume", job_id="job")
    daemon.wait_for("job", "completed")


def test_a_name_that_reads_like_an_error_of_the_machine_is_a_name(daemon, ledger):
    """As an accident it would be tried again for ever."""
    work = daemon.home / "No space left on device"
    daemon.submit(
        score("job", [f"{plain(1)}; mv '{work}' '{work}.away'", plain(2)], workspace=f"./{work.name}")
    )
    daemon.wait_for("job", "failed")
    assert f"is gone: '{work}' is not there" in daemon.status("job")["sheets"][1]["error_message"]
