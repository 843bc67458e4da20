"""`mzt logs --follow` while the daemon is killed and started: no byte is missed, none comes twice."""

import os
import signal
import subprocess

from kit import zygote
from kit.daemon import gone

SCORE = """\
name: a
workspace: ./out
instrument: cli
sheet: {size: 1, total_items: 1}
prompt:
  template: |
    seq 1 20000; read line < gate-1; seq 20001 20010; read line < gate-2; seq 20011 40000
"""


def follow(home, *arguments):
    return zygote.Popen(
        home.command(["logs", *arguments, "-F"]),
        cwd=home.path,
        env=home.environment,
        stdout=subprocess.PIPE,
        bufsize=0,
    )


def kill(home):
    pid = home.json("status")["pid"]
    os.kill(pid, signal.SIGKILL)
    assert gone(pid)


def test_what_is_shown_is_the_file(home):
    (home.path / "a.yaml").write_text(SCORE)
    home.mzt("run", "a.yaml")
    following = follow(home, "a", "1")
    shown = following.stdout.readline()
    for gate in (1, 2):
        kill(home)
        home.let_go(gate)
        home.mzt("start")
    shown += following.communicate(timeout=60)[0]
    assert following.returncode == 0
    (file,) = home.path.glob("state/**/stdout")
    assert shown == file.read_bytes()


def test_what_ran_while_nobody_could_be_asked_is_shown_too(home):
    home.mzt("run", home.score("b", "[ {{ sheet_num }} != 1 ] || read line < gate-1"))
    following = follow(home, "b")
    assert following.stdout.readline().split() == [b"1.1|", b"sheet", b"1"]
    os.kill(following.pid, signal.SIGSTOP)
    kill(home)
    home.let_go(1)
    home.mzt("start")
    home.mzt("wait", "b", "-t", "20")
    os.kill(following.pid, signal.SIGCONT)
    rest = following.communicate(timeout=60)[0]
    assert following.returncode == 0
    assert [line.split() for line in rest.splitlines()] == [
        [b"2.1|", b"sheet", b"2"],
        [b"3.1|", b"sheet", b"3"],
    ]
