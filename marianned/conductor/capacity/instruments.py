"""Which fallbacks can't be used on this machine now: their tool or their key is missing.

Source: docs/reference/score-format.md §8.4.
"""

import os
import shutil
from collections.abc import Mapping

import msgspec
from anyio import to_thread

from marianned.instruments.profile import Profile
from marianned.progress.state.run import RunState
from marianned.score.expanded import Fallback


class _Requirements(msgspec.Struct, frozen=True):
    """What an instrument needs: an executable, a variable, in this environment."""

    executable: str | None
    variable: str | None
    environ: dict[str, str]


class InstrumentAvailability:
    """Looks for what the fallbacks of one job need; the needs are worked out once a revision."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._needs: dict[str, _Requirements] = {}
        self._of: object = None

    async def unavailable(self, state: RunState) -> frozenset[str]:
        """Return the instruments among the score's fallbacks that can't be used."""
        if self._of is not state.score:
            self._of, self._needs = state.score, self._requirements(state)
        if not self._needs:
            return frozenset()
        return await to_thread.run_sync(_unmet, self._needs)

    def _requirements(self, state: RunState) -> dict[str, _Requirements]:
        needs: dict[str, _Requirements] = {}
        for fallback in (fallback for sheet in state.score.sheets for fallback in sheet.fallbacks):
            profile = state.score.profiles[fallback.instrument]
            if profile.unusable_reason is not None:
                needs[profile.name] = _NEVER
                continue
            known = needs.get(profile.name)
            environ = known.environ if known else {**self._environ, **state.run.env}
            own = {**environ, **fallback.settings.get("env", {})}
            if known is None or own != environ:
                needs[profile.name] = _requirements_of(profile, fallback, own)
        return needs


_NEVER = _Requirements(None, "", {})
"""What nothing here meets: an instrument that its profile says can't be used."""


def _requirements_of(profile: Profile, fallback: Fallback, environ: dict[str, str]) -> _Requirements:
    if profile.cli is not None:
        command = profile.cli.command
        return _Requirements(os.path.expanduser(command.executable), None, environ)  # noqa: PTH111  a text
    key = profile.http.auth_env_var if profile.http is not None else None
    return _Requirements(None, key and str(fallback.settings.get("api_key_env") or key), environ)


def _unmet(needs: dict[str, _Requirements]) -> frozenset[str]:
    return frozenset(name for name, need in needs.items() if not _is_met(need))


def _is_met(need: _Requirements) -> bool:
    if need.executable is not None:
        return shutil.which(need.executable, path=need.environ.get("PATH")) is not None
    return need.variable is None or bool(need.environ.get(need.variable))
