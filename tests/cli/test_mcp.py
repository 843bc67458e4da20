"""`mzt mcp` as the protocol's own client sees it, in both generations; and what it says to messages that are none."""

import json
import subprocess
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio import to_thread
from home_for_tests import GATED
from kit import zygote
from kit.daemon import DEADLINE, gated, score

from marianne_cli.mcp import tools
from marianne_cli.mcp.stdio import HANDSHAKES, MODERN
from marianne_cli.mcp.tools import TEXT_MOST

pytestmark = pytest.mark.one_daemon

MODES = pytest.mark.parametrize("mode", ["legacy", MODERN[0]])


@asynccontextmanager
async def agent(home, *options, mode="auto"):
    # loaded here: it takes a second, and each worker of pytest collects this file
    from mcp import Client, StdioServerParameters
    from mcp.client.stdio import stdio_client

    command, *arguments = home.command(["mcp", *options])
    server = StdioServerParameters(command=command, args=arguments, env=home.environment, cwd=home.path)
    with pytest.MonkeyPatch.context() as patched, anyio.fail_after(100):
        patched.setattr(subprocess, "Popen", zygote.Popen)
        async with Client(stdio_client(server), mode=mode) as client:
            yield client


async def said(client, tool, **arguments):
    """Return the text of an answer that is no error."""
    answer = await client.call_tool(tool, arguments)
    assert not answer.is_error, answer
    return answer.content[0].text


async def refused(client, tool, **arguments):
    answer = await client.call_tool(tool, arguments)
    assert answer.is_error, answer
    return answer.content[0].text


@MODES
def test_a_job_is_looked_at_paused_changed_and_resumed(home, mode):
    home.mzt("run", home.score("a", GATED, words=" words of old"))

    async def let_go_when_asked_twice():
        reasons = []
        while (
            reasons.count("better words") < 2
        ):  # the second one waits for the pause, which must not be there
            told = await to_thread.run_sync(home.json, "history", "a", "-n", "100")
            reasons = [entry["reason"] for entry in told["entries"]]
        home.let_go(1)

    async def look_after():
        async with agent(home, mode=mode) as client:
            tools = (await client.list_tools()).tools
            assert [tool.name for tool in tools] == ["look", "output", "plan", "change"]
            assert [tool.annotations.read_only_hint for tool in tools] == [True, True, True, False]
            assert all("$ref" not in json.dumps(tool.input_schema) for tool in tools)
            assert "a  " in await said(client, "look")
            assert "sheet 1 is in flight" in await said(client, "look", job="a")
            assert "pausing" in await said(client, "change", job="a", action="pause", reason="better words")
            text = (home.path / "a.yaml").read_text().replace("words of old", "new words")
            waited = {"reason": "better words", "wait_seconds": 60}
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(let_go_when_asked_twice)
                assert "a: paused; 1 of 3" in await said(client, "change", job="a", action="pause", **waited)
            plan = await said(client, "plan", job="a", action="modify", score=text)
            assert "prompt differs" in plan
            assert (await said(client, "change", job="a", action="modify", score=text, **waited)).startswith(
                "a: paused"
            )
            assert "running" in await said(client, "change", job="a", action="resume", reason="go on")
            home.let_go(2, 3)
            home.mzt("wait", "a")
            printed = await said(client, "output", job="a", sheet=2)
            assert "sheet 2 new words" in printed
            assert "so far" not in printed
            assert "sheet 1 words of old" in await said(client, "output", job="a", sheet=1)
            assert [str(one.uri) for one in (await client.list_resources()).resources] == [
                "marianne://job/a/score"
            ]
            score = await client.read_resource("marianne://job/a/score")
            assert score.contents[0].text == text
            log = await client.read_resource("marianne://job/a/log/3")
            assert "sheet 3 new words" in log.contents[0].text

    anyio.run(look_after)
    asked = {entry["reason"] for entry in home.json("history", "a", "-n", "100")["entries"]}
    assert "better words" in asked


