"""`mzt top` by its keys, against a daemon in this process."""

import os
import re
import socket
from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from kit.daemon import gated, plain, score
from kit.looking import looking

from marianne_cli.faces import addresses
from marianne_cli.top import panels

pytestmark = pytest.mark.anyio
KEPT = Path(__file__).parent / "screens_of_top"


@pytest.fixture
def two(daemon):
    """A job that has failed, and one that stands in its second sheet."""
    daemon.submit(score("broken", ["echo so far; echo wrong >&2; exit 3", plain("never")]))
    daemon.event("broken", "job.failed")
    daemon.gate(2)
    daemon.submit(score("works", [plain(1), f"echo begun; {gated(2)}", plain(3)]))
    daemon.ledger.wait_for("start 2")
    return daemon


async def test_the_job_that_needs_a_person_comes_first_and_all_is_live(two):
    async with looking(two.socket) as top:
        lines = await top.sees("NEEDS YOU", "broken", "RUNNING", "works", "1/3")
        order = [
            next(at for at, line in enumerate(lines) if word in line) for word in ("NEEDS YOU", "RUNNING")
        ]
        assert order == sorted(order)
        await to_thread.run_sync(two.gates[2].open)
        await top.sees("ENDED", "3/3", absent=("RUNNING",))


async def test_a_failed_job_opens_at_its_failed_sheet_with_what_it_printed(two):
    async with looking(two.socket, "broken") as top:
        await top.sees("attempt 1 of 1", "so far", "✗ failed", "exit code 3", "on stderr (s)")
        await top.press("s")
        await top.sees("stderr", "wrong", absent=("so far",))


async def test_a_pause_by_its_key_shows_its_line_and_tells_when_it_is_so(two):
    async with looking(two.socket, "works") as top:
        await top.sees("begun", "following")
        await top.press("p")
        await top.sees("$ mzt pause works --wait", "sent; waiting", "pausing")
        await to_thread.run_sync(two.gates[2].open)
        await top.sees("✓ $ mzt pause works --wait  works: paused; 2 of 3 sheets done")
        await top.press("r")
        await top.sees("✓ $ mzt resume works --wait")
        await to_thread.run_sync(two.event, "works", "job.completed")


async def test_what_ends_something_is_asked_first_and_no_is_no(two):
    async with looking(two.socket, "works") as top:
        await top.sees("begun")
        await top.press("x")
        await top.sees("End this job now?", "$ mzt cancel works --wait")
        await top.press("n")
        await top.sees("following", absent=("End this job now?",))
        assert two.status("works")["status"] == "running"
        await top.press("x")
        await top.sees("End this job now?")
        await top.press("y")
        await top.sees("✓ $ mzt cancel works --wait", "cancelled")


async def test_what_is_refused_is_told_and_ends_nothing(two):
    async with looking(two.socket, "broken") as top:
        await top.sees("so far")
        await top.press("p")
        await top.sees("not now: broken is failed")
        await to_thread.run_sync(lambda: two.rpc("job.remove", job_id="broken"))
        await top.sees("broken was removed")
        await top.press("escape")
        await top.sees("works", absent=("broken",))


async def test_read_only_sends_nothing(two):
    async with looking(two.socket, "works", read_only=True) as top:
        await top.sees("begun", "read-only")
        for key in ("p", "x", "e"):
            await top.press(key)
            await top.sees("read-only: nothing is sent")
        assert [event["type"] for event in two.journal("works")].count("job.pausing") == 0


async def test_a_score_is_edited_its_plan_is_shown_and_then_it_is_applied(two, tmp_path, monkeypatch):
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/note start 3/echo changed; note start 3/' \"$1\"\n")
    editor.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(editor))
    monkeypatch.delenv("VISUAL", raising=False)
    async with looking(two.socket, "works", size=(120, 40)) as top:
        await top.sees("begun")
        monkeypatch.setattr(type(top.app), "suspend", unsuspended)
        await top.press("e")
        await top.sees("changed", "kept", "$ mzt modify works -c", "apply and go on")
        assert two.status("works")["revision"] == 1
        await top.press("r")
        await top.sees("sent; waiting")
        await to_thread.run_sync(two.gates[2].open)
        await top.sees("✓ $ mzt modify works", "revision 2")
        await to_thread.run_sync(two.event, "works", "job.completed")
        assert two.status("works")["revision"] == 2


