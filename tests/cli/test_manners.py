"""Manners of the command line: JSON fields, standard input, the pager, --watch, help and version."""

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import termios

import pytest
from home_for_tests import GATED
from kit import zygote

from marianne_cli.main import run

pytestmark = pytest.mark.one_daemon

SCORE = """\
name: piped
workspace: ./out
instrument: cli
sheet: {size: 1, total_items: 1}
prompt: {template: "echo {{ who }}; cat words.txt", variables: {who: nobody}}
validations:
  - {type: command_succeeds, command: "true"}
"""


def with_input(home, text, *arguments, code=0):
    done = zygote.run(
        home.command(arguments), cwd=home.path, env=home.environment, input=text, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == code, (done.stdout, done.stderr)
    return done


class Screen:
    """A terminal of 100 columns and 24 rows that a command runs on."""

    def __init__(self, home, *arguments, **environment):
        self._ours, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        self.process = zygote.Popen(
            home.command(arguments), cwd=home.path, env={**home.environment, "TERM": "xterm", **environment},
            stdin=its, stdout=its, stderr=its, start_new_session=True,
        )  # fmt: skip
        os.close(its)
        self.seen = ""

    def shows(self, pattern, seconds=20):
        while not re.search(pattern, self.seen):
            assert select.select([self._ours], [], [], seconds)[0], self.seen
            self.seen += os.read(self._ours, 65_536).decode()

    def ends(self):
        """Read to the end; return the exit code."""
        while select.select([self._ours], [], [], 30)[0]:
            try:
                self.seen += os.read(self._ours, 65_536).decode()
            except OSError:
                break
        os.close(self._ours)
        return self.process.wait(30)


def test_every_object_has_the_number_of_its_schema_lines_of_follow_too(home):
    home.mzt("run", home.score("a"), "--wait")
    for arguments, code in ((("status", "a"), 0), (("list",), 0), (("status", "b"), 4), (("help",), 0)):
        assert home.json(*arguments, code=code)["schema"] == 1
    for arguments in (("logs", "a", "1", "-F", "-j"), ("run", home.score("c"), "-F", "-j")):
        lines = home.mzt(*arguments).stdout.splitlines()
        assert len(lines) > 1
        assert {json.loads(line)["schema"] for line in lines} == {1}
    assert "schema" not in json.loads(home.mzt("rpc", "job.list").stdout)


def test_json_keeps_to_the_fields_that_are_named(home):
    home.mzt("run", home.score("a"), "--wait")
    told = home.mzt("status", "a", "--json=status,progress.total").stdout
    assert json.loads(told) == {"schema": 1, "status": "completed", "progress": {"total": 3}}
    listed = home.mzt("--json=jobs.job_id", "list").stdout
    assert json.loads(listed) == {"schema": 1, "jobs": [{"job_id": "a"}]}
    assert "did you mean 'status'?" in home.mzt("status", "a", "--json=statsu", code=2).stderr
    refused = json.loads(home.mzt("pause", "a", "--json=status", code=4).stdout)
    assert refused["error_code"] == "E502"


def test_a_file_that_is_a_dash_is_standard_input(home):
    (home.path / "out" / "words.txt").write_text("from the workspace\n")
    with_input(home, SCORE, "validate", "-")
    told = json.loads(
        with_input(home, SCORE.replace("template", "temlpate"), "validate", "-", "-j", code=1).stdout
    )
    assert told["problems"][0]["file"] == "<stdin>"
    with_input(home, SCORE, "run", "-", "--before", "1")
    home.mzt("wait", "piped", "--for", "paused", "-t", "20")
    plan = with_input(home, SCORE.replace("nobody", "ann"), "modify", "piped", "-c", "-", "--plan").stdout
    assert "changed" in plan
    home.mzt("resume", "piped", "--wait")
    home.mzt("wait", "piped", "-t", "20")
    assert home.mzt("logs", "piped").stdout == "nobody\nfrom the workspace\n"
    with_input(home, "who: ann\n", "run", home.score("b"), "--dry-run", "--vars-file", "-", code=1)
    twice = with_input(home, SCORE, "run", "-", "--env-file", "-", code=2)
    assert "standard input is read once" in twice.stderr


def test_a_score_that_comes_through_a_pipe_of_the_shell_is_like_standard_input(home):
    (home.path / "out" / "words.txt").write_text("from the workspace\n")
    (home.path / "given.yaml").write_text(SCORE.replace("piped", "other"))
    os.mkfifo(home.path / "fifo")
    (home.path / "there").mkdir()

    def shell(line, code=0):
        done = zygote.run(
            ["bash", "-c", line, "bash", *home.command([])], cwd=home.path, env=home.environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == code, (line, done.stdout, done.stderr)
        return done

    home.mzt("start")
    assert json.loads(shell('"$@" validate -j <(cat given.yaml)').stdout)["valid"]
    shell('"$@" run <(cat given.yaml) --wait')
    assert home.json("status", "other")["workspace"] == str(home.path / "out")
    assert home.json("revisions", "other")["revisions"][0]["config_file"] is None
    assert home.mzt("logs", "other").stdout == "nobody\nfrom the workspace\n"
    changed = "sed s/nobody/ann/ given.yaml"
    assert "changed" in shell(f'"$@" modify other -c <({changed}) --rerun changed --plan').stdout
    assert "ann" in shell(f'"$@" diff other -c <({changed})').stdout
    shell('cat given.yaml > there/../fifo & "$@" run fifo --wait')
    shell('"$@" run /dev/stdin --wait < given.yaml')
    assert home.json("status", "other")["workspace"] == str(home.path / "out")


def test_what_is_longer_than_the_terminal_goes_through_the_pager(home):
    (home.path / "page").write_text("#!/bin/sh\nsed 's/^/paged: /'\n")
    (home.path / "page").chmod(0o755)
    pager = {"PAGER": str(home.path / "page")}
    home.mzt("run", home.score("long", "seq 1 30"), "--wait")
    long, short, asked, empty, unreadable = (
        Screen(home, "logs", "long", "1", **pager),
        Screen(home, "history", "long", "-n", "2", **pager),
        Screen(home, "logs", "long", "1", "--no-pager", **pager),
        Screen(home, "logs", "long", "1", PAGER=""),
        Screen(home, "logs", "long", "1", PAGER="'page"),
    )
    assert [screen.ends() for screen in (long, short, asked, empty, unreadable)] == [0, 0, 0, 0, 0]
    assert "paged: 30" in long.seen
    for screen in (short, asked, empty, unreadable):
        assert "paged" not in screen.seen
    assert "30" in empty.seen
    assert "30" in unreadable.seen
    assert "Traceback" not in unreadable.seen


def test_watch_shows_a_job_again_until_it_has_ended(home):
    home.mzt("run", home.score("a", GATED))
    screen = Screen(home, "status", "a", "--watch")
    screen.shows(r"a  \S*running")
    home.let_go(1, 2, 3)
    assert screen.ends() == 0
    assert "3 of 3 sheets" in screen.seen
    assert "\x1b[2J" in screen.seen


def test_watch_prints_each_change_once_where_there_is_no_terminal(home):
    home.mzt("run", home.score("a", GATED))
    watching = home.popen("status", "a", "--watch", "--json=status,event")
    first = json.loads(watching.stdout.readline())
    home.let_go(1, 2, 3)
    rest = [json.loads(line) for line in watching.stdout]
    events = [first["event"], *(one["event"] for one in rest)]
    assert events == sorted(set(events))
    assert rest[-1]["status"] == "completed"
    assert watching.wait(20) == 0


def test_options_that_every_command_has_may_stand_before_it(home):
    home.mzt("run", home.score("a"), "--wait")
    assert home.mzt("-q", "ls").stdout == home.mzt("list", "-q").stdout == "a\n"
    assert json.loads(home.mzt("-j", "status", "a").stdout)["job_id"] == "a"
    assert json.loads(home.mzt("--json").stdout)["status"] == "ready"
    assert "mzt 0" in home.mzt("-v", "status").stderr


def test_version_tells_both_sides(home):
    assert home.mzt("version").stdout.splitlines()[1] == "no daemon runs"
    home.mzt("start")
    told = home.json("version")
    assert told["daemon"]["version"] == told["version"]
    assert home.mzt("version").stdout.splitlines()[1].startswith("marianned ")


@pytest.mark.parametrize("topic", ["exit-codes", "environment", "sheets", "files", "pause", "ls"])
def test_help_knows_commands_and_topics(topic, capsys):
    assert run(["help", topic]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 10


@pytest.mark.parametrize(
    "line",
    [
        "report --since 99999999999d", "report --since 800000d", "events --since 800000d",
        "history j --since 0001-01-01T00:00:00+14:00", "remove --older-than 99999999999d", "wait j -t 2500001d",
        "pause j --for 99999999999d", "pause j --deadline 99999999999d", "cancel j --wait -t 99999999999d",
    ],
)  # fmt: skip
def test_a_time_that_no_time_can_be_is_refused_in_a_line(line, capsys):
    assert run(line.split()) == 2
    assert re.search("is (longer|before)|is not a time", capsys.readouterr().err)


def test_help_of_what_is_neither_names_the_nearest(capsys):
    assert run(["help", "exit-code"]) == 2
    assert "did you mean 'exit-codes'" in capsys.readouterr().err


def test_an_edit_with_an_error_names_the_text_that_has_it_and_a_good_one_is_told_as_edited(home):
    home.mzt("run", home.score("a"), "--before", "1")
    home.mzt("wait", "a", "--for", "paused", "-t", "30")
    home.environment["EDITOR"] = "sed -i s/sheet_num/sheet_nmu/"
    told = home.mzt("edit", "a", code=4).stderr
    draft = re.search(r"mzt modify a -c (\S+)", told)[1]
    assert f"{draft}:" in told
    assert "mzt: what you saved has " in told
    assert "a.yaml" not in told.replace(draft, "")
    home.environment["EDITOR"] = "sed -i s/echo/printf/"
    home.mzt("edit", "a")
    lines = home.mzt("revisions", "a").stdout.splitlines()[1:]
    assert [line.endswith("a.yaml (edited)") for line in lines] == [False, True]


def test_what_needs_a_yes_says_the_whole_command(home):
    home.mzt("run", home.score("a"), "--wait")
    told = home.mzt("remove", "--older-than", "0s", code=2).stderr
    assert told.endswith("\n  mzt remove --older-than 0s -y\n")


def test_a_list_that_was_narrowed_to_nothing_says_so(home):
    home.mzt("run", home.score("a"), "--wait")
    assert home.mzt("list", "-s", "failed").stderr == "no such job\n"
