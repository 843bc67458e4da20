"""What an agent is offered: look, output, plan, change; each a question or a request of the public protocol.

Few and short: what is told of a job is what `mzt status` and `mzt why` show, at most `TEXT_MOST` characters
at a time. A tool's arguments are Structs, from which its schema is made and by which they are checked.
"""

import math
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import anyio
import anyio.to_thread
import msgspec

from marianne_cli.client import AsyncClient, aconnect
from marianne_cli.exits import problem_text
from marianne_cli.faces.groups import needs_person
from marianne_cli.faces.pages import read_all_pages
from marianne_cli.mcp.stdio import Handler, Params, RpcError, bad_params
from marianne_cli.screens import jobs as screens
from marianne_cli.screens.transcript import Transcript
from marianne_cli.screens.why import failures, why_screen
from marianned import files
from marianned.errors import BadRequest, MarianneError, NoDaemon, Problem
from marianned.formatting import CONTROLS, plural, visible
from marianned.protocol import (
    Cancel,
    ExplainJob,
    GetJob,
    ListJobs,
    Modify,
    Pause,
    Query,
    ReadOutput,
    ReadRevisions,
    Resume,
    Retry,
)
from marianned.protocol.field_errors import describe_field_error

TEXT_MOST = 2_000
"""Characters of one answer of `look` and `plan`."""
LINES_MOST = 200
"""Lines of one answer of `output`."""
WAIT_MOST = 300
"""Seconds that one call may wait."""
AWAY_SECONDS = 10.0
"""How long a call waits for a daemon that has gone: it may be started anew."""
_AGAIN_SECONDS = 0.2
_JOBS_MOST = 50
_LINE_MOST = 1_000
"""Characters of a line of output."""
_FURTHER = 8
"""Where the last lines of an agent's stream say less than that many, so many times more are read."""
_PROBLEMS_MOST = 20
_OF_THE_WIRE = "mzt rpc "
"""Hints that are for who speaks the daemon's protocol: an agent here does not."""
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_OF_THE_TEXT_BELOW = "S1"
"""Problems with codes below are of the text of the score itself, and of no file that it names."""
_OF_A_CHAINED, _OF_A_TEXT = "S306", "score"
"""The code of a problem of another score, and what the daemon calls the file of a score given as text."""
_IN_A_FILE = re.compile(r" \(line \d+ of '[^']*'\)$")
_RESOURCE = "marianne://job/"
_NO_RESOURCE, _INTERNAL = -32002, -32603
INSTRUCTIONS = (
    "Marianne runs jobs: scores of sheets, each a piece of work by an agent or a script. `look` first. "
    "A job is paused at the next boundary between sheets, its score changed, and resumed; what is finished "
    "does not run again. Before a change of the score or a resume from a sheet, ask for its `plan`. "
    "`change` wants a reason, which people read in the job's history."
)

JobName = Annotated[str, msgspec.Meta(min_length=1, max_length=120, description="A job's name, or NAME@RUN.")]
Sheets = Annotated[
    str, msgspec.Meta(max_length=1_000, description="Sheets, as `3`, `2-5,7` or a stage's name.")
]
More = Annotated[
    int, msgspec.Meta(ge=0, description="Where to go on: what `more` of the answer before said.")
]