def unsuspended(_app):
    """Nothing to hand over: no terminal is drawn on here."""
    from contextlib import nullcontext

    return nullcontext()


async def test_a_sheet_runs_again_after_its_plan_was_shown(two):
    async with looking(two.socket, "broken", size=(120, 40)) as top:
        await top.sees("so far")
        await top.press("a")
        await top.sees("run from here", "$ mzt resume broken --from 1", "$ mzt edit broken")
        await top.press("escape")
        top.app.run_offer("run from here", top.app.screen.job(), top.app.screen.sheet())
        await top.sees("what would run", "$ mzt resume broken --from 1 --wait")
        await top.press("y")
        await top.sees("attempt 2 of 2")
        await top.press("left_square_bracket")
        await top.sees("attempt 1 of 2")
        await top.press("right_square_bracket")
        await top.sees("attempt 2 of 2")


async def test_frozen_nothing_moves_and_it_says_how_far_it_is_behind(two):
    async with looking(two.socket) as top:
        await top.sees("1/3")
        await top.press("space")
        await top.sees("FROZEN")
        await to_thread.run_sync(two.gates[2].open)
        await top.sees("behind", "1/3", "RUNNING")
        await top.press("space")
        await top.sees("3/3", absent=("FROZEN",))


async def test_escape_shows_all_jobs_again(two):
    async with looking(two.socket) as top:
        await top.sees("broken", "works")
        await top.press("slash")
        await top.press(*"works", "enter")
        await top.sees("1 of 2 jobs", absent=("broken",))
        await top.press("escape")
        await top.sees("broken", "works", absent=("of 2 jobs",))
        await top.press("exclamation_mark")
        await top.sees("failed only: 1 of 2 jobs", absent=("works",))
        await top.press("escape")
        await top.sees("broken", "works", absent=("of 2 jobs",))


async def test_the_line_above_an_output_speaks_of_what_is_below_it(two, monkeypatch):
    waits, read = anyio.Event(), panels.outputs.follow_output

    async def later(*asked):
        await waits.wait()
        await read(*asked)

    async with looking(two.socket, "broken") as top:
        await top.sees("so far", "attempt 1 of 1", "6 B on stderr (s)", "ended")
        monkeypatch.setattr(panels.outputs, "follow_output", later)
        await top.press("s")
        await top.sees("sheet 1 · stderr · …", absent=("ended",))
        waits.set()
        await top.sees("attempt 1 of 1 · stderr · 7 B on stdout (s)", "wrong", "ended", absent=("so far",))


async def test_an_address_of_what_is_looked_at_is_copied_and_a_filter_of_sheets_is_told_with_what_it_leaves(
    two,
):
    place = addresses.socket_of(addresses.directory_of(str(two.socket)), 1)
    async with looking(two.socket, "works") as top:
        await top.sees("begun")
        await top.press("u")
        await top.sees("no dashboard of yours runs here", "mzt dashboard works")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(place))
            listener.listen()
            await top.press("u")
            asking, _ = await to_thread.run_sync(listener.accept)
            with asking:
                asking.sendall(b"http://127.0.0.1:1/#t=secret\n")
        shown = await top.sees("copied: an address of the page at works · sheet 2")
        assert "secret" not in "\n".join(shown)
        assert top.app.clipboard == "http://127.0.0.1:1/#t=secret&go=/job/works%3Fsheet%3D2"
        # of the same job, a filter of sheets is told with what it leaves and what changes it
        await top.sees("begun", "following")
        await top.press("slash")
        await top.type("zz")
        await top.press("enter")
        await top.sees("/zz: 0 of 3 sheets", "/ changes it · Esc shows all", "the filter leaves no sheet")
        await top.press("escape")
        await top.sees("begun", absent=("/zz", "the filter leaves"))
        await top.press("exclamation_mark")
        await top.sees("failed only: 0 of 3 sheets  Esc shows all")


async def test_a_name_is_made_harmless_as_all_else_is(two):
    async with looking(two.socket, "a\x1b[31mred\u202egnp") as top:
        lines = await top.sees("no job")
        assert "a\\x1b[31mred\\u202egnp" in "\n".join(lines)
        assert not {"\x1b", "\u202e"} & {*"\n".join(lines)}


