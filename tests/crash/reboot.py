"""A host that really reboots: python tests/crash/reboot.py --kernel DIR. Some minutes, for it is emulated.

An emulated machine (qemu, no KVM needed) runs a job on this very source and is reset in the middle of it, without
a warning to anybody (`echo b > /proc/sysrq-trigger`): once with two sheets in flight, once right behind a pause that
was acknowledged. What the disk has not been told to keep is gone. Each sheet writes its start and its end into a file
on that disk and syncs that file alone: the outside ledger. At the end it is read from the disk's image, with the
database, and both are compared.

DIR is where Debian's linux-image package was unpacked (`apt-get download linux-image-...; dpkg -x *.deb DIR`); busybox
(static), cpio, mke2fs and debugfs are needed besides. The machine's root is in its memory: this Python, the packages
that Marianne needs, and each library that ldd names.
"""

import argparse
import importlib.metadata
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAMS = ("qemu-system-x86_64", "busybox", "cpio", "mke2fs", "debugfs", "bash")
MODULES = ("virtio_pci", "virtio_blk", "crc32c_generic", "ext4")
LEFT_OUT = {"test", "idlelib", "tkinter", "ensurepip", "lib2to3", "site-packages", "turtledemo"}
"""Parts of the standard library that nothing needs here."""

SHEETS = 12
JOB = """\
name: reboot
workspace: /home/work
instrument: cli
sheet: {size: 1, total_items: 6, fan_out: {1: 2, 2: 2, 3: 2, 4: 2, 5: 2, 6: 2}}
parallel: {enabled: true, max_concurrent: 2}
prompt:
  template: |
    tell() { echo "$1 $MARIANNE_SHEET $MARIANNE_ATTEMPT_ID" | dd of=/home/outside oflag=append conv=notrunc,fsync 2>/dev/null; }
    tell start; sleep 8; tell end
"""

INIT = """\
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mkdir -p /dev/shm /run /tmp; for place in /dev/shm /run /tmp; do mount -t tmpfs tmpfs $place; done
for module in $(cat /modules/order); do insmod /modules/$module; done
mount -t ext4 /dev/vda /home || echo "no disk"
export HOME=/home XDG_RUNTIME_DIR=/run PATH=/bin PYTHONPATH=/app LANG=C.UTF-8
cd /home
exec @PYTHON@ /guest.py </dev/null >/dev/ttyS0 2>&1
"""

GUEST = '''\
"""What the machine does in each of its lives."""
import json, os, subprocess, sys, time
from pathlib import Path

HOME = Path("/home")

def say(text):
    print(f"machine: {text}", flush=True)

def mzt(*words, fail=True):
    done = subprocess.run([sys.executable, "-m", "marianne_cli", *words], capture_output=True, text=True)
    say(f"mzt {' '.join(words)}: exit {done.returncode} {done.stdout[-300:]} {done.stderr[-1500:]}")
    return done

def start():
    """Start the daemon; this machine is slow, and mzt gives up before it answers."""
    until(lambda: mzt("start").returncode == 0)

def until(what, seconds=300):
    last = time.monotonic() + seconds
    while not what():
        if time.monotonic() > last:
            say("this does not come"); break
        time.sleep(0.05)

def ledger():
    return (HOME / "outside").read_text().split("\\n")

def starts():
    return sum(line.startswith("start") for line in ledger())

def note(text):
    with open(HOME / "outside", "a") as file:
        file.write(text + "\\n"); file.flush(); os.fsync(file.fileno())

def sysrq(key):
    Path("/proc/sysrq-trigger").write_text(key)
    time.sleep(60)

(HOME / "outside").touch()
life = 1 + sum(line.startswith("life") for line in ledger())
note(f"life {life}")
say(f"life {life}, {time.monotonic():.0f} s after the kernel began")
if life == 1:
    start()
    mzt("run", "/job.yaml")
    until(lambda: starts() >= 3)
    time.sleep(1.0)
    note("reset"); sysrq("b")
elif life == 2:
    before = starts()
    start()
    until(lambda: starts() >= before + 1)
    told = mzt("pause", "reboot", "--json")
    note("paused " + json.loads(told.stdout)["status"])
    sysrq("b")
else:
    before = starts()
    start()
    time.sleep(8)
    told = json.loads(mzt("status", "reboot", "--json").stdout)
    note(f"held {told['status']} {starts() - before}")
    mzt("resume", "reboot")
    mzt("wait", "reboot", "-t", "5m")
    mzt("stop")
    time.sleep(1)
    subprocess.run(["umount", "/home"])
    os.sync()
    say("over")
    sysrq("o")
'''


