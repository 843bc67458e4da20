"""The door: the listening socket, made here or handed over by systemd, and kept where clients look."""

import logging
import socket
from collections.abc import Callable
from pathlib import Path

import anyio

from marianned import faults
from marianned.api.server import Server, hang_up_waiting, listen
from marianned.file_watch import FileWatch

_AGAIN_SECONDS = 5.0
"""How long until it is tried again to make the socket."""
_logger = logging.getLogger(__name__)


class ListenerGuard:
    """Serves at `address`; a socket that is given is systemd's, and its file is not ours to remove.

    Where `address` can't be any more (/run/user/UID goes with the last login), it is `spare` from then on.
    """

    def __init__(
        self,
        address: Path,
        spare: Path,
        given: socket.socket | None,
        opened: Callable[[], None],
        moved: Callable[[Path], None],
    ) -> None:
        self._address = address
        self._spare = spare
        self._moved = moved
        self._given = given
        self._opened = opened
        self._was_open = False

    async def serve(self, server: Server) -> None:
        """Serve the socket; when its file is deleted under us, make it again. Connections outlive it."""
        async with anyio.create_task_group() as connections:
            while True:
                given, self._given = self._given, None
                listener = given or await self._listener()
                ours = self._inode()
                try:
                    self._was_open = True
                    self._opened()
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(server.serve, listener, connections)
                        await self._wait_until_moved(ours)
                        tasks.cancel_scope.cancel()
                finally:
                    if given is None:
                        if self._inode() == ours:
                            self._address.unlink(missing_ok=True)
                        hang_up_waiting(listener)  # those at systemd's wait for the next daemon
                    listener.close()

    async def _listener(self) -> socket.socket:
        """Make the socket; only for the first one a failure is the daemon's end."""
        while True:
            try:
                listener = listen(self._address)
            except OSError as error:
                if not self._was_open:
                    raise
                _logger.warning("the socket can't be made again: %s", error)
                if self._address == self._spare:
                    await anyio.sleep(_AGAIN_SECONDS)
                else:
                    self._moved(self._spare)
                    self._address = self._spare
                    _logger.warning("marianned listens at '%s' from now on", self._spare)
                continue
            faults.point("service.listening")
            return listener

    async def _wait_until_moved(self, ours: int | None) -> None:
        while True:
            with FileWatch([self._address]) as watch:
                if ours is None or self._inode() != ours:
                    return
                await watch.touched()

    def _inode(self) -> int | None:
        try:
            return self._address.stat().st_ino
        except OSError:
            return None
