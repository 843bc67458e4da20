"""Attempts on this host: has their supervisors forked or spawned, watches these, sweeps after killed ones.

The exit comes from exit.json, never from waiting for a child: supervisors are not ours to reap, and after a
restart nothing is. Whatever blocks runs in a thread.

Whether an attempt lives is decided by its processes: keeper and runner are known from identity.json, are
remembered once they were seen, and where neither helps are looked for among all processes, by the mark that
each of them must carry in any case. Only where none is found do the files of the attempt's directory decide,
and only those that are of this attempt.

Stopped supervisors are woken: by `end`, and by `wait`, as soon as one of the two has gone and every few
seconds besides. Needs Linux 5.3 (pidfd): without it `start` refuses before anything runs.
"""

import contextlib
import errno
import os
import resource
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeVar, TypeVarTuple, Unpack

import anyio
import msgspec
from anyio import to_thread

from marianned.executors import attempt_files, limit, programs, shim
from marianned.executors.base import (
    AlreadyClaimed,
    AttemptPlace,
    CannotStart,
    ExitRecord,
    Presence,
    Spec,
    StartFailed,
    SupervisorIdentity,
    Whereabouts,
    brand_of,
    describe_missing_root,
)
from marianned.executors.children import HURRY
from marianned.executors.host import supervisors, traces
from marianned.executors.host.forking import ForkServer, StartAnswer, SupervisorChannel, shim_environment
from marianned.paths import make_private_directory

_PAUSE_SECONDS = 0.01
_SETTLING_LOOKS = 1000
"""How long a keeper may take from its claim to its identity, in pauses; it needs about a millisecond."""

_AGAIN_SECONDS = 1.0
"""How long after a look that told nothing the next one comes."""
_WALK_SECONDS = 30.0
"""How old a walk through all processes may be that says what earlier daemons have left."""

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")


