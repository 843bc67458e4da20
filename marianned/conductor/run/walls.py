"""`contain: hide` for all that a job starts: who gets a wall, and the spec that puts it up.

Source: docs/security.md "A wall".
"""

import errno
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec
from anyio import to_thread

from marianned.conductor.services import Services
from marianned.errors import Unavailable
from marianned.executors import wall
from marianned.executors.base import CannotStart, Spec
from marianned.instruments.profile import Profile
from marianned.paths import configuration_directory, home_directory, make_private_directory
from marianned.places import LOCAL
from marianned.score.expanded import ExpandedScore

_SOCKET = "MARIANNE_SOCKET"
NOT_ON_A_NODE = (
    "contain: hide holds on the daemon's host only, and this sheet runs on a cluster; "
    "give its stage `executor: local`, or its instrument `contain: off`"
)
"""Why a sheet can't run: a wall stands on the daemon's host only."""


class WallUnavailable(Exception):
    """It can't be started behind a wall, and is not without; the message says why."""


def is_wanted(services: Services, profile: Profile) -> bool:
    """Tell whether this instrument's sheets get a wall: the stricter of setting and profile wins."""
    return "hide" in (services.settings.attempts.contain, profile.contain)


async def behind_wall(services: Services, profile: Profile, spec: Spec, own: Path) -> Spec:
    """Return a spec behind a wall where that is wanted, else as it is; `own` is the flight's directory.

    Raises:
        WallUnavailable: there can be none.
    """
    if not is_wanted(services, profile):
        return spec
    return await to_thread.run_sync(_build_wall, services, spec, own)


async def git_spec(services: Services, contain: bool, spec: Spec, own: Path) -> Spec:  # noqa: FBT001  of Wall
    """Make git's directory; return its spec, behind a wall where sheets of its run get one; see Worktrees.

    Raises:
        CannotStart: there can be none, or all attempts are away.
    """
    if (away := await to_thread.run_sync(services.incarnation_directory.why_missing)) is not None:
        raise CannotStart(away)
    await to_thread.run_sync(make_private_directory, own, services.incarnation_directory.own)
    if not contain and services.settings.attempts.contain != "hide":
        return spec
    try:
        return await to_thread.run_sync(_build_wall, services, spec, own)
    except WallUnavailable as why:
        raise CannotStart(str(why)) from None


def _build_wall(services: Services, spec: Spec, own: Path) -> Spec:
    hides = _hidden_paths(services)
    if (place := wall.in_hidden(spec.cwd, hides)) is not None:
        raise WallUnavailable(
            f"contain: hide, and the working directory '{spec.cwd}' lies in '{place}', which it hides"
        )
    own = own.resolve()
    out = own / wall.OUT
    (out / "tmp").mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        words = wall.words(services.environ, hides, own, out, _protected_paths())
    except FileNotFoundError as error:
        if error.errno not in (None, errno.ENOENT):
            raise
        raise WallUnavailable(str(error)) from None
    env = {name: value for name, value in spec.env.items() if name != _SOCKET}
    env["TMPDIR"] = str(out / "tmp")
    return msgspec.structs.replace(spec, wall=words, env=env)


def _protected_paths() -> list[Path]:
    """Return what decides whether there is a wall, which nobody behind one may change."""
    configuration = configuration_directory()
    with suppress(OSError):  # where there is none yet, one would be made from inside
        make_private_directory(configuration)
    return [configuration, home_directory() / ".marianne"]


def _hidden_paths(services: Services) -> list[Path]:
    """Return what is hidden: also where attempts lay under an earlier setting, with their environments."""
    attempts = {services.attempts, *(Path(one.attempts) for one in services.store.incarnations.values())}
    return wall.hidden((services.store.path.parent, *sorted(attempts)), services.socket)


async def check_available(services: Services, score: ExpandedScore, executor: str | None) -> None:
    """Look whether a score that wants a wall can have one where it runs, as run (`executor`) and score say.

    Raises:
        Unavailable: there can be none, or it would hide the place where its sheets work.
    """
    walled = {name for name, profile in score.profiles.items() if is_wanted(services, profile)}
    if not walled:
        return
    others = executor or score.executor or services.settings.executor
    away = [one for one in score.sheets if (one.resources.executor or others) != LOCAL]
    if wrong := [one for one in away if one.instrument in walled]:
        by_run = all(one.resources.executor is None for one in wrong)  # else the score says so for them
        raise Unavailable(NOT_ON_A_NODE, hints=["mzt run SCORE --executor local"] if by_run else [])
    places = [score.workspace, *(sheet.working_directory for sheet in score.sheets)]
    why = await to_thread.run_sync(_problem, services, dict.fromkeys(places))
    if why is not None:
        raise Unavailable(f"contain: hide: {why}", hints=["mzt doctor"])


def _problem(services: Services, places: Iterable[str]) -> str | None:
    hides = _hidden_paths(services)
    for path in places:
        if (place := wall.in_hidden(path, hides)) is not None:
            return (
                f"the workspace '{path}' lies in '{place}', which is hidden from what runs; use another one"
            )
    return wall.missing(services.environ)
