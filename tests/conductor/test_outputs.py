"""log.read and log.follow: what attempts printed, by byte."""

import base64

import pytest
from kit.daemon import gated, plain, score
from kit.tables import each


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


def followed(daemon, job, **params):
    """Return what a stream of output brings until it ends, by output and stream, and how it ended."""
    pieces, ended = {}, []
    with daemon.connect() as reading:
        reading.rpc("log.follow", job_id=job, **params)
        while (message := reading.message())["method"] == "stream.item":
            item = message["params"]["item"]
            key = (item["hook"], item["sheet"], item["attempt"], item["stream"])
            pieces[key] = pieces.get(key, b"") + data(item)
            ended += [key] if item["ended"] else []
    return pieces, ended, message["params"]["reason"]


def test_a_part_from_the_end_begins_where_a_line_does(daemon):
    daemon.submit(score("solo", ["printf 'first\\nsecond\\n\\nlast without end'"]))
    daemon.wait_for("solo", "completed")
    whole = b"first\nsecond\n\nlast without end"
    for back, said in (
        (10**12, whole),
        (len(whole), whole),
        (len(whole) - 1, b"second\n\nlast without end"),
        (24, b"second\n\nlast without end"),
        (18, b"\nlast without end"),
        (16, b"last without end"),
        (5, b"t end"),
    ):
        reply = read(daemon, "solo", 1, offset=-back)
        assert (data(reply), reply["offset"]) == (said, len(whole) - len(said))
        assert data(read(daemon, "solo", 1, stream="result", offset=-back)) == said
        assert followed(daemon, "solo", sheet=1, offset=-back)[0] == {(None, 1, 1, "stdout"): said}
    assert followed(daemon, "solo", sheet=1, tail_lines=2)[0] == {
        (None, 1, 1, "stdout"): b"\nlast without end"
    }


def test_both_streams_of_an_attempt_come_on_one(daemon):
    daemon.submit(score("solo", ["echo out; echo err >&2"]))
    daemon.wait_for("solo", "completed")
    pieces, _, reason = followed(daemon, "solo", sheet=1, stream="both")
    assert pieces == {(None, 1, 1, "stdout"): b"out\n", (None, 1, 1, "stderr"): b"err\n"}
    assert reason == "ended"


def test_a_whole_job_is_followed_hooks_included_until_it_ends(daemon, ledger):
    retry = {"max_retries": 1, "base_delay_seconds": 0.01, "jitter": False}
    bodies = [f"echo before; {gated(1)}; echo after", "echo two; test -e x || { touch x; exit 1; }"]
    daemon.gate(1)
    hooks = [{"type": "run_command", "command": "echo hook"}]
    daemon.submit(score("all", bodies, retry=retry, on_success=hooks))
    ledger.wait_for("start 1")
    with daemon.connect() as reading:
        reading.rpc("log.follow", job_id="all", stream="both", tail_lines=0)
        daemon.gate(1).open()
        items = []
        while (message := reading.message())["method"] == "stream.item":
            items.append(message["params"]["item"])
    printed, over = {}, set()
    for item in items:
        key = (item["hook"], item["sheet"], item["attempt"], item["stream"])
        assert key not in over
        printed[key] = printed.get(key, b"") + data(item)
        over |= {key} if item["ended"] else set()
    assert message["params"]["reason"] == "ended"
    assert over == set(printed)
    assert {key: said for key, said in printed.items() if key[3] == "stdout"} == {
        (None, 1, 1, "stdout"): b"after\n",
        (None, 2, 1, "stdout"): b"two\n",
        (None, 2, 2, "stdout"): b"two\n",
        (1, None, 1, "stdout"): b"hook\n",
    }
    assert followed(daemon, "all") == ({}, [], "ended"), "nothing of it is in flight any more"
    refused = daemon.refusal("log.follow", job_id="all", offset=5)
    assert (refused.code, "'offset'" in refused.message) == ("E510", True)


