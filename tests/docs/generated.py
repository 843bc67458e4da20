"""The generated regions of the pages, read off the code: python tests/docs/generated.py writes them anew."""

import enum
import inspect
import json
import re
import types
import typing
from typing import Any

import click
import manuals
import modify_table
import msgspec
import pages
import score_codes
import score_fields
import score_schema

from marianne_cli import client
from marianne_cli.client.calls import ClientMethods
from marianne_cli.screens.topics import TOPICS
from marianne_cli.tree import prepared_help
from marianne_cli.tree.group import mzt
from marianne_cli.tree.table import TABLE as COMMANDS
from marianned import __version__, errors, protocol, rows
from marianned.clock import Instant
from marianned.config import DURATIONS, FIELDS
from marianned.instruments import profile
from marianned.lifecycle import TABLE, Action, Guard, TransitionRule
from marianned.problem import SEVERITIES
from marianned.protocol import METHODS, JobStatus
from marianned.protocol.schema import field_docs
from marianned.score.read import model, rules

PROFILE = {
    profile.Profile: "the profile",
    profile.InstrumentModel: "`models`",
    profile.CliInstrument: "`cli`",
    profile.ToolCommand: "`cli.command`",
    profile.OutputFormat: "`cli.output`",
    profile.FailureRule: "`cli.output.failure_when`",
    profile.TextAmounts: "`cli.output.text_amounts`",
    profile.FinalEvent: "`cli.output.final_event`",
    profile.StopRequest: "`cli.stop`",
    profile.DisplayRule: "`cli.output.live`",
    profile.ErrorPatterns: "`cli.errors`",
    profile.HttpInstrument: "`http`",
}
"""The parts of an instrument's profile, and where each stands."""
TYPES = {one.__name__ for one in vars(protocol).values() if inspect.isclass(one)}
"""The types that the page of the protocol has a section for."""
TAKEN = {
    file.name.removesuffix(".params.json"): json.loads(file.read_text())
    for file in sorted(
        (pages.ROOT / "tests" / "conversations").glob("*.params.json"),
        key=lambda file: [int(number) for number in re.findall(r"\d+", file.name)],
    )
}
"""What each method of each release took, the oldest first."""


def row(*cells):
    return "| " + " | ".join(re.sub(r"(?<!\\)\|", r"\\|", cell) for cell in cells) + " |\n"


def table(head, rows):
    return row(*head) + row(*("---" for _ in head)) + "".join(row(*cells) for cells in rows)


def first_line(thing):
    return inspect.getdoc(thing).split("\n\n")[0].replace("\n", " ")


# --- commands --------------------------------------------------------------------------------------------


HELP = pages.ROOT / "marianne_cli/tree" / prepared_help.FILE


def help_of_mzt(columns=prepared_help.COLUMNS_LEAST):
    """What `mzt --help` prints."""
    return (
        mzt.get_help(mzt.make_context("mzt", [], resilient_parsing=True, terminal_width=columns - 2)) + "\n"
    )


def commands():
    """Every command's help, as it is printed."""
    context = click.Context(mzt, info_name="mzt", help_option_names=["-h", "--help"], max_content_width=100)
    text = f"```text\n{mzt.get_help(context)}\n```\n"
    for title, entries in COMMANDS.items():
        text += f"\n## {title}\n"
        for name in entries:
            command = mzt.get_command(context, name)
            inner = click.Context(command, info_name=name, parent=context, terminal_width=100)
            text += f"\n### mzt {name}\n\n```text\n{command.get_help(inner)}\n```\n"
    return text


# --- requests by status ----------------------------------------------------------------------------------


