"""What is in flight, alive: how much it has printed, when last, and its last line.

Read off the files, in a thread: nothing tells of their growth. What was read holds until a file is another.
The line is quoted by the daemon, so that secrets are masked in it (docs/security.md) and control characters
are taken out.
"""

import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from anyio import to_thread

from marianned import files
from marianned.clock import nearest, timestamp
from marianned.conductor.services import Services, mask_of
from marianned.formatting import CONTROLS
from marianned.instruments.command_line import effective_output_format
from marianned.instruments.profile import OutputFormat
from marianned.masks import LONGEST, Mask
from marianned.progress.state.run import RunState
from marianned.progress.views import messages
from marianned.protocol import InFlight
from marianned.rows import AttemptRow, HookRow, RunRow

LINE_MOST = 200
"""Characters of a last line that are told."""
_MASKS_MOST = 256
_AT_ONCE_MOST = 4
"""Of so few flights it is seen at once that nothing was printed since the last look."""
_KNOWN_MOST = 256
"""Flights of which the last summary is kept."""
_LATELY_SECONDS, _LATELY_SECONDS_EACH = 1.0, 0.002
"""How old at most is what is told of more, and of very many for each: a look at a thousand takes some ms."""
_OUTPUTS_MOST = 8_192
_CONTROL = re.compile(f"[{CONTROLS}]+")
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
"""What a terminal takes for colours, moves and titles."""
_TAIL_BYTES = 4_096 + LONGEST
_STREAM_BYTES = 64 * 1024
"""Of an agent's stream, whose lines are JSON and long."""


class LiveOutput(NamedTuple):
    """Something in flight that prints: where, how it is read (None: as text), what masks its secrets."""

    directory: Path
    stream: OutputFormat | None
    mask: Mask


class OutputSummary(NamedTuple):
    """What is told of an output: its size, when it grew last, and its last line."""

    stdout_bytes: int
    last_output_at: str | None
    last_line: str | None


class _FileStamp(NamedTuple):
    """What tells a file from what it was: its file system and number, bytes, and when it changed (ns)."""

    device: int
    number: int
    size: int
    modified: int


_FileStamps = tuple[_FileStamp | None, _FileStamp | None]
"""Of stdout and stderr."""


class _CachedSummary(NamedTuple):
    """A summary, the stamps of the files before they were read for it, and the mask that was used."""

    stamps: _FileStamps
    summary: OutputSummary
    mask: Mask


Key = tuple[str | None, int | None, int | None, int]
"""Job (None: the one that is looked at), sheet, hook and attempt."""


def key_of(flight: InFlight) -> Key:
    """Return what tells one that is in flight from another."""
    return (flight.job_id, flight.sheet, flight.hook, flight.attempt)


