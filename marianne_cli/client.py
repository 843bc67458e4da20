"""The public client of the daemon, over a blocking socket; `mzt` uses nothing else.

    from marianne_cli.client import connect

    with connect() as c:
        c.pause("my-job", wait=True)

Each named method returns the Struct that protocol.py gives for it and raises the exceptions of
errors.py: a refusal is never a result. A request that changes something carries a key; when the
connection breaks while it is in progress, the client reconnects and repeats it with that key, so that
it takes effect once. aclient.py is the same for anyio.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import msgspec

from marianne_cli.calls import Calls
from marianne_cli.line import Line
from marianned import __version__, paths, probe, wire
from marianned.errors import MarianneError, NoDaemon, NotPermitted, ProtocolMismatch

if TYPE_CHECKING:  # the wire's types cost a simple command 6 ms and are wanted by the typed calls alone
    from marianned import protocol as p

PROTOCOL = 1
"""The protocol this client speaks: protocol.PROTOCOL, without loading it."""
PATIENCE_SECONDS = 30.0
"""How long a reply that waits for nothing may take."""
RECONNECT_SECONDS = 10.0
"""How long a broken connection is tried again for a request that has no time of its own."""
_GREETING_LEAST = 2.0
"""However short a request's own time is, a daemon may take so long to greet."""
_RETRY_SECONDS = 0.05

OnEvent = Callable[[dict[str, Any]], None]


class StreamEnd(NamedTuple):
    """Why a stream has ended, and the journal's number up to which it told."""

    reason: str
    event: int | None


def connect(
    socket: str | os.PathLike[str] | None = None,
    *,
    name: str = f"marianne_cli {__version__}",
    timeout: float | None = None,
    any_protocol: bool = False,
) -> "Client":
    """Connect to the daemon: at `socket`, else where paths.py and the lock file say it listens.

    `name` goes into the journal with each request; `timeout` is the patience with a reply in seconds
    beyond what the request itself waits; `any_protocol` also talks to a daemon of another protocol.

    Raises:
        NoDaemon: nobody answers there.
        NotPermitted: the socket is another user's.
    """
    client = Client(socket, name=name, timeout=timeout, any_protocol=any_protocol)
    client.open()
    return client


def new_key() -> str:
    """Make a key that no other request has."""
    return os.urandom(16).hex()


