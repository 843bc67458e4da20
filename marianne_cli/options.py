"""What commands are made of: the options they share, their types, and how each is called."""

import functools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from marianne_cli import exits, terminal
from marianne_cli.context import CommandOutcome, Invocation
from marianne_cli.lines import kinds
from marianne_cli.lines.forms import TEXT, CommandForm, Param, ParameterKind, ParsedLine
from marianne_cli.lines.kinds import Completions, ask_briefly, completions_of
from marianne_cli.lines.misuse import ConfirmationRefused, Misuse
from marianned.errors import InvalidScore, MarianneError, Unavailable

if TYPE_CHECKING:
    import click

_FILE_MOST = 8 * 1024**2
"""Bytes of a request (docs/design/protocol.md), and so the most of a file that one brings."""
FILE = kinds.FilePath()


class SheetNames(ParameterKind):
    """SHEETS; the shell completes the names of the stages of the job, or of the score, on the line."""

    name = "sheets"

    def __init__(self, *words: str) -> None:
        self._words = words

    def complete(self, asked: "click.Context", param: str, begun: str) -> Completions:  # noqa: ARG002
        """Complete the last of several, behind its comma."""
        before, comma, last = begun.rpartition(",")
        found = [*self._words, *(_stages(asked) if "." not in last else (f"{last.partition('.')[0]}.all",))]
        return completions_of((f"{before}{comma}{name}" for name in found), begun)


def _stages(asked: "click.Context") -> list[str]:
    """Return the names of the stages of the job that is typed, else of its score."""
    params = asked.params  # behind an option whose value is typed, what was typed before is left over
    if any(param.name == "score" for param in asked.command.params):
        from marianne_cli import variables

        typed = [params["score"]] if params.get("score") else asked.args
        try:
            return variables.stages_of(file_bytes(str(typed[0])))
        except (Misuse, variables.VariableError, IndexError):
            return []
    jobs = [params["job"]] if params.get("job") else list(params.get("jobs") or asked.args)
    if not jobs:
        return []
    wanted = {"job_id": jobs[0], "names": True, "limit": 1}
    return list(ask_briefly(asked, "job.status", wanted).get("stage_names", []))


class VariableName(ParameterKind):
    """NAME=VALUE for a score; the shell completes the names that the score on the line has."""

    name = "value"

    def complete(self, asked: "click.Context", param: str, begun: str) -> Completions:  # noqa: ARG002
        """Read the score; say nothing where there is none."""
        from marianne_cli import variables

        params = asked.params  # behind `--var` all is left over
        named = params.get("score") or params.get("config")
        typed = [named] if named else [*(params.get("files") or ()), *asked.args]
        try:
            known = variables.names_of_score(file_bytes(str(typed[0])))
        except (Misuse, variables.VariableError, IndexError):
            return []
        return [(f"{name}=", said) for name, said in known.items() if f"{name}=".startswith(begun)]


F = TypeVar("F", bound=Callable[..., Any])
_PARAMS = "declared"
"""Where a command's function keeps its parameters until it is made a command."""


def _declare(param: Param) -> Callable[[F], F]:
    def declare(function: F) -> F:
        vars(function).setdefault(_PARAMS, []).insert(0, param)
        return function

    return declare


def option(
    *words: str,
    help: str,  # noqa: A002  as in every other such library
    kind: ParameterKind = TEXT,
    metavar: str | None = None,
    multiple: bool = False,
    required: bool = False,
    default: object = None,
    show_default: bool = False,
    combined: Callable[[tuple[str, ...]], Any] | None = None,
) -> Callable[[F], F]:
    """Declare an option with a value."""
    made = Param(words, True, kind, metavar, help)
    return _declare(
        made._replace(
            multiple=multiple,
            required=required,
            default=default,
            show_default=show_default,
            combined=combined,
        )
    )


def flag(*words: str, help: str, value: str | None = None) -> Callable[[F], F]:  # noqa: A002
    """Declare an option without one; `value` is what it stands for, null: it is so."""
    return _declare(Param(words, True, metavar=None, help=help, is_flag=True, value=value))


