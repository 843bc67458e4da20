"""The files of a workspace that `capture_files` shows to a sheet; in a worker.

Source: docs/reference/score-format.md §11.
"""

import glob
import os
from collections.abc import Iterator
from pathlib import Path

from marianned import files
from marianned.accidents import SHORT
from marianned.score.read.reader import is_below

_FILES_MOST = 1_000
_NAMED_MOST = 5
_BYTES_MOST = 16 * 1024 * 1024


def _cut_back(text: str, most: int) -> str:
    """Keep the first `most` characters, saying how many are gone."""
    if len(text) <= most:
        return text
    return f"{text[:most]}\n[… {len(text) - most} characters cut …]"


def read(patterns: list[str], most: int, workspace: str) -> tuple[dict[str, str], list[str]]:
    """Read the files the patterns find, by path; what is no readable text is left out, and told.

    What is found below the workspace must lie there: agents make links.
    """
    found = sorted({path for pattern in patterns for path in matching(pattern)})
    texts: dict[str, str] = {}
    left_out = [f"'{path}' (over {_FILES_MOST} files)" for path in found[_FILES_MOST:]]
    room = _BYTES_MOST
    for path in found[:_FILES_MOST]:
        try:
            if not Path(path).is_file():
                continue
            below = workspace if is_below(path, workspace) else None
            data, size = files.head(path, room, below=below)
            if size > len(data):
                left_out.append(f"'{path}' (over {_BYTES_MOST // 1024**2} MiB in all)")
                continue
            texts[path] = _cut_back(data.decode(), most)
        except UnicodeDecodeError:
            left_out.append(f"'{path}' (not UTF-8)")
            continue
        except OSError as error:
            if error.errno in SHORT:
                raise
            left_out.append(f"'{path}' ({error.strerror})")
            continue
        room -= len(data)
    return texts, _describe_left_out(left_out)


def matching(pattern: str) -> Iterator[str]:
    """Yield what an absolute pattern matches; `**` goes into no link to a directory, which could be `/`."""
    parts = pattern.split("/")
    if "**" not in parts:
        yield from glob.iglob(pattern)  # noqa: PTH207  texts are wanted
        return
    at = parts.index("**")
    rest = parts[at + 1 :] or ["*"]
    for top in glob.iglob("/".join(parts[:at]) or "/"):  # noqa: PTH207
        for directory, below, _ in os.walk(top):
            below[:] = [name for name in below if not name.startswith(".")]
            yield from matching("/".join([glob.escape(directory.rstrip("/")), *rest]))


def _describe_left_out(left_out: list[str]) -> list[str]:
    """Say in one line what is left out, however many files that are."""
    if not left_out:
        return []
    more = f" and {len(left_out) - _NAMED_MOST} more" if len(left_out) > _NAMED_MOST else ""
    return [f"captured files are left out: {', '.join(left_out[:_NAMED_MOST])}{more}"]
