"""Answers of servers that are broken or hostile: each is a refusal with a reason, within time and memory."""

import json
import os
import random
import socket
import subprocess
import sys
import threading

import pytest

from marianned import http_agent

FUZZED = int(os.environ.get("MARIANNE_FUZZ", "300"))
"""How many mutated answers; the whole figure is 10,000."""
SECRET = "sk-ant-secretkey-0123456789"
ANSWER = {
    "model": "m",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1},
}


class Server:
    """Answers each connection with the bytes that are set, whatever it is asked, and hangs up."""

    def __init__(self):
        self.answer = b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/v1"
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                line, _ = self.listener.accept()
            except OSError:
                return
            with line:
                line.settimeout(5)
                try:
                    read = b""
                    while b"\r\n\r\n" not in read or not read.endswith(b"}"):
                        piece = line.recv(65_536)
                        if not piece:
                            break
                        read += piece
                    line.sendall(self.answer)
                except OSError:
                    pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)


@pytest.fixture
def server():
    made = Server()
    yield made
    made.close()


def whole(body, status="200 OK", headers=""):
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def asked(url, **more):
    told = {
        "family": "anthropic", "url": url, "model": "m", "key_env": None, "max_tokens": None, "temperature": None,
        "system": None, "timeout_seconds": 10,
    }  # fmt: skip
    try:
        return http_agent.ask_model({**told, **more}, "Say yes.")
    except http_agent.RequestRefused as refused:
        return str(refused)


GOOD = json.dumps(ANSWER).encode()
HOSTILE = {
    "garbage status": b"garbage\r\n\r\n",
    "no answer": b"",
    "long line": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
    "500 headers": b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 500 + b"\r\n",
    "cut chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n400\r\nabc",
    "bad chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc",
    "cut body": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{}",
    "deep": whole(b"[" * 200_000),
    "deep refusal": whole(b"[" * 200_000, "500 No"),
    "cut refusal": b"HTTP/1.1 500 No\r\nContent-Length: 1000\r\n\r\nno",
    "too long": whole(b" " * (9 * 1024**2)),
    "no text": whole(b'{"content": 7}'),
    "texts of another kind": whole(b'{"content": [{"type": "text", "text": 7}]}'),
    "usage of another kind": whole(b'{"content": [], "usage": [1]}'),
    "redirect": whole(b"", "302 Found", "Location: file:///etc/passwd\r\n"),
    "bad length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}",
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_each_is_a_refusal_in_words(server, name):
    server.answer = HOSTILE[name]
    said = asked(server.url)
    assert isinstance(said, str), said
    assert said
    assert len(said) < 3_000


def test_a_good_answer_is_one(server):
    server.answer = whole(GOOD)
    assert asked(server.url)["result"] == "hi"


@pytest.mark.parametrize("key", [f"{SECRET}\r", f"\n {SECRET}\r\n"])
def test_a_key_is_used_without_the_blanks_of_its_file(server, monkeypatch, key):
    server.answer = whole(GOOD)
    monkeypatch.setenv("CRKEY", key)
    assert asked(server.url, key_env="CRKEY")["result"] == "hi"


@pytest.mark.parametrize("bad", ["\r\nX: y", "\x00", "ü", "\x1b"])
def test_a_key_with_other_characters_is_refused_by_the_name_of_its_variable(server, monkeypatch, bad):
    monkeypatch.setitem(os.environ, "CRKEY", "x")
    monkeypatch.setattr(os, "environ", {"CRKEY": f"{SECRET}{bad}tail"})
    said = asked(server.url, key_env="CRKEY")
    assert "CRKEY" in said
    assert SECRET not in said


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "/etc/passwd"])
def test_only_addresses_of_the_web_are_asked(url):
    assert "not a web address" in asked(url)


def test_what_unfolds_to_gigabytes_ends_within_its_memory(server, tmp_path):
    server.answer = whole(b"[" + b"{}," * (8 * 1024**2 // 3 - 10) + b"{}]")
    file = tmp_path / "ask.json"
    told = {"family": "anthropic", "url": server.url, "model": "m", "key_env": None, "max_tokens": None}
    file.write_text(json.dumps({**told, "temperature": None, "system": None, "timeout_seconds": 20}))
    prompt, said, errors = (tmp_path / name for name in ("prompt", "said", "errors"))
    prompt.write_bytes(b"x")
    with prompt.open("rb") as stdin, said.open("wb") as stdout, errors.open("wb") as stderr:
        command = [sys.executable, "-I", "-S", http_agent.__file__, str(file)]
        asked = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr)
        _, status, used = os.wait4(asked.pid, 0)  # what this process has had before may have been larger
        asked.returncode = os.waitstatus_to_exitcode(status)
    assert (asked.returncode, errors.read_bytes()) == (1, b"")
    assert json.loads(said.read_bytes())["error"]
    assert used.ru_maxrss < 1.2 * 1024**2


def mutated(chance, seeds):
    """Return an answer with some of its bytes changed, cut, doubled or put elsewhere."""
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.randint(1, 6)):
        at, to = sorted(chance.randint(0, len(data)) for _ in range(2))
        match chance.randint(0, 5):
            case 0:
                del data[at : min(to, at + 40)]
            case 1:
                data[at:at] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 8)))
            case 2:
                data[at:at] = data[at : min(to, at + 200)]
            case 3:
                data[at:to] = chance.choice(
                    [b"[" * 5000, b"null", b"1e999", b'"\\ud800"', b"NaN", b"-0", b"\r\n", b"{}"]
                )
            case 4:
                if data:
                    data[at % len(data)] ^= 1 << chance.randrange(8)
            case _:
                data[at:at] = chance.choice(
                    [b"\r\n\r\n", b"Content-Length: 99999999999999999999\r\n", b": ", b"\0"]
                )
    return bytes(data)


def test_no_mutation_of_an_answer_is_a_traceback(server):
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (
        len(GOOD),
        GOOD,
    )
    openai = json.dumps({"choices": [{"message": {"content": "hi"}}], "usage": {"prompt_tokens": 1}}).encode()
    refusal = whole(b'{"error": {"message": "slow down"}}', "429 No", "Retry-After: 7\r\n")
    seeds = [whole(GOOD), chunked, whole(openai), refusal]
    for number in range(FUZZED):
        server.answer = mutated(chance, seeds)
        try:
            said = asked(server.url, family=chance.choice(["anthropic", "openai"]), timeout_seconds=5)
            json.dumps(said)
        except Exception as error:
            error.add_note(f"seed {seed}, answer {number}: {server.answer[:500]!r}")
            raise
