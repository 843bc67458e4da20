"""Scores, prompts, outputs and regexes, worked on in processes of their own: time and memory bounded.

The event loop never runs what a score can make slow. What happens to a worker happens to no sheet
(worker_pool.py). Compilers, template engine and readers of YAML are imported inside functions, and so by
workers alone: they would add half to the daemon's start. Source: docs/design/durability.md
"Faults and what must hold".
"""

import os
import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeVar, TypeVarTuple

import anyio
import msgspec
from anyio import to_thread

from marianned import files, memory, worker_pool
from marianned.accidents import is_scarcity
from marianned.decoding import from_msgpack
from marianned.errors import Problem
from marianned.instruments.command_line import effective_output_format
from marianned.instruments.profile import Profile
from marianned.instruments.result import CAPTURE_BYTES, EndReason, ParsedOutput, Verdict, text_of
from marianned.protocol import ErrorCategory, Outcome
from marianned.score.expanded import CompileResult, ExpandedScore, unpack_score
from marianned.score.language.expressions import JobValue, SheetValue
from marianned.score.read.reader import DiskReader, ScoreSource, StoredReader
from marianned.score.render.prompt_inputs import PreviousAttempt, UpstreamOutputs
from marianned.worker_pool import WORKERS, StartedNursery, WorkerLimit, call_within, fork_nursery, pool

__all__ = ["WORKERS", "StartedNursery", "WorkerLimit", "call_within", "fork_nursery"]

LIMIT_SECONDS = 10.0
"""How much processor time one call may take."""

PLAIN_BYTES = 64 * 1024
"""Of a script that ended well so much output is read without a worker."""
_OUTPUT_LIMIT = 32 * 1024**2
_SCORES_KEPT = 4
_SMALL_BYTES = 32 * 1024
"""An expanded score that is decoded in less time than a thread takes."""

T = TypeVar("T")
Args = TypeVarTuple("Args")


async def call(function: Callable[[*Args], T], *args: *Args) -> T:
    """Call a function of a module in a worker, within LIMIT_SECONDS of a processor's time.

    Raises:
        WorkerLimit, FlightAbandoned, Unavailable, Exception: see `worker_pool.call`.
    """
    return await worker_pool.call(LIMIT_SECONDS, function, *args)


def trouble() -> str | None:
    """Return why no worker can be had at the moment; None: nothing is known against it."""
    return pool().trouble


async def warm() -> None:
    """Start a worker that has loaded all it will need, so that the first job does not wait for it."""
    await call(os.getpid)


@asynccontextmanager
async def running(born: StartedNursery | None = None) -> AsyncIterator[None]:
    """End workers that have nothing to do, and all at the end of the block; `born` is the first nursery."""
    if born is not None:
        pool().adopt(born)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pool().let_idle_go)
        try:
            yield
        finally:
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await pool().close()


def load(builtin: dict[str, Profile] | None = None) -> dict[str, Profile]:
    """Load all that a worker will ever need: from then on the files of the package may change or go.

    Parts of the template engine and of the readers load when they are first used: they are used here.
    `builtin` are the profiles that are shipped; null: they are read. Returns them.
    """
    import http.client
    import ssl
    import urllib.request

    import jinja2.constants  # of lipsum()
    import jinja2.debug  # where a template fails

    from marianned.instruments import loader, output
    from marianned.score.check import compiler, explain, profiles
    from marianned.score.render import assembly, injected_files, template

    if builtin is not None:
        loader.preload_builtin_profiles(builtin)
    del http, ssl, urllib, jinja2, output, assembly, compiler, explain, injected_files, profiles, template
    source = ScoreSource(
        text=_SMALL.encode(), file="/none/small.yaml", directory="/none", submit_directory="/none"
    )
    packed = _compile(source, {})[1]
    if packed:
        _explain(unpack_score(packed), True)  # noqa: FBT003  as above
    _known_profiles(None)
    return loader.builtin_profiles()


_SMALL = """
name: small
workspace: /none/small
instrument: cli
sheet: {size: 1, total_items: 1}
prompt: {template: "{{ sheet_num | string | upper }} {% for one in [1] %}{{ one }}{% endfor %}"}
"""


async def compile_score(source: ScoreSource) -> CompileResult:
    """Compile a score with the files beside it, as they are on the disk now."""
    return await _compiled(source, None)


async def compile_stored(source: ScoreSource, files: Mapping[str, str]) -> CompileResult:
    """Compile a score with the files that were stored with its revision (absolute path → text)."""
    return await _compiled(source, dict(files))


async def _compiled(source: ScoreSource, files: dict[str, str] | None) -> CompileResult:
    told, packed = await call(_compile, source, files)
    compiled = from_msgpack(told, CompileResult)
    if not packed:
        return compiled
    return msgspec.structs.replace(compiled, expanded=await unpack(packed), packed=packed)


