"""Reading all pages of a reply."""

from typing import Any

import msgspec

from marianne_cli.client import AsyncClient
from marianned.protocol import Query


async def read_all_pages(client: AsyncClient, request: Query[Any], listed: str, total: str) -> dict[str, Any]:
    """Return a reply with all pages of what it lists; `total` is its key for how many there are.

    Raises:
        MarianneError: what the daemon refuses, or that there is none.
    """
    reply: dict[str, Any] = msgspec.to_builtins(await client.ask(request))
    while len(reply[listed]) < reply[total]:
        further = msgspec.structs.replace(request, offset=len(reply[listed]))
        page = msgspec.to_builtins(await client.ask(further))[listed]
        if not page:
            break
        reply[listed] += page
    return reply
