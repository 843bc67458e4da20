"""Who may come in: tokens that are good once and for a minute, and the sessions they are exchanged for."""

import hashlib
import secrets
import time
from collections.abc import Callable

TOKEN_SECONDS = 60.0
SESSION_SECONDS = 12 * 3600.0
_BYTES = 32


class SessionStore:
    """Tokens and sessions of one server, in memory alone: they end with it.

    They are kept as hashes, so looking one up tells nothing of it by the time it takes.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tokens: dict[bytes, float] = {}
        self._sessions: dict[bytes, float] = {}

    def mint(self) -> str:
        """Return a new token: 256 bits, for the first who brings it within `TOKEN_SECONDS`."""
        return self._new(self._tokens, TOKEN_SECONDS)

    def exchange(self, token: str) -> str | None:
        """Return a new session for a token, which is used up; null: the token is unknown or expired."""
        ends_at = self._tokens.pop(_hash(token), None)
        if ends_at is None or ends_at <= self._clock():
            return None
        return self._new(self._sessions, SESSION_SECONDS)

    def is_live(self, session: str) -> bool:
        """Tell whether a session is one of these, and not over."""
        return self._sessions.get(_hash(session), 0.0) > self._clock()

    def _new(self, kept: dict[bytes, float], seconds: float) -> str:
        now = self._clock()
        for old in [key for key, ends_at in kept.items() if ends_at <= now]:
            del kept[old]
        secret = secrets.token_urlsafe(_BYTES)
        kept[_hash(secret)] = now + seconds
        return secret


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()