async def unpack(data: bytes) -> ExpandedScore:
    """Decode an ExpandedScore from msgpack, a large one in a thread.

    Raises:
        Undecodable: it is none of this version of the program.
    """
    return unpack_score(data) if len(data) < _SMALL_BYTES else await to_thread.run_sync(unpack_score, data)


def _compile(source: ScoreSource, files: dict[str, str] | None) -> tuple[bytes, bytes]:
    """Return what it compiles to, and by itself the expanded score, if there is one."""
    from marianned.instruments.loader import builtin_profiles
    from marianned.score.check.compiler import compile_score

    reader = DiskReader() if files is None else StoredReader(files)
    with memory.without_collecting():
        compiled = compile_score(source, reader, builtin_profiles())
    packed = b"" if compiled.expanded is None else msgspec.msgpack.encode(compiled.expanded)
    return msgspec.msgpack.encode(msgspec.structs.replace(compiled, expanded=None)), packed


class RenderedPrompt(NamedTuple):
    """A sheet's body, the whole prompt, and what is missing of the files injected into it, in a line each."""

    body: str
    prompt: str
    missing: list[str]


async def render_prompt(
    key: str,
    expanded: bytes,
    sheet: int,
    previous: UpstreamOutputs,
    previous_attempt: PreviousAttempt | None,
    fallback: int = 0,
) -> RenderedPrompt:
    """Render a sheet's body and the whole prompt around it, with the files that are injected into it.

    Args:
        key: names these bytes and no others, for as long as this daemon lives.
        expanded: an ExpandedScore in msgpack; a worker that knows the key does not get them again.
        sheet: its number.
        previous: what the sheet sees of earlier ones and of files.
        previous_attempt: for attempts of kind retry and completion.
        fallback: which of its fallbacks the sheet has come to; 0: none.

    Raises:
        RenderError: the template fails with these values, or a required file is missing.
        WorkerLimit: see `call`.
    """
    return await _with_score(_render, key, expanded, sheet, previous, previous_attempt, fallback)


_scores: OrderedDict[str, ExpandedScore] = OrderedDict()
"""In a worker: the scores it was given, the least recently used first."""


def _render(
    key: str,
    data: bytes | None,
    sheet: int,
    previous: UpstreamOutputs,
    previous_attempt: PreviousAttempt | None,
    fallback: int,
) -> RenderedPrompt | None:
    from marianned.score.render.assembly import assemble_prompt
    from marianned.score.render.injected_files import inject
    from marianned.score.render.template import Renderer

    known = _cached_score(key, data)
    if known is None:
        return None
    expanded = known.with_fallback(sheet, fallback)
    renderer = Renderer(expanded)
    definition = expanded.sheets[sheet - 1]
    injected = inject(renderer, definition, previous, DiskReader())
    body = renderer.body(definition, previous, injected)
    prompt = assemble_prompt(expanded, sheet, body, previous_attempt, injected)
    return RenderedPrompt(body, prompt, [*injected.missing, *injected.passed_over])


async def _with_score(
    function: Callable[[str, bytes | None, *Args], T | None], key: str, expanded: bytes, *args: *Args
) -> T:
    """Call a function that works with a score; send the score only where the worker does not know it."""
    answer = await call(function, key, None, *args)
    if answer is None:
        answer = await call(function, key, expanded, *args)
    assert answer is not None
    return answer


def _cached_score(key: str, data: bytes | None) -> ExpandedScore | None:
    if data is not None:
        _scores[key] = from_msgpack(data, ExpandedScore)
    if key not in _scores:
        return None
    _scores.move_to_end(key)
    while len(_scores) > _SCORES_KEPT:
        _scores.popitem(last=False)
    return _scores[key]


async def skip_when(
    key: str,
    expanded: bytes,
    sheet: int,
    previous: UpstreamOutputs,
    sheets: dict[int, SheetValue],
    job: JobValue,
) -> bool:
    """Evaluate a sheet's `skip_when`; `key` and `expanded` as for `render_prompt`.

    Raises:
        BadExpression: it has no value as things are.
        WorkerLimit: see `call`.
    """
    return await _with_score(_skip_when, key, expanded, sheet, previous, sheets, job)


def _skip_when(
    key: str,
    data: bytes | None,
    sheet: int,
    previous: UpstreamOutputs,
    sheets: dict[int, SheetValue],
    job: JobValue,
) -> bool | None:
    from marianned.score.language.expressions import evaluate
    from marianned.score.render.template import Renderer

    expanded = _cached_score(key, data)
    if expanded is None:
        return None
    definition = expanded.sheets[sheet - 1]
    assert definition.skip is not None
    values = Renderer(expanded).values(definition, previous)
    return evaluate(definition.skip.when or "False", {**values, "sheets": sheets, "job": job})


