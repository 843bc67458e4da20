"""`mzt logs`: what a job's sheets printed."""

import codecs
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from marianne_cli import exits, options, waiting
from marianne_cli.commands.status import job_details
from marianne_cli.context import Answer, Invocation
from marianne_cli.screens import outputs
from marianned.errors import BadRequest
from marianned.formatting import sheet_name

if TYPE_CHECKING:
    from marianne_cli.screens.transcript import Transcript

Result = Mapping[str, Any]
_Place = tuple[int | None, int | None]
"""A sheet's number, or 0 and a hook's."""
_Stream = tuple[_Place, int, str]
_HOOK = "hook."


@options.command(
    "logs",
    "mzt logs release-notes",
    "mzt logs release-notes 2,3 -n 20",
    "mzt logs release-notes -F",
    "mzt logs release-notes 2 --raw > out.txt",
)
@options.job_argument
@options.sheets_argument
@options.follow_option
@options.lines_option(None)
@click.option(
    "--attempt", metavar="INT", type=click.IntRange(1), help="Show this attempt instead of the newest."
)
@click.option("--raw", "mode", flag_value="raw", help="Print the bytes of standard output, nothing added.")
@click.option(
    "--stderr",
    "mode",
    flag_value="stderr",
    help="Print standard error, nothing added; its bytes, unless to a terminal.",
)
@click.option("--prompt", "mode", flag_value="prompt", help="Print the prompt it was given.")
@click.option("--result", "mode", flag_value="result", help="Print its result text.")
def command(
    call: Invocation,
    *,
    job: str,
    sheets: str | None,
    follow: bool,
    lines: int | None,
    attempt: int | None,
    mode: str | None,
) -> Answer:
    """Show what sheets printed: those named, else those in flight or to be tried again, else the last."""
    named, hooks = _split(sheets)
    details = job_details(call, job, named)
    chosen = _chosen(details, hooks, named=named is not None, attempt=attempt)
    if follow:
        if mode in {"prompt", "result"} or lines is not None:
            raise click.UsageError("-F goes with none of -n, --prompt, --result")
        return _follow(call, details, chosen, mode, only_named=sheets is not None)
    if not chosen:
        note = f"no sheet of '{details['job_id']}' has printed anything yet"
        call.note(note)
        return Answer({**_job(details), "message": note, "outputs": []}, text="")
    read = [_output(call, details["job_id"], sheet, number, mode) for sheet, number in chosen]
    if call.as_json:
        whole = details if named is None else job_details(call, job)
        return Answer(
            {
                **_job(details),
                "message": _message(whole, chosen),
                "outputs": [_told(o, lines) for o in read],
            }
        )
    if _as_bytes(mode) and len(read) == 1:
        sys.stdout.buffer.write(_last(read[0][_stream(mode)], lines))
        sys.stdout.buffer.flush()
        return Answer({}, printed=True)
    text = "".join(_text(output, mode, lines, several=len(read) > 1) for output in read)
    return Answer({}, text=text)


def _as_bytes(mode: str | None) -> bool:
    """Whether a stream is printed as it is; to a terminal only what --raw asks for is."""
    return mode == "raw" or (mode == "stderr" and not sys.stdout.isatty())


def _stream(mode: str | None) -> str:
    return "stdout" if mode in {None, "raw"} else str(mode)


def _job(details: Result) -> dict[str, Any]:
    return {
        key: value
        for key, value in details.items()
        if key not in {"sheets", "total_sheets", "hooks", "hints"}
    }


def _split(sheets: str | None) -> tuple[str | None, str]:
    """Split what was named into sheets and hooks: `2,hook.1` into `2` and `1`; `hook.all` is all of them."""
    words = [] if sheets is None else [word.strip() for word in sheets.split(",")]
    hooks = ",".join(word.removeprefix(_HOOK) for word in words if word.startswith(_HOOK))
    rest = ",".join(word for word in words if not word.startswith(_HOOK))
    return (rest if rest or not hooks else None) if sheets is not None else None, hooks


