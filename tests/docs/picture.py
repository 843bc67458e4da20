"""The picture of the demo, docs/demo.svg, from a real run: python tests/docs/picture.py writes it anew.

`--check FILE` compares it with what a run printed, but for times and the name of its directory. Lines appear when the
demo printed them; who shows no animation, or wants none, sees them all. The table of `mzt history` is left out.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from html import escape, unescape
from pathlib import Path

PICTURE = Path(__file__).parents[2] / "docs" / "demo.svg"
LINE_PX, CHARACTER_PX, MARGIN_PX = 19, 8.1, 16
STYLE = """\
text{font:13.5px ui-monospace,Menlo,Consolas,monospace;fill:#d6d6d6;white-space:pre}
.typed{fill:#8fd18f;font-weight:600}.last{fill:#f0c674}
@keyframes come{from{opacity:0}to{opacity:0}}
@media (prefers-reduced-motion:no-preference){text{animation:come var(--at) backwards}}"""
LEFT_OUT = "$ mzt history "
CHANGES = ((r"mzt-demo-\w+", "mzt-demo-x"), (r"[0-9][0-9.,-]*", "N"), (r" +", " "))


def without_history(lines):
    """Leave out what `mzt history` prints: it ends with the job's last line, before the demo's own."""
    kept, skipping = [], False
    for at, line in lines[:-1]:
        skipping = (skipping or line.startswith(LEFT_OUT)) and not line.startswith("$ mzt w")
        if not skipping:
            kept.append((at, line))
    return [*kept, lines[-1]]


def recorded():
    """Run the demo in an empty home; return its lines, each with the seconds until it came."""
    with tempfile.TemporaryDirectory() as home:
        environment = {"PATH": os.environ["PATH"], "HOME": home, "LANG": "C.UTF-8", "COLUMNS": "90"}
        began = time.monotonic()
        with subprocess.Popen(
            [sys.executable, "-P", "-m", "marianne_cli", "demo"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            text=True,
        ) as demo:
            lines = [(time.monotonic() - began, line.rstrip("\n")) for line in demo.stdout]
        assert demo.returncode == 0
    return lines


def drawn(lines):
    """Return the SVG of lines with their times."""
    width = round(max(len(line) for _, line in lines) * CHARACTER_PX) + 2 * MARGIN_PX
    height = len(lines) * LINE_PX + 2 * MARGIN_PX
    body = ""
    for row, (at, line) in enumerate(lines):
        kind = "typed" if line.startswith("$ ") else "last" if row == len(lines) - 1 else "said"
        place = f'x="{MARGIN_PX}" y="{MARGIN_PX + (row + 1) * LINE_PX - 5}"'
        body += f'<text class="{kind}" style="--at:{at:.1f}s" {place}>{escape(line)}</text>\n'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img">\n<title>mzt demo: a job is paused, its score is changed, it goes on</title>\n'
        f'<style>\n{STYLE}\n</style>\n<rect width="100%" height="100%" rx="8" fill="#1d1f21"/>\n{body}</svg>\n'
    )


def plain(lines):
    """Return lines without what differs from run to run: numbers, and how many are alike."""
    alike = set()
    for line in lines:
        said = line
        for pattern, instead in CHANGES:
            said = re.sub(pattern, instead, said)
        alike.add(said)
    return alike


def shown(svg):
    """Return the lines of a picture."""
    return [unescape(line) for line in re.findall(r"<text [^>]*>(.*)</text>", svg)]


def main(arguments):
    if arguments[:1] == ["--check"]:
        printed = [(0.0, line) for line in Path(arguments[1]).read_text().splitlines()]
        now = plain(line for _, line in without_history(printed))
        there = plain(shown(PICTURE.read_text()))
        if now != there:
            sys.exit("docs/demo.svg is not what the demo prints: python tests/docs/picture.py")
    else:
        PICTURE.write_text(drawn(without_history(recorded())))


if __name__ == "__main__":
    main(sys.argv[1:])
