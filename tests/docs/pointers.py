"""Where code, tests and pages point to: pages, their sections and titles, and what of it is not there.

Code names a page by its path from the top, `docs/design/control.md §3`, then sections or titles in quotes:
`§2, §4`, `§2-§3 and §8`, `§3 "Waiting"`. A bare `§3` is of the one page with numbers that the file names.
In pages a bare `§3` is the page's own, and another page is named by its file's name or by a link.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pages

_PAGE = r"(?<![\w-])(?:\.{0,2}[\w-]*/)*[\w-]+\.md"
_POINTER = re.compile(
    rf"(?P<link>\[[^\]]*\]\((?P<target>[^)\s#]+\.md)[^)\s]*\))|(?P<page>{_PAGE})|§(?P<section>\d+(?:\.\d+)*)"
)
_BETWEEN = re.compile(r"[\s`*#]*(?:,|-|to|and|or)?[\s`*#]*")
"""What may stand between a page and its section, or between two sections of one page."""
_TITLE = re.compile(r',?[\s#]+"(\w[^"\n]*)"')
_HEADING = re.compile(r"^#+ (?:(?P<number>\d+(?:\.\d+)*)\.? )?(?P<title>.+)$", re.MULTILINE)
_BOLD = re.compile(r"^(?:- )?\*\*([^*]+?)[.:]?\*\*", re.MULTILINE)
_SOURCE = re.compile(r"(?<!class )(?<!> )(?<!\.)\bSource:\s+(?P<words>(?:.(?!\n\s*\n))*.)", re.DOTALL)
_LONG = ("docs/design/", "docs/reference/")
_SOMEWHERE = re.compile(r"[,\s#]*(?:§|\"\w)")
_ELSEWHERE = re.compile(r"\w+\(\d\w*\)|https://|systemd's \"")
"""A source that is none of our pages: a manual page, a web page."""


class Page(NamedTuple):
    """What can be pointed to in a page."""

    sections: frozenset[str]
    titles: frozenset[str]


class Contract(NamedTuple):
    """All pages, by their path from the top."""

    pages: dict[str, Page]

    def named(self, name: str, near: str) -> str | None:
        """Return the path of the page that a file means by a name; None: there is none.

        Pages may name one of their own directory, or any by a file name that only one has.
        """
        if name in self.pages or not near.endswith(".md"):
            return name if name in self.pages else None
        beside = os.path.normpath(Path(near).parent / name)
        if beside in self.pages:
            return beside
        same = [path for path in self.pages if Path(path).name == name]
        return same[0] if len(same) == 1 else None


def read_page(text: str) -> Page:
    """Read the numbers and titles that stand in a page."""
    headings = list(_HEADING.finditer(text))
    titles = {heading["title"].strip() for heading in headings} | set(_BOLD.findall(text))
    return Page(frozenset(one["number"] for one in headings if one["number"]), frozenset(titles))


def contract() -> Contract:
    """Read all pages of the tree."""
    return Contract({name: read_page(pages.text_of(name)) for name in pages.NAMES})


def wrong_pointers(name: str, text: str, known: Contract, *, every_page: bool = True) -> Iterator[str]:
    """Yield a line for each pointer of a file that leads nowhere.

    Args:
        name: the file's path from the top; that of a page ends in `.md`.
        text: what stands in it.
        known: the pages there are.
        every_page: every path below `docs/` is one of ours; else only those of the contract and the
            reference are (tests write about other people's pages).
    """
    home = name if name in known.pages else _only_numbered(name, text, known)
    current, end = None, 0
    for found in _POINTER.finditer(text):
        place = f"{name}:{text.count(chr(10), 0, found.start()) + 1}"
        if found["section"] is None:
            current, end = _page_of(found, name, known), found.end()
            if current is None and _is_ours(found, known, every_page=every_page):
                yield f"{place}: no page {found['target'] or found['page']}"
            elif current is not None and (title := _TITLE.match(text, end)):
                yield from _wrong_titles(place, known.pages[current], current, text, title)
            continue
        adjacent = bool(end) and _BETWEEN.fullmatch(text, end, found.start())
        page = current if adjacent else home
        end = found.end() if adjacent else end
        if page is None:
            yield f"{place}: §{found['section']} of which page?"
        elif found["section"] not in known.pages[page].sections:
            yield f"{place}: no §{found['section']} in {page}"
        elif adjacent and (title := _TITLE.match(text, end)):
            yield from _wrong_titles(place, known.pages[page], page, text, title)


def wrong_sources(name: str, text: str, known: Contract) -> Iterator[str]:
    """Yield a line for each `Source:` that names none of our pages, or a long one without saying where."""
    for found in _SOURCE.finditer(text):
        place = f"{name}:{text.count(chr(10), 0, found.start()) + 1}"
        words = found["words"]
        named = list(re.finditer(_PAGE, words))
        if not any(known.named(page[0], name) for page in named) and not _ELSEWHERE.search(words):
            yield f"{place}: a source that is no page"
        for page in named:
            if page[0].startswith(_LONG) and not _SOMEWHERE.match(words, page.end()):
                yield f"{place}: where in {page[0]}?"


def _is_ours(found: re.Match[str], known: Contract, *, every_page: bool) -> bool:
    """Tell whether a name is that of a page of ours, or would be one; agents write pages of their own."""
    if found["link"]:
        return every_page and "://" not in found["target"]
    written = found["page"]
    ours = "docs/" if every_page else ("docs/design/", "docs/reference/")
    named = Path(written).name in {Path(path).name for path in known.pages if "/" in path}
    return written.startswith(ours) or (every_page and named)


def _page_of(found: re.Match[str], name: str, known: Contract) -> str | None:
    if found["link"] is None:
        return known.named(found["page"], name)
    target = (pages.ROOT / name).parent / found["target"]
    path = (
        str(target.resolve().relative_to(pages.ROOT)) if target.resolve().is_relative_to(pages.ROOT) else ""
    )
    return path if path in known.pages else None


def _only_numbered(name: str, text: str, known: Contract) -> str | None:
    """Return the page that a bare § of a file of code is of: the one with numbers that it names."""
    paths = {known.named(page, name) for page in re.findall(_PAGE, text)}
    numbered = [path for path in paths if path is not None and known.pages[path].sections]
    return numbered[0] if len(numbered) == 1 else None


def _wrong_titles(place: str, page: Page, path: str, text: str, title: re.Match[str] | None) -> Iterator[str]:
    while title is not None:
        if title[1] not in page.titles:
            yield f'{place}: no "{title[1]}" in {path}'
        title = _TITLE.match(text, title.end())
