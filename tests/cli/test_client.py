"""The client against a scripted daemon: one round trip, mismatches, broken connections."""

import contextlib
import inspect
import json
import os
import socket
import threading
import types

import msgspec
import pytest

from marianne_cli.client import connect
from marianne_cli.client.calls import submission
from marianne_cli.client.dialling import current_umask
from marianne_cli.client.streams import MergedOutputStream
from marianne_cli.main import run
from marianned import client_wire
from marianned import protocol as p
from marianned.errors import BadRequest, InternalError, NoDaemon, NoSuchJob, ProtocolMismatch
from marianned.formatting import DURATION_MOST

HELLO = {"version": "1.0.2", "protocol": 1, "pid": 812, "features": [], "ready": True, "event": 7}


class Daemon:
    """Listens; for each connection a script says what to answer to the requests, in order."""

    def __init__(self, path, *scripts):
        self.path = str(path)
        self.reads = []
        self.requests = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        self._listener.settimeout(10)
        self._scripts = scripts
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        for script in self._scripts:
            connection, _ = self._listener.accept()
            with connection, contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._talk(connection, list(script))  # a client may leave when it has read enough
        self._listener.close()

    def _talk(self, connection, script):
        buffer = b""
        while script:
            while b"\n" not in buffer:
                data = connection.recv(65536)
                if not data:
                    return
                self.reads.append(data)
                buffer += data
            line, _, buffer = buffer.partition(b"\n")
            asked = json.loads(line)
            self.requests.append(asked)
            answer = script.pop(0)
            if answer is None:
                return
            key = "error" if "code" in answer else "result"
            connection.sendall(
                json.dumps({"jsonrpc": "2.0", "id": asked["id"], key: answer}).encode() + b"\n"
            )

    def close(self):
        self._thread.join(10)


@pytest.fixture
def daemon(tmp_path):
    made = []

    def listen(*scripts):
        made.append(Daemon(tmp_path / "s", *scripts))
        return made[-1]

    yield listen
    for one in made:
        one.close()


def refusal(code, message, **data):
    data = {"error_code": code, "job_id": None, "status": None, "hints": [], "problems": [], **data}
    return {"code": -33000 - int(code[1:]), "message": message, "data": data}


def test_a_first_request_costs_one_round_trip_with_its_greeting(daemon):
    server = daemon([HELLO, {"message": "x: pausing; ..."}])
    with connect(server.path, name="test") as client:
        assert client.request("job.pause", {"job_id": "x"}, changes=True)["message"] == "x: pausing; ..."
    assert len(server.reads) == 1
    assert [asked["method"] for asked in server.requests] == ["daemon.hello", "job.pause"]
    assert server.requests[0]["params"] == {"name": "test", "protocol": 1}


def test_a_client_waits_as_long_as_a_duration_can_be(daemon):
    """No call of the system waits for thousands of years: `mzt wait -t 2500000d` ended in a traceback."""
    server = daemon([HELLO, {"reached": "ended"}])
    with connect(server.path, name="test") as client:
        asked = {"job_id": "x", "timeout": DURATION_MOST}
        assert client.request("job.wait", asked) == {"reached": "ended"}


def test_a_change_has_a_key_and_a_look_has_none(daemon):
    server = daemon([HELLO, {}, {}])
    with connect(server.path) as client:
        client.request("job.pause", {"job_id": "x"}, changes=True)
        client.request("job.list", {})
    assert len(server.requests[1]["params"]["key"]) == 32
    assert server.requests[2]["params"] == {}


def test_a_change_that_breaks_off_is_repeated_with_the_same_key(daemon):
    server = daemon([HELLO, None], [HELLO, {"message": "done"}])
    with connect(server.path) as client:
        assert client.request("job.pause", {"job_id": "x"}, changes=True)["message"] == "done"
    first, second = (asked for asked in server.requests if asked["method"] == "job.pause")
    assert first["params"] == second["params"]


def test_a_daemon_that_stays_away_leaves_the_request_perhaps_in_force(daemon, monkeypatch):
    monkeypatch.setattr("marianne_cli.client.session.RECONNECT_SECONDS", 0.2)
    server = daemon([HELLO, None])
    with connect(server.path) as client, pytest.raises(NoDaemon, match="may be in force"):
        client.request("job.pause", {"job_id": "x"}, changes=True)


