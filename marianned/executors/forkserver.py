"""The fork server's far end: a resident process that forks supervisors, so that a start needs no interpreter.

Run as `python -I -S forkserver.py` beside shim.py, with a socket to the daemon as its standard input. A
request is one datagram: an attempt's directory, and a socket to the daemon for the pair that it is for. On
that the keeper says GO once the attempt can be found by others, or why it refuses (`STATUS message`). An end
without an answer: nothing was started, or it was killed (forking.py goes on from there).

A pair whose attempt has ended by itself, asked by nobody, and has left nothing, stays: its record is on disk;
it takes off mark and brand, goes to `/`, says OVER, and rests. The daemon may name another attempt's
directory then, to which the same keeper and runner turn. A fork of an interpreter, whose pages are copied as
it works, is most of what a short attempt costs. Whatever else happened, both end, as shim.py has it.

    keeper                                     runner
    rests: TERM and INT kill it                rests: its keeper's end kills it
    ◀── a directory   passes it on ──────────▶ reads spec.json, carries the mark and the brand
    reads, carries them, too; the claim        READY: from here on both can be found
    says who both are (identity.json) ── GO ─▶ starts the command
    GO ──▶ the daemon                          sees it to its end; the record, synced
    takes mark and brand off, too        ◀──── takes mark and brand off, OVER
    OVER ──▶ the daemon

No signal that is meant for an attempt reaches another one. Who sends one looks for the mark first, and holds
`traces.reassigning` meanwhile, as does who names the next directory. So it was sent before that was named:
then a keeper that rests dies of it, with nothing in its hands, and one that has yet to rest does as soon as
it would; or it is not sent, for the mark is gone. Daemons that were there before have named what they have
named. A pair whose daemon has gone does not stay, nor does one that has had nothing to do for REST_SECONDS.

What is forked must not differ from a keeper that began as a program: it holds no descriptor of the server but
its own socket; it blocks every signal; its environment has room for the attempt's mark, written there by
itself, so that /proc/PID/environ shows it. The server ends with the daemon, by the end of the socket; what it
has started belongs to init then.
"""

import _socket
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal

    from marianned.executors import shim
    from marianned.executors.children import HURRY, MESSAGE, PARENT_DIED, Children
