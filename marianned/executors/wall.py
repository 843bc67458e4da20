"""A wall around commands, `contain: hide`: bubblewrap hides the conductor's files and processes from them.

Inside, all is as outside, but for the hidden directories and the processes: a pid namespace of its own.
The runner stays outside and looks after it as after any command (shim.py). Between the two stand three of the
wall's own: bubblewrap, the namespace's first process, and DOOR, which tells the runner how the command ended
(bubblewrap would turn a signal into an exit code), and lets TERM pass it by.
Source: docs/security.md "A wall".
"""

import os
import shutil
import stat
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from marianned.code_images import interpreter
from marianned.paths import home_directory

OUT = "out"
"""What a command behind the wall may write of its attempt's directory; TMPDIR is below it."""
_TRIAL_SECONDS = 10.0
_CURE = "type: apt-get install bubblewrap"
_NAMESPACES = (
    "let this user make user namespaces (sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces)"
)
_KEPT_FROM_ROOT = (
    "SYS_ADMIN",
    "SYS_PTRACE",
    "SYS_MODULE",
    "SYS_RAWIO",
    "MKNOD",
    "DAC_READ_SEARCH",
    "SYS_BOOT",
)
"""What would take the wall down again; only what root runs has any of them."""
DOOR = """
import os, signal, sys
report, status = map(int, sys.argv[1:3])
words = sys.argv[3:]
os.set_inheritable(report, False)
os.set_inheritable(status, False)
os.write(status, b".")
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, signal.SIG_IGN)
command = os.fork()
if not command:
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(words[0], words)
    except Exception as error:
        said = f"'{words[0]}': {getattr(error, 'strerror', None) or error}"
        os.write(report, said.encode(errors="replace")[:500])
    os._exit(127)
os.close(report)
ended = os.waitpid(command, 0)[1]
os.write(status, b"%d\\n" % ended)
os._exit(0)
"""


def missing(environ: Mapping[str, str]) -> str | None:
    """Say why there can be no wall here, and the cure; None: there can. It is tried, in some milliseconds."""
    program = _program(environ)
    if program is None:
        return f"bubblewrap (bwrap) is not on the daemon's PATH; {_CURE}"
    trial = [program, "--dev-bind", "/", "/", *_namespace(), "--", "true"]
    try:
        subprocess.run(
            trial, check=True, capture_output=True, timeout=_TRIAL_SECONDS, stdin=subprocess.DEVNULL
        )
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines()
        return f"bubblewrap does not work here ({said[-1] if said else error.returncode}); {_NAMESPACES}"
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap can't be tried: {error}"
    return None


def hidden(directories: Iterable[Path], socket: Path) -> list[Path]:
    """Return what is hidden, without links: these directories; the socket, with its directory if private."""
    found = [directory.resolve() for directory in directories]
    place, home = socket.parent.resolve(), home_directory().resolve()
    private = place.is_dir() and not stat.S_IMODE(place.stat().st_mode) & 0o077
    found.append(place if private and place != home and place not in home.parents else place / socket.name)
    return sorted({one for one in found if not any(other in one.parents for other in found)})


def in_hidden(path: str, hides: Iterable[Path]) -> Path | None:
    """Return the hidden directory in which a path lies, if it does."""
    real = Path(path).resolve()
    return next((one for one in hides if real == one or one in real.parents), None)


def words(
    environ: Mapping[str, str], hides: Iterable[Path], own: Path, out: Path | None, kept: Iterable[Path] = ()
) -> list[str]:
    """Return what stands before a command: `own` is shown read-only, `out` below it can be written.

    `kept` can be read and not written. No directory above any of these can be renamed, or another would take
    its place for the daemon outside: each is a mount of its own, which the kernel holds fast.

    Raises:
        FileNotFoundError: there is no bubblewrap.
    """
    hides, kept = list(hides), [one.resolve() for one in kept if one.is_dir()]
    program = _program(environ)
    if program is None:
        raise FileNotFoundError(f"contain: hide, and bubblewrap (bwrap) is not on the daemon's PATH; {_CURE}")
    above = {directory for one in [*hides, *kept] for directory in one.parents} - {Path("/")}
    mounts = [word for one in sorted(above) if one.is_dir() for word in ("--dev-bind", str(one), str(one))]
    for one in kept:
        mounts += ["--ro-bind", str(one), str(one)]
    for one in hides:
        if one.is_dir():
            mounts += ["--tmpfs", str(one)]
        elif one.exists():
            mounts += ["--ro-bind", os.devnull, str(one)]
    mounts += ["--ro-bind", str(own), str(own)]
    if out is not None:
        mounts += ["--bind", str(out), str(out)]
    for one in hides:
        if one.is_dir():
            mounts += ["--remount-ro", str(one)]
    door = [interpreter(), "-I", "-S", "-c", DOOR]
    return [program, "--dev-bind", "/", "/", *mounts, *_namespace(), "--", *door]


def _namespace() -> list[str]:
    drops = [word for name in _KEPT_FROM_ROOT for word in ("--cap-drop", f"CAP_{name}")]
    return ["--unshare-pid", "--proc", "/proc", *(drops if os.getuid() == 0 else ())]


def _program(environ: Mapping[str, str]) -> str | None:
    return shutil.which("bwrap", path=environ.get("PATH"))
