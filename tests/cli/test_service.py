"""`mzt service` and `mzt config` as typed; systemctl is a stand-in that writes down how it was called."""

import json
import os
import sys
from pathlib import Path

import pytest

from marianne_cli.commands import service
from marianne_cli.context import Invocation
from marianne_cli.service import launch, unit_files, units
from marianned import files
from marianned.errors import NotPermitted, Unavailable

FAKE = """\
#!/bin/sh
echo "$*" >> "$HOME/calls"
case "$*" in
*--property=Version*) echo "Version=${FAKE_VERSION:-252 (252.1)}" ;;
*" daemon-reload"*) [ -z "$FAKE_REFUSES" ] || { echo "Access denied" >&2; exit 1; } ;;
*" show "*) printf 'LoadState=%s\\nActiveState=inactive\\nSubState=dead\\nMainPID=0\\nUnitFileState=enabled\\n' "${FAKE_LOAD:-loaded}" ;;
esac
"""


@pytest.fixture
def person(home):
    """Somebody with a home of their own, and the stand-in first on their PATH."""
    directory = home.path / "bin"
    directory.mkdir()
    (directory / "systemctl").write_text(FAKE)
    (directory / "systemctl").chmod(0o755)
    home.environment |= {
        "HOME": str(home.path),
        "XDG_CONFIG_HOME": str(home.path / "c"),
        "PATH": f"{directory}:relative:/usr/bin:/bin",
    }
    home.units = home.path / "c" / "systemd" / "user"
    home.calls = lambda: (home.path / "calls").read_text().splitlines()
    return home


def test_install_writes_the_units_for_this_program_and_enables_them(person):
    said = person.json("service", "install")
    assert (said["unit"], said["installed"], said["active"]) == ("marianned.service", True, False)
    assert "without lingering it and its attempts end with your last login" in said["message"]
    assert said["hints"] == ["mzt start", "loginctl enable-linger"]
    text = (person.units / "marianned.service").read_text()
    assert f'ExecStart="{sys.executable}" -P -m marianned\n' in text
    assert f'ExecReload="{sys.executable}" -P -m marianne_cli rpc daemon.reload\n' in text
    assert f'Environment="PATH={Path(sys.executable).parent}:{person.path}/bin:/usr/bin:/bin"\n' in text
    assert f'Environment="XDG_CONFIG_HOME={person.path}/c"\n' in text
    assert "\nType=notify\n" in text
    assert "FileDescriptorName=api\n" in (person.units / "marianned.socket").read_text()
    enabled = "--user --no-ask-password enable marianned.service marianned.socket"
    assert person.calls().index("--user --no-ask-password daemon-reload") < person.calls().index(enabled)


def test_a_service_that_would_not_start_replaces_no_daemon(person):
    person.mzt("start")
    pid = person.json("status")["pid"]
    person.environment["CONFIGURATION_DIRECTORY"] = str(person.path / "c")
    file = person.path / "c" / "config.toml"
    file.parent.mkdir(mode=0o700, exist_ok=True)
    file.write_text("nope = 1\n")
    said = person.mzt("service", "install", "--now", code=4).stderr
    assert said.startswith(
        f"mzt: marianned (pid {pid}) is not stopped, another would not start: {file}:1:1: no setting 'nope'"
    )
    assert not person.units.exists()
    assert person.json("status")["pid"] == pid


def test_before_systemd_restarts_it_the_settings_of_the_service_are_looked_at(monkeypatch, tmp_path):
    """Its own variables say where they lie, not those of the shell."""
    theirs = tmp_path / "theirs" / "marianne"
    theirs.mkdir(parents=True, mode=0o700)
    (theirs / "config.toml").write_text("nope = 1\n")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("MARIANNE_SOCKET", str(tmp_path / "s"))
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(tmp_path / "ours"))
    told = {
        "Environment": f"PATH=/usr/bin XDG_CONFIG_HOME={theirs.parent} XDG_STATE_HOME={tmp_path / 'state'}"
    }
    monkeypatch.setattr(units.SystemdUnit, "show", lambda *_: told)
    with pytest.raises(Unavailable, match=f"{theirs}/config.toml:1:1: no setting 'nope'"):
        launch.check_next_start(os.getpid(), units.USER)
    (theirs / "config.toml").unlink()
    launch.check_next_start(os.getpid(), units.USER)


def test_a_newer_systemd_reloads_by_a_signal_and_waits_for_the_answer(person):
    person.environment["FAKE_VERSION"] = "255 (255.4-1)"
    person.mzt("service", "install")
    text = (person.units / "marianned.service").read_text()
    assert "\nType=notify-reload\n" in text
    assert "ExecReload=" not in text


def test_what_somebody_edited_is_neither_written_over_nor_removed(person):
    person.mzt("service", "install")
    person.mzt("service", "install")  # ours is
    file = person.units / "marianned.socket"
    file.write_text(file.read_text() + "Backlog=7\n")
    before = {path: path.read_text() for path in person.units.iterdir()}
    for action in ("install", "uninstall"):
        refused = person.json("service", action, code=4)
        assert refused["error_code"] == "E510"
        assert refused["hints"][-1] == f"rm {file}"
    file.write_text("[Socket]\nListenStream=/elsewhere\n")
    person.mzt("service", "install", code=4)
    file.write_text(before[file])
    assert {path: path.read_text() for path in person.units.iterdir()} == before