def test_a_daemon_that_does_not_answer_is_no_daemon(tmp_path):
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen()
        with (
            connect(tmp_path / "s", timeout=0.05) as client,
            pytest.raises(NoDaemon, match="does not answer"),
        ):
            client.request("job.list", {})


def test_a_refusal_is_raised_as_what_it_is(daemon):
    server = daemon([HELLO, refusal("E501", "no job 'x'", hints=["mzt list"]), refusal("E999", "new")])
    with connect(server.path) as client:
        with pytest.raises(NoSuchJob) as caught:
            client.request("job.status", {"job_id": "x"})
        assert caught.value.hints == ["mzt list"]
        with pytest.raises(InternalError):
            client.request("job.status", {"job_id": "x"})


@pytest.mark.parametrize(
    ("protocol", "said", "hints"),
    [(0, "a restart interrupts no attempt", ["mzt restart"]), (9, "upgrade this mzt", ["mzt version"])],
)
def test_protocols_that_do_not_meet_name_the_side_to_upgrade(daemon, protocol, said, hints):
    server = daemon([{**HELLO, "protocol": protocol}, {}])
    with connect(server.path) as client, pytest.raises(ProtocolMismatch, match=said) as caught:
        client.request("job.list", {})
    assert caught.value.hints == hints
    assert caught.value.message.startswith(f"marianned 1.0.2 (pid 812) speaks protocol {protocol}, mzt ")


def test_typed_requests_return_the_types_of_the_table(daemon):
    server = daemon([HELLO, {"events": [], "event": 9, "new_key": 1}, {"events": [], "event": 10}])
    with connect(server.path) as client:
        assert client.ask(p.ReadEvents()) == p.Events(events=[], event=9)
        assert client.call("events.read", p.ReadEvents()) == p.Events(events=[], event=10)
        with pytest.raises(BadRequest, match=r"ReadEvents is the request of events\.read"):
            client.call("events.subscribe", p.ReadEvents())
        with pytest.raises(BadRequest, match="opens a stream"):
            client.ask(p.SubscribeEvents())
    assert len(server.requests) == 3


def test_a_lock_file_names_the_socket_of_a_daemon_that_listens_elsewhere(daemon, tmp_path, monkeypatch):
    server = daemon([HELLO, {"message": "here"}])
    state = tmp_path / "state"
    state.mkdir()
    (state / "lock").write_text(json.dumps({"pid": 1, "host": "h", "socket": server.path}))
    monkeypatch.setenv("STATE_DIRECTORY", str(state))
    monkeypatch.delenv("MARIANNE_SOCKET", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    with connect() as client:
        assert client.request("job.list", {})["message"] == "here"
    assert client.path == server.path


def no_daemon(tmp_path, monkeypatch):
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setenv("MARIANNE_SOCKET", str(tmp_path / "s"))


def test_without_a_daemon_an_error_says_where_it_looked(tmp_path, monkeypatch, capsys):
    no_daemon(tmp_path, monkeypatch)
    assert run(["pause", "release-notes"]) == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert (
        said.err
        == f"mzt: no daemon answers at {tmp_path}/s, which $MARIANNE_SOCKET names (E511)\n  mzt start\n"
    )


def test_json_of_an_error_is_one_object_on_stdout(tmp_path, monkeypatch, capsys):
    no_daemon(tmp_path, monkeypatch)
    assert run(["list", "--json"]) == 3
    said = capsys.readouterr()
    assert said.err == ""
    assert json.loads(said.out) == {
        "success": False, "job_id": None, "status": None, "message": f"no daemon answers at {tmp_path}/s, which $MARIANNE_SOCKET names",
        "error_code": "E511", "hints": ["mzt start"], "problems": [], "schema": 1,
    }  # fmt: skip
    assert said.out.count("\n") == 1


def test_mzt_alone_without_a_daemon_tells_how_to_begin(tmp_path, monkeypatch, capsys):
    no_daemon(tmp_path, monkeypatch)
    assert run([]) == 0
    assert capsys.readouterr().out == (
        "Run scores; pause them at a sheet boundary, change them, go on. No daemon runs.\n"
        "  mzt demo                     see it work: 15 seconds, no AI account\n"
        "  mzt init                     write a first score\n"
        "  mzt run FILE                 run it; the daemon starts by itself\n"
        "  mzt pause JOB                pause it at its next sheet boundary\n"
        "  mzt modify JOB -c FILE -r    give it a new score and go on\n"
        "  mzt --help                   everything else\n"
    )


@pytest.mark.parametrize("greeting", [[], {}, {"protocol": "3", "version": "1", "pid": 1}])
def test_who_greets_otherwise_than_a_daemon_is_none(daemon, greeting):
    made = daemon([greeting, {}])
    with (
        pytest.raises(NoDaemon, match="what answers at the socket is not marianned"),
        connect(made.path) as client,
    ):
        client.ask(p.ReadEvents())


@pytest.mark.parametrize("told", [[1], "text"])
def test_a_result_that_is_no_object_is_no_daemons(daemon, told):
    made = daemon([HELLO, told])
    with (
        pytest.raises(NoDaemon, match="what answers at the socket is not marianned"),
        connect(made.path) as client,
    ):
        client.ask(p.ReadEvents())


@pytest.mark.parametrize("told", [{"events": 3}, {"events": [{"event": {}}]}, {}])
def test_a_reply_of_another_shape_is_a_refusal_in_words(daemon, told):
    made = daemon([HELLO, told])
    with (
        pytest.raises(ProtocolMismatch, match="what the daemon tells can't be read") as refused,
        connect(made.path) as client,
    ):
        client.ask(p.ReadEvents())
    assert refused.value.hints == ["mzt version"]


@pytest.mark.parametrize("depth", [200, 2_000, 50_000])
def test_params_that_are_nested_too_deeply_are_refused_in_a_line(tmp_path, monkeypatch, capsys, depth):
    no_daemon(tmp_path, monkeypatch)
    assert run(["rpc", "job.pause", f'{{"job_id": {"[" * depth}{"]" * depth}}}']) == 2
    assert "not valid JSON: it is nested too deeply" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["nested", "pipe"])