def _hooks(details: Result) -> list[dict[str, Any]]:
    """Return the hooks that have been started, each in the place of a sheet."""
    place = {"sheet": None, "stage": None, "instance": None}
    return [{**hook, **place} for hook in details.get("hooks", []) if hook["attempt_count"]]


def _chosen(details: Result, hooks: str, *, named: bool, attempt: int | None) -> list[tuple[Result, int]]:
    """Return the sheets and hooks to show, each with its attempt."""
    tried = [sheet for sheet in details["sheets"] if sheet["attempt_count"]]
    if named or hooks:
        picked = [sheet for sheet in tried if sheet["attempts"]] if named else []
        wanted = hooks.split(",")
        picked += [hook for hook in _hooks(details) if "all" in wanted or str(hook["hook"]) in wanted]
    else:
        tried += _hooks(details)
        own = [flight for flight in details["in_flight"] if not flight.get("job_id")]
        flying = {(flight["sheet"], flight.get("hook")) for flight in own}
        picked = [sheet for sheet in tried if (sheet["sheet"], sheet.get("hook")) in flying]
        picked = picked or [sheet for sheet in tried if sheet["waiting_for"]]
        ended = [sheet for sheet in tried if sheet["ended_at"]]
        if not picked and ended:
            picked = [max(ended, key=lambda sheet: str(sheet["ended_at"]))]
    for sheet in picked:
        if attempt is not None and attempt > sheet["attempt_count"]:
            raise BadRequest(
                f"{_what(sheet)} of '{details['job_id']}' has {sheet['attempt_count']} attempts",
                job_id=details["job_id"],
                status=details["status"],
            )
    return [(sheet, attempt or sheet["attempt_count"]) for sheet in picked]


def _output(call: Invocation, job_id: str, sheet: Result, attempt: int, mode: str | None) -> dict[str, Any]:
    """Read the streams of one attempt that are wanted: with --json all of them, else as people read them."""
    place = {key: sheet.get(key) for key in ("sheet", "stage", "instance", "hook", "name")}
    if call.as_json:
        wanted = ["stdout", "stderr", *({mode} & {"prompt", "result"} if mode else ["result"])]
    elif mode is not None:
        wanted = [_stream(mode)]
    else:
        sources = [outputs.Source.of(sheet, attempt, stream) for stream in ("stdout", "stderr")]
        lines = [line for source in sources for line in _transcript(call, job_id, source)]
        return {**place, "attempt": attempt, "lines": lines}
    read: dict[str, Any] = {
        stream: outputs.read(call, job_id, outputs.Source.of(sheet, attempt, stream)) for stream in wanted
    }
    return {**place, "attempt": attempt, **read}


def _transcript(call: Invocation, job_id: str, source: outputs.Source) -> Iterator[str]:
    from marianne_cli.screens.transcript import Transcript

    told: Transcript | None = None
    for gone, data in outputs.pieces(call, job_id, source):
        told = told or Transcript(source.reads if source.stream == "stdout" else None)
        yield from told.feed(gone, data)
    yield from told.finish() if told else ()


def _told(output: Result, lines: int | None) -> dict[str, Any]:
    """Return an output as JSON has it: streams as text."""
    text = {
        stream: _last(output[stream], lines).decode(errors="replace") if stream in output else None
        for stream in ("stdout", "stderr", "prompt", "result")
    }
    sizes = {f"{stream}_bytes": len(output.get(stream, b"")) for stream in ("stdout", "stderr")}
    place = {key: output[key] for key in ("sheet", "stage", "instance", "hook", "attempt")}
    return {
        **place,
        **text,
        **sizes,
        "truncated": lines is not None and text["stdout"] != (output["stdout"].decode(errors="replace")),
    }


def _message(details: Result, chosen: Sequence[tuple[Result, int]]) -> str:
    fan_out = any(sheet["sheet"] != sheet["stage"] for sheet in details["sheets"])
    named = [f"{_what(sheet, fan_out=fan_out)}, attempt {attempt}" for sheet, attempt in chosen]
    return f"{details['job_id']}: output of {'; '.join(named)}"


