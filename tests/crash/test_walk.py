"""The crash walk: killed exactly at every fault point, started again, asked again; then the audit.

Each group walks some points through a scenario that reaches them, over and over until each was met: the
daemon that is started after one crash carries the next. Set MARIANNE_CRASH_ROUNDS to walk each so often.
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


def interrupted(crashing, job):
    crashing.house.gate(f"{job}-1")
    crashing.submit(job, [gated(f"{job}-1"), plain(f"{job}-2")])
    crashing.says(f"start {job}-1")
    crashing.ask("job.pause", job_id=job, now=True)
    crashing.reaches(job, "paused")
    crashing.house.gate(f"{job}-1").open()
    crashing.ask("job.resume", job_id=job)
    crashing.reaches(job, "completed")


def broken(crashing, job):
    crashing.house.gate(f"{job}-1")
    crashing.submit(job, [gated(f"{job}-1"), plain(f"{job}-2")])
    crashing.says(f"start {job}-1")
    crashing.ask("job.pause", job_id=job, before="2")
    crashing.house.gate(f"{job}-1").open()
    crashing.reaches(job, "paused")
    crashing.ask("job.resume", job_id=job)
    crashing.reaches(job, "completed")


def rewound(crashing, job):
    crashing.submit(job, [plain(f"{job}-1"), plain(f"{job}-2"), fails_until(f"{job}-3", f"{job}-mended")])
    crashing.reaches(job, "failed")
    (crashing.house.home / f"{job}-mended").touch()
    crashing.ask("job.resume", job_id=job, **{"from": "2"})
    crashing.reaches(job, "completed")


def accepted(crashing, job):
    never = f"{job}-never"
    crashing.submit(job, [plain(f"{job}-1"), fails_until(f"{job}-2", never), plain(f"{job}-3")])
    crashing.reaches(job, "failed")
    crashing.ask("job.resume", job_id=job, accept="2")
    crashing.reaches(job, "completed")


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


def cancelled(crashing, job):
    crashing.house.gate(f"{job}-1")
    crashing.submit(job, [gated(f"{job}-1"), plain(f"{job}-2")])
    crashing.says(f"start {job}-1")
    crashing.ask("job.cancel", job_id=job)
    crashing.reaches(job, "cancelled")


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


def given_up(crashing, job):
    crashing.submit(job, [fails_until(f"{job}-1", f"{job}-mended")])
    crashing.reaches(job, "failed")
    reply = crashing.submit(job, [plain(f"{job}-again")], fresh=True)
    assert reply["run"] == 2
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


def skipping(crashing, job):
    """Rules are asked; one sheet is skipped, the other runs, once."""
    rules = {
        "skip_when": {1: "sheets[2].status == 'completed'"},
        "skip_when_command": {1: {"command": "exit 1"}, 2: {"command": "true", "description": "not needed"}},
    }
    crashing.submit(job, [plain(f"{job}-1"), plain(f"{job}-never"), plain(f"{job}-3")], sheet=rules)
    crashing.reaches(job, "completed")
    started = [line.split()[1] for line in crashing.house.ledger.lines() if line.startswith(f"start {job}-")]
    assert started == [f"{job}-1", f"{job}-3"]
    skipped = [event for event in crashing.journal(job) if event["type"] == "sheet.skipped"]
    assert [event["reason"] for event in skipped] == ["not needed"]


def in_rounds(crashing, job):
    """Two sheets are played three times, each once in each round, before the one behind them."""
    loops = {"loops": {"1-2": {"until": "loop.round == 3", "max_iterations": 5}}}
    crashing.submit(job, [plain(f"{job}-{number}") for number in (1, 2, 3)], sheet=loops)
    crashing.reaches(job, "completed")
    started = [line.split()[1] for line in crashing.house.ledger.lines() if line.startswith(f"start {job}-")]
    assert started == [f"{job}-1", f"{job}-2"] * 3 + [f"{job}-3"]
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
    "skip": (skipping, ["skip.asking", "skip.evaluated", "skip.ended", *steps("judged")]),
    "round": (in_rounds, ["until.asking", "until.asked", *steps("round"), "round.committed:2"]),
    "warned": (without, steps("warned")),
    "pause --now": (interrupted, steps("pause --now")),
    "pause --before": (broken, steps("pause --before")),
    "resume --from": (rewound, steps("resume --from")),
    "resume --accept": (accepted, steps("resume --skip/--accept")),
    "modify, --discard and -r": (revised, woven("modify", "modify --discard", "modify -r")),
    "modify -r, a longer limit": (lengthened, steps("modify -r")),
    "cancel": (cancelled, steps("cancel")),
    "pause file": (pause_file, steps("file")),
    "time": (retried, steps("time")),
    "retry": (tried_at_once, steps("retry")),
    "fresh": (given_up, steps("fresh")),
    "archive": (archived, ["archive.planned", "archive.entry", "archive.entry:2", "archive.moved"]),
    "archive, not made": (refused, ["archive.back"]),
    "worktree": (
        isolated,
        ["isolation.planned", "isolation.added", "isolation.made", "isolation.unlocked", "isolation.removed"],
    ),
}
"""By name: a scenario and the points it is walked over, in the order in which few jobs meet them all; `POINT:N` is
the N-th time in one life."""


@pytest.mark.crash
@pytest.mark.both
@pytest.mark.parametrize("name", GROUPS)
def test_a_daemon_killed_at_any_point_loses_nothing_and_does_nothing_twice(house, name):
    scenario, points = GROUPS[name]
    crashing = Crashing(house, points * ROUNDS)
    crashing.start()
    jobs = 0
    while crashing.left:
        assert jobs <= len(points) * ROUNDS, f"never reached: {crashing.left}"
        jobs += 1
        scenario(crashing, f"j{jobs}")
    house.stop()
    audit(house, crashing.told)
    assert sorted(crashing.met) == sorted(points * ROUNDS)
    print(f"crash walk, {name}: {len(crashing.met)} crashes at {len(points)} points, {jobs} jobs")


ELSEWHERE = {
    "backup.filled": "daemon/test_backup.py",
    "remove.committed": "daemon/test_forgetting.py",
    "cluster.cancelled": "slurm/test_suspended.py",
}
"""Points that are no job's: each is met by a test of its own."""


def test_no_fault_point_is_forgotten():
    walked = {point.partition(":")[0] for _, points in GROUPS.values() for point in points}
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
