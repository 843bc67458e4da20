"""What both clients do, without a socket: hello, keys, reconnecting, streams and their bounds.

Each thing that a client does is a *flow*: a generator that yields what is to be done with a socket (`Dial`,
`Send`, `Receive`, `Sleep`) and is sent what came of it, or thrown what went wrong. A carrier does these
things, blocking or under anyio, and knows nothing else; so both clients do the same, by construction.

A connection serves one request at a time and is then kept for the next, or it serves a stream. So calls side
by side can't get in each other's way. A flow that is cut short, by whatever, hangs up its connection: no half
message is left for the next request. What a stream's reader does not take stays in the kernel's buffers and,
beyond them, with the daemon, which ends the stream as `lagged`; it is taken up where it ended. Leaving a
stream hangs up its connection, and the daemon ends it.
"""

import socket
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Generic, NamedTuple, TypeVar, cast

from marianne_cli.client.dialling import (
    environment_names_socket,
    is_usable,
    locked_socket,
    new_key,
    socket_paths,
)
from marianned import __version__, client_wire, probe
from marianned.errors import MarianneError, NoDaemon, NotPermitted, ProtocolMismatch
from marianned.formatting import is_older, typed, versions_apart

WAIT_MOST = 100 * 365 * 86_400.0
"""Seconds that the kernel is asked to wait at most: of three hundred years it makes an error."""
PROTOCOL = 1
"""The protocol this client speaks: protocol.PROTOCOL, without loading it."""
PATIENCE_SECONDS = 30.0
"""How long a reply that waits for nothing may take."""
RECONNECT_SECONDS = 10.0
"""How long a broken connection is tried again for a request that has no time of its own."""
STREAM_RECONNECT_SECONDS = 60.0
"""How long it is tried again for a stream, or a request that waits without a limit."""
MESSAGE_MOST = 64 * 1024 * 1024
"""Bytes of one message: the daemon's replies come in pages, and none is near it."""
IDLE_MOST = 4
"""Connections that are kept for the next requests."""
_GREETING_LEAST = 2.0
"""However short a request's own time is, a daemon may take so long to greet."""
_RETRY_SECONDS = 0.05
MEANT_WHEN_EMPTY = frozenset({"auto_resume", "fields", "jobs", "types"})
"""Params of which false, or nothing in them, is not the same as leaving them out."""
_NOTHING: tuple[object, ...] = ({}, [], ())


def stated_params(params: Mapping[str, object]) -> dict[str, object]:
    """Return the params that are set: an older daemon need not know the null, false and empty ones."""
    return {
        name: value
        for name, value in params.items()
        if value is not None and (name in MEANT_WHEN_EMPTY or not (value is False or value in _NOTHING))
    }


_GREETING = {"protocol": int, "version": str, "pid": int}
"""What a greeting tells at least."""


class DaemonUnreachable(NoDaemon):
    """No daemon listens, or a connection broke: the request that was sent on it may be in force."""


class Dial(NamedTuple):
    """Connect to this path; answered with the socket, or thrown OSError where nobody answers."""

    path: str


class Send(NamedTuple):
    """Send these bytes, all of them, or throw OSError."""

    socket: socket.socket
    data: bytes


class Receive(NamedTuple):
    """Receive bytes, answered with some, or none at the end; thrown TimeoutError when the deadline has come.

    The deadline is one of time.monotonic, null for none.
    """

    socket: socket.socket
    deadline: float | None


class Sleep(NamedTuple):
    """Wait for some seconds."""

    seconds: float


class StreamItem(NamedTuple):
    """What a stream brings: for whoever iterates over it."""

    value: Any


T = TypeVar("T")
Effect = Dial | Send | Receive | Sleep | StreamItem
Flow = Generator[Effect, Any, T]
OnEvent = Callable[[dict[str, Any]], None]


