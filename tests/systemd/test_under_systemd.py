"""The service under a real systemd: readiness, restarts, crashes, activation, installation, two users.

MARIANNE_KILLS says how often the daemon is killed; 100 by hand, a few in CI.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from host_for_tests import SCRIPT, Host
from kit.daemon import Gate, score

pytestmark = [pytest.mark.systemd, pytest.mark.timeout(300), pytest.mark.xdist_group("systemd")]
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "run-as-a-service.md"
KILLS = int(os.environ.get("MARIANNE_KILLS", "3"))


@pytest.fixture(scope="module")
def host():
    """A machine with the service installed, its socket waiting."""
    if not SCRIPT.exists():
        pytest.skip("../shared/systemd is not here")
    home = Path(tempfile.mkdtemp(prefix="marsd"))
    home.chmod(0o755)
    made = Host(home)
    try:
        if not made.ready:
            code, said = made.why_not()
            if code == 77:
                pytest.skip(said)
            raise AssertionError(said)
        made.mzt("service", "install")
        yield made
    finally:
        made.close()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def service(host):
    """The service, running; at the end none of its jobs is left, and nothing a test has changed of it."""
    host.systemctl("start", "marianned")
    yield host
    shutil.rmtree(host.units / "marianned.service.d", ignore_errors=True)
    shutil.rmtree(host.units / "marianned.socket.d", ignore_errors=True)
    shutil.rmtree(host.config / "marianne", ignore_errors=True)
    host.systemctl("unset-environment", "MARIANNE_FAULT")
    host.systemctl("daemon-reload")
    if not (host.units / "marianned.service").exists():
        host.mzt("service", "install", "--now")
    host.systemctl("start", "marianned")
    host.mzt("cancel", "--all", "-y", "--wait", "-t", "30")


def drop_in(host, unit, text):
    directory = host.units / f"{unit}.d"
    directory.mkdir(parents=True)
    (directory / "test.conf").write_text(text)
    host.systemctl("daemon-reload")


class Work:
    """A job of one sheet that starts, writes that down, waits at its gate, and writes down its end."""

    def __init__(self, host, name, sheets=1):
        self.host = host
        self.name = name
        self.directory = Path(tempfile.mkdtemp(dir=host.home))
        self.ledger = self.directory / "ledger"
        self.gate = Gate(self.directory / "gate")
        body = f"echo start >> {self.ledger}; read _ < {self.directory}/gate; echo end >> {self.ledger}; echo made > made"
        (self.directory / "s.yaml").write_text(score(name, [body] * sheets))
        host.mzt("run", self.directory / "s.yaml")
        host.mzt("rpc", "job.wait", json.dumps({"job_id": name, "words": ["running"], "timeout": 30}))
        self.started()

    def started(self, times=1):
        """Wait until the sheet has started so often, by the journal of events."""
        script = f"until [ $(grep -c start {self.ledger}) -ge {times} ]; do sleep 0.05; done"
        self.host.run("timeout", "60", "bash", "-c", script)

    def ends(self):
        """Let it end; return the attempts of its sheet."""
        self.gate.open(3)
        self.host.mzt("wait", self.name, "-t", "60")
        self.gate.close()
        return self.host.json("status", self.name, "1")["sheets"][0]["attempts"]


def test_start_returns_when_the_socket_answers_and_status_shows_the_counts(service):
    service.systemctl("stop", "marianned.service", "marianned.socket")
    assert service.mzt("status", code=3) == ""
    service.systemctl("start", "marianned")
    assert service.json("status")["status"] == "ready"
    work = Work(service, "counted")
    until(service, "StatusText", "ready; 1 job, 1 attempt in flight")
    assert "1 attempt in flight" in service.systemctl("status", "marianned")
    found = service.journal("JOB=counted", "--output-fields=SHEET", "-o", "json").splitlines()
    assert any(json.loads(line).get("SHEET") == "1" for line in found)
    assert [attempt["outcome"] for attempt in work.ends()] == ["succeeded"]
    assert (work.directory / "counted-work" / "made").exists()  # the default unit lets an agent write


def until(host, name, value, unit="marianned.service"):
    """Wait until systemd says so; it tells nobody by itself."""
    script = f'until [ "$(systemctl --user show {unit} -P {name})" = "{value}" ]; do sleep 0.05; done'
    host.run("timeout", "60", "bash", "-c", script)


def test_a_restart_during_a_running_sheet_leaves_its_process_alone(service):
    work = Work(service, "kept")
    pid = service.json("status", "kept", "1")["sheets"][0]["attempts"][0]["pid"]
    before = service.show("MainPID")
    service.systemctl("restart", "marianned")
    assert service.show("MainPID") != before
    assert service.json("status", "kept", "1")["sheets"][0]["attempts"][0]["pid"] == pid
    assert service.mzt("restart") == service.mzt("start")
    assert len(work.ends()) == 1
    assert work.ledger.read_text() == "start\nend\n"


def test_a_stop_while_pausing_then_a_start_is_paused(service):
    work = Work(service, "held", sheets=2)
    service.mzt("pause", "held")
    service.systemctl("stop", "marianned")
    work.gate.open()
    service.systemctl("start", "marianned")
    service.mzt("wait", "held", "--for", "paused", "-t", "60")
    assert work.ledger.read_text() == "start\nend\n"
    service.mzt("resume", "held")
    work.ends()
    assert work.ledger.read_text() == "start\nend\n" * 2


def test_a_blocked_event_loop_is_ended_by_the_watchdog_and_nothing_is_lost(service):
    work = Work(service, "hung")
    drop_in(service, "marianned.service", "[Service]\nWatchdogSec=2\nRestartSec=100ms\n")
    service.systemctl("set-environment", "MARIANNE_FAULT=api.read:1:block")
    service.systemctl("restart", "marianned")
    service.systemctl("unset-environment", "MARIANNE_FAULT")
    restarts = int(service.show("NRestarts"))
    assert service.json("status")["status"] == "ready"  # this is what blocks it; the answer is the next one's
    assert int(service.show("NRestarts")) > restarts
    assert "faults.py" in service.journal()  # where it hung
    assert len(work.ends()) == 1


def test_a_daemon_that_is_killed_again_and_again_comes_back_and_loses_nothing(service):
    drop_in(service, "marianned.service", "[Service]\nRestartSec=50ms\n")
    work = Work(service, "hard")
    for _ in range(KILLS):
        pid = service.show("MainPID")
        service.run("kill", "-KILL", pid)
        assert str(service.json("status")["pid"]) != pid  # the socket has waited meanwhile
    assert len(work.ends()) == 1
    assert work.ledger.read_text() == "start\nend\n"


def test_whoever_connects_starts_it(service):
    service.systemctl("stop", "marianned.service")
    assert service.show("ActiveState") == "inactive"
    service.mzt("list")
    assert service.show("ActiveState") == "active"
    assert service.stderr == ""


def test_a_socket_under_another_name_is_a_clear_error(service):
    service.systemctl("stop", "marianned.service", "marianned.socket")
    drop_in(service, "marianned.socket", "[Socket]\nFileDescriptorName=other\n")
    service.systemctl("start", "marianned.socket")
    service.systemctl("start", "marianned.service", code=1)
    assert "one named 'api' is wanted: FileDescriptorName=api" in service.journal()
    assert service.show("Result") == "exit-code"
    assert service.show("ExecMainStatus") == "78"
    service.systemctl("stop", "marianned.socket")


def test_reload_fails_where_the_settings_cannot_be_used(service):
    file = service.config / "marianne" / "config.toml"
    file.parent.mkdir(exist_ok=True)
    file.write_text("max_attempts = 3\n")
    service.systemctl("reload", "marianned")
    assert service.json("status")["slots"]["total"] == 3
    file.write_text("max_attempts = 0\n")
    service.systemctl("reload", "marianned", code=None)
    assert service.json("status")["status"] == "degraded"
    until(service, "StatusText", "degraded; 0 jobs, 0 attempts in flight")
    assert "config.toml:1:16" in service.mzt("status").splitlines()[1]
    assert "config.toml:1:16" in service.journal("-p", "err")
    pid = service.show("MainPID")
    refused = service.json("restart", code=4)
    assert "is not stopped, another would not start: " in refused["message"]
    assert "config.toml:1:16" in refused["message"]
    assert service.show("MainPID") == pid != "0"
    file.unlink()
    service.systemctl("reload", "marianned")


def test_mzt_starts_stops_and_restarts_by_systemctl_and_says_so(service):
    service.mzt("stop")
    assert service.stderr == "systemctl --user stop marianned.service marianned.socket\n"
    assert service.show("ActiveState") == "inactive"
    assert service.mzt("stop") == "no daemon runs\n"
    service.mzt("start")
    assert service.stderr == "no daemon runs; systemctl --user start marianned.service\n"
    service.mzt("restart")
    assert service.stderr == "systemctl --user restart marianned.service\n"
    assert service.show("ActiveState") == "active"


def test_doctor_names_what_the_service_lacks(service):
    tool = service.home / "bin" / "codex"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    path = f"{tool.parent}:/usr/bin:/bin"
    found = service.json("doctor", code=1, PATH=path, OPENAI_API_KEY="secret-value")
    told = {check["name"]: check for check in found["checks"]}
    assert told["service"]["message"] == "marianned.service is active"
    assert "codex" in told["service PATH"]["message"]
    assert "OPENAI_API_KEY (codex-cli" in told["service credentials"]["message"]
    assert "secret-value" not in json.dumps(found)
    shutil.rmtree(tool.parent)


def test_the_units_are_clean(service):
    directory = service.units
    for name in ("marianned.service", "marianned.socket"):
        service.run("systemd-analyze", "--user", "verify", directory / name)
        assert service.stderr == ""


def test_the_end_of_the_users_manager_loses_the_attempts_and_they_run_again(service):
    work = Work(service, "lost")
    service.run("systemctl", "stop", "user-manager.service")
    assert work.ledger.read_text() == "start\n"
    service.run("systemctl", "start", "user-manager.service")
    service.systemctl("start", "marianned")
    work.started(2)
    assert [attempt["outcome"] for attempt in work.ends()] == ["lost", "succeeded"]
    assert work.ledger.read_text() == "start\nstart\nend\n"


# --- installing ------------------------------------------------------------------------------------------


def test_a_second_installation_takes_over_and_edited_units_stay(service):
    pipx = service.home / "pipx" / "venvs" / "marianned"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", pipx], check=True)
    packages = next(pipx.glob("lib/python*/site-packages"))
    (packages / "all.pth").write_text("\n".join(entry for entry in sys.path if "/" in entry) + "\n")
    python = pipx / "bin" / "python"
    said = json.loads(
        service.run(python, "-P", "-m", "marianne_cli", "service", "install", "--now", "--json")
    )
    assert (said["unit"], said["installed"], said["active"]) == ("marianned.service", True, True)
    assert str(python) in service.show("ExecStart")
    file = service.units / "marianned.service"
    text = file.read_text()
    file.write_text(text.replace("RestartSec=1\n", "RestartSec=9\n"))
    for action in ("install", "uninstall"):
        refused = service.json("service", action, code=4)
        assert (refused["error_code"], "was edited since" in refused["message"]) == ("E510", True)
    assert "RestartSec=9" in file.read_text()
    file.write_text(text)
    daemon = service.show("MainPID")
    shutil.rmtree(pipx)
    refused = service.json("restart", code=4)
    said = f"marianned.service starts '{python}', which is not there; nothing is stopped"
    assert (refused["message"], refused["hints"]) == (said, ["mzt service install --now"])
    assert service.show("MainPID") == daemon
    service.mzt("service", "install", "--now")
    assert sys.executable in service.show("ExecStart")


def test_uninstall_leaves_nothing_and_what_is_in_flight_goes_on(service):
    work = Work(service, "left")
    assert service.json("service")["active"] is True
    assert service.mzt("service", "uninstall") == "marianned.service: uninstalled\n"
    assert not (service.config / "systemd").exists()
    assert service.json("service")["installed"] is False
    assert service.mzt("start").startswith("marianned ")
    assert service.stderr == "no daemon runs; starting one\n"
    assert len(work.ends()) == 1
    service.mzt("service", "install")
    found = {check["name"]: check["message"] for check in service.json("doctor", code=1)["checks"]}
    assert found["service"].startswith("a daemon that was started by hand")
    service.mzt("service", "install", "--now")
    assert "started by hand, has made way" in service.stderr
    assert service.show("ActiveState") == "active"


def test_a_host_has_a_daemon_for_each_of_two_users(host):
    readable = host.run("true", as_user="ann", code=None) is not None
    host.run(sys.executable, "-P", "-c", "import marianned", as_user="ann", code=None)
    if not readable or host.stderr:
        pytest.skip(f"another user can't read this installation: {host.stderr.splitlines()[-1]}")
    for name in ("ann", "bob"):
        host.mzt("service", "install", "--system", "--now", SUDO_USER=name)
    pids = {}
    for name in ("ann", "bob"):
        said = json.loads(
            host.run(sys.executable, "-P", "-m", "marianne_cli", "status", "--json", as_user=name)
        )
        pids[name] = said["pid"]
        shown = host.run("systemctl", "show", f"marianned@{name}", "-P", "MainPID")
        assert shown.strip() == str(said["pid"])
    theirs = host.home / "ann" / ".local" / "state" / "marianne" / "marianned.sock"
    refused = [sys.executable, "-P", "-m", "marianne_cli", "--socket", str(theirs), "status"]
    host.run(*refused, as_user="bob", code=None)
    assert "mzt: " in host.stderr
    assert f"**{strict_level(host)}**" in PAGE.read_text()  # the page tells the level
    left = host.mzt("service", "uninstall", "--system", SUDO_USER="ann")
    assert left == "marianned@ann.service: disabled; the template stays, for marianned@bob.service\n"
    assert (
        json.loads(host.run(sys.executable, "-P", "-m", "marianne_cli", "status", "--json", as_user="bob"))[
            "pid"
        ]
        == pids["bob"]
    )
    host.mzt("service", "uninstall", "--system", SUDO_USER="bob")
    assert not list(Path("/etc/systemd/system").glob("marianned*"))


def strict_level(host):
    """Put the strict drop-in in force; return its exposure level."""
    text = (Path(__file__).parents[2] / "systemd" / "strict.conf").read_text()
    text = text.replace("/home/%i", str(host.home / "%i")).replace("ProtectHome=read-only\n", "")
    host.run("mkdir", "-p", "/run/systemd/system/marianned@.service.d")
    script = 'cat > /run/systemd/system/marianned@.service.d/strict.conf <<"END"\n' + text + "END\n"
    host.run("sh", "-c", script)
    host.run("systemctl", "daemon-reload")
    host.run("systemctl", "restart", "marianned@ann")
    host.run(sys.executable, "-P", "-m", "marianne_cli", "status", as_user="ann")
    host.run("systemd-analyze", "verify", "marianned@ann.service")
    said = host.run("systemd-analyze", "security", "--no-pager", "marianned@ann.service")
    host.run("rm", "-r", "/run/systemd/system/marianned@.service.d")
    host.run("systemctl", "daemon-reload")
    return float(said.splitlines()[-1].split(":")[1].split()[0])
