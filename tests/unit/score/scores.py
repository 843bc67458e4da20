"""Small scores for tests, and a disk that holds what a test puts there."""

import errno
import os
import re

from marianned.instruments.profile import CliInstrument, HttpInstrument, OutputFormat, Profile, ToolCommand
from marianned.score.check.compiler import compile_score
from marianned.score.expanded import CompileResult, ExpandedScore
from marianned.score.read.reader import ScoreSource
from marianned.score.render.prompt_inputs import UpstreamOutputs
from marianned.score.render.template import Renderer

MARK = "«"
"""Stands in a text right before the place where a problem is expected."""

PARTS = {
    "name": "n",
    "instrument": "tool",
    "sheet": "{size: 1, total_items: 4}",
    "prompt": '{template: "do {{ stage }}"}',
    "validations": "[{type: file_exists, path: a}]",
}


def tool(name: str, **changes) -> Profile:
    command = {
        "executable": name,
        "auto_approve_flag": "--yes",
        "model_flag": "--model",
        "system_prompt_flag": "--system",
        "allowed_tools_flag": "--tools",
        "output_format_flag": "--format",
        "mcp_disable_args": ["--no-mcp"],
    } | changes.pop("command", {})
    return Profile(
        name=name,
        kind="cli",
        cli=CliInstrument(command=ToolCommand(**command), output=OutputFormat()),
        **changes,
    )


BARE = {
    "auto_approve_flag": None,
    "model_flag": None,
    "system_prompt_flag": None,
    "allowed_tools_flag": None,
    "output_format_flag": None,
    "mcp_disable_args": [],
}
PROFILES = {
    "claude-code": tool("claude-code"),
    "tool": tool("tool"),
    "other": tool("other", default_timeout_seconds=900.0),
    "cli": tool("cli", raw_prompt=True, script="shell", command=BARE),
    "web": Profile(
        name="web", kind="http", http=HttpInstrument(base_url="http://localhost", schema_family="openai")
    ),
}


class Disk:
    """A disk of a few files (absolute path → text); every name but `absent` is on PATH."""

    def __init__(self, files: dict[str, str] | None = None, *, read_only: bool = False) -> None:
        self.files = files or {}
        self.read_only = read_only

    def read(self, path: str) -> bytes:
        if path not in self.files:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return self.files[path].encode()

    def read_trusted(self, path: str) -> bytes:
        return self.read(path)

    def reason_to_distrust(self, path: str) -> str | None:
        return None

    def head(self, path: str, most: int, below: str | None = None) -> tuple[bytes, int]:
        data = self.read(path)
        return data[:most], len(data)

    def real(self, path: str) -> str:
        return path

    def is_file(self, path: str) -> bool:
        return path in self.files

    def is_directory(self, path: str) -> bool:
        return any(file.startswith(f"{path}/") for file in self.files)

    def names(self, path: str) -> list[str]:
        inside = {file.removeprefix(f"{path}/") for file in self.files if file.startswith(f"{path}/")}
        return sorted({name.partition("/")[0] for name in inside})

    def missing_directory(self, path: str) -> str | None:
        if self.is_directory(path):
            return None
        return f"'{path}' is a file, not a directory" if path in self.files else f"'{path}' is not there"

    def unwritable(self, path: str) -> str | None:
        return f"'{path}' can't be written to" if self.read_only else None

    def home(self, user: str) -> str | None:
        return {"": "/home/me", "ann": "/home/ann"}.get(user)

    def executable(self, name: str) -> bool:
        return name != "absent"


def score(**parts: str | None) -> str:
    """Return a small score in which the parts given replace those of PARTS (null: left out)."""
    return "".join(f"{key}: {value}\n" for key, value in (PARTS | parts).items() if value is not None)


def compiled(text: str, disk: Disk | None = None, *, portable: bool = False, **source) -> CompileResult:
    values = {"file": "/s/n.yaml", "directory": "/s", "submit_directory": "/sub"} | source
    return compile_score(
        ScoreSource(text=text.encode(), **values), disk or Disk(), PROFILES, portable=portable
    )


def expanded(text: str, disk: Disk | None = None, **source):
    result = compiled(text, disk, **source)
    assert result.expanded is not None, result.problems
    return result.expanded


def marked(text: str) -> tuple[str, int, int]:
    """Return the text without its mark, and the line and column of the mark."""
    before, _, after = text.partition(MARK)
    return before + after, before.count("\n") + 1, len(re.split("\n", before)[-1]) + 1


def body_of(found: ExpandedScore, sheet: int, previous: UpstreamOutputs | None = None) -> str:
    """Render the body of a sheet (its number)."""
    return Renderer(found).body(found.sheets[sheet - 1], previous or UpstreamOutputs())
