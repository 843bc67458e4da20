"""Where each sheet runs, and what it gets there: its stage's words over its instrument's over the score's.

Source: docs/reference/score-format.md §30.
"""

from collections.abc import Iterable

import msgspec

from marianned.score.check.expand import SheetPosition
from marianned.score.expanded import Resources
from marianned.score.read.model import ExecutorPart, Score


def executor_of(score: Score) -> str | None:
    """Return where the score says that its sheets run, which a run can be given otherwise."""
    return score.executor.type if isinstance(score.executor, ExecutorPart) else score.executor


def resources_of(score: Score, seat: SheetPosition, instrument: str) -> Resources:
    """Return what one sheet gets; `instrument` is what the score calls the one that it is played on.

    `executor` is null unless its stage or its instrument names one.
    """
    alias, movement = score.instruments.get(instrument), score.movements.get(seat.stage)
    own = [given.executor for given in (alias, movement) if given is not None]
    merged = _merged([score.executor, *own])
    named = [one.type if isinstance(one, ExecutorPart) else one for one in own]
    return msgspec.structs.replace(merged, executor=next((one for one in reversed(named) if one), None))


def _merged(parts: Iterable[str | ExecutorPart | None]) -> Resources:
    """Lay what is given over each other, the last on top; arguments follow each other."""
    found: dict[str, object] = {}
    arguments: list[str] = []
    for part in parts:
        if isinstance(part, ExecutorPart):
            given = msgspec.structs.asdict(part)
            del given["type"]
            arguments += given.pop("arguments")
            found |= {key: value for key, value in given.items() if value is not None}
    return msgspec.convert({**found, "arguments": arguments}, Resources)
