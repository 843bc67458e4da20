"""The manual pages, made from the programs' own help and from `mzt help`'s topics: docs/man/*.1 (mdoc)."""

import datetime as dt
import re
import textwrap

import click
import pages

from marianne_cli.screens.topics import EXIT_CODES, SHEET_VARIABLES, TOPICS, VARIABLES
from marianne_cli.tree.group import mzt
from marianne_cli.tree.table import TABLE
from marianned.service import MISCONFIGURED_EXIT, arguments_parser

DIRECTORY = pages.ROOT / "docs" / "man"
_RELEASED = re.search(r"^## \[.*\] - (.+)$", pages.text_of("CHANGELOG.md"), re.MULTILINE)[1]
DATE = f"{dt.date.fromisoformat(_RELEASED):%B %-d, %Y}"
_CONTROL = re.compile(r"^([.'])", re.MULTILINE)
_MACRO = re.compile(r"[A-Z][a-z]")
_OF_DAEMON = """\
The daemon owns all jobs of a user and serves them on a Unix socket; mzt(1) is its client.
It stays in the foreground. There is one for each state directory; a second one says who holds it, and exits.
`mzt start` starts it in the background, `mzt service install` under systemd.
It logs to standard error or systemd's journal, and to marianned.log in the state directory.
What is in flight goes on while it is stopped, and is picked up by the next one."""
_SIGNALS = (
    ("TERM , INT", "stop; what is in flight goes on"),
    ("HUP", "read config.toml again"),
)
_DAEMON_VARIABLES = (
    ("STATE_DIRECTORY", "the state directory, as systemd names it; it wins over XDG_STATE_HOME"),
    ("CONFIGURATION_DIRECTORY", "the configuration directory, as systemd names it"),
)
_DAEMON_EXITS = (
    ("0", "it was stopped"),
    (
        "1",
        "another daemon holds the state directory, or something of the system can't be had; --check found something",
    ),
    ("2", "usage: an unknown option"),
    (
        str(MISCONFIGURED_EXIT),
        "config.toml, the database, a directory or the socket's name must be changed first",
    ),
)
_WIDE = 72
"""Columns of running text; roff escapes add to them."""


def _text(said):
    """Escape running text: backslashes, and lines that would be macros."""
    return _CONTROL.sub(r"\\&\1", said.replace("\\", "\\e").replace("-", "\\-"))


def _prose(said):
    """Set text with each sentence on lines of its own, as roff wants it."""
    sentences = re.split(r"(?<=[.?!]) (?=[A-Z])", " ".join(said.split()))
    return _text("\n".join(textwrap.fill(sentence, _WIDE, break_on_hyphens=False) for sentence in sentences))


def _words(said):
    """Escape what is the argument of a macro."""
    return " ".join(f"\\&{word}" if _MACRO.fullmatch(word) else _text(word) for word in said.split())


def _head(name, about):
    title = name.upper().replace("-", "\\-")
    return f".Dd {DATE}\n.Dt {title} 1\n.Os\n.Sh NAME\n.Nm {name}\n.Nd {_words(about.rstrip('., '))}\n"


def _literal(text):
    return f".Bd -literal -offset indent\n{_text(text)}\n.Ed\n"


def _options(command, context):
    rows = []
    for param in command.get_params(context):
        if isinstance(param, click.Option) and not param.hidden:
            shown, said = param.get_help_record(context)
            rows.append(f".It {_item(shown)}\n{_prose(said)}\n")
    return ".Bl -tag -width Ds\n" + "".join(rows) + ".El\n" if rows else ""


def _item(shown):
    """Set `-c, --config FILE` with its macros."""
    parts = []
    for one in shown.split(", "):
        flag, _, value = one.partition(" ")
        parts.append(f"Fl {_text(flag[1:])}" + (f" Ar {_words(value)}" if value else ""))
    return " , ".join(parts)


def _synopsis(name, command, context):
    pieces = [".Nm mzt" if name == "mzt" else f".Nm mzt\n.Cm {name}"]
    for word in command.collect_usage_pieces(context):
        if word == "[OPTIONS]":
            pieces.append(".Op Ar options")
        elif word.startswith("["):
            pieces.append(f".Op Ar {_words(word.strip('[]'))}")
        else:
            pieces.append(f".Ar {_words(word)}")
    return ".Sh SYNOPSIS\n" + "\n".join(pieces) + "\n"


