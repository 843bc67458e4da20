"""Injected files: looked for, read, and made into the texts of a prompt.

Source: docs/reference/score-format.md §10; where they are looked for: §5.
"""

import codecs
import os
from collections.abc import Iterator

from marianned.score.expanded import Injection, SheetDefinition
from marianned.score.read.reader import FileReader, is_below, resolve
from marianned.score.render.prompt_inputs import InjectedText, InjectedTexts, RenderError, UpstreamOutputs
from marianned.score.render.template import MOST_OUTPUT, Renderer

_NAMED = 5
FILE_MOST = 1024 * 1024
"""Bytes of one file that are read; the rest is told of."""


class _MissingInjection(Exception):
    """An item is not there or can't be read; the message says which and why."""


def inject(
    renderer: Renderer, sheet: SheetDefinition, previous: UpstreamOutputs, reader: FileReader
) -> InjectedTexts:
    """Read what is injected into a sheet's prompt, as it is now.

    A raw prompt is the body alone (§12): nothing is read for it.

    Raises:
        RenderError: a path can't be rendered, or something required is missing.
    """
    pieces: list[InjectedText] = []
    missing: list[str] = []
    passed_over: list[str] = []
    profile = renderer.expanded.profiles.get(sheet.instrument)
    if profile is not None and profile.raw_prompt:
        return InjectedTexts()
    room = MOST_OUTPUT
    for item in sheet.injections:
        shown = renderer.text(item.path, sheet, previous)
        try:
            for piece in _pieces(renderer, item, shown, reader, passed_over):
                room -= len(piece.text)
                _check_room(piece, room)
                pieces.append(piece)
        except _MissingInjection as why:
            if item.required:
                raise RenderError("S302", f"{why}, and it is required") from None
            missing.append(str(why))
    return InjectedTexts(pieces=pieces, missing=missing, passed_over=passed_over)


def subdirectories(path: str, reader: FileReader) -> list[str]:
    """Return the names of the directories in one that is injected: what lies in them is left out."""
    found: list[str] = []
    for name in reader.names(path):
        inside = os.path.join(path, name)  # noqa: PTH118  a text: the reader knows what a path is
        if not name.startswith(".") and reader.is_directory(inside) and not reader.is_file(inside):
            found.append(name)
    return found


def passed_over_text(names: list[str], shown: str) -> str:
    """Say that directories below an injected one are left out."""
    named = ", ".join(f"'{name}'" for name in names[:_NAMED])
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"of the directory '{shown}' only its own files are injected, not what lies in {named}{more}"


def stand_ins(sheet: SheetDefinition, text: str) -> InjectedTexts:
    """Return the same text for each injected item of a sheet, where the real ones don't matter."""
    return InjectedTexts(pieces=[InjectedText(item.section, item.path, text) for item in sheet.injections])


def _pieces(
    renderer: Renderer, item: Injection, shown: str, reader: FileReader, passed_over: list[str]
) -> Iterator[InjectedText]:
    kind = "directory" if item.directory else "file"
    there = reader.is_directory if item.directory else reader.is_file
    try:
        paths = [
            resolve(shown, base, reader)
            for base in (renderer.expanded.workspace, renderer.expanded.directory)
        ]
        path = next((path for path in paths if there(path)), None)
        if path is None:
            raise _MissingInjection(f"the {kind} '{shown}' is not there")
        if not item.directory:
            yield InjectedText(item.section, shown, _read_text(renderer, shown, path, reader))
            return
        if names := subdirectories(path, reader):
            passed_over.append(passed_over_text(names, shown))
        empty = True
        for name in reader.names(path):
            file = os.path.join(path, name)  # noqa: PTH118  a text: the reader knows what a path is
            if not name.startswith(".") and reader.is_file(file):
                empty = False
                printable = name.encode(errors="surrogateescape").decode(errors="replace")
                yield InjectedText(item.section, printable, _read_text(renderer, printable, file, reader))
        if empty and item.required:
            raise _MissingInjection(f"the directory '{shown}' has no file")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise _MissingInjection(f"the {kind} '{shown}' can't be read: {why}") from None


def _check_room(piece: InjectedText, room: int) -> None:
    if room < 0:
        raise _MissingInjection(f"'{piece.name}' is left out: over {MOST_OUTPUT // 1024**2} MiB in all")


def _decode(data: bytes, *, cut: bool) -> str | None:
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(data, not cut)
    except UnicodeDecodeError:
        return None


def _read_text(renderer: Renderer, name: str, path: str, reader: FileReader) -> str:
    """Return a file's text; of a long one its beginning, of what is no text where it lies.

    What is named below the workspace, where agents write, must lie there: a link there leads nowhere else.
    """
    workspace = renderer.expanded.workspace
    data, size = reader.head(path, FILE_MOST, workspace if is_below(path, workspace) else None)
    cut = size > len(data)
    text = None if b"\0" in data else _decode(data, cut=cut)
    if text is None:
        return f"[{name} is binary, {size} bytes; read it at {path}]"
    if not cut:
        return text
    return f"{text}\n[{name} has {size} bytes; this is the first MiB, the whole is at {path}]"
