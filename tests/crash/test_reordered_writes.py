"""The power goes under a real daemon: of what was written since each file's last fsync, any part may be there.

The kernel tells of every write, fsync, truncation and removal of the database's files; images are made as a
disk may leave them, sector by sector, names included. Each must open, be whole, and hold every request that
was acknowledged. MARIANNE_IMAGES says how many, MARIANNE_IMAGES_SEED which.
"""

import bisect
import json
import os
import random
import sqlite3
from pathlib import Path

import anyio
import pytest
from crashing import plain
from kit.daemon import score
from kit.kernel import Kernel, available

from marianned.store.writer import open_store

IMAGES = int(os.environ.get("MARIANNE_IMAGES", "30"))
SEED = int(os.environ.get("MARIANNE_IMAGES_SEED", "1"))
SECTOR = 512
BIG = 5_000
"""How many words of ten bytes a score has that is staged again and again: the log is written back meanwhile."""
CALLS = ["pwrite64", "fsync", "fdatasync", "ftruncate", "unlink"]
SHARES = (0.0, 0.5, 0.9, 1.0)
"""Of what is not synced: how likely a part of it is on disk, one chosen for each image."""


class Recorder:
    """Writes down what is done to the database's files: (kind, file's name, offset or size, bytes)."""

    def __init__(self, state):
        self._state = str(state)
        self.done = []

    def decide(self, call):
        if call.name == "unlink":
            path, directory = call.text(call.arguments[call.place]), False
        else:
            path = call.file()
            directory = path == self._state
        name = Path(path).name
        if directory:
            self.done.append(("names", "", 0, b""))
        elif path.startswith(f"{self._state}/marianne.db") and not name.endswith("-shm"):
            self._of_file(call, name)
        return 0

    def _of_file(self, call, name):
        if call.name == "pwrite64":
            _, address, size, offset, *_ = call.arguments
            self.done.append(("write", name, offset, call.memory(address, size)))
        elif call.name == "ftruncate":
            self.done.append(("truncate", name, call.arguments[1], b""))
        else:
            self.done.append(("remove" if call.name == "unlink" else "sync", name, 0, b""))


class File:
    """A file on a disk: what is surely there, and what was done to it since."""

    def __init__(self):
        self.sure = bytearray()
        self.since = []
        self.named = False

    def sync(self):
        for step in self.since:
            change(self.sure, *step)
        self.since = []

    def image(self, chance, share):
        """Return the content as a disk may have left it."""
        content = bytearray(self.sure)
        for kind, offset, data in self.since:
            if kind == "truncate" and chance.random() < share:
                change(content, kind, offset, data)
            elif kind == "write":
                for part, piece in sectors(offset, data):
                    if chance.random() < share:
                        change(content, kind, part, piece)
        return content


def change(content, kind, offset, data):
    if kind == "truncate":
        del content[offset:]
        content.extend(bytes(offset - len(content)))
    else:
        content.extend(bytes(max(0, offset - len(content))))
        content[offset : offset + len(data)] = data


def sectors(offset, data):
    """Cut a write where the disk's sectors end."""
    place = 0
    while place < len(data):
        size = SECTOR - (offset + place) % SECTOR
        yield offset + place, data[place : place + size]
        place += size


class Disk:
    """The files of a directory, and names that are removed and may still be there."""

    def __init__(self):
        self.files = {}
        self.removed = {}

    def do(self, kind, name, offset, data):
        if kind == "names":
            self.removed = {}
            for file in self.files.values():
                file.named = True
        elif kind == "remove":
            self.removed[name] = self.files.pop(name)
        elif kind == "sync":
            self.files.setdefault(name, File()).sync()
        else:
            self.files.setdefault(name, File()).since.append((kind, offset, data))

    def leave(self, directory, chance):
        """Lay out what a power cut leaves."""
        directory.mkdir()
        share = chance.choice(SHARES)
        for name, file in self.files.items():
            if file.named or chance.random() < share:
                (directory / name).write_bytes(file.image(chance, share))
        for name, file in self.removed.items():
            if name not in self.files and chance.random() >= share:
                (directory / name).write_bytes(file.image(chance, share))


