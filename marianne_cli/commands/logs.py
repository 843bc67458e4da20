"""`mzt logs`: what a job's sheets printed."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from marianne_cli import exits, options, waiting
from marianne_cli.commands.status import job_details
from marianne_cli.context import GOES_ON, CommandOutcome, Invocation
from marianne_cli.lines import kinds
from marianne_cli.lines.misuse import Misuse
from marianne_cli.screens import following, outputs
from marianne_cli.times import moment
from marianned.errors import BadRequest
from marianned.formatting import plural, sheet_name

Result = Mapping[str, Any]
_HOOK = "hook."


@options.command(
    "logs",
    "mzt logs release-notes",
    "mzt logs release-notes 2,3 -n 20",
    "mzt logs release-notes -F",
    "mzt logs release-notes 2 --raw > out.txt",
    paged=True,
)
@options.job_argument
@options.sheets_argument
@options.follow_option
@options.lines_option(None)
@options.option(
    "--attempt", metavar="INT", kind=kinds.WholeNumber(1), help="Show this attempt instead of the newest."
)
@options.option(
    "--round",
    "number",
    metavar="INT",
    kind=kinds.WholeNumber(1),
    help="Show the newest attempts of this round of their loop.",
)
@options.flag("--raw", "mode", value="raw", help="Print the bytes of standard output, nothing added.")
@options.flag(
    "--stderr",
    "mode",
    value="stderr",
    help="Print standard error, nothing added; its bytes, unless to a terminal.",
)
@options.flag("--prompt", "mode", value="prompt", help="Print the prompt it was given.")
@options.flag("--result", "mode", value="result", help="Print its result text.")
def command(
    call: Invocation,
    *,
    job: str,
    sheets: str | None,
    follow: bool,
    lines: int | None,
    attempt: int | None,
    number: int | None,
    mode: str | None,
) -> CommandOutcome:
    """Show what sheets printed: those named, else those in flight or to be tried again, else the last."""
    named, hooks = _split_hooks(sheets)
    details = job_details(call, job, named)
    if number is not None:
        options.exclude("--round", {"--attempt": attempt})
        whole = details if named is not None else job_details(call, job, f"1-{details['progress']['total']}")
        chosen = _sheets_of_round(whole, number)
    else:
        chosen = _chosen(details, hooks, named=named is not None, attempt=attempt)
    if follow:
        if mode in {"prompt", "result"}:
            raise Misuse("-F goes with none of --prompt, --result")
        return _follow(call, details, chosen, mode, lines, only_named=sheets is not None)
    if not chosen:
        note = f"no sheet of '{details['job_id']}' has printed anything yet"
        if sheets is not None:
            note = f"nothing has been printed yet by {sheets} of '{details['job_id']}'"
        call.note(note)
        return CommandOutcome({**_job_keys(details), "message": note, "outputs": []}, text="")
    if call.as_json:
        whole = details if named is None else job_details(call, job)
        return CommandOutcome(
            {
                **_job_keys(details),
                "message": _message(whole, chosen),
                "outputs": [_output_object(call, details["job_id"], *one, mode, lines) for one in chosen],
            }
        )
    if _as_bytes(mode) and len(chosen) == 1:
        data, _ = outputs.read_output(call, details["job_id"], _source(*chosen[0], mode), lines)
        exits.write(data)
        return CommandOutcome({}, printed=True)
    return CommandOutcome({}, text=_outputs_text(call, details["job_id"], chosen, mode, lines))


def _as_bytes(mode: str | None) -> bool:
    """Whether a stream is printed as it is; to a terminal only what --raw asks for is."""
    return mode == "raw" or (mode == "stderr" and not sys.stdout.isatty())


def _stream(mode: str | None) -> str:
    return "stdout" if mode in {None, "raw"} else str(mode)


def _job_keys(details: Result) -> dict[str, Any]:
    return {
        key: value
        for key, value in details.items()
        if key not in {"sheets", "total_sheets", "hooks", "hints"}
    }


def _split_hooks(sheets: str | None) -> tuple[str | None, str]:
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
        if not picked and tried:
            picked = [max(tried, key=_newest)]
    for sheet in picked:
        if attempt is not None and attempt > sheet["attempt_count"]:
            count = plural(sheet["attempt_count"], "attempt")
            raise BadRequest(
                f"{_item_name(sheet)} of '{details['job_id']}' has {count}",
                job_id=details["job_id"],
                status=details["status"],
                hints=[_attempts_line(details["job_id"], sheet)],
            )
    return [(sheet, attempt or sheet["attempt_count"]) for sheet in picked]


def _attempts_line(job_id: str, sheet: Result) -> str:
    """Return the command that shows the attempts of a sheet, or the hooks."""
    return f"mzt status {job_id}" if sheet["sheet"] is None else f"mzt status {job_id} {sheet['sheet']}"


def _newest(sheet: Result) -> tuple[str, bool]:
    """Order sheets by when they last did something; one that a hold or a pause cut short has no end."""
    return str(sheet["ended_at"] or sheet["started_at"] or ""), not sheet["ended_at"]


def _sheets_of_round(details: Result, number: int) -> list[tuple[Result, int]]:
    """Return the sheets that were played in a round of their loop, each with its last attempt of it.

    Raises:
        BadRequest: none was.
    """
    chosen = [
        (sheet, max(found))
        for sheet in details["sheets"]
        if (found := [one["attempt"] for one in sheet["attempts"] if one.get("round") == number])
    ]
    if not chosen:
        raise BadRequest(
            f"no sheet of '{details['job_id']}' has an attempt of a round {number}",
            job_id=details["job_id"],
            status=details["status"],
            hints=[f"mzt history {details['job_id']}"],
        )
    return chosen


def _source(sheet: Result, attempt: int, mode: str | None) -> outputs.TrackedOutput:
    return outputs.TrackedOutput.of(sheet, attempt, _stream(mode))


def _output_object(
    call: Invocation, job_id: str, sheet: Result, attempt: int, mode: str | None, lines: int | None
) -> dict[str, Any]:
    """Return an output as JSON has it: streams as text, each whole or its last lines."""
    told: dict[str, Any] = {key: sheet.get(key) for key in ("sheet", "stage", "instance", "hook")}
    told |= {"attempt": attempt, "stdout": None, "stderr": None, "prompt": None, "result": None}
    sizes = {}
    for stream in ("stdout", "stderr", *({mode} & {"prompt", "result"} if mode else ["result"])):
        data, begin = outputs.read_output(
            call, job_id, outputs.TrackedOutput.of(sheet, attempt, stream), lines
        )
        told[stream] = data.decode(errors="replace")
        sizes[stream] = begin + len(data), begin > 0
    told |= {f"{stream}_bytes": sizes[stream][0] for stream in ("stdout", "stderr")}
    return {**told, "truncated": lines is not None and sizes["stdout"][1]}


def _message(details: Result, chosen: Sequence[tuple[Result, int]]) -> str:
    fan_out = any(sheet["sheet"] != sheet["stage"] for sheet in details["sheets"])
    named = [f"{_item_name(sheet, fan_out=fan_out)}, attempt {attempt}" for sheet, attempt in chosen]
    return f"{details['job_id']}: output of {'; '.join(named)}"


def _item_name(item: Result, *, fan_out: bool = False) -> str:
    if item.get("hook"):
        return f"hook {item['hook']}"
    return sheet_name(item["sheet"], item["stage"], item["instance"], item.get("name"), fan_out=fan_out)


def _outputs_text(
    call: Invocation, job_id: str, chosen: list[tuple[Result, int]], mode: str | None, lines: int | None
) -> str:
    """Return what was printed, as people read it, or of all of it the last so many lines."""
    from marianne_cli.screens.render import named_place

    streams = ("stdout", "stderr") if mode is None else (_stream(mode),)
    shown: list[str] = []
    rest = lines
    for sheet, attempt in reversed(chosen):
        prefix = f"{named_place(sheet)}| " if len(chosen) > 1 else ""
        for stream in reversed(streams):
            source = outputs.TrackedOutput.of(sheet, attempt, stream)
            said = _last_lines(call, job_id, source, rest, raw=_as_bytes(mode), told=mode is None)
            if rest is not None:
                rest -= len(said)
            begins = prefix + outputs.stderr_mark(streams, stream)
            shown = [f"{begins}{line}\n" for line in said] + shown
    return "".join(shown)


def _last_lines(
    call: Invocation, job_id: str, source: outputs.TrackedOutput, lines: int | None, *, raw: bool, told: bool
) -> list[str]:
    """Return a stream's last so many lines; `told`: as people read an agent's."""
    from marianne_cli.screens.render import strip_escapes

    if lines is not None and not lines:
        return []
    if told:
        transcript, shown = outputs.last_lines(call, job_id, source, lines)
        shown += transcript.finish()
        return shown if lines is None else shown[-lines:]
    text = outputs.read_output(call, job_id, source, lines)[0].decode(errors="replace")
    if not text:
        return []
    return (text if raw else strip_escapes(text)).removesuffix("\n").split("\n")


def _follow(
    call: Invocation,
    details: Result,
    chosen: list[tuple[Result, int]],
    mode: str | None,
    lines: int | None,
    *,
    only_named: bool,
) -> CommandOutcome:
    """Print until the job ends; a job that has ended already shows what it printed."""
    streams = ("stdout", "stderr") if mode is None else (_stream(mode),)
    sources = [
        outputs.TrackedOutput.of(sheet, attempt, stream) for sheet, attempt in chosen for stream in streams
    ]
    address = f"{details['job_name']}@{details['run']}"
    call.waiting_on, call.stays = details["job_id"], GOES_ON
    named = {(sheet["sheet"], sheet.get("hook")) for sheet, _ in chosen} if only_named else None
    several = details["progress"]["total"] > 1 or bool(details.get("hooks"))
    reporter = None if call.as_json or mode is not None else following.EventReporter(call, address, named)
    printer = following.OutputPrinter(call, named, reporter, streams, raw=_as_bytes(mode), several=several)
    if lines is not None:
        _show_last_lines(call, address, sources, lines, printer)
    if reporter is not None:
        reporter.report_state(details)
    outputs.follow_outputs(call.client, address, sources, streams, printer)
    result = waiting.wait_until(call, address, ["ended"], timeout=None)
    if reporter is not None:
        reporter.finish()
        reporter.print_line(f"{moment(result['timing']['completed_at'], seconds=True)}  {result['message']}")
    kept = {key: value for key, value in result.items() if key not in {"reached", "waited_seconds"}}
    return waiting.end_outcome({**kept, "outputs": []})._replace(text="")


def _show_last_lines(
    call: Invocation,
    job_id: str,
    sources: list[outputs.TrackedOutput],
    lines: int,
    printer: following.OutputPrinter,
) -> None:
    """Show the last so many lines of what was printed already, over all streams; they are followed on."""
    if not printer.readable:
        for source in sources:
            next(outputs.read_pieces(call, job_id, source, lines), None)
        return
    told = []
    for source in reversed(sources):
        transcript, shown = outputs.last_lines(call, job_id, source, lines)
        lines -= len(shown)
        told.append((source, transcript, shown))
    for source, transcript, shown in reversed(told):
        printer.print_last_lines(source, transcript, shown)
