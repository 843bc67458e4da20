"""log.read and log.follow: what attempts printed, by byte."""

import base64

from kit.daemon import gated, plain, score


def read(daemon, job, sheet, **params):
    return daemon.rpc("log.read", job_id=job, sheet=sheet, **params)


def data(reply):
    return base64.b64decode(reply["data"])


def test_output_is_read_in_pieces_by_offset(daemon):
    daemon.submit(score("solo", ["seq 1 100000; echo trouble >&2"]))
    daemon.wait_for("solo", "completed")
    whole = b"".join(b"%d\n" % number for number in range(1, 100_001))
    read_so_far = b""
    while True:
        piece = read(daemon, "solo", 1, offset=len(read_so_far))
        assert (piece["size"], piece["ended"], piece["offset"]) == (len(whole), True, len(read_so_far))
        if not data(piece):
            break
        assert len(data(piece)) <= 256 * 1024
        read_so_far += data(piece)
    assert read_so_far == whole
    assert data(read(daemon, "solo", 1, offset=5, limit=7)) == whole[5:12]
    assert data(read(daemon, "solo", 1, stream="stderr")) == b"trouble\n"
    assert daemon.attempts("solo", 1)[0]["stdout_bytes"] == len(whole)


def test_bytes_come_as_they_are(daemon):
    daemon.submit(score("solo", ["printf '\\000\\377\\303'"]))
    daemon.wait_for("solo", "completed")
    assert data(read(daemon, "solo", 1)) == b"\x00\xff\xc3"


def test_prompt_and_result_are_kept(daemon):
    daemon.submit(score("solo", ["echo hello   "]))
    daemon.wait_for("solo", "completed")
    assert data(read(daemon, "solo", 1, stream="prompt")).decode().strip() == "echo hello"
    assert data(read(daemon, "solo", 1, stream="result")) == b"hello"


def test_an_attempt_is_named_by_its_number(daemon):
    body = 'echo attempt $MARIANNE_ATTEMPT; test "$MARIANNE_ATTEMPT" = 2'
    daemon.submit(
        score("solo", [body], retry={"max_retries": 1, "base_delay_seconds": 0.05, "jitter": False})
    )
    daemon.wait_for("solo", "completed")
    assert data(read(daemon, "solo", 1, attempt=1)) == b"attempt 1\n"
    assert data(read(daemon, "solo", 1)) == b"attempt 2\n"
    refused = daemon.refusal("log.read", job_id="solo", sheet=1, attempt=3)
    assert refused.code == "E510"


def test_what_is_not_there_is_said(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("duo", [gated(1), plain(2)]))
    ledger.wait_for("start 1")
    assert "sheets 1-2" in daemon.refusal("log.read", job_id="duo", sheet=3).message
    assert "no attempt yet" in daemon.refusal("log.read", job_id="duo", sheet=2).message
    assert daemon.refusal("log.read", job_id="nobody", sheet=1).code == "E501"


def test_following_sends_what_is_printed_as_it_comes_and_ends_with_the_attempt(daemon, ledger):
    daemon.gate(1)
    daemon.submit(score("solo", ["echo before; " + gated(1) + "; echo after"]))
    ledger.wait_for("start 1")
    with daemon.connect() as following:
        stream = following.rpc("log.follow", job_id="solo", sheet=1)["stream"]
        assert piece(following) == (0, b"before\n")
        daemon.gate(1).open()
        assert piece(following) == (7, b"after\n")
        end = following.message()["params"]
        assert (end["stream"], end["reason"]) == (stream, "ended")
        assert end["event"] <= daemon.rpc("daemon.hello")["event"]


PLAYER = """\
name: player
kind: cli
cli:
  command: {executable: bash}
  output: {format: jsonl, completion_event_type: end, result_path: text, live: [{event: end, show: text, path: text}]}
"""


def test_how_an_agents_lines_are_read_is_told_by_the_profile_it_was_started_with(house):
    directory = house.home / "config" / "marianne" / "instruments"
    directory.mkdir(parents=True)
    (directory / "player.yaml").write_text(PLAYER)
    house.start()
    prompt = """echo '{"type": "end", "text": "done"}'; exit"""
    house.submit(score("agent", [prompt], instrument="player"))
    house.submit(score("shell", ["echo one"]))
    assert house.wait_for("agent", "ended")["status"] == "completed"
    house.wait_for("shell", "completed")
    (directory / "player.yaml").unlink()
    assert read(house, "agent", 1)["reads"] is None
    told = read(house, "agent", 1, reads=True)["reads"]
    assert (told["format"], told["result_path"]) == ("jsonl", "text")
    assert told["live"][0]["show"] == "text"
    assert read(house, "shell", 1, reads=True)["reads"] is None


def piece(following):
    item = following.message()["params"]["item"]
    return item["offset"], base64.b64decode(item["data"])


def test_outputs_of_an_older_run_are_kept(daemon):
    daemon.submit(score("solo", ["echo one"]))
    daemon.wait_for("solo", "completed")
    daemon.submit(score("solo", ["echo two"]))
    daemon.wait_for("solo", "completed")
    assert data(read(daemon, "solo@1", 1)) == b"one\n"
    assert data(read(daemon, "solo", 1)) == b"two\n"


def test_output_of_a_sheet_that_has_another_number_since_is_read_by_the_present_one(daemon, ledger):
    daemon.gate(3)
    daemon.submit(score("moved", [plain(1), plain(2), f"echo third; {gated(3)}", plain(4)]))
    ledger.wait_for("start 3")
    daemon.rpc("job.pause", job_id="moved")
    daemon.gate(3).open()
    daemon.wait_for("moved", "paused")
    daemon.modify("moved", score("moved", [f"echo third; {gated(3)}", plain(4)]))
    told = read(daemon, "moved", 1, reads=True)
    assert (data(told), told["sheet"], told["stage"]) == (b"third\n", 1, 1)
    assert told["message"] == "moved: output of sheet 1, attempt 1"
    assert read(daemon, "moved", 1, stream="result")["sheet"] == 1
