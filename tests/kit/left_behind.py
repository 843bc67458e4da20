"""Ends what a test run has left behind when it was killed itself: a process that reads a pipe to its end.

`ends_with_us` names processes by a variable of their environment; with HOME, also whatever works in there, as an
attempt's supervisors do. A run that ends by itself has ended all of
them before, and then nothing is found. As a program this file is that process, run with -I -S.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

_watch = None


def ends_with_us(variable):
    """Let every process with this in its environment (`NAME=VALUE`) end when this process does."""
    global _watch
    if _watch is None:
        its, _watch = os.pipe()
        # It is nobody's child here, so that no test meets it, and in a session of its own, so that no Ctrl-C does.
        subprocess.run(
            ["sh", "-c", f'exec 3<&0; "{sys.executable}" -I -S "{__file__}" <&3 &'],
            stdin=its,
            start_new_session=True,
            check=True,
        )
        os.close(its)
    os.write(_watch, variable.encode() + b"\n")


def _end(variables):
    homes = tuple(
        os.fsdecode(one.removeprefix(b"HOME=")) + "/" for one in variables if one.startswith(b"HOME=")
    )
    found = False
    for entry in Path("/proc").iterdir():
        with suppress(OSError):  # it has ended, or is another user's
            if entry.name.isdigit() and (
                variables & {*(entry / "environ").read_bytes().split(b"\0")}
                or str((entry / "cwd").readlink()).startswith(homes)
            ):
                os.kill(int(entry.name), signal.SIGKILL)
                found = True
    return found


if __name__ == "__main__":
    told = set(sys.stdin.buffer.read().splitlines())
    last = time.monotonic() + 60
    while _end(told) and time.monotonic() < last:
        pass