def test_a_lock_file_that_can_not_be_read_names_no_daemon(tmp_path, monkeypatch, capsys, kind):
    state = tmp_path / "state" / "marianne"
    state.mkdir(parents=True, mode=0o700)
    if kind == "pipe":
        os.mkfifo(state / "lock")
    else:
        (state / "lock").write_text("[" * 50_000)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    for name in ("STATE_DIRECTORY", "MARIANNE_SOCKET"):
        monkeypatch.delenv(name, raising=False)
    assert run(["list"]) == 3
    assert capsys.readouterr().err.startswith(f"mzt: no daemon answers at {tmp_path}/marianne/marianned.sock")


def test_no_daemon_is_started_from_inside_an_attempt(tmp_path, monkeypatch, capsys):
    no_daemon(tmp_path, monkeypatch)
    monkeypatch.setenv("MARIANNE_ATTEMPT_ID", "1")
    assert run(["start"]) == 3
    assert "none is started from inside an attempt" in capsys.readouterr().err


def test_stopping_what_does_not_run_is_done(tmp_path, monkeypatch, capsys):
    no_daemon(tmp_path, monkeypatch)
    assert run(["stop"]) == 0
    assert capsys.readouterr().out == "no daemon runs\n"


def test_several_jobs_get_a_request_each_and_the_first_refusal_decides(daemon, capsys):
    server = daemon(
        [
            HELLO,
            refusal("E501", "no job 'a'"),
            {"job_id": "b", "status": "paused", "message": "b: paused; done"},
        ]
    )
    assert run(["--socket", server.path, "pause", "a", "b", "--json", "--key", "k"]) == 4
    told = json.loads(capsys.readouterr().out)
    assert (told["success"], told["error_code"], told["message"]) == (False, "E501", "2 jobs")
    assert [reply["success"] for reply in told["results"]] == [False, True]
    assert [asked["params"]["key"] for asked in server.requests[1:]] == ["k/a", "k/b"]


def test_a_problem_of_a_score_is_told_with_its_place(daemon, tmp_path, capsys):
    problem = {
        "code": "S202", "severity": "error", "message": "'audience' is undefined", "file": "new.yaml", "line": 19,
        "column": 41, "path": "prompt.template", "sheets": [2, 3], "hint": "did you mean 'audiences'?",
    }  # fmt: skip
    score = tmp_path / "new.yaml"
    score.write_text("name: x\n")
    server = daemon(
        [
            HELLO,
            refusal("E505", "'new.yaml' has 1 error", hints=["mzt validate new.yaml"], problems=[problem]),
        ]
    )
    assert run(["--socket", server.path, "modify", "x", "-c", str(score), "-r"]) == 4
    said = capsys.readouterr()
    assert said.err == (
        "new.yaml:19:41: error S202: 'audience' is undefined (sheets 2, 3)\n"
        "    did you mean 'audiences'?\n"
        "mzt: 'new.yaml' has 1 error (E505)\n"
        "  mzt validate new.yaml\n"
    )
    assert server.requests[1]["params"]["directory"] == str(tmp_path)


