"""The wire as a client has it: requests to bytes, and what the daemon says to plain data.

With what every client loads anyway: of a short command's time, loading msgspec would be a third. Where it is
loaded it does the work, with the same result. Source: docs/design/protocol.md "Messages".
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from marianned import formatting
from marianned.errors import BY_CODE, BadRequest, InternalError, MarianneError

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602

Id = int | str
_KINDS = {"id": int | str, "method": str}
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class Envelope(NamedTuple):
    """Any message from the daemon: a reply (id) or a notification (method); what it lacks is empty."""

    id: Id | None
    method: str | None
    params: Any
    result: Any
    error: dict[str, Any] | None


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


class LineBuffer:
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


def decode(text: bytes) -> Any:
    """Read one JSON value.

    Raises:
        ValueError: it is none.
    """
    msgspec = sys.modules.get("msgspec")
    if msgspec is None:
        try:
            return json.loads(text.decode())
        except RecursionError as error:
            raise ValueError(str(error)) from None
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(str(error)) from None


def encode(value: object) -> bytes:
    """Write one JSON value.

    Raises:
        UnicodeEncodeError: a text of it is not UTF-8.
    """
    msgspec = sys.modules.get("msgspec")
    if msgspec is None:
        return _encode(value).encode()
    encoded: bytes = msgspec.json.encode(value)
    return encoded


def read_envelope(line: bytes) -> Envelope:
    """Read one message of the daemon.

    Raises:
        ValueError: it is none.
    """
    told = decode(line)
    if not isinstance(told, dict):
        raise ValueError("a message is one JSON object")  # noqa: TRY004  as what is no JSON
    read = Envelope(
        told.get("id"), told.get("method"), told.get("params"), told.get("result"), told.get("error")
    )
    named = all(isinstance(told.get(name), kind | None) for name, kind in _KINDS.items())
    if not named or not (read.error is None or _is_error(read.error)):
        raise ValueError("a member of the message has the wrong type")
    return read


def _is_error(error: Any) -> bool:
    """Tell whether an error has the members that it is read by."""
    if not isinstance(error, dict):
        return False
    data = error.get("data")
    whole = isinstance(error.get("code"), int) and isinstance(error.get("message"), str)
    return whole and (data is None or (isinstance(data, dict) and isinstance(data.get("error_code"), str)))


def request(identity: Id, method: str, params: object) -> bytes:
    """Encode one request.

    Raises:
        BadRequest: a text of it is not UTF-8: bytes of a command line, a path or a variable that are no text.
    """
    try:
        return encode({"jsonrpc": "2.0", "id": identity, "method": method, "params": params}) + b"\n"
    except UnicodeEncodeError:
        place, text = next(_unencodable(params, ""), ("the request", ""))
        raise BadRequest(f"{place} is not UTF-8: '{formatting.as_utf8(text)}'; nothing was asked") from None


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


def to_exception(error: Mapping[str, Any]) -> MarianneError:
    """Turn an error of the wire back into the exception it was."""
    data = error.get("data")
    if data is None:
        return BadRequest(error["message"])
    problems = data.get("problems") or []
    if problems:
        import msgspec  # noqa: PLC0415  few refusals have problems

        from marianned.errors import Problem  # noqa: PLC0415

        try:
            problems = msgspec.convert(problems, list[Problem])
        except msgspec.ValidationError:
            problems = []  # those of no daemon of ours; what is wrong is said all the same
    return BY_CODE.get(data["error_code"], InternalError)(
        error["message"],
        job_id=data.get("job_id"),
        status=data.get("status"),
        hints=data.get("hints") or [],
        problems=problems,
    )
