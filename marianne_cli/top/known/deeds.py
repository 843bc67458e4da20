"""What was asked, each by its `mzt` line: what is not carried out yet, and what came last."""

from collections.abc import Sequence

from marianne_cli.top.known.cells import Cell, Line

_PENDING_MOST = 2


class Deeds:
    """Keeps what is shown at the bottom of each screen."""

    def __init__(self) -> None:
        self._pending: dict[int, str] = {}
        self._count = 0
        self._last: Line = ()
        self._of_absence = False
        """Whether what came last is that no daemon answers."""

    def asked(self, line: str) -> int:
        """Take a line that was sent, and is not carried out yet; return its number."""
        self._count += 1
        self._pending[self._count] = line
        self.forget()
        return self._count

    def done(self, number: int, said: str) -> None:
        """Hear that it was carried out."""
        self._of_absence = False
        self._last = [
            Cell("✓ ", "good bold"),
            Cell(f"$ {self._pending.pop(number, '')}", "bold"),
            Cell(f"  {said}"),
        ]

    def refused(
        self, line: str, said: str, hints: Sequence[str], number: int = 0, *, away: bool = False
    ) -> None:
        """Hear that it was refused, and what to type instead; `away`: no daemon answers, which passes."""
        self._pending.pop(number, None)
        hint = f"  ({' · '.join(hints)})" if hints else ""
        self._last = [
            Cell("✗ ", "bad bold"),
            Cell(f"$ {line}  " if line else "", "bold"),
            Cell(said, "bad"),
            Cell(hint, "dim"),
        ]
        self._of_absence = away

    def answers(self) -> None:
        """Hear that the daemon answers: that it does not is no longer so."""
        if self._of_absence:
            self.forget()

    def note(self, said: str) -> None:
        """Take something else that was done."""
        self._last, self._of_absence = [Cell("· ", "dim"), Cell(said)], False

    def forget(self) -> None:
        """Leave out what came last."""
        self._last, self._of_absence = (), False

    def lines(self) -> list[Line]:
        """Return what is shown: what is not carried out, then what came last."""
        pending = list(self._pending.values())
        told: list[Line] = [
            [Cell("… ", "run bold"), Cell(f"$ {line}", "bold"), Cell("  sent; waiting until it is so", "dim")]
            for line in pending[-_PENDING_MOST:]
        ]
        return [*told, *([self._last] if self._last else [])]
