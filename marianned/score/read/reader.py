"""How this room reads files: through a reader that is passed in. And a score's own bytes and directories.

Source: docs/reference/score-format.md §5.
"""

import os
import shutil
from pathlib import Path
from typing import Any, Protocol

import msgspec

from marianned import files


class ScoreSource(msgspec.Struct, frozen=True, kw_only=True):
    """A score as it came: its bytes, how it is named in problems, and what its paths count from.

    `directory` is the absolute score directory, `submit_directory` the caller's; `workspace` replaces
    the score's and counts from `submit_directory`. `given` are values of variables that are given with this
    request, `kept` those that the run was given before.
    """

    text: bytes
    file: str
    directory: str
    submit_directory: str
    workspace: str | None = None
    given: dict[str, Any] = {}
    kept: dict[str, Any] = {}


class FileReader(Protocol):
    """What may be asked about the machine's files; the paths are absolute."""

    def read(self, path: str) -> bytes:
        """Return the bytes of a regular file of at most files.TEXT_MOST; raises OSError."""

    def read_trusted(self, path: str) -> bytes:
        """Return the bytes of a file that nobody but this user and root can have written; raises OSError."""

    def reason_to_distrust(self, path: str) -> str | None:
        """Say why what lies in a directory can be somebody else's; nothing where it can't."""

    def head(self, path: str, most: int, below: str | None = None) -> tuple[bytes, int]:
        """Return the first `most` bytes of a regular file, and its size; raises OSError.

        With `below` no link may lead out of that directory.
        """

    def real(self, path: str) -> str:
        """Return where a path leads, links resolved."""

    def is_file(self, path: str) -> bool:
        """Whether there is a regular file."""

    def is_directory(self, path: str) -> bool:
        """Whether there is a directory."""

    def names(self, path: str) -> list[str]:
        """Return the names in a directory, sorted; none when it is not there."""

    def missing_directory(self, path: str) -> str | None:
        """Say what is there instead of a directory; nothing where there is one."""

    def unwritable(self, path: str) -> str | None:
        """Say why the directory can be neither written to nor created; nothing where it can."""

    def home(self, user: str) -> str | None:
        """Return a user's home directory (`""`: one's own), or nothing."""

    def executable(self, name: str) -> bool:
        """Whether the name is found on PATH."""


class DiskReader:
    """Reads from this machine's disk."""

    def read(self, path: str) -> bytes:
        """Return the bytes of a regular file of at most files.TEXT_MOST; raises OSError."""
        return files.read(path, files.TEXT_MOST)

    def read_trusted(self, path: str) -> bytes:
        """Return the bytes of a file that nobody but this user and root can have written; raises OSError."""
        return files.read_trusted(path, files.TEXT_MOST)

    def reason_to_distrust(self, path: str) -> str | None:
        """Say why what lies in a directory can be somebody else's; nothing where it can't."""
        try:
            return files.distrusted(path)
        except OSError as error:
            return f"it can't be looked at: {error.strerror}"

    def head(self, path: str, most: int, below: str | None = None) -> tuple[bytes, int]:
        """Return the first `most` bytes of a regular file, and its size; raises OSError."""
        return files.head(path, most, below=below)

    def real(self, path: str) -> str:
        """Return where a path leads, links resolved."""
        return os.path.realpath(path)

    def is_file(self, path: str) -> bool:
        """Whether there is a regular file."""
        return os.path.isfile(path)  # noqa: PTH113  Path's raises for texts that are no names

    def is_directory(self, path: str) -> bool:
        """Whether there is a directory."""
        return os.path.isdir(path)  # noqa: PTH112  as above

    def names(self, path: str) -> list[str]:
        """Return the names in a directory, sorted; none when it is not there."""
        return files.names(path)

    def missing_directory(self, path: str) -> str | None:
        """Say what is there instead of a directory; nothing where there is one."""
        missing = files.no_directory(path)
        return None if missing is None else missing.why

    def unwritable(self, path: str) -> str | None:
        """Say why it can be neither written to nor created below the nearest one; nothing where it can."""
        directory = Path(path)
        while not os.path.lexists(directory) and directory != directory.parent:
            directory = directory.parent
        if (missing := self.missing_directory(str(directory))) is not None:
            return missing
        return None if os.access(directory, os.W_OK | os.X_OK) else f"'{directory}' can't be written to"

    def home(self, user: str) -> str | None:
        """Return a user's home directory (`""`: one's own), or nothing."""
        name = f"~{user}"
        try:
            home = os.path.expanduser(name)  # noqa: PTH111  Path.expanduser raises where this leaves the text
        except ValueError:  # characters that no login name has
            return None
        return None if home == name else home

    def executable(self, name: str) -> bool:
        """Whether the name is found on PATH."""
        return shutil.which(name) is not None


class StoredReader(DiskReader):
    """Reads the files stored with a revision, by absolute path; the rest from the disk.

    The names of a directory are those of stored files only: what was validated is what runs.
    """

    def __init__(self, files: dict[str, str]) -> None:
        self.files = files

    def read(self, path: str) -> bytes:
        """Return a stored file's bytes, else those on the disk; raises OSError."""
        stored = self.files.get(path)
        return super().read(path) if stored is None else stored.encode()

    def read_trusted(self, path: str) -> bytes:
        """Return a stored file's bytes; raises OSError for others."""
        return self.read(path)

    def reason_to_distrust(self, path: str) -> str | None:  # noqa: ARG002  the signature is the protocol's
        """Nothing: what is stored was looked at when it was stored."""
        return None

    def is_file(self, path: str) -> bool:
        """Whether the file is stored, or on the disk."""
        return path in self.files or super().is_file(path)

    def is_directory(self, path: str) -> bool:  # noqa: ARG002  the signature is the protocol's
        """Yes: it was there when the revision was stored; a sheet that starts looks for itself."""
        return True

    def missing_directory(self, path: str) -> str | None:  # noqa: ARG002
        """Nothing, likewise."""
        return None

    def unwritable(self, path: str) -> str | None:  # noqa: ARG002
        """Nothing, as for directories."""
        return None

    def names(self, path: str) -> list[str]:
        """Return the names of the stored files of a directory, sorted."""
        return sorted(Path(file).name for file in self.files if str(Path(file).parent) == path)


def is_below(path: str, directory: str) -> bool:
    """Whether a path is named below a directory; both absolute. Whether it lies there is another question."""
    return os.path.normpath(path).startswith(os.path.join(directory, ""))  # noqa: PTH118  texts


def resolve(path: str, base: str, reader: FileReader) -> str:
    """Make a path of a score absolute: `~` and `~user` expanded, the rest counted from `base`."""
    if path.startswith("~"):
        user, _, rest = path[1:].partition("/")
        home = reader.home(user)
        if home is not None:
            path = os.path.join(home, rest)  # noqa: PTH118  text in, text out: a path need not exist
    return os.path.normpath(os.path.join(base, path))  # noqa: PTH118  as above