async def until(
    key: str,
    expanded: bytes,
    place: int,
    round_number: int,
    sheets: dict[int, SheetValue],
    passed: bool,  # noqa: FBT001  a worker is called by position
    job: JobValue,
) -> bool:
    """Evaluate the `until` of a loop, by its place in the score; `key` and `expanded` as for `render_prompt`.

    Raises:
        BadExpression: it has no value as things are.
        RenderError: a path that it names can't be made.
        WorkerLimit: see `call`.
    """
    return await _with_score(_until, key, expanded, place, round_number, sheets, passed, job)


def _until(
    key: str,
    data: bytes | None,
    place: int,
    round_number: int,
    sheets: dict[int, SheetValue],
    passed: bool,  # noqa: FBT001
    job: JobValue,
) -> bool | None:
    from marianned.score.language.expressions import evaluate
    from marianned.score.render.template import Renderer

    expanded = _cached_score(key, data)
    if expanded is None:
        return None
    loop = expanded.loops[place]
    values = Renderer(expanded).values(expanded.sheets[loop.ends[0] - 1], UpstreamOutputs(round=round_number))
    values["loop"] = SimpleNamespace(**{"round": round_number, loop.index: round_number, "passed": passed})
    files_of = dict(values)
    values |= {
        "sheets": sheets,
        "job": job,
        "file": lambda name: _ExpressionFile(name, files_of, job.workspace),
    }
    return evaluate(loop.until or "loop.passed", values)


class _ExpressionFile:
    """A file as an expression sees it, now; what is not there, or is no regular file, contains nothing.

    What is there and can't be looked at has no answer: a round would be paid for nothing. A link that leads
    out of the workspace is such (docs/security.md).
    """

    def __init__(self, name: str, values: Mapping[str, object], workspace: str) -> None:
        from marianned.score.language.placeholders import fill_path
        from marianned.score.read.reader import is_below

        self._name = name
        self._path = os.path.join(workspace, os.path.expanduser(fill_path(name, values)))  # noqa: PTH111, PTH118  texts are wanted
        self._below = workspace if is_below(self._path, workspace) else None

    @property
    def exists(self) -> bool:
        """Whether it is a regular file."""
        return self._looked_at(lambda: files.is_regular(self._path, below=self._below), otherwise=False)

    def contains(self, text: str) -> bool:
        """Whether its text contains this one."""
        return text in self._text()

    def matches(self, pattern: str) -> bool:
        """Whether a regular expression is found in its text."""
        return re.search(pattern, self._text(), re.MULTILINE) is not None

    def _text(self) -> str:
        def read() -> str:
            if not files.is_regular(self._path, below=self._below):
                return ""
            return files.read(self._path, files.RECORD_MOST, below=self._below).decode(errors="replace")

        return self._looked_at(read, otherwise="")

    def _looked_at(self, look: Callable[[], T], *, otherwise: T) -> T:
        from marianned.score.language.expressions import BadExpression

        try:
            return look()
        except FileNotFoundError:
            return otherwise  # it went meanwhile
        except OSError as error:
            if is_scarcity(error):
                raise
            raise BadExpression(f"file('{self._name}'): {error.strerror or 'it cannot be read'}") from None


async def explain(expanded: ExpandedScore, *, prompts: bool) -> list[dict[str, Any]]:
    """Write out the sheets of an expanded score as plain values, with their prompts if asked for."""
    return await call(_explain, expanded, prompts)


def _explain(expanded: ExpandedScore, prompts: bool) -> list[dict[str, Any]]:  # noqa: FBT001  a worker is called by position
    from marianned.score.check import explain

    return explain.explain(expanded, prompts)


async def capture_patterns(expanded: ExpandedScore, sheet: int) -> list[str]:
    """Return the globs whose files the sheet sees as `previous_files`, absolute.

    Raises:
        RenderError: one cannot be rendered.
        WorkerLimit: see `call`.
    """
    return await call(_capture_patterns, expanded, sheet)


