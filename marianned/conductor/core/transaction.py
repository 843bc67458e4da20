"""One job's part of a transaction over several, between the job's own loop and who commits for all.

The loop decides and hands its decision over; it takes no other step until it is told how the transaction
went, so that nothing can come between. `Conductor.transact` is the other side.
"""

import anyio

from marianned.errors import InternalError, MarianneError
from marianned.progress.deciding.draft import Decision
from marianned.progress.state.triggers import ChainedJobsReady, SlotFree, Supersede


class TransactionAbandoned(Exception):
    """Nothing was committed: the job goes on as if it had not been asked."""


class TransactionPart:
    """What a job is asked to decide, what it has decided, and how the transaction went."""

    def __init__(self, trigger: ChainedJobsReady | Supersede | SlotFree) -> None:
        self.trigger = trigger
        self._answer: Decision | MarianneError | None = None
        self._decided = anyio.Event()
        self._event: int | None = None
        self._settled = anyio.Event()
        self._over = anyio.Event()

    # --- for who commits -------------------------------------------------------------------------------

    async def decision(self) -> Decision:
        """Wait for what the job's loop decides.

        Raises:
            MarianneError: it refuses.
        """
        await self._decided.wait()
        assert self._answer is not None
        if isinstance(self._answer, MarianneError):
            raise self._answer
        return self._answer

    def settle(self, event: int | None) -> None:
        """Let the loop go on: with the number of the transaction's last event, null: nothing is committed.

        Only the first call counts.
        """
        if not self._settled.is_set():
            self._event = event
            self._settled.set()

    async def let_go(self) -> None:
        """Let the loop go on with nothing committed, unless it was settled; wait until it has given back.

        One that has not decided yet is not waited for: it may never, where the daemon ends.
        """
        self.settle(None)
        if isinstance(self._answer, Decision):
            await self.over()

    async def over(self) -> None:
        """Wait until the loop has applied what it decided."""
        await self._over.wait()

    # --- for the job's loop ----------------------------------------------------------------------------

    async def commit(self, decision: Decision) -> int:
        """Hand the decision over; return the number of the transaction's last event.

        Raises:
            TransactionAbandoned: there was no transaction.
        """
        self._answer = decision
        self._decided.set()
        await self._settled.wait()
        if self._event is None:
            raise TransactionAbandoned
        return self._event

    def refuse(self, error: MarianneError) -> None:
        """Tell the committer that the job refuses; after its decision this changes nothing."""
        if self._answer is None:
            self._answer = error
        self._decided.set()
        self._over.set()

    def finish(self) -> None:
        """Tell the committer that the loop has taken this step, or never will."""
        self.refuse(InternalError("the job has left the daemon's memory before it could decide"))
