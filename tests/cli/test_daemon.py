"""`mzt` against a real daemon, started by itself in a directory of the test's own."""

import inspect
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
from home_for_tests import GATED, QUICK, SCORE
from kit import zygote

from marianne_cli.service import launch

pytestmark = pytest.mark.one_daemon


def test_run_starts_the_daemon_and_says_so_on_stderr(cold_home):
    started = cold_home.mzt("run", cold_home.score("a"))
    assert started.stdout == f"a: running; 3 sheets, workspace {cold_home.path}/out\n"
    assert started.stderr == "no daemon runs; starting one\n"
    assert cold_home.mzt("wait", "a").stdout == "a: completed; 3 of 3 sheets done\n"
    assert cold_home.mzt("start").stdout.startswith("marianned ")
    assert "nothing is left to do" in cold_home.mzt("status", "a").stdout
    assert cold_home.mzt("list", "-q").stdout == "a\n"


def test_start_leaves_no_pipe_of_the_caller_open_nor_takes_modules_where_it_is_typed(cold_home):
    """Both programs are executed here; elsewhere they are forked."""
    (cold_home.path / "json.py").write_text("raise SystemExit('it is none of ours')")
    started = subprocess.run(
        [Path(sys.executable).with_name("mzt"), "start"], cwd=cold_home.path, env=cold_home.environment,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    said = "no daemon runs; starting one\n"
    assert (started.returncode, started.stderr) == (0, said)  # capture_output waits for the end of both pipes
    pid = cold_home.json("status")["pid"]
    for descriptor in (0, 1, 2):
        target = str(Path(f"/proc/{pid}/fd/{descriptor}").readlink())
        assert target == "/dev/null" or target.endswith("daemon-start.log")
    assert (cold_home.path / "state" / "daemon-start.log").stat().st_mode & 0o777 == 0o600


def test_a_start_that_is_late_says_that_nothing_was_asked_and_a_run_waits_a_minute_for_one(cold_home):
    late = cold_home.mzt("start", "-t", "0", code=124)
    assert "it may still come, and was asked nothing (E504)\n  mzt status\n" in late.stderr
    assert inspect.signature(launch.ensure_running).parameters["timeout"].default == 60
    assert cold_home.mzt("start", "-t", "60").returncode == 0, (
        "the late one comes while a second is being started"
    )


def test_a_start_tells_each_mistake_in_the_settings_apart(cold_home):
    file = cold_home.path / "config" / "config.toml"
    file.parent.mkdir(mode=0o700, exist_ok=True)
    file.write_text('max_attempts = "x"\nnope = 1\n')
    said = cold_home.mzt("start", code=3).stderr
    assert f"{file}:1:16: 'max_attempts': expected int, got str; {file}:2:1: no setting 'nope' (E511)" in said


@pytest.mark.parametrize("kind", ["wrong", "nested", "directory", "pipe"])
def test_a_restart_with_settings_that_can_not_be_used_leaves_the_daemon_as_it_is(cold_home, kind):
    cold_home.mzt("start")
    pid = cold_home.json("status")["pid"]
    file = cold_home.path / "config" / "config.toml"
    file.parent.mkdir(mode=0o700, exist_ok=True)
    match kind:
        case "wrong":
            file.write_text("nope = 1\n")
        case "nested":
            file.write_text("a=" + "[" * 50_000)
        case "directory":
            file.mkdir()
        case "pipe":
            os.mkfifo(file)
    said = cold_home.mzt("restart", code=4).stderr.splitlines()
    assert said[0].startswith(f"mzt: marianned (pid {pid}) is not stopped, another would not start: {file}:")
    assert said[1:] == ["  mzt config check"]
    assert cold_home.json("status")["pid"] == pid


def test_a_restart_on_a_database_that_can_not_be_written_leaves_the_daemon_as_it_is(cold_home):
    cold_home.mzt("start")
    pid = cold_home.json("status")["pid"]
    log = cold_home.path / "state" / "marianned.log"
    log.rename(f"{log}.kept")
    log.mkdir()
    said = cold_home.mzt("restart", code=4).stderr
    assert f"'{log}' is a directory, not a file" in said
    assert f"\n  rmdir {log}\n" in said
    assert cold_home.json("status")["pid"] == pid


def test_of_a_daemon_that_ends_with_a_traceback_its_last_line_is_told(tmp_path):
    log = tmp_path / "start log"
    for text in (
        "Traceback (most recent call last):\n  File\n" + "E" * 100_000,
        "marianned: x\nTraceback y\nz",
    ):
        log.write_text(text)
        said, hints = launch._last_words(log)
        assert len(said) < 400
        assert "Traceback" not in said
        assert hints[0] == f"tail '{log}'"
    log.write_text("a line before\nmarianned: one\ntwo\n")
    assert launch._last_words(log) == ("one; two", [])


def test_what_stands_in_the_place_of_the_socket_is_named_with_what_takes_it_away(cold_home):
    socket = cold_home.path / "state" / "marianned.sock"  # no other place is left to such a daemon
    cold_home.environment["MARIANNE_SOCKET"] = str(socket)
    cold_home.mzt("start")
    pid = cold_home.json("status")["pid"]
    socket.unlink()
    socket.mkdir()
    for line in ("start", "stop", "restart"):
        said = cold_home.mzt(line, code=3).stderr
        assert f"'{socket}' is a directory, not a socket" in said, line
        assert f"\n  rmdir {socket}\n  mzt start\n" in said, line
        assert "kill" not in said, line
    found = cold_home.mzt("doctor", code=1).stdout
    assert f"pid {pid} can't make its socket: '{socket}' is a directory" in found
    assert "kill" not in found
    socket.rmdir()
    assert f"(pid {pid})" in cold_home.mzt("start").stdout


@pytest.mark.parametrize("name", ["marianned.log", "daemon-start.log"])
def test_a_pipe_in_the_place_of_a_log_keeps_nobody_waiting(cold_home, name):
    cold_home.mzt("start")
    state = cold_home.path / "state"
    cold_home.mzt("stop")
    (state / name).unlink(missing_ok=True)
    os.mkfifo(state / name)
    said = cold_home.mzt("start", code=3).stderr
    assert f"'{state / name}' can't be " in said
    assert "named pipe, not a regular file" in said
    assert f"mv {state / name} {state / name}.away" in cold_home.mzt("doctor", code=1).stdout


def test_a_socket_that_can_not_be_made_or_dialled_is_told_with_its_place(cold_home):
    assert "'/proc/x' can't be used: " in cold_home.mzt("--socket", "/proc/x", "start", code=3).stderr
    assert (
        "'/proc' shows what the kernel knows" in cold_home.mzt("--socket", "/proc/x", "doctor", code=1).stdout
    )
    for line in ("list", "stop", "restart", "doctor"):
        done = cold_home.mzt("--socket", "/" + "a" * 199, line, code=None)
        assert "is 200 bytes long, at most 107 are possible" in done.stdout + done.stderr, line


def test_pause_modify_and_resume_as_a_person_types_them(home):
    home.mzt("run", home.score("a", GATED))
    pausing = home.json("pause", "a", "--reason", "deploy first")
    assert (pausing["status"], pausing["acknowledged"], pausing["holds"][0]["reason"]) == (
        "pausing",
        False,
        "deploy first",
    )
    late = home.mzt("pause", "a", "--wait", "-t", "0", code=124)
    assert late.stdout == ""
    assert "(E504)\n" in late.stderr
    home.let_go(1)
    assert home.mzt("wait", "a", "--for", "paused", "-t", "20").stdout == "a: paused; 1 of 3 sheets done\n"
    new = home.score("a", QUICK, " in new words")
    plan = home.mzt("modify", "a", "-c", new, "--plan").stdout.splitlines()
    assert plan[0] == "a: paused; plan for revision 2, nothing is changed"
    assert plan[1].split() == ["SHEET", "STAGE", "NOW", "PLAN", "WHY"]
    assert plan[-1] == "runs: 2, 3 · runs again: none · removed: none"
    changed = home.mzt("modify", "a", "-c", new, "-r", "--wait").stdout.splitlines()
    assert changed[0].startswith("a: ")
    assert changed[1] == "changed but completed, they stay: 1"
    home.mzt("wait", "a", "-t", "20")
    assert home.mzt("logs", "a", "3").stdout == "sheet 3 in new words\n"
    assert "pause asked" in home.mzt("history", "a").stdout


def test_run_wait_ends_with_the_jobs_end(home):
    assert home.mzt("run", home.score("a"), "--wait").stdout == "a: completed; 3 of 3 sheets done\n"
    (home.path / "b.yaml").write_text(
        SCORE.format(name="b", body="exit 3", words="") + "retry: {max_retries: 0}\n"
    )
    failed = home.json("run", "b.yaml", "--wait", code=1)
    assert (failed["error_code"], failed["status"], failed["daemon_started"]) == ("E515", "failed", False)


def test_run_follow_with_json_is_an_event_a_line_then_the_reply(home):
    lines = [
        json.loads(line) for line in home.mzt("run", home.score("a"), "-F", "--json").stdout.splitlines()
    ]
    assert lines[-1]["success"] is True
    assert lines[-2]["type"] == "job.completed"
    numbers = [line["event"] for line in lines[:-1]]
    assert numbers == sorted(set(numbers))
    told = [line["type"] for line in lines[:-1]]
    assert told[0] == "job.submitted"
    assert {"job.running", "attempt.started"} <= set(told)


def test_an_interrupted_wait_tells_where_the_job_stands(home):
    home.mzt("run", home.score("a", GATED))
    waiting = home.popen("pause", "a", "--wait", "-t", "1h")
    home.mzt("wait", "a", "--for", "pausing", "-t", "20")
    waiting.send_signal(signal.SIGINT)
    out, err = waiting.communicate(timeout=20)
    assert (waiting.returncode, out) == (130, "")
    assert err == "mzt: stopped waiting; 'a' is pausing, the request stays in force\n"


def test_logs_follow_prints_what_comes_until_the_job_ends(home):
    home.mzt("run", home.score("a", GATED))
    following = home.popen("logs", "a", "-F")
    lines = [following.stdout.readline()]
    home.let_go(1, 2, 3)
    lines += following.stdout
    assert following.wait() == 0
    assert [line.rstrip() for line in lines] == ["1.1| sheet 1", "2.1| sheet 2", "3.1| sheet 3"]


def test_logs_show_what_a_sheet_printed_that_was_cut_short(home):
    home.mzt("run", home.score("a", f"echo begun {{{{ sheet_num }}}}; {GATED}"))
    home.let_go(1)
    following = home.popen("logs", "a", "-F")
    told = iter(following.stdout.readline, "")
    assert "2.1| begun 2\n" in told
    home.mzt("pause", "a", "--now", "--wait", "-t", "20")
    following.terminate()
    following.communicate()
    assert home.mzt("logs", "a").stdout == "sheet 2\nbegun 2\n"


def test_a_reader_that_is_gone_is_141_without_a_word(home):
    home.mzt("run", home.score("a"), "--wait")
    reading, writing = os.pipe()
    os.close(reading)
    done = zygote.run(
        home.command(["events"]),
        env=home.environment,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.own_daemon("it is stopped")
def test_stop_returns_when_it_is_gone_and_what_is_in_flight_goes_on(home):
    home.mzt("run", home.score("a", GATED))
    home.mzt("wait", "a", "--for", "running", "-t", "20")
    pid = home.json("status")["pid"]
    stopped = home.json("stop")
    assert stopped["pid"] == pid
    home.mzt("status", code=3)
    restarted = home.json("restart")
    assert restarted["pid"] != pid
    home.let_go(1, 2, 3)
    assert home.mzt("wait", "a", "-t", "30").stdout == "a: completed; 3 of 3 sheets done\n"


def test_errors_name_what_to_type_next(home):
    home.mzt("run", home.score("release-notes"), "--wait")
    wrong = home.mzt("pause", "release-note", code=4)
    assert wrong.stderr.startswith(
        "mzt: no job 'release-note'; the nearest is 'release-notes' (E501)\n  mzt "
    )
    done = home.mzt("pause", "release-notes", code=4)
    assert done.stderr.startswith(
        "mzt: 'release-notes' has completed; there is nothing to pause (E502)\n  mzt "
    )


def test_the_shell_completes_job_names(home):
    home.mzt("run", home.score("release-notes"), "--wait")
    done = zygote.run(
        home.command([]),
        env={**home.environment, "_MZT_COMPLETE": "fish_complete", "COMP_WORDS": "mzt history rel", "COMP_CWORD": "rel"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "release-notes" in done.stdout
    assert done.stderr == ""


def test_rpc_prints_results_and_errors_as_they_came(home):
    home.mzt("start")
    assert json.loads(home.mzt("rpc", "daemon.hello").stdout)["protocol"] == 1
    assert json.loads(home.mzt("rpc", "no.such", code=4).stdout)["code"] == -32601


def test_the_hint_of_a_refused_score_names_its_file_so_that_it_can_be_typed_where_one_is(home):
    (home.path / "below").mkdir()
    (home.path / "below" / "bad.yaml").write_text("name: a\n")
    home.score("a")
    home.mzt("run", "a.yaml", "--wait")
    for words in (["run"], ["modify", "a", "-c"], ["resume", "a", "-c"]):
        told = home.mzt(*words, "below/bad.yaml", code=4).stderr.splitlines()
        assert told[-1] == "  mzt validate below/bad.yaml"


def test_rpc_says_of_each_method_whether_it_changes_something_as_a_connection_for_questions_takes_it(home):
    said = dict(line.split()[:2] for line in home.mzt("rpc").stdout.splitlines())
    assert {name: said[name] for name in ("backup.write", "instrument.check", "job.pause", "job.status")} == {
        "backup.write": "changes", "instrument.check": "changes", "job.pause": "changes", "job.status": "looks",
    }  # fmt: skip


def test_init_writes_a_score_that_validates_and_runs_as_it_is(home):
    assert (
        home.mzt("init").stdout
        == "score.yaml: written; a score of 4 shell sheets; run it: mzt run score.yaml\n"
    )
    assert home.mzt("init", code=2).stderr.startswith("mzt: 'score.yaml' exists already\n")
    schema = (
        (home.path / "score.yaml")
        .read_text()
        .partition("\n")[0]
        .removeprefix("# yaml-language-server: $schema=")
    )
    assert json.loads(Path(url2pathname(urlsplit(schema).path)).read_text())["title"] == "A score of Marianne"
    found = home.json("validate", "score.yaml")
    assert (found["valid"], found["problems"]) == (True, [])
    assert home.mzt("run", "score.yaml", "--wait").stdout == "score: completed; 4 of 4 sheets done\n"


def test_a_file_that_is_no_score_is_told_with_its_problems(home):
    (home.path / "bad.yaml").write_text("name: bad\nshet: {}\n")
    found = home.mzt("validate", "bad.yaml", code=1)
    assert found.stdout.startswith("bad.yaml:1:1: error S011: ")
    assert found.stdout.rstrip().endswith("3 errors, 1 warning")
    refused = home.mzt("run", "bad.yaml", code=4)
    assert refused.stderr.rstrip().endswith("mzt validate bad.yaml") or "(E505)" in refused.stderr


@pytest.mark.slow
def test_the_demo_pauses_changes_and_goes_on_and_leaves_nothing_behind(home, tmp_path):
    home.environment["TMPDIR"] = str(tmp_path / "t")
    (tmp_path / "t").mkdir()
    shown = home.mzt("demo").stdout
    assert "$ mzt pause demo --wait" in shown
    assert shown.rstrip().endswith("each sheet ran once")
    assert list((tmp_path / "t").iterdir()) == []


@pytest.mark.own_daemon("it is restarted")
def test_a_restart_from_inside_an_attempt_leaves_the_daemon_as_it_is(home):
    pid = home.json("start")["pid"]
    home.environment["MARIANNE_ATTEMPT_ID"] = "x-1-1-1"
    refused = home.json("restart", code=4)
    assert refused["error_code"] == "E509"
    assert home.json("status")["pid"] == pid
    del home.environment["MARIANNE_ATTEMPT_ID"]
