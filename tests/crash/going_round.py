"""The loop of a job in the random walk over a real daemon: its text, and what its question may be answered.

What the journal tells of a judged round is done to the model, if the facts allow that answer: how the last stage
has ended, the number of the round, or a file in the workspace that the walk puts there and takes away.
"""

UNTIL = {
    "passed": None,
    "round": "loop.round == 2",
    "file": 'file("{file}").exists',
    "fault": "sheets.get(99).exit_code == 0",
}
"""What a loop's `until` asks for, by the word of its plan; the first is what it asks for by itself."""
_BY_WORD = "its last stage was "
"""So a loop ends by the word of a person who has skipped or accepted that stage: nothing was asked."""


class LiveLoop:
    """The loop of one job; `enough` is whether its file lies in the workspace."""

    def __init__(self, job):
        self._job = job
        self.enough = False
        self._seen = {False}
        """Whether the file lay there, at any moment since the last answer."""
        self._well = {}
        """Of sheets by their own number: whether their last attempt has gone well."""

    # --- its score ---------------------------------------------------------------------------------------

    def text(self, plan, numbers):
        """Return what a score says of the loop of a plan."""
        if plan.loop is None:
            return {}
        span = sorted(numbers[name] for name in plan.loop.span)
        until = UNTIL[plan.loop.until]
        written = {"count" if plan.loop.exact else "max_iterations": plan.loop.rounds}
        if until is not None and not plan.loop.exact:
            written["until"] = until.format(file=self._file)
        if plan.loop.goes_on:
            written["on_exhausted"] = "continue"
        return {"loops": {f"{span[0]}-{span[-1]}" if len(span) > 1 else f"{span[0]}": written}}

    @property
    def _file(self):
        return f"enough-{self._job.voice}"

    def put(self, *, enough):
        """Let the file lie in the workspace, or not, from now on; nothing before there is a workspace."""
        file = self._job.workspace / self._file
        if file.parent.is_dir():
            file.unlink(missing_ok=True)
            if enough:
                file.touch()
            self.enough = enough
            self._seen.add(enough)

    # --- what the journal tells --------------------------------------------------------------------------

    def ended(self, number, *, well):
        """A sheet's attempt has ended."""
        self._well[number] = well

    @property
    def asking(self):
        return self._job.model.rounds.asking

    def is_answer(self, event):
        """Tell whether a line says what has come of a question."""
        closed = event["type"] == "loop.closed" and _BY_WORD not in event["text"]
        return closed or event["type"] == "loop.round" or self._fails(event)

    def _fails(self, event):
        has_none = event["cause"] == "config" and "until has no answer" in event["text"]
        return event["type"] == "sheet.failed" and (event["cause"] == "rounds" or has_none)

    def judged(self, event):
        """Do to the model what was answered."""
        model = self._job.model
        plan, standing = model.score.loop, model.rounds.of(model)
        assert self.asking, event
        assert plan is not None, event
        closes = event["type"] == "loop.closed" and "goes on without" not in event["text"]
        said = "holds" if closes else "fault" if event["cause"] == "config" else "no"
        assert plan.exact or said in self._may_be(plan, standing.round), f"{event}; {self._job.model}"
        self._seen = {self.enough}
        model.round_judged(said)

    def _may_be(self, plan, number):
        match plan.until:
            case "fault":
                return {"fault"}
            case "round":
                true = {number == 2}
            case "file":
                true = self._seen
            case _:
                last = self._job.model.sheets[plan.last]
                true = {last.status == "skipped" or last.worded or self._well.get(last.number)}
        return {"holds" if one else "no" for one in true}

    # --- comparing ---------------------------------------------------------------------------------------

    def difference(self, told):
        """Return where the daemon has the loop, and where the model has it."""
        model = self._job.model
        standing = model.rounds.of(model)
        loops = [(loop["round"], loop["state"], loop["up_to"]) for loop in told["progress"]["loops"]]
        return loops, [(standing.round, standing.state, model.score.loop.rounds)] if standing else []
