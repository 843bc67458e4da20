"""The crash walk: killed exactly at every fault point, started again, asked again; then the audit.

Each group walks some points through a scenario that reaches them, over and over until each was met: the
daemon that is started after one crash carries the next. Groups that are walked together have one home, each
after the other. Set MARIANNE_CRASH_ROUNDS to walk each point so often.
"""

import ast
import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from audit import audit
from crashing import Crashing, fails_until, gated, hook, plain
from kit.daemon import DEADLINE, Refused, score
from kit.fault_points import OF_AN_ATTEMPT
from kit.repository import branches, make_repository, trees

ROUNDS = int(os.environ.get("MARIANNE_CRASH_ROUNDS", "1"))
SOURCE = Path(__file__).parents[2] / "marianned"
STEPS = ("asked", "decided", "committed", "applied", "acted")


def paused(crashing, job):
    crashing.house.gate(f"{job}-1")
    crashing.submit(job, [gated(f"{job}-1"), plain(f"{job}-2")])
    crashing.says(f"start {job}-1")
    crashing.ask("job.pause", job_id=job)
    crashing.house.gate(f"{job}-1").open()
    crashing.reaches(job, "paused")
    crashing.ask("job.resume", job_id=job)
    crashing.reaches(job, "completed")


def restarted(crashing, job):
    crashing.house.gate(f"{job}-1")
    crashing.submit(job, [gated(f"{job}-1"), plain(f"{job}-2")])
    crashing.says(f"start {job}-1")
    crashing.kill()
    crashing.house.gate(f"{job}-1").open()
    crashing.reaches(job, "completed")


def held(crashing, job):
    """It is interrupted, goes on, stops before a sheet, goes on, and is cancelled."""
    crashing.house.gate(f"{job}-1")
    crashing.house.gate(f"{job}-2")
    crashing.submit(job, [gated(f"{job}-1"), gated(f"{job}-2"), plain(f"{job}-never")])
    crashing.says(f"start {job}-1")
    crashing.ask("job.pause", job_id=job, now=True)
    crashing.reaches(job, "paused")
    crashing.ask("job.resume", job_id=job)
    crashing.says(f"start {job}-1", times=2)
    crashing.ask("job.pause", job_id=job, before="2")
    crashing.house.gate(f"{job}-1").open()
    crashing.reaches(job, "paused")
    crashing.ask("job.resume", job_id=job)
    crashing.says(f"start {job}-2")
    crashing.ask("job.cancel", job_id=job)
    crashing.reaches(job, "cancelled")
    lines = [line.split()[:2] for line in crashing.house.ledger.lines() if f" {job}-" in line]
    first = [["start", f"{job}-1"]] * 2 + [["end", f"{job}-1"]]
    assert lines == [*first, ["start", f"{job}-2"]]


def rescued(crashing, job):
    """It fails, and begins afresh; that fails and is rewound; what fails then is accepted as it is."""
    crashing.submit(job, [fails_until(f"{job}-0", f"{job}-never")])
    crashing.reaches(job, "failed")
    bodies = [plain(f"{job}-1"), plain(f"{job}-2"), fails_until(f"{job}-3", f"{job}-mended")]
    bodies += [fails_until(f"{job}-4", f"{job}-never"), plain(f"{job}-5")]
    reply = crashing.submit(job, bodies, fresh=True)
    assert reply["run"] == 2
    crashing.reaches(job, "failed")
    (crashing.house.home / f"{job}-mended").touch()
    crashing.ask("job.resume", job_id=job, **{"from": "2"})
    crashing.tells(job, "sheet.failed", sheet=4)
    crashing.reaches(job, "failed")
    crashing.ask("job.resume", job_id=job, accept="4")
    crashing.reaches(job, "completed")
    started = [line.split()[1] for line in crashing.house.ledger.lines() if line.startswith(f"start {job}-")]
    assert started == [f"{job}-{number}" for number in (0, 1, 2, 3, 2, 3, 4, 5)]


