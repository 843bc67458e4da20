"""Who waits for the answers of a job's requests."""

import math

import anyio

from marianned.errors import MarianneError
from marianned.protocol import Reply

Answer = Reply | MarianneError


class Waiter:
    """Somebody who waits for the answer of a request; `accepted` is set once it is on disk, or refused."""

    def __init__(self) -> None:
        self.accepted = anyio.Event()
        self._answered = anyio.Event()
        self.answer: Answer | None = None

    def give(self, answer: Answer) -> None:
        """Answer, once."""
        if self.answer is None:
            self.answer = answer
            self.accepted.set()
            self._answered.set()

    async def wait(self, patience: float | None) -> Answer | None:
        """Wait so many seconds for the answer, null: for ever; None: the time ran out."""
        with anyio.move_on_after(math.inf if patience is None else patience):
            await self._answered.wait()
        return self.answer


class Waiters:
    """The waiters of one job by request; several who repeat a request by its key share one."""

    def __init__(self) -> None:
        self._waiters: dict[str, Waiter] = {}

    def __bool__(self) -> bool:
        return bool(self._waiters)

    def of(self, request: str) -> Waiter:
        """Return the waiter of a request."""
        return self._waiters.setdefault(request, Waiter())

    def accept(self, request: str) -> None:
        """Tell that a request is on disk."""
        if request in self._waiters:
            self._waiters[request].accepted.set()

    def answer(self, request: str, answer: Answer) -> None:
        """Answer whoever waits for a request."""
        waiter = self._waiters.pop(request, None)
        if waiter is not None:
            waiter.give(answer)

    def forget(self, request: str) -> None:
        """Nobody waits for its answer any more."""
        self._waiters.pop(request, None)

    def answer_all(self, answer: Answer) -> None:
        """Answer everybody."""
        for request in list(self._waiters):
            self.answer(request, answer)
