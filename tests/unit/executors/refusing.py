"""Run a program to which the kernel refuses some calls: python refusing.py link fallocate PROGRAM ARG…

A seccomp filter stands in for what is not at hand here: a file system without hard links, one that can't
punch holes, a kernel without subreapers. Everything else is real, in the program and all it starts.
"""

import ctypes
import errno
import os
import struct
import sys

NUMBERS: dict[str, tuple[int, dict[str, tuple[int, ...]]]] = {
    "x86_64": (0xC000003E, {"link": (86, 265), "fallocate": (285,), "prctl": (157,)}),
    "aarch64": (0xC00000B7, {"link": (37,), "fallocate": (47,), "prctl": (167,)}),
}
"""The architecture's AUDIT_ARCH, and its numbers of the calls that can be refused."""

ANSWERS: dict[str, tuple[int, int, int]] = {
    "link": (errno.EPERM, -1, 0),
    "fallocate": (errno.EOPNOTSUPP, 1, 3),
    "prctl": (errno.EINVAL, 0, 36),
}
"""What is answered, and which argument must have which value for it (-1: none): PUNCH_HOLE, SUBREAPER."""

LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, FILTER = 22, 38, 2


def step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("HBBI", code, yes, no, value)


def rules(calls: list[str], machine: str) -> bytes:
    architecture, numbers = NUMBERS[machine]
    program = step(LOAD, 4) + step(EQUAL, architecture, 1) + step(RETURN, ALLOW)
    for call in calls:
        answer, argument, value = ANSWERS[call]
        for number in numbers[call]:
            program += step(LOAD, 0) + step(EQUAL, number, 0, 1 if argument < 0 else 3)
            if argument >= 0:
                program += step(LOAD, 16 + 8 * argument) + step(EQUAL, value, 0, 1)
            program += step(RETURN, ERRNO | answer)
    return program + step(RETURN, ALLOW)


def main() -> None:
    count = next(place for place, word in enumerate(sys.argv[1:]) if word not in ANSWERS)
    program = rules(sys.argv[1 : 1 + count], os.uname().machine)
    buffer = ctypes.create_string_buffer(program)
    header = struct.pack("HP", len(program) // 8, ctypes.addressof(buffer))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or prctl(PR_SET_SECCOMP, FILTER, header, 0, 0):
        sys.exit(f"no filter: {os.strerror(ctypes.get_errno())}")
    os.execv(sys.argv[1 + count], sys.argv[1 + count :])


if __name__ == "__main__":
    main()
