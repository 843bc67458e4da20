"""What an engine's list tells by the names of jobs alone: they lead to the files of attempts.

`find_unstartable`: jobs that an earlier daemon has taken back and, being killed, has not cancelled.
Nobody looks for them any more, and each would wait for its turn only to find that it may not begin.
`jobs_of_attempt`: the jobs of an attempt whose files were deleted while it ran, so that they no longer say
that it was submitted. Everything here blocks. Source: docs/design/executors.md "What is left in the queue".
"""

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from marianned import files
from marianned.executors import attempt_files
from marianned.executors.base import AttemptPlace
from marianned.executors.clusters.engine import JobKey

BEGINS = "m-"
_ARRAYS = "arrays"
"""Where, beside the attempts of a run, lie the lists of what was submitted together."""
_LIST_MOST = 4 * 1024 * 1024


def job_name(attempt: str, others: int) -> str:
    """Return the name of a job for an attempt and so many others, in an array."""
    return f"{BEGINS}{attempt}{f'+{others}' if others else ''}"


def list_of(directory: Path, name: str) -> Path:
    """Return where the directories of an array are listed, one a line, beside that of one of its attempts."""
    return directory.parent / _ARRAYS / hashlib.sha256(name.encode()).hexdigest()[:32]


def find_unstartable(shared: Path, keys: Iterable[JobKey]) -> dict[JobKey, bool]:
    """Tell of each job below `shared` whether it can never begin; those of whose files nothing is known lack.

    Attempts are named INCARNATION-RUN-UID-ATTEMPT, and lie below the incarnation's directory.
    """
    found = {key: _can_never_begin(shared, key) for key in keys}
    return {key: known for key, known in found.items() if known is not None}


def jobs_of_attempt(place: AttemptPlace, keys: Iterable[JobKey]) -> tuple[list[JobKey], bool]:
    """Return which of these jobs run an attempt, and whether that is sure.

    It is not where the list of an array is gone as its files are: then each job of it may.

    Raises:
        OSError: that can't be known at the moment.
    """
    mine, perhaps = list[JobKey](), list[JobKey]()
    listed = cache(
        lambda name: _read_list(list_of(place.directory, name))
    )  # once an array, not once a job of it
    for name, task in keys:
        if task is None:
            mine += [(name, task)] if name == job_name(place.id, 0) else []
        elif _run_of(_attempt(name)) == _run_of(place.id):
            directory = _directory(listed(name), task)
            perhaps += [(name, task)] if directory is None else []
            mine += [(name, task)] if directory == place.directory else []
    return mine or perhaps, bool(mine)


def _attempt(name: str) -> str:
    """Return the attempt that a job is named after, the first of an array."""
    return name.removeprefix(BEGINS).partition("+")[0]


def _run_of(attempt: str) -> str:
    return attempt.rsplit("-", 2)[0]


def _can_never_begin(shared: Path, key: JobKey) -> bool | None:
    name, task = key
    attempt = _attempt(name)
    incarnation, *rest = attempt.rsplit("-", 3)
    if not name.startswith(BEGINS) or len(rest) != 3 or not all(part.isdecimal() for part in rest):  # noqa: PLR2004
        return False  # of somebody else
    place = AttemptPlace(
        shared / incarnation / rest[0] / f"{rest[1]}-{rest[2]}", attempt, shared / incarnation
    )
    try:
        if place.root_is_missing():
            return None
        directory = (
            place.directory if task is None else _directory(_read_list(list_of(place.directory, name)), task)
        )
        gone = directory is None or not directory.is_dir()
        ours = directory is not None and attempt_files.given_up(directory)
        return None if place.root_is_missing() else gone or ours
    except OSError:
        return None


def _directory(lines: list[str], task: int) -> Path | None:
    """Return the directory of one of an array; None: the list is gone, and with it what the job could run."""
    return Path(lines[task]) if task < len(lines) else None


def _read_list(file: Path) -> list[str]:
    """Return the list of an array; empty: it is gone."""
    try:
        return files.read(file, _LIST_MOST).decode(errors="surrogateescape").splitlines()
    except (FileNotFoundError, NotADirectoryError, files.UnsuitableFile):
        return []
