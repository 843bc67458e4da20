"""A real daemon in a home of its own, spoken with over its socket by the standard library alone.

Sheets are shell sheets: they tell the ledger when they start and end, and stop at gates that tests open.
Nothing here sleeps: waiting is for the event stream, the ledger's news, a process's end.
"""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import yaml

from kit import zygote
from kit.deadline import DEADLINE
from kit.homes import new_home
from kit.left_behind import ends_with_us
from kit.new_database import put_new_database
from kit.secrets import MARK, leaks
from marianned.executors.host import traces

AGENTS = Path(__file__).parents[1] / "fake_agents"
"""Seconds after which what a test waits for is not coming."""
LOST_AFTER = 2.0
"""Seconds after which what is gone from a cluster's list is given up, in tests."""
ENDED = ("completed", "failed", "cancelled")


class Refused(Exception):
    """An error that came over the wire."""

    def __init__(self, error):
        super().__init__(error["message"])
        self.rpc_code = error["code"]
        self.message = error["message"]
        self.data = error.get("data") or {}
        self.code = self.data.get("error_code")
        self.status = self.data.get("status")
        self.hints = self.data.get("hints")
        self.problems = self.data.get("problems")


class Connection:
    """One client's connection: send requests, read messages, in any order."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.socket.connect(str(path))
        except OSError:
            self.socket.close()
            raise
        # Only now: with a time limit, a full queue would be an error. What may wait for DEADLINE is told first.
        self.socket.settimeout(DEADLINE + 5)
        self._lines = self.socket.makefile("rb")
        self._number = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._lines.close()
        self.socket.close()

    def send(self, method, **params):
        """Send a request; return its id."""
        self._number += 1
        request = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        self.raw(json.dumps(request).encode() + b"\n")
        return self._number

    def raw(self, data):
        self.socket.sendall(data)

    def message(self):
        """Return the next message, None at the end; no secret of the tests may be in any."""
        line = self._lines.readline()
        assert MARK.encode() not in line, line
        return json.loads(line) if line else None

    def reply(self, identity=None):
        """Return the result that comes next (with this id); raise its error."""
        while True:
            message = self.message()
            if message is None:
                raise ConnectionResetError("the daemon closed the connection before it answered")
            if "id" in message and identity in (None, message["id"]):
                break
        if "error" in message:
            raise Refused(message["error"])
        return message["result"]

    def rpc(self, method, **params):
        return self.reply(self.send(method, **params))


class Gate:
    """A pipe that a sheet reads one line from; opening it before the sheet comes there is as good."""

    def __init__(self, path):
        os.mkfifo(path)
        self._descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def open(self, times=1):
        os.write(self._descriptor, b"\n" * times)

    def close(self):
        os.close(self._descriptor)


class Ledger:
    """The file where sheets write down that they start and end: the outside witness, that no kill takes away."""

    def __init__(self, home):
        self._path = home / "ledger"
        self._path.touch()
        os.mkfifo(home / "news")
        self.descriptor = os.open(home / "news", os.O_RDWR | os.O_NONBLOCK)
        """Readable when something has been written."""

    def lines(self):
        return self._path.read_text().splitlines()

    def wait_for(self, line, times=1):
        """Wait until the line is there so many times; return all lines."""
        while (lines := self.lines()).count(line) < times:
            self.news()
        return lines

    def news(self):
        """Wait until something has been written."""
        ready, _, _ = select.select([self.descriptor], [], [], DEADLINE)
        assert ready, f"nothing comes after {self.lines()}"
        os.read(self.descriptor, 65_536)

    def clear(self):
        """Forget all that was written."""
        os.truncate(self._path, 0)
        with suppress(BlockingIOError):
            os.read(self.descriptor, 65_536)

    def once(self, *sheets):
        """Assert that these sheets, and no others, have started once and ended once."""
        wanted = sorted(f"{word} {sheet}" for sheet in sheets for word in ("start", "end"))
        assert sorted(self.lines()) == wanted

    def close(self):
        os.close(self.descriptor)


def plain(sheet):
    """Return a shell sheet that starts and ends."""
    return f"note start {sheet}; note end {sheet}"


def gated(sheet):
    """Return a shell sheet that starts, and ends once its gate has been opened."""
    return f'note start {sheet}; read _ < "$HOME/gate-{sheet}"; note end {sheet}'


def score(name, bodies, **top):
    """Return the text of a score of shell sheets, one a body, one after the other unless `top` says else."""
    sheet = {"size": 1, "total_items": len(bodies)} | top.pop("sheet", {})
    return yaml.dump(
        {
            "name": name,
            "workspace": f"./{name}-work",
            "instrument": "cli",
            "sheet": sheet,
            "retry": {"max_retries": 0} | top.pop("retry", {}),
            "prompt": {
                "variables": {"bodies": dict(enumerate(bodies, 1))} | top.pop("variables", {}),
                "template": "{{ bodies[sheet_num] }}",
            },
            **top,
        },
        Dumper=yaml.CSafeDumper,
        sort_keys=False,
        width=10_000,
    )


def hooked(name, hooks, *, bodies=None, concert=None, **top):
    """Return the text of a score of one sheet, or of these, with hooks behind it."""
    given = {"concert": {"cooldown_between_jobs_seconds": 0} | (concert or {}), "on_success": hooks}
    return score(name, bodies or [plain(f"{name}-sheet")], **given | top)


def environment_of(home):
    """Return an environment with this home: ours without keys and settings, and with the fake agents."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.endswith(("_API_KEY", "_TOKEN")) and not name.startswith(("MARIANNE_", "XDG_"))
    }
    path = f"{AGENTS}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return kept | {"HOME": str(home), "PATH": path}


