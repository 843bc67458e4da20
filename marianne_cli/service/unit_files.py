"""The text of the units, with the paths of this installation; each file knows whether somebody edited it."""

import hashlib
import os
import re
import sys
from pathlib import Path

from marianne_cli.service.units import SystemdUnit
from marianned import __version__, paths

_MARK = "# checksum "
_HEAD = """\
# Written by `mzt service install`, marianne {version}. Changes belong into a drop-in: {edit}
# A file that was changed here is never written over, nor removed.
"""
NOTIFY_RELOAD_SINCE = 253
_KEPT = ("XDG_STATE_HOME", "XDG_CONFIG_HOME")
"""Variables by which both sides find each other: where the shell has them, the service has to."""


def shipped_text(name: str) -> str:
    """Return the text of a unit as it is shipped: in the package, in a checkout beside it."""
    package = Path(__file__).parents[1] / "units"
    directory = package if package.is_dir() else Path(__file__).parents[2] / "systemd"
    return (directory / name).read_text("utf-8")


def render_unit(unit: SystemdUnit, name: str, version: int | None) -> str:
    """Return the text of a unit for this installation; `version`: systemd's, as far as it is known."""
    python = _quoted(sys.executable)
    modern = version is not None and version >= NOTIFY_RELOAD_SINCE
    values = {
        "Type=": "Type=notify-reload" if modern else "Type=notify",
        "ExecStart=": f"ExecStart={python} -P -m marianned",
        "ExecReload=": "" if modern else f"ExecReload={python} -P -m marianne_cli rpc daemon.reload",
    }
    if not unit.system:
        kept = {"PATH": _clean_path(), **{name: os.environ[name] for name in _KEPT if os.environ.get(name)}}
        values["Environment=PATH="] = "\n".join(f"Environment={_quoted(f'{k}={v}')}" for k, v in kept.items())
        file = paths.configuration_directory().absolute() / "environment"
        values["EnvironmentFile="] = f"EnvironmentFile=-{str(file).replace('%', '%%')}"
    body = shipped_text(name)
    for key, line in values.items():
        body = re.sub(rf"^{key}.*$", lambda _, line=line: line, body, flags=re.MULTILINE)  # type: ignore[misc]
    edit = f"{' '.join(unit.systemctl)} edit {name.replace('@', '@NAME')}"
    head = _HEAD.format(version=__version__, edit=edit)
    return f"{head}{_MARK}{_checksum(body)}\n{body}"


def is_edited(path: Path) -> bool:
    """Tell whether a file is there that is not as we wrote it."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return False
    _, mark, rest = text.partition(_MARK)
    checksum, _, body = rest.partition("\n")
    return not mark or checksum != _checksum(body)


def write(path: Path, text: str) -> bool:
    """Write a unit, whole or not at all; tell whether it is new or different."""
    if path.exists() and path.read_text("utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text, "utf-8")
    beside.replace(path)
    return True


def _checksum(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def _clean_path() -> str:
    """Return the shell's PATH without what is relative, the program's own directory first."""
    own = str(Path(sys.executable).parent)
    found = [
        entry
        for entry in os.environ.get("PATH", "").split(":")
        if entry.startswith("/") and entry.isprintable()
    ]
    return ":".join(dict.fromkeys([own, *found]))


def _quoted(text: str) -> str:
    """Write one word of a unit's line: quoted, with nothing in it expanded."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{plain}"'
