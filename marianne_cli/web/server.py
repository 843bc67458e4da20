"""The page's server as a process: where it listens, how a browser is let in once, when it ends."""

import asyncio
import errno
import html
import logging
import os
import shutil
import signal
import socket
import stat
import subprocess
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import h11
import uvicorn
from anyio.abc import SocketStream
from uvicorn.protocols.http.h11_impl import H11Protocol

from marianne_cli import terminal
from marianne_cli.client import aconnect
from marianne_cli.faces import addresses
from marianne_cli.process import interrupts
from marianne_cli.web.app import PageApp
from marianne_cli.web.gate import HEAD_MOST, HEADERS, Gate, RequestRules
from marianne_cli.web.sessions import SessionStore
from marianned import __version__, files
from marianned.errors import BadRequest

CONNECTIONS_MOST = 32
HEADER_SECONDS = 10.0
"""How long the head of a request may take to come, from the connection's first moment or byte on."""
IDLE_SECONDS = 12 * 3600.0
"""Without a request and an open tab for so long, it ends."""
_END_SECONDS = 1
_LINES_A_MINUTE = 20
_LEADING = (
    '<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer"><title>Marianne</title>'
    '<a id="a" href="{url}">open the dashboard</a>'
    '<script>location.replace(document.getElementById("a").href)</script>'
)
"""A page that leads on to the address: a file, and not an argument, which every process could read."""
log = logging.getLogger(__name__)


class BoundedHttpProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with two bounds: the number of connections, and how slowly a request may come."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS_MOST:
            transport.close()
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Take what came; where it is no whole head yet, the rest has to come soon."""
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:  # type: ignore[redundant-expr]  # null at first
            self._expect_head()
        elif self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  as uvicorn has it
        """Refuse what is no request: as the gate refuses those that are."""
        log.warning("refused what is no request of HTTP")
        headers = [*HEADERS.items(), ("content-length", "0"), ("connection", "close")]
        for event in (h11.Response(status_code=400, headers=headers, reason=""), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _expect_head(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEADER_SECONDS, self.transport.close)


class _UvicornServer(uvicorn.Server):
    """uvicorn without its signal handlers: this process has its own."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


