"""What the parameters of commands mean: how each kind is read, and what the shell completes it with."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from marianne_cli.lines.forms import ParameterKind
from marianned.errors import MarianneError
from marianned.formatting import read_duration

if TYPE_CHECKING:
    import click

_COMPLETION_PATIENCE = 0.2
Completions = Sequence[tuple[str, str | None]]


class OneOf(ParameterKind):
    """One of some words."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def convert(self, text: str) -> str:
        """Read it."""
        if text not in self.words:
            raise ValueError(text)
        return text


class WholeNumber(ParameterKind):
    """A whole number, from the least to the most; null: without such a bound."""

    def __init__(self, least: int | None = None, most: int | None = None) -> None:
        self.least = least
        self.most = most

    def convert(self, text: str) -> int:
        """Read it."""
        if not (text.isascii() and text.isdigit()):
            raise ValueError(text)
        number = int(text)
        if number < (self.least or 0) or (self.most is not None and number > self.most):
            raise ValueError(text)
        return number


class FilePath(ParameterKind):
    """A file's name, which the shell completes; what is wrong with it is said where it is read."""

    plain = False

    def __init__(self, *, may_be_file: bool = True) -> None:
        self.may_be_file = may_be_file


class Name(ParameterKind):
    """A name or an address that is looked up as it is."""


class Seconds(ParameterKind):
    """A duration in seconds: `90`, `500ms`, `90s`, `5m`, `1h30m`, `2d`."""

    name = "duration"

    def convert(self, text: str) -> float:
        """Read it."""
        return read_duration(text)


class DollarAmount(ParameterKind):
    """An amount of USD, more than nothing."""

    name = "amount"

    def convert(self, text: str) -> float:
        """Read it."""
        try:
            amount = float(text)
        except ValueError:
            amount = 0.0
        if not 0 < amount < float("inf"):
            raise ValueError(f"'{text}' is not an amount; write 5 or 0.50")
        return amount


class PastTime(ParameterKind):
    """A time that has been: `07:30`, RFC 3339, or a duration ago."""

    name = "time"

    def convert(self, text: str) -> str:
        """Read it into RFC 3339."""
        from marianne_cli.times import parse_since

        return parse_since(text)


class JobName(ParameterKind):
    """A job: `name` for its newest run, `name@run` for any; the shell completes those that the verb takes."""

    name = "job"

    def __init__(self, *statuses: str) -> None:
        self._statuses = statuses

    def complete(self, asked: "click.Context", param: str, begun: str) -> Completions:
        """Ask the daemon, briefly; say nothing when it does not answer. Runs are told once `@` is typed."""
        wanted = {"names": True, "runs": "@" in begun, "statuses": list(self._statuses)}
        names = ask_briefly(asked, "job.list", wanted).get("names", [])
        given = asked.params.get(param) or ()
        return completions_of((name for name in names if name not in given), begun)


def ask_briefly(asked: "click.Context", method: str, params: Mapping[str, object]) -> dict[str, Any]:
    """Ask the daemon for completions; return nothing if it does not answer at once."""
    from marianne_cli.client.blocking import connect_raw

    try:
        with connect_raw(asked.find_root().params.get("socket"), timeout=_COMPLETION_PATIENCE) as client:
            return client.request(method, params, once=True)
    except (MarianneError, OSError):
        return {}


def completions_of(names: Iterable[str], begun: str) -> Completions:
    """Return the names that begin with what is typed, as completions."""
    return [(name, None) for name in names if name.startswith(begun)]


class LabelName(ParameterKind):
    """A label of jobs: a word that needs no quotes; the shell completes those that jobs have."""

    name = "label"

    def convert(self, text: str) -> str:
        """Refuse what is not a label; return it as it is."""
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._=/:-]{0,62}", text):
            raise ValueError(f"'{text}' is not a label; use letters, digits and . _ = / : - (63 at most)")
        return text

    def complete(self, asked: "click.Context", param: str, begun: str) -> Completions:  # noqa: ARG002
        """Ask the daemon for the jobs that are listed."""
        jobs = ask_briefly(asked, "job.list", {}).get("jobs", [])
        return completions_of(dict.fromkeys(label for job in jobs for label in job["labels"]), begun)


class WordList(ParameterKind):
    """Words with commas between; the shell completes each."""

    name = "words"

    def __init__(self, *words: str) -> None:
        self.words = words

    def complete(self, asked: "click.Context", param: str, begun: str) -> Completions:  # noqa: ARG002
        """Complete the last one, behind its comma."""
        before, comma, _ = begun.rpartition(",")
        return completions_of((f"{before}{comma}{word}" for word in self.words), begun)