class LiveOutputReader:
    """Looks at the outputs of what is in flight."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._masks: dict[int, tuple[RunRow, Mask]] = {}
        self._known: dict[Path, _CachedSummary] = {}
        self._lately: dict[Path, _CachedSummary] = {}
        self._lately_until = 0.0
        self._outputs: dict[int, tuple[AttemptRow | HookRow, LiveOutput]] = {}
        """Where rows print, by their identity: each look at a wide job asks for thousands."""

    async def with_outputs(self, state: RunState, found: Sequence[InFlight]) -> list[InFlight]:
        """Return what is in flight of a job with what its outputs tell; what prints nothing as it is."""
        outputs = self.outputs_of(state)
        if not outputs:
            return list(found)
        told = self.known_if_unchanged(outputs)
        if told is None:
            told = self._recent_summaries(outputs)
            summaries = await to_thread.run_sync(
                _read_summaries, {k: one for k, one in outputs.items() if k not in told}
            )
            told |= {key: cached.summary for key, cached in summaries.items()}
            self._keep(outputs, summaries)
        return [
            msgspec.structs.replace(one, **told[key]._asdict()) if (key := key_of(one)) in told else one
            for one in found
        ]

    def outputs_of(self, state: RunState) -> dict[Key, LiveOutput]:
        """Return the outputs of what is in flight of a job and prints."""
        return dict(self._iterate_outputs(state))

    def known_if_unchanged(self, outputs: Mapping[Key, LiveOutput]) -> dict[Key, OutputSummary] | None:
        """Return what was told last, where that is still so; None: it has to be looked for, in a thread.

        Nothing but four facts of each file are asked for here, of few, and only where they lie in the file
        system of the database, which each commit and each look at a job waits for in any case.
        """
        told: dict[Key, OutputSummary] = {}
        for key, one in outputs.items() if len(outputs) <= _AT_ONCE_MOST else ():
            known = self._known.get(one.directory)
            if known is None or known.mask is not one.mask or known.stamps != _file_stamps(one.directory):
                return None
            told[key] = known.summary
        return told or None

    def _recent_summaries(self, outputs: Mapping[Key, LiveOutput]) -> dict[Key, OutputSummary]:
        """Return what was told of many a moment ago: who looks on asks again and again, for all of them."""
        moment = time.monotonic()
        if moment > self._lately_until:
            self._lately.clear()
            self._lately_until = moment + max(_LATELY_SECONDS, len(outputs) * _LATELY_SECONDS_EACH)
        if len(outputs) <= _AT_ONCE_MOST:
            return {}
        recent = ((key, one, self._lately.get(one.directory)) for key, one in outputs.items())
        return {
            key: cached.summary
            for key, one, cached in recent
            if cached is not None and cached.mask is one.mask
        }

    def _keep(self, outputs: Mapping[Key, LiveOutput], summaries: Mapping[Key, _CachedSummary]) -> None:
        if len(outputs) > _AT_ONCE_MOST:
            self._lately.update((outputs[key].directory, cached) for key, cached in summaries.items())
        if len(self._known) + len(summaries) > _KNOWN_MOST:
            self._known.clear()
        if len(summaries) <= _AT_ONCE_MOST:
            here = self._services.store.device
            for key, cached in summaries.items():
                if all(stamp is not None and stamp.device == here for stamp in cached.stamps):
                    self._known[outputs[key].directory] = cached

    def _iterate_outputs(self, state: RunState) -> Iterator[tuple[Key, LiveOutput]]:
        for one in (state, *state.awaited):
            job_id = None if one is state else messages.run_address(one)
            for row in one.with_process:
                if isinstance(row, HookRow):
                    yield (job_id, None, row.hook, row.attempts), self._output_of(one, row)
                elif isinstance(row, AttemptRow):
                    yield (job_id, one.number_of(row), None, row.attempt), self._output_of(one, row)

    def _output_of(self, state: RunState, row: AttemptRow | HookRow) -> LiveOutput:
        mask = self._mask(state.run)
        known = self._outputs.get(id(row))
        if known is not None and known[0] is row and known[1].mask is mask:
            return known[1]
        if len(self._outputs) >= _OUTPUTS_MOST:
            self._outputs.clear()
        stream = None
        if isinstance(row, AttemptRow) and row.instrument in state.score.profiles:
            settings = state.definition(state.number_of(row)).settings
            output = effective_output_format(state.score.profiles[row.instrument], settings)
            stream = None if output.format == "text" else output
        found = LiveOutput(self._services.directory(row), stream, mask)
        self._outputs[id(row)] = row, found
        return found

    def _mask(self, run: RunRow) -> Mask:
        known = self._masks.get(run.run_id)
        if known is None or known[0].env is not run.env:
            if len(self._masks) >= _MASKS_MOST:
                self._masks.clear()
            known = self._masks[run.run_id] = (run, mask_of(self._services, run))
        return known[1]


def _read_summaries(outputs: Mapping[Key, LiveOutput]) -> dict[Key, _CachedSummary]:
    summaries = {}
    for key, one in outputs.items():
        stamps = _file_stamps(one.directory)
        summaries[key] = _CachedSummary(stamps, _summary(one, stamps), one.mask)
    return summaries


def _file_stamps(directory: Path) -> _FileStamps:
    stdout, stderr = (_file_stamp(f"{directory}/{name}") for name in ("stdout", "stderr"))
    return stdout, stderr


def _file_stamp(path: str) -> _FileStamp | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return _FileStamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def _summary(one: LiveOutput, stamps: _FileStamps) -> OutputSummary:
    stdout, _ = stamps
    size = 0 if stdout is None else stdout.size
    changed = max((stamp.modified for stamp in stamps if stamp and stamp.size), default=None)
    at = None if changed is None else timestamp(nearest(changed // 1_000_000))
    return OutputSummary(size, at, last_line(one) if size else None)


def last_line(one: LiveOutput) -> str | None:
    """Return the last line of an output that says something; of an agent's stream, what it said last."""
    path = one.directory / "stdout"
    if one.stream is None:
        text = files.tail(path, _TAIL_BYTES).decode(errors="replace")
        lines: Iterator[str] = iter(reversed(re.split(r"[\n\r]", one.mask.text(text))))
    else:
        from marianned.instruments.stream_view import StreamReader  # noqa: PLC0415  only where agents run

        _, _, whole = files.tail(path, _STREAM_BYTES).partition(b"\n")
        shown = list(StreamReader(one.stream).feed(whole))
        lines = (line for said in reversed(shown) for line in reversed(one.mask.text(said.text).splitlines()))
    return next((clean for line in lines if (clean := _clean(line))), None)


def _clean(line: str) -> str:
    plain = _CONTROL.sub("", _ESCAPES.sub("", line)).replace("\t", " ").strip()
    return plain if len(plain) <= LINE_MOST else f"{plain[: LINE_MOST - 1]}…"
