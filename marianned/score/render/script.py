"""The program text of a shell sheet: the whole body, or the tagged blocks of a Markdown text.

Source: docs/reference/score-format.md §12.
"""

import re
from typing import NamedTuple

_FENCE = re.compile(r"([ \t]*)(`{3,}|~{3,})[ \t]*([^\s`]*)[^`]*")
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]+\S")
_DOCUMENT = re.compile(r"""(?<!<)<<-?[ \t]*(?P<quote>['"\\]?)(?P<word>[A-Za-z_]\w*)(?P=quote)?""")
_TAGS = ("bash", "sh", "shell")


class _FencedBlocks(NamedTuple):
    blocks: list[str]
    text_outside: bool


def script_of(body: str, mode: str) -> str:
    """Return what `bash -c` runs for a body; `mode` is auto, whole or fenced."""
    if not _is_fenced(body, mode):
        return body
    return "\n".join(_split_fenced(body).blocks)


def has_dropped_text(body: str, mode: str) -> bool:
    """Whether text of the body is commentary, and not run."""
    return _is_fenced(body, mode) and _split_fenced(body).text_outside


def _is_fenced(body: str, mode: str) -> bool:
    if mode != "auto":
        return mode == "fenced"
    if "```" not in body and "~~~" not in body:
        return False
    first = next((line for line in body.splitlines() if line.strip()), "")
    opening = _FENCE.fullmatch(first)
    looks = bool(_HEADING.match(first)) or (opening is not None and opening[3] in _TAGS)
    return looks and bool(_split_fenced(body).blocks)


def _split_fenced(body: str) -> _FencedBlocks:
    blocks: list[str] = []
    outside = False
    lines = iter(_strip_here_documents(body.split("\n")))
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
            content.append(_dedent(inner, len(indent)))
        if tag in _TAGS:
            blocks.append("\n".join(content))
        else:
            outside = True
    return _FencedBlocks(blocks, outside)


def _strip_here_documents(lines: list[str]) -> list[str]:
    """Return the lines without the here-documents outside of fences: no fence is in them."""
    kept: list[str] = []
    fence = ""
    position = 0
    while position < len(lines):
        line = lines[position]
        kept.append(line)
        position += 1
        opening = _FENCE.fullmatch(line)
        if fence:
            closing = line.strip()
            if len(closing) >= len(fence) and set(closing) == {fence[0]}:
                fence = ""
        elif opening is not None:
            fence = opening[2]
        else:
            position = _after_here_documents(lines, position, line)
    return kept


def _after_here_documents(lines: list[str], position: int, line: str) -> int:
    """Return where it goes on behind the here-documents that a line opens, if they are closed below."""
    for found in _DOCUMENT.finditer(line):
        ends = (
            number for number in range(position, len(lines)) if lines[number].lstrip("\t") == found["word"]
        )
        position = next(ends, position - 1) + 1
    return position


def _dedent(line: str, width: int) -> str:
    blanks = len(line) - len(line.lstrip(" \t"))
    return line[min(width, blanks) :]
