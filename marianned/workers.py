"""Scores, prompts, outputs and regexes, worked on in processes of their own: time and memory bounded.

The event loop never runs what a score can make slow. A worker that is too slow is killed, one that dies
takes only its own call along; none outlives the daemon. Compilers, template engine and readers of YAML are
imported inside functions, and so by workers alone: they would add half to the daemon's start. Source:
docs/design/durability.md.
"""

import ctypes
import os
import resource
import signal
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple, TypeVar, TypeVarTuple

import anyio
import msgspec
from anyio import to_process
from anyio.lowlevel import RunVar

from marianned import files
from marianned.errors import Problem
from marianned.instruments.profile import Profile
from marianned.instruments.verdict import Reading, Verdict
from marianned.protocol import Outcome
from marianned.score.expanded import Compiled, Expanded
from marianned.score.language.expressions import JobSeen, SheetSeen
from marianned.score.read.reader import DiskReader, Source, StoredReader
from marianned.score.render.prompt_inputs import Previous, PreviousAttempt

LIMIT_SECONDS = 10.0
"""How long one call may take, from when a worker is free for it."""
MEMORY_LIMIT = 2 * 1024**3
"""Bytes of address space of one worker."""
WORKERS = 2

_OUTPUT_LIMIT = 32 * 1024**2
_SCORES_KEPT = 4
_PR_SET_PDEATHSIG = 1

T = TypeVar("T")
Args = TypeVarTuple("Args")
_turns: RunVar[anyio.CapacityLimiter] = RunVar("marianne_worker_turns")


class WorkerLimit(Exception):
    """A call took too long or too much memory, or its worker died; the next call gets another worker."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


async def call(function: Callable[[*Args], T], *args: *Args) -> T:
    """Call a function of a module in a worker; its arguments, result and exceptions are pickled.

    Raises:
        WorkerLimit: it took over LIMIT_SECONDS or MEMORY_LIMIT, or the worker died.
        Exception: what the function raises; an OSError becomes a WorkerLimit.
    """
    turns = _turns.get(None)
    if turns is None:
        turns = anyio.CapacityLimiter(WORKERS)
        _turns.set(turns)
    async with turns:
        return await call_within(LIMIT_SECONDS, function, *args)


async def call_within(seconds: float, function: Callable[[*Args], T], *args: *Args) -> T:
    """Call a function as `call` does, within other limits of time; how many do at once is the caller's care.

    Raises:
        WorkerLimit, Exception: see `call`.
    """
    with anyio.move_on_after(seconds):
        try:
            done = await to_process.run_sync(
                _inside, os.getpid(), function, args, cancellable=True, limiter=anyio.CapacityLimiter(1)
            )
            if isinstance(done, _Raised):
                raise done.again()
            return done  # noqa: TRY300  what comes next is what was too slow
        except anyio.BrokenWorkerProcess:
            raise WorkerLimit("the worker process died over it") from None
        except MemoryError:
            raise WorkerLimit(f"it needs over {MEMORY_LIMIT // 1024**3} GiB of memory") from None
        except OSError as error:
            raise WorkerLimit(f"no worker process could do it: {error.strerror}") from None
        except RecursionError:
            raise WorkerLimit("it is nested too deeply") from None
    raise WorkerLimit(f"it takes over {seconds:g} s")


class _Raised(NamedTuple):
    """An exception on its way: pickle itself would call its class with the wrong arguments."""

    kind: type[Exception]
    args: tuple[Any, ...]
    state: dict[str, Any]

    def again(self) -> Exception:
        error = self.kind.__new__(self.kind, *self.args)
        error.__dict__.update(self.state)
        return error


def _inside(daemon: int, function: Callable[..., T], args: tuple[Any, ...]) -> "T | _Raised":
    _bound(daemon)
    try:
        return function(*args)
    except Exception as error:  # noqa: BLE001  whatever it is, it is raised again on the other side
        return _Raised(type(error), error.args, error.__dict__)


@cache
def _bound(daemon: int) -> None:
    """Once in a worker: no more memory than the limit, no life after the daemon's, deaf to the terminal."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    limit = MEMORY_LIMIT if most == resource.RLIM_INFINITY else min(MEMORY_LIMIT, most)
    resource.setrlimit(resource.RLIMIT_AS, (limit, most))
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != daemon:
        os._exit(1)


async def warm() -> None:
    """Start a worker and let it import what it will need, so that the first job does not pay for it."""
    await call(_warm)