def revised(crashing, job):
    crashing.house.gate(f"{job}-1")
    first = gated(f"{job}-1")
    crashing.submit(job, [first, plain(f"{job}-2")])
    crashing.says(f"start {job}-1")
    crashing.modify(job, [first, plain(f"{job}-never")])
    crashing.ask("job.modify", job_id=job, discard=True)
    crashing.modify(job, [first, plain(f"{job}-not-yet")])
    crashing.house.gate(f"{job}-1").open()
    crashing.reaches(job, "paused")
    crashing.modify(job, [first, plain(f"{job}-two"), plain(f"{job}-three")], resume=True)
    crashing.reaches(job, "completed")
    names = {line.split()[1] for line in crashing.house.ledger.lines() if f" {job}-" in line}
    assert names == {f"{job}-1", f"{job}-two", f"{job}-three"}


def lengthened(crashing, job):
    """A time limit is raised while its sheet runs: its supervisor is told first, the journal once."""
    crashing.house.gate(f"{job}-1")
    bodies = [gated(f"{job}-1"), plain(f"{job}-2")]
    crashing.submit(job, bodies, instrument_config={"timeout_seconds": "10m"})
    crashing.says(f"start {job}-1")
    text = score(job, bodies, instrument_config={"timeout_seconds": "2h"})
    home = str(crashing.house.home)
    crashing.ask("job.modify", job_id=job, text=text, directory=home, resume=True)
    (flight,) = crashing.status(job)["in_flight"]
    lasts = datetime.fromisoformat(flight["time_limit_at"]) - datetime.fromisoformat(flight["started_at"])
    assert lasts == timedelta(hours=2)
    (said,) = [event for event in crashing.journal(job) if event["type"] == "attempt.extended"]
    assert said["text"] == "sheet 1: attempt 1: limit 2h, was 10m"
    crashing.house.gate(f"{job}-1").open()
    crashing.reaches(job, "completed")


def pause_file(crashing, job):
    crashing.house.gate(f"{job}-1")
    crashing.submit(job, [gated(f"{job}-1"), plain(f"{job}-2")])
    crashing.says(f"start {job}-1")
    file = crashing.house.home / f"{job}-work" / f".marianne-pause-{job}"
    file.write_text("from a file")
    crashing.house.gate(f"{job}-1").open()
    crashing.reaches(job, "paused")
    crashing.ask("job.resume", job_id=job)
    crashing.reaches(job, "completed")
    assert not file.exists()


def retried(crashing, job):
    retry = {"max_retries": 30, "base_delay_seconds": 1, "max_delay_seconds": 1, "jitter": False}
    crashing.submit(job, [fails_until(f"{job}-1", f"{job}-mended")], retry=retry)
    crashing.says(f"start {job}-1", times=2)
    (crashing.house.home / f"{job}-mended").touch()
    crashing.reaches(job, "completed")


def tried_at_once(crashing, job):
    retry = {"max_retries": 1, "base_delay_seconds": 3600, "max_delay_seconds": 3600}
    crashing.submit(job, [fails_until(f"{job}-1", f"{job}-mended")], retry=retry)
    crashing.tells(job, "sheet.waiting")
    (crashing.house.home / f"{job}-mended").touch()
    crashing.ask("job.retry", job_id=job)
    crashing.reaches(job, "completed")


def checked(crashing, job):
    crashing.house.gate(f"{job}-check")
    command = f'note check {job} $MARIANNE_ATTEMPT_ID; read _ < "$HOME/gate-{job}-check"'
    check = {"type": "command_succeeds", "command": command}
    crashing.submit(job, [plain(f"{job}-1")], validations=[check])
    crashing.says(f"check {job}")
    crashing.ask("job.pause", job_id=job, now=True)
    crashing.reaches(job, "paused")
    crashing.house.gate(f"{job}-check").open(times=9)
    crashing.ask("job.resume", job_id=job)
    crashing.reaches(job, "completed")
    assert sum(line.startswith(f"start {job}-1 ") for line in crashing.house.ledger.lines()) == 1


