"""A modify that changes white space alone: what is done stays, and is not run again as changed."""

from kit.daemon import plain, score


def test_blank_lines_behind_a_script_are_no_change(daemon, ledger):
    bodies = [plain(1), plain(2)]
    daemon.submit(score("duo", bodies))
    daemon.wait_for("duo", "completed")
    with_lines = score("duo", [f"{body}\n\n" for body in bodies])
    plan = daemon.modify("duo", score("duo", [*(f"{body}\n\n" for body in bodies), plain(3)]), plan=True)[
        "plan"
    ]
    assert [(line["action"], line["why"]) for line in plan] == [
        ("kept", "prompt differs in white space only; completed, stays"),
        ("kept", "prompt differs in white space only; completed, stays"),
        ("added", "stage 3 is new"),
    ]
    refused = daemon.refusal(
        "job.modify", job_id="duo", text=with_lines, directory=str(daemon.home), rerun="changed"
    )
    assert (refused.code, "nothing would run" in refused.message) == ("E502", True)
    daemon.modify("duo", score("duo", [*(f"{body}\n\n" for body in bodies), plain(3)]), resume=True)
    daemon.wait_for("duo", "completed")
    refused = daemon.refusal("job.modify", job_id="duo", rerun="changed")
    assert (refused.code, "nothing would run" in refused.message) == ("E502", True)
    ledger.once(1, 2, 3)


def test_what_else_changed_with_the_white_space_is_a_change(daemon, ledger):
    daemon.submit(score("duo", [plain(1), plain(2)]))
    daemon.wait_for("duo", "completed")
    plan = daemon.modify(
        "duo", score("duo", [f"{plain(1)}\n\n", f"{plain(2)} \n"]), plan=True, rerun="changed"
    )["plan"]
    assert [line["action"] for line in plan] == ["kept", "rerun"]
