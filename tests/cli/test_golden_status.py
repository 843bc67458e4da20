"""The screens of jobs of 1,000 sheets, as terminals of three widths show them: golden/status-*.txt.

MARIANNE_GOLDEN=1 pytest tests/cli/test_golden_status.py writes them anew; read the difference.
"""

import fcntl
import os
import pty
import re
import select
import struct
import termios
import time
from datetime import datetime
from pathlib import Path

import pytest
from home_for_tests import GATED
from kit import zygote
from test_screens import DAY, HOLD, in_flight, job, sheet

from marianne_cli import people, times
from marianne_cli.screens import jobs as screens
from marianne_cli.screens import render

pytestmark = pytest.mark.one_daemon

GOLDEN = Path(__file__).parent / "golden"
COLUMNS = (100, 80, 50)
RETRY = {"attempt_count": 1, "waiting_for": "retry", "until_at": f"{DAY}14:21:05.000Z"}
LIMITED = {"attempt_count": 2, "waiting_for": "rate_limit", "until_at": f"{DAY}15:30:00.000Z"}
FAILED = {"attempt_count": 3, "error_message": "validation: the tests pass: exit code 1"}


def thousand(done, **others):
    """1,000 sheets in three stages; `others` are (numbers, keys) by status, the first `done` are completed."""
    made = []
    for number in range(1, 1001):
        stage, instance = (1, 1) if number == 1 else (2, number - 1) if number < 1000 else (3, 1)
        name = {1: "plan", 2: "implement", 3: "report"}[stage]
        status = "completed" if number <= done else "pending"
        keys = {"needs": [] if number == 1 else [1] if number < 1000 else [2, 999]}
        for one, (numbers, more) in others.items():
            if number in numbers:
                status, keys = one, {**keys, **more}
        made.append(sheet(number, stage, instance, name, status, **keys))
    return made


def screen(name):
    """One of the four jobs."""
    flying = range(401, 409)
    running = {"running": (flying, {"attempt_count": 1})}
    shared = {"usd": 12.5, "hints": ["mzt logs release-notes -F", "mzt pause release-notes"]}
    comes = {
        "code": "sheet_end", "text": "sheet 409 starts when one of sheets 401-408 ends", "due_at": None,
        "latest_at": f"{DAY}14:32:00.000Z",
    }  # fmt: skip
    made = {
        "running": lambda: job(
            "running", "14:00:00", completed=400, sheets=thousand(400, **running), in_flight=[*map(in_flight, flying)],
            next=comes, **shared,
        ),
        "failed": lambda: job(
            "failed", "14:12:03", completed=900, sheets=thousand(960, failed=(range(10, 1000, 17), FAILED)),
            usd=12.5, hints=["mzt why release-notes", "mzt resume release-notes"],
            message="release-notes: failed; sheet 10 (2.9 implement) failed after 3 attempts: validation: the tests pass: "
            "exit code 1, and 58 sheets more",
        ),
        "waiting": lambda: job(
            "running", "14:00:00", completed=400,
            sheets=thousand(400, waiting=(range(401, 440, 2), RETRY), running=(range(402, 404), {"attempt_count": 1})),
            in_flight=[in_flight(402)], next=comes, **shared,
        ),
        "breakpoint": lambda: job(
            "paused", "14:08:40", completed=999, sheets=thousand(999), holds=[HOLD],
            breakpoints=[{"sheet": 1000, "stage": 3, "instance": 1}], usd=12.5, hints=["mzt resume release-notes"],
        ),
    }[name]()  # fmt: skip
    made["progress"] = {"completed": made["progress"]["completed"], "total": 1000, "percent": 40.0}
    return screens.job_screen(made)


