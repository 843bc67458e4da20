"""`mzt validate`: check a score without running it, and without a daemon."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from marianne_cli import options, terminal
from marianne_cli.context import CommandOutcome, Invocation
from marianne_cli.exits import problem_text
from marianne_cli.lines.misuse import Misuse
from marianned.errors import Problem
from marianned.formatting import assignments, plural

if TYPE_CHECKING:
    from marianned.score.expanded import CompileResult

_MOST_SECONDS = 10.0
_SLOWEST = 6
"""How many times as long it may take by the clock: a loaded machine is no fault of the score."""
_MOST_MEMORY = 2 * 1024**3

_SHELL = frozenset({"cli"})
"""Instruments that need nothing of the daemon's but what every machine has."""


@options.command(
    "validate",
    "mzt validate release-notes.yaml",
    "mzt validate *.yaml --strict",
    "mzt validate a.yaml --prompts",
)
@options.argument("files", metavar="FILE...", many=True, required=True, kind=options.FILE)
@options.workspace_option
@options.var_option
@options.vars_file_option
@options.flag("--strict", help="Warnings are errors.")
@options.flag("--portable", help="Warn about keys that other readers of the format refuse.")
@options.flag("--explain", help="Show the sheets it expands to.")
@options.flag("--prompts", help="Show the sheets with their prompts.")
def command(
    call: Invocation,
    *,
    files: tuple[str, ...],
    workspace: str | None,
    var: tuple[str, ...],
    vars_file: str | None,
    strict: bool,
    portable: bool,
    explain: bool,
    prompts: bool,
) -> CommandOutcome:
    """Check a score without running it; report every problem with its place."""
    source = {"workspace": workspace, "given": options.values(var, vars_file)}

    def one(file: str) -> CommandOutcome:
        found = _validate(
            file, source, strict=strict, portable=portable, explain=explain or prompts, prompts=prompts
        )
        played = found.pop("played")
        answer = validation_outcome(call, found)
        if played:
            from marianne_cli.service import missing_in_daemon

            found["hints"] = missing_in_daemon.note_missing(call, played)
        return answer

    return options.run_each(call, list(files), one)


def _compile(file: str, given: Mapping[str, Any], *, portable: bool) -> "CompileResult":
    from pathlib import Path

    from marianned.instruments.loader import builtin_profiles
    from marianned.score.check.compiler import compile_score, failed_result
    from marianned.score.read.reader import DiskReader, ScoreSource

    try:
        text = options.file_bytes(file)
    except Misuse as error:
        return failed_result(file, "S001", error.message.replace(f"'{file}'", "it", 1))
    source = ScoreSource(
        text=text,
        file=options.shown_name(file),
        directory=str(Path(file).resolve().parent if options.has_place(file) else Path.cwd()),
        submit_directory=str(Path.cwd()),
        **given,
    )
    return compile_score(source, DiskReader(), builtin_profiles(), portable=portable)


class _CheckTimeout(BaseException):
    """The time for a check is over. No Exception: failures of a template are caught, this must not be."""


@contextmanager
def _resource_limits() -> Iterator[None]:
    """Bound what a score may take of this machine as the daemon's workers do: of time and memory.

    Raises:
        _CheckTimeout: it is over.
        MemoryError: so is the memory.
    """
    import resource
    import signal

    def stop(*_: object) -> None:
        raise _CheckTimeout

    memory = _, most = resource.getrlimit(resource.RLIMIT_AS)
    limit = _MOST_MEMORY if most == resource.RLIM_INFINITY else min(_MOST_MEMORY, most)
    resource.setrlimit(resource.RLIMIT_AS, (limit, most))
    clocks = ((signal.ITIMER_PROF, signal.SIGPROF, 1), (signal.ITIMER_REAL, signal.SIGALRM, _SLOWEST))
    before = [signal.signal(number, stop) for _, number, _ in clocks]
    try:
        for clock, _, times in clocks:
            signal.setitimer(clock, _MOST_SECONDS * times)
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, memory)
        for (clock, number, _), old in zip(clocks, before, strict=True):
            signal.setitimer(clock, 0)
            signal.signal(number, old)