def requests():
    """The table of lifecycle.py: what a request does in each status."""
    notes = dict(zip(Guard, "¹²³⁴⁵⁶", strict=True))

    def said(cell):
        if not isinstance(cell, TransitionRule):
            return cell.code
        return ", ".join(cell.effects) + "".join(
            mark for guard, mark in notes.items() if guard in cell.guards
        )

    rows = [(f"`{action}`", *(said(TABLE[action, status]) for status in JobStatus)) for action in Action]
    guards = "\n\n".join(f"{mark} only if {guard}; else E502." for guard, mark in notes.items())
    return table(("request", *JobStatus), rows) + f"\n{guards}\n"


# --- errors, settings ------------------------------------------------------------------------------------


def codes():
    """Every error code, with the exit status and the number on the wire."""
    return table(
        ("code", "exit", "on the wire", "exception", "meaning"),
        [
            (code, str(cls.exit_status), str(cls("").rpc_code), f"`{cls.__name__}`", first_line(cls))
            for code, cls in sorted(errors.BY_CODE.items())
        ],
    )


def meaning(name, field):
    """Say what a setting is for."""
    (told,) = (one.description for one in field.type.__metadata__ if isinstance(one, msgspec.Meta))
    return told + ('; also as `"1m30s"`' if name in DURATIONS else "")


def settings():
    """Every setting of config.toml, with its default."""
    return table(
        ("setting", "type", "default", "meaning"),
        [
            (f"`{name}`", kind(field.type), default(field) or "required", meaning(name, field))
            for name, field in FIELDS.items()
        ],
    )


# --- the protocol ----------------------------------------------------------------------------------------


def kind(annotation):  # noqa: PLR0911  a type a line
    """Write a type as the contract does: `T?` is T or null, `[T]` a list."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return kind(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return kind(next(one for one in arguments if one is not type(None))) + "?"
    if origin is list:
        return f"[{kind(arguments[0])}]"
    if origin is dict:
        return f"{{{kind(arguments[0])}: {kind(arguments[1])}}}"
    if origin is typing.Literal:
        return " or ".join(f'"{one}"' for one in arguments)
    if annotation in PROFILE:
        title = PROFILE[annotation]
        return f"[{title}](#{title.replace('.', '').replace('`', '')})"
    names = {float: "num", bytes: "base64", object: "any", Any: "any", str: "str", int: "int", bool: "bool"}
    return names.get(annotation) or f"[{annotation.__name__}](#{annotation.__name__.lower()})"


def linked(text, page=""):
    """Make links of the pages that a text names by their path from the top, and of the types in backticks."""
    text = re.sub(r"docs/reference/([\w-]+)\.md", r"[\1](\1.md)", text)
    text = re.sub(r"docs/design/([\w-]+)\.md", r"[\1](../design/\1.md)", text)
    text = re.sub(r"docs/([\w-]+)\.md", r"[\1](../\1.md)", text)
    return re.sub(
        r"`([A-Z]\w+)`", lambda m: f"[{m[1]}]({page}#{m[1].lower()})" if m[1] in TYPES else m[0], text
    )


def default(field):
    """Write a field's default; empty where it must be given."""
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.json.encode(field.default_factory()).decode()
    if isinstance(field.default, msgspec.Struct):
        return "{}"
    if field.default not in (msgspec.NODEFAULT, msgspec.UNSET):
        return msgspec.json.encode(field.default).decode()
    return ""


def released(method, param=None):
    """Return the first version that had a method, or a param of it."""
    for version, takes in TAKEN.items():
        if method in takes and (param is None or param in takes[method]):
            return version
    return __version__


def later(struct, field):
    """Say since when a method takes a param that it did not take from its beginning."""
    method = getattr(struct, "method", None)
    since = released(method, field.encode_name) if method else None
    return f" Since {since}." if since is not None and since != released(method) else ""


