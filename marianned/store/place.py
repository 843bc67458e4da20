"""Where the database lies: the files that were opened, and whether their names still lead to them.

SQLite goes on writing into a file that has been deleted, moved or replaced under it; what is written there is
lost with the process. So each commit asks here first.

Source: docs/design/durability.md "Faults and what must hold".
"""

import os
from contextlib import suppress
from pathlib import Path

_LOG = "-wal"
_INDEX = "-shm"


class Displaced(Exception):
    """The database is not where it was opened any more; the message says what, `hints` what to type.

    `lost`: what this daemon holds is lost when it ends; else its end still writes that into the database.
    """

    def __init__(self, message: str, *, lost: bool) -> None:
        super().__init__(message)
        self.lost = lost
        self.hints = ["mzt backup FILE", "mzt stop --lose-jobs"] if lost else ["mzt stop", "mzt start"]


class Place:
    """The database file and the two that belong to it while it is open, as they were when opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: dict[str, os.stat_result] = {}
        self._files[str(path)] = path.stat()
        for suffix in (_LOG, _INDEX):  # a file system without shared memory has none
            with suppress(FileNotFoundError):
                self._files[f"{path}{suffix}"] = Path(f"{path}{suffix}").stat()

    def check(self) -> None:
        """See that each file is the one that was opened.

        Raises:
            Displaced: one has been deleted, moved or replaced.
        """
        for file, opened in self._files.items():
            try:
                found = os.stat(file)  # noqa: PTH116  a Path costs each commit more than the call
            except OSError as error:
                raise self._displaced(file, "is gone" if _is_gone(error) else "can't be seen") from None
            if not os.path.samestat(found, opened):
                raise self._displaced(file, "is another file")

    def _displaced(self, file: str, what: str) -> Displaced:
        lost = file == str(self._path)
        if lost:
            way = (
                "'mzt backup FILE' saves what this daemon still holds; "
                "then 'mzt stop --lose-jobs', and put that copy there"
            )
        else:
            way = "stop the daemon, which saves what it holds, and start it again"
        return Displaced(f"'{file}' {what}; move the very same file back, or: {way}", lost=lost)


def _is_gone(error: OSError) -> bool:
    return isinstance(error, FileNotFoundError | NotADirectoryError)