class Speaking:
    """What tests ask of a daemon with a home, a socket and gates; requests and replies as on the wire."""

    earlier_runs = 0
    """The number of the last run that there was before a test has it."""
    _settings = "{}"
    """What its config.toml says, beside what a test has it say."""

    def connect(self):
        return Connection(self.socket)

    def rpc(self, method, **params):
        """Ask on a connection of its own; return the result or raise Refused."""
        with self.connect() as connection:
            return connection.rpc(method, **params)

    def refusal(self, method, **params):
        """Ask what must be refused; return how."""
        try:
            result = self.rpc(method, **params)
        except Refused as refused:
            return refused
        raise AssertionError(f"it was not refused: {result}")

    def submit(self, text, **params):
        """Start a run of a score that lies in the home."""
        name = yaml.load(text, yaml.CSafeLoader)["name"]
        file = self.home / f"{name}.yaml"
        file.write_text(text)
        asked = {
            "text": text,
            "directory": str(self.home),
            "file": str(file),
            "submit_directory": str(self.home),
        }
        return self.rpc("job.submit", **(asked | params))

    def modify(self, job, text, **params):
        """Give a job a new score, whose file is not kept."""
        return self.rpc("job.modify", job_id=job, text=text, directory=str(self.home), **params)

    def status(self, job, **params):
        return self.rpc("job.status", job_id=job, **params)

    def statuses(self, job):
        """Return the statuses of a job's sheets, in order."""
        return [sheet["status"] for sheet in self.status(job)["sheets"]]

    def wait_for(self, job, *words, deadline=DEADLINE):
        """Wait until the job is one of these; return the reply."""
        with self.connect() as connection:
            connection.socket.settimeout(deadline + 5)
            return connection.rpc("job.wait", job_id=job, words=list(words), timeout=deadline)

    def events(self, after=0, job=None):
        """Yield the journal's events as they come; give up after the deadline."""
        with self.connect() as connection:
            connection.rpc("events.subscribe", after=after, job_id=job)
            while True:
                message = connection.message()
                if message is None:
                    raise ConnectionResetError("the daemon closed the stream")
                assert message["method"] == "stream.item", message
                yield message["params"]["item"]

    def event(self, job, kind, after=0, **fields):
        """Wait for an event of a job of this type and with these fields; return it."""
        for event in self.events(after, job):
            if event["type"] == kind and all(event[name] == value for name, value in fields.items()):
                return event
        raise AssertionError("unreachable")

    def journal(self, job=None):
        """Return the whole journal, of a job or of all."""
        events = []
        while page := self.rpc("events.read", job_id=job, after=events[-1]["event"] if events else 0)[
            "events"
        ]:
            events += page
        return events

    def gate(self, name):
        """Return the gate of a sheet, made at the first call."""
        if name not in self.gates:
            self.gates[name] = Gate(self.home / f"gate-{name}")
        return self.gates[name]

    def attempts(self, job, sheet):
        return self.status(job, sheets=str(sheet))["sheets"][0]["attempts"]

    def configure(self, text):
        """Write its config.toml, for its next start."""
        directory = self.home / "config" / "marianne"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "config.toml").write_text(self._settings.replace("{}", text))

    def run_sheets_on_slurm(self, **settings):
        """Have its sheets run on the cluster of SLURM_CONF; `settings` are those of [slurm], in its config.toml."""
        told = "\n".join(f"{name} = {json.dumps(value)}" for name, value in settings.items())
        self._settings = f'executor = "slurm"\n{{}}\n[slurm]\nlost_after = {LOST_AFTER:.0f}\n{told}\n'
        self.configure("")

    def install(self, name, script):
        """Put a program of this name first on the PATH of the daemon that is started next."""
        place = self.home / "bin"
        place.mkdir(exist_ok=True)
        (place / name).write_text(script)
        (place / name).chmod(0o755)
        self.environment["PATH"] = f"{place}:{self.environment['PATH']}"

    def attempt_directory(self, run_id=1, name="1-1"):
        """Return the directory of the only attempt of this name (UID-ATTEMPT) that any daemon here has made."""
        (found,) = (self.state / "attempts").glob(f"*/{run_id}/{name}")
        return found

    def processes(self, *variables):
        """Return every process whose environment has this home, and these variables (`NAME=VALUE`)."""
        home = f"HOME={self.home}".encode()
        wanted = {home, *(variable.encode() for variable in variables)}
        return [pid for pid, read in _environments() if home in read and wanted <= {*read.split(b"\0")}]


