"""What people ask of a real daemon with `mzt`: control, looking back, keeping and forgetting."""

import os
import pty
import pwd
import sqlite3
import subprocess

import pytest
from home_for_tests import GATED, QUICK, SCORE
from kit import zygote
from kit.terminals import sent_to

pytestmark = pytest.mark.one_daemon

BROKEN = SCORE.replace("total_items: 3", "total_items: many")
EDITOR = """\
#!/bin/sh
# The n-th time it is called it saves the n-th text, as a person would; without one it saves what it was given.
n=$(($(cat "$DRAFTS/count") + 1)); echo $n > "$DRAFTS/count"
cp "$1" "$DRAFTS/opened-$n"
test ! -e "$DRAFTS/save-$n" || cp "$DRAFTS/save-$n" "$1"
test ! -e "$DRAFTS/fail-$n"
"""


@pytest.fixture
def editor(home):
    """A scripted $EDITOR: returns what to save at each call, and afterwards what was opened."""
    drafts = home.path / "drafts"
    drafts.mkdir()
    (drafts / "count").write_text("0")
    (drafts / "editor").write_text(EDITOR)
    (drafts / "editor").chmod(0o755)
    (home.path / "t").mkdir()
    home.environment |= {
        "DRAFTS": str(drafts), "VISUAL": f"{drafts}/editor", "EDITOR": "false", "TMPDIR": str(home.path / "t"),
    }  # fmt: skip
    return drafts


def paused(home, name="a"):
    """Run a gated job and pause it after its first sheet."""
    home.mzt("run", home.score(name, GATED))
    home.mzt("pause", name)
    home.let_go(1)
    home.mzt("wait", name, "--for", "paused", "-t", "20")


def failed(home, name="a"):
    text = SCORE.format(name=name, body="echo so far; echo not further >&2; exit 3", words="")
    (home.path / f"{name}.yaml").write_text(text + "retry: {max_retries: 0}\n")
    home.mzt("run", f"{name}.yaml", "--wait", code=1)


def statuses(home, name="a"):
    return [sheet["status"] for sheet in home.json("status", name)["sheets"]]


# --- control -----------------------------------------------------------------------------------------


def test_pause_now_interrupts_and_for_lets_it_go_on_by_itself(home):
    home.mzt("run", home.score("a", GATED))
    home.mzt("wait", "a", "--for", "running", "-t", "20")
    assert home.mzt("pause", "a", "--now", "--wait").stdout == "a: paused; 0 of 3 sheets done\n"
    home.mzt("resume", "a", "--wait")
    home.mzt("pause", "a", "--now", "--for", "2h", "--wait")
    assert "goes on by itself" in home.mzt("status", "a").stdout
    assert "unblock  by itself, at " in home.mzt("why", "a").stdout


def test_a_deadline_interrupts_what_is_not_done_by_then(home):
    home.mzt("run", home.score("a", GATED))
    home.mzt("wait", "a", "--for", "running", "-t", "20")
    assert home.json("pause", "a", "--deadline", "200ms", "--wait")["status"] == "paused"


def test_breakpoints_are_set_cleared_and_come_true(home):
    home.mzt("run", home.score("a", GATED), "--before", "2")
    assert home.mzt("pause", "a", "--before", "3").stdout == "a: running; pauses before sheets 2, 3\n"
    assert [
        point["sheet"] for point in home.json("pause", "a", "--clear", "--before", "2")["breakpoints"]
    ] == [3]
    home.let_go(1, 2)
    assert home.mzt("wait", "a", "--for", "paused", "-t", "20").stdout == "a: paused; 2 of 3 sheets done\n"
    assert home.json("status", "a")["holds"][0]["cause"] == "breakpoint"
    home.mzt("pause", "a", "--clear")


