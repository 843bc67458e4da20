"""A program that loads pytest, its plugins and what tests need besides the packages; each run is a fork of it.

A line of JSON on its standard input asks for a run: `arguments` of pytest, `directory`, `environment`, and the
file `said` for what it prints. The line that answers on its standard output is the exit status, a signal's
number negative; a run that takes more than 100 seconds is killed.
"""

import atexit
import gc
import importlib
import json
import os
import select
import signal
import sys

import pytest

_LIBRARIES = (
    "anyio._backends._asyncio",
    "hypothesis.stateful",
    "hypothesis.strategies",
    "jinja2",
    "msgspec",
    "platformdirs.unix",
    "yaml",
)
_SECONDS = 100


class _Libraries:
    """A plugin that loads them and does no more: while pytest is there, they are loaded as it wants them."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self) -> int:
        for name in _LIBRARIES:
            importlib.import_module(name)
        return 0


def main() -> None:
    pytest.main([], plugins=[_Libraries()])
    assert "marianned" not in sys.modules, "each run loads its own"
    gc.collect()
    gc.freeze()
    while line := sys.stdin.buffer.raw.readline():
        pid = os.fork()
        if not pid:
            _end(pytest.main(_become(**json.loads(line))))
        print(_ended(pid), flush=True)


def _become(arguments: list[str], directory: str, environment: dict[str, str], said: str) -> list[str]:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    sys.path.insert(0, environment["PYTHONPATH"])
    nothing, file = os.open(os.devnull, os.O_RDONLY), os.open(said, os.O_CREAT | os.O_WRONLY, 0o600)
    for new, old in enumerate((nothing, file, file)):
        os.dup2(old, new)
    return arguments


def _end(status: int) -> None:
    """End, but leave to the kernel all that was loaded: it would be copied to be taken down."""
    atexit._run_exitfuncs()  # zygotes end, for one
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _ended(pid: int) -> int:
    """Wait for a child; return its exit status."""
    process = os.pidfd_open(pid)
    if not select.select([process], [], [], _SECONDS)[0]:
        os.kill(pid, signal.SIGKILL)
    os.close(process)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    main()
