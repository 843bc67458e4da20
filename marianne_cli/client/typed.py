"""The blocking client, and what is typed of both: requests, replies, and what streams bring.

from marianne_cli.client import connect

with connect() as c:
    c.pause("my-job", wait=True)
"""

import os
from collections.abc import Callable
from typing import Any, TypeVar, cast

import msgspec

from marianne_cli.client.blocking import Items, RawClient, driven
from marianne_cli.client.calls import Calls
from marianne_cli.client.session import Flow
from marianne_cli.client.streams import AttemptOutput, Journal
from marianned import __version__
from marianned.errors import BadRequest
from marianned.protocol import METHODS, Event, FollowOutput, Query, Reply, Snapshot, StreamStarted

A = TypeVar("A", bound=Reply)


def asked(session: Any, request: Query[A]) -> Flow[bytes]:
    """Return the flow that asks a request.

    Raises:
        BadRequest: it opens a stream.
    """
    method = METHODS[request.method]
    if method.result is StreamStarted:
        raise BadRequest(f"{request.method} opens a stream: events, subscribe and follow read one")
    flow: Flow[bytes] = session.exchange(request.method, msgspec.to_builtins(request), changes=method.writes)
    return flow


def answered(request: Query[A], raw: bytes) -> A:
    """Read the reply to a request."""
    result: Any = msgspec.json.decode(raw, type=METHODS[request.method].result)
    return cast("A", result)


def checked(method: str, request: Query[A]) -> Query[A]:
    """Return a request, which is one of this method.

    Raises:
        BadRequest: it is another's.
    """
    if request.method != method:
        raise BadRequest(f"{type(request).__name__} is the request of {request.method}, not of {method}")
    return request


def read_event(item: dict[str, Any]) -> Event:
    """Read an event of a stream."""
    return msgspec.convert(item, Event)


def read_state(item: dict[str, Any]) -> Snapshot | Event:
    """Read an item of a subscription."""
    return msgspec.convert(item, Snapshot) if item["type"] == "snapshot" else read_event(item)


def attempt_output(
    job_id: str, sheet: int | None, hook: int | None, attempt: int | None, stream: str, offset: int
) -> AttemptOutput:
    """Return the stream of one attempt's output."""
    params = FollowOutput(job_id, sheet=sheet, hook=hook, attempt=attempt, stream=stream)  # type: ignore[arg-type]
    return AttemptOutput(msgspec.to_builtins(params), offset)


class Client(RawClient, Calls):
    """The blocking client; `connect` makes one. It is closed at the end of `with`.

    Threads may use one client side by side.
    """

    def ask(self, request: Query[A]) -> A:
        """Send a request and return its reply: `ask(Pause("my-job", wait=True))` is a `Paused`.

        A request that changes something is sent with a key; when the connection breaks meanwhile, the
        client connects again and repeats it, and it takes effect once.

        Raises:
            MarianneError: the refusal, by its code.
            NoDaemon: nobody answers any more; a change may be in force.
        """
        return answered(request, driven(asked(self._session, request)))

    def call(self, method: str, params: Query[A]) -> A:
        """Send a request whose method is named; `ask` needs no name."""
        return self.ask(checked(method, params))

    def events(
        self,
        *,
        after: int | None = None,
        job_id: str | None = None,
        lagged: Callable[[int], None] | None = None,
    ) -> Items[Event]:
        """Yield the journal's events after a number (null: from now; 0: all that is kept), without an end.

        `job_id` keeps to one job. It goes on over broken connections and restarts of the daemon, without a
        gap, and no event comes twice. So it does where the daemon ended the stream because its reader was
        too slow; `lagged` is told the number of the last event then.

        Raises:
            BadRequest: the journal does not reach back so far, or not yet so far.
            NoSuchJob: there is none.
            NoDaemon: nobody has answered for a minute.
        """
        return self._items(Journal(job_id, after, lagged=lagged), read_event)

    def subscribe(self, *, job_id: str | None = None) -> Items[Snapshot | Event]:
        """Yield the present state as a Snapshot (over 1,000 jobs: several), then the events after its number.

        It goes on as `events` does; a snapshot that was begun when the connection broke comes once, whole.

        Raises:
            NoSuchJob: there is none.
            NoDaemon: nobody has answered for a minute.
        """
        return self._items(Journal(job_id, None, snapshot=True), read_state)

    def follow(
        self,
        job_id: str,
        sheet: int | None = None,
        *,
        hook: int | None = None,
        attempt: int | None = None,
        stream: str = "stdout",
        offset: int = 0,
    ) -> Items[bytes]:
        """Yield what one attempt of a sheet or hook prints, in bytes from an offset until the attempt ends.

        `attempt` null is the newest; `stream` is `stdout` or `stderr`. It goes on over broken connections and
        restarts, no byte is missed, none comes twice; `follow_job` yields what all of a job's attempts print.

        Raises:
            BadRequest: there is no such sheet, hook or attempt.
            NoSuchJob: there is none.
            NoDaemon: nobody has answered for a minute.
        """
        return self._items(attempt_output(job_id, sheet, hook, attempt, stream, offset), bytes)


def connect(
    socket: str | os.PathLike[str] | None = None,
    *,
    name: str = f"marianne_cli {__version__}",
    timeout: float | None = None,
    any_protocol: bool = False,
) -> Client:
    """Connect to the daemon: at `socket`, else where it listens by the environment and the lock file.

    `name` goes into the journal with each request; `timeout` is the patience with a reply, in seconds
    beyond what the request itself waits; `any_protocol` also talks to a daemon of another protocol.

    Raises:
        NoDaemon: nobody answers there.
        NotPermitted: the socket is another user's.
    """
    return Client(socket, name=name, timeout=timeout, any_protocol=any_protocol)
