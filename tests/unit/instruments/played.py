"""Plays one tool for real against a model server on loopback; run as a script in a network of its own.

    python played.py SERVER TOOL DIRECTORY PROMPT

Prints one JSON object: the reading, the outcome and category, and the names of the files made.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec

from marianned.instruments.dialect import invocation
from marianned.instruments.loader import builtin_profiles
from marianned.instruments.reading import classify, read_output

GEMINI = """{"general": {"enableAutoUpdate": false, "maxAttempts": 1},
"privacy": {"usageStatisticsEnabled": false}, "security": {"auth": {"selectedType": "gemini-api-key"}}}"""
CODEX = """
model = "gpt-5"
model_provider = "fake"
check_for_update_on_startup = false
[model_providers.fake]
name = "fake"
base_url = "URL/v1"
env_key = "OPENAI_API_KEY"
wire_api = "responses"
supports_websockets = false
request_max_retries = 0
stream_max_retries = 0
[analytics]
enabled = false
"""

QWEN = """{"memory": {"enableManagedAutoMemory": false}, "privacy": {"usageStatisticsEnabled": false},
"general": {"enableAutoUpdate": false}}"""
MODEL = {"contextWindow": 200000, "maxTokens": 32000, "input": ["text"], "reasoning": False}
PRICES = {"input": 1, "output": 2, "cacheRead": 0, "cacheWrite": 0}
SETTINGS = {
    "gemini-cli": {"model": "gemini-2.5-pro"},
    "qwen": {"cli_extra_args": ["--auth-type", "openai"]},
    "pi": {"model": "fake-1", "cli_extra_args": ["--provider", "fake"]},
}


def pi_models(url):
    models = [{"id": "fake-1", "name": "fake", **MODEL, "cost": PRICES}]
    fake = {"baseUrl": url, "apiKey": "dummy", "api": "anthropic-messages", "models": models}
    return json.dumps({"providers": {"fake": fake}})


def opencode_config(url):
    models = {"fake-1": {"limit": {"context": 200000, "output": 32000}, "cost": PRICES}}
    options = {"baseURL": f"{url}/v1", "apiKey": "dummy"}
    return json.dumps(
        {
            **dict.fromkeys(("model", "small_model"), "fake/fake-1"),
            "share": "disabled",
            "provider": {"fake": {"npm": "@ai-sdk/openai-compatible", "options": options, "models": models}},
        }
    )


def settle(home, url):
    """Write the settings that point each tool at the server; return the environment that does."""
    texts = {
        ".gemini/settings.json": GEMINI,
        ".qwen/settings.json": QWEN,
        ".pi/agent/models.json": pi_models(url),
        "config.toml": CODEX.replace("URL", url),
    }
    for name, text in texts.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "CODEX_HOME": str(home),
        "ANTHROPIC_BASE_URL": url,
        "GOOGLE_GEMINI_BASE_URL": url,
        **dict.fromkeys(("OPENAI_BASE_URL", "COPILOT_PROVIDER_BASE_URL"), f"{url}/v1"),
        **dict.fromkeys(("OPENAI_MODEL", "COPILOT_MODEL"), "fake-1"),
        **dict.fromkeys(("ANTHROPIC_API_KEY", "GEMINI_API_KEY", "OPENAI_API_KEY"), "dummy"),
        "COPILOT_PROVIDER_API_KEY": "dummy",
        "COPILOT_OFFLINE": "true",
        "OPENCODE_CONFIG_CONTENT": opencode_config(url),
    }


def play(url, tool, directory, prompt):
    environ = settle(directory / "home", url)
    profile = builtin_profiles()[tool]
    workspace = directory / "workspace"
    workspace.mkdir()
    (directory / "tmp").mkdir()
    settings = SETTINGS.get(tool, {})
    started = invocation(
        profile,
        settings,
        prompt,
        timeout_seconds=60,
        cwd=str(workspace),
        directory=str(directory),
        environ=environ,
        extra_env={},
        marianne={},
        system_prompt=None,
    )
    ended = subprocess.run(
        started.argv,
        input=started.stdin,
        env=started.env,
        cwd=workspace,
        capture_output=True,
        timeout=60,
        check=False,
    )
    reading = read_output(profile, settings, ended.stdout, ended.stderr)
    verdict = classify(
        profile, reading, exit_code=ended.returncode, signal=None, timed_out=False, stderr=ended.stderr
    )
    return {
        "reading": msgspec.to_builtins(reading),
        "ending": [verdict.outcome, verdict.category],
        "files": sorted(file.name for file in workspace.iterdir()),
    }


def main(server, tool, directory, prompt):
    with subprocess.Popen([sys.executable, server], stdout=subprocess.PIPE, text=True) as playing:
        try:
            url = json.loads(playing.stdout.readline())["url"]
            print(json.dumps(play(url, tool, Path(directory), prompt)))
        finally:
            playing.terminate()


if __name__ == "__main__":
    main(*sys.argv[1:])
