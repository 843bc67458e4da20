"""The JSON in what a tool prints: an event on each line, or one document, with noise around it passed over.

A console, a wrapper or a library adds what belongs to neither: a byte order mark, NUL bytes, carriage
returns, colours, warnings in front of the document and behind it. executors/final_event.py passes over the
same. Source: docs/reference/score-format.md §23.3.
"""

import json
import re
from itertools import islice
from typing import Any

from marianned.instruments import json_path

_BEFORE_A_LINE = re.compile(
    rb"^(?:\xef\xbb\xbf|\x1b\[[0-9;?]*[a-zA-Z]|\x1b\][^\x07\n]*\x07|[ \t])+(?=[{\[])", re.MULTILINE
)
_START = re.compile(r"^[\[{]", re.MULTILINE)
_DECODER = json.JSONDecoder(strict=False)
_MOST_STARTS = 50
"""How many places are looked at where a document might begin."""


def without_noise(stdout: bytes) -> bytes:
    """Return an output without NUL bytes, and without marks and colours in front of its JSON."""
    stdout = stdout.replace(b"\0", b"").replace(b"\r", b"\n")
    return _BEFORE_A_LINE.sub(b"", stdout)


def json_events(stdout: bytes) -> list[Any] | None:
    """Return the objects of JSON lines, or of one document; other lines are passed over, None: only such."""
    lines = (json_path.decode_json(line) for line in stdout.splitlines() if line.startswith(b"{"))
    found = [event for event in lines if isinstance(event, dict)]
    if not found and re.search(rb"^[\[{]", stdout, re.MULTILINE):
        one = json_document(stdout)
        return one if isinstance(one, list) else [one] if isinstance(one, dict) else None
    return found if found or not stdout.strip() else None


def json_document(stdout: bytes) -> Any:
    """Return the JSON document, whatever stands in front of it and behind it; None: there is none.

    One that ends the output counts, else the longest.
    """
    whole = json_path.decode_json(stdout)
    if whole is not None:
        return whole
    text = stdout.decode(errors="replace")
    longest, most = None, 0
    for found in islice(_START.finditer(text), _MOST_STARTS):
        value, end = _value_at(text, found.start())
        if end and not text[end:].strip():
            return value
        if end - found.start() > most:
            longest, most = value, end - found.start()
    return longest


def last_object(stderr: bytes) -> list[Any]:
    """Return the JSON object that ends stderr, if one does: some tools say their error there."""
    start = stderr.rfind(b"\n{") + 1 if b"\n{" in stderr else 0
    if stderr[start : start + 1] != b"{":
        return []
    found, _ = _value_at(stderr[start:].decode(errors="replace"), 0)
    return [found] if isinstance(found, dict) else []


def _value_at(text: str, start: int) -> tuple[Any, int]:
    """Return the value that begins at a place, and where it ends; 0: none does."""
    try:
        value, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None, 0
    return json_path.clean_texts(value), end
