"""Two versions of a score against each other."""

from collections.abc import Mapping, Sequence
from typing import Any


def unified_diff(old: str, new: str, name: str, to: str) -> str:
    """Return what differs as `diff -u` tells it; empty: nothing does."""
    import difflib

    lines = difflib.unified_diff(old.splitlines(keepends=True), new.splitlines(keepends=True), name, to)
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def numbers_not_dropped(revisions: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return the numbers of the versions that count, oldest first: those that were dropped do not."""
    return [told["revision"] for told in revisions if told["status"] != "dropped"]
