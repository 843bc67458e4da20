"""An attempt's files, as every executor reads and writes them: claims, which count where they are its own.

Everything here blocks. Source: docs/design/executors.md "The interface".
"""

import os
import tempfile
from pathlib import Path
from typing import TypeVar

import msgspec

from marianned import files
from marianned.decoding import Undecodable, from_json
from marianned.executors import limit, shim
from marianned.executors.base import AttemptPlace, ExitRecord, read_spec_id
from marianned.paths import make_private_directory

_S = TypeVar("_S", bound=msgspec.Struct)
_GIVEN_UP = b'{"given_up":true}\n'
"""What a claim says that is the daemon's own: nothing was started, and nothing will be."""


def write(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a file whole or not at all, durably unless a power cut may take it.

    Raises:
        OSError: that can't be done.
    """
    handle, new = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        Path(new).replace(path)
    except OSError:
        Path(new).unlink(missing_ok=True)  # all of it may have gone meanwhile
        raise


def claim(place: AttemptPlace) -> bool:
    """Take the claim ourselves, in a directory that is made where it is missing; False: it is taken.

    Raises:
        OSError: the directory of all attempts is not there. What is made in its place now would be hidden
            when it comes back, and fence nothing.
    """
    directory = place.directory
    make_private_directory(directory, place.root)
    handle, new = tempfile.mkstemp(dir=directory, prefix=f"{shim.CLAIM}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_GIVEN_UP)
        os.link(new, directory / shim.CLAIM)
    except FileExistsError:
        return False
    finally:
        Path(new).unlink()
    return True


def given_up(directory: Path) -> bool:
    """Tell whether a claim is the daemon's own."""
    try:
        return files.read(directory / shim.CLAIM, files.RECORD_MOST) == _GIVEN_UP
    except (OSError, files.UnsuitableFile):
        return False


def raise_limit(place: AttemptPlace, seconds: float, name: str = limit.NAME) -> None:
    """Write the file of this name that a runner reads when its limit is over."""
    make_private_directory(place.directory, place.root)
    path, text = place.directory / name, limit.text(place.id, seconds)
    try:
        write(path, text)
    except IsADirectoryError:  # of the command: it can write here, too
        files.remove_tree(path)
        write(path, text)


def read(path: Path, kind: type[_S]) -> _S | None:
    """Read a file of the supervisors; None where there is none, or what a failing disk has left of it."""
    try:
        return from_json(files.read(path, files.RECORD_MOST), kind)
    except (FileNotFoundError, NotADirectoryError, files.UnsuitableFile, Undecodable):
        return None


def record_of(place: AttemptPlace) -> ExitRecord | None:
    """Return the record of this attempt; where it was taken away, what the claim says: that became it."""
    record = read(place.directory / shim.RECORD, ExitRecord)
    if owner(place, record) == place.id and record is not None:
        return record
    record = read(place.directory / shim.CLAIM, ExitRecord)
    return record if record is not None and record.id == place.id else None


def owner(place: AttemptPlace, record: ExitRecord | None) -> str | None:
    """Return whose a record is: it says so itself, else the spec beside it does."""
    return record.id if record is not None and record.id is not None else read_spec_id(place.directory)
