"""The picture of `mzt top`, docs/top.svg, from a real run: python tests/docs/top_picture.py writes it anew."""

import asyncio
import sys
from html import escape, unescape
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from kit.daemon import Daemon
from kit.looking import looking

PICTURE = Path(__file__).parents[2] / "docs" / "top.svg"
SIZE = (128, 18)
LINE_PX, CHARACTER_PX, MARGIN_PX = 18, 7.85, 12
SCORE = """\
name: release-notes
workspace: ./release-notes
instrument: cli
sheet: {size: 1, total_items: 5, dependencies: {2: [1], 3: [1], 4: [2], 5: [3, 4]}, fan_out: {2: 50}}
movements: {1: {name: collect}, 2: {name: review}, 3: {name: links}, 4: {name: summary}, 5: {name: publish}}
parallel: {enabled: true, max_concurrent: 12}
retry: {max_retries: 0}
prompt:
  template: |
    {% if stage == 3 %}
    for page in $(seq 1 40); do echo "page $page: 12 links, all lead somewhere"; done
    read _ < "$HOME/gate-3"
    {% elif stage == 2 and instance == 17 %}
    echo "reading change 17 of 50"; echo "asks: who may call it?"; echo "the change has no description"; exit 3
    {% elif stage == 2 and instance > 30 %}
    echo "reading change {{ instance }} of 50"; read _ < "$HOME/gate-2"
    {% else %}
    echo "reading change {{ instance }} of 50"
    {% endif %}
"""


def drawn(strips):
    """Return the SVG of a screen."""
    width, height = round(SIZE[0] * CHARACTER_PX) + 2 * MARGIN_PX, SIZE[1] * LINE_PX + 2 * MARGIN_PX
    body = ""
    for row, strip in enumerate(strips):
        column, y = 0, MARGIN_PX + row * LINE_PX
        for segment in strip:
            body += _piece(segment, MARGIN_PX + column * CHARACTER_PX, y)
            column += segment.cell_length
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">\n'
        "<title>mzt top: a job, its stages as a graph, and the output of the sheet that failed</title>\n"
        "<style>text{font:13px ui-monospace,Menlo,Consolas,monospace;white-space:pre}</style>\n"
        f'<rect width="100%" height="100%" rx="8" fill="#16181f"/>\n{body}</svg>\n'
    )


def _piece(segment, x, y):
    style, text = segment.style, segment.text
    colour, ground = (style.color, style.bgcolor) if style else (None, None)
    if style and style.reverse:
        colour, ground = ground, colour
    width, drawn_as = len(text) * CHARACTER_PX, ""
    if ground is not None and ground.triplet and ground.triplet.hex != "#16181f":
        drawn_as = (
            f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{LINE_PX}" fill="{ground.triplet.hex}"/>'
        )
    if not text.strip():
        return drawn_as
    fill = colour.triplet.hex if colour is not None and colour.triplet else "#c8cfe4"
    manner = (' font-weight="600"' if style and style.bold else "") + (
        ' opacity=".6"' if style and style.dim else ""
    )
    length = f'textLength="{width:.1f}" lengthAdjust="spacingAndGlyphs"'
    return f'{drawn_as}<text x="{x:.1f}" y="{y + 13}" fill="{fill}"{manner} {length}>{escape(text)}</text>\n'


def shown(svg):
    """Return the text of a picture."""
    import re

    return " ".join(unescape(piece) for piece in re.findall(r"<text [^>]*>([^<]*)</text>", svg))


async def photographed(daemon):
    async with looking(daemon.socket, "release-notes", size=SIZE) as top:
        await top.sees("the change has no description", "exit code 3")
        await top.press("v")
        await top.sees(
            "STAGES", "✗1 ○", "of stage 2 the sheet that is failed", "the change has no description"
        )
        strips = top.app.screen._compositor.render_strips()
        PICTURE.write_text(drawn(strips).replace(str(daemon.home), "/home/ann"))


def main():
    daemon = Daemon()
    try:
        daemon.start()
        daemon.gate(2)
        daemon.gate(3)
        daemon.submit(SCORE)
        daemon.event("release-notes", "attempt.ended", stage=2, instance=17)
        asyncio.run(photographed(daemon))
        daemon.gates[2].open(20)
        daemon.gates[3].open()
    finally:
        daemon.close()


if __name__ == "__main__":
    main()