def test_resume_from_runs_sheets_again_and_plan_only_shows_which(home):
    home.mzt("run", home.score("a"), "--wait")
    plan = home.mzt("resume", "a", "--from", "2", "--plan").stdout.splitlines()
    assert plan[0] == "a: completed; plan of the resume, nothing is changed"
    assert plan[-1] == "runs: none · runs again: 2, 3 · removed: none"
    told = home.json("resume", "a", "--from", "2", "--wait")
    assert [line["action"] for line in told["plan"]] == ["kept", "rerun", "rerun"]
    home.mzt("wait", "a", "-t", "20")
    assert [sheet["attempt_count"] for sheet in home.json("status", "a")["sheets"]] == [1, 2, 2]


def test_resume_with_a_score_is_modify_and_resume(home):
    paused(home)
    told = home.json("resume", "a", "-c", home.score("a", QUICK), "--wait")
    assert (told["new_revision"], told["source_changed"], told["acknowledged"]) == (2, False, True)
    assert home.mzt("wait", "a", "-t", "20").stdout == "a: completed; 3 of 3 sheets done\n"


def test_modify_takes_an_old_revision_again_and_reruns_what_changed(home):
    home.mzt("run", home.score("a"), "--before", "3")
    home.mzt("wait", "a", "--for", "paused", "-t", "20")
    new = home.score("a", QUICK, " in new words")
    home.mzt("modify", "a", "-c", new)
    alone = home.json("modify", "a", "--rerun", "changed", "--plan")["plan"]
    assert [line["action"] for line in alone] == ["rerun", "rerun", "kept"]
    back = home.json("modify", "a", "--revision", "1", "--rerun", "changed")
    assert back["new_revision"] == 3
    assert [line["action"] for line in back["plan"]] == ["kept", "kept", "changed"]  # they were done so
    assert statuses(home) == ["completed", "completed", "pending"]
    anew = home.json("modify", "a", "-c", new, "--rerun", "changed")
    assert [line["action"] for line in anew["plan"]] == ["rerun", "rerun", "changed"]
    assert statuses(home) == ["pending", "pending", "pending"]
    home.mzt("resume", "a", "--wait")
    assert home.mzt("wait", "a", "-t", "20").stdout == "a: completed; 3 of 3 sheets done\n"


def test_over_budget_adds_to_a_limit_where_there_is_one(home):
    paused(home)
    assert home.json("resume", "a", "--over-budget", "0.50")["acknowledged"] is True
    home.let_go(2, 3)
    home.mzt("wait", "a", "-t", "20")


@pytest.mark.own_daemon("its PATH has an agent")
def test_who_waits_for_what_a_limit_holds_is_told_what_lets_it_go(home):
    agent = home.path / "bin" / "claude"
    agent.parent.mkdir()
    agent.write_text(
        '#!/bin/sh\ncat > /dev/null\necho \'{"type":"result","subtype":"success","is_error":false,"result":"ok",'
        '"session_id":"s","total_cost_usd":0.6}\'\n'
    )
    agent.chmod(0o755)
    home.environment["PATH"] = f"{agent.parent}:{os.environ['PATH']}"
    text = SCORE.format(name="a", body=QUICK, words="").replace("instrument: cli", "instrument: claude-code")
    (home.path / "a.yaml").write_text(f"{text}cost_limits: {{max_cost_per_job: 0.5}}\n")
    told = "mzt: 'a' is paused; to let it go on: mzt resume a --over-budget 5\n"
    for waiting in (("run", "a.yaml", "--wait"), ("wait", "a")):
        process = home.popen(*waiting)
        lines = [process.stderr.readline()]
        while "is paused" not in lines[-1]:
            assert lines[-1], lines
            lines.append(process.stderr.readline())
        assert lines[-1] == told
        with process:
            process.kill()


def test_no_auto_resume_is_accepted(home):
    home.mzt("run", home.score("a"), "--no-auto-resume", "--wait")


# --- edit --------------------------------------------------------------------------------------------


