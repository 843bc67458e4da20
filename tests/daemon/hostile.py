"""Frames that no client would send: grown from the protocol's own grammar, then spoiled. Seeded."""

import json

import msgspec

from marianned.protocol import METHODS, REQUEST_LIMIT

_NEVER = {"daemon.stop", "daemon.reload", "job.submit", "job.remove", "backup.write", "instrument.check"}
"""Methods that stop the daemon, start programs, write files, or forget the job that a test looks at."""
_SELDOM = [name for name in METHODS if name.startswith(("score.", "instrument.")) and name not in _NEVER]
"""Methods that keep a worker process busy: a few are enough."""
_OFTEN = [name for name in METHODS if name not in {*_NEVER, *_SELDOM}]
_WORDS = ["", "x", "a@1", "a@0", "../../etc", "ended", "\u0661", "\U0001f3bb", "a" * 300, "\x00", "0", "null"]
_NUMBERS = [0, 1, -1, 2**31, 2**53, 2**63, 2**64, 10**400, 0.5, -0.0, 1e308]


class Frames:
    """Makes one line after the other, without its end."""

    def __init__(self, chance):
        self._chance = chance
        self._spoil = [
            self._cut, self._doubled, self._swapped, self._nested, self._huge, self._broken_text, self._noise,
            self._as_it_is, self._as_it_is,
        ]  # fmt: skip

    def frame(self):
        data = self._chance.choice(self._spoil)(self._message())
        return data.replace(b"\n", b" ")

    def oversize(self):
        return b'{"jsonrpc":"2.0","id":1,"method":"' + b"x" * (REQUEST_LIMIT + 1)

    def _message(self):
        """A request of the grammar, each part of it right or wrong."""
        method = self._chance.choice(_OFTEN if self._chance.random() < 0.998 else _SELDOM)
        fields = msgspec.structs.fields(METHODS[method].params)
        params = {field.encode_name: self._value(2) for field in fields if self._chance.random() < 0.6}
        message = {"jsonrpc": "2.0", "id": self._chance.randrange(10**6), "method": method, "params": params}
        if self._chance.random() < 0.3:
            message[self._chance.choice([*message, "extra"])] = self._value(2)
        if self._chance.random() < 0.1:
            del message[self._chance.choice([*message])]
        if "timeout" in params or params.get("wait"):
            params["timeout"] = 0
        return json.dumps(message, ensure_ascii=self._chance.random() < 0.5).encode(errors="surrogatepass")

    def _value(self, depth):
        kind = self._chance.randrange(7 if depth else 5)
        if kind == 0:
            return self._chance.choice(_NUMBERS)
        if kind in {1, 2}:
            return self._chance.choice(_WORDS)
        if kind in {3, 4}:
            return self._chance.choice([None, True, False])
        if kind == 5:
            return [self._value(depth - 1) for _ in range(self._chance.randrange(4))]
        return {self._chance.choice(_WORDS): self._value(depth - 1) for _ in range(self._chance.randrange(3))}

    def _as_it_is(self, data):
        return data

    def _cut(self, data):
        return data[: self._chance.randrange(1, len(data))]

    def _doubled(self, data):
        """The same key again."""
        return data[:-1] + b', "id": 7, "method": "daemon.hello"}'

    def _swapped(self, data):
        changed = bytearray(data)
        for _ in range(self._chance.randrange(1, 6)):
            changed[self._chance.randrange(len(changed))] = self._chance.randrange(256)
        return bytes(changed)

    def _nested(self, data):
        if self._chance.random() < 0.9:
            return data.replace(b'"params": {', b'"params": {"x": ' + b"[" * 50 + b"]" * 50 + b", ", 1)
        depth = self._chance.choice([1_000, 20_000, 100_000])
        return data.replace(b'"params": {', b'"params": {"x": ' + b'{"a":' * depth, 1)

    def _huge(self, data):
        return data.replace(b'"id": ', b'"id": ' + b"9" * self._chance.choice([20, 400, 5_000]), 1)

    def _broken_text(self, data):
        """A character cut in two."""
        at = self._chance.randrange(len(data))
        return (
            data[:at]
            + self._chance.choice([b"\xc3", b"\xe2\x82", b"\xf0\x9f\x8e", b"\xed\xa0\x80"])
            + data[at:]
        )

    def _noise(self, _data):
        return self._chance.randbytes(self._chance.randrange(1, 200))
