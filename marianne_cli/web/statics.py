"""The page's files, read once at the start: they are served from memory, no URL reaches a disk."""

import json
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, NamedTuple

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
SHELL = "index.html"
MANIFEST = "vendor/manifest.json"


class StaticFile(NamedTuple):
    """A file as it is served."""

    content: bytes
    media_type: str


def load() -> dict[str, StaticFile]:
    """Return all files by their names below `static/`; licences and the manifest are not served."""
    root = files("marianne_cli.web") / "static"
    names = manifest()["imports"]
    return {
        name: StaticFile(_resolve_imports(content, names), _TYPES[suffix])
        for name, suffix, content in _walk(root)
    }


def manifest() -> dict[str, Any]:
    """Return what is vendored: of each file package, version, licence and SHA-256; and who imports what."""
    read: dict[str, Any] = json.loads((files("marianne_cli.web") / "static" / MANIFEST).read_text())
    return read


def _walk(directory: Traversable, above: str = "") -> list[tuple[str, str, bytes]]:
    found = []
    for entry in sorted(directory.iterdir(), key=lambda entry: entry.name):
        name, suffix = above + entry.name, f".{entry.name.rpartition('.')[2]}"
        if entry.is_dir():
            found += _walk(entry, f"{name}/")
        elif suffix in _TYPES:
            found.append((name, suffix, entry.read_bytes()))
    return found


def _resolve_imports(content: bytes, names: dict[str, str]) -> bytes:
    """Replace bare module names by paths: the policy allows no import map."""
    for bare, name in names.items():
        for quoted in (f'from"{bare}"', f'from "{bare}"'):
            content = content.replace(quoted.encode(), f'from "/static/{name}"'.encode())
    return content