def missing(kernel: Path | None) -> str | None:
    """Say what keeps the machine from being made here; None: nothing does."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    lacking = [program for program in PROGRAMS if shutil.which(program, path=path) is None]
    if lacking:
        return f"no {', '.join(lacking)}"
    if kernel is None or not list(kernel.glob("boot/vmlinuz-*")):
        return "no kernel: unpack Debian's linux-image package, and name the directory"
    return None


# --- the machine ---------------------------------------------------------------------------------------------


def make_root(place: Path, kernel: Path) -> None:
    """Lay out the root of the machine."""
    for name in ("bin", "dev", "proc", "sys", "home", "etc", "modules", "app", "run", "tmp"):
        (place / name).mkdir(parents=True)
    (place / "etc/passwd").write_text("root:x:0:0:root:/home:/bin/bash\n")
    binaries = [Path(str(shutil.which("busybox"))), Path(str(shutil.which("bash")))]
    for program in binaries:
        shutil.copy(program.resolve(), place / "bin" / program.name)
    base = Path(sys.base_prefix)
    python = base / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    copy(python, place)
    library = base / "lib" / python.name
    shutil.copytree(
        library,
        place / str(library).lstrip("/"),
        ignore=lambda _, names: LEFT_OUT & set(names),
        symlinks=True,
    )
    for package in ("marianned", "marianne_cli"):
        shutil.copytree(ROOT / package, place / "app" / package)
    for name in needed("marianned"):
        for file in importlib.metadata.files(name) or []:
            if ".." not in file.parts and "__pycache__" not in file.parts:
                target = place / "app" / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file.locate(), target)
    compiling = ["-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(place / "app")]
    subprocess.run([sys.executable, *compiling], check=True)  # compiling is slow in there
    for binary in [python, *binaries, *place.rglob("*.so")]:
        for needs in libraries(binary):
            copy(needs, place)
    modules(place / "modules", kernel)
    (place / "job.yaml").write_text(JOB)
    (place / "guest.py").write_text(GUEST)
    (place / "init").write_text(INIT.replace("@PYTHON@", str(python)))
    (place / "init").chmod(0o755)


def copy(file: Path, place: Path) -> None:
    target = place / str(file).lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        shutil.copy(file.resolve(), target)


def libraries(binary: Path) -> list[Path]:
    said = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=False).stdout
    return [Path(found) for found in re.findall(r"(/\S+) \(0x", said)]


def needed(name: str, known: set[str] | None = None) -> set[str]:
    """Return the distributions that one needs, to any depth."""
    known = set() if known is None else known
    for requirement in importlib.metadata.requires(name) or []:
        other = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        if "extra ==" in requirement or other in known:
            continue
        try:
            importlib.metadata.distribution(other)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another Python, or another system
        known.add(other)
        needed(other, known)
    return known


def modules(place: Path, kernel: Path) -> None:
    """Copy the kernel's modules that are needed, and those that these need, in the order of loading."""
    found = {
        file.name.partition(".")[0].replace("-", "_"): file for file in kernel.glob("lib/modules/**/*.ko")
    }
    order: list[str] = []

    def add(name: str) -> None:
        file = found.get(name)
        if file is None or file.name in order:
            return
        match = re.search(rb"depends=([^\0]*)\0", file.read_bytes())
        for other in match.group(1).decode().split(",") if match else []:
            add(other.replace("-", "_"))
        shutil.copy(file, place / file.name)
        order.append(file.name)

    for name in MODULES:
        add(name)
    (place / "order").write_text("\n".join(order))


def pack(place: Path, file: Path) -> None:
    names = subprocess.run(["find", ".", "-print0"], cwd=place, capture_output=True, check=True).stdout
    with (
        file.open("wb") as packed,
        subprocess.Popen(["gzip", "-1"], stdin=subprocess.PIPE, stdout=packed) as squeezed,
    ):
        subprocess.run(
            ["cpio", "--null", "--create", "--format=newc", "--quiet"],
            cwd=place, input=names, stdout=squeezed.stdin, check=True,
        )  # fmt: skip


