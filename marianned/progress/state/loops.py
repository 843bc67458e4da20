"""Where the loops of a run stand: their rows, and what of their present rounds is still to be done.

Source: docs/reference/score-format.md §29.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from marianned.protocol import LoopState
from marianned.rows import LoopRow, SheetRow
from marianned.score.expanded import ExpandedScore, LoopDefinition


class TrackedLoop(NamedTuple):
    """A loop of the score in force, and where it stands."""

    loop: LoopDefinition
    row: LoopRow

    @property
    def is_open(self) -> bool:
        """Whether rounds may follow."""
        return self.row.state == LoopState.OPEN


class LoopTracker:
    """The loops of a run. `rows` is by uid, those of loops too that the score in force has no more.

    The first sheet of its last stage identifies a loop. `behind` has, by its place among the score's loops,
    the sheets outside of it that need one of its own.
    """

    def __init__(self) -> None:
        self.rows: dict[int, LoopRow] = {}
        self._undone: list[int] = []
        self._loops: tuple[LoopDefinition, ...] = ()
        self._rows: list[LoopRow] = []
        self._at: dict[int, int] = {}
        self.behind: list[list[int]] = []

    def copy(self) -> "LoopTracker":
        """Return loops of its own that stand as these do."""
        other = LoopTracker()
        own = {"rows": self.rows.copy(), "_undone": self._undone.copy(), "_rows": self._rows.copy()}
        vars(other).update(vars(self) | own)
        return other

    def __eq__(self, other: object) -> bool:
        """Tell whether others stand as these do."""
        return isinstance(other, LoopTracker) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def adopt(self, score: ExpandedScore, run_id: int, sheets: Sequence[SheetRow]) -> None:
        """Take over the loops of a score, whose sheets, by number from 1, `count_done` is yet to count."""
        self._loops = score.loops
        self._undone = [len(loop.sheets) for loop in score.loops]
        self._at = {sheet: place for place, loop in enumerate(score.loops) for sheet in loop.sheets}
        uids = [sheets[loop.ends[0] - 1].uid for loop in score.loops]
        self._rows = [self.rows.get(uid) or LoopRow(run_id=run_id, uid=uid) for uid in uids]
        spans = [frozenset(loop.sheets) for loop in score.loops]
        self.behind = [
            [one.sheet for one in score.sheets if one.sheet not in span and not span.isdisjoint(one.needs)]
            for span in spans
        ]

    def put(self, row: LoopRow) -> tuple[int, int] | None:
        """Put a row; return the loop's place, and by how much the undecided loops have become more."""
        self.rows[row.uid] = row
        place = next((place for place, known in enumerate(self._rows) if known.uid == row.uid), None)
        if place is None:
            return None
        was_open = self._rows[place].state == LoopState.OPEN
        self._rows[place] = row
        return place, (row.state == LoopState.OPEN) - was_open

    def count_done(self, sheet: int, done: int) -> None:
        """Count a sheet as done (1), or as not done any more (-1)."""
        place = self._at.get(sheet)
        if place is not None:
            self._undone[place] -= done

    def __iter__(self) -> Iterator[TrackedLoop]:
        """Yield the loops of the score in force."""
        return (TrackedLoop(*pair) for pair in zip(self._loops, self._rows, strict=True))

    def of(self, sheet: int) -> TrackedLoop | None:
        """Return the loop that a sheet (its number) is part of."""
        place = self._at.get(sheet)
        return None if place is None else TrackedLoop(self._loops[place], self._rows[place])

    def identified_by(self, uid: int) -> TrackedLoop | None:
        """Return the loop of the score in force that this sheet identifies."""
        return next((one for one in self if one.row.uid == uid), None)

    @property
    def undecided(self) -> bool:
        """Whether a loop is open: no hook is due before it is closed."""
        return any(one.is_open for one in self)

    @property
    def due(self) -> list[TrackedLoop]:
        """The loops whose round is over and to be judged: all their sheets are done."""
        found = zip(self, self._undone, strict=True)
        return [one for one, undone in found if one.is_open and not undone and not one.row.asking]

    @property
    def asking(self) -> list[LoopRow]:
        """What is in flight: loops whose `until` is being asked."""
        return [row for row in self.rows.values() if row.asking]