class FlowDriver(Generic[T]):
    """Runs a flow for a carrier, which performs the `due` effect inside `step` and hands in its outcome.

    An exception of the carrier is thrown into the flow, which drops its connection or goes on with another.
    For a `resumable` flow a cancel or an interrupt passes through without reaching the flow; the effect that
    was due can be performed again.
    """

    def __init__(self, flow: Flow[T], *, resumable: bool = False) -> None:
        self._flow = flow
        self._resumable = resumable
        self._due: Effect | None = None
        self._result: T | None = None

    def due(self) -> Effect | None:
        """Return what is to be done next; null: the flow has ended."""
        return self._due

    @property
    def result(self) -> T:
        """What the flow returned at its end."""
        return cast("T", self._result)

    def go_on(self) -> None:
        """Begin, or go on behind the item that was brought last; what was cut short is due as it is."""
        if self._due is None or isinstance(self._due, StreamItem):
            self.take(None)

    def take(self, outcome: Any) -> None:
        """Resume the flow with the outcome of the effect that was due."""
        self._advance(self._flow.send, outcome)

    @contextmanager
    def step(self) -> Iterator[None]:
        """Wrap performing the effect that is due: an exception is thrown into the flow."""
        try:
            yield
        except BaseException as error:
            if self._resumable and not isinstance(error, Exception):
                if isinstance(self._due, Send):
                    shut_down(self._due.socket)  # what may have been sent by half is not sent again
                raise
            self._advance(self._flow.throw, error)

    def close(self) -> None:
        """Cut the flow short: it hangs up what it has open."""
        self._flow.close()

    def _advance(self, go_on: Callable[[Any], Effect], what: Any) -> None:
        try:
            self._due = go_on(what)
        except StopIteration as done:
            self._due, self._result = None, done.value


class ClientBase:
    """What the blocking and the anyio client have in common: their session's address and greeting."""

    _session: "Session"

    @property
    def path(self) -> str:
        """Where the daemon was reached."""
        return self._session.path

    @property
    def server(self) -> dict[str, Any] | None:
        """The daemon's greeting, once a request has been answered."""
        return self._session.server


def unchanged(item: Any) -> Any:
    """Return an item of a stream as the stream has it."""
    return item


def shut_down(connected: socket.socket) -> None:
    """Shut a socket down, so that a thread or task that waits on it gets an error."""
    with suppress(OSError):  # the connection is broken already
        connected.shutdown(socket.SHUT_RDWR)


class ClientConnection:
    """One connection to the daemon: the ids of its requests, and the messages received and not yet taken.

    `pid` is the daemon's whose socket it is, null where it is systemd's.
    """

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.pid = probe.listener(connected)
        self.greeted = False
        self.hello_due = False
        self.answered = True
        """Whether no request is due an answer: the connection can serve the next."""
        self._lines = client_wire.LineBuffer(MESSAGE_MOST)
        self._ready: deque[client_wire.Envelope] = deque()
        self._last = 0

    def send(self, *requests: tuple[str, Mapping[str, object]]) -> Flow[list[int]]:
        """Send several requests in one write; return their ids."""
        identities = [self._last + 1 + index for index in range(len(requests))]
        self._last += len(requests)
        self.answered = False
        asked = zip(identities, requests, strict=True)
        yield Send(
            self.socket, b"".join(client_wire.request(identity, *request) for identity, request in asked)
        )
        return identities

    def receive(self, deadline: float | None = None) -> Flow[client_wire.Envelope]:
        """Return the next message. No more is read before all that came has been taken."""
        while not self._ready:
            data = yield Receive(self.socket, deadline)
            if not data:
                raise ConnectionResetError("the daemon closed the connection")
            try:
                self._ready.extend(map(client_wire.read_envelope, self._lines.feed(data)))
            except (ValueError, client_wire.ProtocolFault):
                raise _not_marianned() from None
        return self._ready.popleft()

    @property
    def is_idle(self) -> bool:
        """Whether the next request can be sent on it."""
        return not self._ready and is_usable(self.socket)