else:
    import _signal as signal

    sys.path.append(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120  see shim.py
    import shim
    from children import HURRY, MESSAGE, PARENT_DIED, Children

REQUEST_LIMIT = 8192
MARK_ROOM = 200
"""Bytes that an attempt's id may have to fit into the environment."""
REST_SECONDS = 5
MOST_ATTEMPTS = 1000
"""After so many a pair ends: what its interpreter may have kept of each is bounded by that."""
READY, OVER = b"r", b"."

_UNBRANDED = -1
_ENDING = {signal.SIGTERM, HURRY}
_LEAVING = {*_ENDING, signal.SIGALRM}


def main() -> None:
    """Serve until the daemon ends."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies; a child takes that back
    _preload()
    daemon = _socket.socket(fileno=0)
    while True:
        request, given, _, _ = daemon.recvmsg(REQUEST_LIMIT, _socket.CMSG_SPACE(4), _socket.MSG_CMSG_CLOEXEC)
        if not request:
            return
        if not given:
            continue  # no descriptors left to receive it with: the daemon sees that its own end is closed
        answer = int.from_bytes(given[0][2], sys.byteorder)
        try:  # noqa: SIM105  contextlib is nothing to carry for this
            shim.fork(_keep_attempts, request, answer)
        except OSError:
            pass  # no process can be forked: the end of the answer tells
        os.close(answer)


def _preload() -> None:
    """Load what the children will need, and let nothing move afterwards: they share what is not written."""
    import gc  # noqa: PLC0415  here and below: the daemon imports this file for its names
    import resource  # noqa: PLC0415

    for watch in (
        "final_event",
        "limit",
        "silence",
    ):  # what limits need: nothing of the package is read any more
        __import__(watch)
    shim.prepare("prctl", "fallocate")
    del resource
    _mark.append(int(shim.read("/proc/self/stat").rpartition(b")")[2].split()[47]))
    gc.disable()
    gc.freeze()


_mark: list[int] = []
"""Where the environment begins that this program was given, which is with the room for the mark."""


def _carry_marks(attempt: str, brand: int | None) -> None:
    """Carry the mark and the brand of an attempt, where it has one: what is found by them is of it."""
    mark = f"{shim.MARK}={attempt}".encode()
    memory = os.open("/proc/self/mem", os.O_WRONLY)
    os.pwrite(memory, mark.ljust(len(shim.MARK) + 1 + MARK_ROOM, b"\0"), _mark[0])
    os.close(memory)
    if brand:
        shim.carry_brand(brand)


def _release_attempt(spec: "shim.Facts", claim: int) -> None:
    """Have nothing of an attempt any more."""
    os.close(claim)
    os.chdir("/")
    _carry_marks("-" * MARK_ROOM, spec.get("brand") and _UNBRANDED)


def _keep_attempts(directory: bytes, answer: int) -> None:
    """Be the keeper of this attempt, and of those that the daemon names behind it."""
    os.dup2(1, 0)
    shim.become_fit()
    shim.lead()
    for number in _LEAVING:
        signal.signal(number, signal.SIG_DFL)
    daemon, (near, far) = _socket.socket(fileno=answer), _socket.socketpair(*_KIND)
    runner = shim.fork(_run_attempts, far.fileno(), os.getpid(), (answer, near.fileno()))
    far.close()
    keeper = _Keeper(daemon, near, runner)
    left = MOST_ATTEMPTS
    while directory and keeper.keep(directory):
        left -= 1
        directory = keeper.rest() if left else b""
    keeper.end_runner()


_KIND = _socket.AF_UNIX, _socket.SOCK_SEQPACKET


class _Keeper:
    """The keeper of a pair, with its runner, for one attempt after the other."""

    def __init__(self, daemon: "_socket.socket", near: "_socket.socket", runner: int) -> None:
        self._daemon, self._near = daemon, near
        self._facts = shim.identity(runner)
        self._children = Children(runner)

    def keep(self, directory: bytes) -> bool:
        """Keep one attempt, as shim.keep does; tell whether this pair may have another."""
        self._children = children = Children(self._children.main, had_others=True)
        self._near.send(directory)  # the runner prepares itself beside us
        try:
            spec = shim.read_spec(directory)
            _carry_marks(spec["id"], spec.get("brand"))
            claim = shim.open_claim()
        except shim.ShimRefusal as refused:
            status, message = refused.args
            self._daemon.send(f"{status} {message}".encode(errors="replace"))
            return False
        started, error = shim.now(), None
        try:
            if self._wait_for(READY):
                shim.write_identity(self._facts, started)
                self._near.send(shim.GO)
                self._daemon.send(shim.GO)
        except (BrokenPipeError, ConnectionResetError):
            pass  # daemon or runner were killed: what follows sees which
        except OSError as failed:
            error = f"cannot supervise: {failed.strerror}"
            os.kill(children.main, signal.SIGKILL)
        asked = shim.see_through(children, self._near.fileno(), self._is_over)
        if children.ended():
            shim.keep_record(spec, claim, started, children, error)
            return False
        _release_attempt(spec, claim)
        return not asked

    def _wait_for(self, word: bytes) -> bool:
        """Wait until the runner has said something; tell whether it is that. A stopped one is woken."""
        while not self._children.ended():
            if (said := self._receive()) is not None:
                return said == word
            seen = signal.sigwaitinfo({signal.SIGCHLD, MESSAGE})
            self._children.reap()
            if seen.si_signo == signal.SIGCHLD and not self._children.ended():
                os.kill(self._children.main, signal.SIGCONT)
        return False

    def _is_over(self) -> bool:
        return self._receive() == OVER

    def _receive(self) -> bytes | None:
        try:
            return self._near.recv(1, _socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            return b""

    def rest(self) -> bytes:
        """Tell the daemon that it is over; return the next attempt's directory, or nothing: it has gone.

        A signal to end kills, as does the alarm: no attempt is in anybody's hands before this returns.
        """
        try:
            self._daemon.send(OVER)
            signal.alarm(REST_SECONDS)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _LEAVING)
            directory = self._daemon.recv(REQUEST_LIMIT)
        except OSError:
            return b""
        signal.pthread_sigmask(signal.SIG_BLOCK, _LEAVING)
        signal.alarm(0)
        return directory

    def end_runner(self) -> None:
        """End the runner, which has nothing in its hands if it lives."""
        if not self._children.ended():
            os.kill(self._children.main, signal.SIGKILL)
            self._children.sweep()


def _run_attempts(channel: int, keeper: int, others: tuple[int, ...]) -> None:
    """Be the runner of one attempt after the other."""
    for end in others:
        os.close(end)
    shim.libc("prctl", shim.PR_SET_CHILD_SUBREAPER, 1)
    shim.libc("prctl", shim.PR_SET_PDEATHSIG, signal.SIGKILL)
    handle = os.pidfd_open(keeper)
    if os.getppid() != keeper:
        return

    def send(word: bytes) -> None:
        os.write(channel, word)
        signal.pidfd_send_signal(handle, MESSAGE)

    while directory := os.read(channel, REQUEST_LIMIT):
        shim.libc("prctl", shim.PR_SET_PDEATHSIG, PARENT_DIED)
        spec = shim.read_spec(directory)
        _carry_marks(spec["id"], spec.get("brand"))
        while signal.sigtimedwait({*_ENDING, signal.SIGCHLD}, 0):
            pass  # sent to this process by others, while it had another attempt, or none
        send(READY)
        if os.read(channel, 1) != shim.GO:
            return
        claim = os.open(
            shim.CLAIM, os.O_WRONLY | os.O_NOFOLLOW
        )  # the command, which could move it, is to come
        if not shim.attend(spec, claim, keeper, channel, go=True):
            return
        _release_attempt(spec, claim)
        shim.libc("prctl", shim.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != keeper:
            return
        send(OVER)


if __name__ == "__main__":
    main()
