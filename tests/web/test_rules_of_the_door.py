"""The rules of docs/security.md "The page in the browser", each by bytes against the real server, for each method and path."""

import json
import re
import signal
import socket
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from kit import zygote
from kit.daemon import DEADLINE, plain, score
from served_page import runtime

from marianne_cli.web.app import CHANGES, LOOKS
from marianne_cli.web.gate import HEADERS
from marianne_cli.web.sessions import SESSION_SECONDS, TOKEN_SECONDS, SessionStore
from marianned.protocol import METHODS

METHODS_OF_HTTP = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "MZT"]
PATHS = ["/", "/static/app.css", "/static/nope", "/session", "/stream", "/watch", "/ask", "/nope", "//", "/ask/", "/static/../ask", "/%2e%2e/etc/passwd"]  # fmt: skip
EVERY = [(method, path) for method in METHODS_OF_HTTP for path in PATHS]
JSON = [("Content-Type", "application/json"), ("X-Mzt", "1")]
TOLD = [*sorted({name.lower() for name in HEADERS})]


@pytest.fixture(scope="module")
def cookie(dashboard):
    return dashboard.enter()


def is_refused(answer, *statuses):
    assert answer.status in statuses, answer
    assert answer.body == b"", answer
    assert "access-control-allow-origin" not in answer.headers
    if answer.status != 400:  # h11 itself has refused it
        assert all(answer.headers[name.lower()] == value for name, value in HEADERS.items())


def test_a_host_that_is_not_ours_is_refused_for_every_method_and_path(dashboard, cookie):
    port = dashboard.port
    other = [
        "evil.example", f"evil.example:{port}", "127.0.0.1", "localhost", f"0.0.0.0:{port}", f"127.0.0.1:{port + 1}",
        f"127.0.0.1.evil.example:{port}", f"localhost.:{port}", f"LOCALHOST:{port}", f"127.1:{port}", f"[::]:{port}",
        f"2130706433:{port}", f"127.0.0.1:0{port}", f"localhost:{port}@evil",
    ]  # fmt: skip
    for host in other:
        headers = [("Host", host), ("Origin", f"http://{host}"), ("Cookie", cookie), *JSON]
        for method, path in EVERY if host == f"evil.example:{port}" else [("GET", "/"), ("POST", "/ask")]:
            is_refused(dashboard.request(method, path, headers, host=False), 421, 400)


def test_a_missing_or_repeated_host_is_refused(dashboard, cookie):
    for method, path in [("GET", "/"), ("GET", "/stream"), ("POST", "/ask")]:
        kept = [("Origin", dashboard.origin), ("Cookie", cookie), *JSON]
        is_refused(dashboard.request(method, path, kept, host=False, http="1.0"), 421)
        assert dashboard.request(method, path, kept, host=False).status == 400
        assert dashboard.request(method, path, [("Host", "evil.example"), *kept]).status in {400, 421}
        assert dashboard.request(method, path, [("Host", dashboard.host), *kept], http="1.0").status in {
            400,
            421,
        }


def test_all_three_names_of_this_machine_are_ours(dashboard):
    for name in ("127.0.0.1", "localhost", "[::1]"):
        assert dashboard.request("GET", "/", [("Host", f"{name}:{dashboard.port}")], host=False).status == 200


def test_another_origin_is_refused_for_every_method_and_path(dashboard, cookie):
    other = ["http://evil.example", "null", f"https://{dashboard.host}", f"http://127.0.0.1:{dashboard.port + 1}", f"http://localhost:{dashboard.port}", f"{dashboard.origin}/", ""]  # fmt: skip
    for origin in other:
        headers = [("Origin", origin), ("Cookie", cookie), *JSON]
        for method, path in (
            EVERY if origin == other[0] else [("GET", "/"), ("GET", "/stream"), ("POST", "/ask")]
        ):
            is_refused(dashboard.request(method, path, headers), 403)
    twice = [("Origin", dashboard.origin), ("Origin", dashboard.origin), ("Cookie", cookie), *JSON]
    is_refused(dashboard.request("POST", "/ask", twice), 403)


def test_what_is_no_look_needs_an_origin(dashboard, cookie):
    for method, path in EVERY:
        if method not in {"GET", "HEAD"}:
            is_refused(dashboard.request(method, path, [("Cookie", cookie), *JSON]), 403)


