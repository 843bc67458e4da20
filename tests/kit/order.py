"""The order in which workers of pytest take the tests: what waits long first, what shares something costly together.

Each worker begins with an equal share of all, in their order, and takes from others' ends when it has done its own.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

TOGETHER = {
    "slurm": 4,  # a cluster each
    "web": 1,  # a browser, a daemon and a page
    "systemd": 1,
    "known_failures": 2,  # a process that runs pytest
}
"""Of these, named by a marker or their directory, how many workers begin with them; tests there share what is named."""
LONG = {"slow", "crash"}


def arranged(items: Sequence[pytest.Item], workers: int) -> list[pytest.Item]:
    """Return the items such that the shares of so many workers begin with what is long, and are else as they were."""
    shares: list[list[pytest.Item]] = [[] for _ in range(workers)]
    kinds: dict[str, list[pytest.Item]] = {kind: [] for kind in (*TOGETHER, "long", "")}
    for item in items:
        kinds[_kind(item)].append(item)
    rest = kinds.pop("")
    first = 0
    for kind, found in kinds.items():
        takers = TOGETHER.get(kind, workers)
        for number, item in enumerate(found):
            shares[(first + number % takers) % workers].append(item)
        first += takers
    return [item for share in _filled(shares, rest) for item in share]


def _kind(item: pytest.Item) -> str:
    names = {item.path.parent.name, *(mark.name for mark in item.iter_markers())}
    return next((kind for kind in TOGETHER if kind in names), "long" if names & LONG else "")


def _filled(shares: list[list[Any]], rest: list[Any]) -> Iterator[list[Any]]:
    """Fill the shares up to equal lengths, as xdist cuts the list of all."""
    left = len(rest) + sum(map(len, shares))
    taken = 0
    for number, share in enumerate(shares):
        size = left // (len(shares) - number)
        wanted = max(size - len(share), 0) if number < len(shares) - 1 else len(rest)
        yield share + rest[taken : taken + wanted]
        taken += wanted
        left -= max(size, len(share))