def _environment(rows):
    items = "".join(f".It Ev {_words(name)}\n{_prose(said)}.\n" for name, said in rows)
    return f".Bl -tag -width Ds\n{items}.El\n"


def _exits(codes=EXIT_CODES):
    items = "".join(f".It {code}\n{_prose(said)}.\n" for code, said in codes)
    return f".Sh EXIT STATUS\n.Bl -tag -width Ds\n{items}.El\n"


def _of_command(name, about, command, parent):
    context = click.Context(command, info_name=name, parent=parent, terminal_width=100)
    text = _head(f"mzt-{name}", about) + _synopsis(name, command, context)
    text += ".Sh DESCRIPTION\n" + ".Pp\n".join(
        f"{_prose(part)}\n" for part in (command.help or "").split("\n\n") if part.strip("\b\n ")
    )
    text += _options(command, context)
    text += _exits()
    examples = (command.epilog or "").partition("Examples:\n")[2].rstrip()
    if examples:
        text += ".Sh EXAMPLES\n" + _literal("\n".join(line[2:] for line in examples.splitlines()))
    return text


def _of_mzt(root):
    text = _head("mzt", "run scores; pause them at a sheet boundary, change them, go on")
    text += _synopsis("mzt", mzt, root) + f".Sh DESCRIPTION\n{_prose(mzt.help)}\n"
    text += _options(mzt, root)
    for title, entries in TABLE.items():
        text += f".Ss {title}\n.Bl -tag -width Ds\n"
        text += "".join(f".It Cm {name}\n{_prose(entry.help)}\n" for name, entry in entries.items())
        text += ".El\n"
    text += ".Pp\nEach command has a page of its own: mzt\\-run(1).\n"
    text += f".Ss How sheets are named\n{_literal(TOPICS['sheets'].text)}"
    text += f".Sh ENVIRONMENT\n{_environment(VARIABLES)}.Pp\nA sheet finds besides:\n{_environment(SHEET_VARIABLES)}"
    text += f".Sh FILES\n{_literal(TOPICS['files'].text)}"
    return text + _exits()


def _of_daemon():
    actions = [one for one in arguments_parser()._actions if one.option_strings]
    shown = [", ".join(one.option_strings) + (f" {one.metavar}" if one.metavar else "") for one in actions]
    text = _head("marianned", "conductor of long-running work by agents and commands")
    text += ".Sh SYNOPSIS\n.Nm marianned\n.Op Ar options\n"
    text += f".Sh DESCRIPTION\n{_prose(_OF_DAEMON)}\n.Bl -tag -width Ds\n"
    text += "".join(
        f".It {_item(name)}\n{_prose(one.help)}.\n" for name, one in zip(shown, actions, strict=True)
    )
    text += ".El\n.Ss Signals\n.Bl -tag -width Ds\n"
    text += "".join(f".It Dv {name}\n{_prose(said)}.\n" for name, said in _SIGNALS) + ".El\n"
    known = [row for row in VARIABLES if row[0].startswith(("MARIANNE_", "XDG_"))]
    text += f".Sh ENVIRONMENT\n{_environment([*known, *_DAEMON_VARIABLES])}"
    return text + f".Sh FILES\n{_literal(TOPICS['files'].text)}" + _exits(_DAEMON_EXITS)


def manuals():
    """Return the text of each page by its file's name."""
    root = click.Context(mzt, info_name="mzt", help_option_names=["-h", "--help"], terminal_width=100)
    made = {"mzt.1": _of_mzt(root), "marianned.1": _of_daemon()}
    for entries in TABLE.values():
        for name, entry in entries.items():
            made[f"mzt-{name}.1"] = _of_command(name, entry.help, mzt.get_command(root, name), root)
    return made


def write():
    """Write them anew; what no command stands behind any more goes."""
    DIRECTORY.mkdir(exist_ok=True)
    made = manuals()
    for file in DIRECTORY.glob("*.1"):
        if file.name not in made:
            file.unlink()
    for name, text in made.items():
        (DIRECTORY / name).write_text(text)
