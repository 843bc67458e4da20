"""Which directories should have a file system mounted and have none, as far as this host is told of it.

Source: docs/design/executors.md "Where attempts lie".
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from marianned import files

_FSTAB = Path("/etc/fstab")
_UNITS = Path("/etc/systemd/system")
_MOUNTED = Path("/proc/self/mountinfo")
_LARGEST = 4 << 20
_OCTAL = re.compile(r"\\([0-7]{3})")


def unmounted(place: Path) -> str | None:
    """Say which directory around a place should be a mount and is none, and what says so; null: none is.

    Where that can't be found out, nothing is known. Blocks.
    """
    try:
        around = [one for one in (place, *place.parents) if len(one.parts) > 1]
        named = {**_by_units(around), **{one: str(_FSTAB) for one in _by_fstab() if one in around}}
        there = {*_fields(_MOUNTED, 4)} if named else set()
        missing = [one for one in around if one in named and one.resolve() not in there]
    except (OSError, RuntimeError):
        return None
    return (
        f"'{missing[0]}' is not mounted, though {named[missing[0]]} names it as a mount" if missing else None
    )


def _by_fstab() -> Iterator[Path]:
    return _fields(_FSTAB, 1) if _FSTAB.is_file() else iter(())


def _by_units(places: list[Path]) -> dict[Path, str]:
    """Find those that an administrator has a mount unit for; one that is masked is a link to a device."""
    units = {one: _UNITS / f"{_escaped(one)}.mount" for one in places}
    return {one: str(unit) for one, unit in units.items() if unit.is_file()}


def _fields(table: Path, number: int) -> Iterator[Path]:
    """Return a field of each line of a table of mounts, if it is a path."""
    for line in os.fsdecode(files.read(table, _LARGEST)).splitlines():
        fields = line.split()
        if len(fields) > number and not line.startswith("#") and fields[number].startswith("/"):
            yield Path(_OCTAL.sub(lambda found: chr(int(found[1], 8)), fields[number]))


def _escaped(place: Path) -> str:
    """Return what systemd calls the unit of a path."""
    text = "-".join(
        re.sub(
            r"[^a-zA-Z0-9:_.]", lambda found: "".join(f"\\x{one:02x}" for one in os.fsencode(found[0])), part
        )
        for part in place.parts[1:]
    )
    return re.sub(r"^\.", r"\\x2e", text)