def _capture_patterns(expanded: ExpandedScore, sheet: int) -> list[str]:
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
    ended: EndReason | None = None,
    ended_at: int | None = None,
) -> tuple[ParsedOutput, Verdict]:
    """Read the outputs of an attempt whose process has ended, and judge it.

    Source: docs/reference/score-format.md §15.2.

    `stdout` and `stderr` are paths; of each file the last 32 MiB are looked at. One that is gone counts as
    empty, `unread` of the reading says so: how the process ended is known without it. Outputs that can't be
    read within the limits make a failed attempt: an unknown end is never a success. `ended_at` (UTC
    milliseconds; null: now) is the moment that reset times are told from.
    """
    end = _ProcessEnd(exit_code, signal_name, timed_out, timeout_seconds, tuple(detection_patterns), ended)
    try:
        return await call(_read_end, profile, dict(settings), stdout, stderr, end, ended_at)
    except WorkerLimit as limit:
        from marianned.instruments.output import classify

        reading = ParsedOutput(result="", parsed=False)
        verdict = classify(profile, reading, **end.asdict(), stderr=b"")
        if verdict.outcome is Outcome.SUCCEEDED:
            verdict = Verdict(
                Outcome.FAILED, ErrorCategory.NO_RESULT, f"the output could not be read: {limit.message}"
            )
        return reading, verdict


def read_plain_end(
    profile: Profile, settings: Mapping[str, Any], *, stdout: str, stderr: str, exit_code: int | None
) -> tuple[ParsedOutput, Verdict] | None:
    """Read what a script has printed that ended well and by itself, if that is little; blocks.

    Nothing is searched in it, so nothing can make it slow. None: `read_end` has to, which would say the same.
    """
    output = effective_output_format(profile, settings)
    errors = profile.cli.errors if profile.cli and profile.raw_prompt else None
    if errors is None or exit_code not in errors.success_exit_codes or errors.failure_patterns:
        return None
    if output.format != "text" or output.text_amounts is not None or output.require_result:
        return None
    try:
        data, size = files.head(stdout, PLAIN_BYTES)
        os.close(files.open_regular(stderr))
    except OSError:
        return None
    if size > PLAIN_BYTES:
        return None
    keep = settings.get("max_output_capture_bytes") or CAPTURE_BYTES
    return ParsedOutput(result=text_of(data.replace(b"\0", b""), keep)), Verdict(Outcome.SUCCEEDED, None, "")


class _ProcessEnd(msgspec.Struct, frozen=True):
    exit_code: int | None
    signal: str | None
    timed_out: bool
    timeout_seconds: float
    detection_patterns: tuple[str, ...]
    ended: EndReason | None

    def asdict(self) -> dict[str, Any]:
        return msgspec.structs.asdict(self)


def _read_end(
    profile: Profile,
    settings: dict[str, Any],
    stdout: str,
    stderr: str,
    end: _ProcessEnd,
    ended_at: int | None,
) -> tuple[ParsedOutput, Verdict]:
    from marianned.instruments.output import classify, read_output

    unread: list[str] = []
    errors = _output(stderr, unread)
    reading = read_output(profile, settings, _output(stdout, unread), errors)
    reading = msgspec.structs.replace(reading, unread=[*unread, *reading.unread])
    here = (
        datetime.now(_LocalTimezone())
        if ended_at is None
        else datetime.fromtimestamp(ended_at / 1000, _LocalTimezone())
    )
    return reading, classify(profile, reading, **end.asdict(), stderr=errors, now=here)


class _LocalTimezone(tzinfo):
    """The zone of this machine, its changes of clocks included; `astimezone` alone has one offset."""

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        """Return how far it is ahead of UTC at a moment."""
        return None if moment is None else moment.replace(tzinfo=None).astimezone().utcoffset()

    def dst(self, _moment: datetime | None) -> timedelta | None:
        """Tell nothing: `utcoffset` has it in it."""
        return None

    def tzname(self, _moment: datetime | None) -> str | None:
        """Return what it is called."""
        return "local"

    def fromutc(self, moment: datetime) -> datetime:
        """Return what clocks show here."""
        return moment.replace(tzinfo=UTC).astimezone().replace(tzinfo=self)


def _output(path: str, unread: list[str]) -> bytes:
    """Return the end of an output; what was punched out of its middle reads as zeros, and is left out.

    Where no output is to be had any more, because somebody took it away or put something else in its place,
    `unread` gets a line and it counts as empty.
    """
    try:
        descriptor = files.open_regular(path)
    except OSError as error:
        if is_scarcity(error):
            raise
        name = os.path.basename(path)  # noqa: PTH119  paths come as texts
        why = "is gone" if isinstance(error, FileNotFoundError) else f"can't be read ({error.strerror})"
        unread.append(f"its {name} {why}: it counts as empty")
        return b""
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
    from marianned.score.read.report import ProblemReport

    report = ProblemReport("")
    files: dict[str, str] = {}
    builtin = {name: profile for name, profile in builtin_profiles().items() if name == profile.name}
    found = find_profiles(directory or "/", builtin, DiskReader(), report, files)
    known = [KnownProfile(found.profiles[name], found.places.get(name)) for name in sorted(found.profiles)]
    return KnownProfiles(known, report.problems)
