"""Where this start of the daemon has its attempts: made only where all attempts really lie.

A file system that is not mounted leaves an empty directory in its place, or none. What is made there works,
and is hidden as soon as the real one is back. So the directory of a start is made, or made again, only where
something in the place tells that it is the one: a mark that an earlier start has left there, or the directory
of an earlier start. Where no attempt that is known has lain there before, it is a new place, and is made,
unless it is known that something should be mounted there which is not; so is one beside the database, for
whatever brings that brings it, too.

Source: docs/design/executors.md "Where attempts lie".
"""

import logging
import shlex
from collections.abc import Collection
from pathlib import Path

from marianned import files
from marianned.conductor.capacity.mounts import unmounted
from marianned.executors.base import describe_missing_root, recovery_hint
from marianned.paths import make_private_directory
from marianned.store.incarnations import Incarnation

_logger = logging.getLogger(__name__)


class IncarnationDirectory:
    """The directory of one start, `own`, in that of all attempts, which earlier starts may have used.

    Everything that is made for an attempt is made below `own`, and never `own` itself: where it is missing,
    `why_missing` is asked.
    """

    def __init__(self, current: Incarnation, known: Collection[Incarnation], state: Path) -> None:
        self._current = current
        self.attempts = Path(current.attempts)
        self.own = self.attempts / current.name
        self._mark = _marker_path(current)
        self._earlier = [one for one in known if one.number != current.number]
        self._is_beside = self.attempts.is_relative_to(state)
        self._made = False
        self._told: str | None = None

    def check(self) -> None:
        """Look, before anything is made, whether the place is closed to others, where it is the one.

        Raises:
            files.UnsuitableFile: it is not; a person has to see to that first.
        """
        try:
            if self._is_the_place():
                files.check_private(self.attempts)
        except files.UnsuitableFile:
            raise
        except OSError:
            pass  # there is none, or it can't be looked at: `why_missing` says so

    def why_missing(self, root: Path | None = None) -> str | None:
        """Say why nothing can be written below a start's directory (null: this one's), and what to type.

        Null: it can. This one's is made where it is missing and that is safe; another's is not. Blocks.
        """
        if root not in (None, self.own):
            return _describe_missing(root)
        why = self._why_not_made()
        if why is not None and why != self._told:
            _logger.warning("nothing starts: %s", why)
        self._told = why
        return why

    def _why_not_made(self) -> str | None:
        try:
            if self._made and self.own.is_dir():
                return None
            if not (self.own.is_dir() or self._is_the_place()):
                return self._describe_absence()
            for directory in (self.attempts, self._mark, self.own):
                make_private_directory(directory)
        except files.UnsuitableFile as error:
            return f"'{error.filename}': {error.strerror}"
        except OSError as error:
            where = shlex.quote(str(self.attempts))
            return f"'{self.own}' can't be made: {error.strerror}; look at it, type: findmnt -T {where}"
        if self._made:
            _logger.warning("'%s' was deleted; it is made again", self.own)
        self._made = True
        return None

    def _describe_absence(self) -> str:
        if self.attempts.exists() and not self.attempts.is_dir():
            return f"'{self.attempts}' is not a directory; move it away, then bring back what was there"
        return f"{_what_stands_in(self.attempts)}; {recovery_hint(self.attempts, [self.attempts, self.own])}"

    def _is_the_place(self) -> bool:
        """Tell whether what is there is where all attempts lie, and nothing that stands in its place."""
        starts = [*self._earlier, *([self._current] if self._made else [])]
        return self._is_beside or _is_known(self.attempts, starts)


def describe_absence(attempts: Path, known: Collection[Incarnation], state: Path) -> str | None:
    """Say, without a daemon, what stands in the place of attempts; null: they lie there, or are to."""
    if attempts.is_relative_to(state) or _is_known(attempts, known):
        return None
    return _what_stands_in(attempts)


def _marker_path(start: Incarnation) -> Path:
    return Path(start.attempts) / f".{start.daemon_id}"


def _is_known(attempts: Path, starts: Collection[Incarnation]) -> bool:
    """Tell whether something of these starts of a daemon is there.

    Where none of them had its attempts there, a file system that is known to be missing tells that it is not.
    """
    here = [one for one in starts if one.attempts == str(attempts)]
    if not here:
        return unmounted(attempts) is None
    return any(path.is_dir() for one in here for path in (_marker_path(one), attempts / one.name))


def _what_stands_in(attempts: Path) -> str:
    if (why := unmounted(attempts)) is not None:
        return why
    if attempts.is_dir():
        return f"'{attempts}' has nothing of this daemon in it, as where its file system is not mounted"
    return f"'{attempts}' is not there"


def _describe_missing(root: Path | None) -> str | None:
    try:
        return None if root is None or root.is_dir() else describe_missing_root(root)
    except OSError as error:
        return f"'{root}' can't be looked at: {error.strerror}"