class LocalExecutor:
    """Runs attempts on this host; any number of instances may look after the same directories.

    While it is entered, `async with`, a fork server makes starts cheap; without, each is a new interpreter.
    """

    def __init__(self) -> None:
        self._forks: ForkServer | None = None
        self._known: dict[str, SupervisorIdentity] = {}
        """Who looks after attempts that somebody waits for, by id: their files can be taken away."""
        self._asked_to_end: set[str] = set()
        """Attempts, by id, that were told to end: how they would have ended does not matter any more."""
        self._started: dict[str, SupervisorChannel] = {}
        """Attempts, by id, that were started here and that nobody has waited for yet, each with the way to
        its channel."""
        self._poller = supervisors.AttemptPoller(self._known.get)
        self._walking, self._walked_at, self._walked = anyio.Lock(), float("-inf"), set[str]()

    async def __aenter__(self) -> Self:
        self._forks = ForkServer()
        with contextlib.suppress(OSError):  # each start tries again, and tells what is wrong
            await to_thread.run_sync(self._forks.open)
        return self

    async def __aexit__(self, *_: object) -> None:
        forks, self._forks = self._forks, None
        for channel in self._started.values():
            channel.close()
        self._started.clear()
        if forks is not None:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(forks.close)

    async def serve(self) -> None:
        """Look up, now and then, at what is waited for (supervisors.py); without it, nobody is woken."""
        await self._poller.serve()

    async def start(
        self,
        directory: Path,
        spec: Spec,
        write: Callable[[], None] | None = None,
        root: Path | None = None,
    ) -> None:
        """Write the spec, have the shim forked or spawned, return when it has said who it is.

        The identity is kept, with the pair's channel: `running` and `wait` need no look of their own then.
        """
        status, message, running, channel = await to_thread.run_sync(
            _start_and_identify, directory, spec, write, self._forks, root
        )
        if running is not None and channel is not None:
            self._known[spec.id], self._started[spec.id] = running, channel
        if status == shim.CLAIMED_STATUS:
            raise AlreadyClaimed(message)
        # The front can be killed while its supervisors go on: then the directory knows better.
        place = AttemptPlace(directory, spec.id)
        if status and await self.presence(place) not in {Presence.RUNNING, Presence.ENDED}:
            kind = CannotStart if status == shim.BAD_SPEC_STATUS else StartFailed
            raise kind(message or f"the shim ended with status {status}")

    async def presence(self, place: AttemptPlace) -> Presence:
        """Tell what is so; waits where a keeper has claimed but not yet said who it is (see Executor).

        The files are looked at first, again for a moment where a claim was made and nobody has said yet who
        it is. RUNNING and ENDED are final. Whatever else they say is not believed before the processes were
        asked: supervisors that carry the mark mean that it runs, though its files be gone; otherwise
        everything that carries the mark is killed, so that nothing of it runs when it is called lost, or
        never started, and the files are read once more: it may have ended meanwhile.
        """
        for _ in range(_SETTLING_LOOKS):
            seen = await self._in_thread_with_known(_look_once, place)
            if seen is not None:
                break
            await anyio.sleep(_PAUSE_SECONDS)
        if seen in {Presence.RUNNING, Presence.ENDED}:
            return Presence(seen)
        found = await _in_thread(traces.find_supervisors, place.id)
        if found:
            self._known[place.id] = supervisors.identity_of(found)
            return Presence.RUNNING
        swept = await _sweep(place.id)
        return await _in_thread(_conclude, place, seen, swept, place.id in self._asked_to_end)

    async def read_identity(self, place: AttemptPlace) -> SupervisorIdentity | None:
        """Read identity.json, and remember it (see Executor); of what was just started it is known."""
        if place.id in self._started:
            return self._known[place.id]
        running = await _in_thread(attempt_files.read, place.directory / shim.IDENTITY, SupervisorIdentity)
        if running is not None:
            self._known[place.id] = running
        return running or self._known.get(place.id)

    async def wait(self, place: AttemptPlace, tell: Callable[[str], None] | None = None) -> ExitRecord | None:
        """Wait until keeper and runner are gone, then read the record (see Executor).

        As long as one of the supervisors lives, it waits for that one's end, the keeper's first, which is
        the last, looking up now and then to wake a stopped one and to say that the files are gone. Then the
        record tells. Only where there is none `presence` is asked: a keeper may not have said yet who it is.
        Where nothing can be known it asks again for ever: to call it lost could run the work twice.
        """
        told = set[str]()

        def say(text: str) -> None:
            if tell is not None and text not in told:
                told.add(text)
                tell(text)

        while True:
            found: int | SupervisorChannel | ExitRecord | None = self._started.pop(place.id, None)
            if found is None:
                found = await self._in_thread_with_known(_supervisor_or_record, place)
            if isinstance(found, int | SupervisorChannel):
                if not await self._wait_for_channel_or_pidfd(place, found, say):
                    continue
                found = await _in_thread(attempt_files.record_of, place)
            seen = Presence.ENDED if found else await self.presence(place)
            if seen is Presence.UNKNOWN:
                say(_describe_unknown(place))
                await anyio.sleep(_AGAIN_SECONDS)
            elif seen is not Presence.RUNNING:
                self._known.pop(place.id, None)
                self._asked_to_end.discard(place.id)
                return found or await _in_thread(attempt_files.record_of, place)

    async def _wait_for_channel_or_pidfd(
        self, place: AttemptPlace, watch: int | SupervisorChannel, say: Callable[[str], None]
    ) -> bool:
        """Wait for the end of a pidfd's process, or of the attempt of a channel's pair; close either.

        Tell whether a pair rests now: then nothing of the attempt is left, and its record is there.
        """
        rests = False
        try:
            with self._poller.watching(place, say):
                await anyio.wait_readable(watch)
            rests = isinstance(watch, SupervisorChannel) and watch.is_resting()
        finally:
            if isinstance(watch, int):
                os.close(watch)
            elif rests and self._forks is not None:
                self._forks.rest(watch)
            else:
                watch.close()
        return rests

    async def whereabouts(self, place: AttemptPlace, known: Whereabouts | None = None) -> None:
        """Tell nothing: it runs here (see Executor)."""

    async def fate(self, place: AttemptPlace) -> None:
        """Tell nothing: it has no job (see Executor)."""

    def queue_wait(self, attempt: str) -> None:
        """Tell nothing: what was started has begun (see Executor)."""

    async def trouble(self) -> str | None:
        """Say nothing: it is this host."""
        return None

    async def withdraw(self, place: AttemptPlace) -> None:
        """Do nothing: what was started has begun (see Executor)."""

    async def end(self, place: AttemptPlace, *, drop: bool = False) -> None:
        """Send TERM, and wake them; it is for the keeper, but a runner without one is ending anyway.

        One that is older than that signal lets HURRY be: it blocks all it does not know.
        """
        self._asked_to_end.add(place.id)
        if drop:
            await self._in_thread_with_known(supervisors.send, place, HURRY)
        await self._in_thread_with_known(supervisors.send, place, signal.SIGTERM)
        await self._in_thread_with_known(supervisors.send, place, signal.SIGCONT)

    async def claim(self, place: AttemptPlace) -> bool:
        """Make the claim file, and the directory where there is none yet (see Executor).

        Where all attempts are away nothing could be started there, so nobody comes late.
        """
        return await _in_thread(_claim, place)

    async def raise_limit(self, place: AttemptPlace, seconds: float, *, silence: bool = False) -> None:
        """Write the file that its runner reads when its limit is over (see Executor)."""
        name = limit.SILENCE if silence else limit.NAME
        await _in_thread(attempt_files.raise_limit, place, seconds, name)

    async def leftovers(self, prefix: str) -> set[str]:
        """Look at the marks of all processes (see Executor).

        One walk serves all who ask within some seconds, so that a thousand attempts that end after a restart
        cost a few: what earlier daemons have left does not become more.
        """
        async with self._walking:
            if anyio.current_time() >= self._walked_at + _WALK_SECONDS:
                self._walked = set(await _in_thread(traces.attempts_alive, ""))
                self._walked_at = anyio.current_time()
        return {attempt for attempt in self._walked if attempt.startswith(prefix)}

    async def alive_below(self, directory: Path) -> dict[str, int]:
        """Look at all supervisors (see Executor)."""
        return await _in_thread(traces.supervised_attempts_below, directory)

    async def outlast(self, directory: Path, attempt: str) -> None:
        """Wait for one supervisor after the other (see Executor): who is left may look after it alone."""
        while (pid := (await self.alive_below(directory)).get(attempt)) is not None:
            started = await _in_thread(traces.start_time, pid)
            if started is not None and (await self.alive_below(directory)).get(attempt) == pid:
                await _wait_for_exit(pid, started)

    async def _in_thread_with_known(
        self,
        function: Callable[[AttemptPlace, SupervisorIdentity | None, Unpack[_Ts]], _T],
        place: AttemptPlace,
        *args: *_Ts,
    ) -> _T:
        """Call it, see `_in_thread`, with what is remembered of the attempt."""
        return await _in_thread(function, place, self._known.get(place.id), *args)


