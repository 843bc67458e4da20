"""The tools that play sheets: which there are and can be used, and the rate limits of their accounts.

Source: docs/design/cli.md §2.4, docs/reference/score-format.md §16.3 and §23.
"""

import difflib
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from subprocess import DEVNULL, PIPE

import anyio
import msgspec

from marianned import formatting, workers
from marianned.clock import timestamp
from marianned.conductor.core.conductor import Conductor
from marianned.conductor.core.idempotency import rows_of
from marianned.conductor.run import walls
from marianned.errors import BadRequest
from marianned.instruments.profile import Profile
from marianned.moment import now
from marianned.places import Cluster
from marianned.progress.state.run import RunState
from marianned.protocol import (
    Caller,
    CheckInstruments,
    Cleared,
    ClearLimits,
    HoldCause,
    Instrument,
    ListInstruments,
    RateLimit,
)
from marianned.protocol import Instruments as Reply
from marianned.rows import Changes, EventRow, LimitRow, RequestRow, Row
from marianned.workers import KnownProfile

_VERSION_SECONDS = 60.0
_VERSIONS_AT_ONCE = 3
"""An agent's start may keep a core busy for seconds."""
_VERSION_LENGTH = 60
_VERSION = re.compile(r"\d+\.\d+")


class InstrumentQueries:
    """Answers what is asked about instruments."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor
        self._services = conductor.services

    async def list(self, _caller: Caller, params: ListInstruments) -> Reply:
        """Return the instruments by name, or one with its whole profile."""
        return await self._reply(params.name, params.directory, check=False)

    async def check(self, _caller: Caller, params: CheckInstruments) -> Reply:
        """Start each tool, all at once, for its version; ask a cluster whether it would run its sheets."""
        return await self._reply(params.name, params.directory, check=True, cluster=params.executor)

    async def _reply(
        self, name: str | None, directory: str | None, *, check: bool, cluster: Cluster | None = None
    ) -> Reply:
        known = await workers.known_profiles(directory)
        chosen = known.profiles if name is None else [_profile_named(name, known.profiles)]
        found = {one.profile.name: self._instrument(one) for one in chosen}
        if check:
            turns = anyio.CapacityLimiter(_VERSIONS_AT_ONCE)
            async with anyio.create_task_group() as tasks:
                for one in chosen:
                    env = one.profile.cli.command.env if one.profile.cli is not None else {}
                    tasks.start_soon(self._ask_version, found[one.profile.name], env, turns)
        if cluster is not None:
            trouble = await self._services.executors.clusters[cluster].trouble()
            for one in chosen:
                self._judge_for_cluster(found[one.profile.name], one.profile, trouble)
        if name is not None and not check:
            for one in chosen:
                found[one.profile.name].profile = msgspec.to_builtins(one.profile)
        ready = sum(instrument.ready for instrument in found.values())
        return Reply(
            message=f"{formatting.plural(len(found), 'instrument')}, {ready} ready",
            hints=[] if check else ["mzt instruments check"],
            problems=known.problems,
            instruments=list(found.values()),
            event=self._services.store.last_event,
        )

    def _instrument(self, known: KnownProfile) -> Instrument:
        profile, environ = known.profile, self._services.environ
        path = None
        problem = None
        names = credential_names(profile)
        if profile.unusable_reason is not None:
            problem = profile.unusable_reason
        elif profile.cli is not None:
            executable = profile.cli.command.executable
            path = shutil.which(os.path.expanduser(executable), path=environ.get("PATH"))  # noqa: PTH111  a text
            problem = None if path else f"'{executable}' is not on the daemon's PATH"
        elif names and not any(environ.get(name) for name in names):
            problem = f"{' or '.join(names)} is not set"
        limits = [row for row in self._services.limits.rows.values() if row.instrument == profile.name]
        until = max((row.until.at for row in limits if row.until is not None), default=None)
        return Instrument(
            name=profile.name,
            display_name=profile.display_name or profile.name,
            kind=profile.kind,
            ready=problem is None,
            problem=problem,
            executable=profile.cli.command.executable if profile.cli is not None else None,
            binary_path=path,
            default_model=profile.default_model,
            limited_until_at=timestamp(until),
            credentials=[name for name in names if environ.get(name)],
            credentials_of=names,
            login=profile.login,
            models=[model.name for model in profile.models],
            source=known.file,
        )

    def _judge_for_cluster(self, instrument: Instrument, profile: Profile, trouble: str | None) -> None:
        """Say what a sheet on the cluster would be refused for; which tools are here is nothing to it."""
        wall = walls.NOT_ON_A_NODE if walls.is_wanted(self._services, profile) else None
        here = None if profile.unusable_reason is None and profile.cli is not None else instrument.problem
        instrument.problem = wall or here or trouble
        instrument.ready = instrument.problem is None

    async def _ask_version(
        self, instrument: Instrument, env: Mapping[str, str], turns: anyio.CapacityLimiter
    ) -> None:
        """Ask a tool for its version; what can't say it, or not in time, is not ready."""
        if instrument.binary_path is None:
            return
        said: bytes | None = None
        try:
            with anyio.move_on_after(_VERSION_SECONDS):
                async with turns:
                    ended = await anyio.run_process(
                        [instrument.binary_path, "--version"],
                        stdin=DEVNULL,
                        stdout=PIPE,
                        stderr=DEVNULL,
                        check=False,
                        env={**self._services.environ, **env},
                    )
                said = ended.stdout if ended.returncode == 0 else None
                instrument.problem = f"'--version' ends with exit code {ended.returncode}"
        except OSError as error:
            instrument.problem = f"it can't be started: {error.strerror}"
        instrument.ready = said is not None
        if said is None:
            instrument.problem = instrument.problem or f"'--version' takes over {_VERSION_SECONDS:g}s"
            return
        instrument.problem = None
        lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
        numbered = [line for line in lines if _VERSION.search(line)]
        instrument.version = (numbered or lines or [""])[0][:_VERSION_LENGTH]

    async def clear_limits(self, caller: Caller, params: ClearLimits) -> Cleared:
        """End the rate limits of an instrument, or all: what waits for them tries at once."""

        async def act(request: RequestRow) -> Cleared:
            rows = [row for row in self._services.limits.rows.values() if row.until is not None]
            chosen = [row for row in rows if params.instrument in (None, row.instrument)]
            if not chosen and params.instrument is not None:
                _profile_named(params.instrument, (await workers.known_profiles(None)).profiles)
            said = formatting.plural(len(chosen), "rate limit")
            reply = Cleared(
                message=f"{said} ended" if chosen else "no rate limit is in force",
                cleared=len(chosen),
                instrument=params.instrument,
                event=0,
            )
            event = await self._lift_limits(chosen, caller, params.reason, rows_of(request, reply))
            return msgspec.structs.replace(reply, event=event)

        return await self._conductor.keys.run(caller, params, Cleared, act)

    async def _lift_limits(
        self, rows: Iterable[LimitRow], caller: Caller, reason: str | None, also: Sequence[Row]
    ) -> int:
        """End these limits; return the number of the event that this is true at."""
        moment = now()
        lifted = [LimitRow(**row.account._asdict(), until=None, since=moment.at) for row in rows]
        events = [
            EventRow(
                recorded_at=moment.at,
                type="limit.cleared",
                caller=caller,
                reason=reason,
                cause=HoldCause.RATE_LIMIT,
                text=f"the rate limit of {row.account} was ended by hand",
            )
            for row in lifted
        ]
        changes = Changes(rows=[*lifted, *also], events=events)
        event = (
            (await self._services.store.commit(changes)).event if changes else self._services.store.last_event
        )
        for row in lifted:
            self._services.limits.put(row, moment)
        self._conductor.wake_all()
        return event


def credential_names(profile: Profile) -> list[str]:
    """Return the variables of which one may hold the instrument's key."""
    key = profile.http.auth_env_var if profile.http is not None else None
    return [*profile.credentials, *([key] if key and key not in profile.credentials else [])]


def limits_in_force(rows: Iterable[LimitRow], states: Iterable[RunState]) -> list[RateLimit]:
    """Return the rate limits in force, each with how many sheets of all jobs wait for it."""
    states = list(states)
    return [
        RateLimit(
            instrument=row.instrument,
            model=row.model or None,
            env=row.env or None,
            until_at=timestamp(row.until.at),
            waiting=sum(state.waiting_for(row.account) for state in states if state.run.ended is None),
            message=row.message,
        )
        for row in rows
        if row.until is not None
    ]


def _profile_named(name: str, profiles: Iterable[KnownProfile]) -> KnownProfile:
    """Return the profile of this name.

    Raises:
        BadRequest: there is none.
    """
    by_name = {known.profile.name: known for known in profiles}
    if name not in by_name:
        near = difflib.get_close_matches(name, by_name, 3)
        hints = [f"mzt instruments show {one}" for one in near] or ["mzt instruments"]
        raise BadRequest(f"no instrument '{name}'", hints=hints)
    return by_name[name]
