"""The database file: checked, brought up to date, opened. What is not ours or not whole stays untouched.

DatabaseRefused
├── DatabaseTooNew   written by a newer version of this program
└── DatabaseBroken   no database, or a damaged one
"""

import logging
import os
import secrets
import shlex
import sqlite3
import stat
from pathlib import Path

from marianned import files, obstacles
from marianned.store.copies import write_copy
from marianned.store.incarnations import Incarnation, known_incarnations
from marianned.store.location import describe_error
from marianned.store.sql import SQL

_MAGIC = b"SQLite format 3\0"
_READER_CACHE_KIB = 512
"""Of each reader, a quarter of what SQLite would take: the system keeps the pages for all of them."""
_BUSY_SECONDS = 5.0
"""How long another program's lock on the file (a shell, a copy) is waited for."""

_logger = logging.getLogger(__name__)


class DatabaseRefused(Exception):
    """The database can't be used; `message` says why, `hint` what to do. The file is as it was."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(f"{message}; {hint}")
        self.message = message
        self.hint = hint


class DatabaseTooNew(DatabaseRefused):
    """The database was written by a newer version of this program."""


class DatabaseBroken(DatabaseRefused):
    """The file is no database, or a damaged one."""


def migrations() -> list[tuple[int, str]]:
    """Return the migrations in order: the version each leads to, and its SQL."""
    files = sorted(Path(__file__).with_name("migrations").glob("[0-9]*.sql"))
    return [(int(file.name.split("_")[0]), file.read_text(encoding="utf-8")) for file in files]


def check(path: Path) -> None:
    """Look at a database, through a connection that can't write, before anything touches it.

    Raises:
        DatabaseRefused: it is newer than this program, damaged, or no database at all.
    """
    # what stands beside it is of it alone: left there, it would be played into the copy that is put back
    parts = [end for end in ("", "-wal", "-shm") if not end or os.path.lexists(f"{path}{end}")]
    away = "; ".join(f"mv {path}{end} {path}.broken{end}" for end in parts)
    broken = f"move it away and start afresh, or put a copy back: '{away}'"
    if not stat.S_ISREG(path.stat().st_mode):  # to open a pipe would wait for ever
        raise DatabaseBroken(f"'{path}' is not a file", broken)
    with path.open("rb") as file:
        magic = file.read(len(_MAGIC))
    if not magic:
        return
    if magic != _MAGIC:
        raise DatabaseBroken(f"'{path}' is not a database", broken)
    try:
        connection = connect_reader(path)
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            newest = migrations()[-1][0]
            if version > newest:
                raise DatabaseTooNew(
                    f"'{path}' has version {version}, this program knows {newest} at most",
                    "start the newer version that wrote it",
                )
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        finally:
            connection.close()
    except sqlite3.OperationalError as error:  # of the place, not of what is in it
        raise DatabaseRefused(
            f"'{path}' can't be read: {describe_error(error)}", _cure(path, error)
        ) from error
    except sqlite3.DatabaseError as error:
        raise DatabaseBroken(f"'{path}' can't be read: {error}", broken) from error
    if verdict != "ok":
        said = " ".join(verdict.split())  # SQLite's verdict has lines; ours is one
        raise DatabaseBroken(f"'{path}' is damaged: {said}", broken)


def connect_writer(path: Path) -> sqlite3.Connection:
    """Make or open the database, migrate it, and return the connection that writes it.

    One of an older version is copied first: `marianne.db.3.backup` is how it was at version 3.
    Directory and file are for their owner only; SQLite gives -wal and -shm the mode of the file.

    Raises:
        DatabaseRefused: see `check`; or the disk does not let us.
        OSError: the disk does not let us.
    """
    files.make_private(path.parent)  # who locks it has looked whose it is
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    check(path)
    path.chmod(0o600)
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA secure_delete = ON")  # variables given to runs are in rows that go
        connection.execute("PRAGMA synchronous = FULL")
        _migrate(connection, path)
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(SQL["make_meta"], {"name": "daemon_id", "value": secrets.token_hex(4)})
    except sqlite3.Error as error:
        connection.close()
        raise refusal(path, error) from error
    return connection


def refusal(path: Path, error: sqlite3.Error) -> DatabaseRefused:
    """Return why a database that is whole can't be opened: its place does not let us."""
    return DatabaseRefused(f"'{path}' can't be opened: {describe_error(error)}", _cure(path, error))


def _cure(path: Path, error: sqlite3.Error) -> str:
    """Say where to look when SQLite can't use a database that is whole, and what to type."""
    there = next(obstacles.of_start(path.parent, path, path.with_name("lock")), None)
    if there is not None:
        return str(there)
    place = shlex.quote(str(path.parent))
    if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
        return f"see to the disk space there; type: df -h {place}"
    return f"see to what is there; type: ls -la {place}"


def known_starts(path: Path) -> list[Incarnation]:
    """Return the starts of daemons that a database knows; none where it can't be read."""
    try:
        connection = connect_reader(path)
    except sqlite3.Error:
        return []
    try:
        return known_incarnations(connection)
    except (sqlite3.Error, TypeError):
        return []
    finally:
        connection.close()


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open a connection that can only read; it may be handed from thread to thread."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    connection = sqlite3.connect(
        uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.execute(f"PRAGMA cache_size = -{_READER_CACHE_KIB}")
    return connection


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring a database up to date, all of it or nothing: what is refused stays as it was."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    missing = [(number, text) for number, text in migrations() if number > version]
    if not missing:
        return
    if version:
        copy = _kept(connection, path, version)
        _logger.info(
            "'%s' goes from version %d to %d; as it was it is '%s'", path, version, missing[-1][0], copy
        )
    script = "\n;".join(text for _, text in missing)
    try:
        connection.executescript(f"BEGIN;\n{script}\n;PRAGMA user_version = {missing[-1][0]};\nCOMMIT;")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _kept(connection: sqlite3.Connection, path: Path, version: int) -> Path:
    """Copy the database before it is changed, in place of an earlier copy of that version.

    Raises:
        DatabaseRefused: there is no room for it.
    """
    copy = path.with_name(f"{path.name}.{version}.backup")
    try:
        copy.unlink(missing_ok=True)
        write_copy(connection, copy)
    except OSError as error:
        connection.close()
        said = f"'{path}' can't be copied before it is brought up to date: {error.strerror}"
        raise DatabaseRefused(said, str(obstacles.of_error(error))) from error
    return copy