class Client(Calls):
    """A connection to the daemon. Use `connect`; closed at the end of `with`."""

    def __init__(
        self,
        socket: str | os.PathLike[str] | None,
        *,
        name: str,
        timeout: float | None,
        any_protocol: bool = False,
    ) -> None:
        self._named = None if socket is None else os.fspath(socket)
        self._name = name
        self._patience = PATIENCE_SECONDS if timeout is None else timeout
        self._any_protocol = any_protocol
        self._line: Line | None = None
        self.path = ""
        """Where the daemon was reached, or looked for."""
        self.server: dict[str, Any] | None = None
        """The daemon's greeting, once a request has been answered."""
        self.refusal: wire.ErrorBody | None = None
        """The error of the last request that was refused, as it came."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; what was asked stays in force."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def open(self) -> Line:
        """Return the line to the daemon, connecting where there is none.

        Raises:
            NoDaemon: nobody answers.
        """
        if self._line is None:
            self._line = self._dial()
            self.server = None
        return self._line

    def _dial(self) -> Line:
        try:
            self.path = self._named or str(paths.socket_path())
        except paths.SocketPathTooLongError as error:
            raise NoDaemon(str(error)) from None
        for path in self._places():
            try:
                line = Line(path)
            except PermissionError:
                raise NotPermitted(f"the daemon at {path} is another user's") from None
            except OSError:
                continue
            self.path = path
            return line
        raise NoDaemon(f"no daemon answers at {self.path}", hints=["mzt start"])

    def _places(self) -> Iterator[str]:
        yield self.path
        if self._named is None and (other := locked_socket()) not in {None, self.path}:
            yield str(other)

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
        result: dict[str, Any] = msgspec.json.decode(
            self._exchange(method, dict(params or {}), changes=changes, once=once, watch=watch, after=after)
        )
        return result

    def call(self, method: str, params: "p.Ask") -> Any:
        """Send one request of protocol.METHODS; return its result as that table's type."""
        from marianned.protocol import METHODS

        spec = METHODS[method]
        raw = self._exchange(method, msgspec.to_builtins(params), changes=spec.writes)
        return msgspec.json.decode(raw, type=spec.result)

    def _exchange(
        self,
        method: str,
        params: dict[str, Any],
        *,
        changes: bool,
        once: bool = False,
        watch: OnEvent | None = None,
        after: int | None = None,
    ) -> bytes:
        if changes and params.get("key") is None:
            params["key"] = new_key()
        started = time.monotonic()
        own = own_time(method, params)
        watcher = None if watch is None else _Watcher(watch, params, after)
        while True:
            line = self.open()
            try:
                deadline = None if own is None else time.monotonic() + own + self._slack(own)
                return self._once(line, method, params, deadline, watcher)
            except TimeoutError:
                self.close()
                raise self._silent(line, changes) from None
            except OSError:
                self.close()
                if once:
                    raise self._broken(changes) from None
            ends = None if own is None else started + max(own, RECONNECT_SECONDS)
            self._reconnect(ends if ends is not None else time.monotonic() + 6 * RECONNECT_SECONDS, changes)
            if own and not changes:
                params["timeout"] = max(0.0, started + own - time.monotonic())

    def _once(
        self,
        line: Line,
        method: str,
        params: Mapping[str, object],
        deadline: float | None,
        watcher: "_Watcher | None",
    ) -> bytes:
        """Send hello (on a new line) and the request in one write; read until the request is answered."""
        asked = [] if self.server is not None else [("daemon.hello", self._greeting())]
        if watcher is not None:
            asked.append(("events.subscribe", watcher.params()))
        identities = line.send([*asked, (method, params)])
        hello = identities[0] if self.server is None else None
        greeted_by = None if hello is None else self._greeted_by(line, method, params)
        while True:
            message = line.receive(deadline if self.server is not None or greeted_by is None else greeted_by)
            if message.method is not None:
                if watcher is None:
                    line.notifications.append(message)
                else:
                    watcher.take(message)
            elif message.id == hello and hello is not None:
                self._greeted(message)
            elif message.id == identities[-1]:
                self.refusal = message.error
                return bytes(_result(message))
            elif message.error is not None and message.id not in identities[:-1]:
                raise wire.raised(message.error)

    def _slack(self, own: float) -> float:
        """Return how long a reply may take beyond what its request waits by itself."""
        return min(self._patience, probe.GREETING_SECONDS) if own else self._patience

    def _greeted_by(self, line: Line, method: str, params: Mapping[str, Any]) -> float | None:
        """Return until when the daemon must have greeted: one that lives does that at once.

        Null: not the daemon listens but systemd, which starts it now.
        """
        if line.pid is None:
            return None
        own = own_time(method, params)
        seconds = max(_GREETING_LEAST, own) if own else self._patience
        return time.monotonic() + min(seconds, self._patience, probe.GREETING_SECONDS)

    def _silent(self, line: Line, changes: bool) -> NoDaemon:
        """Say that no reply came; of a daemon that never greeted, how to get rid of it."""
        if self.server is not None:
            said = f"the daemon at {self.path} has not answered in time{_maybe(changes)}"
            return NoDaemon(said, hints=["mzt doctor"])
        said = f"{probe.called(line.pid)} at {self.path} accepts but does not answer{_maybe(changes)}"
        return NoDaemon(said, hints=probe.way_out(line.pid))

    def _greeting(self) -> dict[str, object]:
        return {"name": self._name, "protocol": PROTOCOL}

    def _greeted(self, message: wire.Envelope) -> None:
        if message.error is not None:
            if self._any_protocol:
                self.server = {}
                return
            raise wire.raised(message.error)
        server = self.server = msgspec.json.decode(_result(message))
        if server["protocol"] != PROTOCOL and not self._any_protocol:
            raise mismatch(server)

    def _reconnect(self, ends: float, changes: bool) -> None:
        """Try again until the daemon answers; there is nothing to wait on but the next attempt."""
        while True:
            try:
                self.open()
            except NoDaemon:
                if time.monotonic() + _RETRY_SECONDS > ends:
                    raise self._broken(changes) from None
                time.sleep(_RETRY_SECONDS)
            else:
                return

    def _broken(self, changes: bool) -> MarianneError:
        return NoDaemon(
            f"the connection to the daemon at {self.path} broke{_maybe(changes)}", hints=["mzt start"]
        )

    def stream(self, method: str, params: Mapping[str, object]) -> int:
        """Open a stream; return its id, by which `arriving` names what comes on it."""
        return int(self.request(method, params, once=True)["stream"])

    def arriving(self) -> Iterator[tuple[int, "dict[str, Any] | StreamEnd"]]:
        """Yield what comes on the open streams: (stream, item), and (stream, StreamEnd) when one ends.

        Raises:
            ConnectionError: the connection broke; the streams are gone with it.
        """
        line = self.open()
        while True:
            message = line.notifications.popleft() if line.notifications else line.receive(None)
            if not message.params:
                continue
            told = msgspec.json.decode(message.params)
            if message.method == "stream.item":
                yield told["stream"], told["item"]
            elif message.method == "stream.end":
                yield told["stream"], StreamEnd(told["reason"], told.get("event"))

    def events(
        self,
        *,
        after: int | None = None,
        job_id: str | None = None,
        lagged: Callable[[int], None] | None = None,
    ) -> Iterator["p.Event"]:
        """Yield the journal from `after` on (null: from now), for one job or all, without an end.

        A broken connection and a stream that was ended because this reader was too slow are taken up again
        where they ended, so that nothing is missing; `lagged` is told the number of the latter.
        """
        from marianned.protocol import Event

        for item in self.raw_events(after=after, job_id=job_id, lagged=lagged):
            yield msgspec.convert(item, Event)

    def raw_events(
        self,
        *,
        after: int | None = None,
        job_id: str | None = None,
        lagged: Callable[[int], None] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Yield the journal as `events` does, each event as it came."""
        while True:
            try:
                started = self.request("events.subscribe", {"job_id": job_id, "after": after}, once=True)
                after = started.get("event") if after is None else after
                for _, item in self.arriving():
                    if isinstance(item, StreamEnd):
                        if lagged is not None and item.event is not None:
                            lagged(item.event)
                        break
                    after = item["event"]
                    yield item
            except OSError:
                self.reopen(6 * RECONNECT_SECONDS)

    def reopen(self, seconds: float) -> None:
        """Connect again after a break, trying for some seconds.

        Raises:
            NoDaemon: nobody answers until then.
        """
        self.close()
        self._reconnect(time.monotonic() + seconds, changes=False)

    def follow(
        self, job_id: str, sheet: int, *, attempt: int | None = None, stream: str = "stdout", offset: int = 0
    ) -> Iterator[bytes]:
        """Yield what one attempt prints, from a byte offset until it ends.

        Raises:
            ConnectionError: the connection broke; go on with the offset reached.
        """
        self.stream(
            "log.follow",
            {"job_id": job_id, "sheet": sheet, "attempt": attempt, "stream": stream, "offset": offset},
        )
        for _, item in self.arriving():
            if isinstance(item, StreamEnd):
                return
            yield piece(item)


class _Watcher:
    """The journal of the job that a request is about, read beside the request."""

    def __init__(self, tell: OnEvent, params: Mapping[str, Any], after: int | None) -> None:
        self._tell = tell
        self._job_id = params["job_id"]
        self._after = after

    def params(self) -> dict[str, object]:
        """The subscription: from the event after the last one told."""
        return {"job_id": self._job_id, "after": self._after}

    def take(self, message: wire.Envelope) -> None:
        """Tell an event; nothing else comes on this line."""
        if message.method == "stream.item" and message.params:
            event = msgspec.json.decode(message.params)["item"]
            self._after = event["event"]
            self._tell(event)


def locked_socket() -> str | None:
    """Return the socket of the daemon that holds this user's state directory; null where none does."""
    try:
        held = msgspec.json.decode(paths.lock_path(paths.state_directory()).read_bytes())
    except (OSError, msgspec.DecodeError):
        return None
    named = held.get("socket") if isinstance(held, dict) else None
    return named if isinstance(named, str) else None


def mismatch(server: Mapping[str, Any]) -> ProtocolMismatch:
    """Say which of the two sides is the older one."""
    said = (
        f"marianned {server['version']} (pid {server['pid']}) speaks protocol {server['protocol']}, "
        f"mzt {__version__} speaks {PROTOCOL}; "
    )
    if server["protocol"] < PROTOCOL:
        return ProtocolMismatch(f"{said}a restart interrupts no attempt", hints=["mzt restart"])
    return ProtocolMismatch(f"{said}upgrade this mzt")


def piece(item: Mapping[str, Any]) -> bytes:
    """Return the bytes of a piece of output."""
    return msgspec.convert(item["data"], bytes)


def own_time(method: str, params: Mapping[str, Any]) -> float | None:
    """Return the seconds that a request waits by itself; null for without a limit."""
    if method == "job.wait":
        return params.get("timeout")
    return float(params.get("timeout", 60.0)) if params.get("wait") else 0.0


def _result(message: wire.Envelope) -> msgspec.Raw:
    if message.error is not None:
        raise wire.raised(message.error)
    return message.result or msgspec.Raw(b"{}")


def _maybe(changes: bool) -> str:
    return "; the request may be in force" if changes else ""