def argument(
    word: str,
    *,
    kind: ParameterKind = TEXT,
    metavar: str | None = None,
    many: bool = False,
    required: bool | None = None,
    default: str | None = None,
) -> Callable[[F], F]:
    """Declare a word behind the command; `required` null: it is, unless it has a default, or may be many."""
    needed = default is None and not many if required is None else required
    return _declare(
        Param((word,), kind=kind, metavar=metavar, multiple=many, required=needed, default=default)
    )


def command(
    name: str,
    *examples: str,
    changes: bool = False,
    as_json: bool = True,
    paged: bool = False,
    watched: bool = False,
) -> Callable[[Callable[..., CommandOutcome]], CommandForm]:
    """Make a command of a function from (call, its own options) to a CommandOutcome.

    `changes`: it is a request, with --reason and --key. `paged`: what it prints may be long. `watched`: it
    can be asked again and again, with --watch. `examples` end its help.
    """

    def make(function: Callable[..., CommandOutcome]) -> CommandForm:
        own = vars(function).pop(_PARAMS, [])
        shared = _shared_parameters(changes=changes, as_json=as_json, paged=paged, watched=watched)
        return CommandForm(name, function, (*own, *shared), examples, changes, paged)

    return make


def run_command(
    form: CommandForm,
    line: ParsedLine,
    root: Mapping[str, Any],
    *,
    arguments: Sequence[str],
) -> int:
    """Carry a command out as it was read; return its exit code.

    Args:
        form: the command.
        line: its own parameters.
        root: those of `mzt` itself.
        arguments: the words that were typed.

    Raises:
        Misuse: the line can't be carried out.
        ConfirmationRefused: who was asked said no.
    """
    import time

    started = time.monotonic()
    values = dict(line.values)
    given = {key: values.pop(key, None) for key in ("as_json", "quiet", "verbose")}
    call = Invocation(
        **{key: bool(value or root.get(key)) for key, value in given.items()},
        fields=line.fields,
        socket=root.get("socket"),
        reason=values.pop("reason", None),
        key=values.pop("key", None),
        paged=form.paged and not values.pop("no_pager", False),
        typed=line.typed,
        form=form,
    )
    watch = values.pop("watch", False)
    work = functools.partial(form.function, call, **values)
    try:
        if watch:
            from marianne_cli.watching import watch_until_end

            return watch_until_end(call, work)
        return exits.print_outcome(call, work(), lenient=form.changes)
    except MarianneError as error:
        if error.code == "E501":
            from marianne_cli.lines.refused import retyped_hints

            error.hints = retyped_hints(error, arguments)
        return exits.print_refusal(call, error)
    except OSError as error:
        if not isinstance(error.filename, str | bytes):
            raise
        return exits.print_refusal(call, _file_error(error))
    except KeyboardInterrupt:
        return exits.print_interrupted(call)
    finally:
        if call.verbose:
            _note_connection(call, time.monotonic() - started)
        call.close()


def _file_error(error: OSError) -> MarianneError:
    """Return the error for a file that a command could not use, where it has no better words for it."""
    why = (error.strerror or type(error).__name__).lower()
    return Unavailable(f"'{os.fsdecode(error.filename)}': {why}", hints=["mzt doctor"])


def _note_connection(call: Invocation, seconds: float) -> None:
    from marianned import __version__

    said = [f"mzt {__version__}"]
    if call.open_client is not None and call.open_client.server:
        server = call.open_client.server
        said.append(f"marianned {server['version']} (pid {server['pid']}) at {call.open_client.path}")
    call.note(f"{', '.join(said)}; {seconds * 1000:.0f}ms")


_REQUEST = (
    Param(("--reason",), True, metavar="TEXT", help="Why; shown by status and history."),
    Param(
        ("--key",),
        True,
        metavar="TEXT",
        help="Make it repeatable: the same command and key within a day get the first answer.",
    ),
)
_WATCH = Param(("--watch",), True, help="Show it again whenever something changes.", is_flag=True)
_NO_PAGER = Param(("--no-pager",), True, help="Do not show what is long in $PAGER.", is_flag=True)
_AS_JSON = Param(
    ("--json", "-j", "as_json"),
    True,
    help="Print one JSON object on stdout; --json=FIELD,... keeps to these.",
    is_flag=True,
)
_VERBOSITY = (
    Param(("--quiet", "-q"), True, help="Print no progress and no notes.", is_flag=True),
    Param(("--verbose", "-v"), True, help="Show every row; also socket and timing.", is_flag=True),
)


