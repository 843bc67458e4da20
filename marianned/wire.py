"""Bytes to requests, and replies to bytes, without a socket: JSON-RPC 2.0, one message a line.

The daemon's side of it; that of the clients is client_wire.py. Source: docs/design/protocol.md "Messages".
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from marianned.client_wire import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    Id,
    LineBuffer,
    ProtocolFault,
)
from marianned.errors import MarianneError, Problem

__all__ = [
    "INVALID_PARAMS",
    "INVALID_REQUEST",
    "METHOD_NOT_FOUND",
    "PARSE_ERROR",
    "ErrorBody",
    "ErrorData",
    "Id",
    "LineBuffer",
    "ProtocolFault",
    "Request",
    "fault",
    "notification",
    "read_request",
    "refusal",
    "reply",
]
_encoder = msgspec.json.Encoder()
_METHODS_HINT = "mzt rpc"
"""What is typed after a message that names no method."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it came: its params are decoded a second time, by the type of its method."""

    id: Id
    method: str
    params: msgspec.Raw = msgspec.Raw(b"{}")


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


_raw_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_json_id = msgspec.json.Decoder(Id)
_json_str = msgspec.json.Decoder(str)


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
        said = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ProtocolFault(PARSE_ERROR, f"not valid JSON: {said}") from None
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


def reply(identity: Id, result: object) -> bytes:
    """Encode the reply to a request."""
    return _line({"jsonrpc": "2.0", "id": identity, "result": result})


def notification(method: str, params: object) -> bytes:
    """Encode a message that answers nothing."""
    return _line({"jsonrpc": "2.0", "method": method, "params": params})


def fault(error: ProtocolFault) -> bytes:
    """Encode the answer to a message that was no request."""
    data = ErrorData(error_code="E510", hints=error.hints or [_METHODS_HINT])
    body = {"code": error.code, "message": error.message, "data": data}
    return _line({"jsonrpc": "2.0", "id": error.id, "error": body})


def refusal(identity: Id | None, error: MarianneError, method: str | None = None) -> bytes:
    """Encode a product error: the one place where it becomes JSON. Without an id it answers no request.

    What has no hint of its own gets the schema of the `method` that was called, as wrong params do.
    """
    schema = _METHODS_HINT if method is None else f"mzt rpc {method} --schema"
    body = ErrorBody(
        code=error.rpc_code,
        message=error.message,
        data=ErrorData(
            error_code=error.code,
            job_id=error.job_id,
            status=error.status,
            hints=error.hints or [schema],
            problems=error.problems,
        ),
    )
    return _line({"jsonrpc": "2.0", "id": identity, "error": body})


def _line(message: object) -> bytes:
    return _encoder.encode(message) + b"\n"
