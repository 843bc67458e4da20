"""An attempt that is tried on whichever executor."""

import os
import uuid

import anyio
from kit.daemon import DEADLINE
from kit.leash import Leash
from kit.left_behind import ends_with_us

from marianned.executors import shim
from marianned.executors.base import AttemptPlace, Spec


async def until(so):
    """Wait until something is so of which no event tells."""
    with anyio.fail_after(2 * DEADLINE):
        while not so():  # noqa: ASYNC110  see above
            await anyio.sleep(0.1)


def said(executor, attempt):
    """Return what is said of what an attempt waits for; empty: nothing."""
    wait = executor.queue_wait(attempt)
    return "" if wait is None else wait.text


class Trial:
    """One attempt: its place, its spec, its leash; `executor()` is one that knows nothing of it yet."""

    def __init__(self, tmp_path, executor):
        self.executor = executor
        self.root = tmp_path / "attempts" / "incarnation"
        self.directory = self.root / "1" / "1-1"
        self.root.mkdir(mode=0o700, parents=True)
        self.workspace = tmp_path / "workspace"
        self.workspace.mkdir()
        self.leash = Leash(tmp_path / "leash", DEADLINE)
        self.id = uuid.uuid4().hex
        ends_with_us(f"{shim.MARK}={self.id}")
        self.place = AttemptPlace(self.directory, self.id, self.root)

    def spec(self, *argv, **given):
        env = {"PATH": os.environ["PATH"], "LEASH": str(self.leash.path)} | given.pop("env", {})
        values = {
            "id": self.id,
            "argv": list(argv),
            "cwd": str(self.workspace),
            "env": env,
            "timeout_seconds": None,
            "grace_seconds": 0.2,
        }
        return Spec(**values | given)

    def script(self, text, **given):
        """A shell script that holds the leash as descriptor 9, and all it starts with it."""
        return self.spec("sh", "-c", f'exec 9>"$LEASH"\n{text}', **given)

    def gate(self, name):
        """Make a named pipe that a script can wait at, in its working directory; return its name there."""
        os.mkfifo(self.workspace / name)
        return name

    async def open(self, name):
        await anyio.to_thread.run_sync((self.workspace / name).write_text, "go\n", abandon_on_cancel=True)

    async def start(self, spec):
        """Start it in a daemon that then goes away."""
        with anyio.fail_after(DEADLINE):
            async with self.executor() as executor:
                await executor.start(self.directory, spec)

    async def wait(self):
        with anyio.fail_after(DEADLINE):
            async with self.executor() as executor:
                return await executor.wait(self.place)

    async def run(self, spec):
        """Start it and wait for its end, in one daemon."""
        with anyio.fail_after(DEADLINE):
            async with self.executor() as executor:
                await executor.start(self.directory, spec)
                return await executor.wait(self.place)

    def output(self, name="stdout"):
        return (self.directory / name).read_text()

    def close(self):
        self.leash.close()
