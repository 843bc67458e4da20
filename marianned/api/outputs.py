"""Live output: what one attempt prints, or all of a job, as it grows."""

from collections.abc import Iterator
from pathlib import Path

import anyio
import msgspec
from anyio import to_thread

from marianned.api.states import SendItem
from marianned.conductor.core.job import JobActor
from marianned.conductor.queries.jobs import JobQueries
from marianned.conductor.queries.output import find_output, read_output, where_to_begin
from marianned.errors import BadRequest
from marianned.progress.state.run import RunState
from marianned.protocol import READ_LIMIT, FollowOutput, HookStatus, OutputPiece
from marianned.rows import AttemptRow, Changes, HookRow, Placed
from marianned.store.writer import Store

_LOOK_SECONDS = 0.2
"""How often a growing output is looked at: nothing tells of a file's growth on every file system."""


class _FollowedOutput(msgspec.Struct):
    """One stream of one attempt: whose it is, and from where on it is not sent yet."""

    path: Path
    piece: OutputPiece
    ended: bool = False

    async def begin(self, offset: int, tail_lines: int | None) -> None:
        """Find where it begins."""
        if offset < 0 or tail_lines is not None:
            offset = await to_thread.run_sync(where_to_begin, self.path, offset, tail_lines)
        self.piece.offset = offset

    async def send(self, send_item: SendItem) -> None:
        """Send all there is by now."""
        while True:
            data, skipped, _ = await to_thread.run_sync(
                read_output, self.path, self.piece.offset, READ_LIMIT, abandon_on_cancel=True
            )
            if not data and not skipped:
                return
            self.piece.offset += skipped
            await send_item(msgspec.structs.replace(self.piece, data=data, skipped=skipped))
            self.piece.offset += len(data)


def _streams(ask: FollowOutput) -> tuple[str, ...]:
    return ("stdout", "stderr") if ask.stream == "both" else (ask.stream,)


class OutputStream:
    """What one attempt prints, as it grows; it ends with the attempt."""

    def __init__(self, queries: JobQueries, store: Store, ask: FollowOutput) -> None:
        self._queries = queries
        self._store = store
        self._services = queries.services
        self._ask = ask
        self._followed: list[_FollowedOutput] = []

    @property
    def last(self) -> int:
        """The journal's number."""
        return self._store.last_event

    async def prepare(self) -> int:
        """Find the attempt that is asked for; return the journal's number.

        Raises:
            NoSuchJob, BadRequest: there is none.
        """
        state = await self._queries.state(self._ask.job_id)
        printed = await find_output(self._services, state, self._ask)
        self._ask = msgspec.structs.replace(self._ask, attempt=printed.attempt)
        for stream in _streams(self._ask):
            piece = OutputPiece(
                sheet=printed.sheet,
                stage=printed.stage,
                instance=printed.instance,
                hook=printed.hook,
                attempt=printed.attempt,
                stream=stream,
                offset=0,
                data=b"",
            )
            followed = _FollowedOutput(printed.directory / stream, piece)
            await followed.begin(self._ask.offset, self._ask.tail_lines)
            self._followed.append(followed)
        return self.last

    async def run(self, send_item: SendItem) -> str:
        """Send pieces until the attempt has ended and all is sent; return the reason of the end."""
        while True:
            ended = await self._ended()
            for followed in self._followed:
                await followed.send(send_item)
            if ended:
                return "ended"
            await anyio.sleep(_LOOK_SECONDS)

    async def _ended(self) -> bool:
        state = await self._queries.state(self._ask.job_id)
        return (await find_output(self._services, state, self._ask)).ended


class JobOutputStream:
    """What all prints that is in flight of a run, or comes to be; it ends with the run.

    What a commit starts or ends is heard of there and then, so that none is missed however short it is.
    """

    def __init__(self, queries: JobQueries, store: Store, ask: FollowOutput) -> None:
        self._queries = queries
        self._store = store
        self._ask = ask
        self._run_id = 0
        self._followed: dict[tuple[str, str], _FollowedOutput] = {}
        self._over = False

    @property
    def last(self) -> int:
        """The journal's number."""
        return self._store.last_event

    async def prepare(self) -> int:
        """Find the run that is asked for; return the journal's number.

        Raises:
            NoSuchJob: there is none.
            BadRequest: params of one attempt's output were given.
        """
        if self._ask.offset or self._ask.attempt is not None:
            raise BadRequest("'offset' and 'attempt' are of one output: name its 'sheet' or 'hook'")
        state = await self._queries.state(self._ask.job_id)
        self._run_id = state.run.run_id
        for flight in state.with_process:
            self._take(flight)
        for followed in list(self._followed.values()):
            # before it is answered: what is printed from then on is what is asked for
            await followed.begin(0, self._ask.tail_lines)
        return self.last

    async def run(self, send_item: SendItem) -> str:
        """Send pieces until the run has ended and all is sent; return the reason of the end."""
        leave = self._queries.conductor.on_change(self._changed)
        try:
            state = await self._queries.state(self._ask.job_id)
            self._over = _is_over(state)
            flying = {flight.name for flight in state.with_process}
            for (name, _), followed in self._followed.items():
                followed.ended = name not in flying  # it may have, since it was answered
            for flight in state.with_process:
                self._take(flight)
            while True:
                over = self._over
                await self._send(send_item)
                if over and not self._followed:
                    return "ended"
                await anyio.sleep(_LOOK_SECONDS)
        finally:
            leave()

    async def _send(self, send_item: SendItem) -> None:
        for key, followed in list(self._followed.items()):
            ended = followed.ended
            await followed.send(send_item)
            if ended:
                await send_item(msgspec.structs.replace(followed.piece, ended=True))
                del self._followed[key]

    def _changed(self, job: JobActor, changes: Changes) -> None:
        if job.run_id != self._run_id:
            return
        for row in changes.rows:
            if isinstance(row, AttemptRow | HookRow):
                self._take(row)
        self._over = _is_over(job.state)

    def _take(self, flight: Placed) -> None:
        """Follow what is in flight, to its end where it has ended; what was never heard of ended long ago."""
        for piece in _pieces(flight, _streams(self._ask)):
            key = (flight.name, piece.stream)
            if key in self._followed:
                self._followed[key].ended = not _is_flying(flight)
            elif _is_flying(flight):
                directory = self._queries.services.directory(flight)
                self._followed[key] = _FollowedOutput(directory / piece.stream, piece)


def _is_over(state: RunState) -> bool:
    return state.run.ended is not None and not state.flights and not state.failing


def _is_flying(flight: Placed) -> bool:
    if isinstance(flight, HookRow):
        return flight.status == HookStatus.RUNNING
    return isinstance(flight, AttemptRow) and flight.outcome is None


def _pieces(flight: Placed, streams: tuple[str, ...]) -> Iterator[OutputPiece]:
    sheet = None if isinstance(flight, HookRow) else flight
    for stream in streams:
        yield OutputPiece(
            sheet=None if sheet is None else sheet.sheet,
            stage=None if sheet is None else sheet.stage,
            instance=None if sheet is None else sheet.instance,
            hook=flight.hook if isinstance(flight, HookRow) else None,
            attempt=flight.numbers["ATTEMPT"],
            stream=stream,
            offset=0,
            data=b"",
        )
