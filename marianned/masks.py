"""Takes secrets out of what the daemon itself says: messages, journal, retry prompts, quotes of outputs.

Secrets are values the daemon knows: those given with `--env`, and keys in its own environment. What a sheet
prints is shown as it was printed; this is for the places where the daemon quotes it.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

MASK = "***"
LEAST = 6
"""Shorter values are words of everyday's use: masking them would garble what is said."""
LONGEST = 4096
"""Characters that are looked at beyond a cut, lest half a secret stay behind it."""

_SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$")


def secrets_of(environ: Mapping[str, str]) -> list[str]:
    """Return the values of variables whose names say that they are secrets."""
    return [value for name, value in environ.items() if _SECRET_NAME.search(name.upper())]


class Mask:
    """Masks the values it was made with, as they are and as URLs, JSON and header lines write them."""

    def __init__(self, values: Iterable[str]) -> None:
        known: set[str] = set()
        for value in values:
            whole = value.strip()
            for part in {value, whole, *(line.strip() for line in whole.splitlines())}:
                if len(part) >= LEAST:
                    known |= {part, quote(part, safe=""), quote(part), json.dumps(part)[1:-1]}
        ordered = sorted(known, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def text(self, said: str) -> str:
        """Return a text without them."""
        return said if self._known is None else self._known.sub(MASK, said)

    def any(self, value: Any) -> Any:
        """Return texts, and lists of texts, without them; other things as they are."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.any(one) for one in value]
        return value
