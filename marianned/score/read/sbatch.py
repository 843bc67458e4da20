"""Arguments of sbatch: those that a site or a score may not give, and which of several counts.

The first would change what Marianne relies on in its jobs; of several, the one nearer to the sheet counts.

Source: docs/reference/score-format.md §30.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple


class _ReservedOption(NamedTuple):
    """An option that neither site nor score may give: its letter, if it has one, and the reason."""

    letter: str
    why: str


OPTION = "an option; one begins with -, and has its value in the same word: --nodelist=n9"
"""What each argument is: what does not begin with - sbatch would take for a script."""
_OURS = "Marianne gives it itself"
_NOTHING = "nothing would be submitted"
_RESERVED = {
    "array": _ReservedOption(
        "a", "Marianne makes arrays of what starts together; a sheet for each item is 'fan_out'"
    ),
    "chdir": _ReservedOption("D", "a sheet works where its score says, by 'working_directory'"),
    "clusters": _ReservedOption("M", "the job would be looked for in the queue of this cluster, and be lost"),
    "error": _ReservedOption("e", "Marianne keeps the output of each attempt; mzt logs shows it"),
    "export": _ReservedOption(
        "", "a sheet gets its environment from Marianne; 'env' of 'instrument_config' adds to it"
    ),
    "export-file": _ReservedOption("", "a sheet gets its environment from Marianne"),
    "gid": _ReservedOption("", "Marianne can only look after jobs of its own user"),
    "help": _ReservedOption("h", _NOTHING),
    "input": _ReservedOption("i", "a sheet gets its input from Marianne"),
    "job-name": _ReservedOption("J", "Marianne finds a job again by its name"),
    "no-requeue": _ReservedOption("", _OURS),
    "output": _ReservedOption("o", "Marianne keeps the output of each attempt; mzt logs shows it"),
    "parsable": _ReservedOption("", _OURS),
    "quiet": _ReservedOption("Q", "sbatch would not tell which job it has submitted"),
    "requeue": _ReservedOption("", "Slurm would start again what Marianne tries again"),
    "test-only": _ReservedOption("", _NOTHING),
    "uid": _ReservedOption("", "Marianne can only look after jobs of its own user"),
    "usage": _ReservedOption("", _NOTHING),
    "version": _ReservedOption("V", _NOTHING),
    "wait": _ReservedOption("W", "sbatch would not answer before the job has ended"),
    "wrap": _ReservedOption("", "its command would run in the place of the sheet"),
}
_BY_LETTER = {kept.letter: name for name, kept in _RESERVED.items() if kept.letter}
_TAKES_THE_REST = frozenset("AbBcCdFGkLmnNpqStwx")
"""Letters of other options of which what follows them in a word is the value."""


class _EquivalentOptions(NamedTuple):
    """The options that do what a key of `executor` does: their letter, and their names."""

    letter: str
    names: tuple[str, ...]


_EQUIVALENTS = {
    "partition": _EquivalentOptions("p", ("partition",)),
    "account": _EquivalentOptions("A", ("account",)),
    "qos": _EquivalentOptions("q", ("qos",)),
    "cpus": _EquivalentOptions("c", ("cpus-per-task", "cpus-per-gpu")),
    "memory": _EquivalentOptions("", ("mem", "mem-per-cpu", "mem-per-gpu")),
    "gpus": _EquivalentOptions("G", ("gpus",)),
    "constraint": _EquivalentOptions("C", ("constraint",)),
    "time_limit": _EquivalentOptions("t", ("time", "time-min")),
}
"""By key of `executor`. Options of one key do the same, or sbatch takes only one of them."""


def reason_to_refuse(word: str) -> str | None:
    """Say why an option may not be among sbatch's arguments; None: it may, or it is no option at all.

    sbatch takes the beginning of a long option for the option, where no other begins like it, and several
    letters in one word.
    """
    name = _reserved_option(word)
    if name is None:
        return None
    if not name:
        return f"'{word}' is no option of sbatch's"
    same = word.partition("=")[0] == f"--{name}"
    what = f"'--{name}'" if same else f"'{word}' is sbatch's '--{name}'; it"
    return f"{what} can't be given here: {_RESERVED[name].why}"


def _reserved_option(word: str) -> str | None:
    """Return which reserved option a word gives; empty: the word is no option, None: it gives another one."""
    if not word.startswith("-"):
        return None
    if word in {"-", "--"}:
        return ""
    if word.startswith("--"):
        begins = word[2:].partition("=")[0]
        return (
            begins
            if begins in _RESERVED
            else next((one for one in _RESERVED if one.startswith(begins)), None)
        )
    return next((_BY_LETTER[one[1]] for one in _split_options(word) if one[1] in _BY_LETTER), None)


def arguments_in_force(words: Iterable[str], keys: Collection[str], nearer: Iterable[str]) -> list[str]:
    """Return the arguments of a wider place that no key and no argument of a nearer place overrides."""
    beaten = {
        *keys,
        *(key for word in nearer for one in _split_options(word) if (key := _equivalent_key(one))),
    }
    held: list[str] = []
    for word in words:
        parts = _split_options(word)
        left = [one for one in parts if _equivalent_key(one) not in beaten]
        held += [word] if left == parts else left
    return held


def _split_options(word: str) -> list[str]:
    """Split a word with several short options into one word for each."""
    if word.startswith("--"):
        return [word]
    for place, letter in enumerate(word[1:], 1):
        if letter in _TAKES_THE_REST:
            return [*(f"-{one}" for one in word[1:place]), f"-{word[place:]}"]
    return [f"-{one}" for one in word[1:]]


def _equivalent_key(word: str) -> str | None:
    """Return the key of `executor` that does what this option does; None: there is none."""
    if not word.startswith("--"):
        return next((key for key, said in _EQUIVALENTS.items() if word[1] == said.letter), None)
    begins = word[2:].partition("=")[0]
    return next(
        (key for key, said in _EQUIVALENTS.items() if any(one.startswith(begins) for one in said.names)), None
    )
