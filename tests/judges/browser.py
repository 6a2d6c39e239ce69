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
        self._instead = {}
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

    def _send(self, method, **params):
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._out, data):]
        return self._number

    def __call__(self, method, **params):
        """Does something, and waits for the answer."""
        number = self._send(method, **params)
        while True:
            answer = self._read()
            if "id" not in answer:
                self._heard(answer)
            elif answer["id"] == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def _heard(self, event):
        self._events.append(event)
        if event["method"] == "Fetch.requestPaused":
            params = event["params"]
            body = self._instead[params["request"]["url"]]
            # Nobody waits for the answer to this.
            self._send("Fetch.fulfillRequest", requestId=params["requestId"], responseCode=200, body=base64.b64encode(body).decode(),
                       responseHeaders=[{"name": "content-type", "value": "application/json"}])

    def instead(self, url, body):
        """The page gets these bytes when it asks for that."""
        self._instead[url] = body
        self("Fetch.enable", patterns=[{"urlPattern": one} for one in self._instead])

    def open(self, url, width, height, mobile=False, scheme="light"):
        """Loads a file, or what a server has, as on a screen of that size, and waits until it is drawn."""
        self("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if mobile else 1, mobile=mobile)
        self("Emulation.setEmulatedMedia", media="screen", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self._events.clear()
        self("Page.navigate", url=url if "://" in str(url) else f"file://{url}")
        end = time.monotonic() + PATIENCE
        while not any(event["method"] == "Page.loadEventFired" for event in self._events):
            if time.monotonic() > end:
                raise RuntimeError(f"{url} is not loaded")
            self._heard(self._read())
        self.ask("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def ask(self, expression):
        """The value of an expression on the page."""
        answer = self("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def wait(self, expression):
        """Whether an expression on the page becomes true."""
        end = time.monotonic() + PATIENCE
        while not self.ask(expression):
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        return True

    def press(self, key, text=""):
        """Presses a key, and lets it go."""
        codes = {"Tab": 9, "Enter": 13, " ": 32}
        names = {" ": "Space"}
        key_of = {"key": key, "code": names.get(key, key), "windowsVirtualKeyCode": codes[key]}
        self("Input.dispatchKeyEvent", type="keyDown", text=text, **key_of)
        self("Input.dispatchKeyEvent", type="keyUp", **key_of)

    def messages(self, name):
        """How many messages of that name the server has sent to the page that was opened last."""
        sent = [event["params"] for event in self._events if event["method"] == "Network.eventSourceMessageReceived"]
        return sum(one["eventName"] == name for one in sent)

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
