"""A headless Chromium, driven by its DevTools protocol: loads pages, takes pictures, keeps what it complains of.

No more is needed than a browser and the websocket client that aiohttp has: a driver's package would bring a
browser of its own.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import aiohttp
from typing_extensions import Self

from tests.servers.process import ChildProcess

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
ANSWER_SECONDS: Final = 60.0
_COMPLAINTS: Final = {
    "Log.entryAdded",
    "Runtime.consoleAPICalled",
    "Runtime.exceptionThrown",
    "Audits.issueAdded",
}


def missing_for_chromium() -> list[str]:
    """What is not on the PATH; empty when the browser is."""
    return [] if any(shutil.which(name) for name in NAMES) else [NAMES[0]]


class Chromium:
    """One browser with one page."""

    def __init__(self) -> None:
        self.complaints: list[str] = []
        """Console messages, exceptions, policy violations, failed loads; a test empties it."""
        self._directory = Path(tempfile.mkdtemp(prefix="chromium-"))
        program = next(found for name in NAMES if (found := shutil.which(name)))
        arguments = ["--headless=new", "--remote-debugging-port=0", f"--user-data-dir={self._directory}"]
        arguments += [
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--no-first-run",
        ]
        self._process = ChildProcess(
            [program, *arguments, "about:blank"],
            log_file=self._directory / "chromium.log",
            cwd=self._directory,
            env={**os.environ, "HOME": str(self._directory)},
        )
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._loaded = asyncio.Event()
        self._session = ""

    async def look(self, *, width: int = 1280, dark: bool = False) -> None:
        """From now on with this width and colour scheme."""
        await self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=900, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self._call("Emulation.setEmulatedMedia", features=[scheme])

    async def open(self, url: str) -> None:
        """Load a page and everything that it needs."""
        self._loaded.clear()
        answer = await self._call("Page.navigate", url=url)
        assert "errorText" not in answer, f"{url}: {answer.get('errorText')}"
        await asyncio.wait_for(self._loaded.wait(), ANSWER_SECONDS)

    async def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = await self._call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def submit(self, script: str) -> None:
        """Run something that loads another page, and wait for it."""
        self._loaded.clear()
        await self.evaluate(f"{{ {script}; 0 }}")
        await asyncio.wait_for(self._loaded.wait(), ANSWER_SECONDS)

    async def picture(self, path: Path) -> None:
        """The whole page as PNG."""
        answer = await self._call("Page.captureScreenshot", captureBeyondViewport=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(answer["data"]))

    async def __aenter__(self) -> Self:
        self._process.start()
        self._http = aiohttp.ClientSession()
        try:
            self._socket = await self._http.ws_connect(await self._address(), max_msg_size=0)
            self._reader = asyncio.get_running_loop().create_task(self._read())
            target = await self._call("Target.createTarget", url="about:blank")
            attached = await self._call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
            self._session = attached["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Audits"):
                await self._call(f"{domain}.enable")
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if hasattr(self, "_reader"):
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
        await self._http.close()
        await asyncio.to_thread(self._process.stop)
        shutil.rmtree(self._directory, ignore_errors=True)

    async def _address(self) -> str:
        """Of the browser's socket, which it writes into a file."""
        file = self._directory / "DevToolsActivePort"
        for _ in range(600):
            if file.is_file() and len(lines := file.read_text("utf-8").splitlines()) == 2:
                return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            if not self._process.is_running:
                break
            await asyncio.sleep(0.1)
        raise RuntimeError(f"chromium does not start\n{self._process.log_tail()}")

    async def _call(self, method: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        future = self._answers[number] = asyncio.get_running_loop().create_future()
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        await self._socket.send_json(message)
        return await asyncio.wait_for(future, ANSWER_SECONDS)

    async def _read(self) -> None:
        async for frame in self._socket:
            message = json.loads(frame.data)
            if "id" in message:
                future = self._answers.pop(message["id"])
                if "error" in message:
                    future.set_exception(RuntimeError(str(message["error"])))
                else:
                    future.set_result(message["result"])
            elif message["method"] == "Page.loadEventFired":
                self._loaded.set()
            elif message["method"] in _COMPLAINTS:
                self.complaints.append(json.dumps(message["params"])[:1000])