def test_what_the_browser_says_of_another_site_is_believed(dashboard, cookie):
    for site in ("cross-site", "same-site", "none", "same-origin, none", "nonsense"):
        for method, path in (
            EVERY if site == "cross-site" else [("GET", "/"), ("GET", "/stream"), ("POST", "/ask")]
        ):
            said = [("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Dest", "empty")]
            sent = [*said, ("Origin", dashboard.origin), ("Cookie", cookie), *JSON]
            is_refused(dashboard.request(method, path, sent), 403)
    opened = [("Sec-Fetch-Site", "none"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")]
    assert dashboard.request("GET", "/", opened).status == 200
    for path in PATHS[1:]:
        is_refused(dashboard.request("GET", path, [*opened, ("Cookie", cookie)]), 403)
    framed = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "iframe")]
    is_refused(dashboard.request("GET", "/", framed), 403)


def test_whatever_holds_data_needs_the_session_looks_too(dashboard):
    for session in (
        None,
        f"mzt-{dashboard.port}=",
        f"mzt-{dashboard.port}=guess",
        f"mzt-{dashboard.port + 1}=x",
    ):
        carried = [("Cookie", session)] if session else []
        for method, path in EVERY:
            if method in {"GET", "HEAD"} and (path == "/" or path.startswith("/static/")):
                continue
            if (method, path) == ("POST", "/session"):
                continue
            is_refused(dashboard.request(method, path, [("Origin", dashboard.origin), *JSON, *carried]), 403)


def test_a_session_of_another_server_is_none_here(dashboard, start):
    other = start()
    foreign = other.enter().partition("=")[2]
    is_refused(dashboard.ask(f"mzt-{dashboard.port}={foreign}", "daemon.status"), 403)


def test_a_cookie_that_is_sent_twice_is_none(dashboard, cookie):
    is_refused(dashboard.ask(f"{cookie}; {cookie}", "daemon.status"), 403)
    assert dashboard.ask(f"other=1; {cookie}; more=2", "daemon.status").status == 200


