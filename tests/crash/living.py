"""A job of a real daemon beside the model of it: what the journal tells is done to the model, line by line.

Each sheet waits for the word that its attempt is to end by, so nothing here depends on time: `s` succeeds,
`x` exits with 1, `a` is refused its credentials, `l` is killed by nobody we know.
"""

import os
import re

from control_model import Model, Wanted
from kit.daemon import Refused, score

WORDS = {"succeeded": b"s", "exit": b"x", "auth": b"a", "lost": b"l"}
PLAYER = """
name: player
kind: cli
raw_prompt: true
script: shell
cli:
  command: {executable: bash, prompt_flag: -c, prompt_via_stdin: false}
  output: {format: text}
  errors: {auth_error_patterns: [invalid api key]}
"""
_BODY = (
    'exec 9>>"$HOME/lock-$MARIANNE_JOB-$MARIANNE_SHEET"; flock -n 9 || note twice {0} $MARIANNE_ATTEMPT_ID; '
    'gate="$HOME/gate-$MARIANNE_ATTEMPT_ID"; mkfifo "$gate" && note start {0} $MARIANNE_ATTEMPT_ID; '
    'read -rn1 word < "$gate"; case $word in s) note end {0} $MARIANNE_ATTEMPT_ID;; l) kill -9 $$;; '
    "a) echo invalid api key >&2; exit 1;; *) exit 1;; esac"
)
_HOUR = 3_600
_RESUMES = ("resume", "resume --from", "modify -r")


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

    def send(self, house):
        """Ask, or ask again under the same key."""
        self.leave()
        self.connection = house.connect()
        self.connection.send(self.method, **self.params)

    def leave(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def read(self):
        """Read the answer that is there."""
        try:
            self.reply = self.connection.reply()
            self.said = "done" if self.reply.get("acknowledged", True) else "accepted"
        except Refused as refused:
            if refused.code not in ("E502", "E513"):
                raise
            self.said, self.reply = refused.code, refused.status
        self.leave()


class Begun:
    """What has begun, by the ledger: attempts by the name they write down, their sheet's number and their own."""

    def __init__(self, house):
        self._path = house.home / "ledger"
        self._read = 0
        self._found = {}

    def get(self, name, sheet, number):
        """Return the identity of an attempt; None: it has not begun."""
        with self._path.open("rb") as file:
            file.seek(self._read)
            news = file.read()
        for line in news.splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break
            self._read += len(line)
            word, said, identity = line.decode().split()
            if word == "start":
                self._found[said, *map(int, identity.split("-")[-2:])] = identity
        return self._found.get((name, sheet, number))


class Flight:
    """An attempt: what it writes down, which it is of which sheet, the word it is to end by."""

    def __init__(self, house, begun, name, sheet, number):
        self._house = house
        self._begun = begun
        self._known = (name, sheet, number)
        self._gate = None
        self.word = None
        self.stopped = False
        """Whether the daemon was asked to interrupt it and stop, which a crash may have come between."""

    @property
    def identity(self):
        return self._begun.get(*self._known)

    def open(self):
        """Give it its word, once it has begun; the gate stays open until it is read."""
        if self.word is not None and self._gate is None and self.identity is not None:
            self._gate = os.open(self._path, os.O_RDWR | os.O_NONBLOCK)
            os.write(self._gate, WORDS[self.word])

    @property
    def _path(self):
        return self._house.home / f"gate-{self.identity}"

    def close(self):
        if self._gate is not None:
            os.close(self._gate)
        if self.identity is not None:
            self._path.unlink(missing_ok=True)


class LiveJob:
    """A run of a job and its model. `lies` is whether a pause file lies in its workspace."""

    def __init__(self, house, begun, name, run, plan, retries):
        self.house = house
        self._begun = begun
        self.name = name
        self.run = run
        self.model = Model(plan, max_retries=retries)
        self.retries = retries
        self.submitted = False
        self.requests = []
        self.flights = {}
        self.steps = 0
        self.touched = True
        self.lies = False

    @property
    def flying(self):
        """The stages in flight whose end has not been asked for."""
        return [
            name
            for name in self.model.flying
            if self.flights[name].word is None and name not in self.model.told_to_end
        ]

    def text(self, plan):
        """Return the score of a plan."""
        numbers = {step.name: number for number, step in enumerate(plan.steps, 1)}
        return score(
            self.name,
            [_BODY.format(self.says(step)) for step in plan.steps],
            instrument="player",
            sheet={
                "dependencies": {
                    numbers[step.name]: sorted(numbers[need] for need in step.needs) for step in plan.steps
                }
            },
            movements={number: {"name": name} for name, number in numbers.items()},
            parallel={"enabled": True, "max_concurrent": plan.at_once, "fail_fast": plan.fail_fast},
            retry={
                "max_retries": self.retries,
                "base_delay_seconds": _HOUR,
                "max_delay_seconds": _HOUR,
                "jitter": False,
            },
            on_failure=plan.on_failure,
        )

    def says(self, step):
        """Return the name under which a step writes into the ledger: its prompt's, so that it may be renamed."""
        return f"{self.name}.{self.run}.{step.prompt.replace(chr(39), '+')}"

    # --- asking ----------------------------------------------------------------------------------------

    def request(self, key, action, wanted: Wanted, *, wait):
        """Make a request of this job, not yet sent."""
        made = Request(key, action, wanted, wait, *self._asked(action, wanted))
        made.params |= {"job_id": self.name, "key": key, "reason": key}
        if action != "modify --discard" or wait:
            made.params |= {"wait": wait, "timeout": _HOUR}
        made.could_refuse = not self.model.accepts(action, wanted)
        self.requests.append(made)
        self.touched = True
        return made

    def _asked(self, action, wanted: Wanted):
        numbers = {step.name: number for number, step in enumerate(self.model.score.steps, 1)}
        sheets = ",".join(str(numbers[name]) for name in wanted.sheets) or None
        match action:
            case "pause" | "pause --now":
                params = {"now": action == "pause --now", "for": wanted.lasts, "deadline": wanted.deadline}
            case "pause --before":
                params = {"before": sheets, "clear": wanted.clear}
            case "resume" | "resume --from":
                params = {"from": sheets}
            case "modify" | "modify -r":
                params = {"resume": action == "modify -r", "rerun": "changed" if wanted.changed else sheets}
                if wanted.new is not None:
                    params |= {"text": self.text(wanted.new), "directory": str(self.house.home)}
            case "modify --discard":
                params = {"discard": True}
            case _:
                params = {}
        return f"job.{action.split()[0]}", {
            name: value for name, value in params.items() if value is not None
        }

    def pause_file(self):
        (self.house.home / f"{self.name}-work" / f".marianne-pause-{self.name}").write_text("stop")
        self.lies = True

    # --- what the journal tells ----------------------------------------------------------------------

    def happens(self, event):
        """Do to the model what an event tells."""
        self.touched = True
        asked = next((one for one in self.requests if one.key == event["reason"]), None)
        before = self.model.status
        if event["type"] == "job.submitted":
            self.submitted = asked.happened = True
            self.model.answers[asked.key] = "done"
        elif event["type"] == "attempt.started":
            self._starts(event, before)
            return
        elif event["type"] == "attempt.ended":
            self._ends(event)
        elif asked is not None:
            self._asks(asked, event)
        elif event["caller"] and event["caller"]["name"] == "file":
            assert self.lies, "a pause file was found that is not there"
            self.model.file()
        elif event["caller"] is not None and event["reason"] and self.model.ended != "cancelled":
            self.model.end("cancelled")  # a fresh run takes its place
        else:
            return
        self._follow(0, before)

    def _follow(self, slots, before):
        started = self.model.follow(slots, before)
        if self.model.ended:
            self.lies = False
        for one in self.requests:
            if not one.happened and one.wanted is not None:
                one.could_refuse |= not self.model.accepts(one.action, one.wanted)
        return started

    def _starts(self, event, before):
        assert not self.lies, f"it starts over a pause file: {event}"
        assert self.model.may_start(), event
        name = self.model.score.steps[event["sheet"] - 1].name
        assert self._follow(1, before) == [name], event
        sheet = self.model.sheets[name]
        assert sheet.attempts == event["attempt"], event
        step = next(step for step in self.model.score.steps if step.name == name)
        self.flights[name] = Flight(self.house, self._begun, self.says(step), sheet.number, sheet.attempts)

    def _ends(self, event):
        name = self.model.score.steps[event["sheet"] - 1].name
        flight = self.flights.pop(name)
        begun = flight.identity is not None
        flight.close()
        (outcome,) = re.findall(r"attempt \d+ (\w+)", event["text"])
        how = {"failed": event["cause"]}.get(outcome, outcome)
        allowed = {flight.word} if flight.word else set()
        if name in self.model.told_to_end or flight.stopped:
            allowed.add("interrupted")
        if not begun:
            allowed |= {"lost", "interrupted"}
        assert how in allowed, f"{event}; it could only end as {allowed}"
        self.model.ends(name, how)

    def _asks(self, asked, event):
        assert not asked.happened, f"it is in the journal twice: {event}"
        asked.happened = True
        assert self.model.accepts(asked.action, asked.wanted), f"it is {self.model.status}: {event}"
        self.model.ask(asked.key, asked.action, asked.wanted, wait=asked.wait, keyed=True)
        if asked.action in _RESUMES:
            self.lies = False

    # --- comparing -------------------------------------------------------------------------------------

    def unrest(self, *, draining):
        """Say what is still to come by itself; nothing: the job is at rest."""
        model = self.model
        yield from (f"{name} ends" for name in model.flying if name not in self.flying)
        if not self.submitted:
            yield "it is submitted"
        elif not draining and not self.lies and model.may_start():
            room = len(model.flying) < model.score.at_once
            yield from (f"{name} starts" for name in model.ready()[: int(room)])
        for one in self.requests:
            if one.said is None and (one.key in model.answers or not one.happened):
                yield f"an answer to {one}"
            if one.said is not None and not (one.could_refuse if one.said == "E502" else one.happened):
                yield f"what explains {one}"

    def settle_requests(self):
        """Compare each answer with the model's; return those that are answered."""
        over = [one for one in self.requests if one.said is not None]
        for one in over:
            self.requests.remove(one)
            if one.said == "E502":
                assert not one.happened
            elif one.wait or one.action not in ("resume", "resume --from", "modify -r"):
                assert self.model.answers.get(one.key) == one.said, f"{one}; the model: {self.model}"
            else:
                assert one.key in self.model.answers, one
        return over

    def differences(self):
        """Say what the daemon tells and the model does not."""
        told, model = self.house.status(f"{self.name}@{self.run}"), self.model
        labels = {sheet["sheet"]: sheet["label"] for sheet in told["sheets"]}
        pairs = {
            "status": (told["status"], model.status),
            "sheets": (
                [
                    (
                        s["label"],
                        s["status"],
                        s["attempt_count"],
                        s["status"] == "waiting" and s["waiting_for"],
                    )
                    for s in told["sheets"]
                ],
                [
                    (name, s.status, s.attempts, s.status == "waiting" and s.waits_for)
                    for name, s in model.sheets.items()
                ],
            ),
            "holds": ([_cause(hold) for hold in told["holds"]], model.causes),
            "revision": (told["revision"], model.revision),
            "staged": (told["staged_revision"] is None, model.staged is None),
            "breakpoints": ({labels[at["sheet"]] for at in told["breakpoints"]}, model.breaks),
        }
        return {what: pair for what, pair in pairs.items() if pair[0] != pair[1]}


def _cause(hold):
    return "file" if hold["owner"] and hold["owner"]["name"] == "file" else hold["cause"]