def test_edit_broken_then_mended_makes_revision_2(home, editor):
    paused(home)
    mended = SCORE.format(name="a", body=QUICK, words=" mended")
    (editor / "save-1").write_text(BROKEN.format(name="a", body=QUICK, words=""))
    (editor / "save-2").write_text("# mzt: problems may stay where they are\n" + mended)
    told = home.mzt("edit", "a", "-r", "--wait")
    assert told.stdout.splitlines()[0].startswith("a: running; revision 2 is in force")
    assert (editor / "opened-1").read_text() == (home.path / "a.yaml").read_text()
    opened = (editor / "opened-2").read_text().splitlines()
    marked = [line for line in opened if line.startswith("# mzt: ")]
    assert opened[: len(marked)] == marked
    place = marked[0].removeprefix("# mzt: a.yaml:").split(":")
    assert "total_items: many" in opened[int(place[0]) - 1]
    home.mzt("wait", "a", "-t", "20")
    assert home.mzt("logs", "a", "3").stdout == "sheet 3 mended\n"
    assert home.mzt("revisions", "a", "2").stdout == mended
    assert list((home.path / "t").iterdir()) == []


def test_no_hint_takes_back_what_was_edited(home, editor):
    paused(home)
    (editor / "save-1").write_text(SCORE.format(name="a", body=GATED + "# better", words=""))
    assert home.json("edit", "a")["changed"]
    assert home.json("cancel", "a", "--wait")["hints"] == ["mzt resume a"]


def test_edit_saved_unchanged_sends_nothing(home, editor):
    paused(home)
    told = home.json("edit", "a", "-r")
    assert (told["changed"], told["status"]) == (False, "paused")
    assert told["message"] == "a: paused; saved unchanged, nothing is sent"
    assert len(home.json("revisions", "a")["revisions"]) == 1
    (editor / "save-2").write_text(BROKEN.format(name="a", body=QUICK, words=""))
    (editor / "save-3").write_text(SCORE.format(name="a", body=GATED, words=""))
    assert home.mzt("edit", "a").stdout == "a: paused; saved unchanged, nothing is sent\n"


def test_edit_given_up_keeps_the_text_and_says_where(home, editor):
    paused(home)
    (editor / "save-1").write_text(BROKEN.format(name="a", body=QUICK, words=""))
    given_up = home.mzt("edit", "a", code=4)
    assert "(E505)\n" in given_up.stderr
    kept = given_up.stderr.splitlines()[-1].removeprefix("  mzt modify a -c ")
    assert "total_items: many" in (home.path / kept).read_text()
    (editor / "save-3").write_text("half a thought")
    (editor / "fail-3").touch()
    ended = home.mzt("edit", "a", code=2)
    assert "ended with 1; nothing is sent\n" in ended.stderr
    assert "half a thought" in (home.path / ended.stderr.splitlines()[0].rpartition(" ")[2]).read_text()
    home.environment["VISUAL"] = "/no/such/editor"
    assert "the editor '/no/such/editor' can't be started" in home.mzt("edit", "a", code=2).stderr


def test_edit_without_a_terminal_starts_only_an_editor_that_was_chosen(home, editor):
    paused(home)
    fallback = editor / "vi"
    fallback.write_text("#!/bin/sh\ntouch started\n")
    fallback.chmod(0o755)
    home.environment |= {
        "VISUAL": "",
        "EDITOR": "",
        "PATH": f"{editor}:{home.environment['PATH']}",
        "TERM": "xterm",
    }
    refused = home.mzt("edit", "a", code=2)
    assert refused.stdout == ""
    first, *hints = refused.stderr.splitlines()
    assert first.startswith("mzt: edit opens vi, which needs a terminal")
    assert hints == ["  EDITOR=nano mzt edit a", "  mzt modify a -c FILE"]
    assert home.mzt("edit", "a", "--json", code=2).stdout == ""
    assert not (home.path / "started").exists()
    home.environment["EDITOR"] = str(fallback)
    assert "saved unchanged" in home.mzt("edit", "a").stdout
    assert (home.path / "started").exists()