def _shared_parameters(*, changes: bool, as_json: bool, paged: bool, watched: bool) -> list[Param]:
    return [
        *(_REQUEST if changes else ()),
        *([_WATCH] if watched else ()),
        *([_NO_PAGER] if paged else ()),
        *([_AS_JSON] if as_json else ()),
        *_VERBOSITY,
    ]


job_argument = argument("job", metavar="JOB", kind=kinds.JobName())
sheets_argument = argument("sheets", metavar="[SHEETS]", required=False, kind=SheetNames())


def jobs_argument(*statuses: str) -> Callable[[F], F]:
    """Make JOB...; the shell completes those in these statuses."""
    return argument("jobs", metavar="JOB...", kind=kinds.JobName(*statuses), many=True)


all_option = flag("--all", "-a", "every", help="Apply to every job it can apply to.")
label_option = option(
    "--label",
    "-l",
    "labels",
    metavar="LABEL",
    multiple=True,
    kind=kinds.LabelName(),
    help="Every such job that has this label; with several -l, all of them.",
)


def yes_option(asks: str) -> Callable[[F], F]:
    """Make --yes/-y; `asks` says what is asked about."""
    return flag("--yes", "-y", help=f"Do not ask; {asks}.")


workspace_option = option(
    "--workspace",
    "-w",
    metavar="DIR",
    kind=kinds.FilePath(may_be_file=False),
    help="Use this workspace instead of the score's.",
)
every_run_option = flag("--all", "-a", "every", help="Show every run of every job.")
wait_option = flag("--wait", help="Wait until done.")
resume_option = flag("--resume", "-r", help="Continue with the new score.")
plan_option = flag("--plan", help="Show what would happen; change nothing.")
before_option = option(
    "--before",
    metavar="SHEETS",
    kind=SheetNames(),
    multiple=True,
    combined=lambda given: ",".join(given) or None,
    help="Pause before these sheets.",
)
follow_option = flag("--follow", "-F", help="Keep printing until the job ends.")
env_option = option(
    "--env",
    "-e",
    metavar="NAME[=VALUE]",
    multiple=True,
    help="Set a variable; NAME alone takes the value it has here.",
)
env_file_option = option(
    "--env-file", metavar="FILE", kind=FILE, help="Set variables from a file, one NAME=VALUE a line."
)


var_option = option(
    "--var",
    metavar="NAME=VALUE",
    multiple=True,
    kind=VariableName(),
    help="Give a parameter or variable of the score a value.",
)
vars_file_option = option(
    "--vars-file", metavar="FILE", kind=FILE, help="Give values from a file, YAML or JSON; --var wins."
)


def timeout_option(default: float | None, text: str = "How long --wait waits.") -> Callable[[F], F]:
    """Make --timeout/-t; seconds, null for no limit."""
    shown = "" if default is None else f"  [default: {default:g}s]"
    return option(
        "--timeout", "-t", metavar="DURATION", kind=kinds.Seconds(), default=default, help=f"{text}{shown}"
    )


def lines_option(default: int | None, most: int | None = None) -> Callable[[F], F]:
    """Make --lines/-n."""
    kind = kinds.WholeNumber(1, most)
    return option(
        "--lines",
        "-n",
        metavar="INT",
        kind=kind,
        default=default,
        show_default=default is not None,
        help="Show only the last INT.",
    )


def exclude(option: str, others: Mapping[str, object]) -> None:
    """Refuse an option beside others.

    Raises:
        Misuse: one of them is given (neither null nor false).
    """
    given = [name for name, value in others.items() if value is not None and value is not False]
    if given:
        raise Misuse(f"{option} does not go with {', '.join(given)}")


