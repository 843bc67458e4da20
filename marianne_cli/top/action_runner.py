"""Actions of `mzt top`: confirmed by a dialog, sent with their `mzt` line, and reported when carried out."""

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from marianne_cli import terminal
from marianne_cli.exits import problem_text
from marianne_cli.faces.actions import Offer, action_line, offers, sheet_offers, takes_score
from marianne_cli.faces.pages import read_all_pages
from marianne_cli.screens import jobs as screens
from marianne_cli.top.model.cells import Cell
from marianne_cli.top.model.store import Value, sanitized
from marianne_cli.top.widgets.dialogs import (
    ActionMenu,
    ConfirmDialog,
    DialogAnswer,
    DialogChoice,
    MenuEntry,
    PlanDialog,
    TextDialog,
)
from marianned import protocol
from marianned.errors import InvalidScore, MarianneError
from marianned.formatting import plural, typed
from marianned.protocol import Modify, Query, ReadRevisions

if TYPE_CHECKING:
    from marianne_cli.top.app import TopApp

PATIENCE_SECONDS = 7 * 86_400.0
"""How long it waits until what was asked is so; the person who looks can leave meanwhile."""
_EDIT = "edit"
READ_ONLY = "read-only: nothing is sent; start mzt top without --read-only to change something"


def _command_line(offer: Offer, reason: str | None, *, waits: bool) -> str:
    """Return the `mzt` line of what is sent."""
    said = "" if reason is None else f" --reason {typed(reason)}"
    return f"{offer.line}{' --wait' if waits else ''}{said}"


def _is_waited_for(offer: Offer) -> bool:
    """Tell whether an action is waited for: it takes `wait`, and does more than set or clear a mark."""
    marks = {"before", "discard"} & offer.params.keys()
    return "wait" in protocol.METHODS[offer.method].params.__struct_fields__ and not marks


def _request_of(offer: Offer, **more: Any) -> Query[Any]:
    kind = protocol.METHODS[offer.method].params
    made: Query[Any] = msgspec.convert({**offer.params, **more}, kind)
    return made