def test_edit_overwrites_no_other_editor(home, editor):
    paused(home)
    (editor / "save-1").write_text(SCORE.format(name="a", body=QUICK, words=" mine"))
    (home.path / "b.yaml").write_text(SCORE.format(name="a", body=QUICK, words=" theirs"))
    (editor / "editor").write_text(EDITOR + '"$PYTHON" -m marianne_cli modify a -c "$B" > /dev/null\n')
    home.environment |= {"PYTHON": home.command([])[0], "B": str(home.path / "b.yaml")}
    refused = home.mzt("edit", "a", code=4)
    assert "(E502)\n" in refused.stderr
    assert len(home.json("revisions", "a")["revisions"]) == 2


def test_edit_of_a_score_whose_file_is_gone_counts_paths_from_where_it_was(home, editor):
    made = home.path / "scores"
    made.mkdir()
    (made / "body.txt").write_text("exit 3\n")
    sheets = "sheet: {size: 1, total_items: 1}\n"
    text = f"name: a\nworkspace: ../out\ninstrument: cli\n{sheets}prompt: {{template_file: body.txt}}\nretry: {{max_retries: 0}}\n"
    (made / "a.yaml").write_text(text)
    home.mzt("run", "scores/a.yaml", "--wait", code=1)
    (made / "a.yaml").unlink()
    (editor / "save-1").write_text(text + "description: mended\n")
    home.mzt("edit", "a")
    told = home.json("revisions", "a")["revisions"]
    assert [revision["directory"] for revision in told] == [str(made)] * 2


def test_what_waits_to_be_tried_again_has_printed_something(home):
    text = SCORE.format(name="a", body=f"{GATED}; exit 7", words="")
    (home.path / "a.yaml").write_text(f"{text}retry: {{max_retries: 3, base_delay_seconds: 600}}\n")
    home.mzt("run", "a.yaml")
    home.mzt("pause", "a")
    home.let_go(1)
    home.mzt("wait", "a", "--for", "paused", "-t", "20")
    assert "sheet 1" in home.mzt("logs", "a").stdout


# --- look --------------------------------------------------------------------------------------------


def test_why_names_who_holds_it_by_login(home):
    paused(home)
    login = pwd.getpwuid(os.getuid()).pw_name
    assert [reason["text"] for reason in home.json("why", "a")["reasons"]] == [f"paused by {login}"]


def test_why_shows_the_evidence_of_a_real_failure(home):
    failed(home)
    lines = home.mzt("why", "a").stdout.splitlines()
    assert lines[0].startswith("a: failed; sheet 1 failed after 1 attempt: ")
    assert lines[1].startswith("  attempt  1 of 1, ")
    assert lines[1].endswith(", cli, revision 1, exit 3")
    assert "  stdout   | sheet 1" in lines
    assert "           | so far" in lines
    assert "  stderr   | not further" in lines
    assert "  blocks   sheets 2, 3" in lines
    assert lines[-1] == "  unblock  mzt resume a · mzt modify a -c FILE -r"
    told = home.json("why", "a", "1")
    assert (told["reasons"][0]["code"], told["total_errors"], told["errors"][0]["exit_code"]) == (
        "failed",
        1,
        3,
    )


def test_revisions_and_diff_tell_the_versions_of_a_score(home):
    paused(home)
    first = (home.path / "a.yaml").read_text()
    alone = home.mzt("diff", "a")
    assert alone.stdout == ""
    assert alone.stderr == "a: revision 1 is the first, there is none before it to compare it with\n"
    home.mzt("modify", "a", "-c", home.score("a", GATED, " new"), "--reason", "clearer")
    table = home.mzt("revisions", "a").stdout.splitlines()
    assert table[0].split() == ["REV", "STATUS", "SHEETS", "WHEN", "WHO", "WHY", "FILE"]
    assert [line.split()[:3] for line in table[1:]] == [["1", "past", "3"], ["2", "current", "3"]]
    assert "clearer" in table[2]
    assert len(home.mzt("revisions", "a", "-v").stdout.splitlines()) == 6
    assert home.mzt("revisions", "a", "1").stdout == first
    shown = home.mzt("diff", "a").stdout.splitlines()
    assert shown[:2] == ["--- a revision 1", "+++ a revision 2"]
    assert '+    echo "sheet {{ sheet_num }} new"' in shown
    assert home.mzt("diff", "a", "2", "1").stdout.startswith("--- a revision 2\n+++ a revision 1\n")
    same = home.json("diff", "a", "-c", "a.yaml")
    assert (same["from_revision"], same["to_revision"], same["text"], same["success"]) == (2, None, "", True)
    assert (
        home.mzt("diff", "a", "-c", "a.yaml").stderr == "a: nothing differs between revision 2 and 'a.yaml'\n"
    )
    home.mzt("revisions", "a", "9", code=4)
    home.mzt("diff", "a", "9", code=4)


