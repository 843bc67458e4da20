"""What an attempt has printed, by pieces; its middle may have been punched out (OutputCap in shim.py)."""

import errno
import os
from pathlib import Path

from marianned import files
from marianned.masks import LONGEST, Mask

_BLOCK = 262_144


def read_piece(path: Path, offset: int, limit: int) -> tuple[bytes, int]:
    """Read at most `limit` bytes from `offset` on: (data, skipped), both without holes.

    `skipped` bytes before the data are gone; the next piece begins at `offset` + `skipped` + len(data).
    Nothing of both: the end of the file. Where the file system tells of no holes, they read as zeros.

    Raises:
        OSError: the file can't be read.
    """
    descriptor = files.open_regular(path)
    try:
        while True:
            start = _seek(descriptor, offset, os.SEEK_DATA)
            size = os.fstat(descriptor).st_size
            if start is None:
                return b"", max(0, size - offset)
            data = os.pread(descriptor, limit, start)
            # What is a hole only now may have become one before it was read.
            end = _seek(descriptor, start, os.SEEK_HOLE) or start
            if end > start or not data:
                return data[: end - start], start - offset
    finally:
        os.close(descriptor)


def last_lines(path: Path, lines: int) -> int:
    """Return the offset at which the last so many lines begin; read from the end, whatever the size.

    0 lines begin at its end.

    Raises:
        OSError: the file can't be read.
    """
    descriptor = files.open_regular(path)
    try:
        size = os.fstat(descriptor).st_size
        if not lines:
            return size
        for start, end in reversed(_data_ranges(descriptor)):
            at = end
            while at > start:
                first = max(start, at - _BLOCK)
                block = os.pread(descriptor, at - first, first)
                ends = block.count(b"\n", 0, len(block) - (at == size))  # the last one ends the last line
                if ends >= lines:
                    return first + _line_start(block, ends - lines)
                lines -= ends
                at = first
        return 0
    finally:
        os.close(descriptor)


def first_whole_line(path: Path, most: int) -> int:
    """Return where the first whole line begins of the last `most` bytes; their beginning, if none does.

    Raises:
        OSError: the file can't be read.
    """
    descriptor = files.open_regular(path)
    try:
        size = os.fstat(descriptor).st_size
        start = size - most
        if start <= 0:
            return 0
        at = start - 1  # a line that begins right at the start is whole
        while at < size:
            block = os.pread(descriptor, _BLOCK, at)
            found = block.find(b"\n")
            if found >= 0 and at + found + 1 < size:
                return at + found + 1
            if not block or found >= 0:
                break
            at += len(block)
        return start
    finally:
        os.close(descriptor)


def _line_start(block: bytes, passed: int) -> int:
    """Return where the line behind newline number `passed` (from 0) begins."""
    at = -1
    for _ in range(passed + 1):
        at = block.index(b"\n", at + 1)
    return at + 1


def _data_ranges(descriptor: int) -> list[tuple[int, int]]:
    """Return what of a file is no hole, as first and last offset."""
    parts: list[tuple[int, int]] = []
    at = 0
    while (start := _seek(descriptor, at, os.SEEK_DATA)) is not None:
        at = _seek(descriptor, start, os.SEEK_HOLE) or start
        if at == start:
            break
        parts.append((start, at))
    return parts


def quote_tail(path: Path, most: int, mask: Mask) -> str:
    """Return the last characters of an output, at most `most`, as the daemon may quote them."""
    text = mask.text(files.tail(path, most + LONGEST).decode(errors="replace"))
    return text[-most:]


def _seek(descriptor: int, offset: int, kind: int) -> int | None:
    """Find the next data or hole; None: there is none before the end."""
    try:
        return os.lseek(descriptor, offset, kind)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        raise