def run_each(call: Invocation, jobs: list[str], one: Callable[[str], CommandOutcome]) -> CommandOutcome:
    """Run a request for each job and print a line each; the first that fails decides the exit code.

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
            exits.put_in_typed_words(call, error)
            first = first or error
            if finding is None:
                finding, exit_status = error.code, error.exit_status
            results.append(exits.refusal_object(error))
            if not call.as_json:
                exits.print_refusal(call, error)
        else:
            finding = finding or answer.finding
            results.append(exits.result_object(answer.result, answer.finding))
            if not call.as_json:
                exits.print_outcome(call, answer)
    message = f"{len(jobs)} jobs" if jobs else "no job to do it with"
    if not jobs:
        call.note(f"mzt: {message}")
    hints = first.hints if first else []
    result = {"message": message, "hints": hints, "results": results}
    return CommandOutcome(result, text="", finding=finding, exit_status=exit_status)


def run_each_until(
    call: Invocation, jobs: list[str], timeout: float, one: Callable[[str, float], CommandOutcome]
) -> CommandOutcome:
    """Run a request for each job within one timeout: `one` is given a job and the seconds left."""
    if len(jobs) == 1:
        return run_each(call, jobs, lambda job: one(job, timeout))
    import time

    ends_at = time.monotonic() + timeout
    return run_each(call, jobs, lambda job: one(job, max(0.0, ends_at - time.monotonic())))


def confirm(what: str, *, yes: bool) -> None:
    """Ask on the terminal before much is deleted or ended; elsewhere `-y` has to say so.

    Raises:
        Misuse: there is nobody to ask.
        ConfirmationRefused: the answer is not yes.
    """
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Misuse(f"to {what} without being asked, add -y")
    sys.stderr.write(terminal.line(f"mzt: {what}? [y/N] "))
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise ConfirmationRefused


def target_jobs(
    call: Invocation,
    jobs: tuple[str, ...],
    every: bool,
    statuses: tuple[str, ...],
    labels: tuple[str, ...] = (),
) -> list[str]:
    """Return the jobs a request is for: those named, or with --all or labels those in these statuses."""
    if (every or labels) and jobs:
        raise Misuse(f"name jobs or say {'--all' if every else '--label'}, not both")
    if not (every or labels or jobs):
        raise Misuse("name a JOB, or say --all")
    if jobs:
        return list(jobs)
    asked: dict[str, Any] = {"statuses": list(statuses), **({"labels": list(labels)} if labels else {})}
    return sorted(job["job_id"] for job in job_list(call, **asked)["jobs"])


def label_text(labels: tuple[str, ...]) -> str:
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
        Misuse: it is there, or can't be written.
    """
    try:
        opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(opened, "w") as written:
            written.write(text)
    except FileExistsError:
        raise Misuse(f"'{file}' exists already") from None
    except OSError as error:
        why = (error.strerror or "unknown").lower()
        raise Misuse(f"'{file}' can't be written: {why}") from None


STDIN = "-"
"""What is typed for a FILE that is read from standard input."""
_STDIN_NAME = "<stdin>"


_OPEN_FILES = ("/dev/stdin", "/dev/fd/", "/proc/")
"""Where names of files that a process has open lie: of what they lead to, the next process knows nothing."""


def shown_name(file: str) -> str:
    """Return what a FILE is called in messages."""
    return _STDIN_NAME if file == STDIN else file


def has_place(file: str) -> bool:
    """Tell whether a FILE can be read again, and so lies in a directory from which its paths count.

    Standard input can't, nor can a pipe, as `<(…)` of a shell names one.
    """
    if file == STDIN or os.path.abspath(file).startswith(_OPEN_FILES):  # noqa: PTH100
        return False
    return not os.path.exists(file) or os.path.isfile(file)  # noqa: PTH110, PTH113