# --- keeping and forgetting --------------------------------------------------------------------------


@pytest.mark.own_daemon("its runs are counted from 1")
def test_remove_forgets_ended_runs_only(home):
    home.mzt("run", home.score("a"), "--wait")
    home.mzt("run", home.score("b"), "--wait")
    home.mzt("run", home.score("b"), "--wait")
    home.mzt("run", home.score("c", GATED))
    for name, code in (("b", 0), ("c", 4), ("nosuch", 4), ("b@7", 4)):
        planned = home.json("remove", name, "--dry-run", code=code)
        real = home.json("remove", name, code=code)
        hints = [hint.replace(" --dry-run", "") for hint in planned["hints"]]  # they repeat what was typed
        assert [planned["error_code"], hints] == [real["error_code"], real["hints"]]
        assert code == 0 or planned["message"] == real["message"]
    refused = home.json("remove", "a", "c", code=4)
    assert [reply["success"] for reply in refused["results"]] == [True, False]
    assert refused["error_code"] == "E502"
    assert home.json("remove", "--older-than", "1h", "-y")["removed"] == []
    assert home.json("remove", "--older-than", "1h", "--dry-run")["would_remove"] == []
    told = home.mzt("remove", "--older-than", "0", "--dry-run").stdout
    assert told == "1 run would be removed\nb@1\n"
    assert told == home.mzt("remove", "--older-than", "0", "--dry-run").stdout  # nothing was removed
    assert home.mzt("remove", "--older-than", "0", "-y").stdout == "1 run removed\n"
    assert [job["job_id"] for job in home.json("list", "-a")["jobs"]] == ["c"]


