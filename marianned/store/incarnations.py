"""The incarnations of a database: each start of a daemon is one, and attempts are named after theirs.

A name is the database's own id, a number, and a random token. The number moves on with each start, beyond
what the note beside the database says; the token makes the name unique also where neither can know: a copy
of the database that was put back, or runs on another machine, never names an attempt as the original did.
The note is only there to notice, and to say, that the database is not the one that was used here last.
"""

import secrets
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from marianned import files
from marianned.decoding import Undecodable, from_json
from marianned.store.sql import SQL

NOTE_NAME = "incarnation"


class Incarnation(msgspec.Struct, frozen=True, kw_only=True):
    """One start of a daemon over a database. `attempts` is the directory below which it starts attempts."""

    daemon_id: str
    number: int
    token: str
    attempts: str

    @property
    def name(self) -> str:
        """What names it among those of all databases: all of its attempts' ids begin with it."""
        return f"{self.daemon_id}-{self.number}-{self.token}"


class IncarnationStart(NamedTuple):
    """The incarnation that has begun, all that are known by number, and what is strange about the database.

    `restored`: a copy was put back, or another database; null where it is the one that was used here last.
    """

    current: Incarnation
    known: Mapping[int, Incarnation]
    restored: str | None


class _IncarnationNote(msgspec.Struct, frozen=True, kw_only=True):
    daemon_id: str
    number: int
    token: str


def begin_incarnation(
    connection: sqlite3.Connection, path: Path, attempts: Path, at: int
) -> IncarnationStart:
    """Begin an incarnation of the database at `path` in one transaction; `at` is now (UTC ms).

    Raises:
        sqlite3.Error: the disk refuses.
    """
    (daemon_id,) = connection.execute(SQL["meta"], {"name": "daemon_id"}).fetchone()
    note_path = path.with_name(NOTE_NAME)
    note = _read(note_path)
    ours = note if note is not None and note.daemon_id == daemon_id else None
    connection.execute("BEGIN IMMEDIATE")
    try:
        last = connection.execute(SQL["last_incarnation"]).fetchone()
        copied = connection.execute(SQL["meta"], {"name": "copied"}).fetchone() is not None
        restored = _describe_restored(path, daemon_id, last, note, copied=copied)
        if restored:
            for name in ("unmark_copy", "forget_planned_worktrees", "forget_archives"):
                connection.execute(SQL[name])
        connection.execute(SQL["forget_incarnations_after"], {"incarnation": _last_used(connection)})
        number = 1 + max(last[0] if last else 0, ours.number if ours else 0)
        current = Incarnation(
            daemon_id=daemon_id, number=number, token=secrets.token_hex(4), attempts=str(attempts)
        )
        values = {"incarnation": number, "token": current.token, "attempts": current.attempts, "began_at": at}
        connection.execute(SQL["put_incarnation"], values)
        rows = connection.execute(SQL["incarnations"]).fetchall()
        connection.execute("COMMIT")
    except BaseException as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        begun = _continue_last(connection, daemon_id, note, attempts) if _is_full(error) else None
        if begun is None:
            raise
        return begun
    _write(note_path, _IncarnationNote(daemon_id=daemon_id, number=number, token=current.token))
    return IncarnationStart(current, _by_number(daemon_id, rows), restored)


def _continue_last(
    connection: sqlite3.Connection, daemon_id: str, note: _IncarnationNote | None, attempts: Path
) -> IncarnationStart | None:
    """Go on as the last incarnation where the full disk takes no new one, if nothing is strange about it.

    The daemon then starts degraded: it grants nothing before there is room, and knows what is in flight.
    """
    known = _by_number(daemon_id, connection.execute(SQL["incarnations"]).fetchall())
    last = known.get(max(known, default=0))
    if last is None or note is None or last.attempts != str(attempts):
        return None
    same = (note.daemon_id, note.number, note.token) == (daemon_id, last.number, last.token)
    return IncarnationStart(last, known, None) if same else None


def _is_full(error: BaseException) -> bool:
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode == sqlite3.SQLITE_FULL


def _by_number(daemon_id: str, rows: list[tuple[int, str, str]]) -> dict[int, Incarnation]:
    return {
        number: Incarnation(daemon_id=daemon_id, number=number, token=token, attempts=place)
        for number, token, place in rows
    }


def known_incarnations(connection: sqlite3.Connection) -> list[Incarnation]:
    """Return those of which something is known that they have started.

    A start that was refused has left nothing where attempts lie, nor has one that the next start forgets.
    """
    (daemon_id,) = connection.execute(SQL["meta"], {"name": "daemon_id"}).fetchone()
    found = _by_number(daemon_id, connection.execute(SQL["incarnations"]).fetchall())
    last = _last_used(connection)
    return [one for number, one in found.items() if number <= last]


def _last_used(connection: sqlite3.Connection) -> int:
    """Return the number of the one that has started something last; 0: none has."""
    (number,) = connection.execute(SQL["last_used_incarnation"]).fetchone()
    return int(number)


def mark_copy(connection: sqlite3.Connection) -> None:
    """Let whoever opens this copy know that it is one."""
    connection.execute(SQL["set_meta"], {"name": "copied", "value": 1})
    connection.commit()


def _describe_restored(
    path: Path, daemon_id: str, last: tuple[int, str] | None, note: _IncarnationNote | None, *, copied: bool
) -> str | None:
    """Say what tells that this is not the database that was used here last.

    A crash between the commit and the note leaves the note behind the database, never before it.
    """
    if note is not None and note.daemon_id != daemon_id:
        return f"'{path}' is another database than the one that was used here last"
    if copied:
        return f"'{path}' is a backup that was put back"
    number, token = last or (0, "")
    if note is not None and (note.number > number or (note.number == number and note.token != token)):
        return f"'{path}' is older than the one that was used here last: a copy was put back"
    return None


def _read(path: Path) -> _IncarnationNote | None:
    try:
        return from_json(files.read(path, files.RECORD_MOST), _IncarnationNote)
    except (OSError, Undecodable):
        return None


def _write(path: Path, note: _IncarnationNote) -> None:
    """Replace the note; without one nothing is noticed, and nothing is wrong."""
    new = path.with_suffix(".new")
    try:
        files.write_private(new, msgspec.json.encode(note))
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
