"""Bytes to messages and back: what goes in comes out, and nothing hostile brings it down."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from kit.tables import each

from marianned import client_wire, wire
from marianned.errors import BY_CODE, BadRequest, InternalError, MarianneError, Problem
from marianned.wire import LineBuffer, ProtocolFault

text = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40)
identities = st.integers(-(2**63), 2**63 - 1) | text
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)
params = st.dictionaries(text, values, max_size=5)


def one_line(message: bytes) -> bytes:
    assert message.endswith(b"\n")
    assert message.count(b"\n") == 1
    return message[:-1]


@given(identities, text, params)
def test_a_request_comes_out_as_it_went_in(
    identity: int | str, method: str, given_params: dict[str, Any]
) -> None:
    request = wire.read_request(one_line(client_wire.request(identity, method, given_params)))
    assert (request.id, request.method) == (identity, method)
    assert json.loads(bytes(request.params)) == given_params


@given(identities, values)
def test_a_reply_comes_out_as_it_went_in(identity: int | str, result: Any) -> None:
    envelope = client_wire.read_envelope(one_line(wire.reply(identity, result)))
    assert (envelope.id, envelope.method, envelope.error) == (identity, None, None)
    assert envelope.result == result


@given(text, params)
def test_a_notification_comes_out_as_it_went_in(method: str, given_params: dict[str, Any]) -> None:
    envelope = client_wire.read_envelope(one_line(wire.notification(method, given_params)))
    assert (envelope.id, envelope.method) == (None, method)
    assert envelope.params == given_params


problems = st.builds(
    Problem,
    code=st.just("S202"),
    severity=st.sampled_from(["error", "warning"]),
    message=text,
    file=text,
    line=st.none() | st.integers(1, 99),
    sheets=st.lists(st.integers(1, 99), max_size=3),
)


@given(
    st.sampled_from(sorted(BY_CODE)),
    identities,
    text,
    st.none() | text,
    st.lists(text, max_size=3),
    st.lists(problems, max_size=2),
)
def test_a_refusal_comes_out_as_the_exception_it_was(
    code: str, identity: int | str, message: str, job: str | None, hints: list[str], found: list[Problem]
) -> None:
    error = BY_CODE[code](message, job_id=job, status="paused", hints=hints, problems=found)
    envelope = client_wire.read_envelope(one_line(wire.refusal(identity, error)))
    assert envelope.id == identity
    assert envelope.error is not None
    assert envelope.error["code"] == error.rpc_code
    back = client_wire.to_exception(envelope.error)
    assert type(back) is type(error)
    assert vars(back) == {**vars(error), "hints": error.hints or ["mzt rpc"]}


@given(identities | st.none(), text, st.integers(-33000, -32000))
def test_a_fault_is_told_with_its_code_and_as_a_bad_request(
    identity: int | str | None, said: str, code: int
) -> None:
    envelope = client_wire.read_envelope(one_line(wire.fault(ProtocolFault(code, said, identity))))
    assert envelope.id == identity
    assert envelope.error is not None
    assert (envelope.error["code"], envelope.error["message"]) == (code, said)
    assert isinstance(client_wire.to_exception(envelope.error), BadRequest)


def test_an_error_of_a_newer_daemon_is_an_error_all_the_same() -> None:
    body = {"code": -33599, "message": "new", "data": {"error_code": "E599"}}
    assert type(client_wire.to_exception(body)) is InternalError
    assert type(client_wire.to_exception({"code": -32601, "message": "no such method"})) is BadRequest


def test_the_root_of_all_errors_can_be_told_too() -> None:
    envelope = client_wire.read_envelope(wire.refusal(1, MarianneError("odd")))
    assert envelope.error is not None
    assert (envelope.error["code"], type(client_wire.to_exception(envelope.error))) == (-32603, InternalError)


@given(st.binary(max_size=200))
@example(b"[" * 100_000)
@example(b'{"a":' * 100_000)
@example(b'{"id":1,"jsonrpc":"2.0","method":"m","params":' + b'{"a":' * 50_000)
@example(b'{"id":' + b"[" * 100_000)
@example(b'{"id":' + b"9" * 5_000 + b"}")
@example(b'{"id":1e400}')
@example(b'{"id":"\xff"}')
@example(b'{"id":"\\ud800","jsonrpc":"2.0","method":"m"}')
@example(b"\x00")
@example(b'{"\xff":1}')
def test_hostile_bytes_never_raise_anything_but_a_fault(data: bytes) -> None:
    with contextlib.suppress(ProtocolFault):
        wire.read_request(data)


members = st.dictionaries(
    st.sampled_from(["id", "jsonrpc", "method", "params"]) | text,
    st.sampled_from(["2.0", 1, "x", {}, {"a": 1}, None, True, 1.5, [], [1]]) | values,
    max_size=6,
)


@given(members)
def test_any_json_object_is_a_request_or_a_fault(message: dict[str, Any]) -> None:
    identity = message.get("id")
    valid = isinstance(identity, int | str) and not isinstance(identity, bool)
    valid = valid and message.get("jsonrpc") == "2.0" and isinstance(message.get("method"), str)
    valid = valid and isinstance(message.get("params", {}), dict)
    line = json.dumps(message).encode()
    if valid:
        assert wire.read_request(line).method == message["method"]
    else:
        with pytest.raises(ProtocolFault):
            wire.read_request(line)


FAULTS = [
    (b"nonsense", wire.PARSE_ERROR, None),
    (b"[]", wire.INVALID_REQUEST, None),
    (b"{}", wire.INVALID_REQUEST, None),
    (b'{"id": null, "jsonrpc": "2.0", "method": "m"}', wire.INVALID_REQUEST, None),
    (b'{"id": 1, "method": "m"}', wire.INVALID_REQUEST, 1),
    (b'{"id": "a", "jsonrpc": "1.0", "method": "m"}', wire.INVALID_REQUEST, "a"),
    (b'{"id": 1, "jsonrpc": "2.0"}', wire.INVALID_REQUEST, 1),
    (b'{"id": 1, "jsonrpc": "2.0", "method": 5}', wire.INVALID_REQUEST, 1),
    (b'{"id": 1, "jsonrpc": "2.0", "method": "m", "params": [1]}', wire.INVALID_PARAMS, 1),
    (b'{"id": 1, "jsonrpc": "2.0", "method": "m", "params": null}', wire.INVALID_PARAMS, 1),
]


@each(("line", "code", "identity"), FAULTS)
def test_a_message_that_is_no_request_is_a_fault_with_the_id_it_had(
    line: bytes, code: int, identity: int | str | None
) -> None:
    with pytest.raises(ProtocolFault) as fault:
        wire.read_request(line)
    assert (fault.value.code, fault.value.id) == (code, identity)
    assert fault.value.message == str(fault.value)


def test_params_may_be_left_out_and_stand_behind_blanks() -> None:
    assert bytes(wire.read_request(b'{"id":1,"jsonrpc":"2.0","method":"m"}').params) == b"{}"
    assert wire.read_request(b'{"id":1,"jsonrpc":"2.0","method":"m","params":  {"a":1}}').id == 1


def test_what_the_daemon_does_not_know_of_an_envelope_is_left_aside() -> None:
    envelope = client_wire.read_envelope(b'{"jsonrpc":"2.0","id":1,"result":{},"more":true}')
    assert envelope.id == 1
    with pytest.raises(ValueError, match=r"malformed|Expecting"):
        client_wire.read_envelope(b"nonsense")


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces, start = [], 0
    for size in sizes:
        pieces.append(data[start : start + size])
        start += size
    return [*pieces, data[start:]]


def read(limit: int, pieces: list[bytes]) -> tuple[list[bytes], bytes | str]:
    lines, found = LineBuffer(limit), []
    try:
        for piece in pieces:
            for line in lines.feed(piece):
                found.append(line)  # noqa: PERF402  what came before a fault counts
    except ProtocolFault as fault:
        return found, fault.message
    return found, lines.rest


@given(
    st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r\n", b" ", b"long line indeed"]), max_size=30).map(
        b"".join
    ),
    st.lists(st.integers(0, 7), max_size=30),
    st.integers(1, 20),
)
def test_lines_are_the_same_however_the_stream_is_cut(data: bytes, sizes: list[int], limit: int) -> None:
    whole = read(limit, [data])
    assert read(limit, cut(data, sizes)) == whole
    assert read(limit, [data[n : n + 1] for n in range(len(data))]) == whole


@given(st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")), max_size=10))
def test_lines_come_out_as_they_went_in_but_blank_ones(sent: list[bytes]) -> None:
    found, rest = read(20, [b"".join(line + b"\n" for line in sent)])
    assert (found, rest) == ([line for line in sent if line.strip()], b"")


def test_a_line_of_the_limit_passes_and_one_byte_more_does_not() -> None:
    assert read(4, [b"abcd", b"\n"]) == ([b"abcd"], b"")
    assert read(4, [b"abcde"]) == ([], "a message has over 4 bytes")
    assert read(4, [b"ok\nabcde\n"]) == ([b"ok"], "a message has over 4 bytes")


@each("where", [b'"method": "\xff"', b'"method": "a", "params": {"b": "\xff"}'])
def test_bytes_that_are_no_text_are_no_json(where):
    with pytest.raises(ProtocolFault) as raised:
        wire.read_request(b'{"jsonrpc": "2.0", "id": 1, ' + where + b"}")
    assert raised.value.code == wire.PARSE_ERROR
