"""A headless Chromium, driven through its DevTools protocol over two pipes; no driver program.

Found by the environment variable RARECXR_BROWSER (a path), else by its usual names.
"""

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
# Nothing that reaches for the network: the page must do without, and so must the browser.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--no-first-run",
    "--no-default-browser-check",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)


def find_browser() -> str:
    """Path of the browser.

    Raises:
        FileNotFoundError: there is none; says how to get one.
    """
    wanted = os.environ.get("RARECXR_BROWSER")
    found = wanted if wanted and Path(wanted).is_file() else None
    found = found or (None if wanted else next(filter(None, map(shutil.which, NAMES)), None))
    if found is None:
        raise FileNotFoundError(
            f"no browser: RARECXR_BROWSER is {wanted!r} and none of {', '.join(NAMES)} is on the"
            " path. The report's page is only tested in one: apt-get install chromium"
        )
    return found


class Page:
    """One page in a browser of its own.

    Attributes:
        requests: addresses that the page asked for.
        complaints: errors, warnings and exceptions, as text.
    """

    def __init__(self, profile: Path, timeout_s: float = 60):
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.timeout_s = timeout_s
        self._seen: set[str] = set()
        self._number = 0
        self._buffer = b""
        # The browser reads commands from descriptor 3 and answers on 4.
        its_input, self._commands = os.pipe()
        self._answers, its_output = os.pipe()
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 50) for fd in (its_input, its_output)]

        def take_places():
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self._process = subprocess.Popen(
            [find_browser(), *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=take_places,
            # Those that Python opens are not inherited anyway; 3 and 4 may not be open yet.
            close_fds=False,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for fd in (its_input, its_output, *high):
            os.close(fd)
        targets = self._send("Target.getTargets")["targetInfos"]
        target = next(info["targetId"] for info in targets if info["type"] == "page")
        attached = self._send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._commands)
        os.close(self._answers)

    def size(self, width: int, height: int, phone: bool = False):
        """Give the window a size in CSS pixels, and the ways of a phone."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=phone,
        )

    def dark(self, on: bool = True):
        """Let the page believe that its reader prefers dark pages."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if on else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, address: str):
        """Load a page and wait until all of it is there."""
        self._seen.discard("Page.loadEventFired")
        self.send("Page.navigate", url=address)
        end = time.monotonic() + self.timeout_s
        while "Page.loadEventFired" not in self._seen:
            self._take(end)

    def run(self, script: str):
        """The value of a JavaScript expression."""
        answer = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"]["description"])
        return answer["result"].get("value")

    def screenshot(self, path: Path, selector: str = "body"):
        """A picture of an element, as long as it is, as PNG."""
        script = (
            f"(() => {{ const r = document.querySelector({json.dumps(selector)})"
            ".getBoundingClientRect(); return {x: r.x + scrollX, y: r.y + scrollY,"
            " width: r.width, height: r.height}; })()"
        )
        clip = {**self.run(script), "scale": 1}
        answer = self.send("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(base64.b64decode(answer["data"]))

    def pdf(self, path: Path):
        """The page as it is printed on A4."""
        answer = self.send("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)
        Path(path).write_bytes(base64.b64decode(answer["data"]))

    def send(self, method: str, **params):
        """The answer to one DevTools command about the page."""
        return self._send(method, self._session, **params)

    def _send(self, method, session=None, **params):
        self._number += 1
        command = {"id": self._number, "method": method, "params": params}
        if session:
            command["sessionId"] = session
        os.write(self._commands, json.dumps(command).encode() + b"\0")
        end = time.monotonic() + self.timeout_s
        while True:
            message = self._take(end)
            if message.get("id") == self._number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]

    def _take(self, end):
        """The next message of the browser; events are noted on the way."""
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], max(end - time.monotonic(), 0))
            if not ready:
                raise TimeoutError("the browser does not answer")
            part = os.read(self._answers, 1 << 20)
            if not part:
                raise RuntimeError(f"the browser ended with {self._process.wait()}")
            self._buffer += part
        text, self._buffer = self._buffer.split(b"\0", 1)
        message = json.loads(text)
        method, params = message.get("method", ""), message.get("params", {})
        self._seen.add(method)
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(params["exceptionDetails"]["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.complaints.append(str(params["args"]))
        elif method == "Log.entryAdded":
            self.complaints.append(params["entry"]["text"])
        return message
