"""job.modify: a new score for a job; what is done stays done."""

import yaml
from kit.daemon import gated, plain, score
from kit.two_versions import first, second


def test_a_paused_job_goes_on_under_its_new_score(daemon, ledger):
    daemon.gate(1)
    daemon.submit(first())
    ledger.wait_for("start 1")
    daemon.rpc("job.pause", job_id="trio")
    daemon.gate(1).open()
    daemon.wait_for("trio", "paused")
    reply = daemon.modify("trio", second(), resume=True, wait=True)
    assert (reply["acknowledged"], reply["revision"], reply["holds"]) == (True, 2, [])
    daemon.wait_for("trio", "completed")
    assert ledger.lines().count("new 2") == 1
    assert ledger.lines().count("start 1") == 1


def test_a_failed_job_goes_on_under_its_new_score(daemon, ledger):
    daemon.submit(score("duo", [plain(1), "note start 2; exit 1"]))
    daemon.wait_for("duo", "failed")
    reply = daemon.modify("duo", score("duo", [plain(1), plain(2)]), resume=True, wait=True)
    assert reply["revision"] == 2
    assert daemon.wait_for("duo", "ended")["status"] == "completed"
    assert ledger.lines() == ["start 1", "end 1", "start 2", "start 2", "end 2"]


def test_a_failed_job_that_is_modified_only_stays_failed_until_its_resume(daemon, ledger):
    daemon.submit(score("duo", [plain(1), "note start 2; exit 1"]))
    daemon.wait_for("duo", "failed")
    reply = daemon.modify("duo", score("duo", [plain(1), plain(2)]), wait=True)
    assert (reply["status"], reply["revision"], reply["acknowledged"]) == ("failed", 2, True)
    daemon.rpc("job.resume", job_id="duo")
    assert daemon.wait_for("duo", "ended", "completed")["status"] == "completed"
    assert ledger.lines() == ["start 1", "end 1", "start 2", "start 2", "end 2"]


def test_an_invalid_score_is_refused_with_its_places_and_the_job_goes_on_undisturbed(daemon, ledger):
    daemon.gate(1)
    daemon.submit(first())
    ledger.wait_for("start 1")
    before = daemon.status("trio")
    text = first().replace("total_items: 3", "total_items: 0").replace("retry:", "retri:")
    refused = daemon.refusal(
        "job.modify", job_id="trio", text=text, directory=str(daemon.home), file="/x/new.yaml", resume=True, wait=True
    )  # fmt: skip
    assert (refused.code, refused.status) == ("E505", "running")
    assert "goes on undisturbed" in refused.message
    lines = text.splitlines()
    places = [(problem["code"], problem["line"], problem["column"]) for problem in refused.problems]
    assert ("S010", lines.index("retri:") + 1, 1) in places
    assert ("S013", lines.index("  total_items: 0") + 1, 16) in places
    assert daemon.status("trio") == before
    daemon.gate(1).open()
    daemon.wait_for("trio", "completed")
    ledger.once(1, 2, 3)


def test_another_name_is_an_error_at_the_name(daemon, ledger):
    daemon.submit(score("duo", [plain(1), "exit 1"]))
    daemon.wait_for("duo", "failed")
    refused = daemon.refusal(
        "job.modify", job_id="duo", text=score("other", ["true"]), directory=str(daemon.home), file="/x/n.yaml"
    )  # fmt: skip
    assert refused.code == "E505"
    assert refused.problems[-1]["code"] == "S603"
    assert [(problem["path"], problem["line"], problem["column"]) for problem in refused.problems][-1] == (
        "name",
        1,
        7,
    )


def test_without_resume_a_running_job_ends_paused_and_the_stored_score_runs_later(daemon, ledger):
    daemon.gate(1)
    daemon.submit(first())
    ledger.wait_for("start 1")
    file = daemon.home / "new.yaml"
    file.write_text(second())
    reply = daemon.modify("trio", second(), file=str(file))
    assert (reply["status"], reply["then"], reply["staged_revision"]) == ("pausing", "pause", 2)
    file.unlink()
    (daemon.home / "trio.yaml").unlink()
    daemon.gate(1).open()
    paused = daemon.wait_for("trio", "paused")
    assert (paused["revision"], paused["staged_revision"]) == (2, None)
    assert ledger.lines() == ["start 1", "end 1"]
    assert daemon.rpc("job.resume", job_id="trio")["source_changed"] is None
    daemon.wait_for("trio", "completed")
    assert ledger.lines().count("new 2") == 1
    assert ledger.lines()[-1] == "end 4"


