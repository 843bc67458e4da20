"""Leashes: pipes that tell without waiting blindly whether a process tree lives."""

import os
from pathlib import Path

import anyio

from kit.daemon import DEADLINE


class Leash:
    """A named pipe that a tree of processes holds open for writing: its end is the end of all of them."""

    def __init__(self, path: Path, deadline: float = DEADLINE) -> None:
        self.path = path
        self.deadline = deadline
        os.mkfifo(path)
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    async def line(self) -> str:
        text = b""
        while not text.endswith(b"\n"):
            byte = await self._read(1)
            assert byte, f"all have ended after {text!r}"
            text += byte
        return text.decode().strip()

    async def gone(self) -> None:
        while await self._read(4096):
            pass

    async def _read(self, most: int) -> bytes:
        with anyio.fail_after(self.deadline):
            while True:
                await anyio.wait_readable(self._fd)
                try:
                    return os.read(self._fd, most)
                except BlockingIOError:
                    continue

    def close(self) -> None:
        os.close(self._fd)