def field_table(struct, *, less=None, defaults=False, name="field"):
    """Return a table of the fields of a Struct, without those it has from a base; empty: there are none."""
    inherited = less.__struct_fields__ if less is not None else ()
    docs = field_docs(struct)
    rows = [
        (
            f"`{field.encode_name}`",
            kind(field.type),
            *([coded(default(field)) or required(field)] if defaults else []),
            linked(docs[field.name]) + later(struct, field),
        )
        for field in msgspec.structs.fields(struct)
        if field.name not in inherited
    ]
    head = (name, "type", "default", "meaning") if defaults else (name, "type", "meaning")
    return table(head, rows) if rows else ""


def coded(text):
    return f"`{text}`" if text else ""


def required(field):
    return "required" if field.required else ""


def methods():
    """Every method: what it takes, what it answers."""
    text = ""
    for name, method in METHODS.items():
        result = method.result.__name__
        changes = "Changes something" if method.writes else "Read-only"
        if method.changes and not method.writes:
            changes = "Changes no job, and is refused on a read-only connection all the same"
        base = protocol.Command if method.writes else protocol.Query
        takes = field_table(method.params, less=base, defaults=True, name="param")
        also = "takes the params of [Command](#command)" if method.writes else "takes no params"
        if takes and method.writes:
            also = "takes the params of [Command](#command), and"
        elif takes:
            also = "takes"
        text += f"### {name}\n\n{paragraphs(method.params)}\n\n"
        text += f"{changes}; since {released(name)}; returns [{result}](#{result.lower()}); {also}"
        text += f":\n\n{takes}\n" if takes else ".\n\n"
    return text


def structs():
    """Every Struct of a reply, and every set of words."""
    kinds = [one for one in vars(protocol).values() if inspect.isclass(one)]
    asks = {method.params for method in METHODS.values()} | {protocol.Query}
    text = ""
    for struct in kinds:
        if not issubclass(struct, msgspec.Struct) or struct in asks:
            continue
        base = struct.__base__ if struct.__base__ in kinds and struct is not protocol.Command else None
        given = {"defaults": True, "name": "param"} if struct is protocol.Command else {}
        fields = field_table(struct, less=base, **given)
        text += f"### {struct.__name__}\n\n{linked(paragraphs(struct))}\n\n"
        if base is not None:
            text += f"The fields of [{base.__name__}](#{base.__name__.lower()})"
            text += ", and:\n\n" if fields else ".\n\n"
        text += f"{fields}\n" if fields else ""
    for words in kinds:
        if issubclass(words, enum.StrEnum) and words is not enum.StrEnum:
            listing = " · ".join(f"`{word}`" for word in words)
            text += f"### {words.__name__}\n\n{linked(first_line(words))}\n\n{listing}\n\n"
    return text


def profiles():
    """Every field of an instrument's profile, part by part."""
    text = ""
    for struct, title in PROFILE.items():
        text += f"### {title[0].upper()}{title[1:]}\n\n{linked(paragraphs(struct))}\n\n"
        text += f"{field_table(struct, defaults=True)}\n"
    return text


# --- the database ----------------------------------------------------------------------------------------


def tables():
    """Every table that holds rows of a kind, column by column."""
    text = ""
    for struct, (name, key) in rows.TABLES.items():
        docs = field_docs(struct)
        columns = [
            (
                f"`{field.name}`",
                column(field.type),
                linked(docs[field.name], "protocol.md"),
            )
            for field in msgspec.structs.fields(struct)
        ]
        named = f" Key: {', '.join(f'`{one}`' for one in key)}." if key else ""
        text += f"### {name}\n\n{linked(paragraphs(struct))}{named}\n\n"
        text += table(("column", "holds", "meaning"), columns) + "\n"
    return text


def column(annotation):
    """Say what a column holds for a field of this type; `?`: or null."""
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return column(next(one for one in arguments if one is not type(None))) + "?"
    words = {int: "integer", float: "number", str: "text", bytes: "bytes", bool: "0 or 1", Instant: "instant"}
    if isinstance(annotation, type) and issubclass(annotation, enum.StrEnum):
        return "text"
    return words.get(annotation, "JSON")


