"""Bytes to messages and back, without a socket: JSON-RPC 2.0, one message a line.

Both sides speak through it: the daemon, the blocking client and the anyio client. Source:
docs/design/protocol.md "Messages".
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from marianned import formatting
from marianned.errors import BY_CODE, BadRequest, InternalError, MarianneError, Problem

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602

Id = int | str
_encoder = msgspec.json.Encoder()


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it came: its params are decoded a second time, by the type of its method."""

    id: Id
    method: str
    params: msgspec.Raw = msgspec.Raw(b"{}")


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """Any message from the daemon: a reply (id) or a notification (method); what it lacks is empty."""

    id: Id | None = None
    method: str | None = None
    params: msgspec.Raw = msgspec.Raw(b"")
    result: msgspec.Raw = msgspec.Raw(b"")
    error: "ErrorBody | None" = None


class ErrorData(msgspec.Struct, frozen=True, kw_only=True):
    """What a product error tells beside its message."""

    error_code: str
    job_id: str | None = None
    status: str | None = None
    hints: list[str] = []
    problems: list[Problem] = []


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """The error of a reply."""

    code: int
    message: str
    data: ErrorData | None = None


class ProtocolFault(Exception):
    """A message that is no request; `id` is the request's where it could be read."""

    def __init__(
        self,
        code: int,
        message: str,
        id: Id | None = None,  # noqa: A002  as the wire names it
        *,
        hints: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.id = id
        self.hints = list(hints)


class Lines:
    """Cuts a stream of bytes into lines of at most `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._searched = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Add bytes; yield each line that is now whole, without its end.

        Raises:
            ProtocolFault: a line is longer than the limit; the stream can't be read on.
        """
        self._buffer += data
        while True:
            end = self._buffer.find(b"\n", self._searched)
            if end < 0:
                self._searched = len(self._buffer)
                if self._searched > self._limit:
                    raise ProtocolFault(INVALID_REQUEST, f"a message has over {self._limit} bytes")
                return
            if end > self._limit:
                raise ProtocolFault(INVALID_REQUEST, f"a message has over {self._limit} bytes")
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._searched = 0
            if line.strip():
                yield line

    @property
    def held(self) -> int:
        """How many bytes came after the last line end."""
        return len(self._buffer)

    @property
    def rest(self) -> bytes:
        """What came after the last line end."""
        return bytes(self._buffer)


_raw_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_json_id = msgspec.json.Decoder(Id)
_json_str = msgspec.json.Decoder(str)
_envelope = msgspec.json.Decoder(Envelope)


def read_request(line: bytes) -> Request:
    """Decode one request.

    Raises:
        ProtocolFault: it is no JSON, or no request of ours.
    """
    try:
        if not line.isascii():
            line.decode()
        members = _raw_object.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if isinstance(error, msgspec.ValidationError):
            raise ProtocolFault(
                INVALID_REQUEST, "a message is one JSON object; batches are not taken"
            ) from None
        raise ProtocolFault(PARSE_ERROR, f"not valid JSON: {error}") from None
    identity = _member(members, "id", _json_id, None)
    if identity is None:
        raise ProtocolFault(INVALID_REQUEST, "a request has an 'id', a whole number or a string")
    if _member(members, "jsonrpc", _json_str, identity) != "2.0":
        raise ProtocolFault(INVALID_REQUEST, "a request has 'jsonrpc': \"2.0\"", identity)
    method = _member(members, "method", _json_str, identity)
    if method is None:
        raise ProtocolFault(INVALID_REQUEST, "a request has a 'method'", identity)
    params = members.get("params", msgspec.Raw(b"{}"))
    if not bytes(params).lstrip().startswith(b"{"):
        raise ProtocolFault(INVALID_PARAMS, "params are an object: they are given by name", identity)
    return Request(id=identity, method=method, params=params)


def _member(
    members: Mapping[str, msgspec.Raw], name: str, decoder: msgspec.json.Decoder[Any], identity: Id | None
) -> Any:
    if name not in members:
        return None
    try:
        return decoder.decode(members[name])
    except UnicodeDecodeError as error:
        raise ProtocolFault(PARSE_ERROR, f"not valid JSON: {error}") from None
    except msgspec.DecodeError:
        raise ProtocolFault(INVALID_REQUEST, f"'{name}' has the wrong type", identity) from None


def read_envelope(line: bytes) -> Envelope:
    """Decode one message of the daemon."""
    return _envelope.decode(line)


def request(identity: Id, method: str, params: object) -> bytes:
    """Encode one request.

    Raises:
        BadRequest: a text of it is not UTF-8: bytes of a command line, a path or a variable that are no text.
    """
    try:
        return _request(identity, method, params)
    except UnicodeEncodeError:
        place, text = next(_unencodable(params, ""), ("the request", ""))
        raise BadRequest(f"{place} is not UTF-8: '{formatting.as_utf8(text)}'; nothing was asked") from None


def _request(identity: Id, method: str, params: object) -> bytes:
    return _line({"jsonrpc": "2.0", "id": identity, "method": method, "params": params})


def _unencodable(value: object, place: str) -> Iterator[tuple[str, str]]:
    """Yield each text inside a value that UTF-8 can't hold, with its name."""
    if isinstance(value, str) and formatting.as_utf8(value) != value:
        yield place, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _unencodable(name, place)
            yield from _unencodable(inner, f"{place}.{name}" if place else str(name))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _unencodable(inner, place)


def reply(identity: Id, result: object) -> bytes:
    """Encode the reply to a request."""
    return _line({"jsonrpc": "2.0", "id": identity, "result": result})


def notification(method: str, params: object) -> bytes:
    """Encode a message that answers nothing."""
    return _line({"jsonrpc": "2.0", "method": method, "params": params})


def fault(error: ProtocolFault) -> bytes:
    """Encode the answer to a message that was no request."""
    data = ErrorData(error_code="E510", hints=error.hints)
    body = {"code": error.code, "message": error.message, "data": data}
    return _line({"jsonrpc": "2.0", "id": error.id, "error": body})


def refusal(identity: Id | None, error: MarianneError) -> bytes:
    """Encode a product error: the one place where it becomes JSON. Without an id it answers no request."""
    body = ErrorBody(
        code=error.rpc_code,
        message=error.message,
        data=ErrorData(
            error_code=error.code,
            job_id=error.job_id,
            status=error.status,
            hints=error.hints,
            problems=error.problems,
        ),
    )
    return _line({"jsonrpc": "2.0", "id": identity, "error": body})


def raised(body: ErrorBody) -> MarianneError:
    """Turn an error of the wire back into the exception it was."""
    if body.data is None:
        return BadRequest(body.message)
    kind = BY_CODE.get(body.data.error_code, InternalError)
    return kind(
        body.message,
        job_id=body.data.job_id,
        status=body.data.status,
        hints=body.data.hints,
        problems=body.data.problems,
    )


def _line(message: object) -> bytes:
    return _encoder.encode(message) + b"\n"
