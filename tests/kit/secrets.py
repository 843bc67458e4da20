"""The secrets that tests give, and where they are looked for: wherever a daemon of a test has written anything.

Each has the same mark in it, so that whoever closes a daemon finds them all, whatever the test was about.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

MARK = "n0t-t0-be-read"
_KEPT = {"spec.json"}
"""What holds the environment of an attempt, for the daemon's own user."""
_PRINTED = {"stdout", "stderr"}
"""What a sheet has printed stands there as it was printed, and so in `attempts.result`."""
_IN_CLEAR = {("runs", "env"), ("attempts", "result")}


def secret(name):
    """Return a secret of this name, as a test gives it."""
    return f"{name}-{MARK}-4711"


def leaks(home):
    """Return the places below a directory where a secret stands and must not: files, tables with their column.

    Workspaces (`*-work`) and the configuration are the test's own.
    """
    found = []
    for file in sorted(home.rglob("*")):
        place = file.relative_to(home)
        own = place.parts[0] == "config" or place.parts[0].endswith("-work")
        if own or file.is_symlink() or not file.is_file() or file.name in _KEPT | _PRINTED:
            continue
        data = file.read_bytes()
        if data.startswith(b"SQLite format 3\0"):
            found += [f"{place}: {told}" for told in _in_tables(file)]
        elif MARK.encode() in data and not file.name.endswith(("-wal", "-shm")):
            found.append(str(place))
    return found


def _in_tables(database: Path):
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as reader:
        reader.row_factory = sqlite3.Row
        for (table,) in reader.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
            for row in reader.execute(f'SELECT * FROM "{table}"'):
                for column in row.keys():  # noqa: SIM118  a row is no mapping
                    if MARK in _text(row[column]) and (table, column) not in _IN_CLEAR:
                        yield f"{table}.{column}"


def _text(value):
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
