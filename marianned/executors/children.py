"""What is below a supervisor: started, reaped, left to finish, told to end, killed. A part of shim.py.

Like shim.py it imports nothing of ours, and runs with `-I -S`. All signals are blocked by whoever uses it.
"""

import errno
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable

    Used = tuple[float, float, int]
    """Seconds as user, as system, most memory of one (KiB): of what was reaped."""
else:
    import _signal as signal

OUT = "out"
"""The directory in an attempt's own where its command may write; wall.py has the same."""
LEFTOVER_GRACE_SECONDS = 2.0
"""From TERM to KILL, for what a command has left behind."""

PARENT_DIED = signal.SIGUSR2
MESSAGE = signal.SIGUSR1
"""Sent by a runner to its keeper: there is something to read (forkserver.py)."""
HURRY = signal.SIGINT
"""Sent to a supervisor: whoever is to end is not asked first, or no longer."""
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.001, 0.05
_ENDING_SECONDS = 0.5
"""How long one that has closed its standard input may take to be gone."""
_MAY_WRITE = 0o200
"""Of a mode; the module stat is nothing to carry for this."""
_GONE = (b"Z", b"X")
_STATUS_DIGITS, _STATUS_BITS, _TOLD_MOST = 5, 0xFFFF, 500
_TERM_BIT = 1 << (signal.SIGTERM - 1)