def test_a_token_is_good_once_and_makes_a_cookie_that_scripts_and_other_sites_do_not_get(dashboard):
    token = re.search(r"#t=([\w-]+)", dashboard.new_address())[1]
    assert len(token) >= 43, "256 bits"
    entered = dashboard.post("/session", {"token": token})
    assert entered.status == 204
    parts = {part.strip().lower() for part in entered.headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/"} <= parts
    assert not any(part.startswith("domain") for part in parts)
    assert entered.headers["set-cookie"].startswith(f"mzt-{dashboard.port}=")
    for stale in (token, "", "x" * 43, token[:-1]):
        is_refused(dashboard.post("/session", {"token": stale}), 403)


def test_tokens_and_sessions_end_by_themselves():
    now = [0.0]
    sessions = SessionStore(lambda: now[0])
    late, token = sessions.mint(), sessions.mint()
    session = sessions.exchange(token)
    now[0] = TOKEN_SECONDS
    assert sessions.exchange(late) is None
    assert sessions.is_live(session)
    now[0] = SESSION_SECONDS
    assert not sessions.is_live(session)


def test_a_change_is_json_with_our_header(dashboard, cookie):
    ask = {"method": "daemon.status", "params": {}}
    assert dashboard.post("/ask", ask, ("Cookie", cookie)).status == 200
    for path in ("/ask", "/watch", "/session"):
        for left in ("Content-Type", "X-Mzt", "Origin"):
            is_refused(dashboard.post(path, ask, ("Cookie", cookie), leave=(left,)), 403)
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/json; charset=utf-8", "application/jsonp"):  # fmt: skip
            sent = [("Origin", dashboard.origin), ("X-Mzt", "1"), ("Content-Type", kind), ("Cookie", cookie)]
            is_refused(dashboard.request("POST", path, sent, b"{}"), 403)


def test_there_is_no_other_origin_to_be_let_in(dashboard, cookie):
    for path in PATHS:
        asked = [("Origin", dashboard.origin), ("Access-Control-Request-Method", "POST"), ("Cookie", cookie)]
        is_refused(dashboard.request("OPTIONS", path, asked), 403)


def test_every_answer_has_the_headers(dashboard, cookie):
    for answer in (
        dashboard.request("GET", "/"), dashboard.request("GET", "/static/js/main.js"), dashboard.ask(cookie, "daemon.status"),
        dashboard.ask(cookie, "nonsense"), dashboard.request("GET", "/nope", [("Cookie", cookie)]),
        dashboard.request("GET", "/ask", [("Cookie", cookie)]),
    ):  # fmt: skip
        for name, value in HEADERS.items():
            assert answer.headers[name] == value
        assert "server" not in answer.headers
    policy = HEADERS["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


def test_the_shell_is_the_same_for_everybody_and_holds_no_script_of_its_own(dashboard, cookie):
    shell = dashboard.request("GET", "/").body
    assert shell == dashboard.request("GET", "/", [("Cookie", cookie)]).body
    assert re.findall(rb"<script(?![^>]*src=)", shell) == []
    assert re.findall(rb"\son\w+=|style=|javascript:", shell) == []


def test_no_path_of_a_url_reaches_a_file(dashboard, cookie):
    for path in ("/static/../gate.py", "/static/%2e%2e/gate.py", "/static//etc/passwd", "/static/vendor/manifest.json", "/static/vendor/preact.LICENSE", "/static/", "/static/js"):  # fmt: skip
        assert dashboard.request("GET", path, [("Cookie", cookie)]).status == 404


def test_only_these_requests_reach_the_daemon(dashboard, cookie):
    assert set(METHODS) >= LOOKS | CHANGES
    for method in sorted(set(METHODS) - LOOKS - CHANGES):
        assert dashboard.ask(cookie, method).status == 403, method
    assert not {"daemon.stop", "daemon.reload", "job.submit", "backup.write"} & (LOOKS | CHANGES)
    assert dashboard.ask(cookie, "job.status", job_id="nope").status == 409
    assert dashboard.ask(cookie, "job.status", job_id=3).status == 400
    deep = (
        b'{"method": "daemon.status", "params": {"a": %s}}' % (b"[" * depth + b"]" * depth)
        for depth in (200, 20_000)
    )
    for body in (b"", b"[]", b"{", b"\xff", b'{"method": "daemon.status", "more": 1}', *deep):
        sent = [("Origin", dashboard.origin), *JSON, ("Cookie", cookie)]
        assert dashboard.request("POST", "/ask", sent, body).status == 400


def test_a_body_head_or_crowd_that_is_too_large_is_refused_and_a_slow_one_hung_up_on(dashboard, cookie):
    sent = [("Origin", dashboard.origin), *JSON, ("Cookie", cookie)]
    declared = dashboard.request("POST", "/ask", [*sent, ("Content-Length", str(9 * 1024 * 1024))])
    is_refused(declared, 413)
    assert dashboard.request("GET", "/", [("X-Long", "x" * 20_000)]).status == 431
    head = "".join(f"{name}: {value}\r\n" for name, value in [("Host", dashboard.host), *sent])
    with dashboard.connect() as connected:
        connected.sendall(f"POST /ask HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        piece = b"x" * 1024 * 1024
        try:
            for _ in range(9):
                connected.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            assert b" 413 " in connected.recv(100)
        except ConnectionError:
            pass  # it hung up while more came
    with dashboard.connect() as slow:  # a byte now and then is no request
        slow.sendall(b"GET / HTTP/1.1\r\n")
        assert slow.recv(100) == b"", "within ten seconds"


def test_a_request_of_two_lengths_is_refused_with_all_that_comes_behind_it(dashboard, cookie):
    sent = [("Host", dashboard.host), ("Origin", dashboard.origin), *JSON, ("Cookie", cookie)]
    head = "".join(f"{name}: {value}\r\n" for name, value in sent)
    body = '{"method": "daemon.status"}'
    both = f"POST /ask HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\nTransfer-Encoding: chunked\r\n\r\n"
    with dashboard.connect() as connected:
        connected.sendall(f"{both}0\r\n\r\nGET / HTTP/1.1\r\n{head}\r\n".encode())
        came = b""
        while piece := connected.recv(65536):
            came += piece
    assert [line for line in came.splitlines() if line.startswith(b"HTTP/1.1 ")] == [
        b"HTTP/1.1 400 Bad Request"
    ]


def test_a_crowd_of_connections_is_hung_up_on_and_leaves_room_again(dashboard):
    crowd = [dashboard.connect() for _ in range(40)]
    try:
        hung_up = 0
        for one in crowd:
            one.settimeout(0.2)
            with suppress(TimeoutError):
                hung_up += one.recv(1) == b""
        assert hung_up >= 8
    finally:
        for one in crowd:
            one.close()
    with dashboard.connect() as connected:
        connected.sendall(f"GET / HTTP/1.1\r\nHost: {dashboard.host}\r\nConnection: close\r\n\r\n".encode())
        assert connected.recv(12) == b"HTTP/1.1 200"


def test_read_only_looks_and_plans_and_changes_nothing(daemon, start):
    daemon.submit(score("looked-at", [plain(1)]))
    daemon.wait_for("looked-at", "ended")
    page = start("--read-only")
    cookie = page.enter()
    assert page.ask(cookie, "job.status", job_id="looked-at").status == 200
    assert page.ask(cookie, "job.remove", job_id="looked-at", plan=True).status == 200
    for method in sorted(CHANGES):
        refused = page.ask(cookie, method, job_id="looked-at")
        assert (refused.status, refused.json["error"]["code"]) == (403, "E509")
    assert daemon.status("looked-at")["status"] == "completed"


def test_the_journal_names_the_page_and_a_repeated_request_counts_once(daemon, dashboard, cookie):
    daemon.submit(score("kept-still", ["true", "true"]), before="1")
    daemon.wait_for("kept-still", "paused")
    asked = {"job_id": "kept-still", "before": "2", "key": "once", "reason": "because"}
    first = dashboard.ask(cookie, "job.pause", **asked)
    assert first.status == 200
    assert dashboard.ask(cookie, "job.pause", **asked).json == first.json
    told = [event for event in daemon.journal("kept-still") if event["reason"] == "because"]
    assert len(told) == 1
    assert told[0]["caller"]["name"].startswith("dashboard ")


def test_the_secret_is_in_no_argument_and_what_lies_on_disk_is_this_users(daemon, dashboard):
    (address,) = runtime(daemon).glob("*.address")
    assert stat.S_IMODE(runtime(daemon).stat().st_mode) == 0o700
    assert stat.S_IMODE(address.stat().st_mode) == 0o600
    arguments = Path(f"/proc/{dashboard.process.pid}/cmdline").read_bytes()
    assert b"#t=" not in arguments
    assert "?" not in dashboard.new_address(), "the token is in the fragment, which is sent to nobody"


def test_a_browser_is_opened_by_a_private_file_that_leads_on(daemon, start, tmp_path):
    opener = tmp_path / "xdg-open"
    opener.write_text(
        f'#!/bin/sh\nstat -c %a "$1" > {tmp_path}/mode; cp "$1" {tmp_path}/page.tmp; mv {tmp_path}/page.tmp {tmp_path}/page\n'
    )
    opener.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{daemon.environment['PATH']}", "DISPLAY": ":9"}
    asked = subprocess.Popen(
        [sys.executable, "-m", "marianne_cli", "dashboard"],
        env=daemon.environment | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=daemon.home,
    )  # fmt: skip
    try:
        opened = tmp_path / "page"
        subprocess.run(
            ["sh", "-c", f"until [ -e {opened} ]; do sleep 0.05; done"], timeout=DEADLINE, check=True
        )
        assert (tmp_path / "mode").read_text().strip() == "600"
        assert re.search(r'href="http://127\.0\.0\.1:\d+/#t=[\w-]{43}"', opened.read_text())
    finally:
        asked.send_signal(signal.SIGINT)
        asked.communicate(timeout=DEADLINE)
    assert asked.returncode == 0
    assert list(runtime(daemon).glob(f"{asked.pid}*")) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_it_ends_with_the_terminal_though_a_tab_is_open(start, number):
    page = start()
    cookie = page.enter()
    with page.connect() as tab, tab.makefile("rb") as lines:
        tab.sendall(f"GET /stream HTTP/1.1\r\nHost: {page.host}\r\nCookie: {cookie}\r\n\r\n".encode())
        assert b" 200 " in lines.readline()
        while not lines.readline().startswith(b"event: hello"):
            pass
        assert page.stop(number)[0] == 0
        assert b"event: bye" in lines.read()
    with pytest.raises(ConnectionRefusedError):
        page.connect()


def test_it_listens_nowhere_else(dashboard):
    found = subprocess.run(
        ["cat", "/proc/net/tcp", "/proc/net/tcp6"], capture_output=True, text=True, check=True
    )
    port = f":{dashboard.port:04X}"
    places = [
        line.split()[1]
        for line in found.stdout.splitlines()
        if line.split()[3] == "0A" and line.split()[1].endswith(port)
    ]
    assert places == [f"0100007F{port}"]


def test_a_unix_socket_is_this_users_alone_and_serves_the_forwarded_port(daemon, start, tmp_path):
    place = tmp_path / "page.sock"
    page = start("--uds", str(place), "--port", "18137")
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert any(f"ssh -L 18137:{place}" in line for line in page.said)
    for host, status in (("127.0.0.1:18137", 200), ("127.0.0.1:18138", 421)):
        with socket.socket(socket.AF_UNIX) as connected:
            connected.connect(str(place))
            connected.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            assert f" {status} ".encode() in connected.recv(40)
    page.stop()
    assert not place.exists()


def test_a_socket_that_was_left_is_taken_over_and_what_else_is_there_is_not(daemon, start, tmp_path):
    place = tmp_path / "page.sock"
    page = start("--uds", str(place), "--port", "18137")
    words = ["dashboard", "--no-open", "--uds", str(place), "--port", "18138"]
    refused = mzt(daemon, *words)
    assert (refused.returncode, "is there already" in refused.stderr) == (4, True)
    page.process.kill()
    page.process.wait(DEADLINE)
    assert place.exists()
    start(*words[2:])
    place.unlink()
    place.write_text("mine")
    assert "is there already" in mzt(daemon, *words).stderr
    assert place.read_text() == "mine"


def test_an_address_is_of_the_dashboard_that_is_meant(daemon, start):
    shows = start("--read-only", "--port", "18141")
    acts = start("--port", "18142")
    for words, page in (
        (("--port", "18141"), shows),
        (("--port", "18142"), acts),
        (("--read-only",), shows),
        (("--read-only", "--port", "18141"), shows),
    ):
        assert mzt(daemon, "dashboard", "--url", *words).stdout.startswith(page.address), words
    refused = mzt(daemon, "dashboard", "--url", "--read-only", "--port", "18142")
    assert refused.returncode == 3
    assert "is read-only at port 18142; others do at 18142" in refused.stderr
    assert "mzt dashboard --read-only --port 18142" in refused.stderr
    assert shows.said[-1] == "another address: mzt dashboard --url --port 18141"


def mzt(daemon, *words):
    command = [sys.executable, "-m", "marianne_cli", *words]
    return zygote.run(command, env=daemon.environment, cwd=daemon.home, capture_output=True, text=True)


def test_nothing_runs_that_was_not_asked_for(daemon):
    for name in ("run", "status", "list"):
        assert not any("dashboard" in line for line in _imported(name))


def _imported(name):
    code = f"import sys; from marianne_cli.tree.group import mzt; mzt.get_command(None, {name!r}); print(*sys.modules, sep='\\n')"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [
        line
        for line in told.stdout.splitlines()
        if line.startswith(("marianne_cli.web", "starlette", "uvicorn"))
    ]


def test_the_url_of_nobody_says_how_to_start_one(daemon, tmp_path):
    told = zygote.run(
        [sys.executable, "-m", "marianne_cli", "dashboard", "--url"],
        env=daemon.environment | {"MARIANNE_SOCKET": str(tmp_path / "none")}, capture_output=True, text=True,
    )  # fmt: skip
    assert told.returncode == 3


def test_refusals_are_told_on_the_terminal_a_few_a_minute_and_in_one_line(start):
    page = start()
    for _ in range(40):
        page.request("GET", "/%1b%5b31m", [("Origin", "http://evil.example")])
    code, said = page.stop()
    assert code == 0
    refused = [line for line in said.splitlines() if "refused" in line]
    assert 1 <= len(refused) <= 20
    assert "another Origin" in refused[0]
    assert "\x1b" not in said
    assert json.dumps(said)


@pytest.mark.parametrize(
    "sent", [b"GARBAGE\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"]
)
def test_what_is_no_request_is_refused_as_all_else_is_and_told_in_our_words(start, sent):
    page = start()
    refused = page.raw(sent)
    assert (refused.status, refused.body) == (400, b"")
    assert HEADERS.items() <= refused.headers.items()
    assert page.stop() == (0, "mzt: refused what is no request of HTTP\n")
