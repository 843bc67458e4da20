"""What tests let workers do: functions of a module, as workers want them."""

import os
import re
import signal
import sys
import time
from pathlib import Path


def pid():
    return os.getpid()


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def hang(file):
    """Write our pid, then be busy for ever in C, where no signal of Python's is looked at."""
    Path(file).write_text(f"{os.getpid()}\n")
    re.search("(a+)+$", "a" * 40 + "b")


def grow():
    return len(bytearray(3 * 1024**3))


def nest():
    return nest()


def refuse():
    raise FileNotFoundError(2, "No such file or directory")


def fail():
    raise ValueError("not this")


def descriptors():
    """Name what the worker holds open, besides its three standard streams."""
    held = {int(link.name): os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()}
    return sorted(name for number, name in held.items() if number > 2)


def modules():
    return sorted(sys.modules)


def interrupted():
    """Get the terminal's SIGINT, and go on."""
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0)
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def slow():
    """Take a second of the wall's time, and next to nothing of a processor's."""
    end = time.monotonic() + 1
    while time.monotonic() < end:
        time.sleep(0.01)
    return "done"


def die_until(file, times):
    """Kill the worker so often, then say how often that was."""
    path = Path(file)
    lives = path.read_text() if path.exists() else ""
    if len(lives) == times:
        return times
    path.write_text(f"{lives}x")
    os.kill(os.getpid(), signal.SIGKILL)
    return None