def test_uninstall_leaves_nothing(person):
    person.mzt("service", "install")
    assert person.mzt("service", "uninstall").stdout == "marianned.service: uninstalled\n"
    assert not (person.path / "c" / "systemd").exists()
    assert "disable --now marianned.socket marianned.service" in " ".join(person.calls())
    assert person.json("service", "uninstall")["installed"] is False


def test_a_systemd_that_refuses_or_does_not_answer_is_a_finding(person):
    person.environment["FAKE_REFUSES"] = "1"
    said = person.json("service", "install", code=1)
    assert said["error_code"] == "E516"
    assert said["message"] == "systemd refused 'systemctl --user daemon-reload': Access denied"
    person.environment["PATH"] = str(person.path / "nothing")
    said = person.json("service", "install", code=1)
    assert said["message"].startswith("systemd does not answer 'systemctl --user': ")
    assert person.json("service", code=1)["active"] is False


def test_status_tells_where_it_stands(person):
    person.environment["FAKE_LOAD"] = "not-found"
    assert person.mzt("service").stdout == "marianned.service: not installed\n  mzt service install\n"
    person.environment["FAKE_LOAD"] = "loaded"
    assert person.mzt("service").stdout.startswith("marianned.service: enabled, inactive (dead)\n")
    assert person.mzt("service", "status", "--now", code=2).stdout == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root installs for the host")
def test_root_says_for_whom_a_service_of_the_host_is(person):
    person.environment.pop("SUDO_USER", None)
    said = person.mzt("service", "install", "--system", code=2).stderr
    assert "for whom? say --user NAME" in said
    person.environment["SUDO_USER"] = "root"
    assert "--user NAME" in person.mzt("service", "install", "--system", code=2).stderr
    said = person.mzt("service", "install", "--system", "--user", "no-such-user", code=2).stderr
    assert "there is no user 'no-such-user'" in said
    assert "--user goes with --system" in person.mzt("service", "install", "--user", "ann", code=2).stderr


def test_a_program_that_others_can_change_starts_for_nobody_else(tmp_path):
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    program = open_to_all / "python3"
    program.write_text("")
    link = tmp_path / "link"
    link.symlink_to(program)
    for path in (program, link):  # through a parent, and through what a link leads to
        with pytest.raises(NotPermitted, match="would run as every user") as refused:
            service._check_owned_by_root(str(path))
        assert refused.value.hints
    assert files.changed_by_others("/usr/bin/env") is None


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to another user")
def test_another_owner_of_a_directory_above_is_found(tmp_path):
    theirs = tmp_path / "theirs"
    (theirs / "bin").mkdir(parents=True)
    (theirs / "bin" / "python3").write_text("")
    assert files.changed_by_others(theirs / "bin" / "python3") is None
    os.chown(theirs, 4001, 4001)
    assert f"'{theirs}' belongs to " in files.changed_by_others(theirs / "bin" / "python3")
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(OSError, match="links"):
        files.changed_by_others(loop)


def test_words_of_a_unit_are_taken_as_they_are():
    assert unit_files._quoted('/a b/100%/$x"\\') == '"/a b/100%%/$$x\\"\\\\"'


def test_config_shows_each_setting_with_where_it_comes_from(home):
    (home.path / "config").mkdir()
    file = home.path / "config" / "config.toml"
    file.write_text("# mine\nkeep_days = 7\n")
    shown = home.json("config")
    told = {one["name"]: (one["value"], one["source"]) for one in shown["settings"]}
    assert told["keep_days"] == (7, f"{file}:2")
    assert told["max_attempts"] == (16, "default")
    assert "keep_days" in home.mzt("config", "show").stdout
    assert home.mzt("config", "check").stdout == f"1 set, {len(told) - 1} by default\n"
    file.write_text("keep_days = 0\nfleet = 1\n")
    wrong = home.mzt("config", "check", code=1).stdout.splitlines()
    assert wrong[0] == f"{file}:1:13: 'keep_days': expected int >= 1"
    assert wrong[1:] == [f"{file}:2:1: no setting 'fleet'", "2 errors"]
    assert home.json("config", code=1)["error_code"] == "E516"
    assert any("config.toml:1:13" in check["message"] for check in home.json("doctor", code=1)["checks"])


def test_doctor_tells_of_a_service_that_no_manager_answers_for(person):
    person.mzt("service", "install")
    person.environment["PATH"] = f"{person.path}/nothing:/usr/bin:/bin"
    told = {
        check["name"]: check["message"]
        for check in json.loads(person.popen("doctor", "-j").communicate()[0])["checks"]
    }
    assert told["service"].startswith("marianned.service is installed, and no user manager answers")


@pytest.mark.parametrize(
    ("unit", "verb", "what", "hint"),
    [
        (units.USER, "restart", "stopped", "mzt service install --now"),
        (units.USER, "start", "started", "mzt service install --now"),
        (units.host_unit("ann"), "restart", "stopped", "sudo mzt service install --system --user ann --now"),
    ],
)
def test_a_service_whose_program_is_gone_is_left_as_it_is(monkeypatch, unit, verb, what, hint):
    """As after an upgrade that has put the program elsewhere: systemd would stop it, and could not start it."""
    told = {"ExecStart": "{ path=/gone/python ; argv[]=/gone/python -P -m marianned ; ignore_errors=no }"}
    monkeypatch.setattr(units.SystemdUnit, "show", lambda *_: told)
    with pytest.raises(Unavailable) as refused:
        launch._run_systemctl(Invocation(), unit, verb, 1.0)
    assert (
        refused.value.message == f"{unit.name} starts '/gone/python', which is not there; nothing is {what}"
    )
    assert refused.value.hints == [hint]
