"""A second, slow and plain writing of the contract of control, to compare the real one with.

It knows sheets by their stage's name, scans everything at every step, and shares no code with the
product. Times are seconds. Source: design/control.md §2-§8, spec/score-format.md §15 and §17.
"""

from dataclasses import dataclass, field

MAX_RETRIES = 1
RETRY_SECONDS = 10
RATE_LIMIT_SECONDS = 3600

ALLOWED = {
    "pause": {"queued", "running", "pausing"},
    "resume": {"pausing", "paused", "failed", "cancelled"},
    "modify": {"queued", "running", "pausing", "paused", "failed"},
    "modify -r": {"queued", "running", "pausing", "paused", "failed"},
    "modify --discard": {"pausing"},
    "cancel": {"queued", "running", "pausing", "paused", "cancelling"},
}
"""In which statuses a request is accepted; no hold of this walk ends by itself."""


@dataclass(frozen=True)
class Step:
    """One stage of a score, with one sheet."""

    name: str
    prompt: str
    needs: frozenset[str]


@dataclass(frozen=True)
class Score:
    """A score as the model knows it."""

    steps: tuple[Step, ...]
    at_once: int = 1
    fail_fast: bool = True
    on_failure: str = "fail"


@dataclass
class Sheet:
    """Where one sheet stands."""

    status: str = "pending"
    tries: int = 0
    attempts: int = 0
    lost: int = 0
    until: float = 0
    waits_for: str = ""

    def begin_anew(self) -> None:
        """Return to the beginning; attempts stay in history."""
        self.status, self.tries, self.lost, self.waits_for = "pending", 0, 0, ""

    def wait(self, what: str, until: float) -> None:
        """Wait for something until then."""
        self.status, self.waits_for, self.until = "waiting", what, until


@dataclass
class Waiter:
    """A request that has no answer yet. `mark`: holds from this one on came after it."""

    name: str
    action: str
    wait: bool
    keyed: bool
    hold: int | None
    mark: int
    revision: int