async def _in_thread(function: Callable[[Unpack[_Ts]], _T], *args: *_Ts) -> _T:
    """Call it in a thread, again every second while descriptors or memory are short: that tells nothing."""
    while True:
        try:
            return await to_thread.run_sync(function, *args)
        except OSError as error:
            if error.errno not in supervisors.SCARCE:
                raise
        await anyio.sleep(1)


async def _wait_for_exit(pid: int, start_time: int) -> None:
    """Wait until that process has ended; a zombie has."""
    watch = await _in_thread(traces.open_process, pid, start_time)
    if watch is not None:
        await _ended(watch)


async def _ended(watch: int) -> None:
    """Wait until the process of a pidfd has ended, and close that."""
    try:
        await anyio.wait_readable(watch)
    finally:
        os.close(watch)


async def _sweep(attempt: str) -> bool:
    """Kill whatever is of the attempt, stopped or not, until two looks in a row have found nothing.

    Returns whether there was anything. A process can be missed once: one that is kept waiting while it
    executes another program has no environment for so long.
    """
    found_before, ever = True, False
    while (found := await _in_thread(traces.kill_all, attempt)) or found_before:
        found_before = found
        ever = ever or found
        await anyio.sleep(_PAUSE_SECONDS)
    return ever


def _start_and_identify(
    directory: Path,
    spec: Spec,
    write: Callable[[], None] | None,
    forks: ForkServer | None,
    root: Path | None,
) -> tuple[int, str, SupervisorIdentity | None, SupervisorChannel | None]:
    """Start it as `_start_attempt` does; add its supervisors' identity and channel, where they can be had."""
    if write is None:
        status, message, channel = _start_attempt(directory, spec, forks, root)
    else:
        write()
        status, message, channel = _start_attempt(directory, spec, forks, root, made=True)
    if channel is None:
        return status, message, None, None
    if channel.running is None:  # one that has had an attempt before is the same
        with contextlib.suppress(OSError):
            channel.running = attempt_files.read(directory / shim.IDENTITY, SupervisorIdentity)
    if channel.running is None:
        channel.close()
        return status, message, None, None
    return status, message, channel.running, channel


