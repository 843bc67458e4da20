"""`mzt logs`: what a job's sheets printed."""

import codecs
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from marianne_cli import ends, options, outputs, waiting
from marianne_cli.commands.status import job_details
from marianne_cli.invocation import Answer, Invocation
from marianned.errors import BadRequest
from marianned.words import sheet_name

Result = Mapping[str, Any]


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
@click.option("--attempt", metavar="INT", type=click.IntRange(1), help="That attempt, not the newest.")
@click.option("--raw", "mode", flag_value="raw", help="Standard output's bytes, nothing added.")
@click.option("--stderr", "mode", flag_value="stderr", help="Standard error's bytes, nothing added.")
@click.option("--prompt", "mode", flag_value="prompt", help="The prompt it was given.")
@click.option("--result", "mode", flag_value="result", help="Its result text.")
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
    """Print what a job's sheets printed: of those named, else those in flight, else the last that ended."""
    details = job_details(call, job, sheets)
    chosen = _chosen(details, named=sheets is not None, attempt=attempt)
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
        whole = details if sheets is None else job_details(call, job)
        return Answer(
            {
                **_job(details),
                "message": _message(whole, chosen),
                "outputs": [_told(o, lines) for o in read],
            }
        )
    if mode in {"raw", "stderr"} and len(read) == 1:
        sys.stdout.buffer.write(_last(read[0][_stream(mode)], lines))
        sys.stdout.buffer.flush()
        return Answer({}, printed=True)
    text = "".join(_text(output, mode, lines, several=len(read) > 1) for output in read)
    return Answer({}, text=text)


def _stream(mode: str | None) -> str:
    return "stdout" if mode in {None, "raw"} else str(mode)


def _job(details: Result) -> dict[str, Any]:
    return {key: value for key, value in details.items() if key not in {"sheets", "total_sheets", "hints"}}


def _chosen(details: Result, *, named: bool, attempt: int | None) -> list[tuple[Result, int]]:
    """Return the sheets to show, each with its attempt."""
    tried = [sheet for sheet in details["sheets"] if sheet["attempt_count"]]
    if named:
        if not any(sheet["attempts"] for sheet in details["sheets"]):
            return []
        picked = [sheet for sheet in tried if sheet["attempts"]]
    else:
        flying = {flight["sheet"] for flight in details["in_flight"]}
        picked = [sheet for sheet in tried if sheet["sheet"] in flying]
        ended = [sheet for sheet in tried if sheet["ended_at"]]
        if not picked and ended:
            picked = [max(ended, key=lambda sheet: str(sheet["ended_at"]))]
    for sheet in picked:
        if attempt is not None and attempt > sheet["attempt_count"]:
            raise BadRequest(
                f"sheet {sheet['sheet']} of '{details['job_id']}' has {sheet['attempt_count']} attempts",
                job_id=details["job_id"],
                status=details["status"],
            )
    return [(sheet, attempt or sheet["attempt_count"]) for sheet in picked]


def _output(call: Invocation, job_id: str, sheet: Result, attempt: int, mode: str | None) -> dict[str, Any]:
    """Read the streams of one attempt that are wanted: with --json all of them."""
    wanted = ["stdout", "stderr"] if mode is None else [_stream(mode)]
    if call.as_json:
        wanted = ["stdout", "stderr", *({mode} & {"prompt", "result"} if mode else ["result"])]
    place = {key: sheet[key] for key in ("sheet", "stage", "instance")}
    read: dict[str, Any] = {
        stream: outputs.read(call, job_id, outputs.Source(sheet, attempt, stream)) for stream in wanted
    }
    return {**place, "attempt": attempt, **read}


def _told(output: Result, lines: int | None) -> dict[str, Any]:
    """Return an output as JSON has it: streams as text."""
    text = {
        stream: _last(output[stream], lines).decode(errors="replace") if stream in output else None
        for stream in ("stdout", "stderr", "prompt", "result")
    }
    sizes = {f"{stream}_bytes": len(output.get(stream, b"")) for stream in ("stdout", "stderr")}
    place = {key: output[key] for key in ("sheet", "stage", "instance", "attempt")}
    return {
        **place,
        **text,
        **sizes,
        "truncated": lines is not None and text["stdout"] != (output["stdout"].decode(errors="replace")),
    }


