"""What commands are made of: the options they share, their types, and how each is called."""

import functools
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import click

from marianne_cli import exits, terminal
from marianne_cli.context import Answer, Invocation
from marianned.errors import InvalidScore, MarianneError, Problem
from marianned.formatting import read_duration

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_COMPLETION_PATIENCE = 0.2
_FIELDS = "mzt.fields"
ARGUMENTS = "mzt.arguments"
"""Where the root context keeps the words that were typed."""

F = TypeVar("F", bound=Callable[..., Any])


_FILE_MOST = 8 * 1024**2
"""Bytes of a request (docs/design/protocol.md), and so the most of a file that one brings."""
FILE = click.Path()
"""A file's name, which the shell completes; what is wrong with it is said where it is read."""


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """A duration in seconds: `90`, `500ms`, `90s`, `5m`, `1h30m`, `2d`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it; a default is a number already."""
        if isinstance(value, float):
            return value
        try:
            return read_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Dollars(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """An amount of USD, more than nothing."""

    name = "amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it."""
        try:
            amount = float(value)
        except ValueError:
            amount = 0.0
        if not 0 < amount < float("inf"):
            self.fail(f"'{value}' is not an amount; write 5 or 0.50", param, ctx)
        return amount


class Since(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """A time that has been: `07:30`, RFC 3339, or a duration ago."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read it into RFC 3339."""
        from marianne_cli.times import since

        try:
            return since(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class JobName(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """A job: `name` for its newest run, `name@run` for any; the shell completes those that the verb takes."""

    name = "job"

    def __init__(self, *statuses: str) -> None:
        self._statuses = statuses

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,
        incomplete: str,
    ) -> list["CompletionItem"]:
        """Ask the daemon, briefly; say nothing when it does not answer. Runs are told once `@` is typed."""
        runs = "@" in incomplete
        asked = {"names": True, "runs": runs, "statuses": list(self._statuses)}
        names = _asked_briefly(ctx, "job.list", asked).get("names", [])
        given = ctx.params.get(param.name or "") or ()
        return _items((name for name in names if name not in given), incomplete)


class SheetNames(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """SHEETS; the shell completes the names of the stages of the job, or of the score, on the line."""

    name = "sheets"

    def __init__(self, *words: str) -> None:
        self._words = words

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002  Click's signature
        incomplete: str,
    ) -> list["CompletionItem"]:
        """Complete the last of several, behind its comma."""
        before, comma, last = incomplete.rpartition(",")
        found = [*self._words, *(_stages(ctx) if "." not in last else (f"{last.partition('.')[0]}.all",))]
        return _items((f"{before}{comma}{name}" for name in found), incomplete)


def _stages(ctx: click.Context) -> list[str]:
    """Return the names of the stages of the job that is typed, else of its score."""
    params = ctx.params  # behind an option whose value is typed, what was typed before is left over
    if any(param.name == "score" for param in ctx.command.params):
        from marianne_cli import variables

        typed = [params["score"]] if params.get("score") else ctx.args
        try:
            return variables.stages_of(file_bytes(str(typed[0])))
        except (click.UsageError, variables.BadValue, IndexError):
            return []
    jobs = [params["job"]] if params.get("job") else list(params.get("jobs") or ctx.args)
    if not jobs:
        return []
    asked = {"job_id": jobs[0], "names": True, "limit": 1}
    return list(_asked_briefly(ctx, "job.status", asked).get("stage_names", []))


def _asked_briefly(ctx: click.Context, method: str, params: Mapping[str, object]) -> dict[str, Any]:
    """Ask the daemon while somebody waits for a key; nothing where it does not answer at once."""
    from marianne_cli.client.blocking import connect_raw

    try:
        with connect_raw(ctx.find_root().params.get("socket"), timeout=_COMPLETION_PATIENCE) as client:
            return client.request(method, params, once=True)
    except (MarianneError, OSError):
        return {}


def _items(names: Iterable[str], incomplete: str) -> list["CompletionItem"]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


class LabelName(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """A label of jobs: a word that needs no quotes; the shell completes those that jobs have."""

    name = "label"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check it."""
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._=/:-]{0,62}", value):
            self.fail(
                f"'{value}' is not a label; use letters, digits and . _ = / : - (63 at most)", param, ctx
            )
        return str(value)

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002  Click's signature
        incomplete: str,
    ) -> list["CompletionItem"]:
        """Ask the daemon for the jobs that are listed."""
        jobs = _asked_briefly(ctx, "job.list", {}).get("jobs", [])
        return _items(dict.fromkeys(label for job in jobs for label in job["labels"]), incomplete)


class Words(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """Words with commas between; the shell completes each."""

    name = "words"

    def __init__(self, *words: str) -> None:
        self.words = words

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002  Click's signature
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list["CompletionItem"]:
        """Complete the last one, behind its comma."""
        before, comma, _ = incomplete.rpartition(",")
        return _items((f"{before}{comma}{word}" for word in self.words), incomplete)


class VariableName(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """NAME=VALUE for a score; the shell completes the names that the score on the line has."""

    name = "value"

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002  Click's signature
        incomplete: str,
    ) -> list["CompletionItem"]:
        """Read the score; say nothing where there is none."""
        from click.shell_completion import CompletionItem

        from marianne_cli import variables

        named = ctx.params.get("score") or ctx.params.get("config")
        typed = (
            [named] if named else [*(ctx.params.get("files") or ()), *ctx.args]
        )  # behind `--var` all is left over
        try:
            known = variables.of_score(file_bytes(str(typed[0])))
        except (click.UsageError, variables.BadValue, IndexError):
            return []
        return [
            CompletionItem(f"{name}=", help=said)
            for name, said in known.items()
            if f"{name}=".startswith(incomplete)
        ]


class Command(click.Command):
    """A command whose `--json=FIELD,...` keeps to fields; a word behind `--json` is none, it may be a JOB."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the fields out of the words before they are read as options."""
        return super().parse_args(ctx, fields_taken(ctx, args))


def fields_taken(ctx: click.Context, args: list[str]) -> list[str]:
    """Return the words with `--json` for the first `--json=FIELD,...`, whose fields go into the context."""
    end = args.index("--") if "--" in args else len(args)
    for place, word in enumerate(args[:end]):
        option, equals, fields = word.partition("=")
        if option == "--json" and equals:
            ctx.meta[_FIELDS] = tuple(field for field in fields.split(",") if field)
            return [*args[:place], "--json", *args[place + 1 :]]
    return args


def command(
    name: str,
    *examples: str,
    changes: bool = False,
    as_json: bool = True,
    paged: bool = False,
    watched: bool = False,
) -> Callable[[Callable[..., Answer]], click.Command]:
    """Make a command of a function from (call, its own options) to an Answer.

    `changes`: it is a request, with --reason and --key. `paged`: what it prints may be long. `watched`: it
    can be asked again and again, with --watch. `examples` end its help.
    """

    def make(function: Callable[..., Answer]) -> click.Command:
        @functools.wraps(function)
        def run(**params: Any) -> int:
            context = click.get_current_context()
            root = context.find_root().params
            given = {key: params.pop(key, None) for key in ("as_json", "quiet", "verbose")}
            call = Invocation(
                **{key: bool(value or root.get(key)) for key, value in given.items()},
                fields=context.meta.get(_FIELDS),
                socket=root.get("socket"),
                reason=params.pop("reason", None),
                key=params.pop("key", None),
                paged=paged and not params.pop("no_pager", False),
            )
            watch = params.pop("watch", False)
            work = functools.partial(function, call, **params)
            return _carried_out(call, work, watch=watch, changes=changes)

        epilog = "\b\nExamples:\n" + "\n".join(f"  {example}" for example in examples)
        made = click.command(name, cls=Command, epilog=epilog)(run)
        made.params += _shared(changes=changes, as_json=as_json, paged=paged, watched=watched)
        return made

    return make


def _carried_out(call: Invocation, work: Callable[[], Answer], *, watch: bool, changes: bool) -> int:
    import time

    started = time.monotonic()
    try:
        if watch:
            from marianne_cli.watching import watched

            return watched(call, work)
        return exits.answered(call, work(), lenient=changes)
    except MarianneError as error:
        error.hints = _typed_again(error)
        return exits.refused(call, error)
    except KeyboardInterrupt:
        return exits.interrupted(call)
    finally:
        if call.verbose:
            _tell_connection(call, time.monotonic() - started)
        call.close()


def _typed_again(error: MarianneError) -> list[str]:
    """Return the hints; of a job's name that was mistyped, the command as it was typed with the near ones.

    A command with a value in it is not repeated: it may be a secret.
    """
    typed = click.get_current_context().find_root().meta.get(ARGUMENTS, ())
    wrong = re.match(r"no job '([^']+)'; (the nearest|near:)", error.message)
    if error.code != "E501" or not wrong or typed.count(wrong[1]) != 1 or any("=" in word for word in typed):
        return error.hints
    place = typed.index(wrong[1])
    near = [hint.removeprefix("mzt status ") for hint in error.hints if hint.startswith("mzt status ")]
    return [shlex.join(["mzt", *typed[:place], name, *typed[place + 1 :]]) for name in near] or error.hints


def _tell_connection(call: Invocation, seconds: float) -> None:
    from marianned import __version__

    said = [f"mzt {__version__}"]
    if call.connected is not None and call.connected.server:
        server = call.connected.server
        said.append(f"marianned {server['version']} (pid {server['pid']}) at {call.connected.path}")
    call.note(f"{', '.join(said)}; {seconds * 1000:.0f}ms")


def _shared(*, changes: bool, as_json: bool, paged: bool, watched: bool) -> list[click.Parameter]:
    request: list[click.Parameter] = [
        click.Option(["--reason"], metavar="TEXT", help="Why; shown by status and history."),
        click.Option(
            ["--key"],
            metavar="TEXT",
            help="Make it repeatable: the same command and key within a day get the first answer.",
        ),
    ]
    watch = click.Option(["--watch"], is_flag=True, help="Show it again whenever something changes.")
    pager = click.Option(["--no-pager"], is_flag=True, help="Do not show what is long in $PAGER.")
    return [
        *(request if changes else []),
        *([watch] if watched else []),
        *([pager] if paged else []),
        *([json_option()] if as_json else []),
        *manner_options(),
    ]


def json_option() -> click.Option:
    """Make --json/-j."""
    said = "Print one JSON object on stdout; --json=FIELD,... keeps to these."
    return click.Option(["--json", "-j", "as_json"], is_flag=True, help=said)


def manner_options() -> list[click.Parameter]:
    """Make --quiet/-q and --verbose/-v."""
    return [
        click.Option(["--quiet", "-q"], is_flag=True, help="Print no progress and no notes."),
        click.Option(["--verbose", "-v"], is_flag=True, help="Show every row; also socket and timing."),
    ]


job_argument = click.argument("job", metavar="JOB", type=JobName())
sheets_argument = click.argument("sheets", metavar="[SHEETS]", required=False, type=SheetNames())


def jobs_argument(*statuses: str) -> Callable[[F], F]:
    """Make JOB...; the shell completes those in these statuses."""
    return click.argument("jobs", metavar="JOB...", type=JobName(*statuses), nargs=-1)


all_option = click.option("--all", "-a", "every", is_flag=True, help="Apply to every job it can apply to.")
label_option = click.option(
    "--label",
    "-l",
    "labels",
    metavar="LABEL",
    multiple=True,
    type=LabelName(),
    help="Every such job that has this label; with several -l, all of them.",
)
yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")
workspace_option = click.option(
    "--workspace",
    "-w",
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="Use this workspace instead of the score's.",
)
every_run_option = click.option("--all", "-a", "every", is_flag=True, help="Show every run of every job.")
wait_option = click.option("--wait", is_flag=True, help="Wait until done.")
resume_option = click.option("--resume", "-r", is_flag=True, help="Continue with the new score.")
plan_option = click.option("--plan", is_flag=True, help="Show what would happen; change nothing.")
before_option = click.option(
    "--before",
    metavar="SHEETS",
    type=SheetNames(),
    multiple=True,
    callback=lambda _ctx, _param, value: ",".join(value) or None,
    help="Pause before these sheets.",
)
follow_option = click.option("--follow", "-F", is_flag=True, help="Keep printing until the job ends.")
env_option = click.option(
    "--env",
    "-e",
    metavar="NAME[=VALUE]",
    multiple=True,
    help="Set a variable; NAME alone takes the value it has here.",
)
env_file_option = click.option(
    "--env-file", metavar="FILE", type=FILE, help="Set variables from a file, one NAME=VALUE a line."
)


var_option = click.option(
    "--var",
    metavar="NAME=VALUE",
    multiple=True,
    type=VariableName(),
    help="Give a parameter or variable of the score a value.",
)
vars_file_option = click.option(
    "--vars-file", metavar="FILE", type=FILE, help="Give values from a file, YAML or JSON; --var wins."
)


def timeout_option(default: float | None, text: str = "How long --wait waits.") -> Callable[[F], F]:
    """Make --timeout/-t; seconds, null for no limit."""
    shown = "" if default is None else f"  [default: {default:g}s]"
    return click.option(
        "--timeout", "-t", metavar="DURATION", type=Duration(), default=default, help=f"{text}{shown}"
    )


def lines_option(default: int | None, most: int | None = None) -> Callable[[F], F]:
    """Make --lines/-n."""
    kind = click.IntRange(1, most)
    return click.option(
        "--lines",
        "-n",
        metavar="INT",
        type=kind,
        default=default,
        show_default=default is not None,
        help="Show only the last INT.",
    )


def exclude(option: str, others: Mapping[str, object]) -> None:
    """Refuse an option beside others.

    Raises:
        click.UsageError: one of them is given (neither null nor false).
    """
    given = [name for name, value in others.items() if value is not None and value is not False]
    if given:
        raise click.UsageError(f"{option} does not go with {', '.join(given)}")


def is_typed(param: str) -> bool:
    """Tell whether a parameter of this command line is given by the caller, not by its default."""
    source = click.get_current_context().get_parameter_source(param)
    return source is not click.core.ParameterSource.DEFAULT


def each(call: Invocation, jobs: list[str], one: Callable[[str], Answer]) -> Answer:
    """Do the same with several jobs: one request each, a line each; the first that is not done decides.

    Raises:
        MarianneError: a single job was refused.
    """
    call.jobs_given = len(jobs)
    if len(jobs) == 1:
        return one(jobs[0])
    results: list[dict[str, Any]] = []
    first: MarianneError | None = None
    finding: str | None = None
    exit_status = 1
    for job in jobs:
        try:
            answer = one(job)
        except MarianneError as error:
            first = first or error
            if finding is None:
                finding, exit_status = error.code, error.exit_status
            results.append(exits.failure(error))
            if not call.as_json:
                exits.refused(call, error)
        else:
            finding = finding or answer.finding
            results.append(exits.envelope(answer.result, answer.finding))
            if not call.as_json:
                exits.answered(call, answer)
    message = f"{len(jobs)} jobs" if jobs else "no job to do it with"
    hints = first.hints if first else []
    result = {"message": message, "hints": hints, "results": results}
    return Answer(result, text="", finding=finding, exit_status=exit_status)


def each_until(
    call: Invocation, jobs: list[str], timeout: float, one: Callable[[str, float], Answer]
) -> Answer:
    """Do the same with several jobs within one timeout: `one` is given a job and the seconds left."""
    if len(jobs) == 1:
        return each(call, jobs, lambda job: one(job, timeout))
    import time

    ends_at = time.monotonic() + timeout
    return each(call, jobs, lambda job: one(job, max(0.0, ends_at - time.monotonic())))


def confirm(what: str, *, yes: bool) -> None:
    """Ask on the terminal before much is deleted or ended; elsewhere `-y` has to say so.

    Raises:
        click.UsageError: there is nobody to ask.
        click.Abort: the answer is not yes.
    """
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError(f"to {what} without being asked, add -y")
    sys.stderr.write(terminal.line(f"mzt: {what}? [y/N] "))
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise click.Abort


def targets(
    call: Invocation,
    jobs: tuple[str, ...],
    every: bool,
    statuses: tuple[str, ...],
    labels: tuple[str, ...] = (),
) -> list[str]:
    """Return the jobs a request is for: those named, or with --all or labels those in these statuses."""
    if (every or labels) and jobs:
        raise click.UsageError(f"name jobs or say {'--all' if every else '--label'}, not both")
    if not (every or labels or jobs):
        raise click.UsageError("name a JOB, or say --all")
    if jobs:
        return list(jobs)
    asked: dict[str, Any] = {"statuses": list(statuses), **({"labels": list(labels)} if labels else {})}
    return sorted(job["job_id"] for job in job_list(call, **asked)["jobs"])


def labelled(labels: tuple[str, ...]) -> str:
    """Say by which labels jobs were chosen; empty for none."""
    return f" with label {' and '.join(labels)}" if labels else ""


def job_list(call: Invocation, last: int | None = None, **params: object) -> dict[str, Any]:
    """Ask for the jobs, all or the `last` so many; the reply with its pages joined."""
    first = 0
    if last is not None:
        first = max(0, int(call.ask("job.list", limit=1, **params)["total"]) - last)
    reply = page = call.ask("job.list", offset=first, **params)
    while page["jobs"] and first + len(reply["jobs"]) < reply["total"]:
        page = call.ask("job.list", offset=first + len(reply["jobs"]), **params)
        reply["jobs"] += page["jobs"]
    del reply["total"]
    return reply


def write_new(file: str | os.PathLike[str], text: str, mode: int = 0o666) -> None:
    """Write a file that is not there yet.

    Raises:
        click.UsageError: it is there, or can't be written.
    """
    try:
        opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(opened, "w") as written:
            written.write(text)
    except FileExistsError:
        raise click.UsageError(f"'{file}' exists already") from None
    except OSError as error:
        why = (error.strerror or "unknown").lower()
        raise click.UsageError(f"'{file}' can't be written: {why}") from None


STDIN = "-"
"""What is typed for a FILE that is read from standard input."""
_STDIN_NAME = "<stdin>"


def shown_name(file: str) -> str:
    """Return what a FILE is called in messages."""
    return _STDIN_NAME if file == STDIN else file


def score_file(file: str) -> dict[str, Any]:
    """Read a score for the wire: its text, its directory (links resolved) and its absolute path.

    One from standard input has no path; what is relative in it counts from the working directory.

    Raises:
        click.UsageError: it is missing or unreadable.
        InvalidScore: it is no text.
    """
    data = file_bytes(file)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        name = shown_name(file)
        problem = Problem(
            code="S006", severity="error", message="the file is not UTF-8", file=name, line=1, column=1
        )
        raise InvalidScore(f"'{name}' has 1 error", problems=[problem]) from None
    if file == STDIN:
        return {"text": text, "directory": os.path.realpath("."), "file": None}
    directory = os.path.dirname(os.path.realpath(file))  # noqa: PTH120
    return {"text": text, "directory": directory, "file": os.path.abspath(file)}  # noqa: PTH100


def file_bytes(file: str) -> bytes:
    """Read a FILE that was typed; `-` is standard input.

    Raises:
        click.UsageError: it can't be read, is too large, or standard input has been read for another.
    """
    if file == STDIN:
        meta = click.get_current_context().find_root().meta
        if meta.setdefault(_STDIN_NAME, False):
            raise click.UsageError("only one file can be '-': standard input is read once")
        meta[_STDIN_NAME] = True
        return _within_bounds(sys.stdin.buffer, "standard input")
    try:
        with open(file, "rb") as opened:  # noqa: PTH123  pathlib is not wanted for this
            return _within_bounds(opened, f"'{file}'")
    except OSError as error:
        raise click.UsageError(f"'{file}' can't be read: {(error.strerror or 'unknown').lower()}") from None


def _within_bounds(opened: BinaryIO, name: str) -> bytes:
    """Read to the end; what no request has room for is not read on: it may have no end, as /dev/zero."""
    data = opened.read(_FILE_MOST + 1)
    if len(data) > _FILE_MOST:
        raise click.UsageError(f"{name} is larger than 8 MiB, which is more than a request takes")
    return data


def environment(given: tuple[str, ...], file: str | None) -> Mapping[str, str]:
    """Return the variables of --env and --env-file; --env wins.

    Raises:
        click.UsageError: a variable the caller does not have, or a line that is none.
    """
    from marianne_cli import envfile

    variables = {} if file is None else _env_file(file)
    for item in given:
        name, equals, value = item.partition("=")
        if not name:
            raise click.UsageError(f"'{item}' is not NAME=VALUE")
        if not equals:
            if name not in os.environ:
                raise click.UsageError(f"'{name}' is not set here; write {name}=VALUE")
            value = os.environ[name]
        if fault := envfile.fault_of(name, value):
            raise click.UsageError(fault)
        variables[name] = value
    return variables


def values(given: tuple[str, ...], file: str | None) -> dict[str, Any]:
    """Return the values of --var and --vars-file for variables of the score; --var wins.

    Raises:
        click.UsageError: one is none.
    """
    if not given and file is None:
        return {}
    from marianne_cli import variables

    try:
        found = {} if file is None else variables.read(file_bytes(file))
    except variables.BadValue as bad:
        raise click.UsageError(f"{shown_name(file or '')}:{bad.line}: {bad.message}") from None
    try:
        return found | variables.typed(given)
    except variables.BadValue as bad:
        raise click.UsageError(bad.message) from None


def _env_file(file: str) -> dict[str, str]:
    from marianne_cli import envfile

    try:
        return envfile.read(score_file(file)["text"])
    except envfile.BadLine as bad:
        raise click.UsageError(f"{shown_name(file)}:{bad.line}: {bad.message}") from None