class DashboardServer:
    """The page's server: `url` lets one browser in, once; `run` serves until a signal, or until unused."""

    def __init__(
        self,
        listener: socket.socket,
        port: int,
        *,
        directory: Path,
        read_only: bool,
        daemon: str | None,
    ) -> None:
        self._listener = listener
        self.port = port
        self._directory = directory
        self._read_only = read_only
        self._daemon = daemon
        self._sessions = SessionStore()
        self._file: Path | None = None

    @property
    def base_url(self) -> str:
        """The page's address, without a secret."""
        return f"http://127.0.0.1:{self.port}/"

    def url(self, job: str | None = None) -> str:
        """Return an address that lets the first who opens it in, within a minute.

        The token is in the fragment: no server, log or `ps` sees it.
        """
        return addresses.address_of_job(f"{self.base_url}#t={self._sessions.mint()}", job)

    def open_browser(self, job: str | None = None) -> None:
        """Open the page where there is a screen: by a private file, so that no `ps` shows the token."""
        opener = shutil.which("xdg-open")
        if opener is None or not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            return
        place = self._directory / f"{os.getpid()}.html"
        place.unlink(missing_ok=True)
        files.write_private(place, _LEADING.format(url=html.escape(self.url(job))).encode())
        self._file = place
        subprocess.Popen(
            [opener, os.fspath(place)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def serve(self, ready: Callable[[], None]) -> None:
        """Serve until the end; refusals are told on stderr."""
        handler = logging.StreamHandler()
        handler.setFormatter(_TerminalFormatter("mzt: %(message)s"))
        handler.addFilter(_RateFilter())
        logging.getLogger("marianne_cli.web").addHandler(handler)
        theirs = logging.getLogger("uvicorn.error")
        theirs.addFilter(_is_a_fault)  # the rest is told here, in the words of this program
        theirs.addHandler(handler)
        try:
            interrupts.leave_to_asyncio()
            anyio.run(self.run, ready)
        finally:
            if self._file is not None:
                self._file.unlink(missing_ok=True)

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve; `ready` is called when it does.

        Raises:
            NoDaemon: nobody answers to begin with.
        """
        rules = RequestRules(self.port, self._sessions)
        async with aconnect(
            self._daemon, name=f"dashboard {__version__}", read_only=self._read_only
        ) as client:
            page = PageApp(client, self._sessions, rules, read_only=self._read_only)
            server = _UvicornServer(_uvicorn_config(Gate(page.app(), rules)))
            async with anyio.create_task_group() as tasks:
                with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
                    tasks.start_soon(page.live.run)
                    await tasks.start(self._serve_addresses)
                    tasks.start_soon(_serve, server, self._listener, tasks.cancel_scope)
                    ready()
                    with anyio.move_on_after(None) as until:
                        tasks.start_soon(_cancel_when_unused, page, until)
                        async for _ in signals:
                            break
                    page.end()
                    server.should_exit = True
                    await anyio.sleep_forever()  # until uvicorn has ended

    async def _serve_addresses(self, *, task_status: Any) -> None:
        """Send a new address to whoever connects to a socket of this user alone: `mzt dashboard --url`."""
        addresses.remove_stale_sockets(self._directory)
        place = addresses.socket_of(self._directory, os.getpid())
        listener = await anyio.create_unix_listener(place, mode=0o600)
        try:
            async with listener:
                task_status.started()
                await listener.serve(self._send_address)
        finally:
            place.unlink(missing_ok=True)

    async def _send_address(self, asking: SocketStream) -> None:
        async with asking:
            with suppress(anyio.BrokenResourceError):
                await asking.send(addresses.address_message(self.url(), read_only=self._read_only))


class _TerminalFormatter(logging.Formatter):
    """Formats a record as one line that is harmless on a terminal, whatever a request had in it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return terminal.line(super().format(record))


def _is_a_fault(record: logging.LogRecord) -> bool:
    """Tell whether something has failed that was not given up: uvicorn says at its end what it gives up."""
    return record.exc_info is not None and record.exc_info[0] is not asyncio.CancelledError


class _RateFilter(logging.Filter):
    """Lets a bounded number of lines a minute through: a thousand refused requests fill no screen."""

    def __init__(self) -> None:
        super().__init__()
        self._told: deque[float] = deque(maxlen=_LINES_A_MINUTE)

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a line is one of the few of this minute."""
        if len(self._told) == _LINES_A_MINUTE and record.created - self._told[0] < 60:  # noqa: PLR2004  a minute
            return False
        self._told.append(record.created)
        return True


def _uvicorn_config(app: Gate) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=BoundedHttpProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        h11_max_incomplete_event_size=HEAD_MOST,
        timeout_graceful_shutdown=_END_SECONDS,
    )


async def _serve(server: uvicorn.Server, listener: socket.socket, scope: anyio.CancelScope) -> None:
    await server.serve(sockets=[listener])
    scope.cancel()


async def _cancel_when_unused(page: PageApp, until: anyio.CancelScope) -> None:
    # no event: a time is waited for, which each request puts off
    while (left := page.last_used_at() + IDLE_SECONDS - anyio.current_time()) > 0:  # noqa: ASYNC110
        await anyio.sleep(left)
    log.warning("nobody has asked anything for 12 hours: this ends")
    until.cancel()


def listen(port: int) -> socket.socket:
    """Bind this machine's own address, and no other: from elsewhere, ssh leads here.

    Raises:
        BadRequest: the port is taken, or not allowed.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()  # who opens the address at once waits until it is served
    except OSError as error:
        listener.close()
        why = os.strerror(error.errno or 0)
        raise BadRequest(f"port {port} can't be had: {why}", hints=["mzt dashboard"]) from None
    return listener


def listen_at(path: str) -> socket.socket:
    """Bind a Unix socket that nobody but this user can connect to.

    Raises:
        BadRequest: something is there, or it can't be made.
    """
    if _is_stale_socket(path):
        os.unlink(path)  # noqa: PTH108  a text, as it was given
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(path)
        listener.listen()
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise BadRequest(f"'{path}' is there already: name a path where nothing is") from None
        raise BadRequest(f"'{path}' can't be had: {os.strerror(error.errno or 0) or error}") from None
    finally:
        os.umask(before)
    return listener


def _is_stale_socket(path: str) -> bool:
    """Tell whether a socket of this user is at a path, and nobody listens there: who did was killed."""
    with suppress(OSError, ValueError):
        found = os.lstat(path)
        if stat.S_ISSOCK(found.st_mode) and found.st_uid == os.geteuid():
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
                try:
                    asking.connect(path)
                except ConnectionRefusedError:
                    return True
    return False
