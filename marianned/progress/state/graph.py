"""What a revision says of its sheets once and for all: who needs whom, and who is asked for each."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from hashlib import sha256

import msgspec

from marianned.instruments import command_line
from marianned.rows import Account, SheetRow
from marianned.score.expanded import ExpandedScore
from marianned.score.expanded import SheetDefinition as Definition

_MARK = 8
"""Hexadecimal digits by which people tell accounts with the same variables from each other."""


class SheetGraph:
    """The sheets of a revision; it never changes, so that copies of a state share it.

    `numbers` is by uid; `unmet` how many sheets each waits for; `accounts` has by
    number whom a sheet asks, and whom on each of its fallbacks.

    Sheets that need the same ones are a group, as those of a stage are whose stages above it fan out: ten
    stages of 300 sheets have 810,000 needs, and ten groups. What follows needs is followed by groups.
    """

    def __init__(self, score: ExpandedScore, rows: Sequence[SheetRow]) -> None:
        self.numbers = {row.uid: row.sheet for row in rows}
        self.accounts = [[Account("")], *(_chain(score, definition) for definition in score.sheets)]
        of_needs: dict[tuple[int, ...], int] = {}
        waits = score.awaited_sheets()
        self._group = [0] + [of_needs.setdefault(needs, len(of_needs)) for needs in waits]
        self._needs = list(of_needs)
        self._members: list[list[int]] = [[] for _ in self._needs]
        for definition in score.sheets:
            self._members[self._group[definition.sheet]].append(definition.sheet)
        self.unmet = [0, *map(len, waits)]
        self._needed_by: list[list[int]] = [[] for _ in range(len(score.sheets) + 1)]
        for group, needs in enumerate(self._needs):
            for need in needs:
                self._needed_by[need].append(group)

    def group_of(self, sheet: int) -> int:
        """Return the number of the group that a sheet is in."""
        return self._group[sheet]

    def waits_for(self, sheet: int) -> tuple[int, ...]:
        """Return the sheets that this one waits for."""
        return self._needs[self._group[sheet]]

    def dependents(self, sheet: int) -> Iterator[int]:
        """Yield the sheets that need this one directly."""
        for group in self._needed_by[sheet]:
            yield from self._members[group]

    def below(self, sheet: int) -> list[int]:
        """Return all sheets that need this one, directly or not."""
        groups: set[int] = set()
        found: list[int] = []
        stack = [sheet]
        while stack:
            for group in self._needed_by[stack.pop()]:
                if group not in groups:
                    groups.add(group)
                    stack += self._members[group]
                    found += self._members[group]
        return found

    def met(self, done: Collection[int]) -> list[int]:
        """Return by number how many of the sheets that each waits for are in `done`."""
        known = frozenset(done)
        counts = [len(known.intersection(needs)) for needs in self._needs]
        return [0, *(counts[group] for group in self._group[1:])]

    def counted_above(self, these: Collection[int]) -> list[int]:
        """Return by number how many of `these` each sheet needs, directly or not.

        What is above a group is one number with a bit for each sheet, and so joined in one step.
        """
        wanted = frozenset(these)
        if not wanted:
            return [0] * len(self._group)
        known: dict[int, int] = {}
        for first in range(len(self._needs)):
            stack = [first]
            while stack:
                group = stack[-1]
                higher = {self._group[need] for need in self._needs[group]} if group not in known else set()
                if open_ones := [one for one in higher if one not in known]:
                    stack += open_ones
                    continue
                stack.pop()
                if group not in known:
                    bits = _bits(wanted.intersection(self._needs[group]), len(self._group))
                    for one in higher:
                        bits |= known[one]
                    known[group] = bits
        counts = [known[group].bit_count() for group in range(len(self._needs))]
        return [0, *(counts[group] for group in self._group[1:])]

    def above(self, sheets: Collection[int], these: Collection[int]) -> dict[int, list[int]]:
        """Return for each sheet which of `these` it needs, directly or not, ascending.

        Sheets of one group have the same list. A group is answered when those of all its needs are, from a
        stack instead of by recursion: a score may have as many stages one after the other as sheets.
        """
        wanted = frozenset(these)
        known: dict[int, frozenset[int]] = {}
        stack = [self._group[sheet] for sheet in sheets]
        while stack:
            group = stack[-1]
            higher = {self._group[need] for need in self._needs[group]} if group not in known else set()
            if open_ones := [one for one in higher if one not in known]:
                stack += open_ones
                continue
            stack.pop()
            if group not in known:
                direct = wanted.intersection(self._needs[group])
                known[group] = direct.union(*(known[one] for one in higher))
        lists: dict[frozenset[int], list[int]] = {}
        for found in known.values():
            if found not in lists:
                lists[found] = sorted(found)
        return {sheet: lists[known[self._group[sheet]]] for sheet in sheets}


def _mark(env: Mapping[str, str]) -> str:
    """Return what stands for the variables of a setting `env`: their names, and a mark of their values."""
    if not env:
        return ""
    pairs = sorted((str(name), str(value)) for name, value in env.items())
    mark = sha256(msgspec.json.encode(pairs)).hexdigest()[:_MARK]
    return f"{' '.join(name for name, _ in pairs)} {mark}"


def _bits(numbers: Collection[int], most: int) -> int:
    """Return a number that has a bit for each of these."""
    if not numbers:
        return 0
    octets = bytearray(most // 8 + 1)
    for number in numbers:
        octets[number >> 3] |= 1 << (number & 7)
    return int.from_bytes(octets, "little")


def _chain(score: ExpandedScore, definition: Definition) -> list[Account]:
    profiles = score.profiles
    return [
        Account(
            name,
            command_line.requested_model(profiles[name], settings) or "",
            _mark(settings.get("env") or {}),
        )
        for name, settings in definition.instruments_in_turn
    ]