def hooked(crashing, job):
    crashing.house.gate(f"{job}-hook")
    hooks = [hook(f"{job}-a", f'read _ < "$HOME/gate-{job}-hook"; '), hook(f"{job}-b")]
    crashing.submit(job, [plain(f"{job}-1")], on_success=hooks)
    crashing.says(f"hook {job}-a")
    crashing.ask("job.pause", job_id=job)
    crashing.house.gate(f"{job}-hook").open()
    crashing.reaches(job, "paused")
    crashing.ask("job.resume", job_id=job)
    crashing.reaches(job, "completed")
    ran = [line.split()[:2] for line in crashing.house.ledger.lines() if f" {job}-" in line][2:]
    assert ran == [[word, f"{job}-{name}"] for name in "ab" for word in ("hook", "done")]


def failing(crashing, job):
    """Submit a job that fails until it is mended, and wait for the first of its hooks, which stops at a gate."""
    crashing.house.gate(f"{job}-hook")
    hooks = [hook(f"{job}-a", f'read _ < "$HOME/gate-{job}-hook"; '), hook(f"{job}-b")]
    crashing.submit(job, [fails_until(f"{job}-1", f"{job}-mended")], on_failure=hooks)
    crashing.says(f"hook {job}-a")


def resumed_meanwhile(crashing, job):
    failing(crashing, job)
    (crashing.house.home / f"{job}-mended").touch()
    crashing.ask("job.resume", job_id=job)
    crashing.house.gate(f"{job}-hook").open()
    crashing.reaches(job, "completed")
    ran = [line.split()[:2] for line in crashing.house.ledger.lines() if f" {job}-" in line]
    hooks = [[word, f"{job}-{name}"] for name in "ab" for word in ("hook", "done")]
    assert ran == [["start", f"{job}-1"], *hooks, ["start", f"{job}-1"], ["end", f"{job}-1"]]


def given_up_hooks(crashing, job):
    failing(crashing, job)
    crashing.ask("job.cancel", job_id=job, wait=True, timeout=DEADLINE)
    crashing.reaches(job, "failed")
    ran = [line.split()[:2] for line in crashing.house.ledger.lines() if f" {job}-" in line]
    assert ran == [["start", f"{job}-1"], ["hook", f"{job}-a"]]


def chained(crashing, job):
    for name, hooks in ((f"{job}w", []), (f"{job}d", [hook(f"{job}d-a")])):
        text = score(name, [plain(f"{name}-1")], on_success=hooks)
        (crashing.house.home / f"{name}.yaml").write_text(text)
    chains = [{"type": "run_job", "job_path": f"{job}{name}.yaml", "detached": name == "d"} for name in "dw"]
    concert = {"cooldown_between_jobs_seconds": "10ms"}
    crashing.submit(job, [plain(f"{job}-1")], on_success=chains, concert=concert)
    for name in (job, f"{job}w", f"{job}d"):
        crashing.reaches(name, "completed")
    words = [line.split()[0] for line in crashing.house.ledger.lines() if f" {job}" in line]
    assert words == ["start", "end"] * 3 + ["hook", "done"]


def isolated(crashing, job):
    home = crashing.house.home
    if not (home / ".git").exists():
        make_repository(home)
    crashing.submit(job, [plain(f"{job}-1"), plain(f"{job}-2")], isolation={"enabled": True})
    crashing.reaches(job, "completed")
    crashing.tells(job, "worktree.removed")
    assert trees(home) == {}
    assert [branch for branch in branches(home) if f"/{job}-" in branch] == [f"marianne/{job}-1"]


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def archived(crashing, job):
    place = crashing.house.home / f"{job}-work"
    place.mkdir()
    for name in ("a", "b"):
        (place / name).write_text(name)
    fresh = {"fresh": True, "workspace_lifecycle": {"archive_on_fresh": True}}
    crashing.submit(job, [plain(f"{job}-1")], **fresh)
    crashing.reaches(job, "completed")
    (place / "a").write_text("again")
    crashing.submit(job, [plain(f"{job}-2")], **fresh)
    crashing.reaches(job, "completed")
    found = sorted(path.read_text() for path in place.glob("archive/*/*"))
    assert (names(place), found) == (["archive"], ["a", "again", "b"])


