"""The standard streams of a process, some of which may be closed when it begins."""

import os
import sys


def open_to_nobody(*, stdout_fails: bool = False) -> None:
    """Open streams that are closed: else the next connection has their number, and takes what is printed.

    `stdout_fails`: what is written to a closed stdout is an error (EBADF), and not lost without a word.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            fails = stdout_fails and name == "stdout"
            nobody = os.open(os.devnull, os.O_RDONLY if fails else os.O_RDWR)
            os.dup2(nobody, number)
            if nobody != number:
                os.close(nobody)
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115  it lives as long as the program