def _start_attempt(
    directory: Path, spec: Spec, forks: ForkServer | None, root: Path | None, *, made: bool = False
) -> StartAnswer:
    """Write spec.json, have the keeper forked or run the shim's front to its end: a status and a message.

    `made`: its directory is there, and was looked at, a moment ago.
    """
    try:
        os.close(os.pidfd_open(os.getpid()))
        if not made:
            make_private_directory(directory, root)
        if (directory / shim.CLAIM).exists():
            return StartAnswer(shim.CLAIMED_STATUS, "the attempt is claimed already")
        branded = msgspec.structs.replace(spec, brand=_brand(spec.id))
        attempt_files.write(directory / shim.SPEC, msgspec.json.encode(branded), durable=False)
        answer = forks.start(directory, spec.id) if forks else None
        if answer:
            return answer
        if forks and (directory / shim.CLAIM).exists():
            return StartAnswer(shim.NO_CLAIM_STATUS, "the shim was killed")
        return StartAnswer(*_spawn(directory, spec.id))
    except OSError as error:
        lasting = error.errno == errno.ENOSYS  # a kernel without pidfds
        return StartAnswer(shim.BAD_SPEC_STATUS if lasting else shim.NO_CLAIM_STATUS, str(error))
    except UnicodeError as error:
        return StartAnswer(shim.BAD_SPEC_STATUS, str(error))


def _claim(place: AttemptPlace) -> bool:
    try:
        return attempt_files.claim(place)
    except FileNotFoundError:
        if not place.root_is_missing():
            raise
        return True


def _brand(attempt: str) -> int | None:
    """Return the brand of an attempt; None: somebody has set a limit of real time here, which stays."""
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    return brand_of(attempt) if resource.getrlimit(resource.RLIMIT_RTTIME) == unlimited else None


def _spawn(directory: Path, attempt: str) -> tuple[int, str]:
    front = subprocess.Popen(
        programs.command("shim", directory),
        pass_fds=[programs.descriptor()],
        env=shim_environment(attempt),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    _, said = front.communicate()
    return front.returncode, said.decode(errors="replace").strip()


def _look_once(place: AttemptPlace, known: SupervisorIdentity | None) -> Presence | None:
    """Look once. None: somebody has claimed it, lives, and has not yet said who it is.

    What is asked last here comes first in the life of an attempt (claim, identity, record, death), so
    nothing is overlooked that happens meanwhile.
    """
    directory = place.directory
    introduced = known is not None or (directory / shim.IDENTITY).exists()
    alive = bool(supervisors.living(place, known))
    claimed = (directory / shim.CLAIM).exists()
    if claimed and not introduced:
        alive = any(traces.marked(traces.trace_of(place.id).mark))
    if (directory / shim.RECORD).exists():
        return Presence.LOST if attempt_files.record_of(place) is None else Presence.ENDED
    if alive:
        return Presence.RUNNING if introduced else None
    if claimed:
        return Presence.LOST if attempt_files.record_of(place) is None else Presence.ENDED
    return Presence.NEVER_STARTED


def _conclude(place: AttemptPlace, seen: Presence | None, swept: bool, asked: bool) -> Presence:  # noqa: FBT001
    """Tell what is so once no supervisor of it is left.

    `seen` is what the files said before, `swept` whether processes of it were killed, `asked` whether it was
    told to end: then nobody needs to know how it would have ended.
    """
    if attempt_files.record_of(place) is not None:
        return Presence.ENDED
    if seen is not Presence.NEVER_STARTED or swept:
        return Presence.LOST
    if place.root_is_missing():
        return Presence.LOST if asked else Presence.UNKNOWN
    return Presence.NEVER_STARTED


def _supervisor_or_record(place: AttemptPlace, known: SupervisorIdentity | None) -> int | ExitRecord | None:
    """Return a pidfd of a supervisor that lives, the keeper before the runner; else the record, if any."""
    for process in supervisors.living(place, known):
        watch = traces.open_process(process.pid, process.started)
        if watch is not None:
            return watch
    return attempt_files.record_of(place)


def _describe_unknown(place: AttemptPlace) -> str:
    missing = describe_missing_root(place.root or place.directory)
    return f"how it ended can't be known, and no process of it is found: {missing}"