class ReconnectDeadline:
    """How long a broken connection is retried: the time starts with the break; an answer stops it."""

    def __init__(self, seconds: float, ends: float | None = None) -> None:
        self._seconds = seconds
        self._ends = ends

    def clear(self) -> None:
        """Stop the time: the daemon has answered."""
        self._ends = None

    def wait_to_retry(self) -> Flow[bool]:
        """Wait before the next try; false: the time is up."""
        now = time.monotonic()
        if self._ends is None:
            self._ends = now + self._seconds
        if now + _RETRY_SECONDS > self._ends:
            return False
        yield Sleep(_RETRY_SECONDS)
        return True


class Session:
    """The state of a client: where the daemon is, its greeting, and the open connections."""

    def __init__(
        self,
        named: str | None,
        *,
        name: str,
        timeout: float | None,
        any_protocol: bool = False,
        read_only: bool = False,
    ) -> None:
        self._named = named
        self._name = name
        self._patience = PATIENCE_SECONDS if timeout is None else timeout
        self._any_protocol = any_protocol
        self._read_only = read_only
        self._idle: list[ClientConnection] = []
        self._busy: set[ClientConnection] = set()
        self._closed = False
        self.path = named or ""
        self.server: dict[str, Any] | None = None
        self.refusal: dict[str, Any] | None = None

    # --- connections -------------------------------------------------------------------------------------

    def close(self) -> None:
        """Hang up all connections; a caller that still waits on one gets an error."""
        self._closed = True
        while self._idle:
            self._idle.pop().socket.close()
        for connection in self._busy:
            shut_down(connection.socket)

    def open(self) -> Flow[None]:
        """Connect once, to see that a daemon listens; the connection is kept for the first request.

        Raises:
            NoDaemon: nobody answers.
        """
        self._release((yield from self._connect()))

    def _idle_or_new(self) -> Flow[ClientConnection]:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_idle:
                self._busy.add(connection)
                return connection
            connection.socket.close()
        return (yield from self._connect())

    def _connect(self) -> Flow[ClientConnection]:
        if self._closed:
            raise NoDaemon("this client is closed")
        for count, path in enumerate(socket_paths(self._named)):
            if not count:
                self.path = path
            try:
                connected = yield Dial(path)
            except OSError:
                continue
            try:
                probe.check_owner(connected, path, by_hand=self._named is not None)
            except NotPermitted:
                connected.close()
                raise
            self.path = path
            connection = ClientConnection(connected)
            self._busy.add(connection)
            return connection
        named = (
            ""
            if self._named is not None or not environment_names_socket()
            else ", which $MARIANNE_SOCKET names"
        )
        nobody = f"no daemon answers at {self.path}{named}"
        other = None
        with suppress(NotPermitted):
            other = locked_socket()
        if other is not None and other != self.path:
            try:
                (yield Dial(other)).close()
            except OSError:
                pass  # the lock's file is of a daemon that has gone
            else:
                raise NoDaemon(
                    f"{nobody}; one listens at {other}", hints=[f"mzt --socket {typed(other)} status"]
                )
        raise DaemonUnreachable(nobody, hints=["mzt start"])

    def _release(self, connection: ClientConnection, *, reusable: bool = True) -> None:
        """Keep a connection for the next request; hang it up where the last one was cut short."""
        self._busy.discard(connection)
        if reusable and connection.answered and not self._closed and len(self._idle) < IDLE_MOST:
            self._idle.append(connection)
        else:
            connection.socket.close()

    # --- hello ---------------------------------------------------------------------------------------------

    def send(
        self, connection: ClientConnection, *requests: tuple[str, Mapping[str, object]]
    ) -> Flow[list[int]]:
        """Send requests, on a new connection with hello before them in the same write; return their ids."""
        if connection.greeted:
            return (yield from connection.send(*requests))
        connection.greeted = connection.hello_due = True
        hello: dict[str, object] = {"name": self._name, "protocol": PROTOCOL}
        if self._read_only:
            hello["read_only"] = True
        return (yield from connection.send(("daemon.hello", hello), *requests))[1:]

    def _reply(
        self,
        connection: ClientConnection,
        identity: int,
        deadline: float | None,
        watcher: "JobEventWatcher | None",
        own: float | None,
    ) -> Flow[dict[str, Any]]:
        """Return the result of a request; what else comes is hello's answer and what is watched.

        Three kinds of messages come on one connection, in any order: the answer, hello's answer on a new
        connection (its id is 1), and items of the stream that watches the job. Until hello is answered the
        patience is the shorter one: a daemon that lives greets at once, whatever it is asked.
        """
        greeted_by = self._greeting_deadline(connection, own) if connection.hello_due else None
        while True:
            due = greeted_by if connection.hello_due and greeted_by is not None else deadline
            message = yield from connection.receive(due)
            if message.id == identity:
                connection.answered = True
                self.refusal = message.error
                if message.error is not None:
                    raise (yield from self._refusal_error(connection, message.error, greeted_by))
                return result_of(message)
            if message.method is not None:
                if watcher is not None:
                    yield from watcher.take(message)
            elif message.id == 1:
                connection.hello_due = False
                self._take_greeting(message)
            elif message.error is not None and (watcher is None or message.id != watcher.identity):
                raise client_wire.to_exception(message.error)

    def _refusal_error(
        self, connection: ClientConnection, body: Mapping[str, Any], greeted_by: float | None
    ) -> Flow[MarianneError]:
        """Return a refusal as an exception; if the daemon is older than the request, say so and what to type.

        An unknown request is refused before the greeting, and only the greeting tells the daemon's version.
        """
        error = client_wire.to_exception(body)
        if body["code"] not in {client_wire.METHOD_NOT_FOUND, client_wire.INVALID_PARAMS}:
            return error
        while connection.hello_due:
            message = yield from connection.receive(greeted_by)
            if message.id == 1:
                connection.hello_due = False
                self._take_greeting(message)
        apart = versions_apart(self.server["version"], __version__) if self.server else None
        if self.server and apart and is_older(self.server["version"], __version__):
            blame_older_daemon(error, *apart)
        return error

    def _take_greeting(self, message: client_wire.Envelope) -> None:
        if message.error is not None and self._any_protocol:
            self.server = {}
            return
        if message.error is not None and message.error["code"] == client_wire.INVALID_PARAMS:
            # it refuses to greet, and so does not tell its version
            said = f"the daemon that runs is older than this program, {__version__}"
            raise blame_older_daemon(client_wire.to_exception(message.error), said, ["mzt restart"])
        server = result_of(message)
        if any(not isinstance(server.get(name), kind) for name, kind in _GREETING.items()):
            raise _not_marianned()
        self.server = server
        if server["protocol"] != PROTOCOL and not self._any_protocol:
            raise protocol_mismatch(server)

    # --- requests ------------------------------------------------------------------------------------------

    def exchange(
        self,
        method: str,
        params: Mapping[str, object],
        *,
        changes: bool = False,
        once: bool = False,
        watch: OnEvent | None = None,
        after: int | None = None,
    ) -> Flow[dict[str, Any]]:
        """Send one request and return its result; repeat it over a broken connection.

        A change has a key, so that it takes effect once; `once` never repeats. `watch` is told each event of
        the job that is committed meanwhile, from the number `after` on.

        A connection that breaks says nothing about the request. So it is sent again, on a new connection,
        until an answer comes or the patience ends: a look does no harm twice, and a change carries a key,
        by which the daemon knows the repeat and gives the first one's answer. A silent daemon is another
        matter: time ran out on a connection that stands, and to repeat would only wait again. A request
        that waits by itself (`timeout`) is sent again with the time it has left.

        Raises:
            MarianneError: the refusal, by its code.
            NoDaemon: nobody answers any more; a change may be in force.
        """
        asked = dict(params)
        if changes and asked.get("key") is None:
            asked["key"] = new_key()
        own = wait_seconds_of(method, asked)
        started = time.monotonic()
        retry = ReconnectDeadline(STREAM_RECONNECT_SECONDS if own is None else RECONNECT_SECONDS)
        if own:
            retry = ReconnectDeadline(own, ends=started + max(own, RECONNECT_SECONDS))
        watcher = None if watch is None else JobEventWatcher(watch, asked["job_id"], after)
        connection = yield from self._idle_or_new()
        while True:
            try:
                return (yield from self._try_exchange(connection, method, asked, own, watcher))
            except TimeoutError:
                raise self._no_reply_error(connection, changes) from None
            except OSError:
                if once:
                    raise self._broken_connection_error(changes) from None
            connection = yield from self._reconnect(retry, self._idle_or_new, changes)
            if own and not changes:
                asked["timeout"] = max(0.0, started + own - time.monotonic())

    def _try_exchange(
        self,
        connection: ClientConnection,
        method: str,
        params: Mapping[str, object],
        own: float | None,
        watcher: "JobEventWatcher | None",
    ) -> Flow[dict[str, Any]]:
        self.refusal = None
        deadline = None if own is None else time.monotonic() + own + self._slack(own)
        requests = [] if watcher is None else [("events.subscribe", watcher.params())]
        try:
            identities = yield from self.send(connection, *requests, (method, params))
            if watcher is not None:
                watcher.begin(connection, identities[0])
            return (yield from self._reply(connection, identities[-1], deadline, watcher, own))
        finally:
            self._release(connection, reusable=watcher is None)

    def _slack(self, own: float) -> float:
        """Return how long a reply may take beyond what its request waits by itself."""
        return min(self._patience, probe.GREETING_SECONDS) if own else self._patience

    def _greeting_deadline(self, connection: ClientConnection, own: float | None) -> float | None:
        """Return until when the daemon must have greeted: one that lives does that at once.

        Null: not the daemon listens but systemd, which starts it now.
        """
        if connection.pid is None:
            return None
        seconds = max(_GREETING_LEAST, own) if own else self._patience
        return time.monotonic() + min(seconds, self._patience, probe.GREETING_SECONDS)

    def _no_reply_error(self, connection: ClientConnection, changes: bool) -> NoDaemon:
        """Return the error for a missing reply; if the daemon never greeted, with how to get rid of it."""
        if not connection.hello_due:
            said = f"the daemon at {self.path} has not answered in time{in_force_note(changes)}"
            return NoDaemon(said, hints=["mzt doctor"])
        who = probe.daemon_name(connection.pid)
        said = f"{who} at {self.path} accepts but does not answer{in_force_note(changes)}"
        return NoDaemon(said, hints=probe.hints_for_hang(connection.pid))

    def _reconnect(
        self, retry: ReconnectDeadline, dial: Callable[[], Flow[ClientConnection]], changes: bool = False
    ) -> Flow[ClientConnection]:
        """Dial again and again until the daemon answers; nothing tells when it is back."""
        while not self._closed and (yield from retry.wait_to_retry()):
            try:
                return (yield from dial())
            except NoDaemon:
                continue
        raise self._broken_connection_error(changes)

    def _broken_connection_error(self, changes: bool = False) -> DaemonUnreachable:
        return DaemonUnreachable(
            f"the connection to the daemon at {self.path} broke{in_force_note(changes)}", hints=["mzt start"]
        )

    # --- streams -------------------------------------------------------------------------------------------

    def stream(self, wanted: "Stream") -> Flow[None]:
        """Bring a stream's items, on a connection of its own, over breaks and restarts of the daemon.

        Raises:
            MarianneError: the stream is refused.
            NoDaemon: nobody answers any more.
        """
        retry = ReconnectDeadline(STREAM_RECONNECT_SECONDS)
        connection = yield from self._connect()
        while True:
            try:
                yield from wanted.run(self, connection, retry)
            except OSError:
                wanted.connection_broke()
            else:
                return
            finally:
                self._release(connection, reusable=False)
            connection = yield from self._reconnect(retry, self._connect)

    def open_stream(
        self, connection: ClientConnection, method: str, params: Mapping[str, object]
    ) -> Flow[dict[str, Any]]:
        """Open a stream on a connection; return its StreamStarted."""
        (identity,) = yield from self.send(connection, (method, params))
        return (yield from self._reply(connection, identity, time.monotonic() + self._patience, None, 0.0))