def asked(home, answer, *arguments):
    """Type an answer on a terminal; return the exit code and what the terminal shows."""
    ours, its = pty.openpty()
    started = zygote.Popen(
        home.command(arguments), cwd=home.path, env=home.environment, stdin=its, stderr=its, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(its)
    os.write(ours, answer)
    out, _ = started.communicate(timeout=20)
    told = sent_to(ours)
    os.close(ours)
    return started.returncode, out, told


@pytest.mark.own_daemon("all its jobs are told")
def test_deleting_and_ending_many_is_asked_on_a_terminal_and_elsewhere_needs_y(home):
    home.mzt("run", home.score("a"), "--wait")
    home.mzt("run", home.score("b", GATED))
    home.mzt("wait", "b", "--for", "running", "-t", "20")
    many = {
        (
            "remove",
            "--older-than",
            "0",
        ): "forget 1 run that ended more than 0s ago, with history and output",
        ("cancel", "--all"): "cancel 1 job",
        ("pause", "--force", "--all"): "interrupt and pause 1 job",
        ("stop", "--kill"): "stop, and interrupt 1 attempt",
    }
    for arguments, what in many.items():
        code, out, told = asked(home, b"\n", *arguments)
        assert (code, out) == (130, ""), arguments
        assert f"mzt: {what}? [y/N] " in told
        assert "-y" in home.mzt(*arguments, code=2).stderr
    assert home.json("status", "b")["status"] == "running"
    home.mzt("status", "a")
    assert asked(home, b"y\n", "cancel", "--all")[0] == 0
    home.mzt("wait", "b", "--for", "cancelled", "-t", "20")
    home.mzt("cancel", "--all")  # nothing is left to ask about


def test_what_is_named_is_removed_without_a_question(home):
    home.mzt("run", home.score("a"), "--wait")
    assert home.mzt("remove", "a").stdout
    home.mzt("status", "a", code=4)


def test_backup_writes_a_whole_copy_and_overwrites_nothing(home):
    home.mzt("run", home.score("a"), "--wait")
    told = home.json("backup", "copy.db")
    copy = home.path / "copy.db"
    assert (told["file"], told["bytes"]) == (str(copy), copy.stat().st_size)
    with sqlite3.connect(copy) as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
    database.close()
    assert "exists already" in home.mzt("backup", "copy.db", code=2).stderr


# --- the daemon --------------------------------------------------------------------------------------


@pytest.mark.own_daemon("it drains")
def test_start_gives_a_drain_up(home):
    home.mzt("run", home.score("a", GATED))
    home.mzt("wait", "a", "--for", "running", "-t", "20")
    late = home.mzt("stop", "--drain", "-t", "0", code=124)
    assert "it stops when nothing is in flight (E504)" in late.stderr
    assert home.json("status")["status"] == "draining"
    assert home.json("start")["status"] == "ready"
    home.let_go(1, 2, 3)
    assert home.mzt("wait", "a", "-t", "20").stdout == "a: completed; 3 of 3 sheets done\n"


@pytest.mark.own_daemon("it is stopped")
def test_a_drain_waits_for_what_is_in_flight_and_the_next_start_goes_on(home):
    home.mzt("run", home.score("a", GATED))
    home.mzt("wait", "a", "--for", "running", "-t", "20")
    draining = home.popen("stop", "--drain")
    while home.json("status")["status"] != "draining":  # no event tells of it
        pass
    home.let_go(1)
    out, err = draining.communicate(timeout=20)
    assert (draining.returncode, err) == (0, "")
    assert out.endswith(": stopped; 1 attempt was waited for\n")
    home.mzt("start")
    home.let_go(2, 3)
    assert home.mzt("wait", "a", "-t", "20").stdout == "a: completed; 3 of 3 sheets done\n"


@pytest.mark.own_daemon("it is stopped")
def test_stop_kill_interrupts_and_the_next_start_runs_it_again(home):
    home.mzt("run", home.score("a", GATED))
    home.mzt("wait", "a", "--for", "running", "-t", "20")
    stopped = home.mzt("stop", "--kill", "-y")
    assert stopped.stdout.endswith(": stopped; 1 attempt was interrupted\n")
    home.mzt("start")
    home.let_go(1, 2, 3)
    assert home.mzt("wait", "a", "-t", "20").stdout == "a: completed; 3 of 3 sheets done\n"
    assert home.json("status", "a", "1")["sheets"][0]["attempts"][0]["outcome"] == "interrupted"


def test_a_plan_of_many_lines_is_shown_whole(home):
    (home.path / "long.yaml").write_text(
        "name: long\nworkspace: ./out\ninstrument: cli\nsheet: {size: 1, total_items: 1005}\nprompt: {template: 'true'}\n"
    )
    home.mzt("run", "long.yaml", "--before", "1")
    (home.path / "long.yaml").write_text((home.path / "long.yaml").read_text().replace("'true'", "'true 2'"))
    assert len(home.json("modify", "long", "-c", "long.yaml", "--plan")["plan"]) == 1005
    home.mzt("modify", "long", "-c", "long.yaml")
    assert len(home.json("revisions", "long")["revisions"][-1]["plan"]) == 1005


def test_who_cancelled_and_why_is_told_by_status_and_why(home):
    home.mzt("run", home.score("a", GATED))
    home.mzt("cancel", "a", "--wait", "--reason", "wrong model")
    by = f'by {pwd.getpwuid(os.getuid()).pw_name} "wrong model"'
    assert by in home.mzt("status", "a").stdout.splitlines()[0]
    assert f"it was cancelled {by}" in home.mzt("why", "a").stdout
    home.mzt("resume", "a", "--reason", "the right one now")
    assert "resumed by" in home.mzt("status", "a").stdout.splitlines()[0]


@pytest.mark.own_daemon("it is set up")
def test_config_check_as_json_has_the_errors(home):
    (home.path / "config").mkdir()
    (home.path / "config" / "config.toml").write_text('no_such_setting = "x"\n')
    (problem,) = home.json("config", "check", code=1)["problems"]
    assert (problem["line"], problem["column"], problem["message"]) == (1, 1, "no setting 'no_such_setting'")
    assert problem["file"].endswith("config.toml")


def test_one_who_waits_is_told_who_overtook_it_and_why(home):
    home.mzt("run", home.score("a", GATED))
    waiting = home.popen("pause", "a", "--wait", "-t", "1h")
    home.mzt("wait", "a", "--for", "pausing", "-t", "20")
    home.mzt("resume", "a", "--reason", "no need")
    _, err = waiting.communicate(timeout=20)
    assert waiting.returncode == 5
    assert '"no need"' in err


@pytest.mark.parametrize("command", ["pause", "modify"])
def test_help_shows_the_examples_of_the_reference_page_and_names_resume(home, command):
    said = home.mzt(command, "--help").stdout
    assert "mzt resume" in said
    assert f"mzt {command} my-job" in said


def test_a_mistyped_name_is_answered_with_the_command_as_it_was_typed(home):
    home.mzt("run", home.score("release-notes"), "--wait")
    refused = home.json("pause", "release-note", "--wait", "--reason", "deploy first", code=4)
    assert refused["hints"] == ["mzt pause release-notes --wait --reason 'deploy first' --json"]
    kept = home.json("resume", "release-note", "-e", "KEY=secret", code=4)["hints"]
    assert kept == ["mzt status release-notes"]


def test_several_breakpoints_count_together(home):
    run = home.json("run", home.score("a", GATED), "--before", "2", "--before", "3")
    assert [stop["sheet"] for stop in run["breakpoints"]] == [2, 3]


def test_after_an_edit_nobody_is_told_to_take_it_back(home, editor):
    paused(home)
    text = (home.path / "a.yaml").read_text()
    (editor / "save-1").write_text(text.replace("sheet {{", "page {{"))
    home.mzt("edit", "a")
    told = home.mzt("resume", "a", "--json")
    assert '"source_changed": null' in told.stdout
    home.mzt("pause", "a")
    (home.path / "a.yaml").write_text(text.replace("sheet {{", "leaf {{"))
    assert home.json("resume", "a")["source_changed"] is True


def test_a_reader_that_leaves_is_141_without_a_buffer_too(home):
    home.mzt("run", home.score("big", "seq 1 50000"), "--wait")  # a few times what a pipe holds
    home.environment["PYTHONUNBUFFERED"] = "1"
    whole = subprocess.run(
        home.command(["logs", "big", "1"]), env=home.environment, capture_output=True, check=True
    )
    assert whole.stdout.endswith(b"\n50000\n")
    reading, writing = os.pipe()
    with subprocess.Popen(
        home.command(["logs", "big", "1"]), env=home.environment, stdout=writing
    ) as running:
        os.close(writing)
        os.read(reading, 10)
        os.close(reading)
    assert running.returncode == 141


def test_hints_name_the_score_as_it_was_typed(home):
    home.score("a", QUICK)
    home.mzt("run", "a.yaml", "--wait")
    (home.path / "b c.yaml").write_text((home.path / "a.yaml").read_text().replace("sheet {{", "Sheet {{"))
    planned = home.json("modify", "a", "-c", "b c.yaml", "--rerun", "changed", "--plan")
    assert planned["hints"] == ["mzt modify a -c 'b c.yaml' --rerun changed -r --wait --expect 1"]
    resumed = home.json("resume", "a", "-c", "b c.yaml", "--from", "1", "--plan")
    assert all("'b c.yaml'" in hint for hint in resumed["hints"])
