"""Stands between a program and the kernel: sees chosen calls before they are made, lets them pass or fails them.

The kernel itself asks (a seccomp filter's notifications), so the program and all it starts are as they are.
As a program: python kernel.py SOCKET CALL,CALL… PROGRAM ARG… hands the asking over and becomes PROGRAM.
"""

import ctypes
import fcntl
import os
import platform
import select
import socket
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

_MACHINES = {
    "x86_64": (
        0xC000003E,
        317,
        {
            "pwrite64": (18,),
            "fsync": (74,),
            "fdatasync": (75,),
            "ftruncate": (77,),
            "unlink": (87, 263),
            "open": (257,),
            "mkdir": (83,),
            "rename": (82,),
            "fork": (56, 57, 58),
        },
    ),
    "aarch64": (
        0xC00000B7,
        277,
        {
            "pwrite64": (68,),
            "fsync": (82,),
            "fdatasync": (83,),
            "ftruncate": (46,),
            "unlink": (35,),
            "open": (56,),
            "mkdir": (34,),
            "rename": (38,),
            "fork": (220,),
        },
    ),
}
"""Of each machine: its AUDIT_ARCH, its number of seccomp(2), those of the calls; `fork` is each way to a process."""
_AT = {("x86_64", 263), ("x86_64", 257), *(("aarch64", number) for number in (34, 35, 38, 56))}
"""Those whose first argument is a directory, and the path the second."""
_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE_THREAD = 0x10000
_LOAD, _EQUAL, _HAS, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _ASK = 0x7FFF0000, 0x7FC00000
_NO_NEW_PRIVILEGES = 38
_SET_FILTER = 1
_NEW_LISTENER, _NO_SIGNAL_BREAKS_IN = 8, 32
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_CONTINUE = 1
UNANSWERED = -1
"""Decided of a call that its program shall wait in until it is killed."""


def available(directory):
    """Tell whether the kernel asks here."""
    with Kernel(directory / "try", ["unlink"], lambda _call: 0) as kernel:
        tried = subprocess.run([*kernel.before, "/bin/true"], capture_output=True, check=False)
    return tried.returncode == 0


class Call:
    """A call that somebody is about to make."""

    def __init__(self, name, number, pid, arguments):
        self.name = name
        self.place = int((platform.machine(), number) in _AT)
        """Which argument is the path, of those that take one."""
        self.pid = pid
        self.arguments = arguments

    def file(self):
        """Return the path of the file whose descriptor is the first argument."""
        return str(Path(f"/proc/{self.pid}/fd/{self.arguments[0]}").readlink())

    def memory(self, address, size):
        with Path(f"/proc/{self.pid}/mem").open("rb", buffering=0) as memory:
            memory.seek(address)
            return memory.read(size)

    def text(self, address):
        """Return the string at an address; no path has more than 4096 bytes."""
        found = b""
        while b"\0" not in found and len(found) < 4096:
            found += self.memory(address + len(found), 256 - (address + len(found)) % 256)
        return found.partition(b"\0")[0].decode()

    def program(self):
        return Path(f"/proc/{self.pid}/cmdline").read_bytes()


class Kernel(threading.Thread):
    """Asks `decide` about each of these calls: the errno it fails with, 0 to let it pass, or UNANSWERED.

    A call whose program is gone before it is decided is nobody's.
    """

    def __init__(self, place, calls, decide):
        super().__init__(daemon=True)
        _, _, numbers = _MACHINES.get(platform.machine(), (0, 0, dict.fromkeys(calls, ())))
        self.before = [sys.executable, __file__, str(place), ",".join(calls)]
        self.failure = None
        self._names = {number: name for name in calls for number in numbers[name]}
        self._decide = decide
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._door.bind(str(place))
        self._door.listen()
        self._end, self._ends = os.pipe()
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self._ends)
        self.join()
        self._door.close()
        os.close(self._end)
        assert self.failure is None, self.failure

    def run(self):
        asking = set()
        try:
            while True:
                ready, _, _ = select.select([self._door, self._end, *asking], [], [])
                if self._end in ready:
                    return
                if self._door in ready:
                    asking.update(self._let_in())
                for listener in asking.intersection(ready):
                    if not self._answer(listener):
                        asking.discard(listener)
                        os.close(listener)
        except BaseException as failure:  # noqa: BLE001  the test tells of it
            self.failure = failure
        finally:
            for listener in asking:
                os.close(listener)

    def _let_in(self):
        """Return where a program's calls are asked about; nothing, if its kernel does not ask."""
        visitor, _ = self._door.accept()
        with visitor:
            _, listeners, _, _ = socket.recv_fds(visitor, 1, 1)
        return listeners

    def _answer(self, listener):
        """Answer one question; tell whether there may be more."""
        asked = bytearray(80)
        try:
            fcntl.ioctl(listener, _RECEIVE, asked)
        except FileNotFoundError:
            return not select.select([listener], [], [], 0)[0]  # at its end it is readable for ever
        number, pid = struct.unpack_from("QI", asked)
        (call,) = struct.unpack_from("i", asked, 16)
        failing = 0
        with suppress(FileNotFoundError, ProcessLookupError):
            arguments = struct.unpack_from("6Q", asked, 32)
            failing = self._decide(Call(self._names[call], call, pid, arguments))
        if failing == UNANSWERED:
            return True
        answer = struct.pack("QqiI", number, 0, -failing, 0 if failing else _CONTINUE)
        with suppress(FileNotFoundError):
            fcntl.ioctl(listener, _SEND, bytearray(answer))
        return True


def _step(code, value, yes=0, no=0):
    return struct.pack("HBBI", code, yes, no, value)


def _filter(calls):
    machine = platform.machine()
    architecture, _, numbers = _MACHINES[machine]
    program = _step(_LOAD, 4) + _step(_EQUAL, architecture, 1) + _step(_RETURN, _ALLOW)
    for number in [number for call in calls for number in numbers[call]]:
        program += _step(_LOAD, 0)
        if number == _CLONE[machine]:  # a thread is no process
            program += _step(_EQUAL, number, 0, 3) + _step(_LOAD, 16) + _step(_HAS, _CLONE_THREAD, 1, 0)
        else:
            program += _step(_EQUAL, number, 0, 1)
        program += _step(_RETURN, _ASK)
    return program + _step(_RETURN, _ALLOW)


def _become(place, calls, command):
    program = _filter(calls)
    buffer = ctypes.create_string_buffer(program)
    header = ctypes.create_string_buffer(struct.pack("HP", len(program) // 8, ctypes.addressof(buffer)))
    libc = ctypes.CDLL(None, use_errno=True)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    door.connect(place)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    flags = _NEW_LISTENER | _NO_SIGNAL_BREAKS_IN
    listener = libc.syscall(_MACHINES[platform.machine()][1], _SET_FILTER, flags, header)
    if listener < 0:
        sys.exit(f"no filter: {os.strerror(ctypes.get_errno())}")
    socket.send_fds(door, [b"x"], [listener])
    os.close(listener)
    os.execv(command[0], command)


if __name__ == "__main__":
    _become(sys.argv[1], sys.argv[2].split(","), sys.argv[3:])
