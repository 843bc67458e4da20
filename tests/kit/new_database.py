"""A new database, made once a process: each migration has its cost, and most tests are not about that."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from marianned.store.opening import connect_writer


def put_new_database(path: Path) -> None:
    """Put a database where none is, as a first start makes it; it gets its name by the start that follows."""
    if not path.exists():
        path.touch(0o600)
        path.write_bytes(_made())


@cache
def _made() -> bytes:
    with TemporaryDirectory() as place:
        path = Path(place) / "marianne.db"
        connection = connect_writer(path)
        connection.execute("DELETE FROM meta")
        connection.close()
        return path.read_bytes()