async def test_words_filter_the_jobs_and_are_taken_away_again_and_the_mouse_chooses_rows_and_panels(two):
    async with looking(two.socket) as top:
        await top.sees("works", "broken")
        await top.press("slash")
        await top.type("works")
        await top.sees("/works: 1 of 2 jobs", absent=("NEEDS YOU",))
        await top.press("escape")
        await top.sees("broken", "works")
        await top.press("exclamation_mark")
        await top.sees("failed only: 1 of 2 jobs", absent=("RUNNING",))
        await top.press("escape")
        lines = await top.sees("broken", "works", absent=("failed only",))  # and the mouse chooses among them
        at = next(place for place, line in enumerate(lines) if "works" in line)
        await top.pilot.click(offset=(10, at))
        await top.sees("type   mzt logs works -F")
        await top.press("i")
        await top.sees("works", absent=("type   mzt",))
        two.rpc("job.pause", job_id="works")
        await top.sees("pausing", absent=("type   mzt",))
        await top.press("i")
        await top.sees("type   mzt wait works --for paused")
        two.rpc("job.resume", job_id="works")
        await top.sees("type   mzt logs works -F")
        await top.pilot.click(offset=(10, at), times=2)
        lines = await top.sees("begun", "3 why")
        at = next(place for place, line in enumerate(lines) if "3 why" in line)
        await top.pilot.click(offset=(lines[at].index("3 why") + 1, at))
        lines = await top.sees("since", "by itself")
        await top.pilot.click(offset=(lines[-1].index("v graph") + 1, len(lines) - 1))
        await top.sees("STAGES")


async def test_the_output_is_searched_with_honest_counts_and_filtered(daemon):
    daemon.submit(score("long", ["seq 1 3000; echo the needle; seq 1 20; exit 1"]))
    daemon.event("long", "job.failed")
    async with looking(daemon.socket, "long") as top:
        await top.sees("20", "14.0 KB", "ended")
        await top.press("enter", "slash")
        await top.type("99")
        await top.sees("/99: ", "19 of 19 matching in the 1,000 lines shown", "57 in all of it")
        await top.press("enter", "n")
        await top.sees("1 of 19 matching")
        await top.press("N", "f")
        await top.sees("the others hidden", "2999", absent=("3000",))
        await top.press("slash", "escape", "G")
        await top.sees("20", "the needle", absent=("matching",))


async def test_no_character_of_a_long_line_is_hidden_by_the_scrollbar(daemon):
    daemon.submit(score("long", ["seq 1 50; seq -s. 1000 1060; exit 1"]))
    daemon.event("long", "job.failed")
    async with looking(daemon.socket, "long", size=(50, 30)) as top:
        lines = await top.sees("1060", "ended")
        whole = ".".join(map(str, range(1000, 1061)))
        shown = "".join(line[:49] for line in lines)
        assert whole in shown


async def test_who_scrolls_up_is_left_where_they_are_until_they_want_the_end(two):
    two.submit(score("talks", ['seq 1 500; read _ < "$HOME/gate-talk"; seq 501 900']))
    two.gate("talk")
    async with looking(two.socket, "talks") as top:
        await top.sees("500", "following")
        await top.press("enter", "g")
        await top.sees("not following")
        before = top.lines()[8:20]
        await to_thread.run_sync(two.gates["talk"].open)
        await to_thread.run_sync(two.event, "talks", "job.completed")
        await top.sees("ended")
        assert top.lines()[8:20] == before
        await top.press("G")
        await top.sees("900", "completed")


async def test_what_is_copied_is_what_is_meant(two):
    async with looking(two.socket, "broken") as top:
        await top.sees("so far", "exit code 3")
        await top.press("y")
        await top.sees("copied: mzt logs broken 1")
        assert top.app.clipboard == "mzt logs broken 1"
        await top.press("tab", "y")
        await top.sees("copied: so far")
        assert top.app.clipboard == "so far\n"
        lines = top.lines()
        at = next(place for place, line in enumerate(lines) if line.startswith("so far"))
        await top.pilot.mouse_down(offset=(3, at))
        await top.pilot.hover(offset=(6, at))
        await top.pilot.mouse_up(offset=(6, at))
        await top.press("y")
        await top.until(lambda: top.app.clipboard == "far")