def test_a_stage_before_finished_ones_runs_and_they_do_not_run_again(daemon, ledger):
    for sheet in ("one", "two"):
        daemon.gate(sheet)
    stages = {"one": gated("one"), "two": gated("two"), "three": plain("three")}
    daemon.submit(named("trio", stages))
    daemon.gate("one").open()
    ledger.wait_for("start two")
    daemon.rpc("job.pause", job_id="trio")
    daemon.gate("two").open()
    daemon.wait_for("trio", "paused")
    text = named("trio", {"zero": plain("zero"), **stages})
    shown = daemon.modify("trio", text, plan=True)
    assert shown["dry_run"]
    assert (shown["new_revision"], shown["revision"]) == (2, 1)
    told = [(line["sheet"], line["old_sheet"], line["action"], line["runs"]) for line in shown["plan"]]
    assert told == [
        (1, None, "added", True),
        (2, 1, "kept-changed", False),
        (3, 2, "kept", False),
        (4, 3, "kept", True),
    ]
    assert daemon.status("trio")["revision"] == 1
    done = daemon.modify("trio", text, resume=True, wait=True)
    assert done["plan"] == shown["plan"]
    daemon.wait_for("trio", "completed")
    ledger.once("zero", "one", "two", "three")
    assert ledger.lines()[-4:] == ["start zero", "end zero", "start three", "end three"]


def named(name, stages):
    movements = {number: {"name": stage} for number, stage in enumerate(stages, 1)}
    return score(name, list(stages.values()), movements=movements)


def test_a_staged_revision_can_be_taken_back(daemon, ledger):
    daemon.gate(1)
    daemon.submit(first())
    ledger.wait_for("start 1")
    daemon.modify("trio", second())
    reply = daemon.rpc("job.modify", job_id="trio", discard=True)
    assert (reply["status"], reply["staged_revision"], reply["holds"]) == ("running", None, [])
    assert daemon.refusal("job.modify", job_id="trio", discard=True).code == "E502"
    daemon.gate(1).open()
    daemon.wait_for("trio", "completed")
    ledger.once(1, 2, 3)


def test_of_a_staged_revision_that_a_cancel_overtakes_the_journal_says_so(daemon, ledger):
    daemon.gate(1)
    daemon.submit(first())
    ledger.wait_for("start 1")
    daemon.modify("trio", second(), resume=True)
    daemon.rpc("job.cancel", job_id="trio", wait=True)
    lines = [one["text"] for one in daemon.rpc("job.history", job_id="trio")["entries"]]
    assert [one for one in lines if "dropped" in one] == ["revision 2 was dropped: the job is cancelled"]


def test_a_newer_modify_replaces_a_staged_one_and_its_waiter_is_told(daemon, ledger):
    daemon.gate(1)
    daemon.submit(first())
    ledger.wait_for("start 1")
    with daemon.connect() as waiting:
        asked = waiting.send(
            "job.modify", job_id="trio", text=second(), directory=str(daemon.home), wait=True
        )
        daemon.event("trio", "job.pausing")
        third = first().replace("note start 3", "note start 3; note third")
        assert daemon.modify("trio", third, resume=True)["staged_revision"] == 3
        message = waiting.message()
    assert message["id"] == asked
    assert message["error"]["data"]["error_code"] == "E513"
    dropped = daemon.event("trio", "revision.dropped")
    assert dropped["text"] == "revision 2 was dropped: revision 3 takes its place"
    daemon.gate(1).open()
    assert daemon.wait_for("trio", "ended")["revision"] == 3
    assert "third" in ledger.lines()
    assert "new 2" not in ledger.lines()


def test_two_editors_can_not_overwrite_each_other(daemon, ledger):
    daemon.gate(1)
    daemon.submit(first())
    ledger.wait_for("start 1")
    daemon.modify("trio", second(), expect=1)
    refused = daemon.refusal("job.modify", job_id="trio", text=first(), directory=str(daemon.home), expect=1)
    assert refused.code == "E502"
    assert "revision 2" in refused.message


def test_the_same_score_again_is_no_revision_and_no_hold(daemon, ledger):
    daemon.gate(1)
    daemon.submit(first())
    ledger.wait_for("start 1")
    reply = daemon.modify("trio", first(), wait=True)
    assert (reply["changed"], reply["new_revision"], reply["status"], reply["holds"]) == (
        False,
        None,
        "running",
        [],
    )


