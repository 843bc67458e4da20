"""A client that is newer than the daemon says so where it shows how that does."""

import sys

from kit import zygote
from kit.daemon import plain, score

from marianne_cli.commands import status
from marianne_cli.context import Invocation
from marianned.conductor.queries import jobs

OLDER = "the daemon that runs is older than this program: 0.0.9, not "


def test_status_says_that_the_daemon_is_older(daemon, monkeypatch, capsys):
    monkeypatch.setattr(jobs, "__version__", "0.0.9")
    daemon.submit(score("old", [plain(1)]))
    call = Invocation(socket=str(daemon.socket))
    try:
        answer = status.daemon_status(call)
        assert answer.text.splitlines()[1].startswith(OLDER)
        assert answer.result["hints"][-1] == "mzt restart"
        status.job_details(call, "old")
        call.note_version()
        assert capsys.readouterr().err.startswith(OLDER)
    finally:
        call.close()


def test_version_says_so_too(daemon, monkeypatch):
    monkeypatch.setattr(jobs, "__version__", "0.0.9")
    done = zygote.run(
        [sys.executable, "-m", "marianne_cli", "--socket", str(daemon.socket), "version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[2].startswith(OLDER)
    assert done.stdout.endswith("type: mzt restart\n")


def test_of_the_same_version_nothing_is_said(daemon, capsys):
    call = Invocation(socket=str(daemon.socket))
    try:
        answer = status.daemon_status(call)
        call.note_version()
    finally:
        call.close()
    assert "older" not in answer.text
    assert "mzt restart" not in answer.result["hints"]
    assert not capsys.readouterr().err
