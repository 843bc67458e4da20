"""Models asked over HTTP: the supervised program against a server of the test's own, and the shared one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from kit.daemon import score
from kit.secrets import secret

from marianned import http_agent

SERVER = Path(__file__).parents[2] / "../shared/fake-model/server.py"
ANTHROPIC = {
    "model": "m-1",
    "content": [
        {"type": "thinking", "thinking": "…"},
        {"type": "text", "text": "All "},
        {"type": "text", "text": "done"},
    ],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 3},
}
OPENAI = {
    "model": "m-2",
    "choices": [{"message": {"role": "assistant", "content": "All done"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 15, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 5}},
}


def told(url, family="anthropic", **more):
    """Return what the program is told."""
    usual = {"model": "m", "key_env": "THE_KEY", "max_tokens": None, "temperature": None, "system": None}
    return {"family": family, "url": url, "timeout_seconds": 20, **usual, **more}


def said(url, family="anthropic", prompt="Say yes."):
    """Ask in this process; return the answer, or what is said of it."""
    try:
        return http_agent.ask_model(told(url, family), prompt)
    except http_agent.RequestRefused as refused:
        return str(refused)


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv("THE_KEY", "secret")


def ask(tmp_path, url, family="anthropic", key="secret", prompt="Say yes.", **more):
    """Run the program as an attempt does; return its exit code and what it printed."""
    file = tmp_path / "ask.json"
    file.write_text(json.dumps(told(url, family, **more)))
    ended = subprocess.run(
        [sys.executable, "-I", "-S", http_agent.__file__, str(file)],
        input=prompt.encode(),
        env={"THE_KEY": key} if key else {},
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert ended.stderr == b""
    return ended.returncode, json.loads(ended.stdout)


@pytest.mark.parametrize(
    ("family", "answer", "header"),
    [
        ("anthropic", ANTHROPIC, ("x-api-key", "secret")),
        ("openai", OPENAI, ("authorization", "Bearer secret")),
    ],
)
def test_an_answer_is_taken_with_its_tokens(family, answer, header, service, tmp_path):
    service.answers = [(200, {}, answer)]
    prompt = "é — " + "x" * 1_048_576
    found = ask(tmp_path, service.url, family, prompt=prompt, system="Be brief.", temperature=0.5)
    usage = {"input_tokens": 15, "output_tokens": 3, "cached_tokens": 5}
    assert found == (0, {"result": "All done", "error": None, "usage": usage, "model": answer["model"]})
    ((_, headers, body),) = service.asked
    assert {name.lower(): value for name, value in headers.items()}[header[0]] == header[1]
    assert body["messages"][-1] == {"role": "user", "content": prompt}
    assert body["temperature"] == 0.5
    assert "Be brief." in (body.get("system"), body["messages"][0]["content"])


NO_ANSWERS = [
    ((401, {}, {"error": {"message": "invalid x-api-key"}}), "status 401: invalid x-api-key"),
    (
        (429, {"retry-after": "30"}, {"error": {"message": "slow\ndown"}}),
        "status 429: slow down (retry-after: 30)",
    ),
    ((500, {}, b"<html>"), "status 500: <html>"),
    ((302, {"location": "http://127.0.0.1:1/"}, b""), "status 302: "),
    ((200, {}, b"<html>"), "{url} answers with no JSON: <html>"),
    ((200, {}, {"odd": 1}), "not an answer of the family anthropic: {{'odd': 1}}"),
    (
        (200, {}, {**ANTHROPIC, "stop_reason": "max_tokens"}),
        "the answer was cut off after 3 tokens; max_tokens allows no more",
    ),
]


@pytest.mark.parametrize(("answer", "words"), NO_ANSWERS)
def test_what_is_no_answer_is_told(answer, words, service, key):
    service.answers = [answer]
    assert said(service.url) == words.format(url=service.url)


def test_the_program_tells_it_and_ends_with_1(service, tmp_path):
    answer, words = NO_ANSWERS[1]
    service.answers = [answer]
    code, found = ask(tmp_path, service.url)
    assert (code, found["result"], found["error"]) == (1, None, words)


def test_nobody_there_no_key_and_an_unknown_family_are_told(service, key, monkeypatch):
    assert said("http://127.0.0.1:1/x") == "http://127.0.0.1:1/x does not answer: Connection refused"
    assert said(service.url, "gemini") == "the schema family 'gemini' is not supported"
    monkeypatch.delenv("THE_KEY")
    assert said(service.url) == "not authenticated: THE_KEY is not set"
    assert service.asked == []


def http_profile(house, url, family="anthropic", endpoint="/v1/messages"):
    place = house.home / "config" / "marianne" / "instruments"
    place.mkdir(parents=True)
    http = {"base_url": url, "endpoint": endpoint, "schema_family": family, "auth_env_var": "THE_KEY"}
    models = [{"name": "m-1", "cost_per_1k_input": 1.0, "cost_per_1k_output": 10.0}]
    told = {"name": "asked", "kind": "http", "default_model": "m-1", "models": models, "http": http}
    (place / "asked.yaml").write_text(yaml.safe_dump(told))


def test_a_sheet_is_played_by_a_model_asked_over_http(house, service):
    refusal = {"error": {"message": "invalid x-api-key"}}
    service.answers = [(401, {}, refusal), (200, {}, ANTHROPIC)]
    http_profile(house, service.url)
    house.start()
    text = score("a", ["Say yes."]).replace("instrument: cli", "instrument: asked")
    house.submit(text, env={"THE_KEY": secret("wrong")})
    (hold,) = house.wait_for("a", "paused")["holds"]
    assert hold["reason"].startswith("asked refuses its credentials (THE_KEY): ")
    house.rpc("job.resume", job_id="a", env={"THE_KEY": secret("right")})
    assert house.wait_for("a", "ended")["status"] == "completed"
    refused, done = house.attempts("a", 1)
    assert (refused["outcome"], refused["error_category"], refused["cost_usd"]) == ("failed", "auth", None)
    assert (done["input_tokens"], done["output_tokens"], done["cost_usd"]) == (15, 3, pytest.approx(0.045))
    (read,) = [house.rpc("log.read", job_id="a", sheet=1, stream="result")]
    assert read["size"] == len("All done")
    keys = [
        headers[name] for _, headers, _ in service.asked for name in headers if name.lower() == "x-api-key"
    ]
    assert keys == [secret("wrong"), secret("right")]


@pytest.mark.shared
@pytest.mark.skipif(not SERVER.exists(), reason="no model server at ../shared/fake-model")
def test_the_shared_model_server_is_understood(key):
    with subprocess.Popen([sys.executable, "-I", "-S", SERVER], stdout=subprocess.PIPE, text=True) as playing:
        try:
            url = json.loads(playing.stdout.readline())["url"]
            for family, endpoint in (("anthropic", "/v1/messages"), ("openai", "/v1/chat/completions")):
                prompt = "FAKE: text all done\nFAKE: usage in=1200 out=34 cached=100"
                found = said(url + endpoint, family, prompt)
                assert found["result"] == "all done", family
                assert found["usage"] == {"input_tokens": 1300, "output_tokens": 34, "cached_tokens": 100}
                refused = said(url + endpoint, family, "FAKE: fail 429 retry-after=7")
                assert ("status 429" in refused, "retry-after: 7" in refused) == (True, True), family
        finally:
            playing.terminate()
