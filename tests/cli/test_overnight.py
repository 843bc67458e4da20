"""`mzt logs -F` left open over night: what is printed, and between it what happened to the job."""

import getpass
import re
import signal
import subprocess
from types import SimpleNamespace

import pytest
from home_for_tests import GATED, SCORE
from kit import zygote

from marianne_cli.screens.following import EventReporter
from marianne_cli.times import moment

pytestmark = pytest.mark.one_daemon

TRIED = """\
name: tried
workspace: ./out
instrument: cli
sheet: {size: 1, total_items: 2, dependencies: {2: [1]}}
movements: {1: {name: draft}, 2: {name: report}}
retry: {max_retries: 1, base_delay_seconds: 0.2, jitter: false}
prompt:
  template: "{% if stage == 1 %}echo begun; read line < gate-1; {% endif %}echo said {{ stage }}; test {{ stage }} != 2"
validations:
  - {type: command_succeeds, command: "true"}
"""


def both(home, *arguments):
    """Start a command whose stdout and stderr are seen in their order, as on a terminal."""
    home.started = zygote.Popen(
        home.command(arguments), cwd=home.path, env=home.environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return home.started


def facts(text):
    """The lines that are no output, without their times."""
    return [
        re.sub(r"^-- (\d\d:\d\d:\d\d  )?", "", line) for line in text.splitlines() if line.startswith("-- ")
    ]


def test_it_tells_of_holds_waits_ends_of_attempts_and_of_the_job(home):
    (home.path / "tried.yaml").write_text(TRIED)
    home.mzt("run", "tried.yaml")
    following = both(home, "logs", "tried", "-F")
    lines = [following.stdout.readline()]
    assert lines == ["1.1 draft| begun\n"]
    home.mzt("pause", "tried", "--reason", "deploy first")
    home.let_go(1)
    held = f'{getpass.getuser()} "deploy first"'
    while "paused" not in lines[-1]:
        lines.append(following.stdout.readline())
    home.mzt("resume", "tried")
    out, err = following.communicate(timeout=30)
    assert (following.returncode, err) == (1, None)
    lines += out.splitlines(keepends=True)
    assert facts("".join(lines)) == [
        f"pause asked by {held}",
        "sheet 1 (draft): attempt 1 succeeded",
        f"paused by {held}; stays paused until someone resumes it",
        f"resume asked by {getpass.getuser()}",
        "sheet 2 (report): attempt 1 failed, exit code 1",
        *(line for line in facts("".join(lines)) if line.startswith("sheet 2 (report): waits 0s (retry)")),
        "sheet 2 (report): attempt 2 failed, exit code 1",
        "tried: failed; sheet 2 (report) failed after 2 attempts: exit code 1",
    ]
    printed = [line.rstrip() for line in lines if not line.startswith("-- ")]
    assert printed == ["1.1 draft| begun", "1.1 draft| said 1", "2.1 report| said 2", "2.1 report| said 2"]
    ended = next(number for number, line in enumerate(lines) if "(draft): attempt 1" in line)
    assert lines[ended - 1] == "1.1 draft| said 1\n"


def test_a_job_that_stands_still_says_so_at_once_and_an_interrupt_does_not_call_that_going_on(home):
    home.mzt("run", home.score("a", GATED))
    home.mzt("pause", "a", "--reason", "lunch")
    home.let_go(1)
    home.mzt("wait", "a", "--for", "paused", "-t", "20")
    following = home.popen("logs", "a", "-F")
    held = f'paused by {getpass.getuser()} "lunch"'
    assert following.stderr.readline() == f"-- a: {held}; stays paused until someone resumes it\n"
    following.send_signal(signal.SIGINT)
    _, err = following.communicate(timeout=20)
    assert following.returncode == 130
    assert err == f"mzt: stopped waiting; 'a' is {held}; it stays so until someone resumes it\n"


def test_the_last_lines_count_over_all_that_is_shown(home):
    text = SCORE.format(name="a", body="echo more; echo wrong >&2", words="")
    (home.path / "a.yaml").write_text(text)
    home.mzt("run", "a.yaml", "--wait")
    whole = home.mzt("logs", "a", "1-3").stdout.splitlines()
    assert len(whole) == 9
    for lines in (1, 2, 4, 9, 20):
        assert home.mzt("logs", "a", "1-3", "-n", str(lines)).stdout.splitlines() == whole[-lines:]
    followed = home.mzt("logs", "a", "1-3", "-F", "-n", "4")
    assert followed.stdout.splitlines() == whole[-4:]
    assert facts(followed.stderr) == ["a: completed; 3 of 3 sheets done"]
    assert home.mzt("logs", "a", "2", "--raw", "-n", "1").stdout == "more\n"
    assert home.json("logs", "a", "2", "-n", "1")["outputs"][0]["stdout"] == "more\n"


def test_the_last_lines_of_a_big_output_are_read_from_its_end(home):
    text = SCORE.format(name="a", body="seq 1 300000", words="").replace("total_items: 3", "total_items: 1")
    (home.path / "a.yaml").write_text(text.replace("dependencies: {2: [1], 3: [2]}", ""))
    home.mzt("run", "a.yaml", "--wait")
    assert home.mzt("logs", "a", "-n", "2").stdout == "299999\n300000\n"


def test_what_waits_for_the_same_is_one_line_and_is_counted_where_it_is_several():
    def wait(sheet, why, until=None, hook=None):
        return {"sheet": sheet, "hook": hook, "waiting_for": why, "until_at": until}

    early, late = "2020-01-01T11:00:00.000Z", "2020-01-01T12:00:00.000Z"
    waits = [wait(number, "slurm") for number in range(2, 202)]
    waits += [wait(300, "rate_limit", early), wait(301, "retry", late), wait(302, "retry", early)]
    waits += [wait(None, "job", hook=1), wait(None, "job", hook=2)]
    said = []
    reporter = EventReporter(SimpleNamespace(note=said.append), "a@1", None)
    reporter.report_state({"job_id": "a", "status": "running", "waiting": waits})
    assert said == [
        "-- 200 sheets wait: slurm",
        f"-- sheet 300 waits: rate limit until {moment(early)}",
        f"-- 2 sheets wait: retry, the first until {moment(early)}",
        "-- 2 hooks wait: job",
    ]
