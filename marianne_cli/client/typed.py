"""The blocking client, and what is typed of both: requests, replies, and what streams bring.

from marianne_cli.client import connect

with connect() as c:
    c.pause("my-job", wait=True)
"""

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast, get_args, get_type_hints

import msgspec

from marianne_cli.client.blocking import Items, RawClient, run_flow
from marianne_cli.client.calls import ClientMethods
from marianne_cli.client.session import Flow
from marianne_cli.client.streams import AttemptOutputStream, JournalStream, StateStream
from marianned import __version__
from marianned.decoding import Undecodable, from_builtins
from marianned.errors import BadRequest, ProtocolMismatch
from marianned.protocol import (
    METHODS,
    DaemonState,
    Event,
    FollowOutput,
    GetJob,
    JobState,
    OutputStates,
    Query,
    Ready,
    Reply,
    RunRemoved,
    Sheet,
    SheetStates,
    Snapshot,
    StreamStarted,
)

A = TypeVar("A", bound=Reply)


def request_flow(session: Any, request: Query[A]) -> Flow[dict[str, Any]]:
    """Return the flow that sends a request.

    Params that have their default are not sent: an older daemon need not know them.

    Raises:
        BadRequest: it opens a stream.
    """
    method = METHODS[request.method]
    if method.result is StreamStarted:
        raise BadRequest(f"{request.method} opens a stream: events, subscribe and follow read one")
    flow: Flow[dict[str, Any]] = session.exchange(request.method, _params(request), changes=method.writes)
    return flow


def _params(request: Query[Any]) -> dict[str, Any]:
    """Return the params of a request without those that have their default."""
    given: dict[str, Any] = msgspec.to_builtins(request)
    fields = msgspec.structs.fields(request)
    return {
        one.encode_name: given[one.encode_name]
        for one in fields
        if one.required or given[one.encode_name] != msgspec.to_builtins(_default(one))
    }


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default if field.default is not msgspec.NODEFAULT else field.default_factory()


_LEAVES_NOTHING_OUT: tuple[None, list[str], None] = (None, [], None)
"""`fields`, `without` and `newer_than` of a `GetJob` whose reply leaves nothing out."""


def read_reply(request: Query[A], told: dict[str, Any]) -> A:
    """Read the reply to a request; of `status`, keys that were left out are `msgspec.UNSET`."""
    kind = METHODS[request.method].result
    if (
        isinstance(request, GetJob)
        and (request.fields, request.without, request.newer_than) != _LEAVES_NOTHING_OUT
    ):
        return cast("A", _read_partial(kind, told))
    return cast("A", _read(told, kind, str_keys=True))


def _read(told: object, kind: Any, *, str_keys: bool = False) -> Any:
    """Read what the daemon tells as a value of a type.

    Raises:
        ProtocolMismatch: it is none: a daemon of another protocol, or none at all, has told it.
    """
    try:
        return from_builtins(told, kind, str_keys=str_keys)
    except Undecodable as error:
        said = f"what the daemon tells can't be read, mzt {__version__} knows it otherwise: {error}"
        raise ProtocolMismatch(said) from None


def _read_partial(kind: type[msgspec.Struct], told: dict[str, Any]) -> msgspec.Struct:
    """Read an object of which only some keys were told."""
    fields = msgspec.structs.fields(kind)
    values = {
        one.name: _read_field(one.type, told[one.encode_name]) for one in fields if one.encode_name in told
    }
    return kind(**{one.name: values.get(one.name, msgspec.UNSET) for one in fields})


def _read_field(kind: Any, value: Any) -> Any:
    if kind == list[Sheet]:
        return [_read_partial(Sheet, one) for one in value]
    return _read(value, kind)


def require_method(method: str, request: Query[A]) -> Query[A]:
    """Return a request, which is one of this method.

    Raises:
        BadRequest: it is another's.
    """
    if request.method != method:
        raise BadRequest(f"{type(request).__name__} is the request of {request.method}, not of {method}")
    return request


def read_event(item: dict[str, Any]) -> Event:
    """Read an event of a stream."""
    event: Event = _read(item, Event)
    return event


def read_snapshot(item: dict[str, Any]) -> Snapshot | Event:
    """Read an item of a subscription."""
    if item.get("type") != "snapshot":
        return read_event(item)
    snapshot: Snapshot = _read(item, Snapshot)
    return snapshot


State = Snapshot | JobState | SheetStates | OutputStates | DaemonState | RunRemoved | Ready | Event
"""What a stream of states brings."""
_STATES: dict[str, Any] = {
    str(get_args(get_type_hints(kind)["type"])[0]): kind
    for kind in (Snapshot, JobState, SheetStates, OutputStates, DaemonState, RunRemoved, Ready)
}


def read_state(item: dict[str, Any]) -> State:
    """Read an item of a stream of states."""
    state: State = _read(item, _STATES.get(str(item.get("type")), Event))
    return state


