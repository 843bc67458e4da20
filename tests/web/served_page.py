"""A real daemon and a real `mzt dashboard` beside it, spoken with in bytes."""

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from kit import zygote
from kit.daemon import DEADLINE


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


class Dashboard:
    """One `mzt dashboard` process; `host` and `origin` are those that its page sends."""

    def __init__(self, daemon, *options, environment=()):
        self.daemon = daemon
        self.process = zygote.Popen(
            [sys.executable, "-m", "marianne_cli", "dashboard", "--no-open", *options],
            env=daemon.environment | dict(environment),
            cwd=daemon.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        told = b""
        while b"another address" not in told or not told.endswith(b"\n"):
            ready, _, _ = select.select([self.process.stdout], [], [], DEADLINE)
            piece = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not piece:
                self.process.kill()
                raise AssertionError((told, self.process.communicate()))
            told += piece
        self.said = told.decode().splitlines()
        self.address = self.said[0].split()[2].rstrip(";")
        self.port = int(re.search(r":(\d+)/", self.address)[1])
        self.host = f"127.0.0.1:{self.port}"
        self.origin = f"http://{self.host}"

    @property
    def first_token(self):
        return re.search(r"#t=([\w-]+)", "\n".join(self.said))[1]

    def new_address(self, *job):
        made = zygote.run(
            [sys.executable, "-m", "marianne_cli", "dashboard", *job, "--url"],
            env=self.daemon.environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return made.stdout.strip()

    def connect(self):
        connected = socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE)
        connected.settimeout(DEADLINE)
        return connected

    def raw(self, data):
        """Send bytes on a connection of their own; return the answer."""
        with self.connect() as connected:
            connected.sendall(data)
            return answer(connected)

    def request(self, method, path, headers=None, body=b"", *, http="1.1", host=True):
        """Send one request; headers is a list of pairs, `host`: with the right one."""
        lines = [f"{method} {path} HTTP/{http}"]
        lines += [f"Host: {self.host}"] if host else []
        lines += [f"{name}: {value}" for name, value in headers or ()]
        lines += [f"Content-Length: {len(body)}"] if body else []
        return self.raw("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body)

    def post(self, path, value, *more, leave=()):
        """Post as the page does, but for the headers that are left out."""
        headers = [("Origin", self.origin), ("Content-Type", "application/json"), ("X-Mzt", "1"), *more]
        kept = [(name, said) for name, said in headers if name not in leave]
        return self.request("POST", path, kept, json.dumps(value).encode())

    def enter(self, token=None):
        """Exchange a token for a session; return its cookie as it is sent back."""
        token = token or re.search(r"#t=([\w-]+)", self.new_address())[1]
        entered = self.post("/session", {"token": token})
        assert entered.status == 204, entered
        return entered.headers["set-cookie"].split(";")[0]

    def ask(self, cookie, method, **params):
        return self.post("/ask", {"method": method, "params": params}, ("Cookie", cookie))

    def stop(self, number=signal.SIGINT):
        """End it as a terminal does; return its exit code and what it said on stderr."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        _, said = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, said.decode()


def answer(connected):
    """Read one answer to its end, or to the connection's."""
    data = b""
    while piece := connected.recv(65536):
        data += piece
    assert data, "it hung up without a word"
    head, _, body = data.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    return Answer(int(first.split()[1]), headers, body)


def runtime(daemon):
    return Path(os.fspath(daemon.socket)).parent / "dashboard"
