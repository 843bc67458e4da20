"""What the faces need beyond the program itself, its extras, and how each is installed."""

import importlib.metadata
import importlib.util
import shlex
import sys
from pathlib import Path

import msgspec

from marianne_cli.lines.misuse import Misuse
from marianned.decoding import Undecodable, from_json

DISTRIBUTION = "marianned"


def require(command: str, extra: str, *modules: str) -> None:
    """Check that the modules that a command needs are installed.

    Raises:
        Misuse: they are not; exit code 2.
    """
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        named = " and ".join(missing)
        raise Misuse(
            f"{command} needs {named}, which the extra '{extra}' brings; to install it:",
            install_command(extra),
        )


def install_command(extra: str) -> str:
    """Return the command that adds an extra to the environment that this program runs in."""
    wanted = shlex.quote(f"{DISTRIBUTION}[{extra}]")
    again = shlex.quote(f"{DISTRIBUTION}[{extra}]{_source_suffix()}")
    prefix = Path(sys.prefix)
    if (prefix / "pipx_metadata.json").exists():
        return f"pipx install --force {again}"
    if (prefix / "uv-receipt.toml").exists():
        return f"uv tool install --force {again}"
    python = shlex.quote(sys.executable)
    if importlib.util.find_spec("pip") is None:
        return f"uv pip install --python {python} {wanted}"
    return f"{python} -m pip install {wanted}"


def _source_suffix() -> str:
    """Return where the distribution came from, as a requirement says it; empty: from an index.

    What installs it anew would else look for it in an index, which need not have it.
    """
    try:
        text = importlib.metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
        told = from_json(text or "{}", _Origin)
    except (importlib.metadata.PackageNotFoundError, Undecodable):
        return ""
    if not told.url:
        return ""
    vcs = told.vcs_info
    return f" @ {vcs.vcs}+{told.url}@{vcs.commit_id}" if vcs else f" @ {told.url}"


class _Vcs(msgspec.Struct):
    vcs: str
    commit_id: str


class _Origin(msgspec.Struct):
    """What pip has written about where a distribution came from."""

    url: str = ""
    vcs_info: _Vcs | None = None