def test_a_completed_job_takes_no_score_under_which_nothing_would_run(daemon):
    daemon.submit(score("solo", [plain(1)]))
    daemon.wait_for("solo", "completed")
    text, place = score("solo", [plain(2)]), str(daemon.home)
    refused = daemon.refusal("job.modify", job_id="solo", text=text, directory=place, file="/x/new.yaml")
    assert (refused.code, refused.status) == ("E502", "completed")
    assert refused.hints == ["mzt modify solo -c /x/new.yaml --rerun changed -r"]


def test_a_modify_says_what_it_is_given_or_nothing_is_done(daemon, ledger):
    daemon.submit(score("solo", ["true"]))
    assert daemon.refusal("job.modify", job_id="solo").code == "E510"
    refused = daemon.refusal("job.modify", job_id="solo", text="name: x", discard=True)
    assert refused.code == "E510"


def test_the_lines_of_a_plan_come_in_pages(daemon):
    daemon.gate(1)
    daemon.submit(score("long", [gated(1), plain(2), plain(3)]))
    text = score("long", [gated(1), plain("two"), plain("three")])
    pages = [daemon.modify("long", text, plan=True, offset=offset, limit=2) for offset in (0, 2, 4)]
    assert [page["plan_total"] for page in pages] == [3, 3, 3]
    assert [[line["sheet"] for line in page["plan"]] for page in pages] == [[1, 2], [3], []]
    daemon.modify("long", text)
    told = daemon.rpc("job.revisions", job_id="long", offset=1, limit=1)["revisions"][-1]
    assert ([line["sheet"] for line in told["plan"]], told["plan_total"]) == ([2], 3)
    daemon.gate(1).open()
    daemon.wait_for("long", "paused")
    again = daemon.rpc("job.resume", job_id="long", plan=True, offset=2, **{"from": "1"})
    assert (len(again["plan"]), again["plan_total"]) == (1, 3)


def test_another_workspace_or_isolation_is_told_to_have_no_effect(daemon, ledger):
    daemon.gate(1)
    text = score("stays", [gated(1), "pwd > here"])
    daemon.submit(text)
    ledger.wait_for("start 1")
    same = daemon.modify("stays", text.replace("pwd", "pwd "))["problems"]
    assert "S604" not in [problem["code"] for problem in same]
    moved = yaml.safe_dump(
        yaml.safe_load(text) | {"workspace": "./elsewhere", "isolation": {"enabled": True}}
    )
    for plan in (True, False):
        problems = daemon.modify("stays", moved, plan=plan)["problems"]
        told = {problem["path"]: problem["message"] for problem in problems if problem["code"] == "S604"}
        assert set(told) == {"workspace", "isolation"}
        work = daemon.status("stays")["workspace"]
        assert told["workspace"].endswith(f"it belongs to the run: 'stays' goes on in '{work}'")
    daemon.gate(1).open()
    daemon.wait_for("stays", "paused")
    daemon.rpc("job.resume", job_id="stays")
    daemon.wait_for("stays", "completed")
    assert (daemon.home / "stays-work" / "here").exists()


def chosen_by_number(*names):
    """A score in the manner of many: one template, in which blocks with lines of their own choose by the number."""
    blocks = "".join(
        f"{{% if sheet_num == {n} %}}\nnote start {name}\nnote end {name}\n{{% endif %}}\n"
        for n, name in enumerate(names, 1)
    )
    sheet = {"size": 1, "total_items": len(names)}
    return yaml.safe_dump(
        {
            "name": "by",
            "workspace": "./w",
            "instrument": "cli",
            "sheet": sheet,
            "prompt": {"template": blocks},
        }
    )


def test_a_sheet_that_moves_in_a_template_that_chooses_by_number_is_itself(daemon, ledger):
    """Taking others out leaves other blank lines around it: what has not run runs, and nothing twice."""
    daemon.submit(chosen_by_number("x", "y", "z", "last"), before="4")
    daemon.wait_for("by", "paused")
    reply = daemon.modify("by", chosen_by_number("y", "last"), resume=True)
    assert {(line["sheet"], line["old_sheet"], line["action"]) for line in reply["plan"]} == {
        (1, 2, "kept-changed"),  # it needed x
        (2, 4, "changed"),
        (None, 1, "removed"),
        (None, 3, "removed"),
    }
    daemon.wait_for("by", "completed")
    assert ledger.lines() == [
        f"{what} {name}" for name in ("x", "y", "z", "last") for what in ("start", "end")
    ]
