"""`mzt instruments`: the tools that play sheets: list, show, check, init."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from marianne_cli import exits, options
from marianne_cli.context import CommandOutcome, Invocation
from marianne_cli.lines import kinds
from marianne_cli.lines.misuse import Misuse
from marianned.errors import CheckFailed
from marianned.places import CLUSTERS

Result = Mapping[str, Any]
_ACTIONS = ("list", "show", "check", "init")


@options.command(
    "instruments",
    "mzt instruments",
    "mzt instruments show claude-code",
    "mzt instruments check claude-code --live",
    "mzt instruments check claude-code --executor slurm",
    "mzt instruments init summariser",
)
@options.argument("action", metavar="[list|show|check|init]", default="list", kind=kinds.OneOf(*_ACTIONS))
@options.argument("name", metavar="[NAME]", required=False, kind=kinds.Name())
@options.option(
    "--executor",
    kind=kinds.OneOf(*CLUSTERS),
    help="check: look on a node of the cluster, by a job, whether the instrument can be played there.",
)
@options.flag("--live", help="check: send a one-line prompt to the model, as a job.")
def command(
    call: Invocation, *, action: str, name: str | None, live: bool, executor: str | None
) -> CommandOutcome:
    """List the instruments, show the profile of one, check whether it works, or write a new profile."""
    if live and action != "check":
        raise Misuse("--live goes with check")
    if executor is not None and (action != "check" or name is None or live):
        raise Misuse("--executor goes with check NAME, without --live")
    if name is None and (action in ("show", "init") or live):
        raise Misuse(f"{'--live' if live else action} needs the NAME of an instrument")
    if name is not None and action == "list":
        raise Misuse("list takes no NAME; show does")
    if action == "init":
        return _init(name or "")
    if action == "check":
        return _check(call, name, live=live, executor=executor)
    asked = {"name": name, "directory": os.getcwd()}  # noqa: PTH109  pathlib is not wanted here
    result = call.ask("instrument.list", **asked)
    _note_problems(call, result)
    if not (call.as_json or call.quiet):
        from marianne_cli.service import missing_in_daemon

        missing_in_daemon.note_missing(call, {one["name"] for one in result["instruments"]})
    if action == "show":
        return CommandOutcome(result, text=_profile_text(result["instruments"][0]))
    return CommandOutcome(
        result, text=_list_lines(result["instruments"]), short=_ready_names(result["instruments"])
    )


def _check(call: Invocation, name: str | None, *, live: bool, executor: str | None) -> CommandOutcome:
    asked = {"name": name, "directory": os.getcwd()}  # noqa: PTH109  as above
    result = call.ask("instrument.check", **asked, **({} if executor is None else {"executor": executor}))
    found = result["instruments"]
    bad = [one for one in found if not one["ready"]] if name is not None else []
    if live and not bad:
        from marianne_cli.live_check import ask_instrument

        one = found[0]
        said, problem = ask_instrument(call, one["name"])
        one["ready"], one["problem"] = problem is None, problem
        bad = [one] if problem else []
        call.note(f"{one['name']} answers: {said}" if problem is None else f"{one['name']}: {problem}")
    if executor is not None:
        from marianne_cli.live_check import check_on_node

        one = found[0]
        said, problem = ("", one["problem"]) if bad else check_on_node(call, one["executable"])
        one["ready"], one["problem"] = problem is None, problem
        bad = [one] if problem else []
        call.note(f"{one['name']} on {said}" if problem is None else f"{one['name']} on Slurm: {problem}")
    _note_problems(call, result)
    failed = bool(bad or result["problems"])
    return CommandOutcome(
        result,
        text=_list_lines(found),
        short=_ready_names(found),
        finding=CheckFailed.code if failed else None,
    )


def _note_problems(call: Invocation, result: Result) -> None:
    for problem in result["problems"]:
        call.note(*exits.problem_text(problem).split("\n"))


def _ready_names(found: Sequence[Result]) -> str:
    return "\n".join(one["name"] for one in found if one["ready"])


_VERSION_MOST = 24
"""How much of what a tool says of its version is shown: some say where they were built, too."""


def _list_lines(found: Sequence[Result]) -> str:
    from marianne_cli.screens import render

    rows = [("INSTRUMENT", "READY", "VERSION", "MODEL", "WHERE, OR WHAT IS MISSING")]
    for one in found:
        ready = "yes" if one["ready"] else "no"
        model = one["default_model"] or "-"
        version = one["version"] or "-"
        version = version if len(version) <= _VERSION_MOST else f"{version[: _VERSION_MOST - 1]}…"
        rows.append((one["name"], ready, version, model, _state_text(one)))
    return render.fit_lines(render.table(rows))


def _state_text(one: Result) -> str:
    from marianne_cli.times import moment

    parts = [one["problem"] or one["binary_path"] or "http"]
    if one["limited_until_at"]:
        parts.append(f"rate limit until {moment(one['limited_until_at'])}")
    if one["ready"]:
        parts += [f"key in {name}" for name in one["credentials"][:1]]
    return ", ".join(parts)


def _profile_text(one: Result) -> str:
    """Write a profile as people read it: what is known of it, then its file's own keys."""
    from marianne_cli.screens import render

    keys = " or ".join(one["credentials_of"]) or "-"
    rows = [
        ("name", f"{one['name']} ({one['display_name']})"),
        ("from", one["source"] or "built in"),
        ("kind", one["kind"]),
        ("ready", "yes" if one["ready"] else f"no: {one['problem']}"),
        ("executable", one["binary_path"] or "-"),
        ("key", f"{keys}; set here: {', '.join(one['credentials']) or 'none'}"),
        ("login", one["login"] or "-"),
        ("models", ", ".join(one["models"]) or "-"),
    ]
    lines = render.table(rows)
    profile = one["profile"] or {}
    for part in ("cli", "http"):
        for section, fields in ((profile.get(part) or {}).items()) if profile.get(part) else ():
            lines += _section(f"{part}.{section}", fields)
    return "\n".join(lines)