def score_file(file: str) -> dict[str, Any]:
    """Read a score for the wire: its text, its directory (links resolved) and its absolute path.

    One without a place has no path; what is relative in it counts from the working directory.

    Raises:
        Misuse: it is missing or unreadable.
        InvalidScore: it is no text.
    """
    data = file_bytes(file)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        from marianned.formatting import typed
        from marianned.problem import make_problem

        name = shown_name(file)
        problem = make_problem("S006", "the file is not UTF-8", name, line=1, column=1)
        hint = f"mzt validate {typed(file)}" if has_place(file) else "mzt validate -h"
        raise InvalidScore(f"'{name}' has 1 error", problems=[problem], hints=[hint]) from None
    if not has_place(file):
        return {"text": text, "directory": os.path.realpath("."), "file": None}
    directory = os.path.dirname(os.path.realpath(file))  # noqa: PTH120
    return {"text": text, "directory": directory, "file": os.path.abspath(file)}  # noqa: PTH100


@contextmanager
def as_typed(file: str | None) -> Iterator[Callable[[Iterable[str]], list[str]]]:
    """Let hints of a refusal name a FILE as it was typed, not by its whole path; yield what replaces it."""

    def retyped(hints: Iterable[str]) -> list[str]:
        if file is None or not has_place(file):
            return list(hints)
        from marianned.formatting import typed

        whole = typed(os.path.abspath(file))  # noqa: PTH100
        return [hint.replace(whole, typed(file)) for hint in hints]

    try:
        yield retyped
    except MarianneError as error:
        error.hints = retyped(error.hints)
        raise


def file_bytes(file: str) -> bytes:
    """Read a FILE that was typed; `-` is standard input.

    Raises:
        Misuse: it can't be read, is too large, or standard input has been read for another.
    """
    if file == STDIN:
        import click

        meta = click.get_current_context().find_root().meta
        if meta.setdefault(_STDIN_NAME, False):
            raise Misuse("only one file can be '-': standard input is read once")
        meta[_STDIN_NAME] = True
        return _read_bounded(sys.stdin.buffer, "standard input")
    try:
        with open(file, "rb") as opened:  # noqa: PTH123  pathlib is not wanted for this
            return _read_bounded(opened, f"'{file}'")
    except OSError as error:
        raise Misuse(f"'{file}' can't be read: {(error.strerror or 'unknown').lower()}") from None


def _read_bounded(opened: BinaryIO, name: str) -> bytes:
    """Read to the end; what no request has room for is not read on: it may have no end, as /dev/zero."""
    data = opened.read(_FILE_MOST + 1)
    if len(data) > _FILE_MOST:
        raise Misuse(f"{name} is larger than 8 MiB, which is more than a request takes")
    return data


def environment(given: tuple[str, ...], file: str | None) -> Mapping[str, str]:
    """Return the variables of --env and --env-file; --env wins.

    Raises:
        Misuse: a variable the caller does not have, or a line that is none.
    """
    from marianne_cli import envfile

    variables = {} if file is None else _env_file(file)
    for item in given:
        name, equals, value = item.partition("=")
        if not name:
            raise Misuse(f"'{item}' is not NAME=VALUE")
        if not equals:
            if name not in os.environ:
                raise Misuse(f"'{name}' is not set here; write {name}=VALUE")
            value = os.environ[name]
        if fault := envfile.fault_of(name, value):
            raise Misuse(fault)
        variables[name] = value
    return variables


def values(given: tuple[str, ...], file: str | None) -> dict[str, Any]:
    """Return the values of --var and --vars-file for variables of the score; --var wins.

    Raises:
        Misuse: one is none.
    """
    if not given and file is None:
        return {}
    from marianne_cli import variables

    try:
        found = {} if file is None else variables.read_values(file_bytes(file))
    except variables.VariableError as bad:
        raise Misuse(f"{shown_name(file or '')}:{bad.line}: {bad.message}") from None
    try:
        return found | variables.parse_assignments(given)
    except variables.VariableError as bad:
        raise Misuse(bad.message) from None


def _env_file(file: str) -> dict[str, str]:
    from marianne_cli import envfile

    data = file_bytes(file)
    try:
        return envfile.read_variables(data.decode())
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Misuse(f"{shown_name(file)}:{line}: not UTF-8: byte 0x{data[error.start]:02x}") from None
    except envfile.EnvFileError as bad:
        raise Misuse(f"{shown_name(file)}:{bad.line}: {bad.message}") from None
