"""What is behind the gate: six paths, each for one method."""

import logging
import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import anyio
import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from marianne_cli import terminal
from marianne_cli.client import AsyncClient
from marianne_cli.web import shapes, statics
from marianne_cli.web.gate import BODY_MOST, ENTRY, RequestRules
from marianne_cli.web.live import LiveState
from marianne_cli.web.outputs import error_object
from marianne_cli.web.sessions import SESSION_SECONDS, SessionStore
from marianne_cli.web.tabs import Tab, TabSubscription
from marianned.decoding import Undecodable, check_depth, from_json
from marianned.errors import MarianneError, NoDaemon
from marianned.protocol import METHODS

T = TypeVar("T", bound=msgspec.Struct)
log = logging.getLogger(__name__)

TABS_MOST, BROWSER_TABS_MOST = 8, 4
"""Streams in all, and of one browser: it has six connections to a server, and asks on those that are left."""
_QUICK, _GZIP = 1, 16 + zlib.MAX_WBITS
BODY_SECONDS = 30.0
"""How long a body may take to come."""
LOOKS = frozenset(
    {
        "daemon.status",
        "instrument.list",
        "job.attempts",
        "job.history",
        "job.list",
        "job.revisions",
        "job.status",
        "job.why",
        "log.read",
        "log.search",
        "score.validate",
    }
)
"""What the page may ask. Nothing else of the socket is reached from a browser."""
CHANGES = frozenset({"job.cancel", "job.modify", "job.pause", "job.remove", "job.resume", "job.retry"})
"""What the page may ask that changes something; with `plan` it changes nothing."""
_STORED_TEXT_KEYS = {"job.revisions": "text", "log.read": "data"}
"""By method, the key of what is shown as it is stored: the text of a score is edited."""


class DaemonRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request for the daemon."""

    method: str
    params: dict[str, Any] = {}


class TokenBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The secret of the address that was opened."""

    token: str


class PageApp:
    """The server's side of the page: its sessions, its tabs, and the one client of the daemon."""

    def __init__(
        self, client: AsyncClient, sessions: SessionStore, rules: RequestRules, *, read_only: bool
    ) -> None:
        self._client = client
        self._sessions = sessions
        self._rules = rules
        self._read_only = read_only
        self._files = statics.load()
        self._tabs: dict[str, Tab] = {}
        self.live = LiveState(client, self._wake_tabs)
        self.used = anyio.current_time()

    def last_used_at(self) -> float:
        """Return when somebody last asked something, by anyio's clock; an open tab does so all the time."""
        return anyio.current_time() if self._tabs else self.used

    def end(self) -> None:
        """End all streams: uvicorn waits for them."""
        for tab in self._tabs.values():
            tab.end()

    def _wake_tabs(self) -> None:
        for tab in self._tabs.values():
            tab.wake()

    def app(self) -> Starlette:
        """Return the application behind the gate."""
        return Starlette(
            routes=[
                Route("/", self._shell, methods=["GET"]),
                Route("/static/{name:path}", self._static, methods=["GET"]),
                Route(ENTRY, self._enter, methods=["POST"]),
                Route("/stream", self._stream, methods=["GET"]),
                Route("/watch", self._watch, methods=["POST"]),
                Route("/ask", self._ask, methods=["POST"]),
            ]
        )

    # --- what holds no data --------------------------------------------------------------------------------

    async def _shell(self, _request: Request) -> Response:
        return _file_response(self._files[statics.SHELL])

    async def _static(self, request: Request) -> Response:
        found = self._files.get(request.path_params["name"])
        return Response(status_code=404) if found is None else _file_response(found)

    async def _enter(self, request: Request) -> Response:
        """Exchange a token for a session."""
        given = await _read_body(request, TokenBody)
        if isinstance(given, Response):
            return given
        session = self._sessions.exchange(given.token)
        if session is None:
            log.warning("refused a token: it is none of ours, or used, or older than a minute")
            return Response(status_code=403)
        answer = Response(status_code=204)
        answer.set_cookie(
            self._rules.cookie, session, max_age=int(SESSION_SECONDS), httponly=True, samesite="strict"
        )
        return answer

    # --- what needs a session ------------------------------------------------------------------------------

    async def _stream(self, request: Request) -> Response:
        self.used = anyio.current_time()
        browser = hash(request.cookies.get(self._rules.cookie))
        here = sum(tab.browser == browser for tab in self._tabs.values())
        if len(self._tabs) >= TABS_MOST or here >= BROWSER_TABS_MOST:
            return Response(status_code=503)
        accepted = request.headers.get("accept-encoding", "").split(",")
        packed = "gzip" in {one.strip() for one in accepted}
        return _EventStream(
            self, Tab(self.live, self._client, browser=browser, read_only=self._read_only), packed=packed
        )

    async def serve(self, tab: Tab, send: Callable[[bytes], Awaitable[None]]) -> None:
        """Carry a tab's stream until it ends."""
        self._tabs[tab.name] = tab
        try:
            await tab.run(send)
        finally:
            del self._tabs[tab.name]
            self.used = anyio.current_time()

    async def _watch(self, request: Request) -> Response:
        self.used = anyio.current_time()
        watch = await _read_body(request, TabSubscription)
        if isinstance(watch, Response):
            return watch
        tab = self._tabs.get(watch.stream)
        if tab is None:
            return Response(status_code=404)
        tab.watch(watch)
        return Response(status_code=204)

    async def _ask(self, request: Request) -> Response:
        """Pass a request on to the daemon; a refusal is answered as what it is."""
        self.used = anyio.current_time()
        asked = await _read_body(request, DaemonRequest)
        if isinstance(asked, Response):
            return asked
        looks = asked.method in LOOKS or (asked.method in CHANGES and asked.params.get("plan") is True)
        if not looks and (self._read_only or asked.method not in CHANGES):
            why = "the page is read-only" if asked.method in CHANGES else "the page never asks that"
            return _refusal_response(403, why, code="E509")
        try:
            check_depth(asked.params)
            params = msgspec.convert(asked.params, METHODS[asked.method].params)
        except (msgspec.ValidationError, Undecodable) as error:
            return _refusal_response(400, str(error), code="E510")
        try:
            reply = msgspec.to_builtins(await self._client.ask(params))
        except MarianneError as error:
            return _json_response(
                {"error": terminal.reply(error_object(error))}, 503 if isinstance(error, NoDaemon) else 409
            )
        told = _reply_for_page(asked.method, reply)
        if asked.method == "job.status" and asked.params.get("sheets"):
            told["sheets"] = [{**one, "offers": shapes.sheet_offers(told, one)} for one in told["sheets"]]
        return _json_response({"result": told})


