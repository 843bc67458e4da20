"""The programs that supervise (shim.py, forkserver.py and what they load), as an image of this process."""

import importlib.util
from functools import cache
from pathlib import Path

from marianned import code_images as holding

_NAMES = ("shim", "children", "silence", "final_event", "limit", "forkserver")
_SHIPPED = ("shim", "children", "silence", "final_event", "limit", "order")
"""What a cluster's nodes run, whose interpreter may be another one: it gets their sources."""
_PACKAGE = "marianned.executors"


@cache
def descriptor() -> int:
    """Return a descriptor of the programs: `INTERPRETER -I -S /proc/self/fd/N NAME`, with N passed on."""
    return holding.make_image(
        "marianne-programs", {name: holding.code_of(f"{_PACKAGE}.{name}") for name in _NAMES}
    )


def command(name: str, *arguments: str | Path) -> list[str | Path]:
    """Return the words that run one of the programs; `descriptor()` has to be passed on to it."""
    return [holding.interpreter(), "-I", "-S", f"/proc/self/fd/{descriptor()}", name, *arguments]


@cache
def sources() -> dict[str, bytes]:
    """Return the sources of what a node runs, by the names of their files; read once, as the image is."""
    found = [importlib.util.find_spec(f"{_PACKAGE}.{name}") for name in _SHIPPED]
    places = [Path(spec.origin) for spec in found if spec is not None and spec.origin is not None]
    return {place.name: place.read_bytes() for place in places}