def test_quiet_requests_print_nothing(daemon, capsys):
    server = daemon([HELLO, {"job_id": "x", "status": "paused", "message": "x: paused; done"}])
    assert run(["--socket", server.path, "pause", "x", "-q"]) == 0
    assert capsys.readouterr() == ("", "")


def flow(value):
    """Return at once, as a flow that needs no socket."""
    return value
    yield


class Followed:
    """A session and its connection in one: the daemon's side of a job that is followed, as a script."""

    def __init__(self, *messages):
        self.told = []
        self._messages = list(messages)

    def open_stream(self, _connection, _method, _params):
        return flow({"stream": 0, "event": 7})

    def exchange(self, _method, _params):
        flight = {"sheet": 1, "stage": 1, "instance": 1, "hook": None, "attempt": 1}
        return flow({"timing": {"completed_at": None}, "in_flight": [flight]})

    def send(self, request):
        self.told.append(f"asked for sheet {request[1]['sheet']}")
        return flow([request[1]["sheet"]])

    def receive(self):
        message = self._messages.pop(0)
        if message.method == "stream.end":
            self.told.append(f"end of stream {message.params['stream']}")
        return flow(message)


def test_what_has_ended_is_followed_to_its_end_before_what_started_behind_it():
    def told(method, params):
        return client_wire.Envelope(None, method, params, None, None)

    def began(stream):
        return client_wire.Envelope(stream, None, None, {"stream": stream}, None)

    def event(number, kind, status="running", **more):
        item = {"event": number, "type": kind, "status": status, "attempt": 1, "hook": None, **more}
        return told("stream.item", {"stream": 0, "item": item})

    def printed(stream, text):
        item = {"data": msgspec.to_builtins(text), "offset": 0, "attempt": 1}
        return told("stream.item", {"stream": stream, "item": item})

    def end(stream):
        return told("stream.end", {"stream": stream, "reason": "ended"})

    script = Followed(
        began(1),
        event(8, "attempt.ended", sheet=1, stage=1, instance=1),
        event(9, "attempt.started", sheet=2, stage=2, instance=1),
        printed(1, b"one"),
        end(1),
        began(2),
        event(10, "job.completed", "completed"),
        printed(2, b"two"),
        end(2),
    )
    retry = types.SimpleNamespace(clear=lambda: None)
    pieces = [wanted.value for wanted in MergedOutputStream("a", ["stdout"]).run(script, script, retry)]
    assert [one.data for one in pieces] == [b"one", b"", b"two", b""]
    assert script.told == ["asked for sheet 1", "end of stream 1", "asked for sheet 2", "end of stream 2"]


def test_both_clients_have_the_same_names_and_one_for_each_method():
    from marianne_cli.client import AsyncClient, Client
    from marianne_cli.client.calls import AsyncClientMethods, ClientMethods

    def named(kind):
        return {name for name in dir(kind) if not name.startswith("_")}

    assert named(ClientMethods) == named(AsyncClientMethods)
    assert named(Client) - named(AsyncClient) == {"close", "request", "raw_events", "refusal"}
    streams = {"events.subscribe", "log.follow", "stream.cancel", "daemon.hello"}
    asked = []
    recorder = type("Recorder", (ClientMethods,), {"ask": lambda _, request: asked.append(request.method)})()
    for name in named(ClientMethods):
        method = getattr(recorder, name)
        needs = [
            parameter.name
            for parameter in inspect.signature(method).parameters.values()
            if parameter.default is inspect.Parameter.empty
        ]
        method(**dict.fromkeys(needs, "x"))
    assert sorted(asked) == sorted(set(p.METHODS) - streams)


def test_what_a_submission_can_say_the_client_can_say_too():
    said = inspect.signature(submission).parameters
    assert {field.name for field in msgspec.structs.fields(p.Submit)} - {*said} == {
        "submit_directory",
        "umask",
    }


def test_to_ask_for_the_umask_does_not_set_it(monkeypatch):
    """Between a thread that sets it and sets it back another one would read, and restore, the wrong one."""
    ours = os.umask(0o022)
    os.umask(ours)
    monkeypatch.setattr(os, "umask", None)
    assert current_umask() == ours