@pytest.fixture
def terminal(monkeypatch):
    """14:20 in UTC, ann at a terminal of some width, with colours or without."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr(people, "login", {1000: "ann"}.__getitem__)
    monkeypatch.setattr(times, "now", lambda: datetime.fromisoformat(f"{DAY}14:20:00Z"))

    def have(columns, *, coloured):
        monkeypatch.setattr(render, "wants_colours", lambda _stream: coloured)
        monkeypatch.setattr(render, "has_width", lambda _stream: True)
        monkeypatch.setattr(os, "get_terminal_size", lambda _fd: os.terminal_size((columns, 24)))
        monkeypatch.setattr("sys.stdout.fileno", lambda: 1, raising=False)

    yield have
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("coloured", [True, False], ids=["colour", "no-color"])
@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("name", ["running", "failed", "waiting", "breakpoint"])
def test_the_status_of_a_thousand_sheets_is_that_of_the_golden_file(terminal, name, columns, coloured):
    terminal(columns, coloured=coloured)
    shown = render.fit_lines(screen(name), rows="  ") + "\n"
    file = GOLDEN / f"status-{name}-{columns}-{'colour' if coloured else 'plain'}.txt"
    if "MARIANNE_GOLDEN" in os.environ:
        file.parent.mkdir(exist_ok=True)
        file.write_text(shown)
    assert shown == file.read_text()
    assert len(shown.splitlines()) < 40
    assert all(len(re.sub(r"\x1b\[\d+m", "", line)) <= columns for line in shown.splitlines())
    assert ("\x1b" in shown) is coloured


def on_a_terminal(home, columns, *command, code=0, **variables):
    """What a command prints on a terminal of so many columns, on either stream."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {**home.environment, "TERM": "xterm", **variables}
    with zygote.Popen(
        home.command(command), cwd=home.path, env=environment, stdin=its, stdout=its, stderr=its
    ) as running:
        os.close(its)
        sent = b""
        while select.select([ours], [], [], 30)[0]:
            try:
                sent += os.read(ours, 65_536)
            except OSError:
                break
        assert running.wait(30) == code
    os.close(ours)
    return sent.decode()


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("no_color", [False, True])
def test_a_real_terminal_shows_what_fits_in_colours_unless_told_not_to(home, columns, no_color):
    home.mzt("run", home.score("a", GATED), "--before", "3")
    home.mzt("wait", "a", "--for", "running", "-t", "20")
    text = on_a_terminal(home, columns, "status", "a", **({"NO_COLOR": "1"} if no_color else {}))
    assert ("\x1b[32mrunning" in text) is not no_color
    assert "pauses before sheet 3" in " ".join(text.split())
    assert all(len(re.sub(r"\x1b\[\d+m", "", line)) <= columns for line in text.split("\r\n"))


FAILS = """\
name: b
workspace: ./out
instrument: cli
sheet: {size: 1, total_items: 1}
retry: {max_retries: 0}
prompt: {template: "exit 7"}
"""


def test_the_attempts_of_a_sheet_that_is_asked_for_are_told_in_full_on_a_narrow_terminal(home):
    (home.path / "b.yaml").write_text(FAILS)
    home.mzt("run", "b.yaml", "--wait", code=1)
    shown = on_a_terminal(home, 50, "status", "b", "1", NO_COLOR="1")
    text = " ".join(shown.split())
    assert "exit code 7, cli, revision 1 0 of 1 sheet" in text
    assert re.search(r"^ {4}\S", shown, re.MULTILINE)  # below its own attempt
    assert "…" not in text


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("topic", ["environment", "sheets", "exit-codes", "files"])
def test_the_help_of_a_topic_is_fitted_between_words_each_column_below_itself(home, columns, topic):
    whole = home.mzt("help", topic).stdout
    lines = on_a_terminal(home, columns, "help", topic, PAGER="").rstrip().split("\r\n")
    assert all(len(line) <= columns for line in lines)
    assert " ".join(lines).split() == whole.split()


def test_what_a_plan_says_beside_its_table_is_told_in_full_on_a_narrow_terminal(home):
    home.mzt("run", home.score("a", GATED), "--before", "1")
    lines = on_a_terminal(home, 50, "modify", "a", "-c", "a.yaml", "--plan", NO_COLOR="1", PAGER="")
    text = " ".join(lines.split())
    assert text.startswith(home.json("modify", "a", "-c", "a.yaml", "--plan")["message"])


def test_a_refusal_and_an_answer_are_wrapped_between_words_and_what_to_type_is_not(home):
    home.mzt("run", home.score("a", GATED), "--before", "1")
    refused = on_a_terminal(home, 50, "pause", "a", "--before", "1", code=4).split("\r\n")
    assert refused[0].startswith("mzt: ")
    assert all(len(line) <= 50 for line in refused if not line.startswith("  mzt "))
    answer = home.json("wait", "a", "--for", "paused", "-t", "20")["message"]
    lines = on_a_terminal(home, 24, "wait", "a", "--for", "paused", NO_COLOR="1").strip().split("\r\n")
    assert (" ".join(lines).split(), len(lines)) == (answer.split(), 2)


def test_a_narrow_terminal_cuts_nothing_of_what_the_doctor_finds_wrong(home):
    (home.path / "state").write_text("")
    found = on_a_terminal(home, 40, "doctor", code=1, NO_COLOR="1").replace("\r\n", "\n")
    wrong = re.findall(r"^NO .*(?:\n .*)*", found, re.MULTILINE)
    assert wrong
    assert not any("\u2026" in one or max(map(len, one.split("\n"))) > 40 for one in wrong)