class Stream:
    """A kind of stream: `run` opens it on a connection and yields its items until it has ended."""

    def run(self, session: Session, connection: ClientConnection, retry: ReconnectDeadline) -> Flow[None]:
        """Yield a StreamItem for each; raise OSError where it is to be opened again on another connection."""
        raise NotImplementedError

    def connection_broke(self) -> None:
        """Called when the connection broke; it is dialled again."""


class JobEventWatcher:
    """Receives the events of a request's job while the request waits, on the same connection."""

    def __init__(self, tell: OnEvent, job_id: object, after: int | None) -> None:
        self._tell = tell
        self._job_id = job_id
        self._after = after
        self._connection: ClientConnection | None = None
        self.identity = 0

    def begin(self, connection: ClientConnection, identity: int) -> None:
        """Remember the connection of the subscription, and the id of its request."""
        self._connection, self.identity = connection, identity

    def params(self) -> dict[str, object]:
        """The subscription: from the event after the last one told."""
        return {"job_id": self._job_id, "after": self._after}

    def take(self, message: client_wire.Envelope) -> Flow[None]:
        """Pass an event on; where the daemon ended the stream as lagged, subscribe again from its end."""
        told = message.params
        if message.method == "stream.item":
            self._after = told["item"]["event"]
            self._tell(told["item"])
        elif told["reason"] == "lagged" and self._connection is not None:
            self._after = told["event"] if self._after is None else self._after
            (self.identity,) = yield from self._connection.send(("events.subscribe", self.params()))


