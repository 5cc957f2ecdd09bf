"""A real Chromium without a window, driven over its DevTools protocol."""

import asyncio
import base64
import contextlib
import itertools
import json
import shutil

import websockets

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
SIZE = "1280,800"
PATIENCE = 60


class Page:
    """One tab. `faults` are errors on its console, `addresses` what it asked for."""

    def __init__(self, socket):
        self.faults, self.addresses = [], []
        self._socket, self._numbers, self._waiting = socket, itertools.count(1), {}

    async def listen(self):
        async for text in self._socket:
            message = json.loads(text)
            given, method = message.get("params", {}), message.get("method")
            if "id" in message:
                self._waiting.pop(message["id"]).set_result(message)
            elif method == "Runtime.exceptionThrown":
                self.faults.append(given["exceptionDetails"])
            elif method == "Log.entryAdded" and given["entry"]["level"] == "error":
                self.faults.append(given["entry"])
            elif method == "Network.requestWillBeSent":
                self.addresses.append(given["request"]["url"])

    async def send(self, method, **params):
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        answer = await self._waiting[number]
        assert "error" not in answer, answer
        return answer["result"]

    async def run(self, script):
        """What an expression comes to."""
        given = {"expression": script, "awaitPromise": True, "returnByValue": True}
        answer = await self.send("Runtime.evaluate", **given)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, script):
        """What an expression comes to as soon as that is something."""
        async with asyncio.timeout(PATIENCE):
            while not (found := await self.run(script)):  # noqa: ASYNC110
                await asyncio.sleep(0.05)  # the page tells nobody
            return found

    async def write(self, text):
        """Type into what has the focus."""
        await self.send("Input.insertText", text=text)

    async def picture(self):
        """What it looks like, as PNG."""
        return base64.b64decode((await self.send("Page.captureScreenshot"))["data"])


@contextlib.asynccontextmanager
async def opened(url, folder):
    """A page of a browser of its own."""
    process = await asyncio.create_subprocess_exec(
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--no-first-run", "--disable-background-networking", f"--window-size={SIZE}",
        "--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(PATIENCE):
            line = b""
            while b"DevTools listening on " not in line:
                line = await process.stderr.readline()
        browser = line.decode().split()[-1]
        reading = asyncio.create_task(process.stderr.read())
        async with websockets.connect(browser, max_size=None) as socket:
            await socket.send(json.dumps({"id": 0, "method": "Target.getTargets"}))
            found = json.loads(await socket.recv())["result"]["targetInfos"]
        target = next(one["targetId"] for one in found if one["type"] == "page")
        address = browser.split("/devtools/")[0] + f"/devtools/page/{target}"
        async with websockets.connect(address, max_size=None) as socket:
            page = Page(socket)
            listening = asyncio.create_task(page.listen())
            for domain in ("Page", "Runtime", "Log", "Network"):
                await page.send(f"{domain}.enable")
            await page.send("Page.navigate", url=url)
            try:
                yield page
            finally:
                for task in (listening, reading):
                    task.cancel()
                await asyncio.gather(listening, reading, return_exceptions=True)
    finally:
        process.kill()
        await process.wait()
