"""What a revision says of its sheets once and for all: who needs whom, and who is asked for each."""

from collections.abc import Sequence

from marianned.instruments import command_line
from marianned.rows import Account, SheetRow
from marianned.score.expanded import Expanded
from marianned.score.expanded import Sheet as Definition


class Graph:
    """The sheets of a revision; it never changes, so that copies of a state share it.

    `numbers` is by uid; `accounts` has by number whom a sheet asks, and whom on each of its fallbacks.
    """

    def __init__(self, score: Expanded, rows: Sequence[SheetRow]) -> None:
        self.numbers = {row.uid: row.sheet for row in rows}
        self.accounts = [[Account("")], *(_chain(score, definition) for definition in score.sheets)]
        self._dependents: list[list[int]] = [[] for _ in range(len(score.sheets) + 1)]
        for definition in score.sheets:
            for need in definition.needs:
                self._dependents[need].append(definition.sheet)

    def dependents(self, sheet: int) -> list[int]:
        """Return the sheets that need this one directly."""
        return self._dependents[sheet]

    def below(self, sheet: int) -> list[int]:
        """Return all sheets that need this one, directly or not."""
        seen = {sheet}
        found: list[int] = []
        stack = [sheet]
        while stack:
            for dependent in self._dependents[stack.pop()]:
                if dependent not in seen:
                    seen.add(dependent)
                    stack.append(dependent)
                    found.append(dependent)
        return found


def _chain(score: Expanded, definition: Definition) -> list[Account]:
    profiles = score.profiles
    chain = [(definition.instrument, definition.settings)]
    chain += [(fallback.instrument, fallback.settings) for fallback in definition.fallbacks]
    return [Account(name, command_line.model(profiles[name], settings) or "") for name, settings in chain]
