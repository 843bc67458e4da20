"""A terminal of tmux with a program in it: keys go in, and what stands on the screen is waited for."""

import os
import select
import shlex
import shutil
import subprocess
import time

from kit.daemon import DEADLINE

MISSING = None if shutil.which("tmux") else "tmux is not installed"


class Tmux:
    """One terminal; its server ends with it. What the program draws comes through a pipe, so nothing sleeps."""

    def __init__(self, directory, command, environment, *, columns=80, rows=24):
        self._socket = directory / "tmux"
        self._environment = environment | {"TERM": "xterm-256color", "LANG": "C.UTF-8"}
        self._drawn = directory / "drawn"
        os.mkfifo(self._drawn)
        self._pipe = os.open(self._drawn, os.O_RDWR | os.O_NONBLOCK)
        begin = shlex.join(command)
        size = ("-x", str(columns), "-y", str(rows))
        self._tmux("new-session", "-d", "-s", "top", *size, "-c", str(directory), "sh")
        self._tmux("pipe-pane", "-t", "top", f"cat > {self._drawn}")
        self._tmux("send-keys", "-t", "top", f" clear; {begin}; echo ended with $?", "Enter")

    def _tmux(self, *words):
        done = subprocess.run(
            ["tmux", "-S", str(self._socket), "-f", "/dev/null", *words], env=self._environment, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert not done.returncode, done.stderr
        return done.stdout

    def press(self, *keys):
        self._tmux("send-keys", "-t", "top", *keys)

    def resize(self, columns, rows):
        self._tmux("resize-window", "-t", "top", "-x", str(columns), "-y", str(rows))

    def lines(self):
        return self._tmux("capture-pane", "-p", "-t", "top").splitlines()

    def sees(self, *texts, absent=()):
        """Wait until all these texts stand on the screen, and none of those; return its lines."""
        ends = time.monotonic() + DEADLINE
        while True:
            lines = self.lines()
            shown = "\n".join(lines)
            if all(text in shown for text in texts) and not any(text in shown for text in absent):
                return lines
            assert time.monotonic() < ends, f"{texts} without {absent} do not come:\n{shown}"
            if select.select([self._pipe], [], [], 1.0)[0]:
                os.read(self._pipe, 1 << 20)

    def close(self):
        try:
            self._tmux("kill-server")
        finally:
            os.close(self._pipe)
