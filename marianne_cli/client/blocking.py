"""The blocking carrier: a session's flows over blocking sockets, and requests as plain data.

`mzt` uses it as it is, since the wire's types cost a simple command more than all else that it does; typed.py
puts them on it.
"""

import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from marianne_cli.client.dialling import dial
from marianne_cli.client.session import (
    WAIT_MOST,
    ClientBase,
    Dial,
    Effect,
    Flow,
    FlowDriver,
    OnEvent,
    Receive,
    Send,
    Session,
    Sleep,
    Stream,
    StreamItem,
    unchanged,
)
from marianned import __version__

if TYPE_CHECKING:
    from marianne_cli.client.streams import FollowedOutput, Piece

_READ_BYTES = 256 * 1024
T = TypeVar("T")


def perform(effect: Effect) -> Any:
    """Perform an effect of a flow on a socket."""
    match effect:
        case Dial(path):
            return dial(path)
        case Send(sock, data):
            sock.settimeout(None)
            return sock.sendall(data)
        case Receive(sock, deadline):
            return _receive(sock, deadline)
        case Sleep(seconds):
            return time.sleep(seconds)
        case StreamItem():
            raise TypeError("a request brings no items")


def _receive(sock: socket.socket, deadline: float | None) -> bytes:
    rest = None if deadline is None else deadline - time.monotonic()
    if rest is not None and rest <= 0:
        raise TimeoutError
    sock.settimeout(None if rest is None else min(rest, WAIT_MOST))
    return sock.recv(_READ_BYTES)


def run_flow(flow: Flow[T]) -> T:
    """Carry a flow out to its end; whatever cuts it short, it hangs up what it has open."""
    drive = FlowDriver(flow)
    drive.go_on()
    while (effect := drive.due()) is not None:
        with drive.step():
            drive.take(perform(effect))
    return drive.result


class Items(Generic[T]):
    """What a stream brings, one after the other; an iterator. To leave it, or `close`, ends the stream."""

    def __init__(self, flow: Flow[None], read: Callable[[Any], T]) -> None:
        self._drive = FlowDriver(flow, resumable=True)
        self._read = read

    def __iter__(self) -> Iterator[T]:
        """Return itself."""
        return self

    def __next__(self) -> T:
        """Wait for the next one; a wait that is interrupted can be waited again."""
        drive = self._drive
        drive.go_on()
        while not isinstance(effect := drive.due(), StreamItem):
            if effect is None:
                raise StopIteration
            with drive.step():
                drive.take(perform(effect))
        return self._read(effect.value)

    def close(self) -> None:
        """Leave the stream: its connection is hung up, and the daemon ends it."""
        self._drive.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the stream."""
        self.close()


class RawClient(ClientBase):
    """A connection to the daemon, for requests and replies as plain data; `connect_raw` makes one."""

    def __init__(
        self,
        socket: str | os.PathLike[str] | None,
        *,
        name: str,
        timeout: float | None,
        any_protocol: bool = False,
        read_only: bool = False,
    ) -> None:
        named = None if socket is None else os.fspath(socket)
        self._session = Session(
            named, name=name, timeout=timeout, any_protocol=any_protocol, read_only=read_only
        )
        run_flow(self._session.open())

    @property
    def refusal(self) -> dict[str, Any] | None:
        """The error of the last request that was refused, as it came."""
        return self._session.refusal

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Hang up; what was asked stays in force, streams end."""
        self._session.close()

    def request(
        self,
        method: str,
        params: Mapping[str, object] | None = None,
        *,
        changes: bool = False,
        once: bool = False,
        watch: OnEvent | None = None,
        after: int | None = None,
    ) -> dict[str, Any]:
        """Send one request and return its result as it came, unknown keys included.

        `changes` gives it a key and repeats it after a broken connection (`once` never repeats).
        `watch` is called with each event of the job that is committed meanwhile (`after`: from there).

        Raises:
            MarianneError: the refusal, by its code.
            NoDaemon: nobody answers any more; a change may be in force.
        """
        exchange = self._session.exchange
        flow = exchange(method, params or {}, changes=changes, once=once, watch=watch, after=after)
        return run_flow(flow)

    def raw_events(
        self,
        *,
        after: int | None = None,
        job_id: str | None = None,
        lagged: Callable[[int], None] | None = None,
    ) -> Items[dict[str, Any]]:
        """Yield the journal as `Client.events` does, each event as it came."""
        from marianne_cli.client.streams import JournalStream

        return self._items(JournalStream(job_id, after, lagged=lagged), dict)

    def follow_job(
        self,
        job_id: str,
        *,
        streams: Iterable[str] = ("stdout",),
        outputs: "Iterable[FollowedOutput]" = (),
        heard: OnEvent | None = None,
    ) -> "Items[Piece]":
        """Yield what all attempts of a job print, until it ends; `NAME@RUN` keeps to one run.

        It begins with `outputs`, each from its offset, and with what is in flight, from its beginning.
        `streams` are `stdout`, `stderr` or both. `heard` is called with each event of the job meanwhile.

        Raises:
            NoSuchJob: there is none.
            NoDaemon: nobody answers any more.
        """
        from marianne_cli.client.streams import MergedOutputStream

        return self._items(MergedOutputStream(job_id, streams, outputs, heard), unchanged)

    def _items(self, wanted: Stream, read: Callable[[Any], T]) -> Items[T]:
        return Items(self._session.stream(wanted), read)


def connect_raw(
    socket: str | os.PathLike[str] | None = None,
    *,
    name: str = f"marianne_cli {__version__}",
    timeout: float | None = None,
    any_protocol: bool = False,
) -> RawClient:
    """Connect as `connect` does, for requests and replies as plain data."""
    return RawClient(socket, name=name, timeout=timeout, any_protocol=any_protocol)
