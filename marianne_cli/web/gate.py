"""The one door of the page's server: what does not meet every rule is refused here, before any routing.

Whoever reaches the port is a stranger until shown otherwise: another page in the browser, a name that was
rebound to this address, another user of the machine. So each rule is checked for each method and path, and
the first that fails answers with an empty body and a line in the log. Source: docs/security.md "The page in
the browser".
"""

import logging
from collections.abc import Iterable
from typing import NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marianne_cli.web.sessions import SessionStore

log = logging.getLogger(__name__)

BODY_MOST = 8 * 1024 * 1024
"""Bytes of a request's body."""
CHANGES = frozenset({"POST"})
LOOKS = frozenset({"GET", "HEAD"})
SHELL = "/"
ENTRY = "/session"
"""Where the token is exchanged for the cookie."""
STATIC = "/static/"
_BAD = 400
_FORBIDDEN = 403
_MISDIRECTED = 421
_TOO_LARGE = 413
_HEAD_TOO_LARGE = 431
HEAD_MOST = 16 * 1024
"""Bytes of a request's headers."""

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""On every answer, a refusal too."""
_HEADER_PAIRS = tuple((name.encode(), value.encode()) for name, value in HEADERS.items())


class RuleViolation(NamedTuple):
    """The rule that a request breaks: `status` is sent, `why` goes to the log alone."""

    status: int
    why: str


class RequestHead(NamedTuple):
    """Method, path and headers of a request, for the rules; each header has all values that were sent."""

    method: str
    path: str
    headers: dict[bytes, list[bytes]]

    @classmethod
    def from_scope(cls, scope: Scope) -> "RequestHead":
        """Return the head of the request in an ASGI scope."""
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.lower(), []).append(value)
        return cls(scope["method"], scope["path"], headers)

    def single_value(self, name: bytes) -> bytes | None:
        """Return the value of a header that was sent exactly once, else null."""
        values = self.headers.get(name, [])
        return values[0] if len(values) == 1 else None

    @property
    def is_public(self) -> bool:
        """Whether it is for what holds no data: the shell and the static files."""
        return self.method in LOOKS and (self.path == SHELL or self.path.startswith(STATIC))

    @property
    def is_navigation(self) -> bool:
        """Whether the browser says that somebody opens the page itself, in a tab of its own."""
        return (
            self.method == "GET"
            and self.path == SHELL
            and self.single_value(b"sec-fetch-mode") == b"navigate"
            and self.single_value(b"sec-fetch-dest") == b"document"
        )


class RequestRules:
    """The rules for one port, which the server is bound to, or a forwarded one that it was told."""

    def __init__(self, port: int, sessions: SessionStore) -> None:
        self._hosts = frozenset(f"{host}:{port}".encode() for host in ("127.0.0.1", "localhost", "[::1]"))
        self.cookie = f"mzt-{port}"
        """Name of the cookie: cookies do not know ports."""
        self._sessions = sessions

    def violation(self, asked: RequestHead) -> RuleViolation | None:
        """Return the first rule that a request breaks; null: it may come in."""
        for rule in (
            self._check_head_size,
            self._check_length,
            self._check_host,
            self._check_method,
            self._check_origin,
            self._check_fetch_site,
            self._check_change,
            self._check_session,
        ):
            if (refused := rule(asked)) is not None:
                return refused
        return None

    def session_of(self, asked: RequestHead) -> str | None:
        """Return the session that a request carries, if it is a live one."""
        found = [
            value
            for header in asked.headers.get(b"cookie", [])
            for name, _, value in (part.strip().partition("=") for part in _decode_header(header).split(";"))
            if name == self.cookie
        ]
        return found[0] if len(found) == 1 and self._sessions.is_live(found[0]) else None

    @staticmethod
    def _check_head_size(asked: RequestHead) -> RuleViolation | None:
        size = sum(len(name) + len(value) for name, values in asked.headers.items() for value in values)
        return None if size <= HEAD_MOST else RuleViolation(_HEAD_TOO_LARGE, "its headers are too large")

    @staticmethod
    def _check_length(asked: RequestHead) -> RuleViolation | None:
        """A request that gives its length in two ways may be two requests to a proxy, and one here."""
        twice = b"transfer-encoding" in asked.headers and b"content-length" in asked.headers
        return RuleViolation(_BAD, "it says its length in two ways") if twice else None

    def _check_host(self, asked: RequestHead) -> RuleViolation | None:
        """Host must be one of our names, port included: a rebound DNS name is another."""
        if asked.single_value(b"host") in self._hosts:
            return None
        return RuleViolation(_MISDIRECTED, "its Host is not ours")

    @staticmethod
    def _check_method(asked: RequestHead) -> RuleViolation | None:
        """Only these methods; OPTIONS is for requests of other origins, and none is let in."""
        return (
            None
            if asked.method in LOOKS | CHANGES
            else RuleViolation(_FORBIDDEN, "such a method is never taken")
        )

    @staticmethod
    def _check_origin(asked: RequestHead) -> RuleViolation | None:
        """Origin must be our own where it is sent; a request that may change something must send it."""
        if b"origin" not in asked.headers:
            return None if asked.method in LOOKS else RuleViolation(_FORBIDDEN, "it has no Origin")
        host = asked.single_value(b"host") or b""
        return (
            None
            if asked.single_value(b"origin") == b"http://" + host
            else RuleViolation(_FORBIDDEN, "another Origin")
        )

    @staticmethod
    def _check_fetch_site(asked: RequestHead) -> RuleViolation | None:
        """The browser must say that our page asks; the shell, which holds no data, may be opened by all."""
        if b"sec-fetch-site" not in asked.headers or asked.is_navigation:
            return None
        if asked.single_value(b"sec-fetch-site") == b"same-origin":
            return None
        return RuleViolation(_FORBIDDEN, "the browser says that another site asks")

    @staticmethod
    def _check_change(asked: RequestHead) -> RuleViolation | None:
        """What is posted is JSON with a header of ours: no form sends it, no other site without asking."""
        if asked.method in LOOKS:
            return None
        if asked.single_value(b"content-type") != b"application/json":
            return RuleViolation(_FORBIDDEN, "it is not sent as JSON")
        if asked.single_value(b"x-mzt") != b"1":
            return RuleViolation(_FORBIDDEN, "it has no X-Mzt")
        return None

    def _check_session(self, asked: RequestHead) -> RuleViolation | None:
        """Outputs are secrets: looks need the cookie as well."""
        if asked.is_public or (asked.method in CHANGES and asked.path == ENTRY):
            return None
        return None if self.session_of(asked) is not None else RuleViolation(_FORBIDDEN, "it has no session")


class Gate:
    """The outermost ASGI layer: refuses what breaks a rule, bounds bodies, and adds the fixed headers."""

    def __init__(self, app: ASGIApp, rules: RequestRules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            log.warning("refused a connection of type %s", scope["type"])
            await send({"type": "websocket.close", "code": 1008})
            return
        asked = RequestHead.from_scope(scope)
        refused = self._rules.violation(asked)
        if refused is None and _declared_length(asked) > BODY_MOST:
            refused = RuleViolation(_TOO_LARGE, "its body is too large")
        if refused is not None:
            log.warning("refused %s %.80r: %s", asked.method, asked.path, refused.why)
            await _send_empty(send, refused.status)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*_without_fixed_headers(message.get("headers", ())), *_HEADER_PAIRS]
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _declared_length(asked: RequestHead) -> int:
    """Return the body's length by its header; a value that is not a number counts as too much."""
    said = asked.headers.get(b"content-length", [b"0"])
    return int(said[0]) if len(said) == 1 and said[0].isdigit() else BODY_MOST + 1


def _without_fixed_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in headers if name.lower().decode("latin-1") not in HEADERS]


def _decode_header(header: bytes) -> str:
    return header.decode("latin-1")


async def _send_empty(send: Send, status: int) -> None:
    start = {"type": "http.response.start", "status": status}
    await send({**start, "headers": [(b"content-length", b"0"), (b"connection", b"close"), *_HEADER_PAIRS]})
    await send({"type": "http.response.body", "body": b""})