def search(daemon, **params):
    found = daemon.rpc("log.search", job_id="solo", sheet=1, **params)
    return found, [(one["line"], one["text"]) for one in found["matches"]]


def test_an_output_is_searched_for_a_text_line_by_line(daemon):
    daemon.submit(score("solo", [r"seq 1 30; printf 'Straße a.b \377\nSTRASSE\nx\r\nend'; seq 1 3 >&2"]))
    daemon.wait_for("solo", "completed")
    whole = data(read(daemon, "solo", 1))
    found, lines = search(daemon, text="3")
    assert lines == [(3, "3"), (13, "13"), (23, "23"), (30, "30")]
    assert [whole[one["offset"] :].split(b"\n")[0].decode() for one in found["matches"]] == [
        t for _, t in lines
    ]
    assert (found["more"], found["offset"], found["lines"]) == (False, len(whole), 33)
    first, lines = search(daemon, text="3", limit=3)
    assert (lines[-1], first["more"]) == ((23, "23"), True)
    assert search(daemon, text="3", offset=first["offset"])[1] == [(30, "30")]
    assert search(daemon, text="a.b")[1] == [(31, "Straße a.b �")], "no pattern"
    assert search(daemon, text="a?b")[1] == []
    assert search(daemon, text="stra", ignore_case=True)[1] == [(31, "Straße a.b �"), (32, "STRASSE")]
    assert search(daemon, text="x")[1] == [(33, "x")]
    assert search(daemon, text="end")[1] == [(34, "end")]
    assert search(daemon, text="2", stream="stderr")[1] == [(2, "2")]
    assert search(daemon, text="(a+)+$")[1] == []
    assert search(daemon, text="3", offset=10**15)[1] == []


def test_a_long_line_is_shown_around_what_was_found(daemon):
    daemon.submit(score("solo", ["head -c 3000000 /dev/zero | tr '\\0' 'a'; echo needle; echo needle"]))
    daemon.wait_for("solo", "completed")
    found, lines = search(daemon, text="needle")
    assert [text[-6:] for _, text in lines] == ["needle", "needle"]
    assert max(len(text) for _, text in lines) <= 1_000
    assert found["offset"] == found["size"]


@pytest.fixture
def solo(daemon):
    """A daemon with a job of one sheet, which has ended."""
    daemon.submit(score("solo", ["true"]))
    daemon.wait_for("solo", "completed")
    return daemon


@each(
    ("method", "params"),
    [
        ("log.search", {"text": ""}),
        ("log.search", {"text": "x" * 1001}),
        ("log.search", {"text": "a\nb"}),
        ("log.search", {"text": "\x00"}),
        ("log.search", {"text": 3}),
        ("log.search", {"text": "x", "limit": 0}),
        ("log.search", {"text": "x", "limit": 1001}),
        ("log.search", {"text": "x", "offset": -1}),
        ("log.search", {"text": "x", "offset": 2**70}),
        ("log.search", {"text": "x", "stream": "both"}),
        ("log.search", {"text": "x", "pattern": "(a+)+$"}),
        ("log.read", {"offset": -(2**60)}),
        ("log.read", {"offset": 1.5}),
        ("log.follow", {"tail_lines": -1}),
        ("log.follow", {"stream": "prompt"}),
    ],
)
def test_what_can_not_be_read_so_is_refused(solo, method, params):
    assert solo.refusal(method, job_id="solo", sheet=1, **params).code == "E510"


def test_a_surrogate_in_a_search_is_refused_as_no_text(solo):
    with solo.connect() as reading:
        line = (
            rb'{"jsonrpc":"2.0","id":1,"method":"log.search",'
            rb'"params":{"job_id":"solo","sheet":1,"text":"\ud800"}}'
        )
        reading.raw(line + b"\n")
        assert reading.message()["error"]["data"]["error_code"] == "E510"
