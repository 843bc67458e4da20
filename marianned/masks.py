"""Takes secrets out of what the daemon itself says: messages, journal, retry prompts, quotes of outputs.

Secrets are values the daemon knows: keys in its own environment, told by their names, and what was given with
`--env`, unless it is plainly an ordinary word: `--env MODE=production` must not take a word out of all
messages. What a sheet prints is shown as it was printed; this is for the places where the daemon quotes it.
Source: docs/security.md "The life of a secret".
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from marianned.formatting import MASK

LEAST = 6
"""Shorter values are words of everyday's use: masking them would garble what is said."""
LONGEST = 4096
"""Characters that are looked at beyond a cut, lest half a secret stay behind it."""

_SECRET_NAME = re.compile(
    r"(KEY|TOKEN|CREDENTIALS?|COOKIE)$|SECRET|PASSWORD|PASSWD|PASSPHRASE|(^|_)(PASS|PAT|PIN|AUTH)$|_PWD$"
)
_USERINFO = re.compile(r"//[^/?#@\s]*:([^/?#@\s]+)@")
"""The password of a URL."""
_PARTS = re.compile(r"[^\W_]+")
_ORDINARY_PART = re.compile(r"[^\W\d_]?[^\W\d_A-Z]{0,19}|[A-Z]{1,20}|\d{1,8}|[^\W_]{1,5}")
"""A word as people write them, a number, a date, or as short as `v2`, `eu1`, `gpt4o`."""


def secrets_of(environ: Mapping[str, str]) -> list[str]:
    """Return the values of variables whose names say that they are secrets."""
    return [value for name, value in environ.items() if _is_secret_name(name)]


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the variables whose names say that they are secrets."""
    return {name: value for name, value in environ.items() if not _is_secret_name(name)}


def secrets_given(environ: Mapping[str, str]) -> list[str]:
    """Return those of the values given for a run that are secrets by their names or by their looks."""
    return [value for name, value in environ.items() if _is_secret_name(name) or not _is_ordinary(value)]


def _is_secret_name(name: str) -> bool:
    return _SECRET_NAME.search(name.upper()) is not None


def _is_ordinary(value: str) -> bool:
    """Tell whether all parts of a value are words or numbers, as of a name, a path, a version, a sentence."""
    return _USERINFO.search(value) is None and all(map(_ORDINARY_PART.fullmatch, _PARTS.findall(value)))


def mask_variables(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values given to a run as they are shown: not those whose names say that they are secrets."""
    return {name: MASK if _SECRET_NAME.search(name.upper()) else value for name, value in variables.items()}


def _in_json(text: str) -> set[str]:
    """Return how JSON writers write a text: with and without escapes of slashes and of what is not ASCII."""
    plain = {json.dumps(text, ensure_ascii=ascii_)[1:-1] for ascii_ in (False, True)}
    return plain | {one.replace("/", "\\/") for one in plain}


class Mask:
    """Masks the values it was made with, as they are and as URLs, JSON and header lines write them."""

    def __init__(self, values: Iterable[str]) -> None:
        known: set[str] = set()
        for value in values:
            whole = value.strip()
            lines = (line.strip() for line in whole.splitlines())
            for part in {value, whole, *lines, *_USERINFO.findall(value)}:
                if len(part) >= LEAST:
                    known |= {part, quote(part, safe=""), quote(part), *_in_json(part)}
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
