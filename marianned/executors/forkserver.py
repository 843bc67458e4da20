"""The fork server's far end: a resident process that forks keepers, so that a start needs no interpreter.

Run as `python -I -S forkserver.py` beside shim.py, with a socket to the daemon as its standard input. A
request is one datagram: an attempt's directory, and a pipe for the answer, which the keeper itself writes:
`!` once it can be found by others, or why it refuses (`STATUS message`). An end without an answer: nothing
was started, or it was killed (forking.py goes on from there).

What it forks must not differ from a keeper that began as a program: it holds no descriptor but the socket,
which its children replace; it blocks every signal, as they do; its environment has room for the attempt's
mark, written there by the child, so that /proc/PID/environ shows it. It ends with the daemon, by the end of
the socket; what it has started belongs to init then.
"""

import _socket
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal

    from marianned.executors import shim
else:
    import _signal as signal

    sys.path.append(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120  see shim.py
    import shim

REQUEST_LIMIT = 8192
MARK_ROOM = 200
"""Bytes that an attempt's id may have to fit into the environment."""


def main() -> None:
    """Serve until the daemon ends."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies; a child takes that back
    _settle()
    daemon = _socket.socket(fileno=0)
    while True:
        request, given, _, _ = daemon.recvmsg(REQUEST_LIMIT, _socket.CMSG_SPACE(4), _socket.MSG_CMSG_CLOEXEC)
        if not request:
            return
        if not given:
            continue  # no descriptors left to receive it with: the daemon sees that its own end is closed
        answer = int.from_bytes(given[0][2], sys.byteorder)
        try:  # noqa: SIM105  contextlib is nothing to carry for this
            shim.fork(_attempt, request, answer)
        except OSError:
            pass  # no process can be forked: the end of the answer tells
        os.close(answer)


def _settle() -> None:
    """Load what the children will need, and let nothing move afterwards: they share what is not written."""
    import gc  # noqa: PLC0415  here and below: the daemon imports this file for its names
    import resource  # noqa: PLC0415

    for watch in (
        "lastword",
        "limit",
        "silence",
    ):  # what limits need: nothing of the package is read any more
        __import__(watch)
    shim.prepare("prctl", "fallocate")
    del resource
    gc.disable()
    gc.freeze()


def _attempt(directory: bytes, answer: int) -> None:
    os.dup2(1, 0)
    try:
        spec = shim.read_spec(directory)
        _write_mark(spec["id"])
        claim = shim.take_claim()
    except shim.Refused as refused:
        status, message = refused.args
        os.write(answer, f"{status} {message}".encode(errors="replace"))
    else:
        shim.keep(spec, claim, answer)


def _write_mark(attempt: str) -> None:
    """Overwrite the environment this program was given, which begins with the room for the mark."""
    start = int(shim.read("/proc/self/stat").rpartition(b")")[2].split()[47])
    mark = f"{shim.MARK}={attempt}".encode()
    memory = os.open("/proc/self/mem", os.O_WRONLY)
    os.pwrite(memory, mark.ljust(len(shim.MARK) + 1 + MARK_ROOM, b"\0"), start)
    os.close(memory)


if __name__ == "__main__":
    main()