def _validate(
    file: str, given: Mapping[str, Any], *, strict: bool, portable: bool, explain: bool, prompts: bool
) -> dict[str, Any]:
    import msgspec

    from marianned.score.check.compiler import failed_result
    from marianned.score.check.explain import explain as explained

    sheets: list[dict[str, Any]] = []
    hooks: list[dict[str, Any]] = []
    try:
        with _resource_limits():
            compiled = _compile(file, given, portable=portable)
            if explain and compiled.expanded is not None:
                sheets = explained(compiled.expanded, prompts)
                hooks = msgspec.to_builtins(compiled.expanded.hooks_found)
    except _CheckTimeout:
        message = f"checking it takes over {_MOST_SECONDS:g} s: a template that does not end, most likely"
        compiled = failed_result(file, "S203", message)
    except (MemoryError, RecursionError) as error:
        compiled = failed_result(file, "S203", f"checking it takes too much: {type(error).__name__}")
    problems = [_as_error(problem) for problem in compiled.problems] if strict else compiled.problems
    name = options.shown_name(file)
    counts = [sum(problem.severity == kind for problem in problems) for kind in ("error", "warning")]
    return {
        "message": f"{name}: {plural(counts[0], 'error')}, {plural(counts[1], 'warning')}",
        "problems": problems,
        "valid": counts[0] == 0,
        "job_name": compiled.name,
        # links stay as they were typed
        "config_file": os.path.abspath(file) if options.has_place(file) else name,  # noqa: PTH100
        "error_count": counts[0],
        "warning_count": counts[1],
        "total_sheets": compiled.total_sheets,
        "total_stages": compiled.total_stages,
        "parameters": msgspec.to_builtins(compiled.parameters),
        "stage_names": compiled.expanded.stage_names if compiled.expanded else {},
        "sheets": sheets,
        "hooks": hooks,
        "played": [name for name in compiled.expanded.profiles if name not in _SHELL]
        if compiled.expanded
        else [],
    }


def _as_error(problem: Problem) -> Problem:
    import msgspec

    return msgspec.structs.replace(problem, severity="error")


def validation_outcome(call: Invocation, result: Mapping[str, Any]) -> CommandOutcome:
    """Show what a validation found: problems, the sheets where they were asked for, the message."""
    lines = [problem_text(problem) for problem in result["problems"]]
    if result["sheets"]:
        lines += _parameter_lines(result["parameters"])
    for sheet in result["sheets"]:
        name = result["stage_names"].get(str(sheet["stage"]))
        lines += _sheet_lines(sheet, name, unfolded=call.verbose)
    lines += [_hook_line(hook) for hook in result["hooks"]]
    finding = None if result["valid"] else "E505"
    return CommandOutcome(result, text="\n".join([*lines, terminal.line(result["message"])]), finding=finding)


def _hook_line(hook: Mapping[str, Any]) -> str:
    when = "if the job fails" if hook["after_failure"] else "when all sheets are done"
    return f"hook {hook['hook']} ({hook['type']}): {terminal.line(hook['label'])}, {when}"


def _parameter_lines(parameters: Sequence[Mapping[str, Any]]) -> list[str]:
    """Show the parameters: the value of each, which there are, what it is for."""
    from marianne_cli.screens.render import table

    declared = [parameter for parameter in parameters if parameter["declared"]]
    rows = [
        (
            _value_text(parameter["value"]),
            f"one of {', '.join(map(_value_text, parameter['choices']))}" if parameter["choices"] else "",
            parameter["description"] or "",
        )
        for parameter in declared
    ]
    named = zip(declared, rows, strict=True)
    return table([(f"{parameter['name']} =", *row) for parameter, row in named])


def _value_text(value: object) -> str:
    return "(nothing)" if value is None else assignments({"": value})[1:]


def _rounds_text(loop: Mapping[str, Any] | None) -> str:
    """Say how often a sheet is played that is part of a loop."""
    if loop is None:
        return ""
    times = plural(loop["up_to"], "round") if loop["exact"] else f"up to {plural(loop['up_to'], 'round')}"
    return f", {times} (loop {loop['span']})"


def _loops_text(spans: Sequence[str]) -> str:
    """Name loops: `loop 1-2 has`, `loops 1-2 and 4-5 have`."""
    return (
        f"loop {spans[0]} has" if len(spans) == 1 else f"loops {', '.join(spans[:-1])} and {spans[-1]} have"
    )


def _instrument_text(one: Mapping[str, Any]) -> str:
    return f"{one['instrument']} ({one['model']})" if one["model"] else str(one["instrument"])


def _sheet_lines(sheet: Mapping[str, Any], name: str | None, *, unfolded: bool) -> list[str]:
    from marianne_cli.screens.render import named_place

    needs = ", ".join(map(str, sheet["dependencies"])) or "nothing"
    if after := sheet.get("after_loops"):
        needs += f", when {_loops_text(after)} ended"
    head = f"sheet {sheet['sheet']} ({named_place(sheet, name)}): {sheet['instrument']}, needs {needs}"
    lines = [f"{head}, {plural(len(sheet['validations']), 'validation')}{_rounds_text(sheet['loop'])}"]
    if sheet["fallbacks"]:
        lines.append(f"    goes on with: {', then '.join(map(_instrument_text, sheet['chain'][1:]))}")
    if unfolded:
        lines += [
            f"    {key}: {terminal.line(str(value))}" for key, value in sheet["instrument_config"].items()
        ]
    if "prompt" in sheet:
        lines += [f"  | {line}" for line in terminal.text(sheet["prompt"]).split("\n")]
    return lines
