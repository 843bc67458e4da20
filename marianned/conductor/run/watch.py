"""An attempt of a damaged job: how it ended can't be judged, but it is watched, and ended when asked."""

from marianned import accidents
from marianned.conductor.run.process import FlightProcess
from marianned.conductor.services import Services
from marianned.executors.base import Presence
from marianned.progress.state.triggers import AttemptParked
from marianned.rows import AttemptRow


class AttemptWatcher:
    """Waits for the end of an attempt; its record stays, to be judged when the job can be read again."""

    def __init__(self, services: Services, row: AttemptRow) -> None:
        self.helper_wait = accidents.HelperWait()
        self._process = FlightProcess(services, row, self.helper_wait.note)
        self._row = row

    @property
    def pid(self) -> int | None:
        """Its keeper's."""
        return self._process.pid

    @property
    def interrupted(self) -> bool:
        """Tell whether it is to end."""
        return self._process.interrupted

    async def run(self, presence: Presence | None = None) -> AttemptParked:
        """Wait until nothing of it runs."""
        if presence is Presence.RUNNING:
            await self._process.wait_for_end()
        return AttemptParked(uid=self._row.uid, attempt=self._row.attempt)

    def abandon(self) -> None:
        """Nothing has to be done: it is never started."""
        self._process.abandon()

    async def interrupt(self, *, drop: bool = False) -> None:  # noqa: ARG002  nothing of it is judged
        """End it: TERM, grace, KILL by its shim."""
        await self._process.interrupt()
