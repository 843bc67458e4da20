"""Arguments of sbatch: those that a site or a score may not give, and which of several counts.

What a job of ours is would not be so with the first; of several, what is nearer to the sheet counts.

Source: docs/reference/score-format.md §30.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple


class _Kept(NamedTuple):
    """An option that is not for others to give: its letter, if it has one, and what it would do."""

    letter: str
    why: str


OPTION = "an option; one begins with -, and has its value in the same word: --nodelist=n9"
"""What each argument is: what does not begin with - sbatch would take for a script."""
_OURS = "Marianne gives it itself"
_NOTHING = "nothing would be submitted"
_KEPT = {
    "array": _Kept("a", "Marianne makes arrays of what starts together; a sheet for each item is 'fan_out'"),
    "chdir": _Kept("D", "a sheet works where its score says, by 'working_directory'"),
    "clusters": _Kept("M", "the job would be looked for in the queue of this cluster, and be lost"),
    "error": _Kept("e", "Marianne keeps the output of each attempt; mzt logs shows it"),
    "export": _Kept(
        "", "a sheet gets its environment from Marianne; 'env' of 'instrument_config' adds to it"
    ),
    "export-file": _Kept("", "a sheet gets its environment from Marianne"),
    "gid": _Kept("", "Marianne can only look after jobs of its own user"),
    "help": _Kept("h", _NOTHING),
    "input": _Kept("i", "a sheet gets its input from Marianne"),
    "job-name": _Kept("J", "Marianne finds a job again by its name"),
    "no-requeue": _Kept("", _OURS),
    "output": _Kept("o", "Marianne keeps the output of each attempt; mzt logs shows it"),
    "parsable": _Kept("", _OURS),
    "quiet": _Kept("Q", "sbatch would not tell which job it has submitted"),
    "requeue": _Kept("", "Slurm would start again what Marianne tries again"),
    "test-only": _Kept("", _NOTHING),
    "uid": _Kept("", "Marianne can only look after jobs of its own user"),
    "usage": _Kept("", _NOTHING),
    "version": _Kept("V", _NOTHING),
    "wait": _Kept("W", "sbatch would not answer before the job has ended"),
    "wrap": _Kept("", "its command would run in the place of the sheet"),
}
_BY_LETTER = {kept.letter: name for name, kept in _KEPT.items() if kept.letter}
_TAKES_THE_REST = frozenset("AbBcCdFGkLmnNpqStwx")
"""Letters of other options of which what follows them in a word is the value."""


class _Said(NamedTuple):
    """The options that say what a key of `executor` does: their letter, and their names."""

    letter: str
    names: tuple[str, ...]


_SAID = {
    "partition": _Said("p", ("partition",)),
    "account": _Said("A", ("account",)),
    "qos": _Said("q", ("qos",)),
    "cpus": _Said("c", ("cpus-per-task", "cpus-per-gpu")),
    "memory": _Said("", ("mem", "mem-per-cpu", "mem-per-gpu")),
    "gpus": _Said("G", ("gpus",)),
    "constraint": _Said("C", ("constraint",)),
    "time_limit": _Said("t", ("time", "time-min")),
}
"""By the key. Those of one key say the same, or sbatch takes one of them alone."""


def refusal(word: str) -> str | None:
    """Say why an option may not be among sbatch's arguments; None: it may, or it is no option at all.

    sbatch takes the beginning of a long option for the option, where no other begins like it, and several
    letters in one word.
    """
    name = _named(word)
    if name is None:
        return None
    if not name:
        return f"'{word}' is no option of sbatch's"
    same = word.partition("=")[0] == f"--{name}"
    what = f"'--{name}'" if same else f"'{word}' is sbatch's '--{name}'; it"
    return f"{what} can't be given here: {_KEPT[name].why}"


def _named(word: str) -> str | None:
    """Return which option of the table a word gives; empty: none at all, None: another one."""
    if not word.startswith("-"):
        return None
    if word in {"-", "--"}:
        return ""
    if word.startswith("--"):
        begins = word[2:].partition("=")[0]
        return begins if begins in _KEPT else next((one for one in _KEPT if one.startswith(begins)), None)
    return next((_BY_LETTER[one[1]] for one in _parted(word) if one[1] in _BY_LETTER), None)


def holding(words: Iterable[str], keys: Collection[str], nearer: Iterable[str]) -> list[str]:
    """Return those of a wider place's arguments that hold beside the keys and arguments of a nearer one."""
    beaten = {*keys, *(key for word in nearer for one in _parted(word) if (key := _key(one)))}
    held: list[str] = []
    for word in words:
        parts = _parted(word)
        left = [one for one in parts if _key(one) not in beaten]
        held += [word] if left == parts else left
    return held


def _parted(word: str) -> list[str]:
    """Return a word as one for each of its options."""
    if word.startswith("--"):
        return [word]
    for place, letter in enumerate(word[1:], 1):
        if letter in _TAKES_THE_REST:
            return [*(f"-{one}" for one in word[1:place]), f"-{word[place:]}"]
    return [f"-{one}" for one in word[1:]]


def _key(word: str) -> str | None:
    """Return which key of `executor` says what this option does; None: none."""
    if not word.startswith("--"):
        return next((key for key, said in _SAID.items() if word[1] == said.letter), None)
    begins = word[2:].partition("=")[0]
    return next(
        (key for key, said in _SAID.items() if any(one.startswith(begins) for one in said.names)), None
    )
