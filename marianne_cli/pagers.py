"""Pagers: what shows a text that is longer than the terminal."""

import shlex
import shutil


def words_of(named: str) -> list[str]:
    """Return the words of a pager's command line; none where it is no command line, or is not there."""
    try:
        words = shlex.split(named)
    except ValueError:  # a quote that is not closed
        return []
    return words if words and shutil.which(words[0]) is not None else []