def _section(title: str, fields: object) -> list[str]:
    import json

    if not isinstance(fields, dict):
        return [f"{title}: {json.dumps(fields)}"]
    told = {key: value for key, value in fields.items() if value not in (None, [], {}, False)}
    return [
        f"{title}:",
        *(f"  {key}: {json.dumps(value, ensure_ascii=False)}" for key, value in told.items()),
    ]


_TEMPLATE = """\
# A profile: how a tool is called, and how what it prints is read. Its file may also lie in
# .marianne/instruments/ beside a score. After a change: mzt instruments check {name}
name: {name}
kind: cli
description: what it is
# of these variables one holds its key; `login` is what a person types to log it in
# credentials: [{upper}_API_KEY]
# login: {name} login
# prices in USD per 1,000 tokens; max_concurrent counts over all jobs
# models:
#   - {{name: some-model, cost_per_1k_input: 0.003, cost_per_1k_output: 0.015, max_concurrent: 4}}

cli:
  command:
    executable: {name}
    prompt_via_stdin: true          # false: the prompt is an argument, behind prompt_flag if there is one
    # auto_approve_flag: --yes      # so that it asks nobody
    # model_flag: --model
    # extra_flags: [--quiet]
    # env: {{{upper}_NO_UPDATE: "1"}}
  output:
    format: text                    # json: one document; jsonl: a line an event
    # result_path: data.answer      # keys joined by dots, key[0], key[-1], *
    # input_tokens_path: usage.input
    # output_tokens_path: usage.output
    # failure_when: [{{path: is_error}}]   # exit code 0 alone is not trusted
  errors:                           # looked for in stderr and in the error text, never in the answer
    auth_error_patterns: [unauthorized, 'invalid.*api.?key']
    rate_limit_patterns: ['rate.?limit', too many requests]
    capacity_patterns: [overloaded]
"""


def _init(name: str) -> CommandOutcome:
    """Write a new profile into the configuration directory; nobody is asked."""
    letters = all(c.isascii() and (c.isalnum() or c in "._-") for c in name)
    if not name or not letters or name.startswith("."):
        raise Misuse(f"'{name}' is not a valid name for an instrument; use letters, digits, '.', '_', '-'")
    from marianned.paths import configuration_directory

    file = configuration_directory() / "instruments" / f"{name}.yaml"
    upper = "".join(c if c.isalnum() else "_" for c in name).upper()
    try:
        for directory in (file.parent.parent, file.parent):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        why = (error.strerror or "unknown").lower()
        raise Misuse(f"'{file.parent}' can't be made: {why}") from None
    options.write_new(file, _TEMPLATE.format(name=name, upper=upper), 0o600)
    hint = f"mzt instruments check {name}"
    message = f"{name}: profile written to {file}"
    return CommandOutcome(
        {"message": message, "hints": [hint], "instruments": [], "config_file": str(file)},
        text=f"{message}; try it: {hint}",
    )