class _EventStream(Response):
    """The answer that does not end: server-sent events, until the browser leaves or the server stops.

    `packed`: as gzip, each message flushed. One row of the list is much like the next, and like itself a
    second ago: few of the bytes are left.
    """

    def __init__(self, page: PageApp, tab: Tab, *, packed: bool) -> None:
        super().__init__(media_type="text/event-stream")
        self._page = page
        self._tab = tab
        self._packer = zlib.compressobj(_QUICK, wbits=_GZIP) if packed else None
        if packed:
            self.headers["content-encoding"] = "gzip"

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Serve it; nothing of it is left once the browser has gone."""
        headers = [(name, value) for name, value in self.raw_headers if name != b"content-length"]
        start: Message = {"type": "http.response.start", "status": 200, "headers": headers}
        await send(start)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_cancel_on_disconnect, receive, tasks.cancel_scope)
            await self._page.serve(self._tab, self._message_sender(send))
            tasks.cancel_scope.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _message_sender(self, send: Send) -> Callable[[bytes], Awaitable[None]]:
        """Return what sends a message as this stream sends them."""

        async def send_message(data: bytes) -> None:
            if self._packer is not None:
                data = self._packer.compress(data) + self._packer.flush(zlib.Z_SYNC_FLUSH)
            await send({"type": "http.response.body", "body": data, "more_body": True})

        return send_message


async def _cancel_on_disconnect(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _read_body(request: Request, kind: type[T]) -> T | Response:
    """Read a body of this kind, whatever length it said it has; else return the answer."""
    taken = bytearray()
    try:
        with anyio.fail_after(BODY_SECONDS):
            async for chunk in request.stream():
                taken += chunk
                if len(taken) > BODY_MOST:
                    return Response(status_code=413)
    except (TimeoutError, ClientDisconnect):
        return Response(status_code=408)
    try:
        return from_json(bytes(taken), kind)
    except Undecodable:
        return Response(status_code=400)


def _reply_for_page(method: str, reply: dict[str, Any]) -> dict[str, Any]:
    raw = _STORED_TEXT_KEYS.get(method)
    told: dict[str, Any] = terminal.reply(reply)
    if raw in reply:
        told[raw] = reply[raw]
    return told


def _file_response(file: statics.StaticFile) -> Response:
    return Response(file.content, media_type=file.media_type)


def _refusal_response(status: int, message: str, *, code: str) -> Response:
    return _json_response({"error": {"code": code, "message": message, "hints": [], "problems": []}}, status)


def _json_response(value: Mapping[str, Any], status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