# --- the Python client -----------------------------------------------------------------------------------


def client_calls():
    """The named methods of both clients: what each asks, and what is returned."""
    text = ""
    for name in sorted(vars(ClientMethods)):
        if name.startswith("_"):
            continue
        method = vars(ClientMethods)[name]
        parameters = [*inspect.signature(method).parameters.values()][1:]
        given, by_name = [], []
        for one in parameters:
            (by_name if one.kind is one.KEYWORD_ONLY else given).append(parameter(one))
        listing = ", ".join([*given, *(["*"] if by_name else []), *by_name])
        request = asked_by(name)
        reply = METHODS[request.method].result.__name__
        text += f"### {name}\n\n{paragraphs(method)}\n\n`{name}({listing})`\n\n"
        text += f"Asks [{request.method}](protocol.md#{request.method.replace('.', '')}) with "
        text += f"`{request.__name__}`; returns [{reply}](protocol.md#{reply.lower()}).\n\n"
    return text


def asked_by(name):
    """Return the class of the request that a named method asks."""
    asked = []
    recorder = type("Recorder", (ClientMethods,), {"ask": lambda _, request: asked.append(request)})()
    method = getattr(recorder, name)
    needed = [
        one.name
        for one in inspect.signature(method).parameters.values()
        if one.default is inspect.Parameter.empty
    ]
    method(**dict.fromkeys(needed, "x"))
    return type(asked[0])


def parameter(one):
    """Write a parameter with its default, if it has one."""
    return one.name if one.default is inspect.Parameter.empty else f"{one.name} = {shown(one.default)}"


def shown(value):
    """Write a default of a parameter; one that is made anew each time as an empty one."""
    return (
        "…"
        if callable(value) or "Factory" in type(value).__name__
        else repr(value).replace(__version__, "VERSION")
    )


def paragraphs(thing):
    """Return a docstring as paragraphs, and what it raises as a list."""
    text = inspect.getdoc(thing)
    body, raises, errors = text.partition("\n\nRaises:\n")
    told = "\n\n".join(" ".join(part.split()) for part in body.split("\n\n"))
    if raises:
        kinds = re.sub(r"\n {8,}", " ", errors).strip().splitlines()
        told += "\n\nRaises:\n\n" + "\n".join(f"- `{kind.strip().replace(': ', '`: ', 1)}" for kind in kinds)
    return told


def client_own():
    """What the clients do beside the named methods."""
    text = ""
    for thing, title in (
        (client.connect, "connect"),
        (client.aconnect, "aconnect"),
        (client.Client.ask, "ask"),
        (client.Client.events, "events"),
        (client.Client.subscribe, "subscribe"),
        (client.Client.follow, "follow"),
        (client.Client.follow_job, "follow_job"),
        (client.Client.request, "request"),
        (client.Client, "Client"),
        (client.AsyncClient, "AsyncClient"),
        (client.Items, "Items"),
        (client.Piece, "Piece"),
        (client.FollowedOutput, "FollowedOutput"),
    ):
        text += f"### {title}\n\n{paragraphs(thing)}\n\n"
        if inspect.isfunction(thing):
            named = [one if one == "*" else parameter(one) for one in signature_of(thing)]
            text += f"`{title}({', '.join(named)})`\n\n"
    return text


def signature_of(thing):
    """Return the parameters of a function, without `self`, and a star before those given by name."""
    parameters = [one for one in inspect.signature(thing).parameters.values() if one.name != "self"]
    by_name = [one for one in parameters if one.kind is one.KEYWORD_ONLY]
    given = [one for one in parameters if one.kind is not one.KEYWORD_ONLY]
    return [*given, *(["*"] if by_name else []), *by_name]


# --- the score -------------------------------------------------------------------------------------------


