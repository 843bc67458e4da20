"""A machine with a real systemd: started by ../shared/systemd/with-systemd.sh, spoken with over a pipe.

Run as a program it is the far end, inside: it makes places of the test's own out of what would be the
machine's, then runs what it is told, one JSON line each.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "../shared/systemd/with-systemd.sh"
PATIENCE = 90.0


class Host:
    """The near end."""

    def __init__(self, home):
        self.home = Path(home)
        self.config = self.home / "root" / ".config"
        self.units = self.config / "systemd" / "user"
        self.log = (self.home / "host.log").open("wb")
        self.process = subprocess.Popen(
            [SCRIPT, "--user", "--", sys.executable, __file__, str(self.home)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
            cwd="/",
        )  # fmt: skip
        self.ready = self.process.stdout.readline() == "ready\n"

    def why_not(self):
        """Wait for its end; return what it says of that."""
        self.process.wait(PATIENCE)
        return self.process.returncode, (self.home / "host.log").read_text().strip()

    def run(self, *argv, code=0, as_user=None, **environment):
        """Run a command inside; return what it printed."""
        told = {"argv": [str(word) for word in argv], "environment": environment, "user": as_user}
        self.process.stdin.write(json.dumps(told) + "\n")
        self.process.stdin.flush()
        done = json.loads(self.process.stdout.readline())
        assert code is None or done["code"] == code, (argv, done, self._lately())
        self.stderr = done["stderr"]
        return done["stdout"]

    def _lately(self):
        """Return what the machine's journal says at the end, to explain a failure."""
        return self.run("journalctl", "--no-pager", "-o", "cat", "-n", "40", code=None)

    def mzt(self, *arguments, code=0, **environment):
        return self.run(sys.executable, "-P", "-m", "marianne_cli", *arguments, code=code, **environment)

    def json(self, *arguments, code=0, **environment):
        return json.loads(self.mzt(*arguments, "--json", code=code, **environment))

    def systemctl(self, *arguments, code=0):
        return self.run("systemctl", "--user", *arguments, code=code)

    def show(self, name, unit="marianned.service"):
        return self.systemctl("show", unit, "-P", name).strip()

    def journal(self, *fields):
        """Return the daemon's log. Its manager has a name of its own here, so `--user -u` does not find it."""
        return self.run("journalctl", "-t", "marianned", "--no-pager", "-o", "cat", *fields, code=None)

    def close(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self.process.stdout.close()
        self.log.close()


# --- inside ----------------------------------------------------------------------------------------------

USERS = {"ann": 5001, "bob": 5002}


def with_home(home):
    """Put a directory of the test's own where root's home is; of that only what Python and we need stays."""
    real, own = Path.home(), home / "root"
    own.mkdir(0o755)
    for needed in {Path(sys.base_prefix), Path(sys.prefix), Path(__file__).resolve()}:
        if needed.is_relative_to(real):
            part = needed.relative_to(real).parts[0]
            if not (own / part).exists():
                (own / part).mkdir()
                subprocess.run(["mount", "--bind", real / part, own / part], check=True)
    subprocess.run(["mount", "--rbind", own, real], check=True)


def with_users(home):
    """Add two people to those the machine knows."""
    for kind, line in (("passwd", "{0}:x:{1}:{1}::{2}:/bin/sh\n"), ("group", "{0}:x:{1}:\n")):
        text = Path(f"/etc/{kind}").read_text()
        file = home / kind
        file.write_text(text + "".join(line.format(n, i, home / n) for n, i in USERS.items()))
        subprocess.run(["mount", "--bind", file, f"/etc/{kind}"], check=True)
    for name, number in USERS.items():
        (home / name).mkdir()
        os.chown(home / name, number, number)


def serve(home):
    """Prepare the places, then run what comes."""
    with_home(home)
    subprocess.run(["mount", "--bind", "/run/systemd/system", "/etc/systemd/system"], check=True)
    with_users(home)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MARIANNE_", "XDG_STATE", "XDG_CONFIG"))}
    print("ready", flush=True)
    for line in sys.stdin:
        told = json.loads(line)
        argv, user = told["argv"], told["user"]
        environment = kept | told["environment"]
        if user:
            argv = ["setpriv", f"--reuid={USERS[user]}", f"--regid={USERS[user]}", "--clear-groups", *argv]
            environment = {"HOME": str(home / user), "PATH": kept["PATH"], "USER": user} | told["environment"]
        done = subprocess.run(
            argv,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            cwd="/",
        )
        said = {"code": done.returncode, "stdout": done.stdout, "stderr": done.stderr}
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