@MODES
def test_what_can_not_be_done_is_said_with_what_can(home, mode):
    home.mzt("run", home.score("a"), "--wait")

    async def try_it():
        async with agent(home, mode=mode) as client:
            assert "E501" in await refused(client, "look", job="b")
            assert "mzt" in await refused(client, "change", job="a", action="pause", reason="why not")
            assert "reason" in await refused(client, "change", job="a", action="pause")
            assert "wait_seconds" in await refused(
                client, "change", job="a", action="pause", reason="x", wait_seconds=301
            )
            assert "belongs to pause" in await refused(
                client, "change", job="a", action="cancel", reason="x", now=True
            )
            assert (
                "no such file"
                in (await refused(client, "plan", job="a", action="modify", score_file="none.yaml")).lower()
            )
            (home.path / "odd.yaml").write_bytes(b"name: \xff")
            assert "UTF-8" in await refused(client, "plan", job="a", action="modify", score_file="odd.yaml")
            for tool, more in (("plan", {}), ("change", {"reason": "x"})):
                wrong = await refused(client, tool, job="a", action="modify", score="name: [\n", **more)
                assert "score:2:1: error S002" in wrong
                assert "mzt validate" not in wrong
            many = "name: a\n" + "".join(f"zz{number}: 1\n" for number in range(40))
            assert (
                "more"
                in (await refused(client, "plan", job="a", action="modify", score=many)).split("\n")[-1]
            )
            with pytest.raises(Exception, match="no tool"):
                await client.call_tool("remove", {})
            with pytest.raises(Exception, match="no resource"):
                await client.read_resource("marianne://job/a/../x")

    anyio.run(try_it)


def test_read_only_offers_no_change_and_the_daemon_would_take_none(home):
    home.mzt("run", home.score("a"), "--wait")

    async def look_only():
        async with agent(home, "--read-only") as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == ["look", "output", "plan"]
            assert "completed" in await said(client, "look", job="a")
            with pytest.raises(Exception, match=r"there are look, output, plan$"):
                await client.call_tool("change", {"job": "a", "action": "cancel", "reason": "x"})

    anyio.run(look_only)


SHADOW = "root:*:20228:0:99999:7:::\ndaemon:*:20228:0:99999:7:::\n"


def test_who_may_only_look_reads_no_file_by_what_is_wrong_in_it(home):
    """A score that is refused is told with what is wrong: of a file that would tell the file."""
    home.mzt("run", home.score("a"), "--wait")
    (home.path / "shadow").write_text(SHADOW)
    (home.path / "secret.j2").write_text("{% hunter2 %}")
    by_name = (home.path / "a.yaml").read_text().split("prompt:")[0] + "prompt: {template_file: secret.j2}\n"

    async def look_only():
        async with agent(home, "--read-only") as client:
            plan = {tool.name: tool for tool in (await client.list_tools()).tools}["plan"]
            assert "score_file" not in plan.input_schema["properties"]
            wrong = await refused(client, "plan", job="a", action="modify", score_file="shadow")
            assert wrong == "arguments.score_file: unknown argument of plan; did you mean 'score'?"
            wrong = await refused(client, "plan", job="a", action="modify", score=by_name)
            assert "error S2" in wrong
            assert "'secret.j2'" in wrong
            assert "hunter" not in wrong
            text = (home.path / "a.yaml").read_text().replace("template: |", "template: |\n    true")
            plan = await said(client, "plan", job="a", action="modify", score=text, rerun="changed")
            assert "runs again: 1-3" in plan
            assert "unknown key 'zz'" in await refused(
                client, "plan", job="a", action="modify", score=f"{text}zz: 1\n"
            )

    async def look_and_change():
        async with agent(home) as client:
            for tool, more in (("plan", {}), ("change", {"reason": "x"})):
                wrong = await refused(client, tool, job="a", action="modify", score_file="shadow", **more)
                assert "this is no score" in wrong
                assert "20228" not in wrong

    anyio.run(look_only)
    anyio.run(look_and_change)


def test_who_may_only_look_finds_no_guess_at_a_file_confirmed(home):
    """What stands in the score is quoted, also where it is a guess: but not of what is wrong in another file."""
    home.mzt("run", home.score("a"), "--wait")
    text = (home.path / "a.yaml").read_text()
    (home.path / "secret.j2").write_text("{{ hunter2 }}")
    (home.path / "secret.yaml").write_text("hunter2: 1\n")
    (home.path / ".marianne" / "instruments").mkdir(mode=0o700, parents=True)
    (home.path / ".marianne").chmod(0o700)
    profile = home.path / ".marianne" / "instruments" / "secret.yaml"
    profile.write_text("hunter2: 1\n")
    profile.chmod(0o600)
    guess = "# hunter2\n"
    body = text.split("prompt:")[0]
    template = f"{guess}{body}prompt: {{template_file: secret.j2}}\n"
    chained = f"{guess}{text}on_success: [{{type: run_job, job_path: secret.yaml}}]\n"

    async def look_only():
        async with agent(home, "--read-only") as client:
            for score, names in ((template, "S202"), (chained, "S306"), (f"{guess}{text}", "S405")):
                wrong = await refused(client, "plan", job="a", action="modify", score=score)
                assert names in wrong
                assert "hunter2" not in wrong, wrong
                assert "'secret.j2'" in wrong or names != "S202"

    anyio.run(look_only)