class ActionRunner:
    """Runs the actions of `mzt top`: asks first where needed, sends the request, logs the result."""

    def __init__(self, top: "TopApp") -> None:
        self._top = top

    # --- which -------------------------------------------------------------------------------------------

    def run_offer(self, word: str, job: Value | None, sheet: Value | None) -> None:
        """Run the action of this name, if the job or sheet takes it now."""
        if job is None:
            return
        of_sheet = [] if sheet is None else sheet_offers(job, sheet)
        found = next((one for one in [*offers(job), *of_sheet] if one.name == word), None)
        if found is None:
            self._top.log_refusal(action_line(word, job, sheet), _not_now_text(job, sheet), [])
        else:
            self._top.start(functools.partial(self._confirm_and_send, found))

    def show_menu(self, job: Value | None, sheet: Value | None) -> None:
        """Show the menu of all actions that are possible now, each with its line."""
        if job is not None:
            self._top.start(functools.partial(self._choose_from_menu, job, sheet))

    async def _choose_from_menu(self, job: Value, sheet: Value | None) -> None:
        known = {one.name: one for one in offers(job)}
        if sheet is not None:
            known |= {one.name: one for one in sheet_offers(job, sheet)}
        name = typed(str(job["job_id"]))
        offered = [MenuEntry(one.name, one.name, one.line) for one in known.values()]
        if takes_score(job):
            offered.append(MenuEntry(_EDIT, "edit the score", f"mzt edit {name}"))
        about = "" if sheet is None else f" · sheet {sheet['sheet']}"
        title = f"{job['job_id']} is {job['status']}{about}"
        answer = await self._top.ask(ActionMenu(title, offered))
        if answer.word == _EDIT:
            await self.edit(job)
        elif answer.word in known:
            await self._confirm_and_send(known[answer.word], answer.reason)

    async def _confirm_and_send(self, offer: Offer, reason: str | None = None) -> None:
        """Show the plan, or ask first if the action ends or discards something; then send it."""
        line = _command_line(offer, reason, waits=_is_waited_for(offer))
        if self._top.read_only:
            self._top.log_refusal(line, READ_ONLY, [])
            return
        try:
            if offer.planned:
                answer = await self._confirm_plan(offer, line)
            elif offer.asks:
                answer = await self._top.ask(ConfirmDialog(offer.asks, line))
            else:
                answer = DialogAnswer("yes")
        except MarianneError as error:
            self._top.log_error(line, error)
            return
        if answer.word == "yes":
            await self._send(offer, answer.reason or reason)

    async def _confirm_plan(self, offer: Offer, line: str) -> DialogAnswer:
        reply = await self._whole_plan(_request_of(offer, plan=True))
        said = screens.plan_screen(reply)[-1:]
        choices = (DialogChoice("y", "do it", "yes"), DialogChoice("escape", "leave", "no"))
        title = f"{offer.name}: what would run"
        return await self._top.ask(PlanDialog(title, line, reply["plan"], said, choices))

    async def _send(self, offer: Offer, reason: str | None) -> None:
        waits = _is_waited_for(offer)
        more: dict[str, Any] = {"wait": True, "timeout": PATIENCE_SECONDS} if waits else {}
        await self.send(_command_line(offer, reason, waits=waits), _request_of(offer, reason=reason, **more))

    async def send(self, line: str, request: Query[Any]) -> bool:
        """Send a request; tell when it is carried out, or why it is not. Return whether it is."""
        number = self._top.log_sent(line)
        try:
            reply = sanitized(await self._top.client.ask(request))
        except MarianneError as error:
            self._top.log_error(line, error, number)
            return False
        said = reply.get("message") or f"removed {', '.join(reply.get('removed', ()))}"
        self._top.log_done(number, said)
        return True

    async def _whole_plan(self, request: Query[Any]) -> dict[str, Any]:
        """Ask for a plan with all its pages."""
        plan: dict[str, Any] = sanitized(
            await read_all_pages(self._top.client, request, "plan", "plan_total")
        )
        return plan

    # --- several -----------------------------------------------------------------------------------------

    def run_for_all(self, word: str, jobs: Sequence[Value]) -> None:
        """Run an action for all of these jobs that take it now."""
        found = [one for job in jobs for one in offers(job) if one.name == word]
        if self._top.read_only:
            self._top.log_refusal("", READ_ONLY, [])
        elif not found:
            self._top.log_refusal("", f"{word}: none of the jobs shown takes it now", [])
        else:
            self._top.start(functools.partial(self._run_for_all, word, found))

    async def _run_for_all(self, word: str, found: Sequence[Offer]) -> None:
        names = " ".join(typed(str(one.params["job_id"])) for one in found)
        line = f"mzt {word} {names}"
        said = f"{word} {plural(len(found), 'job')}: all shown here that take it?"
        answer = await self._top.ask(ConfirmDialog(said, line))
        if answer.word != "yes":
            return
        number = self._top.log_sent(line)
        refused = 0
        for one in found:
            try:
                await self._top.client.ask(_request_of(one, reason=answer.reason))
            except MarianneError as error:
                refused += 1
                last = error.message
        if refused:
            self._top.log_refusal(line, f"{refused} of {len(found)} refused; the last: {last}", [], number)
        else:
            self._top.log_done(number, f"{plural(len(found), 'job')} asked")

    # --- a new score -------------------------------------------------------------------------------------

    async def edit(self, job: Value) -> None:
        """Edit a job's newest score, show the plan, and apply it."""
        from marianne_cli.screens.drafts import ScoreDraft

        job_id = str(job["job_id"])
        line = f"mzt edit {typed(job_id)}"
        if self._top.read_only:
            self._top.log_refusal(line, READ_ONLY, [])
            return
        try:
            known = await self._top.client.ask(ReadRevisions(job_id))
            newest = max(told.revision for told in known.revisions if told.status != "dropped")
            text = (await self._top.client.ask(ReadRevisions(job_id, revision=newest))).text or ""
        except MarianneError as error:
            self._top.log_error(line, error)
            return
        told = next(told for told in known.revisions if told.revision == newest)
        place: dict[str, Any] = {"file": told.config_file, "directory": told.directory, "expect": newest}
        draft = ScoreDraft(known.job_name, text)
        problems: list[Any] = []
        while True:
            fault = await self._top.in_editor(draft, problems)
            if fault is not None:
                kept = draft.keep_if_changed()
                self._top.log_refusal(line, f"{fault}{f'; your text is kept: {kept}' if kept else ''}", [])
                return
            edited = draft.saved_text()
            if edited == draft.text:
                draft.remove()
                self._top.note(f"{job_id}: saved unchanged, nothing is sent")
                return
            ask = Modify(job_id, text=edited, **place)
            word, problems = await self._plan_of_edit(job_id, draft.file, ask)
            if word == "left":
                self._top.note(f"nothing is sent; your text is kept: {draft.file}")
                return
            if word == "sent":
                draft.remove()
                return

    async def _plan_of_edit(self, job_id: str, file: object, ask: Modify) -> tuple[str, list[Any]]:
        """Show what a new score would do, or its problems; return what became of it: sent, left or edit."""
        line = f"mzt modify {typed(job_id)} -c {typed(str(file))}"
        again = DialogChoice("e", "edit again", "edit")
        try:
            reply = await self._whole_plan(msgspec.structs.replace(ask, plan=True))
        except InvalidScore as error:
            lines = [
                [Cell(one, "bad")] for problem in error.problems for one in problem_text(problem).split("\n")
            ]
            answer = await self._top.ask(TextDialog(terminal.line(error.message), lines, (again,)))
            return ("edit" if answer.word == "edit" else "left"), error.problems
        except MarianneError as error:
            lines = [
                [Cell(terminal.line(error.message), "bad")],
                *([Cell(hint, "dim")] for hint in error.hints),
            ]
            answer = await self._top.ask(TextDialog(f"{job_id} does not take it", lines, (again,)))
            return ("edit" if answer.word == "edit" else "left"), []
        said = [
            *screens.plan_screen(reply)[-1:],
            *([lost] if (lost := screens.lost_definitions(reply)) else []),
        ]
        choices = (
            DialogChoice("r", "apply and go on (-r)", "resume"),
            DialogChoice("s", "apply, stay paused", "stage"),
            again,
            DialogChoice("escape", "leave", "left"),
        )
        answer = await self._top.ask(
            PlanDialog(reply["message"], f"{line} -r --wait", reply["plan"], said, choices)
        )
        if answer.word not in {"resume", "stage"}:
            return answer.word, []
        goes_on = answer.word == "resume"
        waits = {"wait": True, "timeout": PATIENCE_SECONDS, "resume": goes_on, "reason": answer.reason}
        reason = "" if answer.reason is None else f" --reason {typed(answer.reason)}"
        sent = f"{line}{' -r' if goes_on else ''} --wait{reason}"
        was_sent = await self.send(sent, msgspec.structs.replace(ask, **waits))
        return ("sent" if was_sent else "left"), []


def _not_now_text(job: Value, sheet: Value | None) -> str:
    about = "" if sheet is None else f", sheet {sheet['sheet']} is {sheet['status']}"
    return f"not now: {job['job_id']} is {job['status']}{about}; a shows what can be asked"
