# SPDX-License-Identifier: MIT OR Apache-2.0
"""A browser without a window, told what to do over its DevTools protocol."""

import base64
import fcntl
import json
import os
import select
import subprocess
import time

# A machine may be very slow; nothing is measured here.
PATIENCE = 600


class Browser:
    """Chromium with one page. What the page asks for and complains of is in `requests` and `complaints`."""

    def __init__(self):
        commands, self._out = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in os.pipe())
        self._in, answers = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in os.pipe())

        def wire():
            os.dup2(commands, 3)
            os.dup2(answers, 4)

        words = ["chromium-headless-shell", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                 "--remote-debugging-pipe", "--user-data-dir=/tmp/chromium", "--disable-background-networking", "about:blank"]
        self._log = open("/tmp/chromium.log", "w", encoding="utf-8")
        self._process = subprocess.Popen(words, preexec_fn=wire, pass_fds=(3, 4), stdin=subprocess.DEVNULL,
                                         stdout=self._log, stderr=self._log)
        os.close(commands)
        os.close(answers)
        self._buffer = b""
        self._events = []
        self._number = 0
        self._session = None
        target, = [one for one in self("Target.getTargets")["targetInfos"] if one["type"] == "page"]
        self._session = self("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self(f"{domain}.enable")

    def _read(self):
        """The next message."""
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0, end - time.monotonic()))
            piece = os.read(self._in, 1 << 20) if ready else b""
            if not piece:
                with open("/tmp/chromium.log", encoding="utf-8", errors="replace") as log:
                    raise RuntimeError(f"the browser does not answer: {log.read()[-2000:]}")
            self._buffer += piece
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def __call__(self, method, **params):
        """Does something, and waits for the answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._out, data):]
        while True:
            answer = self._read()
            if "id" not in answer:
                self._events.append(answer)
            elif answer["id"] == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def open(self, path, width, height, mobile=False, scheme="light"):
        """Loads a file as on a screen of that size, and waits until it is drawn."""
        self("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if mobile else 1, mobile=mobile)
        self("Emulation.setEmulatedMedia", media="screen", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self._events.clear()
        self("Page.navigate", url=f"file://{path}")
        end = time.monotonic() + PATIENCE
        while not any(event["method"] == "Page.loadEventFired" for event in self._events):
            if time.monotonic() > end:
                raise RuntimeError(f"{path} is not loaded")
            self._events.append(self._read())
        self.ask("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def ask(self, expression):
        """The value of an expression on the page."""
        answer = self("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"])
        return answer["result"].get("value")

    @property
    def requests(self):
        """What the page that was opened last has asked for."""
        return [event["params"]["request"]["url"] for event in self._events if event["method"] == "Network.requestWillBeSent"]

    @property
    def complaints(self):
        """What the page that was opened last has written to the console, and what went wrong."""
        kinds = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded", "Network.loadingFailed")
        return [event["params"] for event in self._events if event["method"] in kinds]

    def picture(self, path, whole=True):
        """Keeps what is to be seen."""
        data = self("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def print(self, path):
        """Prints on A4."""
        data = self("Page.printToPDF", printBackground=False, paperWidth=8.27, paperHeight=11.69)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def close(self):
        self._session = None
        self("Browser.close")
        self._process.wait(timeout=PATIENCE)
        self._log.close()