def _what(item: Result, *, fan_out: bool = False) -> str:
    if item.get("hook"):
        return f"hook {item['hook']}"
    return sheet_name(item["sheet"], item["stage"], item["instance"], item.get("name"), fan_out=fan_out)


def _last(data: bytes, lines: int | None) -> bytes:
    return data if lines is None else b"".join(data.splitlines(keepends=True)[-lines:])


def _text(output: Result, mode: str | None, lines: int | None, *, several: bool) -> str:
    from marianne_cli.screens.render import named_place, readable

    if mode is None:
        shown = output["lines"] if lines is None else output["lines"][-lines:]
        text = "".join(f"{line}\n" for line in shown)
    else:
        text = _last(_ended_line(output[_stream(mode)]), lines).decode(errors="replace")
        if not _as_bytes(mode):
            text = readable(text)
    if not several:
        return text
    return "".join(f"{named_place(output)}| {line}\n" for line in text.splitlines())


def _ended_line(data: bytes) -> bytes:
    return data if not data or data.endswith(b"\n") else data + b"\n"


def _follow(
    call: Invocation, details: Result, chosen: list[tuple[Result, int]], mode: str | None, *, only_named: bool
) -> Answer:
    """Print until the job ends; a job that has ended already shows what it printed."""
    streams = ("stdout", "stderr") if mode is None else (_stream(mode),)
    sources = [outputs.Source.of(sheet, attempt, stream) for sheet, attempt in chosen for stream in streams]
    address = f"{details['job_name']}@{details['run']}"
    call.waiting_on, call.stays = details["job_id"], "it goes on"
    named = {(sheet["sheet"], sheet.get("hook")) for sheet, _ in chosen}
    several = details["progress"]["total"] > 1 or bool(details.get("hooks"))
    teller = _Teller(call, named if only_named else None, raw=_as_bytes(mode), several=several)
    outputs.follow(call.client, address, sources, streams, teller)
    result = waiting.until(call, address, ["ended"], timeout=None)
    kept = {key: value for key, value in result.items() if key not in {"reached", "waited_seconds"}}
    return waiting.ended({**kept, "outputs": []})._replace(text="")


class _Teller:
    """Prints pieces as they come: JSON lines, raw bytes, or whole lines that name their sheet."""

    def __init__(self, call: Invocation, named: set[_Place] | None, *, raw: bool, several: bool) -> None:
        self.readable = not raw and not call.as_json
        self._call = call
        self._named = named
        self._several = several
        self._told: dict[_Stream, Transcript] = {}
        self._decoders: dict[_Stream, codecs.IncrementalDecoder] = {}

    def tell(self, source: outputs.Source, gone: int, data: bytes) -> None:
        """Print a piece."""
        if self._named is not None and (source.sheet, source.hook) not in self._named:
            return
        if self._call.as_json:
            self._json(source, data)
        elif self.readable:
            self._lines(source, self._transcript(source).feed(gone, data))
        else:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()

    def ended(self, source: outputs.Source) -> None:
        """Print what the end of a stream brings."""
        told = self._told.pop(_key(source), None)
        if told is not None:
            self._lines(source, told.finish())

    def _json(self, source: outputs.Source, data: bytes) -> None:
        decoder = self._decoders.setdefault(_key(source), codecs.getincrementaldecoder("utf-8")("replace"))
        at = {"attempt": source.attempt, "stream": source.stream, "offset": source.offset - len(data)}
        exits.json_line({**source.place(), **at, "text": decoder.decode(data)})

    def _transcript(self, source: outputs.Source) -> "Transcript":
        from marianne_cli.screens.transcript import Transcript

        key = _key(source)
        if key not in self._told:
            self._told[key] = Transcript(source.reads)
        return self._told[key]

    def _lines(self, source: outputs.Source, lines: Sequence[str]) -> None:
        from marianne_cli.screens.render import place

        if lines:
            prefix = f"{place(source.place())}| " if self._several else ""
            exits.out("".join(f"{prefix}{line}\n" for line in lines))


def _key(source: outputs.Source) -> _Stream:
    return (source.sheet, source.hook), source.attempt, source.stream