class Children:
    """What is below this process. `main` is the child that matters, `status` its wait status once reaped.

    `swept` holds the pids of what else was ended, `left` those among them that had lost their parent: what
    the command itself has left behind, without what that had started. Neither holds one that was told and
    ended by itself all the same. `walled`: the command is behind a wall (wall.py); the first process of its
    namespace counts as a supervisor, not as one of the command's. `used`: by those that were reaped, without
    `main` where it `had_others`, attempts before this one, whose it may be.
    """

    def __init__(self, main: int = 0, *, had_others: bool = False) -> None:
        self.main = main
        self.had_others = had_others
        self.used: Used = 0.0, 0.0, 0
        self.status: int | None = None
        self.swept: set[int] = set()
        self.left: set[int] = set()
        self.walled = False
        self._obeys: set[int] = set()
        self._heirs = 0

    def ended(self) -> bool:
        """Tell whether `main` has been reaped."""
        return self.status is not None

    def reap(self) -> bool:
        """Reap whatever has ended; tell whether a child is left."""
        while True:
            try:
                pid, status, used = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if not pid:
                return True
            if pid != self.main or not self.had_others:
                user, system, most = self.used
                self.used = user + used.ru_utime, system + used.ru_stime, max(most, used.ru_maxrss)
            if pid == self.main:
                self.status = status
            elif pid in self._obeys and os.WIFEXITED(status):  # TERM would have killed it, and did not
                self._heirs += pid in self.left  # what it leaves behind in its turn counts in its place
                self.left.discard(pid)
                self.swept.discard(pid)
            elif pid in self._obeys:  # told beside its parent, which may have ended by itself
                self._inherit(pid)

    def sweep(self) -> None:
        """Kill and reap until no child is left."""
        pause = _SHORTEST_PAUSE
        while self.reap():
            # Those further down only to be quick: an orphan is our child.
            for pid in _below(os.getpid()):
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    continue  # gone, or a setuid program's: then it is waited for
                if pid != self.main:
                    self.swept.add(pid)
                    self._inherit(pid)
            signal.sigtimedwait({signal.SIGCHLD}, pause)
            pause = min(2 * pause, 0.1)

    def end(self, grace: float, keeper: int, look: "Callable[[], object]") -> None:
        """Send TERM to the command's group and wait, `grace` seconds at most, until the group is empty.

        What is still there of the group is killed.
        """
        for number in (signal.SIGTERM, signal.SIGCONT):
            self._signal_group(number)
        waking = {signal.SIGCHLD, PARENT_DIED}
        if not self._wait(lambda: self.ended() and not self._group_lives(), grace, keeper, look, waking):
            group = [pid for pid in _below(os.getpid()) if _group_of(pid) == self.main]
            self.swept.update(pid for pid in group if pid != self.main)
            self._signal_group(signal.SIGKILL)

    def ask_to_stop(
        self, number: int | None, file: str | None, seconds: float, keeper: int, look: "Callable[[], object]"
    ) -> None:
        """Ask the command to stop by a signal to its group, a file in out/, or both; wait until it has ended.

        That long at most, and no longer once HURRY has come. What it leaves in its group is told to end then.
        """
        try:
            if file is not None:
                place = os.open(OUT, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
                how = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                os.close(os.open(file, how, 0o600, dir_fd=place))
                os.close(place)
        except FileExistsError:
            pass
        except OSError:  # the command can write here, too
            if number is None:
                return
        if number is not None:
            for one in (number, signal.SIGCONT):
                self._signal_group(one)
        waking = {signal.SIGCHLD, PARENT_DIED, HURRY}
        self._wait(lambda: self.ended() and not self._lives_walled(), seconds, keeper, look, waking)

    def _wait(
        self,
        until: "Callable[[], bool]",
        seconds: float,
        keeper: int,
        look: "Callable[[], object]",
        waking: "set[signal.Signals]",
    ) -> bool:
        """Wait until that is so; tell whether it is, or is not ours to see to any more.

        False: the time is over, or HURRY has come, where that is one of the signals in `waking`.
        """
        deadline = time.monotonic() + seconds
        while os.getppid() == keeper:
            self.reap()
            if until():
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            look()
            # A member whose parent is outside the group ends without a word to us.
            seen = signal.sigtimedwait(waking, min(left, _LONGEST_PAUSE))
            if seen is not None and seen.si_signo == HURRY:
                return False
        return True

    def drain(self, until: float, keeper: int, files: list[int], look: "Callable[[], object]") -> bool:
        """Let those that finish the command's work do so, up to a moment (monotonic): see `_any_finishing`.

        Whatever is to end an attempt ends this: TERM from the keeper, the keeper's death. Returns whether
        what they had yet to write is cut off: see `_is_cut`.
        """
        kept = {(facts.st_dev, facts.st_ino) for facts in map(os.fstat, files)}
        pause, gone_by = _SHORTEST_PAUSE, None
        while os.getppid() == keeper and self.reap() and (left := until - time.monotonic()) > 0:
            look()
            theirs = self._command_processes()
            if (
                not _any_finishing(theirs, kept) and theirs == self._command_processes()
            ):  # else one was forked meanwhile, or is gone
                gone_by = gone_by or time.monotonic() + _ENDING_SECONDS
                left = min(left, gone_by - time.monotonic())
                if left <= 0 or not any(map(_is_ending, self._command_processes())):
                    return False
            # One that is no child of ours ends without a word to us, and so does one that only lets go.
            seen = signal.sigtimedwait({signal.SIGCHLD, signal.SIGTERM, PARENT_DIED}, min(left, pause))
            if seen is not None and seen.si_signo != signal.SIGCHLD:
                break
            pause = min(2 * pause, _LONGEST_PAUSE)
        return _is_cut(self._command_processes(), kept)

    def end_leftovers(self, keeper: int) -> None:
        """Send TERM to all that is left, and wait until it has gone, LEFTOVER_GRACE_SECONDS at most.

        What comes later is told, too, once it has lost its parent; what an ending process starts is its own
        business as long as that lives.
        """
        deadline = time.monotonic() + LEFTOVER_GRACE_SECONDS
        pause, first = _SHORTEST_PAUSE, True
        told: set[int] = set()
        while os.getppid() == keeper and self.reap() and (left := deadline - time.monotonic()) > 0:
            orphans = self._orphans()
            known = told | {self.main}
            new = [pid for pid in (self._command_processes() if first else orphans) if pid not in known]
            for pid in new:  # parents first: one that has lost its children could end before it is told
                if _dies_of_term(pid):
                    self._obeys.add(pid)
                for number in (signal.SIGTERM, signal.SIGCONT):
                    try:
                        os.kill(pid, number)
                    except OSError:
                        continue  # gone, or a setuid program's
                if first and pid in orphans:
                    self.left.add(pid)
                elif pid in orphans:
                    self._inherit(pid)
            told.update(new)
            self.swept.update(new)
            first = first and not new  # one that flees may stand between two places when it is looked for
            signal.sigtimedwait({signal.SIGCHLD, PARENT_DIED}, min(left, pause))
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _inherit(self, pid: int) -> None:
        if self._heirs and pid not in self.left:
            self._heirs -= 1
            self.left.add(pid)

    def _command_processes(self) -> list[int]:
        """Return all below, without the first process of a namespace: that ends when the others have."""
        below = _below(os.getpid())
        return [pid for pid in below if not _is_namespace_init(pid)] if self.walled else below

    def _orphans(self) -> list[int]:
        """Return those that have lost their parent; behind a wall they are its first process's children."""
        found = _children(os.getpid())
        if not self.walled:
            return found
        return [one for pid in found for one in (_children(pid) if _is_namespace_init(pid) else [pid])]

    def _group_lives(self) -> bool:
        if not self.walled:
            return self._signal_group(0)
        return any(_group_of(pid) == self.main for pid in self._command_processes())

    def _lives_walled(self) -> bool:
        """Tell whether the command may live behind its wall, which dies of signals that are meant for it."""
        return self.walled and self._group_lives()

    def _signal_group(self, number: int) -> bool:
        """Send a signal to the command's group; tell whether there is still one. 0 sends nothing."""
        try:
            os.killpg(self.main, number)
        except OSError as error:
            return error.errno != errno.ESRCH
        return True


def launch(start: "Callable[..., int]", argv: list[str], env: dict[str, str]) -> int:
    """Start argv, looked for in the PATH of `env` (os.execvpe would import warnings for that)."""
    name = argv[0]
    folders = [""] if "/" in name else [f"{one or '.'}/" for one in env.get("PATH", os.defpath).split(":")]
    reason: OSError = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    for folder in folders:
        try:
            os.stat(folder + name)  # a try that fails is dearer
            return start(folder + name, argv, env)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError as error:
            reason = error
    raise reason


def wall_status(told: int, status: int | None) -> "tuple[int | None, str | None]":
    """Return the wait status of the command behind a wall, and why it could not be started.

    `status` is that of the wall, which counts where it was ended before the command. What is told there could
    come from the command itself.
    """
    try:
        text = os.read(told, _TOLD_MOST)
    except BlockingIOError:
        text = b""
    if not text and (status is None or os.WIFEXITED(status)):
        return None, "the wall (contain: hide) can't be put up: see its stderr, and mzt doctor"
    number = text[1:].partition(b"\n")[0]
    if number.isdigit() and len(number) <= _STATUS_DIGITS:
        ended = int(number)
        if os.WIFEXITED(ended) or os.WIFSIGNALED(ended):
            return ended & _STATUS_BITS, None
    return (status if status is not None and os.WIFSIGNALED(status) else None), None


def _children(pid: int) -> list[int]:
    """Return the children of all threads of a process."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb", buffering=0) as file:
                found += map(int, file.readall().split())
    except OSError:
        pass  # ended meanwhile
    return found


def _below(pid: int) -> list[int]:
    """Return the descendants of a process, parents first; one that moves meanwhile may be left out."""
    found = _children(pid)
    for child in found:  # grows meanwhile
        found += _children(child)
    return found


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except OSError:
        return None


def _is_namespace_init(pid: int) -> bool:
    """Tell whether a process is the first one of a pid namespace below ours."""
    try:
        with open(f"/proc/{pid}/status", "rb", buffering=0) as file:
            numbers = file.readall().partition(b"\nNSpid:")[2].partition(b"\n")[0].split()
    except OSError:
        return True  # it has gone
    return len(numbers) > 1 and numbers[-1] == b"1"


def _any_finishing(pids: list[int], files: set[tuple[int, int]]) -> bool:
    """Tell whether any of these processes is at something that the command has begun.

    It holds one of the files, as `tee` in `> >(… | tee log)` does; or it reads a pipe into which nobody is
    left to write, as in `> >(cat > log)`: it has yet to read the end. Or it has gone while that was looked
    at: its children are ours by now, and are looked at next.
    """
    read: set[tuple[int, int]] = set()
    written: set[tuple[int, int]] = set()
    for pid in pids:
        opened = _opened(pid)
        if opened is None:
            if _state(pid) not in _GONE:
                return True
            continue
        for name, file, pipe, writes in opened:
            if file in files:
                return True
            if pipe and (writes or name == "0"):
                (written if writes else read).add(file)
    return bool(read - written)


def _is_cut(pids: list[int], files: set[tuple[int, int]]) -> bool:
    """Tell whether any of these processes has yet to read what it would write into one of the files.

    As `exec > >(slow filter)` does, it holds the file, and its input is a pipe that nobody writes any more. A
    server in the background holds the file, too, and reads nothing: of that nothing is known to be missing.
    """
    opened = [one for one in map(_opened, pids) if one]
    written = {file for one in opened for _, file, pipe, writes in one if pipe and writes}
    return any(
        any(file in files for _, file, _, _ in one)
        and any(name == "0" and pipe and file not in written for name, file, pipe, _ in one)
        for one in opened
    )


def _opened(pid: int) -> "list[tuple[str, tuple[int, int], bool, bool]] | None":
    """Return what a process has open; None: it has gone. Of a setuid program nothing is known.

    Each as its descriptor, the file (device, inode), whether it is a pipe without a name, whether it can be
    written through this descriptor.
    """
    found = []
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            path = f"/proc/{pid}/fd/{name}"
            try:
                facts, pipe = os.stat(path), os.readlink(path).startswith("pipe:")
                writes = bool(os.lstat(path).st_mode & _MAY_WRITE)
                found.append((name, (facts.st_dev, facts.st_ino), pipe, writes))
            except FileNotFoundError:
                continue  # closed meanwhile
    except PermissionError:
        pass
    except OSError:
        return None
    return found


def _is_ending(pid: int) -> bool:
    """Tell whether a process has closed its standard input: that comes last, before it is gone."""
    try:
        return _state(pid) not in _GONE and "0" not in os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return False


def _dies_of_term(pid: int) -> bool:
    """Tell whether TERM would end a process: it neither catches nor ignores it."""
    try:
        with open(f"/proc/{pid}/status", "rb", buffering=0) as file:
            lines = file.readall().splitlines()
    except OSError:
        return True  # it has gone
    masks = [int(line[8:], 16) for line in lines if line.startswith((b"SigIgn:\t", b"SigCgt:\t"))]
    return not any(mask & _TERM_BIT for mask in masks)


def _state(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            return file.readall().rpartition(b")")[2].split()[0]
    except OSError:
        return b""