class _Arguments(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    pass


class LookArguments(_Arguments, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """See all jobs, those that need a person first; with `job` one: its sheets, and why it does not move."""

    job: JobName | None = None
    more: More = 0


class OutputArguments(_Arguments, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Read the last lines that a sheet (or the sheet in flight) has printed."""

    job: JobName
    sheet: Annotated[int, msgspec.Meta(ge=1, description="Number of the sheet.")] | None = None
    attempt: Annotated[int, msgspec.Meta(ge=1, description="Its attempt; the newest by itself.")] | None = (
        None
    )
    stream: Literal["stdout", "stderr", "prompt", "result"] = "stdout"
    lines: Annotated[int, msgspec.Meta(ge=1, le=LINES_MOST)] = 40


class _ScoreArguments(_Arguments, forbid_unknown_fields=True, kw_only=True, frozen=True):
    score: Annotated[str, msgspec.Meta(description="modify: the whole new score, as YAML.")] | None = None
    rerun: (
        Annotated[str, msgspec.Meta(description="modify: finished sheets that run again, or `changed`.")]
        | None
    ) = None
    from_: Annotated[
        str, msgspec.Meta(description="resume: run these sheets again, and what depends on them.")
    ] | (None) = msgspec.field(default=None, name="from")
    only: Annotated[str, msgspec.Meta(description="resume: run these sheets alone again.")] | None = None


class PlanOfTextArguments(_ScoreArguments, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """See what a modify or a resume would run, keep and throw away; nothing is changed."""

    job: JobName
    action: Literal["modify", "resume"]
    more: More = 0
    score_file: ClassVar[None] = None
    """Who may only look is told of no file by what is wrong in it as a score."""


ScoreFile = Annotated[str, msgspec.Meta(description="modify: a file with the new score, instead of `score`.")]


class PlanArguments(_ScoreArguments, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """See what a modify or a resume would run, keep and throw away; nothing is changed."""

    job: JobName
    action: Literal["modify", "resume"]
    score_file: ScoreFile | None = None
    more: More = 0


class ChangeArguments(_ScoreArguments, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Pause, resume, modify, retry or cancel a job."""

    job: JobName
    action: Literal["pause", "resume", "modify", "retry", "cancel"]
    reason: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            max_length=1_000,
            pattern=f"^[^{CONTROLS}]*$",
            description="Why; it stays in the history.",
        ),
    ]
    score_file: ScoreFile | None = None
    now: Annotated[bool, msgspec.Meta(description="pause: interrupt what is in flight.")] = False
    before: Annotated[str, msgspec.Meta(description="pause: only before these sheets.")] | None = None
    skip: Annotated[str, msgspec.Meta(description="resume: take these sheets for skipped.")] | None = None
    accept: Annotated[str, msgspec.Meta(description="resume: take these failed sheets for done.")] | None = (
        None
    )
    resume: Annotated[bool, msgspec.Meta(description="modify: let the job go on with the new score.")] = False
    wait_seconds: Annotated[
        int, msgspec.Meta(ge=0, le=WAIT_MOST, description="Wait so long until it is carried out.")
    ] = 0


class _Tool(NamedTuple):
    arguments: type[_Arguments]
    hints: Mapping[str, bool]


_ScoreAction = PlanArguments | PlanOfTextArguments | ChangeArguments
_TOOLS = {
    "look": _Tool(LookArguments, {"readOnlyHint": True}),
    "output": _Tool(OutputArguments, {"readOnlyHint": True}),
    "plan": _Tool(PlanArguments, {"readOnlyHint": True}),
    "change": _Tool(
        ChangeArguments, {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": False}
    ),
}
_READ_ONLY_TOOLS = {name: tool for name, tool in _TOOLS.items() if name != "change"} | {
    "plan": _Tool(PlanOfTextArguments, {"readOnlyHint": True})
}
"""What is offered with `--read-only`."""
_ARGUMENTS_OF_ACTION = {
    "modify": {"score", "score_file", "rerun", "resume"},
    "resume": {"from_", "only", "skip", "accept"},
    "pause": {"now", "before"},
}
"""By action, the arguments that are its alone."""


class JobTools:
    """The tools and resources over one daemon's socket (None: as `mzt` finds it)."""

    def __init__(self, socket: str | None, *, read_only: bool) -> None:
        self._socket = socket
        self._read_only = read_only
        self._tools = _READ_ONLY_TOOLS if read_only else _TOOLS
        self._runners: dict[str, Callable[[AsyncClient, Any], Awaitable[str]]] = {
            "look": _run_look,
            "output": _run_output,
            "plan": _run_plan,
            "change": _run_change,
        }

    @property
    def handlers(self) -> dict[str, Handler]:
        """The handlers of the protocol's methods."""
        return {
            "tools/list": self._list_tools,
            "tools/call": self._call_tool,
            "resources/list": _with_protocol_errors(self._list_resources),
            "resources/templates/list": self._list_templates,
            "resources/read": _with_protocol_errors(self._read_resource),
        }

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[AsyncClient]:
        """Connect for one call: so a daemon that was restarted is found, and calls share no connection."""
        async with aconnect(self._socket, name="mcp", read_only=self._read_only) as client:
            yield client

    # --- tools -------------------------------------------------------------------------------------------

    async def _list_tools(self, _params: Params) -> dict[str, Any]:
        return {"tools": [_tool_description(name, tool) for name, tool in self._tools.items()]}

    async def _call_tool(self, params: Params) -> dict[str, Any]:
        name = params.get("name")
        offered = ", ".join(self._tools)
        if not isinstance(name, str):
            raise bad_params(f"name, a text, says which tool; there are {offered}")
        if name not in self._tools:
            raise bad_params(f"there is no tool {name[:80]!r}; there are {offered}")
        given, kind = params.get("arguments") or {}, self._tools[name].arguments
        try:
            arguments = msgspec.convert(given, kind)
        except msgspec.ValidationError as error:
            wrong = describe_field_error(
                kind, msgspec.json.encode(given), str(error), whose=name, called="arguments"
            )
            return _tool_result(wrong, failed=True)
        try:
            async with self._connect() as client:
                answer = self._runners[name](client, arguments)
                waits = isinstance(arguments, ChangeArguments) and arguments.wait_seconds
                return _tool_result(await (_while_daemon_answers(client, answer) if waits else answer))
        except MarianneError as error:
            typed = [hint for hint in error.hints if not hint.startswith(_OF_THE_WIRE)]
            hints = [f"type: {' · '.join(typed)}"] if typed else []
            found = error.problems
            if isinstance(arguments, PlanOfTextArguments):
                found = [_without_foreign_quotes(problem, arguments.score or "") for problem in found]
            said = [f"{error.code}: {error.message}", *hints, *_problem_lines(found)]
            return _tool_result("\n".join(said), failed=True)

    # --- resources ---------------------------------------------------------------------------------------

    async def _list_resources(self, _params: Params) -> dict[str, Any]:
        async with self._connect() as client:
            jobs = (await client.ask(ListJobs(newest_first=True, brief=True, limit=_JOBS_MOST))).brief
        return {
            "resources": [
                {"uri": f"{_RESOURCE}{job.job_name}/score", "name": f"the score of {job.job_name}"}
                for job in jobs
            ]
        }

    async def _list_templates(self, _params: Params) -> dict[str, Any]:
        return {
            "resourceTemplates": [
                {"uriTemplate": f"{_RESOURCE}{{job}}/score", "name": "the score of a job, as it is in force"},
                {"uriTemplate": f"{_RESOURCE}{{job}}/log/{{sheet}}", "name": "the end of a sheet's output"},
            ]
        }

    async def _read_resource(self, params: Params) -> dict[str, Any]:
        uri = params.get("uri")
        if not isinstance(uri, str):
            raise bad_params("uri, a text, says which resource; resources/templates/list tells their form")
        parts = uri.removeprefix(_RESOURCE).split("/") if uri.startswith(_RESOURCE) else []
        async with self._connect() as client:
            match parts:
                case [job, "score"]:
                    job_now = await client.ask(GetJob(job, fields=["revision"]))
                    found = await client.ask(ReadRevisions(job, revision=job_now.revision))
                    text = found.text or ""
                case [job, "log", sheet] if sheet.isascii() and sheet.isdigit():
                    text = await _run_output(
                        client, OutputArguments(job=job, sheet=int(sheet), lines=LINES_MOST)
                    )
                case _:
                    raise bad_params(f"there is no resource {uri[:200]!r}")
        return {"contents": [{"uri": uri, "mimeType": "text/plain", "text": text}]}


def _with_protocol_errors(call: Handler) -> Handler:
    """Return a handler that turns a refusal, or a missing daemon, into an error of the protocol."""

    async def answer(params: Params) -> dict[str, Any]:
        try:
            return await call(params)
        except MarianneError as error:
            data = {"uri": params["uri"]} if "uri" in params else None
            code = _INTERNAL if data is None else _NO_RESOURCE
            raise RpcError(code, f"{error.code}: {error.message}", data) from None

    return answer


def _tool_description(name: str, tool: _Tool) -> dict[str, Any]:
    """Return what a client is told of a tool; its schema has no references, which not all clients follow."""
    (_, known) = msgspec.json.schema_components([tool.arguments])
    schema = known[tool.arguments.__name__]
    kept = {key: value for key, value in schema.items() if key not in {"title", "description"}}
    return {
        "name": name,
        "description": (tool.arguments.__doc__ or "").strip(),
        "inputSchema": kept,
        "annotations": {**tool.hints, "openWorldHint": False},
    }


def _tool_result(text: str, *, failed: bool = False) -> dict[str, Any]:
    """Return a tool's result; control characters are shown as escapes here, too."""
    return {"content": [{"type": "text", "text": visible(text)}], "isError": failed}


def _page_text(lines: list[str], begin: int) -> str:
    """Return what is told of lines from a character on, up to the end of the last line that has room."""
    text = "\n".join(lines)
    piece = text[begin : begin + TEXT_MOST]
    if begin + TEXT_MOST >= len(text):
        return piece
    end = piece.rfind("\n")
    piece = piece[:end] if end > 0 else piece
    return f"{piece}\n… more: {begin + len(piece) + (end > 0)} of {len(text)} characters"


async def _while_daemon_answers(client: AsyncClient, answer: Awaitable[str]) -> str:
    """Return an answer; give up if the daemon goes and is not back soon: an agent would wait in vain.

    Raises:
        NoDaemon: the daemon has gone, and stays away.
    """
    found: str | MarianneError | None = None
    with anyio.CancelScope() as over:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_cancel_when_daemon_is_gone, client.path, over)
            try:
                found = await answer
            except MarianneError as refused:  # out of the group it would come wrapped
                found = refused
            tasks.cancel_scope.cancel()
    if found is None:
        said = f"the daemon at {client.path} has gone while it was waited for; what was asked may be in force"
        raise NoDaemon(said, hints=["mzt start"])
    if isinstance(found, MarianneError):
        raise found
    return found


async def _cancel_when_daemon_is_gone(path: str, over: anyio.CancelScope) -> None:
    """Hold a connection, which tells at once that the daemon has gone; end it all when it is not back."""
    ends = math.inf
    while anyio.current_time() < ends:
        try:
            async with await anyio.connect_unix(path) as line:
                ends = math.inf
                await line.receive()
        except (OSError, anyio.EndOfStream, anyio.BrokenResourceError):
            ends = min(ends, anyio.current_time() + AWAY_SECONDS)
        await anyio.sleep(_AGAIN_SECONDS)
    over.cancel()


# --- looking -----------------------------------------------------------------------------------------------


async def _run_look(client: AsyncClient, asked: LookArguments) -> str:
    if asked.job is None:
        jobs = await _read_jobs(client)
        needy = [job for job in jobs if needs_person(job)]
        rest = [job for job in jobs if job not in needy]
        if not jobs:
            return "nothing runs, waits, is held or has failed"
        need = "needs" if len(needy) == 1 else "need"
        of_them = f", {len(needy)} of them {need} a person" if needy else ""
        head = f"{plural(len(jobs), 'job')}{of_them}"
        return _page_text([head, *screens.jobs_table([*needy, *rest])], asked.more)
    job = await _read_job(client, asked.job)
    lines = screens.job_screen(job)
    if job["status"] not in ("completed", "cancelled"):
        why = msgspec.to_builtins(await client.ask(ExplainJob(asked.job)))
        shown = failures(why, job["sheets"])
        if shown or why["reasons"]:
            numbers = ",".join(str(error["sheet"]) for error in shown)
            tried = (await _read_job(client, asked.job, numbers))["sheets"] if numbers else []
            known = {sheet["sheet"]: sheet for sheet in [*job["sheets"], *tried]}
            lines += ["", *why_screen(why, list(known.values()), shown)]
    return _page_text(lines, asked.more)


async def _read_jobs(client: AsyncClient) -> list[dict[str, Any]]:
    """Return all jobs that move, are held or have failed."""
    found = await read_all_pages(client, ListJobs(statuses=["active", "held", "failed"]), "jobs", "total")
    jobs: list[dict[str, Any]] = found["jobs"]
    return jobs


async def _read_job(client: AsyncClient, job: str, sheets: str | None = None) -> dict[str, Any]:
    """Return a job with all its sheets."""
    return await read_all_pages(client, GetJob(job, sheets=sheets), "sheets", "total_sheets")


async def _run_output(client: AsyncClient, asked: OutputArguments) -> str:
    sheet = asked.sheet
    if sheet is None:
        flights = (await client.ask(GetJob(asked.job, fields=["in_flight"]))).in_flight
        sheet = next((flight.sheet for flight in flights if flight.sheet is not None), None)
        if sheet is None:
            raise BadRequest(f"no sheet of '{asked.job}' is in flight: name one")
    for lines in (asked.lines, asked.lines * _FURTHER):
        wanted = ReadOutput(
            asked.job,
            sheet=sheet,
            attempt=asked.attempt,
            stream=asked.stream,
            tail_lines=lines,
            reads=True,
        )
        found = await client.ask(wanted)
        told = Transcript(msgspec.to_builtins(found.reads) if found.reads else None)
        said = [*told.feed(0, found.data), *told.finish()]
        if len(said) >= asked.lines or not found.reads:
            break
    shown = [line[:_LINE_MOST] for line in said[-asked.lines :]]
    head = f"sheet {sheet}, attempt {found.attempt}, {asked.stream}, {found.size} bytes"
    head += "" if found.ended else " so far"
    return "\n".join([head, *shown])


# --- changing ----------------------------------------------------------------------------------------------


async def _run_plan(client: AsyncClient, asked: PlanArguments | PlanOfTextArguments) -> str:
    _check_arguments_of_action(asked, asked.action)
    request = (
        await _modify_request(asked, plan=True)
        if asked.action == "modify"
        else _resume_request(asked, plan=True)
    )
    reply = await read_all_pages(client, request, "plan", "plan_total")
    return _page_text(screens.plan_screen(reply), asked.more)


async def _run_change(client: AsyncClient, asked: ChangeArguments) -> str:
    _check_arguments_of_action(asked, asked.action)
    waits: dict[str, Any] = {"wait": True, "timeout": float(asked.wait_seconds)} if asked.wait_seconds else {}
    given: dict[str, Any] = {"reason": asked.reason}
    request: Query[Any]
    match asked.action:
        case "pause":
            request = Pause(asked.job, now=asked.now, before=asked.before, **given, **waits)
        case "resume":
            request = _resume_request(asked, skip=asked.skip, accept=asked.accept, **given, **waits)
        case "modify":
            request = await _modify_request(asked, resume=asked.resume, **given, **waits)
        case "retry":
            request = Retry(asked.job, **given)
        case "cancel":
            request = Cancel(asked.job, **given, **waits)
    reply = await client.ask(request)
    return "\n".join([reply.message, *_problem_lines(reply.problems)])


def _problem_lines(problems: Sequence[Problem]) -> list[str]:
    """Write the problems of a score with their places, its errors first."""
    told = sorted(problems, key=lambda one: one.severity != "error")
    rest = len(told) - _PROBLEMS_MOST
    return [*map(problem_text, told[:_PROBLEMS_MOST]), *([f"… and {rest} more"] if rest > 0 else [])]


def _without_foreign_quotes(problem: Problem, score: str) -> Problem:
    """Return a problem without quotes from other files than the score: they can be anybody's.

    A problem of such a file loses its quotes: one would confirm a guess that stands in the score.
    """
    place = _IN_A_FILE.search(problem.message)
    of_a_file = place is not None or problem.code == _OF_A_CHAINED or problem.file != _OF_A_TEXT
    inside = 0 if not of_a_file else len(problem.message) if place is None else place.start()
    said = _QUOTED.sub("'…'", problem.message[:inside])
    said += _QUOTED.sub(
        lambda found: found[0] if found[0][1:-1] in score else "'…'", problem.message[inside:]
    )
    hint = problem.hint if problem.code < _OF_THE_TEXT_BELOW else None
    return msgspec.structs.replace(problem, message=said, hint=hint)


def _check_arguments_of_action(asked: _ScoreAction, action: str) -> None:
    """Refuse an argument that belongs to another action.

    Raises:
        BadRequest: there is one.
    """
    for other, names in _ARGUMENTS_OF_ACTION.items():
        wrong = sorted(name for name in names if other != action and getattr(asked, name, None))
        if wrong:
            raise BadRequest(f"{wrong[0].rstrip('_')} belongs to {other}, not to {action}")


def _resume_request(asked: _ScoreAction, **others: Any) -> Resume:
    return Resume(asked.job, from_=asked.from_, only=asked.only, **others)


async def _modify_request(asked: _ScoreAction, **others: Any) -> Modify:
    """Return the request for a new score, whose paths count from its file's directory, or from here."""
    if asked.score is not None and asked.score_file is not None:
        raise BadRequest("score or score_file: one of them")
    if asked.score is None and asked.score_file is None:
        if asked.rerun is None:
            raise BadRequest("modify wants a score, a score_file or rerun")
        return Modify(asked.job, rerun=asked.rerun, **others)
    if asked.score_file is None:
        return Modify(asked.job, text=asked.score, directory=os.getcwd(), rerun=asked.rerun, **others)  # noqa: PTH109
    file = Path(os.getcwd(), asked.score_file)  # noqa: PTH109  as it was typed: links are the user's business
    try:
        text = (await anyio.to_thread.run_sync(files.read, file, files.TEXT_MOST)).decode()
    except OSError as error:
        raise BadRequest(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise BadRequest(f"{file}: not UTF-8 at byte {error.start}") from None
    return Modify(
        asked.job, text=text, directory=str(file.parent), file=str(file), rerun=asked.rerun, **others
    )
