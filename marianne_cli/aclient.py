"""The anyio client under the name that it had in 0.1.0; it is `marianne_cli.client.aconnect` now."""

from marianne_cli.client.aio import AsyncClient, aconnect

__all__ = ["AsyncClient", "aconnect"]