def refused(crashing, job):
    """Another job uses the workspace when it is asked for the second time: what was moved is moved back."""
    place = crashing.house.home / f"{job}-work"
    place.mkdir()
    for name in ("a", "b"):
        (place / name).write_text(name)
    (place / "z").write_text("no directory")
    lifecycle = {"archive_on_fresh": True, "archive_dir": "z/y"}
    with pytest.raises(Refused):
        crashing.submit(job, [plain(f"{job}-1")], fresh=True, workspace_lifecycle=lifecycle)
    assert names(place) == ["a", "b", "z"]


def without(crashing, job):
    """An agent's sheet goes on without the file that is to be injected, and says so once."""
    agents = crashing.house.home / "config" / "marianne" / "instruments"
    agents.mkdir(parents=True, exist_ok=True)
    (agents / "player.yaml").write_text(
        "name: player\nkind: cli\ncli:\n  command: {executable: bash}\n  output: {format: text}\n"
    )
    missing = {"prelude": [{"file": "gone.md", "as": "context"}]}
    crashing.submit(job, [plain(f"{job}-1")], instrument="player", sheet=missing)
    crashing.reaches(job, "completed")
    said = [event["text"] for event in crashing.journal(job) if event["type"] == "attempt.warned"]
    assert said == ["sheet 1: the file 'gone.md' is not there"]


def judged(crashing, job):
    """Rules are asked, one sheet is skipped; two are played three times, each once a round; then the last."""
    rules = {
        "skip_when": {1: "sheets[2].status == 'completed'"},
        "skip_when_command": {1: {"command": "exit 1"}, 2: {"command": "true", "description": "not needed"}},
        "loops": {"3-4": {"until": "loop.round == 3", "max_iterations": 5}},
    }
    names = [f"{job}-{name}" for name in ("1", "never", "3", "4", "5")]
    crashing.submit(job, [plain(name) for name in names], sheet=rules)
    crashing.reaches(job, "completed")
    started = [line.split()[1] for line in crashing.house.ledger.lines() if line.startswith(f"start {job}-")]
    assert started == [f"{job}-1", *[f"{job}-3", f"{job}-4"] * 3, f"{job}-5"]
    skipped = [event for event in crashing.journal(job) if event["type"] == "sheet.skipped"]
    assert [event["reason"] for event in skipped] == ["not needed"]
    (loop,) = crashing.status(job)["progress"]["loops"]
    assert (loop["round"], loop["state"]) == (3, "closed")


def steps(*triggers):
    return [f"{trigger}.{step}" for trigger in triggers for step in STEPS]


def woven(*triggers):
    """Return the steps of triggers that follow one another in a job, such that each job meets many of them.

    Past its third step a trigger is not repeated in the same job: it is committed.
    """
    parts = (STEPS[:3], STEPS[3:4], STEPS[4:])
    return [f"{trigger}.{step}" for part in parts for trigger in triggers for step in part]


