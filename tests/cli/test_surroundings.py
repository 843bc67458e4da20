"""What a process may lack around it: a line in the user database, a directory, streams. It is said, or served."""

import ctypes
import errno
import json
import os
import pwd
import select
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from home_for_tests import SCORE
from kit import zygote

from marianne_cli.main import run
from marianned.errors import Unavailable

pytestmark = pytest.mark.one_daemon

STREAMS = {"stdin": "<&-", "stdout": ">&-", "stderr": "2>&-", "all": "<&- >&- 2>&-"}


def written_to_a_full_disk(home, line):
    """Return the exit code of a line, and what it says, where its standard output takes nothing."""
    with open("/dev/full", "wb") as full:  # noqa: PTH123  a device
        done = zygote.run(
            home.command(line.split()), cwd=home.path, env=home.environment, stdin=subprocess.DEVNULL, stdout=full,
            stderr=subprocess.PIPE, text=True, timeout=60,
        )  # fmt: skip
    return done.returncode, done.stderr


CLOSED = "mzt: the output can't be written: stdout is closed\n"
FULL = "mzt: the output can't be written: no space left on device"


def typed(home, words, cwd=None):
    """Type a line of a shell in which `mzt` is "$@"."""
    return subprocess.run(
        ["/bin/sh", "-c", words, "sh", *home.command([])], cwd=cwd or home.path, env=home.environment,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("line", ["doctor", "service", "status", "stop", "start", "bug-report j -y"])
def test_a_user_without_a_line_in_the_user_database_is_served(tmp_path, monkeypatch, line):
    def unknown(uid):
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "HOME", "STATE_DIRECTORY", "MARIANNE_SOCKET"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", f"{tmp_path}/file")  # so that nothing can be started there
    monkeypatch.setenv("XDG_RUNTIME_DIR", f"{tmp_path}/file")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.chdir(tmp_path)
    assert run(line.split()) in {0, 1, 3}


@pytest.mark.parametrize("line", ["run q.yaml", "run {}/q.yaml", "validate {}/q.yaml"])
def test_a_current_directory_that_is_gone_is_said(home, line):
    (home.path / "q.yaml").write_text(SCORE.format(name="q", words="", body="true"))
    (home.path / "gone").mkdir()
    done = typed(home, f'rmdir ../gone; "$@" {line.format(home.path)}', cwd=home.path / "gone")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "mzt: the current directory is gone; go to one that is there\n  cd\n"


def test_a_file_with_which_nothing_can_be_done_is_said_with_its_place(tmp_path, monkeypatch, capfd):
    """As under `umask 777`, from which root is exempt: what the first call has made can't be entered."""

    def refuse(self, *_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with monkeypatch.context() as refusing:
        refusing.setattr(Path, "mkdir", refuse)
        code = run(["demo"])
    said = capfd.readouterr().err
    assert code == Unavailable.exit_status, said
    assert "/.marianne/instruments': permission denied (E508)\n  mzt doctor\n" in said


@pytest.mark.parametrize("closed", STREAMS)
def test_a_closed_stream_keeps_no_command_from_what_it_does(home, closed):
    done = typed(home, f'"$@" init made.yaml {STREAMS[closed]}')
    assert (done.returncode, done.stderr) == {"stdout": (1, CLOSED), "all": (1, "")}.get(closed, (0, ""))
    assert (home.path / "made.yaml").read_text().startswith("#")


@pytest.mark.parametrize("line", ["-h", "version", "version -j", "instruments -j"])
def test_a_full_disk_behind_stdout_is_said_in_one_line(home, line):
    assert written_to_a_full_disk(home, line) == (1, f"{FULL}\n")


def test_a_full_disk_is_said_in_one_line_too_where_more_is_printed_than_a_buffer_holds(home):
    long = "x" * 100
    home.score("a", f"for n in $(seq 300); do echo {long}; done\n    # {long * 100}")
    home.mzt("run", "a.yaml", "--wait")
    for line in ("logs a", "logs a --raw", "logs a -F", "logs a -F --raw", "logs a -j", "revisions a 1"):
        code, said = written_to_a_full_disk(home, line)
        told = [one for one in said.splitlines() if not one.startswith("-- ")]
        assert (line, code, told) == (line, 1, [FULL])


def test_what_is_printed_goes_to_no_connection_where_stdout_is_closed(home):
    home.mzt("start")
    for line in ("version", "version -j", "status", "-h", "--version", "help sheets", "rpc"):
        done = typed(home, f'"$@" {line} >&-')
        assert (line, done.returncode, done.stderr) == (line, 1, CLOSED)
    assert typed(home, '"$@" start -q >&-').returncode == 0  # it prints nothing


@pytest.mark.parametrize("closed", STREAMS)
def test_a_daemon_whose_streams_are_closed_serves(home, closed):
    ready, its = os.pipe()
    words = f'exec "$0" -m marianned --ready-fd {its} {STREAMS[closed]}'
    with subprocess.Popen(
        ["/bin/sh", "-c", words, sys.executable], cwd=home.path, env=home.environment, pass_fds=[its]
    ) as daemon:
        os.close(its)
        assert select.select([ready], [], [], 30)[0]
        assert os.read(ready, 100)
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            if closed in {name, "all"}:
                assert Path(f"/proc/{daemon.pid}/fd/{number}").readlink() == Path("/dev/null")
        home.mzt("stop")
        assert daemon.wait(30) == 0
    os.close(ready)


@pytest.mark.parametrize(
    "named", ["MARIANNE_SOCKET=s", "STATE_DIRECTORY=state", "CONFIGURATION_DIRECTORY=config"]
)
def test_a_place_that_is_named_relatively_is_the_same_for_the_daemon_that_is_started(cold_home, named):
    name, _, value = named.partition("=")
    (cold_home.path / "config").mkdir(mode=0o700)
    (cold_home.path / "config" / "config.toml").write_text("max_attempts = 7\n")
    cold_home.environment[name] = value
    cold_home.mzt("start")
    assert cold_home.json("status")["slots"]["total"] == 7
    assert (cold_home.path / "s").is_socket()
    assert (cold_home.path / "state" / "lock").is_file()
    cold_home.mzt("stop")


EACH = """
import io, json, os, sys
from marianne_cli.main import run

for state, line in json.load(sys.stdin):
    os.environ["STATE_DIRECTORY"] = state
    sys.stdout, sys.stderr = made = [io.TextIOWrapper(io.BytesIO(), write_through=True) for _ in range(2)]
    code = run(line.split())
    print(json.dumps([code, *(one.buffer.getvalue().decode() for one in made)]), file=sys.__stdout__, flush=True)
"""
"""Carries out each of these lines of `mzt`, beside this state directory, and says how it ended and what it said."""


def closed_to(home, lines):
    """Type lines as somebody whom modes of files bind, root too; return how they ended and what they said."""

    def bound():
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP

    done = subprocess.run(
        [sys.executable, "-c", EACH], env=home.environment, preexec_fn=bound, input=json.dumps(lines),
        cwd=home.path, stdout=subprocess.PIPE, text=True, timeout=60, check=True,
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_of_a_state_directory_that_is_closed_it_is_not_said_that_no_daemon_runs_there(cold_home):
    state = cold_home.path / "theirs"
    state.mkdir(mode=0)
    cold_home.environment["XDG_RUNTIME_DIR"] = str(cold_home.path)
    del cold_home.environment["MARIANNE_SOCKET"]
    refused = ("list", "stop", "start", "restart", "status j")
    lines = [
        (place, line) for place in (f"{state}", f"{state}/deeper") for line in (*refused, "version", "doctor")
    ]
    try:
        told = closed_to(cold_home, lines)
    finally:
        state.chmod(0o700)
    for (place, line), (code, out, err) in zip(lines, told, strict=True):
        said = f"'{place}', which $STATE_DIRECTORY names, is closed to you: whether a daemon runs there can't be known"
        if line in refused:
            assert (line, code, out, err.splitlines()) == (
                line, 4, "", [f"mzt: {said} (E509)", "  env -u STATE_DIRECTORY mzt status", "  mzt doctor"],
            )  # fmt: skip
        elif line == "version":
            assert (code, out.splitlines()[1]) == (0, said)
        else:
            assert (code, err) == (1, ""), line
            assert said in out, line


@pytest.mark.skipif(
    os.geteuid() != 0, reason="closes a directory to root, which takes root's capabilities away"
)
def test_a_daemon_of_ones_own_behind_a_closed_directory_is_no_other_users(cold_home):
    cold_home.mzt("start")
    state = cold_home.path / "closed"
    state.mkdir()
    (cold_home.path / "s").rename(state / "s")
    state.chmod(0)
    command = [
        "setpriv",
        "--bounding-set=-all",
        "--inh-caps=-all",
        *cold_home.command(["--socket", f"{state}/s", "list"]),
    ]
    try:
        done = subprocess.run(
            command,
            cwd=cold_home.path,
            env=cold_home.environment,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        state.chmod(0o700)
        (state / "s").rename(cold_home.path / "s")
    assert done.stderr.splitlines() == [
        f"mzt: '{state}' is closed to you: the daemon at {state}/s can't be reached (E509)",
        f"  chmod u+rwx {state}", "  mzt doctor",
    ]  # fmt: skip


def test_a_umask_that_takes_from_its_owner_what_is_made_keeps_no_daemon_from_its_next_start(cold_home):
    for line in ("start", "doctor", "stop") * 2:
        done = zygote.run(
            cold_home.command([line]), cwd=cold_home.path, env=cold_home.environment, umask=0o777,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, (line, done.stdout, done.stderr)
    (state,) = (path.parent for path in cold_home.path.rglob("marianne.db"))
    assert stat.S_IMODE((state / "daemon-start.log").stat().st_mode) == 0o600
    made = [state, *(path for path in state.parents if cold_home.path in path.parents)]
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o700}


def test_a_file_in_the_place_of_the_state_directory_is_no_directory_that_is_open_to_others(cold_home):
    place = cold_home.path / "file"
    place.write_text("")
    cold_home.environment["STATE_DIRECTORY"] = str(place)
    told = cold_home.mzt("doctor", code=1).stdout
    assert f"NO  state          '{place}' is there, and is no directory" in told
    assert "chmod" not in told


def test_an_environment_file_that_is_no_text_is_told_with_the_line(cold_home):
    cold_home.score("a")
    (cold_home.path / "vars").write_bytes(b"A=1\nB=\xff\n")
    done = cold_home.mzt("run", "a.yaml", "--env-file", "vars", code=2)
    assert done.stderr.splitlines()[0] == "mzt: vars:2: not UTF-8: byte 0xff"
