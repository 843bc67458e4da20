"""What is in flight in the random walk over a real daemon: commands that wait for the word they are to end by.

Nothing here depends on time. `s` succeeds, `x` exits with 1, `a` is refused its credentials, `r` meets a rate
limit, `l` is killed by nobody we know; `v` succeeds and its check fails, `c` succeeds and its check is killed
the first time.
"""

import copy
import os

WORDS = {
    "succeeded": b"s",
    "exit": b"x",
    "auth": b"a",
    "lost": b"l",
    "rate_limited": b"r",
    "validation": b"v",
    "check killed": b"c",
}
PROFILES = {
    "player": """
name: player
kind: cli
raw_prompt: true
script: shell
cli:
  command: {executable: bash, prompt_flag: -c, prompt_via_stdin: false}
  output: {format: text}
  errors: {auth_error_patterns: [invalid api key], rate_limit_patterns: [too many requests]}
""",
    "agent": """
name: agent
kind: cli
cli:
  command: {executable: bash, extra_flags: [-c, 'eval "$(grep -m 1 "^exec 9")"']}
  output: {format: json, result_path: result, cost_path: cost}
  errors: {auth_error_patterns: [invalid api key], rate_limit_patterns: [too many requests]}
""",
}
"""A script, which costs nothing and whose limits are its own; an agent, whose account all jobs share."""
COST = 1.0
"""What an attempt of the agent costs that ends by itself."""
_GATE = (
    'gate="$HOME/gate-$MARIANNE_ATTEMPT_ID"; mkfifo "$gate" && note {1} {0} $MARIANNE_ATTEMPT_ID; '
    'read -rn1 word < "$gate"; '
)
_FAILS = "l) kill -9 $$;; a) echo invalid api key >&2; exit 1;; r) echo too many requests >&2; exit 1;; *) exit 1;;"
SHEET = (
    'exec 9>>"$HOME/lock-$MARIANNE_JOB-$MARIANNE_SHEET"; flock -n 9 || note twice {0} $MARIANNE_ATTEMPT_ID; '
    f"{_GATE.replace('{1}', 'start')}"
    'echo $word > "$HOME/word-$MARIANNE_ATTEMPT_ID"; echo \'{{"result": "done", "cost": 1}}\'; '
    f"case $word in s|v|c) note end {{0}} $MARIANNE_ATTEMPT_ID;; {_FAILS} esac"
)
HOOK = (
    f"{_GATE.replace('{1}', 'hook')}"
    "case $word in s) note done {0} $MARIANNE_ATTEMPT_ID;; l) kill -9 $$;; *) exit 1;; esac"
)
CHECK = """
attempt=${MARIANNE_ATTEMPT_ID%-check-*}
read -r word < "$HOME/word-$attempt"
if [ $word = c ] && [ ! -e "$HOME/killed-$attempt" ]; then touch "$HOME/killed-$attempt"; kill -9 $$; fi
[ $word != v ]
"""
"""The check of every sheet that has one, a file of the home."""


class Begun:
    """What has begun, by the ledger: flights by the name they write down, their run, and which of it they are."""

    def __init__(self, house):
        self._path = house.home / "ledger"
        self._read = 0
        self.known = {}

    def __deepcopy__(self, _memo):
        return self

    def get(self, *which):
        """Return the identity of a flight, by name, run's number and its own two words; None: it has not begun."""
        with self._path.open("rb") as file:
            file.seek(self._read)
            news = file.read()
        for line in news.splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break
            self._read += len(line)
            word, said, identity = line.decode().split()
            if word in ("start", "hook"):
                self.known[said, *identity.rsplit("-", 3)[1:]] = identity
        return self.known.get(tuple(map(str, which)))


class Flight:
    """A command in flight: which one it is, and the word it is to end by. A copy of a walk shares its flights."""

    def __init__(self, house, begun, *which):
        self._house = house
        self._begun = begun
        self._which = which
        self._gate = None
        self._identity = None
        self.word = None
        self.stopped = False
        """Whether the daemon was asked to interrupt it and stop, which a crash may have come between."""
        self.deleted = False
        """Whether its directory was deleted: it can leave no record."""
        self.interrupted = False
        """Whether it has ended so once: a copy of the database of before does not know by whom."""

    def __deepcopy__(self, _memo):
        return self

    def __repr__(self):
        return f"{self._identity or self._which} {self.word} given={self._gate is not None} deleted={self.deleted}"

    @property
    def identity(self):
        if self._identity is None:
            self._identity = self._begun.get(*self._which)
        return self._identity

    def open(self):
        """Give it its word, once it has begun; the gate stays open until it is read."""
        if self.word is not None and self._gate is None and self.identity is not None and self._path.exists():
            self._gate = os.open(self._path, os.O_RDWR | os.O_NONBLOCK)
            os.write(self._gate, WORDS[self.word])

    @property
    def _path(self):
        return self._house.home / f"gate-{self.identity}"

    def close(self):
        if self._gate is not None:
            os.close(self._gate)
            self._gate = None
        if self.identity is not None:
            self._path.unlink(missing_ok=True)

    def ends(self, *, told):
        """Return how it may end; `told`: the daemon was asked to end it."""
        if self.deleted:  # it is in flight until its processes have ended, and leaves no record
            return {"lost"} if self.word or told or self.stopped else set()
        word = {"check killed": "succeeded"}.get(self.word, self.word)
        ends = {word} if word else set()
        if told or self.stopped:
            ends.add("interrupted")
        if self.interrupted:
            ends.add("lost")
        if self.identity is None:
            ends |= {"lost", "interrupted"}
        return ends


class Request:
    """One request of a walk: what was asked, the connection it waits on, what was answered.

    `could_refuse` is whether the job stood so at any moment since that the model would refuse it.
    """

    def __init__(self, key, action, wanted, wait, method, params):
        self.key = key
        self.action = action
        self.wanted = wanted
        self.wait = wait
        self.method = method
        self.params = params
        self.connection = None
        self.happened = False
        self.could_refuse = False
        self.said = None
        self.reply = None

    def __repr__(self):
        return f"{self.key}: {self.action} {self.wanted} wait={self.wait} said={self.said} {self.reply or ''}"

    def __deepcopy__(self, _memo):
        made = copy.copy(self)
        made.connection = None
        return made

    def send(self, house):
        """Ask, or ask again under the same key."""
        self.leave()
        self.connection = house.connect()
        self.connection.send(self.method, **self.params)

    def leave(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def read(self, refused):
        """Read the answer that is there; `refused` is the error that carries one."""
        try:
            self.reply = self.connection.reply()
            self.said = "done" if self.reply.get("acknowledged", True) else "accepted"
        except refused as why:
            if why.code not in ("E502", "E513"):
                raise
            self.said, self.reply = why.code, why.status
        self.leave()