def _message(details: Result, chosen: Sequence[tuple[Result, int]]) -> str:
    fan_out = any(sheet["sheet"] != sheet["stage"] for sheet in details["sheets"])
    named = [
        f"{sheet_name(sheet['sheet'], sheet['stage'], sheet['instance'], fan_out=fan_out)}, attempt {attempt}"
        for sheet, attempt in chosen
    ]
    return f"{details['job_id']}: output of {'; '.join(named)}"


def _last(data: bytes, lines: int | None) -> bytes:
    return data if lines is None else b"".join(data.splitlines(keepends=True)[-lines:])


def _text(output: Result, mode: str | None, lines: int | None, *, several: bool) -> str:
    from marianne_cli.render import place, readable

    streams = ["stdout", "stderr"] if mode is None else [_stream(mode)]
    data = b"".join(_ended_line(output[stream]) for stream in streams)
    text = _last(data, lines).decode(errors="replace")
    if mode not in {"raw", "stderr"}:
        text = readable(text)
    if not several:
        return text
    return "".join(f"{place(output)}| {line}\n" for line in text.splitlines())


def _ended_line(data: bytes) -> bytes:
    return data if not data or data.endswith(b"\n") else data + b"\n"


def _follow(
    call: Invocation, details: Result, chosen: list[tuple[Result, int]], mode: str | None, *, only_named: bool
) -> Answer:
    """Print until the job ends; a job that has ended already shows what it printed."""
    streams = ("stdout", "stderr") if mode is None else (_stream(mode),)
    sources = [outputs.Source(sheet, attempt, stream) for sheet, attempt in chosen for stream in streams]
    address = f"{details['job_name']}@{details['run']}"
    call.waiting_on, call.stays = details["job_id"], "it goes on"
    numbers = {sheet["sheet"] for sheet in details["sheets"] if sheet["attempts"]} if only_named else None
    teller = _Teller(call, numbers, raw=mode is not None, several=details["progress"]["total"] > 1)
    outputs.follow(call.client, address, sources, streams, teller.tell)
    teller.finish()
    result = waiting.until(call, address, ["ended"], timeout=None)
    kept = {key: value for key, value in result.items() if key not in {"reached", "waited_seconds"}}
    return waiting.ended({**kept, "outputs": []})._replace(text="")


class _Teller:
    """Prints pieces as they come: JSON lines, raw bytes, or whole lines that name their sheet."""

    def __init__(self, call: Invocation, numbers: set[int] | None, *, raw: bool, several: bool) -> None:
        self._call = call
        self._numbers = numbers
        self._raw = raw
        self._several = several
        self._rest: dict[tuple[int, int, str], str] = {}
        self._decoders: dict[tuple[int, int, str], codecs.IncrementalDecoder] = {}

    def tell(self, source: outputs.Source, offset: int, data: bytes) -> None:
        """Print a piece."""
        if self._numbers is not None and source.sheet not in self._numbers:
            return
        if self._raw and not self._call.as_json:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            return
        key = source.sheet, source.attempt, source.stream
        decoder = self._decoders.setdefault(key, codecs.getincrementaldecoder("utf-8")("replace"))
        text = decoder.decode(data)
        if self._call.as_json:
            place = {"sheet": source.sheet, "stage": source.stage, "instance": source.instance}
            ends.json_line(
                {**place, "attempt": source.attempt, "stream": source.stream, "offset": offset, "text": text}
            )
            return
        whole, _, self._rest[key] = (self._rest.get(key, "") + text).rpartition("\n")
        self._lines(source.stage, source.instance, whole)

    def _lines(self, stage: int, instance: int, text: str) -> None:
        from marianne_cli.render import readable

        if text:
            prefix = f"{stage}.{instance}| " if self._several else ""
            ends.out("".join(f"{prefix}{line}\n" for line in readable(text).split("\n")))

    def finish(self) -> None:
        """Print what came without a line end."""
        for text in self._rest.values():
            if text:
                ends.out(text)
