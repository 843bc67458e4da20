"""Refusals as whoever typed a line reads them: its options, its command's help, its words again."""

import re
import shlex
from collections.abc import Sequence

from marianne_cli.lines.forms import CommandForm
from marianned.errors import MarianneError

_PARAMS = re.compile(r"params\.([a-z_]+)(.*)", re.DOTALL)
_NO_TEXT = re.compile(r"([a-z_]+)(?:\.[^ ]*)?( is not UTF-8: .*)", re.DOTALL)
"""What the client says of a param itself, before anything is sent."""
_SCHEMA = re.compile(r"mzt rpc( \S+ --schema)?")
"""Hints for who writes to the socket, and so named its params."""
_OR_NULL = re.compile(r" or null(?= is wanted, not )")
_OPTION_OF = {"job_id": "job", "variables": "var", "text": "config"}
"""By a param of the socket that a command calls otherwise: which parameter of the command it is."""
_NOT_TYPED = {"submit_directory": "the current directory", "directory": "the directory of the score"}
"""By a param that nobody types: what it is."""


def in_words_of(form: CommandForm | None, error: MarianneError) -> None:
    """Put a refusal in the words of the command that was typed, with at least one line to type next."""
    if not all(_SCHEMA.fullmatch(hint) for hint in error.hints) or (form is not None and form.name == "rpc"):
        return
    error.hints = ["mzt -h" if form is None else f"mzt {form.name} -h"]
    if form is not None:
        error.message = _with_option_named(error.message, form)


def _with_option_named(message: str, form: CommandForm) -> str:
    """Name the option that a wrong param was typed as; null can't be typed."""
    found = _PARAMS.fullmatch(message) or _NO_TEXT.fullmatch(message)
    if found is None:
        return message
    name, rest = found[1], _OR_NULL.sub("", found[2])
    own = _OPTION_OF.get(name, name)
    for param in form.params:
        if f"--{own.replace('_', '-')}" in param.words or param.name.rstrip("s") == own.rstrip("s"):
            return f"{_called(param.words, param.metavar)}{rest}"
    return f"{_NOT_TYPED.get(name, name)}{rest}"


def _called(words: Sequence[str], metavar: str | None) -> str:
    options = [word for word in words if word.startswith("-")]
    return max(options, key=len) if options else (metavar or words[0]).strip("[].")


def retyped_hints(error: MarianneError, typed: Sequence[str]) -> list[str]:
    """Return the hints; of a job's name that was mistyped, the command as it was typed with the near ones.

    A command with a value in it is not repeated: it may be a secret.
    """
    wrong = re.match(r"no job '([^']+)'; (the nearest|near:)", error.message)
    if not wrong or typed.count(wrong[1]) != 1 or any("=" in word for word in typed):
        return error.hints
    place = typed.index(wrong[1])
    near = [hint.removeprefix("mzt status ") for hint in error.hints if hint.startswith("mzt status ")]
    return [shlex.join(["mzt", *typed[:place], name, *typed[place + 1 :]]) for name in near] or error.hints