def live(house, recorder):
    """Let a daemon do many things; return each request with how much had been done when it was acknowledged."""
    acknowledged = []

    def ask(method, **params):
        key = f"k{len(acknowledged)}"
        house.rpc(method, **params, key=key, reason=key)
        acknowledged.append((len(recorder.done), method, key))

    where = {"directory": str(house.home), "submit_directory": str(house.home)}
    ask("job.submit", text=score("quick", [plain("quick")]), **where)
    house.wait_for("quick", "completed")
    house.gate("held")
    text = score("held", ['read _ < "$HOME/gate-held"', plain("after")])
    ask("job.submit", text=text, **where)
    for number in range(45):
        text = score(
            "held", ['read _ < "$HOME/gate-held"', plain("after")], variables={"n": f"{number:09} " * BIG}
        )
        ask("job.modify", job_id="held", text=text, directory=str(house.home))
        ask("job.resume", job_id="held")
    house.gate("held").open()
    house.wait_for("held", "completed")
    return acknowledged


@pytest.mark.crash
@pytest.mark.timeout(120 + IMAGES)
def test_whatever_a_power_cut_leaves_of_unsynced_writes_all_that_was_acknowledged_is_there(house, tmp_path):
    if not available(house.home):
        pytest.skip("the kernel does not ask about calls here")
    recorder = Recorder(house.state)
    house.state.mkdir(mode=0o700, parents=True)  # it makes the database, before the recorder's eyes
    with Kernel(house.home / "kernel", CALLS, recorder.decide) as kernel:
        house.start(*kernel.before)
        try:
            acknowledged = live(house, recorder)
        finally:
            house.kill()
    done = recorder.done
    if not any(kind == "write" for kind, *_ in done):
        pytest.skip("this SQLite was built to write by another call than pwrite")
    chance = random.Random(SEED)
    near = [at + chance.randint(-3, 3) for at, _, _ in acknowledged]
    back = [place for place, step in enumerate(done) if step[1] == "marianne.db"]
    cuts = [
        chance.choice([chance.randrange(len(done)), chance.choice(near), chance.choice(back)])
        for _ in range(IMAGES)
    ]
    disk, reached, held = Disk(), 0, []
    for number, cut in enumerate(sorted(max(0, min(cut, len(done))) for cut in cuts)):
        for step in done[reached:cut]:
            disk.do(*step)
        reached = max(reached, cut)
        left = tmp_path / str(number)
        disk.leave(left, chance)
        held.append(
            check(left, acknowledged[: bisect.bisect_right([at for at, _, _ in acknowledged], cut)], cut)
        )
        for file in left.iterdir():
            file.unlink()
    written = sum(len(step[3]) for step in done)
    print(
        f"reordered writes: {IMAGES} images, seed {SEED}; {len(done)} steps, {written >> 10} KiB, {len(back)} of the "
        f"steps on the database itself; {len(acknowledged)} requests, of them in an image {min(held)} to {max(held)}"
    )
    assert len(back) > 100, "the log was never written back"


def check(directory, acknowledged, cut):
    """Open what is left as the daemon does; return how many requests are in it."""

    async def opened():
        async with open_store(directory / "marianne.db"):
            pass

    anyio.run(opened)
    found = sqlite3.connect(directory / "marianne.db")
    try:
        assert found.execute("PRAGMA integrity_check").fetchall() == [("ok",)], f"cut at {cut}"
        assert found.execute("PRAGMA foreign_key_check").fetchall() == [], f"cut at {cut}"
        numbers = [number for (number,) in found.execute("SELECT event FROM events ORDER BY event")]
        assert numbers == list(range(1, len(numbers) + 1)), f"cut at {cut}"
        rows = found.execute("SELECT method, key, reply FROM requests WHERE reply IS NOT NULL")
        kept = {(method, key): json.loads(reply) for method, key, reply in rows}
        unbegun = found.execute("SELECT count(*) FROM runs WHERE started_at IS NULL").fetchone()
        assert unbegun == (0,), f"cut at {cut}: a run is there without its first step"
    finally:
        found.close()
    missing = {(method, key) for _, method, key in acknowledged} - kept.keys()
    assert not missing, f"cut at {cut}"
    return len(kept)