def attempt_output(
    job_id: str,
    sheet: int | None,
    hook: int | None,
    attempt: int | None,
    stream: str,
    offset: int,
    tail_lines: int | None,
) -> AttemptOutputStream:
    """Return the stream of one attempt's output."""
    if sheet is None and hook is None:
        raise BadRequest("an output is that of one 'sheet' or of one 'hook'; follow_job brings all of a job")
    params = FollowOutput(job_id, sheet=sheet, hook=hook, attempt=attempt, stream=stream)  # type: ignore[arg-type]
    return AttemptOutputStream(_params(params), offset, tail_lines)


class Client(RawClient, ClientMethods):
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
        return read_reply(request, run_flow(request_flow(self._session, request)))

    def call(self, method: str, params: Query[A]) -> A:
        """Send a request whose method is named; `ask` needs no name."""
        return self.ask(require_method(method, params))

    def events(
        self,
        *,
        after: int | None = None,
        job_id: str | None = None,
        jobs: Sequence[str] | None = None,
        types: Sequence[str] | None = None,
        lagged: Callable[[int], None] | None = None,
    ) -> Items[Event]:
        """Yield the journal's events after a number (null: from now; 0: all that is kept), without an end.

        `job_id` keeps to one run, that which is the newest now; `jobs` follows names to their newest runs;
        `types` are those of the events, as `job.paused`, or `job.` for all that begin so.

        It goes on over broken connections and restarts of the daemon, without a gap, and no event comes
        twice. So it does where the daemon ended the stream because its reader was too slow; `lagged` is told
        the number of the last event then.

        Raises:
            BadRequest: the journal does not reach back so far, or not yet so far.
            NoSuchJob: there is none.
            NoDaemon: nobody has answered for a minute.
        """
        wanted = JournalStream(job_id, after, lagged=lagged, jobs=jobs, types=types)
        return self._items(wanted, read_event)

    def subscribe(self, *, job_id: str | None = None) -> Items[Snapshot | Event]:
        """Yield the present state as a Snapshot (over 1,000 jobs: several), then the events after its number.

        It goes on as `events` does; a snapshot that was begun when the connection broke comes once, whole.

        Raises:
            NoSuchJob: there is none.
            NoDaemon: nobody has answered for a minute.
        """
        return self._items(JournalStream(job_id, None, snapshot=True), read_snapshot)

    def states(
        self,
        *,
        jobs: Sequence[str] | None = None,
        sheets: bool = False,
        output: bool = False,
        types: Sequence[str] | None = None,
        connected: Callable[[bool], None] | None = None,
    ) -> Items[State]:
        """Yield the present state until `Ready`, then each state that changes, and the events beside them.

        `jobs`: of these alone, a name for its newest run, whichever that is then; null: of all. `sheets` and
        `output` bring `SheetStates` and `OutputStates`, too; `types` are those of the events (empty: none).
        Over a broken connection, or where the reader was too slow, a snapshot comes again, and takes the
        place of all states before; no event is missed, and none comes twice. `connected` is told whether the
        daemon answers, each time that changes.

        Raises:
            NoSuchJob: there is none.
            NoDaemon: nobody has answered for a minute.
        """
        wanted = StateStream(connected, jobs=jobs, sheets=sheets, output=output, types=types)
        return self._items(wanted, read_state)

    def follow(
        self,
        job_id: str,
        sheet: int | None = None,
        *,
        hook: int | None = None,
        attempt: int | None = None,
        stream: str = "stdout",
        offset: int = 0,
        tail_lines: int | None = None,
    ) -> Items[bytes]:
        """Yield what one attempt of a sheet or hook prints, in bytes from an offset until the attempt ends.

        `attempt` null is the newest; `stream` is `stdout` or `stderr`. It begins with the last `tail_lines`,
        or at an offset; below 0: with the first line of the last so many bytes. It goes on over broken
        connections and restarts, no byte is missed, none comes twice; `follow_job` yields what all of a job's
        attempts print.

        Raises:
            BadRequest: there is no such sheet, hook or attempt.
            NoSuchJob: there is none.
            NoDaemon: nobody has answered for a minute.
        """
        wanted = attempt_output(job_id, sheet, hook, attempt, stream, offset, tail_lines)
        return self._items(wanted, bytes)


def connect(
    socket: str | os.PathLike[str] | None = None,
    *,
    name: str = f"marianne_cli {__version__}",
    timeout: float | None = None,
    any_protocol: bool = False,
    read_only: bool = False,
) -> Client:
    """Connect to the daemon: at `socket`, else where it listens by the environment and the lock file.

    `name` goes into the journal with each request; `timeout` is the patience with a reply, in seconds
    beyond what the request itself waits; `any_protocol` also talks to a daemon of another protocol;
    `read_only` lets the daemon refuse whatever would change something (`NotPermitted`).

    Raises:
        NoDaemon: nobody answers there.
        NotPermitted: the socket is another user's.
    """
    return Client(socket, name=name, timeout=timeout, any_protocol=any_protocol, read_only=read_only)