def score_kind(rule):  # noqa: PLR0911  a type a line
    """Say what a type of the score format takes."""
    match rule:
        case rules.StructRule() | rules.SettingsRule():
            return "mapping"
        case rules.EitherRule():
            return f"{score_kind(rule.short)}, or {score_kind(rule.long)}"
        case rules.ListRule():
            return f"list of {score_kind(rule.item)}"
        case rules.MapRule():
            return f"{score_kind(rule.value)} by {'number' if rule.numbered else 'name'}"
        case rules.TextRule(choices=choices) if choices:
            return " or ".join(f"`{choice}`" for choice in choices)
        case rules.NullableRule():
            return "any"
        case rules.AnyRule():
            return "mapping or list" if rule.kinds else "any"
        case rules.NumberRule() | rules.DurationRule():
            return score_range(rule)
    return {rules.TextRule: "text", rules.BoolRule: "yes or no", rules.PatternRule: "regular expression"}[
        type(rule)
    ]


def score_range(rule):
    """Say which numbers or durations are possible."""
    inner, unit = (rule.range, "s") if isinstance(rule, rules.DurationRule) else (rule, "")
    said = "duration" if unit else "integer" if rule.whole else "number"
    words = {"from": inner.least, "over": inner.above, "to": inner.most}
    limits = [f"{word} {limit:g}{unit}" for word, limit in words.items() if limit is not None]
    return " ".join([said, *limits])


def score_default(field, rule):
    """Write the default of a field of the score as one types it; empty where there is nothing to say."""
    if field.required:
        return "required"
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if isinstance(rule, rules.DurationRule) and value is not None:
        return f"`{value:g}s`"
    if value is None or value in ({}, [], "") or isinstance(value, msgspec.Struct):
        return ""
    return f"`{value if isinstance(value, str) else msgspec.json.encode(value).decode()}`"


def score_parts():
    """Every key of a score, part by part."""
    text = ""
    for struct, (_, title) in score_fields.SECTIONS.items():
        hints = typing.get_type_hints(struct, include_extras=True)
        rows = []
        for field in msgspec.structs.fields(struct):
            rule = hints[field.name].__metadata__[0]
            key = f"`{field.name.removesuffix('_')}`"
            about = score_fields.FIELDS[struct][field.name]
            rows.append((key, score_kind(rule), score_default(field, rule), about))
        text += f"### {title}\n\n" + table(("key", "takes", "default", "meaning"), rows) + "\n"
    return text


def score_settings():
    """Every setting of an instrument."""
    rows = [
        (
            f"`{key}`",
            score_kind(rule),
            "yes" if key in model.INSTRUMENT_SPECIFIC else "",
            score_fields.SETTINGS[key],
        )
        for key, rule in model.SETTINGS.items()
    ]
    return table(("setting", "takes", "for one instrument only", "meaning"), rows)


def score_problems():
    """Every problem code."""
    return table(
        ("code", "severity", "problem", "what to do"),
        [(code, SEVERITIES[code], *said) for code, said in score_codes.CODES.items()],
    )


def topics():
    """What `mzt help TOPIC` says."""
    return "\n".join(f"## {name}\n\n```text\n{topic.text}\n```\n" for name, topic in TOPICS.items())


REGIONS = {
    "topics": topics,
    "score-parts": score_parts,
    "score-settings": score_settings,
    "score-problems": score_problems,
    "commands": commands,
    "requests": requests,
    "modify": modify_table.modify,
    "codes": codes,
    "settings": settings,
    "methods": methods,
    "structs": structs,
    "profiles": profiles,
    "tables": tables,
    "client-own": client_own,
    "client-calls": client_calls,
}


def main():
    bodies = {name: make() for name, make in REGIONS.items()}
    for page in pages.PAGES:
        text = page.read_text()
        page.write_text(pages.with_regions(text, bodies))
    (pages.ROOT / score_schema.FILE).write_text(score_schema.written())
    manuals.write()
    HELP.write_text(help_of_mzt())


if __name__ == "__main__":
    main()