async def test_its_clock_may_tick_once_more_while_it_ends(two):
    async with looking(two.socket) as top:
        await top.sees("works")
    assert top.app.screen_stack == []
    top.app._tick()


async def test_the_palette_finds_what_can_be_done(two):
    async with looking(two.socket, "works") as top:
        await top.sees("begun")
        await top.press("colon")
        await top.sees("Search for commands", "mzt pause works --now")
        await top.type("pause now")
        await top.sees("mzt pause works --now", absent=("mzt cancel",))
        await top.press("enter")
        await top.sees("Interrupt what is in flight?")
        await top.press("escape")
        await top.sees("following", absent=("Interrupt",))


async def test_all_that_are_shown_are_paused_after_a_question(two):
    two.gate("x")
    two.submit(score("second", ['read _ < "$HOME/gate-x"', plain("y")]))
    async with looking(two.socket) as top:
        await top.sees("works", "second")
        await top.press("P")
        await top.sees("pause 2 jobs", "$ mzt pause works second")
        await top.press("y")
        await top.sees("2 jobs asked", "pausing")
        assert {two.status(name)["status"] for name in ("works", "second")} == {"pausing"}


async def test_why_journal_and_revisions_stand_beside_the_sheets(two):
    async with looking(two.socket, "broken", size=(120, 30)) as top:
        await top.sees("so far")
        await top.press("3")
        await top.sees("attempt  1 of 1", "exit 3", "unblock")
        await top.press("4")
        await top.sees("submitted: 2 sheets", "attempt 1 failed, exit code 3")
        await top.press("5")
        await top.sees("REV", "current")
        await top.press("2")
        await top.sees("OUTCOME", "exit 3 · cli")


async def test_beside_the_revisions_stands_in_what_two_of_them_differ(daemon):
    text = score("rev", [plain(1)])
    daemon.submit(text, before="1.all")
    daemon.wait_for("rev", "paused")
    for word in ("first", "[bold]second[/bold]"):
        text = text.replace("note start 1", f"echo {word}; note start 1")
        daemon.modify("rev", text)
    async with looking(daemon.socket, "rev", size=(160, 40)) as top:
        await top.press("5")
        await top.sees("revision 2 → 3", "echo [bold]second[/bold]; ", "[ the two before")
        await top.press("left_square_bracket")
        await top.sees("revision 1 → 2", "echo first; note start 1", absent=("second",))
        await top.press("right_square_bracket")
        await top.sees("revision 2 → 3")


async def test_what_all_prints_that_runs_is_one_output_wherever_the_cursor_is(daemon):
    both = {"sheet": {"fan_out": {1: 2}}, "parallel": {"enabled": True, "max_concurrent": 2}}
    gated_twice = f"echo begun {{{{ sheet_num }}}}; {gated(1)}; echo again"
    text = score("all", ["-"], **both).replace("{{ bodies[sheet_num] }}", gated_twice)
    daemon.gate(1)
    daemon.submit(text)
    daemon.ledger.wait_for("start 1", times=2)
    async with looking(daemon.socket, "all", size=(140, 40)) as top:
        await top.sees("begun 1", "following")
        await top.press("o")
        await top.sees("all that runs", "1| begun 1", "2| begun 2")
        await top.press("j")
        await to_thread.run_sync(lambda: daemon.gates[1].open(2))
        await top.sees("1| again", "2| again", "ended")
        await top.press("o")
        await top.sees("sheet", "again", absent=("all that runs", "1| again"))


async def test_a_restart_of_the_daemon_is_said_and_survived(two):
    async with looking(two.socket, "works") as top:
        await top.sees("begun", "following")
        await to_thread.run_sync(two.stop)
        await top.sees("no daemon", "waiting for it")
        await to_thread.run_sync(two.start)
        await top.sees("ready", absent=("no daemon",))
        await to_thread.run_sync(two.gates[2].open)
        await top.sees("completed", "3/3 sheets")


async def test_that_no_daemon_answers_is_told_no_longer_than_it_is_so(two):
    async with looking(two.socket, "works") as top:
        await top.sees("begun", "following")
        await to_thread.run_sync(two.stop)
        await top.sees("no daemon", "waiting for it")
        await top.press("e")
        await top.sees("✗ $ mzt edit works", "(mzt start)")
        await to_thread.run_sync(two.start)
        await top.sees("ready", absent=("no daemon", "mzt start"))