def test_what_a_call_lacks_is_said_in_words_of_its_own(home):
    home.mzt("run", home.score("a"), "--wait")
    cancel = {"job": "a", "action": "cancel"}
    wanted = "text of 1-1000 characters without control characters"
    told = {
        "output": [
            ({"job": "a", "lines": 300}, "arguments.lines: a whole number from 1 to 200 is wanted, not 300"),
            ({"job": "a", "bogus": 1}, "arguments.bogus: unknown argument of output"),
            ({}, "arguments.job: output needs it, text of 1-120 characters"),
        ],
        "look": [(["a"], "arguments: not a valid JSON object")],
        "change": [
            (
                cancel,
                f"arguments.reason: change needs it, {wanted}",
            ),
            (
                {**cancel, "reason": "a\x07b"},
                f"arguments.reason: {wanted} is wanted, not one with '\\x07'",
            ),
        ],
    }
    calls = [(name, given, words) for name, rows in told.items() for given, words in rows]
    lines = [
        {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": name, "arguments": given}}
        for number, (name, given, _) in enumerate(calls)
    ]
    answers = exchange(home, *(json.dumps(line).encode() for line in lines))
    found = {answer["id"]: answer["result"]["content"][0]["text"] for answer in answers}
    assert found == {number: words for number, (_, _, words) in enumerate(calls)}


def test_what_the_transport_does_not_take_is_named(home):
    answers = exchange(
        home,
        b'[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]',
        b'{"jsonrpc": "1.0", "id": 2, "method": "ping"}',
        b'{"jsonrpc": "2.0", "id": 3, "method": "tools/call"}',
        b'{"jsonrpc": "2.0", "id": 4, "method": "resources/read"}',
    )
    said = {answer["id"]: answer["error"]["message"] for answer in answers}
    assert said == {
        None: "batches are not taken: send each request in a line of its own",
        2: 'jsonrpc is "2.0": no other version is spoken',
        3: "name, a text, says which tool; there are look, output, plan, change",
        4: "uri, a text, says which resource; resources/templates/list tells their form",
    }


def test_a_wide_job_is_told_piece_by_piece(home):
    score = home.path / "wide.yaml"
    score.write_text(
        "name: wide\nworkspace: ./out\ninstrument: cli\nsheet: {size: 1, total_items: 150}\nparallel: {fail_fast: false}\n"
        "prompt: {template: exit 3}\nretry: {max_retries: 0}\n"
    )
    home.mzt("run", "wide.yaml", "--before", "2", "--wait", code=None)

    async def read_on():
        async with agent(home) as client:
            whole, more = [], 0
            while True:
                text = await said(client, "look", job="wide", more=more)
                assert len(text) < TEXT_MOST + 80
                lines = text.split("\n")
                if "… more: " not in lines[-1]:
                    return [*whole, *lines]
                whole += lines[:-1]
                more = int(lines[-1].split()[2])

    lines = anyio.run(read_on)
    assert lines[0].startswith("wide  ") or "wide" in lines[0]


def test_without_a_daemon_it_says_how_to_start_one(home):
    home.mzt("stop", code=None)

    async def look():
        async with agent(home) as client:
            for asked in (client.list_resources(), client.read_resource("marianne://job/a/score")):
                with pytest.raises(Exception, match="E511: no daemon"):
                    await asked
            return await refused(client, "look")

    assert "mzt start" in anyio.run(look)


def exchange(home, *lines):
    """Return what is answered to these lines, until the input ends."""
    done = zygote.run(
        home.command(["mcp"]), input=b"".join(line + b"\n" for line in lines), env=home.environment, cwd=home.path,
        capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stderr == b""
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_messages_that_are_none_are_refused_and_the_next_is_answered(home):
    odd = [b"", b"no json", b"[]", b'{"id": 1}', b"\xff\xfe", b"[" * 100_000, b'{"method": "x", "id": 1.5}']
    ping = b'{"jsonrpc": "2.0", "id": "last", "method": "ping"}'
    answers = exchange(
        home, *odd, b'{"method": "nothing", "id": 2}', b'{"method": "ping", "id": 3, "params": 5}', ping
    )
    codes = {
        answer["id"]: answer.get("error", {}).get("code") for answer in answers if answer["id"] is not None
    }
    assert codes == {2: -32601, 3: -32602, "last": None}
    assert [answer["error"]["code"] for answer in answers if answer["id"] is None] == [
        -32700, -32600, -32600, -32700, -32700, -32600,
    ]  # fmt: skip


def test_a_request_that_holds_what_no_value_can_be_is_answered_by_its_id(home):
    """A client waits for the answer with its id: one without an id is none."""
    call = '{"jsonrpc": "2.0", "id": %s, "method": "tools/call", "params": {"name": "look", "arguments": %s}}'
    asked = {
        1: '{"more": 1e999}',
        2: '{"job": "\\ud800"}',
        "three": '{"more": %s}' % ("9" * 5_000),
        4: '{"\\udc00": NaN}',
    }
    answers = exchange(
        home, *(call.encode() % (json.dumps(k).encode(), v.encode()) for k, v in asked.items())
    )
    assert {answer["id"]: answer["error"]["code"] for answer in answers} == dict.fromkeys(asked, -32600)
    odd = [b'"\\ud800"', b"9" * 5_000, b"true", b"[]", b"1e999"]
    answers = exchange(home, *(b'{"id": %s, "method": "ping", "params": {"a": 1e999}}' % one for one in odd))
    assert [answer["id"] for answer in answers] == [None] * len(odd)
    (answer,) = exchange(home, b'{"id": true, "method": "ping"}')
    assert (answer["id"], answer["error"]["code"]) == (None, -32600)


@pytest.mark.own_daemon("it is killed")
def test_a_call_is_answered_when_its_daemon_has_gone_and_stays_away(house, monkeypatch):
    monkeypatch.setattr(tools, "AWAY_SECONDS", 0.3)
    house.gate(1)
    house.submit(score("a", [gated(1)]))
    house.ledger.wait_for("start 1")
    arguments = {"job": "a", "action": "pause", "reason": "to see", "wait_seconds": 300}

    async def waits():
        with anyio.fail_after(DEADLINE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(to_thread.run_sync, kills)
                job_tools = tools.JobTools(str(house.socket), read_only=False)
                return await job_tools.handlers["tools/call"]({"name": "change", "arguments": arguments})

    def kills():
        house.event("a", "job.pausing")
        house.kill()

    answer = anyio.run(waits)
    assert answer["isError"]
    assert "may be in force" in answer["content"][0]["text"]


def test_a_client_that_reads_no_more_ends_it_quietly(home):
    with zygote.Popen(
        home.command(["mcp"]), env=home.environment, cwd=home.path,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as door:  # fmt: skip
        door.stdout.close()
        door.stdin.write(b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
        door.stdin.flush()
        assert door.stderr.read() == b""
        assert door.wait() == 0


def test_a_handshake_of_each_age_is_answered_and_a_protocol_to_come_is_refused(home):
    for version in (*HANDSHAKES, "2199-01-01"):
        hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": version}}
        (answer,) = exchange(home, json.dumps(hello).encode())
        assert answer["result"]["protocolVersion"] == (version if version in HANDSHAKES else HANDSHAKES[-1])
    meta = {"io.modelcontextprotocol/protocolVersion": "2199-01-01"}
    new = {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": meta}}
    (answer,) = exchange(home, json.dumps(new).encode())
    assert answer["error"] == {
        "code": -32022,
        "message": "Unsupported protocol version",
        "data": {"supported": list(MODERN), "requested": "2199-01-01"},
    }


def test_by_hand_it_says_what_it_is_for(home):
    done = home.mzt("mcp", "--help")
    assert "Model Context Protocol" in done.stdout


def test_who_needs_a_person_comes_first(home):
    home.mzt("run", home.score("moves", GATED))
    home.mzt("run", home.score("waits"), "--before", "1")
    home.mzt("wait", "waits", "--for", "paused")

    async def look():
        async with agent(home) as client:
            return await said(client, "look")

    head, *rows = anyio.run(look).splitlines()
    assert head == "2 jobs, 1 of them needs a person"
    names = [row.split()[0] for row in rows]
    assert names.index("waits") < names.index("moves")
    home.let_go(1, 2, 3)
