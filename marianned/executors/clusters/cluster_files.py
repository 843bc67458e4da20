"""What an attempt's files say on a cluster, and what is written beside them: its submission, its end to come.

Everything here blocks. Source: docs/design/executors.md "Where attempts lie".
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from marianned import files
from marianned.executors import attempt_files, order, shim
from marianned.executors.base import AlreadyClaimed, AttemptPlace, CannotStart, ExitRecord, Spec, StartFailed
from marianned.executors.clusters.engine import ClusterJob, JobKey
from marianned.moment import now
from marianned.paths import make_private_directory

SUBMISSION = "submission.json"
LOG = "job.log"
"""What the job's script and the interpreter say, should they fail before the shim takes over."""
_TAIL = 2000
_SAID_MOST = 500


class SubmissionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """submission.json: under which names an attempt was, or was to be, submitted, the last one last.

    `forgotten` is how often the engine has forgotten it before it began. `cut_short`: it is to end, and the
    engine was, or was to be, told to end its whole job, so that nobody else has. The first `joined` of the
    names are those of another attempt's job, that this one was named to.
    """

    id: str
    keys: list[JobKey] = []
    forgotten: int = 0
    cut_short: bool = False
    joined: int = 0

    @property
    def own(self) -> list[JobKey]:
        """The names that are its own: what becomes of another's job says nothing of it."""
        return self.keys[self.joined :]

    def job(self, listed: Mapping[JobKey, ClusterJob]) -> ClusterJob | None:
        """Return its job, rather one that runs: it can have been submitted twice, and begins once."""
        jobs = [listed[key] for key in self.keys if key in listed]
        return next((job for job in jobs if not job.waits), jobs[-1] if jobs else None)


class AttemptFilesState(NamedTuple):
    """What an attempt's files say. `away`: they can't be looked at.

    `gone`: what is to run is not there, so they were deleted, and no job begins it any more; one may run it.
    """

    record: ExitRecord | None = None
    claimed: bool = False
    given_up: bool = False
    away: bool = False
    gone: bool = False
    log: str = ""


def write_spec(directory: Path, spec: Spec, root: Path | None) -> None:
    """Write what is to run.

    Raises:
        AlreadyClaimed: it was started before.
        StartFailed: that can't be written at the moment.
        CannotStart: it can't be written down at all.
    """
    try:
        make_private_directory(directory, root)
        if (directory / shim.CLAIM).exists():
            raise AlreadyClaimed("the attempt is claimed already")
        attempt_files.write(directory / shim.SPEC, msgspec.json.encode(spec))
    except OSError as error:
        raise StartFailed(str(error)) from None
    except UnicodeError as error:
        raise CannotStart(str(error)) from None


def read_submission(place: AttemptPlace) -> SubmissionRecord | None:
    """Read what an attempt's own submission says."""
    found = attempt_files.read(place.directory / SUBMISSION, SubmissionRecord)
    return found if found is not None and found.id == place.id else None


def join_job(place: AttemptPlace, host: Path) -> SubmissionRecord | None:
    """Have the job of the attempt of directory `host` run this one next; None: it never had a job.

    It may be gone by now: this one is then missing in the list as any other.

    Raises:
        StartFailed: that can't be written at the moment.
    """
    try:
        found = attempt_files.read(host / SUBMISSION, SubmissionRecord)
        if found is None or not found.keys:
            return None
        joined = SubmissionRecord(id=place.id, keys=found.keys, joined=len(found.keys))
        attempt_files.write(place.directory / SUBMISSION, msgspec.json.encode(joined))
        attempt_files.write(host / order.NEXT, f"{place.directory.relative_to(host)}\n".encode())
    except OSError as error:
        raise StartFailed(str(error)) from None
    return joined


def note_cut_short(place: AttemptPlace, submission: SubmissionRecord) -> SubmissionRecord:
    """Write down that it is cut short, before that is done, and return that; blocks.

    Where its files are away, only this daemon knows.
    """
    noted = msgspec.structs.replace(submission, cut_short=True)
    with suppress(OSError):
        if place.directory.is_dir():
            attempt_files.write(place.directory / SUBMISSION, msgspec.json.encode(noted))
    return noted


def order_end(place: AttemptPlace) -> bool:
    """Tell its runner to end; False: its directory is not there, so nothing is said."""
    if not place.directory.is_dir():
        return False
    attempt_files.write(place.directory / order.NAME, f"{place.id}\n".encode())
    return True


def inspect_all(places: Sequence[AttemptPlace]) -> dict[str, AttemptFilesState]:
    """Look at the files of many, by their ids."""
    return {place.id: inspect(place) for place in places}


def inspect(place: AttemptPlace) -> AttemptFilesState:
    """Look at the files of one attempt."""
    try:
        record = attempt_files.record_of(place)
        if record is not None:
            return AttemptFilesState(record)
        claimed = (place.directory / shim.CLAIM).exists()
        gone = not (place.directory / shim.SPEC).is_file()
        if place.root_is_missing():  # asked last: what was not found before may have gone with all of it
            return AttemptFilesState(away=True)
    except OSError:
        return AttemptFilesState(away=True)
    if claimed:
        return AttemptFilesState(claimed=True, given_up=attempt_files.given_up(place.directory))
    if gone:
        return AttemptFilesState(gone=True)
    log = files.tail(place.directory / LOG, _TAIL).decode(errors="replace").strip()
    return AttemptFilesState(log=log)


def failed_start_record(
    place: AttemptPlace, job: ClusterJob | None, log: str, engine: str, python: str
) -> ExitRecord:
    """Return the end of an attempt whose job has failed before the shim: its log says why.

    Where that names `python`, a person has to name another interpreter, or the node lacks it.
    """
    said = " ".join(log.split())
    where = f" on {job.node}" if job is not None and job.node else ""
    error = f"its job of {engine} could not start it{where}: {said}"[:_SAID_MOST]
    if f"{python}: " in said:
        error += (
            "; slurm.python of config.toml names the nodes' interpreter; change that, then type: mzt restart"
        )
    return _daemon_record(place, error=error, asked=False)


def cut_short_record(place: AttemptPlace) -> ExitRecord:
    """Return the end of an attempt that was asked to end, with its whole job, and left no record of it."""
    return _daemon_record(place, error=None, asked=True)


def _daemon_record(place: AttemptPlace, *, error: str | None, asked: bool) -> ExitRecord:
    """Return an end of which only the daemon knows."""
    moment = now().at
    return ExitRecord(
        exit_code=None,
        signal=None,
        error=error,
        asked=asked,
        asked_by=None,
        timed_out=False,
        started_at=moment,
        ended_at=moment,
        user_seconds=0.0,
        system_seconds=0.0,
        max_rss_kib=0,
        swept=0,
        writer="daemon",
        id=place.id,
    )