async def test_foreign_text_is_no_markup_and_controls_nothing(daemon):
    nasty = "printf '[bold]no[/bold] \\033]52;c;aGk=\\007 \\033[2Jend [link=x]\\n'"
    daemon.submit(score("nasty", [f"{nasty}; exit 1"], description="[red]not red[/red]"))
    daemon.event("nasty", "job.failed")
    async with looking(daemon.socket, "nasty") as top:
        lines = await top.sees("[bold]no[/bold]", "end [link=x]")
        assert not any("\x1b" in line or "\x07" in line for line in lines)


def settled(lines):
    """Return a screen's lines without what differs from run to run: times, ages, directories."""
    text = "\n".join(lines)
    for pattern, instead in (
        (r"/(tmp|dev/shm)/mar\w+", "/home/ann"),
        (r"(Nov|Dec|Jan) \d+ \d\d:\d\d(:\d\d)?", "14:00"),
        (r"\b\d\d:\d\d(:\d\d)?\b", "14:00"),
        (r" +\b(\d+[smh]){1,2}\b", "  9s"),
        (r" +(AGE|TIME)\b", r"  \1"),
        (r"\((\d+[smh]){1,2}\)", "(9s)"),
        (r"stays\s+failed\s+until\s+someone\s+resumes\s+it", "stays failed until someone resumes it"),
    ):
        text = re.sub(pattern, instead, text)
    return re.sub(r" +$", "", text, flags=re.MULTILINE) + "\n"


async def test_the_screens_look_as_they_are_kept(two):
    """`MARIANNE_KEEP_SCREENS=1` keeps them as they are now."""
    shown = {}
    async with looking(two.socket, size=(100, 20)) as top:
        shown["jobs"] = settled(await top.sees("NEEDS YOU", "│ begun", "1/3", "ready", "slots 1"))
        await top.press("enter")
        await top.sees("so far", "exit code 3", "on stderr (s)", "✗ failed")
        shown["job"] = settled(await top.sees("ended"))
        await top.press("v")
        shown["graph"] = settled(await top.sees("STAGES"))
        await top.press("a")
        lines = await top.sees("$ mzt resume broken --accept 1")
        left, right = next((line.index("╭"), line.rindex("╮")) for line in lines if "╭" in line)
        assert left == 99 - right, "it stands in the middle"
        box = [line[left:right] for line in lines]
        shown["actions"] = settled([line for line in box if line.startswith("│")])
    for name, text in shown.items():
        kept = KEPT / f"{name}.txt"
        if "MARIANNE_KEEP_SCREENS" in os.environ:
            kept.write_text(text)
        assert text == kept.read_text(), name


async def test_it_fits_where_it_is_made_smaller_and_larger(two):
    async with looking(two.socket, "broken", size=(140, 40)) as top:
        wide = await top.sees("so far")
        assert any("1 1.1" in line and "│" in line for line in wide)
        await top.pilot.resize_terminal(80, 24)
        narrow = await top.sees("so far", "1 1.1")
        assert len(narrow) <= 24
        assert max(map(len, narrow)) <= 80
        await top.pilot.resize_terminal(40, 10)
        await top.sees("broken")
        await top.pilot.resize_terminal(140, 40)
        await top.sees("so far")


async def test_a_job_that_is_not_there_is_told_with_the_nearest(two):
    async with looking(two.socket, "workz") as top:
        await top.sees("no job 'workz'; the nearest is 'works'")
        await top.press("escape")
        await top.sees("NEEDS YOU", "works")


async def test_it_waits_for_a_daemon_that_is_not_there_yet(house):
    async with looking(house.socket) as top:
        await top.sees("no daemon answers", "mzt start")
        await to_thread.run_sync(house.start)
        await top.sees("ready", "No job runs", absent=("no daemon",))


async def test_a_sheet_is_marked_and_the_job_pauses_before_it(two):
    async with looking(two.socket, "works") as top:
        await top.sees("begun")
        await top.press("j", "b")
        await top.sees("✓ $ mzt pause works --before 3", "the job pauses before it", "no attempt yet")
        await top.press("b")
        await top.sees("✓ $ mzt pause works --before 3 --clear", absent=("the job pauses before it",))
