"""Whatever is sent, the daemon goes on, answers the others in time, and is afterwards what it was.

MARIANNE_HOSTILE=1000000 sends so many frames.
"""

import os
import random
import select
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hostile import Frames
from kit.daemon import DEADLINE, Connection, Daemon, gated, plain, score

FRAMES = int(os.environ.get("MARIANNE_HOSTILE", "3000"))
LONG = FRAMES > 100_000
SENDERS = 4
AT_ONCE = 250
SLOW = 200 if LONG else 40
DROPS = 20_000 if LONG else 200
OVERSIZE = 0.005 if LONG else 0.1
EVENTS = 15_000 if LONG else 1_200
"""What comes to pass while a reader does not read: more than may wait for it."""
LAZY = 16
"""Descriptors of readers of the database and of workers, which are opened when they are first needed."""
LAST = b'{"jsonrpc":"2.0","id":"last","method":"daemon.hello"}\n'
MIB = 1024 * 1024
GROWTH = 10 * MIB


@pytest.fixture
def served():
    made = Daemon().start()
    try:
        made.submit(score("solo", [plain(1)]))
        made.wait_for("solo", "completed")
        yield made
    finally:
        made.close()


def memory(daemon):
    return int(Path(f"/proc/{daemon.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors(daemon):
    return [*Path(f"/proc/{daemon.process.pid}/fd").iterdir()]


class Work(threading.Thread):
    """A thread whose failure the test tells of."""

    def __init__(self, act, *arguments):
        super().__init__()
        self._act = act
        self._arguments = arguments
        self.failure = None

    def run(self):
        try:
            self._act(*self._arguments)
        except Exception as failure:  # noqa: BLE001  the test tells of it
            self.failure = failure


def send_frames(daemon, count, seed):
    """Send frames over one connection after the other; some are left in the middle of a frame."""
    chance = random.Random(seed)
    frames = Frames(chance)
    while count > 0:
        many = min(count, AT_ONCE)
        with daemon.connect() as line, suppress(BrokenPipeError, ConnectionResetError):
            reading = threading.Thread(target=drain, args=(line,))
            reading.start()
            try:
                line.raw(b"".join(frames.frame() + b"\n" for _ in range(many)))
                if chance.random() < OVERSIZE:
                    line.raw(frames.oversize())
                else:
                    line.raw(LAST + frames.frame()[: chance.choice([0, 10])])
                line.socket.shutdown(socket.SHUT_WR)
            finally:
                reading.join(DEADLINE)
        count -= many


def drain(line):
    """Read until the last request is answered, or the daemon closes; streams that were opened go on."""
    end = b""
    with suppress(OSError):
        while b'"id":"last"' not in end and (data := line.socket.recv(MIB)):
            end = end[-20:] + data


def drop(daemon, count, seed):
    """Connect and be gone, with or without a word."""
    chance = random.Random(seed)
    for _ in range(count):
        line = daemon.connect()
        with suppress(OSError):
            line.raw(chance.choice([b"", b"{", b'{"jsonrpc":"2.0","id":1,"method":"daemon.hello"}\n']))
        line.close()


def speak_slowly(daemon, done):
    """Keep connections that send a byte at a time and never finish a request."""
    lines = [daemon.connect() for _ in range(SLOW)]
    while not done.wait(1.0):
        for line in lines:
            with suppress(OSError):
                line.raw(b"[")
    for line in lines:
        line.close()


def measure(daemon, done, times):
    """Be the healthy client."""
    with daemon.connect() as line:
        while not done.wait(0.01):
            before = time.perf_counter()
            assert line.rpc("job.status", job_id="solo")["status"] == "completed"
            times.append(time.perf_counter() - before)


def test_hostile_frames_end_nothing_and_leave_nothing_behind(served):
    seed = int(os.environ.get("STORM_SEED", random.SystemRandom().randrange(10**6)))
    print(f"STORM_SEED={seed}")
    first = [Work(send_frames, served, 2 * AT_ONCE, f"{seed} first {one}") for one in range(SENDERS)]
    for work in first:
        work.start()
    for work in first:
        work.join()  # what is made once is made
    before = memory(served), descriptors(served)
    done, times = threading.Event(), []
    beside = [Work(speak_slowly, served, done), Work(measure, served, done, times)]
    hostile = [Work(send_frames, served, FRAMES // SENDERS, f"{seed} {one}") for one in range(SENDERS)]
    hostile.append(Work(drop, served, DROPS, seed))
    began = time.monotonic()
    for work in beside + hostile:
        work.start()
    for work in hostile:
        work.join()
    took = time.monotonic() - began
    done.set()
    for work in beside:
        work.join()
    assert [work.failure for work in beside + hostile] == [None] * len(beside + hostile)
    assert served.rpc("job.status", job_id="solo")["status"] == "completed"
    assert until(lambda: len(descriptors(served)) <= len(before[1]) + LAZY)
    limit = before[0] + GROWTH
    within = until(lambda: memory(served) <= limit)
    grown = memory(served) - before[0]
    times.sort()
    p99 = times[len(times) * 99 // 100]
    print(
        f"{FRAMES} frames, {DROPS} drops, {SLOW} slow connections in {took:.0f} s; a healthy client: p50 "
        f"{times[len(times) // 2] * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms; memory {grown / MIB:+.1f} MiB"
    )
    assert within


def until(true):
    """Wait until the kernel shows what nothing tells of; tell whether it did."""
    ends = time.monotonic() + DEADLINE
    while not true():
        if time.monotonic() > ends:
            return False
        select.select([], [], [], 0.02)
    return True


@pytest.mark.slow
def test_a_reader_that_never_reads_is_ended_costs_little_and_delays_nobody(served):
    served.gate(1)
    served.submit(score("held", [gated(1)]))
    served.wait_for("held", "running")
    with select.epoll() as ended, served.connect() as busy, Connection(served.socket) as deaf:
        deaf.send("events.subscribe", after=0)
        ended.register(deaf.socket.fileno(), 0)  # HUP is told unasked
        before = memory(served)
        times = []
        sent = 0
        while sent < EVENTS:
            began = time.perf_counter()
            busy.rpc("job.pause", job_id="held", reason="x" * 1_000)
            busy.rpc("job.resume", job_id="held", reason="y" * 1_000)
            times.append((time.perf_counter() - began) / 2)
            sent += 2
        assert ended.poll(DEADLINE), "it is not ended"
    times.sort()
    grown = memory(served) - before
    print(f"{sent} events; memory {grown / MIB:+.1f} MiB; p99 {times[len(times) * 99 // 100] * 1000:.1f} ms")
    assert (
        grown < 4 * MIB + 6 * MIB
    )  # what a thousand changes leave in the pools of the allocator is not the reader's