def protocol_mismatch(server: Mapping[str, Any]) -> ProtocolMismatch:
    """Say which of the two sides is the older one."""
    said = (
        f"marianned {server['version']} (pid {server['pid']}) speaks protocol {server['protocol']}, "
        f"mzt {__version__} speaks {PROTOCOL}; "
    )
    if server["protocol"] < PROTOCOL:
        return ProtocolMismatch(f"{said}a restart interrupts no attempt", hints=["mzt restart"])
    return ProtocolMismatch(f"{said}upgrade this mzt")


def wait_seconds_of(method: str, params: Mapping[str, Any]) -> float | None:
    """Return the seconds that a request waits by itself; null for without a limit."""
    if method == "job.wait":
        return params.get("timeout")
    return float(params.get("timeout", 60.0)) if params.get("wait") else 0.0


def result_of(message: client_wire.Envelope) -> dict[str, Any]:
    """Return the result of a reply; raise its error."""
    if message.error is not None:
        raise client_wire.to_exception(message.error)
    result = {} if message.result is None else message.result
    if not isinstance(result, dict):
        raise _not_marianned()
    return result


def _not_marianned() -> NoDaemon:
    return NoDaemon("what answers at the socket is not marianned", hints=["mzt doctor"])


def blame_older_daemon(error: MarianneError, said: str, hints: list[str]) -> MarianneError:
    """Add to a refusal that the daemon is older, and what to type about that."""
    error.message = f"{error.message}; {said}"
    error.args = (error.message,)
    error.hints = hints
    return error


def in_force_note(changes: bool) -> str:
    """Return the note for a change without a reply: it may be in force."""
    return "; the request may be in force" if changes else ""
