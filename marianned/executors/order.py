"""What files in an attempt's directory order: its end, or what its job does next; loaded on a cluster.

Signals come by the cluster's controller, which may be away, or may have forgotten the job while it runs on.
Files come by the shared file system. The command can write there, too, and ends only itself by it. Like
shim.py it imports nothing of ours, and runs with `-I -S`. Source: docs/design/executors.md "The interface".

A job that stays behind the end of its attempt, for the checks of that, is told by a file what is to run next.
Its keeper becomes the keeper of that (shim.py, which comes back here), so that one command of a job runs at a
time. It goes when the file says that this was all, or when nothing is said for a while: the daemon may be
away, and others wait for the node.
"""

import os
import signal
import sys
import time

NAME = "end"
POLL_SECONDS = 3.0
NEXT = "next"
WAIT_SECONDS = 60.0
_NEXT_SECONDS = 0.5
_TAKEN = "next.taken"
_MOST = 4096


class EndOrderWatch:
    """Looks when it is `due` (monotonic clock) whether the file is there."""

    def __init__(self) -> None:
        self.due = time.monotonic() + POLL_SECONDS

    def poll(self) -> bool:
        """Look when it is time for that; False: it is to end."""
        now = time.monotonic()
        if now < self.due:
            return True
        self.due = now + POLL_SECONDS
        return not os.path.lexists(NAME)


def stay(directory: str, program: str, words: tuple[str, ...], leaves: set[int]) -> None:
    """Become what the attempt of this directory names next; return when that will be nothing.

    `program` and `words` are the shim, and what follows the directory in its arguments; a signal of `leaves`,
    which are blocked, makes it go as the file does.
    """
    os.chdir(directory)
    until = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < until and not os.path.lexists(NAME):
        if (name := _take_next()) is not None:
            place = os.path.join(directory, name)
            argv = [sys.executable, "-I", "-S", program, place, *words, directory]
            os.execv(argv[0], argv)  # noqa: S606  what is named is this user's own
        if signal.sigtimedwait(leaves, _NEXT_SECONDS) is not None:
            return


def _take_next() -> str | None:
    try:
        os.rename(NEXT, _TAKEN)
        with open(os.open(_TAKEN, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb", buffering=0) as file:
            name = file.read(_MOST).decode().strip()
    except (OSError, UnicodeDecodeError):
        return None
    return name or None
