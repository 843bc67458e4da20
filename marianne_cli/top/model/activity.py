"""The lines at the bottom of `mzt top`: requests that are not carried out yet, and the last result."""

from collections.abc import Sequence

from marianne_cli.top.model.cells import Cell, Line

_PENDING_MOST = 2


class ActivityLines:
    """The requests that were sent from here, each as its `mzt` line, and what became of the last one."""

    def __init__(self) -> None:
        self._pending: dict[int, str] = {}
        self._count = 0
        self._last: Line = ()
        self._of_absence = False
        """Whether the last result is that no daemon answers."""

    def add_sent(self, line: str) -> int:
        """Add a line that was sent and is not carried out yet; return its number."""
        self._count += 1
        self._pending[self._count] = line
        self.clear_last()
        return self._count

    def mark_done(self, number: int, said: str) -> None:
        """Show that a line was carried out."""
        self._of_absence = False
        self._last = [
            Cell("✓ ", "good bold"),
            Cell(f"$ {self._pending.pop(number, '')}", "bold"),
            Cell(f"  {said}"),
        ]

    def mark_refused(
        self, line: str, said: str, hints: Sequence[str], number: int = 0, *, away: bool = False
    ) -> None:
        """Show that a line was refused, and what to type instead; `away`: no daemon answers, for now."""
        self._pending.pop(number, None)
        hint = f"  ({' · '.join(hints)})" if hints else ""
        self._last = [
            Cell("✗ ", "bad bold"),
            Cell(f"$ {line}  " if line else "", "bold"),
            Cell(said, "bad"),
            Cell(hint, "dim"),
        ]
        self._of_absence = away

    def daemon_answered(self) -> None:
        """Take away the result that no daemon answers: one does again."""
        if self._of_absence:
            self.clear_last()

    def note(self, said: str) -> None:
        """Show a remark as the last result."""
        self._last, self._of_absence = [Cell("· ", "dim"), Cell(said)], False

    def clear_last(self) -> None:
        """Show the last result no longer."""
        self._last, self._of_absence = (), False

    def lines(self) -> list[Line]:
        """Return the lines to show: what is not carried out yet, then the last result."""
        pending = list(self._pending.values())
        told: list[Line] = [
            [Cell("… ", "run bold"), Cell(f"$ {line}", "bold"), Cell("  sent; waiting until it is so", "dim")]
            for line in pending[-_PENDING_MOST:]
        ]
        return [*told, *([self._last] if self._last else [])]