def run(work: Path, kernel: Path, seconds: float) -> str:
    """Boot the machine and let it live all its lives; return what it said."""
    (vmlinuz,) = kernel.glob("boot/vmlinuz-*")
    said = work / "console"
    command = [
        "qemu-system-x86_64", "-m", "2048", "-smp", "1", "-display", "none", "-monitor", "none",
        "-serial", f"file:{said}", "-kernel", str(vmlinuz), "-initrd", str(work / "initrd"),
        "-append", "console=ttyS0 quiet rdinit=/init no_timer_check",
        "-drive", f"file={work / 'disk'},format=raw,if=virtio,cache=writeback", "-no-user-config", "-nodefaults",
    ]  # fmt: skip
    last = time.monotonic() + seconds
    with subprocess.Popen(command) as machine:
        while machine.poll() is None:
            told = said.read_text(errors="replace") if said.exists() else ""
            if time.monotonic() > last or "Kernel panic" in told:
                machine.kill()
                print(told[-6000:])
                raise SystemExit(f"the machine is not done after {seconds:.0f} s, or has panicked")
            time.sleep(1)
    return said.read_text(errors="replace")


# --- what came of it -----------------------------------------------------------------------------------------


def taken(work: Path, name: str) -> Path:
    """Return a file of the disk, taken out of its image."""
    file = work / Path(name).name
    subprocess.run(
        ["debugfs", "-R", f"dump {name} {file}", str(work / "disk")], capture_output=True, check=True
    )
    return file


def faults(lines: list[list[str]], database: sqlite3.Connection) -> list[str]:
    """Say what ledger and database have against each other, or against the promises."""
    begun = Counter(line[2] for line in lines if line[0] == "start")
    ended = Counter(line[2] for line in lines if line[0] == "end")
    wrong = [f"{attempt} began {times} times" for attempt, times in begun.items() if times > 1]
    lives = sum(line[0] == "life" for line in lines)
    if lives != 3:
        wrong.append(f"it has lived {lives} times")
    if ["paused", "pausing"] not in lines or not any(line[:2] == ["held", "paused"] for line in lines):
        wrong.append("the pause is forgotten")
    wrong += [f"{line[2]} started over a pause" for line in lines if line[0] == "held" and line[2] != "0"]
    (status,) = database.execute("SELECT status FROM runs").fetchone()
    if status != "completed":
        wrong.append(f"the job is {status}")
    of_sheet: dict[int, list[tuple[int, str]]] = {}
    for sheet, attempt, outcome in database.execute(
        "SELECT sheet, attempt, outcome FROM attempts ORDER BY attempt"
    ):
        of_sheet.setdefault(sheet, []).append((attempt, outcome))
    for sheet in range(1, SHEETS + 1):
        attempts = of_sheet.get(sheet, [])
        if [outcome for _, outcome in attempts[-1:]] != ["succeeded"] or any(
            o != "lost" for _, o in attempts[:-1]
        ):
            wrong.append(f"sheet {sheet}: {attempts}")
            continue
        names = [name for name in begun if name.endswith(f"-{sheet}-{attempts[-1][0]}")]
        if len(names) != 1 or ended[names[0]] != 1:
            wrong.append(f"sheet {sheet} is done, and in the ledger is {names} {[ended[n] for n in names]}")
    if not any(len(attempts) > 1 for attempts in of_sheet.values()):
        wrong.append("no attempt was lost by a reset: nothing was tried")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kernel", type=Path, default=None)
    parser.add_argument("--seconds", type=float, default=1500)
    given = parser.parse_args()
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if why := missing(given.kernel):
        print(f"skipped: {why}")
        return 0
    with tempfile.TemporaryDirectory() as made:
        work = Path(made)
        make_root(work / "root", given.kernel)
        pack(work / "root", work / "initrd")
        shutil.rmtree(work / "root")
        with (work / "disk").open("wb") as disk:
            disk.truncate(2 * 1024**3)  # more than min_free_disk
        subprocess.run(["mke2fs", "-q", "-t", "ext4", str(work / "disk")], check=True)
        said = run(work, given.kernel, given.seconds)
        print("\n".join(line for line in said.splitlines() if line.startswith(("machine:", "Traceback"))))
        lines = [line.split() for line in taken(work, "/outside").read_text().splitlines()]
        print("ledger:", json.dumps(lines))
        for name in ("marianne.db-wal", "marianne.db"):
            file = taken(work, f"/.local/state/marianne/{name}")
        database = sqlite3.connect(file)
        wrong = faults(lines, database)
        print("attempts:", database.execute("SELECT sheet, attempt, outcome FROM attempts").fetchall())
    print(f"faults: {len(wrong)}")
    for fault in wrong:
        print(" ", fault)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