GROUPS = {
    "api and store": (
        paused,
        ["api.read", "api.read:4", "api.answering", "api.answering:3", "api.answered", "api.answered:5"]
        + [f"store.{step}:{time}" for time in (1, 2, 4) for step in ("begun", "written", "committed")],
    ),
    "submit and attempt": (
        paused,
        [
            "submit.compiled",
            "submit.workspace",
            "transaction.committed",
            *steps("slot"),
            *OF_AN_ATTEMPT,
            *steps("ended"),
            "submit.begun",
        ],
    ),
    "pause and resume": (paused, woven("pause", "resume")),
    "start": (
        restarted,
        [
            "service.locked",
            "service.opened",
            "recover.read",
            "recover.done",
            "service.listening",
            "recover.loaded",
            "recover.looked",
        ],
    ),
    "check": (checked, ["check.starting", "check.started", "check.ended", *steps("parked")]),
    "hook": (hooked, ["hook.starting", "hook.started", "hook.exited", *steps("hook")]),
    "hook of a failure": (
        resumed_meanwhile,
        ["hook.starting", "hook.started", "hook.exited", *steps("hook"), *steps("time"), *steps("resume")],
    ),
    "cancel of hooks": (given_up_hooks, steps("cancel")),
    "chain": (
        chained,
        [
            "chain.checked",
            *(f"{point}:{time}" for time in (1, 2) for point in ("chain.locked", "chain.done")),
            *(f"transaction.committed:{time}" for time in (2, 3)),
            *(f"{step}:{time}" for time in (1, 2) for step in steps("chain")),
            *steps("chained"),
        ],
    ),
    "rules and rounds": (
        judged,
        [
            "skip.asking",
            "skip.evaluated",
            "skip.ended",
            "until.asking",
            "until.asked",
            *woven("judged", "round"),
            "round.committed:2",
        ],
    ),
    "warned": (without, steps("warned")),
    "holds": (held, woven("pause --now", "pause --before", "cancel")),
    "ways out of a failure": (rescued, woven("fresh", "resume --from", "resume --skip/--accept")),
    "modify, --discard and -r": (revised, woven("modify", "modify --discard", "modify -r")),
    "modify -r, a longer limit": (lengthened, steps("modify -r")),
    "pause file": (pause_file, steps("file")),
    "time": (retried, steps("time")),
    "retry": (tried_at_once, steps("retry")),
    "archive": (archived, ["archive.planned", "archive.entry", "archive.entry:2", "archive.moved"]),
    "archive, not made": (refused, ["archive.back"]),
    "worktree": (
        isolated,
        ["isolation.planned", "isolation.added", "isolation.made", "isolation.unlocked", "isolation.removed"],
    ),
}
"""By name: a scenario and the points it is walked over, in the order in which few jobs meet them all; `POINT:N` is
the N-th time in one life."""


WALKS = (
    ("api and store", "submit and attempt", "pause file", "retry", "warned"),
    ("start", "pause and resume", "holds", "ways out of a failure"),
    ("modify, --discard and -r", "modify -r, a longer limit", "time", "archive"),
    ("check", "rules and rounds", "hook"),
    ("hook of a failure", "cancel of hooks", "worktree"),
    ("archive, not made", "chain"),
)
"""Groups that share a home: the first point of each is none that the scenario before it comes by."""


@pytest.mark.crash
@pytest.mark.both
@pytest.mark.parametrize("names", WALKS, ids=", ".join)
def test_a_daemon_killed_at_any_point_loses_nothing_and_does_nothing_twice(house, names):
    points = {name: GROUPS[name][1] * ROUNDS for name in names}
    crashing = Crashing(house, [point for name in names for point in points[name]])
    crashing.start()
    jobs, met = 0, []
    for name in names:
        begun, met = jobs, met + points[name]
        while len(crashing.met) < len(met):
            assert jobs - begun <= len(points[name]), f"never reached in '{name}': {crashing.left}"
            jobs += 1
            GROUPS[name][0](crashing, f"j{jobs}")
        assert crashing.met == met, f"in '{name}'"
        print(f"crash walk, {name}: {len(points[name])} crashes, {jobs - begun} jobs")
    house.stop()
    audit(house, crashing.answered)


ELSEWHERE = {
    "backup.filled": "daemon/test_backup.py",
    "remove.committed": "daemon/test_forgetting.py",
    "cluster.cancelled": "slurm/test_suspended.py",
}
"""Points that are no job's: each is met by a test of its own."""


def test_no_fault_point_is_forgotten():
    walked = {point.partition(":")[0] for _, points in GROUPS.values() for point in points}
    assert sorted(name for names in WALKS for name in names) == sorted(GROUPS)
    tests = Path(__file__).parents[1]
    for point, file in ELSEWHERE.items():
        assert f'MARIANNE_FAULT="{point}"' in (tests / file).read_text()
    assert walked | set(ELSEWHERE) == found_in_source()
    print(f"crash walk: {len(walked)} points in {sum(len(points) for _, points in GROUPS.values())} runs")


def found_in_source():
    """Return every point of the source; those of a job's decision once for each of its triggers."""
    from marianned.conductor.core.job import _NAMES
    from marianned.lifecycle import Action

    triggers = [*Action, *_NAMES.values()]
    found = set()
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call) or ast.unparse(node.func) != "faults.point":
                continue
            (name,) = node.args
            if isinstance(name, ast.Constant):
                found.add(name.value)
            else:
                found |= {f"{trigger}{name.values[-1].value}" for trigger in triggers}
    return found
