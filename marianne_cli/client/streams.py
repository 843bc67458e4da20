"""The streams: the journal, what one attempt prints, and what all attempts of a job print.

Each is taken up where it was, over a reader that lagged, a broken connection and a restart of the daemon: the
journal by the number of its last event, an output by its offset.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Self

import msgspec

from marianne_cli.client.session import (
    ClientConnection,
    Flow,
    OnEvent,
    ReconnectDeadline,
    Session,
    Stream,
    StreamItem,
    stated_params,
)
from marianned import client_wire
from marianned.errors import NoDaemon

_ENDED_STATUSES = {"completed", "failed", "cancelled"}
_ATTEMPT_END_EVENTS = {"attempt.ended", "hook.completed", "hook.failed", "hook.interrupted"}
"""After these events an attempt prints nothing more."""


class JournalStream(Stream):
    """The journal after a number (null: from now), of one job or all; `snapshot`: the state first.

    Items are events, and before them snapshots, as they come. `lagged` is told the last number of a stream
    that the daemon ended because its reader was too slow; `wanted` are other params of `events.subscribe`.
    """

    def __init__(
        self,
        job_id: str | None,
        after: int | None,
        *,
        snapshot: bool = False,
        lagged: Callable[[int], None] | None = None,
        **wanted: object,
    ) -> None:
        self._job_id = job_id
        self._after = after
        self._snapshot = snapshot
        self._lagged = lagged
        self._wanted = stated_params(wanted)

    def run(self, session: Session, connection: ClientConnection, retry: ReconnectDeadline) -> Flow[None]:
        """Bring what comes; a stream never ends by itself."""
        while True:
            params = {
                "job_id": self._job_id,
                "after": self._after,
                "snapshot": self._snapshot,
                **self._wanted,
            }
            started = yield from session.open_stream(connection, "events.subscribe", params)
            retry.clear()
            if self._snapshot:
                yield from self._bring_snapshot(connection)
            elif self._after is None:
                self._after = started["event"]
            end = yield from self._bring_events(connection)
            if end["reason"] != "lagged":
                raise ConnectionResetError(f"the daemon ended the stream: {end['reason']}")
            if self._lagged is not None:
                self._lagged(end["event"])

    def _bring_snapshot(self, connection: ClientConnection) -> Flow[None]:
        """Bring the snapshot once all its pages have come: a break would else show a half, then all."""
        pages: list[dict[str, Any]] = []
        while True:
            message = yield from connection.receive()
            if message.method != "stream.item":
                raise ConnectionResetError("the stream ended within its snapshot")
            pages.append(message.params["item"])
            jobs = sum(len(page["jobs"]) for page in pages)
            if jobs >= pages[-1]["total"] or not pages[-1]["jobs"]:
                break
        self._snapshot, self._after = False, pages[0]["event"]
        for page in pages:
            yield StreamItem(page)

    def _bring_events(self, connection: ClientConnection) -> Flow[dict[str, Any]]:
        """Bring events until the stream ends; return its end."""
        while True:
            message = yield from connection.receive()
            if message.method is None:
                continue
            told: dict[str, Any] = message.params
            if message.method == "stream.end":
                return told
            self._after = told["item"]["event"]
            yield StreamItem(told["item"])


class StateStream(Stream):
    """States as they change, with the journal beside them: `wanted` are the params of `events.subscribe`.

    Each connection begins with a snapshot, until `Ready`; events go on where they ended. `connected` is told
    whether the daemon answers, each time that changes.
    """

    def __init__(self, connected: Callable[[bool], None] | None = None, **wanted: object) -> None:
        self._connected = connected
        self._wanted = stated_params(wanted)
        self._after: int | None = None

    def run(self, session: Session, connection: ClientConnection, retry: ReconnectDeadline) -> Flow[None]:
        """Bring what comes; a stream never ends by itself."""
        while True:
            params = {**self._wanted, "states": True}
            params |= {} if self._after is None else {"after": self._after}
            started = yield from session.open_stream(connection, "events.subscribe", params)
            retry.clear()
            if self._connected is not None:
                self._connected(True)
            if self._after is None:
                self._after = started["event"]
            reason = yield from self._bring_items(connection)
            if reason != "lagged":
                raise ConnectionResetError(f"the daemon ended the stream: {reason}")

    def connection_broke(self) -> None:
        """Report that the daemon does not answer."""
        if self._connected is not None:
            self._connected(False)

    def _bring_items(self, connection: ClientConnection) -> Flow[str]:
        while True:
            message = yield from connection.receive()
            if message.method is None:
                continue
            told = message.params
            if message.method == "stream.end":
                self._after = max(self._after or 0, told["event"])
                return str(told["reason"])
            item = told["item"]
            if "." in item["type"]:
                self._after = max(self._after or 0, item["event"])
            yield StreamItem(item)


class FollowedOutput(msgspec.Struct, eq=False, kw_only=True):
    """One stream of one attempt, of a sheet or of a hook, and how far it was read."""

    sheet: int | None
    stage: int | None
    instance: int | None
    hook: int | None
    attempt: int
    stream: str
    offset: int = 0

    @classmethod
    def of(cls, item: Mapping[str, Any], attempt: int, stream: str) -> Self:
        """Return a stream of an attempt of a sheet or hook: whatever has their keys."""
        return cls(
            sheet=item.get("sheet"),
            stage=item.get("stage"),
            instance=item.get("instance"),
            hook=item.get("hook"),
            attempt=attempt,
            stream=stream,
        )

    def place(self) -> dict[str, int | None]:
        """Return whose stream it is, as JSON has it."""
        return {"sheet": self.sheet, "stage": self.stage, "instance": self.instance, "hook": self.hook}

    def params(self, job_id: str) -> dict[str, object]:
        """Ask for what comes next."""
        return {
            "job_id": job_id,
            "sheet": self.sheet if self.hook is None else None,
            "hook": self.hook,
            "attempt": self.attempt,
            "stream": self.stream,
            "offset": self.offset,
        }


class Piece(NamedTuple):
    """What came of an output: `data`, and how many bytes before it are gone; or that it has `ended`."""

    output: FollowedOutput
    data: bytes
    skipped: int = 0
    ended: bool = False


class AttemptOutputStream(Stream):
    """What one attempt prints, from an offset until it ends. Items are bytes.

    `tail_lines`, or an offset below 0, says where it begins the first time; then it goes on where it was.
    """

    def __init__(self, params: Mapping[str, object], offset: int, tail_lines: int | None = None) -> None:
        self._params = dict(params)
        self._offset = offset
        if tail_lines is not None:
            self._params["tail_lines"] = tail_lines

    def run(self, session: Session, connection: ClientConnection, retry: ReconnectDeadline) -> Flow[None]:
        """Bring the pieces until the attempt has ended."""
        while True:
            yield from session.open_stream(connection, "log.follow", {**self._params, "offset": self._offset})
            retry.clear()
            reason = yield from self._bring_pieces(connection)
            if reason == "ended":
                return
            if reason != "lagged":
                raise ConnectionResetError(f"the daemon ended the stream: {reason}")

    def _bring_pieces(self, connection: ClientConnection) -> Flow[str]:
        while True:
            message = yield from connection.receive()
            if message.method is None:
                continue
            told = message.params
            if message.method == "stream.end":
                return str(told["reason"])
            item = told["item"]
            data = decode_data(item)
            self._params["attempt"] = item["attempt"]  # the newest one stays the one that it was
            self._params.pop("tail_lines", None)
            self._offset = item["offset"] + len(data)
            yield StreamItem(data)


class MergedOutputStream(Stream):
    """What these outputs, and all attempts that are in flight or start meanwhile, print until the job ends.

    Items are `Piece`s. The job's journal and all outputs come on one connection, so that their order stays;
    `heard` is called with each event, once. What has ended comes whole before what starts behind it.
    """

    def __init__(
        self,
        job_id: str,
        streams: Iterable[str],
        outputs: Iterable[FollowedOutput] = (),
        heard: OnEvent | None = None,
    ) -> None:
        self._job_id = job_id
        self._heard = heard
        self._streams = tuple(streams)
        self._outputs = list(outputs)
        self._known = {_attempt_key(one) for one in self._outputs}
        self._over: set[tuple[int | None, int | None, int]] = set()
        self._after: int | None = None
        self._ended = False
        self._unopened: deque[FollowedOutput] = deque()
        self._asked: int | None = None
        self._open: dict[int, FollowedOutput] = {}
        self._journal: int | None = None

    def run(self, session: Session, connection: ClientConnection, retry: ReconnectDeadline) -> Flow[None]:
        """Subscribe before looking, so that no attempt starts unseen; then bring all until the job's end.

        After a break the journal goes on where it ended: what started and ended meanwhile is in it.
        """
        self._asked, self._open = None, {}
        self._unopened = deque(self._outputs)
        started = yield from session.open_stream(
            connection, "events.subscribe", {"job_id": self._job_id, "after": self._after}
        )
        self._journal = started["stream"]
        retry.clear()
        if self._after is None:
            yield from self._read_in_flight(session, started["event"])
        while self._outputs or not self._ended:
            late = any(_attempt_key(one) in self._over for one in self._open.values())
            if self._asked is None and self._unopened and not late:
                # one at a time, in the order in which they started
                params = self._unopened[0].params(self._job_id)
                (self._asked,) = yield from connection.send(("log.follow", params))
            yield from self._take_message((yield from connection.receive()))

    def _read_in_flight(self, session: Session, newest: int) -> Flow[None]:
        """Add the attempts that are in flight already."""
        asked = {"job_id": self._job_id, "limit": 1}
        try:
            job = yield from session.exchange("job.status", asked)
        except NoDaemon:
            raise ConnectionResetError("the daemon is gone") from None
        self._after = newest
        self._ended = job["timing"]["completed_at"] is not None
        for flight in job["in_flight"]:
            if not flight.get("job_id"):  # another job's, whose end this one waits for
                self._add_attempt(flight)

    def _add_attempt(self, item: Mapping[str, Any]) -> None:
        known = (item.get("sheet"), item.get("hook"), item["attempt"])
        if known not in self._known:
            self._known.add(known)
            made = [FollowedOutput.of(item, item["attempt"], stream) for stream in self._streams]
            self._outputs += made
            self._unopened += made

    def _take_message(self, message: client_wire.Envelope) -> Flow[None]:
        if message.method is None:
            if message.error is not None:
                raise client_wire.to_exception(message.error)
            if message.id == self._asked:
                self._open[message.result["stream"]] = self._unopened.popleft()
                self._asked = None
            return
        told = message.params
        if told["stream"] == self._journal:
            if message.method == "stream.end":
                raise ConnectionResetError(f"the daemon ended the stream: {told['reason']}")
            self._take_event(told["item"])
        elif message.method == "stream.end":
            yield from self._end_output(told["stream"], told["reason"])
        else:
            output = self._open[told["stream"]]
            data = decode_data(told["item"])
            skipped = told["item"]["offset"] - output.offset
            output.offset = told["item"]["offset"] + len(data)
            yield StreamItem(Piece(output, data, skipped))

    def _take_event(self, event: dict[str, Any]) -> None:
        self._after = max(self._after or 0, event["event"])
        if self._heard is not None:
            self._heard(event)
        if event["type"] in {"attempt.started", "hook.started"}:
            self._add_attempt(event)
        elif event["type"] in _ATTEMPT_END_EVENTS:
            self._over.add((event.get("sheet"), event.get("hook"), event["attempt"]))
        if event["status"] in _ENDED_STATUSES:
            self._ended = True

    def _end_output(self, stream: int, reason: str) -> Flow[None]:
        if reason != "ended":
            raise ConnectionResetError(f"the daemon ended the stream: {reason}")
        output = self._open.pop(stream)
        self._outputs.remove(output)
        yield StreamItem(Piece(output, b"", ended=True))


def _attempt_key(output: FollowedOutput) -> tuple[int | None, int | None, int]:
    """Return whose output it is: what its streams have in common."""
    return output.sheet, output.hook, output.attempt


def decode_data(item: Mapping[str, Any]) -> bytes:
    """Return the bytes of a piece of output."""
    return msgspec.convert(item["data"], bytes)
