"""Loops in a run: stages are played again until an expression holds, each once in each round."""

import anyio
from kit.daemon import DEADLINE, gated, plain, score

from marianned import workers

UNTIL = {"until": 'file("done").exists', "max_iterations": 3}


def looped(name, bodies, span="2-3", loop=None, **fields):
    return score(name, bodies, sheet={"loops": {span: loop or UNTIL}}, **fields)


def rounds(daemon, job, sheet):
    return [attempt["round"] for attempt in daemon.attempts(job, sheet)]


def test_the_stages_of_a_loop_are_played_until_its_expression_holds(daemon, ledger):
    ends = "note start 3; n=$(cat n 2>/dev/null || echo 0); echo $((n+1)) > n; test $n -lt 1 || touch done"
    daemon.submit(looped("round", [plain(1), plain(2), ends, plain(4)]))
    assert daemon.wait_for("round", "ended")["status"] == "completed"
    assert [line for line in ledger.lines() if line.startswith("start")] == [
        "start 1",
        *["start 2", "start 3"] * 2,
        "start 4",
    ]
    assert [rounds(daemon, "round", sheet) for sheet in (1, 2, 3, 4)] == [[None], [1, 2], [1, 2], [None]]
    progress = daemon.status("round")["progress"]
    assert progress["loops"] == [{"span": "2-3", "round": 2, "up_to": 3, "state": "closed"}]
    texts = [event["text"] for event in daemon.journal("round") if event["type"].startswith("loop.")]
    assert texts == [
        "loop 2-3: round 1 is judged",
        "loop 2-3: round 2 of up to 3 begins",
        "loop 2-3: round 2 is judged",
        "loop 2-3: is closed after round 2",
    ]


def test_without_an_expression_the_exit_code_and_the_checks_of_the_last_stage_decide(daemon, ledger):
    check = "note start 2; test -e ok || { touch ok; exit 3; }"
    daemon.submit(looped("plain", [plain(1), check], span="1-2", loop={"max_iterations": 4}))
    assert daemon.wait_for("plain", "ended")["status"] == "completed"
    assert ledger.lines().count("start 2") == 2
    first = daemon.attempts("plain", 2)[0]
    assert (first["outcome"], first["exit_code"]) == ("failed", 3)


def test_after_the_last_round_the_job_has_failed_and_says_why(daemon):
    daemon.submit(looped("vain", [plain(1), plain(2), plain(3)]))
    status = daemon.wait_for("vain", "ended")
    assert status["status"] == "failed"
    sheet = daemon.status("vain", sheets="3")["sheets"][0]
    assert (sheet["error_category"], sheet["error_message"]) == (
        "rounds",
        "its until does not hold after round 3",
    )
    assert sheet["attempt_count"] == 3


def test_a_prompt_sees_its_round_and_what_the_round_before_said(daemon, ledger):
    template = (
        "{% if stage == 1 %}note 'round {{ loop.round }} {{ loop.pass }}: {{ loop.previous }}'; echo said {{ loop.round }}"
        "{% else %}true{% endif %}"
    )
    loop = {"index": "pass", "count": 2}
    daemon.submit(looped("seen", ["", ""], span="1-2", loop=loop, prompt={"template": template}))
    assert daemon.wait_for("seen", "ended")["status"] == "completed"
    first, second = ledger.lines()
    assert first == "round 1 1: {}"
    assert second.startswith("round 2 2: {1: ")
    assert "said 1" in second


def test_until_sees_sheets_the_round_files_and_variables(daemon):
    facts = "sheets[2].exit_code == 0 and loop.round == total_stages and loop.passed"
    until = f"{facts} and file('{{workspace}}/x').matches('^a+$')"
    daemon.submit(
        looped(
            "sees",
            [plain(1), "echo aaa > x"],
            span="1-2",
            loop={"until": until, "max_iterations": 5},
        )
    )
    ended = daemon.wait_for("sees", "ended")
    assert ended["status"] == "completed", ended["message"]
    assert rounds(daemon, "sees", 2) == [1, 2]


def test_until_asks_of_whatever_lies_there_and_a_link_out_of_the_workspace_ends_the_rounds(daemon):
    makes = (
        "echo x >> n; case $(wc -l < n) in "
        "1) mkfifo x;; 2) rm x; mkdir x;; 3) rmdir x; ln -s /etc/passwd x;; esac"
    )
    loop = {"until": 'file("x").exists or file("x").contains("o")', "max_iterations": 9}
    daemon.submit(looped("kinds", [plain(1), makes], span="1-2", loop=loop))
    ended = daemon.wait_for("kinds", "ended")
    assert ended["status"] == "failed"
    assert rounds(daemon, "kinds", 2) == [1, 2, 3], "no further round is paid"
    sheet = daemon.status("kinds", sheets="2")["sheets"][0]
    assert sheet["error_category"] == "config"
    workspace = daemon.status("kinds")["workspace"]
    assert sheet["error_message"] == f"until has no answer: file('x'): a link leads out of '{workspace}'"


def test_file_modified_looks_at_what_the_round_has_done(daemon):
    check = {"type": "file_modified", "path": "x", "condition": "stage == 2"}
    body = "test -e x || echo 1 > x"  # round 2 changes nothing
    daemon.submit(
        looped(
            "changed", [plain(1), body], span="1-2", loop={"until": "loop.round == 2"}, validations=[check]
        )
    )
    assert daemon.wait_for("changed", "ended")["status"] == "completed"
    results = [[one["result"] for one in attempt["validations"]] for attempt in daemon.attempts("changed", 2)]
    assert results == [["passed"], ["failed"]]


def test_a_pause_stands_between_rounds_and_a_restart_in_it_counts_none_twice(daemon, ledger):
    daemon.gate(2)
    daemon.submit(looped("held", [plain(1), gated(2)], span="1-2", loop={"count": 2}))
    ledger.wait_for("start 2")
    daemon.rpc("job.pause", job_id="held")
    daemon.gate(2).open()
    daemon.wait_for("held", "paused")
    assert daemon.status("held")["progress"]["loops"][0]["round"] == 1
    daemon.kill()
    daemon.start()
    assert daemon.status("held")["status"] == "paused"
    daemon.rpc("job.resume", job_id="held")
    ledger.wait_for("start 2", times=2)
    daemon.gate(2).open()
    assert daemon.wait_for("held", "ended")["status"] == "completed"
    assert [rounds(daemon, "held", sheet) for sheet in (1, 2)] == [[1, 2], [1, 2]]


def test_a_pause_now_gives_up_the_question_whether_another_round_follows(daemon, monkeypatch):
    async def never(*_):
        await anyio.sleep_forever()

    with monkeypatch.context() as patch:
        patch.setattr(workers, "until", never)
        daemon.submit(looped("asks", [plain(1), f"touch done; {plain(2)}"], span="1-2"))
        daemon.event("asks", "loop.asked")
        told = daemon.rpc("job.pause", job_id="asks", now=True, wait=True, timeout=DEADLINE)
        assert told["status"] == "paused", told["message"]
    daemon.rpc("job.resume", job_id="asks")
    assert daemon.wait_for("asks", "ended")["status"] == "completed"
    assert rounds(daemon, "asks", 2) == [1]
