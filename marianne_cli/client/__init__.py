"""The Python client of the daemon, blocking and for anyio: public, typed, and all that `mzt` uses.

    from marianne_cli.client import connect

    with connect() as c:
        c.pause("my-job", wait=True)

Each named method is a request of `marianned.protocol`, answered with the Struct that it gives for it, and
raises the exceptions of `marianned.errors`: a refusal is never a result. `aconnect` is the same for anyio.

Names are loaded when they are asked for: the blocking client needs no anyio, and `mzt` none of the types.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from marianne_cli.client.aio import AsyncClient, AsyncItems, aconnect
    from marianne_cli.client.blocking import Items
    from marianne_cli.client.dialling import new_key
    from marianne_cli.client.streams import FollowedOutput, Piece
    from marianne_cli.client.typed import Client, connect

_HOMES = {
    "AsyncClient": "aio",
    "AsyncItems": "aio",
    "Client": "typed",
    "Items": "blocking",
    "FollowedOutput": "streams",
    "Piece": "streams",
    "aconnect": "aio",
    "connect": "typed",
    "new_key": "dialling",
}
__all__ = [
    "AsyncClient",
    "AsyncItems",
    "Client",
    "FollowedOutput",
    "Items",
    "Piece",
    "aconnect",
    "connect",
    "new_key",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
