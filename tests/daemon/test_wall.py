"""`contain: hide`: behind the wall a sheet tries to reach the conductor and other jobs, and can't."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from kit.daemon import Refused, gated, score
from kit.repository import git, make_repository
from kit.secrets import secret

TRIAL = ["bwrap", "--dev-bind", "/", "/", "--unshare-pid", "--proc", "/proc", "true"]
WORKS = shutil.which("bwrap") and subprocess.run(TRIAL, check=False, capture_output=True).returncode == 0
HIDE = '[attempts]\ncontain = "hide"\n'
pytestmark = pytest.mark.one_daemon(HIDE)
needs_bwrap = pytest.mark.skipif(not WORKS, reason="bubblewrap can't be had here")
LOOK = r"""
{
  echo "socket=${MARIANNE_SOCKET-unset}"
  find "$STATE" -name '*.db' -o -name spec.json -o -name '*.sock' -o -name exit.json -o -name lock | sed 's/^/found=/'
  cat /proc/[0-9]*/environ 2>/dev/null | tr '\0' '\n' | grep -c OTHERS_SECRET || true
  cat /proc/[0-9]*/cmdline | tr '\0' ' ' | grep -c 'm[a]rianned' || true
  own=$(dirname "$(find "$STATE" -name script.sh | head -n 1)")
  (echo '{}' > "$own/exit.json") 2>/dev/null && echo wrote=exit
  (echo x > "$STATE/x") 2>/dev/null && echo wrote=state
  echo x > "$TMPDIR/x" && echo tmp=written
} > "$HOME/seen-$NAME" 2>&1
"""


def look(house, name):
    return f"NAME={name} STATE={house.state} bash <<'END'\n{LOOK}\nEND\n"


def seen(house, name):
    return (house.home / f"seen-{name}").read_text().splitlines()


@pytest.fixture
def walled(daemon):
    return daemon


def record(house, name="1-1"):
    return json.loads((house.attempt_directory(name=name) / "exit.json").read_text())


@needs_bwrap
def test_a_sheet_its_check_skip_command_and_hook_see_nothing_of_the_conductor(walled, ledger):
    walled.gate("other")
    walled.submit(score("other", [gated("other")]), env={"OTHERS_SECRET": secret("others")})
    ledger.wait_for("start other")
    for name in ("check", "skip", "hook"):
        (walled.home / f"{name}.sh").write_text(look(walled, name))
    text = score(
        "evil",
        [look(walled, "sheet") + "exit 0"],
        sheet={"skip_when_command": {1: {"command": f"bash {walled.home}/skip.sh; false"}}},
        validations=[{"type": "command_succeeds", "command": f"bash {walled.home}/check.sh"}],
        on_success=[{"type": "run_command", "command": f"bash {walled.home}/hook.sh"}],
    )
    walled.submit(text)
    walled.wait_for("evil", "completed")
    for name in ("sheet", "check", "skip", "hook"):
        found = seen(walled, name)
        own = [line for line in found if line.startswith("found=")]
        assert all(f"/{walled.earlier_runs + 2}/" in line or "hook-" in line for line in own), (name, found)
        assert not [line for line in own if line.endswith((".db", ".sock", "lock"))]
        rest = [line for line in found if line not in own]
        assert rest == ["socket=unset", "0", "0", "tmp=written"], (name, found)
    walled.gate("other").open()
    walled.wait_for("other", "completed")


@pytest.mark.own_daemon("it is set up twice")
@needs_bwrap
def test_where_attempts_lay_under_an_earlier_setting_is_hidden_too(house):
    before = house.home / "attempts-before"
    house.configure(f'attempts_dir = "{before}"\n')
    house.start()
    house.submit(score("old", ["true"]), env={"OTHERS_SECRET": secret("old")})
    house.wait_for("old", "completed")
    assert list(before.rglob("spec.json"))
    house.stop()
    house.configure(HIDE)
    house.start()
    house.submit(score("evil", [f"find {before} -name spec.json > $HOME/found"]))
    house.wait_for("evil", "completed")
    assert (house.home / "found").read_text() == ""


@needs_bwrap
def test_it_cannot_resume_itself_out_of_a_pause(walled, ledger):
    walled.gate("evil")
    connect = f"import socket; socket.socket(socket.AF_UNIX).connect('{walled.socket}')"
    ask = f'python3 -c "{connect}" 2> $HOME/no && echo 0 > $HOME/asked || echo 1 > $HOME/asked'
    walled.submit(score("evil", [f"{gated('evil')}; {ask}", "true"]))
    ledger.wait_for("start evil")
    walled.rpc("job.pause", job_id="evil")
    walled.gate("evil").open()
    walled.wait_for("evil", "held")
    assert walled.status("evil")["status"] == "paused"
    assert (walled.home / "asked").read_text() == "1\n"


@needs_bwrap
@pytest.mark.parametrize(
    ("body", "code", "number"), [("exit 7", 7, None), ("kill -KILL $$", None, signal.SIGKILL)]
)
def test_exit_codes_and_signals_pass_through(walled, body, code, number):
    walled.submit(score("ends", [body]))
    walled.event("ends", "attempt.ended")
    found = record(walled)
    assert (found["exit_code"], found["signal"]) == (code, number)


@needs_bwrap
def test_what_is_ended_has_its_grace_and_its_exit_code(walled, ledger):
    body = "trap 'echo last > $HOME/last; exit 3' TERM; note start slow; while :; do sleep 0.1; done"
    walled.submit(score("slow", [body]))
    ledger.wait_for("start slow")
    walled.rpc("job.cancel", job_id="slow")
    walled.wait_for("slow", "cancelled")
    assert (walled.home / "last").read_text() == "last\n"
    found = record(walled)
    assert (found["exit_code"], found["asked"]) == (3, True)


@needs_bwrap
def test_leftovers_drain_then_go_even_if_they_have_shed_their_mark(walled):
    body = (
        "(sleep 0.5; echo late) &\n"
        "env -u MARIANNE_ATTEMPT_ID setsid bash -c 'exec >/dev/null 2>&1 </dev/null; sleep 43217' &\n"
    )
    walled.submit(score("left", [body]))
    walled.wait_for("left", "completed")
    assert (walled.attempt_directory() / "stdout").read_text() == "late\n"
    assert record(walled)["left_behind"] == 1
    assert not [one for one in Path("/proc").glob("[0-9]*/cmdline") if _has(one, b"43217")]


def _has(file, word):
    try:
        return word in file.read_bytes().split(b"\0")
    except OSError:
        return False


@needs_bwrap
def test_without_leftovers_none_are_told_of(walled):
    walled.submit(score("plain", ["true"]))
    walled.wait_for("plain", "completed")
    assert (record(walled)["left_behind"], record(walled)["exit_code"]) == (0, 0)


@needs_bwrap
def test_a_missing_program_is_an_exit_of_the_shell(walled):
    walled.submit(score("gone", ["nosuchprogram_x"]))
    walled.event("gone", "attempt.ended")
    assert record(walled)["exit_code"] == 127


@needs_bwrap
def test_a_workspace_that_is_hidden_is_refused(walled):
    with pytest.raises(Refused, match="which is hidden") as refused:
        walled.submit(score("inside", ["true"]), workspace=str(walled.state / "work"))
    assert refused.value.code == "E508"


@pytest.mark.own_daemon("its PATH has no bubblewrap")
def test_without_bubblewrap_it_is_refused_with_the_cure(house):
    house.configure(HIDE)
    tools = house.home / "tools"
    tools.mkdir()
    for name in ("bash", "python3", "sh", "true"):
        (tools / name).symlink_to(shutil.which(name))
    house.start(PATH=str(tools))
    with pytest.raises(Refused, match="apt-get install bubblewrap"):
        house.submit(score("never", ["true"]))


def walled_profile(house, name="walled"):
    place = house.home / ".marianne" / "instruments"
    place.mkdir(parents=True, mode=0o700)
    (place / f"{name}.yaml").write_text(
        f"name: {name}\nkind: cli\nscript: shell\nraw_prompt: true\ncontain: hide\ncli:\n  command:\n    executable: bash\n"
    )


TELL = 'echo "${MARIANNE_SOCKET-unset}" > $HOME/told'


@pytest.mark.one_daemon
@needs_bwrap
def test_a_profile_may_ask_for_a_wall_alone(daemon):
    walled_profile(daemon)
    daemon.submit(score("asks", [TELL], instrument="walled"))
    daemon.wait_for("asks", "completed")
    assert (daemon.home / "told").read_text() == "unset\n"


@pytest.mark.one_daemon
@needs_bwrap
def test_a_modify_puts_the_sheets_that_follow_behind_a_wall_and_takes_it_away_again(daemon, ledger):
    walled_profile(daemon)
    daemon.gate(1)
    daemon.gate(2)
    daemon.submit(score("grows", [gated(1), "false", "false"]))
    ledger.wait_for("start 1")
    daemon.modify(
        "grows", score("grows", [gated(1), f"{TELL}; {gated(2)}", "false"], instrument="walled"), resume=True
    )
    daemon.gate(1).open()
    ledger.wait_for("start 2")
    assert (daemon.home / "told").read_text() == "unset\n"
    daemon.modify("grows", score("grows", [gated(1), f"{TELL}; {gated(2)}", TELL]), resume=True)
    daemon.gate(2).open()
    daemon.wait_for("grows", "completed")
    assert (daemon.home / "told").read_text() == f"{daemon.socket}\n"


HIDDEN = "env -u MARIANNE_ATTEMPT_ID setsid sleep {0} & sleep {0}"


@needs_bwrap
def test_a_time_limit_and_a_silence_end_all_that_is_behind_the_wall(walled):
    limit = {"instrument_config": {"timeout_seconds": 1}}
    walled.submit(score("late", [HIDDEN.format(43219)], **limit))
    quiet = {
        "stale_detection": {"enabled": True, "idle_timeout_seconds": 2, "check_interval_seconds": "100ms"}
    }
    works = "end=$((SECONDS + 3)); while [ $SECONDS -lt $end ]; do :; done"  # silent, and not idle
    walled.submit(score("quiet", [f"{works}; touch $HOME/has-worked; {HIDDEN.format(43220)}"], **quiet))
    for job, outcome, category in (("late", "timed_out", "timeout"), ("quiet", "failed", "stale")):
        walled.wait_for(job, "failed")
        (attempt,) = walled.attempts(job, 1)
        assert (attempt["outcome"], attempt["error_category"]) == (outcome, category)
    assert (walled.home / "has-worked").exists()
    assert not [
        one for one in Path("/proc").glob("[0-9]*/cmdline") if _has(one, b"43219") or _has(one, b"43220")
    ]


@needs_bwrap
def test_an_http_instrument_asks_from_behind_the_wall(walled, service):
    answer = {
        "content": [{"type": "text", "text": "hi"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1},
    }
    service.answers = [(200, {}, answer)]
    place = walled.home / ".marianne" / "instruments"
    place.mkdir(parents=True, mode=0o700)
    http = {
        "base_url": service.url,
        "endpoint": "/v1",
        "schema_family": "anthropic",
        "auth_env_var": "THE_KEY",
    }
    (place / "asked.yaml").write_text(
        json.dumps({"name": "asked", "kind": "http", "default_model": "m", "http": http})
    )
    walled.submit(score("asks", ["Say hi."], instrument="asked"), env={"THE_KEY": "x"})
    walled.wait_for("asks", "completed")
    assert walled.rpc("log.read", job_id="asks", sheet=1, stream="result")["size"] == len("hi")


@pytest.mark.own_daemon("it is set up or not")
@needs_bwrap
@pytest.mark.parametrize("by", ["setting", "profile"])
def test_a_filter_that_an_agent_has_put_into_a_repository_runs_behind_the_wall_too(house, by):
    repository = house.home / "repository"
    repository.mkdir()
    make_repository(repository)
    saw = f"(ls {house.state} || echo none; ls {house.socket}) > {house.home}/saw 2>&1; cat"
    git(repository, "config", "filter.told.smudge", saw)
    (repository / ".gitattributes").write_text("* filter=told\n")
    git(repository, "add", ".gitattributes")
    git(repository, "commit", "-q", "-m", "filtered")
    if by == "setting":
        house.configure(HIDE)
    else:
        walled_profile(house)
    house.start()
    instrument = {"instrument": "cli" if by == "setting" else "walled"}
    house.submit(score("iso", ["true"], isolation={"enabled": True}, workspace=str(repository), **instrument))
    house.wait_for("iso", "completed")
    assert "marianne.db" not in (house.home / "saw").read_text()
    assert "No such file" in (house.home / "saw").read_text()


@needs_bwrap
def test_a_worktree_is_worked_in_and_committed_to_from_behind_the_wall(walled):
    repository = walled.home / "repository"
    repository.mkdir()
    make_repository(repository)
    body = "echo new > file; git add file; git -c user.name=A -c user.email=a@b.c commit -q -m done; pwd > $HOME/told"
    walled.submit(score("iso", [body], isolation={"enabled": True}, workspace=str(repository)))
    walled.wait_for("iso", "completed")
    assert (walled.home / "told").read_text().strip().endswith("/.worktrees/iso-1")
    assert git(repository, "log", "--format=%s", "marianne/iso-1").split() == ["done", "first"]


@needs_bwrap
def test_when_its_supervisors_are_killed_a_process_without_mark_and_brand_goes_too(walled, ledger):
    hidden = "env -u MARIANNE_ATTEMPT_ID setsid bash -c 'ulimit -R 1000000000; exec sleep 43218' & "
    walled.gate("lone")
    seen_by_now = "until grep -q '4321[8]' /proc/[0-9]*/cmdline; do :; done; "
    walled.submit(score("lone", [hidden + seen_by_now + gated("lone")]))
    ledger.wait_for("start lone")
    pair = json.loads((walled.attempt_directory() / "identity.json").read_text())
    # while it executes sleep it has no arguments to be seen
    sleepers = walled.until(
        lambda: [one for one in Path("/proc").glob("[0-9]*/cmdline") if _has(one, b"43218")]
    )
    walled.rpc("job.pause", job_id="lone")
    os.kill(pair["pid"], signal.SIGKILL)
    os.kill(pair["runner_pid"], signal.SIGKILL)
    walled.wait_for("lone", "held", "ended")
    assert not [one for one in sleepers if _has(one, b"43218")]


@needs_bwrap
def test_nothing_that_the_daemon_stands_on_can_be_moved_or_written_from_behind_it(walled):
    """The state directory is hidden, but a directory above it could be renamed, and another put in its place."""
    home = walled.home
    body = f"""
    for place in {home}/state {home}/config {home}/run {home}; do mv $place $place-2 && echo moved $place >> told; done
    mv {home.parent} {home.parent}-2 && echo moved all >> told
    echo "" >> {home}/config/marianne/config.toml && echo written >> told
    rm -rf {home}/config/marianne && echo removed >> told
    echo tried >> told
    """
    before = (home / "config" / "marianne" / "config.toml").read_text()
    walled.submit(score("mover", [body]))
    walled.wait_for("mover", "ended")
    assert (home / "mover-work" / "told").read_text().split() == ["tried"]
    assert walled.rpc("daemon.status")["status"] == "ready"
    assert (home / "config" / "marianne" / "config.toml").read_text() == before