def _warm() -> int:
    from marianned.instruments import reading
    from marianned.instruments.loader import builtin_profiles
    from marianned.score.check import compiler
    from marianned.score.render import injecting

    return len([compiler, injecting, reading, *builtin_profiles()])


async def compile_score(source: Source) -> Compiled:
    """Compile a score with the files beside it, as they are on the disk now."""
    return _compiled.decode(await call(_compile, source, None))


async def compile_stored(source: Source, files: Mapping[str, str]) -> Compiled:
    """Compile a score with the files that were stored with its revision (absolute path → text)."""
    return _compiled.decode(await call(_compile, source, dict(files)))


_compiled = msgspec.msgpack.Decoder(Compiled)


def _compile(source: Source, files: dict[str, str] | None) -> bytes:
    """In msgpack: 10,000 sheets hold the event loop up for 40 ms, pickled ones for 100."""
    from marianned.instruments.loader import builtin_profiles
    from marianned.score.check.compiler import compile_score

    reader = DiskReader() if files is None else StoredReader(files)
    return msgspec.msgpack.encode(compile_score(source, reader, builtin_profiles()))


class Rendered(NamedTuple):
    """A sheet's body, the whole prompt, and what is missing of the files injected into it, in a line each."""

    body: str
    prompt: str
    missing: list[str]


async def render_prompt(
    key: str,
    expanded: bytes,
    sheet: int,
    previous: Previous,
    previous_attempt: PreviousAttempt | None,
    fallback: int = 0,
) -> Rendered:
    """Render a sheet's body and the whole prompt around it, with the files that are injected into it.

    Args:
        key: names these bytes and no others, for as long as this daemon lives.
        expanded: an Expanded in msgpack; a worker that knows the key does not get them again.
        sheet: its number.
        previous: what the sheet sees of earlier ones and of files.
        previous_attempt: for attempts of kind retry and completion.
        fallback: which of its fallbacks the sheet has come to; 0: none.

    Raises:
        RenderError: the template fails with these values, or a required file is missing.
        WorkerLimit: see `call`.
    """
    known = await call(_render, key, None, sheet, previous, previous_attempt, fallback)
    if known is None:
        known = await call(_render, key, expanded, sheet, previous, previous_attempt, fallback)
    assert known is not None
    return known


_scores: OrderedDict[str, Expanded] = OrderedDict()
"""In a worker: the scores it was given, the least recently used first."""


def _render(
    key: str,
    data: bytes | None,
    sheet: int,
    previous: Previous,
    previous_attempt: PreviousAttempt | None,
    fallback: int,
) -> Rendered | None:
    from marianned.score.render.assembly import assemble_prompt
    from marianned.score.render.injecting import inject
    from marianned.score.render.template import Renderer

    known = _known(key, data)
    if known is None:
        return None
    expanded = known.on(sheet, fallback)
    renderer = Renderer(expanded)
    seat = expanded.sheets[sheet - 1]
    injected = inject(renderer, seat, previous, DiskReader())
    body = renderer.body(seat, previous, injected)
    prompt = assemble_prompt(expanded, sheet, body, previous_attempt, injected)
    return Rendered(body, prompt, injected.missing)


def _known(key: str, data: bytes | None) -> Expanded | None:
    if data is not None:
        _scores[key] = msgspec.msgpack.decode(data, type=Expanded)
    if key not in _scores:
        return None
    _scores.move_to_end(key)
    while len(_scores) > _SCORES_KEPT:
        _scores.popitem(last=False)
    return _scores[key]


async def skip_when(
    key: str, expanded: bytes, sheet: int, previous: Previous, sheets: dict[int, SheetSeen], job: JobSeen
) -> bool:
    """Evaluate a sheet's `skip_when`; `key` and `expanded` as for `render_prompt`.

    Raises:
        BadExpression: it has no value as things are.
        WorkerLimit: see `call`.
    """
    known = await call(_skip_when, key, None, sheet, previous, sheets, job)
    if known is None:
        known = await call(_skip_when, key, expanded, sheet, previous, sheets, job)
    assert known is not None
    return known


def _skip_when(
    key: str,
    data: bytes | None,
    sheet: int,
    previous: Previous,
    sheets: dict[int, SheetSeen],
    job: JobSeen,
) -> bool | None:
    from marianned.score.language.expressions import evaluate
    from marianned.score.render.template import Renderer

    expanded = _known(key, data)
    if expanded is None:
        return None
    seat = expanded.sheets[sheet - 1]
    assert seat.skip is not None
    values = Renderer(expanded).values(seat, previous)
    return evaluate(seat.skip.when or "False", {**values, "sheets": sheets, "job": job})