@dataclass
class Model:
    """One job."""

    score: Score
    now: float = 0
    ended: str | None = None
    cancel: bool = False
    begun: bool = False
    holds: dict[int, str] = field(default_factory=dict)
    last_hold: int = 0
    staged: Score | None = None
    staged_hold: int | None = None
    revision: int = 1
    last_revision: int = 1
    paused_at: float = 0
    sheets: dict[str, Sheet] = field(default_factory=dict)
    waiters: list[Waiter] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Every sheet begins as pending."""
        self.sheets = {step.name: Sheet() for step in self.score.steps}

    # --- looking ---------------------------------------------------------------------------------------

    @property
    def flying(self) -> list[str]:
        return [step.name for step in self.score.steps if self.sheets[step.name].status == "running"]

    @property
    def status(self) -> str:
        if self.ended:
            return self.ended
        if self.cancel and self.flying:
            return "cancelling"
        if (self.holds or self.staged) and self.flying:
            return "pausing"
        if self.holds:
            return "paused"
        return "running" if self.flying or self.begun else "queued"

    def may_start(self) -> bool:
        return not (self.ended or self.cancel or self.holds or self.staged)

    def needs(self, name: str) -> frozenset[str]:
        return next(step.needs for step in self.score.steps if step.name == name)

    def blocked(self, name: str) -> bool:
        return any(self.sheets[need].status == "failed" or self.blocked(need) for need in self.needs(name))

    def failed(self) -> bool:
        return any(sheet.status == "failed" for sheet in self.sheets.values())

    def could_start(self) -> bool:
        if self.failed() and self.score.fail_fast:
            return False
        return any(
            sheet.status in ("pending", "waiting") and not self.blocked(name)
            for name, sheet in self.sheets.items()
        )

    def ready(self) -> list[str]:
        if self.failed() and self.score.fail_fast:
            return []
        return [
            step.name
            for step in self.score.steps
            if self.sheets[step.name].status == "pending"
            and all(self.sheets[need].status == "completed" for need in step.needs)
        ]

    # --- what happens ----------------------------------------------------------------------------------

    def ends(self, name: str, how: str) -> None:
        """The attempt in flight of a sheet ends."""
        sheet = self.sheets[name]
        lost, sheet.lost = sheet.lost, 0
        match how:
            case "succeeded":
                sheet.status = "completed"
            case "exit" if sheet.tries < MAX_RETRIES:
                sheet.tries += 1
                sheet.wait("retry", self.now + RETRY_SECONDS)
            case "exit" | "config":
                sheet.status = "failed"
                sheet.tries += how == "exit"
            case "lost":
                sheet.lost = lost + 1
                sheet.status = "failed" if sheet.lost == 3 else "pending"
            case "interrupted":
                sheet.status = "pending"
            case "rate_limited":
                sheet.wait("rate_limit", self.now + RATE_LIMIT_SECONDS)
            case "auth":
                sheet.status = "pending"
                if "auth" not in self.holds.values():
                    self.hold("auth")

    def hold(self, cause: str) -> int:
        self.last_hold += 1
        self.holds[self.last_hold] = cause
        return self.last_hold

    def file(self) -> None:
        """A pause file is found."""
        if not self.ended and not self.cancel and "file" not in self.holds.values():
            self.hold("file")

    def accepts(self, action: str) -> bool:
        """Tell whether a request is accepted as things stand."""
        return self.status in ALLOWED[action] and (action != "modify --discard" or self.staged is not None)

    def ask(self, name: str, action: str, new: Score | None, *, wait: bool, keyed: bool) -> None:
        """Carry an accepted request out."""
        hold: int | None = None
        status = self.status
        revised = action in ("modify", "modify -r") and new != (self.staged or self.score)
        if revised and new is not None:
            self.drop_staged()
            self.last_revision += 1
            self.staged = new
            if not self.flying:
                self.apply()
        if action == "pause" or (action == "modify" and revised and status != "failed"):
            hold = self.hold("user")
        if action == "modify" and self.staged and revised:
            self.staged_hold = hold
        if action in ("resume", "modify -r"):
            self.go_on(status)
        if action == "modify --discard":
            self.drop_staged()
        if action == "cancel" and status != "cancelling":
            self.cancel = True
            self.drop_staged()
        newest = self.last_staged_or_current()
        mark = self.last_hold + 1 if hold is None else hold
        self.waiters.append(Waiter(name, action, wait, keyed, hold, mark, newest))

    def last_staged_or_current(self) -> int:
        return self.last_revision if self.staged else self.revision

    def go_on(self, status: str) -> None:
        """Resume: of an ended job, of a paused or pausing one; of the others it is nothing."""
        if status in ("failed", "cancelled"):
            self.reset()
            self.ended, self.begun = None, False
        elif status in ("paused", "pausing"):
            if "failure" in self.holds.values():
                self.reset()
            if status == "paused":
                for sheet in self.sheets.values():
                    if sheet.waits_for == "retry" and sheet.until > self.paused_at:
                        sheet.until += self.now - self.paused_at
            self.holds.clear()
            self.staged_hold = None
            self.begun = bool(self.flying)

    def reset(self) -> None:
        for sheet in self.sheets.values():
            if sheet.status in ("failed", "cancelled"):
                sheet.begin_anew()

    def drop_staged(self) -> None:
        if self.staged is None:
            return
        self.staged = None
        if self.staged_hold is not None:
            self.holds.pop(self.staged_hold, None)
        self.staged_hold = None

    def apply(self) -> None:
        """The staged revision is in force: sheets are who they are by the name of their stage."""
        assert self.staged
        assert not self.flying
        before = {step.name: step for step in self.score.steps}
        sheets: dict[str, Sheet] = {}
        for step in self.staged.steps:
            sheet = sheets[step.name] = self.sheets.get(step.name, Sheet())
            changed = step.name in before and before[step.name] != step
            if sheet.status in ("failed", "cancelled") or (
                changed and sheet.status != "completed" and sheet.attempts
            ):
                sheet.begin_anew()
        self.score, self.sheets, self.revision = self.staged, sheets, self.last_revision
        self.staged, self.staged_hold = None, None

    def end(self, how: str) -> None:
        for sheet in self.sheets.values():
            if sheet.status in ("pending", "waiting"):
                sheet.status = "cancelled" if how == "cancelled" else "pending"
                sheet.waits_for = ""
        self.drop_staged()
        self.holds.clear()
        self.ended, self.cancel = how, False

    # --- what follows ----------------------------------------------------------------------------------

    def follow(self, slots: int, before: str) -> list[str]:
        """Waits that are over, settling, starting, answering; return the sheets that start."""
        if self.may_start():
            for sheet in self.sheets.values():
                if sheet.status == "waiting" and sheet.until <= self.now:
                    sheet.status, sheet.waits_for = "pending", ""
        self.settle()
        started: list[str] = []
        while (
            self.may_start()
            and len(started) < slots
            and len(self.flying) < self.score.at_once
            and self.ready()
        ):
            name = self.ready()[0]
            self.sheets[name].status = "running"
            self.sheets[name].attempts += 1
            self.begun = True
            started.append(name)
        if self.status == "paused" and before != "paused":
            self.paused_at = self.now
        self.answer()
        return started

    def settle(self) -> None:
        while not self.ended and not self.flying:
            if self.cancel:
                self.end("cancelled")
            elif self.staged:
                self.apply()
            elif self.could_start():
                return
            elif not self.failed():
                self.end("completed")
            elif self.score.on_failure != "pause":
                self.end("failed")
            elif "failure" in self.holds.values():
                return
            else:
                self.hold("failure")

    def answer(self) -> None:
        for waiter in list(self.waiters):
            said = "done" if self.wish(waiter) else None
            if said is None and not waiter.wait:
                said = "accepted"
            if said is None and self.taken_back(waiter):
                said = "E513"
            if said is not None:
                self.answers[waiter.name] = said
                self.waiters.remove(waiter)

    def wish(self, waiter: Waiter) -> bool:
        status = self.status
        in_force = self.revision == waiter.revision
        match waiter.action:
            case "pause":
                return status == "paused"
            case "resume":
                return status in ("running", "completed", "failed") and not self.holds and not self.staged
            case "modify":
                return in_force
            case "modify -r":
                return in_force and not self.holds and status != "cancelled"
            case "modify --discard":
                return not self.staged
            case _:
                return status == "cancelled"

    def taken_back(self, waiter: Waiter) -> bool:
        if self.ended:
            return True
        if self.cancel:
            return waiter.action != "cancel"
        if waiter.action == "pause":
            return waiter.hold not in self.holds
        living = {self.revision} | ({self.last_revision} if self.staged else set())
        if waiter.action in ("modify", "modify -r") and waiter.revision not in living:
            return True
        return waiter.action in ("resume", "modify -r") and any(hold >= waiter.mark for hold in self.holds)
