"""What is told where the database is not the one that was used here last: it may not know what runs.

Nothing of it is taken up or ended: it is another database's, or of a time that this one does not know of.
"""

import logging
from collections.abc import Collection

from marianned.conductor.services import Services

_logger = logging.getLogger(__name__)


async def tell(services: Services, ours: Collection[str]) -> None:
    """Log that the database was replaced, and each attempt that runs here and is none of `ours`."""
    if services.store.restored is None:
        return
    _logger.warning(
        "%s; what ran since is not known to it: its attempts are left alone, and sheets may run again",
        services.store.restored,
    )
    alive: dict[str, int] = {}
    for executor in services.executors:
        alive |= await executor.alive_below(services.attempts)
    for name, pid in sorted(alive.items()):
        if not any(name == one or name.startswith(f"{one}-check-") for one in ours):
            _logger.warning(
                "attempt %s (pid %d) is of another database, or of a time that this one does not know of; "
                "it is left alone; to end it, type: kill %d",
                name,
                pid,
                pid,
            )
