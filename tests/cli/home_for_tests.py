"""`mzt` as a person types it, in a directory of the test's own, where its daemon lives too."""

import json
import os
import subprocess
import sys

from kit import zygote
from kit.daemon import Connection, Refused, gone
from kit.left_behind import ends_with_us
from kit.new_database import put_new_database

SCORE = """\
name: {name}
workspace: ./out
instrument: cli
sheet:
  size: 1
  total_items: 3
  dependencies: {{2: [1], 3: [2]}}
prompt:
  template: |
    echo "sheet {{{{ sheet_num }}}}{words}"
    {body}
validations:
  - {{type: command_succeeds, command: "true"}}
"""
QUICK = "true"
GATED = "read line < gate-{{ sheet_num }}"
"""A sheet goes on when somebody writes a line into its pipe."""


class Home:
    """A daemon's directories, a workspace with a gate, and `mzt` over them.

    What needs a daemon finds one that was forked off a process that has loaded it: a start by `mzt` itself would
    cost more than most tests. With `cold`, `mzt` starts it. A daemon that is `lent` lives elsewhere.
    """

    def __init__(self, path, *, cold=False, lent=None):
        self.path = path
        self.started = None
        self._cold = cold
        self._lent = lent
        self._daemon = None
        ends_with_us(f"MARIANNE_SOCKET={path / 's'}")
        self.environment = {
            **{k: v for k, v in os.environ.items() if k not in {"MARIANNE_ATTEMPT_ID", "NO_COLOR"}},
            "MARIANNE_SOCKET": str(path / "s"),
            "STATE_DIRECTORY": str(path / "state"),
            "CONFIGURATION_DIRECTORY": str(path / "config"),
            "TZ": "UTC",
        }
        (path / "out").mkdir()
        for sheet in (1, 2, 3):
            os.mkfifo(path / "out" / f"gate-{sheet}")

    def command(self, arguments):
        return [sys.executable, "-m", "marianne_cli", *arguments]

    def _serve(self):
        """Have the first daemon here started, as `mzt` starts it."""
        if self._lent:
            self._use_lent()
            return
        if self._cold or (self.path / "state" / "lock").exists():
            return
        (self.path / "state").mkdir(mode=0o700, exist_ok=True)
        put_new_database(self.path / "state" / "marianne.db")
        ours, its = os.pipe()
        self._daemon = zygote.Popen(
            [sys.executable, "-m", "marianned", "--ready-fd", str(its)],
            cwd="/", env=self.environment, pass_fds=[its], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        os.close(its)
        told = os.read(ours, 1)
        os.close(ours)
        assert told, "it does not start"

    def _use_lent(self):
        """Be where the daemon that is lent serves."""
        self.environment |= {
            "MARIANNE_SOCKET": str(self._lent.start().socket),
            "STATE_DIRECTORY": str(self._lent.state),
            "CONFIGURATION_DIRECTORY": str(self._lent.home / "config" / "marianne"),
        }

    def mzt(self, *arguments, code=0):
        if arguments[0] in {"run", "start"}:
            self._serve()
        done = zygote.run(
            self.command(arguments), cwd=self.path, env=self.environment, capture_output=True, text=True,
            timeout=60, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert code in (None, done.returncode), (arguments, done.stdout, done.stderr)
        return done

    def popen(self, *arguments):
        if arguments[0] in {"run", "start"}:
            self._serve()
        self.started = zygote.Popen(
            self.command(arguments), cwd=self.path, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        return self.started

    def json(self, *arguments, code=0):
        done = self.mzt(*arguments, "--json", code=code)
        assert done.stderr == ""
        assert done.stdout.count("\n") == 1
        return json.loads(done.stdout)

    def score(self, name, body=QUICK, words=""):
        (self.path / f"{name}.yaml").write_text(SCORE.format(name=name, body=body, words=words))
        return f"{name}.yaml"

    def let_go(self, *sheets):
        """Let gated sheets end, each once it reads."""
        for sheet in sheets:
            with (self.path / "out" / f"gate-{sheet}").open("w") as gate:
                gate.write("\n")

    def close(self):
        """End the daemon that serves now, with all that is in flight."""
        if self.started is not None:
            with self.started as process:
                process.kill()
        if self._daemon is not None and self._daemon.poll() is None and self._asked_to_stop():
            gone(self._daemon.pid, 20)
            self._daemon.wait(0)
        elif (self.path / "state").exists():
            self.mzt("stop", "--kill", "-y", "-t", "20")
            if self._daemon is not None:
                self._daemon.wait(20)

    def _asked_to_stop(self):
        """Ask the daemon as `mzt stop --kill` does, whose start would cost more; tell whether it does so."""
        try:
            with Connection(self.path / "s") as connection:
                connection.rpc("daemon.stop", mode="kill")
        except (OSError, Refused):
            return False
        return True
