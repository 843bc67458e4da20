"""Reading config.toml anew while the daemon runs; one that can't be used leaves the settings as they are."""

import logging
from contextlib import suppress
from pathlib import Path

import anyio
from anyio import to_thread

from marianned.conductor.core.conductor import Conductor
from marianned.config import ONLY_AT_START, ConfigError, changes, load_settings, value_of, with_value
from marianned.errors import BadRequest
from marianned.protocol import Caller, Reload, Reloaded
from marianned.rows import RequestRow
from marianned.systemd.notify import Notifier

_logger = logging.getLogger(__name__)


class SettingsReloader:
    """Puts the settings of a configuration directory in force."""

    def __init__(self, conductor: Conductor, directory: Path, notifier: Notifier) -> None:
        self._conductor = conductor
        self._services = conductor.services
        self._directory = directory
        self._notifier = notifier
        self._one = anyio.Lock()

    async def reload(self, caller: Caller, params: Reload) -> Reloaded:
        """Read the settings; reply with those that are new.

        Raises:
            BadRequest: they can't be used; the old ones stay in force.
        """
        keys = self._conductor.keys

        async def act(request: RequestRow) -> Reloaded:
            reply = await self._reply()
            await keys.keep(request, reply)
            return reply

        return await keys.run(caller, params, Reloaded, act)

    async def _reply(self) -> Reloaded:
        """Reload, and let the service manager know that it is going on."""
        async with self._one:
            self._notifier.reloading()
            try:
                return await self._reload()
            finally:
                self._notifier.ready(self._conductor.summary())

    async def _reload(self) -> Reloaded:
        old = self._services.settings
        try:
            new = await to_thread.run_sync(load_settings, self._directory)
        except ConfigError as error:
            self._services.settings_problem = error.problems[0]
            for problem in error.problems:
                _logger.error("%s; the settings stay as they were", problem)  # noqa: TRY400  it is no failure of ours
            raise BadRequest(
                f"{'; '.join(error.problems)}; the settings stay as they were", hints=["mzt config check"]
            ) from None
        self._services.settings_problem = None
        different = changes(old, new)
        later = [name for name in different if name in ONLY_AT_START]
        now = [name for name in different if name not in ONLY_AT_START]
        for name in later:
            new = with_value(new, name, value_of(old, name))
        self._services.settings = new
        self._services.scheduler.total = new.max_attempts
        self._services.disk.minimum = new.min_free_disk
        self._conductor.grant()
        said = f"settings read; new: {', '.join(now) or 'none'}"
        if later:
            said += f"; with the next start: {', '.join(later)}"
        _logger.info(said)
        return Reloaded(
            message=said,
            hints=["mzt restart"] if later else [],
            changed=now,
            after_restart=later,
            event=self._services.store.last_event,
        )

    async def on_signal(self) -> None:
        """Reload for nobody in particular; the log tells what came of it."""
        with suppress(BadRequest):  # the log has it
            await self._reply()