class Daemon(Speaking):
    """One daemon over its lives: the home, its environment, the process that serves now.

    It is forked off a process that has loaded it (kit/zygote.py), unless it is to be `executed`.
    """

    def __init__(self, *, executed=False):
        self._popen = subprocess.Popen if executed else zygote.Popen
        self.home = new_home()
        ends_with_us(f"HOME={self.home}")
        self.socket = self.home / "run" / "s"
        self.state = self.home / "state" / "marianne"
        self.log = self.home / "daemon.log"
        self.process = None
        self.serves = False
        self.may_fall = False
        self.may_log = []
        self.environment = environment_of(self.home) | {
            "XDG_STATE_HOME": str(self.home / "state"),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "XDG_RUNTIME_DIR": str(self.home / "runtime"),
            "MARIANNE_SOCKET": str(self.socket),
        }
        self.gates = {}
        self.ledger = Ledger(self.home)

    # --- its life ----------------------------------------------------------------------------------------

    def mzt(self, *words, seconds=DEADLINE):
        """Run `mzt` beside it; return how it ended and what it said."""
        return zygote.run(
            [sys.executable, "-m", "marianne_cli", *words],
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=seconds,
        )

    def checks(self):
        """Return what `marianned --check` finds, which is what doctor shows."""
        command = [sys.executable, "-m", "marianned", "--check", "--json"]
        ran = zygote.run(command, env=self.environment, capture_output=True, check=False)
        found = json.loads(ran.stdout)["checks"]
        assert ran.returncode == int(not all(check["passed"] for check in found)), found
        return found

    def start(self, *before, **environment):
        """Start it (by the command `before`); returns when it serves, or has met a fault that it was given."""
        self.serves = False
        if not self.state.exists():
            self.state.mkdir(mode=0o700, parents=True)
            put_new_database(self.state / "marianne.db")
        ours, its = os.pipe()
        with self.log.open("ab") as log:
            self.process = self._popen(
                [*before, sys.executable, "-m", "marianned", "--ready-fd", str(its)],
                env=self.environment | environment,
                cwd=self.home,
                pass_fds=[its],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        os.close(its)
        ready, _, _ = select.select([ours], [], [], DEADLINE)
        said = os.read(ours, 1) if ready else b""
        os.close(ours)
        self.serves = said == b"1"
        if not self.serves:
            assert self.may_fall or environment.get("MARIANNE_FAULT"), (
                f"it is not ready: {self.process.poll()} {self.log.read_text()}"
            )
        return self

    def kill(self):
        """Kill it as nothing can be told of."""
        self.process.kill()
        self.until_stopped()

    def until_stopped(self):
        """Wait until it has stopped, as it was asked to; return how."""
        gone(self.process.pid, DEADLINE)  # at once, where Popen looks every now and then
        return self.process.wait(0)

    def until(self, so):
        """Wait until something is so that nobody tells of, and return it: it is looked at now and then."""
        end = time.monotonic() + DEADLINE
        while not (found := so()):
            assert not gone(self.process.pid, 0.02), self.log.read_text()
            assert time.monotonic() < end, "it does not come"
        return found

    def stop(self):
        """Stop it as an operator does."""
        self.process.send_signal(signal.SIGTERM)
        assert self.until_stopped() == 0, self.log.read_text()

    # --- the end -------------------------------------------------------------------------------------------

    def close(self):
        """Cancel everything, stop, and say what is left: processes of ours, tracebacks in the log, secrets."""
        try:
            self.end_jobs()
        except Exception as error:
            error.add_note(self.log.read_text())
            raise
        finally:
            if left := [described(pid) for pid in self.processes() if not gone(pid)]:
                kill_all(self.processes())
            self.ledger.close()
            for gate in self.gates.values():
                gate.close()
            log = self.log.read_text() if self.log.exists() else ""
            told = leaks(self.home)
            shutil.rmtree(self.home, ignore_errors=True)
        assert not left, f"left behind: {left}"
        assert not told, f"a secret stands in {told}"
        unexpected = "Traceback" in log and not any(words in log for words in self.may_log)
        assert not unexpected, log

    def end_jobs(self):
        """Cancel everything and stop, once."""
        if self.process is None:
            return
        if self.process.poll() is not None:
            self.start()
        for job in self.rpc("job.list", statuses=["active", "held"])["jobs"]:
            with suppress(Refused):  # it may have ended meanwhile
                self.rpc("job.cancel", job_id=job["job_name"], wait=True, timeout=DEADLINE)
        self.stop()
        self.process = None

    def workers(self):
        """Return the workers of the daemon's pool."""
        return [pid for pid in children(self.nursery()) if name_of(pid) == "mzt-worker"]

    def until_none_rests(self):
        """End the supervisors that wait for another attempt, where no other lives."""
        servers = [pid for pid in children(self.process.pid) if " forkserver" in described(pid)]
        for pid in [pair for server in servers for pair in children(server)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            assert gone(pid)

    def nursery(self):
        """Return the process that forks the workers; 0: there is none."""
        return next((pid for pid in children(self.process.pid) if name_of(pid) == "mzt-nursery"), 0)


def name_of(pid):
    """Return the name that a process has given itself, or its program's."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def children(pid):
    """Return the pids of a process's children, whichever of its threads has started them."""
    found = []
    for lists in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(one) for one in lists.read_text().split()]
    return found


def kill_all(pids):
    """Kill the processes of these that are still there."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def environments():
    """Yield the pid and the environment of every process but this one."""
    for pid, read in _environments():
        yield pid, set(read.split(b"\0"))


def _environments():
    """Yield them as they are read: there are hundreds each time that a daemon is closed."""
    for name in os.listdir("/proc"):  # noqa: PTH208  a path of each would take as long as all else here
        if not name.isdecimal() or int(name) == os.getpid():
            continue
        if given := traces.environment_of(int(name)):
            yield int(name), given


def gone(pid, seconds=5.0):
    """Wait for a process's end; tell whether it came."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)


def described(pid):
    try:
        return f"{pid}: {Path(f'/proc/{pid}/cmdline').read_bytes().replace(bytes(1), b' ').decode()}"
    except OSError:
        return str(pid)