async def explain(expanded: Expanded, *, prompts: bool) -> list[dict[str, Any]]:
    """Write out the sheets of an expanded score as plain values, with their prompts if asked for."""
    return await call(_explain, expanded, prompts)


def _explain(expanded: Expanded, prompts: bool) -> list[dict[str, Any]]:  # noqa: FBT001  a worker is called by position
    from marianned.score.check import explain

    return explain.explain(expanded, prompts)


async def capture_patterns(expanded: Expanded, sheet: int) -> list[str]:
    """Return the globs whose files the sheet sees as `previous_files`, absolute.

    Raises:
        RenderError: one cannot be rendered.
        WorkerLimit: see `call`.
    """
    return await call(_capture_patterns, expanded, sheet)


def _capture_patterns(expanded: Expanded, sheet: int) -> list[str]:
    from marianned.score.render import template

    return template.capture_patterns(expanded, sheet)


async def read_end(
    profile: Profile,
    settings: Mapping[str, Any],
    *,
    stdout: str,
    stderr: str,
    exit_code: int | None,
    signal_name: str | None,
    timed_out: bool,
    timeout_seconds: float,
    detection_patterns: Sequence[str] = (),
) -> tuple[Reading, Verdict]:
    """Read the outputs of an attempt whose process has ended, and judge it.

    Source: docs/reference/score-format.md §15.2.

    `stdout` and `stderr` are paths; of each file the last 32 MiB are looked at. Outputs that can't be
    read, or not within the limits, make a failed attempt: an unknown end is never a success.
    """
    end = _End(exit_code, signal_name, timed_out, timeout_seconds, tuple(detection_patterns))
    try:
        return await call(_read_end, profile, dict(settings), stdout, stderr, end)
    except WorkerLimit as limit:
        from marianned.instruments.reading import classify

        reading = Reading(result="", parsed=False)
        verdict = classify(profile, reading, **end.asdict(), stderr=b"")
        if verdict.outcome is Outcome.SUCCEEDED:
            verdict = Verdict(Outcome.FAILED, "no_result", f"the output could not be read: {limit.message}")
        return reading, verdict


class _End(msgspec.Struct, frozen=True):
    exit_code: int | None
    signal: str | None
    timed_out: bool
    timeout_seconds: float
    detection_patterns: tuple[str, ...]

    def asdict(self) -> dict[str, Any]:
        return msgspec.structs.asdict(self)


def _read_end(
    profile: Profile, settings: dict[str, Any], stdout: str, stderr: str, end: _End
) -> tuple[Reading, Verdict]:
    from marianned.instruments.reading import classify, read_output

    errors = _output(stderr)
    reading = read_output(profile, settings, _output(stdout), errors)
    here = datetime.now().astimezone()
    return reading, classify(profile, reading, **end.asdict(), stderr=errors, now=here)


def _output(path: str) -> bytes:
    """Return the end of an output; what was punched out of its middle reads as zeros, and is left out."""
    descriptor = files.opened(path)
    with os.fdopen(descriptor, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _OUTPUT_LIMIT))
        return file.read(_OUTPUT_LIMIT).replace(b"\0", b"")


class KnownProfile(msgspec.Struct, frozen=True):
    """A profile that a score can name, and its file; null: it is built in."""

    profile: Profile
    file: str | None


class KnownProfiles(msgspec.Struct, frozen=True):
    """The profiles by name, and what is wrong with those that can't be read."""

    profiles: list[KnownProfile]
    problems: list[Problem]


async def known_profiles(directory: str | None) -> KnownProfiles:
    """Find the profiles that a score in this directory (null: in none) could name."""
    return await call(_known_profiles, directory)


def _known_profiles(directory: str | None) -> KnownProfiles:
    from marianned.instruments.loader import builtin_profiles
    from marianned.score.check.profiles import find_profiles
    from marianned.score.read.report import Report

    report = Report("")
    files: dict[str, str] = {}
    builtin = {name: profile for name, profile in builtin_profiles().items() if name == profile.name}
    found = find_profiles(directory or "/", builtin, DiskReader(), report, files)
    known = [KnownProfile(found.profiles[name], found.places.get(name)) for name in sorted(found.profiles)]
    return KnownProfiles(known, report.problems)
