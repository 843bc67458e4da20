"""`mzt top` in the test's own process, driven by its keys: what stands on its screen, waited for with a deadline."""

import asyncio
from contextlib import asynccontextmanager

from kit.daemon import DEADLINE
from marianne_cli.top.app import TopApp


class Screen:
    """What somebody in front of `mzt top` does and sees."""

    def __init__(self, app, pilot):
        self.app = app
        self.pilot = pilot

    async def press(self, *keys):
        await self.pilot.press(*keys)

    async def type(self, text):
        await self.pilot.press(*text)

    def lines(self):
        """Return the lines of the screen, as they are."""
        width, height = self.app.size
        strips = self.app.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip).rstrip()[:width] for strip in strips[:height]]

    def text(self):
        return "\n".join(self.lines())

    async def sees(self, *texts, absent=()):
        """Wait until all these texts are on the screen, and none of those; return its lines."""
        ends = asyncio.get_running_loop().time() + DEADLINE
        while True:
            await self.pilot.pause()
            shown = self.text()
            if all(text in shown for text in texts) and not any(text in shown for text in absent):
                return self.lines()
            assert asyncio.get_running_loop().time() < ends, f"{texts} without {absent} do not come:\n{shown}"
            await asyncio.sleep(0.05)  # nothing tells that something was drawn

    async def until(self, is_so):
        """Wait until something is so."""
        ends = asyncio.get_running_loop().time() + DEADLINE
        while not is_so():
            assert asyncio.get_running_loop().time() < ends, f"it is not so:\n{self.text()}"
            await self.pilot.pause(0.05)


@asynccontextmanager
async def looking(socket, job_id=None, *, size=(100, 30), read_only=False):
    """Start `mzt top`; yield its screen."""
    app = TopApp(str(socket), job_id, read_only=read_only)
    async with app.run_test(size=size) as pilot:
        yield Screen(app, pilot)
