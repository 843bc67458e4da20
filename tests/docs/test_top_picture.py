"""The picture of `mzt top` shows what it shows now, and its page names the keys that it has."""

import re

import pages
import top_picture

from marianne_cli.top.job_screen import PANELS
from marianne_cli.top.model.keys import KEYS


def test_the_picture_shows_the_screen_as_it_is():
    shown = top_picture.shown(top_picture.PICTURE.read_text())
    for place, name in enumerate(PANELS):
        assert f"{place + 1} {name}" in shown
    for word in ("mzt top", "safe to", "STAGES", "✗1 ○", "the change has no description", "? keys"):
        assert re.search(r"\s*".join(map(re.escape, word.split())), shown), word


def test_the_picture_is_small():
    assert top_picture.PICTURE.stat().st_size < 40_000


def test_the_page_tells_no_key_that_there_is_not():
    told = " ".join(key for _, keys in KEYS for key, _ in keys).split()
    page = pages.text_of("docs/how-to/watch-in-the-terminal.md")
    single = set(re.findall(r"`([^`\s])`", page))
    assert single - {*told, "1", "5"} == set()
