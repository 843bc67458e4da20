"""The form of a command: its parameters as data, and the reader of plain command lines.

A form is all that both readers know. The one here reads what most lines are: words and options as the help
has them. What else there is (a mistake, `-h`, a value behind letters, what a shell asks to complete) is left
to Click (`click_commands.py`), which takes as long to load as all else together. Where both read a line, they
agree.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import click


class ParameterKind:
    """How a parameter's text is converted and completed; Click reports a text that is wrong."""

    name = "text"
    plain = True
    """Whether `convert` is enough to read a value; else lines that have one are left to Click."""
    may_be_empty = False
    """Whether an empty word is a value; most often it is a variable of the shell that is not set."""

    def convert(self, text: str) -> Any:
        """Return the value of a text.

        Raises:
            ValueError: the text is not of this kind; the message says why.
        """
        return text

    def complete(self, asked: "click.Context", param: str, begun: str) -> Sequence[tuple[str, str | None]]:  # noqa: ARG002
        """Return what the shell may complete a word with, each with its help; nobody knows of any."""
        return ()


class FreeText(ParameterKind):
    """Any text."""

    may_be_empty = True


TEXT = FreeText()


class Param(NamedTuple):
    """A parameter as it is declared: its words, and what the help and both readers need of it."""

    words: tuple[str, ...]
    is_option: bool = False
    kind: ParameterKind = TEXT
    metavar: str | None = None
    help: str | None = None
    is_flag: bool = False
    value: str | None = None
    """Of a flag that stands for a value: which."""
    multiple: bool = False
    """Of an option: it may be given again. Of an argument: it takes all words that are left."""
    required: bool = False
    default: Any = None
    show_default: bool = False
    combined: Callable[[tuple[str, ...]], Any] | None = None
    """What is made of all that was given of one that is `multiple`."""

    @property
    def name(self) -> str:
        """What the command's function calls it."""
        bare = [word for word in self.words if not word.startswith("-")]
        longest = max(self.words, key=lambda word: len(word) - len(word.lstrip("-")))
        return bare[0] if bare else longest.lstrip("-").replace("-", "_")

    @property
    def absent_value(self) -> Any:
        """The value when the parameter is not given."""
        if self.multiple:
            return () if self.combined is None else self.combined(())
        if isinstance(self.default, str):
            return self.kind.convert(self.default)
        return False if self.is_flag and self.value is None else self.default


class CommandForm(NamedTuple):
    """A command: its function, from (call, its own parameters) to a CommandOutcome, and how it is called."""

    name: str
    function: Callable[..., Any]
    params: tuple[Param, ...]
    examples: tuple[str, ...]
    changes: bool
    """Whether it is a request, with --reason and --key."""
    paged: bool
    """Whether what it prints may be long."""


class ParsedLine(NamedTuple):
    """A command line that was read: the values of all parameters, and the names of those that were typed."""

    values: dict[str, Any]
    typed: frozenset[str]
    fields: tuple[str, ...] | None
    """Of JSON objects only these keys; null: all."""


def read_plain_line(form: CommandForm, words: Sequence[str]) -> ParsedLine | None:
    """Read a plain line of a command; null: the line is not plain, Click has to read it."""
    words, fields = without_fields(words)
    found = _read_options(form, words)
    if found is None:
        return None
    given, left = found
    for param in form.params:
        if not param.is_option:
            taken, left = (left, []) if param.multiple else (left[:1], left[1:])
            if param.required and not taken:
                return None
            given |= {param: taken} if taken else {}
    values = {param: [_convert(param, text) for text in texts] for param, texts in given.items()}
    names = {param.name for param in values}
    if left or len(names) < len(values) or any(_NOT_READ in some for some in values.values()):
        return None
    return ParsedLine(_all_values(form, values), frozenset(names), fields)


def without_fields(words: Sequence[str]) -> tuple[list[str], tuple[str, ...] | None]:
    """Return words with `--json` for the first `--json=FIELD,...`, and those fields; null: there are none.

    A word behind `--json` is no field, it may be a JOB.
    """
    words = list(words)
    end = words.index("--") if "--" in words else len(words)
    for place, word in enumerate(words[:end]):
        option, equals, fields = word.partition("=")
        if option == "--json" and equals:
            words[place] = "--json"
            return words, tuple(field for field in fields.split(",") if field)
    return words, None


def _read_options(form: CommandForm, words: Sequence[str]) -> tuple[dict[Param, list[str]], list[str]] | None:
    """Return the texts given for each option, and the words that are left; null: the line is not plain."""
    known = {word: param for param in form.params if param.is_option for word in param.words}
    given: dict[Param, list[str]] = {}
    left: list[str] = []
    rest = iter([one for word in words for one in _split_flags(word, known)])
    for word in rest:
        if not word.startswith("-"):
            left.append(word)
            continue
        name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        param = known.get(name)
        if param is None or (param.is_flag and equals):
            return None
        if not param.is_flag and not equals:
            value = next(rest, "-")
            if value.startswith("-"):
                return None
        given.setdefault(param, []).append(value)
    return given, left


def _split_flags(word: str, known: Mapping[str, Param]) -> list[str]:
    """Return the options that a cluster of letters stands for, if each is a flag; else the word itself."""
    if word.startswith("--") or not word.startswith("-") or word in known:
        return [word]
    letters = [f"-{letter}" for letter in word[1:]]
    return letters if letters and all(one in known and known[one].is_flag for one in letters) else [word]


_NOT_READ = object()
"""In place of a value that is wrong, or that only Click reads."""


def _convert(param: Param, text: str) -> Any:
    if param.is_flag:
        return True if param.value is None else param.value
    if not param.kind.plain or not (text or param.kind.may_be_empty):
        return _NOT_READ
    try:
        return param.kind.convert(text)
    except ValueError:
        return _NOT_READ


def _all_values(form: CommandForm, given: Mapping[Param, list[Any]]) -> dict[str, Any]:
    """Return a value for each parameter; of what is given again, and may not be many, the last one counts."""
    values = {param.name: param.absent_value for param in form.params}
    for param, found in given.items():
        many = tuple(found)
        values[param.name] = (
            many[-1] if not param.multiple else many if param.combined is None else param.combined(many)
        )
    return values
