"""The program text of a shell sheet: the whole body, or the tagged blocks of a Markdown text.

Source: docs/reference/score-format.md §12.
"""

import re
from typing import NamedTuple

_FENCE = re.compile(r"([ \t]*)(`{3,}|~{3,})[ \t]*([^\s`]*)[^`]*")
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]+\S")
_TAGS = ("bash", "sh", "shell")


class _Parts(NamedTuple):
    blocks: list[str]
    text_outside: bool


def script_of(body: str, mode: str) -> str:
    """Return what `bash -c` runs for a body; `mode` is auto, whole or fenced."""
    if not _is_fenced(body, mode):
        return body
    return "\n".join(_parts(body).blocks)


def dropped_text(body: str, mode: str) -> bool:
    """Whether text of the body is commentary, and not run."""
    return _is_fenced(body, mode) and _parts(body).text_outside


def _is_fenced(body: str, mode: str) -> bool:
    if mode != "auto":
        return mode == "fenced"
    first = next((line for line in body.splitlines() if line.strip()), "")
    opening = _FENCE.fullmatch(first)
    looks = bool(_HEADING.match(first)) or (opening is not None and opening[3] in _TAGS)
    return looks and bool(_parts(body).blocks)


def _parts(body: str) -> _Parts:
    blocks: list[str] = []
    outside = False
    lines = iter(body.split("\n"))
    for line in lines:
        opening = _FENCE.fullmatch(line)
        if opening is None:
            outside = outside or bool(line.strip())
            continue
        indent, fence, tag = opening.groups()
        content: list[str] = []
        for inner in lines:
            closing = inner.strip()
            if len(closing) >= len(fence) and set(closing) == {fence[0]}:
                break
            content.append(_dedented(inner, len(indent)))
        if tag in _TAGS:
            blocks.append("\n".join(content))
        else:
            outside = True
    return _Parts(blocks, outside)


def _dedented(line: str, width: int) -> str:
    blanks = len(line) - len(line.lstrip(" \t"))
    return line[min(width, blanks) :]
