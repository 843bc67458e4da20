"""The agents themselves, pointed at a model server on loopback, in a network that leads nowhere else."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from marianned.instruments.loader import builtin_profiles

SERVER = Path(__file__).parents[2] / "../shared/fake-model/server.py"
ALONE = ("unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "-")
TOOLS = ["claude-code", "codex-cli", "copilot", "gemini-cli", "opencode", "pi", "qwen"]
MARKS = [
    pytest.mark.tools,
    pytest.mark.skipif(not SERVER.exists(), reason="no model server at ../shared/fake-model"),
]

GEMINI = """{"security": {"auth": {"selectedType": "gemini-api-key"}}}"""
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


def skip_without(tool):
    """Skip where the tool is not installed, or no network namespace can be made."""
    executable = builtin_profiles()[tool].cli.command.executable
    if shutil.which(executable) is None:
        pytest.skip(f"'{executable}' is not installed")
    if (
        not shutil.which("unshare")
        or subprocess.run([*ALONE, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no network namespace can be made here")


class Model:
    """The model server, alone on a network of its own; `inside` runs a command there."""

    def __init__(self, process, url, log, script):
        self.url = url
        self.inside = ("nsenter", f"--net=/proc/{process.pid}/ns/net")
        self._log = log
        self._script = script

    def play(self, *rules):
        """Say what it answers, from now on."""
        new = self._script.with_suffix(".new")
        new.write_text(json.dumps({"rules": rules}))
        new.replace(self._script)

    def asked(self, kind="main"):
        """Return what the agents have sent, oldest first."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return [told for line in lines if (told := json.loads(line))["kind"] == kind]


@contextmanager
def model_server(directory, alone=ALONE):
    """Let the model server run; `alone` is what gives it a network of its own."""
    log, script = directory / "requests.jsonl", directory / "script.json"
    script.write_text('{"rules": []}')
    command = [*alone, sys.executable, "-I", "-S", str(SERVER), "--log", str(log), "--script", str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as playing:
        try:
            yield Model(playing, json.loads(playing.stdout.readline())["url"], log, script)
        finally:
            playing.terminate()
