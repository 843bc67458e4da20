"""Where the database lies: the files that were opened, and whether their names still lead to them.

SQLite goes on writing into a file that has been deleted, moved or replaced under it; what is written there is
lost with the process. So each commit asks here first.

Source: docs/design/durability.md "Faults and what must hold".
"""

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

_LOG = "-wal"
_INDEX = "-shm"


class DatabaseDisplaced(Exception):
    """The database is not where it was opened any more; the message says what, `hints` what to type.

    `lost`: what this daemon holds is lost when it ends; else its end still writes that into the database.
    """

    def __init__(self, message: str, *, lost: bool) -> None:
        super().__init__(message)
        self.lost = lost
        self.hints = ["mzt backup FILE", "mzt stop --lose-jobs"] if lost else ["mzt stop", "mzt start"]


class DatabaseLocation:
    """The database file and the two that belong to it while it is open, as they were when opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: dict[str, os.stat_result] = {}
        self._files[str(path)] = path.stat()
        for suffix in (_LOG, _INDEX):  # a file system without shared memory has none
            with suppress(FileNotFoundError):
                self._files[f"{path}{suffix}"] = Path(f"{path}{suffix}").stat()

    @property
    def files(self) -> list[Path]:
        """The paths of those that were there."""
        return [Path(file) for file in self._files]

    @property
    def device(self) -> int:
        """The file system that the database lies in (`st_dev`)."""
        return self._files[str(self._path)].st_dev

    def check(self) -> None:
        """See that each file is the one that was opened.

        Raises:
            DatabaseDisplaced: one has been deleted, moved or replaced.
        """
        for file, opened in self._files.items():
            try:
                found = os.stat(file)  # noqa: PTH116  a Path costs each commit more than the call
            except OSError as error:
                raise self._displaced(file, "is gone" if _is_gone(error) else "can't be seen") from None
            if not os.path.samestat(found, opened):
                raise self._displaced(file, "is another file")

    def cause(self, error: Exception) -> Exception:
        """Return why SQLite fails: its files are not there any more, or else its own error."""
        try:
            self.check()
        except DatabaseDisplaced as displaced:
            return displaced
        return error

    def _displaced(self, file: str, what: str) -> DatabaseDisplaced:
        lost = file == str(self._path)
        if lost:
            way = (
                "'mzt backup FILE' saves what this daemon still holds; "
                "then 'mzt stop --lose-jobs', and put that copy there"
            )
        else:
            way = "stop the daemon, which saves what it holds, and start it again"
        return DatabaseDisplaced(f"'{file}' {what}; move the very same file back, or: {way}", lost=lost)


_WORDS = {
    sqlite3.SQLITE_FULL: "its disk is full",
    sqlite3.SQLITE_IOERR: "its disk fails",
    sqlite3.SQLITE_READONLY: "its disk is read-only",
    sqlite3.SQLITE_CANTOPEN: "its files can't be opened, or too many are open",
    sqlite3.SQLITE_NOMEM: "memory is short",
    sqlite3.SQLITE_BUSY: "another program has locked it",
    sqlite3.SQLITE_CORRUPT: "it is damaged",
    sqlite3.SQLITE_NOTADB: "it is damaged",
}


def describe_error(error: Exception) -> str:
    """Say plainly what SQLite says, with its own words behind."""
    code = getattr(error, "sqlite_errorcode", None)
    said = " ".join(str(error).split()) or type(error).__name__
    words = _WORDS.get(code & 0xFF) if code is not None else None  # above that it says which of its calls
    return said if words is None else f"{words} ({said})"


def _is_gone(error: OSError) -> bool:
    return isinstance(error, FileNotFoundError | NotADirectoryError)
